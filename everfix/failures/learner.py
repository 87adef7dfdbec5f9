"""Logistic regressions that keep learning: Bayesian, batch by batch, over the features and random units made of them.

Several learners answer together, and their mean beats each of them. All but the last have units of their own, which let them
bend where a straight line does not fit; the last sees the core features alone, which is safer while there are few outcomes.
Nothing is stored but a small matrix and the weights of each.
"""

from __future__ import annotations

import base64
from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from everfix.failures import calibration, history

Floats = history.Floats

LEARNERS = 4
UNITS = 60
MIXED = 3  # features that a unit looks at
PRECISION = 30.0  # of each weight's prior: a standard deviation of 0.2
KEEP = 0.99  # share of the past's weight that is left after each batch
KEEP_LEVEL = 0.95  # the same for the level
SPREAD_MEMORY = 0.97
SPREAD_PRIOR = (8.0, 2.0)  # summed ratios and their number: batches are taken for four times as scattered as independent failures
LEAST_WEIGHT = 0.02
NEVER = 1e7  # precision of a weight that stays where the prior puts it
WIDE = 4.0  # features are cut there, in standard deviations, before units see them


@dataclass(slots=True)
class Logistic:
    """A Gaussian over the weights, updated by Laplace's approximation.

    Before each batch it forgets: its precision falls back toward the prior's, so weights may drift; the first weight, the level,
    forgets faster, because levels drift most.
    """

    prior_mean: Floats
    prior_precision: Floats
    keep: float
    mean: Floats
    precision: Floats

    @classmethod
    def new(cls, mean: Floats, precision: Floats, keep: float) -> Self:
        """At the prior: a mean and a precision per weight."""
        return cls(mean, precision, keep, mean.copy(), np.diag(precision))

    def score(self, x: Floats) -> Floats:
        """Log-odds of each row."""
        return np.asarray(x @ self.mean, dtype=np.float64)

    def variance(self, x: Floats) -> Floats:
        """Variance of each row's log-odds: what is not known about the weights."""
        half = np.linalg.solve(np.linalg.cholesky(self.precision), x.T)
        return np.asarray((half**2).sum(0), dtype=np.float64)

    def learn(self, x: Floats, y: Floats, weight: float = 1.0, steps: int = 2) -> None:
        """Take in one batch: Newton steps to the most probable weights given the old Gaussian and the new outcomes."""
        fade = np.ones(len(self.mean))
        fade[0] = np.sqrt(KEEP_LEVEL)
        past = self.keep * self.precision * np.outer(fade, fade)
        held = past + (1 - self.keep) * np.diag(self.prior_precision)
        pull = past @ self.mean + (1 - self.keep) * self.prior_precision * self.prior_mean
        for _ in range(steps):
            p = calibration.sigmoid(self.score(x))
            curve = weight * np.maximum(p * (1 - p), 1e-3)
            self.precision = held + (x * curve[:, None]).T @ x
            step = np.linalg.solve(self.precision, pull - held @ self.mean + weight * (x.T @ (y - p)))
            self.mean = self.mean + step * min(1.0, 2.0 / max(float(np.abs(x @ step).max(initial=0.0)), 1e-9))

    def to_state(self) -> dict[str, Any]:
        upper = self.precision[np.triu_indices(len(self.mean))]
        return {"mean": written(self.mean), "precision": written(upper)}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `to_state` wrote."""
        size = len(self.prior_mean)
        upper = np.zeros((size, size))
        upper[np.triu_indices(size)] = read(state["precision"])
        self.mean, self.precision = read(state["mean"]), upper + np.triu(upper, 1).T


def written(values: Floats) -> str:
    """Numbers as base64 of little-endian float32: a tenth of the JSON."""
    return base64.b64encode(values.astype("<f4").tobytes()).decode("ascii")


def read(text: str) -> Floats:
    return np.frombuffer(base64.b64decode(text), dtype="<f4").astype(np.float64)


def uniform(seed: int, size: int) -> Floats:
    """Numbers in [0, 1) that are the same on every machine and in every version: raw bits of PCG64."""
    raw = np.random.PCG64(seed).random_raw(size)
    return np.asarray(raw >> np.uint64(11), dtype=np.float64) * 2.0**-53


@dataclass(frozen=True, slots=True)
class Units:
    """Random rectified units: each weighs a few features by chance and cuts at zero. Never learnt, so never stored."""

    weights: Floats  # features x units
    cut: Floats

    @classmethod
    def drawn(cls, seed: int, features: int, units: int = UNITS) -> Self:
        chance = uniform(seed, units * (features + MIXED + 1)).reshape(units, -1)
        chosen = np.argsort(chance[:, :features], axis=1)[:, :MIXED]
        weights = np.zeros((features, units))
        size = np.sqrt(3.0 / MIXED) * (2 * chance[:, features : features + MIXED] - 1)
        weights[chosen.T, np.arange(units)] = size.T
        return cls(weights, 0.8 * np.sqrt(3.0) * (2 * chance[:, -1] - 1))

    def of(self, rows: Floats) -> Floats:
        """The design: a constant, the features, the units."""
        hidden = np.maximum(np.clip(rows, -WIDE, WIDE) @ self.weights + self.cut, 0.0)
        return np.concatenate([np.ones((len(rows), 1)), rows, hidden], axis=1)


@dataclass(slots=True)
class Ensemble:
    """Learners that answer with their mean log-odds. `spread`: how much more batches scatter than independent failures would."""

    members: list[tuple[Units, Logistic]]
    spread: tuple[float, float]

    @classmethod
    def new(cls, whole: Floats, plain: Floats, precision: Floats, core: history.Flags) -> Self:
        """At the prior: the level and a weight for each feature, those of the last learner apart (`plain`); units start at zero.

        `precision` is that of each weight; the last learner keeps the weights of what is not `core` where they are.
        """
        members = []
        for seed in range(1, LEARNERS + 1):
            last = seed == LEARNERS
            held = np.where(core, precision, NEVER) if last else precision
            tight = np.concatenate([[PRECISION], held, np.full(UNITS, NEVER if last else PRECISION)])
            mean = np.concatenate([plain if last else whole, np.zeros(UNITS)])
            members.append((Units.drawn(seed, len(core)), Logistic.new(mean, tight, KEEP)))
        return cls(members, SPREAD_PRIOR)

    def score(self, rows: Floats) -> Floats:
        return np.asarray(np.mean([one.score(units.of(rows)) for units, one in self.members], axis=0), dtype=np.float64)

    def deviation(self, rows: Floats) -> Floats:
        """Standard deviation of the log-odds: what the learners do not know, and how far they disagree."""
        designs = [(one, units.of(rows)) for units, one in self.members]
        unknown = np.mean([one.variance(design) for one, design in designs], axis=0)
        return np.asarray(np.sqrt(unknown + np.var([one.score(design) for one, design in designs], axis=0)), dtype=np.float64)

    def learn(self, rows: Floats, outcomes: Floats) -> None:
        """Take in one batch.

        Failures of one moment depend on each other (an outage hits many patterns), so a batch counts less the more batches have
        scattered around their forecasts: divided by the square root of that scatter.
        """
        p = calibration.sigmoid(self.score(rows))
        weight = max(self.scatter**-0.5, LEAST_WEIGHT)
        ratio = float((outcomes - p).sum() ** 2 / max(float((p * (1 - p)).sum()), 1e-9))
        self.spread = (SPREAD_MEMORY * self.spread[0] + ratio, SPREAD_MEMORY * self.spread[1] + 1)
        for units, one in self.members:
            one.learn(units.of(rows), outcomes, weight)

    @property
    def scatter(self) -> float:
        return max(self.spread[0] / self.spread[1], 1.0)

    def moved(self, rows: Floats, usual: Floats) -> Floats:
        """How far each feature moves the log-odds of each row away from those of `usual`: the slope half-way, times the distance."""
        distance = rows - usual
        middle = usual + distance / 2
        total = np.zeros_like(rows)
        for units, one in self.members:
            straight, bent = one.mean[1 : 1 + rows.shape[1]], one.mean[1 + rows.shape[1] :]
            active = (np.clip(middle, -WIDE, WIDE) @ units.weights + units.cut) > 0
            total += straight + ((active * bent) @ units.weights.T) * (np.abs(middle) < WIDE)
        return np.asarray(total / len(self.members) * distance, dtype=np.float64)

    def to_state(self) -> dict[str, Any]:
        return {"spread": list(self.spread), "members": [one.to_state() for _, one in self.members]}

    def restore(self, state: dict[str, Any]) -> None:
        """Take over what `to_state` wrote."""
        self.spread = (float(state["spread"][0]), float(state["spread"][1]))
        for (_, one), saved in zip(self.members, state["members"], strict=True):
            one.restore(saved)
