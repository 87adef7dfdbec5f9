"""`/api/v1/reports/schedules`: when a saved report is made, and to which destinations it goes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from starlette.responses import Response

from everfix.api import fields
from everfix.api.compat import shapes
from everfix.api.compat.doors import Editor, Viewer
from everfix.core import fields as types
from everfix.core import ids
from everfix.delivery import targets
from everfix.deps import Db
from everfix.reports import schedules
from everfix.reports.schedules import Schedule

router = APIRouter(prefix="/reports/schedules", tags=["report schedules"])
ScheduleId = Annotated[UUID, fields.path_id(ids.Prefix.SCHEDULE, "report schedule", "schedule_id")]
Destinations = Annotated[list[shapes.DestinationId], Field(max_length=100)]


class OfTemplate(shapes.Shape):
    """A schedule without its report."""

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    cron_expression: types.text(100, 1)  # type: ignore[valid-type]
    timezone: types.text(64, 1) = "UTC"  # type: ignore[valid-type]
    destinations: Destinations = Field(default_factory=list)
    enabled: bool = True


class Created(OfTemplate):
    """A schedule of a saved report."""

    template_id: shapes.ReportId
    name: types.text(200, 1)  # type: ignore[valid-type]


class Changed(shapes.Shape):
    """What may be changed; what is not sent stays."""

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    cron_expression: types.text(100, 1) | None = None  # type: ignore[valid-type]
    timezone: types.text(64, 1) | None = None  # type: ignore[valid-type]
    destinations: Destinations | None = None
    enabled: bool | None = None


class Out(shapes.Shape):
    """One schedule."""

    id: UUID
    tenant_id: UUID
    template_id: UUID
    name: str
    cron_expression: str
    timezone: str
    destinations: list[UUID]
    enabled: bool
    last_run_at: shapes.Moment | None
    next_run_at: shapes.Moment | None
    last_status: str
    created_at: shapes.Moment
    updated_at: shapes.Moment


def shown(found: Schedule) -> Out:
    """Return a schedule as this surface shows it."""
    own = {"tenant_id": found.workspace_id, "template_id": found.definition_id, "cron_expression": found.cron}
    same = {name: getattr(found, name) for name in Out.model_fields if name not in own}
    return Out(**own, **same)


def verbs(body: OfTemplate | Changed) -> dict[str, Any]:
    """Return the fields of a schedule that a body names."""
    given = body.model_dump(exclude_unset=True, exclude={"template_id"})
    if "cron_expression" in given:
        given["cron"] = given.pop("cron_expression")
    return {name: value for name, value in given.items() if value is not None}


@router.get("")
def listed(db: Db, who: Viewer) -> dict[str, Sequence[Out]]:
    """Every schedule of the tenant, newest first."""
    return {"data": [shown(found) for found in schedules.listed(db)]}


@router.post("", status_code=201)
def create(db: Db, who: Editor, body: Created) -> Out:
    """Plan a saved report; `nextRunAt` says when it is made first."""
    targets.check_destinations(db, body.destinations)
    return shown(schedules.create(db, who, definition_id=body.template_id, **verbs(body)))


@router.get("/{schedule_id}")
def one(db: Db, who: Viewer, schedule_id: ScheduleId) -> Out:
    """One schedule."""
    return shown(schedules.get(db, schedule_id))


@router.patch("/{schedule_id}")
def change(db: Db, who: Editor, schedule_id: ScheduleId, body: Changed) -> Out:
    """Change what is sent; a new expression or zone gives a new `nextRunAt`."""
    if body.destinations is not None:
        targets.check_destinations(db, body.destinations)
    return shown(schedules.change(db, schedule_id, who, **verbs(body)))


@router.delete("/{schedule_id}", status_code=204)
def remove(db: Db, who: Editor, schedule_id: ScheduleId) -> Response:
    """Remove a schedule; its runs stay."""
    schedules.remove(db, schedule_id, who)
    return Response(status_code=204)
