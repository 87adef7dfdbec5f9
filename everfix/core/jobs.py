"""Jobs: work that outlives a request, queued in the caller's own transaction and seen through the API.

PgQueuer carries the work (who takes it, heartbeats, take-over of a killed worker's job, the wait before a retry); our row in
`jobs` is what people see: progress, cancellation, the cause of a failure, the result. A job that failed for the last time is a
dead letter: status `failed`, its error kept. Work must be safe to do again: a killed worker's job starts over.
"""

from __future__ import annotations

import dataclasses
import json
import random
import traceback
from collections.abc import Callable
from datetime import datetime, timedelta
from enum import StrEnum
from typing import Any
from uuid import UUID

from pgqueuer.adapters.persistence.queries import SyncQueries
from pgqueuer.ports.driver import SyncDriver
from psycopg import RawCursor
from psycopg.rows import dict_row
from sqlalchemy import Index, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids
from everfix.core.db import Base, Database, Json, WorkspaceRow, created, current
from everfix.errors import Conflict, NotFound

FIRST_WAIT_SECONDS, LONGEST_WAIT_SECONDS = 1.0, 300.0
ERROR_CHARACTERS = 4_000


class Status(StrEnum):
    """What has become of a job; the last three are final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    CANCELLED = "cancelled"


FINAL = (Status.SUCCEEDED, Status.FAILED, Status.CANCELLED)


class Job(WorkspaceRow, Base):
    """One piece of work. `progress` is 0–1; `attempts` counts starts; `error` holds the last failure, in words."""

    __tablename__ = "jobs"
    __table_args__ = (Index("ix_jobs_kind", "workspace_id", "kind", "id"), Index("ix_jobs_status", "workspace_id", "status", "id"))

    kind: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=Status.QUEUED)
    progress: Mapped[float] = mapped_column(server_default="0")
    message: Mapped[str] = mapped_column(server_default="")
    payload: Mapped[Json]
    result: Mapped[Json | None]
    error: Mapped[str | None]
    attempts: Mapped[int] = mapped_column(server_default="0")
    cancel_requested: Mapped[bool] = mapped_column(server_default="false")
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = created()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Cancelled(Exception):
    """The job was asked to stop."""


class Permanent(Exception):
    """Trying again would fail in the same way; raised with the reason in words."""


@dataclasses.dataclass(frozen=True, slots=True)
class Task:
    """What a kind of job does. `concurrency` bounds how many run at once over all workers (0: no bound)."""

    run: Callable[[Running], Json | None]
    concurrency: int = 0
    attempts: int | None = None
    failed: Callable[[Running, str], None] | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Running:
    """A job in hand: where its work gets its database, says how far it is, and learns that it should stop."""

    database: Database
    workspace: UUID
    job_id: UUID
    payload: Json
    services: Any  # what the process offers to tasks: settings, storage, keys (see everfix.installation)
    told: Callable[[float, str], None] | None = None  # who else wants to hear how far it is, e.g. a progress bar

    def report(self, progress: float, message: str = "") -> None:
        """Tell how far the work is (0–1), in a transaction of its own; raises Cancelled when somebody asked for it."""
        with self.database.transaction(self.workspace) as db:
            row = db.execute(
                update(Job)
                .where(Job.id == self.job_id)
                .values(progress=min(max(progress, 0.0), 1.0), message=message)
                .returning(Job.cancel_requested)
            ).one_or_none()
        if row is None or row.cancel_requested:
            raise Cancelled
        if self.told is not None:
            self.told(progress, message)


class _InTransaction(SyncDriver):
    """PgQueuer's own synchronous driver wants autocommit; a job must be queued exactly when its caller's work is kept."""

    def __init__(self, db: Session) -> None:
        self._connection: Any = db.connection().connection.driver_connection

    def fetch(self, query: str, *args: object) -> list[dict[str, object]]:
        cursor = RawCursor(self._connection, row_factory=dict_row)
        cursor.execute(query.encode(), args or None)
        return cursor.fetchall()


def enqueue(db: Session, kind: str, payload: Json, *, by: str = "", delay: timedelta | None = None, priority: int = 0) -> UUID:
    """Queue work in the caller's transaction and return the job's id; nothing is queued when the transaction rolls back."""
    job = Job(id=ids.new(), kind=kind, payload=payload, created_by=by)
    db.add(job)
    db.flush()
    _ticket(db, job, priority, delay)
    return job.id


def _ticket(db: Session, job: Job, priority: int = 0, delay: timedelta | None = None) -> None:
    ticket = json.dumps({"workspace": str(current(db)), "job": str(job.id)}).encode()
    SyncQueries(_InTransaction(db)).enqueue(job.kind, ticket, priority, delay)


def find(db: Session, job_id: UUID) -> Job | None:
    """Return one job, or None when it is gone."""
    return db.execute(select(Job).where(Job.id == job_id)).scalar_one_or_none()


def get(db: Session, job_id: UUID) -> Job:
    """Return one job; raises NotFound."""
    job = find(db, job_id)
    if job is None:
        raise NotFound(f"no job {ids.show(ids.Prefix.JOB, job_id)}")
    return job


def cancel(db: Session, job_id: UUID) -> Job:
    """Ask a job to stop: a queued one never starts, a running one stops at its next report; raises Conflict once it has ended."""
    db.execute(select(Job.id).where(Job.id == job_id).with_for_update())  # a worker may be taking it at this moment
    job = get(db, job_id)
    if job.status in FINAL:
        raise Conflict(f"the job has ended: {job.status}")
    job.cancel_requested = True
    if job.status == Status.QUEUED:
        job.status, job.finished_at = Status.CANCELLED, clock.now()
    return job


def again(db: Session, job: Job) -> None:
    """Queue a job that has ended once more, from the start, in the caller's transaction."""
    job.status, job.attempts, job.error, job.message = Status.QUEUED, 0, None, ""
    job.progress, job.cancel_requested, job.started_at, job.finished_at = 0.0, False, None, None
    db.flush()
    _ticket(db, job)


