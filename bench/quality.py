"""`make bench-quality`: forecasts, grouping, fixes and their cost beside the simple methods, into bench/quality.md.

    python -m bench.quality [PART]…

Parts run in processes of their own, as many at once as there are cores (two at most); the last one, which measures time, runs alone. A part
is written into the page as soon as it ends, so a run that is broken off keeps what it has, and one part can be run again by itself.
"""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from collections.abc import Sequence
from concurrent.futures import Future, ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from bench import peers

HERE = Path(__file__).parent
PAGE = HERE / "quality.md"
LONGEST = 3600  # seconds after which a part is given up
AT_ONCE = 2
HEAD = """# How good the judgements are

Written by `make bench-quality`, which runs the code of the server's loop over the public sets and scores it with their own scorer, beside its
simple methods. One configuration for all sets; how its parameters were chosen is said with each part. A goal that is missed says so.
"""


@dataclass(frozen=True, slots=True)
class Part:
    """One section of the page: `name` on the command line, and the program that prints its Markdown."""

    name: str
    title: str
    script: str
    options: tuple[str, ...] = ()
    alone: bool = False  # measures time, so nothing else may run beside it


PARTS = (
    Part("forecasts", "Forecasts of recurrence", "quality_forecasts.py"),
    Part("grouping", "Grouping", "quality_groups.py"),
    Part("company", "The simulated company", "quality_demo.py"),
    Part("fixes", "Which fix", "quality_fixes.py"),
    Part("forecast-ideas", "What each idea brings to forecasts", "quality_forecasts.py", ("--ablations",)),
    Part("grouping-ideas", "What each idea brings to grouping", "quality_groups.py", ("--ablations",)),
    Part("cost", "Time and memory", "quality_cost.py", alone=True),
)
STARTED_FIRST = ("forecast-ideas", "grouping-ideas")  # the longest, so that nothing waits for them at the end


def sections(page: str) -> dict[str, str]:
    """The sections of a page that was written before, by their titles."""
    parts = re.split(r"^## (.+)\n", page, flags=re.MULTILINE)
    return {title: text.strip() for title, text in zip(parts[1::2], parts[2::2], strict=True)}


def write(title: str, text: str) -> None:
    """Put one section into the page; the others stay as they are."""
    held = sections(PAGE.read_text(encoding="utf-8")) if PAGE.exists() else {}
    held[title] = text
    body = (f"## {part.title}\n\n{held[part.title]}\n" for part in PARTS if part.title in held)
    new = PAGE.with_suffix(".new")
    new.write_text("\n".join([HEAD, *body]), encoding="utf-8")
    new.replace(PAGE)


def run(part: Part, scorer: str) -> tuple[bool, str]:
    """Run a part; return whether it ran to its end, and its text, or why there is none."""
    command = [sys.executable, str(HERE / part.script), *part.options]
    # Matrices here are small: threads of the algebra library only get into each other's way.
    single = dict.fromkeys(("OPENBLAS_NUM_THREADS", "OMP_NUM_THREADS", "MKL_NUM_THREADS"), "1")
    environment = {**os.environ, **single, "EVERFIX_SCORER_PYTHON": scorer, "PYTHONPATH": str(HERE.parent)}
    began = time.monotonic()
    try:
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False, timeout=LONGEST)
        out, reason = done.stdout, (done.stderr.strip()[-500:] or f"status {done.returncode}") if done.returncode else ""
    except subprocess.TimeoutExpired as late:
        out, reason = (late.stdout or b"").decode(), f"it took longer than {LONGEST} s"
    took, load = time.monotonic() - began, os.getloadavg()[0]
    stamp = f"*{datetime.now(UTC):%d %B %Y}, {os.cpu_count()} cores (load {load:.1f}), Python {sys.version.split()[0]}; took {took:.0f} s.*"
    text = f"{out.strip()}\n\n**Not run to its end:** {reason}" if reason else out.strip()
    return not reason, f"{text.strip()}\n\n{stamp}"


def interpreter() -> str:
    """An interpreter for the scorer: the one named, the peers' (which has Drain3), or this one where the peers cannot be had."""
    if named := os.environ.get("EVERFIX_SCORER_PYTHON"):
        return named
    try:
        return str(peers.environment() / "bin" / "python")
    except peers.Missing as gone:
        print(f"{gone}; the scorer runs without Drain3", file=sys.stderr)
        return sys.executable


def finished(part: Part, made: tuple[bool, str]) -> bool:
    """Write a part that has ended into the page and print it; return whether it ran to its end."""
    write(part.title, made[1])
    print(f"== {part.title}\n{made[1]}\n", flush=True)
    return made[0]


def main(names: Sequence[str]) -> int:
    """Run the parts named (all of them unless told); 1 when one could not run to its end."""
    known = {part.name: part for part in PARTS}
    if unknown := [name for name in names if name not in known]:
        print(f"no part is called {', '.join(unknown)}; there are {', '.join(known)}", file=sys.stderr)
        return 2
    chosen = [part for part in PARTS if not names or part.name in names]
    scorer, began = interpreter(), time.monotonic()
    together = sorted((part for part in chosen if not part.alone), key=lambda part: part.name not in STARTED_FIRST)
    with ThreadPoolExecutor(min(AT_ONCE, os.cpu_count() or 1)) as pool:
        running: dict[Future[tuple[bool, str]], Part] = {pool.submit(run, part, scorer): part for part in together}
        try:
            good = [finished(running[done], done.result()) for done in as_completed(running)]
        except KeyboardInterrupt:
            pool.shutdown(wait=False, cancel_futures=True)
            raise
    good += [finished(part, run(part, scorer)) for part in chosen if part.alone]
    print(f"{len(good)} parts took {time.monotonic() - began:.0f} s; see {PAGE.name}")
    return 0 if all(good) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
