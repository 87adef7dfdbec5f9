"""Builders of ML work: rows of every kind with their tables in the storage, from real data and models trained here."""

from __future__ import annotations

import io
from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Any
from uuid import UUID

import numpy as np
import polars as pl
from sklearn import datasets as sets
from sklearn.ensemble import GradientBoostingClassifier, RandomForestClassifier, RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from everfix.core import clock, ids
from everfix.core.db import Json
from everfix.documents.model import Document
from everfix.ml.datasets import Dataset, DatasetVersion
from everfix.ml.deployments import Deployment, PredictionPart
from everfix.ml.experiments import Experiment
from everfix.ml.models import Model
from everfix.ml.monitors import Monitor
from everfix.ml.privacy import PrivacySession
from everfix.ml.projects import Member, Project
from everfix.ml.synthgen import SynthgenRun
from everfix.ml.tables import Table
from everfix.narrative import How
from everfix.reports import runs
from everfix.reports.ml import entities, options, subjects
from tests.make import Workspace
from tests.shared import shared

START = datetime(2026, 10, 1, tzinfo=UTC)


def built(workspace: Workspace, kind: str, row: Any, **given: Any) -> tuple[Document, Json]:
    """Return the Document of a report and its summary, without a run and without files."""
    from everfix.reports.ml import build

    job = build.Standing(workspace.installation.database, workspace.id, ids.new(), {}, workspace.installation)
    subject = subjects.Subject(project_id=entities.project_of(kind, row), kind=kind, entity_id=row.id, options=options.read(given))
    with workspace.db() as db:
        window = subjects.window(db, kind, row)
    run = runs.Run(name="", window=window, as_of=clock.now(), inputs={}, template=f"ml_{kind}")
    document, work, _ = build.made(job, subject, run, How())
    return document, build.summary(document, work)


def add(workspace: Workspace, row: Any) -> Any:
    """Insert a row and return it with what the database filled in."""
    with workspace.db() as db:
        row.id = row.id or ids.new()
        db.add(row)
        db.flush()
        db.refresh(row)
        db.expunge(row)
    return row


def project(workspace: Workspace, name: str = "Credit risk") -> Project:
    found: Project = add(workspace, Project(name=name))
    return found


def member(workspace: Workspace, of: Project, user_id: UUID, role: str) -> None:
    add(workspace, Member(project_id=of.id, user_id=user_id, role=role))


def table(workspace: Workspace, of: Project, frame: pl.DataFrame, role: str) -> Table:
    """Keep a table as an upload does."""
    out = io.BytesIO()
    frame.write_parquet(out)
    stored = workspace.installation.storage.put(workspace.id, f"ml/{ids.new()}.parquet", out.getvalue())
    schema = [{"name": name, "type": str(kind)} for name, kind in frame.schema.items()]
    row = Table(
        project_id=of.id, role=role, format="parquet", key=stored.key, bytes=stored.size, sha256=stored.sha256, rows=frame.height,
        columns=frame.width, schema=schema,
    )  # fmt: skip
    found: Table = add(workspace, row)
    return found


def version(workspace: Workspace, of: Project, frame: pl.DataFrame, name: str, target: str) -> DatasetVersion:
    held = add(workspace, Dataset(project_id=of.id, name=name))
    kept = table(workspace, of, frame, "dataset")
    row = DatasetVersion(
        project_id=of.id, dataset_id=held.id, number=1, rows=frame.height, columns=frame.width, target_column=target, table_id=kept.id,
        quality={"overall_score": 93, "issues": []},
    )  # fmt: skip
    found: DatasetVersion = add(workspace, row)
    return found


def experiment(workspace: Workspace, of: Project, **given: Any) -> Experiment:
    base: dict[str, Any] = {"name": "Search 1", "problem_type": "binary", "status": "succeeded", "metric": "auc", "target_column": "target",
                            "engine": "flaml", "started_at": START, "finished_at": START + timedelta(minutes=12)}  # fmt: skip
    found: Experiment = add(workspace, Experiment(project_id=of.id, **(base | given)))
    return found


