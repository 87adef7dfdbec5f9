"""Everfix's own forecasts become a model of ML work, judged by what settled, and reported like any other."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sklearn import metrics
from sqlalchemy import select

from everfix.failures import loop
from everfix.failures.predictions import Prediction
from everfix.ml.models import Model
from tests import make, ml_work
from tests.conftest import Clock
from tests.test_web import Person

GAPS = {"database": 3, "payments": 7, "search": 11, "login": 19}


@pytest.fixture
def settled(alice: make.Workspace, time: Clock) -> make.Workspace:
    """Four causes of different rhythm, predicted each fourth day of three months, so that most predictions have settled."""
    for cause, gap in GAPS.items():
        alice.learn(*make.failures(cause, [float(day) for day in range(1, 150, gap)], end=time.at), now=time.at)
    for days in range(90, -1, -4):
        with alice.db() as db:
            loop.refresh(db, time.at - timedelta(days=days))
    return alice


def test_they_become_one_model_with_a_report(settled: make.Workspace) -> None:
    home = ml_work.project(settled)
    for _ in range(2):  # taken in again, no second one is made
        job = settled.api.ok("POST", f"/v1/ml/projects/{home.id}/own-forecasts")
        settled.work()
        done = settled.api.ok("GET", f"/v1/jobs/{job['id']}")
        assert done["status"] == "succeeded", done["error"]
    with settled.db() as db:
        [row] = db.execute(select(Model)).scalars()
        query = select(Prediction.probability, Prediction.outcome).where(Prediction.outcome.is_not(None), Prediction.failures >= 2)
        told = db.execute(query).all()
    hits = [outcome == "hit" for _, outcome in told]
    assert done["result"]["rows"] == len(told) > 20
    assert 0 < sum(hits) < len(hits)
    brier = metrics.brier_score_loss(hits, [said for said, _ in told])
    assert row.metrics["brier"] == pytest.approx(brier)
    ordered = settled.api.ok("POST", "/api/reports", {"project_id": str(home.id), "kind": "model", "entity_id": str(row.id)})
    settled.work()
    report = settled.api.ok("GET", f"/api/reports/{ordered['report_id']}")["report"]
    assert report["status"] == "succeeded", report["error"]
    page = settled.api.get(f"/api/reports/{ordered['report_id']}/view").text
    assert "Forecast of recurrence" in page
    assert f">{brier:.4f}<" in page
    assert "Calibration" in page


def test_nothing_settled_is_said_in_words(alice: make.Workspace) -> None:
    home = ml_work.project(alice)
    owner = Person(alice.client).enter(alice.secrets["owner"])
    assert owner.post(f"/ml/projects/{home.id}/own-forecasts", {"csrf": owner.csrf()}).status_code == 303
    assert "are being taken in" in owner.page(f"/ml/projects/{home.id}")
    alice.work()
    assert "no prediction has been settled" in owner.page(f"/ml/projects/{home.id}")


def test_a_viewer_of_the_project_may_not(alice: make.Workspace) -> None:
    home = ml_work.project(alice)
    ml_work.member(alice, home, alice.users["analyst"], "viewer")
    assert alice.analyst.post(f"/v1/ml/projects/{home.id}/own-forecasts").status_code == 403
    assert "Take in own forecasts" not in Person(alice.client).enter(alice.secrets["analyst"]).page(f"/ml/projects/{home.id}")
