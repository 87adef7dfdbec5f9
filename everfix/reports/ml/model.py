"""The report on one model: how good it is, where it fails, what it rests on; chosen by the kind of its problem."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from everfix.documents.format import measure
from everfix.documents.model import Block
from everfix.ml import datasets, experiments
from everfix.ml.figures import classification, curves, importance
from everfix.ml.figures.unmade import Unmade
from everfix.reports.ml import blocks, data_set, evaluation, judged
from everfix.reports.ml.blocks import MEASURE, TEXT
from everfix.reports.ml.work import Absent, Part, Work

PRIMARY = ("auc", "macro_auc", "rmse", "accuracy", "r2", "f1", "macro_f1", "mae", "logloss")


def experiment_of(work: Work, model: Any) -> Any:  # noqa: ANN401 - rows of ml_models and ml_experiments
    return work.once(f"experiment of {model.id}", lambda: work.one(experiments.Experiment, model.experiment_id))


def problem_of(work: Work, model: Any) -> str:  # noqa: ANN401
    found = experiment_of(work, model)
    return found.problem_type if found is not None else "other"


def evaluated(work: Work, model: Any) -> evaluation.Evaluation:  # noqa: ANN401
    """Return the model's evaluation; raises Absent, Unmade."""
    return evaluation.of(work, model, problem_of(work, model))


def metrics_of(work: Work, model: Any) -> dict[str, float | None]:  # noqa: ANN401
    """Return a model's metrics: computed from its evaluation where there is one, else as registered."""
    try:
        computed = evaluation.metrics(evaluated(work, model))
    except Unmade:
        computed = {}
    return {**registered(model), **computed}


def registered(model: Any) -> dict[str, float | None]:  # noqa: ANN401
    """Return the metrics that were registered with a model."""
    return {name: float(value) for name, value in (model.metrics or {}).items() if isinstance(value, int | float)}


def primary(found: dict[str, float | None], wanted: str | None = None) -> tuple[str, float] | None:
    """Return the metric to name first: the one asked for, else the first usual one that is known."""
    for name in (*((wanted,) if wanted else ()), *PRIMARY, *found):
        value = found.get(name.lower())
        if value is not None:
            return name.lower(), value
    return None


# ---- parts


def glance(work: Work) -> Iterator[Block]:
    found = metrics_of(work, work.entity)
    if not found:
        raise Absent("no metrics and no evaluation table were given")
    names = [name for name in blocks.METRICS if found.get(name) is not None]
    first = primary(found, (experiment_of(work, work.entity) or work.entity).__dict__.get("metric"))
    if first is not None:
        names = [first[0], *(name for name in names if name != first[0])]
    yield blocks.figures(
        "figures", *((blocks.key(name), blocks.title_of(name), found[name], MEASURE, blocks.better(name)) for name in names[:8])
    )
    if first is not None:
        work.kept["primary"] = first
    judge(work, found)


def judge(work: Work, found: dict[str, float | None]) -> None:
    """Ask what a reviewer asks, each question with its limit."""
    try:
        made = evaluated(work, work.entity)
    except Unmade:
        made = None
    if found.get("auc") is not None:
        area = found["auc"] or 0.0
        verdict = "pass" if area >= 0.7 else "warn" if area > 0.55 else "fail"
        work.check("AUC", area, "at least 0.7", verdict, "0.5 is chance")
        chance = ", no better than chance" if verdict == "fail" else ""
        work.headline.append(f"The AUC is {measure(area)}{chance}.")
    if made is not None and made.decisions is not None:
        _decisions(work, made)
    if made is not None and made.regression is not None:
        _errors(work, made)
    if made is not None and made.binary is not None:
        gap = made.binary.calibration.ece
        work.check(
            "Calibration error",
            gap,
            "at most 0.05",
            "pass" if gap <= 0.05 else "warn" if gap <= 0.1 else "fail",
            "expected gap between said and happened",
        )
        if gap > 0.05:
            work.advice.append(f"Calibrate the probabilities before they are read as such: the calibration error is {measure(gap)}.")
    _gap(work)


def _decisions(work: Work, made: evaluation.Evaluation) -> None:
    decided = made.decisions
    assert decided is not None  # noqa: S101 - the caller looked
    gain = decided.accuracy - decided.majority_accuracy
    work.headline.append(f"The accuracy is {measure(decided.accuracy)}.")
    verdict = "pass" if gain > 0.1 * (1 - decided.majority_accuracy) else "warn" if gain > 0 else "fail"
    work.check(
        "Gain over always saying the most common class",
        gain,
        "above 0",
        verdict,
        f"always saying {decided.majority} is right in {decided.majority_accuracy:.1%}",
    )
    weak = min(decided.classes, key=lambda row: row.recall)
    if weak.support and weak.recall < 0.5:
        work.check(
            "Weakest class",
            weak.recall,
            "recall of at least 0.5",
            "warn" if weak.recall > 0.2 else "fail",
            f"{weak.label}: {weak.support:,} rows",
        )


