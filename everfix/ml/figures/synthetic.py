"""Quality of synthetic data: SDMetrics' scores of shapes, pairs, validity, structure and coverage, correlations, and detection."""

from __future__ import annotations

import contextlib
import io
import math
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd

from everfix.ml.figures import arrays
from everfix.ml.figures.twins import SEED, Metadata, number
from everfix.ml.figures.unmade import Unmade

TABLE = "table"
DETECT = 5_000  # rows of each side that the classifier sees
DRAWN = 24  # bins of an overlaid histogram
WIDEST = 60  # columns of which pairs are scored: pairs grow with the square
CATEGORIES = 12


@dataclass(frozen=True, slots=True)
class Shape:
    """How alike one column is, and both its distributions in shares."""

    column: str
    kind: str
    metric: str
    score: float | None
    coverage: float | None
    bins: tuple[str, ...]
    real: tuple[float, ...]
    synthetic: tuple[float, ...]
    missing_real: float
    missing_synthetic: float
    mean_real: float | None = None
    mean_synthetic: float | None = None
    std_real: float | None = None
    std_synthetic: float | None = None


@dataclass(frozen=True, slots=True)
class Pair:
    """How alike two columns hang together."""

    first: str
    second: str
    metric: str
    score: float | None
    real: float | None
    synthetic: float | None


@dataclass(frozen=True, slots=True)
class Scores:
    """The scores of SDMetrics (0–1), with the columns it could not score and why."""

    quality: float
    shapes_score: float
    pairs_score: float | None
    diagnostic: float
    validity: float
    structure: float
    shapes: tuple[Shape, ...]
    pairs: tuple[Pair, ...]
    checks: tuple[tuple[str, str, float | None], ...]  # column, check, score
    unmade: tuple[tuple[str, str], ...]
    real_rows: int
    synthetic_rows: int
    sampled: bool


@dataclass(frozen=True, slots=True)
class Correlations:
    """Pearson's coefficients of the numeric columns on both sides; None where a column is constant."""

    columns: tuple[str, ...]
    real: tuple[tuple[float | None, ...], ...]
    synthetic: tuple[tuple[float | None, ...], ...]
    mean_difference: float  # of absolute values, over all pairs known on both sides
    largest: tuple[str, str, float]


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """SDMetrics warns of what its details already say, and shows bars of progress."""
    with warnings.catch_warnings(), contextlib.redirect_stderr(io.StringIO()):
        warnings.simplefilter("ignore")
        yield


def scores(real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata, *, sampled: bool = False) -> Scores:
    """Return the quality and diagnostic reports of SDMetrics; raises Unmade where no column stands in both tables."""
    from sdmetrics.reports import DiagnosticReport, QualityReport  # noqa: PLC0415 - seconds, only for this report

    both, unmade = _shared(real, synthetic, described)
    known = _narrow(described, both)
    state = np.random.get_state()  # noqa: NPY002 - SDMetrics draws from the global one
    np.random.seed(SEED)  # noqa: NPY002
    try:
        with _quiet():
            diagnostic, quality = DiagnosticReport(), QualityReport()
            diagnostic.generate({TABLE: real}, {TABLE: synthetic}, _tables(described), verbose=False)
            quality.generate({TABLE: real[both]}, {TABLE: synthetic[both]}, _tables(known), verbose=False)
            details = {name: quality.get_details(name) for name in ("Column Shapes", "Column Pair Trends")}
            checks = diagnostic.get_details("Data Validity")
    finally:
        np.random.set_state(state)  # noqa: NPY002
    return _scores(real, synthetic, known, details, checks, _parts(quality), _parts(diagnostic), quality.get_score(),
                   diagnostic.get_score(), unmade, sampled=sampled)  # fmt: skip


def _tables(described: Metadata) -> Metadata:
    return {"tables": {TABLE: described}, "relationships": []}


