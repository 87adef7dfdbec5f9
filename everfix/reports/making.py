"""Making: the steps that turn a run into a Document and files; each may be done again."""

from __future__ import annotations

import hashlib
import json
from uuid import UUID

from sqlalchemy.orm import Session

from everfix import documents
from everfix.core import jobs
from everfix.core.db import Json
from everfix.documents.model import Document
from everfix.metrics import narrow
from everfix.narrative import grounding, rules
from everfix.reports import build, conditions, differences, runs
from everfix.reports.runs import File, Run


def figures(db: Session, run: Run, url: str, filters: narrow.Filters | None = None) -> Document:
    """Return a run's Document without its narrative: the parts, then what changed since the run before."""
    parts = [part for part in run.sections if part.get("section") != differences.SECTION]
    made = build.figures(
        db,
        run.name,
        run.template,
        parts,
        run.window,
        run.filters if filters is None else filters,
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


def narrated(bare: Document, run: Run) -> tuple[Document, Json]:
    if not run.inputs.get("narrative", {}).get("enabled", True):
        return bare, {"writer": "none"}
    narrative = rules.write(bare)
    grounding.require(narrative, bare)
    return bare.model_copy(update={"narrative": narrative}), {"writer": narrative.writer, "version": narrative.version}


def unmet(db: Session, run: Run, document: Document) -> str | None:
    """Return why a made run is not to be sent, or None."""
    rule = run.inputs.get("condition") or {"when": "always"}
    if rule["when"] == "always":
        return None
    earlier = runs.previous(db, run) if rule["when"] == "changed" else None
    return conditions.unmet(rule, document, Document.model_validate(earlier.document) if earlier is not None else None)


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
