"""`/v1/exports`: the raw rows of a resource as a file, made in the background."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import AfterValidator, BaseModel, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.api import fields, pages
from everfix.api.v1 import downloads
from everfix.core import fields as types
from everfix.core import ids, jobs
from everfix.core.crypto import Keys
from everfix.core.db import Json
from everfix.core.jobs import Job
from everfix.deps import Config, Db, Page, SigningKeys, needs
from everfix.exports import requests, resources
from everfix.exports.options import Options
from everfix.exports.requests import Export, ExportFile
from everfix.identity.principals import Principal, Scope
from everfix.settings import Settings

router = APIRouter(prefix="/exports", tags=["exports"])
ExportId = Annotated[UUID, fields.path_id(ids.Prefix.EXPORT, "export", "export_id")]
Taker = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
SORTS = pages.Sorts({"created_at": Export.created_at}, "-created_at")


class NewExport(Options):
    """What to export. `resource`, `format` (csv, xlsx, json, pdf) in either case; `filters` are those of the resource's list."""

    resource: types.text(64)  # type: ignore[valid-type]
    format: types.text(20) = "csv"  # type: ignore[valid-type]
    filters: Annotated[types.JsonObject, AfterValidator(dict)] = Field(default_factory=dict)
    include_analysis: bool = Field(False, description="Issues: with the columns of the analysis (pattern, confidence, recurrence …).")

    def options(self) -> Options:
        """Return how the file is to be written."""
        return Options.model_validate({name: getattr(self, name) for name in Options.model_fields})


class ExportFileOut(BaseModel):
    """One file, with a link that works without signing in until it expires."""

    kind: str
    filename: str
    media_type: str
    size: int
    sha256: str
    download_url: str


class ExportOut(BaseModel):
    """An export. `status` is queued, running, succeeded, failed or cancelled; once succeeded, `download_url` leads to the one file
    that holds all rows (a ZIP of several parts where they are many), `manifest_url` to what it holds.
    """

    id: ids.field(ids.Prefix.EXPORT)  # type: ignore[valid-type]
    job_id: ids.field(ids.Prefix.JOB) | None  # type: ignore[valid-type]
    kind: str = "export"
    status: str
    progress: float
    message: str
    error: str | None
    resource: str
    format: str
    filters: Json
    options: Json
    include_analysis: bool
    columns: list[str]
    rows: int | None
    requested_by: str
    download_url: str | None
    manifest_url: str | None
    files: list[ExportFileOut]
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


@router.post("", status_code=202)
def create(db: Db, who: Taker, body: NewExport, settings: Config, keys: SigningKeys) -> ExportOut:
    """Start an export; poll it until its `status` is `succeeded`."""
    made = requests.request(
        db,
        who,
        resource=body.resource,
        format=body.format,
        filters=body.filters,
        options=body.options(),
        analysis=body.include_analysis,
    )
    return shown(db, who, [made], settings, keys)[0]


@router.get("")
def listed(db: Db, who: Taker, page: Page, settings: Config, keys: SigningKeys) -> pages.PageOf[ExportOut]:
    """The exports that the caller may have, newest first."""
    requests.permit(who)
    own = [name for name in resources.RESOURCES if requests.permitted(who, name)]
    query = select(Export).where(Export.resource.in_(own))
    return pages.page(db, page, query, Export.id, SORTS, lambda rows: shown(db, who, rows, settings, keys))


@router.get("/{export_id}")
def one(db: Db, who: Taker, export_id: ExportId, settings: Config, keys: SigningKeys) -> ExportOut:
    """One export; once `succeeded` it has a `download_url`."""
    return shown(db, who, [_permitted(db, who, export_id)], settings, keys)[0]


@router.post("/{export_id}/cancel")
def cancel(db: Db, who: Taker, export_id: ExportId, settings: Config, keys: SigningKeys) -> ExportOut:
    """Ask an export to stop; what it has written is removed in time."""
    export = _permitted(db, who, export_id)
    requests.cancel(db, who, export)
    return shown(db, who, [export], settings, keys)[0]


def _permitted(db: Session, who: Principal, export_id: UUID) -> Export:
    export = requests.get(db, export_id)
    requests.permit(who, resources.get(export.resource))
    return export


def shown(db: Session, who: Principal, found: Sequence[Export], settings: Settings, keys: Keys) -> list[ExportOut]:
    """Return exports as the API shows them, with fresh links for whom they are meant."""
    wanted = [export.job_id for export in found if export.job_id is not None]
    by_id = {job.id: job for job in db.execute(select(Job).where(Job.id.in_(wanted))).scalars()}
    files = requests.files(db, [export.id for export in found])
    return [_shown(export, by_id.get(export.job_id) if export.job_id else None, files[export.id], who, settings, keys) for export in found]


def _shown(export: Export, job: Job | None, files: Sequence[ExportFile], who: Principal, settings: Settings, keys: Keys) -> ExportOut:
    status = requests.status(export, job)
    may = status == jobs.Status.SUCCEEDED and requests.permitted(who, export.resource)
    chosen = [file for file in (requests.delivered(files), *(file for file in files if file.kind == requests.MANIFEST)) if file and may]
    linked = [_file(file, who, settings, keys) for file in chosen]
    same: dict[str, Any] = {
        name: getattr(export, name)
        for name in ("id", "job_id", "resource", "format", "filters", "options", "columns", "rows", "requested_by", "created_at")
    }
    return ExportOut(
        **same,
        status=status,
        progress=job.progress if job else 1.0,
        message=job.message if job else "",
        error=job.error if job and job.status == jobs.Status.FAILED else None,
        include_analysis=export.analysis,
        download_url=next((file.download_url for file in linked if file.kind != requests.MANIFEST), None),
        manifest_url=next((file.download_url for file in linked if file.kind == requests.MANIFEST), None),
        files=linked,
        started_at=job.started_at if job else None,
        finished_at=job.finished_at if job else export.finished_at,
    )


def _file(file: ExportFile, who: Principal, settings: Settings, keys: Keys) -> ExportFileOut:
    url = downloads.link(settings, keys, file.workspace_id, file.id, by=who.name)
    return ExportFileOut(
        kind=file.kind, filename=file.filename, media_type=file.media_type, size=file.size, sha256=file.sha256, download_url=url
    )
