"""The loop: failures become patterns, predictions, recommendations and proofs; each judgement explained, each workspace alone."""

from __future__ import annotations

import threading
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import event, select, text

from everfix.core import ids
from everfix.core.db import Database
from everfix.failures import figures, fingerprint, loop, memory, patterns
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.failures.recommendations import Recommendation
from everfix.failures.verifications import Verification
from everfix.ingest.events import Issue
from tests import make


def rows(workspace: make.Workspace, kind: Any) -> list[Any]:
    with workspace.db() as db:
        return list(db.execute(select(kind).order_by(kind.id)).scalars())


def test_equal_failures_are_one_pattern_and_others_are_not(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)), *make.failures("payments", (8, 4)))
    assert {pattern.service: pattern.issue_count for pattern in rows(alice, Pattern)} == {"orders-api": 3, "payments-api": 2}
    assert {pattern.name for pattern in rows(alice, Pattern)} >= {"Connection pool of orders-db exhausted"}
    assert all(issue.pattern_id for issue in rows(alice, Issue))


def test_what_varies_between_occurrences_does_not_part_them(alice: make.Workspace) -> None:
    titles = [
        f"Timeout after {3000 + n} ms for order {ids.new()} from 10.0.{n}.7 at 2026-03-0{n + 1}T10:00:00Z, request 0x{n}f3a91bc"
        for n in range(6)
    ]
    alice.learn(*(make.event(title=title, service="orders") for title in titles))
    assert [pattern.issue_count for pattern in rows(alice, Pattern)] == [6]


def test_each_assignment_says_why(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    first, second, third = rows(alice, Issue)
    for issue in (first, second, third):
        assert issue.assignment["version"] == fingerprint.CURRENT
        assert 0 <= issue.assignment["confidence"] <= 1
        assert issue.assignment["why"]["rule"]
        assert issue.fingerprint
        assert (issue.analysis_status, issue.analyzed_at) == ("pending", None), "grouped; its root cause is a job of its own"
    assert first.assignment["confidence"] == loop.FIRST
    assert second.assignment["confidence"] == loop.EXACT
    assert second.assignment["why"]["rule"].startswith("same ")


def test_a_pattern_says_why_and_carries_its_dimensions(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2, 1), team="shop", error_type="PoolTimeout"))
    pattern = rows(alice, Pattern)[0]
    assert pattern.why["rule"]
    assert {
        "service": "orders-api",
        "team": "shop",
        "error_type": "PoolTimeout",
        "time_of_day": "morning",
    }.items() <= pattern.fingerprint.items()
    assert (pattern.service, pattern.domain, pattern.severity) == ("orders-api", "orders-api", "p2")
    assert pattern.first_seen_at == make.NOW - timedelta(days=9)
    assert pattern.last_seen_at == make.NOW - timedelta(days=1)


def test_risk_is_the_sum_of_its_parts_within_bounds(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", [n / 3 for n in range(1, 60)], severity="p1"), *make.failures("login", (300,), severity="p4"))
    for row in [*rows(alice, Pattern), *rows(alice, Issue)]:
        assert row.risk_score == min(100, sum(row.risk_parts.values()))
        assert 0 <= row.risk_score <= 100
    strong, weak = sorted(rows(alice, Pattern), key=lambda pattern: -pattern.issue_count)
    assert strong.risk_score >= 50
    assert weak.risk_score < 30


# --- pattern status ---


def status(workspace: make.Workspace) -> str:
    return rows(workspace, Pattern)[0].status  # type: ignore[no-any-return]


def test_a_pattern_is_emerging_until_it_is_confirmed(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9,)))
    assert status(alice) == "emerging"
    assert rows(alice, Issue)[0].status == "open", "one failure is no loop"
    alice.learn(make.failures("database", (9, 8.99))[1])
    assert status(alice) == "emerging", "two on one day are not confirmed"
    assert {issue.status for issue in rows(alice, Issue)} == {"in_loop"}
    alice.learn(make.failures("database", (9, 8.99, 5))[2])
    assert status(alice) == "active"


def test_a_resolved_pattern_comes_back_with_a_matching_issue(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (70, 65, 60)))
    with alice.db() as db:
        db.execute(
            text("UPDATE patterns SET status = 'resolved', closed_at = :at, closure_note = 'fixed'"), {"at": make.NOW - timedelta(days=30)}
        )
    alice.learn(make.failures("database", (0, 0, 0, 1))[3])
    assert status(alice) == "active"


