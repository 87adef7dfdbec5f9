"""The report on a deployment: how much it is asked, how fast and how surely it answers, what drifts, and how right it is."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
from sqlalchemy import select

from everfix.documents.format import measure
from everfix.documents.model import Block, Unit
from everfix.ml import deployments, experiments, models, monitors
from everfix.ml.figures import arrays, binned, classification, deployment, drift, frames, regression
from everfix.ml.figures.classification import Binary, Decisions
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.regression import Regression
from everfix.ml.figures.unmade import Unmade
from everfix.reports.ml import blocks, judged, model
from everfix.reports.ml.blocks import COUNT, MEASURE, PERCENT, TEXT
from everfix.reports.ml.work import Absent, Part, Work

FEATURES = 500  # columns whose drift is computed
DRAWN = 12  # of them drawn
FOLLOWED = 6  # of them followed over time
STRETCHES = 10  # of time in which drift is followed
HELD = 1_000_000  # labelled rows that are held; more are summed
WORDS = {"stable": "pass", "moderate": "warn", "major": "fail"}
NAMED = ("p50", "p90", "p95", "p99")


def log(work: Work) -> Frames:
    """Return the prediction log of the report's time; raises Absent where nothing was logged."""
    return work.once("log", lambda: _log(work))


def _log(work: Work) -> Frames:
    part = deployments.PredictionPart
    query = select(part).where(part.deployment_id == work.entity.id).order_by(part.first_at, part.id)
    if work.since is not None:
        query = query.where(part.last_at >= work.since)
    if work.until is not None:
        query = query.where(part.first_at < work.until)
    return work.tables([row.table_id for row in work.rows(query)], "prediction in this time")


def traffic(work: Work) -> deployment.Traffic:
    return work.once("traffic", lambda: deployment.traffic(log(work)))


def reference(work: Work) -> Frames:
    found = work.table(work.entity.reference_id, "reference sample")
    return Frames(files=found.files).near()


def drifted(work: Work) -> drift.Drift:
    """Return the drift of the features; raises Absent, Unmade."""
    return work.once("drift", lambda: _drifted(work))


def _drifted(work: Work) -> drift.Drift:
    before, now = work.once("reference", lambda: reference(work)), log(work)
    named = work.entity.features or [name for name in deployment.features(before) if name in now.schema or name not in deployment.TRAFFIC]
    if not named:
        raise Unmade("the reference sample has no feature columns")
    return drift.compare(before, now, named[:FEATURES])


def predictions(work: Work) -> drift.ColumnDrift:
    """Return the drift of the prediction itself, by its score where there is one."""
    before, now = work.once("reference", lambda: reference(work)), log(work)
    name = next((name for name in ("score", "prediction") if name in before.schema and name in now.schema), None)
    if name is None:
        raise Absent("the reference sample has no column prediction or score")
    return work.once("prediction drift", lambda: _one(drift.compare(before, now, [name])))


def _one(found: drift.Drift) -> drift.ColumnDrift:
    if not found.columns:
        raise Unmade(f"{found.unmade[0][0]}: {found.unmade[0][1]}")
    return found.columns[0]


# ---- parts


