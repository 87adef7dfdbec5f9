"""Drift: how far a column's present distribution lies from its reference, by PSI, Kolmogorov–Smirnov and Jensen–Shannon.

Bins as Evidently draws them (Sturges over both, or one for each value up to 20), so that the figures are comparable; where outliers
press nearly all rows of both sides into one bin, the reference's deciles are taken instead, and said. Present data are read twice, in
stretches: the bounds first, then the counts. K–S is exact also in one pass over unsorted stretches, because the distance of two step
functions is largest at a step of the reference, or just before it.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, Literal

import numpy as np
import polars as pl
from scipy import stats
from scipy.spatial import distance

from everfix.ml.figures import arrays, frames
from everfix.ml.figures.arrays import Floats, Ints
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade

BANDS = (0.1, 0.25)  # of PSI: below the first stable, above the second major
FEW = 20  # numbers with up to so many different values are compared value by value
CATEGORIES = 10_000
CELLS = 4_000_000  # of each side that are held at once
SMALL = 10_000  # up to so many rows on each side the K–S probability is exact
COLLAPSED = 0.9  # share of both sides in one bin from which the bins say nothing
SHARE = 0.5  # of columns drifted that mark the whole set
LEAST = 50  # rows of a stretch of time whose drift is told
SHOWN = 12  # categories of a chart
Band = Literal["stable", "moderate", "major"]
Binning = Literal["equal width", "values", "deciles"]


@dataclass(frozen=True, slots=True)
class ColumnDrift:
    """One column: its figures, its band by PSI, and both distributions as shares of their rows."""

    feature: str
    kind: Literal["numeric", "categorical"]
    psi: float
    band: Band
    js: float
    ks: float | None
    ks_p: float | None
    bins: tuple[str, ...]
    reference: tuple[float, ...]
    current: tuple[float, ...]
    binning: Binning
    reference_rows: int
    current_rows: int
    missing_reference: float
    missing_current: float
    unseen: int = 0  # categories that the reference does not have
    mean_reference: float | None = None
    mean_current: float | None = None


@dataclass(frozen=True, slots=True)
class Drift:
    """All columns, the most drifted first, and those that could not be compared, with why."""

    columns: tuple[ColumnDrift, ...]
    unmade: tuple[tuple[str, str], ...]

    @property
    def drifted(self) -> int:
        return sum(column.band != "stable" for column in self.columns)

    @property
    def share(self) -> float:
        return self.drifted / len(self.columns) if self.columns else 0.0

    @property
    def whole(self) -> bool:
        """Whether the whole set counts as drifted."""
        return bool(self.columns) and self.share >= SHARE


@dataclass(slots=True)
class Side:
    """What one pass tells of a column on one side."""

    rows: int = 0
    missing: int = 0
    low: float = math.inf
    high: float = -math.inf
    total: float = 0.0
    values: Counter[str] = field(default_factory=Counter)


def compare(reference: Frames, current: Frames, columns: Sequence[str]) -> Drift:
    """Return the drift of each column named; a column that cannot be compared is listed with its reason."""
    made: list[ColumnDrift] = []
    failed: list[tuple[str, str]] = []
    ours, theirs = reference.schema, current.schema
    size = max(1, CELLS // max(1, reference.rows, current.rows))
    for start in range(0, len(columns), size):
        group = columns[start : start + size]  # held together: opening a file of ten thousand columns takes a tenth of a second
        before, now = (reference.near(group), current.near(group)) if size > 1 else (reference, current)
        for name in group:
            try:
                made.append(column(before, now, name, _kind(name, ours, theirs)))
            except Unmade as reason:
                failed.append((name, str(reason)))
    return Drift(tuple(sorted(made, key=lambda one: (-one.psi, one.feature))), tuple(failed))


def _kind(name: str, ours: dict[str, pl.DataType], theirs: dict[str, pl.DataType]) -> Literal["numeric", "categorical"]:
    missing = [side for side, found in (("the reference", ours), ("the log", theirs)) if name not in found]
    if missing:
        raise Unmade(f"the column is not in {' and not in '.join(missing)}")
    both = frames.numeric(ours[name]), frames.numeric(theirs[name])
    if both[0] != both[1] and pl.Null not in (ours[name], theirs[name]):
        raise Unmade(f"the column is {ours[name]} in the reference and {theirs[name]} now")
    return "numeric" if all(both) else "categorical"


def over_time(reference: Frames, current: Frames, feature: str, edges_of: Sequence[float]) -> tuple[float | None, ...]:
    """Return the PSI of a feature in each stretch of time between `edges_of` (seconds since 1970), by deciles or categories of the reference.

    A stretch with fewer than LEAST rows has none: its bins would be empty by chance.
    """
    numeric = _kind(feature, reference.schema, current.schema) == "numeric"
    known = _points(reference, feature) if numeric else _texts(reference, feature)
    if not len(known):
        raise Unmade("the reference has no value in it")
    cuts = np.unique(np.quantile(known, np.linspace(0.1, 0.9, 9))) if numeric else _common(known)
    before = _placed(known, cuts, numeric=numeric)
    times = np.asarray(edges_of, dtype=np.float64)
    counts = np.zeros((len(times) - 1, len(before)), dtype=np.int64)
    for batch in current.batches([frames.CLOCK, feature]):
        there = batch.filter(batch[feature].is_not_null() & batch[frames.CLOCK].is_not_null())
        at = np.searchsorted(times, frames.seconds(there[frames.CLOCK]).to_numpy(), side="right") - 1
        for place in np.unique(at[(at >= 0) & (at < len(counts))]):
            part = there.filter(pl.Series(at == place))[feature]
            found = frames.floats(part).to_numpy() if numeric else frames.texts(part).to_numpy()
            counts[place] += _placed(found, cuts, numeric=numeric)
    return tuple(psi(before / before.sum(), row / row.sum()) if row.sum() >= LEAST else None for row in counts)


def _texts(source: Frames, name: str) -> Any:  # noqa: ANN401 - an array of words
    return np.concatenate([frames.texts(batch[name]).to_numpy() for batch in source.batches([name])])


def _common(known: Any) -> Any:  # noqa: ANN401
    names, counts = np.unique(known.astype(np.str_), return_counts=True)
    return np.sort(names[np.argsort(-counts, kind="stable")[:FEW]])


def _placed(values: Any, cuts: Any, *, numeric: bool) -> Ints:  # noqa: ANN401
    """Count values between cuts, or of each common category; the last place is for all others."""
    if numeric:
        return np.bincount(np.searchsorted(cuts, values, side="right"), minlength=len(cuts) + 1)
    words = values.astype(np.str_)
    at = np.minimum(np.searchsorted(cuts, words), len(cuts) - 1)
    return np.bincount(np.where(cuts[at] == words, at, len(cuts)), minlength=len(cuts) + 1)


def column(reference: Frames, current: Frames, name: str, kind: Literal["numeric", "categorical"]) -> ColumnDrift:
    """Return the drift of one column; raises Unmade where a side has no values or too many categories."""
    before, now = _side(reference, name, kind), _side(current, name, kind)
    for side, found in (("reference", before), ("present data", now)):
        if not found.rows:
            raise Unmade(f"the {side} has no value in it")
    return _numeric(reference, current, name, before, now) if kind == "numeric" else _categorical(name, before, now)


def _side(source: Frames, name: str, kind: str) -> Side:
    side = Side()
    for batch in source.batches([name]):
        found = frames.floats(batch[name]) if kind == "numeric" else frames.texts(batch[name])
        side.missing += batch.height - len(found)
        side.rows += len(found)
        if not len(found):
            continue
        if kind == "numeric":
            values = found.to_numpy()
            side.low, side.high = min(side.low, float(values.min())), max(side.high, float(values.max()))
            side.total += float(values.sum())
        if kind == "categorical" or len(side.values) <= FEW:
            _count(side, found, kind)
    return side


def _count(side: Side, found: pl.Series, kind: str) -> None:
    """Count values: all categories, of numbers only enough to see whether they are few."""
    if kind == "numeric" and found.n_unique() > FEW:
        side.values.update({str(place): 1 for place in range(FEW + 1)})  # many: which ones does not matter
        return
    for row in found.value_counts().iter_rows():
        side.values[arrays.label(row[0])] += int(row[1])
    if len(side.values) > CATEGORIES:
        raise Unmade(f"it has more than {CATEGORIES:,} different values: an identifier or free text has no distribution to compare")


def _categorical(name: str, before: Side, now: Side) -> ColumnDrift:
    keys = sorted(set(before.values) | set(now.values), key=lambda key: (-before.values[key], -now.values[key], key))
    shares = [np.array([side.values[key] / side.rows for key in keys]) for side in (before, now)]
    return _made(name, "categorical", keys, shares, before, now, "values", unseen=sum(not before.values[key] for key in keys))


def _numeric(reference: Frames, current: Frames, name: str, before: Side, now: Side) -> ColumnDrift:
    points = _points(reference, name)
    binning: Binning
    if len(np.unique(points)) <= FEW:
        bins, shares, binning = _by_value(current, name, points, now)
        d, p = _ks(current, name, points, now)
    else:
        width = np.histogram_bin_edges(np.array([min(before.low, now.low), max(before.high, now.high)]), _sturges(before.rows + now.rows))
        counts, (d, p) = _counted(current, name, points, now, width)
        shares, binning = [_histogram(points, width) / before.rows, counts / now.rows], "equal width"
        if any(float(a) > COLLAPSED and float(b) > COLLAPSED for a, b in zip(*shares, strict=True)):
            width, binning = _deciles(points), "deciles"
            counts, _ = _counted(current, name, points, now, width)
            shares = [_histogram(points, width) / before.rows, counts / now.rows]
        bins = [f"{arrays.short(low)} to {arrays.short(high)}" for low, high in pairwise(width)]
    return _made(
        name, "numeric", bins, shares, before, now, binning, ks=d, ks_p=p, means=(before.total / before.rows, now.total / now.rows)
    )


def _sturges(rows: int) -> int:
    """Return the number of bins that numpy's "sturges" takes for so many rows."""
    return math.ceil(math.log2(rows) + 1.0)


