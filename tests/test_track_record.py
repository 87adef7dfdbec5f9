"""`/v1/predictions/summary`, `/forecast`, `/accuracy`, and what people say of predictions."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import numpy as np
import pytest
from sklearn import metrics
from sqlalchemy import text

from everfix.failures import accuracy, loop
from tests import make
from tests.conftest import Clock


def fill(workspace: make.Workspace) -> list[dict[str, Any]]:
    workspace.learn(
        *make.failures("database", [n / 2 for n in range(1, 60)], severity="p1"),
        *make.failures("payments", (60, 50, 40, 20, 10, 3)),
        *make.failures("login", (40, 20)),
    )
    return workspace.api.ok("GET", "/v1/predictions")["data"]  # type: ignore[no-any-return]


def test_c147_the_four_tiles(alice: make.Workspace) -> None:
    """C158."""
    empty = alice.viewer.ok("GET", "/v1/predictions/summary")
    assert (empty["total"], empty["average_probability"]) == (0, None)
    odds = [row["probability"] for row in fill(alice)]
    found = alice.viewer.ok("GET", "/v1/predictions/summary")
    assert found == {
        "total": 3,
        "high_probability": sum(p >= 0.8 for p in odds),
        "above_alert_threshold": sum(p >= 0.7 for p in odds),
        "average_probability": pytest.approx(sum(odds) / 3),
        "alert_threshold": 0.7,
    }
    assert found["high_probability"] >= 1


def test_c148_c149_c150_the_forecast(alice: make.Workspace, time: Clock) -> None:
    rows = fill(alice)
    found = alice.viewer.ok("GET", "/v1/predictions/forecast")
    assert list(found) == ["window", "pattern_id", "generated_at", "today_index", "points", "axis", "alert_threshold", "breach"]
    assert (found["window"], found["pattern_id"], found["today_index"], len(found["points"])) == ("30d", None, 29, 60)
    assert found["axis"]["y_ticks"] == [0, 25, 50, 75, 100]
    assert found["axis"]["x_tick_indices"][0] == 0
    assert found["axis"]["x_tick_indices"][-1] == 59
    assert found["alert_threshold"] == {"probability": 0.7, "label": "ALERT 70"}
    kinds = [point["kind"] for point in found["points"]]
    assert kinds == ["observed"] * 30 + ["projected"] * 30
    for point in found["points"]:
        assert 0 <= point["lower"] <= point["value"] <= point["upper"] <= 100
        assert (point["trigger"] is None) == (point["kind"] == "observed")
    assert any(point["lower"] < point["upper"] for point in found["points"][30:])
    top = alice.viewer.ok("GET", "/v1/patterns", sort="-risk_score")["data"][0]
    assert found["points"][29]["value"] == pytest.approx(top["risk_score"], abs=2), "today's point is the risk score that the lists show"
    breach = found["breach"]
    assert breach["pattern_id"] == rows[0]["pattern_id"]
    assert breach["probability"] == rows[0]["probability"]
    assert found["points"][breach["point_index"]]["value"] >= 70
    assert all(point["value"] < 70 for point in found["points"][30 : breach["point_index"]])
    assert time.at is not None


def test_the_forecast_of_one_pattern(alice: make.Workspace, bob: make.Workspace, time: Clock) -> None:
    rows = fill(alice)
    least = rows[-1]["pattern_id"]
    found = alice.viewer.ok("GET", "/v1/predictions/forecast", pattern_id=least, window="7D")
    assert (found["pattern_id"], len(found["points"]), found["breach"]) == (least, 14, None)
    assert bob.viewer.get("/v1/predictions/forecast", pattern_id=least).status_code == 404
    for wrong in ("0d", "91d", "x", "-3d", "1" * 9, "٣d"):
        assert alice.viewer.get("/v1/predictions/forecast", window=wrong).status_code == 422, wrong
    assert time.at is not None


def test_an_empty_workspace_has_a_flat_forecast(alice: make.Workspace) -> None:
    found = alice.viewer.ok("GET", "/v1/predictions/forecast", window="30d")
    assert {point["value"] for point in found["points"]} == {0}
    assert found["breach"] is None


def test_the_track_record_is_that_of_the_textbook(alice: make.Workspace, time: Clock) -> None:
    """Every figure equals scikit-learn's on the same predictions."""
    make.with_history(alice)
    found = alice.viewer.ok("GET", "/v1/predictions/accuracy", days=120)
    with alice.db() as db:
        rows = db.execute(
            text("SELECT probability, outcome FROM predictions WHERE outcome IS NOT NULL AND failures >= 2 AND expires_at < :now"),
            {"now": time.at},
        ).all()
    said, came = np.array([row.probability for row in rows]), np.array([row.outcome == "hit" for row in rows])
    assert found["settled"] == len(rows) > 20
    assert (found["hits"], found["misses"] + found["prevented"]) == (came.sum(), (~came).sum())
    assert found["brier"] == pytest.approx(metrics.brier_score_loss(came, said), abs=1e-9)
    assert found["log_loss"] == pytest.approx(metrics.log_loss(came, np.clip(said, 1e-6, 1 - 1e-6)), abs=1e-9)
    assert found["auc"] == pytest.approx(metrics.roc_auc_score(came, said), abs=1e-9)
    assert found["precision"] == pytest.approx(metrics.precision_score(came, said >= 0.7), abs=1e-9)
    assert found["recall"] == pytest.approx(metrics.recall_score(came, said >= 0.7), abs=1e-9)
    assert found["brier_base"] == pytest.approx(came.mean() * (1 - came.mean()), abs=1e-9)
    assert found["skill"] == pytest.approx(1 - found["brier"] / found["brier_base"])
    assert sum(step["predictions"] for step in found["calibration"]) == len(rows)
    assert 0 < found["lead_time_days"] <= 7
    assert found["evaluated_at"]


