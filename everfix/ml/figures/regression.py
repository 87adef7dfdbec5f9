"""Figures of a regression: errors and their distribution, predicted against actual in bins, and the worst rows."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from sklearn import metrics

from everfix.ml.figures import arrays
from everfix.ml.figures.arrays import Floats
from everfix.ml.figures.unmade import Unmade

BINS = 30  # of the distribution of errors
GRID = 14  # bins of predicted against actual on each side
POINTS = 300  # that are drawn of predicted against actual and of the residuals
WORST = 10


@dataclass(frozen=True, slots=True)
class Histogram:
    """Counts between edges (one more than counts)."""

    edges: tuple[float, ...]
    counts: tuple[int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Fit:
    """How far predictions lie from the truth, as sums alone tell it; an error is predicted − actual."""

    rows: int
    left_out: int
    rmse: float
    mae: float
    r2: float | None  # None where the truth is constant
    bias: float  # mean error
    error_std: float
    points: tuple[tuple[float, float], ...]  # actual, predicted: thinned


@dataclass(frozen=True, slots=True, kw_only=True)
class Regression(Fit):
    """All scores of a regression whose rows are held."""

    median_error: float  # of absolute errors
    mape: float | None  # None where a true value is zero: it has no percentage
    max_error: float
    baseline_rmse: float  # of always saying the mean
    quantiles: tuple[tuple[float, float], ...]  # of the errors
    errors: Histogram
    by_tenth: tuple[tuple[float, float, float, int], ...]  # tenths of the prediction: mean predicted, mean actual, RMSE, rows
    worst: tuple[tuple[int, float, float, float], ...]  # row number, actual, predicted, error


def of(truth: arrays.Anything, predicted: arrays.Anything) -> Regression:
    """Return the figures of predictions; raises Unmade where no row has both numbers."""
    arrays.same_length(truth=truth, prediction=predicted)
    real, said = arrays.numbers(truth), arrays.numbers(predicted)
    keep = np.isfinite(real) & np.isfinite(said)
    if int(keep.sum()) < 2:
        raise Unmade(f"{int(keep.sum())} of {keep.size:,} rows have both a true and a predicted number; at least two are needed")
    numbers = np.flatnonzero(keep)
    real, said = real[keep], said[keep]
    errors = said - real
    constant = float(np.ptp(real)) == 0
    return Regression(
        rows=int(real.size), left_out=int((~keep).sum()),
        rmse=float(metrics.root_mean_squared_error(real, said)), mae=float(metrics.mean_absolute_error(real, said)),
        median_error=float(metrics.median_absolute_error(real, said)), r2=None if constant else float(metrics.r2_score(real, said)),
        mape=None if (real == 0).any() else float(metrics.mean_absolute_percentage_error(real, said)),
        bias=float(errors.mean()), error_std=float(errors.std()), max_error=float(metrics.max_error(real, said)),
        baseline_rmse=float(real.std()),
        quantiles=tuple((q, float(np.quantile(errors, q))) for q in (0.01, 0.05, 0.25, 0.5, 0.75, 0.95, 0.99)),
        errors=histogram(errors), points=points(real, said), by_tenth=_tenths(real, said), worst=_worst(numbers, real, said),
    )  # fmt: skip


def histogram(values: Floats, bins: int = BINS) -> Histogram:
    """Return counts in bins of equal width over the middle 98 %, the first and last bin holding what lies beyond."""
    low, high = (float(edge) for edge in np.quantile(values, (0.01, 0.99)))
    if low == high:
        low, high = float(values.min()), float(values.max())
    if low == high:
        return Histogram((low - 0.5, low + 0.5), (int(values.size),))
    counts, edges = np.histogram(np.clip(values, low, high), bins=bins, range=(low, high))
    return Histogram(tuple(map(float, edges)), tuple(map(int, counts)))


def points(real: Floats, said: Floats) -> tuple[tuple[float, float], ...]:
    """Return pairs spread evenly over the order of the truth, so that the rare ends are drawn too."""
    order = np.argsort(real, kind="stable")
    keep = order[arrays.thin(real.size, POINTS)]
    return tuple((float(real[place]), float(said[place])) for place in keep)


def _tenths(real: Floats, said: Floats) -> tuple[tuple[float, float, float, int], ...]:
    parts = np.array_split(np.argsort(said, kind="stable"), min(10, real.size))
    return tuple(
        (float(said[part].mean()), float(real[part].mean()), float(np.sqrt(np.mean((said[part] - real[part]) ** 2))), len(part))
        for part in parts
    )


def _worst(numbers: arrays.Ints, real: Floats, said: Floats) -> tuple[tuple[int, float, float, float], ...]:
    order = np.argsort(-np.abs(said - real), kind="stable")[:WORST]
    return tuple((int(numbers[place]) + 1, float(real[place]), float(said[place]), float(said[place] - real[place])) for place in order)
