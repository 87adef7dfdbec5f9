"""Making: the steps that turn a run into a Document and files; each may be done again."""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Sequence
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from everfix import documents, narrative
from everfix.core import ids, jobs
from everfix.core.db import Json
from everfix.core.storage import Storage
from everfix.documents.model import Document
from everfix.identity import ai
from everfix.metrics import narrow
from everfix.narrative import Account, How
from everfix.reports import build, conditions, differences, runs
from everfix.reports.runs import File, Run

log = structlog.get_logger()

# What a renderer raises for content that it cannot draw; a full disk or a lost database is none of these, and is tried again.
UNDRAWABLE = (ArithmeticError, AttributeError, LookupError, RuntimeError, TypeError, ValueError)


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


def by_rules(run: Run) -> How:
    """Return how a run wants its narrative when no model is to be asked."""
    wanted = run.inputs.get("narrative") or {}
    return How(
        enabled=wanted.get("enabled", True),
        prompt=wanted.get("prompt") or "",
        model=wanted.get("model_override") or "",
        language=wanted.get("language") or "en",
    )


def how(db: Session, services: Any, run: Run) -> How:  # noqa: ANN401 - an Installation
    """Return how a run's narrative is written: by the workspace's model where there is one, else by the rules."""
    here = ai.here(db)
    assistant, problem = ai.asked(db, services.keys, services.settings) if here.narratives else (None, "")
    language = (run.inputs.get("narrative") or {}).get("language") or here.language
    return dataclasses.replace(by_rules(run), assistant=assistant, problem=problem, language=language, redactor=ai.redactor(db))


def narrated(bare: Document, wanted: How) -> tuple[Document, Account]:
    """Return the Document with its narrative, and the account of how that came about; no transaction may be open."""
    made, account = narrative.write(bare, wanted)
    return bare.model_copy(update={"narrative": made}), account


def written(document: Document, account: Account) -> Json:
    """Return who wrote a narrative, with which model, at what cost, and what was refused, as a run keeps it."""
    models = list(dict.fromkeys(f"{call.provider}/{call.model}" for call in account.calls))
    return {
        "writer": account.writer,
        "version": document.narrative.version if document.narrative else "",
        "models": models,
        "input_tokens": account.input_tokens,
        "output_tokens": account.output_tokens,
        "cost": None if account.cost is None else float(account.cost),
        "refused": [item.reason for item in account.refused],
        "note": account.note,
    }


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
    """Render, store and note each format of a run that is not yet stored; returns all that are. A format that cannot be drawn withholds no
    other; only when none can is its failure raised.
    """
    with job.database.transaction(job.workspace) as db:
        formats, have = runs.get(db, run_id).formats, {file.format for file in runs.files(db, [run_id])[run_id]}
    undrawn: list[Exception] = []
    for place, format_ in enumerate(formats):
        job.report(0.3 + 0.6 * place / len(formats), f"rendering {format_}")
        if format_ in have:
            continue
        try:
            body = documents.render(document, format_)
        except UNDRAWABLE as problem:
            log.warning("format_not_drawn", run=str(run_id), format=format_, error=jobs.describe(problem))
            undrawn.append(problem)
            continue
        file = _stored(job.services.storage, job.workspace, run_id, document, format_, body)
        with job.database.transaction(job.workspace) as db:
            db.add(file)
        have.add(format_)
    if undrawn and not have:
        raise undrawn[0]
    return [format_ for format_ in formats if format_ in have]


def absent(db: Session, run: Run) -> list[str]:
    """Return the formats of a made run that could not be drawn."""
    have = {file.format for file in runs.files(db, [run.id])[run.id]}
    return [format_ for format_ in run.formats if format_ not in have]


def without(formats: Sequence[str]) -> str:
    """Return in words that a report comes without some of its formats; empty where there are all."""
    names = ", ".join(format_.upper() for format_ in formats)
    return f"This report comes without {names}: that could not be drawn; what is here is whole." if names else ""


def add(db: Session, storage: Storage, run: Run, document: Document, format_: str) -> File:
    """Render one more format of a run from its snapshot."""
    file = _stored(storage, run.workspace_id, run.id, document, format_, documents.render(document, format_))
    db.add(file)
    db.flush()
    return file


def _stored(storage: Storage, workspace: UUID, run_id: UUID, document: Document, format_: str, body: bytes) -> File:
    filename = documents.filename(document, format_)
    stored = storage.put(workspace, f"reports/{run_id}/{filename}", body)
    return File(
        id=ids.new(),
        run_id=run_id,
        format=format_,
        filename=filename,
        media_type=documents.RENDERERS[format_].media_type,
        size=stored.size,
        sha256=stored.sha256,
        storage_key=stored.key,
    )
