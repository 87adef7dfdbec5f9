"""Runs: one making of a report, kept as it was: inputs, Document, narrative, files, and who asked for it under whose rights.

queued → running → succeeded | partial | failed | cancelled          skipped (nothing was to be sent), held (waits for fresh data)
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.dialects.postgresql import JSONB
from sqlalchemy.orm import Mapped, Session, mapped_column

import everfix
from everfix import audit, documents
from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Principal
from everfix.metrics import narrow
from everfix.reports import templates, windows


class Status(StrEnum):
    """What has become of a run; `held` and the first two are not final."""

    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    PARTIAL = "partial"
    FAILED = "failed"
    CANCELLED = "cancelled"
    SKIPPED = "skipped"
    HELD = "held"


FINAL = (Status.SUCCEEDED, Status.PARTIAL, Status.FAILED, Status.CANCELLED, Status.SKIPPED)


class Trigger(StrEnum):
    """Why a run was made; `recipient` is the part of another run that some of its recipients get."""

    MANUAL = "manual"
    SCHEDULE = "schedule"
    BACKFILL = "backfill"
    PREVIEW = "preview"
    RECIPIENT = "recipient"


class Run(WorkspaceRow, Base):
    """One run. `document` is the immutable snapshot: any format can be rendered from it later, nothing is computed again.

    `inputs` is all it was made from; `written` says who wrote the narrative, with which model, for how much; `reason` says in words why
    it failed, was skipped or is held; `digest` is the hash of what the Document shows.
    """

    __tablename__ = "report_runs"
    __table_args__ = (
        refers("job_id", "jobs", ondelete="SET NULL"),
        refers("definition_id", "report_definitions", ondelete="SET NULL"),
        refers("schedule_id", "report_schedules", ondelete="SET NULL"),
        refers("parent_id", "report_runs"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'partial', 'failed', 'cancelled', 'skipped', 'held')", name="status"),
        CheckConstraint("trigger IN ('manual', 'schedule', 'backfill', 'preview', 'recipient')", name="trigger"),
        Index("ix_report_runs_created", "workspace_id", "created_at", "id"),
        Index("ix_report_runs_definition", "workspace_id", "definition_id", "created_at"),
        Index("ix_report_runs_job", "workspace_id", "job_id"),
        Index("ix_report_runs_parent", "workspace_id", "parent_id"),
        Index("uq_report_runs_slot", "workspace_id", "schedule_id", "slot", unique=True),
    )

    job_id: Mapped[UUID | None]
    definition_id: Mapped[UUID | None]
    schedule_id: Mapped[UUID | None]
    parent_id: Mapped[UUID | None]
    slot: Mapped[datetime | None]
    trigger: Mapped[str] = mapped_column(server_default=Trigger.MANUAL)
    status: Mapped[str] = mapped_column(server_default=Status.QUEUED)
    reason: Mapped[str] = mapped_column(server_default="")
    executor: Mapped[str] = mapped_column(server_default="")
    recipients: Mapped[list[str]] = mapped_column(server_default="{}")
    name: Mapped[str]
    template: Mapped[str]
    sections: Mapped[list[Json]]
    window: Mapped[str]
    formats: Mapped[list[str]]
    filters: Mapped[Json] = mapped_column(server_default="{}")
    inputs: Mapped[Json] = mapped_column(server_default="{}")
    as_of: Mapped[datetime]
    document: Mapped[Any | None] = mapped_column(JSONB)
    written: Mapped[Json] = mapped_column(server_default="{}")
    digest: Mapped[str | None]
    code_version: Mapped[str]
    requested_by: Mapped[str]
    created_at: Mapped[datetime] = created()
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
    held_until: Mapped[datetime | None]


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
    sections: Sequence[str | Json] | None = None,
    filters: Json | None = None,
    as_of: datetime | None = None,
    **more: Any,  # noqa: ANN401 - columns of Run
) -> tuple[UUID, UUID]:
    """Insert a run and its job, and return both ids; raises Invalid for an unknown template, section, window, format or filter."""
    run = new(by, template=template, window=window, formats=formats, name=name, sections=sections, filters=filters, as_of=as_of, **more)
    db.add(run)
    db.flush()
    run.job_id = enqueue(db, run, by.name)
    audit.record(
        db, by, audit.Action.REPORT_GENERATED, "run", run.id, {"template": run.template, "window": run.window, "formats": run.formats}
    )
    return run.id, run.job_id


def enqueue(db: Session, run: Run, by: str, **more: Any) -> UUID:  # noqa: ANN401 - of jobs.enqueue
    """Queue the making of a run, and return the job's id."""
    return jobs.enqueue(db, "reports.run", {"run": str(run.id)}, by=by, **more)


