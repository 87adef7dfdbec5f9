"""Drift, traffic and synthetic data: equal to Evidently's and SDMetrics' figures, bounded in memory, clear about what cannot be made."""

from __future__ import annotations

import math
import warnings
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest
from scipy import stats

from everfix.ml.figures import deployment, drift, nearest, synthetic, twins
from everfix.ml.figures.frames import Frames
from everfix.ml.figures.unmade import Unmade
from tests.shared import shared

CLOSE = 1e-6
START = datetime(2026, 3, 1, tzinfo=UTC)


def _sides(before: int, now: int) -> tuple[pl.DataFrame, pl.DataFrame]:
    chance = np.random.default_rng(before)
    frames = []
    for rows, shift, letters in ((before, 0.0, "abc"), (now, 0.25, "abcd")):
        frames.append(
            pl.DataFrame(
                {
                    "amount": chance.normal(shift, 1 + shift, rows),
                    "kind": chance.choice(list(letters), rows),
                    "stars": chance.integers(0, 5, rows),
                    "still": chance.normal(0, 1, rows),
                }
            )
        )
    return frames[0], frames[1]


@pytest.mark.parametrize(("before", "now"), [(400, 900), (12_000, 25_000)])
def test_drift_is_evidentlys(before: int, now: int) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from evidently.legacy.calculations.stattests.jensenshannon import _jensenshannon
        from evidently.legacy.calculations.stattests.ks_stattest import _ks_stat_test
        from evidently.legacy.calculations.stattests.psi import _psi
        from evidently.legacy.core import ColumnType
    a, b = _sides(before, now)
    found = drift.compare(Frames(table=a), Frames(table=b), list(a.columns))
    assert not found.unmade
    for one in found.columns:
        kind = ColumnType.Categorical if one.kind == "categorical" else ColumnType.Numerical
        sides = a[one.feature].to_pandas(), b[one.feature].to_pandas()
        assert one.psi == pytest.approx(_psi(*sides, kind, 0.1)[0], abs=CLOSE), one.feature
        assert one.js == pytest.approx(_jensenshannon(*sides, kind, 0.1)[0], abs=CLOSE), one.feature
        if one.kind == "numeric":
            assert one.ks_p == pytest.approx(_ks_stat_test(*sides, kind, 0.05)[0], abs=CLOSE), one.feature
            assert one.ks == pytest.approx(stats.ks_2samp(*sides).statistic, abs=CLOSE)
    bands = {one.feature: one.band for one in found.columns}
    assert bands["still"] == "stable"
    assert bands["kind"] == "major"


