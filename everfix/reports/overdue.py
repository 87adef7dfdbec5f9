"""Overdue: what the watchdog finds is told to whoever answers for it, once, in one notice for each person."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import Index, delete, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session

from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, lock
from everfix.delivery import notices
from everfix.delivery.notices import Notice
from everfix.reports import watchdog
from everfix.reports.watchdog import Finding

TASK = "reports.overdue"
NAMED = 30  # findings that a notice lists
REMEMBERED = timedelta(days=90)  # after this a finding that still stands is told again
# What each kind of finding is about is there when this finds a row; without any there is nothing to look for.
ANYTHING = "SELECT 1 FROM report_schedules UNION ALL SELECT 1 FROM report_runs UNION ALL SELECT 1 FROM deliveries LIMIT 1"


class Told(WorkspaceRow, Base):
    """A finding that its owner was told of: the thing it is about, and since when it is overdue."""

    __tablename__ = "overdue_told"
    __table_args__ = (Index("uq_overdue_told", "workspace_id", "kind", "subject_id", "since", unique=True),)

    kind: Mapped[str]
    subject_id: Mapped[UUID]
    since: Mapped[datetime]
    words: Mapped[str]
    told_at: Mapped[datetime]


def task(job: jobs.Running) -> Json:
    """Job `reports.overdue`: look, and tell the owners of what was not told before."""
    with job.database.transaction(job.workspace) as db:
        return {"told": tell(db, job.services, clock.now())}


def tell(db: Session, services: Any, now: datetime) -> int:  # noqa: ANN401 - an Installation
    """Tell each owner of what is overdue and was not told before; returns how many findings that was."""
    lock(db, TASK)
    db.execute(delete(Told).where(Told.told_at < now - REMEMBERED))
    found = [item for item in watchdog.look(db, now) if _is_news(db, item, now)]
    found.sort(key=lambda item: (str(item.owner), item.since))
    for _, mine in groupby(found, key=lambda item: item.owner):
        one = list(mine)
        cause = "|".join(("overdue", one[0].kind, str(one[0].subject), one[0].since.isoformat()))
        notices.say(db, one[0].owner, _notice(one), cause, services.url)
    return len(found)


def _is_news(db: Session, item: Finding, now: datetime) -> bool:
    row = {"id": ids.new(), "kind": item.kind, "subject_id": item.subject, "since": item.since, "words": item.words, "told_at": now}
    key = ["workspace_id", "kind", "subject_id", "since"]
    return db.execute(insert(Told).values(row).on_conflict_do_nothing(index_elements=key).returning(text("1"))).one_or_none() is not None


def _notice(found: Sequence[Finding]) -> Notice:
    first = found[0]
    lines = [f"{item.name}: {item.words}." for item in found[:NAMED]]
    if len(found) > NAMED:
        lines.append(f"and {len(found) - NAMED} more.")
    subject = f"Overdue: {first.name}" if len(found) == 1 else f"Overdue: {first.name} and {len(found) - 1} more"
    opening = "Something that should have happened has not. What comes after it is not affected; the page shows what still waits."
    return Notice(subject, opening, lines, "/reports/schedules", first.entity, first.subject)
