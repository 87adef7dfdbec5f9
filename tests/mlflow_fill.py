"""Fills a real MLflow tracking server, as a team does: trains scikit-learn models and logs them. Run as a process of its own.

python -m tests.mlflow_fill http://127.0.0.1:5000 first|second
"""

from __future__ import annotations

import json
import sys
import tempfile
from pathlib import Path

import mlflow
import numpy as np
import pandas as pd
from mlflow import MlflowClient
from mlflow.data.pandas_dataset import from_pandas
from mlflow.entities import Metric
from mlflow.models import infer_signature
from sklearn.datasets import load_breast_cancer, load_diabetes
from sklearn.ensemble import GradientBoostingClassifier
from sklearn.linear_model import LogisticRegression, Ridge
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error, roc_auc_score
from sklearn.model_selection import train_test_split
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler


def cancer(*, rounds: int, name: str) -> str:
    """Log a boosted model with its learning curve, evaluation table, importances, input and signature."""
    frame = load_breast_cancer(as_frame=True).frame
    train, test = train_test_split(frame, random_state=1, stratify=frame["target"])
    features = list(frame.columns[:-1])
    model = GradientBoostingClassifier(n_estimators=rounds, random_state=1).fit(train[features], train["target"])
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_input(from_pandas(train, name="breast cancer", targets="target"), context="training")
        mlflow.log_params({"n_estimators": rounds, "learning_rate": model.learning_rate, "warm_start": model.warm_start, "init": None})
        stages = zip(model.staged_predict_proba(train[features]), model.staged_predict_proba(test[features]), strict=True)
        points = []
        for step, (ours, theirs) in enumerate(stages):
            points.append(Metric("train_log_loss", log_loss(train["target"], ours), 0, step))
            points.append(Metric("val_log_loss", log_loss(test["target"], theirs), 0, step))
        MlflowClient().log_batch(run.info.run_id, metrics=points)
        score = model.predict_proba(test[features])[:, 1]
        mlflow.log_metric("test_roc_auc", roc_auc_score(test["target"], score))
        mlflow.log_metric("test_accuracy_score", accuracy_score(test["target"], score > 0.5))
        mlflow.log_metric("diverged", float("nan"))
        mlflow.set_tag("team", "risk")
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "evaluation.csv"
            pd.DataFrame({"y_true": test["target"], "y_pred": (score > 0.5).astype(int), "y_score": score}).to_csv(path, index=False)
            mlflow.log_artifact(str(path))
            path = Path(folder) / "feature_importance.csv"
            pd.DataFrame({"feature": features, "importance": model.feature_importances_}).to_csv(path, index=False)
            mlflow.log_artifact(str(path), "tables")
        mlflow.sklearn.log_model(
            model,
            name="model",
            signature=infer_signature(test[features], score),
            pip_requirements=[],
            serialization_format="cloudpickle",
            registered_model_name="cancer",
        )
        return str(run.info.run_id)


def plain(name: str) -> str:
    """Log a small model, and one that failed."""
    frame = load_breast_cancer(as_frame=True).frame
    model = make_pipeline(StandardScaler(), LogisticRegression()).fit(frame.iloc[:, :-1], frame["target"])
    with mlflow.start_run(run_name=name) as run:
        mlflow.log_metric("test_roc_auc", float(roc_auc_score(frame["target"], model.predict_proba(frame.iloc[:, :-1])[:, 1])) - 0.1)
        return str(run.info.run_id)


def diabetes() -> str:
    """Log a regression."""
    frame = load_diabetes(as_frame=True).frame
    model = Ridge().fit(frame.iloc[:, :-1], frame["target"])
    with mlflow.start_run(run_name="ridge") as run:
        said = model.predict(frame.iloc[:, :-1])
        mlflow.log_metric("root_mean_squared_error", float(np.sqrt(mean_squared_error(frame["target"], said))))
        return str(run.info.run_id)


def main(url: str, what: str) -> None:
    """Log the first or the second round of work, and print what it was."""
    mlflow.set_tracking_uri(url)
    client = MlflowClient(url)
    told = {}
    here = mlflow.set_experiment("cancer").experiment_id
    if what == "first":
        told["boosted"] = cancer(rounds=30, name="boosted 30")
        told["plain"] = plain("logistic")
        failed = client.create_run(here, run_name="broken")
        client.set_terminated(failed.info.run_id, "FAILED")
        running = client.create_run(here, run_name="slow")
        told |= {"failed": failed.info.run_id, "running": running.info.run_id}
        client.set_registered_model_alias("cancer", "champion", "1")
        mlflow.set_experiment("diabetes")
        told["ridge"] = diabetes()
    else:
        running = client.search_runs([here], "attributes.status = 'RUNNING'")[0]
        client.log_metric(running.info.run_id, "test_roc_auc", 0.999)
        client.set_terminated(running.info.run_id)
        told["again"] = plain("logistic 2")
    print(json.dumps(told))  # noqa: T201 - the answer


if __name__ == "__main__":
    main(*sys.argv[1:])
