"""Orders: a saved report, and a schedule of it, become a run with everything it is made from, and the job that makes it."""

from __future__ import annotations

from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

import everfix
from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import Json
from everfix.errors import Invalid
from everfix.identity.principals import Principal
from everfix.reports import definitions, runs, schedules, sending, windows
from everfix.reports.definitions import Definition
from everfix.reports.runs import Run, Trigger
from everfix.reports.schedules import Schedule
from everfix.reports.sending import Means

BY_SCHEDULE = "schedule"


def place(db: Session, way: Means, by: Principal, definition_id: UUID, **given: Any) -> Run:  # noqa: ANN401 - of `ordered`
    """Run a saved report now: to its own destinations, or those given. Raises NotFound; Invalid when it is disabled."""
    definition = definitions.get(db, definition_id)
    if not definition.enabled:
        raise Invalid("the report is disabled", details={"enabled": "enable the report first"})
    run = ordered(definition, None, by.name, **given)
    _queue(db, way, run, definition, by.name)
    audit.record(db, by, audit.Action.REPORT_GENERATED, "run", run.id, {"report": str(definition.id), "formats": run.formats})
    return run


def fire(db: Session, way: Means, by: Principal, schedule_id: UUID) -> Run:
    """Run a schedule now, as if it were due, to its recipients and destinations; its slots are not touched. Raises NotFound, Invalid."""
    schedule = schedules.get(db, schedule_id)
    definition = definitions.get(db, schedule.definition_id)
    if not definition.enabled:
        raise Invalid("the report is disabled", details={"enabled": "enable the report first"})
    run = ordered(definition, schedule, by.name)
    run.inputs = {**run.inputs, "condition": {"when": "always"}, "freshness": None}  # who asks by hand wants it now
    _queue(db, way, run, definition, by.name)
    audit.record(db, by, audit.Action.SCHEDULE_FIRED, "schedule", schedule.id, {"run": str(run.id)})
    return run


def due(
    db: Session, way: Means, schedule: Schedule, definition: Definition, slot: datetime, *, as_of: datetime, window: str, note: Json
) -> Run:
    """Run a schedule for one of its slots."""
    run = ordered(definition, schedule, BY_SCHEDULE, slot=slot, as_of=as_of, window=window)
    run.inputs = {**run.inputs, **note}
    _queue(db, way, run, definition, BY_SCHEDULE)
    return run


def ordered(
    definition: Definition,
    schedule: Schedule | None,
    by: str,
    *,
    slot: datetime | None = None,
    as_of: datetime | None = None,
    window: str | None = None,
    trigger: Trigger | None = None,
    formats: list[str] | None = None,
    destinations: list[UUID] | None = None,
) -> Run:
    """Return the run that a definition asks for, not stored yet."""
    length = windows.read(window or (schedule.window if schedule else None) or definition.window)
    wanted = formats or (schedule.formats if schedule else None) or definition.formats
    return Run(
        id=ids.new(),
        definition_id=definition.id,
        schedule_id=schedule.id if schedule else None,
        slot=slot,
        trigger=trigger or (Trigger.SCHEDULE if slot else Trigger.MANUAL),
        name=definition.name,
        template=definition.template,
        sections=definition.sections,
        window=length,
        formats=definitions.formats(wanted),
        filters=definition.filters,
        recipients=list(schedule.recipients) if schedule else [],
        inputs=_inputs(definition, schedule, destinations),
        as_of=as_of or clock.now(),
        status=runs.Status.QUEUED,
        executor=_executor(definition),
        code_version=everfix.__version__,
        requested_by=by,
        created_at=clock.now(),
    )


def _inputs(definition: Definition, schedule: Schedule | None, destinations: list[UUID] | None) -> Json:
    """Return all that a run is made from beside its own columns, so that what is changed later does not change it."""
    to = destinations if destinations is not None else (schedule.destinations if schedule else definition.destinations)
    kept: Json = {
        "report": {"id": str(definition.id), "name": definition.name, "description": definition.description},
        "narrative": definition.narrative,
        "brand": definition.brand,
        "run_as": definition.run_as,
        "destinations": [str(item) for item in to],
    }
    if schedule is not None:
        kept |= {
            "schedule": {"id": str(schedule.id), "name": schedule.name, "cron": schedule.cron, "timezone": schedule.timezone},
            "condition": schedule.condition,
            "freshness": schedule.freshness,
            "recipient_filters": schedule.recipient_filters,
        }
    return kept


def _executor(definition: Definition) -> str:
    if definition.adopted_by is not None:
        return f"the workspace, adopted by {definition.adopted_by}"
    return definition.created_by or "the workspace"


def _queue(db: Session, way: Means, run: Run, definition: Definition, by: str) -> None:
    """Keep a run, write the ledger's rows it answers for, and only then queue the work."""
    db.add(run)
    db.flush()
    sending.plan(db, way, run, definition)
    run.job_id = runs.enqueue(db, run, by)
