"""Figures of a classifier: counts and rates of its decisions, and for a binary score its curves, calibration and thresholds.

Computed by scikit-learn, exactly, on all rows given; a long prediction log is first summed by `figures.binned`.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from sklearn import metrics

from everfix.ml.figures import arrays
from everfix.ml.figures.arrays import Anything, Floats, Ints, Labels
from everfix.ml.figures.unmade import Unmade

POINTS = 160  # of a curve that is drawn
BINS = 10  # of a calibration curve
CLASSES = 50  # of a confusion matrix that is printed; the rarest beyond are joined
STEPS = tuple(step / 20 for step in range(1, 20))  # thresholds of the table
OTHERS = "(others)"


@dataclass(frozen=True, slots=True)
class Rows:
    """Truth and decision of the usable rows, and how many were left out; with `counts`, each row stands for so many."""

    truth: Labels
    predicted: Labels
    left_out: int
    counts: Ints | None = None


@dataclass(frozen=True, slots=True)
class ClassRow:
    """One class: how well it is found."""

    label: str
    precision: float
    recall: float
    f1: float
    support: int
    auc: float | None = None  # one against the rest


@dataclass(frozen=True, slots=True)
class Confusion:
    """Rows are the true classes, columns the predicted ones, both in the order of `labels`."""

    labels: tuple[str, ...]
    counts: tuple[tuple[int, ...], ...]
    joined: int = 0  # rare classes that stand under "(others)"

    def rates(self) -> tuple[tuple[float | None, ...], ...]:
        """Return each count as a share of its true class; None in a row without cases."""
        return tuple(tuple(count / total if (total := sum(row)) else None for count in row) for row in self.counts)


@dataclass(frozen=True, slots=True)
class Decisions:
    """Scores of decisions, whatever the number of classes; precision, recall and F1 as plain means over the classes."""

    rows: int
    left_out: int
    accuracy: float
    balanced_accuracy: float
    macro_precision: float
    macro_recall: float
    macro_f1: float
    micro_f1: float
    weighted_f1: float
    mcc: float
    majority: str  # the most common true class, and the accuracy of always saying it
    majority_accuracy: float
    classes: tuple[ClassRow, ...]
    confusion: Confusion


@dataclass(frozen=True, slots=True)
class Curve:
    """A curve thinned for drawing, its area on all rows, and the point of the threshold in use."""

    x: tuple[float, ...]
    y: tuple[float, ...]
    thresholds: tuple[float | None, ...]
    area: float
    at: tuple[float, float] | None = None


@dataclass(frozen=True, slots=True)
class Step:
    """What deciding at one threshold gives."""

    threshold: float
    precision: float | None
    recall: float
    specificity: float
    f1: float
    flagged: float  # share of rows decided positive


@dataclass(frozen=True, slots=True)
class Bin:
    """One bin of equal width of a calibration curve."""

    said: float
    happened: float
    rows: int


@dataclass(frozen=True, slots=True)
class Calibration:
    """Expected and maximum calibration error over bins of equal width."""

    bins: tuple[Bin, ...]
    ece: float
    worst: float


@dataclass(frozen=True, slots=True)
class Binary:
    """Everything a probability of the positive class tells; `exact` is False where long data were summed into fine bins."""

    positive: str
    rows: int
    left_out: int
    base_rate: float
    threshold: float
    tp: int
    fp: int
    fn: int
    tn: int
    precision: float | None
    recall: float
    specificity: float
    negative_value: float | None
    f1: float
    auc: float
    average_precision: float
    log_loss: float
    brier: float
    roc: Curve
    pr: Curve
    calibration: Calibration
    steps: tuple[Step, ...]
    lift: tuple[tuple[float, float], ...]  # share of rows by descending score → share of positives found
    exact: bool = True


def rows(truth: Anything, predicted: Anything) -> Rows:
    """Return the rows that have both a true and a predicted class; raises Unmade where there are none."""
    arrays.same_length(truth=truth, prediction=predicted)
    real, said = arrays.labels(truth), arrays.labels(predicted)
    keep = (real != "") & (said != "")
    if not keep.any():
        raise Unmade("no row has both a true and a predicted class")
    return Rows(real[keep], said[keep], int((~keep).sum()))


def decisions(given: Rows) -> Decisions:
    """Return the scores of decisions."""
    names = sorted(set(np.unique(given.truth)) | set(np.unique(given.predicted)), key=order)
    precision, recall, f1, support = metrics.precision_recall_fscore_support(
        given.truth, given.predicted, labels=names, zero_division=0, sample_weight=given.counts
    )
    seen = support > 0
    micro = float(np.average(given.truth == given.predicted, weights=given.counts))
    values, counts = _tallied(given.truth, given.counts)
    most = int(counts.argmax())
    return Decisions(
        rows=int(counts.sum()),
        left_out=given.left_out,
        accuracy=micro,
        balanced_accuracy=float(recall[seen].mean()),
        macro_precision=float(precision.mean()),
        macro_recall=float(recall.mean()),
        macro_f1=float(f1.mean()),
        micro_f1=micro,
        weighted_f1=float((f1 * support).sum() / support.sum()),
        mcc=float(metrics.matthews_corrcoef(given.truth, given.predicted, sample_weight=given.counts)) if len(names) > 1 else 0.0,
        majority=str(values[most]),
        majority_accuracy=float(counts[most] / counts.sum()),
        classes=tuple(
            ClassRow(str(name), float(precision[n]), float(recall[n]), float(f1[n]), int(support[n])) for n, name in enumerate(names)
        ),
        confusion=confusion(given),
    )


def _tallied(labels: Labels, weights: Ints | None) -> tuple[Labels, Ints]:
    """Return the different labels, and of how many rows each is."""
    values, place = np.unique(labels, return_inverse=True)
    return values, np.rint(np.bincount(place, weights)).astype(np.int64)


def order(name: str) -> tuple[int, float, str]:
    """Sort labels as a reader expects: numbers by value, then words."""
    number = arrays.numbers([name])[0]
    return (0, float(number), name) if math.isfinite(number) else (1, 0.0, name)


def confusion(given: Rows) -> Confusion:
    """Return the counts of true against predicted classes; beyond CLASSES the rarest are joined."""
    weights = None if given.counts is None else np.concatenate((given.counts, given.counts))
    values, counts = _tallied(np.concatenate((given.truth, given.predicted)), weights)
    truth, predicted, joined = given.truth, given.predicted, 0
    if len(values) > CLASSES:
        kept = values[np.argsort(-counts, kind="stable")[: CLASSES - 1]]
        truth, predicted = (np.where(np.isin(part, kept), part, OTHERS) for part in (truth, predicted))
        joined, values = len(values) - len(kept), kept
    names = sorted((str(value) for value in values), key=order) + ([OTHERS] if joined else [])
    counted = metrics.confusion_matrix(truth, predicted, labels=names, sample_weight=given.counts)
    return Confusion(tuple(names), tuple(tuple(int(count) for count in row) for row in counted), joined)


def positive_class(truth: Anything, positive: str | None = None) -> str:
    """Return the positive class: the one named, else the last of two in order ("1" of 0/1, "yes" of no/yes, "true" of false/true)."""
    names = sorted({str(name) for name in np.unique(arrays.labels(truth)) if name}, key=order)
    if not names:
        raise Unmade("no row has a true class")
    if positive is not None and arrays.label(positive) in names:
        return arrays.label(positive)
    if len(names) == 1:
        raise Unmade(f"only one class ({names[0]}) stands in the truth: curves and areas need both")
    if len(names) > 2:
        raise Unmade(f"{len(names)} classes stand in the truth: a binary figure needs two, or the name of the positive one")
    return names[-1]


def binary(truth: Anything, score: Anything, *, positive: str | None = None, threshold: float = 0.5) -> Binary:
    """Return every figure of a binary score; raises Unmade for one class only, or scores that are no probabilities."""
    arrays.same_length(truth=truth, score=score)
    name = positive_class(truth, positive)
    real, found = arrays.labels(truth), arrays.probabilities(score)
    keep = (real != "") & np.isfinite(found)
    hits, scores = (real[keep] == name), found[keep]
    if not hits.any() or hits.all():
        raise Unmade(f"only one class stands in the {hits.size:,} usable rows: curves and areas need both")
    flagged = scores >= threshold
    tp, fp = int((flagged & hits).sum()), int((flagged & ~hits).sum())
    fn, tn = int(hits.sum()) - tp, int((~hits).sum()) - fp
    made = sums(tp, fp, fn, tn)
    return Binary(
        positive=name, rows=int(hits.size), left_out=int((~keep).sum()), base_rate=float(hits.mean()), threshold=threshold,
        tp=tp, fp=fp, fn=fn, tn=tn, **made,  # type: ignore[arg-type]
        auc=float(metrics.roc_auc_score(hits, scores)), average_precision=float(metrics.average_precision_score(hits, scores)),
        log_loss=float(metrics.log_loss(hits, scores, labels=[False, True])), brier=float(metrics.brier_score_loss(hits, scores)),
        roc=_roc(hits, scores, tp, fp), pr=_pr(hits, scores, made), calibration=calibration(hits, scores), steps=_steps(hits, scores),
        lift=_lift(hits, scores),
    )  # fmt: skip


def sums(tp: int, fp: int, fn: int, tn: int) -> dict[str, float | None]:
    """Return the rates of the four counts; None where nothing was decided that way."""
    return {
        "precision": tp / (tp + fp) if tp + fp else None,
        "recall": tp / (tp + fn) if tp + fn else 0.0,
        "specificity": tn / (tn + fp) if tn + fp else 0.0,
        "negative_value": tn / (tn + fn) if tn + fn else None,
        "f1": 2 * tp / (2 * tp + fp + fn) if tp + fp + fn else 0.0,
    }


def _roc(hits: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats, tp: int, fp: int) -> Curve:
    false, true, thresholds = metrics.roc_curve(hits, scores)
    keep = arrays.bend(false, true, POINTS)
    positives = int(hits.sum())
    return Curve(
        tuple(map(float, false[keep])),
        tuple(map(float, true[keep])),
        tuple(arrays.plain(value) for value in thresholds[keep]),
        float(metrics.auc(false, true)),
        (fp / (hits.size - positives), tp / positives),
    )


def _pr(hits: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats, made: dict[str, float | None]) -> Curve:
    precision, recall, thresholds = metrics.precision_recall_curve(hits, scores)
    keep = arrays.bend(recall, precision, POINTS)[::-1]
    cut = np.append(thresholds, np.nan)
    at = None if made["precision"] is None else (made["recall"] or 0.0, made["precision"])
    return Curve(
        tuple(map(float, recall[keep])),
        tuple(map(float, precision[keep])),
        tuple(arrays.plain(value) for value in cut[keep]),
        float(metrics.average_precision_score(hits, scores)),
        at,
    )


def calibration(hits: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats, bins: int = BINS) -> Calibration:
    """Return what was said against what happened, in bins of equal width (Naeini et al. 2015 for the expected error)."""
    place = np.clip((scores * bins).astype(np.int64), 0, bins - 1)
    counts = np.bincount(place, minlength=bins)
    return calibrated(counts, np.bincount(place, scores, bins).astype(np.float64), np.bincount(place, hits, bins).astype(np.float64))


def calibrated(counts: np.ndarray[tuple[int], np.dtype[np.int64]], said: Floats, happened: Floats) -> Calibration:
    """Return the calibration of bins given as counts and sums."""
    found = tuple(Bin(float(said[n] / counts[n]), float(happened[n] / counts[n]), int(counts[n])) for n in range(len(counts)) if counts[n])
    total = sum(one.rows for one in found)
    gaps = [abs(one.said - one.happened) for one in found]
    ece = sum(gap * one.rows for gap, one in zip(gaps, found, strict=True)) / total if total else 0.0
    return Calibration(found, ece, max(gaps, default=0.0))


def _steps(hits: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats) -> tuple[Step, ...]:
    positive, negative = np.sort(scores[hits]), np.sort(scores[~hits])
    found = []
    for threshold in STEPS:
        tp = positive.size - int(np.searchsorted(positive, threshold))
        fp = negative.size - int(np.searchsorted(negative, threshold))
        found.append(step(threshold, tp, fp, positive.size, negative.size))
    return tuple(found)


def step(threshold: float, tp: int, fp: int, positives: int, negatives: int) -> Step:
    """Return one row of the table of thresholds."""
    made = sums(tp, fp, positives - tp, negatives - fp)
    return Step(
        threshold,
        made["precision"],
        made["recall"] or 0.0,
        made["specificity"] or 0.0,
        made["f1"] or 0.0,
        (tp + fp) / (positives + negatives),
    )


def _lift(hits: np.ndarray[tuple[int], np.dtype[np.bool_]], scores: Floats) -> tuple[tuple[float, float], ...]:
    """Return the cumulative gain at each tenth of the rows, highest scores first."""
    gained = np.cumsum(hits[np.argsort(-scores, kind="stable")])
    sizes = [max(1, round(hits.size * tenth / 10)) for tenth in range(1, 11)]
    return tuple((tenth / 10, float(gained[size - 1] / gained[-1])) for tenth, size in zip(range(1, 11), sizes, strict=True))
