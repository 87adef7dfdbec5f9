"""Execution: the job that makes a run; safe to do again at any point, since each step is kept before the next begins.

1. Hold while the data are stale, or the owner has left and nobody adopted the report.
2. Build the Document with its narrative, and keep it: from here on nothing is computed again.
3. Render, store and note each format not yet stored.
4. Note what came of it, on the run and on its schedule.
"""

from __future__ import annotations

import hashlib
import json
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix import documents
from everfix.core import clock, jobs
from everfix.core.db import Json
from everfix.documents.model import Document
from everfix.narrative import grounding, rules
from everfix.reports import build, conditions, definitions, differences, runs
from everfix.reports.runs import FINAL, File, Run, Status, Trigger
from everfix.reports.schedules import Schedule

LOOK_AGAIN = timedelta(minutes=1)
WAITS_FOR_ADMIN = timedelta(days=7)
LEFT = "the one whose rights this report runs under has left; an admin may adopt the report"


def execute(job: jobs.Running) -> Json:
    """Job `reports.run`; a second try goes on from where the first stopped."""
    run_id = UUID(job.payload["run"])
    try:
        if not _start(job, run_id):
            return {"run": str(run_id)}
        document = _document(job, run_id)
        formats = render(job, run_id, document)
    except jobs.Cancelled:
        with job.database.transaction(job.workspace) as db:
            finish(db, runs.get(db, run_id), Status.CANCELLED, "cancelled")
        raise
    with job.database.transaction(job.workspace) as db:
        problems = build.failures(document)
        finish(db, runs.get(db, run_id), _outcome(document), "; ".join(problems))
    return {"run": str(run_id), "formats": formats}


def _outcome(document: Document) -> Status:
    """A part that the database refused makes a run partial; a wrong parameter stands in its section, and the run succeeded."""
    refused = any("the database refused" in words for words in build.failures(document))
    return Status.PARTIAL if refused else Status.SUCCEEDED


def failed(job: jobs.Running, cause: str) -> None:
    """Note the last failure of the job on its run and schedule."""
    with job.database.transaction(job.workspace) as db:
        run = runs.find(db, UUID(job.payload["run"]))
        if run is not None and run.status not in FINAL:
            finish(db, run, Status.FAILED, cause)


def finish(db: Session, run: Run, status: Status, reason: str = "") -> None:
    """Note what became of a run."""
    run.status, run.reason, run.finished_at, run.held_until = status, reason, clock.now(), None
    schedule = _schedule(db, run)
    if schedule is not None and (schedule.last_slot_at is None or run.slot is None or run.slot >= schedule.last_slot_at):
        schedule.last_status = status
    db.flush()


def _schedule(db: Session, run: Run) -> Schedule | None:
    if run.schedule_id is None:
        return None
    return db.execute(select(Schedule).where(Schedule.id == run.schedule_id).with_for_update()).scalar_one_or_none()


def _start(job: jobs.Running, run_id: UUID) -> bool:
    """Take the run in hand; tells whether it is to be made now."""
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        if run.status in FINAL:
            return False
        now = clock.now()
        run.started_at = run.started_at or now
        if run.document is None:
            reason, until, at_deadline = _wait(db, run)
            if reason and until is not None and now < until:
                _hold(db, run, reason, until)
                return False
            if reason and at_deadline == "skip":
                finish(db, run, Status.SKIPPED, reason)
                return False
            if reason:
                run.inputs = {**run.inputs, "notices": [f"Sent at the deadline although {reason}."]}
        run.status, run.reason = Status.RUNNING, ""
        return True


