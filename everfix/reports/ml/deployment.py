"""The report on a deployment: how much it is asked, how fast and how surely it answers, what drifts, and how right it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta

from sqlalchemy import select

from everfix.documents.model import Block, Unit
from everfix.ml import models, monitors
from everfix.ml.figures import arrays
from everfix.ml.figures.unmade import Unmade
from everfix.reports.ml import blocks, drifts, labelled, logged, model
from everfix.reports.ml.blocks import COUNT, MEASURE, PERCENT, TEXT
from everfix.reports.ml.work import Absent, Part, Work

NAMED = ("p50", "p90", "p95", "p99")


def glance(work: Work) -> Iterator[Block]:
    found = logged.traffic(work)
    rate = found.error_rate if "error" in logged.of(work).schema else None
    p95 = found.latency[2]
    share = psi = None
    try:
        share = drifts.of_features(work).share
        psi = drifts.of_features(work).columns[0].psi if drifts.of_features(work).columns else None
    except Unmade:
        pass
    yield blocks.figures(
        "figures",
        ("predictions", "Predictions", found.rows, COUNT, None, f"{found.first:%-d %b %Y} to {found.last:%-d %b %Y}"),
        ("error_rate", "Error rate", rate, PERCENT, "down"),
        ("p95", "Latency p95 (ms)", p95, MEASURE, "down"), ("p50", "Latency p50 (ms)", found.latency[0], MEASURE, "down"),
        ("share_drifted", "Drifted features", share, PERCENT, "down", "PSI of 0.1 and more"),
        ("worst_psi", "Largest PSI", psi, MEASURE, "down"),
        ("labelled", "Predictions with a label", found.labelled, COUNT),
    )  # fmt: skip
    work.headline.append(f"There were {found.rows:,} predictions.")
    if rate is not None:
        work.headline.append(f"The error rate is {rate * 100:.1f} %.")
        verdict = "pass" if rate <= 0.01 else "warn" if rate <= 0.05 else "fail"
        work.check("Error rate", rate, "at most 0.01", verdict, "answers that failed")
    if p95 is not None:
        work.check(
            "Latency p95 over p50",
            p95 / (found.latency[0] or p95 or 1.0),
            "at most 5 times",
            "pass" if p95 <= 5 * (found.latency[0] or p95) else "warn",
            "a long tail makes few users wait long",
        )
    if found.undated:
        yield blocks.note("undated", f"{found.undated:,} rows have no timestamp and were left out.")
    work.kept["primary"] = ("error_rate", rate) if rate is not None else ("predictions", float(found.rows))


def identity(work: Work) -> Iterator[Block]:
    one = work.entity
    made = work.one(models.Model, one.model_id)
    yield blocks.facts(
        "identity", "", (
            ("Deployment", one.name), ("Model", made.name if made is not None else None), ("Algorithm", made.algo if made is not None else None),
            ("Stage", one.stage), ("Status", one.status), ("Share of the traffic (percent)", one.traffic_percent),
            ("Since", f"{one.deployed_at:%-d %b %Y}" if one.deployed_at else None), ("Ended", f"{one.ended_at:%-d %b %Y}" if one.ended_at else None),
            ("Team", one.team), ("Service", one.service), ("Source", one.source_url),
        ),
    )  # fmt: skip
    if one.ab_test:
        yield blocks.facts(
            "ab_test", "A/B test", ((name.replace("_", " ").capitalize(), blocks.cell_words(value)) for name, value in one.ab_test.items())
        )


def volume(work: Work) -> Iterator[Block]:
    found = logged.traffic(work)
    rows = [(moment.at.isoformat(), moment.rows) for moment in found.moments]
    top = max(found.moments, key=lambda moment: moment.rows)
    alt = f"Predictions for each {_step(found.step)}; most, {top.rows:,}, from {top.at:%-d %b %Y, %H:%M} UTC on."
    drawn = blocks.table(
        "volume", f"Predictions by {_step(found.step)}", (("at", "From", Unit.DATETIME), ("rows", "Predictions", COUNT)), rows, most=400
    )
    yield blocks.chart("volume_chart", "Prediction volume", "area", drawn, "at", "rows", alt=alt)


def _step(step: timedelta) -> str:
    seconds = int(step.total_seconds())
    for size, name in ((86400, "day"), (3600, "hour"), (60, "minute")):
        if seconds % size == 0 and seconds >= size:
            return name if seconds == size else f"{seconds // size} {name}s"
    return f"{seconds} seconds"


def latency(work: Work) -> Iterator[Block]:
    found = logged.traffic(work)
    if not found.latency_rows:
        raise Absent("the log has no latency_ms")
    columns = (("at", "From", Unit.DATETIME), *((name, f"{name} (ms)", MEASURE) for name in NAMED))
    rows = [(moment.at.isoformat(), *moment.latency) for moment in found.moments if moment.latency[0] is not None]
    how = "" if found.exact else "Percentiles are right to within half a percent: the log is too long to hold."
    alt = f"Latency percentiles by {_step(found.step)}; over all p50 is {found.latency[0]:,.4g} ms, p95 {found.latency[2]:,.4g} ms, p99 {found.latency[3]:,.4g} ms."
    drawn = blocks.table("latency_by_time", "Latency by time", columns, rows, note=how, most=400)
    yield blocks.chart("latency_chart", "Latency percentiles", "line", drawn, "at", *NAMED, alt=alt)
    bars = [(arrays.short(low), count) for low, _, count in found.latency_bins]
    spread = blocks.table("latency_bins", "How long answers took", (("from", "From (ms)", TEXT), ("rows", "Predictions", COUNT)), bars)
    yield blocks.chart(
        "latency_bins_chart",
        "How long answers took",
        "column",
        spread,
        "from",
        "rows",
        alt="Distribution of the latency; each bar is wider than the one before it by the same factor.",
    )
    figures = [*zip(NAMED, found.latency, strict=True), ("mean", found.latency_mean), ("most", found.latency_max)]
    yield blocks.table("latency", "Latency over all", (("what", "Percentile", TEXT), ("ms", "Milliseconds", MEASURE)), figures)


def errors(work: Work) -> Iterator[Block]:
    if "error" not in logged.of(work).schema:
        raise Absent("the log has no column error, status_code or ok")
    found = logged.traffic(work)
    columns = (("at", "From", Unit.DATETIME), ("rate", "Error rate", PERCENT), ("errors", "Errors", COUNT))
    rows = [(moment.at.isoformat(), moment.error_rate, moment.errors) for moment in found.moments if moment.rows]
    worst = max((moment for moment in found.moments if moment.rows), key=lambda moment: moment.error_rate or 0.0)
    alt = f"Error rate by {_step(found.step)}; over all {found.error_rate:.2%}, at most {worst.error_rate or 0:.2%} from {worst.at:%-d %b %Y, %H:%M} UTC on."
    yield blocks.chart(
        "errors_chart",
        "Error rate",
        "line",
        blocks.table("errors_by_time", "Errors by time", columns, rows, most=400),
        "at",
        "rate",
        alt=alt,
    )
    share = [(code, count, count / found.errors) for code, count in found.codes]
    named = (("error", "Error", TEXT), ("count", "Count", COUNT), ("share", "Share", PERCENT))
    yield blocks.table("errors", "By error", named, share, empty="No prediction failed.")


def watched(work: Work) -> Iterator[Block]:
    found = work.rows(select(monitors.Monitor).where(monitors.Monitor.deployment_id == work.entity.id).order_by(monitors.Monitor.id))
    if not found:
        raise Absent("no monitor watches this deployment")
    columns = (
        ("name", "Monitor", TEXT), ("metric", "Metric", TEXT), ("limit", "Fires when", TEXT), ("state", "State", TEXT), ("value", "Last value", MEASURE),
        ("severity", "Severity", TEXT),
    )  # fmt: skip
    signs = {"gt": ">", "ge": "≥", "lt": "<", "le": "≤"}
    rows = [
        (
            one.name,
            f"{one.metric} {one.feature or ''}".strip(),
            f"{signs[one.operator]} {one.threshold:g}",
            one.state,
            one.value,
            one.severity,
        )
        for one in found
    ]
    yield blocks.table("monitors", "", columns, rows)
    firing = sum(one.state == "firing" for one in found)
    work.check("Monitors that fire", float(firing), "none", "pass" if not firing else "fail", f"{firing} of {len(found)}")


def served(work: Work) -> Iterator[Block]:
    made = work.one(models.Model, work.entity.model_id)
    if made is None:
        raise Absent("the model was deleted")
    yield from model.settings_of(made)


def importances(work: Work) -> Iterator[Block]:
    made = work.one(models.Model, work.entity.model_id)
    if made is None:
        raise Absent("the model was deleted")
    yield from model.features_of(work, made, "features")


PARTS = (
    Part("glance", "At a glance", glance, ("include_metrics",)),
    Part("identity", "The deployment", identity),
    Part("volume", "Prediction volume", volume, ("include_charts",)),
    Part("latency", "Latency", latency, ("include_metrics",)),
    Part("errors", "Errors", errors, ("include_metrics",)),
    Part("drift", "Drift of the features", drifts.drifting, ("include_data_summary",)),
    Part("drift_by_time", "Drift over time", drifts.by_time, ("include_data_summary",)),
    Part("prediction", "Drift of the prediction", drifts.predicted, ("include_data_summary",)),
    Part("quality", "Quality where labels came", labelled.quality, ("include_metrics",)),
    Part("monitors", "Monitors", watched),
    Part("features", "Feature importance of the model", importances, ("include_feature_importance",)),
    Part("parameters", "Hyperparameters of the model", served, ("include_hyperparameters",)),
)
