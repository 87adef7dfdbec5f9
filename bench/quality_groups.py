"""Scores grouping and duplicate search on every public set beside the simple methods of the shared scorer, as one Markdown table.

The scorer needs pandas: name an interpreter that has it (and drain3, for two more rows) in EVERFIX_SCORER_PYTHON. Each set is grouped by
the code of `everfix group`, in one process, with one configuration. "reported part" is what bench/fit_groups.py never saw.
`--ablations` prints what each idea brings instead, scored here, without the scorer.
"""

from __future__ import annotations

import argparse
import csv
import json
import math
import os
import subprocess
import sys
import tempfile
import time
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from contextlib import ExitStack
from dataclasses import dataclass
from itertools import starmap
from pathlib import Path
from typing import Any
from unittest.mock import patch

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from everfix.demo import truth as company  # noqa: E402 - the checkout is put on the path first
from everfix.failures import fingerprint, grouping, renames, similarity, sources, templates, together  # noqa: E402
from tests.shared import folder  # noqa: E402

LEARNT_SCOPES = {
    "defects4j": ("Closure", "Lang", "Time"),
    "loghub": ("HPC", "Hadoop", "OpenSSH", "Spark"),
}
GOALS = {
    "defects4j": "pair F1 ≥ 0.60 at P ≥ 0.80",
    "loghub": "GA ≥ 0.95, FGA ≥ 0.92",
    "nodejs_excerpts": "pair F1 ≥ 0.995",
    "nodejs_excerpts, name masked": "pair F1 ≥ 0.48 at P ≥ 0.80",
    "ossfuzz": "pair F1 ≥ 0.35",
    "gitbugs": "(search below)",
}
Row = dict[str, Any]


@dataclass(frozen=True)
class Scorer:
    """The shared scorer, run by an interpreter that has what it needs."""

    python: str
    data: Path

    def __call__(self, *arguments: str) -> Row:
        done = subprocess.run(
            [self.python, "-W", "ignore", str(self.data / "score.py"), *arguments, "--json"], capture_output=True, text=True, check=False
        )
        if done.returncode:
            sys.exit(
                f"the scorer could not run with {self.python}: {done.stderr.strip()[-400:]}\n"
                "name an interpreter with numpy, pandas and scikit-learn in EVERFIX_SCORER_PYTHON"
            )
        if "drain3 is not installed" in done.stderr:
            print("drain3 is missing: its two rows are left out", file=sys.stderr)
        result: Row = json.loads(done.stdout)
        return result


def grouped(items: Path, out: Path) -> tuple[float, grouping.Summary]:
    """Group one file as `everfix group` does; return milliseconds of processor time an item."""
    begin = time.process_time()
    with out.open("w", encoding="utf-8", newline="") as file:
        summary = grouping.run(grouping.opened(str(items)), file)
    return 1000 * (time.process_time() - begin) / max(1, summary.items), summary


def part(groups: Path, items: Path, truth: Path, keep: Callable[[int, int, str], bool], scratch: Path) -> tuple[Path, Path, Path]:
    """Write the rows of the items kept, of groups, items and truth, so that the scorer sees these alone."""
    rows = [json.loads(line) for line in grouping.opened(str(items))]
    ids = {str(r["id"]) for n, r in enumerate(rows) if keep(n, len(rows), str(r.get("scope", "")))}
    few = scratch / "part-items.jsonl", scratch / "part-groups.csv", scratch / "part-truth.csv"
    few[0].write_text("".join(json.dumps(r) + "\n" for r in rows if str(r["id"]) in ids), encoding="utf-8")
    for source, target in ((groups, few[1]), (truth, few[2])):
        table = list(csv.reader(line.decode() for line in grouping.opened(str(source))))
        with target.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([table[0], *[r for r in table[1:] if r and r[0] in ids]])
    return few[1], few[2], few[0]