def test_a_late_report_of_an_old_failure_does_not_reopen(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (70, 65, 60)))
    with alice.db() as db:
        db.execute(text("UPDATE patterns SET status = 'resolved', closed_at = :at"), {"at": make.NOW - timedelta(days=30)})
    alice.learn(make.failures("database", (0, 0, 0, 50))[3])
    assert status(alice) == "resolved"


def test_a_note_and_a_silent_proof_window_resolve(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (70, 65, 60)), *make.failures("login", (50, 40, 2)))
    with alice.db() as db:
        loop.refresh(db, make.NOW)
    assert {pattern.status for pattern in rows(alice, Pattern)} == {"active"}, "silence alone is not enough"
    with alice.db() as db:
        db.execute(text("UPDATE patterns SET closure_note = 'pool enlarged'"))
        loop.refresh(db, make.NOW)
    found = {pattern.service: pattern.status for pattern in rows(alice, Pattern)}
    assert found == {"orders-api": "resolved", "login-api": "active"}, "a note alone is not enough"


# --- cost ---


def count(workspace: make.Workspace, found: list[Any], *, steps: Any) -> int:
    with workspace.db() as db:
        seen: list[str] = []
        event.listen(db.connection(), "before_cursor_execute", lambda *args: seen.append(args[2]))
        loop.learn(db, found, now=make.NOW, steps=steps)
        db.flush()
        return len(seen)


def test_assigning_costs_the_same_whatever_the_history(alice: make.Workspace) -> None:
    """The exact-key path: as many statements for a batch of known failures in an empty workspace as in a full one."""
    steps = loop.STEPS[:2]
    first = alice.ingest(*make.failures("database", (9, 5)))
    count(alice, first, steps=steps)
    little = count(
        alice,
        alice.ingest(*(make.event(title="Connection pool of orders-db exhausted", service="orders-api") for _ in range(20))),
        steps=steps,
    )
    words = ("disk", "queue", "cache", "token", "upload", "mail", "shard", "lease", "quota", "proxy", "cursor", "kernel")
    history = [
        make.event(title=f"{a} {b} {c} refused by {b} daemon", service=a) for a in words for b in words for c in ("early", "late", "never")
    ]
    known = alice.ingest(*history)
    with alice.db() as db:
        loop.learn(db, known, now=make.NOW, steps=steps)
    much = count(
        alice,
        alice.ingest(*(make.event(title="Connection pool of orders-db exhausted", service="orders-api") for _ in range(20))),
        steps=steps,
    )
    assert much == little
    assert little <= 16


def test_the_whole_loop_costs_a_bounded_number_of_statements(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5)))
    few = count(alice, alice.ingest(make.failures("database", (0, 0, 4))[2]), steps=loop.STEPS)
    many = count(alice, alice.ingest(*make.failures("database", [0, 0, 0, *(n / 10 for n in range(1, 300))])[3:]), steps=loop.STEPS)
    assert many <= few + 8, "300 failures of one pattern ask no more than one"


def test_learning_is_idempotent(alice: make.Workspace) -> None:
    found = alice.learn(*make.failures("database", (9, 5, 2)))
    before = [(issue.pattern_id, issue.assignment, issue.risk_score) for issue in rows(alice, Issue)]
    with alice.db() as db:
        loop.learn(db, found, now=make.NOW)
    assert [(issue.pattern_id, issue.assignment, issue.risk_score) for issue in rows(alice, Issue)] == before
    assert [pattern.issue_count for pattern in rows(alice, Pattern)] == [3]
    assert len(rows(alice, Prediction)) == 1


def test_an_issue_that_became_another_failure_moves(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)), *make.failures("login", (8, 3)))
    changed = {**make.failures("login", (2,))[0], "external_id": "database-2"}
    alice.learn(changed)
    assert {pattern.service: pattern.issue_count for pattern in rows(alice, Pattern)} == {"orders-api": 2, "login-api": 3}
    with alice.db() as db:
        assert db.execute(text("SELECT sum(failures) FROM pattern_hours")).scalar_one() == 5


# --- many at once ---


