"""Figures of models: equal to scikit-learn's on its own data, and a reason where they cannot be made."""

from __future__ import annotations

import dataclasses
import math
import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import datasets, metrics
from sklearn.calibration import calibration_curve
from sklearn.ensemble import RandomForestRegressor
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from everfix.ml.figures import arrays, binned, classification, curves, importance, labelled, multiclass, quality, regression, summed
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade

CLOSE = 1e-6


@pytest.fixture(scope="module")
def cancer() -> tuple[Any, Any]:
    """Truth and probability of scikit-learn's breast cancer set, on rows the model has not seen."""
    data = datasets.load_breast_cancer()
    x, xt, y, yt = train_test_split(StandardScaler().fit_transform(data.data[:, :4]), data.target, test_size=0.4, random_state=1)
    return yt, LogisticRegression().fit(x, y).predict_proba(xt)[:, 1]


@pytest.fixture(scope="module")
def wine() -> tuple[Any, Any, tuple[str, ...]]:
    data = datasets.load_wine()
    x, xt, y, yt = train_test_split(StandardScaler().fit_transform(data.data[:, :3]), data.target, test_size=0.5, random_state=1)
    return data.target_names[yt], LogisticRegression().fit(x, y).predict_proba(xt), tuple(map(str, data.target_names))


@pytest.fixture(scope="module")
def diabetes() -> tuple[Any, Any]:
    data = datasets.load_diabetes()
    x, xt, y, yt = train_test_split(data.data, data.target, test_size=0.4, random_state=1)
    return yt, RandomForestRegressor(20, random_state=1).fit(x, y).predict(xt)


def test_binary_figures_are_scikit_learns(cancer: tuple[Any, Any]) -> None:
    truth, score = cancer
    found = classification.binary(truth, score, threshold=0.6)
    said = score >= 0.6
    tn, fp, fn, tp = metrics.confusion_matrix(truth, said).ravel()
    assert (found.tn, found.fp, found.fn, found.tp) == (tn, fp, fn, tp)
    expected = {
        "auc": metrics.roc_auc_score(truth, score),
        "average_precision": metrics.average_precision_score(truth, score),
        "log_loss": metrics.log_loss(truth, score),
        "brier": metrics.brier_score_loss(truth, score),
        "precision": metrics.precision_score(truth, said),
        "recall": metrics.recall_score(truth, said),
        "f1": metrics.f1_score(truth, said),
        "specificity": metrics.recall_score(1 - truth, ~said),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=CLOSE), name
    assert found.roc.area == pytest.approx(found.auc, abs=CLOSE)
    assert found.roc.at == pytest.approx((fp / (fp + tn), tp / (tp + fn)))
    assert (found.roc.x[0], found.roc.y[0], found.roc.x[-1], found.roc.y[-1]) == (0, 0, 1, 1)
    happened, said_mean = calibration_curve(truth, score, n_bins=10)
    assert [one.happened for one in found.calibration.bins] == pytest.approx(list(happened), abs=CLOSE)
    assert [one.said for one in found.calibration.bins] == pytest.approx(list(said_mean), abs=CLOSE)
    for step in found.steps:
        assert step.recall == pytest.approx(metrics.recall_score(truth, score >= step.threshold), abs=CLOSE)
        assert step.flagged == pytest.approx(float((score >= step.threshold).mean()), abs=CLOSE)
    assert found.lift[-1] == (1.0, 1.0)


def test_expected_calibration_error_by_hand() -> None:
    found = classification.binary([0, 1, 1, 1], [0.15, 0.15, 0.95, 0.85])
    # bins: 0.15 → half of two; 0.85 → all of one; 0.95 → all of one
    assert found.calibration.ece == pytest.approx((2 * 0.35 + 0.15 + 0.05) / 4)
    assert found.calibration.worst == pytest.approx(0.35)


def test_thin_curves_keep_their_shape() -> None:
    chance = np.random.default_rng(1)
    truth = chance.random(40_000) < 0.02
    score = np.clip(chance.normal(np.where(truth, 0.6, 0.3), 0.15), 0, 1)
    found = classification.binary(truth, score)
    assert len(found.roc.x) <= classification.POINTS
    assert metrics.auc(found.roc.x, found.roc.y) == pytest.approx(found.auc, abs=0.002)
    assert list(found.roc.x) == sorted(found.roc.x)