def model(workspace: Workspace, of: Experiment, **given: Any) -> Model:
    found: Model = add(workspace, Model(**({"project_id": of.project_id, "experiment_id": of.id, "name": "GBM_1", "algo": "GBM"} | given)))
    return found


# ---- real data, trained once


@lru_cache(maxsize=1)
def _cancer() -> tuple[pl.DataFrame, list[tuple[str, str, pl.DataFrame, list[dict[str, Any]], list[dict[str, Any]]]]]:
    """scikit-learn's breast cancer set, and three models trained on it with their evaluation, importance and learning curve."""
    data = sets.load_breast_cancer()
    names = [str(name).replace(" ", "_") for name in data.feature_names[:10]]
    x = StandardScaler().fit_transform(data.data[:, :10])
    train, test, y, yt = train_test_split(x, data.target, test_size=0.4, random_state=1)
    frame = pl.DataFrame(data.data[:, :10], schema=names).with_columns(target=pl.Series(data.target))
    boosted = GradientBoostingClassifier(n_estimators=80, random_state=1).fit(train, y)
    made = []
    for label, algo, fitted in (
        ("GBM_1", "GBM", boosted),
        ("GLM_1", "GLM", LogisticRegression().fit(train, y)),
        ("DRF_1", "DRF", RandomForestClassifier(20, random_state=1).fit(train, y)),
    ):
        parts = []
        for split, part, truth in (("train", train, y), ("test", test, yt)):
            score = fitted.predict_proba(part)[:, 1]
            parts.append(
                pl.DataFrame({"y_true": truth, "y_pred": (score >= 0.5).astype(int), "y_score": score, "split": [split] * len(truth)})
            )
        weights = fitted.coef_[0] if algo == "GLM" else fitted.feature_importances_
        important = [{"feature": name, "importance": float(weight)} for name, weight in zip(names, weights, strict=True)]
        made.append((label, algo, pl.concat(parts), important, _curve(boosted, train, y, test, yt) if algo == "GBM" else []))
    return frame, made


def _curve(fitted: Any, train: Any, y: Any, test: Any, yt: Any) -> list[dict[str, Any]]:
    from sklearn.metrics import log_loss

    points = []
    for split, part, truth in (("train", train, y), ("validation", test, yt)):
        for step, proba in enumerate(fitted.staged_predict_proba(part), start=1):
            points.append({"step": step, "metric": "logloss", "split": split, "value": float(log_loss(truth, proba))})
    return points


def evaluation() -> pl.DataFrame:
    """The evaluation of the boosted model."""
    return _cancer()[1][0][2]


def cancer(workspace: Workspace, of: Project) -> tuple[Experiment, list[Model]]:
    """An experiment of three models on the breast cancer set, and one that failed."""
    frame, made = _cancer()
    kept = version(workspace, of, frame, "breast cancer", "target")
    found = experiment(
        workspace, of, name="Breast cancer search", dataset_version_id=kept.id, config={"max_models": 20, "nfolds": 5, "seed": 42},
        search={"folds": 5, "stop_reason": "max_models reached"}, engine_runs=[{"engine": "flaml", "status": "succeeded", "best_metric": 0.99}],
    )  # fmt: skip
    models = []
    for number, (name, algo, evaluation, important, curve) in enumerate(made):
        evaluated = table(workspace, of, evaluation, "evaluation")
        models.append(
            model(
                workspace, found, name=name, algo=algo, evaluation_id=evaluated.id, feature_importance=important, learning_curve=curve,
                parameters={"learning_rate": 0.1, "max_depth": 3, "n_estimators": 80}, default_parameters={"max_depth": 3, "subsample": 1.0},
                training_time_ms=100.0 * (number + 1), predict_time_per_row_ms=0.01 * (number + 1), is_best=number == 0, positive_label="1",
            )
        )  # fmt: skip
    model(workspace, found, name="XGBoost_1", algo="XGBoost", status="failed", error="out of memory after 12 trees")
    return found, models


