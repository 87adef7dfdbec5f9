"""`/v1/jobs`: work in the background, as anyone who may read reports sees it."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import select

from everfix import audit
from everfix.api import fields, pages
from everfix.core import ids, jobs
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.identity.principals import Principal, Scope
from everfix.reports import execution

router = APIRouter(prefix="/jobs", tags=["jobs"])
JobId = Annotated[UUID, fields.path_id(ids.Prefix.JOB, "job", "job_id")]
SORTS = pages.Sorts({"created_at": jobs.Job.created_at}, "-created_at")


class JobOut(BaseModel):
    """One job. `status` is queued, running, succeeded, failed or cancelled; `progress` is 0–1."""

    id: str
    job_id: str
    kind: str
    status: str
    progress: float
    message: str
    error: str | None
    attempts: int
    result: Json | None
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


def shown(job: jobs.Job, prefix: ids.Prefix = ids.Prefix.JOB) -> JobOut:
    """Return a job as the API shows it."""
    name = ids.show(prefix, job.id)
    fields_: dict[str, Any] = {key: getattr(job, key) for key in JobOut.model_fields if key not in ("id", "job_id")}
    return JobOut(id=name, job_id=name, **fields_)


@router.get("")
def listed(db: Db, who: Annotated[Principal, needs(Scope.REPORTS_READ)], page: Page) -> pages.PageOf[JobOut]:
    """Every job of the workspace, newest first."""
    return pages.page(db, page, select(jobs.Job), jobs.Job.id, SORTS, lambda rows: [shown(row) for row in rows])


@router.get("/{job_id}")
def one(db: Db, who: Annotated[Principal, needs(Scope.REPORTS_READ)], job_id: JobId) -> JobOut:
    """One job."""
    return shown(jobs.get(db, job_id))


@router.post("/{job_id}/cancel")
def cancel(db: Db, who: Annotated[Principal, needs(Scope.REPORTS_WRITE)], job_id: JobId) -> JobOut:
    """Ask a job to stop: a waiting one never starts, a running one stops at its next step."""
    job = jobs.cancel(db, job_id)
    if job.status == jobs.Status.CANCELLED:
        execution.cancelled(db, job_id)
    audit.record(db, who, audit.Action.JOB_CANCELLED, "job", job.id)
    return shown(job)