def test_equal_failures_of_concurrent_jobs_meet_in_one_pattern(alice: make.Workspace) -> None:
    batches = [
        alice.ingest(*make.failures("database", (n + 1,), source=source)) for n, source in enumerate(("jira", "sentry", "okta", "grafana"))
    ]
    problems: list[BaseException] = []
    start = threading.Barrier(len(batches))

    def learn(batch: list[Any]) -> None:
        try:
            start.wait()
            with alice.db() as db:
                loop.learn(db, batch, now=make.NOW)
        except BaseException as problem:  # noqa: BLE001 - shown below
            problems.append(problem)

    threads = [threading.Thread(target=learn, args=(batch,)) for batch in batches]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert problems == []
    assert [pattern.issue_count for pattern in rows(alice, Pattern)] == [4]


def test_a_batch_that_failed_leaves_no_trace_in_what_this_process_remembers(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """The process keeps a copy of what the workspace has learnt; a rolled back batch must not stay in it, whoever writes next."""
    alice.learn(*make.failures("database", (9, 5)))
    lost = alice.ingest(*make.failures("payments", (4,)))

    def broken(*_: object) -> None:
        raise RuntimeError("killed in the middle")

    with pytest.raises(RuntimeError), alice.db() as db:
        loop.learn(db, lost, now=make.NOW, steps=(*loop.STEPS[:2], broken))
    held = dict(memory._held)
    memory._held.clear()
    alice.learn(*make.failures("login", (3,)))  # another process commits what gets the same revision number
    memory._held.clear()
    memory._held.update(held)
    alice.learn(*make.failures("search", (2,)))
    with alice.db() as db:
        state = memory.stored(db)
        for issue in rows(alice, Issue):
            if issue.pattern_id is None:
                continue
            assert patterns.known(db, fingerprint.CURRENT, [str(issue.fingerprint)]), issue.title
    assert state is not None
    known = str(state[0])
    signatures = {row.fingerprint for row in rows(alice, Issue) if row.pattern_id}
    missing = {print_ for print_ in signatures if print_ not in known}
    assert not missing, "what the other process learnt was overwritten by a stale copy"


# --- workspaces ---


def test_workspaces_learn_apart(alice: make.Workspace, bob: make.Workspace, owner: Database) -> None:
    alice.learn(*make.failures("database", (9, 5, 2, 1)))
    bob.learn(*make.failures("database", (3,)))
    assert [pattern.issue_count for pattern in rows(alice, Pattern)] == [4]
    assert [pattern.issue_count for pattern in rows(bob, Pattern)] == [1]
    assert rows(bob, Recommendation) == []
    with owner.transaction() as db:
        mixed = db.execute(
            text("SELECT count(*) FROM issues i JOIN patterns p ON p.id = i.pattern_id WHERE p.workspace_id <> i.workspace_id")
        ).scalar_one()
    assert mixed == 0


def test_learning_with_another_workspaces_ids_touches_nothing(alice: make.Workspace, bob: make.Workspace) -> None:
    found = alice.ingest(*make.failures("database", (9, 5)))
    with bob.db() as db:
        batch = loop.learn(db, found, now=make.NOW)
    assert batch.issues == []
    assert {issue.analysis_status for issue in rows(alice, Issue)} == {"pending"}


# --- settings of the workspace ---


def check(name: str, message: str) -> dict[str, Any]:
    trace = f"AssertionError: {message}\n\tat org.junit.Assert.fail(Assert.java:1)\n\tat shop.CartTest.{name}(CartTest.java:9)\n"
    told = {"title": f"shop.CartTest::{name}", "body": f"AssertionError: {message}", "service": "shop.CartTest", "kind": "check"}
    return make.event(external_id=name, source="ci", stacktrace=trace, error_type="AssertionError", **told)


def test_likeness_links_when_it_may_and_is_sure_enough(alice: make.Workspace, bob: make.Workspace, charlie: make.Workspace) -> None:
    """C141: by default; not where it is switched off, nor below the workspace's threshold. An equal fingerprint is no guess: it links."""
    others = [check(f"other{n}", f"row{chr(97 + n)} is missing from sheet{chr(97 + n)}") for n in range(12)]
    alike = [
        check("adds", "expected:<price [undefined]> but was:<price [euro]>"),
        check("removes", "expected:<total [undefined]> but was:<total [euro]>"),
    ]
    for workspace, setting, together in (
        (alice, "ai_auto_link = true", True),
        (bob, "ai_auto_link = false", False),
        (charlie, "ai_confidence_threshold = 1", False),
    ):
        with workspace.db() as db:
            db.execute(text(f"UPDATE workspaces SET {setting}"))
        workspace.api.ok("POST", "/v1/ingest/batch", {"records": [*others, *alike, {**alike[0], "external_id": "adds again"}]})
        workspace.work()
        found = {row["external_id"]: row for row in workspace.api.ok("GET", "/v1/issues", limit=100)["data"]}
        assert (found["adds"]["pattern_id"] == found["removes"]["pattern_id"]) == together, setting
        assert found["adds"]["pattern_id"] == found["adds again"]["pattern_id"], setting
        told = workspace.api.ok("GET", f"/v1/issues/{found['removes']['id']}")["assignment"]
        assert told["why"]["rule"].startswith("alike" if together else "kept apart"), (setting, told)


def test_a_high_threshold_holds_recommendations_back(alice: make.Workspace) -> None:
    """C169."""
    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET ai_confidence_threshold = 0.99"))
    alice.learn(*make.failures("database", (9, 5, 2)))
    assert alice.api.ok("GET", "/v1/recommendations")["data"] == []
    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET ai_confidence_threshold = 0.5"))
        loop.refresh(db, make.NOW)
    (shown,) = alice.api.ok("GET", "/v1/recommendations")["data"]
    assert alice.api.ok("GET", f"/v1/patterns/{shown['pattern_ids'][0]}")["confidence"] >= 0.5


# --- refresh ---


def test_refresh_brings_everything_up_to_now(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 12, 9, 5, 2)))
    first = rows(alice, Prediction)[0]
    with alice.db() as db:
        assert loop.refresh(db, make.NOW + timedelta(days=3)) == 1
    found = rows(alice, Prediction)
    assert [prediction.status for prediction in found] == ["superseded", "active"]
    assert found[0].probability == first.probability, "what was said stands"
    assert rows(alice, Recommendation)
    assert rows(alice, Verification) == []


