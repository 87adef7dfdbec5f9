"""Arrivals: failures that a part of Everfix itself has seen come in by the same door as all others."""

from __future__ import annotations

from uuid import UUID

from everfix import audit
from everfix.core import jobs
from everfix.core.db import Json
from everfix.identity.principals import system
from everfix.ingest import events


def accept(job: jobs.Running) -> Json:
    """Job `failures.accept`: take in `records` and queue the loop over them, in one transaction; safe to do again."""
    with job.database.transaction(job.workspace) as db:
        accepted = events.accept(db, job.payload["records"])
        if accepted.rejected:
            raise jobs.Permanent(accepted.rejected[0].reason)
        issues: list[UUID] = list(dict.fromkeys(accepted.issues))
        learn = jobs.enqueue(db, "failures.learn", {"issues": [str(issue) for issue in issues]}, by="everfix", priority=1)
        audit.record(db, system(job.workspace), audit.Action.INGEST_ACCEPTED, "job", learn, {"accepted": len(issues)})
    return {"issues": [str(issue) for issue in issues]}
