"""`/v1/reports` and `/v1/reports/{id}`: saved reports."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Response
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from everfix.api import pages
from everfix.api.v1.report_bodies import Destinations, Framed, Parts
from everfix.api.v1.report_runs import ReportId
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.delivery import targets
from everfix.deps import Config, Db, Page, needs
from everfix.documents.model import Document
from everfix.identity.principals import Principal, Scope
from everfix.reports import definitions, previews
from everfix.reports.definitions import Definition

router = APIRouter(prefix="/reports", tags=["reports"])
Reader = Annotated[Principal, needs(Scope.REPORTS_READ)]
Writer = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
SORTS = pages.Sorts({"created_at": Definition.created_at, "updated_at": Definition.updated_at, "name": Definition.name}, "-created_at")
FIELDS = ("name", "description", "template", "sections", "narrative", "enabled", "run_as", "destinations", "brand")


class ReportChange(Framed):
    """What may be changed of a saved report."""

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    description: types.text(2000) | None = None  # type: ignore[valid-type]
    template: types.text(64) | None = None  # type: ignore[valid-type]
    sections: Parts | None = None
    narrative: types.JsonObject | None = None
    enabled: bool | None = None
    run_as: types.text(20) | None = None  # type: ignore[valid-type]
    destinations: Destinations | None = None
    brand: types.JsonObject | None = None


class ReportNew(ReportChange):
    """A report to save. What is not given is the template's; sections without a template make a blank report."""

    name: types.text(200, 1)  # type: ignore[valid-type]


class ReportOut(BaseModel):
    """A saved report. `format` is the first of `formats`."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.REPORT)  # type: ignore[valid-type]
    name: str
    description: str
    template: str
    sections: list[Json]
    window: str
    format: str
    formats: list[str]
    filters: Json
    narrative: Json
    enabled: bool
    origin: str
    run_as: str
    owner_user_id: ids.field(ids.Prefix.USER) | None  # type: ignore[valid-type]
    adopted_by: str | None
    destinations: list[UUID]
    brand: Json
    created_by: str
    created_at: datetime
    updated_at: datetime


class PreviewAs(BaseModel):
    """Whose eyes to see a report through: a recipient's address, or nobody's (your own)."""

    model_config = ConfigDict(extra="forbid")

    recipient: types.text(320) | None = None  # type: ignore[valid-type]
    recipient_filters: types.JsonObject | None = None


class PreviewOut(BaseModel):
    """A report as it would be now; nothing is stored or sent."""

    executor: str
    filters: Json
    document: Document


def shown(found: Definition) -> ReportOut:
    """Return a saved report as the API shows it."""
    names = [name for name in ReportOut.model_fields if name != "format"]
    return ReportOut(format=found.formats[0], **{name: getattr(found, name) for name in names})


@router.get("")
def listed(db: Db, who: Reader, page: Page) -> pages.PageOf[ReportOut]:
    """Saved reports, newest first."""
    query = select(Definition).where(Definition.origin != "schedule")
    return pages.page(db, page, query, Definition.id, SORTS, lambda rows: [shown(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: ReportNew) -> ReportOut:
    """Save a report."""
    given = body.columns(*FIELDS)
    targets.check_destinations(db, given.get("destinations") or ())
    given.setdefault("template", "blank" if given.get("sections") else "executive_summary")
    return shown(definitions.create(db, who, **given))


@router.get("/{report_id}")
def one(db: Db, who: Reader, report_id: ReportId) -> ReportOut:
    """One saved report."""
    return shown(definitions.get(db, report_id))


@router.patch("/{report_id}")
def change(db: Db, who: Writer, report_id: ReportId, body: ReportChange) -> ReportOut:
    """Change what is sent: name, description, format, filters, and the rest."""
    given = body.columns(*FIELDS)
    targets.check_destinations(db, given.get("destinations") or ())
    return shown(definitions.change(db, report_id, who, **given))


@router.delete("/{report_id}", status_code=204)
def remove(db: Db, who: Writer, report_id: ReportId) -> Response:
    """Remove a report and its schedules; its runs are records and stay."""
    definitions.remove(db, report_id, who)
    return Response(status_code=204)


@router.post("/{report_id}/adopt")
def adopt(db: Db, who: Annotated[Principal, needs(Scope.WORKSPACE_WRITE)], report_id: ReportId) -> ReportOut:
    """Let a report whose owner has left go on under the workspace's rights."""
    return shown(definitions.adopt(db, report_id, who))


@router.post("/{report_id}/preview")
def preview(db: Db, who: Writer, report_id: ReportId, body: PreviewAs, settings: Config) -> PreviewOut:
    """See a report as it would be now, as yourself or as one of its recipients."""
    made = previews.seen_as(db, report_id, who.name, settings.url, recipient=body.recipient, own=body.recipient_filters)
    return PreviewOut(executor=made.executor, filters=made.filters, document=made.document)