def test_an_empty_workspace_is_no_problem(alice: make.Workspace) -> None:
    with alice.db() as db:
        assert loop.refresh(db, make.NOW) == 0
        assert loop.learn(db, [], now=make.NOW).issues == []
        assert db.execute(text("SELECT count(*) FROM issues WHERE analysis_status = 'pending'")).scalar_one() == 0


# --- two patterns that turn out to be one ---


def test_two_patterns_become_one_with_all_they_had(alice: make.Workspace, bob: make.Workspace) -> None:
    make.with_history(alice)
    bob.learn(*make.failures("database", (9, 5, 2)))
    before = {pattern.service: pattern for pattern in rows(alice, Pattern)}
    gone, kept = before["orders-api"], before["payments-api"]
    with alice.db() as db:
        settled = text("SELECT count(DISTINCT (window_days, day)) FROM predictions WHERE pattern_id = ANY(:ids) AND outcome IS NOT NULL")
        wanted = db.execute(settled, {"ids": [gone.id, kept.id]}).scalar_one()
        patterns.absorb(db, gone.id, kept.id)
        figures.fold(db, [kept.id])
    with alice.db() as db:
        assert db.execute(settled, {"ids": [kept.id]}).scalar_one() == wanted, "the track record goes over"
        for table in ("issues", "pattern_keys", "pattern_hours", "predictions", "recommendation_patterns", "verifications"):
            assert db.execute(text(f"SELECT count(*) FROM {table} WHERE pattern_id = :gone"), {"gone": gone.id}).scalar_one() == 0, table
        assert db.execute(text("SELECT count(*) FROM verifications WHERE pattern_id = :kept"), {"kept": kept.id}).scalar_one() == 2
        assert (
            db.execute(
                text(
                    "SELECT count(*) FROM recommendations r WHERE NOT EXISTS"
                    " (SELECT FROM recommendation_patterns rp WHERE rp.recommendation_id = r.id)"
                )
            ).scalar_one()
            == 0
        ), "no fix is left without a pattern"
    after = {pattern.id: pattern for pattern in rows(alice, Pattern)}
    assert gone.id not in after
    assert after[kept.id].issue_count == gone.issue_count + kept.issue_count
    assert [pattern.issue_count for pattern in rows(bob, Pattern)] == [3]
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(hours=1))
    assert alice.learn(make.failures("database", (0.01,), external_id="again")[0])
    assert {pattern.id: pattern.issue_count for pattern in rows(alice, Pattern)}[kept.id] == gone.issue_count + kept.issue_count + 1
