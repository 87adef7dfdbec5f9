"""Tables: every CSV or Parquet that came in, kept once as Parquet, with its schema, its size and what was refused of it."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import NotFound

ROLES = ("dataset", "evaluation", "predictions", "reference", "real", "synthetic", "holdout", "original", "transformed")


class Table(WorkspaceRow, Base):
    """One stored Parquet file.

    `schema` holds per column: `name`, `type` (integer, number, boolean, text, datetime, date, time, duration), `missing`, `unique`
    and statistics. `rejects` holds the first refused rows as {row, column, reason}; `rejected` counts them all.
    """

    __tablename__ = "ml_tables"
    __table_args__ = (
        refers("project_id", "ml_projects"),
        CheckConstraint(f"role IN ({', '.join(repr(role) for role in ROLES)})", name="role"),
        Index("ix_ml_tables_project", "workspace_id", "project_id", "created_at", "id"),
    )

    project_id: Mapped[UUID]
    role: Mapped[str]
    file_name: Mapped[str] = mapped_column(server_default="")
    format: Mapped[str]
    key: Mapped[str]
    bytes: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    rows: Mapped[int] = mapped_column(BigInteger)
    columns: Mapped[int]
    schema: Mapped[list[Json]]
    rejected: Mapped[int] = mapped_column(BigInteger, server_default="0")
    rejects: Mapped[list[Json]] = mapped_column(server_default="[]")
    created_at: Mapped[datetime] = created()


def get(db: Session, table_id: UUID) -> Table:
    """Return one table; raises NotFound."""
    found = db.execute(select(Table).where(Table.id == table_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no table {ids.show(ids.Prefix.ML_TABLE, table_id)}")
    return found


def forget(db: Session, table_ids: Iterable[UUID | None], *, by: str = "", delay: timedelta | None = None) -> None:
    """Remove tables, and their files once this transaction is kept, or `delay` after it."""
    gone = [table_id for table_id in table_ids if table_id is not None]
    if not gone:
        return
    keys = list(db.execute(delete(Table).where(Table.id.in_(gone)).returning(Table.key)).scalars())
    if keys:
        jobs.enqueue(db, "ml.forget_files", {"keys": keys}, by=by, delay=delay)


def of_project(db: Session, project_id: UUID) -> list[UUID]:
    """Return every table of a project."""
    return list(db.execute(select(Table.id).where(Table.project_id == project_id)).scalars())


def forget_files(job: jobs.Running) -> Json:
    """Remove files that no table names any more."""
    return {"removed": job.services.storage.delete(job.payload["keys"])}
