"""Verifications: a fix counts once its proof window shows that it held; a failure inside it re-opens the loop."""

from __future__ import annotations

from datetime import datetime, timedelta

import pytest
from sqlalchemy import select, text

from everfix.errors import Invalid
from everfix.failures import changes, claims, recommendations, verifications
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation
from everfix.failures.verifications import Verification
from tests import make

EVERY_THIRD_DAY = [3.0 * n + 1 for n in range(30)]


def claimed(workspace: make.Workspace, days: list[float] | tuple[float, ...] = EVERY_THIRD_DAY, at: datetime = make.NOW) -> None:
    workspace.learn(*make.failures("database", days))
    with workspace.db() as db:
        one = db.execute(select(Recommendation)).scalar_one()
        recommendations.move(db, one.id, "implemented", by=workspace.principal, claim=claims.Claim(at=at))


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
    assert half.why["expected_failing_days"] == pytest.approx(5, rel=0.05)
    assert half.why["silence_if_unfixed"] < 0.02
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
    assert check(alice, 7).verdict == "not_enough_exposure", "two failing days were expected: seven silent days prove too little"


def test_workspaces_watch_apart(alice: make.Workspace, bob: make.Workspace) -> None:
    claimed(alice)
    claimed(bob)
    bob.ingest_learned("database", make.NOW + timedelta(days=4), now=make.NOW + timedelta(days=5))
    assert check(alice, 5).verdict == "watching"
    assert check(bob, 5).verdict == "failed"


def test_a_watch_that_proves_too_little_goes_on_until_it_proves(alice: make.Workspace) -> None:
    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET ai_proof_window_days = 7"))
    claimed(alice)
    early = check(alice, 7)
    assert (early.verdict, early.decided_at) == ("not_enough_exposure", make.NOW + timedelta(days=7))
    late = check(alice, 20)
    assert (late.verdict, late.decided_at) == ("held", make.NOW + timedelta(days=20))
    assert late.why["silence_if_unfixed"] <= late.why["error_rate"]


def test_a_watch_that_proves_too_little_still_fails(alice: make.Workspace) -> None:
    claimed(alice, (85, 60))
    assert check(alice, 31).verdict == "not_enough_exposure"
    alice.ingest_learned("database", make.NOW + timedelta(days=40))
    assert check(alice, 40).verdict == "failed"


def test_a_return_after_it_held_reopens_the_loop_and_leaves_the_verdict(alice: make.Workspace) -> None:
    claimed(alice)
    assert check(alice, 31).verdict == "held"
    back = make.NOW + timedelta(days=50)
    alice.ingest_learned("database", back)
    watch = check(alice, 51)
    assert (watch.verdict, watch.returned_at) == ("held", back)
    assert pattern(alice).mitigating_since is None
    assert pattern(alice).status == "active"


def named(workspace: make.Workspace, days: float, **given: str) -> None:
    """Let the watched pattern fail again so many days after the claim, with a release or an environment."""
    at = make.NOW + timedelta(days=days)
    workspace.learn(make.failures("database", (0,), end=at, external_id=f"again-{days}", **given)[0], now=at + timedelta(minutes=1))


def test_failures_of_older_releases_are_told_and_not_counted(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", EVERY_THIRD_DAY, release="2.4.0"))
    with alice.db() as db:
        one = db.execute(select(Recommendation)).scalar_one()
        recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(at=make.NOW, release="2.5.0"))
    named(alice, 3, release="2.4.0")
    named(alice, 4, release="2.3.9")
    spared = check(alice, 5)
    assert (spared.verdict, spared.observed, spared.not_counted) == ("watching", 0, 2)
    assert [one["why"] for one in spared.why["not_counted"]] == [
        "it came from 2.3.9, older than 2.5.0",
        "it came from 2.4.0, older than 2.5.0",
    ]
    named(alice, 6, release="2.5.1")
    assert check(alice, 7).verdict == "failed"


def test_late_arrivals_are_not_counted(alice: make.Workspace) -> None:
    claimed(alice)
    record = make.failures("database", (0,), end=make.NOW - timedelta(hours=5), external_id="late")[0]
    alice.learn(record, now=make.NOW + timedelta(days=9))
    assert check(alice, 10).verdict == "watching"


def test_the_next_release_starts_the_watch(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", EVERY_THIRD_DAY, release="2.4.0"))
    with alice.db() as db:
        one = db.execute(select(Recommendation)).scalar_one()
        recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(at=make.NOW, release="next"))
    waiting = check(alice, 10)
    assert (waiting.expected, waiting.why["blind"]) == (0, "the release with the fix has not appeared yet")
    deploy = {"external_id": "d-1", "title": "2.5.0", "metadata": {"release": "2.5.0"}, "occurred_at": make.NOW + timedelta(days=10)}
    with alice.db() as db:
        changes.accept(db, [deploy])
    assert check(alice, 22).expected == pytest.approx(4, rel=0.1)


def test_a_claim_by_deploy_takes_its_release_and_time(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", EVERY_THIRD_DAY))
    at = make.NOW - timedelta(hours=3)
    deploy = {"external_id": "d-7", "title": "v2.5.0", "metadata": {"release": "2.5.0", "environment": "production"}, "occurred_at": at}
    with alice.db() as db:
        changes.accept(db, [deploy])
        one = db.execute(select(Recommendation)).scalar_one()
        done = recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(deploy="d-7"))
        assert done.claim == {"deploy": "d-7", "at": at.isoformat(), "release": "2.5.0", "environment": "production"}
        assert db.execute(select(Verification.claimed_at)).scalar_one() == at
    with pytest.raises(Invalid, match="no change 'd-8'"), alice.db() as db:
        recommendations.move(db, one.id, "in_progress", by=alice.principal)
        recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(deploy="d-8"))


def test_silence_of_a_tool_that_reports_nothing_at_all_is_no_proof(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", EVERY_THIRD_DAY), *make.failures("login", [2.0 * n + 0.5 for n in range(45)]))
    with alice.db() as db:
        one = db.execute(select(Recommendation).where(Recommendation.summary.like("%orders-db%"))).scalar_one()
        recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(at=make.NOW))
    for day in (1.5, 3.5, 5.5):
        alice.ingest_learned("login", make.NOW + timedelta(days=day))
    blind = check(alice, 31)
    assert blind.verdict == "not_enough_exposure"
    assert blind.exposed_days < 8
    assert "pagerduty has reported nothing at all" in blind.why["blind"]


def test_every_day_of_the_watch_is_kept(alice: make.Workspace) -> None:
    claimed(alice)
    for days in (1, 1.2, 2, 5):
        watch = check(alice, days)
    assert [point["day"] for point in watch.history] == [(make.NOW + timedelta(days=n)).date().isoformat() for n in (1, 2, 5)]
    assert [point["expected"] for point in watch.history] == sorted(point["expected"] for point in watch.history)
