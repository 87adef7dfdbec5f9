"""A prediction log in one pass over stretches of rows: volume, latency and errors by time and in all, and scores where labels came.

Latency percentiles are exact up to EXACT rows; beyond that they come from logarithmic buckets (as in DDSketch, Masson et al. 2019) and
are right to within half a percent.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import numpy as np
import polars as pl

from everfix.ml.figures import arrays, frames
from everfix.ml.figures.arrays import Floats, Ints
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade

EXACT = 1_000_000  # latencies that are held
GAMMA = 1.01  # ratio of two neighbouring buckets: a value is off by at most half a percent
LEAST = 1e-3  # milliseconds of the first bucket
BUCKETS = 2_600  # up to 1e-3 × 1.01 ^ 2600 ms: years
STEPS = (60, 300, 900, 3600, 4 * 3600, 86400, 7 * 86400, 30 * 86400)  # seconds of one point of time
POINTS = 60  # of time at most
SHARES = (0.5, 0.9, 0.95, 0.99)
CODES = 20
TRAFFIC = ("timestamp", "prediction", "score", "label", "latency_ms", "error")


@dataclass(frozen=True, slots=True)
class Moment:
    """One stretch of time."""

    at: datetime
    rows: int
    errors: int
    latency: tuple[float | None, ...]  # in the order of SHARES, milliseconds

    @property
    def error_rate(self) -> float | None:
        return self.errors / self.rows if self.rows else None


@dataclass(frozen=True, slots=True)
class Traffic:
    """The log as a whole; `latency` in the order of SHARES, in milliseconds."""

    rows: int
    undated: int
    first: datetime
    last: datetime
    step: timedelta
    moments: tuple[Moment, ...]
    errors: int
    codes: tuple[tuple[str, int], ...]
    latency: tuple[float | None, ...]
    latency_mean: float | None
    latency_max: float | None
    latency_rows: int
    latency_bins: tuple[tuple[float, float, int], ...]  # from, to (milliseconds), rows
    exact: bool
    labelled: int

    @property
    def error_rate(self) -> float:
        return self.errors / self.rows


@dataclass(slots=True)
class Sums:
    """What the pass adds up."""

    counts: Ints
    errors: Ints
    buckets: Ints
    codes: Counter[str] = field(default_factory=Counter)
    kept: list[tuple[Ints, Floats]] = field(default_factory=list)
    kept_rows: int = 0
    latency_sum: float = 0.0
    latency_max: float = -math.inf
    latency_rows: int = 0
    undated: int = 0
    labelled: int = 0


def traffic(log: Frames) -> Traffic:
    """Return the traffic of a log; raises Unmade without timestamps or rows."""
    if frames.CLOCK not in log.schema:
        raise Unmade(f"the log has no column `{frames.CLOCK}`")
    first, last = _bounds(log)
    step = _step((last - first).total_seconds())
    start = math.floor(first.timestamp() / step) * step
    size = int((last.timestamp() - start) // step) + 1
    sums = Sums(np.zeros(size, np.int64), np.zeros(size, np.int64), np.zeros((size, BUCKETS), np.int64))
    for batch in log.batches([name for name in (frames.CLOCK, "latency_ms", "error", "label") if name in log.schema]):
        _add(sums, batch, start, step)
    return _traffic(sums, start, step, first, last)


def _bounds(log: Frames) -> tuple[datetime, datetime]:
    low, high = math.inf, -math.inf
    for batch in log.batches([frames.CLOCK]):
        found = frames.seconds(batch[frames.CLOCK]).drop_nulls()
        if len(found):
            low, high = min(low, float(found.min())), max(high, float(found.max()))  # type: ignore[arg-type]
    if low > high:
        raise Unmade("no prediction was logged in this time")
    return datetime.fromtimestamp(low, UTC), datetime.fromtimestamp(high, UTC)


def _step(seconds: float) -> int:
    return next((step for step in STEPS if seconds / step < POINTS), math.ceil(seconds / POINTS / STEPS[-1]) * STEPS[-1])


def _add(sums: Sums, batch: pl.DataFrame, start: float, step: int) -> None:
    seconds = frames.seconds(batch[frames.CLOCK])
    sums.undated += int(seconds.null_count())
    batch, seconds = batch.filter(seconds.is_not_null()), seconds.drop_nulls()
    place = ((seconds.to_numpy() - start) // step).astype(np.int64)
    size = len(sums.counts)
    sums.counts += np.bincount(place, minlength=size)
    if "error" in batch.columns:
        failed, codes = _errors(batch["error"])
        sums.errors += np.bincount(place[failed], minlength=size)
        sums.codes.update(codes)
    if "label" in batch.columns:
        sums.labelled += batch.height - int(batch["label"].null_count())
    if "latency_ms" in batch.columns:
        _latency(sums, place, arrays.numbers(batch["latency_ms"].to_numpy()))


def _errors(column: pl.Series) -> tuple[np.ndarray[tuple[int], np.dtype[np.bool_]], dict[str, int]]:
    """Return which rows failed, and how often each error came; an error is a text, or true."""
    if column.dtype == pl.Boolean:
        failed = column.fill_null(value=False)
        return failed.to_numpy(), {"error": int(failed.sum())} if failed.any() else {}
    said = column.cast(pl.String).str.strip_chars()
    failed = (said.is_not_null() & ~said.str.to_lowercase().is_in(("", "null", "none", "false", "0", "ok"))).fill_null(value=False)
    counted = said.filter(failed).str.slice(0, arrays.LABEL).value_counts(sort=True).head(1_000)
    return failed.to_numpy(), {str(name): int(count) for name, count in counted.iter_rows()}


def _latency(sums: Sums, place: Ints, found: Floats) -> None:
    keep = np.isfinite(found) & (found >= 0)
    place, found = place[keep], found[keep]
    if not found.size:
        return
    bucket = np.clip(np.ceil(np.log(np.maximum(found, LEAST) / LEAST) / math.log(GAMMA)), 0, BUCKETS - 1).astype(np.int64)
    np.add.at(sums.buckets, (place, bucket), 1)
    sums.latency_rows += found.size
    sums.latency_sum += float(found.sum())
    sums.latency_max = max(sums.latency_max, float(found.max()))
    sums.kept_rows += found.size
    if sums.kept_rows <= EXACT:
        sums.kept.append((place, found))
    else:
        sums.kept.clear()


def _traffic(sums: Sums, start: float, step: int, first: datetime, last: datetime) -> Traffic:
    exact = 0 < sums.kept_rows <= EXACT
    places, values = (np.concatenate(parts) for parts in zip(*sums.kept, strict=True)) if exact else (np.zeros(0), np.zeros(0))
    moments = []
    for n in range(len(sums.counts)):
        shares = _exact(values[places == n]) if exact else _sketched(sums.buckets[n])
        moments.append(Moment(datetime.fromtimestamp(start + n * step, UTC), int(sums.counts[n]), int(sums.errors[n]), shares))
    total = sums.buckets.sum(axis=0)
    return Traffic(
        rows=int(sums.counts.sum()), undated=sums.undated, first=first, last=last, step=timedelta(seconds=step), moments=tuple(moments),
        errors=int(sums.errors.sum()), codes=tuple(sums.codes.most_common(CODES)),
        latency=_exact(values) if exact else _sketched(total), latency_mean=sums.latency_sum / sums.latency_rows if sums.latency_rows else None,
        latency_max=sums.latency_max if sums.latency_rows else None, latency_rows=sums.latency_rows, latency_bins=_bins(total),
        exact=exact or not sums.latency_rows, labelled=sums.labelled,
    )  # fmt: skip


def _exact(values: Floats) -> tuple[float | None, ...]:
    return tuple(float(value) for value in np.quantile(values, SHARES)) if values.size else (None,) * len(SHARES)


def _sketched(buckets: Ints) -> tuple[float | None, ...]:
    """Return percentiles from buckets: the middle of the bucket that holds the rank."""
    total = int(buckets.sum())
    if not total:
        return (None,) * len(SHARES)
    upto = np.cumsum(buckets)
    found = [int(np.searchsorted(upto, share * (total - 1), side="right")) for share in SHARES]
    return tuple(LEAST * GAMMA**place * 2 / (GAMMA + 1) for place in found)


def _bins(buckets: Ints) -> tuple[tuple[float, float, int], ...]:
    """Return a histogram of latency with about 24 bars, each a fixed ratio wider than the one before."""
    there = np.flatnonzero(buckets)
    if not there.size:
        return ()
    low, high = int(there[0]), int(there[-1]) + 1
    width = max(1, math.ceil((high - low) / 24))
    return tuple(
        (LEAST * GAMMA ** (at - 1), LEAST * GAMMA ** (min(at + width, high) - 1), int(buckets[at : at + width].sum()))
        for at in range(low, high, width)
    )


def features(log: Frames) -> list[str]:
    """Return the columns of a log that are inputs of the model."""
    return [name for name in log.schema if name not in TRAFFIC and not name.startswith("score_")]