def _wait(db: Session, run: Run) -> tuple[str | None, datetime | None, str]:
    """Return in words why the run has to wait, until when it may, and what happens then."""
    definition = definitions.find(db, run.definition_id) if run.definition_id else None
    if run.trigger == Trigger.SCHEDULE and definition is None:
        return "the report was deleted", None, "skip"
    if definition is not None and definitions.orphaned(db, definition):
        return LEFT, run.created_at + WAITS_FOR_ADMIN, "skip"
    rule = run.inputs.get("freshness")
    stale = conditions.stale(db, rule, clock.now()) if rule else None
    if rule and stale:
        return stale, (run.slot or run.created_at) + timedelta(minutes=rule["deadline_minutes"]), rule["at_deadline"]
    return None, None, "send"


def _hold(db: Session, run: Run, reason: str, until: datetime) -> None:
    """Keep the run waiting, and look again soon: a new job, since this one has done what it could."""
    run.status, run.reason, run.held_until = Status.HELD, reason, until
    run.job_id = runs.enqueue(db, run, run.requested_by, delay=LOOK_AGAIN)
    schedule = _schedule(db, run)
    if schedule is not None:
        schedule.last_status = Status.HELD


def _document(job: jobs.Running, run_id: UUID) -> Document:
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        if run.document is not None:
            return Document.model_validate(run.document)
    job.report(0.05, "building the report")
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        bare = figures(db, run, job.services.url)
    document, written = _narrated(bare, run)
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        run.document, run.written, run.digest = document.model_dump(mode="json"), written, digest(document)
    return document


def figures(db: Session, run: Run, url: str) -> Document:
    """Return a run's Document without its narrative: the parts, then what changed since the run before."""
    parts = [part for part in run.sections if part.get("section") != differences.SECTION]
    made = build.figures(
        db,
        run.name,
        run.template,
        parts,
        run.window,
        run.filters,
        run.as_of,
        url,
        brand=run.inputs.get("brand"),
        notices=run.inputs.get("notices") or (),
    )
    if len(parts) == len(run.sections):
        return made
    earlier = runs.previous(db, run)
    before = Document.model_validate(earlier.document) if earlier is not None else None
    place = next(place for place, part in enumerate(run.sections) if part.get("section") == differences.SECTION)
    sections = list(made.sections)
    sections.insert(place, differences.section(before, made))
    return made.model_copy(update={"sections": tuple(sections)})


def _narrated(bare: Document, run: Run) -> tuple[Document, Json]:
    if not run.inputs.get("narrative", {}).get("enabled", True):
        return bare, {"writer": "none"}
    narrative = rules.write(bare)
    grounding.require(narrative, bare)
    return bare.model_copy(update={"narrative": narrative}), {"writer": narrative.writer, "version": narrative.version}


def digest(document: Document) -> str:
    """Return the hash of what a Document shows: equal for two readers who see the same."""
    shown = document.model_dump(mode="json", include={"title", "period", "sections", "notices", "brand", "currency"})
    return hashlib.sha256(json.dumps(shown, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def render(job: jobs.Running, run_id: UUID, document: Document) -> list[str]:
    """Render, store and note each format of a run that is not yet stored; returns all its formats."""
    with job.database.transaction(job.workspace) as db:
        formats, have = runs.get(db, run_id).formats, {file.format for file in runs.files(db, [run_id])[run_id]}
    for place, format_ in enumerate(formats):
        job.report(0.3 + 0.6 * place / len(formats), f"rendering {format_}")
        if format_ not in have:
            store(job, run_id, document, format_)
    return formats


def store(job: jobs.Running, run_id: UUID, document: Document, format_: str) -> None:
    """Render one format with no transaction open, store it, and note its hash."""
    body = documents.render(document, format_)
    filename = documents.filename(document, format_)
    stored = job.services.storage.put(job.workspace, f"reports/{run_id}/{filename}", body)
    with job.database.transaction(job.workspace) as db:
        db.add(
            File(
                run_id=run_id,
                format=format_,
                filename=filename,
                media_type=documents.RENDERERS[format_].media_type,
                size=stored.size,
                sha256=stored.sha256,
                storage_key=stored.key,
            )
        )
