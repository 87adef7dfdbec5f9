"""Runs the benches (all, or those named), prints their tables and writes `bench/results.md`.

Usage: python -m bench.run [ingest] [pdf] [xlsx] [csv] [exports] [rls] [ml] [scale] [schedules]
"""

from __future__ import annotations

import os
import platform
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from subprocess import SubprocessError

import psutil

from bench import csv_rows, exports, figures, ingest, ml_rows, pdf, peers, rls, scale, schedules, xlsx
from everfix.errors import EverfixError

BENCHES: dict[str, Callable[[], figures.Result]] = {
    "ingest": ingest.run,
    "pdf": pdf.run,
    "xlsx": xlsx.run,
    "csv": csv_rows.run,
    "exports": exports.run,
    "rls": rls.run,
    "ml": ml_rows.run,
    "scale": scale.run,
    "schedules": schedules.measured,
}
RESULTS = Path(__file__).with_name("results.md")


def main(names: Sequence[str]) -> int:
    """Run the benches named (default: all, written down). Returns 1 when one did not finish, 2 for an unknown name."""
    unknown = [name for name in names if name not in BENCHES]
    if unknown:
        print(f"no bench is called {', '.join(unknown)}; there are {', '.join(BENCHES)}", file=sys.stderr)
        return 2
    began, load = time.monotonic(), _load()
    results: dict[str, figures.Result] = {}
    failed: list[str] = []
    for name in names or BENCHES:
        print(f"{name} …", flush=True)
        with figures.clock() as taken:
            try:
                results[name] = BENCHES[name]()
            except (RuntimeError, OSError, SubprocessError, EverfixError) as problem:  # the other benches still have their say
                failed.append(name)
                results[name] = figures.Result(name, ("bench",), missing=[f"did not finish: {problem}"])
        results[name].notes.append(f"took {taken[0]:.0f} s")
        print("\n".join(results[name].lines()), flush=True)
    if not names:
        RESULTS.write_text("\n".join(_report(results, load, time.monotonic() - began)) + "\n", encoding="utf-8")
        print(f"\nwritten to {RESULTS}")
    missed = [goal.words for result in results.values() for goal in result.goals if not goal.met]
    print(f"\n{len(missed)} goals missed{': ' if missed else ''}{'; '.join(missed)}")
    return 1 if failed else 0


def _load() -> float:
    return os.getloadavg()[0]


def _report(results: dict[str, figures.Result], load: float, seconds: float) -> list[str]:
    cores, memory = psutil.cpu_count(logical=True), psutil.virtual_memory().total / 2**30
    lines = [
        "# What was measured",
        "",
        f"By `make bench` on {datetime.now(UTC):%Y-%m-%d} in {seconds / 60:.0f} min.",
        f"Machine: {cores} cores, {memory:.0f} GB, {platform.system()} {platform.machine()}, Python {platform.python_version()};",
        f"load average {load:.1f} when it began, {_load():.1f} when it ended.",
        "Contestants take turns and the quickest round of each counts, since other work on a machine only ever slows one down.",
        "Read ratios, not seconds.",
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
