"""Organisations: the client accounts; each owns workspaces, a plan and seats."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, created

FREE_SEATS = 10


class Organisation(Base):
    """A client account."""

    __tablename__ = "organizations"
    __table_args__ = (
        CheckConstraint("plan IN ('free', 'starter', 'growth', 'enterprise')", name="plan"),
        CheckConstraint("status IN ('active', 'suspended', 'cancelled')", name="status"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    name: Mapped[str]
    slug: Mapped[str] = mapped_column(unique=True)
    plan: Mapped[str] = mapped_column(server_default="free")
    seats_total: Mapped[int] = mapped_column(server_default=str(FREE_SEATS))
    status: Mapped[str] = mapped_column(server_default="active")
    created_at: Mapped[datetime] = created()
