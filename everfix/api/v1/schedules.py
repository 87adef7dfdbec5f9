"""`/v1/reports/schedules` and `/v1/reports/{id}/schedules`: when a report is made, and to whom it goes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query, Response
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.api import fields, pages
from everfix.api.v1 import report_runs
from everfix.api.v1.report_bodies import Destinations, Framed, Recipients
from everfix.api.v1.report_runs import Queued, ReportId
from everfix.core import clock, ids
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Config, Db, Page, SigningKeys, needs
from everfix.errors import NotFound
from everfix.identity.principals import Principal, Scope
from everfix.reports import calendar, definitions, orders, schedules, sending
from everfix.reports.definitions import Definition
from everfix.reports.schedules import Schedule

router = APIRouter(prefix="/reports", tags=["schedules"])
ScheduleId = Annotated[UUID, fields.path_id(ids.Prefix.SCHEDULE, "schedule", "schedule_id")]
Reader = Annotated[Principal, needs(Scope.REPORTS_READ)]
Writer = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
SORTS = pages.Sorts({"created_at": Schedule.created_at, "next_run_at": Schedule.next_run_at, "name": Schedule.name}, "-created_at")
FIELDS = (
    *("name", "cron", "timezone", "recipients", "destinations", "enabled", "paused_until", "start_at", "end_at", "misfire", "calendar"),
    *("spread_seconds", "freshness", "condition", "recipient_filters"),
)


class ScheduleChange(Framed):
    """What may be changed of a schedule; `null` empties `paused_until`, `start_at`, `end_at` and `freshness`."""

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    cron: types.text(200) | None = None  # type: ignore[valid-type]
    timezone: types.text(64) | None = None  # type: ignore[valid-type]
    report_type: types.text(64) | None = None  # type: ignore[valid-type]
    recipients: Recipients | None = None
    destinations: Destinations | None = None
    enabled: bool | None = None
    paused_until: types.Moment | None = None
    start_at: types.Moment | None = None
    end_at: types.Moment | None = None
    misfire: types.text(20) | None = None  # type: ignore[valid-type]
    calendar: types.JsonObject | None = None
    spread_seconds: Annotated[int, Field(ge=0, le=schedules.SPREAD_MOST)] | None = None
    freshness: types.JsonObject | None = None
    condition: types.JsonObject | None = None
    recipient_filters: types.JsonObject | None = None


class ScheduleOfReport(ScheduleChange):
    """A schedule of one report."""

    name: types.text(200, 1) = "Schedule"  # type: ignore[valid-type]
    cron: types.text(200, 1)  # type: ignore[valid-type]


class ScheduleNew(ScheduleOfReport):
    """A schedule of the workspace: of a report by `report_id`, or of a template by `report_type`."""

    report_id: ids.field(ids.Prefix.REPORT) | None = None  # type: ignore[valid-type]


class ScheduleOut(BaseModel):
    """A schedule. `next_run_at` is when it fires next; null when it never will again."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.SCHEDULE)  # type: ignore[valid-type]
    name: str
    report_id: ids.field(ids.Prefix.REPORT)  # type: ignore[valid-type]
    report_name: str
    report_type: str
    cron: str
    timezone: str
    window: str
    format: str
    formats: list[str]
    filters: Json
    recipients: list[str]
    destinations: list[UUID]
    enabled: bool
    paused_until: datetime | None
    start_at: datetime | None
    end_at: datetime | None
    misfire: str
    calendar: Json
    spread_seconds: int
    freshness: Json | None
    condition: Json
    recipient_filters: Json
    next_run_at: datetime | None
    last_run_at: datetime | None
    last_status: str
    created_by: str
    created_at: datetime
    updated_at: datetime


class FireOut(BaseModel):
    """One firing, by the clock of the world and of the zone; `note` says what the clock does on that day."""

    utc: datetime
    local: str
    note: str


class FiresOut(BaseModel):
    """The next firings."""

    cron: str
    timezone: str
    fires: list[FireOut]


class Pause(BaseModel):
    """Until when to rest; without it until resumed."""

    model_config = ConfigDict(extra="forbid")

    until: types.Moment | None = None


def shown(db: Session, found: list[Schedule]) -> list[ScheduleOut]:
    """Return schedules as the API shows them."""
    names = {item.definition_id for item in found}
    reports = {row.id: row for row in db.execute(select(Definition).where(Definition.id.in_(names))).scalars()}
    return [_one(item, reports[item.definition_id]) for item in found]


def _one(found: Schedule, report: Definition) -> ScheduleOut:
    same = {name: getattr(found, name) for name in ScheduleOut.model_fields if hasattr(found, name)}
    formats = found.formats or report.formats
    more = {"window": found.window or report.window, "formats": formats, "format": formats[0], "filters": report.filters}
    return ScheduleOut(**{**same, **more, "report_id": report.id, "report_name": report.name, "report_type": report.template})


def _fires(cron: str, timezone: str, fires: list[calendar.Fire]) -> FiresOut:
    return FiresOut(
        cron=cron, timezone=timezone, fires=[FireOut(utc=fire.at, local=fire.local.isoformat(), note=fire.note) for fire in fires]
    )


