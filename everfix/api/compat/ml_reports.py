"""`/api/reports`: reports on ML work as their clients know them; and the PDF of a privacy session.

POST /api/reports                                  order one: project, kind, entity, options → 201
GET  /api/reports?project_id=…                     list, newest first
GET  /api/reports/{report_id}                      one, under `report`
GET  /api/reports/{report_id}/view                 inline, HTML unless ?format=pdf; 409 until it is ready
GET  /api/reports/{report_id}/download             attachment, PDF unless ?format=html; 409 until it is ready
GET  /api/jobs/{job_id}                            the job behind it, under `job`
GET  /api/privacy/sessions/{session_id}/report     PDF of a privacy session
"""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import BaseModel, ConfigDict
from sqlalchemy import func, select
from starlette.responses import Response

from everfix import audit, ranges
from everfix.api import fields
from everfix.api.compat import shapes
from everfix.api.compat.doors import Editor, Viewer, ViewerInPassing
from everfix.core import clock, ids, jobs
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Db, Files
from everfix.errors import Conflict, Invalid, NotFound, Unavailable
from everfix.ml import privacy, projects
from everfix.reports import runs
from everfix.reports.ml import entities, subjects
from everfix.reports.ml.options import KINDS
from everfix.reports.ml.subjects import Subject

router = APIRouter(tags=["ML reports"])
ReportId = Annotated[UUID, fields.path_id(ids.Prefix.RUN, "report", "ml_report_id")]
JobId = Annotated[UUID, fields.path_id(ids.Prefix.JOB, "job", "job_id")]
SessionId = Annotated[UUID, fields.path_id(ids.Prefix.PRIVACY_SESSION, "privacy session", "privacy_session_id")]
Format = Annotated[Literal["html", "pdf"] | None, Query(alias="format", description="html or pdf; the route's own default otherwise.")]
READY = "succeeded"
# Shown in a frame of our own pages only; the page itself may run nothing and fetch nothing.
FRAMED = {
    "Content-Security-Policy": (
        "sandbox allow-popups allow-popups-to-escape-sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:; frame-ancestors 'self'"
    ),
    "X-Frame-Options": "SAMEORIGIN",
}
PDF_FRAMED = {
    "Content-Security-Policy": "default-src 'none'; object-src 'self'; style-src 'unsafe-inline'; frame-ancestors 'self'",
    "X-Frame-Options": "SAMEORIGIN",
}


class Order(BaseModel):
    """A report to make. Unknown keys are ignored, here and in `options`."""

    model_config = ConfigDict(extra="ignore")

    project_id: types.text(200, 1)  # type: ignore[valid-type]
    kind: types.text(200, 1)  # type: ignore[valid-type]
    entity_id: types.text(200, 1)  # type: ignore[valid-type]
    options: types.JsonObject | None = None


class Ordered(BaseModel):
    """What was ordered: poll the report until its status is `succeeded` or `failed`."""

    report_id: str
    job_id: str
    status: str


def _project(text: str) -> UUID:
    try:
        return ids.parse(ids.Prefix.ML_PROJECT, text)
    except ValueError as problem:
        raise Invalid(
            f"project_id: {text[:80]!r} is no id; a UUID or a prefixed id is", details={"project_id": "a UUID, or a prefixed id"}
        ) from problem


@router.post("/api/reports", status_code=201)
def create(db: Db, who: Editor, body: Order) -> Ordered:
    """Order a report. The kinds are experiment, model, project, synthgen and deployment; `entity_id` names one of that kind in the project."""
    run = subjects.create(db, who, project_id=_project(body.project_id), kind=body.kind, entity_id=body.entity_id, options=body.options)
    return Ordered(report_id=str(run.id), job_id=str(run.job_id), status="queued")


@router.get("/api/reports")
def listed(
    db: Db,
    who: Viewer,
    project_id: Annotated[str, Query(max_length=200, description="Whose reports; required.")],
    kind: Annotated[str | None, Query(max_length=60)] = None,
    entity_id: Annotated[str | None, Query(max_length=200)] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    offset: Annotated[int, Query(ge=0, le=10_000_000)] = 0,
) -> Json:
    """The reports of a project, newest first; `total` counts all that match."""
    home = _project(project_id)
    projects.get(db, home, who)
    if kind is not None and kind not in KINDS:
        raise Invalid(f"kind: {kind[:60]!r} is not allowed; one of {', '.join(KINDS)} is", details={"kind": f"one of {', '.join(KINDS)}"})
    query = subjects.listed(who, home, kind, entities.parse(entity_id) if entity_id is not None else None)
    total = db.execute(select(func.count()).select_from(query.order_by(None).subquery())).scalar_one()
    rows = list(db.execute(query.limit(limit).offset(offset)))
    files = subjects.files(db, [run.id for _, run in rows])
    return {"items": [_shown(subject, run, files[run.id]) for subject, run in rows], "total": total, "limit": limit, "offset": offset}


