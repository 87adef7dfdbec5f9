"""Ranking of fixes, causes and resolving groups on real incidents, scored by the shared scorer beside its simple methods.

    python bench/quality_fixes.py [--task NAME]…

EVERFIX_SHARED names the shared folder (default: `shared` beside the checkout); EVERFIX_SCORER_PYTHON an interpreter with numpy, pandas
and scikit-learn for its scorer (default: this one). Prints Markdown; exits 2 when something is missing. Nothing here chooses a parameter.
"""

from __future__ import annotations

import argparse
import csv
import gzip
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from everfix.failures import labels

SHARED = Path(os.environ.get("EVERFIX_SHARED") or Path(__file__).resolve().parents[2] / "shared") / "data"
PYTHON = os.environ.get("EVERFIX_SCORER_PYTHON") or sys.executable
GOALS = {"mitigation, cause known": 0.70, "mitigation, cause unknown": 0.60, "root cause": 0.50, "resolving group": 0.835}
NEVER = {"mitigation", "resolving_group"}  # what was done about it is not known when it is asked
HEAD = """Learnt on incidents before the date (and closed before it), then frozen; later ones are ranked. MRR with the scorer's
interval. "Kept learning" goes on with later incidents once they are closed, as the product does; only one set says when that was.

| task | learnt | scored | top 1 | top 3 | MRR [95 %] | kept learning: MRR | best simple method | goal | processor s |
|---|---|---|---|---|---|---|---|---|---|"""
FOOT = """
Parameters: one configuration for all, chosen on the learning part alone (its later half, ranked and learnt one by one; for the groups,
its last twelve days). The scored part was not used for any choice. With 52 or 55 incidents scored, a difference below 0.1 is luck."""


@dataclass(frozen=True)
class Incident:
    """What was known of an incident, its right labels, and when it occurred and was closed (empty: not said)."""

    id: str
    given: dict[str, str]
    right: tuple[str, ...]
    occurred: str
    closed: str

    @property
    def known(self) -> str:
        """When its labels were known."""
        return self.closed or self.occurred


def missing() -> str:
    """Say what keeps the bench from running, or nothing."""
    for name in ("tasks.json", "score.py", "postmortems/incidents.jsonl.gz", "uci_group/incidents.jsonl.gz"):
        if not (SHARED / name).exists():
            return f"{SHARED / name} is missing: set EVERFIX_SHARED to the shared folder"
    if subprocess.run([PYTHON, "-c", "import numpy, pandas, sklearn"], capture_output=True, check=False).returncode:
        return f"{PYTHON} lacks numpy, pandas or scikit-learn: set EVERFIX_SCORER_PYTHON to an interpreter that has them"
    return ""


def incidents(task: dict[str, Any]) -> list[Incident]:
    """The labelled incidents of a task, with the fields that it allows; lists become lines."""
    fields = [name for name in dict.fromkeys(task["fields"].split(",")) if name not in NEVER]
    right: dict[str, set[str]] = defaultdict(set)
    with (SHARED / task["truth"]).open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            right[row["id"]].add(row["truth"])
    with gzip.open(SHARED / task["items"], "rt", encoding="utf-8") as file:
        items = [json.loads(line) for line in file]
    return [
        Incident(item["id"], given(item, fields), tuple(sorted(right[item["id"]])), item["occurred_at"], item.get("closed_at") or "")
        for item in items
        if item["id"] in right
    ]


def given(item: dict[str, Any], fields: Sequence[str]) -> dict[str, str]:
    return {name: "\n".join(value) if isinstance(value, list) else str(value) for name in fields if (value := item.get(name))}


def learnt(past: Sequence[Incident]) -> labels.Ranker:
    ranker = labels.Ranker.new()
    for one in sorted(past, key=lambda one: (one.known, one.occurred)):
        ranker.learn(one.given, one.right, datetime.fromisoformat(one.known))
    return ranker


def frozen(ranker: labels.Ranker, new: Sequence[Incident]) -> list[tuple[str, list[str]]]:
    return [(one.id, [ranked.label for ranked in ranker.rank(one.given)]) for one in new]


