"""Synthetic data: one generation job, with the real and the synthetic table."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids
from everfix.core.db import Base, Json, refers
from everfix.identity.principals import Principal
from everfix.ml import projects
from everfix.ml.figures_in import POINTS, External, Name, Number, Strict
from everfix.ml.projects import Belonging, Role, belongs
from everfix.ml.tables import Table


class SynthgenRun(Belonging, Base):
    """One generation. `columns` says what a column means where its type does not: {name: numerical|categorical|boolean|datetime|id}."""

    __tablename__ = "ml_synthgen_runs"
    __table_args__ = (
        *belongs("ml_synthgen_runs"),
        refers("real_id", "ml_tables", ondelete="SET NULL"),
        refers("synthetic_id", "ml_tables", ondelete="SET NULL"),
        refers("holdout_id", "ml_tables", ondelete="SET NULL"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
    )
    NOUN, PREFIX = "synthetic-data run", ids.Prefix.SYNTHGEN_RUN

    name: Mapped[str]
    generator: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str] = mapped_column(server_default="succeeded")
    config: Mapped[Json] = mapped_column(server_default="{}")
    seed: Mapped[int | None] = mapped_column(BigInteger)
    requested_rows: Mapped[int | None] = mapped_column(BigInteger)
    loss_curve: Mapped[list[Json]] = mapped_column(server_default="[]")
    columns: Mapped[Json] = mapped_column(server_default="{}")
    primary_key: Mapped[str | None]
    target_column: Mapped[str | None]
    sensitive_columns: Mapped[list[str]] = mapped_column(server_default="{}")
    known_columns: Mapped[list[str]] = mapped_column(server_default="{}")
    model_name: Mapped[str | None]
    error: Mapped[str | None]
    real_id: Mapped[UUID | None]
    synthetic_id: Mapped[UUID | None]
    holdout_id: Mapped[UUID | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Loss(Strict):
    """One point of the generator's loss."""

    step: int = Field(ge=0)
    metric: Name = "loss"
    value: Number | None


class Change(Strict):
    """What may change of a run."""

    name: Name | None = None
    generator: fields.text(200) | None = None  # type: ignore[valid-type]
    status: Literal["queued", "running", "succeeded", "failed"] | None = None
    config: fields.JsonObject | None = None
    seed: int | None = Field(default=None, ge=-(2**63), lt=2**63)
    requested_rows: int | None = Field(default=None, ge=0, lt=2**63)
    loss_curve: list[Loss] | None = Field(default=None, max_length=POINTS)
    columns: dict[Name, Literal["numerical", "categorical", "boolean", "datetime", "id"]] | None = Field(default=None, max_length=10_000)
    primary_key: Name | None = None
    target_column: Name | None = Field(default=None, description="what a model trained on the table would predict")
    sensitive_columns: list[Name] | None = Field(default=None, max_length=1_000)
    known_columns: list[Name] | None = Field(default=None, max_length=1_000, description="what an attacker may know")
    model_name: Name | None = None
    error: fields.text(10_000) | None = None  # type: ignore[valid-type]
    started_at: fields.Moment | None = None
    finished_at: fields.Moment | None = None


class Record(Change):
    """A run as it comes in; its tables are uploaded."""

    project_id: ids.field(ids.Prefix.ML_PROJECT)  # type: ignore[valid-type]
    name: Name
    external_id: External | None = None


def create(db: Session, body: Record, by: Principal) -> SynthgenRun:
    """Keep a run."""
    return projects.keep(db, SynthgenRun, body.stored(), by, audit.Action.ML_SYNTHGEN_KEPT)


def get(db: Session, run_id: UUID, by: Principal, need: Role = Role.VIEWER) -> SynthgenRun:
    """Return one run; raises NotFound, Forbidden."""
    return projects.belonging(db, SynthgenRun, run_id, by, need)


def change(db: Session, run_id: UUID, body: Change, by: Principal) -> SynthgenRun:
    """Write what was sent."""
    row = get(db, run_id, by, Role.EDITOR)
    return projects.change(db, row, body.stored(exclude_unset=True), by, audit.Action.ML_SYNTHGEN_KEPT)


def attach(db: Session, run_id: UUID, role: str, table: Table, by: Principal) -> SynthgenRun:
    """Let `table` be the run's real, synthetic or holdout table; the one before it is forgotten."""
    row = get(db, run_id, by, Role.EDITOR)
    return projects.attach(db, row, f"{role}_id", table, by)


def remove(db: Session, run_id: UUID, by: Principal) -> None:
    """Remove a run with its tables."""
    row = get(db, run_id, by, Role.EDITOR)
    projects.drop(db, row, [row.real_id, row.synthetic_id, row.holdout_id], by)
