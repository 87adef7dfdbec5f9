"""Imports: an outside tracking server that a project is filled from, and how far the last import came."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import Field, SecretStr
from sqlalchemy import CheckConstraint
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids, jobs
from everfix.core.crypto import Keys
from everfix.core.db import Base, Json, current, refers
from everfix.errors import Conflict
from everfix.identity.principals import Principal
from everfix.ml import projects, tracking
from everfix.ml.figures_in import Name, Strict
from everfix.ml.projects import Belonging, Role, belongs

PURPOSE = "ml import"
KIND = "ml.import_mlflow"


class Import(Belonging, Base):
    """One tracking server. `secret` is sealed; `marks` holds per outside experiment the newest change that was taken in."""

    __tablename__ = "ml_imports"
    __table_args__ = (
        *belongs("ml_imports"),
        refers("job_id", "jobs", ondelete="SET NULL"),
        CheckConstraint("kind IN ('mlflow')", name="kind"),
    )
    NOUN, PREFIX = "import", ids.Prefix.ML_IMPORT

    kind: Mapped[str]
    url: Mapped[str]
    secret: Mapped[bytes | None] = mapped_column(BYTEA)
    experiments: Mapped[list[str]] = mapped_column(server_default="{}")
    marks: Mapped[Json] = mapped_column(server_default="{}")
    counts: Mapped[Json] = mapped_column(server_default="{}")
    warnings: Mapped[list[str]] = mapped_column(server_default="{}")
    job_id: Mapped[UUID | None]
    imported_at: Mapped[datetime | None]


class Record(Strict):
    """A tracking server to take in; sent again for the same project and address, it goes on where it stopped."""

    project_id: ids.field(ids.Prefix.ML_PROJECT)  # type: ignore[valid-type]
    url: fields.text(2_000, 8)  # type: ignore[valid-type]
    experiments: list[Name] = Field(default_factory=list, max_length=1_000, description="by name or id; empty: all")
    token: SecretStr | None = None
    username: Name | None = None
    password: SecretStr | None = None
    full: bool = Field(default=False, description="look at every run again")

    def secret(self) -> dict[str, str] | None:
        """Return what is to be sealed, or None where nothing was sent."""
        given = {"token": self.token, "username": self.username, "password": self.password}
        plain = {name: value.get_secret_value() if isinstance(value, SecretStr) else value for name, value in given.items() if value}
        return plain or None


def bound(workspace: UUID, import_id: UUID) -> str:
    """Return where an import's secret belongs; sealed for one row, it opens for no other."""
    return f"{workspace}:{import_id}"


def start(db: Session, keys: Keys, body: Record, by: Principal) -> tuple[Import, UUID]:
    """Keep the server and queue the import; raises Conflict while one is under way."""
    address = tracking.address(body.url)
    projects.require(db, body.project_id, by, Role.EDITOR)
    row = projects.known(db, Import, body.project_id, address)
    if row is not None and row.job_id is not None:
        running = jobs.find(db, row.job_id)
        if running is not None and running.status not in jobs.FINAL:
            raise Conflict(f"an import from there is under way: {ids.show(ids.Prefix.JOB, running.id)}")
    values = {"project_id": body.project_id, "external_id": address, "kind": "mlflow", "url": address, "experiments": body.experiments}
    row, _ = projects.put(db, Import, values)
    secret = body.secret()
    if secret is not None:
        row.secret = keys.seal(PURPOSE, bound(current(db), row.id), secret)
    row.job_id = jobs.enqueue(db, KIND, {"import": str(row.id), "full": body.full}, by=by.name)
    db.flush()
    audit.record(db, by, audit.Action.ML_IMPORT_STARTED, "import", row.id, {"url": address})
    return row, row.job_id


def get(db: Session, import_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Import:
    """Return one import; raises NotFound, Forbidden."""
    return projects.belonging(db, Import, import_id, by, need)


def remove(db: Session, import_id: UUID, by: Principal) -> None:
    """Forget a server and its secret; what was taken in stays."""
    projects.drop(db, get(db, import_id, by, Role.EDITOR), [], by)
