"""The five kinds and the privacy session from real data: what each holds, and words that its figures prove."""

from __future__ import annotations

import re
from typing import Any

import numpy as np
import polars as pl
import pytest
from sklearn import metrics as scores

from everfix import documents
from everfix.documents.model import Chart, Document, Figures, Narrative, Table
from everfix.narrative import grounding
from tests import make, ml_work
from tests.ml_work import built

HOLDS = {
    "experiment": {
        "glance",
        "checks",
        "run",
        "leaderboard",
        "comparison",
        "features",
        "confusion",
        "roc",
        "parameters",
        "engines",
        "failed",
        "data",
    },
    "model": {
        "glance",
        "checks",
        "identity",
        "metrics",
        "classes",
        "confusion",
        "roc",
        "calibration",
        "features",
        "learning",
        "parameters",
        "data",
    },
    "regression": {"glance", "checks", "identity", "metrics", "residuals", "worst", "features", "parameters", "data"},
    "multiclass": {"glance", "identity", "metrics", "classes", "confusion", "roc", "calibration"},
    "project": {"glance", "problems", "experiments", "best", "deployments", "datasets", "timeline"},
    "deployment": {
        "glance",
        "checks",
        "volume",
        "latency",
        "errors",
        "drift",
        "drift_by_time",
        "prediction",
        "quality",
        "monitors",
        "parameters",
    },
    "synthgen": {"glance", "distributions", "correlations", "pairs", "validity", "detection", "privacy", "loss", "parameters"},
    "timeseries": {"glance", "distributions", "correlations", "validity", "privacy"},
    "privacy": {"glance", "checks", "session", "findings", "transformations", "risks", "data"},
}
AS = {"regression": "model", "multiclass": "model", "timeseries": "synthgen"}


def entity(workspace: make.Workspace, name: str) -> Any:
    home = ml_work.project(workspace)
    if name in ("synthgen", "timeseries"):
        return ml_work.synthetic(workspace, home, "timeseries" if name == "timeseries" else "student_placements")
    if name == "privacy":
        return ml_work.privacy(workspace, home)
    if name == "regression":
        return ml_work.diabetes(workspace, home)
    if name == "multiclass":
        return ml_work.wine(workspace, home)
    found, models = ml_work.cancer(workspace, home)
    if name in ("deployment", "project"):
        live = ml_work.deployment(workspace, models[0])
        return live if name == "deployment" else home
    return {"experiment": found, "model": models[0]}[name]


@pytest.fixture(params=list(HOLDS))
def made(request: pytest.FixtureRequest, alice: make.Workspace) -> tuple[str, Document]:
    name = str(request.param)
    return name, built(alice, AS.get(name, name), entity(alice, name), llm_insights=True)[0]


def blocks_of(document: Document, section: str) -> dict[str, Any]:
    return {block.key: block for block in next(one for one in document.sections if one.id == section).blocks}


def test_each_kind_holds_its_parts_and_words_its_figures_prove(made: tuple[str, Document]) -> None:
    name, document = made
    sections = {section.id for section in document.sections}
    assert HOLDS[name] <= sections, HOLDS[name] - sections
    assert not [block for section in document.sections for block in section.blocks if block.key == "unmade"]
    story = document.narrative
    assert story is not None
    assert "left out" not in story.note, story.note
    assert story.executive_summary
    assert story.key_takeaways
    assert not grounding.check(story, document)
    _corrupted(document, story)
    for section in document.sections:
        for block in section.blocks:
            assert not isinstance(block, Chart) or len(block.alt) > 30, "a text alternative that tells what is to be seen"
    assert len(documents.render(document, "html")) <= 500_000


def _corrupted(document: Document, story: Narrative) -> None:
    """A number that is not the report's is refused, wherever it stands."""
    for text in (*story.executive_summary, *story.sections.values(), *story.key_takeaways):
        for number in re.finditer(r"(?<![\w.,])\d+(?:,\d{3})*(?:\.\d+)?(?![\w.,]*\w)", text):
            wrong = f"{text[: number.start()]}{float(number[0].replace(',', '')) + 7.31:.2f}{text[number.end() :]}"
            broken = story.model_copy(update={"executive_summary": (wrong,), "sections": {}, "key_takeaways": ()})
            assert grounding.check(broken, document), wrong


def test_figures_are_those_of_scikit_learn(alice: make.Workspace) -> None:
    model = entity(alice, "model")
    document, summary = built(alice, "model", model)
    frame = next(evaluation for name, _, evaluation, _, _ in ml_work._cancer()[1] if name == "GBM_1")
    test = frame.filter(frame["split"] == "test")
    truth, score = test["y_true"].to_numpy(), test["y_score"].to_numpy()
    shown = {figure.key: figure.value for figure in blocks_of(document, "glance")["figures"].figures}
    assert shown["auc"] == pytest.approx(scores.roc_auc_score(truth, score), abs=1e-6)
    assert shown["accuracy"] == pytest.approx(scores.accuracy_score(truth, score >= 0.5), abs=1e-6)
    assert summary["primary_metric"] == {"name": "auc", "value": shown["auc"]}
    split = blocks_of(document, "metrics")["metrics"]
    assert [column.title for column in split.columns] == ["Metric", "Test", "Train"]


