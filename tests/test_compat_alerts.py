"""`/api/v1/alerts`: rules on figures, as clients of dashboards write them (D213–D229 where a route shows them)."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import ids
from everfix.failures import alerts
from tests import delivering, make
from tests.conftest import Clock

PATH = "/api/v1/alerts"
RULE = {"name": "Prevention falls", "metric": "acceptance_rate", "operator": "lt", "threshold": 0.5, "channels": ["ops@shop.example"]}


def test_d213_d214_d229_a_rule_is_made_with_the_documented_defaults(alice: make.Workspace) -> None:
    """D213–D215, D229: made, read alone and in a bare array."""
    assert alice.viewer.ok("GET", PATH) == []
    made = alice.analyst.ok("POST", PATH, RULE)
    assert alice.analyst.post(PATH, RULE).status_code == 201
    assert (made["windowMinutes"], made["cooldownMinutes"], made["enabled"], made["status"], made["lastFiredAt"]) == (
        5,
        60,
        True,
        "ok",
        None,
    )
    assert made["channels"] == ["ops@shop.example"]
    assert made["tenantId"] == str(alice.id)
    listed = alice.viewer.ok("GET", PATH)
    assert isinstance(listed, list), "a bare array"
    assert listed[0] == made == alice.viewer.ok("GET", f"{PATH}/{made['id']}")
    assert alice.viewer.post(PATH, RULE).status_code == 403


def test_d216_d217_put_changes_only_what_is_given_and_delete_removes(alice: make.Workspace, bob: make.Workspace) -> None:
    made = alice.analyst.ok("POST", PATH, RULE)
    one = f"{PATH}/{made['id']}"
    changed = alice.analyst.ok("PUT", one, {"threshold": 0.25, "windowMinutes": 60})
    assert {key for key in made if made[key] != changed[key]} == {"threshold", "windowMinutes", "updatedAt"}
    assert bob.analyst.call("PUT", one, json={"threshold": 1}).status_code == 404
    assert bob.analyst.call("DELETE", one).status_code == 404
    assert alice.viewer.call("DELETE", one).status_code == 403
    assert alice.analyst.call("DELETE", one).status_code == 204
    assert alice.viewer.get(one).status_code == 404


def test_d230_destinations_by_uuid_and_the_older_form(alice: make.Workspace) -> None:
    hook = delivering.destination(alice, "webhook", {"url": "https://hooks.example/in"})
    given = [str(hook), ids.show(ids.Prefix.DESTINATION, hook), {"type": "email", "target": "a@shop.example"}]
    made = alice.analyst.ok("POST", PATH, {**RULE, "channels": given})
    assert made["channels"] == [str(hook), str(hook), "a@shop.example"]


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"metric": "magic"}, 422),
        ({"operator": "near"}, 400),
        ({"threshold": "high"}, 400),
        ({"metric": "ctr", "threshold": 5}, 422),
        ({"metric": "ctr", "operator": "gt", "threshold": 1}, 422),
        ({"metric": "issue_count", "threshold": -1}, 422),
        ({"windowMinutes": 0}, 400),
        ({"channels": ["nowhere"]}, 422),
        ({"channels": ["00000000-0000-7000-8000-000000000000"]}, 422),
        ({"name": ""}, 400),
        ({"colour": "red"}, 400),
    ],
)
def test_what_does_not_fit_is_refused(alice: make.Workspace, change: dict[str, Any], status: int) -> None:
    answer = alice.analyst.post(PATH, {**RULE, **change})
    assert answer.status_code == status, answer.text
    assert set(answer.json()["error"]) >= {"code", "message", "status"}


@pytest.mark.parametrize(
    "metric", ["acceptance_rate", "ctr", "revenue", "selection_frequency", "latency_p99", "degraded_scoring_rate", "decision_count"]
)
def test_d218_to_d223_every_documented_metric_is_taken(alice: make.Workspace, metric: str) -> None:
    """D218–D223; their values: test_alerts."""
    assert alice.analyst.ok("POST", PATH, {**RULE, "metric": metric})["metric"] in (metric, "issue_count")


def test_a_threshold_beyond_what_the_figure_can_be_names_what_is_allowed(alice: make.Workspace) -> None:
    refused = alice.analyst.post(PATH, {**RULE, "metric": "ctr", "threshold": 5}).json()["error"]
    assert "Recommendations acted on is never 5" in refused["message"]
    assert refused["details"] == {"threshold": "a share, from 0 to 1, 5 came"}
    made = alice.analyst.ok("POST", PATH, {**RULE, "metric": "ctr", "threshold": 0.5})
    assert alice.analyst.call("PUT", f"{PATH}/{made['id']}", json={"threshold": 1.5}).status_code == 422
    with alice.db() as db:
        db.execute(text("UPDATE alert_rules SET threshold = 5"))  # as it could be made before
    assert alice.analyst.call("PUT", f"{PATH}/{made['id']}", json={"enabled": False}).status_code == 200, "it can still be switched off"


def test_a_preview_says_when_a_figure_would_have_fired(alice: make.Workspace, time: Clock) -> None:
    alice.ingest(*make.failures("database", (1, 2, 3, 4)), *make.failures("payments", (1,)))
    with alice.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = occurred_at WHERE service = 'orders-api'"))
        db.execute(
            text("UPDATE issues SET ingested_at = :at WHERE service <> 'orders-api'"), {"at": time.at - timedelta(days=2, minutes=-3)}
        )
    body = {"metric": "decision_count", "operator": "gte", "threshold": 2, "windowMinutes": 60, "cooldownMinutes": 0}
    found = alice.viewer.ok("POST", f"{PATH}/preview", {**body, "days": 30})
    assert (found["days"], found["stepMinutes"], found["threshold"], found["lowest"], found["highest"]) == (30, 1, 2, 0, 2)
    assert found["times"] == 57, "each minute in which the hour before holds both: 10:04 to 11:00"
    assert found["fires"][0] == {"at": "2026-03-14T11:00:00.000Z", "observed": 2, "overAt": "2026-03-14T11:01:00.000Z"}
    assert {fire["overAt"] for fire in found["fires"]} == {"2026-03-14T11:01:00.000Z"}
    made = alice.analyst.ok("POST", PATH, {**RULE, **body, "cooldownMinutes": 60})
    assert alice.viewer.ok("GET", f"{PATH}/{made['id']}/preview", days=7)["times"] == 1
    assert alice.viewer.ok("GET", f"{PATH}/{made['id']}") == made, "looking back changes no rule"
    for wrong, field in (
        ({"metric": "backlog"}, "metric"),
        ({"threshold": -1}, "threshold"),
        ({"days": 91}, "days"),
        ({"metric": "x"}, "metric"),
    ):
        answer = alice.viewer.post(f"{PATH}/preview", {**body, **wrong})
        assert (answer.status_code in (400, 422), field in answer.text) == (True, True), wrong


def test_d228_a_fire_is_seen_on_the_rule_and_in_the_audit_log(alice: make.Workspace, time: Clock) -> None:
    made = alice.analyst.ok("POST", PATH, {**RULE, "metric": "issue_count", "operator": "gte", "threshold": 2, "windowMinutes": 600_00})
    alice.learn(*make.failures("database", (0.1, 0.2, 0.3)))
    with alice.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :at"), {"at": time.at})
    time.advance(minutes=1)
    with alice.db() as db:
        assert alerts.evaluate(db, alerts.get(db, "metric", ids.parse(ids.Prefix.ALERT_RULE, made["id"])), time.at)
    fired = alice.viewer.ok("GET", f"{PATH}/{made['id']}")
    assert (fired["status"], fired["observed"]) == ("firing", 3)
    assert fired["lastFiredAt"] is not None
    alice.work()
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM audit_log WHERE action LIKE 'alert%fired%'")).scalar_one() == 1
