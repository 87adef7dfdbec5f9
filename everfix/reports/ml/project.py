"""The report on a project: everything in it with its status, the best model of each experiment, and what needs attention."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import select

from everfix.documents.model import Block, Unit
from everfix.ml import datasets, deployments, experiments, models, monitors, synthgen
from everfix.ml.figures import curves
from everfix.reports.ml import blocks, model
from everfix.reports.ml.blocks import COUNT, MEASURE, TEXT
from everfix.reports.ml.experiment import DEFAULT, READ
from everfix.reports.ml.model import PRIMARY
from everfix.reports.ml.work import Absent, Part, Work

MOST = 1_000  # of each kind that are read


def every(work: Work, table: type[Any]) -> list[Any]:
    """Return the rows of a kind in this project, the newest first."""
    query = select(table).where(table.project_id == work.entity.id).order_by(table.created_at.desc(), table.id.desc()).limit(MOST)
    return work.once(f"every {table.__name__}", lambda: work.rows(query))


def best_of(work: Work, one: Any) -> tuple[Any, str, float] | None:  # noqa: ANN401 - rows of ml_experiments and ml_models
    """Return an experiment's best model by its registered metrics, with the metric and its value."""
    found = [(row, metrics(work, row)) for row in every(work, models.Model) if row.experiment_id == one.id and row.status == "succeeded"]
    known = {name for _, each in found for name, value in each.items() if value is not None}
    asked = (one.metric or DEFAULT.get(one.problem_type) or "").lower()
    metric = next((name for name in (asked, *PRIMARY, *sorted(known)) if name in known), None)
    if metric is None:
        return None
    scored = [(row, float(value)) for row, each in found if (value := each.get(metric)) is not None]
    pick = max if blocks.better(metric) == "up" or curves.higher_is_better(metric) else min
    row, value = pick(scored, key=lambda pair: pair[1])
    return row, metric, value


def metrics(work: Work, row: Any) -> dict[str, float | None]:  # noqa: ANN401 - a row of ml_models
    """Return a model's metrics: as registered, or of its evaluation table where none are and it is among the newest."""
    registered = model.registered(row)
    if registered or row.evaluation_id is None or row not in every(work, models.Model)[:READ]:
        return registered
    return model.metrics_of(work, row)


def glance(work: Work) -> Iterator[Block]:
    tried, made = every(work, experiments.Experiment), every(work, models.Model)
    live = [one for one in every(work, deployments.Deployment) if one.status == "active"]
    sets = every(work, datasets.Dataset)
    yield blocks.figures(
        "figures", ("experiments", "Experiments", len(tried), COUNT), ("models", "Models", len(made), COUNT), ("datasets", "Data sets", len(sets), COUNT),
        ("deployments", "Active deployments", len(live), COUNT), ("runs", "Synthetic-data runs", len(every(work, synthgen.SynthgenRun)), COUNT),
        ("failed", "Failed experiments", sum(one.status == "failed" for one in tried), COUNT, "down"),
    )  # fmt: skip
    counted = "1 experiment" if len(tried) == 1 else f"{len(tried):,} experiments"
    work.headline.append(f"{work.entity.name} holds {counted}.")
    failed = sum(one.status == "failed" for one in tried)
    work.check("Failed experiments", float(failed), "none", "pass" if not failed else "warn", f"{failed} of {len(tried)}")


def listed(work: Work) -> Iterator[Block]:
    rows = []
    for one in every(work, experiments.Experiment):
        took = (one.finished_at - one.started_at).total_seconds() if one.started_at and one.finished_at else None
        count = sum(row.experiment_id == one.id for row in every(work, models.Model))
        best = best_of(work, one)
        rows.append(
            (
                one.name,
                one.problem_type,
                one.status,
                count,
                blocks.title_of(best[1]) if best else None,
                best[2] if best else None,
                best[0].name if best else None,
                took,
            )
        )
    if not rows:
        raise Absent("the project has no experiment")
    columns = (
        ("experiment", "Experiment", TEXT), ("problem", "Problem", TEXT), ("status", "Status", TEXT), ("models", "Models", COUNT), ("metric", "Metric", TEXT),
        ("best", "Best", MEASURE), ("model", "Best model", TEXT), ("took", "Duration", Unit.SECONDS),
    )  # fmt: skip
    yield blocks.table("experiments", "", columns, rows, most=100)


def data(work: Work) -> Iterator[Block]:
    sets = {one.id: one for one in every(work, datasets.Dataset)}
    if not sets:
        raise Absent("the project has no data set")
    rows = []
    for version in every(work, datasets.DatasetVersion):
        quality = version.quality or {}
        issues = quality.get("issues") or []
        rows.append(
            (
                sets[version.dataset_id].name if version.dataset_id in sets else None,
                version.number,
                version.rows,
                version.columns,
                quality.get("overall_score"),
                len(issues),
            )
        )
        score = quality.get("overall_score")
        if isinstance(score, int | float) and score < 50:
            work.check(
                "Quality of a data set", score / 100, "at least 0.5", "warn", f"{sets[version.dataset_id].name}, version {version.number}"
            )
    columns = (
        ("dataset", "Data set", TEXT),
        ("version", "Version", COUNT),
        ("rows", "Rows", COUNT),
        ("columns", "Columns", COUNT),
        ("quality", "Quality", Unit.SCORE),
        ("issues", "Issues", COUNT),
    )
    yield blocks.table("datasets", "", columns, rows, most=100)


