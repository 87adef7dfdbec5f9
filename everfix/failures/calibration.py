"""How good forecasts are: Brier score, log loss, AUC, reliability and calibration error."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(x: Floats) -> Floats:
    return np.asarray(1.0 / (1.0 + np.exp(-np.clip(x, -30, 30))), dtype=np.float64)


def brier(y: Floats, p: Floats) -> float:
    return float(np.mean((p - y) ** 2))


def log_loss(y: Floats, p: Floats) -> float:
    q = np.clip(p, 1e-4, 1 - 1e-4)
    return float(-np.mean(y * np.log(q) + (1 - y) * np.log1p(-q)))


def auc(y: Floats, p: Floats) -> float:
    """Area under the ROC curve by ranks, ties sharing theirs; NaN where all outcomes are alike."""
    _, inverse, count = np.unique(p, return_inverse=True, return_counts=True)
    rank = (np.cumsum(count) - (count - 1) / 2)[inverse]
    ones = float(y.sum())
    zeros = len(y) - ones
    return float((rank[y > 0].sum() - ones * (ones + 1) / 2) / (ones * zeros)) if ones and zeros else float("nan")


def reliability(y: Floats, p: Floats, bins: int = 10) -> list[tuple[int, float, float]]:
    """(n, mean forecast, observed rate) of bins of equal count; equal forecasts share their mean outcome, so ties have no order."""
    _, inverse = np.unique(p, return_inverse=True)
    shared = (np.bincount(inverse, y) / np.bincount(inverse))[inverse]
    order = np.argsort(p, kind="stable")
    return [(len(i), float(p[i].mean()), float(shared[i].mean())) for i in np.array_split(order, bins) if len(i)]


def calibration_error(y: Floats, p: Floats) -> float:
    return sum(n * abs(seen - said) for n, said, seen in reliability(y, p)) / max(len(y), 1)