def test_the_leaderboard_is_sorted_and_its_best_model_is_told(alice: make.Workspace) -> None:
    document, _ = built(alice, "experiment", entity(alice, "experiment"))
    board = blocks_of(document, "leaderboard")["leaderboard"]
    areas = board.column("auc")
    assert list(areas) == sorted(areas, reverse=True)
    assert board.column("rank") == (1, 2, 3)
    assert blocks_of(document, "failed")["failed"].rows[0][2] == "out of memory after 12 trees"
    signed = blocks_of(document, "features")["importance_chart"]
    assert signed.form == "signed"


def test_planted_drift_and_errors_are_found(alice: make.Workspace) -> None:
    document, summary = built(alice, "deployment", entity(alice, "deployment"))
    followed = blocks_of(document, "drift_by_time")["drift_by_time_chart"].table
    amount = next(column.key for column in followed.columns if column.title == "amount")
    line = followed.column(amount)
    assert max(line[:6]) < 0.1
    assert line[-1] > 0.25
    verdicts = {row[0]: row[3] for row in blocks_of(document, "checks")["checks"].rows}
    assert verdicts["Drift in the latest stretch"] == "fail"
    assert verdicts["Error rate"] == "warn"
    assert summary["checks"]["fail"] >= 1
    log = ml_work.log(6_000)
    latency = {row[0]: row[1] for row in blocks_of(document, "latency")["latency"].rows}
    assert latency["p95"] == pytest.approx(float(np.quantile(log["latency_ms"], 0.95)), rel=1e-6)
    labelled = log.filter(log["label"].is_not_null())
    quality = {figure.key: figure.value for figure in blocks_of(document, "quality")["quality_figures"].figures}
    assert quality["auc"] == pytest.approx(scores.roc_auc_score(labelled["label"], labelled["score"]), abs=1e-6)


def test_a_log_that_tells_no_errors_has_no_error_rate(alice: make.Workspace) -> None:
    """Nothing known is not nothing failed; and a sentence that reads otherwise beside another is left out, never the report."""
    home = ml_work.project(alice)
    models = ml_work.cancer(alice, home)[1]
    document, summary = built(alice, "deployment", ml_work.deployment(alice, models[0], ml_work.log(2_000, drift=6.0).drop("error")))
    assert "error_rate" not in {figure.key for figure in blocks_of(document, "glance")["figures"].figures}
    assert summary["primary_metric"] == {"name": "predictions", "value": 2_000.0}
    left_out = blocks_of(document, "appendix")["left_out"]
    assert ("Errors", "the log has no column error, status_code or ok") in left_out.rows
    assert document.narrative is not None
    said = document.narrative.executive_summary[0]
    assert "error rate" not in said
    assert "The largest PSI is" in said
    assert document.narrative.note == ""


def test_of_ten_thousand_columns_a_report_looks_at_five_hundred(alice: make.Workspace) -> None:
    """As many as an upload may have: what was looked at of them is said, and a file is not opened for each of them."""
    chance = np.random.default_rng(1)
    at = pl.Series(ml_work.START.timestamp() * 1e6 + np.arange(200) * 6e7).cast(pl.Int64).cast(pl.Datetime("us", "UTC"))
    wide = pl.DataFrame({f"c{n}": chance.normal(n % 7, 1, 200) for n in range(9_998)})
    log = wide.with_columns(c3=pl.col("c3") + 3, timestamp=at, label=pl.Series(chance.integers(0, 2, 200)))
    home = ml_work.project(alice)
    version = ml_work.version(alice, home, wide, "wide", "c0")
    found = ml_work.model(alice, ml_work.experiment(alice, home, dataset_version_id=version.id), metrics={"auc": 0.8})
    held = ml_work.table(alice, home, wide, "reference")
    served = ml_work.deployment(alice, found, frame=log, reference_id=held.id, features=[])
    document, summary = ml_work.built(alice, "deployment", served)
    drift = blocks_of(document, "drift")["drift"]
    assert (drift.total_rows, drift.rows[0][0], drift.rows[0][3]) == (500, "c3", "major")
    assert "The first 500 of 9,998 features were compared." in drift.note
    assert summary["warnings"] == []
    document, summary = ml_work.built(alice, "model", found)
    assert "The first 500 of 9,998 columns were looked at." in blocks_of(document, "data")["columns"].note
    assert summary["warnings"] == []


def test_copies_of_real_rows_are_told(alice: make.Workspace) -> None:
    home = ml_work.project(alice)
    row = ml_work.synthetic(alice, home)
    row.synthetic_id = row.real_id
    with alice.db() as db:
        db.merge(row)
    document, _ = built(alice, "synthgen", row)
    verdicts = {check[0]: check[3] for check in blocks_of(document, "checks")["checks"].rows}
    assert verdicts["Exact matches"] == "fail"
    assert document.narrative is not None
    assert any("copy real ones" in text for text in document.narrative.key_takeaways)


def test_every_format_takes_such_a_report(alice: make.Workspace) -> None:
    document, _ = built(alice, "deployment", entity(alice, "deployment"))
    for format_ in ("pdf", "md", "csv", "xlsx", "json"):
        assert len(documents.render(document, format_)) > 1_000
    kinds = {type(block) for section in document.sections for block in section.blocks}
    assert {Chart, Table, Figures} <= kinds