def best(work: Work) -> Iterator[Block]:
    rows = []
    for one in every(work, experiments.Experiment):
        found = best_of(work, one)
        if found is not None:
            rows.append((found[0].name, found[0].algo, one.name, blocks.title_of(found[1]), found[2], found[0].training_time_ms))
    if not rows:
        raise Absent("no model has metrics")
    columns = (
        ("model", "Model", TEXT),
        ("algo", "Algorithm", TEXT),
        ("experiment", "Experiment", TEXT),
        ("metric", "Metric", TEXT),
        ("value", "Value", MEASURE),
        ("train", "Training (ms)", Unit.NUMBER),
    )
    yield blocks.table("best", "", columns, rows, most=100)
    for metric in dict.fromkeys(row[3] for row in rows):
        same = [(row[2], row[4]) for row in rows if row[3] == metric][:20]
        if len(same) > 1:
            name = blocks.key(f"best_{metric}")
            drawn = blocks.table(
                f"{name}_data", f"Best {metric}", (("experiment", "Experiment", TEXT), ("value", str(metric), MEASURE)), same
            )
            yield blocks.chart(
                f"{name}_chart",
                f"Best {metric} by experiment",
                "bar",
                drawn,
                "experiment",
                "value",
                alt=f"The best {metric} of {len(same)} experiments.",
            )


def live(work: Work) -> Iterator[Block]:
    found = every(work, deployments.Deployment)
    if not found:
        raise Absent("the project has no deployment")
    named = {one.id: one.name for one in every(work, models.Model)}
    watched = every(work, monitors.Monitor)
    rows = []
    for one in found:
        firing = sum(monitor.deployment_id == one.id and monitor.state == "firing" for monitor in watched)
        drift = next(
            (
                monitor.value
                for monitor in watched
                if monitor.deployment_id == one.id and "psi" in monitor.metric and monitor.value is not None
            ),
            None,
        )
        rows.append((one.name, named.get(one.model_id), one.stage, one.status, one.traffic_percent / 100, drift, firing))
        if firing:
            work.check("Monitors that fire", float(firing), "none", "fail", one.name)
    columns = (
        ("deployment", "Deployment", TEXT), ("model", "Model", TEXT), ("stage", "Stage", TEXT), ("status", "Status", TEXT), ("traffic", "Traffic", Unit.PERCENT),
        ("drift", "Last PSI", MEASURE), ("firing", "Monitors firing", COUNT),
    )  # fmt: skip
    yield blocks.table("deployments", "", columns, rows, most=100)


def generated(work: Work) -> Iterator[Block]:
    found = every(work, synthgen.SynthgenRun)
    if not found:
        raise Absent("the project has no synthetic data")
    columns = (("run", "Run", TEXT), ("generator", "Generator", TEXT), ("status", "Status", TEXT), ("rows", "Rows asked for", COUNT))
    yield blocks.table("synthgen", "", columns, [(one.name, one.generator, one.status, one.requested_rows) for one in found], most=50)


def timeline(work: Work) -> Iterator[Block]:
    kinds = (
        ("experiment", experiments.Experiment),
        ("model", models.Model),
        ("deployment", deployments.Deployment),
        ("data set", datasets.Dataset),
        ("synthetic data", synthgen.SynthgenRun),
    )
    events = [
        (one.created_at.isoformat(), kind, one.name, getattr(one, "status", None)) for kind, table in kinds for one in every(work, table)
    ]
    if not events:
        raise Absent("nothing has happened yet")
    columns = (("at", "When", Unit.DATETIME), ("kind", "Kind", TEXT), ("name", "Name", TEXT), ("status", "Status", TEXT))
    yield blocks.table("timeline", "", columns, sorted(events, key=lambda event: event[0], reverse=True), most=40)


def problems(work: Work) -> Iterator[Block]:
    rows = [("experiment", one.name, one.error or "failed") for one in every(work, experiments.Experiment) if one.status == "failed"]
    rows += [("model", one.name, one.error or "failed") for one in every(work, models.Model) if one.status == "failed"]
    rows += [("deployment", one.name, "failed") for one in every(work, deployments.Deployment) if one.status == "failed"]
    rows += [("synthetic data", one.name, one.error or "failed") for one in every(work, synthgen.SynthgenRun) if one.status == "failed"]
    rows += [
        ("monitor", one.name, f"fires: {one.metric} is {one.value:g}" if one.value is not None else "fires")
        for one in every(work, monitors.Monitor)
        if one.state == "firing"
    ]
    columns = (("kind", "Kind", TEXT), ("name", "Name", TEXT), ("problem", "Problem", TEXT, {"wide": True}))
    yield blocks.table("problems", "", columns, rows, empty="Nothing failed, and no monitor fires.", most=60)


PARTS = (
    Part("glance", "At a glance", glance),
    Part("problems", "Open problems", problems),
    Part("experiments", "Experiments", listed),
    Part("best", "Best models", best, ("include_metrics",)),
    Part("deployments", "Deployments", live),
    Part("datasets", "Data sets", data, ("include_data_summary",)),
    Part("synthgen", "Synthetic data", generated),
    Part("timeline", "Timeline", timeline),
)
