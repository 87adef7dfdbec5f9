"""`everfix demo`: a simulated company, or your own files, through the whole loop to the first report."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix import documents
from everfix.core.db import Database
from everfix.demo import simulate, truth, walk
from everfix.documents.model import Document
from everfix.identity import principals, provision
from everfix.identity.organisations import Organisation
from everfix.identity.workspaces import Workspace
from everfix.ingest import files
from everfix.reports import build, templates

SEED = 2026
SIMULATED, YOURS = "demo", "your-failures"
OWNER = "owner@localhost"
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
    made = simulate.simulate(SEED, now)
    if _issues(database, here):
        outcome = _already(database, here)
    else:
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
        outcome = Outcome(here, made.now, walked.accepted, [("simulated", item.index, item.reason) for item in walked.rejected])
    with database.transaction(here) as db:
        outcome.groups = truth.score_groups(made.truth, _groups(db))
        outcome.forecasts = truth.score_forecasts(_forecasts(db))
        outcome.counts = _counts(db)
    outcome.seconds = time.monotonic() - began
    return outcome


def _change(item: Mapping[str, Any]) -> dict[str, Any]:
    kept = {key: item[key] for key in ("external_id", "kind", "service", "title", "occurred_at")}
    return {**kept, "source": "custom_api", "metadata": {key: item[key] for key in ("team", "author", "version") if item.get(key)}}


def own(database: Database, here: UUID, paths: Sequence[Path], mapping: Mapping[str, str] | None, progress: Progress) -> Outcome:
    """Take failures from files through the loop, week by week of their own time; raises UnreadableFileError."""
    began = time.monotonic()
    records, rejects = read(paths, mapping)
    dated = [record for record in records if record.get("source_created_at")]
    walked = walk.walk(
        database,
        here,
        principals.system(here),
        dated,
        progress=lambda done, total: progress("taking your failures through the loop", done, total),
    )
    undated = [record for record in records if not record.get("source_created_at")]
    if undated:
        walk._take(database, here, undated, 0, datetime.now().astimezone(), walked)  # noqa: SLF001 - the same door, without a time to walk by
    rejects += [("record", item.index, item.reason) for item in walked.rejected]
    outcome = Outcome(here, walked.until or datetime.now().astimezone(), walked.accepted, rejects)
    with database.transaction(here) as db:
        outcome.counts = _counts(db)
        outcome.forecasts = truth.score_forecasts(_forecasts(db))
    outcome.seconds = time.monotonic() - began
    return outcome


def read(paths: Sequence[Path], mapping: Mapping[str, str] | None) -> tuple[list[dict[str, Any]], list[tuple[str, int, str]]]:
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


def report(database: Database, here: UUID, as_of: datetime, url: str) -> Document:
    """Build the executive report of the last 30 days up to `as_of`."""
    template = templates.get("executive_summary")
    with database.transaction(here) as db:
        return build.document(db, template.name, template.key, template.sections, template.window, {}, as_of, url)


def write(document: Document, folder: Path) -> list[Path]:
    """Write `executive.<extension>` in every format and return the paths."""
    folder.mkdir(parents=True, exist_ok=True)
    made = []
    for key, renderer in documents.RENDERERS.items():
        path = folder / f"executive.{renderer.extension}"
        path.write_bytes(documents.render(document, key))
        made.append(path)
    return made


def _issues(database: Database, here: UUID) -> int:
    with database.transaction(here) as db:
        return int(db.execute(text("SELECT count(*) FROM issues")).scalar_one())


def _already(database: Database, here: UUID) -> Outcome:
    with database.transaction(here) as db:
        until = db.execute(text("SELECT max(occurred_at) FROM issues")).scalar_one()
    return Outcome(here, until)


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
