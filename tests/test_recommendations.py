"""Recommendations: one open fix per trusted pattern, ranked by what it prevents; a status flow that watches what was claimed."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from everfix.core import ids
from everfix.errors import Conflict, NotFound
from everfix.failures import claims, fixes, loop, recommendations
from everfix.failures.recommendations import FLOW, Recommendation, Step
from everfix.failures.verifications import Verification
from tests import make


def found(workspace: make.Workspace) -> list[Recommendation]:
    with workspace.db() as db:
        return list(db.execute(select(Recommendation).order_by(Recommendation.rank.nulls_last(), Recommendation.id)).scalars())


def move(workspace: make.Workspace, one: Recommendation, status: str, **claim: Any) -> Recommendation:
    with workspace.db() as db:
        return recommendations.move(db, one.id, status, by=workspace.principal, claim=claims.Claim(**claim))


def three(workspace: make.Workspace) -> list[Recommendation]:
    workspace.learn(
        *make.failures("database", [n / 2 for n in range(1, 40)]),
        *make.failures("payments", (40, 30, 20, 10, 3)),
        *make.failures("login", (100, 60)),
    )
    return found(workspace)


def test_ranks_follow_what_is_prevented_without_gaps(alice: make.Workspace) -> None:
    made = three(alice)
    assert [one.rank for one in made] == [1, 2, 3]
    prevented = [one.expected_loops_prevented for one in made]
    assert prevented == sorted(prevented, reverse=True), "rank 1 prevents most"
    for one in made:
        assert one.status == "pending"
        assert one.type in ("code_fix", "config_change", "process", "monitoring")
        assert one.why["expected_recurrences"] >= one.expected_loops_prevented >= 0
        assert one.summary


def test_a_plan_has_steps_in_order(alice: make.Workspace) -> None:
    first = three(alice)[0]
    with alice.db() as db:
        steps = list(db.execute(select(Step).where(Step.recommendation_id == first.id).order_by(Step.position)).scalars())
    assert [step.position for step in steps] == list(range(1, len(steps) + 1))
    assert len(steps) >= 2
    assert all(step.title and step.completed_at is None for step in steps)


def test_once_is_no_loop(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (2,)))
    assert found(alice) == []


def test_a_refresh_brings_figures_up_to_date_and_makes_no_second_one(alice: make.Workspace) -> None:
    before = three(alice)
    alice.ingest_learned("login", make.NOW - timedelta(hours=3))
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=1))
    after = found(alice)
    assert {one.id for one in after} == {one.id for one in before}
    assert [one.rank for one in after] == [1, 2, 3]


def test_money_is_loops_times_their_cost(alice: make.Workspace) -> None:
    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET loop_cost = 1000"))
    for one in three(alice):
        assert one.expected_cost_saved == pytest.approx(one.expected_loops_prevented * 1000, abs=0.01)


@pytest.mark.parametrize(("start", "end"), [(start, end) for start in FLOW for end in FLOW if start != end])
def test_the_flow(alice: make.Workspace, start: str, end: str) -> None:
    one = three(alice)[0]
    if start != "pending":
        move(alice, one, start)
    if end in FLOW[start]:
        assert move(alice, one, end).status == end
    else:
        with pytest.raises(Conflict, match=f"that is {start} can become"):
            move(alice, one, end)


def test_the_same_status_again_changes_nothing(alice: make.Workspace) -> None:
    one = three(alice)[0]
    move(alice, one, "implemented")
    move(alice, one, "implemented")
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM verifications")).scalar_one() == 1


def test_many_are_ranked_by_a_job(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first, second, third = three(alice)
    monkeypatch.setattr(recommendations, "MANY", 2)
    move(alice, first, "dismissed")  # two open ones are left: at once
    assert [one.rank for one in found(alice)] == [1, 2, None]
    monkeypatch.setattr(recommendations, "MANY", 0)
    move(alice, second, "dismissed")
    assert [one.rank for one in found(alice)] == [1, 2, None]
    alice.work()
    assert found(alice)[0].id == third.id
    assert [one.rank for one in found(alice)] == [1, None, None]


def test_only_open_ones_have_a_rank(alice: make.Workspace) -> None:
    first, second, third = three(alice)
    move(alice, first, "implemented")
    assert [(one.id, one.rank) for one in found(alice)] == [(second.id, 1), (third.id, 2), (first.id, None)]
    move(alice, second, "dismissed")
    assert [(one.id, one.rank) for one in found(alice)][:1] == [(third.id, 1)]
    assert {one.id: one.rank for one in found(alice)}[second.id] is None
    move(alice, second, "pending")
    assert [one.rank for one in found(alice)] == [1, 2, None]


def test_implementing_starts_the_watch(alice: make.Workspace) -> None:
    one = three(alice)[0]
    at = make.NOW - timedelta(days=2)
    done = move(alice, one, "implemented", at=at, what="pool doubled", link="https://git.example/1")
    assert (done.implemented_at, done.claim) == (at, {"at": at.isoformat(), "what": "pool doubled", "link": "https://git.example/1"})
    with alice.db() as db:
        watch = db.execute(select(Verification)).scalar_one()
        assert (watch.recommendation_id, watch.claimed_at, watch.window_ends_at, watch.verdict) == (
            one.id,
            at,
            at + timedelta(days=30),
            "watching",
        )
        assert watch.rate_per_day > 0
        assert db.execute(text("SELECT mitigating_since FROM patterns WHERE id = :id"), {"id": watch.pattern_id}).scalar_one() == at


def test_a_claim_can_be_taken_back_and_made_again(alice: make.Workspace) -> None:
    one = three(alice)[0]
    move(alice, one, "implemented", at=make.NOW - timedelta(days=5))
    back = move(alice, one, "in_progress")
    assert (back.implemented_at, back.claim) == (None, None)
    assert found(alice)[0].rank == 1
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM verifications")).scalar_one() == 0
        assert db.execute(text("SELECT count(*) FROM patterns WHERE mitigating_since IS NOT NULL")).scalar_one() == 0
    move(alice, one, "implemented", at=make.NOW)
    with alice.db() as db:
        assert db.execute(select(Verification.claimed_at)).scalar_one() == make.NOW


def test_what_was_dismissed_is_not_proposed_again(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    move(alice, found(alice)[0], "dismissed")
    alice.ingest_learned("database", make.NOW - timedelta(hours=1))
    assert [one.status for one in found(alice)] == ["dismissed"]


def test_a_fix_that_failed_makes_room_for_another(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 15, 9, 5, 2)))
    move(alice, found(alice)[0], "implemented", at=make.NOW)
    alice.ingest_learned("database", make.NOW + timedelta(days=3), now=make.NOW + timedelta(days=3, hours=1))
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=3, hours=2))
    assert sorted(one.status for one in found(alice)) == ["implemented", "pending"]


def test_a_fix_made_without_a_proposal_is_watched(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 15, 9, 5, 2)))
    with alice.db() as db:
        pattern = db.execute(text("SELECT id FROM patterns")).scalar_one()
        done = recommendations.claim(
            db, pattern, title="Doubled the pool", type="config_change", effort="low", at=make.NOW, by=alice.principal
        )
        assert done.status == "implemented"
    assert [(one.title, one.status) for one in found(alice)] == [("Doubled the pool", "implemented")], "the proposal is withdrawn"


def test_what_held_here_is_learnt_from(alice: make.Workspace) -> None:
    one = three(alice)[0]
    move(alice, one, "implemented", at=make.NOW)
    with alice.db() as db:
        past = recommendations.resolutions(db)
    assert [(fix.fix, fix.held) if hasattr(fix, "fix") else fix.held for fix in past]
    assert isinstance(past[0], fixes.Resolution)


def test_moving_leaves_a_trace(alice: make.Workspace) -> None:
    one = three(alice)[0]
    move(alice, one, "in_progress")
    with alice.db() as db:
        entry = db.execute(text("SELECT action, target_id, details FROM audit_log ORDER BY number DESC LIMIT 1")).one()
    assert (entry.action, entry.target_id, entry.details) == ("recommendation.updated", one.id, {"status": ["pending", "in_progress"]})


def test_what_is_not_there(alice: make.Workspace, bob: make.Workspace) -> None:
    one = three(alice)[0]
    with pytest.raises(NotFound), bob.db() as db:
        recommendations.get(db, one.id)
    with pytest.raises(NotFound), alice.db() as db:
        recommendations.get(db, ids.new())
