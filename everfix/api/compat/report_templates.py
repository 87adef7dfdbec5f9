"""`/api/v1/reports`: preview, templates, run-now, and a report saved from a dashboard."""

from __future__ import annotations

import base64
import time
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Query, Request
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import documents
from everfix.api import fields
from everfix.api.compat import report_bodies, report_runs, report_schedules, shapes
from everfix.api.compat.doors import Editor, EditorInPassing, Viewer, ViewerInPassing
from everfix.core import ids
from everfix.core.db import Json
from everfix.core.jobs import FINAL
from everfix.deps import Db
from everfix.documents.model import Document
from everfix.identity.principals import Principal
from everfix.reports import definitions, orders, previews, runs, saving, schedules, sending
from everfix.reports.runs import Run

router = APIRouter(prefix="/reports", tags=["report templates"])
TemplateId = Annotated[UUID, fields.path_id(ids.Prefix.REPORT, "report template", "template_id")]
WAIT_SECONDS = 20.0  # how long run-now waits for its run before it answers with what there is
LOOK_SECONDS = 0.2


class Saved(report_bodies.Created):
    """A dashboard as a report, with the schedule that delivers it."""

    dashboard: str = Field(max_length=40)
    schedule: report_schedules.OfTemplate | None = None


class SavedOut(shapes.Shape):
    """What came of it."""

    template: report_bodies.Out
    schedule: report_schedules.Out | None


@router.post("/preview")
def preview(request: Request, who: EditorInPassing, body: report_bodies.Body) -> Json:
    """What an unsaved report would say, with its files as base64; nothing is stored, nothing is sent."""
    found = report_bodies.parts(body)

    def order(_: Session) -> Run:
        return runs.new(
            who,
            template="blank",
            sections=found,
            window=report_bodies.window(found),
            formats=list(body.formats),
            name=body.name,
            inputs={"narrative": report_bodies.narrative(body.narrative)},
        )

    return _previewed(request, who, order, list(body.formats))


@router.post("/templates/{template_id}/preview")
def preview_template(request: Request, who: ViewerInPassing, template_id: TemplateId) -> Json:
    """What a saved report would say now, with its files as base64; nothing is stored, nothing is sent."""

    def order(db: Session) -> Run:
        return orders.ordered(definitions.get(db, template_id), None, who.name)

    return _previewed(request, who, order, None)


def _previewed(request: Request, who: Principal, order: Any, formats: list[str] | None) -> Json:  # noqa: ANN401 - a function of a session
    """Build the Document outside of the request's transaction, and show it; `formats` None means the report's own."""
    installation = request.app.state.installation
    wanted: list[str] = []

    def noted(db: Session) -> Run:
        run: Run = order(db)
        wanted.extend(run.formats if formats is None else formats)
        return run

    document = previews.document(installation, who.workspace, noted)
    return {
        "sections": report_runs.sections_data(document),
        "narrative": report_runs.narrative_output(document),
        "artifacts": [_inline(document, format_) for format_ in wanted],
    }


def _inline(document: Document, format_: str) -> Json:
    body = documents.render(document, format_)
    return {
        "format": format_,
        "filename": documents.filename(document, format_),
        "contentType": documents.renderer(format_).media_type,
        "size": len(body),
        "contentBase64": base64.b64encode(body).decode(),
    }


@router.get("/templates")
def listed(db: Db, who: Viewer) -> dict[str, list[report_bodies.Out]]:
    """Every saved report, newest first."""
    return {"data": [report_bodies.shown(found) for found in definitions.listed(db)]}


@router.post("/templates", status_code=201)
def create(db: Db, who: Editor, body: report_bodies.Created) -> report_bodies.Out:
    """Save a report."""
    return report_bodies.shown(definitions.create(db, who, **report_bodies.values(db, body)))


@router.get("/templates/{template_id}")
def one(db: Db, who: Viewer, template_id: TemplateId) -> report_bodies.Out:
    """One saved report."""
    return report_bodies.shown(definitions.get(db, template_id))


@router.patch("/templates/{template_id}")
def change(db: Db, who: Editor, template_id: TemplateId, body: report_bodies.Changed) -> report_bodies.Out:
    """Change what is sent; the data sources of a report saved from a dashboard stay as they are."""
    given = report_bodies.changes(db, definitions.get(db, template_id), body)
    return report_bodies.shown(definitions.change(db, template_id, who, **given))


@router.delete("/templates/{template_id}", status_code=204)
def remove(db: Db, who: Editor, template_id: TemplateId) -> Response:
    """Remove a report and its schedules; its runs stay, they are records."""
    definitions.remove(db, template_id, who)
    return Response(status_code=204)


@router.post("/save-dashboard", status_code=201)
def save_dashboard(db: Db, who: Editor, body: Saved) -> SavedOut:
    """Save what a dashboard shows as a report, and the schedule with it: both, or neither."""
    schedule = report_schedules.verbs(body.schedule) if body.schedule is not None else None
    made, planned = saving.dashboard(db, who, schedule, **report_bodies.values(db, body))
    return SavedOut(template=report_bodies.shown(made), schedule=report_schedules.shown(planned) if planned else None)


@router.post("/templates/{template_id}/run-now", status_code=202)
def run_now(
    request: Request, who: EditorInPassing, template_id: TemplateId, wait: Annotated[float | None, Query(ge=0, le=60)] = None
) -> Json:
    """Run a report now and deliver it. Answers when the run is finished, or after `wait` seconds with what there is: then poll the run."""
    installation = request.app.state.installation
    with installation.database.transaction(who.workspace) as db:
        way = sending.means(installation.settings, installation.keys)
        run = orders.place(db, way, who, template_id, destinations=schedules.destinations(db, definitions.get(db, template_id)))
    deadline = time.monotonic() + (WAIT_SECONDS if wait is None else wait)
    while True:
        with installation.database.transaction(who.workspace) as db:
            found = report_runs.shown(db, [runs.get(db, run.id)])[0]
        ended = found["status"] in FINAL or found["status"] in runs.FINAL
        if (ended and all(item["status"] in report_runs.SETTLED for item in found["deliveryResults"])) or time.monotonic() >= deadline:
            return {"runId": found["id"], **found}
        time.sleep(LOOK_SECONDS)
