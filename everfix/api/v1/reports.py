"""`/v1/reports`: templates, generate, and the jobs with their files."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel
from sqlalchemy import or_, select
from sqlalchemy.orm import Session

from everfix import documents
from everfix.api import fields, pages
from everfix.api.v1 import exports, report_files
from everfix.api.v1.report_bodies import Framed, Parts
from everfix.api.v1.report_files import FileOut
from everfix.core import fields as types
from everfix.core import ids, jobs
from everfix.core.crypto import Keys
from everfix.core.jobs import Job
from everfix.deps import Config, Db, Page, SigningKeys, needs
from everfix.errors import Invalid, NotFound
from everfix.exports import requests, resources
from everfix.identity.principals import Principal, Scope
from everfix.reports import definitions, runs, templates, windows
from everfix.reports.sections import SECTIONS
from everfix.settings import Settings

router = APIRouter(prefix="/reports", tags=["reports"])
JobId = Annotated[UUID, fields.path_id(ids.Prefix.JOB, "report job", "job_id")]
Reader = Annotated[Principal, needs(Scope.REPORTS_READ)]
Writer = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
SORTS = pages.Sorts({"created_at": Job.created_at}, "-created_at")
KIND = "reports.run"
KINDS = (KIND, requests.KIND)


class SectionOut(BaseModel):
    """One section of a template."""

    key: str
    title: str


class TemplateOut(BaseModel):
    """A built-in report."""

    key: str
    name: str
    description: str
    sections: list[SectionOut]
    default_window: str
    windows: list[str]
    formats: list[str]


class Generate(Framed):
    """A one-off report. `format` or `formats`, in either case; `window` is 7D, 30D, 90D or any number of days, or `from` and `to`."""

    template: types.text(64) | None = None  # type: ignore[valid-type]
    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    description: types.text(2000) | None = None  # type: ignore[valid-type]
    sections: Parts | None = None
    narrative: types.JsonObject | None = None


class ReportJob(BaseModel):
    """A report's job (`kind` report) or an export's (`kind` export, without template, window and run).

    `download_url` is the first file's, once the job has succeeded; an export's only for those who may have its rows.
    """

    id: str
    job_id: str
    kind: str
    status: str
    progress: float
    message: str
    error: str | None
    name: str
    template: str | None
    window: str | None
    formats: list[str]
    run_id: ids.field(ids.Prefix.RUN) | None  # type: ignore[valid-type]
    export_id: ids.field(ids.Prefix.EXPORT) | None = None  # type: ignore[valid-type]
    download_url: str | None
    files: list[FileOut]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.get("/templates")
def listed_templates(who: Reader) -> pages.PageOf[TemplateOut]:
    """The built-in templates with their sections; those on ML work (`ml_…`) take what they are about in `params.entity_id`."""
    shown = [
        TemplateOut(
            key=item.key,
            name=item.name,
            description=item.description,
            sections=[SectionOut(key=key, title=_title(key)) for key in (item.sections or SECTIONS)],
            default_window=item.window,
            windows=list(windows.USUAL),
            formats=list(documents.RENDERERS),
        )
        for item in templates.ALL.values()
    ]
    return pages.PageOf(data=shown, page=pages.PageInfo(next_cursor=None, has_more=False, total=len(shown)))


def _title(section: str) -> str:
    return templates.ML[section].name if section in templates.ML else SECTIONS[section].title


@router.post("/generate", status_code=202)
def generate(db: Db, who: Writer, body: Generate, settings: Config, keys: SigningKeys) -> ReportJob:
    """Make a report now; the answer has the job to poll until its `status` is `succeeded`."""
    template = templates.get(body.template or ("blank" if body.sections else "executive_summary"))
    if template.key in templates.ML or templates.about(templates.sections_of(template, body.sections)) is not None:
        raise Invalid("reports on ML work are ordered at /api/reports, or saved and run", details={"template": "POST /api/reports"})
    asked = body.files()
    _, job_id = runs.request(
        db,
        who,
        template=template.key,
        window=body.days() or template.window,
        formats=definitions.formats([template.format] if asked is None else asked),
        name=body.name,
        sections=body.sections,
        filters=body.filters,
        inputs={"narrative": definitions.narrative(body.narrative or {}), "description": body.description or ""},
    )
    return shown_jobs(db, who, [jobs.get(db, job_id)], settings, keys)[0]


@router.get("/jobs")
def listed_jobs(db: Db, who: Reader, page: Page, settings: Config, keys: SigningKeys) -> pages.PageOf[ReportJob]:
    """Every report and export job, newest first."""
    query = select(Job).where(or_(Job.kind != KIND, Job.id.in_(select(runs.Run.job_id))), Job.kind.in_(KINDS))
    return pages.page(db, page, query, Job.id, SORTS, lambda rows: shown_jobs(db, who, rows, settings, keys))


@router.get("/jobs/{job_id}")
def one_job(db: Db, who: Reader, job_id: JobId, settings: Config, keys: SigningKeys) -> ReportJob:
    """One report or export job; once `succeeded` it has a `download_url`."""
    job = jobs.get(db, job_id)
    if job.kind not in KINDS:
        raise NotFound(f"no report job {ids.show(ids.Prefix.JOB, job_id)}")
    made = shown_jobs(db, who, [job], settings, keys)
    if not made:  # about a project that this caller may not see
        raise NotFound(f"no report job {ids.show(ids.Prefix.JOB, job_id)}")
    return made[0]


def shown_jobs(db: Session, who: Principal, found: Sequence[Job], settings: Settings, keys: Keys) -> list[ReportJob]:
    """Return report and export jobs with their files and fresh links."""
    taken = requests.by_jobs(db, [job.id for job in found if job.kind == requests.KIND])
    out = {export.job_id: export for export in exports.shown(db, who, list(taken.values()), settings, keys)}
    by_job = {run.job_id: run for run in db.execute(select(runs.Run).where(runs.Run.job_id.in_([job.id for job in found]))).scalars()}
    files = runs.files(db, [run.id for run in by_job.values()])
    return [
        _export(job, out[job.id]) if job.kind == requests.KIND else _shown(job, by_job[job.id], files[by_job[job.id].id], settings, keys)
        for job in found
        if job.id in out or job.id in by_job
    ]


def _export(job: Job, export: exports.ExportOut) -> ReportJob:
    name = ids.show(ids.Prefix.JOB, job.id)
    same = export.model_dump(include={"kind", "status", "progress", "message", "error", "created_at", "started_at", "finished_at"})
    files = [file for file in export.files if file.kind != requests.MANIFEST]
    return ReportJob(
        id=name,
        job_id=name,
        **same,
        name=f"{resources.RESOURCES[export.resource].title}: export",
        template=None,
        window=None,
        formats=[export.format],
        run_id=None,
        export_id=export.id,
        download_url=export.download_url,
        files=[FileOut(format=export.format, **file.model_dump(exclude={"kind"})) for file in files],
    )


def _shown(job: Job, run: runs.Run, files: Sequence[runs.File], settings: Settings, keys: Keys) -> ReportJob:
    listed = report_files.ordered(files, run.formats, settings, keys)
    done = job.status == jobs.Status.SUCCEEDED and listed
    name = ids.show(ids.Prefix.JOB, job.id)
    return ReportJob(
        id=name,
        job_id=name,
        kind="report",
        status=job.status,
        progress=job.progress,
        message=job.message,
        error=job.error if job.status == jobs.Status.FAILED else None,
        name=run.name,
        template=run.template,
        window=run.window,
        formats=run.formats,
        run_id=run.id,
        download_url=listed[0].download_url if done else None,
        files=listed if done else [],
        created_at=job.created_at,
        started_at=job.started_at,
        finished_at=job.finished_at,
    )