def test_decisions_are_scikit_learns(wine: tuple[Any, Any, tuple[str, ...]]) -> None:
    truth, proba, names = wine
    found = multiclass.of(truth, proba, names)
    said = np.array(names)[proba.argmax(axis=1)]
    report = metrics.classification_report(truth, said, output_dict=True, zero_division=0)
    for row in found.decisions.classes:
        assert (row.precision, row.recall, row.f1, row.support) == pytest.approx(
            (report[row.label]["precision"], report[row.label]["recall"], report[row.label]["f1-score"], report[row.label]["support"])
        )
    decided = found.decisions
    assert decided.accuracy == pytest.approx(report["accuracy"], abs=CLOSE)
    assert decided.balanced_accuracy == pytest.approx(metrics.balanced_accuracy_score(truth, said), abs=CLOSE)
    assert decided.macro_f1 == pytest.approx(report["macro avg"]["f1-score"], abs=CLOSE)
    assert decided.weighted_f1 == pytest.approx(report["weighted avg"]["f1-score"], abs=CLOSE)
    assert decided.mcc == pytest.approx(metrics.matthews_corrcoef(truth, said), abs=CLOSE)
    assert found.log_loss == pytest.approx(metrics.log_loss(truth, proba, labels=names), abs=CLOSE)
    for average, value in (("macro", found.macro_auc), ("weighted", found.weighted_auc)):
        assert value == pytest.approx(metrics.roc_auc_score(truth, proba, multi_class="ovr", average=average), abs=CLOSE)
    assert found.decisions.confusion.counts == tuple(map(tuple, metrics.confusion_matrix(truth, said, labels=names).tolist()))
    assert [name for name, _ in found.roc] == list(names)


def test_regression_is_scikit_learns(diabetes: tuple[Any, Any]) -> None:
    truth, said = diabetes
    found = regression.of(truth, said)
    expected = {
        "rmse": metrics.root_mean_squared_error(truth, said),
        "mae": metrics.mean_absolute_error(truth, said),
        "median_error": metrics.median_absolute_error(truth, said),
        "r2": metrics.r2_score(truth, said),
        "mape": metrics.mean_absolute_percentage_error(truth, said),
        "max_error": metrics.max_error(truth, said),
        "bias": float(np.mean(said - truth)),
    }
    for name, value in expected.items():
        assert getattr(found, name) == pytest.approx(value, abs=CLOSE), name
    assert sum(found.errors.counts) == found.rows == len(truth)
    assert abs(found.worst[0][3]) == pytest.approx(found.max_error)
    assert truth[found.worst[0][0] - 1] == found.worst[0][1]
    assert sum(rows for *_, rows in found.by_tenth) == found.rows


def test_ten_percent_of_one_kind_of_zero() -> None:
    """A true value of zero has no percentage, and a constant truth no R²: neither is a number made up."""
    found = regression.of([0.0, 0.0, 0.0], [1.0, 0.0, 0.5])
    assert (found.mape, found.r2) == (None, None)
    assert found.rmse == pytest.approx(math.sqrt(1.25 / 3))


def test_binned_figures_follow_the_exact_ones() -> None:
    chance = np.random.default_rng(2)
    truth = (chance.random(60_000) < 0.3).astype(int)
    score = np.clip(chance.beta(2 + truth, 3), 0, 1)
    sums = binned.Binned(positive="1", threshold=0.4)
    for part in np.array_split(np.arange(60_000), 7):
        sums.add(truth[part], score[part])
    found, exact = sums.result(), classification.binary(truth, score, threshold=0.4)
    assert (found.tp, found.fp, found.fn, found.tn) == (exact.tp, exact.fp, exact.fn, exact.tn)
    assert found.auc == pytest.approx(exact.auc, abs=CLOSE)
    assert found.average_precision == pytest.approx(exact.average_precision, abs=2 * CLOSE)
    assert (found.log_loss, found.brier, found.calibration.ece) == pytest.approx(
        (exact.log_loss, exact.brier, exact.calibration.ece), abs=1e-9
    )
    for ours, theirs in zip(found.steps, exact.steps, strict=True):
        assert dataclasses.astuple(ours) == pytest.approx(dataclasses.astuple(theirs), abs=CLOSE), ours.threshold
    assert not found.exact


