"""Reports: make one now, follow its job, fetch its files; the Export button of a dashboard enters here."""

from __future__ import annotations

import dataclasses
from datetime import UTC, date, datetime, time
from typing import Annotated, Any
from uuid import UUID
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query
from sqlalchemy import select
from starlette.responses import Response

from everfix import audit, deps, documents, ranges
from everfix.core import clock, ids, jobs
from everfix.core.jobs import Job
from everfix.documents.model import Unit
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Scope
from everfix.reports import execution, runs, templates, windows
from everfix.reports.sections import SECTIONS
from everfix.web import session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
KIND = "reports.run"
PAGE = 20
Field = Annotated[str, Form(max_length=64)]
FORMAT_NAMES = {"pdf": "PDF", "html": "Web page", "markdown": "Markdown", "csv": "CSV", "xlsx": "Excel", "json": "JSON"}
Json = dict[str, Any]


def formats() -> list[tuple[str, str]]:
    """Return every format's key with its name for people."""
    return [(key, FORMAT_NAMES.get(key, key.upper())) for key in documents.RENDERERS]


@router.get("/reports")
def listed(visit: session.sees(Scope.REPORTS_READ), before: Annotated[str, Query(max_length=60)] = "") -> Response:  # type: ignore[valid-type]
    """New report, and the runs so far, newest first."""
    query = select(Job).where(Job.kind == KIND, Job.id.in_(select(runs.Run.job_id))).order_by(Job.id.desc())
    start = shell.shown_id(ids.Prefix.JOB, before) if before else None
    if start is not None:
        query = query.where(Job.id < start)
    found = list(visit.db.execute(query.limit(PAGE + 1)).scalars())
    older = ids.show(ids.Prefix.JOB, found[PAGE - 1].id) if len(found) > PAGE else ""
    return shell.page(
        visit,
        "reports/page.html",
        runs=_shown(visit, found[:PAGE]),
        older=older,
        first=start is None,
        templates=list(templates.TEMPLATES.values()),
        sections=[(key, section.title) for key, section in SECTIONS.items()],
        windows=tuple(windows.USUAL),
        formats=formats(),
    )