def glance(work: Work) -> Iterator[Block]:
    found = traffic(work)
    rate = found.error_rate
    p95 = found.latency[2]
    share = psi = None
    try:
        share = drifted(work).share
        psi = drifted(work).columns[0].psi if drifted(work).columns else None
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
    work.headline.append(f"The error rate is {rate * 100:.1f} %.")
    work.check("Error rate", rate, "at most 0.01", "pass" if rate <= 0.01 else "warn" if rate <= 0.05 else "fail", "answers that failed")
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
    work.kept["primary"] = ("error_rate", rate)


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
    found = traffic(work)
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
    found = traffic(work)
    if not found.latency_rows:
        raise Absent("the log has no latency_ms")
    columns = (("at", "From", Unit.DATETIME), *((name, f"{name} (ms)", MEASURE) for name in NAMED))
    rows = [(moment.at.isoformat(), *moment.latency) for moment in found.moments if moment.latency[0] is not None]
    how = "" if found.exact else "Percentiles are right to within half a percent: the log is too long to hold."
    alt = f"Latency percentiles by {_step(found.step)}; over all p50 is {found.latency[0]:,.4g} ms, p95 {found.latency[2]:,.4g} ms, p99 {found.latency[3]:,.4g} ms."
    drawn = blocks.table("latency_by_time", "Latency by time", columns, rows, note=how, most=400)
    yield blocks.chart("latency_chart", "Latency percentiles", "line", drawn, "at", *NAMED, alt=alt)
    bars = [(f"{low:.3g}", count) for low, _, count in found.latency_bins]
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
    found = traffic(work)
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


def drifting(work: Work) -> Iterator[Block]:
    found = drifted(work)
    columns = (
        ("feature", "Feature", TEXT), ("type", "Type", TEXT), ("psi", "PSI", MEASURE), ("verdict", "Verdict", TEXT), ("ks", "K–S", MEASURE),
        ("ks_p", "K–S p", MEASURE), ("js", "Jensen–Shannon", MEASURE), ("before", "Mean before", MEASURE), ("now", "Mean now", MEASURE),
        ("missing", "Missing now", PERCENT),
    )  # fmt: skip
    rows = [
        (one.feature, one.kind, one.psi, one.band, one.ks, one.ks_p, one.js, one.mean_reference, one.mean_current, one.missing_current)
        for one in found.columns
    ]
    said = "PSI below 0.1 is stable, to 0.25 moderate, above major. Bins as Evidently draws them."
    if any(one.binning == "deciles" for one in found.columns):
        said += " Where outliers press nearly all rows into one bin, deciles of the reference are used."
    yield blocks.table("drift", f"Drift of {len(found.columns):,} features", columns, rows, note=said, most=60)
    if found.columns:
        yield multiples("drift_chart", "The most drifted features", found.columns[:DRAWN])
        first = found.columns[0]
        work.check(
            "Drifted features",
            found.share,
            "below half",
            "pass" if found.share < 0.2 else "warn" if not found.whole else "fail",
            f"{found.drifted} of {len(found.columns)} with a PSI of 0.1 and more",
        )
        work.say("drift", f"{first.feature} has the largest PSI, {measure(first.psi)}.")
        if first.band != "stable":
            work.headline.append(f"{first.feature} has drifted the most, with a PSI of {measure(first.psi)}.")
            work.advice.append(f"Find out why {first.feature} changed, then train again or adapt the reference.")
    if found.unmade:
        yield blocks.table(
            "not_compared", "Not compared", (("feature", "Feature", TEXT), ("why", "Why", TEXT, {"wide": True})), found.unmade, most=30
        )


def multiples(name: str, title: str, found: Any) -> Block:  # noqa: ANN401 - several ColumnDrift
    """Draw both distributions of each column."""
    rows = [
        (f"{one.feature}: PSI {measure(one.psi)}", bin_, a, b)
        for one in found
        for bin_, a, b in zip(one.bins, one.reference, one.current, strict=True)
    ]
    columns = (("feature", "Feature", TEXT), ("bin", "Bin", TEXT), ("reference", "Reference", PERCENT), ("now", "Now", PERCENT))
    alt = (
        "Distributions in the reference and now: " + "; ".join(f"{one.feature} {one.band} (PSI {measure(one.psi)})" for one in found) + "."
    )
    drawn = blocks.table(name.removesuffix("_chart") + "_bins", "Distributions", columns, rows, most=1_000)
    return blocks.chart(name, title, "multiples", drawn, "bin", "reference", "now", series="feature", alt=alt)


