"""Own forecasts as a model of ML work, so that whoever audits models can have Everfix's own reported like any other.

The settled predictions of the last year (what was said, and what came) become the evaluation table of one model, in one experiment of the
project that asks; taken in again, both change and no second ones are made.
"""

from __future__ import annotations

import csv
import tempfile
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core.db import Database, Json
from everfix.failures import accuracy, forecast, predictions
from everfix.identity import workspaces
from everfix.identity.principals import Principal
from everfix.ml import experiments, models, projects, tables, uploads
from everfix.ml.projects import Project, Role

KIND = "ml.own_forecasts"
SAME = "everfix/forecasts"  # the external id of both
SPAN = timedelta(days=366)
COLUMNS = ("y_true", "y_score", "predicted_at", "window_days", "failures_before", "impact", "base_rate", "interval_width")


def start(db: Session, project_id: UUID, by: Principal) -> UUID:
    """Queue the taking in and return the job's id; raises Unavailable (no libraries), NotFound, Forbidden (project role)."""
    uploads.available()
    projects.require(db, project_id, by, Role.EDITOR)
    queued = jobs.enqueue(db, KIND, {"project": str(project_id)}, by=by.name)
    audit.record(db, by, audit.Action.ML_OWN_FORECASTS, "project", project_id, {"job": ids.show(ids.Prefix.JOB, queued)})
    return queued


def latest(db: Session, project_id: UUID) -> jobs.Job | None:
    """Return the newest job of a project that took the forecasts in, or None."""
    query = select(jobs.Job).where(jobs.Job.kind == KIND, jobs.Job.payload["project"].astext == str(project_id))
    return db.execute(query.order_by(jobs.Job.id.desc()).limit(1)).scalar_one_or_none()


def take(job: jobs.Running) -> Json:
    """Job `ml.own_forecasts`: write the table, let a process of its own read it, and judge the model by it."""
    services, now = job.services, clock.now()
    with tempfile.TemporaryDirectory(prefix="upload-", dir=services.settings.data_dir) as folder:
        path = Path(folder) / "upload"
        count = _write(job.database, job.workspace, path, now)
        job.report(0.3, f"{count:,} settled predictions")
        if not count:
            raise jobs.Permanent("no prediction has been settled in the last year, so there is nothing to judge the forecasts by")
        with (
            uploads.stored(services.storage, job.workspace, path, "evaluation", services.settings, mapping={}) as kept,
            job.database.transaction(job.workspace) as db,
        ):
            model = _kept(db, UUID(job.payload["project"]), now)
            table = uploads.keep(db, kept, model.project_id, "evaluation", "own-forecasts.csv")
            tables.forget(db, [model.evaluation_id])
            model.evaluation_id = table.id
    return {"model": ids.show(ids.Prefix.MODEL, model.id), "rows": count}


def _write(database: Database, workspace: UUID, path: Path, now: datetime) -> int:
    with database.transaction(workspace) as db, path.open("w", newline="", encoding="utf-8") as file:
        rows = db.execute(text(_SETTLED), {"since": now - SPAN, "until": now}).all()
        out = csv.writer(file)
        out.writerow(COLUMNS)
        out.writerows(rows)
    return len(rows)


# As `accuracy` counts: only patterns that had failed twice; what a fix prevented did not come.
_SETTLED = """
SELECT (outcome = 'hit')::int, probability, generated_at AT TIME ZONE 'UTC', window_days, failures, impact, base_rate, upper - lower
FROM predictions WHERE outcome IS NOT NULL AND failures >= 2 AND expires_at >= :since AND expires_at < :until ORDER BY generated_at, id
"""


def _kept(db: Session, project_id: UUID, now: datetime) -> models.Model:
    if db.execute(select(Project.id).where(Project.id == project_id).with_for_update()).one_or_none() is None:
        raise jobs.Permanent("the project was removed")
    search, _ = projects.put(db, experiments.Experiment, _experiment(project_id))
    record = accuracy.of(db, now - SPAN, now)
    model, _ = projects.put(db, models.Model, _model(db, project_id, search.id, record, now))
    return model


def _experiment(project_id: UUID) -> dict[str, Any]:
    return {
        "project_id": project_id,
        "external_id": SAME,
        "name": "Everfix: will it come back?",
        "description": "Everfix's own forecasts: does a pattern fail again within the window? Judged by the predictions that have settled.",
        "problem_type": "binary",
        "target_column": "y_true",
        "metric": "brier",
        "engine": "everfix",
        "status": "succeeded",
    }


def _model(db: Session, project_id: UUID, experiment_id: UUID, record: accuracy.Accuracy, now: datetime) -> dict[str, Any]:
    here = workspaces.here(db)
    told = {"brier": record.brier, "logloss": record.log_loss, "auc": record.auc, "precision": record.precision, "recall": record.recall}
    return {
        "project_id": project_id,
        "experiment_id": experiment_id,
        "external_id": SAME,
        "name": "Forecast of recurrence",
        "algo": forecast.VERSION,
        "status": "succeeded",
        "is_best": True,
        "metrics": {name: value for name, value in told.items() if value is not None},
        "parameters": {
            "window_days": here.prediction_window_days,
            "stride_days": predictions.STRIDE / timedelta(days=1),
            "active_days": predictions.ACTIVE_DAYS,
            "base_rate": record.base_rate,
            "expected_calibration_error": record.ece,
        },
        "operating_point": record.threshold,
        "positive_label": "1",
        "finished_at": now,
    }