def _points(source: Frames, name: str) -> Floats:
    """Return the reference's values, sorted: a reference is a sample, and is held."""
    parts = [frames.floats(batch[name]).to_numpy() for batch in source.batches([name])]
    return np.sort(np.concatenate(parts))


def _deciles(points: Floats) -> Floats:
    inner = np.unique(np.quantile(points, np.linspace(0.1, 0.9, 9)))
    return np.concatenate(([-np.inf], inner, [np.inf]))


def _histogram(ordered: Floats, edges: Floats) -> Ints:
    """Count sorted values between edges; as in numpy, the last bin holds its upper edge."""
    at = np.searchsorted(ordered, edges, side="left")
    at[-1] = np.searchsorted(ordered, edges[-1], side="right")
    return np.asarray(np.diff(at), dtype=np.int64)


def _counted(current: Frames, name: str, points: Floats, now: Side, edges: Floats) -> tuple[Ints, tuple[float, float]]:
    """Return the present counts between edges, and K–S against the reference's points, in one pass."""
    counts = np.zeros(len(edges) - 1, dtype=np.int64)
    test = Distance(points, now.rows)
    for batch in current.batches([name]):
        ordered = np.sort(frames.floats(batch[name]).to_numpy())
        counts += _histogram(ordered, edges)
        test.add(ordered)
    return counts, test.result()


