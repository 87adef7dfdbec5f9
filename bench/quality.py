"""`make bench-quality`: forecasts and grouping on every public set beside the simple methods, into bench/quality.md."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from datetime import UTC, datetime
from pathlib import Path

from bench import peers

HERE = Path(__file__).parent
PARTS = (
    ("Forecasts of recurrence", "quality_forecasts.py", ("--ablations",)),
    ("Grouping", "quality_groups.py", ()),
    ("The simulated company", "quality_demo.py", ()),
    ("Which fix", "quality_fixes.py", ()),
)
HEAD = """# How good the judgements are

Written by `make bench-quality`, which runs the code of the server's loop over the public sets and scores it with their own scorer, beside its
simple methods. One configuration for all sets; how its parameters were chosen is said with each part. Times are of the machine named here.
"""


def main() -> int:
    """Run each part, print it as it comes, and write the page; a part that cannot run says why and the page keeps that."""
    scorer = os.environ.get("EVERFIX_SCORER_PYTHON") or str(peers.environment() / "bin" / "python")
    began, failed = time.monotonic(), 0
    parts = [HEAD, f"*{datetime.now(UTC):%d %B %Y}, {os.cpu_count()} cores, Python {sys.version.split()[0]}.*\n"]
    for title, script, options in PARTS:
        if not (HERE / script).exists():
            continue
        print(f"== {title}", flush=True)
        command = [sys.executable, str(HERE / script), *options]
        environment = {**os.environ, "EVERFIX_SCORER_PYTHON": scorer, "PYTHONPATH": str(HERE.parent)}
        done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
        print(done.stdout, done.stderr, flush=True)
        failed += done.returncode != 0
        text = done.stdout.strip() if done.returncode == 0 else f"Not run: {done.stderr.strip()[-500:]}"
        parts.append(f"## {title}\n\n{text}\n")
    parts.append(f"*All of it took {time.monotonic() - began:.0f} s.*\n")
    (HERE / "quality.md").write_text("\n".join(parts), encoding="utf-8")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
