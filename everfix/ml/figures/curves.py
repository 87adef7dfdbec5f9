"""Learning curves: the values of a metric by step for each split, where it was best, and how far training ran past that."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from everfix.ml.figures import arrays
from everfix.ml.figures.unmade import Unmade

POINTS = 200
HIGHER = ("auc", "accuracy", "f1", "precision", "recall", "r2", "aucpr", "average_precision", "mcc", "score", "kappa", "ndcg", "map")
TRAINING = ("train", "training", "learn")


@dataclass(frozen=True, slots=True)
class Line:
    """One split of one metric, in the order of steps, thinned for drawing; `best` is (step, value) over all of it."""

    split: str
    steps: tuple[float, ...]
    values: tuple[float, ...]
    best: tuple[float, float]
    last: tuple[float, float]


@dataclass(frozen=True, slots=True)
class Learning:
    """One metric: its lines, and the step where the split that judges was best."""

    metric: str
    higher_is_better: bool
    lines: tuple[Line, ...]
    judged_by: str
    stop: float
    best: float
    past: float  # share of all steps that were run after the best one
    gap: float | None  # training minus judging split at the best step, in the metric's own unit


def higher_is_better(metric: str) -> bool:
    """Return whether more is better, by the metric's name; losses and errors are the rule, scores are listed."""
    parts = metric.lower().replace("-", "_").replace(" ", "_")
    return not parts.startswith("neg_log") and any(name in parts.split("_") or parts.endswith(name) for name in HIGHER)


def of(points: Iterable[tuple[float, str, str, float]]) -> tuple[Learning, ...]:
    """Return one Learning for each metric of (step, metric, split, value); raises Unmade where no value is finite."""
    found: dict[str, dict[str, dict[float, float]]] = {}
    for step, metric, split, value in points:
        if math.isfinite(step) and math.isfinite(value):
            found.setdefault(metric, {}).setdefault(split or "all", {})[step] = value  # a repeated step keeps its last value
    usable = {metric: splits for metric, splits in found.items() if any(len(line) > 1 for line in splits.values())}
    if not usable:
        raise Unmade("no metric has values at two or more steps")
    return tuple(_learning(metric, splits) for metric, splits in usable.items())


def _learning(metric: str, splits: dict[str, dict[float, float]]) -> Learning:
    up = higher_is_better(metric)
    judge = next((name for name in splits if name.lower() not in TRAINING), next(iter(splits)))
    lines = tuple(_line(name, values, up=up) for name, values in splits.items())
    judged = next(line for line in lines if line.split == judge)
    steps = sorted(splits[judge])
    stop = judged.best[0]
    training = next((name for name in splits if name.lower() in TRAINING and name != judge), None)
    gap = splits[training][stop] - judged.best[1] if training is not None and stop in splits[training] else None
    past = sum(step > stop for step in steps) / len(steps)
    return Learning(metric, up, lines, judge, stop, judged.best[1], past, gap)


def _line(name: str, values: dict[float, float], *, up: bool) -> Line:
    steps = sorted(values)
    best = (max if up else min)(steps, key=lambda step: values[step])
    kept = [steps[place] for place in arrays.thin(len(steps), POINTS)]
    if best not in kept:
        kept = sorted([*kept, best])
    return Line(name, tuple(kept), tuple(values[step] for step in kept), (best, values[best]), (steps[-1], values[steps[-1]]))
