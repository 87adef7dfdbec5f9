"""Exports: every list's rows as a file, asked for where the list is; one page shows how far they are, and keeps their links."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import parse_qsl

from fastapi import APIRouter, Form, Query
from sqlalchemy import select
from starlette.responses import Response

from everfix import deps
from everfix.core import clock, fields, ids, jobs, links
from everfix.core.crypto import Keys
from everfix.core.jobs import Job
from everfix.documents.model import Unit
from everfix.errors import Invalid, NotFound
from everfix.exports import options, requests, resources
from everfix.exports.requests import Export, ExportFile
from everfix.identity.principals import Scope
from everfix.settings import Settings
from everfix.web import reports, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
SHOWN = 50
# How a CSV file is written for whom: the options of `exports.options`.
CSV: dict[str, tuple[str, Json]] = {
    "plain": ("for programs: comma, UTF-8", {}),
    "excel": ("for Excel: comma", {"bom": True}),
    "excel-comma": ("for Excel where a comma is the decimal sign", {"bom": True, "decimal": ",", "delimiter": ";"}),
}
Forms = Annotated[str, Query(max_length=10)]


@router.get("/exports")
def listed(
    visit: session.sees(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    settings: deps.Config,
    keys: deps.SigningKeys,
    before: Annotated[str, Query(max_length=64)] = "",
) -> Response:
    """What may be exported, and the exports there were, newest first."""
    requests.permit(visit.who)
    own = [one for one in resources.RESOURCES.values() if requests.permitted(visit.who, one.name)]
    query = select(Export).where(Export.resource.in_([one.name for one in own]))
    if last := shell.shown_id(ids.Prefix.EXPORT, before):
        query = query.where(Export.id < last)
    found = list(visit.db.execute(query.order_by(Export.id.desc()).limit(SHOWN + 1)).scalars())
    return shell.page(
        visit,
        "exports/page.html",
        resources=[(one.name, one.title, ", ".join(one.filter.model_fields)) for one in own],
        formats=formats(),
        csv=[(key, words) for key, (words, _) in CSV.items()],
        exports=[_one(visit, export, settings, keys) for export in found[:SHOWN]],
        older=ids.show(ids.Prefix.EXPORT, found[SHOWN - 1].id) if len(found) > SHOWN else "",
        first=not before,
    )


def formats() -> list[tuple[str, str]]:
    """Return the formats of exports with their names."""
    return [(key, reports.FORMAT_NAMES[key]) for key in requests.FORMATS]


@router.post("/exports")
def create(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    settings: deps.Config,
    keys: deps.SigningKeys,
    resource: Annotated[str, Form(max_length=64)],
    format: Annotated[str, Form(max_length=20)] = "csv",
    filters: Annotated[str, Form(max_length=4000)] = "",
    csv: Annotated[str, Form(max_length=20)] = "plain",
) -> Response:
    """Start an export of what a list shows; `filters` are those of the list, written as an address has them."""
    if csv not in CSV:
        raise Invalid(f"there is no way {csv!r} to write CSV", details={"csv": f"one of {', '.join(CSV)}"})
    try:
        narrowed = dict(parse_qsl(fields.storable(filters), strict_parsing=bool(filters)))
    except ValueError as problem:
        raise Invalid("filters are written as name=value&name=value", details={"filters": filters[:100]}) from problem
    how = options.read({"timezone": visit.here.timezone, **(CSV[csv][1] if format.strip().lower() == "csv" else {})})
    made = requests.request(visit.db, visit.who, resource=resource, format=format, filters=narrowed, options=how)
    return _answer(visit, made, "toast", settings, keys)


@router.get("/exports/{export_id}")
def one(
    visit: session.sees(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    export_id: str,
    settings: deps.Config,
    keys: deps.SigningKeys,
    form: Forms = "row",
) -> Response:
    """How far an export is, as a row of the page or as a note on another one."""
    return _answer(visit, _permitted(visit, export_id), form, settings, keys)


@router.post("/exports/{export_id}/cancel")
def cancel(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    export_id: str,
    settings: deps.Config,
    keys: deps.SigningKeys,
    form: Annotated[str, Form(max_length=10)] = "row",
) -> Response:
    """Ask an export to stop."""
    export = _permitted(visit, export_id)
    requests.cancel(visit.db, visit.who, export)
    return _answer(visit, export, form, settings, keys)


def _permitted(visit: Visit, text: str) -> Export:
    wanted = shell.shown_id(ids.Prefix.EXPORT, text)
    if wanted is None:
        raise NotFound("there is no such export")
    export = requests.get(visit.db, wanted)
    requests.permit(visit.who, resources.get(export.resource))
    return export


def _answer(visit: Visit, export: Export, form: str, settings: Settings, keys: Keys) -> Response:
    if form not in ("row", "toast"):
        raise Invalid(f"an export has no form {form!r}", details={"form": "row or toast"})
    if not shell.is_partial(visit.request):
        return shell.go("/exports")
    return shell.page(visit, f"exports/{form}.html", one=_one(visit, export, settings, keys), fresh=True)


def _one(visit: Visit, export: Export, settings: Settings, keys: Keys) -> Json:
    """Return an export as a row shows it, with links that work for a while."""
    reader = shown.Reader.of(visit.here)
    job = None if export.job_id is None else visit.db.execute(select(Job).where(Job.id == export.job_id)).scalar_one_or_none()
    status = requests.status(export, job)
    active = job is not None and status not in jobs.FINAL
    until = clock.now() + timedelta(seconds=settings.link_seconds)
    found = requests.files(visit.db, [export.id])[export.id] if status == jobs.Status.SUCCEEDED else []
    given = [file for file in (requests.delivered(found), *(file for file in found if file.kind == requests.MANIFEST)) if file]
    return {
        "id": ids.show(ids.Prefix.EXPORT, export.id),
        "title": resources.RESOURCES[export.resource].title,
        "format": reports.FORMAT_NAMES[export.format],
        "filters": "; ".join(f"{name.replace('_', ' ')}: {_words(value)}" for name, value in export.filters.items()),
        "status": status,
        "active": active,
        "percent": round(100 * job.progress) if job else 100,
        "message": ("stopping" if job.cancel_requested else job.message or "waiting for a worker") if job and active else "",
        "error": (job.error or "") if job and status == jobs.Status.FAILED else "",
        "rows": "" if export.rows is None or not found else f"{export.rows:,} {'row' if export.rows == 1 else 'rows'}",
        "made": reader.moment(export.created_at),
        "by": export.requested_by,
        "took": _took(reader, export.created_at, export.finished_at or (job.finished_at if job else None)),
        "files": [_file(visit.who.name, file, settings, keys) for file in given],
        "until": reader.moment(until),
    }


def _words(value: object) -> str:
    return ", ".join(map(str, value)) if isinstance(value, list) else str(value)


def _took(reader: shown.Reader, start: datetime, end: datetime | None) -> str:
    if end is None:
        return ""
    seconds = (end - start).total_seconds()
    return f"{seconds:.1f} s" if seconds < 60 else reader.words(seconds, Unit.SECONDS)


def _file(by: str, file: ExportFile, settings: Settings, keys: Keys) -> Json:
    return {
        "href": links.download(settings, keys, file.workspace_id, file.id, by=by),
        "filename": file.filename,
        "manifest": file.kind == requests.MANIFEST,
        "size": reports.size_words(file.size),
        "sha256": file.sha256,
    }
