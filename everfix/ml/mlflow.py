"""MLflow's words in ours: what a run, an experiment, an input and a registered version of a tracking server are here (pure)."""

from __future__ import annotations

import csv
import io
import json
import math
import re
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

import yaml  # type: ignore[import-untyped]  # no stubs among our dependencies

from everfix.core import fields
from everfix.core.db import Json

STATUSES = {"FINISHED": "succeeded", "RUNNING": "running", "SCHEDULED": "queued", "FAILED": "failed", "KILLED": "failed"}
METRICS = {
    "accuracy_score": "accuracy",
    "roc_auc": "auc",
    "roc_auc_score": "auc",
    "log_loss": "logloss",
    "root_mean_squared_error": "rmse",
    "mean_squared_error": "mse",
    "mean_absolute_error": "mae",
    "r2_score": "r2",
    "f1_score": "f1",
    "precision_score": "precision",
    "recall_score": "recall",
    "precision_recall_auc": "pr_auc",
    "mean_absolute_percentage_error": "mape",
}
SPLITS = {
    "training_": "train",
    "train_": "train",
    "validation_": "validation",
    "valid_": "validation",
    "val_": "validation",
    "eval_": "validation",
    "cv_": "cross_validation",
    "test_": "test",
}
PREFERRED = ("test", "validation", "cross_validation", "train")  # the split whose figure stands for the model where it names none
SORTED_BY = ("auc", "accuracy", "f1", "rmse", "mae", "mse", "r2", "logloss")
LOWER = frozenset({"rmse", "mae", "mse", "logloss", "mape", "loss"})
REGRESSION = frozenset({"rmse", "mae", "mse", "r2", "mape"})
PRODUCTION = frozenset({"champion", "production", "prod"})
CURVES, CURVE_POINTS = 20, 1_000
EVALUATION = re.compile(r"(^|/)(evaluation|eval_results|predictions)[\w.-]*\.(csv|parquet)$", re.IGNORECASE)
IMPORTANCE = re.compile(r"(^|/)feature_importances?[\w-]*\.(csv|json)$", re.IGNORECASE)


def number(value: object) -> float | None:
    """Return a metric's value; NaN and infinities, which MLflow sends as words, are None."""
    try:
        found = float(value)  # type: ignore[arg-type]
    except (TypeError, ValueError):
        return None
    return found if math.isfinite(found) else None


def moment(milliseconds: object) -> datetime | None:
    """Return a time that MLflow gives in milliseconds."""
    value = number(milliseconds)
    return None if not value else datetime.fromtimestamp(value / 1_000, UTC)


def _text(value: object, longest: int) -> str:
    return str(value).replace("\x00", "").encode("utf-8", "replace").decode()[:longest]


def pairs(items: Iterable[Mapping[str, Any]], longest: int = 2_000) -> dict[str, str]:
    """Return MLflow's list of {key, value} as a dict."""
    return {_text(item["key"], 250): _text(item.get("value", ""), longest) for item in items}


def metrics(found: Mapping[str, float | None]) -> tuple[dict[str, float | None], dict[str, dict[str, float | None]]]:
    """Return the metrics under our names: those of the model as a whole, and those of each split."""
    whole: dict[str, float | None] = {}
    splits: dict[str, dict[str, float | None]] = {}
    for given, value in found.items():
        prefix = next((start for start in SPLITS if given.startswith(start) and len(given) > len(start)), None)
        if prefix is None:
            whole[METRICS.get(given, given)[:250]] = value
        else:
            name = given[len(prefix) :]
            splits.setdefault(SPLITS[prefix], {})[METRICS.get(name, name)[:250]] = value
    for split in PREFERRED:
        for name, value in splits.get(split, {}).items():
            whole.setdefault(name, value)
    return whole, splits


def curve(metric: str, history: Sequence[Mapping[str, Any]]) -> list[Json]:
    """Return a metric's history as points of a learning curve, thinned evenly to a thousand."""
    prefix = next((start for start in SPLITS if metric.startswith(start) and len(metric) > len(start)), "")
    name = metric[len(prefix) :]
    ordered = sorted(history, key=lambda point: (int(point.get("step", 0)), int(point.get("timestamp", 0))))
    steps = {int(point.get("step", 0)): number(point.get("value")) for point in ordered}  # of several values of a step, the last
    places = list(steps.items())
    if len(places) > CURVE_POINTS:
        places = [places[round(place * (len(places) - 1) / (CURVE_POINTS - 1))] for place in range(CURVE_POINTS)]
    split = SPLITS.get(prefix, "train")
    return [{"step": max(0, step), "metric": METRICS.get(name, name)[:250], "split": split, "value": value} for step, value in places]


def curved(run: Json) -> list[str]:
    """Return the metrics of a run that were logged over steps."""
    return [item["key"] for item in run["data"].get("metrics", []) if int(item.get("step", 0) or 0) > 0][:CURVES]


def model(run: Json, url: str) -> Json:
    """Return the columns of the model that a run is."""
    info, data = run["info"], run.get("data", {})
    tags = pairs(data.get("tags", []))
    whole, splits = metrics({_text(item["key"], 250): number(item.get("value")) for item in data.get("metrics", [])})
    start, end = moment(info.get("start_time")), moment(info.get("end_time"))
    status = STATUSES.get(info.get("status", ""), "running")
    return {
        "name": _text(info.get("run_name") or tags.get("mlflow.runName") or info["run_id"], 300),
        "algo": _text(tags.get("estimator_name") or _flavour(tags), 200),
        "status": status,
        "error": "the run was killed" if info.get("status") == "KILLED" else None,
        "parameters": {key: _plain(value) for key, value in pairs(data.get("params", [])).items()},
        "metrics": whole,
        "metrics_by_split": splits,
        "tags": {key: value for key, value in tags.items() if not key.startswith("mlflow.")},
        "started_at": start,
        "finished_at": end,
        "training_time_ms": (end - start).total_seconds() * 1_000 if start and end else None,
        "signature": _signature(tags),
        "source_url": f"{url}/#/experiments/{info['experiment_id']}/runs/{info['run_id']}",
    }