def by_time(work: Work) -> Iterator[Block]:
    """The PSI of the most drifted features in each stretch of the time: drift that has just begun is lost in the whole."""
    found, flow = drifted(work), traffic(work)
    names = [one.feature for one in found.columns[:FOLLOWED]]
    if not names:
        raise Unmade("no feature could be compared")
    first, last = flow.first.timestamp(), flow.last.timestamp()
    edges = np.linspace(first, last + 1e-3, STRETCHES + 1)
    lines = {name: drift.over_time(work.once("reference", lambda: reference(work)), log(work), name, edges.tolist()) for name in names}
    rows = [(datetime.fromtimestamp(float(at), UTC).isoformat(), *(lines[name][n] for name in names)) for n, at in enumerate(edges[:-1])]
    columns = (("at", "From", Unit.DATETIME), *((blocks.key(f"f{n}_{name}"), name, MEASURE) for n, name in enumerate(names)))
    drawn = blocks.table("drift_by_time", "PSI by time", columns, rows)
    latest = {name: line[-1] for name, line in lines.items() if line[-1] is not None}
    alt = (
        f"PSI of {len(names)} features in {STRETCHES} stretches of the time; in the latest: "
        + ", ".join(f"{a} {measure(b or 0)}" for a, b in latest.items())
        + "."
    )
    yield blocks.chart(
        "drift_by_time_chart",
        "PSI by time, deciles of the reference",
        "line",
        drawn,
        "at",
        *(column[0] for column in columns[1:]),
        alt=alt,
        threshold=drift.BANDS[1],
        threshold_label="major above 0.25",
    )
    if latest:
        worst = max(latest, key=lambda name: latest[name] or 0.0)
        now = latest[worst] or 0.0
        band = drift.band(now)
        work.check(
            "Drift in the latest stretch",
            now,
            "PSI below 0.1",
            WORDS[band],
            f"{worst}, from {datetime.fromtimestamp(float(edges[-2]), UTC):%-d %b %Y, %H:%M} UTC on",
        )
        if band != "stable":
            work.advice.append(f"Find out why {worst} changed of late, then train again or adapt the reference.")


def predicted(work: Work) -> Iterator[Block]:
    found = predictions(work)
    yield blocks.figures(
        "prediction_figures", ("prediction_psi", "PSI of the prediction", found.psi, MEASURE, "down", found.band),
        ("prediction_js", "Jensen–Shannon", found.js, MEASURE, "down"), ("prediction_ks", "K–S", found.ks, MEASURE, "down"),
    )  # fmt: skip
    yield multiples("prediction_chart", "Distribution of the prediction", [found])
    work.check("Drift of the prediction", found.psi, "PSI below 0.1", WORDS[found.band], f"by {found.feature}")


# ---- quality where labels came


def quality(work: Work) -> Iterator[Block]:
    found = traffic(work)
    if not found.labelled:
        raise Absent("no label has come for a prediction of this time")
    yield blocks.note("labelled", f"{found.labelled:,} of {found.rows:,} predictions have a label.", role="body")
    made = work.once("quality", lambda: _quality(work))
    if isinstance(made, Regression):
        yield blocks.figures(
            "quality_figures",
            *((name, blocks.title_of(name), getattr(made, name), MEASURE, blocks.better(name)) for name in ("rmse", "mae", "r2", "bias")),
        )
        yield from judged.predicted_against_actual(made)
        return
    decided, scored = made
    pairs = (
        [("accuracy", decided.accuracy), ("balanced_accuracy", decided.balanced_accuracy), ("macro_f1", decided.macro_f1)]
        if decided is not None
        else []
    )
    if scored is not None:
        pairs += [
            ("auc", scored.auc),
            ("average_precision", scored.average_precision),
            ("logloss", scored.log_loss),
            ("ece", scored.calibration.ece),
        ]
    yield blocks.figures("quality_figures", *((name, blocks.title_of(name), value, MEASURE, blocks.better(name)) for name, value in pairs))
    if scored is not None:
        yield judged.roc(scored.roc, scored.threshold)
        yield judged.calibration(scored.calibration)
    if decided is not None:
        yield from judged.confusion(decided.confusion)
        yield judged.per_class(decided)
    _against_training(work, dict(pairs))


