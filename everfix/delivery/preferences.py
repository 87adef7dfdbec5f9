"""Preferences: what a recipient has chosen, without an account, by the signed link in each mail: how often, a pause, or none at all.

A choice is for one schedule or for everything; the stricter one counts. Mail that the recipient's own work needs (a test, the notice
that a delivery failed) is not asked about.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, time, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.crypto import BadSignature, Keys
from everfix.core.db import Base, WorkspaceRow, created, lock
from everfix.errors import NotFound
from everfix.identity.principals import system

PURPOSE = "preferences"
ASKED = frozenset({"report", "alert", "digest"})  # the kinds of message that a recipient may do without
DIGEST_HOUR = 8  # on the workspace's clock; a weekly digest comes on Monday
SNOOZES = (1, 7, 28)  # days


class Frequency(StrEnum):
    """How often reports come: each by itself, or together in one mail."""

    EACH = "each"
    DAILY = "daily"
    WEEKLY = "weekly"


class Preference(WorkspaceRow, Base):
    """A recipient's choice, for one schedule or (without one) for everything."""

    __tablename__ = "recipient_preferences"
    __table_args__ = (
        CheckConstraint("frequency IN ('each', 'daily', 'weekly')", name="frequency"),
        Index(
            "uq_recipient_preferences",
            "workspace_id",
            "channel",
            "recipient",
            "schedule_id",
            unique=True,
            postgresql_nulls_not_distinct=True,
        ),
    )

    channel: Mapped[str]
    recipient: Mapped[str]
    schedule_id: Mapped[UUID | None]
    frequency: Mapped[str] = mapped_column(server_default=Frequency.EACH)
    snoozed_until: Mapped[datetime | None]
    unsubscribed_at: Mapped[datetime | None]
    updated_at: Mapped[datetime] = created()


@dataclasses.dataclass(frozen=True, slots=True)
class Named:
    """Whom a link is for."""

    workspace: UUID
    channel: str
    recipient: str
    schedule: UUID | None


def link(url: str, keys: Keys, named: Named) -> str:
    """Return the address where a recipient chooses; it works for as long as the installation's master key does."""
    parts = [str(named.workspace), named.channel, named.recipient, str(named.schedule or "")]
    return f"{url}/preferences/{keys.sign(PURPOSE, parts)}"


def read(keys: Keys, token: str) -> Named:
    """Return whom a link is for; raises NotFound for one that was changed or cut."""
    try:
        found: Any = keys.verify(PURPOSE, token)
    except BadSignature:
        raise NotFound("this link is not complete: open it from the mail itself") from None
    return Named(UUID(found[0]), found[1], found[2], UUID(found[3]) if found[3] else None)


def of(db: Session, named: Named) -> tuple[Preference | None, Preference | None]:
    """Return the choice for everything, and the one for this schedule."""
    query = select(Preference).where(Preference.channel == named.channel, Preference.recipient == named.recipient)
    found = {row.schedule_id: row for row in db.execute(query).scalars()}
    return found.get(None), found.get(named.schedule) if named.schedule else None


def choose(
    db: Session,
    named: Named,
    *,
    everything: bool = False,
    frequency: Frequency | None = None,
    snooze_days: int | None = None,
    unsubscribed: bool | None = None,
) -> Preference:
    """Keep what a recipient chose; `snooze_days` 0 ends a pause. What is not given stays."""
    lock(db, f"preferences {named.recipient}")
    for_all, for_one = of(db, named)
    schedule = None if everything else named.schedule
    row = for_one if schedule else for_all
    if row is None:
        row = Preference(id=ids.new(), channel=named.channel, recipient=named.recipient, schedule_id=schedule, frequency=Frequency.EACH)
        db.add(row)
    row.updated_at = clock.now()
    if frequency is not None:
        row.frequency = frequency
    if snooze_days is not None:
        row.snoozed_until = clock.now() + timedelta(days=snooze_days) if snooze_days else None
    if unsubscribed is not None:
        row.unsubscribed_at = clock.now() if unsubscribed else None
    db.flush()
    said = {"recipient": named.recipient, "frequency": row.frequency, "unsubscribed": row.unsubscribed_at is not None}
    by = system(named.workspace, f"{named.recipient} (recipient)")
    audit.record(db, by, audit.Action.RECIPIENT_CHOSE, "schedule" if schedule else "recipient", schedule, said)
    return row


@dataclasses.dataclass(frozen=True, slots=True)
class Gate:
    """What a choice means for a delivery at this moment: none of these lets it through."""

    skip: str = ""
    hold: str = ""
    until: datetime | None = None


def gate(db: Session, named: Named, zone: str, *, digest: bool) -> Gate:
    """Return what the recipient's choices mean now; `digest` says whether the message may be put into one."""
    choices = [row for row in of(db, named) if row is not None]
    if any(row.unsubscribed_at for row in choices):
        return Gate(skip="the recipient has unsubscribed")
    now = clock.now()
    paused = max((row.snoozed_until for row in choices if row.snoozed_until and row.snoozed_until > now), default=None)
    if paused is not None:
        return Gate(skip=f"the recipient has paused mail until {paused.astimezone(ZoneInfo(zone)):%-d %B %Y}")
    wanted = max((Frequency(row.frequency) for row in choices), key=list(Frequency).index, default=Frequency.EACH)
    if not digest or wanted == Frequency.EACH:
        return Gate()
    return Gate(hold=f"it waits for the recipient's {wanted} digest", until=next_digest(wanted, zone, now))


def next_digest(frequency: Frequency, zone: str, now: datetime) -> datetime:
    """Return the next moment at which a digest is put together."""
    local = now.astimezone(ZoneInfo(zone))
    day = local.date()
    while True:
        moment = datetime.combine(day, time(DIGEST_HOUR), ZoneInfo(zone))
        if moment > local and (frequency == Frequency.DAILY or day.weekday() == 0):
            return moment
        day += timedelta(days=1)
