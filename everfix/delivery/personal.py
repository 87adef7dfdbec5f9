"""Personal settings: what a person wants to hear of, on which way, and how often; the gates come first, then the choice per event."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import ids
from everfix.core.crypto import Keys
from everfix.core.db import Base, Json, WorkspaceRow, created
from everfix.core.outbound import Guard
from everfix.delivery import destinations, preferences
from everfix.errors import Invalid
from everfix.identity.principals import Principal

SEVERITIES = ("p1", "p2", "p3", "p4")
# type of event → the switch that turns all of it off; None cannot be turned off
EVENTS: dict[str, str | None] = {
    "issue.created": "notify_on_new_issue",
    "issue.escalated": "notify_on_new_issue",
    "pattern.updated": "notify_on_pattern_detected",
    "prediction.alert.fired": "notify_on_prediction",
    "recommendation.created": "notify_on_recommendation",
    "report.ready": "notify_on_report_ready",
    "delivery.failed": None,
    "comment.mentioned": None,
}
WAYS = ("email", "slack", "teams", "pagerduty")


class Frequency(StrEnum):
    """How often mail comes: at once, gathered, or not at all."""

    REALTIME = "realtime"
    HOURLY = "hourly"
    DAILY = "daily"
    WEEKLY = "weekly"
    NEVER = "never"


class Personal(WorkspaceRow, Base):
    """One person's settings in one workspace; who has none has the defaults. `events` holds the choice per event, where one was made."""

    __tablename__ = "notification_settings"
    __table_args__ = (
        CheckConstraint("digest_frequency IN ('realtime', 'hourly', 'daily', 'weekly', 'never')", name="digest_frequency"),
        CheckConstraint("min_severity_for_alert IN ('p1', 'p2', 'p3', 'p4')", name="min_severity"),
        CheckConstraint("min_risk_score_for_alert BETWEEN 0 AND 100", name="min_risk"),
        Index("uq_notification_settings_user", "workspace_id", "user_id", unique=True),
    )

    user_id: Mapped[UUID]
    email_enabled: Mapped[bool] = mapped_column(server_default="false")
    slack_enabled: Mapped[bool] = mapped_column(server_default="false")
    teams_enabled: Mapped[bool] = mapped_column(server_default="false")
    pagerduty_enabled: Mapped[bool] = mapped_column(server_default="false")
    digest_frequency: Mapped[str] = mapped_column(server_default=Frequency.REALTIME)
    min_severity_for_alert: Mapped[str] = mapped_column(server_default="p2")
    min_risk_score_for_alert: Mapped[int] = mapped_column(server_default="70")
    events: Mapped[list[Json]] = mapped_column(server_default="[]")
    notify_on_new_issue: Mapped[bool] = mapped_column(server_default="true")
    notify_on_pattern_detected: Mapped[bool] = mapped_column(server_default="true")
    notify_on_prediction: Mapped[bool] = mapped_column(server_default="true")
    notify_on_recommendation: Mapped[bool] = mapped_column(server_default="true")
    notify_on_report_ready: Mapped[bool] = mapped_column(server_default="true")
    updated_at: Mapped[datetime] = created()


FIELDS = tuple(column.key for column in Personal.__table__.columns if column.key not in ("workspace_id", "id", "user_id", "updated_at"))


@dataclasses.dataclass(frozen=True, slots=True)
class Choice:
    """On which ways one event reaches one person."""

    in_app: bool
    ways: frozenset[str]


NOTHING = Choice(in_app=False, ways=frozenset())


def defaults(user: UUID) -> Personal:
    """Return the settings of somebody who has changed none; not stored."""
    given: dict[str, Any] = dict.fromkeys(("email_enabled", "slack_enabled", "teams_enabled", "pagerduty_enabled"), False)
    given |= {name: True for name in FIELDS if name.startswith("notify_on_")}
    return Personal(
        id=ids.new(),
        user_id=user,
        digest_frequency=Frequency.REALTIME,
        min_severity_for_alert="p2",
        min_risk_score_for_alert=70,
        events=[],
        **given,
    )


def of(db: Session, user: UUID) -> Personal:
    """Return a person's settings."""
    return db.execute(select(Personal).where(Personal.user_id == user)).scalar_one_or_none() or defaults(user)


def change(db: Session, user: UUID, values: dict[str, Any]) -> Personal:
    """Keep what is given; the rest stays."""
    row = of(db, user)
    for name, value in values.items():
        setattr(row, name, value)
    db.add(row)
    db.flush()
    return row


def keep(db: Session, keys: Keys, guard: Guard, by: Principal, values: dict[str, Any], places: Mapping[str, Json | None]) -> None:
    """Keep what a person wants to hear of, and their own Slack, Teams or PagerDuty (None takes one away); the rest stays, also of `events`."""
    if by.actor_id is None:
        raise Invalid("only a person or a service account is told anything")
    if "events" in values:
        known = {item["key"]: item for item in of(db, by.actor_id).events}
        values = {**values, "events": list((known | {item["key"]: item for item in values["events"]}).values())}
    if values:
        change(db, by.actor_id, values)
    for kind, config in places.items():
        destinations.keep_personal(db, keys, guard, by, kind, config)
    said = {"changed": sorted([*values, *(["channels"] if places else [])])}
    audit.record(db, by, audit.Action.NOTIFICATION_SETTINGS_UPDATED, "user", by.actor_id, said)


def choice(settings: Personal, event: str, severity: str | None, risk: int | None) -> Choice:
    """Return where an event goes: nowhere below the gates or when its kind is switched off, else as chosen for it."""
    if severity is not None and SEVERITIES.index(severity) > SEVERITIES.index(settings.min_severity_for_alert):
        return NOTHING
    if risk is not None and risk < settings.min_risk_score_for_alert:
        return NOTHING
    switch = EVENTS[event]
    if switch is not None and not getattr(settings, switch):
        return NOTHING
    said: Json = next((item for item in settings.events if item["key"] == event), {})
    on = {way for way in WAYS if getattr(settings, f"{way}_enabled") and said.get(way, True)}
    if settings.digest_frequency == Frequency.NEVER:
        on.discard("email")
    return Choice(in_app=bool(said.get("in_app", True)), ways=frozenset(on))


def next_mail(frequency: str, zone: str, now: datetime) -> datetime | None:
    """Return when a mail about something that happens now is sent; None: at once."""
    if frequency == Frequency.HOURLY:
        return now.replace(minute=0, second=0, microsecond=0) + timedelta(hours=1)
    if frequency in (Frequency.DAILY, Frequency.WEEKLY):
        return preferences.next_digest(preferences.Frequency(frequency), _zone(zone), now)
    return None


def _zone(name: str) -> str:
    try:
        ZoneInfo(name)
    except (KeyError, ValueError):
        return "UTC"
    return name
