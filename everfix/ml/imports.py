"""Imports: an outside tracking server that a project is filled from, and how far the last import came."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


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