def _against_training(work: Work, now: dict[str, float]) -> None:
    made = work.one(models.Model, work.entity.model_id)
    trained = made.metrics if made is not None else {}
    for name in ("auc", "accuracy"):
        if name in now and isinstance(trained.get(name), int | float):
            lost = float(trained[name]) - now[name]
            work.check(
                f"{blocks.title_of(name)} lost since training",
                lost,
                "at most 0.05",
                "pass" if lost <= 0.05 else "warn" if lost <= 0.1 else "fail",
                f"{measure(float(trained[name]))} then, {measure(now[name])} now",
            )


def _quality(work: Work) -> Regression | tuple[Decisions | None, Binary | None]:
    """Score the labelled rows: held where they are few, summed where they are many."""
    made = work.one(models.Model, work.entity.model_id)
    found = work.one(experiments.Experiment, made.experiment_id) if made is not None else None
    source = log(work)
    kinds = source.schema
    numbers = "prediction" in kinds and frames.numeric(kinds["prediction"]) and kinds["label"].is_float()
    if (found is not None and found.problem_type == "regression") or (numbers and "score" not in kinds):
        return _regression(source)
    truth, said, scores = _labelled(source)
    decided = classification.decisions(classification.rows(truth, said)) if len(said) else None
    scored = None
    if "score" in kinds:
        scored = _binary(source, truth, scores, made)
    return decided, scored


def _labelled(source: Frames) -> tuple[Any, Any, Any]:
    """Return label, prediction and score of the first HELD labelled rows."""
    parts, held = [], 0
    for batch in source.batches([name for name in ("label", "prediction", "score") if name in source.schema]):
        there = batch.filter(batch["label"].is_not_null())
        parts.append(there.head(max(0, HELD - held)))
        held += there.height
    kept = [part for part in parts if part.height]
    if not kept:
        raise Absent("no label has come")
    columns = [
        np.concatenate([part[name].to_numpy() for part in kept]) if name in kept[0].columns else np.zeros(0)
        for name in ("label", "prediction", "score")
    ]
    return columns[0], columns[1], columns[2]


def _binary(source: Frames, truth: Any, scores: Any, made: Any) -> Binary | None:  # noqa: ANN401
    try:
        positive = classification.positive_class(truth, made.positive_label if made is not None else None)
        threshold = 0.5 if made is None or made.operating_point is None else float(made.operating_point)
        if len(truth) < HELD:
            return classification.binary(truth, scores, positive=positive, threshold=threshold)
        sums = binned.Binned(positive=positive, threshold=threshold)
        for batch in source.batches(["label", "score"]):
            there = batch.filter(batch["label"].is_not_null())
            sums.add(there["label"].to_numpy(), there["score"].to_numpy())
        return sums.result()
    except Unmade:
        return None


def _regression(source: Frames) -> Regression:
    parts = [batch.filter(batch["label"].is_not_null()) for batch in source.batches(["label", "prediction"])]
    truth, said = (np.concatenate([arrays.numbers(part[name].to_numpy()) for part in parts]) for name in ("label", "prediction"))
    return regression.of(truth, said)


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
    Part("drift", "Drift of the features", drifting, ("include_data_summary",)),
    Part("drift_by_time", "Drift over time", by_time, ("include_data_summary",)),
    Part("prediction", "Drift of the prediction", predicted, ("include_data_summary",)),
    Part("quality", "Quality where labels came", quality, ("include_metrics",)),
    Part("monitors", "Monitors", watched),
    Part("features", "Feature importance of the model", importances, ("include_feature_importance",)),
    Part("parameters", "Hyperparameters of the model", served, ("include_hyperparameters",)),
)
