"""What follows for a pattern's hours and its issues' risk when failures come, move or are re-timed: only what differs is written."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.failures import alerts, figures, patterns, predictions, rating, recommendations, risk, verifications
from everfix.ingest import events
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
        figures.fold(db, [pattern])
    assert hours(alice) == {at[0]: 2, at[2]: 1}
    with alice.db() as db:
        db.execute(text("UPDATE issues SET pattern_id = NULL WHERE id = ANY(:ids)"), {"ids": found[:2]})
        figures.fold(db, [pattern])
    assert hours(alice) == {at[2]: 1}


def test_hours_that_stay_as_they_are_are_not_written_again(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3, 2)))
    pattern = the_pattern(alice)
    versions = text("SELECT array_agg(xmin::text || ctid::text ORDER BY hour) FROM pattern_hours")
    with alice.db() as db:
        before = db.execute(versions).scalar_one()
    with alice.db() as db:
        figures.fold(db, [pattern])
    with alice.db() as db:
        assert db.execute(versions).scalar_one() == before


def test_an_issue_score_may_lag_by_the_slack_and_no_more(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3, 2, 1)))
    pattern = the_pattern(alice)
    scores = text("SELECT risk_score FROM issues ORDER BY id")
    with alice.db() as db:
        db.execute(text("UPDATE patterns SET rated = 0"))  # far from what follows, whatever the first forecast was
        rating.rate(db, [pattern], {pattern: 0.5})
        db.execute(text("UPDATE issues SET risk_score = 1"))
        for probability, stays in (
            (0.5, True),
            (0.5 + rating.SLACK / risk.PROBABILITY, True),
            (0.5 + (rating.SLACK + 1) / risk.PROBABILITY, False),
        ):
            rating.rate(db, [pattern], {pattern: probability})
            assert (set(db.execute(scores).scalars()) == {1}) == stays, probability


def test_what_just_came_is_rated_at_once_and_what_is_settled_keeps_its_score(alice: make.Workspace) -> None:
    first, second, third = alice.learn(*make.failures("database", (3, 2, 1)))
    pattern = the_pattern(alice)
    with alice.db() as db:
        rating.rate(db, [pattern], {pattern: 0.5})
        db.execute(text("UPDATE issues SET risk_score = 1"))
        db.execute(text("UPDATE issues SET status = 'resolved' WHERE id = :id"), {"id": second})
        rating.rate(db, [pattern], {pattern: 0.5}, came=[third])
        scores = text("SELECT id, risk_score FROM issues")
        found = {row.id: row.risk_score for row in db.execute(scores)}
        assert found[first] == found[second] == 1 < found[third]
        rating.rate(db, [pattern], {pattern: 1.0})
        found = {row.id: row.risk_score for row in db.execute(scores)}
        assert found[second] == 1 < found[first] == found[third]


def test_a_large_pattern_is_rated_by_a_job_chunk_by_chunk(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rating, "SMALL", 3)
    monkeypatch.setattr(rating, "CHUNK", 2)
    alice.learn(*make.failures("database", (9, 8, 7, 6, 5, 4, 3)))
    pattern = the_pattern(alice)
    with alice.db() as db:
        rating.rate(db, [pattern], {pattern: 0.1})
        rating.rate(db, [pattern], {pattern: 1.0})
        queued = db.execute(text("SELECT count(*) FROM jobs WHERE kind = 'failures.rate' AND status = 'queued'")).scalar_one()
        assert queued == 1, "one job waits, however often it is asked for"
    alice.work()
    with alice.db() as db:
        score = db.execute(text("SELECT risk_score FROM patterns")).scalar_one()
        assert db.execute(text("SELECT rated FROM patterns")).scalar_one() == score
        found = db.execute(text("SELECT risk_score, risk_parts FROM issues")).all()
    assert {row.risk_parts["pattern"] for row in found} == {round(score * 0.6)}


def test_what_a_person_put_back_to_open_does_not_join_again(alice: make.Workspace) -> None:
    first, *_ = alice.learn(*make.failures("database", (3, 2)))
    with alice.db() as db:
        db.execute(text("UPDATE issues SET status = 'open' WHERE id = :id"), {"id": first})
    alice.learn(make.event(**{**make.failures("database", (1,))[0], "external_id": "later"}))
    with alice.db() as db:
        assert db.execute(text("SELECT status FROM issues WHERE id = :id"), {"id": first}).scalar_one() == "open"


# --- what is kept by differences is what a full count finds ---

FIGURES = text("SELECT to_jsonb(p) - 'updated_at' - 'rated' FROM patterns p ORDER BY id")
HOURS = text("SELECT pattern_id, hour, failures, newest FROM pattern_hours ORDER BY 1, 2")
TALLIES = text("SELECT pattern_id, what, value, failures, total FROM pattern_tallies ORDER BY 1, 2, 3")


def kept(db: Session) -> list[Any]:
    return [db.execute(FIGURES).scalars().all(), db.execute(HOURS).all(), db.execute(TALLIES).all()]


MOMENTS = st.integers(0, 80).map(lambda n: make.NOW - timedelta(minutes=37 * n))
ISSUES, PATTERNS = st.integers(0, 11), st.integers(0, 3)
CHANGES = st.one_of(
    st.tuples(st.just("pattern_id"), ISSUES, st.one_of(st.none(), PATTERNS)),
    st.tuples(st.just("occurred_at"), ISSUES, MOMENTS),
    st.tuples(st.just("resolved_at"), ISSUES, st.one_of(st.none(), MOMENTS)),
    st.tuples(st.just("severity"), ISSUES, st.sampled_from(("p1", "p2", "p4"))),
    st.tuples(st.just("service"), ISSUES, st.sampled_from((None, "a", "b"))),
    st.tuples(st.just("team"), ISSUES, st.sampled_from((None, "x", "y"))),
    st.tuples(st.just("status"), ISSUES, st.sampled_from(("open", "closed"))),
    st.tuples(st.just("delete"), ISSUES, st.none()),
    st.tuples(st.just("fold"), PATTERNS, st.none()),
    st.tuples(st.just("absorb"), PATTERNS, PATTERNS),
)


@settings(deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CHANGES, max_size=40))
def test_figures_by_differences_are_those_of_a_full_count(alice: make.Workspace, changes: list[tuple[str, int, Any]]) -> None:
    with alice.installation.database.engine.connect() as connection, Session(bind=connection) as db:
        make.entered(db, alice.id)
        draft = patterns.Draft("p", {}, {}, None, None, "incident", "p3")
        groups = [patterns.create(db, draft) for _ in range(4)]
        found = list(events.accept(db, [make.event(external_id=f"i{n}") for n in range(12)]).issues)
        for what, one, value in changes:
            change(db, what, found[one], groups, value if what != "absorb" else (one, value), one)
        alive = list(db.execute(text("SELECT id FROM patterns")).scalars())
        figures.fold(db, alive)
        by_differences = kept(db)
        figures.rebuild(db, alive)
        assert by_differences == kept(db)
        count = text("SELECT count(*) FROM issues WHERE pattern_id IS NOT NULL")
        assert db.execute(text("SELECT coalesce(sum(issue_count), 0) FROM patterns")).scalar_one() == db.execute(count).scalar_one()
        assert db.execute(text("SELECT count(*) FROM pattern_deltas")).scalar_one() == 0
        db.rollback()


def change(db: Session, what: str, issue: UUID, groups: list[UUID], value: Any, one: int) -> None:
    if what == "delete":
        db.execute(text("DELETE FROM issues WHERE id = :id"), {"id": issue})
    elif what == "fold":
        figures.fold(db, [groups[one % 4]])
    elif what == "absorb":
        gone, into = groups[value[0]], groups[value[1]]
        if gone != into:
            patterns.absorb(db, gone, into)
            groups[:] = [into if group == gone else group for group in groups]
    else:
        value = groups[value] if what == "pattern_id" and value is not None else value
        db.execute(text(f"UPDATE issues SET {what} = :value WHERE id = :id"), {"id": issue, "value": value})


def test_counting_a_long_history_reads_only_what_is_new(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", [n / 7 for n in range(400)]))
    pattern = the_pattern(alice)
    with alice.db() as db:
        db.execute(text("UPDATE issues SET severity = 'p1' WHERE id = (SELECT id FROM issues LIMIT 1)"))
        deltas = db.execute(text("SELECT sign FROM pattern_deltas ORDER BY number")).scalars().all()
        assert deltas == [-1, 1]
        plan = "\n".join(row[0] for row in db.execute(text("EXPLAIN (ANALYZE, COSTS OFF) " + figures._FIGURES), values([pattern])))
    assert not [line for line in plan.splitlines() if "Seq Scan on issues" in line and "never executed" not in line]
    assert "actual rows=400" not in plan.replace(".00", "")


def values(ids: list[UUID]) -> dict[str, Any]:
    return {"ids": ids, "prior": figures.PRIOR_MEMBERS, "failures": figures.CONFIRMED_FAILURES, "days": figures.CONFIRMED_DAYS}


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


def test_more_patterns_than_a_statement_has_parameters(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3, 2, 1)))
    many = [the_pattern(alice), *(UUID(int=number) for number in range(70_000))]
    with alice.db() as db:
        odds = predictions.refresh(db, make.NOW, many)
        rating.rate(db, many, odds)
        recommendations.refresh(db, many)
        verifications.check(db, make.NOW, many)
        alerts.check(db, make.NOW, many)
    assert list(odds) == many[:1]