def _ks(current: Frames, name: str, points: Floats, now: Side) -> tuple[float, float]:
    test = Distance(points, now.rows)
    for batch in current.batches([name]):
        test.add(np.sort(frames.floats(batch[name]).to_numpy()))
    return test.result()


class Distance:
    """The two-sample Kolmogorov–Smirnov test against a sorted reference, fed with sorted stretches of the other sample."""

    def __init__(self, points: Floats, rows: int) -> None:
        self.points, self.rows = points, rows
        self.steps = np.unique(points)
        self.below = np.zeros(len(self.steps), dtype=np.int64)  # present values < step
        self.upto = np.zeros(len(self.steps), dtype=np.int64)  # present values ≤ step
        self.kept: list[Floats] | None = [] if max(rows, len(points)) <= SMALL else None

    def add(self, ordered: Floats) -> None:
        if self.kept is not None:
            self.kept.append(ordered)
            return
        self.below += np.searchsorted(ordered, self.steps, side="left")
        self.upto += np.searchsorted(ordered, self.steps, side="right")

    def result(self) -> tuple[float, float]:
        """Return the distance and its probability under no drift."""
        if self.kept is not None:
            exact = stats.ks_2samp(self.points, np.concatenate(self.kept))
            return float(exact.statistic), float(exact.pvalue)
        n, m = len(self.points), self.rows
        left, right = (np.searchsorted(self.points, self.steps, side=side) / n for side in ("left", "right"))
        d = float(max(np.abs(left - self.below / m).max(), np.abs(right - self.upto / m).max()))
        large, small = float(max(n, m)), float(min(n, m))
        p = float(stats.kstwo.sf(d, np.round(large * small / (large + small))))
        return d, min(1.0, max(0.0, p))


