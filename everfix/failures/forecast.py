"""How probable it is that a pattern fails again within a window: one model per workspace that learns from its own hits and misses.

1. `features` turns each history into numbers that do not depend on source or window length.
2. A `learner.Ensemble` weighs them. It starts from stated weights (`beliefs`, what held in many sources) and learns from every
   window that ended: a new workspace leans on the beliefs, an old one on itself. It forgets slowly, so it keeps itself
   calibrated where base rates drift.
3. Each forecast carries an interval and the reasons that moved it.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Self

import numpy as np

from everfix.failures import beliefs, calibration, features, learner

History = features.History
Floats = features.Floats

VERSION = "forecast-4"
LEARN_AT_MOST = 20_000  # rows of one moment; more bring nothing and cost time
ANSWER_AT_ONCE = 10_000  # rows that are weighed together, so that memory stays level
SURE = 1.645  # standard deviations to each side of a 90 % interval
WORTH_SAYING = 0.05  # log-odds


@dataclass(frozen=True, slots=True)
class Forecast:
    """A probability with its 90 % interval.

    `why` is JSON-able: first the base rate with the model's version, then the reasons, strongest first, in log-odds.
    """

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
    """What is learnt for one window length. `usual`: mean of each feature over resolved questions, what reasons are measured from."""

    learner: learner.Ensemble
    around: features.Context | None
    seen: float
    hits: float
    usual: Floats

    @classmethod
    def new(cls) -> Self:
        ensemble = learner.Ensemble.new(beliefs.WHOLE, beliefs.PLAIN, learner.PRECISION / features.SCALE**2, features.CORE)
        return cls(ensemble, None, 0.0, 0.0, np.zeros(len(features.NAMES)))

    def learn(self, rows: Floats, outcomes: Floats) -> None:
        step = -(-len(rows) // LEARN_AT_MOST)
        self.learner.learn(rows[::step], outcomes[::step])
        self.seen, self.hits = self.seen + len(rows), self.hits + float(outcomes.sum())
        self.usual = self.usual + (rows.sum(0) - len(rows) * self.usual) / max(self.seen, 1.0)

    def to_state(self) -> dict[str, Any]:
        around = self.around.to_state() if self.around else None
        usual = learner.written(self.usual)
        return {"learner": self.learner.to_state(), "around": around, "seen": self.seen, "hits": self.hits, "usual": usual}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        horizon = cls.new()
        horizon.learner.restore(state["learner"])
        horizon.around = features.Context.from_state(state["around"]) if state["around"] else None
        horizon.seen, horizon.hits, horizon.usual = state["seen"], state["hits"], learner.read(state["usual"])
        return horizon


@dataclass(slots=True)
class Model:
    """The forecaster of one workspace: horizons by window length in microseconds. `to_state` is JSON-able."""

    horizons: dict[int, Horizon]

    @classmethod
    def new(cls) -> Self:
        return cls({})

    def horizon(self, window: int) -> Horizon:
        if window not in self.horizons:
            self.horizons[window] = Horizon.new()  # not by setdefault, which would draw all units each time
        return self.horizons[window]

    def ask(self, pack: features.Pack, now: int, window: int, *, whole: bool = True) -> Asked:
        """Put questions about every history of the pack; each must have an entry.

        `whole`: the pack is the workspace, so what it says as a whole is measured anew; otherwise the last measure serves.
        """
        horizon = self.horizon(window)
        if whole or horizon.around is None:
            horizon.around = features.context(pack, now, window)
        return Asked(now, window, features.of(pack, now, window, horizon.around), horizon.around.base)

    def probabilities(self, asked: Asked) -> Floats:
        """The answers without their intervals, which cost more than they do."""
        ensemble, size = self.horizon(asked.window).learner, len(asked.rows)
        parts = [ensemble.score(asked.rows[at : at + ANSWER_AT_ONCE]) for at in range(0, size, ANSWER_AT_ONCE)]
        return calibration.sigmoid(np.concatenate(parts or [np.zeros(0)]))

    def answer(self, asked: Asked) -> tuple[Floats, Floats, Floats]:
        """Probability, lower and upper end of the 90 % interval, one per row."""
        ensemble, size = self.horizon(asked.window).learner, len(asked.rows)
        parts = [asked.rows[at : at + ANSWER_AT_ONCE] for at in range(0, size, ANSWER_AT_ONCE)]
        score = np.concatenate([ensemble.score(part) for part in parts] or [np.zeros(0)])
        spread = SURE * np.concatenate([ensemble.deviation(part) for part in parts] or [np.zeros(0)])
        return calibration.sigmoid(score), calibration.sigmoid(score - spread), calibration.sigmoid(score + spread)

    def resolve(self, asked: Asked, outcomes: Floats) -> None:
        """Learn from questions whose window has ended; `outcomes` is 1.0 where the pattern failed in it, one per row."""
        if len(asked.rows):
            self.horizon(asked.window).learn(asked.rows, outcomes)

    def predict(self, histories: Sequence[History], now: datetime, window_days: float, *, whole: bool = True) -> list[Forecast]:
        """One forecast per history, in their order; what became known after `now` is not looked at. See `ask` for `whole`.

        Raises ValueError for a history of which nothing was known at `now`.
        """
        moment, window = features.microseconds(now), features.days(window_days)
        pack = features.Pack.of(histories, moment)
        unknown = np.flatnonzero(np.diff(pack.start) == 0)
        if len(unknown):
            raise ValueError(f"histories: nothing was known of {histories[unknown[0]].pattern!r} at {now.isoformat()}; leave it out")
        asked = self.ask(pack, moment, window, whole=whole)
        reasons = self.why(asked)
        made = zip(histories, *self.answer(asked), reasons, strict=True)
        return [Forecast(h.pattern, float(p), float(low), float(high), why) for h, p, low, high, why in made]

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

        Only what was known at `origin` makes the question and only what is known at `until` the outcome, so a job may replay
        old origins in order. Raises ValueError when the window has not ended by `until`.
        """
        start, end, window = features.microseconds(origin), features.microseconds(until), features.days(window_days)
        if start + window > end:
            raise ValueError(f"until {until.isoformat()}: the window of {window_days:g} days from {origin.isoformat()} has not ended")
        pack = features.Pack.of(histories)
        which = pack.active(start, features.days(active_days), min_events)
        then = pack.rows(which).known(start)
        if len(then):
            around = features.context(then, start, window)  # of that moment; the horizon keeps its own, newer one
            asked = Asked(start, window, features.of(then, start, window, around), around.base)
            self.resolve(asked, pack.rows(which).failed(start, window, end))
        return len(then)

    def why(self, asked: Asked) -> list[list[dict[str, Any]]]:
        """For each row the base rate, then what moved its forecast away from the usual one, strongest first."""
        horizon = self.horizon(asked.window)
        first = {
            "reason": "share of windows with a failure in this workspace",
            "value": round(asked.base, 4),
            "model": VERSION,
            "learnt_from": int(horizon.seen),
        }
        words = list(dict.fromkeys(features.WORDS.values()))
        grouping = np.array([[features.WORDS[name] == said for said in words] for name in features.NAMES], dtype=np.float64)
        effects = np.round(horizon.learner.moved(asked.rows, horizon.usual) @ grouping, 3)
        order = np.argsort(-np.abs(effects), axis=1)
        return [
            [first, *({"reason": words[at], "effect": float(row[at])} for at in places if abs(row[at]) >= WORTH_SAYING)]
            for row, places in zip(effects, order, strict=True)
        ]

    def to_state(self) -> dict[str, Any]:
        return {"version": VERSION, "horizons": {str(window): h.to_state() for window, h in self.horizons.items()}}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        """Raises ValueError when the state was written by another version: the model is then recomputed from the histories."""
        if state.get("version") != VERSION:
            found = state.get("version")
            raise ValueError(f"version: {found!r} cannot be read, {VERSION!r} is expected; recompute it from past windows")
        return cls({int(window): Horizon.from_state(h) for window, h in state["horizons"].items()})
