"""Blocks of an evaluation: confusion, curves, calibration, thresholds, errors, importance, learning and the table's own quality."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everfix.documents.model import Block, Unit
from everfix.ml.figures import arrays, curves, importance, quality
from everfix.ml.figures.classification import Binary, Calibration, Confusion, Curve, Decisions
from everfix.ml.figures.quality import Quality
from everfix.ml.figures.regression import Fit, Histogram, Regression
from everfix.reports.ml import blocks
from everfix.reports.ml.blocks import COUNT, MEASURE, PERCENT, TEXT

DRAWN = 16  # classes of a confusion matrix that is drawn
COLUMNS = 60  # of a table that are listed
PLAIN = ("column", "type", "missing", "unique", "found")  # of what is known of a column, what tells no value


def confusion(found: Confusion) -> Iterator[Block]:
    """The matrix with counts and rates, and the pairs most often mistaken where it is too large to print."""
    rates = found.rates()
    rows = [(true, said, rates[a][b], found.counts[a][b]) for a, true in enumerate(found.labels) for b, said in enumerate(found.labels)]
    columns = (
        ("true", "True class", TEXT),
        ("said", "Predicted class", TEXT),
        ("rate", "Share of the true class", PERCENT),
        ("count", "Rows", COUNT),
    )
    wrong = sorted((row for row in rows if row[0] != row[1] and row[3]), key=lambda row: -row[3])
    right = sum(found.counts[n][n] for n in range(len(found.labels)))
    total = sum(map(sum, found.counts))
    alt = f"Confusion matrix of {len(found.labels)} classes: {right:,} of {total:,} rows on the diagonal."
    alt += f" Most often mistaken: {wrong[0][0]} for {wrong[0][1]}, {wrong[0][3]:,} times." if wrong else " Nothing was mistaken."
    note = f"{found.joined} rare classes stand under “(others)”." if found.joined else ""
    if len(found.labels) <= DRAWN:
        drawn = blocks.table("confusion", "Confusion matrix", columns, rows, note=note, most=DRAWN * DRAWN)
        yield blocks.chart("confusion_chart", "Confusion matrix", "confusion", drawn, "said", "rate", "count", series="true", alt=alt)
    if len(found.labels) > 2:
        order = (columns[0], columns[1], columns[3], columns[2])
        yield blocks.table(
            "mistaken",
            "Most often mistaken",
            order,
            [(a, b, count, rate) for a, b, rate, count in wrong[:10]],
            empty="Nothing was mistaken.",
        )


def confusion_table(found: Confusion) -> Block:
    """The same as numbers, for a report without charts."""
    columns = [("true", "True class", TEXT), *((f"c{n}", label, COUNT) for n, label in enumerate(found.labels[:DRAWN]))]
    rows = [(label, *found.counts[n][:DRAWN]) for n, label in enumerate(found.labels[:DRAWN])]
    return blocks.table("confusion_counts", "Confusion matrix: rows are true, columns predicted", columns, rows)


def roc(found: Curve, threshold: float | None) -> Block:
    """The ROC with its operating point."""
    rows = _points(found, threshold)
    columns = (
        ("fpr", "False positive rate", PERCENT),
        ("tpr", "True positive rate", PERCENT),
        ("threshold", "Threshold", MEASURE),
        ("at", "Mark", TEXT),
    )
    alt = f"ROC curve; the area under it is {found.area:.4f} (0.5 is chance)."
    if found.at is not None:
        alt += f" At the threshold in use, {found.at[1]:.1%} of the positives are found at a false positive rate of {found.at[0]:.1%}."
    drawn = blocks.table("roc", "ROC curve", columns, rows)
    return blocks.chart("roc_chart", "ROC curve", "curve", drawn, "fpr", "tpr", marked="at", diagonal=True, alt=alt)


def precision_recall(found: Curve, threshold: float | None, base: float | None) -> Block:
    """Precision by recall, with the operating point and the share of positives as its base."""
    columns = (
        ("recall", "Recall", PERCENT),
        ("precision", "Precision", PERCENT),
        ("threshold", "Threshold", MEASURE),
        ("at", "Mark", TEXT),
    )
    alt = f"Precision by recall; average precision is {found.area:.4f}."
    if base is not None:
        alt += f" Guessing would give a precision of {base:.1%} everywhere."
    drawn = blocks.table("pr", "Precision and recall", columns, _points(found, threshold))
    more: dict[str, Any] = {} if base is None else {"threshold": base, "threshold_label": "guessing"}
    return blocks.chart("pr_chart", "Precision and recall", "curve", drawn, "recall", "precision", marked="at", alt=alt, **more)


def _points(found: Curve, threshold: float | None) -> list[tuple[Any, ...]]:
    rows: list[tuple[Any, ...]] = [(x, y, cut, "") for x, y, cut in zip(found.x, found.y, found.thresholds, strict=True)]
    if found.at is not None:
        mark = (*found.at, threshold, f"threshold {threshold:g}" if threshold is not None else "in use")
        place = next((n for n, row in enumerate(rows) if row[0] >= found.at[0]), len(rows))
        rows.insert(place, mark)
    return rows


def one_against_rest(found: tuple[tuple[str, Curve], ...]) -> Block:
    """The ROC of each class against all others."""
    rows = [(label, x, y) for label, line in found for x, y in zip(line.x, line.y, strict=True)]
    columns = (("class", "Class", TEXT), ("fpr", "False positive rate", PERCENT), ("tpr", "True positive rate", PERCENT))
    worst = min(found, key=lambda pair: pair[1].area)
    alt = f"ROC of {len(found)} classes, each against the rest; the lowest area is that of {worst[0]}: {worst[1].area:.4f}."
    drawn = blocks.table("roc", "ROC curves", columns, rows, most=blocks.ROWS * 5)
    return blocks.chart(
        "roc_chart", "ROC, each class against the rest", "curve", drawn, "fpr", "tpr", series="class", diagonal=True, alt=alt
    )


def calibration(found: Calibration, what: str = "probability of the positive class") -> Block:
    """What was said against what happened."""
    columns = (("said", "Predicted probability", PERCENT), ("happened", "Share that came true", PERCENT), ("rows", "Rows", COUNT))
    rows = [(one.said, one.happened, one.rows) for one in found.bins]
    alt = f"Calibration of the {what} in {len(rows)} bins; the expected calibration error is {found.ece:.4f}, the largest gap {found.worst:.4f}."
    drawn = blocks.table("calibration", "Calibration", columns, rows)
    return blocks.chart("calibration_chart", "Calibration", "curve", drawn, "said", "happened", diagonal=True, alt=alt)


def thresholds(found: Binary) -> Block:
    columns = (
        ("threshold", "Threshold", MEASURE), ("precision", "Precision", PERCENT), ("recall", "Recall", PERCENT),
        ("specificity", "Specificity", PERCENT), ("f1", "F1 score", MEASURE), ("flagged", "Decided positive", PERCENT),
    )  # fmt: skip
    rows = [(one.threshold, one.precision, one.recall, one.specificity, one.f1, one.flagged) for one in found.steps]
    return blocks.table("thresholds", "What other thresholds would give", columns, rows)


def lift(found: Binary) -> Block:
    """The share of positives among the rows scored highest."""
    columns = (("rows", "Rows, highest scores first", PERCENT), ("found", "Positives found", PERCENT))
    rows = [(0.0, 0.0), *found.lift]
    third = next((gain for share, gain in found.lift if share >= 0.3), 0.0)
    alt = f"Cumulative gain: the third of a list of tenths, by score, holds {third:.1%} of the positives."
    return blocks.chart(
        "gain_chart",
        "Positives found by score",
        "curve",
        blocks.table("gain", "Gain", columns, rows),
        "rows",
        "found",
        diagonal=True,
        alt=alt,
    )


def per_class(found: Decisions) -> Block:
    areas = any(row.auc is not None for row in found.classes)
    columns = [("class", "Class", TEXT), ("precision", "Precision", PERCENT), ("recall", "Recall", PERCENT), ("f1", "F1 score", MEASURE)]
    columns += [("auc", "AUC against the rest", MEASURE)] if areas else []
    columns += [("rows", "Rows", COUNT)]
    rows = [(row.label, row.precision, row.recall, row.f1, *((row.auc,) if areas else ()), row.support) for row in found.classes]
    return blocks.table("per_class", "By class", columns, rows)


# ---- regression


def predicted_against_actual(found: Fit) -> Iterator[Block]:
    columns = (("actual", "Actual", MEASURE), ("predicted", "Predicted", MEASURE))
    shown = (
        "all rows" if len(found.points) == found.rows else f"{len(found.points):,} of {found.rows:,} rows, spread over the actual values"
    )
    alt = f"Predicted against actual ({shown})" + (f"; R² is {found.r2:.4f}." if found.r2 is not None else ".")
    drawn = blocks.table("predicted", "Predicted against actual", columns, found.points, most=len(found.points))
    yield blocks.chart("predicted_chart", "Predicted against actual", "scatter", drawn, "actual", "predicted", diagonal=True, alt=alt)
    rows = [(said, said - real) for real, said in found.points]
    errors = blocks.table(
        "residuals", "Residuals", (("predicted", "Predicted", MEASURE), ("error", "Predicted − actual", MEASURE)), rows, most=len(rows)
    )
    alt = f"Error by prediction ({shown}); the mean error is {found.bias:.4g}, the standard deviation {found.error_std:.4g}."
    yield blocks.chart(
        "residuals_chart", "Residuals", "scatter", errors, "predicted", "error", threshold=0.0, threshold_label="no error", alt=alt
    )


def errors(found: Regression) -> Iterator[Block]:
    yield histogram("errors", "Distribution of the error", found.errors, "Error", f"The error of {found.rows:,} rows, predicted − actual.")
    columns = (
        ("predicted", "Mean predicted", MEASURE),
        ("actual", "Mean actual", MEASURE),
        ("rmse", "RMSE", MEASURE),
        ("rows", "Rows", COUNT),
    )
    yield blocks.table("by_tenth", "By tenth of the prediction", columns, found.by_tenth)


def worst(found: Regression) -> Block:
    columns = (
        ("row", "Row of the table", COUNT),
        ("actual", "Actual", MEASURE),
        ("predicted", "Predicted", MEASURE),
        ("error", "Error", MEASURE),
    )
    return blocks.table("worst", "Largest errors", columns, found.worst)


def histogram(name: str, title: str, found: Histogram, what: str, alt: str) -> Block:
    columns = (("bin", what, TEXT), ("rows", "Rows", COUNT))
    rows = [(arrays.short(low), count) for low, count in zip(found.edges, found.counts, strict=False)]
    return blocks.chart(f"{name}_chart", title, "column", blocks.table(name, title, columns, rows), "bin", "rows", alt=alt)


# ---- what a model learned from


def features(found: importance.Importance) -> Iterator[Block]:
    """The most important features with their sign, as bars and as a table with their shares."""
    columns = (("feature", "Feature", TEXT), ("importance", "Importance", MEASURE), ("share", "Share", PERCENT))
    top = found.top[0]
    alt = f"Importance of the {len(found.top)} strongest of {found.features} features; {top[0]} comes first with {top[2]:.1%} of the whole."
    drawn = blocks.table("importance", "Feature importance", columns, found.top)
    yield blocks.chart("importance_chart", "Feature importance", "signed", drawn, "feature", "importance", alt=alt)
    yield drawn


def learned(found: tuple[curves.Learning, ...]) -> Iterator[Block]:
    """A chart for each metric, with the step where training should have stopped."""
    for number, one in enumerate(found[:6]):
        rows = [
            (step, line.split, value, f"best at {step:g}" if line.split == one.judged_by and step == one.stop else "")
            for line in one.lines
            for step, value in zip(line.steps, line.values, strict=True)
        ]
        columns = (("step", "Step", COUNT), ("split", "Split", TEXT), ("value", blocks.title_of(one.metric), MEASURE), ("at", "Mark", TEXT))
        title = f"Learning curve: {blocks.title_of(one.metric)}"
        alt = f"{blocks.title_of(one.metric)} by step for {', '.join(line.split for line in one.lines)}; {one.judged_by} is best at step {one.stop:g} with {one.best:.4g}."
        drawn = blocks.table(f"learning_{number}", title, columns, rows, most=len(rows))
        yield blocks.chart(f"learning_{number}_chart", title, "learning", drawn, "step", "value", series="split", marked="at", alt=alt)
    best = [(blocks.title_of(one.metric), one.judged_by, one.stop, one.best, one.past, one.gap) for one in found]
    columns_ = (
        ("metric", "Metric", TEXT), ("judged_by", "Judged by", TEXT), ("best_step", "Best step", COUNT), ("best", "Best value", MEASURE),
        ("past", "Steps after it", PERCENT), ("gap", "Training minus judged, there", MEASURE),
    )  # fmt: skip
    yield blocks.table("learning", "Where it was best", columns_, best)


# ---- data


def data(found: Quality, *, title: str = "Columns", values: bool = True) -> Iterator[Block]:
    """Rows, faults and statistics of each column; what is wrong with it in one word. Without `values` nothing that stands in a cell is shown."""
    yield blocks.figures(
        "data_figures",
        ("rows", "Rows", found.rows, COUNT), ("columns", "Columns", found.all_columns, COUNT),
        ("missing", "Missing cells", found.missing_share, PERCENT, "down"), ("duplicates", "Repeated rows", found.duplicates, COUNT, "down"),
        ("constant", "Constant columns", sum(column.constant for column in found.columns), COUNT, "down"),
        ("quality", "Data quality", found.score, Unit.SCORE, "up", "of 100"),
    )  # fmt: skip
    columns = (
        ("column", "Column", TEXT), ("type", "Type", TEXT), ("missing", "Missing", PERCENT), ("unique", "Different values", COUNT),
        ("mean", "Mean", MEASURE), ("std", "Std. dev.", MEASURE), ("minimum", "Least", MEASURE), ("median", "Median", MEASURE),
        ("maximum", "Most", MEASURE), ("top", "Most common", TEXT), ("found", "Found", TEXT),
    )  # fmt: skip
    rows = [
        (one.name, one.kind, one.missing_share, one.unique, one.mean, one.std, one.minimum, one.median, one.maximum,
         f"{one.top} ({one.top_share:.0%})" if one.top and one.kind != "number" else None, "; ".join(faults(one)))
        for one in found.columns
    ]  # fmt: skip
    looked = (
        f"The first {len(found.columns):,} of {found.all_columns:,} columns were looked at."
        if found.all_columns > len(found.columns)
        else ""
    )
    if not values:
        keep = [place for place, column in enumerate(columns) if column[0] in PLAIN]
        columns = tuple(columns[place] for place in keep)  # type: ignore[assignment]
        rows = [tuple(row[place] for place in keep) for row in rows]  # type: ignore[misc]
    yield blocks.table("columns", title, columns, rows, note=looked, most=COLUMNS)
    if found.deductions:
        lost = [(name, points) for name, points in found.deductions]
        yield blocks.table(
            "deductions", "What takes points off the quality", (("fault", "Fault", TEXT), ("points", "Points of 100", Unit.NUMBER)), lost
        )


def faults(one: quality.Column) -> list[str]:
    """Return what is wrong with a column, in words."""
    found = []
    if one.kind == "nothing":
        return ["empty"]
    if one.constant:
        found.append("constant")
    if one.almost_constant:
        found.append("almost constant")
    if one.mixed > 0.01:
        found.append(f"numbers among words ({one.mixed:.0%})")
    if one.hidden:
        found.append(f"{one.hidden:,} texts that mean missing")
    if one.infinite:
        found.append(f"{one.infinite:,} infinite")
    if one.outliers:
        found.append(f"{one.outliers:,} far out")
    return found
