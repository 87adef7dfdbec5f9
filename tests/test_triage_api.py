"""Triage by API: many at once, words about groups and taking them back, states, timeline, comments, views, clusters."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from everfix.core import ids
from everfix.errors import Conflict
from everfix.failures import analyses, closures, clusters, discussions, issues
from everfix.failures.patterns import Pattern
from everfix.ingest.events import Issue
from tests import make

HOUR = timedelta(hours=1)


@pytest.fixture
def filled(alice: make.Workspace, time: Any) -> make.Workspace:
    alice.learn(*make.failures("database", (9, 5, 2), team="shop"), *make.failures("payments", (8, 4)))
    return alice


def found(workspace: make.Workspace, **filters: Any) -> list[dict[str, Any]]:
    return workspace.api.ok("GET", "/v1/issues", **filters)["data"]  # type: ignore[no-any-return]


def pattern(workspace: make.Workspace, service: str) -> str:
    return next(str(one["id"]) for one in workspace.api.ok("GET", "/v1/patterns")["data"] if one["service"] == service)


# --- many at once ---


def test_bulk_changes_what_it_can_and_tells_the_rest(filled: make.Workspace) -> None:
    """C122."""
    one, other, *_ = found(filled)
    filled.api.ok("PATCH", f"/v1/issues/{other['id']}", {"status": "closed"})
    strange = ids.show(ids.Prefix.ISSUE, ids.new())
    done = filled.api.ok("POST", "/v1/issues/bulk", {"ids": [one["id"], other["id"], strange], "op": "status", "value": "in_progress"})
    assert (done["updated"], done["ids"]) == (1, [one["id"]])
    assert {row["id"]: row["reason"].split(",")[0] for row in done["failed"]} == {
        other["id"]: "an issue that is closed can become open",
        strange: "there is no such issue",
    }
    assert filled.api.ok("GET", f"/v1/issues/{one['id']}")["status"] == "mitigating"


@pytest.mark.parametrize(
    ("op", "value", "field", "becomes"),
    [
        ("severity", "critical", "severity", "p1"),
        ("team", "payments", "team", "payments"),
        ("team", None, "team", None),
        ("unlink_pattern", None, "pattern_id", None),
    ],
)
def test_bulk_operations(filled: make.Workspace, op: str, value: Any, field: str, becomes: Any) -> None:
    """C122."""
    wanted = [row["id"] for row in found(filled)][:2]
    assert filled.api.ok("POST", "/v1/issues/bulk", {"ids": wanted, "op": op, "value": value})["updated"] == 2
    assert {row[field] for row in found(filled) if row["id"] in wanted} == {becomes}


def test_bulk_assigns_to_members_only(filled: make.Workspace) -> None:
    """C122."""
    wanted = [row["id"] for row in found(filled)][:2]
    me = ids.show(ids.Prefix.USER, filled.users["analyst"])
    filled.api.ok("POST", "/v1/issues/bulk", {"ids": wanted, "op": "assign", "value": me})
    assert filled.api.ok("GET", f"/v1/issues/{wanted[0]}")["assignee"]["id"] == me
    assert len(found(filled, assignee_id=me)) == 2
    refused = filled.api.post("/v1/issues/bulk", {"ids": wanted, "op": "assign", "value": ids.show(ids.Prefix.USER, ids.new())})
    assert refused.status_code == 422


@pytest.mark.parametrize(
    "body",
    [
        {"ids": [], "op": "status", "value": "open"},
        {"ids": ["x"], "op": "status", "value": "open"},
        {"ids": [str(ids.new())], "op": "status", "value": "gone"},
        {"ids": [str(ids.new())], "op": "explode", "value": "open"},
        {"ids": [str(ids.new())], "op": "link_pattern", "value": None},
        {"ids": [str(ids.new())], "op": "unlink_pattern", "value": "x"},
        {"ids": [str(ids.new())], "op": "team", "value": 7},
    ],
)
def test_a_bulk_change_that_makes_no_sense_is_refused(filled: make.Workspace, body: dict[str, Any]) -> None:
    answer = filled.api.post("/v1/issues/bulk", body)
    assert (answer.status_code, answer.json()["error"]["code"]) == (422, "validation_error")


# --- words ---


def test_link_move_explain_and_undo(filled: make.Workspace) -> None:
    """C124, C125."""
    issue = next(row for row in found(filled) if row["service"] == "payments-api")
    target = pattern(filled, "orders-api")
    seen = filled.api.ok("POST", f"/v1/patterns/{issue['pattern_id']}/split-preview", {"issue_ids": [issue["id"]]})
    assert (seen["failures"], seen["named"]) == (2, 1)
    linked = filled.api.ok("POST", f"/v1/issues/{issue['id']}/link-pattern", {"pattern_id": target, "reason": "same outage"})
    assert (linked["pattern_id"], linked["status"]) == (target, "in_loop")
    assert linked["assignment"]["why"]["rule"] == "linked by Alice Owner"
    assert linked["assignment"]["why"]["reason"] == "same outage"
    assert linked["assignment"]["machine"]["stage"] in ("new", "exact")
    word = filled.api.ok("GET", "/v1/corrections", standing=True)["data"][0]
    assert (word["kind"], word["moved"], word["said_by"]) == ("link", 2, "Alice Owner")
    undone = filled.api.ok("POST", f"/v1/corrections/{word['id']}/undo")
    assert undone["revoked_by"] == "Alice Owner"
    assert filled.api.ok("GET", f"/v1/issues/{issue['id']}")["pattern_id"] == issue["pattern_id"]
    assert filled.api.post(f"/v1/corrections/{word['id']}/undo").status_code == 409


def test_merge_preview_merge_and_undo_from_the_pattern(filled: make.Workspace) -> None:
    one, other = pattern(filled, "orders-api"), pattern(filled, "payments-api")
    both = {"source_pattern_id": other, "target_pattern_id": one}
    assert filled.api.ok("POST", "/v1/patterns/merge-preview", both)["failures"] == 2
    assert filled.api.ok("POST", f"/v1/patterns/{one}/merge", {"source_pattern_id": other})["moved"] == 2
    assert [row["id"] for row in filled.api.ok("GET", "/v1/patterns")["data"]] == [one], "what was merged stands in no list"
    assert filled.api.ok("GET", f"/v1/patterns/{other}")["merged_into"] == one, "and old links still say where it went"
    assert filled.api.post(f"/v1/patterns/{other}/close", {"note": "x"}).status_code == 409
    assert filled.api.ok("POST", f"/v1/patterns/{one}/undo")["kind"] == "merge"
    assert len(filled.api.ok("GET", "/v1/patterns")["data"]) == 2
    assert filled.api.post(f"/v1/patterns/{one}/undo").status_code == 404


def test_split_and_detach_make_patterns_of_their_own(filled: make.Workspace) -> None:
    one = pattern(filled, "orders-api")
    members = filled.api.ok("GET", f"/v1/patterns/{one}/members")["data"]
    assert [row["occurred_at"] for row in members] == sorted((row["occurred_at"] for row in members), reverse=True)
    made = filled.api.ok("POST", f"/v1/patterns/{one}/split", {"issue_ids": [members[0]["id"]], "name": "Apart"})
    assert filled.api.ok("GET", f"/v1/patterns/{made['target_id']}")["name"] == "Apart"
    assert filled.api.post(f"/v1/patterns/{one}/detach", {"issue_ids": [members[0]["id"]]}).status_code == 422, "no member any more"
    again = filled.api.ok("POST", f"/v1/patterns/{made['target_id']}/detach", {"issue_ids": [members[0]["id"]]})
    assert [word["kind"] for word in again["data"]] == ["detach"]


def test_grouping_quality_counts_what_people_overruled(filled: make.Workspace) -> None:
    before = {row["stage"]: row for row in filled.api.ok("GET", "/v1/corrections/quality")["data"]}
    assert sum(row["overruled"] for row in before.values()) == 0
    issue = next(row for row in found(filled) if row["service"] == "payments-api")
    filled.api.ok("POST", f"/v1/issues/{issue['id']}/unlink-pattern", {"reason": "noise"})
    after = {row["stage"]: row for row in filled.api.ok("GET", "/v1/corrections/quality")["data"]}
    assert sum(row["overruled"] for row in after.values()) == 2
    assert after.keys() == before.keys()
    assert all(row["stood"] == round(1 - row["overruled"] / row["assigned"], 4) for row in after.values())


# --- states ---


def test_a_pattern_is_resolved_by_a_note_and_silence_and_by_nothing_else(filled: make.Workspace, time: Any) -> None:
    """C138, C139, C140."""
    one = pattern(filled, "orders-api")
    refused = filled.api.patch(f"/v1/patterns/{one}", {"status": "resolved"})
    assert (refused.status_code, "closure note" in refused.json()["error"]["message"]) == (409, True)
    noted = filled.api.ok("POST", f"/v1/patterns/{one}/close", {"note": "Pool enlarged"})
    assert (noted["status"], noted["resolvable"]["now"], "silent" in noted["resolvable"]["missing"]) == ("active", False, True)
    refused = filled.api.patch(f"/v1/patterns/{one}", {"status": "resolved"})
    assert (refused.status_code, "silent" in refused.json()["error"]["message"]) == (409, True)
    time.advance(days=400)
    assert filled.api.ok("POST", f"/v1/patterns/{one}/close", {"note": "Pool enlarged"})["status"] == "resolved"
    assert filled.api.post(f"/v1/patterns/{one}/close", {"note": "again"}).status_code == 409
    filled.learn(make.failures("database", (0,), end=time.at + HOUR, external_id="back")[0], now=time.at + HOUR)
    assert filled.api.ok("GET", f"/v1/patterns/{one}")["status"] == "active", "it re-opens by itself"


def test_mitigating_is_a_fact_beside_the_status(filled: make.Workspace) -> None:
    """C135."""
    one = pattern(filled, "orders-api")
    moved = filled.api.ok("PATCH", f"/v1/patterns/{one}", {"status": "mitigating", "tags": ["db"], "domain": "payments"})
    assert (moved["status"], moved["mitigating_since"], moved["tags"], moved["domain"]) == (
        "active",
        make.NOW.isoformat().replace("+00:00", "Z"),
        ["db"],
        "payments",
    )
    assert filled.api.ok("PATCH", f"/v1/patterns/{one}", {"status": "active"})["mitigating_since"] is None
    assert filled.api.ok("PATCH", f"/v1/patterns/{one}", {"status": "watching"})["status"] == "emerging"


STEPS = st.lists(st.sampled_from(("emerging", "active", "mitigating", "resolved", "watching", "note", "late", "fails")), max_size=12)


@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(STEPS)
def test_no_way_leads_to_resolved_without_note_and_silence(alice: make.Workspace, steps: list[str]) -> None:
    with alice.db() as db:
        one = Pattern(status="emerging", closure_note="", last_seen_at=make.NOW, mitigating_since=None, closed_at=None)
        now = make.NOW
        for step in steps:
            if step == "note":
                one.closure_note = "done" if one.status != "resolved" else one.closure_note
            elif step == "late":
                now += timedelta(days=100)
            elif step == "fails":
                now += HOUR
                one.last_seen_at = now
                one.status = "active" if one.status == "resolved" else one.status
            else:
                before = one.status
                try:
                    closures.move(db, one, step, now)
                except Conflict:
                    assert one.status == before
            assert one.status in closures.FLOW
            assert one.status != "resolved" or (one.closure_note and one.last_seen_at is not None and one.last_seen_at < now)


@settings(deadline=None, max_examples=100)
@given(st.lists(st.sampled_from(issues.STATUSES), max_size=10))
def test_an_issue_moves_along_its_table_and_nowhere_else(steps: list[str]) -> None:
    one = Issue(status="open", resolved_at=None)
    for step in steps:
        before = one.status
        allowed = step == before or step in issues.FLOW[before]
        try:
            issues._move(one, step)
        except Conflict:
            assert not allowed
        else:
            assert allowed
        assert one.status == (step if allowed else before)
        assert (one.resolved_at is not None) == (one.status in ("resolved", "closed"))


# --- made by hand, frequency, watch ---


def test_a_pattern_made_by_hand(filled: make.Workspace) -> None:
    """C133."""
    wanted = [row["id"] for row in found(filled) if row["service"] == "payments-api"][:1]
    made = filled.api.call("POST", "/v1/patterns", json={"name": "Card provider", "issue_ids": wanted, "tags": ["x"], "status": "watching"})
    assert made.status_code == 201
    assert (made.json()["status"], made.json()["issue_count"], made.json()["tags"]) == ("emerging", 2, ["x"])
    bare = filled.api.ok("POST", "/v1/patterns", {"name": "n" * 200})
    assert [bare[name] for name in ("status", "fingerprint", "tags", "issue_count", "risk_score", "confidence")] == [
        "emerging",
        {},
        [],
        0,
        0,
        0.5,
    ]
    told = {"service": "cards", "error_type": "Timeout", "time_of_day": "night", "team": "payments"}
    assert filled.api.ok("POST", "/v1/patterns", {"name": "Told", "fingerprint": told, "tags": ["t"] * 20})["fingerprint"] == told
    empty = filled.api.ok("POST", "/v1/patterns", {"name": "Expected", "risk_score": 40, "confidence": 0.9})
    assert (empty["risk_score"], empty["confidence"], empty["issue_count"]) == (40, 0.9, 0)
    assert empty["id"] in [row["id"] for row in filled.api.ok("GET", "/v1/patterns")["data"]]
    for wrong in (
        {"name": ""},
        {"name": "n" * 201},
        {"name": "x", "confidence": 1.1},
        {"name": "x", "tags": ["t"] * 21},
        {"name": "x", "risk_score": 101},
        {"name": "x", "issue_ids": [str(ids.new())]},
    ):
        assert filled.api.post("/v1/patterns", wrong).status_code == 422, wrong
    assert filled.api.post("/v1/patterns", {"name": "x", "status": "resolved"}).status_code == 409


@pytest.mark.parametrize("days", [7, 30, 90])
def test_frequency_counts_each_day_and_expects_within_a_band(filled: make.Workspace, days: int) -> None:
    made = filled.api.ok("GET", f"/v1/patterns/{pattern(filled, 'orders-api')}/frequency", window=f"{days}d")
    assert len(made["series"]) == days
    assert sum(day["failures"] for day in made["series"]) == sum(1 for ago in (9, 5, 2) if ago < days)
    assert made["predicted"]
    assert all(0 <= day["lower"] <= day["expected"] <= day["upper"] for day in made["predicted"])
    assert filled.api.get(f"/v1/patterns/{pattern(filled, 'orders-api')}/frequency", window="1y").status_code == 422


def test_watching(filled: make.Workspace) -> None:
    one = pattern(filled, "orders-api")
    assert filled.api.ok("POST", f"/v1/patterns/{one}/watch") == {"watching": True, "watchers": 1}
    assert filled.analyst.ok("GET", f"/v1/patterns/{one}")["watching"] is False
    assert filled.api.ok("DELETE", f"/v1/patterns/{one}/watch") == {"watching": False, "watchers": 0}
    assert filled.service.post(f"/v1/patterns/{one}/watch").status_code == 422, "only people watch"


# --- timeline, comments, similar ---


def test_the_timeline_shows_what_happened_and_what_was_changed_near_it(filled: make.Workspace) -> None:
    issue = next(row for row in found(filled) if row["external_id"] == "database-2")
    before, far = (make.NOW - timedelta(days=2, hours=3)).isoformat(), (make.NOW - timedelta(days=6)).isoformat()
    changed = [
        {"external_id": "d1", "title": "Deploy 41", "service": "orders-api", "occurred_at": before},
        {"external_id": "d2", "title": "Deploy elsewhere", "service": "search-api", "occurred_at": before},
        {"external_id": "d3", "title": "Deploy long ago", "service": "orders-api", "occurred_at": far},
    ]
    filled.api.ok("POST", "/v1/changes", {"changes": changed})
    filled.api.ok("PATCH", f"/v1/issues/{issue['id']}", {"severity": "p1"})
    filled.api.ok("POST", f"/v1/issues/{issue['id']}/comments", {"body": "Looks like the pool"})
    filled.api.ok("POST", f"/v1/issues/{issue['id']}/unlink-pattern")
    with filled.db() as db:
        analyses.enqueue(db, [ids.parse(ids.Prefix.ISSUE, issue["id"])])
    filled.work()
    told = filled.api.ok("GET", f"/v1/issues/{issue['id']}/activity")["data"]
    assert [entry["at"] for entry in told] == sorted((entry["at"] for entry in told), reverse=True)
    kinds = {entry["type"]: entry for entry in told}
    assert {
        "issue.occurred",
        "issue.ingested",
        "issue.analyzed",
        "issue.updated",
        "comment",
        "correction.unlink",
        "change.deploy",
    } <= kinds.keys()
    assert [entry["title"] for entry in told if entry["type"] == "change.deploy"] == ["Deploy 41"]
    assert kinds["issue.updated"]["details"] == {"severity": ["p2", "p1"]}


def test_comments_name_members(filled: make.Workspace) -> None:
    issue = found(filled)[0]["id"]
    made = filled.api.ok(
        "POST", f"/v1/issues/{issue}/comments", {"body": "cc @analyst and @viewer@alice.example, not me@analyst.example or @nobody"}
    )
    assert made["mentions"] == [ids.show(ids.Prefix.USER, filled.users[name]) for name in ("analyst", "viewer")]
    assert filled.analyst.call("DELETE", f"/v1/issues/{issue}/comments/{made['id']}").status_code == 403
    assert filled.api.call("DELETE", f"/v1/issues/{issue}/comments/{made['id']}").status_code == 204
    assert filled.api.ok("GET", f"/v1/issues/{issue}/comments")["data"] == []
    assert filled.api.post(f"/v1/issues/{issue}/comments", {"body": ""}).status_code == 422


def test_similar_issues_say_how_much_and_why(filled: make.Workspace) -> None:
    """C123."""
    issue = next(row for row in found(filled) if row["external_id"] == "database-2")
    told = filled.api.ok("GET", f"/v1/issues/{issue['id']}/similar")["data"]
    assert [(row["issue"]["external_id"], row["score"], row["because"]) for row in told[:2]] == [
        ("database-1", 1.0, ["the same fingerprint"]),
        ("database-0", 1.0, ["the same fingerprint"]),
    ]
    assert all(0 <= row["score"] <= 1 and row["because"] for row in told)


def test_mentions_are_read_from_any_text() -> None:
    assert discussions.mentioned("@@x a@b.c @", []) == []


# --- views ---


def test_saved_views_are_ones_own_unless_shared(filled: make.Workspace) -> None:
    made = filled.api.ok(
        "POST", "/v1/saved-views", {"name": "Mine", "filters": {"status": "open,in_loop", "risk_min": 40}, "sort": "-risk_score"}
    )
    assert (made["mine"], made["shared"]) == (True, False)
    assert filled.analyst.ok("GET", "/v1/saved-views")["data"] == []
    assert filled.analyst.get(f"/v1/saved-views/{made['id']}").status_code == 404
    filled.api.ok("PATCH", f"/v1/saved-views/{made['id']}", {"shared": True, "name": "Ours"})
    (seen,) = filled.analyst.ok("GET", "/v1/saved-views", resource="issues")["data"]
    assert (seen["name"], seen["mine"], seen["filters"]) == ("Ours", False, {"status": "open,in_loop", "risk_min": 40})
    assert filled.analyst.patch(f"/v1/saved-views/{made['id']}", {"name": "x"}).status_code == 403
    assert filled.api.post("/v1/saved-views", {"name": "Ours"}).status_code == 409
    assert filled.api.post("/v1/saved-views", {"name": "Bad", "filters": {"colour": "red"}}).status_code == 422
    assert filled.api.post("/v1/saved-views", {"name": "Bad", "filters": {"risk_min": 400}}).status_code == 422
    assert filled.api.call("DELETE", f"/v1/saved-views/{made['id']}").status_code == 204
    assert filled.api.ok("GET", "/v1/saved-views")["data"] == []


# --- clusters ---


def test_patterns_that_share_a_rare_thing_are_one_cluster_and_it_is_named(alice: make.Workspace, time: Any) -> None:
    """C142, C143."""
    alike = [
        *make.failures("database", (9, 5, 2), service="orders-api", team="shop"),
        *make.failures("payments", (8, 4, 1), service="orders-api", team="shop"),
    ]
    others = [
        make.event(
            title=f"{word} broke down badly {n}",
            service=f"{word}-api",
            source_created_at=(make.NOW - timedelta(days=n, hours=n)).isoformat(),
        )
        for n, word in enumerate(("ledger", "kernel", "proxy", "mailer", "uploads", "quota", "lease", "shards"), 1)
    ]
    alice.learn(*alike, *others)
    job = alice.api.call("POST", "/v1/clusters/recompute")
    assert job.status_code == 202
    assert alice.api.ok("POST", "/v1/clusters/recompute")["job_id"] == job.json()["job_id"], "one that waits is enough"
    alice.work()
    (cluster,) = alice.api.ok("GET", "/v1/clusters")["data"]
    assert {thing["kind"] for thing in cluster["shared"]} >= {"service", "team"}
    assert cluster["shared"][0]["patterns"] == len(cluster["pattern_ids"]) == 2
    assert "orders-api" in cluster["name"] or "shop" in cluster["name"]
    detail = alice.api.ok("GET", f"/v1/clusters/{cluster['id']}")
    graph = alice.api.ok("GET", "/v1/patterns/graph")
    assert {node["id"] for node in graph["nodes"]} == set(cluster["pattern_ids"])
    assert graph["edges"] == detail["edges"]
    assert {(edge["source"], edge["target"]) for edge in graph["edges"]} <= {
        (a, b) for a in cluster["pattern_ids"] for b in cluster["pattern_ids"]
    }
    with alice.db() as db:
        clusters.compute(db, make.NOW)
    assert alice.api.ok("GET", "/v1/clusters")["data"][0]["id"] == cluster["id"], "the same patterns are the same cluster"


def test_what_everybody_has_ties_nobody() -> None:
    nodes = [clusters.Node(ids.new(), f"n{n}", 1, 1, frozenset({("team", "all"), ("service", f"s{n}")}), frozenset()) for n in range(40)]
    assert clusters.ties(nodes) == []


def test_patterns_that_fail_at_the_same_hours_are_tied() -> None:
    hours = frozenset(range(0, 4000, 97))
    nodes = [clusters.Node(ids.new(), name, 1, 1, frozenset({("service", name)}), hours) for name in ("a", "b")]
    nodes.append(clusters.Node(ids.new(), "c", 1, 1, frozenset(), frozenset(h + 5 for h in hours)))
    (tie,) = clusters.ties(nodes)
    assert ({tie.one, tie.other}, tie.shared[0][0]) == ({nodes[0].id, nodes[1].id}, "hours")


def test_a_detach_is_previewed(filled: make.Workspace) -> None:
    issue = next(row for row in found(filled) if row["service"] == "payments-api")
    path, body = f"/v1/patterns/{issue['pattern_id']}", {"issue_ids": [issue["id"]]}
    seen = filled.api.ok("POST", f"{path}/detach-preview", body)
    assert filled.api.ok("GET", f"/v1/issues/{issue['id']}")["pattern_id"] == issue["pattern_id"]  # nothing was changed
    done = filled.api.ok("POST", f"{path}/detach", body)["data"]
    assert seen["failures"] == sum(word["moved"] for word in done) > 0
    assert [move["from"] for move in seen["moves"]] == [issue["pattern_id"]]
