"""Fits everfix.failures.beliefs: what a new workspace believes of forecasts before it has settled any of its own.

    python bench/fit_forecasts.py [--leave-one-out]

Read are the learning parts of the public sets alone: questions whose window had ended by the date from which a set is scored. One pooled
logistic regression, every source counting the same however many questions it has, pulled to a bare
guess (the decayed shares and the rhythm as they are). Prints the two tables of beliefs.py.

With --leave-one-out each source is forecast with the beliefs fitted on the others, and with the guess alone, on the last three quarters of
its own learning part: what the beliefs bring to a source that they have not seen. learner.PRECISION and learner.KEEP_LEVEL were chosen by it.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
from collections import Counter
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np

from bench import quality_forecasts
from everfix.failures import backtest, beliefs, calibration, features, learner

Floats = features.Floats
Task = dict[str, Any]
Rows = tuple[Floats, Floats]
AT_MOST = 6_000  # questions of one task
SOURCE_COUNTS = 600.0  # what the questions of one source weigh together, in independent ones
QUESTION_COUNTS = 0.5  # what one weighs at most: failures of one moment depend on each other
PRECISION, LEVEL = 10.0, 1.0  # of the pull to the guess


def source(task: Task) -> str:
    return str(task["name"]).split()[0].split("_")[0]


def questions(task: Task) -> Rows:
    """Features and outcomes of the learning part, with what was known when they were asked."""
    _, pack, constancy = backtest.packed(backtest.read(quality_forecasts.SHARED / task["events"]))
    window, stride, warmup, active = (features.days(task[name]) for name in quality_forecasts.GRID)
    until = features.microseconds(datetime.fromisoformat(task["score_from"]))
    rows, outcomes = [], []
    for now in map(int, backtest.grid(pack, window, stride, warmup)):
        which = pack.active(now, active, task["min_events"])
        if now + window > until or not which.any():
            continue
        seen = pack.rows(which).known(now)
        seen = replace(seen, groups=seen.groups[:, constancy.columns(now)])
        rows.append(features.of(seen, now, window, features.context(seen, now, window)))
        outcomes.append(pack.rows(which).failed(now, window, until))
    x, y = np.concatenate(rows), np.concatenate(outcomes).astype(np.float64)
    some = np.random.default_rng(0).permutation(len(x))[:AT_MOST]
    return x[some], y[some]


def fitted(tasks: list[Task], asked: dict[str, Rows], *, core: bool) -> Floats:
    """Level and weights of a regression on all tasks, by Newton's method; `core`: on the core features alone."""
    number = Counter(map(source, tasks))
    precision = np.append(LEVEL, PRECISION / features.SCALE**2)
    if core:
        precision[1:][~features.CORE] = learner.NEVER
    prior, weights = quality_forecasts.guess(), quality_forecasts.guess()
    for _ in range(6):
        curve, slope = np.diag(precision), precision * (prior - weights)
        for task in tasks:
            x, y = asked[task["name"]]
            counts = min(SOURCE_COUNTS / number[source(task)] / len(x), QUESTION_COUNTS)
            p = calibration.sigmoid(weights[0] + x @ weights[1:])
            design = np.column_stack([np.ones(len(x)), x])
            curve = curve + (design * (counts * np.maximum(p * (1 - p), 1e-3))[:, None]).T @ design
            slope = slope + counts * (design.T @ (y - p))
        weights = weights + np.linalg.solve(curve, slope)
    return np.where(np.append(True, features.CORE), weights, 0.0) if core else weights


def table(name: str, weights: Floats) -> str:
    held = zip(("level", *features.NAMES), weights, strict=True)
    lines = [f'    "{feature}": {weight:.3f},' for feature, weight in held if weight]
    return "\n".join([f"{name}: dict[str, float] = {{", *lines, "}"])


def brier(task: Task, folder: Path) -> float:
    """On the last three quarters of the learning part, its questions forecast in order as the product does."""
    scored = datetime.fromisoformat(task["score_from"])
    events, out = quality_forecasts.SHARED / task["events"], folder / "forecasts.csv"
    grid = {name: task[name] for name in (*quality_forecasts.GRID, "min_events")}
    began = features.EPOCH + timedelta(microseconds=min(backtest.read(events).occurred), days=task["warmup_days"])
    end = scored.replace(tzinfo=UTC) - timedelta(days=task["window_days"])
    return backtest.run(events, out, from_=began + (end - began) / 4, until=end, **grid).methods["everfix"].brier


def left_out(tasks: list[Task], asked: dict[str, Rows]) -> None:
    gains = []
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks:
            others = [one for one in tasks if source(one) != source(task)]
            with quality_forecasts.guessing():
                bare = brier(task, Path(folder))
            with (
                quality_forecasts.setting(beliefs, "WHOLE", fitted(others, asked, core=False)),
                quality_forecasts.setting(beliefs, "PLAIN", fitted(others, asked, core=True)),
            ):
                found = brier(task, Path(folder))
            gains.append(found / bare - 1)
            print(f"{task['name']:18s} {bare:.4f} {found:.4f} {gains[-1]:+.1%}", flush=True)
    print(f"mean {np.mean(gains):+.1%}")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--leave-one-out", action="store_true")
    given = parser.parse_args()
    if reason := quality_forecasts.missing():
        print(f"not run: {reason}", file=sys.stderr)
        return 2
    tasks = json.loads((quality_forecasts.SHARED / "tasks.json").read_text(encoding="utf-8"))["recurrence"]
    asked = {task["name"]: questions(task) for task in tasks}
    if given.leave_one_out:
        left_out(tasks, asked)
    else:
        print(table("TOLD", fitted(tasks, asked, core=False)), table("TOLD_PLAINLY", fitted(tasks, asked, core=True)), sep="\n\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
