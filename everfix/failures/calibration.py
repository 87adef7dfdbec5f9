"""How good forecasts are, and a logistic model that keeps learning: Brier, log loss, AUC, calibration error, online Bayesian regression."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


def sigmoid(x: Floats) -> Floats:
    return 1.0 / (1.0 + np.exp(-np.clip(x, -30, 30)))


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


@dataclass(slots=True)
class Logistic:
    """Bayesian logistic regression that learns batch by batch: a Gaussian over the weights, updated by Laplace's approximation.

    `keep` below 1 forgets: before each batch the precision falls back toward the prior's by that factor, so weights may drift."""

    prior_mean: Floats
    prior_precision: Floats
    keep: float
    mean: Floats
    precision: Floats

    @classmethod
    def new(cls, mean: Floats, precision: Floats, keep: float) -> Self:
        return cls(mean, precision, keep, mean.copy(), np.diag(precision))

    def score(self, x: Floats) -> Floats:
        return x @ self.mean

    def variance(self, x: Floats) -> Floats:
        """Variance of the score of each row: what the model does not know about its own weights."""
        return np.einsum("ij,ji->i", x, np.linalg.solve(self.precision, x.T))

    def learn(self, x: Floats, y: Floats, weight: float = 1.0, steps: int = 3) -> None:
        """Take in one batch: Newton steps to the most probable weights given the old Gaussian and the new outcomes."""
        old, held = self.mean.copy(), self.keep * self.precision + (1 - self.keep) * np.diag(self.prior_precision)
        pull = self.keep * self.precision @ old + (1 - self.keep) * self.prior_precision * self.prior_mean
        for _ in range(steps):
            p = sigmoid(x @ self.mean)
            curve = weight * np.maximum(p * (1 - p), 1e-3)
            precision = held + (x * curve[:, None]).T @ x
            gradient = pull - held @ self.mean + weight * (x.T @ (y - p))
            step = np.linalg.solve(precision, gradient)
            self.mean = self.mean + step * min(1.0, 2.0 / max(float(np.abs(x @ step).max(initial=0.0)), 1e-9))
            self.precision = precision

    def to_state(self) -> dict[str, Any]:
        return {
            "keep": self.keep,
            "mean": [round(float(v), 7) for v in self.mean],
            "precision": [[round(float(v), 5) for v in row] for row in self.precision],
        }