def test_stretches_of_files_give_the_same_figures(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("everfix.ml.figures.frames.STRETCH", 1_000)
    a, b = _sides(3_000, 15_000)
    parts = []
    for number, part in enumerate(b.iter_slices(4_000)):
        parts.append(tmp_path / f"{number}.parquet")
        part.write_parquet(parts[-1], row_group_size=1_500)
    whole = drift.compare(Frames(table=a), Frames(table=b), list(a.columns))
    split = drift.compare(Frames(table=a), Frames(files=tuple(parts)), list(a.columns))
    for one, other in zip(whole.columns, split.columns, strict=True):
        assert (one.feature, one.psi, one.js, one.ks, one.ks_p) == pytest.approx((other.feature, other.psi, other.js, other.ks, other.ks_p))


def test_an_outlier_does_not_hide_drift() -> None:
    """One value of 1e9 presses all rows into one bin of equal width, where no shift can be seen."""
    chance = np.random.default_rng(3)
    a = pl.DataFrame({"x": chance.normal(0, 1, 2_000)})
    b = pl.DataFrame({"x": np.append(chance.normal(1, 1, 2_000), 1e9)})
    found = drift.compare(Frames(table=a), Frames(table=b), ["x"]).columns[0]
    assert (found.binning, found.band) == ("deciles", "major")


@pytest.mark.parametrize(("score", "band"), [(0.0, "stable"), (0.0999, "stable"), (0.1, "moderate"), (0.25, "moderate"), (0.2501, "major")])
def test_bands(score: float, band: str) -> None:
    assert drift.band(score) == band


def test_columns_that_cannot_be_compared_are_listed_with_their_reason() -> None:
    a = pl.DataFrame({"gone": [1.0, 2.0], "empty": [1.0, 2.0], "other": [1.0, 2.0], "id": ["a", "b"], "same": [3.0, 3.0]})
    b = pl.DataFrame(
        {"empty": [None, math.nan], "other": ["x", "y"], "id": ["c", "d"], "same": [3.0, 3.0]}, schema_overrides={"empty": pl.Float64}
    )
    found = drift.compare(Frames(table=a), Frames(table=b), ["gone", "empty", "other", "id", "same"])
    reasons = dict(found.unmade)
    assert "not in the log" in reasons["gone"]
    assert "no value" in reasons["empty"]
    assert "String" in reasons["other"]
    assert [one.psi for one in found.columns if one.feature == "same"] == [0.0]


def test_identifiers_have_no_distribution() -> None:
    a = pl.DataFrame({"id": [str(n) for n in range(drift.CATEGORIES + 1)]})
    assert "identifier" in drift.compare(Frames(table=a), Frames(table=a), ["id"]).unmade[0][1]


def _log(rows: int, days: int = 10) -> pl.DataFrame:
    chance = np.random.default_rng(4)
    seconds = np.sort(chance.uniform(0, days * 86400, rows))
    late = seconds > 7 * 86400
    failed = chance.random(rows) < np.where(late, 0.05, 0.01)
    return pl.DataFrame(
        {
            "timestamp": pl.Series([START]).dt.cast_time_unit("us").new_from_index(0, rows)
            + pl.Series(seconds * 1e6).cast(pl.Duration("us")),
            "latency_ms": chance.lognormal(3, 0.5, rows),
            "error": pl.Series(np.where(failed, "timeout", "")).replace("", None),
            "amount": chance.normal(np.where(late, 0.8, 0.0), 1, rows),
        }
    )


def test_traffic_is_what_the_rows_say() -> None:
    log = _log(5_000)
    found = deployment.traffic(Frames(table=log))
    assert found.rows == sum(moment.rows for moment in found.moments) == 5_000
    assert found.errors == log["error"].is_not_null().sum() == dict(found.codes)["timeout"]
    assert found.latency == pytest.approx([float(np.quantile(log["latency_ms"], share)) for share in deployment.SHARES])
    assert found.exact
    assert found.step == timedelta(hours=4)
    day = log.filter((pl.col("timestamp") >= found.moments[3].at) & (pl.col("timestamp") < found.moments[4].at))
    assert found.moments[3].latency[0] == pytest.approx(float(np.quantile(day["latency_ms"], 0.5)))
    assert sum(rows for *_, rows in found.latency_bins) == 5_000


def test_a_long_log_is_sketched_to_half_a_percent(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(deployment, "EXACT", 1_000)
    log = _log(20_000)
    found = deployment.traffic(Frames(table=log))
    assert not found.exact
    for value, share in zip(found.latency, deployment.SHARES, strict=True):
        assert value == pytest.approx(float(np.quantile(log["latency_ms"], share, method="lower")), rel=0.0051), share


def test_a_log_is_read_in_its_time_only() -> None:
    log = _log(2_000)
    cut = Frames(table=log, since=START + timedelta(days=8), until=START + timedelta(days=9))
    expected = log.filter((pl.col("timestamp") >= cut.since) & (pl.col("timestamp") < cut.until))
    assert cut.rows == deployment.traffic(cut).rows == expected.height
    assert cut.near().table is not None


@pytest.mark.parametrize(
    ("log", "words"),
    [
        (pl.DataFrame({"latency_ms": [1.0]}), "timestamp"),
        (pl.DataFrame({"timestamp": [1, 2]}), "not a time"),
        (pl.DataFrame({"timestamp": pl.Series([], dtype=pl.Datetime("us"))}), "no prediction"),
    ],
)
def test_a_log_that_is_none_says_why(log: pl.DataFrame, words: str) -> None:
    with pytest.raises(Unmade, match=words):
        deployment.traffic(Frames(table=log))


# ---- synthetic data


def _demo(name: str) -> tuple[Frames, Frames]:
    read = [pl.read_csv(shared(f"data/ml_tables/{name}_{side}.csv"), try_parse_dates=True) for side in ("real", "synthetic")]
    return Frames(table=read[0]), Frames(table=read[1])


@pytest.fixture(scope="module")
def students() -> tuple[Any, Any, twins.Metadata]:
    real, made = _demo("student_placements")
    described = twins.metadata(real, {}, "student_id")
    return twins.table(real, described), twins.table(made, described), described


def test_scores_are_sdmetrics(students: tuple[Any, Any, twins.Metadata]) -> None:
    real, made, described = students
    found = synthetic.scores(real, made, described)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        from sdmetrics.reports.single_table import DiagnosticReport, QualityReport
        from sdmetrics.single_column import CategoryCoverage, KSComplement

        quality, diagnostic = QualityReport(), DiagnosticReport()
        quality.generate(real, made, described, verbose=False)
        diagnostic.generate(real, made, described, verbose=False)
    parts = dict(zip(quality.get_properties()["Property"], quality.get_properties()["Score"], strict=True))
    assert found.quality == pytest.approx(quality.get_score(), abs=CLOSE)
    assert found.shapes_score == pytest.approx(parts["Column Shapes"], abs=CLOSE)
    assert found.pairs_score == pytest.approx(parts["Column Pair Trends"], abs=CLOSE)
    assert found.diagnostic == pytest.approx(diagnostic.get_score(), abs=CLOSE)
    shapes = {shape.column: shape for shape in found.shapes}
    assert shapes["salary"].score == pytest.approx(KSComplement.compute(real["salary"], made["salary"]), abs=CLOSE)
    assert shapes["gender"].coverage == pytest.approx(CategoryCoverage.compute(real["gender"], made["gender"]), abs=CLOSE)
    assert sum(shapes["salary"].real) == pytest.approx(1.0)


def test_distances_are_sdmetrics(students: tuple[Any, Any, twins.Metadata]) -> None:
    from sdmetrics.single_table.privacy.dcr_utils import calculate_dcr

    real, made, described = students
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        theirs = calculate_dcr(made, real, described)
    ours, second = nearest.Space(real.drop(columns="student_id"), described).nearest(made)
    assert ours == pytest.approx(theirs.to_numpy(), abs=CLOSE)
    assert (second >= ours).all()


def test_detection_is_sdmetrics(students: tuple[Any, Any, twins.Metadata]) -> None:
    from sdmetrics.single_table import LogisticDetection

    real, made, described = students
    area = synthetic.detection(real, made, described)
    names = [name for name, told in described["columns"].items() if told["sdtype"] in ("numerical", "datetime", "categorical")]
    state = np.random.get_state()  # noqa: NPY002 - as SDMetrics draws
    np.random.seed(twins.SEED)  # noqa: NPY002
    sides = [side[names].sample(len(side), random_state=twins.SEED) for side in (real, made)]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        score = LogisticDetection.compute(*sides, {"columns": {name: described["columns"][name] for name in names}})
    np.random.set_state(state)  # noqa: NPY002
    assert area == pytest.approx(1 - score / 2, abs=CLOSE)


def test_copies_are_found(students: tuple[Any, Any, twins.Metadata]) -> None:
    real, made, described = students
    copied = made.copy()
    copied.iloc[:20] = real[copied.columns].iloc[:20]
    honest, caught = nearest.of(real, made, described), nearest.of(real, copied, described)
    assert (honest.exact, caught.exact) == (0, 20)
    assert nearest.of(real, real, described).exact_share == 1.0
    assert honest.protection is not None
    assert 0.5 < honest.protection <= 1.0


def test_a_holdout_shows_memorising(students: tuple[Any, Any, twins.Metadata]) -> None:
    real, _, described = students
    train, held = real.iloc[:100].reset_index(drop=True), real.iloc[100:200].reset_index(drop=True)
    assert nearest.of(train, train, described, held).holdout_closer == 0.0
    assert nearest.of(train, held, described, held).holdout_closer == 1.0


def test_correlations_are_pandas(students: tuple[Any, Any, twins.Metadata]) -> None:
    real, made, described = students
    found = synthetic.correlations(real, made, described)
    place = {name: n for n, name in enumerate(found.columns)}
    one = found.real[place["salary"]][place["mba_perc"]]
    assert one == pytest.approx(real["salary"].corr(real["mba_perc"]), abs=CLOSE)
    assert found.mean_difference > 0


def test_a_second_table_and_hostile_names() -> None:
    """Column names and values that are code to a query are data here."""
    real, made = _demo("timeseries")
    hostile = {"region": "__import__('os').system('false')", "total_sales": "a b`'\"\n."}
    sides = [Frames(table=side.table.rename(hostile)) for side in (real, made) if side.table is not None]
    described = twins.metadata(sides[0], {}, None)
    tables = [twins.table(side, described) for side in sides]
    assert 0 < synthetic.scores(tables[0], tables[1], described).quality <= 1
    assert nearest.of(tables[0], tables[1], described).rows > 0


@pytest.mark.parametrize(
    ("columns", "words"),
    [({"a": [None, None]}, "no column with values"), ({"b": [1, 2]}, "no column of the real table"), ({"a": []}, "no rows")],
)
def test_synthetic_tables_that_share_nothing(columns: dict[str, Any], words: str) -> None:
    real, made = Frames(table=pl.DataFrame({"a": [1, 2]})), Frames(table=pl.DataFrame(columns))
    described = twins.metadata(real, {}, None)
    with pytest.raises(Unmade, match=words):
        synthetic.scores(twins.table(real, described), twins.table(made, described), described)


def test_a_sample_is_the_same_each_time() -> None:
    big = Frames(table=pl.DataFrame({"a": list(range(10_000))}))
    described = twins.metadata(big, {}, None)
    one, two = twins.table(big, described, 500), twins.table(big, described, 500)
    assert len(one) == 500
    assert one.equals(two)