def _shared(real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata) -> tuple[list[str], list[tuple[str, str]]]:
    both = [name for name in described["columns"] if name in real and name in synthetic]
    unmade = [(name, "the synthetic table does not have it") for name in described["columns"] if name not in synthetic]
    empty = [name for name in both if real[name].isna().all() or synthetic[name].isna().all()]
    unmade += [(name, "it has no value on one side") for name in empty]
    both = [name for name in both if name not in empty]
    if len(both) > WIDEST:
        unmade.append((f"{len(both) - WIDEST} columns", f"only the first {WIDEST} columns are scored: pairs grow with their square"))
        both = both[:WIDEST]
    if not any(described["columns"][name]["sdtype"] != "id" for name in both):
        raise Unmade("no column with values stands in both the real and the synthetic table")
    return both, unmade


def _narrow(described: Metadata, names: list[str]) -> Metadata:
    kept = {name: described["columns"][name] for name in names}
    return {"columns": kept} | ({"primary_key": described["primary_key"]} if described.get("primary_key") in kept else {})


def _parts(report: Any) -> dict[str, float | None]:  # noqa: ANN401 - a report of SDMetrics
    found = report.get_properties()
    return {str(name): arrays.plain(score) for name, score in zip(found["Property"], found["Score"], strict=True)}


def _scores(
    real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata, details: dict[str, pd.DataFrame], checks: pd.DataFrame,
    quality: dict[str, float | None], diagnostic: dict[str, float | None], overall: float, sound: float, unmade: list[tuple[str, str]],
    *, sampled: bool,
) -> Scores:  # fmt: skip
    shapes, pairs = details["Column Shapes"], details["Column Pair Trends"]
    errors = [
        (str(row["Column"]), str(row["Error"])[:200])
        for row in shapes.to_dict("records")
        if isinstance(row.get("Error"), str) and row["Error"]
    ]
    return Scores(
        quality=float(overall), shapes_score=quality["Column Shapes"] or 0.0, pairs_score=quality.get("Column Pair Trends"),
        diagnostic=float(sound), validity=diagnostic["Data Validity"] or 0.0, structure=diagnostic["Data Structure"] or 0.0,
        shapes=tuple(_shape(row, real, synthetic, described) for row in shapes.to_dict("records")),
        pairs=tuple(_pair(row) for row in pairs.to_dict("records")),
        checks=tuple((str(row["Column"]), str(row["Metric"]), arrays.plain(row["Score"])) for row in checks.to_dict("records")),
        unmade=(*unmade, *errors), real_rows=len(real), synthetic_rows=len(synthetic), sampled=sampled,
    )  # fmt: skip


def _shape(row: dict[Any, Any], real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata) -> Shape:
    name = str(row["Column"])
    kind = described["columns"][name]["sdtype"]
    ours, theirs = real[name], synthetic[name]
    numbers = kind in ("numerical", "datetime")
    bins, shares = _spans(ours, theirs) if numbers else _categories(ours, theirs)
    made = [float(side.mean()) if kind == "numerical" else None for side in (ours, theirs)]
    wide = [float(side.std()) if kind == "numerical" and len(side) > 1 else None for side in (ours, theirs)]
    return Shape(
        name, kind, str(row["Metric"]), arrays.plain(row["Score"]), _coverage(ours, theirs, numbers=numbers), bins, shares[0], shares[1],
        float(ours.isna().mean()), float(theirs.isna().mean()),
        arrays.plain(made[0]), arrays.plain(made[1]), arrays.plain(wide[0]), arrays.plain(wide[1]),
    )  # fmt: skip


def _coverage(real: Any, synthetic: Any, *, numbers: bool) -> float | None:  # noqa: ANN401 - columns of pandas
    """Return SDMetrics' range or category coverage."""
    from sdmetrics.single_column import CategoryCoverage, RangeCoverage  # noqa: PLC0415

    with _quiet(), np.errstate(all="ignore"):
        return arrays.plain((RangeCoverage if numbers else CategoryCoverage).compute(real, synthetic))


