"""Ticks: whoever looks at the clock fires what is due. Any number may tick at once, late, or twice: each slot is served once.

1. Ask the database which schedules are due (it alone sees all workspaces; it returns ids).
2. Take each in a transaction of its own, skipping those another tick holds.
3. Write a row for every slot since the last, move the schedule to its next slot, and queue the newest slot's run.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from itertools import islice
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import structlog
from sqlalchemy import func, select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from everfix.core import clock
from everfix.core.db import Json
from everfix.delivery import notices, outbox
from everfix.delivery.notices import Notice
from everfix.errors import Invalid
from everfix.reports import calendar, definitions, orders, schedules, sending, windows
from everfix.reports.definitions import Definition
from everfix.reports.runs import Run, Status
from everfix.reports.schedules import Schedule
from everfix.reports.sending import Means

log = structlog.get_logger()

GRACE = timedelta(minutes=5)  # a slot served later than this was missed
PUT_BACK = timedelta(minutes=2)  # as in everfix_due_schedules
MOST_SLOTS, KEPT_SLOTS = 2_000, 100
UNSERVED = "no scheduler served it"
NAMED = 10  # missed slots that a notice lists


@dataclasses.dataclass(slots=True)
class Ticked:
    """What one tick did: schedules that were due, runs it started, slots it wrote off, schedules it could not serve."""

    due: int = 0
    started: int = 0
    missed: int = 0
    failed: int = 0


def tick(services: Any, now: datetime | None = None) -> Ticked:  # noqa: ANN401 - an Installation
    """Fire every schedule that is due at `now` (by default the database's clock, which all schedulers share)."""
    database, way = services.database, sending.means(services.settings, services.keys)
    with database.transaction() as db:
        at = now or db.execute(select(func.clock_timestamp())).scalar_one()
        found = db.execute(text("SELECT workspace_id, schedule_id FROM everfix_due_schedules(:at)"), {"at": at}).all()
    done = Ticked(due=len(found))
    for workspace, schedule_id in found:
        try:
            with database.transaction(workspace) as db:
                started, missed = _serve(db, way, schedule_id, at, services.url)
            done.started, done.missed = done.started + started, done.missed + missed
        except DBAPIError as problem:  # one schedule's trouble is not the others'; the next tick tries it again
            if problem.connection_invalidated:
                raise
            log.warning("a schedule could not be served", schedule=str(schedule_id), error=str(problem.orig))
            done.failed += 1
    return done


def _serve(db: Session, way: Means, schedule_id: UUID, now: datetime, url: str) -> tuple[int, int]:
    """Serve one schedule; returns how many runs were started, and how many slots were written off."""
    query = select(Schedule).where(Schedule.id == schedule_id).with_for_update(skip_locked=True)
    schedule = db.execute(query).scalar_one_or_none()
    if schedule is None or not schedule.enabled:
        return 0, 0  # another tick has it in hand, or it is gone
    if schedule.ticked_at is not None and schedule.ticked_at > now + PUT_BACK:
        _after_clock_was_put_back(schedule, now)
    if schedule.next_run_at is None or schedule.next_slot_at is None or schedule.next_run_at > now:
        return 0, 0
    try:
        slots = _slots(schedule, now)
        done = _fire(db, way, schedule, slots, now, url)
        schedules.plan(schedule, max(slots[-1], now - schedules.spread(schedule)))
    except Invalid as problem:  # a stored expression that cannot be read, or never fires again: silent until it is corrected
        log.warning("a schedule cannot be read", schedule=str(schedule_id), error=problem.message)
        schedule.next_slot_at = schedule.next_run_at = None
        return 0, 0
    schedule.ticked_at = now
    return done


def _after_clock_was_put_back(schedule: Schedule, now: datetime) -> None:
    """Forget a next slot that a clock far ahead had chosen; slots that were served stay served."""
    schedule.ticked_at = now
    schedules.plan(schedule, now)


def _slots(schedule: Schedule, now: datetime) -> list[datetime]:
    """Return the slots that are due and unserved, oldest first; after a long silence of a busy schedule only the newest."""
    assert schedule.next_slot_at is not None  # noqa: S101 - asked before
    late, days = now - schedules.spread(schedule), calendar.workdays(schedule.calendar)

    def until_now(after: datetime) -> list[datetime]:
        found = []
        for fire in islice(calendar.fires(schedule.cron, schedule.timezone, after, days), MOST_SLOTS):
            if fire.at > late or (schedule.end_at is not None and fire.at > schedule.end_at):
                break
            found.append(fire.at)
        return found

    slots = [schedule.next_slot_at, *until_now(schedule.next_slot_at)]
    if len(slots) > MOST_SLOTS:
        slots = until_now(late - timedelta(days=1))
    return slots[-KEPT_SLOTS:]


def _fire(db: Session, way: Means, schedule: Schedule, slots: list[datetime], now: datetime, url: str) -> tuple[int, int]:
    served = set(db.execute(select(Run.slot).where(Run.schedule_id == schedule.id, Run.slot.in_(slots))).scalars())
    waiting = [slot for slot in slots if slot not in served]
    if not waiting:
        return 0, 0
    definition = definitions.get(db, schedule.definition_id)
    newest, earlier = waiting[-1], waiting[:-1]
    late = now - schedules.spread(schedule) - newest > GRACE
    if not definition.enabled or (late and schedule.misfire == "skip"):
        why = "the report is disabled" if not definition.enabled else f"missed: {UNSERVED} in time, and the schedule says skip"
        for slot in waiting:
            _write_off(db, way, schedule, definition, slot, Status.SKIPPED, why)
        if definition.enabled:
            notices.say(db, definition.owner_user_id, _missed(schedule, waiting, why), f"missed|{schedule.id}|{newest.isoformat()}", url)
        return 0, len(waiting)
    merging = schedule.misfire == "merge"
    status = Status.SKIPPED if merging or schedule.misfire == "skip" else Status.FAILED
    why = f"{UNSERVED}; {'it is part of' if merging else 'in its place stands'} the run for {_shown(newest, schedule)}"
    for slot in earlier:
        _write_off(db, way, schedule, definition, slot, status, why)
    if earlier:
        notices.say(db, definition.owner_user_id, _missed(schedule, earlier, why), f"missed|{schedule.id}|{newest.isoformat()}", url)
    orders.due(db, way, schedule, definition, newest, **_terms(schedule, definition, newest, earlier, now=now, late=late))
    schedule.last_slot_at, schedule.last_run_at = newest, clock.now()
    return 1, len(earlier)


def _terms(schedule: Schedule, definition: Definition, slot: datetime, earlier: list[datetime], *, now: datetime, late: bool) -> Json:
    """Return as of when a slot's report is made, for which window, and what it says about being late."""
    window = windows.read(schedule.window or definition.window)
    if schedule.misfire == "merge" and earlier and ".." not in window:
        window = f"{min(windows.days(window) + (slot - earlier[0]).days, windows.LONGEST)}d"
    note: Json = {}
    if late:
        merged = f", and stands for {len(earlier)} earlier ones" if schedule.misfire == "merge" and earlier else ""
        note = {
            "notices": [f"Sent late: it was due at {_shown(slot, schedule)}{merged}."],
            "late_seconds": int((now - slot).total_seconds()),
        }
    return {"as_of": slot, "window": window, "note": note}


def _missed(schedule: Schedule, slots: list[datetime], why: str) -> Notice:
    number = "one slot" if len(slots) == 1 else f"{len(slots)} slots"
    lines = [f"{_shown(slot, schedule)}: {why}." for slot in slots[:NAMED]]
    if len(slots) > NAMED:
        lines.append(f"and {len(slots) - NAMED} more, up to {_shown(slots[-1], schedule)}.")
    opening = f"The schedule “{schedule.name}” missed {number}: no scheduler was running, or none could reach the database in time."
    return Notice(f"Missed: {schedule.name}", opening, lines, "/reports/schedules", "report_schedule", schedule.id)


def _shown(at: datetime, schedule: Schedule) -> str:
    return f"{at.astimezone(ZoneInfo(schedule.timezone)):%Y-%m-%d %H:%M} {schedule.timezone}"


def _write_off(db: Session, way: Means, schedule: Schedule, definition: Definition, slot: datetime, status: Status, why: str) -> None:
    """Keep a run for a slot that gets no report, and the ledger's rows of those who would have got it, with the reason."""
    run = orders.ordered(definition, schedule, orders.BY_SCHEDULE, slot=slot, as_of=slot)
    run.status, run.reason, run.finished_at = status, why, clock.now()
    db.add(run)
    db.flush()
    settle = outbox.fail if status == Status.FAILED else outbox.skip
    settle(db, sending.plan(db, way, run, definition), why)
    schedule.last_slot_at, schedule.last_status = slot, status