def _plain(value: str) -> object:
    """Return a parameter, which MLflow keeps as text, as the number, truth value or text it was."""
    if value in ("True", "False"):
        return value == "True"
    if value == "None":
        return None
    try:
        found = json.loads(value)
    except ValueError:
        return value
    return found if isinstance(found, int | float) and math.isfinite(found) and str(found) == value else value


def _history(tags: Mapping[str, str]) -> Json:
    try:
        found = json.loads(tags.get("mlflow.log-model.history", "[]"))
    except ValueError:
        return {}
    return found[-1] if isinstance(found, list) and found and isinstance(found[-1], dict) else {}


def _flavour(tags: Mapping[str, str]) -> str:
    flavours = _history(tags).get("flavors", {})
    return next((name for name in flavours if name != "python_function"), "") if isinstance(flavours, dict) else ""


def _signature(tags: Mapping[str, str]) -> Json:
    return signature(_history(tags).get("signature"))


def described(body: bytes) -> tuple[str, Json]:
    """Return flavour and signature of a model's own description, a YAML file; raises ValueError where it is none."""
    try:
        found = yaml.safe_load(body)
    except (yaml.YAMLError, RecursionError) as problem:
        raise ValueError(f"no YAML: {problem}"[:200]) from problem
    if not isinstance(found, dict):
        raise ValueError("no description of a model")  # noqa: TRY004 - one error for every bad file
    flavours = found.get("flavors")
    names = [str(name) for name in flavours if name != "python_function"] if isinstance(flavours, dict) else []
    return (names[0] if names else ""), signature(found.get("signature"))


def signature(found: object) -> Json:
    """Return a model's signature: what goes in and out, as MLflow's JSON texts say."""
    made: Json = {}
    for side in ("inputs", "outputs", "params"):
        text = found.get(side) if isinstance(found, dict) else None
        try:
            made[side] = fields.bounded({"columns": json.loads(text)})["columns"] if isinstance(text, str) else None
        except ValueError:
            made[side] = None
    return {side: value for side, value in made.items() if value}


def experiment(found: Json, url: str) -> Json:
    """Return the columns of an experiment."""
    tags = pairs(found.get("tags", []))
    return {
        "name": _text(found["name"], 300),
        "description": tags.get("mlflow.note.content", ""),
        "target_column": tags.get("target_column") or tags.get("target"),
        "started_at": moment(found.get("creation_time")),
        "source_url": f"{url}/#/experiments/{found['experiment_id']}",
        "engine": "mlflow",
    }


def problem_type(names: Iterable[str]) -> str:
    """Return what kind of problem models with these metrics solve."""
    there = set(names)
    if there & REGRESSION:
        return "regression"
    return "classification" if there & {"auc", "accuracy", "f1", "logloss", "precision", "recall"} else "other"


def sort_metric(names: Iterable[str]) -> str | None:
    """Return the metric that a leaderboard of models with these metrics is sorted by."""
    there = set(names)
    return next((name for name in SORTED_BY if name in there), None)


def best(models: Iterable[tuple[Any, Mapping[str, Any]]], metric: str | None) -> Any:  # noqa: ANN401 - whatever names a model
    """Return which of (name, metrics) is best by the metric, or None."""
    scored = [(found[metric], name) for name, found in models if metric is not None and isinstance(found.get(metric), int | float)]
    if not scored:
        return None
    chosen = min if metric in LOWER else max
    return chosen(scored, key=lambda pair: pair[0])[1]


def dataset(found: Json) -> tuple[Json, Json]:
    """Return the columns of a data set and of its version that were an input of a run."""
    known = found.get("dataset", {})
    schema = _json(known.get("schema")).get("mlflow_colspec", [])
    profile = _json(known.get("profile"))
    columns = [{"name": _text(one.get("name", ""), 300), "type": _text(one.get("type", ""), 60)} for one in schema if isinstance(one, dict)]
    rows = profile.get("num_rows")
    version: Json = {
        "digest": _text(known.get("digest", ""), 200),
        "source": _text(known.get("source", ""), 2_000),
        "rows": rows if isinstance(rows, int) and rows >= 0 else None,
        "columns": len(columns) or None,
        "schema": columns[:10_000],
        "quality": {},
    }
    return {"name": _text(known.get("name") or "dataset", 300)}, version


def _json(text: object) -> Json:
    try:
        found = json.loads(text) if isinstance(text, str) else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def importance(path: str, body: bytes) -> list[Json]:
    """Return feature importances from an artifact: CSV (feature, importance) or JSON ({feature: importance}); raises ValueError."""
    if path.lower().endswith(".json"):
        found = json.loads(body)
        given = list(found.items()) if isinstance(found, dict) else [(one["feature"], one["importance"]) for one in found]
    else:
        rows = list(csv.reader(io.StringIO(body.decode("utf-8-sig"))))
        given = [(row[-2], row[-1]) for row in rows[1:] if len(row) >= 2]
    kept = [(_text(feature, 300), number(value)) for feature, value in given]
    return [{"feature": feature, "importance": value} for feature, value in kept if value is not None][:10_000]
