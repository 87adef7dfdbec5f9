"""Predictions: made for every live pattern, brought up to date within the day, settled when their window ends."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from everfix.core import clock
from everfix.failures import claims, forecast, loop, predictions, recommendations
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.failures.recommendations import Recommendation
from tests import make


def found(workspace: make.Workspace) -> list[Prediction]:
    with workspace.db() as db:
        return list(db.execute(select(Prediction).order_by(Prediction.day, Prediction.probability.desc(), Prediction.id)).scalars())


def test_a_prediction_has_all_that_the_reference_names(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 15, 9, 5, 2, 1)))
    one = found(alice)[0]
    assert 0 <= one.lower <= one.probability <= one.upper <= 1
    assert (one.window_days, one.impact, one.status, one.outcome) == (7, "high", "active", None)
    assert one.likely_trigger
    assert one.model_version == forecast.VERSION
    assert (one.generated_at, one.expires_at, one.day) == (make.NOW, make.NOW + timedelta(days=7), make.NOW.date())
    assert one.why
    assert all(isinstance(reason, dict) and reason for reason in one.why)
    assert one.base_rate == one.why[0]["value"]


def test_what_fails_often_is_more_probable_than_what_failed_long_ago(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", [n / 2 for n in range(1, 60)]), *make.failures("login", (160, 155)))
    with alice.db() as db:
        odds = {
            row.service: row.probability
            for row in db.execute(select(Pattern.service, Prediction.probability).join(Prediction, Prediction.pattern_id == Pattern.id))
        }
    assert odds["orders-api"] > odds["login-api"] + 0.2


def test_within_a_day_there_is_one_prediction(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    alice.learn(make.failures("database", (9, 5, 2, 0.1))[3], now=make.NOW + timedelta(hours=2))
    assert len(found(alice)) == 1
    assert found(alice)[0].generated_at == make.NOW + timedelta(hours=2)


def test_another_days_prediction_supersedes(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=1))
    assert [one.status for one in found(alice)] == ["superseded", "active"]


@pytest.mark.parametrize(
    ("after", "fixed", "outcome"),
    [(3.0, False, "hit"), (None, False, "miss"), (8.0, False, "miss"), (None, True, "prevented"), (3.0, True, "hit")],
)
def test_outcomes(alice: make.Workspace, after: float | None, fixed: bool, outcome: str) -> None:
    """Hit: it failed inside the window; prevented: it did not, and a fix was in place; miss: it did not."""
    alice.learn(*make.failures("database", (20, 15, 9, 5, 2, 1)))
    if fixed:
        with alice.db() as db:
            one = db.execute(select(Recommendation)).scalar_one()
            recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(at=make.NOW + timedelta(hours=1)))
    if after is not None:
        alice.ingest_learned("database", make.NOW + timedelta(days=after))
    with alice.db() as db:
        if after != 8.0:  # that failure's own learning has settled it
            assert predictions.resolve(db, make.NOW + timedelta(days=6.9)) == 0, "the window is still open"
            assert predictions.resolve(db, make.NOW + timedelta(days=7)) == 1
    first = found(alice)[0]
    assert (first.outcome, first.status) == (outcome, "superseded")
    assert first.resolved_at is not None


def test_a_settled_prediction_stands(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 15, 9, 5, 2, 1)))
    with alice.db() as db:
        predictions.resolve(db, make.NOW + timedelta(days=8))
        before = db.execute(select(Prediction.probability, Prediction.outcome)).one()
        predictions.refresh(db, make.NOW + timedelta(hours=1))
        assert db.execute(select(Prediction.probability, Prediction.outcome).where(Prediction.day == make.NOW.date())).one() == before
        assert predictions.resolve(db, make.NOW + timedelta(days=9)) == 0


def test_resolved_and_long_silent_patterns_are_not_asked_about(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 15, 9)), *make.failures("login", (500, 490)), *make.failures("search", (5, 3)))
    with alice.db() as db:
        db.execute(text("UPDATE patterns SET status = 'resolved' WHERE service = 'search-api'"))
        made = predictions.refresh(db, make.NOW + timedelta(days=1))
        services = set(db.execute(select(Pattern.service).where(Pattern.id.in_(made))).scalars())
    assert services == {"orders-api"}


def test_the_window_is_the_workspaces_setting(alice: make.Workspace) -> None:
    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET prediction_window_days = 30"))
    alice.learn(*make.failures("database", (20, 15, 9)))
    assert [(one.window_days, one.expires_at) for one in found(alice)] == [(30, make.NOW + timedelta(days=30))]


def test_replaying_history_uses_only_what_had_happened(alice: make.Workspace) -> None:
    records = make.failures("database", [n * 3.0 for n in range(1, 40)])
    ids = alice.ingest(*records)
    with alice.db() as db:
        loop.learn(db, ids, now=make.NOW, steps=loop.GROUPING)
        origins = [make.NOW - timedelta(days=7 * n) for n in range(8, 0, -1)]
        assert predictions.replay(db, origins) == 8
        predictions.resolve(db, make.NOW)
    made = found(alice)
    assert [one.generated_at for one in made] == origins
    assert {one.outcome for one in made} == {"hit"}


def test_newest_is_the_standing_one(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5, 2)))
    pattern = found(alice)[0].pattern_id
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=1))
        newest = predictions.newest(db, pattern)
        assert newest is not None
        assert newest.day == (make.NOW + timedelta(days=1)).date()
        db.execute(text("UPDATE predictions SET status = 'dismissed'"))
        assert predictions.newest(db, pattern) is None


def test_the_same_state_gives_the_same_forecast(alice: make.Workspace, bob: make.Workspace) -> None:
    for workspace in (alice, bob):
        workspace.learn(*make.failures("database", (20, 15, 9, 5, 2, 1)), *make.failures("login", (8, 3)))
    assert [one.probability for one in found(alice)] == [one.probability for one in found(bob)]


def test_time_goes_on(alice: make.Workspace, time: Any) -> None:
    assert clock.now() == make.NOW
    time.advance(days=1)
    assert clock.now() == make.NOW + timedelta(days=1)
