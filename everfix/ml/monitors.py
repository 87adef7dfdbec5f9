"""Monitors: a threshold on a deployment's drift, errors, latency or quality; crossing it opens an issue, recovering resolves it."""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, refers
from everfix.errors import Invalid
from everfix.identity.principals import Principal
from everfix.ml import projects
from everfix.ml.deployments import Deployment
from everfix.ml.figures_in import External, Name, Number, Strict
from everfix.ml.projects import Belonging, Project, Role, belongs

WATCH, ACCEPT = "ml.watch", "failures.accept"


class Monitor(Belonging, Base):
    """One threshold. `state` is ok, firing or unknown (too few rows to tell); `episode` names the issue of the present firing."""

    __tablename__ = "ml_monitors"
    __table_args__ = (
        *belongs("ml_monitors"),
        refers("deployment_id", "ml_deployments"),
        CheckConstraint("operator IN ('gt', 'ge', 'lt', 'le')", name="operator"),
        CheckConstraint("severity IN ('p1', 'p2', 'p3', 'p4')", name="severity"),
        CheckConstraint("state IN ('ok', 'firing', 'unknown')", name="state"),
        Index("ix_ml_monitors_deployment", "workspace_id", "deployment_id"),
    )
    NOUN, PREFIX = "monitor", ids.Prefix.MONITOR

    deployment_id: Mapped[UUID]
    name: Mapped[str]
    metric: Mapped[str]
    feature: Mapped[str | None]
    operator: Mapped[str]
    threshold: Mapped[float]
    window_minutes: Mapped[int]
    min_rows: Mapped[int]
    severity: Mapped[str] = mapped_column(server_default="p3")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    state: Mapped[str] = mapped_column(server_default="unknown")
    value: Mapped[float | None]
    why: Mapped[Json] = mapped_column(server_default="{}")
    episode: Mapped[str | None]
    fired_at: Mapped[datetime | None]
    evaluated_at: Mapped[datetime | None]


WORDS = {
    "volume": "predictions",
    "error_rate": "error rate",
    "latency_p50": "p50 latency in ms",
    "latency_p95": "p95 latency in ms",
    "latency_p99": "p99 latency in ms",
    "drift_psi": "PSI of the inputs",
    "drift_ks": "K–S distance of the inputs",
    "drift_js": "Jensen–Shannon distance of the inputs",
    "drift_share": "share of drifted features",
    "prediction_psi": "PSI of the predictions",
    "accuracy": "accuracy",
    "macro_f1": "macro F1",
    "auc": "AUC",
    "rmse": "RMSE",
    "mae": "MAE",
    "r2": "R²",
    "accuracy_drop": "loss of accuracy",
    "macro_f1_drop": "loss of macro F1",
    "auc_drop": "loss of AUC",
    "rmse_drop": "rise of RMSE",
    "mae_drop": "rise of MAE",
    "r2_drop": "loss of R²",
}
OF_A_FEATURE = ("drift_psi", "drift_ks", "drift_js")
OPERATORS: dict[str, tuple[Callable[[float, float], bool], str]] = {
    "gt": (operator.gt, "above"),
    "ge": (operator.ge, "at or above"),
    "lt": (operator.lt, "below"),
    "le": (operator.le, "at or below"),
}
Metric = Literal[
    "volume",
    "error_rate",
    "latency_p50",
    "latency_p95",
    "latency_p99",
    "drift_psi",
    "drift_ks",
    "drift_js",
    "drift_share",
    "prediction_psi",
    "accuracy",
    "macro_f1",
    "auc",
    "rmse",
    "mae",
    "r2",
    "accuracy_drop",
    "macro_f1_drop",
    "auc_drop",
    "rmse_drop",
    "mae_drop",
    "r2_drop",
]


class Change(Strict):
    """What may change of a monitor; without a feature, a drift monitor looks at the worst one."""

    name: Name | None = None
    metric: Metric | None = None
    feature: Name | None = None
    operator: Literal["gt", "ge", "lt", "le"] | None = None
    threshold: Number | None = None
    window_minutes: int | None = Field(default=None, ge=1, le=525_600)
    min_rows: int | None = Field(default=None, ge=1, le=10_000_000)
    severity: Literal["p1", "p2", "p3", "p4"] | None = None
    enabled: bool | None = None


class Record(Change):
    """A monitor as it comes in."""

    deployment_id: ids.field(ids.Prefix.DEPLOYMENT)  # type: ignore[valid-type]
    metric: Metric
    threshold: Number
    operator: Literal["gt", "ge", "lt", "le"] = "gt"
    window_minutes: int = Field(default=1_440, ge=1, le=525_600)
    min_rows: int = Field(default=100, ge=1, le=10_000_000)
    external_id: External | None = None


def crossed(row: Monitor, value: float) -> bool:
    """Tell whether `value` is beyond the threshold."""
    return OPERATORS[row.operator][0](value, row.threshold)


