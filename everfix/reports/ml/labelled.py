"""The part on quality where labels came: how right a deployment's predictions were, and how much of it was lost since training."""

from __future__ import annotations

from collections.abc import Iterator

from everfix.documents.format import measure
from everfix.documents.model import Block
from everfix.ml import experiments, models
from everfix.ml.figures import labelled
from everfix.ml.figures.classification import Binary, Decisions
from everfix.ml.figures.regression import Fit
from everfix.ml.figures.unmade import Unmade
from everfix.reports.ml import blocks, judged, logged
from everfix.reports.ml.blocks import MEASURE
from everfix.reports.ml.work import Absent, Work


def quality(work: Work) -> Iterator[Block]:
    found = logged.traffic(work)
    if not found.labelled:
        raise Absent("no label has come for a prediction of this time")
    yield blocks.note("labelled", f"{found.labelled:,} of {found.rows:,} predictions have a label.", role="body")
    made = work.once("quality", lambda: _quality(work))
    if isinstance(made, Fit):
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
    if "scores unmade" in work.kept:
        yield blocks.note("scores_unmade", f"Figures of the scores could not be made: {work.kept['scores unmade']}.")
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


def _quality(work: Work) -> Fit | tuple[Decisions | None, Binary | None]:
    """Score the labelled rows by the kind of the problem: what the experiment says, else what the columns are like."""
    made = work.one(models.Model, work.entity.model_id)
    found = work.one(experiments.Experiment, made.experiment_id) if made is not None else None
    source = logged.of(work)
    if (found is not None and found.problem_type == "regression") or labelled.regresses(source):
        return labelled.errors(source)
    decided = labelled.decisions(source) if "prediction" in source.schema else None
    scored = None
    if "score" in source.schema:
        positive = made.positive_label if made is not None else None
        threshold = 0.5 if made is None or made.operating_point is None else float(made.operating_point)
        try:
            scored = labelled.binary(source, positive, threshold)
        except Unmade as reason:
            if decided is None:
                raise
            work.kept["scores unmade"] = str(reason)
    return decided, scored