def going_on(ranker: labels.Ranker, rest: Sequence[Incident], new: Sequence[Incident]) -> list[tuple[str, list[str]]]:
    """Rank in time order; before each, learn what was closed by then."""
    waiting = sorted(rest, key=lambda one: one.closed, reverse=True)
    out = []
    for one in sorted(new, key=lambda one: one.occurred):
        while waiting and waiting[-1].closed < one.occurred:
            done = waiting.pop()
            ranker.learn(done.given, done.right, datetime.fromisoformat(done.closed))
        out += frozen(ranker, [one])
    return out


def scored(ranking: list[tuple[str, list[str]]], task: dict[str, Any], folder: Path) -> dict[str, Any]:
    path = folder / "ranking.csv"
    with path.open("w", encoding="utf-8", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["id", "label", "rank"])
        rows.writerows([name, label, n] for name, order in ranking for n, label in enumerate(order, 1))
    return score("ranking", str(path), str(SHARED / task["truth"]), "--only-listed")


def simple(task: dict[str, Any]) -> tuple[str, float]:
    """Name and MRR of the scorer's best simple method."""
    options = ["--learn-before", task["learn_before"], "--fields", task["fields"], *(["--categories"] if task.get("categories") else [])]
    methods = score("ranking-baselines", str(SHARED / task["items"]), str(SHARED / task["truth"]), *options)["methods"]
    best = max(methods, key=lambda name: methods[name]["mrr"])
    return best, methods[best]["mrr"]


def score(*arguments: str) -> dict[str, Any]:
    done = subprocess.run([PYTHON, str(SHARED / "score.py"), *arguments, "--json"], capture_output=True, text=True, check=False)
    if done.returncode:
        raise SystemExit(f"the scorer refused {' '.join(arguments)}: {done.stderr.strip()[-400:]}")
    return dict(json.loads(done.stdout))


def row(task: dict[str, Any], folder: Path) -> str:
    every, before = incidents(task), task["learn_before"]
    old = [one for one in every if one.occurred < before and one.closed < before]
    new = [one for one in every if one.occurred >= before]
    began = time.process_time()
    ranker = learnt(old)
    ranking = frozen(ranker, new)
    seconds = time.process_time() - began
    mine = scored(ranking, task, folder)
    taught = {one.id for one in old}
    rest = [one for one in every if one.id not in taught]
    later = f"{scored(going_on(ranker, rest, new), task, folder)['mrr']:.3f}" if all(one.closed for one in rest) else "–"
    name, theirs = simple(task)
    goal = GOALS[task["name"]]
    interval = f"{mine['mrr']:.3f} [{mine['mrr_low']:.3f}, {mine['mrr_high']:.3f}]"
    verdict = f"{'met' if mine['mrr'] >= goal else 'missed'} (≥ {goal:.3f})"
    cells = [task["name"], f"{len(old):,}", f"{mine['items']:,}", f"{mine['top1']:.3f}", f"{mine['top3']:.3f}", interval, later]
    return "| " + " | ".join([*cells, f"{name} {theirs:.3f}", verdict, f"{seconds:.1f}"]) + " |"


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--task", action="append", help="only this task; may be given again")
    chosen = parser.parse_args().task
    if problem := missing():
        print(problem, file=sys.stderr)
        return 2
    tasks = [task for task in json.loads((SHARED / "tasks.json").read_text(encoding="utf-8"))["ranking"] if task["name"] in GOALS]
    unknown = set(chosen or ()) - {task["name"] for task in tasks}
    if unknown:
        print(f"--task: {', '.join(sorted(unknown))} is not known; allowed are {', '.join(GOALS)}", file=sys.stderr)
        return 2
    print(HEAD)
    with tempfile.TemporaryDirectory() as folder:
        for task in tasks:
            if not chosen or task["name"] in chosen:
                print(row(task, Path(folder)), flush=True)
    print(FOOT)
    return 0


if __name__ == "__main__":
    sys.exit(main())
