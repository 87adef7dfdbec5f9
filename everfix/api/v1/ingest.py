"""`/v1/ingest`: failures come in, one, many, or by the rules of one source."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy.orm import Session

from everfix import audit
from everfix.api import fields
from everfix.api.v1.jobs import JobOut, shown
from everfix.core import ids, jobs
from everfix.core.db import Json
from everfix.deps import Db, needs
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Principal, Scope
from everfix.ingest import events, sources

router = APIRouter(prefix="/ingest", tags=["ingest"])
Ingester = Annotated[Principal, needs(Scope.INGEST_WRITE)]
REASONS, REASON = 20, 200  # kept of one batch: reasons, and characters of each
GOT = re.compile(r" \(got .*?\)(?=; |$)")
JobId = Annotated[UUID, fields.path_id(ids.Prefix.INGEST_JOB, "ingest job", "job_id")]


class Rejected(BaseModel):
    """A record that was refused."""

    index: int
    reason: str


class Single(BaseModel):
    """What became of one event."""

    accepted: int
    rejected: list[Rejected]
    issue_id: ids.field(ids.Prefix.ISSUE)  # type: ignore[valid-type]
    job_id: ids.field(ids.Prefix.INGEST_JOB)  # type: ignore[valid-type]


class Many(BaseModel):
    """What became of a batch; `job_id` is null when nothing was accepted."""

    accepted: int
    rejected: list[Rejected]
    created: int
    updated: int
    stale: int
    issue_ids: list[ids.field(ids.Prefix.ISSUE)]  # type: ignore[valid-type]
    job_id: ids.field(ids.Prefix.INGEST_JOB) | None  # type: ignore[valid-type]


class Records(BaseModel):
    """A batch: each record is judged on its own."""

    records: list[Any] = Field(min_length=1, max_length=events.BATCH, description="1 to 500 failures, each as the schema `Event`.")


def take(db: Session, who: Principal, records: Sequence[object]) -> tuple[events.Accepted, UUID | None]:
    """Store records and queue the loop over them, in one transaction."""
    accepted = events.accept(db, records)
    told: Json = {"accepted": len(accepted.issues), "rejected": len(accepted.rejected)}
    if accepted.rejected:
        told["rejects"] = _refused(records, accepted.rejected)
    if not accepted.issues:
        audit.record(db, who, audit.Action.INGEST_ACCEPTED, details=told)
        return accepted, None
    unique = list(dict.fromkeys(str(issue) for issue in accepted.issues))
    job_id = jobs.enqueue(db, "failures.learn", {"issues": unique}, by=who.name, priority=1)
    audit.record(db, who, audit.Action.INGEST_ACCEPTED, "job", job_id, told)
    return accepted, job_id


def _refused(records: Sequence[object], rejects: Sequence[events.Reject]) -> list[Json]:
    """Return what was refused by source and reason, the most frequent first; what came in itself is left out of the reasons."""
    counted = Counter((_source(records[item.index]), GOT.sub("", item.reason)[:REASON]) for item in rejects)
    return [{"source": source, "reason": reason, "records": count} for (source, reason), count in counted.most_common(REASONS)]


def _source(record: object) -> str:
    named = record.get("source") if isinstance(record, dict) else None
    return sources.known(named) if isinstance(named, str) else sources.DEFAULT


def _many(accepted: events.Accepted, job_id: UUID | None) -> Many:
    return Many(
        accepted=len(accepted.issues),
        rejected=[Rejected(index=item.index, reason=item.reason) for item in accepted.rejected],
        created=accepted.created,
        updated=accepted.updated,
        stale=accepted.stale,
        issue_ids=list(accepted.issues),
        job_id=job_id,
    )


def _one(db: Session, who: Principal, record: dict[str, Any]) -> Single:
    accepted, job_id = take(db, who, [record])
    if job_id is None:
        reason = accepted.rejected[0].reason
        raise Invalid(reason, details=dict(part.partition(": ")[::2] for part in reason.split("; ")))
    return Single(accepted=1, rejected=[], issue_id=accepted.issues[0], job_id=job_id)


@router.post(
    "/events",
    status_code=202,
    openapi_extra={"requestBody": {"content": {"application/json": {"schema": events.Event.model_json_schema()}}}},
)
def event(db: Db, who: Ingester, record: dict[str, Any]) -> Single:
    """Send one failure. The same `external_id` and `source` again updates the issue, never makes a second one."""
    return _one(db, who, record)


@router.post("/batch", status_code=202)
def batch(db: Db, who: Ingester, body: Records) -> Many:
    """Send 1 to 500 failures. Bad records are refused by index and reason; the rest are kept."""
    return _many(*take(db, who, body.records))


@router.post("/{source}/issues", status_code=202)
def by_source(db: Db, who: Ingester, source: str, record: dict[str, Any]) -> Single:
    """Send one failure of a named source."""
    if sources.known(source) != source:
        raise NotFound(f"there is no source {source[:60]!r}")
    return _one(db, who, {**record, "source": source})


@router.get("/status/{job_id}")
def status(db: Db, who: Ingester, job_id: JobId) -> JobOut:
    """How far the loop is with what was sent."""
    found = jobs.get(db, job_id)
    if found.kind != "failures.learn":
        raise NotFound(f"no ingest job {ids.show(ids.Prefix.INGEST_JOB, job_id)}")
    return shown(found, ids.Prefix.INGEST_JOB)
