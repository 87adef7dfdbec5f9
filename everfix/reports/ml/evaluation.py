"""What a model's evaluation says: read from its evaluation table where there is one, else from the figures that were registered."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl

from everfix.core.db import Json
from everfix.ml.figures import arrays, classification, multiclass, regression
from everfix.ml.figures.classification import Binary, Confusion, Curve, Decisions
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.multiclass import Multiclass
from everfix.ml.figures.regression import Regression
from everfix.ml.figures.unmade import Unmade
from everfix.reports.ml.work import Absent, Work

HELD_OUT = ("test", "holdout", "hold-out", "hold_out", "validation", "valid", "val", "cross_validation", "cv", "train", "training")
MANY = 20  # different true numbers from which an unnamed problem is a regression
RAW = 2_000_000  # evaluation rows that are held


@dataclass(frozen=True, slots=True)
class Evaluation:
    """The figures of one split, as far as its columns give them; `problem` is binary, multiclass or regression."""

    problem: str
    split: str
    rows: int
    decisions: Decisions | None = None
    binary: Binary | None = None
    multiclass: Multiclass | None = None
    regression: Regression | None = None
    unmade: str = ""  # why the scores gave nothing, where decisions are known


def of(work: Work, model: Any, problem: str) -> Evaluation:  # noqa: ANN401 - a row of ml_models
    """Return the evaluation of a model on the split furthest from its training; raises Unmade."""
    return work.once(f"evaluation of {model.id}", lambda: splits(work, model, problem)[0])


def splits(work: Work, model: Any, problem: str) -> list[Evaluation]:  # noqa: ANN401
    """Return the evaluation of each split, the one to judge by first; raises Unmade."""
    return work.once(f"splits of {model.id}", lambda: _splits(work, model, problem))


def _splits(work: Work, model: Any, problem: str) -> list[Evaluation]:  # noqa: ANN401
    source = work.table(model.evaluation_id, "evaluation table")
    scores = [name for name in source.schema if name == "y_score" or name.startswith("y_score_")]
    names = [name for name in ("y_true", "y_pred", *scores, "split") if name in source.schema]
    if "y_true" not in names or len(names) < 2:
        raise Unmade(f"the evaluation table has the columns {', '.join(list(source.schema)[:12])}; it needs y_true, and y_pred or y_score")
    held = source.all(names, RAW)
    if not held.height:
        raise Unmade("the evaluation table has no rows")
    known = list(dict.fromkeys(held["split"].fill_null("").to_list())) if "split" in names else [""]
    ordered = sorted(known, key=lambda name: HELD_OUT.index(str(name).lower()) if str(name).lower() in HELD_OUT else -1)
    kind = _problem(held, scores, problem)
    made = []
    for name in ordered:
        part = held.filter(pl.col("split").fill_null("") == name) if "split" in names else held
        made.append(_one(part, scores, kind, str(name), model))
    return made


def _problem(held: pl.DataFrame, scores: Sequence[str], said: str) -> str:
    """Return binary, multiclass or regression: what the experiment says, else what the columns are like."""
    if said in ("binary", "multiclass", "regression"):
        return said
    truth = held["y_true"]
    if said == "other" and not scores and truth.dtype.is_float() and truth.drop_nulls().n_unique() > MANY:
        return "regression"
    return "multiclass" if len({name for name in np.unique(arrays.labels(truth.to_numpy())) if name}) > 2 else "binary"


def _one(part: pl.DataFrame, scores: Sequence[str], kind: str, split: str, model: Any) -> Evaluation:  # noqa: ANN401
    truth = part["y_true"].to_numpy()
    if kind == "regression":
        said = part["y_pred" if "y_pred" in part.columns else scores[0]].to_numpy()
        return Evaluation(kind, split, part.height, regression=regression.of(truth, said))
    found: dict[str, Any] = {}
    problem = ""
    try:
        found |= _scored(part, scores, kind, model, truth)
    except Unmade as reason:
        problem = str(reason)
    if "decisions" not in found:
        found["decisions"] = classification.decisions(classification.rows(truth, _decided(part, scores, kind, model, problem)))
    return Evaluation(kind, split, part.height, unmade=problem, **found)


def _scored(part: pl.DataFrame, scores: Sequence[str], kind: str, model: Any, truth: Any) -> dict[str, Any]:  # noqa: ANN401
    if not scores:
        return {}
    if kind == "binary":
        positive = model.positive_label or classification.positive_class(truth)
        column = f"y_score_{positive}" if f"y_score_{positive}" in scores else scores[-1]
        threshold = 0.5 if model.operating_point is None else float(model.operating_point)
        return {"binary": classification.binary(truth, part[column].to_numpy(), positive=positive, threshold=threshold)}
    names = tuple(name.removeprefix("y_score_") for name in scores if name.startswith("y_score_"))
    if len(names) < 2:
        raise Unmade("the probabilities of each class are missing: columns y_score_<label>")
    proba = part.select([f"y_score_{name}" for name in names]).to_numpy()
    made = multiclass.of(truth, proba, tuple(arrays.label(name) for name in names))
    return {"multiclass": made, "decisions": made.decisions} if "y_pred" not in part.columns else {"multiclass": made}


def _decided(part: pl.DataFrame, scores: Sequence[str], kind: str, model: Any, problem: str) -> Any:  # noqa: ANN401
    """Return the decision of each row: as given, else by the threshold of the positive class."""
    if "y_pred" in part.columns:
        return part["y_pred"].to_numpy()
    if kind != "binary" or not scores:
        raise Unmade(problem or "the evaluation table has neither y_pred nor usable scores")
    positive = model.positive_label or classification.positive_class(part["y_true"].to_numpy())
    others = [name for name in np.unique(arrays.labels(part["y_true"].to_numpy())) if name not in ("", positive)]
    threshold = 0.5 if model.operating_point is None else float(model.operating_point)
    return np.where(arrays.numbers(part[scores[-1]].to_numpy()) >= threshold, positive, others[0] if others else f"not {positive}")


def metrics(found: Evaluation) -> dict[str, float | None]:
    """Return the metrics of an evaluation by the names an answer uses."""
    made: dict[str, float | None] = {}
    if found.regression is not None:
        one = found.regression
        return {"rmse": one.rmse, "mae": one.mae, "r2": one.r2, "median_error": one.median_error, "mape": one.mape, "bias": one.bias,
                "max_error": one.max_error}  # fmt: skip
    if found.binary is not None:
        two = found.binary
        made |= {"auc": two.auc, "average_precision": two.average_precision, "logloss": two.log_loss, "brier": two.brier,
                 "ece": two.calibration.ece, "precision": two.precision, "recall": two.recall, "specificity": two.specificity,
                 "f1": two.f1}  # fmt: skip
    if found.multiclass is not None:
        many = found.multiclass
        made |= {"macro_auc": many.macro_auc, "weighted_auc": many.weighted_auc, "logloss": many.log_loss, "ece": many.calibration.ece}
    if found.decisions is not None:
        all_ = found.decisions
        made |= {"accuracy": all_.accuracy, "balanced_accuracy": all_.balanced_accuracy, "mcc": all_.mcc}
        if found.problem == "multiclass":
            made |= {"macro_f1": all_.macro_f1, "weighted_f1": all_.weighted_f1, "mean_per_class_error": 1 - all_.balanced_accuracy}
        elif found.binary is None:
            made |= {"macro_f1": all_.macro_f1}
    return made


# ---- what was registered as figures


def confusion(model: Any) -> Confusion:  # noqa: ANN401 - a row of ml_models
    """Return the registered confusion matrix; raises Absent, and Unmade where it is none."""
    given = model.confusion_matrix
    if not given:
        raise Absent("no confusion matrix and no evaluation table was given")
    labels, counts = given.get("labels") or [], given.get("counts") or given.get("matrix") or []
    if not labels or len(counts) != len(labels) or any(not isinstance(row, list) or len(row) != len(labels) for row in counts):
        raise Unmade(f"the registered confusion matrix is not square: {len(labels)} labels, rows of {[len(row) for row in counts][:5]}")
    return Confusion(tuple(map(str, labels)), tuple(tuple(int(count) for count in row) for row in counts))


def curve(given: Json | None, x: str, y: str, what: str) -> Curve:
    """Return a registered curve, thinned; raises Absent, and Unmade where its parts do not fit."""
    if not given:
        raise Absent(f"no {what} and no evaluation table was given")
    across, up = arrays.numbers(given.get(x) or []), arrays.numbers(given.get(y) or [])
    keep = np.isfinite(across) & np.isfinite(up) if len(across) == len(up) else np.zeros(0, dtype=bool)
    if int(keep.sum()) < 2:
        raise Unmade(f"the registered {what} has {len(across)} × {len(up)} points; it needs two and more, of {x} and {y}")
    order = np.lexsort((up[keep], across[keep]))
    across, up = across[keep][order], up[keep][order]
    kept = arrays.bend(across, up, classification.POINTS)
    area = float(np.trapezoid(up, across))
    if min(across.min(), up.min()) < 0 or max(across.max(), up.max()) > 1 or math.isnan(area):
        raise Unmade(f"the registered {what} leaves the unit square")
    return Curve(tuple(map(float, across[kept])), tuple(map(float, up[kept])), (None,) * len(kept), area)


def features(source: Frames) -> list[str]:
    """Return the columns of an evaluation table that are inputs of the model."""
    return [name for name in source.schema if not name.startswith("y_") and name != "split"]