def words(row: Monitor) -> str:
    """Return what the monitor says when it fires, without the value: the same words each time."""
    what = WORDS[row.metric].replace("the inputs", row.feature) if row.feature is not None else WORDS[row.metric]
    return f"{what} {OPERATORS[row.operator][1]} {row.threshold:g}"


def _check(metric: str, feature: str | None) -> None:
    if feature is not None and metric not in OF_A_FEATURE:
        raise Invalid(f"{metric} looks at no single feature", details={"feature": f"only with {', '.join(OF_A_FEATURE)}"})


def create(db: Session, body: Record, project_id: UUID, by: Principal) -> Monitor:
    """Keep a monitor of a deployment of `project_id`, and look at once."""
    _check(body.metric, body.feature)
    values = {**body.stored(), "project_id": project_id}
    values.setdefault("name", WORDS[body.metric])
    row = projects.keep(db, Monitor, values, by, audit.Action.ML_MONITOR_KEPT)
    look(db, row.deployment_id, by)
    return row


def look(db: Session, deployment_id: UUID, by: Principal) -> None:
    """Queue a look at the monitors of a deployment, if it has any."""
    if db.execute(select(Monitor.id).where(Monitor.deployment_id == deployment_id, Monitor.enabled.is_(True)).limit(1)).one_or_none():
        jobs.enqueue(db, WATCH, {"deployment": str(deployment_id)}, by=by.name)


def get(db: Session, monitor_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Monitor:
    """Return one monitor; raises NotFound, Forbidden."""
    return projects.belonging(db, Monitor, monitor_id, by, need)


def change(db: Session, monitor_id: UUID, body: Change, by: Principal) -> Monitor:
    """Write what was sent; another measure or threshold starts afresh, and so ends the firing of the old one."""
    row = get(db, monitor_id, by, Role.EDITOR)
    values = body.stored(exclude_unset=True)
    _check(values.get("metric", row.metric), values.get("feature", row.feature))
    if values.get("enabled") is False or any(
        name in values and values[name] != getattr(row, name) for name in ("metric", "feature", "operator", "threshold")
    ):
        let_go(db, row)
    row = projects.change(db, row, values, by, audit.Action.ML_MONITOR_KEPT)
    look(db, row.deployment_id, by)
    return row


def remove(db: Session, monitor_id: UUID, by: Principal) -> None:
    """Remove a monitor; the issue it has open is resolved."""
    row = get(db, monitor_id, by, Role.EDITOR)
    let_go(db, row)
    projects.drop(db, row, [], by)


def let_go(db: Session, row: Monitor) -> None:
    """Resolve the issue of a monitor that is switched off or removed while it fires."""
    if row.episode is None:
        return
    deployment = db.execute(select(Deployment).where(Deployment.id == row.deployment_id)).scalar_one()
    name = db.execute(select(Project.name).where(Project.id == row.project_id)).scalar_one()
    now = clock.now()
    tell(db, resolved(deployment, name, row, now, at=now))
    row.episode, row.fired_at, row.state = None, None, "unknown"


def tell(db: Session, event: Json) -> None:
    """Hand a failure, or the end of one, to the loop."""
    jobs.enqueue(db, ACCEPT, {"records": [event]}, by="ml monitor")


def told(row: Monitor, value: float, why: Json, since: datetime, until: datetime) -> str:
    """Return what an issue says of a crossed threshold."""
    first = f"{words(row)}: {value:g} over {since:%Y-%m-%d %H:%M} to {until:%Y-%m-%d %H:%M} UTC."
    return "\n".join([first, *(f"{name}: {found}" for name, found in why.items())])


def opened(deployment: Deployment, project: str, row: Monitor, now: datetime) -> Json:
    """Return the failure that a crossed threshold is; its title is the same at each crossing, so that they become one pattern."""
    return {**_event(deployment, project, row, now), "status": "open", "source_created_at": (row.fired_at or now).isoformat()}


def resolved(deployment: Deployment, project: str, row: Monitor, now: datetime, *, at: datetime) -> Json:
    """Return the same failure as over."""
    fired = row.fired_at or at
    event = _event(deployment, project, row, now)
    return {**event, "status": "resolved", "source_created_at": fired.isoformat(), "resolved_at": max(at, fired).isoformat()}


def _event(deployment: Deployment, project: str, row: Monitor, now: datetime) -> Json:
    return {
        "external_id": row.episode,
        "source": "ml_monitor",
        "title": f"{deployment.name}: {words(row)}"[:300],
        "body": row.why.get("opened", ""),
        "severity": row.severity,
        "service": (deployment.service or deployment.name)[:200],
        "team": deployment.team,
        "environment": deployment.stage,
        "error_type": f"ml_{row.metric}",
        "source_updated_at": now.isoformat(),
        "metadata": {
            "project": project,
            "project_id": ids.show(ids.Prefix.ML_PROJECT, deployment.project_id),
            "deployment_id": ids.show(ids.Prefix.DEPLOYMENT, deployment.id),
            "monitor_id": ids.show(ids.Prefix.MONITOR, row.id),
            "metric": row.metric,
            "feature": row.feature,
            "value": row.value,
            "threshold": row.threshold,
        },
    }
