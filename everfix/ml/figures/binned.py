"""Scores of labelled rows too many to hold: counts of positives and negatives in fine bins of the score, from which every binary figure follows.

With a million bins two scores are told apart unless they differ by less than 0.000001; areas then differ from the exact ones by less than
the share of such ties. Log loss and Brier score are summed exactly.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from sklearn import metrics

from everfix.ml.figures import arrays, classification
from everfix.ml.figures.arrays import Floats, Ints
from everfix.ml.figures.classification import Binary, Curve
from everfix.ml.figures.unmade import Unmade

BINS = 1 << 20
EPSILON = float(np.finfo(np.float64).eps)  # as scikit-learn clips probabilities before their logarithm


@dataclass(slots=True)
class Binned:
    """Sums over stretches of rows of one positive class at one threshold."""

    positive: str
    threshold: float = 0.5
    hits: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    misses: Ints = field(default_factory=lambda: np.zeros(BINS, np.int64))
    flagged: Ints = field(default_factory=lambda: np.zeros(2, np.int64))  # negatives, positives at or above the threshold
    reached: Ints = field(
        default_factory=lambda: np.zeros((2, len(classification.STEPS) + 1), np.int64)
    )  # by how many of STEPS a score reaches
    said: Floats = field(default_factory=lambda: np.zeros(classification.BINS))
    happened: Floats = field(default_factory=lambda: np.zeros(classification.BINS))
    counts: Ints = field(default_factory=lambda: np.zeros(classification.BINS, np.int64))
    loss: float = 0.0
    square: float = 0.0
    left_out: int = 0

    def add(self, truth: arrays.Anything, score: arrays.Anything) -> None:
        """Add rows; those without a label or a finite score are counted as left out."""
        real, found = arrays.labels(truth), arrays.probabilities(score)
        keep = (real != "") & np.isfinite(found)
        self.left_out += int((~keep).sum())
        hits, scores = real[keep] == self.positive, found[keep]
        place = np.minimum((scores * BINS).astype(np.int64), BINS - 1)
        self.hits += np.bincount(place[hits], minlength=BINS)
        self.misses += np.bincount(place[~hits], minlength=BINS)
        over = scores >= self.threshold
        self.flagged += np.array([(over & ~hits).sum(), (over & hits).sum()])
        step = np.searchsorted(classification.STEPS, scores, side="right")
        self.reached += np.array([np.bincount(step[side], minlength=self.reached.shape[1]) for side in (hits, ~hits)])
        tenth = np.clip((scores * classification.BINS).astype(np.int64), 0, classification.BINS - 1)
        self.said += np.bincount(tenth, scores, classification.BINS)
        self.happened += np.bincount(tenth, hits, classification.BINS)
        self.counts += np.bincount(tenth, minlength=classification.BINS)
        clipped = np.clip(scores, EPSILON, 1 - EPSILON)
        self.loss -= float(np.log(np.where(hits, clipped, 1 - clipped)).sum())
        self.square += float(((scores - hits) ** 2).sum())

    def result(self) -> Binary:
        """Return the figures; raises Unmade where only one class was seen."""
        positives, negatives = int(self.hits.sum()), int(self.misses.sum())
        if not positives or not negatives:
            raise Unmade(f"only one class stands in the {positives + negatives:,} labelled rows: curves and areas need both")
        tp, fp = int(self.flagged[1]), int(self.flagged[0])
        made = classification.sums(tp, fp, positives - tp, negatives - fp)
        up, over = np.cumsum(self.hits[::-1]), np.cumsum(self.misses[::-1])
        edges = np.arange(BINS)[::-1] / BINS
        seen = np.flatnonzero((self.hits + self.misses)[::-1])
        true, false, cut = up[seen] / positives, over[seen] / negatives, edges[seen]
        precision = up[seen] / (up[seen] + over[seen])
        average = float(np.sum(np.diff(np.concatenate(([0.0], true))) * precision))
        rows = positives + negatives
        return Binary(
            positive=self.positive, rows=rows, left_out=self.left_out, base_rate=positives / rows, threshold=self.threshold,
            tp=tp, fp=fp, fn=positives - tp, tn=negatives - fp, **made,  # type: ignore[arg-type]
            auc=float(metrics.auc(np.append(0.0, false), np.append(0.0, true))), average_precision=average,
            log_loss=self.loss / rows, brier=self.square / rows,
            roc=_curve(np.append(0.0, false), np.append(0.0, true), np.append(np.nan, cut), (fp / negatives, tp / positives)),
            pr=_curve(true, precision, cut, None if made["precision"] is None else (made["recall"] or 0.0, made["precision"]), average),
            calibration=classification.calibrated(self.counts, self.said, self.happened), steps=self._steps(),
            lift=(), exact=False,
        )  # fmt: skip

    def _steps(self) -> tuple[classification.Step, ...]:
        positives, negatives = (int(side) for side in self.reached.sum(axis=1))
        over = self.reached[:, ::-1].cumsum(axis=1)[:, ::-1]
        return tuple(
            classification.step(threshold, int(over[0, n + 1]), int(over[1, n + 1]), positives, negatives)
            for n, threshold in enumerate(classification.STEPS)
        )


def _curve(x: Floats, y: Floats, cut: Floats, at: tuple[float, float] | None, area: float | None = None) -> Curve:
    keep = arrays.bend(x, y, classification.POINTS)
    return Curve(
        tuple(map(float, x[keep])), tuple(map(float, y[keep])), tuple(arrays.plain(value) for value in cut[keep]),
        float(metrics.auc(x, y)) if area is None else area, at,
    )  # fmt: skip
