"""Tables: every CSV or Parquet that came in, kept once as Parquet, with its schema, its size and what was refused of it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core.db import Base, Json, WorkspaceRow, created, refers

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
