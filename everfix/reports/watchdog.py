"""The watchdog: what was expected against what was served, so that silence is never taken for success.

A slot that nothing served shows here as long as no scheduler ticks; the first late tick then writes it into the ledger (see ticks).
"""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.core.jobs import Job
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery
from everfix.reports.definitions import Definition
from everfix.reports.runs import FINAL, Run, Status, Trigger
from everfix.reports.schedules import Schedule

LATE = timedelta(minutes=5)  # a slot or a run that nobody has taken for longer is reported


@dataclasses.dataclass(frozen=True, slots=True)
class Finding:
    """Something that should have happened and has not, in words."""

    kind: str  # slot | run | delivery
    subject: UUID
    name: str
    since: datetime
    words: str


def look(db: Session, now: datetime) -> list[Finding]:
    """Return what is overdue in this workspace: slots without a run, runs without a worker, deliveries that their run left behind."""
    return [*_slots(db, now), *_runs(db, now), *_deliveries(db, now)]


def _slots(db: Session, now: datetime) -> list[Finding]:
    query = (
        select(Schedule)
        .join(Definition, Definition.id == Schedule.definition_id)
        .where(Schedule.enabled, Definition.enabled, Schedule.next_run_at < now - LATE)
        .order_by(Schedule.next_run_at)
    )
    return [
        Finding("slot", row.id, row.name, at, f"no scheduler has served the slot of {at:%Y-%m-%d %H:%M} UTC")
        for row in db.execute(query).scalars()
        if (at := row.next_run_at) is not None
    ]


def _runs(db: Session, now: datetime) -> list[Finding]:
    query = (
        select(Run)
        .outerjoin(Job, Job.id == Run.job_id)
        .where(Run.status == Status.QUEUED, Run.trigger != Trigger.BACKFILL, Job.started_at.is_(None), Run.created_at < now - LATE)
        .order_by(Run.created_at)
    )
    return [
        Finding("run", row.id, row.name, row.created_at, f"no worker has taken it since {row.created_at:%Y-%m-%d %H:%M} UTC")
        for row in db.execute(query).scalars()
    ]


def _deliveries(db: Session, now: datetime) -> list[Finding]:
    query = (
        select(Delivery)
        .join(Run, Run.id == Delivery.run_id)
        .where(Delivery.status.in_(outbox.WAITING), Run.status.in_(FINAL), Run.finished_at < now - LATE)
        .order_by(Delivery.created_at)
    )
    return [
        Finding("delivery", row.id, row.label, row.created_at, "its report was made, and it was never released")
        for row in db.execute(query).scalars()
    ]


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
