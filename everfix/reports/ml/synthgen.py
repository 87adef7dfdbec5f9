"""The report on synthetic data: how alike it is, column by column and pair by pair, whether it is valid, and whom it could give away."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everfix.documents.format import measure
from everfix.documents.model import Block
from everfix.ml.figures import curves, nearest, synthetic, twins
from everfix.ml.figures.frames import Frames
from everfix.reports.ml import blocks, judged
from everfix.reports.ml.blocks import COUNT, MEASURE, PERCENT, TEXT
from everfix.reports.ml.work import Absent, Part, Work

DRAWN = 12
PAIRS = 60


def tables(work: Work) -> tuple[Any, Any, twins.Metadata, bool]:
    """Return the real and the synthetic table, their description, and whether they are samples; raises Absent."""
    return work.once("tables", lambda: _tables(work))


def _tables(work: Work) -> tuple[Any, Any, twins.Metadata, bool]:
    real, made = work.table(work.entity.real_id, "real table"), work.table(work.entity.synthetic_id, "synthetic table")
    described = twins.metadata(real, work.entity.columns or {}, work.entity.primary_key)
    return twins.table(real, described), twins.table(made, described), described, max(real.rows, made.rows) > twins.SAMPLE


def scores(work: Work) -> synthetic.Scores:
    def made() -> synthetic.Scores:
        real, other, described, sampled = tables(work)
        return synthetic.scores(real, other, described, sampled=sampled)

    return work.once("scores", made)


def risk(work: Work) -> nearest.Privacy:
    def made() -> nearest.Privacy:
        real, other, described, _ = tables(work)
        held = twins.table(_holdout(work), described) if work.entity.holdout_id is not None else None
        return nearest.of(real, other, described, held)

    return work.once("privacy", made)


def _holdout(work: Work) -> Frames:
    return work.table(work.entity.holdout_id, "hold-out table")


def glance(work: Work) -> Iterator[Block]:
    found = scores(work)
    yield blocks.figures(
        "figures", ("quality_score", "Quality score", found.quality, PERCENT, "up", "SDMetrics: mean of shapes and pairs"),
        ("shapes_score", "Column shapes", found.shapes_score, PERCENT, "up"), ("pairs_score", "Column pair trends", found.pairs_score, PERCENT, "up"),
        ("diagnostic_score", "Diagnostic score", found.diagnostic, PERCENT, "up", "validity and structure"),
        ("real_rows", "Real rows", found.real_rows, COUNT), ("synthetic_rows", "Synthetic rows", found.synthetic_rows, COUNT),
    )  # fmt: skip
    work.kept["primary"] = ("quality_score", found.quality)
    work.headline.append(f"The quality score is {found.quality * 100:.1f} %.")
    work.check(
        "Quality score",
        found.quality,
        "at least 0.8",
        "pass" if found.quality >= 0.8 else "warn" if found.quality >= 0.6 else "fail",
        "how alike columns and pairs are",
    )
    work.check(
        "Diagnostic score",
        found.diagnostic,
        "1",
        "pass" if found.diagnostic >= 0.999 else "warn" if found.diagnostic >= 0.9 else "fail",
        "values, keys and structure are valid",
    )
    if found.sampled:
        yield blocks.note("sampled", f"Scores are of {twins.SAMPLE:,} rows of each table, drawn with a fixed seed.")
    if found.unmade:
        yield blocks.table(
            "not_scored", "Not scored", (("column", "Column", TEXT), ("why", "Why", TEXT, {"wide": True})), found.unmade, most=30
        )


def job(work: Work) -> Iterator[Block]:
    one = work.entity
    took = (one.finished_at - one.started_at).total_seconds() if one.started_at and one.finished_at else None
    yield blocks.facts(
        "job", "", (
            ("Run", one.name), ("Generator", one.generator), ("Model", one.model_name), ("Status", one.status), ("Rows asked for", one.requested_rows),
            ("Seed", one.seed), ("Duration (seconds)", took), ("Primary key", one.primary_key), ("Target", one.target_column), ("Error", one.error),
        ),
    )  # fmt: skip


def distributions(work: Work) -> Iterator[Block]:
    found = sorted(scores(work).shapes, key=lambda shape: (shape.score is None, shape.score or 0.0, shape.column))
    columns = (
        ("column", "Column", TEXT), ("type", "Type", TEXT), ("score", "Shape score", PERCENT), ("metric", "By", TEXT), ("coverage", "Coverage", PERCENT),
        ("mean_real", "Mean, real", MEASURE), ("mean_synthetic", "Mean, synthetic", MEASURE), ("std_real", "Std. dev., real", MEASURE),
        ("std_synthetic", "Std. dev., synthetic", MEASURE), ("missing_real", "Missing, real", PERCENT), ("missing_synthetic", "Missing, synthetic", PERCENT),
    )  # fmt: skip
    rows = [
        (
            one.column,
            one.kind,
            one.score,
            one.metric,
            one.coverage,
            one.mean_real,
            one.mean_synthetic,
            one.std_real,
            one.std_synthetic,
            one.missing_real,
            one.missing_synthetic,
        )
        for one in found
    ]
    drawn = [one for one in found if one.bins][:DRAWN]
    if drawn:
        cells = [
            (f"{one.column}: {one.score:.0%}" if one.score is not None else one.column, bin_, a, b)
            for one in drawn
            for bin_, a, b in zip(one.bins, one.real, one.synthetic, strict=True)
        ]
        head = (("column", "Column", TEXT), ("bin", "Bin", TEXT), ("real", "Real", PERCENT), ("synthetic", "Synthetic", PERCENT))
        alt = (
            "Distributions of real and synthetic columns, the least alike first: "
            + "; ".join(f"{one.column} {one.score or 0:.0%}" for one in drawn)
            + "."
        )
        yield blocks.chart(
            "shapes_chart",
            "The least alike columns",
            "multiples",
            blocks.table("shapes_bins", "Distributions", head, cells, most=1_000),
            "bin",
            "real",
            "synthetic",
            series="column",
            alt=alt,
        )
    yield blocks.table("shapes", "Column shapes", columns, rows, most=judged.COLUMNS)
    worst = found[0]
    if worst.score is not None:
        work.say("distributions", f"{worst.column} has the lowest shape score, {worst.score * 100:.1f} %.")
        if worst.score < 0.8:
            work.advice.append(f"Look at {worst.column}: its shape score is {worst.score * 100:.1f} %.")


def correlations(work: Work) -> Iterator[Block]:
    real, other, described, _ = tables(work)
    found = synthetic.correlations(real, other, described)
    columns = (
        ("first", "Column", TEXT),
        ("second", "With", TEXT),
        ("difference", "Synthetic − real", MEASURE),
        ("real", "Real", MEASURE),
        ("synthetic", "Synthetic", MEASURE),
    )
    rows = []
    for n, first in enumerate(found.columns):
        for m, second in enumerate(found.columns):
            a, b = found.real[n][m], found.synthetic[n][m]
            rows.append((first, second, None if n == m or a is None or b is None else b - a, a, b))
    alt = f"Difference of the correlation of {len(found.columns)} columns, synthetic − real: {found.mean_difference:.3f} on average,"
    alt += f" most for {found.largest[0]} with {found.largest[1]} ({found.largest[2]:.3f})."
    drawn = blocks.table("correlation", "Correlations", columns, rows, most=len(rows))
    for name, title, key in (
        ("real", "Correlation, real", "real"),
        ("synthetic", "Correlation, synthetic", "synthetic"),
        ("difference", "Difference, synthetic − real", "difference"),
    ):
        yield blocks.chart(
            f"correlation_{name}",
            title,
            "diverging",
            drawn,
            "second",
            key,
            series="first",
            alt=alt if key == "difference" else f"{title} of {len(found.columns)} columns.",
        )
    yield blocks.figures(
        "correlation_figures", ("correlation_difference", "Mean difference of correlations", found.mean_difference, MEASURE, "down")
    )
    work.check(
        "Difference of correlations",
        found.mean_difference,
        "at most 0.1",
        "pass" if found.mean_difference <= 0.1 else "warn" if found.mean_difference <= 0.2 else "fail",
        f"most: {found.largest[0]} with {found.largest[1]}",
    )


def pairs(work: Work) -> Iterator[Block]:
    found = sorted((pair for pair in scores(work).pairs if pair.score is not None), key=lambda pair: pair.score or 0.0)
    if not found:
        raise Absent("no pair of columns hangs together enough to be scored")
    columns = (
        ("first", "Column", TEXT),
        ("second", "With", TEXT),
        ("score", "Pair score", PERCENT),
        ("metric", "By", TEXT),
        ("real", "Association, real", MEASURE),
        ("synthetic", "Association, synthetic", MEASURE),
    )
    rows = [(pair.first, pair.second, pair.score, pair.metric, pair.real, pair.synthetic) for pair in found]
    yield blocks.table("pairs", "Pairs, the least alike first", columns, rows, most=PAIRS)


def validity(work: Work) -> Iterator[Block]:
    found = scores(work)
    yield blocks.figures(
        "validity_figures",
        ("validity", "Data validity", found.validity, PERCENT, "up"),
        ("structure", "Data structure", found.structure, PERCENT, "up"),
    )
    rows = sorted(((column, check, score) for column, check, score in found.checks), key=lambda row: (row[2] is None, row[2] or 0.0))
    yield blocks.table(
        "checks",
        "By column",
        (("column", "Column", TEXT), ("check", "Check", TEXT), ("score", "Valid", PERCENT)),
        rows,
        most=judged.COLUMNS,
    )


def detection(work: Work) -> Iterator[Block]:
    real, other, described, _ = tables(work)
    area = synthetic.detection(real, other, described)
    yield blocks.figures(
        "detection_figures", ("detection_auc", "Detection AUC", area, MEASURE, "down", "0.5: a classifier cannot tell them apart")
    )
    work.check(
        "Detection AUC",
        area,
        "at most 0.7",
        "pass" if area <= 0.7 else "warn" if area <= 0.9 else "fail",
        "logistic classifier, three folds",
    )
    work.say("detection", f"The detection AUC is {measure(area)}.")


def privacy(work: Work) -> Iterator[Block]:
    found = risk(work)
    yield blocks.figures(
        "privacy_figures", ("exact_matches", "Exact matches", found.exact, COUNT, "down", f"of {found.rows:,} synthetic rows"),
        ("new_rows", "New rows", 1 - found.exact_share, PERCENT, "up"), ("nearest", "Median distance to the nearest real row", found.median, MEASURE, "up"),
        ("baseline", "The same for random rows", found.random, MEASURE), ("protection", "Baseline protection", found.protection, PERCENT, "up", "nearest ÷ random, at most 1"),
        ("distance_ratio", "Nearest ÷ second nearest", found.ratio, MEASURE, "up", "near 1: no single row stands out"),
        ("holdout_closer", "Nearer to the hold-out", found.holdout_closer, PERCENT, None, "0.5: nothing was memorised"),
    )  # fmt: skip
    rows = [(f"{low:.3f}", count) for low, _, count in found.distances]
    drawn = blocks.table("distances", "Distance to the nearest real row", (("from", "From", TEXT), ("rows", "Synthetic rows", COUNT)), rows)
    yield blocks.chart(
        "distances_chart",
        "Distance to the nearest real row",
        "column",
        drawn,
        "from",
        "rows",
        alt=f"Distances (0 to 1) of {found.rows:,} synthetic rows to their nearest real row; the median is {found.median:.3f}.",
    )
    work.check(
        "Exact matches",
        found.exact_share,
        "none",
        "pass" if not found.exact else "warn" if found.exact_share < 0.01 else "fail",
        f"{found.exact:,} of {found.rows:,} rows are copies",
    )
    if found.exact:
        work.advice.append("Remove the synthetic rows that copy real ones before anybody gets the table.")
    if found.holdout_closer is not None:
        share = found.holdout_closer
        work.check(
            "Nearer to the hold-out",
            share,
            "at least 0.4",
            "pass" if share >= 0.4 else "warn" if share >= 0.25 else "fail",
            "a model that memorised is nearer to its training rows",
        )
    work.say("privacy", f"{found.exact:,} exact matches were found." if found.exact else "No exact matches were found.")


def loss(work: Work) -> Iterator[Block]:
    points = [
        (float(one["step"]), str(one.get("metric") or "loss"), str(one.get("split") or "all"), float(one["value"]))
        for one in work.entity.loss_curve or []
        if isinstance(one, dict) and isinstance(one.get("step"), int | float) and isinstance(one.get("value"), int | float)
    ]
    if not points:
        raise Absent("no loss curve was given")
    yield from judged.learned(curves.of(points))


def settings(work: Work) -> Iterator[Block]:
    if not work.entity.config:
        raise Absent("no configuration was given")
    yield blocks.parameters("config", "", work.entity.config, {})


PARTS = (
    Part("glance", "At a glance", glance, ("include_metrics",)),
    Part("job", "The generation", job),
    Part("distributions", "Distributions", distributions, ("include_data_summary",)),
    Part("correlations", "Correlations preserved", correlations, ("include_metrics",)),
    Part("pairs", "Pairs of columns", pairs, ("include_metrics",)),
    Part("validity", "Validity and structure", validity, ("include_metrics",)),
    Part("detection", "Can they be told apart?", detection, ("include_metrics",)),
    Part("privacy", "Privacy", privacy, ("include_metrics",)),
    Part("loss", "Loss of the generator", loss, ("include_learning_curves",)),
    Part("parameters", "Configuration of the generator", settings, ("include_hyperparameters",)),
)