def reported(name: str) -> Callable[[int, int, str], bool]:
    learnt = LEARNT_SCOPES.get(name)
    return (lambda _, __, scope: scope not in learnt) if learnt else (lambda n, of, _: n >= of // 2)


def figures(score: Row, means: bool) -> str:
    of = score["mean"] if means and "mean" in score else score
    return f"{of['pair_precision']:.3f} | {of['pair_recall']:.3f} | {of['pair_f1']:.3f} | {of['ga']:.3f} | {of['fga']:.3f}"


def groups_table(score: Scorer, tasks: list[Row], scratch: Path) -> None:
    print(
        "| set | method | pair P | pair R | pair F1 | GA | FGA | ids changed | ms an item | goal |\n"
        "|---|---|---|---|---|---|---|---|---|---|"
    )
    for task in tasks:
        name, items, truth = task["name"], score.data / task["items"], score.data / task["truth"]
        out, means = scratch / "groups.csv", name == "loghub"
        took, _ = grouped(items, out)
        whole = score("groups", str(out), str(truth), "--items", str(items))
        few = part(out, items, truth, reported(name), scratch)
        later = score("groups", str(few[0]), str(few[1]), "--items", str(few[2]))
        simple = score("groups-baselines", str(items), str(truth))["methods"]
        judged = "ga" if means else "pair_f1"
        text_only = {k: v for k, v in simple.items() if k != "service"}
        best = sorted(text_only, key=lambda m: -(text_only[m].get("mean", text_only[m]) if means else text_only[m])[judged])[:3]
        for which, result in (("**Everfix**", whole), ("Everfix, reported part", later)):
            shown = {**result["final"], **({"mean": result["mean"]} if "mean" in result else {})}
            tail = f"{result['changed']:.4f} | {took:.2f} | {GOALS.get(name, '')}" if result is whole else " | | "
            print(f"| {name} | {which} | {figures(shown, means)} | {tail} |")
            if result["without_why"] or result["crossing"]:
                print(f"| {name} | FAULT | {result['without_why']} without a reason, {result['crossing']} groups cross a scope |")
        for method in best:
            print(
                f"| {name} | {method} | {figures(simple[method], means)} | | {1000 * simple[method]['seconds'] / whole['items']:.2f} | |",
                flush=True,
            )


def duplicates(score: Scorer, task: Row, scratch: Path) -> None:
    """Rank every ticket that has a linked duplicate against all others, and score it."""
    items, truth = score.data / task["items"], score.data / task["truth"]
    read = [grouping.read(line) for line in grouping.opened(str(items))]
    known = [(name, fingerprint.of(failure).features) for name, failure in read]
    answers: dict[str, set[str]] = defaultdict(set)
    for asked, answer in list(csv.reader(line.decode() for line in grouping.opened(str(truth))))[1:]:
        answers[asked].add(answer)
    begin = time.process_time()
    catalogue, features = similarity.Catalogue(known), dict(known)
    built = time.process_time() - begin
    begin = time.process_time()
    later = {name for name, _ in read[len(read) // 2 :]}
    found = [(q, label, n) for q in answers for n, (label, _) in enumerate(catalogue.rank(features[q], len(read), without=q), 1)]
    took = 1000 * (time.process_time() - begin) / len(answers)
    print("\n| duplicate search | recall at 1 | at 10 | MRR [95 %] | ms a query |\n|---|---|---|---|---|")
    for which, keep in (("**Everfix**", set(answers)), ("Everfix, reported part", later & set(answers))):
        out = scratch / "ranking.csv"
        with out.open("w", encoding="utf-8", newline="") as file:
            csv.writer(file).writerows([("id", "label", "rank"), *[r for r in found if r[0] in keep]])
        r = score("ranking", str(out), str(truth), "--only-listed")
        print(
            f"| {which} ({r['items']}) | {r['top1']:.3f} | {r['top10']:.3f} | {r['mrr']:.3f} [{r['mrr_low']:.3f}, {r['mrr_high']:.3f}] "
            f"| {took:.1f} |"
        )
    simple = score("ranking-baselines", str(items), str(truth), "--retrieve", "--fields", task["fields"])
    for method, r in simple.get("methods", simple).items():
        if isinstance(r, dict) and "mrr" in r:
            print(f"| {method} | {r['top1']:.3f} | {r['top10']:.3f} | {r['mrr']:.3f} [{r['mrr_low']:.3f}, {r['mrr_high']:.3f}] | |")
    print(f"\nGoal: recall at 10 ≥ 0.85, MRR ≥ 0.58. The index of {len(read):,} tickets was built in {built:.1f} s.")


TIMES = ("hours", "hours_and_calls", "time_bits", "long_ago", "same_moment", "quiet_hours")
# What is left out, and what is put in its place.
SEARCHED = "gitbugs"  # tickets in prose are searched, not grouped: no idea moves their groups
ABLATIONS: dict[str, tuple[tuple[Any, str, Any], ...]] = {
    "likeness (exact stages alone)": ((grouping, "NEED", math.inf),),
    "the mean over three members (the best one counts)": ((grouping, "ALIKE", 1),),
    "key lines": ((sources.Source, "headline_tells", lambda *_: False),),
    "templates": ((templates.Templates, "place", lambda *_: ([], {})),),
    "the brake on bare symptoms": ((sources.Source, "telling", lambda *_: True),),
    "the brake on lists (one a moment)": ((sources.Source, "exclusive", property(lambda _: False)),),
    "the brake on shares of a source": ((grouping, "_room", lambda *_: True),),
    "the brake on crashes that share nothing but an hour": ((renames, "related", lambda *_: True),),
    "renamed calls": ((renames, "renamed", lambda *_: False),),
    "closeness in time": (
        (similarity, "MODELS", {kind: {n: w for n, w in model.items() if n not in TIMES} for kind, model in similarity.MODELS.items()}),
    ),
    "company (failing at the same hours)": ((together.Together, "note", lambda *_: None),),
    "brakes altogether, merging at even odds of 1 to 7": ((grouping, "NEED", -2.0), (grouping, "_room", lambda *_: True)),
}


def agreed(score: Scorer, task: Row, scratch: Path) -> tuple[float, float]:
    """Return pair precision and F1 of the product's groups; of log templates the share of lines whose group is exactly right, twice."""
    grouped(score.data / task["items"], scratch / "groups.csv")
    with (scratch / "groups.csv").open(encoding="utf-8", newline="") as file:
        found = {row["id"]: row["final_group"] for row in csv.DictReader(file)}
    table = list(csv.reader(line.decode() for line in grouping.opened(str(score.data / task["truth"]))))[1:]
    true = {name: label for name, label in table if name in found}
    if task["name"] == "loghub":
        return (exactly(found, true),) * 2
    scores = company.score_groups(company.Truth(true), found)
    return scores.precision, scores.f1


def exactly(found: dict[str, str], true: dict[str, str]) -> float:
    """Return the share of items whose whole group holds just the items of their template."""
    pairs = Counter((found[name], label) for name, label in true.items())
    mine, real = Counter(found[name] for name in true), Counter(true.values())
    return sum(n for (group, label), n in pairs.items() if n == mine[group] == real[label]) / max(1, len(true))


def cell(name: str, precision: float, f1: float) -> str:
    return f"{f1:.3f}" if name == "loghub" else f"{f1:.3f} (P {precision:.3f})"


def ablations(score: Scorer, tasks: list[Row], scratch: Path) -> None:
    print(
        "Pair F1 and precision on the whole sets with one idea left out; of log templates GA over all lines. Nothing is chosen by these figures."
    )
    print(f"\n| left out | {' | '.join(task['name'] for task in tasks)} |\n|---|{'---|' * len(tasks)}", flush=True)

    def line(name: str, replaced: Iterable[tuple[Any, str, Any]]) -> None:
        with ExitStack() as stack:
            for change in starmap(patch.object, replaced):
                stack.enter_context(change)
            cells = [cell(task["name"], *agreed(score, task, scratch)) for task in tasks]
        print(f"| {name} | {' | '.join(cells)} |", flush=True)

    line("**nothing**", ())
    for name, replaced in ABLATIONS.items():
        line(name, replaced)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--ablations", action="store_true", help="leave out each idea in turn instead")
    given = parser.parse_args()
    data = folder() / "data"
    if not (data / "score.py").exists():
        print(f"the shared data are not in {data}: name their folder in EVERFIX_SHARED", file=sys.stderr)
        return 2
    score = Scorer(os.environ.get("EVERFIX_SCORER_PYTHON") or sys.executable, data)
    tasks = json.loads((data / "tasks.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        if given.ablations:
            ablations(score, [task for task in tasks["groups"] if task["name"] != SEARCHED], Path(scratch))
            return 0
        groups_table(score, tasks["groups"], Path(scratch))
        for task in tasks["ranking"]:
            if task.get("retrieve"):
                duplicates(score, task, Path(scratch))
    print("\nWeights were fitted by bench/fit_groups.py on the learning parts alone (it says which); the reported part is the rest.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
