"""Decisions and errors of labelled rows too many to hold: sums over stretches of rows, from which the same figures follow.

The counts of each pair of classes say all about decisions; a regression's errors follow from their sums and from the truth's mean and
spread, joined stretch by stretch (Chan, Golub and LeVeque 1979), so that no digit is lost to a large mean.
"""

from __future__ import annotations

import math
from collections import Counter
from dataclasses import dataclass, field

import numpy as np
import polars as pl

from everfix.ml.figures import arrays, classification, regression
from everfix.ml.figures.arrays import Floats
from everfix.ml.figures.classification import Decisions, Rows
from everfix.ml.figures.regression import Fit
from everfix.ml.figures.unmade import Unmade

CLASSES = 1_000  # different labels and predictions; more are no classes
DRAWN = 20_000  # rows at most from which the points of a chart are taken


@dataclass(slots=True)
class Pairs:
    """How often each true class was decided as each class."""

    counts: Counter[tuple[str, str]] = field(default_factory=Counter)
    left_out: int = 0

    def add(self, truth: pl.Series, predicted: pl.Series) -> None:
        """Add rows; those without a label or a decision are counted as left out."""
        grouped = pl.DataFrame({"truth": truth, "predicted": predicted}).group_by("truth", "predicted").len()
        sides = [arrays.labels(grouped[name].to_numpy()) for name in ("truth", "predicted")]
        for real, said, count in zip(*(side.tolist() for side in sides), grouped["len"].to_list(), strict=True):
            if real and said:
                self.counts[(real, said)] += count
            else:
                self.left_out += count
        if len({name for pair in self.counts for name in pair}) > CLASSES:
            raise Unmade(f"labels and predictions have more than {CLASSES:,} different values: they are no classes")

    def result(self) -> Decisions:
        """Return the scores of the decisions; raises Unmade without any."""
        if not self.counts:
            raise Unmade("no row has both a true and a predicted class")
        pairs = sorted(self.counts)
        truth, predicted = (np.array(side, dtype=np.str_) for side in zip(*pairs, strict=True))
        counts = np.array([self.counts[pair] for pair in pairs], dtype=np.int64)
        return classification.decisions(Rows(truth, predicted, self.left_out, counts))


@dataclass(slots=True)
class Errors:
    """Sums of the errors of a regression."""

    rows: int = 0
    left_out: int = 0
    mean: float = 0.0  # of the truth
    spread: float = 0.0  # of the truth: the sum of its squared distances from its mean
    low: float = math.inf
    high: float = -math.inf
    error: float = 0.0
    absolute: float = 0.0
    square: float = 0.0
    stride: int = 1
    seen: int = 0
    kept: list[Floats] = field(default_factory=list)  # actual, predicted of every stride-th row

    def add(self, truth: arrays.Anything, predicted: arrays.Anything) -> None:
        """Add rows; those without both numbers are counted as left out."""
        real, said = arrays.numbers(truth), arrays.numbers(predicted)
        keep = np.isfinite(real) & np.isfinite(said)
        self.left_out += int((~keep).sum())
        real, said = real[keep], said[keep]
        if not real.size:
            return
        errors, mean, rows = said - real, float(real.mean()), self.rows + real.size
        self.spread += float(((real - mean) ** 2).sum()) + (mean - self.mean) ** 2 * self.rows * real.size / rows
        self.mean += (mean - self.mean) * real.size / rows
        self.rows = rows
        self.low, self.high = min(self.low, float(real.min())), max(self.high, float(real.max()))
        self.error += float(errors.sum())
        self.absolute += float(np.abs(errors).sum())
        self.square += float((errors**2).sum())
        self._keep(real, said)

    def _keep(self, real: Floats, said: Floats) -> None:
        first = -self.seen % self.stride
        self.seen += real.size
        self.kept.append(np.column_stack((real[first :: self.stride], said[first :: self.stride])))
        while sum(map(len, self.kept)) > DRAWN:
            self.kept = [np.concatenate(self.kept)[::2]]
            self.stride *= 2

    def result(self) -> Fit:
        """Return the figures; raises Unmade where fewer than two rows have both numbers."""
        if self.rows < 2:
            raise Unmade(f"{self.rows} rows have both a true and a predicted number; at least two are needed")
        bias = self.error / self.rows
        kept = np.concatenate(self.kept)
        return Fit(
            rows=self.rows, left_out=self.left_out, rmse=math.sqrt(self.square / self.rows), mae=self.absolute / self.rows,
            r2=1 - self.square / self.spread if self.low < self.high else None, bias=bias,
            error_std=math.sqrt(max(0.0, self.square / self.rows - bias**2)), points=regression.points(kept[:, 0], kept[:, 1]),
        )  # fmt: skip
