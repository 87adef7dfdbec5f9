"""Distances of synthetic records to real ones: copies, nearest neighbours, a random baseline and a hold-out.

Distance is Gower's, as SDMetrics defines it; its own join of all pairs takes minutes, and its search for equal rows evaluates values
as code, so both are done here.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import numpy.typing as npt
import pandas as pd

from everfix.ml.figures.twins import SEED, Metadata, number
from everfix.ml.figures.unmade import Unmade

NEAR = 2_000  # rows of the synthetic side, and at most NEAR_REAL of the real, whose nearest records are sought
NEAR_REAL = 20_000


@dataclass(frozen=True, slots=True)
class Privacy:
    """Distances (Gower's: mean over columns, 0–1) of synthetic rows to the nearest real one.

    `ratio` is the median of nearest ÷ second nearest distance: near 1 no single record stands out, near 0 single records were copied.
    `random` is the median distance of rows drawn at random from the real ranges; `protection` is median ÷ random, at most 1.
    `holdout_closer` is the share of synthetic rows nearer to the hold-out than to the training rows: 0.5 without memorising.
    """

    rows: int
    real_rows: int
    exact: int
    exact_share: float
    median: float
    fifth: float
    ratio: float | None
    random: float
    protection: float | None
    distances: tuple[tuple[float, float, int], ...]
    holdout_closer: float | None = None


def of(real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata, holdout: pd.DataFrame | None = None) -> Privacy:
    """Return the distances of synthetic rows to real ones; raises Unmade where no column can be compared."""
    names = [name for name, told in described["columns"].items() if told["sdtype"] != "id" and name in real and name in synthetic]
    if not names:
        raise Unmade("no column but identifiers stands in both tables")
    chance = np.random.default_rng(SEED)
    ours, theirs = _sampled(real[names], NEAR_REAL), _sampled(synthetic[names], NEAR)
    space = Space(ours, described)
    first, second = space.nearest(theirs)
    drawn = pd.DataFrame({name: _random(ours[name], described["columns"][name]["sdtype"], len(theirs), chance) for name in names})
    random, _ = space.nearest(drawn)
    exact = int((first == 0).sum())
    ratios = first[second > 0] / second[second > 0]
    median, base = float(np.median(first)), float(np.median(random))
    counts, edges = np.histogram(first, bins=20, range=(0.0, max(float(first.max()), 1e-9)))
    closer = None
    if holdout is not None and set(names) <= set(holdout.columns) and len(holdout):
        closer = _closer(ours, _sampled(holdout[names], NEAR_REAL), theirs, described)
    return Privacy(
        rows=len(theirs), real_rows=len(ours), exact=exact, exact_share=exact / len(theirs), median=median,
        fifth=float(np.quantile(first, 0.05)), ratio=float(np.median(ratios)) if ratios.size else None, random=base,
        protection=min(1.0, median / base) if base else None,
        distances=tuple((float(low), float(high), int(count)) for (low, high), count in zip(pairwise(edges), counts, strict=True)),
        holdout_closer=closer,
    )  # fmt: skip


def _closer(ours: pd.DataFrame, holdout: pd.DataFrame, theirs: pd.DataFrame, described: Metadata) -> float:
    """Compare with training and hold-out samples of one size, so that neither is nearer by number."""
    size = min(len(ours), len(holdout))
    space = Space(ours, described)
    train = Space(ours.head(size), described, space.ranges).nearest(theirs)[0]
    held = Space(holdout.head(size), described, space.ranges).nearest(theirs)[0]
    return float(((held < train) + 0.5 * (held == train)).mean())


def _sampled(data: pd.DataFrame, most: int) -> pd.DataFrame:
    return (data if len(data) <= most else data.sample(most, random_state=SEED)).reset_index(drop=True)


def _random(column: Any, kind: str, rows: int, chance: np.random.Generator) -> Any:  # noqa: ANN401 - columns of pandas
    """Draw values at random from a column's range or categories, missing as often as there."""
    there = column.dropna()
    if not len(there):
        return [None] * rows
    if kind in ("numerical", "datetime"):
        found = number(column)
        values = chance.uniform(found.min(), found.max(), rows)
        drawn = pd.Series((values * 1e9).astype("datetime64[ns]") if kind == "datetime" else values)
    else:
        drawn = pd.Series(chance.choice(np.array(sorted(set(map(str, there))), dtype=object), rows), dtype=object)
        if kind == "boolean":
            drawn = drawn == "True"
    return drawn.mask(chance.random(rows) < float(column.isna().mean()))


class Space:
    """Real rows as arrays, and Gower's distance to them: |difference| ÷ range for numbers, 0 or 1 for categories and for missing."""

    def __init__(self, real: pd.DataFrame, described: Metadata, ranges: dict[str, float] | None = None) -> None:
        self.kinds = {name: described["columns"][name]["sdtype"] for name in real}
        self.codes = {name: _codes(real[name]) for name, kind in self.kinds.items() if kind not in ("numerical", "datetime")}
        self.real = {name: self._array(real[name], name) for name in real}
        self.ranges = ranges or {
            name: float(np.nanmax(found) - np.nanmin(found)) if np.isfinite(found).any() else 0.0 for name, found in self.real.items()
        }
        self.rows = len(real)

    def _array(self, column: Any, name: str) -> npt.NDArray[np.float64]:  # noqa: ANN401
        if name in self.codes:
            known = self.codes[name]
            return np.array([-1.0 if pd.isna(value) else float(known.get(str(value), -2)) for value in column])
        found = np.full(len(column), np.nan)
        found[column.notna().to_numpy()] = number(column)
        return found

    def nearest(self, rows: pd.DataFrame) -> tuple[npt.NDArray[np.float64], npt.NDArray[np.float64]]:
        """Return each row's distance to its nearest and second nearest real row."""
        given = {name: self._array(rows[name], name) for name in self.kinds}
        first, second = np.empty(len(rows)), np.empty(len(rows))
        step = max(1, 8_000_000 // max(1, self.rows))  # distances in memory at once
        for start in range(0, len(rows), step):
            part = slice(start, start + step)
            gaps = np.asarray(sum(self._gap(name, given[name][part]) for name in self.kinds)) / len(self.kinds)
            two = np.partition(gaps, min(1, self.rows - 1), axis=1)
            first[part], second[part] = two[:, 0], two[:, min(1, self.rows - 1)]
        return first, second

    def _gap(self, name: str, given: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
        real = self.real[name][None, :]
        apart = given[:, None] - real
        if name in self.codes:
            return np.asarray(apart != 0, dtype=np.float64)
        size = np.abs(apart)
        made = np.minimum(size / self.ranges[name], 1.0) if self.ranges[name] else (size > 0).astype(np.float64)
        neither, either = np.isnan(given)[:, None] & np.isnan(real), np.isnan(size)
        return np.asarray(np.where(neither, 0.0, np.where(either, 1.0, made)))


def _codes(column: Any) -> dict[str, int]:  # noqa: ANN401
    return {name: place for place, name in enumerate(sorted(set(map(str, column.dropna()))))}
