"""Members: which user has which role in a workspace."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core.db import Base, WorkspaceRow, created


class Member(WorkspaceRow, Base):
    """A user's place in a workspace."""

    __tablename__ = "memberships"
    __table_args__ = (
        CheckConstraint("role IN ('viewer', 'analyst', 'admin', 'owner')", name="role"),
        CheckConstraint("status IN ('active', 'invited', 'suspended')", name="status"),
        Index("uq_memberships_user", "workspace_id", "user_id", unique=True),
        Index("ix_memberships_user", "user_id"),
    )

    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    created_at: Mapped[datetime] = created()
