"""The report on an experiment: its leaderboard, how its models compare, and its best model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from everfix.documents.format import measure
from everfix.documents.model import Block, Unit
from everfix.ml import models
from everfix.ml.figures import curves
from everfix.reports.ml import blocks, data_set, model
from everfix.reports.ml.blocks import COUNT, MEASURE, TEXT
from everfix.reports.ml.work import Absent, Part, Work

DEFAULT = {"regression": "rmse", "binary": "auc", "multiclass": "macro_auc", "classification": "auc"}
COMPARED = 10  # models in the bars
READ = 20  # models whose evaluation tables are read
SHOWN = 6  # metrics of the leaderboard
HEAT = 12  # features of the heatmap over models


def trained(work: Work) -> list[Any]:
    """Return the experiment's models, those that failed included."""
    return work.once(
        "models", lambda: work.rows(select(models.Model).where(models.Model.experiment_id == work.entity.id).order_by(models.Model.id))
    )


def board(work: Work) -> tuple[str, list[tuple[Any, dict[str, float | None]]]]:
    """Return the sort metric and the models with their metrics, the best first; raises Absent where there are none."""
    return work.once("board", lambda: _board(work))


def _board(work: Work) -> tuple[str, list[tuple[Any, dict[str, float | None]]]]:
    done = [one for one in trained(work) if one.status == "succeeded"]
    if not done:
        raise Absent("no model was trained")
    found: list[tuple[Any, dict[str, float | None]]] = []
    for number, one in enumerate(done):
        found.append((one, model.metrics_of(work, one) if number < READ and one.evaluation_id is not None else model.registered(one)))
    asked = (work.entity.metric or DEFAULT.get(work.entity.problem_type) or "").lower()
    known = list(dict.fromkeys(name for _, metrics in found for name, value in metrics.items() if value is not None))
    if not known:
        raise Absent("no model has metrics")
    metric = next((name for name in (asked, *model.PRIMARY) if name in known), known[0])
    up = blocks.better(metric) == "up" or (blocks.better(metric) is None and curves.higher_is_better(metric))

    def rank(pair: tuple[Any, dict[str, float | None]]) -> tuple[bool, float]:
        value = pair[1].get(metric)
        return value is None, (-value if up else value) if value is not None else 0.0

    return metric, sorted(found, key=rank)


def best(work: Work) -> Any:  # noqa: ANN401 - a row of ml_models
    return board(work)[1][0][0]


def glance(work: Work) -> Iterator[Block]:
    metric, ranked = board(work)
    first = ranked[0][1].get(metric)
    second = ranked[1][1].get(metric) if len(ranked) > 1 else None
    failed = sum(one.status == "failed" for one in trained(work))
    gap = abs(first - second) if first is not None and second is not None else None
    yield blocks.figures(
        "figures", ("best", f"Best {blocks.title_of(metric)}", first, MEASURE, blocks.better(metric), str(ranked[0][0].name)[:80]),
        ("models", "Models trained", len(ranked), COUNT), ("failed", "Models failed", failed, COUNT, "down"),
        ("gap", "Lead over the second", gap, MEASURE),
    )  # fmt: skip
    if first is not None:
        work.kept["primary"] = (metric, first)
        work.headline.append(f"{ranked[0][0].name} has the best {blocks.title_of(metric)}, {measure(first)}.")
    work.headline.append(f"{len(ranked):,} models were trained." if len(ranked) != 1 else "One model was trained.")
    total = len(ranked) + failed
    work.check("Models that failed", failed / total, "at most 0.1", "pass" if failed <= 0.1 * total else "warn", f"{failed} of {total}")
    if gap is not None and first and gap / abs(first) < 0.005:
        work.advice.append("Little separates the models; choose the simpler.")


def run(work: Work) -> Iterator[Block]:
    one = work.entity
    took = (one.finished_at - one.started_at).total_seconds() if one.started_at and one.finished_at else None
    search = {str(name): value for name, value in (one.search or {}).items() if value is not None}
    yield blocks.facts(
        "run", "", (
            ("Experiment", one.name), ("Description", one.description), ("Status", one.status), ("Engine", one.engine),
            ("Problem", one.problem_type), ("Target", one.target_column), ("Sort metric", one.metric), ("Error", one.error),
            ("Duration (seconds)", took), *((name.replace("_", " ").capitalize(), blocks.cell_words(value)) for name, value in search.items()),
            ("Source", one.source_url),
        ),
    )  # fmt: skip


def leaderboard(work: Work) -> Iterator[Block]:
    metric, ranked = board(work)
    known = [name for name in blocks.METRICS if any(found.get(name) is not None for _, found in ranked)]
    known += [name for name in dict.fromkeys(name for _, found in ranked for name in found) if name not in blocks.METRICS]
    names = [metric, *(name for name in known if name != metric)][:SHOWN]
    timed = [("train", "Training (ms)", Unit.NUMBER)] if any(one.training_time_ms is not None for one, _ in ranked) else []
    timed += [("predict", "A row (ms)", MEASURE)] if any(one.predict_time_per_row_ms is not None for one, _ in ranked) else []
    columns = [("rank", "Rank", COUNT), ("model", "Model", TEXT), ("algo", "Algorithm", TEXT)]
    columns += [(blocks.key(name), blocks.title_of(name), MEASURE) for name in names] + timed
    rows = []
    for place, (one, found) in enumerate(ranked, start=1):
        times = [
            value
            for key, value in (("train", one.training_time_ms), ("predict", one.predict_time_per_row_ms))
            if key in {c[0] for c in timed}
        ]
        rows.append((place, one.name, one.algo, *(found.get(name) for name in names), *times))
    yield blocks.table("leaderboard", "", columns, rows, most=100)