@router.post("/reports")
def create(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    template: Field,
    window: Field = "30d",
    format: Annotated[list[str] | None, Form(max_length=10)] = None,
    until: Field = "",
    section: Annotated[list[str] | None, Form(max_length=64)] = None,
    name: Annotated[str, Form(max_length=200)] = "",
    first: Annotated[str, Form(max_length=10)] = "",
    last: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Queue a report; answers with its progress, or leads to the list."""
    if not format:
        raise Invalid("choose at least one format", details={"format": "at least one"})
    wanted = list(documents.RENDERERS) if format == ["all"] else format
    _, job_id = runs.request(
        visit.db,
        visit.who,
        template=template,
        window=framed(window, first, last),
        formats=wanted,
        name=name or None,
        sections=section if template == "blank" else None,
        as_of=end_of(until, visit.here.timezone) if until else None,
    )
    if not shell.is_partial(visit.request):
        return shell.go("/reports")
    return progress_of(visit, job_id, "toast")


def framed(window: str, first: str, last: str) -> str:
    """Return the window of a form: `range` with its two days, or a length; raises Invalid."""
    if window != "range":
        return windows.read(window)
    try:
        return windows.between(date.fromisoformat(first), date.fromisoformat(last))
    except ValueError:
        raise Invalid("choose the first and the last day of the range", details={"window": windows.ALLOWED}) from None


def end_of(day: str, timezone: str) -> datetime:
    """Return the last second of a day on the workspace's clock, or now where that is earlier; raises Invalid for what is no day."""
    try:
        end = datetime.combine(date.fromisoformat(day), time(23, 59, 59), ZoneInfo(timezone)).astimezone(UTC)
    except (ValueError, OverflowError):
        raise Invalid(f"until: {day!r} is no day", details={"until": "a day like 2026-03-31"}) from None
    return min(end, clock.now())


@router.get("/reports/jobs/{job_id}")
def progress(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    job_id: str,
    form: Annotated[str, Query(pattern="^(toast|row)$")] = "row",
) -> Response:
    """How far one job is, as a row of the list or as a note on the dashboard."""
    if not shell.is_partial(visit.request):
        return shell.go("/reports")
    return progress_of(visit, _job(visit, job_id).id, form)


@router.post("/reports/jobs/{job_id}/cancel")
def cancel(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    job_id: str,
    form: Annotated[str, Form(pattern="^(toast|row)$")] = "row",
) -> Response:
    """Ask a job to stop."""
    job = jobs.cancel(visit.db, _job(visit, job_id).id)
    if job.status == jobs.Status.CANCELLED:
        execution.cancelled(visit.db, job.id)
    audit.record(visit.db, visit.who, audit.Action.JOB_CANCELLED, "job", job.id)
    if not shell.is_partial(visit.request):
        return shell.go("/reports")
    return progress_of(visit, job.id, form)


@router.get("/reports/files/{file_id}")
def download(visit: session.sees(Scope.REPORTS_READ), files: deps.Files, file_id: str) -> Response:  # type: ignore[valid-type]
    """Fetch one file of a run."""
    wanted = shell.shown_id(ids.Prefix.FILE, file_id)
    file = None if wanted is None else visit.db.execute(select(runs.File).where(runs.File.id == wanted)).scalar_one_or_none()
    if file is None:
        raise NotFound("there is no such file, or it is no longer kept")
    if ranges.begins(visit.request):
        audit.record(visit.db, visit.who, audit.Action.REPORT_DOWNLOADED, "file", file.id, {"filename": file.filename})
    return ranges.answer(visit.request, files, file)


def _job(visit: Visit, text: str) -> Job:
    wanted = shell.shown_id(ids.Prefix.JOB, text)
    job = None if wanted is None else jobs.get(visit.db, wanted)
    if job is None or job.kind != KIND:
        raise NotFound("there is no such report job")
    return job


def progress_of(visit: Visit, job_id: UUID, form: str) -> Response:
    """Return how far a report's job is, as a row or as a note."""
    run = _shown(visit, [jobs.get(visit.db, job_id)])[0]
    return shell.page(visit, f"reports/{form}.html", run=run, fresh=True)


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """One run as a row shows it."""

    id: str
    name: str
    window: str
    status: str
    active: bool
    percent: int
    message: str
    error: str
    by: str
    made: str
    took: str
    formats: list[str]
    files: list[Json]


def _shown(visit: Visit, found: list[Job]) -> list[Shown]:
    by_job = {run.job_id: run for run in visit.db.execute(select(runs.Run).where(runs.Run.job_id.in_([job.id for job in found]))).scalars()}
    files = runs.files(visit.db, [run.id for run in by_job.values()])
    reader = shown.Reader.of(visit.here)
    return [_one(reader, job, by_job[job.id], files[by_job[job.id].id]) for job in found if job.id in by_job]


def _one(reader: shown.Reader, job: Job, run: runs.Run, files: list[runs.File]) -> Shown:
    order = {name: place for place, name in enumerate(run.formats)}
    took = (job.finished_at - job.created_at).total_seconds() if job.finished_at else None
    done = job.status == jobs.Status.SUCCEEDED
    return Shown(
        id=ids.show(ids.Prefix.JOB, job.id),
        name=run.name,
        window=windows.title(run.window),
        status=job.status,
        active=job.status not in jobs.FINAL,
        percent=round(100 * job.progress),
        message="stopping" if job.cancel_requested and job.status not in jobs.FINAL else job.message or "waiting for a worker",
        error=(job.error or "") if job.status == jobs.Status.FAILED else "",
        by=run.requested_by,
        made=reader.moment(run.created_at),
        took=f"{took:.1f} s" if took is not None and took < 60 else reader.words(took, Unit.SECONDS) if took is not None else "",
        formats=[FORMAT_NAMES.get(key, key) for key in run.formats],
        files=[file_row(file) for file in sorted(files, key=lambda file: order.get(file.format, len(order)))] if done else [],
    )


def file_row(file: runs.File) -> Json:
    """Return a file as a link shows it."""
    return {
        "name": FORMAT_NAMES.get(file.format, file.format),
        "format": file.format,
        "href": f"/reports/files/{ids.show(ids.Prefix.FILE, file.id)}",
        "filename": file.filename,
        "size": size_words(file.size),
    }


def size_words(size: int) -> str:
    """Return a number of bytes as a person reads it."""
    return f"{size / 1e6:.1f} MB" if size >= 1e6 else f"{max(1, round(size / 1e3))} kB"
