"""`/v1/ml/monitors`: thresholds on deployments that open and resolve issues by themselves."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from everfix.api import fields, pages
from everfix.api.v1.ml.shown import OfProject, Owned, Reader, Writer
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.ml import deployments, monitors, projects
from everfix.ml.monitors import Monitor
from everfix.ml.projects import Role

router = APIRouter(prefix="/monitors", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.MONITOR, "monitor", "monitor_id")]
OfDeployment = Annotated[UUID | None, fields.query_id(ids.Prefix.DEPLOYMENT, "deployment_id")]
SORTS = pages.Sorts({"created_at": Monitor.created_at, "name": Monitor.name}, "-created_at")


class MonitorOut(Owned):
    """One monitor with what it last saw; `state` is ok, firing or unknown."""

    id: ids.field(ids.Prefix.MONITOR)  # type: ignore[valid-type]
    deployment_id: ids.field(ids.Prefix.DEPLOYMENT)  # type: ignore[valid-type]
    name: str
    metric: str
    feature: str | None
    operator: str
    threshold: float
    window_minutes: int
    min_rows: int
    severity: str
    enabled: bool
    state: str
    value: float | None
    why: Json
    episode: str | None
    fired_at: datetime | None
    evaluated_at: datetime | None


@router.get("")
def listed(
    db: Db, who: Reader, page: Page, project_id: OfProject = None, deployment_id: OfDeployment = None, state: str | None = None
) -> pages.PageOf[MonitorOut]:
    """Monitors, newest first."""
    query = projects.within(Monitor, who, project_id)
    if deployment_id is not None:
        query = query.where(Monitor.deployment_id == deployment_id)
    wanted = fields.choices(state, "state", ("ok", "firing", "unknown"))
    if wanted is not None:
        query = query.where(Monitor.state.in_(wanted))
    return pages.page(db, page, query, Monitor.id, SORTS, lambda rows: [MonitorOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: monitors.Record) -> MonitorOut:
    """Watch a deployment: the threshold is looked at with each new piece of its log, and by the clock."""
    found = deployments.get(db, body.deployment_id, who, Role.EDITOR)
    return MonitorOut.model_validate(monitors.create(db, body, found.project_id, who))


@router.get("/{monitor_id}")
def one(db: Db, who: Reader, monitor_id: PathId) -> MonitorOut:
    """One monitor."""
    return MonitorOut.model_validate(monitors.get(db, monitor_id, who))


@router.patch("/{monitor_id}")
def change(db: Db, who: Writer, monitor_id: PathId, body: monitors.Change) -> MonitorOut:
    """Change a monitor; another measure or threshold ends the firing of the old one."""
    return MonitorOut.model_validate(monitors.change(db, monitor_id, body, who))


@router.delete("/{monitor_id}", status_code=204)
def remove(db: Db, who: Writer, monitor_id: PathId) -> None:
    """Remove a monitor; the issue it has open is resolved."""
    monitors.remove(db, monitor_id, who)