def _spans(real: Any, synthetic: Any) -> tuple[tuple[str, ...], list[tuple[float, ...]]]:  # noqa: ANN401
    ours, theirs = number(real), number(synthetic)
    low, high = min(ours.min(), theirs.min()), max(ours.max(), theirs.max())
    count = DRAWN if low < high else 1
    edges = np.linspace(low, high if low < high else low + 1, count + 1)
    shares = [tuple(map(float, np.histogram(side, edges)[0] / side.size)) for side in (ours, theirs)]
    day = real.dtype.kind == "M"
    words = [str(np.datetime64(round(edge), "s"))[:10] if day else arrays.short(edge) for edge in edges[:-1]]
    return tuple(words), shares


def _categories(real: Any, synthetic: Any) -> tuple[tuple[str, ...], list[tuple[float, ...]]]:  # noqa: ANN401
    ours, theirs = (side.dropna().astype(str).value_counts(normalize=True) for side in (real, synthetic))
    names = sorted(set(ours.index) | set(theirs.index), key=lambda name: (-ours.get(name, 0.0), name))[:CATEGORIES]
    shares = [tuple(float(side.get(name, 0.0)) for name in names) for side in (ours, theirs)]
    return tuple(name[: arrays.LABEL] for name in names), shares


def _pair(row: dict[Any, Any]) -> Pair:
    either = [row.get(f"{side} Correlation") for side in ("Real", "Synthetic")]
    if not isinstance(either[0], float) or math.isnan(either[0]):
        either = [row.get(f"{side} Association") for side in ("Real", "Synthetic")]
    known = [arrays.plain(value) if isinstance(value, float) else None for value in (row["Score"], *either)]
    return Pair(str(row["Column 1"]), str(row["Column 2"]), str(row["Metric"]), known[0], known[1], known[2])


def correlations(real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata, most: int = 20) -> Correlations:
    """Return the correlations of numeric columns on both sides; raises Unmade for fewer than two."""
    names = [name for name, told in described["columns"].items() if told["sdtype"] == "numerical" and name in real and name in synthetic][
        :most
    ]
    if len(names) < 2:
        raise Unmade(f"{len(names)} numeric columns stand in both tables; correlations need two")
    ours, theirs = (side[names].corr().to_numpy() for side in (real, synthetic))
    gap = np.abs(ours - theirs)
    upper = np.triu(np.isfinite(gap), k=1)
    if not upper.any():
        raise Unmade("no pair of columns varies on both sides")
    worst = np.unravel_index(np.where(upper, gap, -1).argmax(), gap.shape)
    sides = [tuple(tuple(arrays.plain(value) for value in row) for row in side) for side in (ours, theirs)]
    return Correlations(tuple(names), sides[0], sides[1], float(gap[upper].mean()), (names[worst[0]], names[worst[1]], float(gap[worst])))


def detection(real: pd.DataFrame, synthetic: pd.DataFrame, described: Metadata) -> float:
    """Return how well a logistic classifier tells the tables apart: the mean area under ROC of three folds, 0.5 for not at all.

    SDMetrics' LogisticDetection is 1 − (2 × area − 1) of the same folds; raises Unmade where no column can be modelled.
    """
    from sdmetrics.errors import IncomputableMetricError  # noqa: PLC0415
    from sdmetrics.single_table import LogisticDetection  # noqa: PLC0415

    usable = [name for name, told in described["columns"].items() if told["sdtype"] in ("numerical", "datetime", "categorical")]
    names = [name for name in usable if name in real and name in synthetic and real[name].notna().any() and synthetic[name].notna().any()]
    if not names:
        raise Unmade("no numeric, dated or categorical column stands in both tables")
    sides = [side[names].sample(min(len(side), DETECT), random_state=SEED) for side in (real, synthetic)]
    state = np.random.get_state()  # noqa: NPY002 - as above
    np.random.seed(SEED)  # noqa: NPY002
    try:
        with _quiet():
            score = float(LogisticDetection.compute(*sides, _narrow(described, names)))
    except (IncomputableMetricError, ValueError) as problem:
        raise Unmade(f"the classifier could not be trained: {problem}") from problem
    finally:
        np.random.set_state(state)  # noqa: NPY002
    if math.isnan(score):
        raise Unmade("the classifier could not be trained on these columns")
    return 1 - score / 2
