"""Kept: how long report runs, exports and their files stay, and the sweep that removes what is older.

A workspace keeps them 365 days unless it says otherwise, and for ever under a legal hold. First the stored files go, then the
rows: a sweep that breaks off in between is simply done again.
"""

from __future__ import annotations

import dataclasses
from datetime import timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, jobs
from everfix.core.db import Json
from everfix.core.storage import Storage
from everfix.identity import workspaces
from everfix.identity.principals import Principal, system

TASK = "files.sweep"
# What is swept: the table of the things, the folder of their files in the storage. Files are rows that go with their thing.
KEPT = {"report_runs": "reports", "exports": "exports"}
AT_ONCE = 200  # things removed in one transaction


@dataclasses.dataclass(frozen=True, slots=True)
class Rule:
    """How long a workspace keeps files; under a hold nothing is removed."""

    days: int
    hold: bool


def rule(db: Session) -> Rule:
    """Return this workspace's rule."""
    here = workspaces.here(db)
    return Rule(here.files_days, here.files_hold)


def change(db: Session, by: Principal, *, days: int | None = None, hold: bool | None = None) -> Rule:
    """Change the rule; what is already too old goes with the next sweep."""
    here, before = workspaces.here(db), rule(db)
    here.files_days = before.days if days is None else days
    here.files_hold = before.hold if hold is None else hold
    db.flush()
    after = rule(db)
    told = {"files_days": [before.days, after.days], "files_hold": [before.hold, after.hold]}
    audit.record(db, by, audit.Action.RETENTION_UPDATED, "workspace", here.id, told)
    return after


def sweep(job: jobs.Running) -> Json:
    """Job `files.sweep`: remove what is older than the workspace keeps; ended runs and exports only, a few hundred at a time."""
    with job.database.transaction(job.workspace) as db:
        found = rule(db)
    removed: dict[str, int] = {}
    for table, folder in {} if found.hold else KEPT.items():
        while old := _old(job, table, found.days):
            job.report(0.5, f"removing {len(old)} of {table}")
            stored = sum(_emptied(job, f"{folder}/{one}") for one in old)
            _forget(job, table, old, found.days, stored)
            removed[table] = removed.get(table, 0) + len(old)
    return {"removed": removed}


def _old(job: jobs.Running, table: str, days: int) -> list[UUID]:
    with job.database.transaction(job.workspace) as db:
        rows = db.execute(
            text(
                f"SELECT t.id FROM {table} t LEFT JOIN jobs j ON j.id = t.job_id WHERE t.created_at < :before"  # noqa: S608 - a name of KEPT
                " AND (j.id IS NULL OR j.status IN ('succeeded', 'failed', 'cancelled')) ORDER BY t.id LIMIT :most"
            ),
            {"before": clock.now() - timedelta(days=days), "most": AT_ONCE},
        )
        return [row.id for row in rows]


def _emptied(job: jobs.Running, folder: str) -> int:
    storage: Storage = job.services.storage
    return storage.delete(list(storage.keys(job.workspace, folder)))


def _forget(job: jobs.Running, table: str, old: list[UUID], days: int, stored: int) -> None:
    with job.database.transaction(job.workspace) as db:
        ended = db.execute(text(f"DELETE FROM {table} WHERE id = ANY(:old) RETURNING job_id"), {"old": old})  # noqa: S608 - a name of KEPT
        db.execute(text("DELETE FROM jobs WHERE id = ANY(:jobs)"), {"jobs": [row.job_id for row in ended if row.job_id is not None]})
        told: Json = {"kind": table, "removed": len(old), "files": stored, "older_than_days": days}
        audit.record(db, system(job.workspace), audit.Action.FILES_SWEPT, "files", None, told)
