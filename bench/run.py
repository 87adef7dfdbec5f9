"""Runs the benches (all, or those named), prints their tables and writes `bench/results.md`.

Usage: python -m bench.run [ingest] [pdf] [xlsx] [csv] [rls]
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path

import psutil

from bench import csv_rows, figures, ingest, pdf, peers, rls, xlsx

BENCHES: dict[str, Callable[[], figures.Result]] = {
    "ingest": ingest.run,
    "pdf": pdf.run,
    "xlsx": xlsx.run,
    "csv": csv_rows.run,
    "rls": rls.run,
}
RESULTS = Path(__file__).with_name("results.md")


def main(names: Sequence[str]) -> int:
    """Run the benches named (default: all) and return how many goals were missed; only a run of all of them is written down."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    began, load = time.monotonic(), _load()
    results: dict[str, figures.Result] = {}
    for name in names or BENCHES:
        print(f"{name} …", flush=True)
        with figures.clock() as taken:
            results[name] = BENCHES[name]()
        results[name].notes.append(f"measured in {taken_words(taken)}")
        print("\n".join(results[name].lines()), flush=True)
    if not names:
        RESULTS.write_text("\n".join(_report(results, load, time.monotonic() - began)) + "\n", encoding="utf-8")
        print(f"\nwritten to {RESULTS}")
    missed = [goal.words for result in results.values() for goal in result.goals if not goal.met]
    print(f"\n{len(missed)} goals missed{': ' if missed else ''}{'; '.join(missed)}")
    return 0


def taken_words(taken: list[float]) -> str:
    """Return "42 s"."""
    return f"{taken[0]:.0f} s"


def _load() -> float:
    return os.getloadavg()[0]


def _report(results: dict[str, figures.Result], load: float, seconds: float) -> list[str]:
    cores, memory = psutil.cpu_count(logical=True), psutil.virtual_memory().total / 2**30
    lines = [
        "# What was measured",
        "",
        f"By `make bench` on {datetime.now(UTC):%Y-%m-%d}, in {seconds / 60:.0f} min: {cores} cores, {memory:.0f} GB, {platform.system()} {platform.machine()},"
        f" Python {platform.python_version()}; load average {load:.1f} when it began, {_load():.1f} when it ended.",
        "Contestants take turns and the quickest round of each counts, since other work on a machine only ever slows one down. Read ratios, not seconds.",
        "",
        "| bench | goal | reached | |",
        "| --- | --- | ---: | --- |",
    ]
    for name, result in results.items():
        for goal in result.goals:
            reached = "–" if goal.reached is None else f"{goal.reached:.2f}"
            verdict = {True: "met", False: "**missed**", None: "**not measured**"}[goal.met]
            lines.append(f"| {name} | {goal.words} {'≥' if goal.at_least else '≤'} {goal.limit:g} | {reached} | {verdict} |")
    lines.append("")
    for result in results.values():
        lines += result.markdown()
    pinned = [line for line in peers.LIST.read_text(encoding="utf-8").splitlines() if line and not line.startswith("#")]
    return [*lines, f"Peers: {', '.join(pinned)} (bench/peers.txt), and the Chromium of the machine."]


if __name__ == "__main__":
    raise SystemExit(main(sys.argv[1:]))
