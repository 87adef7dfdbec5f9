"""Precedents: a fix that held for a pattern is the first to try on one like it, with its steps; one that failed sinks; all of it from real history."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import select, text

from everfix.core import ids
from everfix.failures import fixes, labels, learned, loop, precedents, recommendations, verifications
from everfix.failures.forecast import Forecast
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation, Step
from tests import make

OFTEN = [3.0 * n + 1 for n in range(30)]
LIKELY = Forecast("p", 0.7, 0.6, 0.8, [])
OWN = "Recycle connections of the pool after each deploy"


def resolution(number: int, title: str, key: str, *, held: bool = True) -> fixes.Resolution:
    facts = fixes.PatternFacts(f"p{number}", title)
    return fixes.Resolution(
        facts, key, "config_change", "low", held, key, verified_at=datetime(2026, 1, 1, tzinfo=UTC) + timedelta(days=number)
    )


def history() -> list[fixes.Resolution]:
    """Time-outs of the search were mended by an index, those of card payments by a budget."""
    search = [resolution(n, f"Search request timeout on shard {n}", "timeout.index") for n in range(8)]
    cards = [resolution(n + 8, f"Card provider timeout in checkout {n}", "timeout.budget") for n in range(8)]
    return [*search, *cards]


def fits(title: str, learnt: labels.Ranker | None) -> dict[str, float]:
    found = fixes.recommend(fixes.PatternFacts("new", title), LIKELY, [], at_most=50, learnt=learnt)
    return {fix.key: fix.why["addresses"] for fix in found}


def test_words_of_past_failures_say_which_fix_fits() -> None:
    learnt = precedents.learnt(history(), {})
    for title, better, worse in (
        ("Search request timeout on shard 9", "timeout.index", "timeout.budget"),
        ("Card provider timeout in checkout 9", "timeout.budget", "timeout.index"),
    ):
        before, after = fits(title, None), fits(title, learnt)
        assert after[better] > before[better]
        assert after[worse] < before[worse]
        assert after["timeout.config"] == before["timeout.config"], "what was never verified here keeps what it has"


def test_a_precedent_says_what_it_rests_on() -> None:
    found = fixes.recommend(
        fixes.PatternFacts("new", "Search request timeout on shard 9"), LIKELY, [], at_most=50, learnt=precedents.learnt(history(), {})
    )
    why = next(fix.why for fix in found if fix.key == "timeout.index")
    assert why["precedent"].startswith("it held for 50 % of 16 past incidents; ")
    assert "«search»" in why["precedent"].lower()


def test_one_kind_of_fix_teaches_nothing_about_choosing() -> None:
    learnt = precedents.learnt([resolution(n, "Disk full", "disk.clean") for n in range(9)], {})
    assert fits("Disk full on node 7", learnt) == fits("Disk full on node 7", None)


def named(workspace: make.Workspace, service: str) -> Pattern:
    with workspace.db() as db:
        return db.execute(select(Pattern).where(Pattern.service == service)).scalar_one()


def standing(workspace: make.Workspace, pattern: Pattern) -> Recommendation:
    query = (
        select(Recommendation)
        .join(recommendations.RecommendationPattern, recommendations.RecommendationPattern.recommendation_id == Recommendation.id)
        .where(recommendations.RecommendationPattern.pattern_id == pattern.id, Recommendation.status == "pending")
    )
    with workspace.db() as db:
        return db.execute(query).scalar_one()


def mended(workspace: make.Workspace, pattern: Pattern, title: str) -> Recommendation:
    """Somebody mends a pattern with a fix and steps of their own."""
    with workspace.db() as db:
        done = recommendations.claim(db, pattern.id, title=title, type="config_change", effort="low", at=make.NOW, by=workspace.principal)
        db.add_all([Step(id=ids.new(), recommendation_id=done.id, position=2, title="Watch the pool for a day")])
        db.add_all([Step(id=ids.new(), recommendation_id=done.id, position=1, title="Set the recycling time")])
        db.flush()
        return done


def a_month_goes_by(workspace: make.Workspace) -> None:
    """The other pattern keeps failing meanwhile, so the tool that reports both is known to be alive."""
    title, end = "Connection pool of basket-api exhausted", make.NOW + timedelta(days=31)
    days = [3.0 * n for n in range(10)]
    for record, ago in zip(make.failures("database", days, end=end, service="basket-api", title=title), days, strict=True):
        at = end - timedelta(days=ago)
        workspace.learn({**record, "external_id": f"meanwhile-{ago}"}, now=at + timedelta(minutes=1))
    later(workspace, 31.1)


def later(workspace: make.Workspace, days: float) -> None:
    with workspace.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=days))


def two(workspace: make.Workspace) -> tuple[Pattern, Pattern]:
    records = [
        {**record, "external_id": f"{service}-{n}"}
        for service in ("orders-api", "basket-api")
        for n, record in enumerate(make.failures("database", OFTEN, service=service, title=f"Connection pool of {service} exhausted"))
    ]
    workspace.learn(*records)
    return named(workspace, "orders-api"), named(workspace, "basket-api")


def test_what_held_on_a_similar_pattern_comes_first_with_its_steps(alice: make.Workspace) -> None:
    first, second = two(alice)
    assert standing(alice, second).title != OWN
    mended(alice, first, OWN)
    a_month_goes_by(alice)
    with alice.db() as db:
        assert db.execute(select(verifications.Verification.verdict)).scalar_one() == "held"
    proposed = standing(alice, second)
    assert proposed.title == OWN
    assert proposed.why["from"].startswith("tried on the similar pattern")
    with alice.db() as db:
        steps = db.execute(select(Step.title).where(Step.recommendation_id == proposed.id).order_by(Step.position)).scalars().all()
        assert steps == ["Set the recycling time", "Watch the pool for a day"]


def test_what_failed_or_came_back_sinks(alice: make.Workspace) -> None:
    first, second = two(alice)
    mended(alice, first, OWN)
    a_month_goes_by(alice)
    assert standing(alice, second).title == OWN
    back = make.NOW + timedelta(days=33)
    record = make.failures("database", (0,), end=back, service="orders-api", title="Connection pool of orders-api exhausted")[0]
    alice.learn({**record, "external_id": "back"}, now=back + timedelta(minutes=1))
    later(alice, 34)
    with alice.db() as db:
        watch = db.execute(select(verifications.Verification)).scalar_one()
        assert (watch.verdict, watch.returned_at) == ("held", back), "the verdict stands as what was proven then"
        assert [one.held for one in recommendations.resolutions(db)] == [False]
    assert standing(alice, second).title != OWN
    assert standing(alice, first).title != OWN, "never again on the very pattern"


def test_precedents_are_stored_and_made_anew_when_an_outcome_changes(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    first, _ = two(alice)
    mended(alice, first, OWN)
    with alice.db() as db:
        assert precedents.of(db, recommendations.resolutions(db), lambda _: {}) is None
    a_month_goes_by(alice)
    with alice.db() as db:
        held = learned.load(db, precedents.NAME, precedents.VERSION)
        assert held is not None
        past = recommendations.resolutions(db)
        precedents._kept.clear()  # another process
        monkeypatch.setattr(precedents, "_made", lambda *_: pytest.fail("it is stored"))
        found = precedents.of(db, past, lambda _: {})
        assert found is not None
        assert found.learnt == 1
        db.execute(text("UPDATE verifications SET verdict = 'failed'"))
        db.expire_all()
        assert precedents.of(db, recommendations.resolutions(db), lambda _: {}) is None
