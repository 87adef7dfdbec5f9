"""ML reports: a drift and data report on 100,000 × 20 rows beside Evidently's, in the same run; and ten million predictions in bounded memory.

python -m bench.ml_reports [--rows 100000] [--long 10000000]
"""

from __future__ import annotations

import argparse
import json
import resource
import subprocess
import sys
import tempfile
import time
import warnings
from datetime import UTC, date, datetime
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl

COLUMNS = 20


def table(rows: int, shift: float, seed: int) -> pl.DataFrame:
    chance = np.random.default_rng(seed)
    numbers = {f"n{n}": chance.normal(shift * (n % 4), 1, rows) for n in range(COLUMNS - 4)}
    words = {f"c{n}": chance.choice(list("abcdef"), rows) for n in range(4)}
    return pl.DataFrame({**numbers, **words})


def ours(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[float, int]:
    """Return the seconds and bytes of our report: drift of every column, and the quality of the present table."""
    from everfix import documents
    from everfix.documents.model import Document, Period, Section
    from everfix.ml.figures import drift, quality
    from everfix.ml.figures.frames import Frames
    from everfix.reports.ml import blocks, drifts, judged

    start = time.perf_counter()
    found = drift.compare(Frames(table=reference), Frames(table=current), reference.columns)
    columns = (
        ("feature", "Feature", blocks.TEXT),
        ("psi", "PSI", blocks.MEASURE),
        ("verdict", "Verdict", blocks.TEXT),
        ("ks_p", "K–S p", blocks.MEASURE),
    )
    rows = [(one.feature, one.psi, one.band, one.ks_p) for one in found.columns]
    drawn = (blocks.table("drift", "Drift", columns, rows), drifts.multiples("drift_chart", "Distributions", found.columns[:12]))
    checked = tuple(judged.data(quality.of(Frames(table=current))))
    today = date(2026, 1, 1)
    document = Document(
        title="Drift", workspace="Bench", period=Period(start=today, end=today, previous_start=today, previous_end=today),
        generated_at=datetime(2026, 1, 1, tzinfo=UTC), sections=(Section(id="drift", title="Drift", blocks=drawn), Section(id="data", title="Data", blocks=checked)),
    )  # fmt: skip
    page = documents.render(document, "html")
    return time.perf_counter() - start, len(page)


def evidently(reference: pl.DataFrame, current: pl.DataFrame) -> tuple[float, int]:
    """Return the same of Evidently's two presets."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently import Dataset, Report
        from evidently.presets import DataDriftPreset, DataSummaryPreset

        sides = [Dataset.from_pandas(side.to_pandas()) for side in (current, reference)]
        start = time.perf_counter()
        made = Report([DataDriftPreset(), DataSummaryPreset()]).run(*sides)
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "report.html"
            made.save_html(str(path))
            return time.perf_counter() - start, path.stat().st_size


def long_log(rows: int, folder: Path) -> None:
    """Write a log of so many predictions in parts of a million."""
    begin = int(datetime(2026, 1, 1, tzinfo=UTC).timestamp() * 1e6)
    for part in range(0, rows, 1_000_000):
        size = min(1_000_000, rows - part)
        chance = np.random.default_rng(part)
        seconds = begin + (part + np.arange(size)) * (30 * 86400e6 / rows)
        score = chance.beta(2, 3, size)
        frame = pl.DataFrame(
            {
                "timestamp": pl.Series(seconds).cast(pl.Int64).cast(pl.Datetime("us", "UTC")), "score": score, "label": (chance.random(size) < score).astype(int),
                "latency_ms": chance.lognormal(3, 0.5, size), "error": pl.Series(np.where(chance.random(size) < 0.01, "timeout", "")).replace("", None),
                **{f"f{n}": chance.normal(0.1 * n, 1, size) for n in range(8)},
            }
        )  # fmt: skip
        frame.write_parquet(folder / f"{part:010d}.parquet")


def read_long(folder: Path) -> dict[str, Any]:
    """Compute what a deployment's report needs of the log, and say what memory it took."""
    from everfix.ml.figures import binned, deployment, drift
    from everfix.ml.figures.frames import Frames

    chance = np.random.default_rng(1)
    reference = Frames(table=pl.DataFrame({f"f{n}": chance.normal(0, 1, 50_000) for n in range(8)}))
    log = Frames(files=tuple(sorted(folder.glob("*.parquet"))))
    start = time.perf_counter()
    traffic = deployment.traffic(log)
    found = drift.compare(reference, log, deployment.features(log))
    sums = binned.Binned(positive="1")
    for batch in log.batches(["label", "score"]):
        sums.add(batch["label"].to_numpy(), batch["score"].to_numpy())
    area = sums.result().auc
    memory = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {
        "rows": traffic.rows,
        "seconds": time.perf_counter() - start,
        "mb": memory,
        "p95": traffic.latency[2],
        "auc": area,
        "drifted": found.drifted,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--long", type=int, default=10_000_000)
    parser.add_argument("--read", type=Path, help=argparse.SUPPRESS)
    given = parser.parse_args()
    if given.read:
        print(json.dumps(read_long(given.read)))
        return
    reference, current = table(given.rows, 0.0, 1), table(given.rows, 0.15, 2)
    for name, made in (("everfix", ours(reference, current)), ("evidently", evidently(reference, current))):
        print(f"{name:10} {given.rows:,} × {COLUMNS}: {made[0]:.2f} s, HTML {made[1] / 1000:,.0f} kB")
    if given.long:
        with tempfile.TemporaryDirectory() as folder:
            long_log(given.long, Path(folder))
            # a process of its own, so that its memory is its own
            out = subprocess.run([sys.executable, "-m", "bench.ml_reports", "--read", folder], check=True, capture_output=True, text=True)
        found = json.loads(out.stdout)
        print(
            f"log of {found['rows']:,} predictions: {found['seconds']:.0f} s, at most {found['mb']:,.0f} MB; p95 {found['p95']:.2f} ms, AUC {found['auc']:.4f}"
        )


if __name__ == "__main__":
    main()
