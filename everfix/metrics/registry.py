"""The registry as Model Health shows it: registered models with their AUC and drift, what they go by, and how experiments stand.

Read for a person, since projects hide what is in them: no source of reports, which run without one.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from itertools import groupby
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.audit import Entry
from everfix.core.db import Json
from everfix.documents.model import Table, Unit
from everfix.identity.principals import Principal
from everfix.metrics.model_sources import RETRAIN, WATCH
from everfix.metrics.sources import column
from everfix.ml import projects
from everfix.ml.deployments import Deployment
from everfix.ml.experiments import Experiment
from everfix.ml.models import Model
from everfix.ml.monitors import Monitor

PSI = ("drift_psi", "prediction_psi")
MOST, FEATURES = 100, 10  # rows of a table; features of a model
ACTIVE = "active"
STAGES = ("production", "staging")


@dataclasses.dataclass(frozen=True, slots=True)
class Check:
    """One monitor of a deployment that looks at drift, with what it last found."""

    id: UUID
    psi: float | None
    auc_delta: float | None
    drifted: bool
    at: datetime


@dataclasses.dataclass(frozen=True, slots=True)
class Registered:
    """The newest version of a registered model; `before` is the AUC of the version before it."""

    model: Model
    before: float | None
    deployments: Sequence[Deployment]
    checks: Sequence[Check]

    @property
    def name(self) -> str:
        return self.model.registered_name or self.model.name

    @property
    def auc(self) -> float | None:
        return auc(self.model)

    @property
    def psi(self) -> float | None:
        return max((check.psi for check in self.checks if check.psi is not None), default=None)

    @property
    def auc_delta(self) -> float | None:
        """What a monitor found of labelled predictions; else against the version before."""
        found = next((check.auc_delta for check in self.checks if check.auc_delta is not None), None)
        return found if found is not None or self.auc is None or self.before is None else self.auc - self.before


def auc(model: Model) -> float | None:
    """Return a model's AUC, or None where it has none (a regression, a bandit)."""
    value = model.metrics.get("auc")
    return float(value) if isinstance(value, (int, float)) and not isinstance(value, bool) else None


def band(psi: float | None) -> str | None:
    """Return what a population stability index asks for."""
    if psi is None:
        return None
    return "fine" if psi < WATCH else "watch" if psi <= RETRAIN else "retrain"


def registered(db: Session, by: Principal) -> list[Registered]:
    """Return the newest version of each registered model that `by` may see, by name; the first MOST."""
    query = projects.within(Model, by).where(Model.registered_name.is_not(None), Model.status == "succeeded")
    order = (Model.project_id, Model.registered_name, func.coalesce(Model.finished_at, Model.created_at).desc(), Model.id.desc())
    found = []
    for _, versions in groupby(db.execute(query.order_by(*order)).scalars(), key=lambda model: (model.project_id, model.registered_name)):
        newest, *older = versions
        found.append((newest, next((value for model in older[:1] if (value := auc(model)) is not None), None)))
    found.sort(key=lambda pair: str(pair[0].registered_name))
    return [Registered(model, before, *_served(db, model)) for model, before in found[:MOST]]


def _served(db: Session, model: Model) -> tuple[list[Deployment], list[Check]]:
    there = list(
        db.execute(select(Deployment).where(Deployment.model_id == model.id).order_by(Deployment.created_at, Deployment.id)).scalars()
    )
    return there, checks(db, [one.id for one in there])


def checks(db: Session, deployments: Sequence[UUID]) -> list[Check]:
    """Return what the monitors of drift on some deployments last found, newest first."""
    wanted = (*PSI, "auc_drop")
    query = select(Monitor).where(
        Monitor.deployment_id.in_(deployments), Monitor.metric.in_(wanted), Monitor.value.is_not(None), Monitor.evaluated_at.is_not(None)
    )
    found = []
    for row in db.execute(query.order_by(Monitor.evaluated_at.desc(), Monitor.id)).scalars():
        if row.value is not None and row.evaluated_at is not None:
            psi = row.value if row.metric in PSI else None
            drifted = row.state == "firing" or (psi is not None and psi > RETRAIN)
            found.append(Check(row.id, psi, -row.value if psi is None else None, drifted, row.evaluated_at))
    return found


def approvals(db: Session, deployments: Sequence[Deployment]) -> list[Json]:
    """Return who put each deployment where it is, and when, by the audit log; newest first."""
    by_id = {one.id: one for one in deployments}
    query = select(Entry).where(Entry.target_id.in_(by_id)).order_by(Entry.number.desc())
    return [{"entry": entry, "deployment": by_id[entry.target_id]} for entry in db.execute(query).scalars() if entry.target_id in by_id]


def models(found: Sequence[Registered]) -> Table:
    """Return the registered models with where they serve, how good they are and whether they drift."""
    columns = (
        column("model", "Model"),
        column("version", "Version"),
        column("stage", "Serves"),
        column("auc", "AUC", Unit.NUMBER, better="up"),
        column("previous_auc", "AUC before", Unit.NUMBER),
        column("psi_score", "PSI", Unit.NUMBER, better="down"),
        column("band", "Band"),
        column("auc_delta", "AUC change", Unit.NUMBER, better="up"),
        column("checked_at", "Checked", Unit.DATETIME),
    )
    rows = [
        (
            one.name,
            one.model.registered_version,
            ", ".join(dict.fromkeys(there.stage for there in one.deployments if there.status == ACTIVE)) or "nowhere",
            one.auc,
            one.before,
            one.psi,
            band(one.psi),
            one.auc_delta,
            one.checks[0].at.isoformat() if one.checks else None,
        )
        for one in found
    ]
    return _table("registered_models", "Registered models", columns, rows, "No model is registered here, or none that you may see.")


def importance(found: Sequence[Registered]) -> Table:
    """Return the features that each registered model goes by, the most important first."""
    columns = (column("model", "Model"), column("feature", "Feature"), column("importance", "Importance", Unit.NUMBER, bar=True))
    rows = [
        (one.name, str(item["feature"]), float(item["importance"]))
        for one in found
        for item in sorted(one.model.feature_importance, key=lambda item: -abs(float(item["importance"])))[:FEATURES]
    ]
    empty = "No registered model tells how much its features matter."
    return _table("feature_importance", "What the models go by", columns, rows[:MOST], empty)


def experiments(db: Session, by: Principal) -> Table:
    """Return how the newest experiments that `by` may see stand."""
    counted = select(func.count(Model.id)).where(Model.experiment_id == Experiment.id).scalar_subquery()
    query = projects.within(Experiment, by).add_columns(counted).order_by(Experiment.created_at.desc(), Experiment.id.desc()).limit(MOST)
    columns = (
        column("experiment", "Experiment"),
        column("status", "Status"),
        column("problem", "Problem"),
        column("metric", "Judged by"),
        column("models", "Models", Unit.COUNT),
        column("finished_at", "Finished", Unit.DATETIME),
    )
    rows = [
        (row.name, row.status, row.problem_type, row.metric, count, row.finished_at.isoformat() if row.finished_at else None)
        for row, count in db.execute(query)
    ]
    return _table("experiment_status", "Experiments", columns, rows, "There is no experiment here, or none that you may see.")


def _table(key: str, title: str, columns: Sequence[Any], rows: Sequence[tuple[Any, ...]], empty: str) -> Table:
    return Table(key=key, title=title, columns=tuple(columns), rows=tuple(rows), total_rows=len(rows), empty=empty)
