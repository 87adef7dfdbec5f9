"""The workspace and the settings of its loop: by API and by page, with what may not be set said by name, and what they change."""

from __future__ import annotations

from typing import Any

import httpx
import pytest

from everfix import audit
from tests import make
from tests.test_web import Person

PATH, PAGE = "/v1/workspace", "/settings/workspace"


def test_the_workspace_is_read_and_changed(alice: make.Workspace, bob: make.Workspace) -> None:
    """C88, C89."""
    before = alice.viewer.ok("GET", PATH)
    assert {"name", "slug", "timezone", "default_theme", "sso_enforced", "ai_auto_link", "ai_confidence_threshold"} <= before.keys()
    assert (before["ai_proof_window_days"], before["alert_threshold"], before["id"][:3]) == (30, 0.7, "ws_")
    wanted = {"name": "Acme Rail", "timezone": "Asia/Kathmandu", "ai_proof_window_days": 45, "alert_threshold": 0.8, "currency": "eur"}
    changed = alice.admin.ok("PATCH", PATH, wanted)
    assert changed == before | wanted | {"currency": "EUR"}
    assert alice.admin.ok("PATCH", PATH, {}) == changed, "what is not sent stays"
    assert bob.api.ok("GET", PATH)["name"] != "Acme Rail"
    assert alice.api.ok("GET", "/v1/predictions/summary")["alert_threshold"] == 0.8
    with alice.db() as db:
        told = db.query(audit.Entry).where(audit.Entry.action == "workspace.updated").one()
        assert told.details["timezone"] == {"from": "UTC", "to": "Asia/Kathmandu"}, "a change of nothing told nothing"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("name", "x"),
        ("name", "x" * 101),
        ("name", None),
        ("slug", "-x"),
        ("slug", "Acme"),
        ("timezone", "Mars/Olympus"),
        ("timezone", "../etc/passwd"),
        ("default_theme", "blue"),
        ("description", "x" * 2001),
        ("ai_confidence_threshold", 1.1),
        ("ai_proof_window_days", 6),
        ("ai_proof_window_days", 366),
        ("alert_threshold", -0.1),
        ("currency", "euro"),
        ("loop_cost", -1),
        ("loop_cost", "NaN"),
        ("simulated", True),
    ],
)
def test_what_cannot_be_is_named(alice: make.Workspace, field: str, wrong: Any) -> None:
    """C90."""
    before = alice.api.ok("GET", PATH)
    refused = alice.admin.call("PATCH", PATH, json={field: wrong})
    assert refused.status_code == 422
    assert field in refused.json()["error"]["details"]
    assert alice.api.ok("GET", PATH) == before


def test_single_sign_on_is_the_owners_and_needs_a_provider(alice: make.Workspace) -> None:
    assert alice.admin.call("PATCH", PATH, json={"sso_enforced": True}).status_code == 403
    assert alice.admin.ok("PATCH", PATH, {"sso_enforced": False})["sso_enforced"] is False, "what it is already is no change"
    refused = alice.api.call("PATCH", PATH, json={"sso_enforced": True})
    assert (refused.status_code, "sso_enforced" in refused.json()["error"]["details"]) == (422, True)


def test_the_page_changes_it_and_says_what_is_wrong(client: httpx.Client, alice: make.Workspace) -> None:
    """C300."""
    person = Person(client).enter(alice.secrets["owner"])
    assert person.get("/settings").headers["location"] == PAGE
    assert 'value="Asia/Kathmandu"' in person.page(PAGE)
    form = {"csrf": person.csrf(), "name": "Acme", "slug": alice.api.ok("GET", PATH)["slug"], "timezone": "Europe/Paris"}
    form |= {"default_theme": "dark", "currency": "chf", "loop_cost": "1200", "alert_threshold": "65.5"}
    form |= {"ai_confidence_threshold": "40", "ai_proof_window_days": "21", "industry": "", "description": "Rail & sea"}
    assert person.post(PAGE, form).headers["location"] == f"{PAGE}?kept=1"
    kept = alice.api.ok("GET", PATH)
    assert {name: kept[name] for name in ("name", "currency", "loop_cost", "alert_threshold", "ai_auto_link")} == {
        "name": "Acme", "currency": "CHF", "loop_cost": 1200.0, "alert_threshold": 0.655, "ai_auto_link": False,
    }  # fmt: skip
    page = person.page(PAGE)
    assert 'data-theme="dark"' in page
    assert "Rail &amp; sea" in page
    for field, wrong, name in (
        ("alert_threshold", "a lot", "Alert threshold"),
        ("timezone", "Nowhere", "Time zone"),
        ("name", "x", "Name"),
    ):
        answer = person.post(PAGE, form | {field: wrong})
        assert (answer.status_code, f"{name}: " in answer.text, f'value="{wrong}"' in answer.text) == (422, True, True)
    assert alice.api.ok("GET", PATH) == kept


def test_changes_are_listed_and_read(alice: make.Workspace, bob: make.Workspace) -> None:
    at = "2026-03-0{}T10:00:00Z".format
    sent = [
        {"external_id": "d1", "title": "Deploy 14", "service": "checkout", "occurred_at": at(1), "metadata": {"version": "14"}},
        {"external_id": "f1", "title": "Flag on", "kind": "flag", "occurred_at": at(2)},
        {"external_id": "d2", "title": "Deploy 9", "service": "search", "kind": "release", "occurred_at": at(3)},
    ]
    alice.api.ok("POST", "/v1/changes", {"changes": sent})

    def titles(**asked: str) -> list[str]:
        return [row["title"] for row in alice.viewer.ok("GET", "/v1/changes", **asked)["data"]]

    assert titles() == ["Deploy 9", "Flag on", "Deploy 14"]
    assert titles(service="checkout") == ["Flag on", "Deploy 14"], "what was changed everywhere was changed there, too"
    assert titles(kind="deploy,flag", sort="occurred_at") == ["Deploy 14", "Flag on"]
    assert titles(date_from=at(2), date_to=at(2)) == ["Flag on"]
    one = alice.api.ok("GET", "/v1/changes")["data"][-1]
    assert alice.api.ok("GET", f"/v1/changes/{one['id']}") == one
    assert (one["metadata"], one["kind"], one["id"][:4]) == ({"version": "14"}, "deploy", "chg_")
    assert bob.api.get(f"/v1/changes/{one['id']}").status_code == 404
    assert alice.api.get("/v1/changes", kind="party").json()["error"]["details"] == {
        "kind": "one or more of deploy, release, flag, config, fix"
    }
