"""The pages of alert rules: made, changed, switched, snoozed and deleted by forms; what does not fit is told; who may."""

from __future__ import annotations

from html import unescape
from typing import Any

import pytest

from everfix.failures import alerts
from tests import make
from tests.test_web_triage import form, person

PREDICTION = {"kind": "prediction", "name": "Likely <b>", "probability": "70", "window_days": "7", "addresses": "ops@shop.example\nslack"}
METRIC = {"kind": "metric", "name": "Backlog", "metric": "backlog", "operator": "gt", "threshold": "10", "window_minutes": "60"}
METRIC |= {"cooldown_minutes": "30", "no_data": "fire"}


def rules(workspace: make.Workspace) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = workspace.api.ok("GET", "/v1/alert-rules")["data"]
    return found


def test_a_rule_on_predictions_is_made_changed_snoozed_and_deleted(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 8, 2)))
    visitor, new = person(alice), "/settings/alerts/new"
    assert "There is no alert rule yet" in visitor.page("/settings/alerts")
    assert form(visitor, "/settings/alerts", new, **PREDICTION) == 303
    (rule,) = rules(alice)
    assert (rule["threshold"], rule["scope"], rule["channels"]) == (
        {"probability": 0.7, "window_days": 7},
        "all",
        ["ops@shop.example", "slack"],
    )
    text = visitor.page("/settings/alerts")
    assert "Likely &lt;b&gt;" in text
    assert "any pattern likely to return: 70 % or more within 7 days" in text
    pattern = alice.api.ok("GET", "/v1/patterns")["data"][0]
    page = f"/settings/alerts/{rule['id']}"
    held = unescape(visitor.page(page))
    assert "ops@shop.example\nslack" in held
    changed = {**PREDICTION, "rule": rule["id"], "pattern": pattern["name"], "probability": "55.5"}
    assert form(visitor, "/settings/alerts", page, **changed) == 303
    (rule,) = rules(alice)
    assert (rule["threshold"]["probability"], rule["scope"]) == (0.555, {"pattern_id": pattern["id"]})
    assert pattern["name"] in unescape(visitor.page(page))
    assert form(visitor, f"{page}/snooze", page, hours="8") == 303
    assert rules(alice)[0]["snoozed_until"]
    assert "Quiet until" in visitor.page("/settings/alerts")
    assert form(visitor, f"{page}/snooze", page, hours="0") == 303
    assert rules(alice)[0]["snoozed_until"] is None
    assert form(visitor, f"{page}/snooze", page, hours="7") == 422
    assert form(visitor, f"{page}/switch", page, on="no") == 303
    assert rules(alice)[0]["enabled"] is False
    assert form(visitor, f"{page}/delete", page) == 303
    assert rules(alice) == []
    assert visitor.get(page).status_code == 404


def test_a_rule_on_a_figure_keeps_its_baseline_cooldown_and_what_no_data_mean(alice: make.Workspace) -> None:
    """D231: listed and edited at /settings/alerts."""
    visitor = person(alice)
    assert form(visitor, "/settings/alerts", "/settings/alerts/new?kind=metric", **METRIC) == 303
    with alice.db() as db:
        (rule,) = alerts.listed(db, "metric")
        assert (rule.metric, rule.operator, rule.threshold, rule.window_minutes, rule.cooldown_minutes, rule.no_data) == (
            "backlog", "gt", 10.0, 60, 30, "fire",
        )  # fmt: skip
    assert "Jobs that wait above 10 over 60 min; again after 30 min" in visitor.page("/settings/alerts")


