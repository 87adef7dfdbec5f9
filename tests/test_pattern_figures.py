"""What follows for a pattern's hours and its issues' risk when failures come, move or are re-timed: only what differs is written."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from sqlalchemy import text

from everfix.failures import patterns
from tests import make


def hours(alice: make.Workspace) -> dict[str, int]:
    with alice.db() as db:
        return {row.hour.isoformat(): row.failures for row in db.execute(text("SELECT hour, failures FROM pattern_hours"))}


def the_pattern(alice: make.Workspace) -> UUID:
    with alice.db() as db:
        return UUID(str(db.execute(text("SELECT id FROM patterns")).scalar_one()))


def test_hours_follow_the_issues_that_come_are_retimed_and_leave(alice: make.Workspace) -> None:
    found = alice.learn(*make.failures("database", (3, 3, 2)))
    at = [(make.NOW - timedelta(days=ago)).isoformat() for ago in (3, 2, 1)]
    assert hours(alice) == {at[0]: 2, at[1]: 1}
    pattern = the_pattern(alice)
    with alice.db() as db:
        db.execute(text("UPDATE issues SET occurred_at = :at WHERE id = :id"), {"at": make.NOW - timedelta(days=1), "id": found[2]})
        patterns.recount(db, [pattern])
    assert hours(alice) == {at[0]: 2, at[2]: 1}
    with alice.db() as db:
        db.execute(text("UPDATE issues SET pattern_id = NULL WHERE id = ANY(:ids)"), {"ids": found[:2]})
        patterns.recount(db, [pattern])
    assert hours(alice) == {at[2]: 1}


def test_hours_that_stay_as_they_are_are_not_written_again(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3, 2)))
    pattern = the_pattern(alice)
    versions = text("SELECT array_agg(xmin::text || ctid::text ORDER BY hour) FROM pattern_hours")
    with alice.db() as db:
        before = db.execute(versions).scalar_one()
    with alice.db() as db:
        patterns.recount(db, [pattern])
    with alice.db() as db:
        assert db.execute(versions).scalar_one() == before


def test_an_issue_score_may_lag_by_the_slack_and_no_more(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3, 2, 1)))
    pattern = the_pattern(alice)
    scores = text("SELECT risk_score FROM issues ORDER BY id")
    with alice.db() as db:
        patterns.rate(db, [pattern], {pattern: 0.5})
        exact = list(db.execute(scores).scalars())
        for off, slack, stays in ((2, 2, True), (3, 2, False), (1, 0, False)):
            db.execute(text("UPDATE issues SET risk_score = risk_score - :off"), {"off": off})
            patterns.rate(db, [pattern], {pattern: 0.5}, slack=slack)
            found = list(db.execute(scores).scalars())
            assert (found != exact) == stays, (off, slack)
            patterns.rate(db, [pattern], {pattern: 0.5})
            assert list(db.execute(scores).scalars()) == exact


def test_an_open_issue_joins_its_loop_once_the_pattern_recurs_and_a_resolved_one_stays_resolved(alice: make.Workspace) -> None:
    first, *_ = alice.learn(*make.failures("database", (3,)))
    statuses = text("SELECT id, status FROM issues")
    with alice.db() as db:
        assert {row.id: row.status for row in db.execute(statuses)} == {first: "open"}
    second, third = alice.learn(
        make.event(**{**make.failures("database", (2,))[0], "external_id": "later"}),
        make.event(**{**make.failures("database", (1,))[0], "external_id": "mended", "status": "resolved"}),
    )
    with alice.db() as db:
        assert {row.id: row.status for row in db.execute(statuses)} == {first: "in_loop", second: "in_loop", third: "resolved"}
