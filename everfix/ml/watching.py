"""Watching: reads what a deployment's monitors look at, and opens and resolves issues by what it finds.

1. In one transaction: the monitors that are due, and which parts of the log their windows reach.
2. Outside of any: the figures, from copies of those parts in bounded memory (`everfix.ml.figures`).
3. In one transaction: the new state of each monitor, and a job that hands the change to the loop (`failures.accept`).

A window ends at the newest prediction of the log, so that a log which is sent once a day is judged too; only `volume` ends now.
A window with fewer rows than `min_rows`, or a figure that cannot be made, is `unknown`: it neither opens nor resolves anything.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.core import clock, ids, jobs
from everfix.core.db import Json
from everfix.ml import deployments, frames, models, monitors, projects, tables, uploads
from everfix.ml.deployments import Deployment, PredictionPart
from everfix.ml.monitors import Monitor

if TYPE_CHECKING:
    from everfix.ml.measures import Measured


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """One monitor with all that its figure needs."""

    monitor: Monitor
    deployment: Deployment
    project: str
    baseline: dict[str, Any]  # the model's own metrics, for a drop against them
    since: datetime
    until: datetime
    parts: tuple[str, ...]
    reference: str | None
    features: tuple[str, ...]


def watch(job: jobs.Running) -> Json:
    """Job `ml.watch`: look at the monitors of one deployment (`deployment`), or at all that are due."""
    uploads.available()
    wanted = job.payload.get("deployment")
    with job.database.transaction(job.workspace) as db:
        looks = due(db, None if wanted is None else UUID(wanted))
    changed = []
    for place, look in enumerate(looks):
        job.report(place / len(looks), look.monitor.name)
        measured = _measured(job, look)
        with job.database.transaction(job.workspace) as db:
            state = settle(db, look, measured)
        if state is not None:
            changed.append({"monitor": ids.show(ids.Prefix.MONITOR, look.monitor.id), "state": state})
    return {"looked": len(looks), "changed": changed}


def due(db: Session, deployment_id: UUID | None) -> list[Look]:
    """Return the monitors to look at: those of one deployment, or those for which something is new."""
    query = select(Monitor, Deployment).join(Deployment, Deployment.id == Monitor.deployment_id).where(Monitor.enabled.is_(True))
    if deployment_id is not None:
        query = query.where(Monitor.deployment_id == deployment_id)
    found = []
    for monitor, deployment in db.execute(query.order_by(Monitor.id)):
        newest, arrived = _newest(db, deployment.id)
        new = monitor.evaluated_at is None or (arrived is not None and arrived > monitor.evaluated_at) or monitor.metric == "volume"
        if deployment_id is not None or new:
            look = _look(db, monitor, deployment, newest)
            if look is not None:
                found.append(look)
    return found


def _newest(db: Session, deployment_id: UUID) -> tuple[datetime | None, datetime | None]:
    query = select(func.max(PredictionPart.last_at), func.max(PredictionPart.created_at)).where(
        PredictionPart.deployment_id == deployment_id
    )
    row = db.execute(query).one()
    return row[0], row[1]


def _look(db: Session, monitor: Monitor, deployment: Deployment, newest: datetime | None) -> Look | None:
    now = clock.now()
    end = now if monitor.metric == "volume" else min(newest, now) if newest is not None else None
    if end is None:
        return None  # nothing was ever logged
    since, until = end - timedelta(minutes=monitor.window_minutes), end + timedelta(microseconds=1)
    parts = deployments.parts(db, deployment.id, since, until)
    reference = tables.get(db, deployment.reference_id) if deployment.reference_id is not None else None
    model = db.execute(select(models.Model.metrics).where(models.Model.id == deployment.model_id)).scalar_one()
    name = db.execute(select(projects.Project.name).where(projects.Project.id == deployment.project_id)).scalar_one()
    return Look(
        monitor=monitor,
        deployment=deployment,
        project=name,
        baseline=model,
        since=since,
        until=until,
        parts=tuple(dict.fromkeys(table.key for _, table in parts)),
        reference=reference.key if reference is not None else None,
        features=tuple(deployments.features(deployment, reference)) if reference is not None else (),
    )


def _measured(job: jobs.Running, look: Look) -> Measured:
    from everfix.ml import measures  # noqa: PLC0415 - the extra's libraries, only where they are needed

    storage = job.services.storage
    with frames.copied(storage, look.parts) as log, frames.copied(storage, [look.reference] if look.reference else []) as reference:
        return measures.of(look, log, _first(reference))


def _first(paths: Sequence[Path]) -> Path | None:
    return paths[0] if paths else None


def settle(db: Session, look: Look, measured: Measured) -> str | None:
    """Write what was found into the monitor; returns the new state when it changed, and then hands it to the loop."""
    row = db.execute(select(Monitor).where(Monitor.id == look.monitor.id).with_for_update()).scalar_one_or_none()
    if row is None or not row.enabled:
        return None  # removed or switched off while its figure was made
    before, now = row.state, clock.now()
    first = {"opened": row.why["opened"]} if row.episode is not None else {}  # what the open issue says stays as it was
    row.value, row.why, row.evaluated_at = measured.value, {**measured.why, **first}, now
    if measured.value is None:
        if before == "ok":
            row.state = "unknown"
        return None
    row.state = "firing" if monitors.crossed(row, measured.value) else "ok"
    if row.state == "firing" and row.episode is None:
        row.episode, row.fired_at = ids.show(ids.Prefix.MONITOR, ids.new()), look.until
        row.why = {**measured.why, "opened": monitors.told(row, measured.value, measured.why, look.since, look.until)}
        monitors.tell(db, monitors.opened(look.deployment, look.project, row, now))
        return "firing"
    if row.state == "ok" and row.episode is not None:
        monitors.tell(db, monitors.resolved(look.deployment, look.project, row, now, at=look.until))
        row.episode = row.fired_at = None
        return "ok"
    return row.state if row.state != before else None
