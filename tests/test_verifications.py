"""Verifications: a fix counts once its proof window shows that it held; a failure inside it re-opens the loop."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text

from everfix.failures import recommendations, verifications
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation
from everfix.failures.verifications import Verification
from tests import make

EVERY_THIRD_DAY = [3.0 * n + 1 for n in range(30)]


def claimed(workspace: make.Workspace, days: list[float] | tuple[float, ...] = EVERY_THIRD_DAY, at: datetime = make.NOW) -> None:
    workspace.learn(*make.failures("database", days))
    with workspace.db() as db:
        one = db.execute(select(Recommendation)).scalar_one()
        recommendations.move(db, one.id, "implemented", by=workspace.principal, claim={"at": at})


def check(workspace: make.Workspace, days: float) -> Verification:
    with workspace.db() as db:
        verifications.check(db, make.NOW + timedelta(days=days))
        return db.execute(select(Verification)).scalar_one()


def pattern(workspace: make.Workspace) -> Pattern:
    with workspace.db() as db:
        return db.execute(select(Pattern)).scalar_one()


def test_the_old_rate_is_failing_days_a_day(alice: make.Workspace) -> None:
    claimed(alice)
    watch = check(alice, 0)
    assert watch.rate_per_day == pytest.approx(1 / 3, rel=0.05)
    assert (watch.expected, watch.observed, watch.prevented) == (0, 0, 0)


def test_a_burst_on_one_day_is_one_failing_day(alice: make.Workspace) -> None:
    claimed(alice, [10 + n / 100 for n in range(20)])
    assert check(alice, 0).rate_per_day == pytest.approx(1 / 10.2, rel=0.05)


def test_silence_is_watched_until_the_window_ends(alice: make.Workspace) -> None:
    claimed(alice)
    half = check(alice, 15)
    assert (half.verdict, half.decided_at) == ("watching", None)
    assert half.expected == pytest.approx(5, rel=0.05)
    assert half.prevented == half.expected
    assert 0.95 < half.holds_probability < 1
    assert set(half.why) == {"old_rate_per_day", "days_watched", "expected_failing_days"}
    done = check(alice, 31)
    assert (done.verdict, done.decided_at) == ("held", make.NOW + timedelta(days=30))
    assert done.expected == pytest.approx(10, rel=0.05), "the window counts, not what came after it"
    again = check(alice, 60)
    assert (again.verdict, again.decided_at, again.expected) == (done.verdict, done.decided_at, done.expected), "a verdict stands"


def test_the_belief_grows_with_silence(alice: make.Workspace) -> None:
    claimed(alice)
    beliefs = [check(alice, days).holds_probability for days in (0, 3, 9, 20)]
    assert beliefs == sorted(beliefs)
    assert beliefs[0] == pytest.approx(verifications.PRIOR_HOLDS)


def test_a_failure_in_the_window_fails_the_fix_and_reopens(alice: make.Workspace) -> None:
    claimed(alice)
    assert pattern(alice).mitigating_since == make.NOW
    alice.ingest_learned("database", make.NOW + timedelta(days=4), now=make.NOW + timedelta(days=4, minutes=5))
    with alice.db() as db:
        done = db.execute(select(Verification)).scalar_one()
    assert (done.verdict, done.observed, done.holds_probability) == ("failed", 1, 0.0)
    assert done.decided_at == make.NOW + timedelta(days=4, minutes=5)
    again = pattern(alice)
    assert (again.status, again.mitigating_since) == ("active", None)


def test_failures_under_way_at_the_claim_do_not_count(alice: make.Workspace) -> None:
    claimed(alice)
    alice.ingest_learned("database", make.NOW + timedelta(minutes=40), now=make.NOW + timedelta(hours=3))
    assert check(alice, 2).verdict == "watching"


def test_a_failure_after_the_window_does_not_count(alice: make.Workspace) -> None:
    claimed(alice)
    ids = alice.ingest(make.failures("database", (0,), end=make.NOW + timedelta(days=33), external_id="late")[0])
    assert ids
    assert check(alice, 34).verdict == "held"


def test_another_patterns_failure_does_not_count(alice: make.Workspace) -> None:
    claimed(alice)
    alice.ingest_learned("login", make.NOW + timedelta(days=4), now=make.NOW + timedelta(days=5))
    with alice.db() as db:
        assert db.execute(select(Verification.verdict)).scalar_one() == "watching"


def test_too_little_expected_proves_nothing(alice: make.Workspace) -> None:
    claimed(alice, (85, 60))
    done = check(alice, 30)
    assert done.expected < 1
    assert done.verdict == "not_enough_exposure"


def test_the_proof_window_is_the_workspaces_setting(alice: make.Workspace) -> None:
    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET ai_proof_window_days = 7"))
    claimed(alice)
    assert check(alice, 6.9).verdict == "watching"
    assert check(alice, 7).verdict == "held"


def test_workspaces_watch_apart(alice: make.Workspace, bob: make.Workspace) -> None:
    claimed(alice)
    claimed(bob)
    bob.ingest_learned("database", make.NOW + timedelta(days=4), now=make.NOW + timedelta(days=5))
    assert check(alice, 5).verdict == "watching"
    assert check(bob, 5).verdict == "failed"
