"""How probable it is that a pattern fails again within a window: one model per workspace that learns from its own hits and misses.

1. `features` turns each history into numbers that do not depend on source or window length.
2. A Bayesian logistic regression weighs them. It starts from a stated prior (the decayed share of windows with a failure) and
   learns from every window that ended, so new workspaces lean on the prior and old ones on themselves; it forgets slowly.
3. Each forecast carries an interval and the reasons that moved it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from everfix.failures import calibration, features

History = features.History
Floats = NDArray[np.float64]

VERSION = "forecast-1"
KEEP = 0.99
PRECISION = 10.0
PRIOR = {"share_3": 0.5, "share_8": 0.5}  # a new workspace believes the decayed shares, shrunk to its own base rate
LEARN_AT_MOST = 20_000  # rows of one moment; more bring nothing and cost time
SURE = 1.645  # standard deviations to each side of a 90 % interval


@dataclass(frozen=True, slots=True)
class Forecast:
    """A probability with its 90 % interval; `why` is a list of reasons, strongest first, each JSON-able."""

    pattern: str
    probability: float
    lower: float
    upper: float
    why: list[dict[str, Any]]


@dataclass(frozen=True, slots=True)
class Asked:
    """Questions put at one moment for one window: a row of features per pattern, kept until the outcome is known."""

    now: int
    window: int
    rows: Floats
    base: float


@dataclass(slots=True)
class Horizon:
    """What is learnt for one window length."""

    learner: calibration.Logistic
    around: features.Context | None
    seen: float  # resolved questions
    hits: float
    usual: Floats  # mean of each feature over resolved questions: what a reason is compared with

    @classmethod
    def new(cls) -> Self:
        mean = np.array([PRIOR.get(name, 0.0) for name in features.NAMES])
        size = len(features.NAMES)
        return cls(calibration.Logistic.new(mean, np.full(size, PRECISION), KEEP), None, 0.0, 0.0, np.zeros(size))

    def learn(self, rows: Floats, outcomes: Floats) -> None:
        step = -(-len(rows) // LEARN_AT_MOST)
        self.learner.learn(rows[::step], outcomes[::step])
        self.seen, self.hits = self.seen + len(rows), self.hits + float(outcomes.sum())
        self.usual = self.usual + (rows.sum(0) - len(rows) * self.usual) / max(self.seen, 1.0)

    def to_state(self) -> dict[str, Any]:
        around = self.around.to_state() if self.around else None
        return {
            "learner": self.learner.to_state(),
            "around": around,
            "seen": self.seen,
            "hits": self.hits,
            "usual": self.usual.round(7).tolist(),
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        fresh = cls.new()
        learner = calibration.Logistic(
            fresh.learner.prior_mean,
            fresh.learner.prior_precision,
            KEEP,
            np.array(state["learner"]["mean"]),
            np.array(state["learner"]["precision"]),
        )
        around = features.Context.from_state(state["around"]) if state["around"] else None
        return cls(learner, around, state["seen"], state["hits"], np.array(state["usual"]))


@dataclass(slots=True)
class Model:
    """The forecaster of one workspace: horizons by window length in microseconds. `to_state` is JSON-able."""

    horizons: dict[int, Horizon]

    @classmethod
    def new(cls) -> Self:
        return cls({})

    def horizon(self, window: int) -> Horizon:
        return self.horizons.setdefault(window, Horizon.new())

    def ask(self, pack: features.Pack, now: int, window: int, *, whole: bool = True) -> Asked:
        """Questions about every history of the pack. `whole`: the pack is the workspace, so what it says as a whole is measured anew; otherwise the last measure serves."""
        horizon = self.horizon(window)
        if whole or horizon.around is None:
            horizon.around = features.context(pack, now, window)
        return Asked(now, window, features.of(pack, now, window, horizon.around), horizon.around.base)

    def answer(self, asked: Asked) -> tuple[Floats, Floats, Floats]:
        """Probability, lower and upper end of the 90 % interval, one per row."""
        learner = self.horizon(asked.window).learner
        score, spread = learner.score(asked.rows), SURE * np.sqrt(learner.variance(asked.rows))
        return calibration.sigmoid(score), calibration.sigmoid(score - spread), calibration.sigmoid(score + spread)

    def resolve(self, asked: Asked, outcomes: Floats) -> None:
        """Learn from questions whose window has ended; `outcomes` is 1.0 where the pattern failed in it, one per row."""
        if len(asked.rows):
            self.horizon(asked.window).learn(asked.rows, outcomes)

    def predict(self, histories: Sequence[History], now: datetime, window_days: float, *, whole: bool = True) -> list[Forecast]:
        """One forecast per history, in their order; what became known after `now` is not looked at. See `ask` for `whole`."""
        moment, window = features.microseconds(now), features.days(window_days)
        asked = self.ask(features.Pack.of(histories, moment), moment, window, whole=whole)
        probability, lower, upper = self.answer(asked)
        return [
            Forecast(h.pattern, float(p), float(lo), float(up), self.why(asked, i))
            for i, (h, p, lo, up) in enumerate(zip(histories, probability, lower, upper, strict=True))
        ]

    def learn(
        self,
        histories: Sequence[History],
        origin: datetime,
        until: datetime,
        window_days: float,
        *,
        active_days: float = 180.0,
        min_events: int = 1,
    ) -> int:
        """Learn from the windows (origin, origin + window] of all patterns that were active then; returns how many.

        Only what was known at `origin` makes the question and only what is known at `until` the outcome, so a job may replay old origins in order.
        Raises ValueError when the window has not ended by `until`."""
        start, end, window = features.microseconds(origin), features.microseconds(until), features.days(window_days)
        if start + window > end:
            raise ValueError(
                f"until {until.isoformat()}: the window of {window_days:g} days from {origin.isoformat()} has not ended; it can be learnt from later"
            )
        pack = features.Pack.of(histories)
        asked_about = pack.active(start, features.days(active_days), min_events)
        then = pack.rows(asked_about).known(start)
        if len(then):
            self.resolve(self.ask(then, start, window), pack.rows(asked_about).failed(start, window, end))
        return len(then)

    def why(self, asked: Asked, row: int) -> list[dict[str, Any]]:
        """The base rate, then what moved this forecast away from the usual one: log-odds per group of features, strongest first."""
        horizon = self.horizon(asked.window)
        moved = horizon.learner.mean * (asked.rows[row] - horizon.usual)
        groups: dict[str, float] = {}
        for name, effect in zip(features.NAMES, moved, strict=True):
            words = features.WORDS[name]
            groups[words] = groups.get(words, 0.0) + float(effect)
        reasons = sorted(
            ({"reason": words, "effect": round(effect, 3)} for words, effect in groups.items() if abs(effect) >= 0.05),
            key=lambda r: -abs(float(str(r["effect"]))),
        )
        return [
            {
                "reason": "share of windows with a failure in this workspace",
                "value": round(asked.base, 4),
                "model": VERSION,
                "learnt_from": int(horizon.seen),
            },
            *reasons,
        ]

    def to_state(self) -> dict[str, Any]:
        return {"version": VERSION, "horizons": {str(window): h.to_state() for window, h in self.horizons.items()}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Raises ValueError when the state was written by another version: the model is then recomputed from the histories."""
        if state.get("version") != VERSION:
            raise ValueError(
                f"version: {state.get('version')!r} cannot be read, {VERSION!r} is expected; recompute the model by learning from past windows"
            )
        return cls({int(window): Horizon.from_state(h) for window, h in state["horizons"].items()})