@dataclasses.dataclass(frozen=True, slots=True)
class Retry:
    """What `work` answers when the job should be tried again."""

    wait: timedelta
    reason: str


def work(task: Task, running: Running, *, attempts: int) -> Retry | None:
    """Do one job and write down what became of it; returns Retry while tries are left (`attempts` in all).

    1. Take it (unless it was cancelled, or another worker has already finished it).
    2. Run the task; it opens its own transactions.
    3. Write the outcome: succeeded with the result, cancelled, queued again with the cause, or failed with the cause.
    """
    tried = _take(running)
    if tried is None:
        return None
    limit = task.attempts or attempts
    try:
        result = task.run(running)
    except Cancelled:
        _finish(running, Status.CANCELLED, message="cancelled")
    except Permanent as problem:
        _fail(task, running, str(problem))
    except Exception as problem:  # noqa: BLE001 - the worker's one handler: the cause is kept and shown
        cause = describe(problem)
        if tried < limit:
            return _again(running, cause, tried, limit)
        _fail(task, running, cause)
    else:
        _finish(running, Status.SUCCEEDED, result=result or {}, progress=1.0, error=None, message="")
    return None


def describe(problem: BaseException) -> str:
    """Return the failure in words, with the innermost place it came from."""
    frames = traceback.extract_tb(problem.__traceback__)
    place = f" (in {frames[-1].name}, line {frames[-1].lineno})" if frames else ""
    return f"{type(problem).__name__}: {problem}{place}"[:ERROR_CHARACTERS]


def _take(running: Running) -> int | None:
    with running.database.transaction(running.workspace) as db:
        return db.execute(
            update(Job)
            .where(Job.id == running.job_id, Job.status.not_in(FINAL))
            .values(status=Status.RUNNING, attempts=Job.attempts + 1, started_at=clock.now(), progress=0.0)
            .returning(Job.attempts)
        ).scalar_one_or_none()


def _again(running: Running, cause: str, tried: int, limit: int) -> Retry | None:
    values = {"status": Status.QUEUED, "error": cause, "message": f"try {tried} of {limit} failed; will be tried again"}
    with running.database.transaction(running.workspace) as db:
        wanted = update(Job).where(Job.id == running.job_id, Job.cancel_requested.is_(False)).values(**values).returning(Job.id)
        if db.execute(wanted).one_or_none() is not None:
            wait = min(FIRST_WAIT_SECONDS * 2 ** (tried - 1), LONGEST_WAIT_SECONDS) * random.uniform(0.8, 1.2)  # noqa: S311 - spreads retries
            return Retry(timedelta(seconds=wait), cause)
    _finish(running, Status.CANCELLED, message="cancelled")
    return None


def _fail(task: Task, running: Running, cause: str) -> None:
    if task.failed is not None:
        task.failed(running, cause)
    _finish(running, Status.FAILED, error=cause)


def _finish(running: Running, status: Status, **values: Any) -> None:  # noqa: ANN401 - columns of Job
    with running.database.transaction(running.workspace) as db:
        db.execute(update(Job).where(Job.id == running.job_id).values(status=status, finished_at=clock.now(), **values))


def waiting(db: Session, kind: str) -> bool:
    """Tell whether a job of a kind is queued or running in this workspace."""
    alive = (Status.QUEUED, Status.RUNNING)
    return db.execute(select(Job.id).where(Job.kind == kind, Job.status.in_(alive)).limit(1)).one_or_none() is not None


def backlog(db: Session) -> tuple[int, datetime | None]:
    """Return how many jobs of this workspace wait, and since when the oldest does."""
    row = db.execute(text("SELECT count(*), min(created_at) FROM jobs WHERE status = 'queued'")).one()
    return int(row[0]), row[1]