def _errors(work: Work, made: evaluation.Evaluation) -> None:
    found = made.regression
    assert found is not None  # noqa: S101 - the caller looked
    gain = 1 - found.rmse / found.baseline_rmse if found.baseline_rmse else 0.0
    verdict = "pass" if gain > 0.1 else "warn" if gain > 0 else "fail"
    work.check("Gain over always saying the mean", gain, "above 0.1", verdict, "share of the RMSE saved")
    if found.r2 is not None:
        work.headline += [f"The R² is {measure(found.r2)}.", f"The RMSE is {measure(found.rmse)}."]
    skew = abs(found.bias) / found.error_std if found.error_std else 0.0
    work.check(
        "Mean error", found.bias, "within a tenth of its spread", "pass" if skew <= 0.1 else "warn", "a systematic error can be taken off"
    )


def _gap(work: Work) -> None:
    """Compare training with the split to judge by."""
    try:
        every = evaluation.splits(work, work.entity, problem_of(work, work.entity))
    except Unmade:
        return
    train = next((one for one in every if one.split.lower() in curves.TRAINING), None)
    if train is None or train is every[0]:
        return
    name = next((name for name in PRIMARY if evaluation.metrics(every[0]).get(name) is not None), None)
    if name is None:
        return
    a, b = evaluation.metrics(train)[name] or 0.0, evaluation.metrics(every[0])[name] or 0.0
    gap = abs(a - b) / (abs(a) or 1.0)
    work.check(
        f"{blocks.title_of(name)}: training against {every[0].split}",
        gap,
        "at most 0.1 apart",
        "pass" if gap <= 0.1 else "warn" if gap <= 0.3 else "fail",
        "a gap is a sign of overfitting",
    )


def identity(work: Work) -> Iterator[Block]:
    model, found = work.entity, experiment_of(work, work.entity)
    version = work.one(datasets.DatasetVersion, found.dataset_version_id) if found is not None else None
    yield blocks.facts(
        "identity", "", (
            ("Model", model.name), ("Algorithm", model.algo), ("Status", model.status),
            ("Best of its experiment", model.is_best), ("Experiment", found.name if found else None),
            ("Problem", found.problem_type if found else None), ("Target", found.target_column if found else None),
            ("Data set version", f"version {version.number}, {version.rows or 0:,} rows" if version is not None else None),
            ("Registered as", " ".join(filter(None, (model.registered_name, model.registered_version)))),
            ("Aliases", ", ".join(model.registered_aliases or [])),
            ("Training time (ms)", model.training_time_ms), ("Prediction time of a row (ms)", model.predict_time_per_row_ms),
            ("Positive class", model.positive_label), ("Threshold in use", model.operating_point),
            ("Error", model.error), ("Source", model.source_url),
        ),
    )  # fmt: skip


def by_split(work: Work) -> Iterator[Block]:
    """Metrics of each split, computed and registered, side by side."""
    model = work.entity
    columns: dict[str, dict[str, float | None]] = {}
    try:
        for one in evaluation.splits(work, model, problem_of(work, model)):
            columns[one.split or "evaluation"] = evaluation.metrics(one)
    except Absent:
        pass
    for split, found in (model.metrics_by_split or {}).items():
        if isinstance(found, dict) and split not in columns:
            columns[split] = {name: float(value) for name, value in found.items() if isinstance(value, int | float)}
    if model.metrics:
        columns["as registered"] = {name: float(value) for name, value in model.metrics.items() if isinstance(value, int | float)}
    names = list(dict.fromkeys(name for found in columns.values() for name in (*[n for n in blocks.METRICS if n in found], *found)))
    if not names:
        raise Absent("no metrics were given")
    shown = list(columns)[:6]
    head = [("metric", "Metric", TEXT), *((blocks.key(f"s{n}_{split}"), split.capitalize(), MEASURE) for n, split in enumerate(shown))]
    yield blocks.table("metrics", "", head, [(blocks.title_of(name), *(columns[split].get(name) for split in shown)) for name in names])


def classes(work: Work) -> Iterator[Block]:
    made = evaluated(work, work.entity)
    found = made.multiclass.decisions if made.multiclass is not None else made.decisions
    if found is None:
        raise Absent("the model does not sort into classes")
    yield judged.per_class(found)
    if made.unmade:
        yield blocks.note("scores_unmade", f"Figures of the scores could not be made: {made.unmade}.")
    if made.binary is not None:
        yield judged.thresholds(made.binary)


def confusion(work: Work) -> Iterator[Block]:
    yield from confusion_of(work, work.entity)


def confusion_of(work: Work, model: Any) -> Iterator[Block]:  # noqa: ANN401
    found = evaluation.confusion(model) if model.evaluation_id is None else _decided(work, model)
    if work.options["include_charts"]:
        yield from judged.confusion(found)
    else:
        yield judged.confusion_table(found)


def _decided(work: Work, model: Any) -> classification.Confusion:  # noqa: ANN401
    made = evaluated(work, model)
    if made.decisions is None:
        raise Absent("the model does not sort into classes")
    return made.decisions.confusion