@lru_cache(maxsize=1)
def _diabetes() -> tuple[pl.DataFrame, pl.DataFrame, list[dict[str, Any]]]:
    data = sets.load_diabetes()
    train, test, y, yt = train_test_split(data.data, data.target, test_size=0.4, random_state=1)
    fitted = RandomForestRegressor(30, random_state=1).fit(train, y)
    evaluation = pl.concat(
        [
            pl.DataFrame({"y_true": truth, "y_pred": fitted.predict(part), "split": [split] * len(truth)})
            for split, part, truth in (("train", train, y), ("test", test, yt))
        ]
    )
    important = [{"feature": str(n), "importance": float(v)} for n, v in zip(data.feature_names, fitted.feature_importances_, strict=True)]
    return pl.DataFrame(data.data, schema=list(data.feature_names)).with_columns(target=pl.Series(data.target)), evaluation, important


def diabetes(workspace: Workspace, of: Project) -> Model:
    frame, evaluation, important = _diabetes()
    kept = version(workspace, of, frame, "diabetes", "target")
    found = experiment(workspace, of, name="Diabetes search", problem_type="regression", metric="rmse", dataset_version_id=kept.id)
    evaluated = table(workspace, of, evaluation, "evaluation")
    return model(
        workspace,
        found,
        name="DRF_2",
        algo="DRF",
        evaluation_id=evaluated.id,
        feature_importance=important,
        parameters={"n_estimators": 30},
    )


def wine(workspace: Workspace, of: Project) -> Model:
    """Three classes, with a probability for each."""
    data = sets.load_wine()
    names = [str(name) for name in data.target_names]
    x = StandardScaler().fit_transform(data.data[:, :4])
    train, test, y, yt = train_test_split(x, data.target, test_size=0.5, random_state=1)
    proba = LogisticRegression().fit(train, y).predict_proba(test)
    columns = {f"y_score_{name}": proba[:, place] for place, name in enumerate(names)}
    frame = pl.DataFrame({"y_true": [names[n] for n in yt], "y_pred": [names[n] for n in proba.argmax(axis=1)], **columns})
    found = experiment(workspace, of, name="Wine search", problem_type="multiclass", metric="macro_auc")
    return model(workspace, found, name="GLM_3", algo="GLM", evaluation_id=table(workspace, of, frame, "evaluation").id)


def log(rows: int, *, days: int = 14, drift: float = 0.8, seed: int = 5) -> pl.DataFrame:
    """A prediction log in which, from the tenth day on, `amount` drifts, errors rise and answers slow down."""
    chance = np.random.default_rng(seed)
    seconds = np.sort(chance.uniform(0, days * 86400, rows))
    late = seconds > 9 * 86400
    amount = chance.normal(np.where(late, drift, 0.0), 1.0, rows)
    score = 1 / (1 + np.exp(-1.6 * amount))
    label = (chance.random(rows) < score).astype(float)
    label[chance.random(rows) < 0.6] = np.nan
    failed = chance.random(rows) < np.where(late, 0.04, 0.005)
    return pl.DataFrame(
        {
            "timestamp": pl.Series(START.timestamp() * 1e6 + seconds * 1e6).cast(pl.Int64).cast(pl.Datetime("us", "UTC")),
            "prediction": (score >= 0.5).astype(int),
            "score": score,
            "label": pl.Series(label).fill_nan(None).cast(pl.Int64),
            "latency_ms": chance.lognormal(np.where(late, 3.4, 3.0), 0.45, rows),
            "error": pl.Series(np.where(failed, chance.choice(["timeout", "bad input"], rows), "")).replace("", None),
            "amount": amount,
            "age": chance.normal(40, 12, rows),
            "country": chance.choice(["DE", "FR", "US"], rows, p=[0.5, 0.3, 0.2]),
        }
    )


