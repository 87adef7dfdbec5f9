"""Runs: one making of a report, kept as it was: inputs, Document, narrative, files and who asked for it.

queued → running → succeeded | failed | cancelled      (the job's status; the run keeps what came of it)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import Index, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

import everfix
from everfix import audit, documents
from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.documents.model import Document
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Principal
from everfix.reports import build, templates


class Run(WorkspaceRow, Base):
    """One run. `document` is the immutable snapshot: any format can be rendered from it later, nothing is computed again."""

    __tablename__ = "report_runs"
    __table_args__ = (refers("job_id", "jobs", ondelete="SET NULL"), Index("ix_report_runs_created", "workspace_id", "created_at", "id"))

    job_id: Mapped[UUID | None]
    name: Mapped[str]
    template: Mapped[str]
    sections: Mapped[list[str]]
    window: Mapped[str]
    formats: Mapped[list[str]]
    filters: Mapped[Json] = mapped_column(server_default="{}")
    as_of: Mapped[datetime]
    document: Mapped[Any | None] = mapped_column(JSONB)
    code_version: Mapped[str]
    requested_by: Mapped[str]
    created_at: Mapped[datetime] = created()
    finished_at: Mapped[datetime | None]


class File(WorkspaceRow, Base):
    """One rendered file of a run; `sha256` proves that what is downloaded is what was made."""

    __tablename__ = "files"
    __table_args__ = (refers("run_id", "report_runs"), Index("uq_files_format", "workspace_id", "run_id", "format", unique=True))

    run_id: Mapped[UUID]
    format: Mapped[str]
    filename: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int]
    sha256: Mapped[str]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = created()


def request(
    db: Session,
    by: Principal,
    *,
    template: str,
    window: str,
    formats: Sequence[str],
    name: str | None = None,
    sections: Sequence[str] | None = None,
    filters: Json | None = None,
    as_of: datetime | None = None,
) -> tuple[UUID, UUID]:
    """Insert a run and its job, and return both ids; raises Invalid for an unknown template, section, window, format or filter."""
    chosen = templates.get(template)
    wanted = templates.sections_of(chosen, sections)
    known = [renderer(format_) for format_ in formats]
    templates.days(window)
    build.check_filters(filters or {})
    run = Run(
        id=ids.new(),
        name=name or chosen.name,
        template=chosen.key,
        sections=wanted,
        window=window.lower(),
        formats=list(dict.fromkeys(known)),
        filters=filters or {},
        as_of=as_of or clock.now(),
        code_version=everfix.__version__,
        requested_by=by.name,
    )
    db.add(run)
    db.flush()
    run.job_id = jobs.enqueue(db, "reports.run", {"run": str(run.id)}, by=by.name)
    audit.record(
        db, by, audit.Action.REPORT_GENERATED, "run", run.id, {"template": chosen.key, "window": run.window, "formats": run.formats}
    )
    return run.id, run.job_id


def renderer(format_: str) -> str:
    """Return the format's own name; raises Invalid naming those there are."""
    try:
        return documents.renderer(format_).key
    except ValueError as problem:
        raise Invalid(str(problem), details={"format": f"one of {', '.join(documents.RENDERERS)}"}) from problem


def get(db: Session, run_id: UUID) -> Run:
    """Return one run; raises NotFound."""
    run = db.execute(select(Run).where(Run.id == run_id)).scalar_one_or_none()
    if run is None:
        raise NotFound(f"no report run {ids.show(ids.Prefix.RUN, run_id)}")
    return run


def files(db: Session, run_ids: Sequence[UUID]) -> dict[UUID, list[File]]:
    """Return the files of each run."""
    found: dict[UUID, list[File]] = {run_id: [] for run_id in run_ids}
    for file in db.execute(select(File).where(File.run_id.in_(run_ids)).order_by(File.format)).scalars():
        found[file.run_id].append(file)
    return found


def execute(job: jobs.Running) -> Json:
    """Job `reports.run`: build and keep the Document, then render, store and note each file; a second try goes on from there.

    1. Build the Document with its narrative (one read-only transaction), and keep it.
    2. For each format not yet stored: render (no transaction open), store, note.
    """
    run_id = UUID(job.payload["run"])
    document = _document(job, run_id)
    with job.database.transaction(job.workspace) as db:
        run = get(db, run_id)
        formats, have = run.formats, {file.format for file in files(db, [run_id])[run_id]}
    for place, format_ in enumerate(formats):
        job.report(0.3 + 0.7 * place / len(formats), f"rendering {format_}")
        if format_ not in have:
            _render(job, run_id, document, format_)
    with job.database.transaction(job.workspace) as db:
        get(db, run_id).finished_at = clock.now()
    return {"run": str(run_id), "formats": formats}


def _document(job: jobs.Running, run_id: UUID) -> Document:
    with job.database.transaction(job.workspace) as db:
        run = get(db, run_id)
        if run.document is None:
            job.report(0.05, "building the report")
            run.document = build.document(
                db, run.name, run.template, run.sections, run.window, run.filters, run.as_of, job.services.url
            ).model_dump(mode="json")
        return Document.model_validate(run.document)


def _render(job: jobs.Running, run_id: UUID, document: Document, format_: str) -> None:
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