def roc(work: Work) -> Iterator[Block]:
    yield from curves_of(work, work.entity)


def curves_of(work: Work, model: Any) -> Iterator[Block]:  # noqa: ANN401
    try:
        made = evaluated(work, model)
    except Absent:
        yield judged.roc(evaluation.curve(model.roc, "fpr", "tpr", "ROC curve"), model.operating_point)
        if model.pr:
            yield judged.precision_recall(evaluation.curve(model.pr, "recall", "precision", "precision–recall curve"), None, None)
        return
    if made.regression is not None:
        raise Absent("a regression has no ROC curve")
    if made.binary is not None:
        yield judged.roc(made.binary.roc, made.binary.threshold)
        yield judged.precision_recall(made.binary.pr, made.binary.threshold, made.binary.base_rate)
        if made.binary.lift:
            yield judged.lift(made.binary)
    elif made.multiclass is not None and made.multiclass.roc:
        yield judged.one_against_rest(made.multiclass.roc)
    else:
        raise Unmade(made.unmade or "the evaluation table has no scores")


def calibration(work: Work) -> Iterator[Block]:
    made = evaluated(work, work.entity)
    if made.binary is not None:
        yield judged.calibration(made.binary.calibration)
    elif made.multiclass is not None:
        yield judged.calibration(made.multiclass.calibration, "most probable class")
    else:
        raise Absent("there are no probabilities")


def residuals(work: Work) -> Iterator[Block]:
    yield from residuals_of(work, work.entity)


def residuals_of(work: Work, model: Any) -> Iterator[Block]:  # noqa: ANN401
    made = evaluated(work, model)
    if made.regression is None:
        raise Absent("the model predicts no number")
    yield from judged.predicted_against_actual(made.regression)
    yield from judged.errors(made.regression)


def worst(work: Work) -> Iterator[Block]:
    made = evaluated(work, work.entity)
    if made.regression is None:
        raise Absent("the model predicts no number")
    yield judged.worst(made.regression)


def features(work: Work) -> Iterator[Block]:
    yield from features_of(work, work.entity, "features")


def features_of(work: Work, model: Any, section: str) -> Iterator[Block]:  # noqa: ANN401
    given = model.feature_importance or []
    if not given:
        raise Absent("no feature importance was given")
    pairs = [(str(one.get("feature", "")), _number(one.get("importance"))) for one in given if isinstance(one, dict)]
    found = importance.of([(name, value) for name, value in pairs if name and value is not None])
    yield from judged.features(found)
    first = found.top[0]
    work.say(section, f"{first[0]} has the largest share of the importance, {first[2] * 100:.1f} %.")


def _number(value: object) -> float | None:
    return float(value) if isinstance(value, int | float) else None


def learning(work: Work) -> Iterator[Block]:
    given = work.entity.learning_curve or []
    if not given:
        raise Absent("no learning curve was given")
    points = [
        (float(one["step"]), str(one.get("metric") or "score"), str(one.get("split") or "all"), float(one["value"]))
        for one in given
        if isinstance(one, dict) and isinstance(one.get("step"), int | float) and isinstance(one.get("value"), int | float)
    ]
    found = curves.of(points)
    yield from judged.learned(found)
    first = found[0]
    if first.past > 0.25:
        work.check(
            "Steps after the best one",
            first.past,
            "at most a quarter",
            "warn",
            f"{blocks.title_of(first.metric)} was best at step {first.stop:g}",
        )


def settings(work: Work) -> Iterator[Block]:
    yield from settings_of(work.entity)


def settings_of(model: Any) -> Iterator[Block]:  # noqa: ANN401
    if not model.parameters and not model.default_parameters:
        raise Absent("no parameters were given")
    yield blocks.parameters("parameters", "", model.parameters, model.default_parameters)


def data(work: Work) -> Iterator[Block]:
    found = experiment_of(work, work.entity)
    yield from data_set.of_version(work, found.dataset_version_id if found is not None else None, found.target_column if found else None)


PARTS = (
    Part("glance", "At a glance", glance, ("include_metrics",)),
    Part("identity", "Model and lineage", identity),
    Part("metrics", "Metrics by split", by_split, ("include_metrics",)),
    Part("classes", "By class and threshold", classes, ("include_metrics",)),
    Part("confusion", "Confusion matrix", confusion, ("include_confusion_matrix",)),
    Part("roc", "ROC, precision and gain", roc, ("include_roc_curve", "include_charts")),
    Part("calibration", "Calibration", calibration, ("include_charts",)),
    Part("residuals", "Predicted against actual", residuals, ("include_metrics",)),
    Part("worst", "Largest errors", worst, ("include_metrics",)),
    Part("features", "Feature importance", features, ("include_feature_importance",)),
    Part("learning", "Learning curves", learning, ("include_learning_curves",)),
    Part("parameters", "Hyperparameters", settings, ("include_hyperparameters",)),
    Part("data", "Training data", data, ("include_data_summary",)),
)
