"""`everfix demo`: a simulated company, or your own files, through the whole loop to the first report."""

from __future__ import annotations

import dataclasses
import functools
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix import documents
from everfix.core import clock, jobs
from everfix.core.db import Database
from everfix.demo import simulate, truth, walk
from everfix.errors import Unavailable
from everfix.identity import principals, provision, workspaces
from everfix.identity.organisations import Organisation
from everfix.identity.workspaces import Workspace
from everfix.ingest import files
from everfix.installation import Installation
from everfix.reports import execution, runs

SEED = 2026
SIMULATED, YOURS = "demo", "your-failures"
OWNER = "owner@localhost"
ABOUT = "A simulated company; its year ends at "  # and the moment, from which the same company can be made again
Progress = Callable[[str, int, int], None]


@dataclasses.dataclass(slots=True)
class Outcome:
    """What the demo did, for its last lines."""

    workspace: UUID
    until: datetime
    accepted: int = 0
    rejects: list[tuple[str, int, str]] = dataclasses.field(default_factory=list)
    groups: truth.GroupScores | None = None
    forecasts: truth.ForecastScores | None = None
    counts: dict[str, int] = dataclasses.field(default_factory=dict)
    seconds: float = 0.0


def workspace(owner: Database, slug: str) -> UUID:
    """Return the demo's workspace, made when missing; `owner` is the database as its owner."""
    with owner.transaction() as db:
        found = db.execute(select(Workspace.id).join(Organisation).where(Organisation.slug == slug)).scalar_one_or_none()
        if found is not None:
            return found
        simulated = slug == SIMULATED
        name = "Fernhollow" if simulated else "Your failures"
        return provision.client(db, org_name=name, org_slug=slug, owner_email=OWNER, owner_name="Owner", simulated=simulated).workspace_id


def company(database: Database, here: UUID, now: datetime, progress: Progress) -> Outcome:
    """Simulate the company up to `now` and take its year through the loop, unless it is already there."""
    began = time.monotonic()
    made = simulate.simulate(SEED, _began(database, here, now))
    outcome = Outcome(here, made.now)
    if _issues(database, here) < len(made.events):  # nothing there yet, or an earlier demo was stopped half-way
        sources = {event["external_id"]: event["source"] for event in made.events}
        claims = [
            walk.Claim(sources[fix.example], fix.example, fix.claimed_at, fix.title, fix.type, fix.effort, fix.description)
            for fix in made.fixes
        ]
        walked = walk.walk(
            database,
            here,
            principals.system(here),
            made.events,
            changed=[_change(item) for item in made.changes],
            claims=claims,
            until=made.now,
            progress=lambda done, total: progress("taking a simulated year through the loop", done, total),
        )
        outcome.accepted = walked.accepted
        outcome.rejects = [("simulated", item.index, item.reason) for item in walked.rejected]
    with database.transaction(here) as db:
        outcome.groups = truth.score_groups(made.truth, _groups(db))
        outcome.forecasts = truth.score_forecasts(_forecasts(db))
        outcome.counts = _counts(db)
    outcome.seconds = time.monotonic() - began
    return outcome


def _change(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: item[key] for key in ("external_id", "kind", "service", "title", "occurred_at")}
    return {**kept, "source": "custom_api", "metadata": {key: item[key] for key in ("team", "author", "version") if item.get(key)}}


def own(database: Database, here: UUID, paths: Sequence[Path], mapping: Mapping[str, str] | str | None, progress: Progress) -> Outcome:
    """Take failures from files through the loop; raises UnreadableFileError.

    An empty workspace takes them week by week of their own time, so that it starts with a track record; one that has failures
    already takes them as of now, like any that come in late.
    """
    began = time.monotonic()
    records, rejects = read(paths, mapping)
    by = principals.system(here)
    told = functools.partial(progress, "taking your failures through the loop")
    dated = [] if _issues(database, here) else [record for record in records if record.get("source_created_at")]
    walked = walk.walk(database, here, by, dated, progress=told)
    late = records if not dated else [record for record in records if not record.get("source_created_at")]
    now = clock.now()
    walk.take(database, here, late, now, walked, told)
    rejects += [("record", item.index, item.reason) for item in walked.rejected]
    outcome = Outcome(here, walked.until or now, walked.accepted, rejects)
    with database.transaction(here) as db:
        outcome.counts = _counts(db)
        outcome.forecasts = truth.score_forecasts(_forecasts(db))
    outcome.seconds = time.monotonic() - began
    return outcome


