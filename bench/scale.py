"""A million issues of fifty workspaces in one database, half of them in one: what lists, searches, pages and acts of triage take in that one.

`everfix serve` runs as users run it, a program of its own with its worker and its database beside it, and one client asks it one thing after
another. EVERFIX_BENCH_ISSUES sets how many issues there are (100,000 unless told), EVERFIX_BENCH_ROUNDS how often each call is made,
EVERFIX_BENCH_DATA a directory that keeps what was filled for the next run. `make bench-scale` runs it with a million and writes
`bench/scale.md` and, with the plan of each hot query under row-level security, `bench/plans.md`.
"""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

from bench import everfix_server, figures, scale_calls, scale_fill, scale_plans

ISSUES = int(os.environ.get("EVERFIX_BENCH_ISSUES", "100000"))
ROUNDS = int(os.environ.get("EVERFIX_BENCH_ROUNDS", "60"))
PATTERNS = max(100, ISSUES // 100)
GOAL = 50.0  # milliseconds
RESULTS, PLANS = Path(__file__).with_name("scale.md"), Path(__file__).with_name("plans.md")


def run() -> figures.Result:
    """Fill a database, then call everything that is documented for lists, and the acts of triage."""
    return _run(plans=False)[0]


def _run(*, plans: bool) -> tuple[figures.Result, list[str]]:
    kept = os.environ.get("EVERFIX_BENCH_DATA")
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as temporary:
        return _measured(Path(kept) if kept else Path(temporary), plans)


def _measured(folder: Path, plans: bool) -> tuple[figures.Result, list[str]]:
    result = figures.Result(
        f"Scale: {ISSUES:,} issues, {PATTERNS:,} patterns, {scale_fill.WORKSPACES} workspaces", ("call", "least ms", "p50 ms", "p99 ms")
    )
    (folder / "everfix").mkdir(parents=True, exist_ok=True)
    with figures.clock() as taken:
        filled = scale_fill.fill(folder / "everfix", ISSUES, PATTERNS)
    result.notes.append(f"filled in {taken[0]:.0f} s; each call {ROUNDS} times, one after another, to `everfix serve` over HTTP")
    calls, began = list(scale_calls.every(filled)), os.getloadavg()[0]
    with everfix_server.running(folder) as server, scale_calls.Client(server.port, server.token) as client:
        client.time(calls[0], 20)  # the pool's first connections are made
        times = {call.name: client.time(call, ROUNDS) for call in calls}
    for name, taken_ in times.items():
        result.add(name, *(f"{one:.1f}" for one in taken_))
    slowest = max(times, key=lambda name: times[name][2])
    over = [sum(one[place] > GOAL for one in times.values()) for place in range(3)]
    result.notes.append(
        f"the slowest is {slowest!r}; of {len(times)} calls {over[2]} are over {GOAL:g} ms by p99, {over[1]} by p50, {over[0]} by the least"
    )
    load = f"{began:.1f} when it began and {os.getloadavg()[0]:.1f} when it ended, on {os.cpu_count()} cores"
    result.notes.append(f"load average {load}: other work on the machine is in p50 and p99, and hardly in the least")
    result.goals.append(figures.Goal("p99 of the slowest call in ms", times[slowest][2], GOAL, at_least=False))
    return result, scale_plans.lines(folder / "everfix", calls, ISSUES) if plans else []


if __name__ == "__main__":
    measured, planned = _run(plans=True)
    RESULTS.write_text("\n".join(measured.markdown()), encoding="utf-8")
    PLANS.write_text("\n".join(planned), encoding="utf-8")
    print("\n".join(measured.lines()))
