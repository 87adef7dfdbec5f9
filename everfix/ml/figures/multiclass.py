"""Figures of probabilities over three and more classes: log loss, areas of each class against the rest, calibration of the top class."""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import numpy.typing as npt
from sklearn import metrics

from everfix.ml.figures import arrays, classification
from everfix.ml.figures.classification import Calibration, ClassRow, Curve, Decisions
from everfix.ml.figures.unmade import Unmade

CURVES = 10  # classes whose curves are drawn: the most common


@dataclass(frozen=True, slots=True)
class Multiclass:
    """Decisions of the most probable class, and what the probabilities tell beyond them."""

    decisions: Decisions
    log_loss: float
    macro_auc: float | None
    weighted_auc: float | None
    roc: tuple[tuple[str, Curve], ...]
    calibration: Calibration
    left_out: int


def of(truth: arrays.Anything, proba: arrays.Anything | npt.NDArray[np.float64], names: tuple[str, ...]) -> Multiclass:
    """Return the figures of one probability for each class (columns in the order of `names`); raises Unmade."""
    given = np.asarray(proba, dtype=np.float64)
    if given.ndim != 2 or given.shape[1] != len(names) or len(names) < 2:
        raise Unmade(f"the probabilities have the shape {given.shape}, the model has {len(names)} classes")
    arrays.same_length(truth=truth, probabilities=given)
    real = arrays.labels(truth)
    keep = np.isin(real, names) & np.isfinite(given).all(axis=1)
    if not keep.any():
        raise Unmade("no row has a known true class and finite probabilities")
    chosen = np.array(names)[given.argmax(axis=1)]
    decided = classification.decisions(classification.Rows(real[keep], chosen[keep], int((~keep).sum())))
    known, found = real[keep], _normal(given[keep])
    ordered = sorted(range(len(names)), key=lambda place: names[place])  # as scikit-learn wants its columns
    loss = metrics.log_loss(known, found[:, ordered], labels=[names[place] for place in ordered])
    aucs = {name: _auc(known == name, found[:, place]) for place, name in enumerate(names)}
    rows = tuple(replace(row, auc=aucs.get(row.label)) for row in decided.classes)
    right = chosen[keep] == known
    return Multiclass(
        decisions=replace(decided, classes=rows),
        log_loss=float(loss),
        macro_auc=_mean(rows, weighted=False),
        weighted_auc=_mean(rows, weighted=True),
        roc=_curves(known, found, names),
        calibration=classification.calibration(right, found.max(axis=1)),
        left_out=int((~keep).sum()),
    )


def _normal(proba: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    """Return rows that sum to one; raises Unmade where they are no probabilities at all."""
    totals = proba.sum(axis=1)
    if (proba < -1e-9).any() or not np.allclose(totals, 1.0, atol=0.02):
        raise Unmade(f"the probabilities of a row sum to {totals.min():.3g} to {totals.max():.3g}; they must sum to 1")
    clipped = np.clip(proba, 0.0, 1.0)
    return np.asarray(clipped / clipped.sum(axis=1, keepdims=True))


def _auc(hits: npt.NDArray[np.bool_], scores: npt.NDArray[np.float64]) -> float | None:
    return None if not hits.any() or hits.all() else float(metrics.roc_auc_score(hits, scores))


def _mean(rows: tuple[ClassRow, ...], *, weighted: bool) -> float | None:
    known = [(row.auc, row.support if weighted else 1) for row in rows if row.auc is not None]
    total = sum(weight for _, weight in known)
    return sum(auc * weight for auc, weight in known) / total if total else None


def _curves(known: arrays.Labels, found: npt.NDArray[np.float64], names: tuple[str, ...]) -> tuple[tuple[str, Curve], ...]:
    common = sorted(range(len(names)), key=lambda place: -int((known == names[place]).sum()))[:CURVES]
    made = []
    for place in sorted(common):
        hits = known == names[place]
        if hits.any() and not hits.all():
            false, true, thresholds = metrics.roc_curve(hits, found[:, place])
            keep = arrays.bend(false, true, classification.POINTS // 2)
            cut = tuple(arrays.plain(value) for value in thresholds[keep])
            points = tuple(map(float, false[keep])), tuple(map(float, true[keep]))
            made.append((names[place], Curve(*points, cut, float(metrics.auc(false, true)))))
    return tuple(made)
