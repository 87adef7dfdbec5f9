"""Charts that judge a model, one of each form, from figures of scikit-learn's own data."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
import polars as pl
from sklearn import datasets
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import train_test_split
from sklearn.preprocessing import StandardScaler

from everfix.documents.model import Chart, Column, Table, Unit
from everfix.ml.figures import classification, drift
from everfix.ml.figures.frames import Frames


@lru_cache(maxsize=1)
def binary() -> classification.Binary:
    data = datasets.load_breast_cancer()
    x, xt, y, yt = train_test_split(StandardScaler().fit_transform(data.data[:, :4]), data.target, test_size=0.4, random_state=1)
    return classification.binary(yt, LogisticRegression().fit(x, y).predict_proba(xt)[:, 1])


def _table(columns: tuple[tuple[str, str, Unit], ...], rows: Any) -> Table:
    return Table(key="data", columns=tuple(Column(key=key, title=title, unit=unit) for key, title, unit in columns), rows=tuple(rows))


def roc() -> Chart:
    curve = binary().roc
    rows = [(x, y, "") for x, y in zip(curve.x, curve.y, strict=True)]
    rows.append((*(curve.at or (0.0, 0.0)), "threshold 0.5"))
    rows.sort(key=lambda row: (row[0], row[1]))
    table = _table((("fpr", "False positive rate", Unit.PERCENT), ("tpr", "True positive rate", Unit.PERCENT), ("at", "", Unit.TEXT)), rows)
    return Chart(
        key="roc", title="ROC", form="curve", table=table, x="fpr", y=("tpr",), marked="at", diagonal=True, alt="ROC of the model."
    )


def confusion() -> Chart:
    found = binary()
    counts = (
        ("benign", "benign", found.tp),
        ("benign", "malignant", found.fn),
        ("malignant", "benign", found.fp),
        ("malignant", "malignant", found.tn),
    )
    rows = [(true, said, count / (found.tp + found.fn if true == "benign" else found.fp + found.tn), count) for true, said, count in counts]
    columns = (
        ("true", "True class", Unit.TEXT),
        ("said", "Predicted class", Unit.TEXT),
        ("rate", "Share", Unit.PERCENT),
        ("count", "Rows", Unit.COUNT),
    )
    return Chart(
        key="c",
        title="Confusion",
        form="confusion",
        table=_table(columns, rows),
        x="said",
        y=("rate", "count"),
        series="true",
        alt="Confusion.",
    )


def learning() -> Chart:
    rows = []
    for split, floor in (("train", 0.05), ("validation", 0.22)):
        for step in range(0, 101, 4):
            value = floor + 0.6 * float(np.exp(-step / 14)) + (0.0012 * max(0, step - 40) if split == "validation" else 0.0)
            rows.append((step, split, value, "best at 40" if split == "validation" and step == 40 else ""))
    columns = (("step", "Trees", Unit.COUNT), ("split", "Split", Unit.TEXT), ("value", "Log loss", Unit.MEASURE), ("at", "", Unit.TEXT))
    return Chart(
        key="l",
        title="Log loss",
        form="learning",
        table=_table(columns, rows),
        x="step",
        y=("value",),
        series="split",
        marked="at",
        alt="Loss.",
    )


def importance() -> Chart:
    rows = [
        ("worst concave points", 1.92),
        ("mean radius", -1.31),
        ("texture error", 0.7),
        ("a quite long name of a feature", -0.22),
        ("area", 0.05),
    ]
    table = _table((("feature", "Feature", Unit.TEXT), ("importance", "Coefficient", Unit.MEASURE)), rows)
    return Chart(key="i", title="Importance", form="signed", table=table, x="feature", y=("importance",), alt="Importance.")


def correlation() -> Chart:
    names = ("age", "income", "spending", "visits")
    chance = np.random.default_rng(1)
    rows = [(a, b, None if a == b else float(chance.uniform(-0.6, 0.6))) for a in names for b in names]
    columns = (("first", "First", Unit.TEXT), ("second", "Second", Unit.TEXT), ("gap", "Difference", Unit.MEASURE))
    return Chart(
        key="d",
        title="Difference",
        form="diverging",
        table=_table(columns, rows),
        x="second",
        y=("gap",),
        series="first",
        alt="Differences.",
    )


def multiples() -> Chart:
    chance = np.random.default_rng(2)
    names = ("amount", "age of account", "items", "country", "hour", "channel")
    before = pl.DataFrame({name: chance.normal(0, 1, 800) if n % 3 else chance.choice(list("abcde"), 800) for n, name in enumerate(names)})
    now = pl.DataFrame(
        {name: chance.normal(0.3 * n, 1, 900) if n % 3 else chance.choice(list("abcdf"), 900) for n, name in enumerate(names)}
    )
    rows = [
        (f"{one.feature}: PSI {one.psi:.2f}", name, a, b)
        for one in drift.compare(Frames(table=before), Frames(table=now), names).columns
        for name, a, b in zip(one.bins, one.reference, one.current, strict=True)
    ]
    columns = (
        ("feature", "Feature", Unit.TEXT),
        ("bin", "Bin", Unit.TEXT),
        ("before", "Reference", Unit.PERCENT),
        ("now", "Now", Unit.PERCENT),
    )
    return Chart(
        key="m", title="Drift", form="multiples", table=_table(columns, rows), x="bin", y=("before", "now"), series="feature", alt="Drift."
    )


ALL = (roc, confusion, learning, importance, correlation, multiples)
