"""Schedules: when a report is made and to whom it goes; `tick` fires what is due, once per slot however many tick.

A slot is the instant the cron expression names; a schedule fires `spread` seconds after it, so that many of one minute do not clash.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, Index, Uuid, delete, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.delivery import addresses, targets
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Principal
from everfix.metrics import narrow
from everfix.reports import calendar, conditions, definitions, windows
from everfix.reports.definitions import Definition

MISFIRES = ("send_late", "merge", "skip")
SPREAD_MOST = 3600


class Schedule(WorkspaceRow, Base):
    """One schedule of one definition; `window` and `formats` are its own where given, else the definition's.

    `next_slot_at` is the slot it will fire for, `next_run_at` when it will (null: never again, or its cron cannot be read).
    `ticked_at` is the clock's time when it last fired: what tells that the clock has since been put back.
    """

    __tablename__ = "report_schedules"
    __table_args__ = (
        refers("definition_id", "report_definitions"),
        CheckConstraint("misfire IN ('send_late', 'merge', 'skip')", name="misfire"),
        CheckConstraint("spread_seconds BETWEEN 0 AND 3600", name="spread"),
        CheckConstraint("last_status IN ('pending', 'succeeded', 'failed', 'partial', 'skipped', 'held', 'cancelled')", name="last_status"),
        Index("ix_report_schedules_definition", "workspace_id", "definition_id"),
        Index("ix_report_schedules_due", "next_run_at", postgresql_where=text("enabled")),
    )

    definition_id: Mapped[UUID]
    name: Mapped[str]
    cron: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="UTC")
    recipients: Mapped[list[str]] = mapped_column(server_default="{}")
    destinations: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    window: Mapped[str | None]
    formats: Mapped[list[str] | None]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    paused_until: Mapped[datetime | None]
    start_at: Mapped[datetime | None]
    end_at: Mapped[datetime | None]
    misfire: Mapped[str] = mapped_column(server_default="send_late")
    calendar: Mapped[Json] = mapped_column(server_default="{}")
    spread_seconds: Mapped[int] = mapped_column(server_default="0")
    freshness: Mapped[Json | None]
    condition: Mapped[Json] = mapped_column(server_default='{"when": "always"}')
    recipient_filters: Mapped[Json] = mapped_column(server_default="{}")
    next_slot_at: Mapped[datetime | None]
    next_run_at: Mapped[datetime | None]
    last_slot_at: Mapped[datetime | None]
    last_run_at: Mapped[datetime | None]
    last_status: Mapped[str] = mapped_column(server_default="pending")
    ticked_at: Mapped[datetime | None]
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


def create(db: Session, by: Principal, *, definition_id: UUID | None = None, report_type: str | None = None, **given: Any) -> Schedule:  # noqa: ANN401 - columns
    """Save a schedule of a definition, or of a template by its key (which brings a definition of its own along); it is active at once.

    Raises NotFound for an unknown definition, Invalid naming the field, what came and what is allowed.
    """
    if (definition_id is None) == (report_type is None):
        raise Invalid("a schedule needs a report_id or a report_type", details={"report_type": "exactly one of the two"})
    for required in ("name", "cron"):
        if not str(given.get(required) or "").strip():
            raise Invalid(f"a schedule needs a {required}", details={required: "must be given"})
    if report_type is not None:
        more = {key: given[key] for key in ("window", "formats", "filters") if given.get(key) is not None}
        definition = definitions.create(db, by, template=report_type, origin="schedule", name=given["name"], **more)
    else:
        definition = definitions.get(db, definition_id)  # type: ignore[arg-type]  # one of the two is given
    given.pop("filters", None)
    found = Schedule(
        id=ids.new(),
        definition_id=definition.id,
        timezone="UTC",
        recipients=[],
        destinations=[],
        enabled=True,
        misfire="send_late",
        calendar={},
        spread_seconds=0,
        condition={"when": "always"},
        recipient_filters={},
        last_status="pending",
        created_by=by.name,
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    _write(db, found, given)
    plan(found, clock.now())
    db.add(found)
    db.flush()
    audit.record(db, by, audit.Action.SCHEDULE_CREATED, "schedule", found.id, {"name": found.name, "cron": found.cron})
    return found


def change(db: Session, schedule_id: UUID, by: Principal, **given: Any) -> Schedule:  # noqa: ANN401 - columns
    """Change the fields that are given (None empties those that may be empty); what fires next is computed anew. Raises NotFound, Invalid."""
    found = db.execute(select(Schedule).where(Schedule.id == schedule_id).with_for_update()).scalar_one_or_none() or get(db, schedule_id)
    definition = definitions.get(db, found.definition_id)
    if definition.origin == "schedule":
        own = {key: given[key] for key in ("window", "formats", "filters", "name") if given.get(key) is not None}
        if given.get("report_type") is not None:
            own["template"] = given["report_type"]
        if own:
            definitions.change(db, definition.id, by, **own)
    elif given.get("report_type") is not None:
        raise Invalid("this schedule belongs to a report, which has its own type", details={"report_type": "change the report"})
    _write(db, found, {key: value for key, value in given.items() if key not in ("filters", "report_type")})
    plan(found, clock.now())
    found.updated_at = clock.now()
    db.flush()
    audit.record(db, by, audit.Action.SCHEDULE_UPDATED, "schedule", found.id, {"fields": sorted(given)})
    return found


def pause(db: Session, schedule_id: UUID, by: Principal, until: datetime | None = None) -> Schedule:
    """Let a schedule rest until an instant, or until it is resumed."""
    return change(db, schedule_id, by, **({"enabled": False, "paused_until": None} if until is None else {"paused_until": until}))


def resume(db: Session, schedule_id: UUID, by: Principal) -> Schedule:
    """Let a paused schedule fire again from now on; what it missed meanwhile was not due."""
    return change(db, schedule_id, by, enabled=True, paused_until=None)


_EMPTIED = ("paused_until", "start_at", "end_at", "freshness", "window", "formats")


def _write(db: Session, found: Schedule, given: Mapping[str, Any]) -> None:
    if given.get("recipients") is not None:
        found.recipients = targets.check(db, given["recipients"])
    if given.get("destinations") is not None:
        targets.check_destinations(db, given["destinations"])
    for key, value in given.items():
        if key == "recipients" or (value is None and key not in _EMPTIED):
            continue
        setattr(found, key, _READ[key](value) if key in _READ and value is not None else value)
    if found.start_at and found.end_at and found.end_at <= found.start_at:
        raise Invalid("the schedule ends before it starts", details={"end_at": "after start_at"})
    unknown = sorted(set(found.recipient_filters) - set(found.recipients))
    if unknown:
        raise Invalid(f"recipient_filters names {unknown[0][:60]!r}, who is no recipient", details={"recipient_filters": "recipients only"})


def _misfire(given: str) -> str:
    if given not in MISFIRES:
        raise Invalid(f"misfire: {given[:40]!r} is not allowed", details={"misfire": f"one of {', '.join(MISFIRES)}"})
    return given


def _spread(given: int) -> int:
    if not 0 <= given <= SPREAD_MOST:
        raise Invalid(f"spread_seconds: {given} is not allowed", details={"spread_seconds": f"0 to {SPREAD_MOST}"})
    return given


def _calendar(given: Json) -> Json:
    calendar.workdays(given)
    return given


def _per_recipient(given: Json) -> Json:
    if not all(isinstance(value, dict) for value in given.values()):
        raise Invalid(
            "recipient_filters must hold filters for each recipient", details={"recipient_filters": "{recipient: {filter: values}}"}
        )
    return {_spelled(key): narrow.read(value) for key, value in given.items()}


def _spelled(recipient: str) -> str:
    try:
        return addresses.slack(recipient) or addresses.mail(recipient)
    except ValueError as problem:
        raise Invalid(f"recipient_filters: {problem}", details={"recipient_filters": "recipients only"}) from problem


_READ: dict[str, Any] = {
    "cron": calendar.check,
    "timezone": lambda name: calendar.zone(name).key,
    "window": windows.read,
    "formats": definitions.formats,
    "misfire": _misfire,
    "spread_seconds": _spread,
    "calendar": _calendar,
    "freshness": conditions.read_freshness,
    "condition": conditions.read_condition,
    "recipient_filters": _per_recipient,
}


def remove(db: Session, schedule_id: UUID, by: Principal) -> None:
    """Remove a schedule, and the definition it brought along; its runs stay. Raises NotFound."""
    found = get(db, schedule_id)
    db.execute(delete(Schedule).where(Schedule.id == found.id))
    db.execute(delete(Definition).where(Definition.id == found.definition_id, Definition.origin == "schedule"))
    audit.record(db, by, audit.Action.SCHEDULE_DELETED, "schedule", found.id, {"name": found.name})


def find(db: Session, schedule_id: UUID) -> Schedule | None:
    """Return one schedule, or None."""
    return db.execute(select(Schedule).where(Schedule.id == schedule_id)).scalar_one_or_none()


def get(db: Session, schedule_id: UUID) -> Schedule:
    """Return one schedule; raises NotFound."""
    found = find(db, schedule_id)
    if found is None:
        raise NotFound(f"no schedule {ids.show(ids.Prefix.SCHEDULE, schedule_id)}")
    return found


def listed(db: Session, definition_id: UUID | None = None) -> list[Schedule]:
    """Return the workspace's schedules, or one definition's, newest first."""
    query = select(Schedule).order_by(Schedule.created_at.desc(), Schedule.id.desc())
    return list(db.execute(query if definition_id is None else query.where(Schedule.definition_id == definition_id)).scalars())


def destinations(db: Session, definition: Definition) -> list[UUID]:
    """Return where a run by hand goes: wherever the report's enabled schedules go; without any, where the report itself names."""
    planned = [found for found in listed(db, definition.id) if found.enabled]
    if not planned:
        return list(definition.destinations)
    return list(dict.fromkeys(item for found in planned for item in found.destinations))