def test_summed_decisions_are_those_of_all_rows() -> None:
    """Counts of pairs of classes, over stretches of several types, give the scores that scikit-learn gives of every row."""
    chance = np.random.default_rng(3)
    truth = chance.choice(["a", "b", "c", "d"], 5_000, p=[0.6, 0.25, 0.1, 0.05])
    said = np.where(chance.random(5_000) < 0.7, truth, chance.choice(["a", "b", "c"], 5_000))
    pairs = summed.Pairs()
    for part in np.array_split(np.arange(5_000), 9):
        pairs.add(pl.Series(truth[part]), pl.Series(said[part]))
    pairs.add(pl.Series([None, "a"]), pl.Series(["a", None]))
    found, exact = pairs.result(), classification.decisions(classification.rows(truth, said))
    assert (found.rows, found.left_out, found.confusion, found.majority) == (5_000, 2, exact.confusion, exact.majority)
    for name in (
        "accuracy",
        "balanced_accuracy",
        "macro_precision",
        "macro_recall",
        "macro_f1",
        "micro_f1",
        "weighted_f1",
        "mcc",
        "majority_accuracy",
    ):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=1e-12), name
    assert [row.support for row in found.classes] == [row.support for row in exact.classes]
    assert found.mcc == pytest.approx(metrics.matthews_corrcoef(truth, said), abs=1e-12)


def test_summed_errors_are_those_of_all_rows() -> None:
    """A mean far from zero costs no digit; a constant truth has no R²."""
    chance = np.random.default_rng(4)
    truth = 1e6 + chance.normal(0, 3, 70_000)
    said = truth + chance.normal(0.2, 1, 70_000)
    sums = summed.Errors()
    for part in np.array_split(np.arange(70_000), 11):
        sums.add(truth[part], said[part])
    sums.add([1.0, None, math.nan], [math.inf, 2.0, 3.0])
    found, exact = sums.result(), regression.of(truth, said)
    assert (found.rows, found.left_out) == (70_000, 3)
    for name in ("rmse", "mae", "r2", "bias", "error_std"):
        assert getattr(found, name) == pytest.approx(getattr(exact, name), abs=CLOSE), name
    assert found.r2 == pytest.approx(metrics.r2_score(truth, said), abs=CLOSE)
    assert 100 < len(found.points) <= regression.POINTS
    constant = summed.Errors()
    constant.add([0.1, 0.1, 0.1], [0.2, 0.1, 0.3])
    assert constant.result().r2 is None
    with pytest.raises(Unmade, match="at least two"):
        summed.Errors().result()


def test_many_labelled_rows_are_scored_in_stretches(monkeypatch: pytest.MonkeyPatch) -> None:
    """Beyond what is held, the same figures come from bins: of all labelled rows, not of the first."""
    chance = np.random.default_rng(5)
    score = chance.beta(2, 3, 30_000)
    label = pl.Series((chance.random(30_000) < score).astype(int)).scatter(np.arange(0, 30_000, 3), None)
    log = Frames(table=pl.DataFrame({"label": label, "score": score, "prediction": (score >= 0.4).astype(int)}))
    held = labelled.binary(log, "1", 0.4)
    monkeypatch.setattr(labelled, "HELD", 1_000)
    found = labelled.binary(log, "1", 0.4)
    assert (held.exact, found.exact, found.rows) == (True, False, 20_000)
    assert (found.tp, found.fp, found.fn, found.tn) == (held.tp, held.fp, held.fn, held.tn)
    assert (found.auc, found.log_loss, found.brier) == pytest.approx((held.auc, held.log_loss, held.brier), abs=CLOSE)
    assert labelled.decisions(log).rows == 20_000
    assert labelled.errors(log).rows == 20_000
    with pytest.raises(Unmade, match="no score"):
        labelled.binary(Frames(table=pl.DataFrame({"label": [1, 0]})))


def test_labels_are_one_class_whatever_their_type() -> None:
    assert list(arrays.labels([1, 0])) == list(arrays.labels(["1", "0"])) == list(arrays.labels([1.0, 0.0])) == ["1", "0"]
    assert list(arrays.labels([True, False])) == ["true", "false"]
    assert list(arrays.labels([None, math.nan, "NA", "x"])) == ["", "", "", "x"]
    assert classification.positive_class(["no", "yes"]) == "yes"
    assert classification.positive_class([0, 10, 10]) == "10"
    assert classification.positive_class([2, 10]) == "10"  # by value, not by letter


def test_rows_without_a_value_are_counted_not_guessed() -> None:
    found = classification.binary([1, 0, None, 1, 0], [0.9, 0.2, 0.5, math.nan, math.inf])
    assert (found.rows, found.left_out) == (2, 3)
    assert regression.of([1, 2, None, math.inf], [1, 2, 3, 4]).left_out == 2


