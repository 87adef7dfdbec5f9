"""Dead letters: work that failed for the last time; it is tried again from the start, or put away."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from uuid import UUID

from sqlalchemy import delete, func, select
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import jobs
from everfix.core.jobs import Job, Status
from everfix.delivery import outbox
from everfix.errors import Invalid
from everfix.identity.principals import Principal
from everfix.metrics.operation_sources import OK_DEPTH, WARNING_DEPTH
from everfix.reports import runs

MOST = 1_000


def counts(db: Session) -> dict[str, int]:
    """Return how many there are of each kind."""
    query = select(Job.kind, func.count()).where(Job.status == Status.FAILED).group_by(Job.kind).order_by(Job.kind)
    return {kind: int(n) for kind, n in db.execute(query)}


def level(total: int) -> str:
    """Return the band of a number of dead letters."""
    return "OK" if total <= OK_DEPTH else "WARNING" if total <= WARNING_DEPTH else "CRITICAL"


def listed(db: Session, *, topic: str | None = None, limit: int = 50) -> Sequence[Job]:
    """Return the dead letters, newest first."""
    query = select(Job).where(Job.status == Status.FAILED).order_by(Job.finished_at.desc(), Job.id.desc()).limit(limit)
    return db.execute(query if topic is None else query.where(Job.kind == topic)).scalars().all()


def _chosen(db: Session, job_ids: Sequence[UUID] | None, topic: str | None) -> list[Job]:
    if not job_ids and topic is None:
        raise Invalid("say which: eventIds or a topic", details={"eventIds": "ids of dead letters", "topic": "a kind of them"})
    query = select(Job).where(Job.status == Status.FAILED).order_by(Job.id).limit(MOST).with_for_update(skip_locked=True)
    if job_ids:
        query = query.where(Job.id.in_(job_ids))
    if topic is not None:
        query = query.where(Job.kind == topic)
    return list(db.execute(query).scalars())


def retry(db: Session, by: Principal, *, job_ids: Sequence[UUID] | None = None, topic: str | None = None) -> int:
    """Try dead letters again, at most MOST at a time, and return how many that were; raises Invalid when none are named."""
    found = _chosen(db, job_ids, topic)
    for job in found:
        _REOPEN.get(job.kind, _again)(db, job, by)
    if found:
        audit.record(db, by, audit.Action.JOB_RETRIED, "job", None, {"jobs": [str(job.id) for job in found]})
    return len(found)


def purge(db: Session, by: Principal, *, job_ids: Sequence[UUID] | None = None, topic: str | None = None) -> int:
    """Put dead letters away for good, at most MOST at a time, and return how many that were; raises Invalid when none are named."""
    found = _chosen(db, job_ids, topic)
    gone = [{"id": str(job.id), "kind": job.kind, "error": (job.error or "")[:200]} for job in found]
    db.execute(delete(Job).where(Job.id.in_([job.id for job in found])))
    if found:
        audit.record(db, by, audit.Action.JOB_PURGED, "job", None, {"jobs": gone})
    return len(found)


def _again(db: Session, job: Job, _: Principal) -> None:
    jobs.again(db, job)


def _run(db: Session, job: Job, _: Principal) -> None:
    """A run that failed is made from the start: what it had not kept is computed now."""
    run = runs.find(db, UUID(job.payload["run"]))
    if run is not None and run.status == runs.Status.FAILED:
        run.status, run.reason, run.finished_at, run.started_at = runs.Status.QUEUED, "", None, None
    jobs.again(db, job)


def _delivery(db: Session, job: Job, by: Principal) -> None:
    """A delivery is sent again under its own key, by a job of its own."""
    row = outbox.find(db, UUID(job.payload["delivery"]), lock=True)
    if row is not None and row.status == outbox.Status.FAILED and row.message_id is not None:
        outbox.resend(db, row.id, by)
    db.delete(job)


_REOPEN: Mapping[str, Callable[[Session, Job, Principal], None]] = {"reports.run": _run, outbox.TASK: _delivery}
