"""Deployments: a model in use, and the log of its predictions as Parquet parts."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, CheckConstraint, Index, select, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, fields, ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import Invalid
from everfix.identity.principals import Principal
from everfix.ml import projects
from everfix.ml.figures_in import External, Name, Strict
from everfix.ml.projects import Belonging, Role, belongs
from everfix.ml.tables import Table


class Deployment(Belonging, Base):
    """A model in use. `reference_id` is the table its inputs are compared with: columns as in the log, without those of traffic."""

    __tablename__ = "ml_deployments"
    __table_args__ = (
        *belongs("ml_deployments"),
        refers("model_id", "ml_models"),
        refers("reference_id", "ml_tables", ondelete="SET NULL"),
        CheckConstraint("stage IN ('staging', 'production')", name="stage"),
        CheckConstraint("status IN ('pending', 'active', 'inactive', 'archived', 'failed')", name="status"),
        CheckConstraint("traffic_percent BETWEEN 1 AND 100", name="traffic"),
        Index("ix_ml_deployments_model", "workspace_id", "model_id"),
    )
    NOUN, PREFIX = "deployment", ids.Prefix.DEPLOYMENT

    model_id: Mapped[UUID]
    name: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    traffic_percent: Mapped[int] = mapped_column(server_default="100")
    config: Mapped[Json] = mapped_column(server_default="{}")
    ab_test: Mapped[Json | None]
    features: Mapped[list[str]] = mapped_column(server_default="{}")
    team: Mapped[str | None]
    service: Mapped[str | None]
    source_url: Mapped[str | None]
    reference_id: Mapped[UUID | None]
    deployed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class PredictionPart(WorkspaceRow, Base):
    """One uploaded piece of a prediction log.

    Its table has the columns `timestamp` and any of `prediction`, `score`, `label`, `latency_ms`, `error` (text; null or empty: none);
    all others are features. `first_at` and `last_at` bound its timestamps, so that a period reads only the parts it needs. Small parts
    come to lie in one table (`everfix.ml.keeping`).
    """

    __tablename__ = "ml_prediction_parts"
    __table_args__ = (
        refers("deployment_id", "ml_deployments"),
        refers("table_id", "ml_tables"),
        Index("ix_ml_prediction_parts_at", "workspace_id", "deployment_id", "first_at", "last_at"),
        Index("uq_ml_prediction_parts_content", "workspace_id", "deployment_id", "sha256", unique=True),
    )

    deployment_id: Mapped[UUID]
    table_id: Mapped[UUID]
    sha256: Mapped[str]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    rows: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    labelled: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = created()


LOOKED_BACK = 200  # pieces of a log in which a value of a column is looked for, to know its type
TRAFFIC = ("timestamp", "prediction", "score", "label", "latency_ms", "error")  # columns of a log that are no features


class Change(Strict):
    """What may change of a deployment."""

    name: Name | None = None
    stage: Literal["staging", "production"] | None = None
    status: Literal["pending", "active", "inactive", "archived", "failed"] | None = None
    traffic_percent: int | None = Field(default=None, ge=1, le=100)
    config: fields.JsonObject | None = None
    ab_test: fields.JsonObject | None = None
    features: list[Name] | None = Field(
        default=None, max_length=10_000, description="which columns of the log are features; default: all others"
    )
    team: fields.text(200) | None = None  # type: ignore[valid-type]
    service: fields.text(200) | None = None  # type: ignore[valid-type]
    source_url: fields.text(2_000) | None = None  # type: ignore[valid-type]
    deployed_at: fields.Moment | None = None
    ended_at: fields.Moment | None = None


class Record(Change):
    """A deployment as it comes in."""

    model_id: ids.field(ids.Prefix.MODEL)  # type: ignore[valid-type]
    name: Name
    stage: Literal["staging", "production"]
    external_id: External | None = None


def create(db: Session, body: Record, project_id: UUID, by: Principal) -> Deployment:
    """Keep a deployment of a model of `project_id`; in production it archives the active one of the same name, if it takes all traffic."""
    values = {**body.stored(), "project_id": project_id}
    row = projects.keep(db, Deployment, values, by, audit.Action.ML_DEPLOYMENT_KEPT)
    if row.stage == "production" and row.status == "active" and row.traffic_percent == 100:
        others = (Deployment.project_id == project_id, Deployment.name == row.name, Deployment.id != row.id)
        running = (Deployment.stage == "production", Deployment.status == "active")
        db.execute(update(Deployment).where(*others, *running).values(status="archived", ended_at=row.deployed_at or clock.now()))
    return row


def get(db: Session, deployment_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Deployment:
    """Return one deployment; raises NotFound, Forbidden."""
    return projects.belonging(db, Deployment, deployment_id, by, need)


def change(db: Session, deployment_id: UUID, body: Change, by: Principal) -> Deployment:
    """Write what was sent."""
    row = get(db, deployment_id, by, Role.EDITOR)
    return projects.change(db, row, body.stored(exclude_unset=True), by, audit.Action.ML_DEPLOYMENT_KEPT)


def refer(db: Session, deployment_id: UUID, table: Table, by: Principal) -> Deployment:
    """Let `table` be what the deployment's inputs are compared with; the one before it is forgotten."""
    row = get(db, deployment_id, by, Role.EDITOR)
    return projects.attach(db, row, "reference_id", table, by)