@pytest.mark.parametrize(
    ("make", "words"),
    [
        (lambda: classification.binary([1, 1, 1], [0.2, 0.4, 0.9]), "only one class"),
        (lambda: classification.binary([], []), "no row"),
        (lambda: classification.binary([1, 0], [3.2, -1.0]), "between 0 and 1"),
        (lambda: classification.binary([1, 0], [0.5]), "differ in length"),
        (lambda: classification.binary(["a", "b", "c"], [0.1, 0.2, 0.3]), "3 classes"),
        (lambda: classification.rows([None, "a"], ["b", None]), "no row"),
        (lambda: multiclass.of(["a", "b"], [[0.5, 0.5, 0.0], [1, 0, 0]], ("a", "b")), "shape"),
        (lambda: multiclass.of(["a", "b"], [[0.9, 0.9], [0.1, 0.2]], ("a", "b")), "sum to"),
        (lambda: regression.of(["x", "y"], [1, 2]), "at least two"),
        (lambda: curves.of([(1.0, "loss", "train", math.nan)]), "two or more steps"),
        (lambda: importance.of([("a", 0.0), ("b", math.nan)]), "other than zero"),
        (lambda: quality.of(Frames(table=pl.DataFrame({"a": []}))), "0 rows"),
    ],
)
def test_what_cannot_be_made_says_why(make: Callable[[], object], words: str) -> None:
    with pytest.raises(Unmade, match=words):
        make()


def test_many_classes_are_joined() -> None:
    names = [f"c{n:03}" for n in range(120)]
    found = classification.confusion(classification.rows(names * 3, names * 3))
    assert len(found.labels) == classification.CLASSES
    assert found.joined == 120 - (classification.CLASSES - 1)
    assert sum(map(sum, found.counts)) == 360


def test_learning_stops_where_the_judging_split_was_best() -> None:
    points = [(step, "logloss", "train", 1 / (step + 1)) for step in range(100)]
    points += [(step, "logloss", "validation", 0.3 + (step - 40) ** 2 / 4_000) for step in range(100)]
    found = curves.of(points)[0]
    assert (found.judged_by, found.stop, found.higher_is_better) == ("validation", 40, False)
    assert found.past == pytest.approx(0.59)
    assert found.gap == pytest.approx(1 / 41 - 0.3)


@pytest.mark.parametrize(
    ("metric", "up"),
    [("auc", True), ("logloss", False), ("val_accuracy", True), ("rmse", False), ("r2", True), ("f1_score", True), ("deviance", False)],
)
def test_which_way_is_better(metric: str, up: bool) -> None:
    assert curves.higher_is_better(metric) is up


def test_importance_keeps_its_sign() -> None:
    found = importance.of([("a", 0.5), ("b", -2.0), ("c", 0.0), ("d", 1.5)])
    assert [name for name, _, _ in found.top] == ["b", "d", "a", "c"]
    assert found.top[0] == ("b", -2.0, 0.5)
    assert (found.signed, found.unused, found.half, found.features) == (True, 1, 1, 4)


def test_quality_finds_each_fault() -> None:
    table = pl.DataFrame(
        {
            "plain": [1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0, 9.0, 1000.0],
            "same": ["x"] * 10,
            "holes": [None, None, None, 1, 2, 3, 4, 5, 6, 7],
            "mixed": ["1", "2", "3", "4", "five", "6", "7", "NA", "?", "10"],
            "wild": [math.inf, math.nan, 1.0, 2.0, 3.0, 4.0, 5.0, 6.0, 7.0, 8.0],
        }
    )
    found = quality.of(Frames(table=pl.concat([table, table.head(1)])))
    columns = {column.name: column for column in found.columns}
    assert columns["plain"].outliers == 1
    assert columns["same"].constant
    assert columns["holes"].missing == 4
    assert columns["mixed"].mixed == pytest.approx(1 / 9)
    assert columns["mixed"].hidden == 2
    assert (columns["wild"].infinite, columns["wild"].missing) == (2, 1)
    assert found.duplicates == 1
    assert 0 < found.score < 100
    assert {name for name, _ in found.deductions} == {"missing", "duplicates", "constant", "mixed", "outliers"}


def test_quality_of_clean_data_is_full_marks() -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        found = quality.of(Frames(table=pl.DataFrame({"a": list(range(50)), "b": [f"w{n}" for n in range(50)]})))
    assert found.score == 100


def test_quality_of_ten_thousand_columns() -> None:
    found = quality.of(Frames(table=pl.DataFrame({f"c{n}": [1, 2, n] for n in range(10_000)})))
    assert (found.all_columns, len(found.columns)) == (10_000, quality.COLUMNS)