def reference(rows: int = 3_000) -> pl.DataFrame:
    chance = np.random.default_rng(6)
    amount = chance.normal(0, 1, rows)
    return pl.DataFrame(
        {
            "amount": amount,
            "age": chance.normal(40, 12, rows),
            "country": chance.choice(["DE", "FR", "US"], rows, p=[0.5, 0.3, 0.2]),
            "score": 1 / (1 + np.exp(-1.6 * amount)),
        }
    )


def deployment(workspace: Workspace, of: Model, frame: pl.DataFrame | None = None, **given: Any) -> Deployment:
    """A deployment of a model with its log in two parts."""
    home = Project(id=of.project_id, name="")
    kept = table(workspace, home, reference(), "reference")
    row = Deployment(
        **({"project_id": of.project_id, "model_id": of.id, "name": "Scoring service", "stage": "production", "status": "active", "reference_id": kept.id,
            "features": ["amount", "age", "country"], "deployed_at": START} | given)
    )  # fmt: skip
    found: Deployment = add(workspace, row)
    whole = log(6_000) if frame is None else frame
    for number, part in enumerate((whole.head(whole.height // 2), whole.tail(whole.height - whole.height // 2))):
        held = table(workspace, home, part, "predictions")
        add(
            workspace,
            PredictionPart(
                deployment_id=found.id, table_id=held.id, sha256=f"{number:064d}", first_at=part["timestamp"].min(), last_at=part["timestamp"].max(),
                rows=part.height, errors=0, labelled=0,
            ),
        )  # fmt: skip
    monitor = Monitor(
        project_id=of.project_id, deployment_id=found.id, name="Drift of the amount", metric="psi", feature="amount", operator="gt", threshold=0.25,
        window_minutes=1440, min_rows=100, severity="p2", state="firing", value=0.61,
    )  # fmt: skip
    add(workspace, monitor)
    return found


def synthetic(workspace: Workspace, of: Project, name: str = "student_placements", **given: Any) -> SynthgenRun:
    """A run over one of SDMetrics' demo tables."""
    sides = [pl.read_csv(shared(f"data/ml_tables/{name}_{side}.csv"), try_parse_dates=True) for side in ("real", "synthetic")]
    real, made = (table(workspace, of, frame, role) for frame, role in zip(sides, ("real", "synthetic"), strict=True))
    row = SynthgenRun(
        **({"project_id": of.id, "name": f"{name} copy", "generator": "ctgan", "config": {"epochs": 300, "batch_size": 500}, "seed": 42,
            "requested_rows": sides[1].height, "primary_key": "student_id" if "student_id" in sides[0].columns else None, "real_id": real.id,
            "synthetic_id": made.id, "loss_curve": [{"step": n, "metric": "loss", "split": "generator", "value": 3 / (n + 1)} for n in range(50)]} | given)
    )  # fmt: skip
    found: SynthgenRun = add(workspace, row)
    return found


def privacy(workspace: Workspace, of: Project) -> PrivacySession:
    frame = pl.DataFrame({"email": ["a@example.org", None, "b@example.org"], "age": [31, 44, 29], "city": ["Ulm", "Ulm", "Köln"]})
    kept = version(workspace, of, frame, "customers", "age")
    row = PrivacySession(
        project_id=of.id, name="Customers for the lab", policy="Lab policy", profile="gdpr", dataset_version_id=kept.id, rows=3,
        findings=[{"column": "email", "pii_type": "email", "count": 2, "rows": 3, "confidence": 0.99}, {"column": "city", "pii_type": "location", "count": 3, "rows": 3, "confidence": 0.7}],
        transformations=[{"column": "email", "pii_type": "email", "action": "hash", "changed": 2, "config": {"salt": "per session"}}],
        quasi_identifiers=["age", "city"], risk={"k_anonymity": {"before": 1, "after": 2}, "unique_share": {"before": 1.0, "after": 0.33}},
        finished_at=START,
    )  # fmt: skip
    found: PrivacySession = add(workspace, row)
    return found
