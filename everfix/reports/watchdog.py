"""The watchdog: what was expected against what was served, so that silence is never taken for success.

A slot that nothing served shows here as long as no scheduler ticks; the first late tick then writes it into the ledger (see ticks).
`overdue` tells what is found to whoever answers for it.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import Text, cast, func, or_, select
from sqlalchemy.orm import Session

from everfix.core import jobs
from everfix.core.jobs import Job
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery
from everfix.errors import Invalid
from everfix.reports import calendar
from everfix.reports.definitions import Definition
from everfix.reports.runs import FINAL, Run, Status, Trigger
from everfix.reports.schedules import Schedule

LATE = timedelta(minutes=5)  # a slot or a run that nobody has taken for longer is reported


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that should have happened and has not, in words."""

    kind: str  # slot | schedule | run | delivery
    subject: UUID
    name: str
    since: datetime
    words: str
    owner: UUID | None = None

    @property
    def entity(self) -> str:
        """What the subject is, as the audit log and the feed name it."""
        return {"slot": "report_schedule", "schedule": "report_schedule", "run": "report_run", "delivery": "delivery"}[self.kind]


def look(db: Session, now: datetime) -> list[Finding]:
    """Return what is overdue in this workspace: slots without a run, schedules that never fire again though they should, runs without a
    worker, deliveries that their run left behind or that no worker sends.
    """
    return [*_slots(db, now), *_silent(db), *_runs(db, now), *_left_behind(db, now), *_unsent(db, now)]


def _slots(db: Session, now: datetime) -> list[Finding]:
    query = (
        select(Schedule, Definition.owner_user_id)
        .join(Definition, Definition.id == Schedule.definition_id)
        .where(Schedule.enabled, Definition.enabled, Schedule.next_run_at < now - LATE)
        .order_by(Schedule.next_run_at)
    )
    return [
        Finding("slot", row.id, row.name, at, f"no scheduler has served the slot of {_shown(at)}", owner)
        for row, owner in db.execute(query)
        if (at := row.next_run_at) is not None
    ]


def _silent(db: Session) -> list[Finding]:
    """Schedules whose stored expression or zone cannot be read: no tick can serve them until somebody corrects them."""
    query = (
        select(Schedule, Definition.owner_user_id)
        .join(Definition, Definition.id == Schedule.definition_id)
        .where(Schedule.enabled, Definition.enabled, Schedule.next_run_at.is_(None))
        .order_by(Schedule.id)
    )
    found = []
    for row, owner in db.execute(query):
        try:
            calendar.check(row.cron)
            calendar.zone(row.timezone)
            calendar.workdays(row.calendar)
        except Invalid as problem:
            words = f"it does not fire any more, since it cannot be read ({problem.message}); correct it"
            found.append(Finding("schedule", row.id, row.name, row.updated_at, words, owner))
    return found


def _runs(db: Session, now: datetime) -> list[Finding]:
    query = (
        select(Run, Definition.owner_user_id)
        .outerjoin(Definition, Definition.id == Run.definition_id)
        .outerjoin(Job, Job.id == Run.job_id)
        .where(Run.status == Status.QUEUED, Run.trigger != Trigger.BACKFILL, Job.started_at.is_(None), Run.created_at < now - LATE)
        .order_by(Run.created_at)
    )
    return [
        Finding("run", row.id, row.name, row.created_at, f"no worker has taken it since {_shown(row.created_at)}", owner)
        for row, owner in db.execute(query)
    ]


def _left_behind(db: Session, now: datetime) -> list[Finding]:
    query = (
        select(Delivery)
        .join(Run, Run.id == Delivery.run_id)
        .where(Delivery.status.in_(outbox.WAITING), Run.status.in_(FINAL), Run.finished_at < now - LATE)
        .where(or_(Delivery.status != outbox.Status.HELD, Delivery.next_try_at.is_(None)))  # a digest, and a breaker, have their own clock
        .order_by(Delivery.created_at)
    )
    words = "its report was made, and it was never released"
    return [Finding("delivery", row.id, row.label, row.created_at, words, row.owner_user_id) for row in db.execute(query).scalars()]


def _unsent(db: Session, now: datetime) -> list[Finding]:
    """Deliveries on their way for which no job is left: a database that was restored without its queue, a row that was removed."""
    alive = select(Job.payload["delivery"].astext).where(Job.kind == outbox.TASK, Job.status.not_in(jobs.FINAL))
    query = (
        select(Delivery)
        .where(Delivery.status.in_((outbox.Status.QUEUED, outbox.Status.SENDING)), Delivery.created_at < now - LATE)
        .where(or_(Delivery.next_try_at.is_(None), Delivery.next_try_at < now - LATE))
        .where(cast(Delivery.id, Text).not_in(alive))
        .order_by(Delivery.created_at)
    )
    words = "it waits to be sent, and no job is left that would send it; run the report again"
    return [Finding("delivery", row.id, row.label, row.created_at, words, row.owner_user_id) for row in db.execute(query).scalars()]


def _shown(at: datetime) -> str:
    return f"{at:%Y-%m-%d %H:%M} UTC"


@dataclasses.dataclass(frozen=True, slots=True)
class Reconciled:
    """One slot: what was expected and what was delivered."""

    schedule_id: UUID
    slot: datetime
    run: str
    expected: int
    sent: int
    failed: int
    skipped: int
    waiting: int

    @property
    def balanced(self) -> bool:
        """Whether every expected delivery has ended as it should: sent, or left out with a reason."""
        return self.run in FINAL and self.failed == 0 and self.waiting == 0


def reconcile(db: Session, since: datetime, until: datetime) -> list[Reconciled]:
    """Return every slot of a stretch of time, oldest first, with the state of its run and of its deliveries."""
    counted = {
        (row.schedule_id, row.slot): row
        for row in db.execute(
            select(
                Delivery.schedule_id,
                Delivery.slot,
                func.count().label("expected"),
                *(func.count().filter(Delivery.status == status).label(status) for status in ("sent", "failed", "skipped")),
            )
            .where(Delivery.slot >= since, Delivery.slot < until)
            .group_by(Delivery.schedule_id, Delivery.slot)
        )
    }
    query = select(Run.schedule_id, Run.slot, Run.status).where(Run.slot >= since, Run.slot < until).order_by(Run.slot)
    found = []
    for run in db.execute(query):
        row = counted.get((run.schedule_id, run.slot))
        numbers = (row.expected, row.sent, row.failed, row.skipped) if row is not None else (0, 0, 0, 0)
        expected, sent, failed, skipped = numbers
        waiting = expected - sent - failed - skipped
        found.append(Reconciled(run.schedule_id, run.slot, run.status, expected, sent, failed, skipped, waiting))
    return found
