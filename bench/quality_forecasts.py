"""Forecasts of recurrence on every public set, scored by the shared scorer beside its baselines and a Poisson rate.

    python bench/quality_forecasts.py [--ablations] [--task NAME]…

EVERFIX_SHARED names the shared folder (default: `shared` beside the checkout); EVERFIX_SCORER_PYTHON an interpreter with numpy,
pandas and scikit-learn for its scorer (default: this one). Prints Markdown. Nothing here chooses a parameter.
"""

from __future__ import annotations

import argparse
import functools
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import Any

import numpy as np

from everfix.failures import backtest, beliefs, features, history, learner

SHARED = Path(os.environ.get("EVERFIX_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data"
PYTHON = os.environ.get("EVERFIX_SCORER_PYTHON") or sys.executable
GRID = ("window_days", "stride_days", "warmup_days", "active_days")
GUESS = {"share_3": 0.5, "share_8": 0.5, "week": 1.0, "day": 1.0}
CHOSEN = """How parameters were chosen: the scales of the features were measured on the older part of nine of the sets, before the date from which each
is scored, once for all sets. What a source believes before it has settled anything was fitted on the older parts of all of them
(bench/fit_forecasts.py); how firmly it is believed, and how fast the level is forgotten, by leaving one source out, on the older parts alone.
Nothing is set per set. `s` is processor time of the whole walk.
"""
STRICT = {"nodejs 7 d": 0.0739, "lanl_cause 7 d": 0.0676, "uci 1 d": 0.0583}  # the goals of the shared README


def missing() -> str:
    """Say what keeps the bench from running, or nothing."""
    for name in ("tasks.json", "score.py"):
        if not (SHARED / name).exists():
            return f"{SHARED / name} is missing: set EVERFIX_SHARED to the shared folder"
    if subprocess.run([PYTHON, "-c", "import numpy, pandas, sklearn"], capture_output=True, check=False).returncode:
        return f"{PYTHON} lacks numpy, pandas or scikit-learn: set EVERFIX_SCORER_PYTHON to an interpreter that has them"
    return ""


def scored(task: dict[str, Any], command: str, *files: Path) -> dict[str, Any]:
    options = [part for name in GRID for part in (f"--{name.replace('_', '-')}", str(task[name]))]
    call = [PYTHON, str(SHARED / "score.py"), command, *map(str, files), "--json", "--score-from", task["score_from"], *options]
    done = subprocess.run(call, capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"{task['name']}: the scorer refused: {done.stderr.strip()}")
    return dict(json.loads(done.stdout))


def measured(task: dict[str, Any], folder: Path) -> tuple[dict[str, Any], float]:
    """The scorer's answer to our forecasts, and the seconds of processor time that they took."""
    events, out = SHARED / task["events"], folder / "forecasts.csv"
    began = time.process_time()
    grid = {name: task[name] for name in (*GRID, "min_events")}
    backtest.run(events, out, from_=datetime.fromisoformat(task["score_from"]), **grid)
    return scored(task, "recurrence", out, events), time.process_time() - began


def verdict(task: dict[str, Any], result: dict[str, Any]) -> str:
    mine, rivals = result["scores"]["yours"], [result["scores"][name]["brier"] for name in ("decay", "logistic")]
    if task["name"] in STRICT:
        met = mine["brier"] <= STRICT[task["name"]] + 5e-5 and mine["ece"] <= 0.03 and result["paired"]["logistic"]["high"] < 0
        return f"{'met' if met else 'missed'} (≤ {STRICT[task['name']]}, ECE ≤ 0.03, interval below 0)"
    met = mine["brier"] <= 1.02 * min(rivals) and mine["ece"] <= 0.06
    return f"{'met' if met else 'missed'} (≤ {1.02 * min(rivals):.4f}, ECE ≤ 0.06)"


def row(task: dict[str, Any], folder: Path) -> str:
    result, seconds = measured(task, folder)
    poisson = scored(task, "recurrence-baselines", SHARED / task["events"])["scores"]["poisson"]["brier"]
    scores, paired = result["scores"], result["paired"]["logistic"]
    others = [f"{scores[name]['brier']:.4f}" for name in ("constant", "decay", "logistic")]
    best = min(scores["decay"]["brier"], scores["logistic"]["brier"])
    cells = [
        task["name"],
        f"{result['pairs']:,}",
        f"{poisson:.4f}",
        *others,
        f"**{scores['yours']['brier']:.4f}**",
        f"{scores['yours']['brier'] / best - 1:+.1%}",
        f"{paired['difference']:+.4f} [{paired['low']:+.4f}, {paired['high']:+.4f}]",
        f"{scores['yours']['auc']:.3f}",
        f"{scores['yours']['ece']:.3f}",
        f"{seconds:.1f}",
        verdict(task, result),
    ]
    return f"| {' | '.join(cells)} |"


@contextmanager
def without(prefixes: tuple[str, ...]) -> Iterator[None]:
    """Leave features out: they are zero for model and prior alike."""
    keep = np.array([not name.startswith(prefixes) for name in features.NAMES], dtype=np.float64)
    whole: Callable[..., history.Floats] = features.of
    features.of = lambda *given: whole(*given) * keep
    try:
        yield
    finally:
        features.of = whole


@contextmanager
def setting(module: Any, name: str, value: Any) -> Iterator[None]:  # noqa: ANN401 - any constant of any module
    held = getattr(module, name)
    setattr(module, name, value)
    try:
        yield
    finally:
        setattr(module, name, held)


def guess() -> history.Floats:
    """Level and weights of a bare guess: decayed shares and the rhythm, as they are."""
    raw = np.array([GUESS.get(name, 0.0) for name in features.NAMES])
    return np.append(float(raw @ features.CENTRE), raw * features.SCALE)


@contextmanager
def guessing() -> Iterator[None]:
    """Start from the bare guess instead of what held in other sources."""
    with setting(beliefs, "WHOLE", guess()), setting(beliefs, "PLAIN", np.where(np.append(True, features.CORE), guess(), 0.0)):
        yield


ABLATIONS: dict[str, Callable[[], Any]] = {
    "no units (straight logistic)": lambda: setting(
        learner.Units, "of", lambda _, rows: np.pad(rows, ((0, 0), (1, learner.UNITS)), constant_values=1.0)
    ),
    "one learner": lambda: setting(learner, "LEARNERS", 1),
    "never forgets": lambda: setting(learner, "KEEP", 1.0),
    "level forgets no faster": lambda: setting(learner, "KEEP_LEVEL", 1.0),
    "no straight core learner": lambda: setting(features, "CORE", np.ones(len(features.NAMES), dtype=np.bool_)),
    "batches weigh in full": lambda: setting(learner, "LEAST_WEIGHT", 1.0),
    "beliefs (a bare guess instead)": guessing,
    "no siblings": lambda: without(("siblings_",)),
    "no rhythm of week and day": lambda: without(("week", "day")),
    "no gaps": lambda: without(("gap_", "overdue")),
    "no workspace level, no activity": lambda: without(("base_", "activity")),
    "no numbers of failures": lambda: without(("failures_", "last_failures", "burst")),
    "no products": lambda: without(("share_x", "recency_x", "age_x", "activity_x", "share_squared", "recency_squared")),
}


def brier(task: dict[str, Any], folder: Path) -> float:
    """The Brier score as the backtest itself counts it, which a test holds equal to the scorer's; no baseline is fitted for it."""
    grid = {name: task[name] for name in (*GRID, "min_events")}
    found = backtest.run(SHARED / task["events"], folder / "forecasts.csv", from_=datetime.fromisoformat(task["score_from"]), **grid)
    return found.methods["everfix"].brier


def ablations(tasks: list[dict[str, Any]], folder: Path) -> None:
    """Leave each idea out in turn: Brier score against the whole, in per cent; above zero, the idea helped."""
    print("Brier score on the scored part with one idea left out, against the whole: above zero, the idea helps. None was dropped or kept")
    print("for these figures: they are the scored part's.\n")
    with setting(backtest, "read", functools.cache(backtest.read)):
        _left_out(tasks, folder)


def _left_out(tasks: list[dict[str, Any]], folder: Path) -> None:
    whole = {task["name"]: brier(task, folder) for task in tasks}
    print(f"| left out | {' | '.join(whole)} | mean |\n|---|{'---|' * (len(whole) + 1)}", flush=True)
    for name, change in ABLATIONS.items():
        with change():
            parts = [brier(task, folder) / whole[task["name"]] - 1 for task in tasks]
        print(f"| {name} | {' | '.join(f'{part:+.1%}' for part in parts)} | {float(np.mean(parts)):+.1%} |", flush=True)


def comparison(tasks: list[dict[str, Any]], folder: Path) -> None:
    """Every task beside the simple methods."""
    print(CHOSEN)
    heads = (
        "task",
        "forecasts",
        "Poisson",
        "constant",
        "decay",
        "logistic",
        "Everfix",
        "to the better",
        "− logistic [95 %]",
        "AUC",
        "ECE",
        "s",
    )
    print(f"| {' | '.join((*heads, 'goal'))} |\n|{'---|' * (len(heads) + 1)}")
    met = []
    for task in tasks:
        line = row(task, folder)
        met.append("| met" in line)
        print(line, flush=True)
    print(f"\nMet: {sum(met)} of {len(met)}.")


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--task", action="append", help="only this task, by its name in tasks.json; may be repeated")
    parser.add_argument("--ablations", action="store_true", help="instead, leave out each idea in turn")
    given = parser.parse_args()
    if reason := missing():
        print(f"not run: {reason}", file=sys.stderr)
        return 2
    everything = json.loads((SHARED / "tasks.json").read_text(encoding="utf-8"))["recurrence"]
    tasks = [task for task in everything if not given.task or task["name"] in given.task]
    if not tasks:
        print(f"not run: no such task; there are {', '.join(task['name'] for task in everything)}", file=sys.stderr)
        return 2
    with tempfile.TemporaryDirectory() as name:
        (ablations if given.ablations else comparison)(tasks, Path(name))
    return 0


if __name__ == "__main__":
    sys.exit(main())
