"""Peak memory and time of ten million prediction rows: taken in as Parquet parts, and read by every part of a deployment's report, all of them labelled."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

from bench import figures

ROWS, PARTS, FEATURES = 10_000_000, 10, 20
BOUND = 1_000_000_000  # bytes that the issue allows

WRITE = """
import sys, numpy as np, polars as pl
folder, part, rows, features = sys.argv[1], int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4])
random = np.random.default_rng(part)
step = 1_000_000 * 86_400 // rows
at = pl.Series(np.arange(rows) * step + (1_767_225_600 + part * 86_400) * 1_000_000).cast(pl.Datetime("us")).dt.replace_time_zone("UTC")
columns = {"timestamp": at} | {f"x{i}": random.normal(size=rows) + (i == 0 and part > 6) for i in range(features - 2)}
columns |= {"plan": random.choice(["a", "b", "c"], rows), "region": random.choice([f"r{i}" for i in range(50)], rows)}
label = random.integers(0, 2, rows)
score = random.beta(2 + label, 3 - label)
columns |= {"score": score, "prediction": (score >= 0.5).astype(int), "label": label, "latency_ms": random.gamma(4, 12, rows)}
failed = pl.when(pl.Series(random.random(rows) < 0.01)).then(pl.lit("timeout")).alias("error")
pl.DataFrame(columns).with_columns(failed).write_parquet(f"{folder}/{part}.parquet")
"""
READ = """
import sys, tempfile, time
from pathlib import Path
from types import SimpleNamespace
from everfix.ml.figures import frames
from everfix.reports.ml import deployment, work
files = tuple(sorted(Path(sys.argv[1]).glob("kept-*.parquet")))
class Near(work.Work):  # the tables lie near, and there is no database
    def rows(self, query): return []
    def one(self, table, row_id): return SimpleNamespace(experiment_id=0, metrics={}, positive_label=None, operating_point=None, problem_type=sys.argv[2])
kept = {"log": frames.Frames(files=files), "reference": frames.Frames(files=files[:1])}
entity = SimpleNamespace(features=[], model_id=0, reference_id=0)
made = Near(None, Path(sys.argv[1]), entity, None, {"include_charts": True}, kept=kept)
for part in deployment.PARTS:
    if part.id in sys.argv[3].split(","):
        start = time.perf_counter()
        print(f"{part.id} {len(list(part.build(made)))} {time.perf_counter() - start:.1f}", file=sys.stderr)
print(made.kept["traffic"].rows, made.kept["traffic"].labelled)
"""
SCAN = """
import sys, time
from pathlib import Path
import polars as pl
files = sorted(Path(sys.argv[1]).glob("kept-*.parquet"))
lazy = pl.concat([pl.scan_parquet(file) for file in files], how="diagonal_relaxed")
found = lazy.select(pl.len(), pl.col("error").is_not_null().mean(), pl.col("x0").mean()).collect(engine="streaming")
print(found.item(0, 0))
"""
SECTIONS = "glance,volume,latency,errors,drift,drift_by_time,prediction,quality"
STEPS = (
    ("every part of a deployment's report", READ, "binary", SECTIONS),
    ("its quality alone, of a regression", READ, "regression", "glance,quality"),
    ("a lazy scan of three figures", SCAN),
)


def measured(*words: str, given: str = "") -> tuple[str, float, int]:
    """Run a process and return what it printed, its seconds, and its own peak of memory in bytes."""
    before = time.perf_counter()
    started = subprocess.Popen([sys.executable, *words], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert started.stdin is not None
    assert started.stdout is not None
    started.stdin.write(given)
    started.stdin.close()
    out = started.stdout.read()
    _, status, used = os.wait4(started.pid, 0)
    started.returncode = os.waitstatus_to_exitcode(status)
    assert started.returncode == 0, f"ended with {started.returncode}: {words[-3:]}"
    return out, time.perf_counter() - before, used.ru_maxrss * 1024


def run(rows: int = ROWS) -> figures.Result:
    """Make a log with planted drift, take it in piece by piece as an upload does, and read it as a report does."""
    result = figures.Result(f"ML: {rows:,} predictions × {FEATURES} features", ("step", "seconds", "peak memory", "bound of 1 GB"))
    with tempfile.TemporaryDirectory() as folder:
        for part in range(PARTS):
            measured("-c", WRITE, folder, str(part), str(rows // PARTS), str(FEATURES))
        taken = [_taken(Path(folder), part) for part in range(PARTS)]
        _add(result, f"take in {PARTS} pieces (each)", sum(seconds for seconds, _ in taken) / PARTS, max(peak for _, peak in taken))
        for name, program, *words in STEPS:
            told, seconds, peak = measured("-c", program, folder, *words)
            assert told.split()[0] == str(rows), told
            _add(result, name, seconds, peak)
    result.notes.append("each step is a process of its own, libraries included; a piece is converted, profiled and written anew")
    return result


def _taken(folder: Path, part: int) -> tuple[float, int]:
    task: dict[str, Any] = {
        "path": f"{folder}/{part}.parquet",
        "out": f"{folder}/kept-{part}.parquet",
        "role": "predictions",
        "mapping": {},
    }
    task |= {"memory": 2 * BOUND, "seconds": 900, "limits": {"bytes": 8 * BOUND, "rows": 50_000_000}}
    told, seconds, peak = measured("-m", "everfix.ml.intake", given=json.dumps(task))
    assert json.loads(told)["rejects"]["count"] == 0, told[:500]
    return seconds, peak


def _add(result: figures.Result, name: str, seconds: float, peak: int) -> None:
    result.add(name, f"{seconds:.1f}", f"{peak / 1e6:.0f} MB", "kept" if peak <= BOUND else "BROKEN")


if __name__ == "__main__":
    print("\n".join(run(int(sys.argv[1]) if len(sys.argv) > 1 else ROWS).lines()))