def new(
    by: Principal,
    *,
    template: str,
    window: str,
    formats: Sequence[str],
    name: str | None = None,
    sections: Sequence[str | Json] | None = None,
    filters: Json | None = None,
    as_of: datetime | None = None,
    **more: Any,  # noqa: ANN401 - columns of Run
) -> Run:
    """Return a run that is not stored yet; raises Invalid as `request`."""
    chosen = templates.get(template)
    wanted = templates.sections_of(chosen, sections)
    known = list(dict.fromkeys(renderer(format_) for format_ in formats))
    length, seen, at = windows.read(window), narrow.read(filters or {}), as_of or clock.now()
    return Run(
        id=ids.new(),
        name=name or chosen.name,
        template=templates.fitting(chosen, wanted).key,
        sections=wanted,
        window=length,
        formats=known,
        filters=seen,
        as_of=at,
        code_version=everfix.__version__,
        requested_by=by.name,
        created_at=clock.now(),
        **{"executor": by.name, **more},
    )


def renderer(format_: str) -> str:
    """Return the format's own name; raises Invalid naming those there are."""
    try:
        return documents.renderer(format_).key
    except ValueError as problem:
        raise Invalid(str(problem), details={"format": f"one of {', '.join(documents.RENDERERS)}"}) from problem


def find(db: Session, run_id: UUID) -> Run | None:
    """Return one run, or None."""
    return db.execute(select(Run).where(Run.id == run_id)).scalar_one_or_none()


def get(db: Session, run_id: UUID) -> Run:
    """Return one run; raises NotFound."""
    run = find(db, run_id)
    if run is None:
        raise NotFound(f"no report run {ids.show(ids.Prefix.RUN, run_id)}")
    return run


def files(db: Session, run_ids: Sequence[UUID]) -> dict[UUID, list[File]]:
    """Return the files of each run."""
    found: dict[UUID, list[File]] = {run_id: [] for run_id in run_ids}
    for file in db.execute(select(File).where(File.run_id.in_(run_ids)).order_by(File.format)).scalars():
        found[file.run_id].append(file)
    return found


def previous(db: Session, run: Run) -> Run | None:
    """Return the last finished run of the same report before this one: what "since the last run" means."""
    query = select(Run).where(
        Run.id != run.id,
        Run.document.is_not(None),
        Run.status.in_((Status.SUCCEEDED, Status.PARTIAL)),
        Run.as_of < run.as_of,
        Run.recipients == run.recipients if run.parent_id else Run.parent_id.is_(None),
    )
    if run.definition_id is not None:
        query = query.where(Run.definition_id == run.definition_id)
    else:
        query = query.where(Run.definition_id.is_(None), Run.template == run.template, Run.name == run.name, Run.window == run.window)
    return db.execute(query.order_by(Run.as_of.desc(), Run.id.desc()).limit(1)).scalar_one_or_none()


def told(run: Run, deliveries: Sequence[str]) -> str:
    """Return what became of a run, deliveries included: made and refused by some recipients is partial, by all is failed."""
    if run.status not in (Status.SUCCEEDED, Status.PARTIAL) or "failed" not in deliveries:
        return run.status
    return Status.PARTIAL if any(status != "failed" for status in deliveries) else Status.FAILED


def seconds(run: Run) -> float | None:
    """Return how long the run took, once it has ended."""
    return (run.finished_at - run.started_at).total_seconds() if run.finished_at and run.started_at else None
