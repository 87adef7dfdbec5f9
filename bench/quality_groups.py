"""Scores grouping and duplicate search on every public set beside the simple methods of the shared scorer, as one Markdown table.

The scorer needs pandas: name an interpreter that has it (and drain3, for two more rows) in EVERFIX_SCORER_PYTHON. Each set is grouped by
the code of `everfix group`, in one process, with one configuration. "reported part" is what bench/fit_groups.py never saw.
"""

from __future__ import annotations

import csv
import json
import os
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent
sys.path.insert(0, str(ROOT))
from everfix.failures import fingerprint, grouping, similarity  # noqa: E402 - the checkout is put on the path first
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


def main() -> int:
    data = folder() / "data"
    if not (data / "score.py").exists():
        print(f"the shared data are not in {data}: name their folder in EVERFIX_SHARED", file=sys.stderr)
        return 2
    score = Scorer(os.environ.get("EVERFIX_SCORER_PYTHON") or sys.executable, data)
    tasks = json.loads((data / "tasks.json").read_text(encoding="utf-8"))
    with tempfile.TemporaryDirectory() as scratch:
        print("# Grouping and duplicate search\n")
        groups_table(score, tasks["groups"], Path(scratch))
        for task in tasks["ranking"]:
            if task.get("retrieve"):
                duplicates(score, task, Path(scratch))
    return 0


if __name__ == "__main__":
    sys.exit(main())