def part_of(db: Session, deployment_id: UUID, sha256: str) -> PredictionPart | None:
    """Return the part that was made from this very file, or None."""
    query = select(PredictionPart).where(PredictionPart.deployment_id == deployment_id, PredictionPart.sha256 == sha256)
    return db.execute(query).scalar_one_or_none()


def add_part(db: Session, deployment_id: UUID, table: Table, sha256: str, by: Principal) -> PredictionPart:
    """Add a piece of the prediction log; raises Invalid where a column has another type than in the log so far."""
    row = get(db, deployment_id, by, Role.EDITOR)
    _same_types(db, row, table)
    columns = {column["name"]: column for column in table.schema}
    present = {name: table.rows - columns[name]["missing"] if name in columns else 0 for name in ("error", "label")}
    part = PredictionPart(
        id=ids.new(),
        deployment_id=row.id,
        table_id=table.id,
        sha256=sha256,
        first_at=datetime.fromisoformat(columns["timestamp"]["min"]),
        last_at=datetime.fromisoformat(columns["timestamp"]["max"]),
        rows=table.rows,
        errors=present["error"],
        labelled=present["label"],
        created_at=clock.now(),
    )
    db.add(part)
    db.flush()
    audit.record(db, by, audit.Action.ML_PREDICTIONS_ADDED, "deployment", row.id, {"rows": table.rows, "part": str(part.id)})
    return part


def _same_types(db: Session, row: Deployment, table: Table) -> None:
    numbers = {"integer", "number"}
    own = types(table)
    held = _held(db, row, set(own))
    for name, kind in own.items():
        if held.get(name, kind) != kind and not {held[name], kind} <= numbers:
            raise Invalid(f"{name[:80]}: the column is {kind} here and {held[name]} in the log so far", details={name[:80]: held[name]})


def _held(db: Session, row: Deployment, wanted: set[str]) -> dict[str, str]:
    """Return the types that columns have in the newest pieces in which they have a value."""
    query = select(Table).join(PredictionPart, PredictionPart.table_id == Table.id).where(PredictionPart.deployment_id == row.id)
    found: dict[str, str] = {}
    for most in (1, LOOKED_BACK):  # the newest tells all, as a rule
        for table in db.execute(query.order_by(PredictionPart.id.desc()).limit(most)).scalars():
            found = {name: kind for name, kind in types(table).items() if name in wanted} | found
        if wanted <= set(found):
            break
    return found


def types(table: Table) -> dict[str, str]:
    """Return the type of each column that has a value; one without any says nothing about its type."""
    return {column["name"]: column["type"] for column in table.schema if column["missing"] < table.rows}


def parts(
    db: Session, deployment_id: UUID, since: datetime | None = None, until: datetime | None = None
) -> Sequence[tuple[PredictionPart, Table]]:
    """Return the parts that hold predictions of [since, until), the oldest first."""
    query = select(PredictionPart, Table).join(Table, Table.id == PredictionPart.table_id)
    query = query.where(PredictionPart.deployment_id == deployment_id).order_by(PredictionPart.first_at, PredictionPart.id)
    if since is not None:
        query = query.where(PredictionPart.last_at >= since)
    if until is not None:
        query = query.where(PredictionPart.first_at < until)
    return [(row[0], row[1]) for row in db.execute(query)]


def features(row: Deployment, table: Table) -> list[str]:
    """Return the columns of a log or reference that are features."""
    there = [column["name"] for column in table.schema]
    return [name for name in there if (name in row.features if row.features else name not in TRAFFIC)]


def remove(db: Session, deployment_id: UUID, by: Principal) -> None:
    """Remove a deployment with its log."""
    row = get(db, deployment_id, by, Role.EDITOR)
    log = db.execute(select(PredictionPart.table_id).where(PredictionPart.deployment_id == deployment_id)).scalars().all()
    projects.drop(db, row, [*log, row.reference_id], by)
