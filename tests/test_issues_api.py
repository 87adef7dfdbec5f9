"""/v1/issues: list, create, read, change; statuses along one flow; aliases read and never written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import ids
from everfix.failures import analyses, issues
from everfix.ingest import events
from tests import make

METADATA = {"bank": "Zürich ☂", "n": [1, 2.5, None, True], "deep": {"a": {"b": ""}}, "Key With Space": "1e3"}


def create(workspace: make.Workspace, **given: Any) -> dict[str, Any]:
    return workspace.api.ok("POST", "/v1/issues", {"title": "Made by hand", **given})  # type: ignore[no-any-return]


def titles(workspace: make.Workspace, **params: Any) -> set[str]:
    return {row["title"] for row in workspace.api.ok("GET", "/v1/issues", limit=100, **params)["data"]}


def test_an_issue_made_by_hand(alice: make.Workspace) -> None:
    """C116, C127."""
    answer = alice.analyst.post(
        "/v1/issues", {"title": "Checkout fails", "body": "for one bank", "severity": "critical", "metadata": METADATA}
    )
    assert answer.status_code == 201
    assert alice.viewer.post("/v1/issues", {"title": "x"}).status_code == 403
    made = answer.json()
    assert (made["title"], made["severity"], made["status"], made["source"], made["metadata"]) == (
        "Checkout fails",
        "p1",
        "open",
        "manual",
        METADATA,
    )
    assert made["analysis_status"] == "pending"
    assert alice.work() == 2  # it is learnt, then analysed
    again = alice.api.ok("GET", f"/v1/issues/{made['id']}")
    assert (again["analysis_status"], again["metadata"]) == ("done", METADATA)


def test_a_taken_external_id_is_a_conflict(alice: make.Workspace, bob: make.Workspace) -> None:
    """C80."""
    create(alice, external_id="OPS-1")
    answer = alice.api.post("/v1/issues", {"title": "x", "external_id": "OPS-1"})
    assert (answer.status_code, answer.json()["error"]["details"]) == (409, {"external_id": "taken"})
    create(bob, external_id="OPS-1")


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({}, "title"),
        ({"title": ""}, "title"),
        ({"title": "x", "severity": "p7"}, "severity"),
        ({"title": "x", "nope": 1}, "nope"),
        ({"title": " "}, "title"),
    ],
)
def test_a_wrong_issue_is_refused(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    answer = alice.api.post("/v1/issues", body)
    assert answer.status_code == 422
    assert field in answer.json()["error"]["details"]


def test_the_fields_of_the_reference(alice: make.Workspace) -> None:
    """C117."""
    one = alice.api.ok("GET", f"/v1/issues/{create(alice)['id']}")
    named = {
        "id",
        "external_id",
        "title",
        "body",
        "severity",
        "status",
        "analysis_status",
        "source",
        "risk_score",
        "pattern_id",
        "team",
        "external_url",
    }
    named |= {"metadata", "source_created_at", "source_updated_at", "ingested_at", "created_at", "updated_at", "analyzed_at", "assignee_id"}
    assert named <= set(one)
    assert one["loop"] == {"occurrences_90d": 0, "avg_mttr_seconds": None}
    assert one["pattern"] is None
    assert one["recurrence"] is None


def test_filters(alice: make.Workspace) -> None:
    """C113, C114."""
    learnt = alice.learn(
        *make.failures("database", (9, 5, 2), team="shop"),
        make.event(title="Alone", severity="p4", source="jira", kind="defect", body="the Zürich lamp"),
    )
    with alice.db() as db:
        analyses.enqueue(db, learnt)
    alice.work()
    alice.ingest(make.event(title="Not yet", source_created_at=(make.NOW - timedelta(days=300)).isoformat()))
    pattern = alice.api.ok("GET", "/v1/patterns", status="active")["data"][0]["id"]
    pool = "Connection pool of orders-db exhausted"
    cases: list[tuple[dict[str, Any], set[str]]] = [
        ({"status": "in_loop"}, {pool}),
        ({"status": "pattern_found"}, {pool}),
        ({"status": "open,in_loop"}, {pool, "Alone", "Not yet"}),
        ({"severity": "high"}, {pool}),
        ({"severity": "p4,p2"}, {pool, "Alone"}),
        ({"source": "jira"}, {"Alone"}),
        ({"team": "shop"}, {pool}),
        ({"service": "orders-api"}, {pool}),
        ({"kind": "defect"}, {"Alone"}),
        ({"pattern_id": pattern}, {pool}),
        ({"pattern_id": str(ids.parse(ids.Prefix.PATTERN, pattern))}, {pool}),
        ({"linked": "false"}, {"Not yet"}),
        ({"linked": "true"}, {pool, "Alone"}),
        ({"analysis_status": "pending"}, {"Not yet"}),
        ({"q": "pool exhau"}, {pool}),
        ({"q": "zürich"}, {"Alone"}),
        ({"q": "nowhere"}, set()),
        ({"q": "%"}, set()),
        ({"q": "alone:* & | ! ()"}, {"Alone"}),
        ({"date_to": (make.NOW - timedelta(days=200)).isoformat()}, {"Not yet"}),
        ({"date_from": (make.NOW - timedelta(days=6)).isoformat(), "service": "orders-api"}, {pool}),
        ({"risk_min": 40}, {pool}),
        ({"risk_max": 0}, {"Not yet"}),
        ({"status": "in_loop", "severity": "p4"}, set()),
    ]
    for params, expected in cases:
        assert titles(alice, **params) == expected, params
    assert all(0 <= row["risk_score"] <= 100 for row in alice.api.ok("GET", "/v1/issues", limit=100)["data"])


@pytest.mark.parametrize("sort", ["risk_score", "ingested_at", "source_created_at", "severity", "status", "updated_at"])
def test_the_sorts_of_the_reference(alice: make.Workspace, sort: str) -> None:
    """C115."""
    alice.learn(*make.failures("database", (9, 5, 2), severity="p1"))
    for number, severity in enumerate(("p4", "p2", "p3")):
        create(alice, severity=severity, source_created_at=(make.NOW - timedelta(days=number)).isoformat())
    last = alice.api.ok("GET", "/v1/issues")["data"][-1]
    alice.api.ok("PATCH", f"/v1/issues/{last['id']}", {"status": "closed"})
    values = [row[sort] for row in alice.api.ok("GET", "/v1/issues", sort=sort)["data"]]
    assert (values, len(values), len(set(values)) > 1) == (sorted(values), 6, True)
    assert [row[sort] for row in alice.api.ok("GET", "/v1/issues", sort=f"-{sort}")["data"]] == values[::-1]


@pytest.mark.parametrize(("start", "end"), [(start, end) for start in issues.FLOW for end in issues.FLOW if start != end])
def test_the_flow(alice: make.Workspace, start: str, end: str) -> None:
    """C118, C119."""
    issue = create(alice)["id"]
    if start != "open":
        alice.api.ok("PATCH", f"/v1/issues/{issue}", {"status": start})
    answer = alice.api.patch(f"/v1/issues/{issue}", {"status": end})
    if end in issues.FLOW[start]:
        assert (answer.status_code, answer.json()["status"]) == (200, end)
        assert (answer.json()["resolved_at"] is not None) == (end in ("resolved", "closed"))
    else:
        assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
        assert "status" in answer.json()["error"]["details"]


@pytest.mark.parametrize(
    ("alias", "canonical"), [("in_progress", "mitigating"), ("wont_fix", "closed"), ("pattern_found", "in_loop"), ("CLOSED", "closed")]
)
def test_status_aliases_are_read_and_never_written(alice: make.Workspace, alias: str, canonical: str) -> None:
    """C119."""
    issue = create(alice)["id"]
    assert alice.api.ok("PATCH", f"/v1/issues/{issue}", {"status": alias})["status"] == canonical
    assert set(events.STATUS_ALIASES.values()) <= set(issues.STATUSES)


@pytest.mark.parametrize(("sent", "kept"), [("critical", "p1"), ("high", "p2"), ("medium", "p3"), ("low", "p4"), ("P2", "p2")])
def test_severities_by_either_name(alice: make.Workspace, sent: str, kept: str) -> None:
    """C121: created, changed, ingested and filtered by the same words."""
    issue = create(alice, severity=sent)
    assert issue["severity"] == kept
    assert alice.api.ok("PATCH", f"/v1/issues/{issue['id']}", {"severity": sent})["severity"] == kept
    told = alice.api.ok("POST", "/v1/ingest/events", make.event(severity=sent))
    assert alice.api.ok("GET", f"/v1/issues/{told['issue_id']}")["severity"] == kept
    assert {row["severity"] for row in alice.api.ok("GET", "/v1/issues", severity=sent)["data"]} == {kept}


def test_what_may_change(alice: make.Workspace) -> None:
    """C118."""
    issue = create(alice)["id"]
    changed = alice.api.ok(
        "PATCH",
        f"/v1/issues/{issue}",
        {
            "title": "New",
            "body": "words",
            "severity": "low",
            "team": "shop",
            "assignee_id": ids.show(ids.Prefix.USER, alice.users["viewer"]),
        },
    )
    assert (changed["title"], changed["body"], changed["severity"], changed["team"]) == ("New", "words", "p4", "shop")
    assert changed["assignee_id"] == ids.show(ids.Prefix.USER, alice.users["viewer"])
    again = alice.api.ok("PATCH", f"/v1/issues/{issue}", {"team": None, "assignee_id": None, "title": None})
    assert (again["team"], again["assignee_id"], again["title"]) == (None, None, "New")
    assert alice.api.ok("PATCH", f"/v1/issues/{issue}", {})["title"] == "New"
    pattern = alice.api.ok("POST", "/v1/patterns", {"name": "Made by hand"})["id"]
    assert alice.api.ok("PATCH", f"/v1/issues/{issue}", {"pattern_id": pattern})["pattern_id"] == pattern
    assert alice.api.ok("PATCH", f"/v1/issues/{issue}", {"status": "closed"})["status"] == "closed"


def test_a_stranger_cannot_be_assigned(alice: make.Workspace, bob: make.Workspace) -> None:
    issue = create(alice)["id"]
    answer = alice.api.patch(f"/v1/issues/{issue}", {"assignee_id": ids.show(ids.Prefix.USER, bob.users["viewer"])})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, ["assignee_id"])


def test_another_workspaces_pattern_cannot_be_linked(alice: make.Workspace, bob: make.Workspace) -> None:
    bob.learn(*make.failures("database", (3, 2)))
    foreign = bob.api.ok("GET", "/v1/patterns")["data"][0]["id"]
    answer = alice.api.patch(f"/v1/issues/{create(alice)['id']}", {"pattern_id": foreign})
    assert (answer.status_code, list(answer.json()["error"]["details"])) == (422, ["pattern_id"])


def test_linking_by_hand_counts_and_is_explained(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    pattern = alice.api.ok("GET", "/v1/patterns")["data"][0]
    issue = create(alice)["id"]
    linked = alice.api.ok("PATCH", f"/v1/issues/{issue}", {"pattern_id": pattern["id"]})
    assert (linked["status"], linked["pattern"]["issue_count"]) == ("in_loop", 4)
    assert linked["assignment"]["why"]["rule"] == "linked by Alice Owner"
    assert linked["loop"]["occurrences_90d"] >= 1
    unlinked = alice.api.ok("PATCH", f"/v1/issues/{issue}", {"pattern_id": None})
    assert unlinked["pattern"] is None
    assert alice.api.ok("GET", f"/v1/patterns/{pattern['id']}")["issue_count"] == 3


def test_taking_the_last_issue_from_a_pattern(alice: make.Workspace) -> None:
    issue = ids.show(ids.Prefix.ISSUE, alice.learn(*make.failures("database", (2,)))[0])
    pattern = alice.api.ok("GET", "/v1/patterns")["data"][0]["id"]
    alice.api.ok("PATCH", f"/v1/issues/{issue}", {"pattern_id": None})
    assert alice.api.ok("GET", f"/v1/patterns/{pattern}")["issue_count"] == 0


def test_changing_leaves_a_trace(alice: make.Workspace) -> None:
    issue = create(alice)["id"]
    alice.analyst.ok("PATCH", f"/v1/issues/{issue}", {"severity": "p1", "title": "Made by hand"})
    with alice.db() as db:
        entry = db.execute(text("SELECT action, details, actor_name FROM audit_log ORDER BY number DESC LIMIT 1")).one()
    assert (entry.action, entry.details, entry.actor_name) == ("issue.updated", {"severity": ["p3", "p1"]}, "Analyst")


def test_the_list_never_shows_another_workspace(alice: make.Workspace, bob: make.Workspace) -> None:
    """C112."""
    create(alice, title="Alice's")
    create(bob, title="Bob's")
    assert titles(alice) == {"Alice's"}
    assert titles(bob, q="Alice") == set()