def spread(found: Schedule) -> timedelta:
    """Return how long after its slot a schedule fires: always the same for one schedule, spread evenly over many."""
    if not found.spread_seconds:
        return timedelta()
    return timedelta(seconds=int.from_bytes(hashlib.sha256(found.id.bytes).digest()[:8]) % (found.spread_seconds + 1))


def plan(found: Schedule, after: datetime) -> None:
    """Set the next slot after an instant, within start, end and pause; raises Invalid when it could never fire."""
    start = max(after, *(at for at in (found.start_at, found.paused_until) if at is not None), after)
    fires = calendar.next_fires(
        found.cron, found.timezone, start - timedelta(microseconds=start > after), 1, calendar.workdays(found.calendar)
    )
    slot = fires[0].at.astimezone(UTC)
    if found.end_at is not None and slot > found.end_at:
        found.next_slot_at = found.next_run_at = None
    else:
        found.next_slot_at, found.next_run_at = slot, slot + spread(found)


def upcoming(found: Schedule, after: datetime, n: int = 10) -> list[calendar.Fire]:
    """Return the next firings of a schedule within its start, end and pause."""
    start = max(after, *(at for at in (found.start_at, found.paused_until) if at is not None), after)
    fires = calendar.fires(found.cron, found.timezone, start - timedelta(microseconds=start > after), calendar.workdays(found.calendar))
    return [fire for fire in islice(fires, n) if found.end_at is None or fire.at <= found.end_at]
