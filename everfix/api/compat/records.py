"""`/api/v1/audit-logs`, `/api/v1/decision-traces` and `/api/v1/interaction-summary`: what was done, by whom and by the loop."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.api import fields
from everfix.api.compat import shapes
from everfix.api.compat.doors import Auditor, Viewer
from everfix.audit import Entry
from everfix.core import clock, ids
from everfix.core.db import Json
from everfix.deps import Db
from everfix.failures import traces
from everfix.identity import workspaces
from everfix.metrics import periods, query

router = APIRouter(tags=["records"])
Offset = Annotated[int, Query(ge=0, le=1_000_000)]
PatternId = Annotated[UUID | None, fields.query_id(ids.Prefix.PATTERN, "customerId")]
IssueId = Annotated[UUID | None, fields.query_id(ids.Prefix.ISSUE, "requestId")]


@router.get("/audit-logs")
def audit_logs(
    db: Db,
    who: Auditor,
    entity_type: Annotated[str | None, Query(alias="entityType", max_length=60)] = None,
    page: Annotated[int, Query(ge=1, le=1_000_000)] = 1,
    limit: Annotated[int, Query(ge=1, le=100)] = 50,
) -> Json:
    """Who did what, newest first. Nothing here can be changed: each entry carries the hash of the one before it."""
    wanted = select(Entry)
    if entity_type is not None:
        wanted = wanted.where(Entry.target_kind == entity_type.replace("\x00", ""))
    total = db.execute(select(func.count()).select_from(wanted.subquery())).scalar_one()
    found = db.execute(wanted.order_by(Entry.number.desc()).limit(limit).offset((page - 1) * limit)).scalars().all()
    return {
        "data": [_entry(entry) for entry in found],
        "pagination": {"page": page, "limit": limit, "total": total, "hasMore": page * limit < total},
    }


def _entry(entry: Entry) -> Json:
    return {
        "id": str(entry.id),
        "sequence": entry.number,
        "timestamp": shapes.zulu(entry.at),
        "action": entry.action,
        "entityType": entry.target_kind,
        "entityId": str(entry.target_id) if entry.target_id else None,
        "actorType": entry.actor_kind,
        "actorId": str(entry.actor_id) if entry.actor_id else None,
        "actorName": entry.actor_name,
        "details": entry.details,
        "ip": entry.ip,
        "previousHash": entry.previous_hash,
        "hash": entry.hash,
    }


@router.get("/decision-traces")
def decision_traces(
    db: Db,
    who: Viewer,
    pattern_id: PatternId = None,
    issue_id: IssueId = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Offset = 0,
) -> Json:
    """The way of each issue through the loop, newest first: every step, its result and why. `customerId` is a pattern, `requestId` an issue."""
    found, total = traces.listed(db, pattern=pattern_id, issue=issue_id, limit=limit, offset=offset)
    return {
        "data": [_trace(trace) for trace in found],
        "pagination": {"total": total, "limit": limit, "offset": offset, "hasMore": offset + len(found) < total},
    }


def _trace(trace: traces.Trace) -> Json:
    return {
        "id": str(trace.issue),
        "requestId": str(trace.issue),
        "customerId": str(trace.pattern) if trace.pattern else None,
        "title": trace.title,
        "createdAt": shapes.zulu(trace.received_at),
        "totalLatencyMs": None if trace.seconds is None else round(1000 * trace.seconds, 1),
        "degradedScoring": trace.degraded,
        "selected": trace.linked,
        "steps": [
            {"step": step.key, "name": step.name, "passed": step.passed, "result": step.result, "reason": step.reason}
            for step in trace.steps
        ],
    }


@router.get("/interaction-summary")
def interaction_summary(
    db: Db,
    who: Viewer,
    group_by: Annotated[Literal["action", "treatment", "channel", "customer"], Query(alias="groupBy")] = "action",
    days: Annotated[int, Query(ge=1, le=365)] = 30,
    limit: Annotated[int, Query(ge=1, le=500)] = 100,
    offset: Offset = 0,
) -> Json:
    """What was due, prevented and came back, and what was done about it, by pattern (action), kind of fix, source or service (customer)."""
    rows = _interactions(db, group_by, days)
    page: Sequence[Json] = rows[offset : offset + limit]
    return {"groupBy": group_by, "days": days, "summary": page, "total": len(rows), "limit": limit, "offset": offset}


def _interactions(db: Session, group_by: str, days: int) -> list[Json]:
    period = periods.last(days, clock.now(), workspaces.here(db).timezone)
    return [
        shapes.camel({key: value for key, value in row.items() if key != "id"})
        for row in query.records(db, "interaction_summary", period, {"groupBy": group_by})
    ]
