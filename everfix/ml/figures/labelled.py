"""How right a log's predictions were, where labels came: in passes over stretches of rows, so that their number does not matter.

Decisions and errors follow from sums, exactly. A score's figures are exact up to HELD labelled rows; beyond, they come from fine bins.
"""

from __future__ import annotations

from collections.abc import Iterator

import polars as pl

from everfix.ml.figures import arrays, binned, classification, summed
from everfix.ml.figures.classification import Binary, Decisions
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.regression import Fit
from everfix.ml.figures.unmade import Unmade

HELD = 1_000_000  # labelled rows whose scores are held
LABELS = 1_000  # different labels; more are no classes


def decisions(log: Frames) -> Decisions:
    """Return the scores of the decisions in `prediction`; raises Unmade."""
    pairs = summed.Pairs()
    for batch in _known(log, "prediction"):
        pairs.add(batch["label"], batch["prediction"])
    return pairs.result()


def errors(log: Frames) -> Fit:
    """Return how far the numbers in `prediction` lie from their labels; raises Unmade."""
    sums = summed.Errors()
    for batch in _known(log, "prediction"):
        sums.add(batch["label"].to_numpy(), batch["prediction"].to_numpy())
    return sums.result()


def binary(log: Frames, positive: str | None = None, threshold: float = 0.5) -> Binary:
    """Return the figures of the probability in `score`; raises Unmade."""
    labels: set[str] = set()
    held: list[pl.DataFrame] = []
    rows = 0
    for batch in _known(log, "score"):
        labels |= set(arrays.labels(batch["label"].unique().to_numpy()).tolist())
        rows += batch.height
        held = [*held, batch] if rows <= HELD else []
        if len(labels) > LABELS:
            raise Unmade(f"the labels have more than {LABELS:,} different values: they are no classes")
    name = classification.positive_class(sorted(labels), positive)
    if rows <= HELD:
        whole = pl.concat(held, how="vertical_relaxed")
        return classification.binary(whole["label"].to_numpy(), whole["score"].to_numpy(), positive=name, threshold=threshold)
    sums = binned.Binned(positive=name, threshold=threshold)
    for batch in _known(log, "score"):
        sums.add(batch["label"].to_numpy(), batch["score"].to_numpy())
    return sums.result()


def _known(log: Frames, said: str) -> Iterator[pl.DataFrame]:
    """Yield the rows that have a label."""
    missing = [name for name in ("label", said) if name not in log.schema]
    if missing:
        raise Unmade(f"the log has no {missing[0]}")
    for batch in log.batches(["label", said]):
        there = batch.filter(batch["label"].is_not_null())
        if there.height:
            yield there


def regresses(log: Frames) -> bool:
    """Return whether the log looks like that of a regression: numbers are predicted, fractions are true, and there is no score."""
    kinds = log.schema
    numbers = "prediction" in kinds and kinds["prediction"].is_numeric() and "label" in kinds and kinds["label"].is_float()
    return numbers and "score" not in kinds
