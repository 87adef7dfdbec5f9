"""Monitors: a threshold crossed opens one issue, recovering resolves it, and several of them are a pattern."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import select

from everfix.ingest.events import Issue
from tests import make
from tests.conftest import Clock
from tests.test_ml_api import deployment, project, send

START = datetime(2026, 3, 10, tzinfo=UTC)


def log(hour: int, *, rows: int = 200, shift: float = 0.0, errors: float = 0.0, latency: float = 50.0, wrong: float = 0.1) -> str:
    """Return an hour of predictions."""
    random = np.random.default_rng(hour + 1_000)
    label = random.integers(0, 2, rows)
    flipped = random.random(rows) < wrong
    at = [START + timedelta(hours=hour, seconds=3_600 * place / rows) for place in range(rows)]
    frame = pl.DataFrame(
        {
            "timestamp": [moment.isoformat() for moment in at],
            "age": (random.normal(40, 10, rows) + shift).round(3),
            "plan": random.choice(["basic", "plus"], rows),
            "prediction": np.where(flipped, 1 - label, label),
            "label": label,
            "latency_ms": (random.gamma(4, latency / 4, rows)).round(3),
            "error": ["timeout" if bad else None for bad in random.random(rows) < errors],
        }
    )
    return frame.write_csv()


def watched(alice: make.Workspace, **monitor: Any) -> tuple[str, str]:
    """Make a deployment with a reference and one monitor, and return both ids."""
    one = deployment(alice.api, project(alice.api))
    reference = pl.read_csv(log(-100, rows=1_000).encode()).drop("timestamp", "latency_ms", "error")
    assert send(alice.api, f"/v1/ml/deployments/{one}/reference/upload", reference.write_csv()).status_code == 201
    body = {"deployment_id": one, "window_minutes": 60, "min_rows": 50, "severity": "p2", **monitor}
    return one, alice.api.ok("POST", "/v1/ml/monitors", body)["id"]


def logged(alice: make.Workspace, deployment_id: str, hour: int, **given: Any) -> None:
    answer = send(alice.api, f"/v1/ml/deployments/{deployment_id}/predictions/upload", log(hour, **given))
    assert answer.status_code == 201, answer.text
    alice.work()


def issues(alice: make.Workspace) -> list[Issue]:
    with alice.db() as db:
        return list(db.execute(select(Issue).where(Issue.source == "ml_monitor").order_by(Issue.occurred_at)).scalars())


@pytest.fixture(autouse=True)
def _now(time: Clock) -> None:
    time.at = START + timedelta(days=5)


EACH: list[dict[str, Any]] = [
    {"metric": "error_rate", "threshold": 0.05},
    {"metric": "latency_p95", "threshold": 200},
    {"metric": "drift_psi", "threshold": 0.25},
    {"metric": "drift_psi", "feature": "age", "threshold": 0.2},
    {"metric": "drift_ks", "feature": "age", "threshold": 0.3},
    {"metric": "drift_js", "feature": "age", "threshold": 0.3},
    {"metric": "drift_share", "threshold": 0.4},
    {"metric": "accuracy", "operator": "lt", "threshold": 0.8},
    {"metric": "macro_f1", "operator": "lt", "threshold": 0.8},
]


def test_a_threshold_crossed_is_an_issue_until_it_recovers(alice: make.Workspace) -> None:
    one, first = watched(alice, **EACH[0])
    common = {"deployment_id": one, "window_minutes": 60, "min_rows": 50, "severity": "p2"}
    each = [first, *(alice.api.ok("POST", "/v1/ml/monitors", {**common, **monitor})["id"] for monitor in EACH[1:])]
    logged(alice, one, 0)
    assert issues(alice) == []
    assert states(alice, each) == ["ok"] * len(EACH)
    for hour in (1, 2):  # it goes on: still one issue each
        logged(alice, one, hour, errors=0.3, latency=400, shift=30, wrong=0.4)
        found = issues(alice)
        assert [(issue.status, issue.severity, issue.service) for issue in found] == [("open", "p2", "churn")] * len(EACH)
    assert states(alice, each) == ["firing"] * len(EACH)
    assert "churn: PSI of age above 0.2" in {issue.title for issue in found}
    bodies = {issue.id: issue.body for issue in found}
    assert all(" over 2026-03-10 " in body for body in bodies.values())
    logged(alice, one, 3)
    assert states(alice, each) == ["ok"] * len(EACH)
    for issue in issues(alice):
        assert (issue.status, issue.body) == ("resolved", bodies[issue.id])
        assert issue.resolved_at is not None
        assert issue.resolved_at > issue.occurred_at


def states(alice: make.Workspace, monitors: list[str]) -> list[str]:
    return [alice.api.ok("GET", f"/v1/ml/monitors/{one}")["state"] for one in monitors]


def test_each_firing_is_an_issue_of_one_pattern(alice: make.Workspace) -> None:
    one, _ = watched(alice, metric="error_rate", threshold=0.05)
    for hour in range(6):
        logged(alice, one, hour, rows=60, errors=0.5 * (hour % 2))
    found = issues(alice)
    assert [issue.status for issue in found] == ["resolved", "resolved", "in_loop"]  # the third time it is known: it recurs
    assert len({issue.pattern_id for issue in found}) == 1
    assert found[0].pattern_id is not None
    pattern = alice.api.ok("GET", f"/v1/patterns/{found[0].pattern_id}")
    assert (pattern["issue_count"], pattern["service"]) == (3, "churn")


def test_a_drop_against_the_registered_metric(alice: make.Workspace) -> None:
    one, watching = watched(alice, metric="accuracy_drop", threshold=0.1)
    path = f"/v1/ml/models/{alice.api.ok('GET', f'/v1/ml/deployments/{one}')['model_id']}"
    logged(alice, one, 0, wrong=0.4)
    assert "no registered accuracy" in alice.api.ok("GET", f"/v1/ml/monitors/{watching}")["why"]["reason"]
    alice.api.ok("PATCH", path, {"metrics": {"accuracy": 0.9}})
    logged(alice, one, 1, wrong=0.4)
    assert issues(alice)[0].title == "churn: loss of accuracy above 0.1"


def test_too_few_rows_or_no_labels_decide_nothing(alice: make.Workspace) -> None:
    one, watching = watched(alice, metric="error_rate", threshold=0.05)
    logged(alice, one, 0, errors=0.5)
    logged(alice, one, 5, rows=10)
    state = alice.api.ok("GET", f"/v1/ml/monitors/{watching}")
    assert (state["state"], state["why"]["reason"]) == ("firing", "10 predictions; at least 50 are needed")
    assert issues(alice)[0].status == "open"


def test_silence_is_seen_by_the_clock(alice: make.Workspace, time: Clock) -> None:
    time.at = START + timedelta(hours=1)
    one, _ = watched(alice, metric="volume", operator="lt", threshold=100)
    logged(alice, one, 0)
    assert issues(alice) == []
    time.advance(hours=2)
    with alice.db() as db:
        from everfix.core import jobs

        jobs.enqueue(db, "ml.watch", {})
    alice.work()
    (issue,) = issues(alice)
    assert (issue.title, issue.status) == ("churn: predictions below 100", "open")


def test_the_clock_looks_only_where_something_is_new(alice: make.Workspace) -> None:
    from everfix.core import jobs
    from everfix.ml import watching

    one, _ = watched(alice, metric="error_rate", threshold=0.05)
    logged(alice, one, 0)
    with alice.db() as db:
        assert watching.due(db, None) == []
        job = jobs.enqueue(db, "ml.watch", {})
    alice.work()
    with alice.db() as db:
        assert jobs.get(db, job).result == {"looked": 0, "changed": []}


@pytest.mark.parametrize("how", ["off", "removed", "changed"])
def test_a_monitor_that_no_longer_watches_lets_its_issue_go(alice: make.Workspace, how: str) -> None:
    one, watching = watched(alice, metric="error_rate", threshold=0.05)
    logged(alice, one, 0, errors=0.5)
    path = f"/v1/ml/monitors/{watching}"
    if how == "removed":
        assert alice.api.call("DELETE", path).status_code == 204
    else:
        alice.api.ok("PATCH", path, {"enabled": False} if how == "off" else {"threshold": 0.9})
    alice.work()
    (issue,) = issues(alice)
    assert issue.status == "resolved"


def test_wrong_monitors_are_refused(alice: make.Workspace) -> None:
    one = deployment(alice.api, project(alice.api))
    body = {"deployment_id": one, "metric": "error_rate", "threshold": 0.05}
    for more, said in (
        ({"metric": "luck"}, "metric"),
        ({"feature": "age"}, "error_rate looks at no single feature"),
        ({"threshold": "high"}, "threshold"),
        ({"window_minutes": 0}, "greater than or equal to 1"),
    ):
        answer = alice.api.post("/v1/ml/monitors", {**body, **more})
        assert (answer.status_code, said in answer.text) == (422, True), answer.text


def test_without_a_reference_drift_is_unknown(alice: make.Workspace) -> None:
    one = deployment(alice.api, project(alice.api))
    watching = alice.api.ok("POST", "/v1/ml/monitors", {"deployment_id": one, "metric": "drift_psi", "threshold": 0.25})
    logged(alice, one, 0)
    state = alice.api.ok("GET", f"/v1/ml/monitors/{watching['id']}")
    assert (state["state"], state["why"]["reason"]) == ("unknown", "the deployment has no reference table to compare with")