def read(paths: Sequence[Path], mapping: Mapping[str, str] | str | None) -> tuple[list[dict[str, Any]], list[tuple[str, int, str]]]:
    """Return the records of all files, and the refused ones as (file, place, reason); raises UnreadableFileError."""
    records: list[dict[str, Any]] = []
    rejects: list[tuple[str, int, str]] = []
    for path in paths:
        for item in files.read(path, mapping=mapping):
            if isinstance(item, files.Reject):
                rejects.append((path.name, item.index, item.reason))
            else:
                records.append(dict(item))
    return records, rejects


def publish(made: Installation, here: UUID, as_of: datetime, folder: Path) -> list[Path]:
    """Make the executive report of the last 30 days up to `as_of` in every format, keep it as a run, and write `executive.<extension>`."""
    run_id = _run(made, here, "executive_summary", list(documents.RENDERERS), "30d", as_of, None)
    folder.mkdir(parents=True, exist_ok=True)
    paths = []
    with made.database.transaction(here) as db:
        stored = {file.format: file.storage_key for file in runs.files(db, [run_id])[run_id]}
    for key, renderer in documents.RENDERERS.items():
        path = folder / f"executive.{renderer.extension}"
        path.write_bytes(made.storage.read(stored[key]))
        paths.append(path)
    return paths


def one(made: Installation, here: UUID, template: str, format_: str, window: str, told: Callable[[float, str], None]) -> bytes:
    """Make one report now, as the API would, and return its file; raises EverfixError for what the API would refuse, and Unavailable."""
    run_id = _run(made, here, template, [format_], window, None, told)
    with made.database.transaction(here) as db:
        key = runs.files(db, [run_id])[run_id][0].storage_key
    return made.storage.read(key)


def _run(
    made: Installation,
    here: UUID,
    template: str,
    formats: list[str],
    window: str,
    as_of: datetime | None,
    told: Callable[[float, str], None] | None,
) -> UUID:
    """Insert a run and work on its job in this process."""
    with made.database.transaction(here) as db:
        run_id, job_id = runs.request(db, principals.system(here), template=template, window=window, formats=formats, as_of=as_of)
    running = jobs.Running(made.database, here, job_id, {"run": str(run_id)}, made, told)
    jobs.work(jobs.Task(execution.execute, failed=execution.failed), running, attempts=1)
    with made.database.transaction(here) as db:
        job = jobs.get(db, job_id)
        if job.status != jobs.Status.SUCCEEDED:
            raise Unavailable(f"the report was not made: {job.error}")
    return run_id


def _issues(database: Database, here: UUID) -> int:
    with database.transaction(here) as db:
        return int(db.execute(text("SELECT count(*) FROM issues")).scalar_one())


def _began(database: Database, here: UUID, now: datetime) -> datetime:
    """Return up to when the company is simulated here: `now` on the first call, the same moment ever after, so that it stays one company."""
    with database.transaction(here) as db:
        workspace_ = workspaces.here(db)
        if not workspace_.description.startswith(ABOUT):
            workspace_.description = f"{ABOUT}{now.replace(microsecond=0).isoformat()}"
        return datetime.fromisoformat(workspace_.description.removeprefix(ABOUT))


def _groups(db: Session) -> dict[str, str]:
    rows = db.execute(text("SELECT external_id, pattern_id FROM issues WHERE pattern_id IS NOT NULL"))
    return {row.external_id: str(row.pattern_id) for row in rows}


def _forecasts(db: Session) -> list[tuple[float, bool]]:
    rows = db.execute(text("SELECT probability, outcome = 'hit' AS hit FROM predictions WHERE outcome IS NOT NULL AND failures >= 2"))
    return [(row.probability, row.hit) for row in rows]


def _counts(db: Session) -> dict[str, int]:
    queries = {
        "issues": "SELECT count(*) FROM issues",
        "patterns": "SELECT count(*) FROM patterns WHERE issue_count >= 2",
        "alone": "SELECT count(*) FROM patterns WHERE issue_count = 1",
        "predictions": "SELECT count(*) FROM predictions WHERE status = 'active' AND failures >= 2",
        "settled": "SELECT count(*) FROM predictions WHERE outcome IS NOT NULL AND failures >= 2",
        "recommendations": "SELECT count(*) FROM recommendations WHERE status IN ('pending', 'in_progress')",
        "fixes": "SELECT count(*) FROM verifications",
        "held": "SELECT count(*) FROM verifications WHERE verdict = 'held'",
        "failed": "SELECT count(*) FROM verifications WHERE verdict = 'failed'",
    }
    return {name: int(db.execute(text(query)).scalar_one()) for name, query in queries.items()}