@router.get("/api/reports/{ml_report_id}")
def one(db: Db, who: Viewer, ml_report_id: ReportId) -> Json:
    """One report, with its options and, where it failed, why."""
    subject, run = subjects.get(db, ml_report_id, who)
    shown = _shown(subject, run, subjects.files(db, [run.id])[run.id])
    more = {
        "job_id": _text(run.job_id),
        "updated_at": _zulu(run.finished_at or run.started_at or run.created_at),
        "options": subject.options,
        "error": run.reason if shown["status"] == "failed" else None,
    }
    return {"report": {**shown, **more}}


def _shown(subject: Subject, run: runs.Run, files: dict[str, runs.File]) -> Json:
    status = subjects.shown(run.status)
    ready = status == READY and "pdf" in files
    return {
        "id": str(run.id),
        "project_id": str(subject.project_id),
        "kind": subject.kind,
        "entity_id": str(subject.entity_id),
        "status": status,
        "summary": {**subject.summary, "bytes": files["pdf"].size} if ready and subject.summary else subject.summary,
        "artifact_id": str(files["pdf"].id) if ready else None,
        "created_at": _zulu(subject.created_at),
    }


def _zulu(value: datetime) -> str:
    return shapes.zulu(value)


def _text(value: UUID | None) -> str | None:
    return None if value is None else str(value)


@router.get("/api/reports/{ml_report_id}/view", response_class=Response)
def view(request: Request, db: Db, who: Viewer, files: Files, ml_report_id: ReportId, wanted: Format = None) -> Response:
    """The report in the browser, also in a frame of this server's own pages."""
    made = _file(request, db, who, files, ml_report_id, wanted or "html", "inline")
    made.headers.update(FRAMED if (wanted or "html") == "html" else PDF_FRAMED)
    return made


@router.get("/api/reports/{ml_report_id}/download", response_class=Response)
def download(request: Request, db: Db, who: Viewer, files: Files, ml_report_id: ReportId, wanted: Format = None) -> Response:
    """The report as a file."""
    made = _file(request, db, who, files, ml_report_id, wanted or "pdf", "attachment")
    if ranges.begins(request):
        audit.record(db, who, audit.Action.REPORT_DOWNLOADED, "run", ml_report_id, {"format": wanted or "pdf"})
    return made


def _file(request: Request, db: Any, who: Any, files: Any, report_id: UUID, wanted: str, how: str) -> Response:  # noqa: ANN401 - as in the routes
    subject, run = subjects.get(db, report_id, who)
    status = subjects.shown(run.status)
    if status == "failed":
        raise Conflict(run.reason or "the report could not be made")
    if status != READY:
        raise Conflict(f"the report is not ready yet: it is {status}")
    file = subjects.files(db, [run.id])[run.id].get(wanted)
    if file is None:
        raise NotFound(f"the {wanted} file of this report is no longer kept")
    made = ranges.answer(request, files, file)
    name = f"report-{subject.kind}-{str(run.id)[:8]}.{wanted}"
    made.headers["Content-Disposition"] = f"{how}; filename=\"{name}\"; filename*=UTF-8''{name}"
    return made


@router.get("/api/jobs/{job_id}")
def job(db: Db, who: Viewer, job_id: JobId) -> Json:
    """The job behind a report, or any other: its status, how far it is, and why it failed."""
    found = jobs.get(db, job_id)
    run = db.execute(select(runs.Run).where(runs.Run.job_id == job_id)).scalar_one_or_none()
    if run is None and found.kind == "reports.run":
        raise NotFound(f"no job {job_id}")  # a report that this caller may not see
    about = subjects.of_run(db, run.id) if run is not None else None
    return {
        "job": {
            "id": str(found.id),
            "job_id": str(found.id),
            "type": "report_generate" if about is not None else found.kind,
            "status": subjects.shown(found.status),
            "progress": found.progress,
            "message": found.message,
            "error": found.error if found.status in (jobs.Status.FAILED, jobs.Status.CANCELLED) else None,
            "report_id": str(run.id) if about is not None and run is not None else None,
            "created_at": _zulu(found.created_at),
        }
    }


@router.get("/api/privacy/sessions/{privacy_session_id}/report", response_class=Response)
def privacy_report(request: Request, who: ViewerInPassing, privacy_session_id: SessionId) -> Response:
    """The PDF of a privacy session, made on the spot from what was registered of it."""
    installation = request.app.state.installation
    with installation.database.transaction(who.workspace) as db:
        row = projects.belonging(db, privacy.PrivacySession, privacy_session_id, who)
    body = _privacy_pdf(installation, who.workspace, row)
    name = f"report-privacy-{str(privacy_session_id)[:8]}.pdf"
    headers = {
        "Content-Disposition": f"inline; filename=\"{name}\"; filename*=UTF-8''{name}",
        "Cache-Control": "private, no-store",
        **PDF_FRAMED,
    }
    return Response(body, 200, headers, "application/pdf")


def _privacy_pdf(installation: Any, workspace: UUID, row: privacy.PrivacySession) -> bytes:  # noqa: ANN401 - as in the route
    try:
        from everfix.reports.ml import build  # noqa: PLC0415 - heavy libraries that a server need not have
    except ModuleNotFoundError as missing:
        raise Unavailable(f"reports on ML work need the extra everfix[ml] on this server: {missing.name} is not installed") from missing
    return build.privacy_pdf(installation, workspace, row, clock.now())
