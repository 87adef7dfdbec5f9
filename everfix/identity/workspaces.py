"""Workspaces: the boundary of all data, and the settings that steer the loop inside it."""

from __future__ import annotations

import re
from datetime import datetime
from functools import lru_cache
from typing import Annotated, Any, Literal
from uuid import UUID
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError, available_timezones

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, StringConstraints
from sqlalchemy import CheckConstraint, ForeignKey, UniqueConstraint, select
from sqlalchemy.exc import IntegrityError
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids
from everfix.core.db import Base, created
from everfix.errors import Conflict, Forbidden, Invalid
from everfix.identity.principals import Principal, Role

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


# ---- what may change


@lru_cache(maxsize=1)
def zones() -> tuple[str, ...]:
    """Return the names of the IANA time zones that this machine knows, in order."""
    return tuple(sorted(available_timezones()))


def zone(name: str) -> str:
    """Return the name of an IANA time zone; raises ValueError for every other word."""
    try:
        ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError) as problem:
        raise ValueError(f"{name[:60]!r} is no IANA time zone, like Europe/Paris") from problem
    return name


def _slug(value: str) -> str:
    if not re.fullmatch(SLUG, value):
        raise ValueError("must be lower-case letters, digits and hyphens, at most 60, and begin and end with a letter or a digit")
    return value


class Change(BaseModel):
    """What may change of a workspace; a field that is not sent stays."""

    model_config = ConfigDict(extra="forbid")

    name: fields.text(100, 2) = Field("", description="What people call it.")  # type: ignore[valid-type]
    slug: Annotated[str, AfterValidator(_slug)] = Field("", description="Its name in commands; unique in the organisation.")
    timezone: Annotated[fields.text(64, 1), AfterValidator(zone)] = Field("", description="IANA; reports and pages show times in it.")  # type: ignore[valid-type]
    default_theme: Literal["light", "dark"] = Field(
        "light", description="Until a reader chooses: `dark`, or `light`, which follows the reader's system."
    )
    industry: fields.text(100) = ""  # type: ignore[valid-type]
    description: fields.text(2000) = ""  # type: ignore[valid-type]
    sso_enforced: bool = Field(False, description="Only an owner sets it.")
    ai_auto_link: bool = Field(True, description="Whether a new issue joins a pattern by likeness; an equal fingerprint always does.")
    ai_confidence_threshold: float = Field(
        0.5, ge=0, le=1, description="Likeness from which it joins; confidence from which a fix is proposed."
    )
    ai_proof_window_days: int = Field(30, ge=7, le=365, description="How long a fix is watched.")
    alert_threshold: float = Field(0.7, ge=0, le=1, description="Probability from which a prediction counts as an alert.")
    currency: Annotated[str, StringConstraints(to_upper=True, pattern=r"^[A-Za-z]{3}$")] = Field("USD", description="ISO 4217.")
    loop_cost: float = Field(4800, ge=0, le=1e9, description="What one more recurrence costs.")


def change(db: Session, by: Principal, given: dict[str, Any]) -> Workspace:
    """Change the fields given (as `Change` reads them) and tell the audit log what each was and became.

    Raises Forbidden when another than an owner sets `sso_enforced`, Conflict for a slug that is taken, Invalid where no single sign-on is set up.
    """
    row = here(db)
    moved = {name: (getattr(row, name), value) for name, value in given.items() if getattr(row, name) != value}
    if "sso_enforced" in moved:
        if by.role is not Role.OWNER:
            raise Forbidden("only an owner says whether single sign-on is enforced")
        raise Invalid("single sign-on is not set up", details={"sso_enforced": "false, until an identity provider is connected"})
    try:
        with db.begin_nested():
            for name, (_, value) in moved.items():
                setattr(row, name, value)
    except IntegrityError as problem:
        raise Conflict(f"the slug {given.get('slug', '')!r} is taken", details={"slug": "another slug"}) from problem
    if moved:
        told = {name: {"from": before, "to": after} for name, (before, after) in moved.items()}
        audit.record(db, by, audit.Action.WORKSPACE_UPDATED, "workspace", row.id, told)
    return row