@router.get("/schedules")
def listed(db: Db, who: Reader, page: Page) -> pages.PageOf[ScheduleOut]:
    """Every schedule of the workspace, newest first."""
    return pages.page(db, page, select(Schedule), Schedule.id, SORTS, lambda rows: shown(db, list(rows)))


@router.post("/schedules", status_code=201)
def create(db: Db, who: Writer, body: ScheduleNew) -> ScheduleOut:
    """Save a schedule: active at once, `next_run_at` shows its first firing."""
    found = schedules.create(db, who, definition_id=body.report_id, **body.columns(*FIELDS, "report_type"), **_defaults(body))
    return shown(db, [found])[0]


def _defaults(body: ScheduleOfReport) -> Json:
    return {} if "name" in body.model_fields_set else {"name": body.name}


@router.get("/schedules/next-fires")
def upcoming(
    who: Reader,
    cron: Annotated[str, Query(max_length=200)],
    timezone: Annotated[str, Query(max_length=64)] = "UTC",
    count: Annotated[int, Query(ge=1, le=50)] = 10,
) -> FiresOut:
    """The next firings of an expression that is not saved yet."""
    return _fires(calendar.check(cron), timezone, calendar.next_fires(cron, timezone, clock.now(), count))


@router.get("/schedules/{schedule_id}")
def one(db: Db, who: Reader, schedule_id: ScheduleId) -> ScheduleOut:
    """One schedule."""
    return shown(db, [schedules.get(db, schedule_id)])[0]


@router.patch("/schedules/{schedule_id}")
def change(db: Db, who: Writer, schedule_id: ScheduleId, body: ScheduleChange) -> ScheduleOut:
    """Change what is sent: cron, timezone, recipients, format, and the rest; `next_run_at` is computed anew."""
    return shown(db, [schedules.change(db, schedule_id, who, **body.columns(*FIELDS, "report_type"))])[0]


@router.delete("/schedules/{schedule_id}", status_code=204)
def remove(db: Db, who: Writer, schedule_id: ScheduleId) -> Response:
    """Remove a schedule; its runs are records and stay."""
    schedules.remove(db, schedule_id, who)
    return Response(status_code=204)


@router.get("/schedules/{schedule_id}/next-fires")
def next_fires(db: Db, who: Reader, schedule_id: ScheduleId, count: Annotated[int, Query(ge=1, le=50)] = 10) -> FiresOut:
    """The next firings of a schedule, in UTC and on its own clock."""
    found = schedules.get(db, schedule_id)
    return _fires(found.cron, found.timezone, schedules.upcoming(found, clock.now(), count))


@router.post("/schedules/{schedule_id}/run-now", status_code=202)
def run_now(db: Db, who: Writer, schedule_id: ScheduleId, settings: Config, keys: SigningKeys) -> Queued:
    """Fire without waiting; the next slot is not touched."""
    run = orders.fire(db, sending.means(settings, keys), who, schedule_id)
    assert run.job_id is not None  # noqa: S101 - `fire` queued it
    return report_runs.queued(run.job_id, "report", run.id)


@router.post("/schedules/{schedule_id}/pause")
def pause(db: Db, who: Writer, schedule_id: ScheduleId, body: Pause) -> ScheduleOut:
    """Let a schedule rest."""
    return shown(db, [schedules.pause(db, schedule_id, who, body.until)])[0]


@router.post("/schedules/{schedule_id}/resume")
def resume(db: Db, who: Writer, schedule_id: ScheduleId) -> ScheduleOut:
    """Let a paused schedule fire again."""
    return shown(db, [schedules.resume(db, schedule_id, who)])[0]


@router.get("/{report_id}/schedules")
def of_report(db: Db, who: Reader, report_id: ReportId, page: Page) -> pages.PageOf[ScheduleOut]:
    """The schedules of one report."""
    definitions.get(db, report_id)
    query = select(Schedule).where(Schedule.definition_id == report_id)
    return pages.page(db, page, query, Schedule.id, SORTS, lambda rows: shown(db, list(rows)))


@router.post("/{report_id}/schedules", status_code=201)
def add(db: Db, who: Writer, report_id: ReportId, body: ScheduleOfReport) -> ScheduleOut:
    """Add a schedule to a report."""
    return shown(db, [schedules.create(db, who, definition_id=report_id, **body.columns(*FIELDS), **_defaults(body))])[0]


@router.patch("/{report_id}/schedules/{schedule_id}")
def change_of(db: Db, who: Writer, report_id: ReportId, schedule_id: ScheduleId, body: ScheduleChange) -> ScheduleOut:
    """Change a schedule of a report."""
    _belongs(db, report_id, schedule_id)
    return change(db, who, schedule_id, body)


@router.delete("/{report_id}/schedules/{schedule_id}", status_code=204)
def remove_of(db: Db, who: Writer, report_id: ReportId, schedule_id: ScheduleId) -> Response:
    """Remove a schedule of a report."""
    _belongs(db, report_id, schedule_id)
    return remove(db, who, schedule_id)


def _belongs(db: Session, report_id: UUID, schedule_id: UUID) -> None:
    if schedules.get(db, schedule_id).definition_id != report_id:
        raise NotFound(f"no schedule {ids.show(ids.Prefix.SCHEDULE, schedule_id)}")