def _by_value(current: Frames, name: str, points: Floats, now: Side) -> tuple[list[str], list[Floats], Literal["values"]]:
    """Compare few numbers value by value; present values that are many are put to their nearest reference value's side."""
    known, counts = np.unique(points, return_counts=True)
    found: Counter[float] = Counter()
    for batch in current.batches([name]):
        for value, count in frames.floats(batch[name]).value_counts().iter_rows():
            found[float(value)] += int(count)
        if len(found) > CATEGORIES:
            raise Unmade(f"the reference has {len(known)} different values, the present data more than {CATEGORIES:,}")
    keys = sorted({*map(float, known), *found})
    before = dict(zip(map(float, known), map(int, counts), strict=True))
    shares = [np.array([side.get(key, 0) / rows for key in keys]) for side, rows in ((before, len(points)), (dict(found), now.rows))]
    return [arrays.short(key) for key in keys], shares, "values"


def _made(
    name: str, kind: Literal["numeric", "categorical"], bins: Sequence[str], shares: Sequence[Floats], before: Side, now: Side,
    binning: Binning, *, ks: float | None = None, ks_p: float | None = None, unseen: int = 0,
    means: tuple[float, float] | None = None,
) -> ColumnDrift:  # fmt: skip
    score = psi(shares[0], shares[1])
    bins, drawn = _drawn(list(bins), shares) if kind == "categorical" or binning == "values" else (bins, shares)
    return ColumnDrift(
        feature=name, kind=kind, psi=score, band=band(score), js=js(shares[0], shares[1]), ks=ks, ks_p=ks_p, bins=tuple(bins),
        reference=tuple(map(float, drawn[0])), current=tuple(map(float, drawn[1])), binning=binning,
        reference_rows=before.rows, current_rows=now.rows,
        missing_reference=before.missing / (before.missing + before.rows), missing_current=now.missing / (now.missing + now.rows),
        unseen=unseen, mean_reference=means[0] if means else None, mean_current=means[1] if means else None,
    )  # fmt: skip


def _drawn(bins: list[str], shares: Sequence[Floats]) -> tuple[list[str], Sequence[Floats]]:
    """Join what does not fit a chart under one name; the figures are of all."""
    if len(bins) <= 2 * SHOWN:
        return bins, shares
    keep = np.sort(np.argsort(-(shares[0] + shares[1]), kind="stable")[: SHOWN - 1])
    rest = np.setdiff1d(np.arange(len(bins)), keep)
    return [*(bins[place] for place in keep), f"({len(rest)} others)"], [np.append(side[keep], side[rest].sum()) for side in shares]


def psi(reference: Floats, current: Floats) -> float:
    """Return the population stability index of shares in the same bins; an empty bin counts as a ten-thousandth, as in Evidently."""
    before, now = _filled(reference), _filled(current)
    return float(np.sum((before - now) * np.log(before / now)))


def _filled(shares: Floats) -> Floats:
    least = float(shares[shares > 0].min())
    return np.where(shares == 0, least / 10**6 if least <= 0.0001 else 0.0001, shares)


def js(reference: Floats, current: Floats) -> float:
    """Return the Jensen–Shannon distance (natural logarithm, 0 to √ln 2)."""
    found = float(distance.jensenshannon(reference, current))
    return 0.0 if math.isnan(found) else found  # rounding below zero under the root: the same shares


def band(score: float) -> Band:
    """Return the band of a PSI: stable below 0.1, moderate to 0.25, major above."""
    return "stable" if score < BANDS[0] else "moderate" if score <= BANDS[1] else "major"
