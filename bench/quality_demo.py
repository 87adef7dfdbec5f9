"""Groups the demo's simulated company, whose causes are known, by Everfix and by what others do; prints a Markdown table.

The rules were chosen on the seeds 1 to 16, none of which is reported here. Everfix sees the failures in their order of arrival
as the server's loop does, one scope for all tools. A merge that it learns of later counts as the server carries it out: the two patterns
become one; the row «as said on arrival» counts none of them.
"""

from __future__ import annotations

import csv
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from everfix.demo import simulate, truth
from everfix.failures import grouping, memory, normalise, stacktraces
from everfix.failures.fingerprint import Failure

SEEDS = (2026, 2027, 2028)
NOW = datetime(2026, 11, 1, tzinfo=UTC)
HARDER = "exception + top frame, else exception + our masked title"
Event = Mapping[str, Any]
Groups = dict[str, str]

# Run by the interpreter that has Drain3: lines of [id, text] in, id and cluster out; the parser's own defaults are the names' figures.
DRAIN = """
import csv, json, sys
from drain3 import TemplateMiner
from drain3.template_miner_config import TemplateMinerConfig
config = TemplateMinerConfig()
config.drain_sim_th, config.drain_depth = float(sys.argv[1]), int(sys.argv[2])
miner = TemplateMiner(config=config)
out = csv.writer(sys.stdout)
for line in sys.stdin:
    name, text = json.loads(line)
    out.writerow([name, miner.add_log_message(text)["cluster_id"]])
"""


def failure(event: Event) -> Failure:
    """Return an event of the simulation as the loop sees it once it is stored."""
    return Failure(
        scope=memory.SCOPE,
        title=event["title"],
        message=event.get("body", ""),
        stacktrace=event.get("stacktrace", ""),
        error_type=event.get("error_type", ""),
        service=event["service"],
        kind=event["kind"],
        team=event["team"],
        occurred_at=datetime.fromisoformat(event["source_created_at"]),
    )


def ours(events: Sequence[Event]) -> tuple[Groups, Groups]:
    """Return the groups as the server's patterns end up, and as they were said on arrival."""
    grouper = grouping.Grouper()
    said = {e["external_id"]: grouper.assign(e["external_id"], failure(e)).group for e in events}
    resolve = grouper.scopes[memory.SCOPE].resolve
    return {name: resolve(group) for name, group in said.items()}, said


def drain(events: Sequence[Event], text: Callable[[Event], str], likeness: float, depth: int) -> Groups | None:
    """Return Drain3's clusters, or None where the interpreter does not have it."""
    python = os.environ.get("EVERFIX_SCORER_PYTHON") or sys.executable
    with tempfile.TemporaryDirectory() as scratch:
        script = Path(scratch) / "drain.py"
        script.write_text(DRAIN, encoding="utf-8")
        lines = "".join(json.dumps([e["external_id"], text(e)]) + "\n" for e in events)
        done = subprocess.run([python, str(script), str(likeness), str(depth)], input=lines, capture_output=True, text=True, check=False)
    if "No module named 'drain3'" in done.stderr:
        return None
    if done.returncode:
        raise RuntimeError(done.stderr[-800:])
    return dict(csv.reader(done.stdout.splitlines()))


# What trackers commonly blank: identifiers, addresses, paths, numbers. The row HARDER has the masks of Everfix instead.
MASKS = tuple(
    (re.compile(pattern), word)
    for pattern, word in (
        (r"\b[0-9a-f]{8}(?:-[0-9a-f]{4}){3}-[0-9a-f]{12}\b", "<uuid>"),
        (r"\b\d{1,3}(?:\.\d{1,3}){3}\b", "<ip>"),
        (r"(?<!\w)/(?:[\w.-]+/)+[\w.-]*", "<path>"),
        (r"\b0x[0-9a-fA-F]+\b|\b(?=[0-9a-f]*\d)[0-9a-f]{7,}\b", "<hex>"),
        (r"\d+(?:[.,:]\d+)*", "<num>"),
    )
)


def mask(text: str) -> str:
    for pattern, word in MASKS:
        text = pattern.sub(word, text)
    return " ".join(text.split())


