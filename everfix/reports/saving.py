"""Saving: what a dashboard shows becomes a report, with the schedule that delivers it; both or neither, in the caller's transaction."""

from __future__ import annotations

from typing import Any

from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.delivery import targets
from everfix.identity.principals import Principal
from everfix.reports import definitions, schedules
from everfix.reports.definitions import Definition
from everfix.reports.schedules import Schedule


def dashboard(db: Session, by: Principal, schedule: Json | None, **given: Any) -> tuple[Definition, Schedule | None]:  # noqa: ANN401 - columns
    """Save the report, and its schedule where one is wanted; raises Invalid or NotFound, and then nothing of it is kept."""
    made = definitions.create(db, by, origin="dashboard", **given)
    if schedule is None:
        return made, None
    targets.check_destinations(db, schedule.get("destinations") or [])
    return made, schedules.create(db, by, definition_id=made.id, **{"name": made.name, **schedule})
