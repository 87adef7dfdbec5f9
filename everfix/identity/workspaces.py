"""Workspaces: the boundary of all data, and the settings that steer the loop inside it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids
from everfix.core.db import Base, created

SLUG = r"^[a-z0-9](?:[a-z0-9-]{0,58}[a-z0-9])?$"


class Workspace(Base):
    """One workspace. `simulated` says that its failures were made up, and every page and report repeats it."""

    __tablename__ = "workspaces"
    __table_args__ = (
        UniqueConstraint("organization_id", "slug"),
        CheckConstraint("ai_confidence_threshold BETWEEN 0 AND 1", name="confidence"),
        CheckConstraint("alert_threshold BETWEEN 0 AND 1", name="alert"),
        CheckConstraint("files_days BETWEEN 1 AND 3650", name="files_days"),
        CheckConstraint("ai_proof_window_days BETWEEN 7 AND 365", name="proof_window"),
    )

    id: Mapped[UUID] = mapped_column(primary_key=True, default=ids.new)
    organization_id: Mapped[UUID] = mapped_column(ForeignKey("organizations.id", ondelete="CASCADE"))
    name: Mapped[str]
    slug: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    default_theme: Mapped[str] = mapped_column(server_default="light")
    sso_enforced: Mapped[bool] = mapped_column(server_default="false")
    ai_auto_link: Mapped[bool] = mapped_column(server_default="true")
    ai_confidence_threshold: Mapped[float] = mapped_column(server_default="0.5")
    ai_proof_window_days: Mapped[int] = mapped_column(server_default="30")
    alert_threshold: Mapped[float] = mapped_column(server_default="0.7")
    prediction_window_days: Mapped[int] = mapped_column(server_default="7")
    currency: Mapped[str] = mapped_column(server_default="USD")
    loop_cost: Mapped[float] = mapped_column(server_default="4800")
    industry: Mapped[str] = mapped_column(server_default="")
    description: Mapped[str] = mapped_column(server_default="")
    mail_domains: Mapped[list[str]] = mapped_column(server_default="{}")  # whom mail may go to; empty: everybody
    simulated: Mapped[bool] = mapped_column(server_default="false")
    brand_colour: Mapped[str] = mapped_column(server_default="#0f766e")
    brand_name: Mapped[str] = mapped_column(server_default="")  # "" is the workspace's own name
    brand_logo_svg: Mapped[str] = mapped_column(server_default="")
    files_days: Mapped[int] = mapped_column(server_default="365")  # how long report runs, exports and their files are kept
    files_hold: Mapped[bool] = mapped_column(server_default="false")  # a legal hold: nothing of them is removed
    created_at: Mapped[datetime] = created()


def here(db: Session) -> Workspace:
    """Return the workspace of this transaction."""
    return db.execute(select(Workspace)).scalar_one()