def first_line(event: Event) -> str:
    return mask(event["title"])


def whole(event: Event) -> str:
    return mask(f"{event['title']} {event.get('body', '')}")


def our_title(event: Event) -> str:
    return f"{event.get('error_type', '')}\x1f{normalise.mask(event['title'])}"


def exception_message(event: Event) -> str:
    """The type of error and the masked message, or title where there is none: what most trackers hash."""
    return f"{event.get('error_type', '')}\x1f{mask((event.get('body') or event['title']).split(chr(10))[0])}"


def top_frames(event: Event, most: int, otherwise: Callable[[Event], str] = exception_message) -> str:
    """The type of error and the innermost frames; `otherwise` where there is no trace."""
    trace = stacktraces.parse(event.get("stacktrace", ""))
    if trace is None or not trace.path():
        return otherwise(event)
    return f"{trace.root.type}\x1f" + "\x1f".join(f.name for f in trace.path()[:most])


def simple(events: Sequence[Event], key: Callable[[Event], str]) -> Groups:
    return {e["external_id"]: key(e) for e in events}


def methods(events: Sequence[Event]) -> dict[str, tuple[Groups | None, float]]:
    """Group the events by every method; return groups and milliseconds an event."""
    begun = time.perf_counter()
    final, said = ours(events)
    took = 1000 * (time.perf_counter() - begun) / len(events)
    out: dict[str, tuple[Groups | None, float]] = {"**Everfix**": (final, took), "Everfix, as said on arrival": (said, took)}
    calls: dict[str, Callable[[], Groups | None]] = {
        "Drain3 0.4, masked title": lambda: drain(events, first_line, 0.4, 4),
        "Drain3 0.5 depth 5, masked title": lambda: drain(events, first_line, 0.5, 5),
        "Drain3 0.4, masked title and body": lambda: drain(events, whole, 0.4, 4),
        "exception + masked message": lambda: simple(events, exception_message),
        "exception + top frame, else message": lambda: simple(events, lambda e: top_frames(e, 1)),
        "exception + top 5 frames, else message": lambda: simple(events, lambda e: top_frames(e, 5)),
        HARDER: lambda: simple(events, lambda e: top_frames(e, 1, our_title)),
    }
    for name, call in calls.items():
        begun = time.perf_counter()
        out[name] = (call(), 1000 * (time.perf_counter() - begun) / len(events))
    return out


def main() -> int:
    print(f"A simulated year ending {NOW:%d %B %Y}; seeds {', '.join(map(str, SEEDS))}, the rules were chosen on others.\n")
    print("| seed | method | pair P | pair R | pair F1 | over-merged | causes found | ms a failure |\n|---|---|---|---|---|---|---|---|")
    ahead: list[tuple[float, float]] = []
    for seed in SEEDS:
        made = simulate.simulate(seed, NOW)
        scores: dict[str, float] = {}
        for name, (groups, took) in methods(made.events).items():
            if groups is None:
                print(f"| {seed} | {name} | not installed | | | | | |")
                continue
            s = truth.score_groups(made.truth, groups)
            scores[name] = s.f1
            figures = f"{s.precision:.4f} | {s.recall:.4f} | {s.f1:.4f} | {100 * s.over_merged:.2f} %"
            print(f"| {seed} | {name} | {figures} | {len(s.found)} of {s.planted} | {took:.2f} |", flush=True)
        others = {name: f1 for name, f1 in scores.items() if "Everfix" not in name}
        best = max(f1 for name, f1 in others.items() if name != HARDER)
        ahead.append((100 * (scores["**Everfix**"] - best), 100 * (scores["**Everfix**"] - others[HARDER])))
    print("\nGoals: pair F1 ≥ 0.95, over-merged ≤ 1 %, ≥ 10 points above the best of Drain3, exception + message and top frames.")
    print(f"Ahead of these by {', '.join(f'{a:.1f}' for a, _ in ahead)} points; of the best hash we could make with", end=" ")
    print(f"our own parts, {HARDER}, by {', '.join(f'{b:.1f}' for _, b in ahead)}.")
    return 0


if __name__ == "__main__":
    sys.exit(main())