@pytest.mark.parametrize(
    ("data", "field"),
    [
        ({**PREDICTION, "probability": "170"}, "probability"),
        ({**PREDICTION, "probability": "nan"}, "probability"),
        ({**PREDICTION, "window_days": "1.5"}, "window days"),
        ({**PREDICTION, "name": "  "}, "name"),
        ({**PREDICTION, "pattern": "nothing is called so"}, "pattern"),
        ({**PREDICTION, "addresses": "carrier pigeon"}, "channels.0"),
        ({**METRIC, "metric": "weather"}, "metric"),
        ({**METRIC, "operator": "like"}, "operator"),
        ({**METRIC, "threshold": "inf"}, "threshold"),
        ({**METRIC, "threshold": "-1"}, "threshold"),
        ({**METRIC, "metric": "error_rate", "threshold": "5"}, "threshold"),
        ({**METRIC, "look_back": "30"}, "metric"),
        ({**PREDICTION, "look_back": "31"}, "look back"),
        ({**METRIC, "no_data": "panic"}, "no data"),
    ],
)
def test_what_does_not_fit_is_told_and_what_was_typed_is_kept(alice: make.Workspace, data: dict[str, str], field: str) -> None:
    visitor = person(alice)
    answer = visitor.post("/settings/alerts", {"csrf": visitor.csrf(), **data})
    assert answer.status_code == 422
    text = unescape(answer.text)
    assert "Not saved" in text
    assert f"{field}:" in text
    assert data.get("addresses", "Backlog") in text
    with alice.db() as db:
        assert not [*alerts.listed(db, "prediction"), *alerts.listed(db, "metric")]


def test_one_sees_when_a_rule_would_have_fired_before_it_is_made(alice: make.Workspace, time: object) -> None:
    alice.learn(*make.failures("database", [n / 2 for n in range(1, 40)]))
    visitor = person(alice)
    pattern = alice.api.ok("GET", "/v1/patterns")["data"][0]
    answer = visitor.post("/settings/alerts", {"csrf": visitor.csrf(), **PREDICTION, "look_back": "30"})
    assert answer.status_code == 200
    text = unescape(answer.text)
    assert "It would have fired once in the last 30 days" in text
    assert f'href="/patterns/{pattern["id"]}"' in text
    assert "ops@shop.example\nslack" in text, "what was typed stays"
    assert "charts-" in text, "the picture is drawn"
    assert rules(alice) == [], "looking back makes no rule"
    figure = {**METRIC, "metric": "issue_count", "operator": "gte", "threshold": "1", "look_back": "90"}
    text = visitor.post("/settings/alerts", {"csrf": visitor.csrf(), **figure}).text
    assert "It would not have fired in the last 90 days" in text
    assert "Looked at every minute" in text
    form(visitor, "/settings/alerts", "/settings/alerts/new", **PREDICTION)
    page, viewer = f"/settings/alerts/{rules(alice)[0]['id']}", person(alice, "viewer")
    assert '<fieldset class="fields" disabled>' in viewer.page(page)
    assert ">Save</button>" not in viewer.page(page)
    assert "It would have fired once in the last 90 days" in viewer.page(f"{page}?look_back=90")
    assert viewer.get(f"{page}?look_back=7").status_code == 422


def test_only_admins_change_rules_and_strangers_find_none(alice: make.Workspace, bob: make.Workspace) -> None:
    form(person(alice), "/settings/alerts", "/settings/alerts/new", **PREDICTION)
    page = f"/settings/alerts/{rules(alice)[0]['id']}"
    for visitor, seen, status in ((person(alice, "viewer"), 200, 403), (person(alice, "analyst"), 200, 403), (person(bob), 404, 404)):
        assert visitor.get(page).status_code == seen
        for name in ("switch", "snooze", "delete"):
            assert form(visitor, f"{page}/{name}", "/issues") == status
        assert form(visitor, "/settings/alerts", "/issues", **{**PREDICTION, "rule": rules(alice)[0]["id"]}) == status
    assert "New on predictions" not in person(alice, "viewer").page("/settings/alerts")
    assert "Likely" not in person(bob).page("/settings/alerts")
    assert person(alice).post("/settings/alerts", PREDICTION).status_code == 403, "without the session's own token"
    assert len(rules(alice)) == 1