def test_no_track_record_yet(alice: make.Workspace) -> None:
    found = alice.viewer.ok("GET", "/v1/predictions/accuracy")
    assert (found["settled"], found["brier"], found["precision"], found["calibration"]) == (0, None, None, [])


def test_c151_an_outcome_by_hand_changes_the_figures(alice: make.Workspace, time: Clock) -> None:
    """C159."""
    make.with_history(alice)
    report = alice.api.ok("POST", "/v1/reports", {"name": "x", "template": "prediction_report", "window": "90d", "format": "json"})["id"]

    def told() -> list[Any]:
        document = alice.api.ok("POST", f"/v1/reports/{report}/preview", {})["document"]
        (weeks,) = (block for section in document["sections"] for block in section["blocks"] if block["key"] == "outcomes_chart")
        return [sum(column) for column in list(zip(*weeks["table"]["rows"], strict=True))[1:4]]

    before, hits, prevented, misses = alice.viewer.ok("GET", "/v1/predictions/accuracy", days=120), *told()
    settled = alice.viewer.ok("GET", "/v1/predictions", status="superseded", limit=100)["data"]
    miss = next(row for row in settled if row["outcome"] == "miss" and row["expires_at"] < time.at.isoformat())
    done = alice.analyst.ok("POST", f"/v1/predictions/{miss['id']}/outcome", {"outcome": "hit"})
    assert (done["outcome"], done["outcome_by"]) == ("hit", "Analyst")
    after = alice.viewer.ok("GET", "/v1/predictions/accuracy", days=120)
    assert after["hits"] == before["hits"] + 1
    assert after["brier"] != before["brier"]
    assert told() == [hits + 1, prevented, misses - 1]
    alice.analyst.ok("POST", f"/v1/predictions/{miss['id']}/outcome", {"outcome": "prevented"})
    assert told() == [hits, prevented + 1, misses - 1]
    assert alice.analyst.post(f"/v1/predictions/{miss['id']}/outcome", {"outcome": "maybe"}).status_code == 422


def test_c152_what_was_dismissed_stays_off_the_list_for_its_window(alice: make.Workspace, time: Clock) -> None:
    rows = fill(alice)
    one = rows[0]
    done = alice.analyst.ok("POST", f"/v1/predictions/{one['id']}/dismiss", {"reason": "known, planned work"})
    assert (done["status"], done["dismissed_reason"]) == ("dismissed", "known, planned work")

    def standing(days: float) -> bool:
        with alice.db() as db:
            loop.refresh(db, make.NOW + timedelta(days=days))
        return one["pattern_id"] in {row["pattern_id"] for row in alice.viewer.ok("GET", "/v1/predictions")["data"]}

    assert not standing(0.1)
    assert not standing(3)
    assert standing(8)
    assert time.at is not None


def test_a_superseded_prediction_cannot_be_dismissed(alice: make.Workspace) -> None:
    fill(alice)
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=1))
    old = alice.viewer.ok("GET", "/v1/predictions", status="superseded")["data"][0]
    assert alice.analyst.post(f"/v1/predictions/{old['id']}/dismiss").status_code == 409


def test_feedback_is_kept_once_for_each_person(alice: make.Workspace) -> None:
    one = fill(alice)[0]
    path = f"/v1/predictions/{one['id']}/feedback"
    alice.analyst.ok("POST", path, {"useful": False, "comment": "too late"})
    alice.admin.ok("POST", path, {"useful": True})
    found = alice.analyst.ok("POST", path, {"useful": True, "comment": "right after all"})["feedback"]
    assert sorted((word["useful"], word["comment"]) for word in found) == [(True, ""), (True, "right after all")]
    with alice.db() as db:
        actions = db.execute(text("SELECT action FROM audit_log WHERE action LIKE 'prediction.%'")).scalars().all()
    assert actions == ["prediction.judged"] * 3


def test_only_what_ended_in_the_period_is_scored(alice: make.Workspace) -> None:
    make.with_history(alice)
    with alice.db() as db:
        near = accuracy.of(db, make.NOW - timedelta(days=20), make.NOW)
        far = accuracy.of(db, make.NOW - timedelta(days=120), make.NOW)
    assert 0 < near.settled < far.settled