def comparison(work: Work) -> Iterator[Block]:
    """Bars of the sort metric, and the metric against the time of training."""
    metric, ranked = board(work)
    title = blocks.title_of(metric)
    rows = [(one.name, found.get(metric)) for one, found in ranked[:COMPARED] if found.get(metric) is not None]
    if not rows:
        raise Absent("no model has the sort metric")
    drawn = blocks.table("compared", f"{title} of the best models", (("model", "Model", TEXT), ("value", title, MEASURE)), rows)
    alt = f"{title} of {len(rows)} models, the best first: {rows[0][0]} with {rows[0][1]:.4g}, last {rows[-1][0]} with {rows[-1][1]:.4g}."
    yield blocks.chart("compared_chart", f"{title}, the best models", "bar", drawn, "model", "value", alt=alt)
    timed = [
        (one.training_time_ms, found[metric], one.name)
        for one, found in ranked
        if one.training_time_ms is not None and found.get(metric) is not None
    ]
    if len(timed) > 1:
        columns = (("time", "Training (ms)", Unit.NUMBER), ("value", title, MEASURE), ("model", "Model", TEXT))
        drawn = blocks.table("timed", f"{title} by time of training", columns, timed)
        alt = f"{title} against the time of training for {len(timed)} models."
        yield blocks.chart("timed_chart", f"{title} by time of training", "scatter", drawn, "time", "value", alt=alt)


def importances(work: Work) -> Iterator[Block]:
    """The best model's importance, and how the models agree on it."""
    yield from model.features_of(work, best(work), "features")
    found = {}
    for one, _ in board(work)[1][:COMPARED]:
        given = {str(pair["feature"]): abs(float(pair["importance"])) for pair in one.feature_importance or []
                 if isinstance(pair, dict) and isinstance(pair.get("importance"), int | float) and pair.get("feature")}  # fmt: skip
        total = sum(given.values())
        if total:
            found[one.name] = {name: value / total for name, value in given.items()}
    if len(found) < 2:
        return
    sums: dict[str, float] = {}
    for shares in found.values():
        for name, share in shares.items():
            sums[name] = sums.get(name, 0.0) + share
    top = sorted(sums, key=lambda name: -sums[name])[:HEAT]
    rows = [(feature, name, shares.get(feature, 0.0)) for feature in top for name, shares in found.items()]
    columns = (("feature", "Feature", TEXT), ("model", "Model", TEXT), ("share", "Share of the importance", Unit.PERCENT))
    drawn = blocks.table("shared", "Importance by model", columns, rows)
    alt = f"Share of the importance of {len(top)} features in {len(found)} models; {top[0]} weighs most over all."
    yield blocks.chart("shared_chart", "Importance by model", "heatmap", drawn, "model", "share", series="feature", alt=alt)


def best_confusion(work: Work) -> Iterator[Block]:
    yield from model.confusion_of(work, best(work))


def best_curves(work: Work) -> Iterator[Block]:
    yield from model.curves_of(work, best(work))


def best_errors(work: Work) -> Iterator[Block]:
    yield from model.residuals_of(work, best(work))


def best_settings(work: Work) -> Iterator[Block]:
    config = work.entity.config or {}
    if config:
        yield blocks.parameters("config", "The experiment", config, {})
    try:
        for block in model.settings_of(best(work)):
            yield block.model_copy(update={"title": f"The best model, {best(work).name}"})
    except Absent:
        if not config:
            raise


def runs(work: Work) -> Iterator[Block]:
    given = [one for one in work.entity.engine_runs or [] if isinstance(one, dict)]
    if not given:
        raise Absent("no engine runs were given")
    columns = (
        ("engine", "Engine", TEXT),
        ("status", "Status", TEXT),
        ("best", "Best", MEASURE),
        ("started", "Started", TEXT),
        ("ended", "Ended", TEXT),
    )
    rows = [
        (
            one.get("engine"),
            one.get("status"),
            one.get("best_metric") if isinstance(one.get("best_metric"), int | float) else None,
            one.get("started_at"),
            one.get("finished_at"),
        )
        for one in given
    ]
    yield blocks.table("engine_runs", "", columns, rows)


def failures(work: Work) -> Iterator[Block]:
    failed = [one for one in trained(work) if one.status == "failed"]
    if not failed:
        raise Absent("no model failed")
    columns = (("model", "Model", TEXT), ("algo", "Algorithm", TEXT), ("error", "Error", TEXT, {"wide": True}))
    yield blocks.table("failed", "", columns, [(one.name, one.algo, one.error or "no reason was given") for one in failed])


def data(work: Work) -> Iterator[Block]:
    yield from data_set.of_version(work, work.entity.dataset_version_id, work.entity.target_column)


PARTS = (
    Part("glance", "At a glance", glance),
    Part("run", "The experiment", run),
    Part("leaderboard", "Leaderboard", leaderboard, ("include_leaderboard",)),
    Part("comparison", "How the models compare", comparison, ("include_charts", "include_metrics")),
    Part("features", "Feature importance", importances, ("include_feature_importance",)),
    Part("confusion", "Confusion matrix of the best model", best_confusion, ("include_confusion_matrix",)),
    Part("roc", "ROC and precision of the best model", best_curves, ("include_roc_curve", "include_charts")),
    Part("residuals", "Predicted against actual, best model", best_errors, ("include_metrics",)),
    Part("parameters", "Configuration and best parameters", best_settings, ("include_hyperparameters",)),
    Part("engines", "Engine runs", runs),
    Part("failed", "Models that failed", failures),
    Part("data", "Training data", data, ("include_data_summary",)),
)
