"""Backfill: a report for many past periods in one job, each a run of its own with its snapshot and files; nobody is written to."""

from __future__ import annotations

import dataclasses
from datetime import date, timedelta
from uuid import UUID
from zoneinfo import ZoneInfo

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, jobs
from everfix.core.db import Json
from everfix.errors import Invalid
from everfix.identity import workspaces
from everfix.identity.principals import Principal
from everfix.reports import definitions, execution, orders, windows
from everfix.reports.runs import Run, Trigger

MOST = 520


def request(db: Session, by: Principal, definition_id: UUID, *, periods: int, until: date | None = None, window: str | None = None) -> UUID:
    """Queue a report for `periods` stretches of its window, the newest ending with `until`, oldest made first; returns the job's id.

    Raises NotFound; Invalid for a day that is not over, and for a report of fixed days.
    """
    definition = definitions.get(db, definition_id)
    here = workspaces.here(db)
    today = clock.now().astimezone(ZoneInfo(here.timezone)).date()
    last = until or today - timedelta(days=1)
    if last >= today:
        raise Invalid(f"until: {last} is not over yet", details={"until": f"a day before {today}"})
    length = windows.read(window or definition.window)
    if ".." in length:
        raise Invalid("a report of fixed days has no past periods", details={"window": "a number of days like 7d"})
    days = windows.days(length)
    ends = [last - timedelta(days=days * place) for place in range(periods)]
    spans = [windows.between(end - timedelta(days=days - 1), end) for end in reversed(ends)]
    job_id = jobs.enqueue(db, "reports.backfill", {"definition": str(definition.id), "windows": spans, "by": by.name}, by=by.name)
    audit.record(db, by, audit.Action.REPORT_BACKFILLED, "report", definition.id, {"periods": periods, "until": last.isoformat()})
    return job_id


@dataclasses.dataclass(frozen=True, slots=True)
class _Share(jobs.Running):
    """One run's share of the job: what it reports becomes progress of the whole."""

    place: int = 0
    total: int = 1
    of: jobs.Running | None = None

    def report(self, progress: float, message: str = "") -> None:
        assert self.of is not None  # noqa: S101 - made below
        self.of.report((self.place + progress) / self.total, f"{self.place + 1} of {self.total}: {message}")


def execute(job: jobs.Running) -> Json:
    """Job `reports.backfill`: make each period's run that is not made yet."""
    spans = job.payload["windows"]
    made = []
    for place, span in enumerate(spans):
        job.report(place / len(spans), f"{place + 1} of {len(spans)}")
        run_id = _run(job, span)
        share = _Share(job.database, job.workspace, job.job_id, {"run": str(run_id)}, job.services, place=place, total=len(spans), of=job)
        execution.execute(share)
        made.append(str(run_id))
    return {"runs": made}


def _run(job: jobs.Running, span: str) -> UUID:
    """Return this job's run for a window: the one that an earlier try began, else a new one."""
    with job.database.transaction(job.workspace) as db:
        query = select(Run.id).where(Run.window == span, Run.inputs["backfill"].astext == str(job.job_id))
        there = db.execute(query).scalar_one_or_none()
        if there is not None:
            return there
        definition = definitions.get(db, UUID(job.payload["definition"]))
        timezone = workspaces.here(db).timezone
        as_of = windows.period(span, clock.now(), timezone).end
        run = orders.ordered(definition, None, job.payload["by"], as_of=as_of, window=span, trigger=Trigger.BACKFILL, destinations=[])
        run.inputs = {**run.inputs, "backfill": str(job.job_id), "run_as": "owner"}
        db.add(run)
        db.flush()
        return run.id
