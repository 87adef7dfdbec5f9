"""Synthetic data: one generation job, with the real and the synthetic table."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


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
