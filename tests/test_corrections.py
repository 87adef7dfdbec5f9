"""A human's word wins for ever: later failures obey the last word, what is taken back leaves no trace, and a preview says what would move."""

from __future__ import annotations

import os
import random
from datetime import timedelta
from typing import Any
from uuid import UUID, uuid5

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix.core import ids
from everfix.errors import Conflict, Invalid, NotFound
from everfix.failures import corrections, loop, previews
from everfix.failures.corrections import Correction
from everfix.failures.patterns import Pattern
from everfix.failures.rules import Place, Rules, Subject, Word
from everfix.ingest.events import Issue
from tests import make

# --- rules alone: compiled, they say what reading the words one by one says ---

SPACE = UUID(int=7)
PATTERNS = [uuid5(SPACE, str(n)) for n in range(6)]
WORDS = st.lists(
    st.one_of(
        st.tuples(st.just("merge"), st.integers(0, 5), st.integers(0, 5)),
        st.tuples(st.just("move"), st.sets(st.integers(0, 4), min_size=1), st.one_of(st.none(), st.integers(0, 5))),
        st.tuples(st.just("undo"), st.integers(0, 20), st.none()),
    ),
    max_size=14,
)


def spoken(said: list[tuple[str, Any, Any]]) -> list[Word]:
    """Return the words that stand, as the verbs let them be said: no pattern that is part of another is named."""
    words: list[Word] = []
    for number, (what, one, other) in enumerate(said):
        gone = {word.source for word in words if not word.symptoms}
        if what == "undo" and words:
            words.pop(one % len(words))
        elif what == "merge" and one != other and not {PATTERNS[one], PATTERNS[other]} & gone:
            words.append(Word(number, uuid5(SPACE, f"w{number}"), PATTERNS[one], PATTERNS[other]))
        elif what == "move" and (other is None or PATTERNS[other] not in gone):
            target = None if other is None else PATTERNS[other]
            words.append(Word(number, uuid5(SPACE, f"w{number}"), None, target, tuple(f"s{n}" for n in sorted(one))))
    return words


def read_one_by_one(words: list[Word], subject: Subject) -> UUID | None:
    """Where a failure is after each word in turn."""
    at = subject.home
    named: dict[str, tuple[int, UUID | None]] = {}
    for word in words:
        for symptom in word.symptoms:
            named[symptom] = (word.number, word.target)
        if not word.symptoms:
            named = {name: (number, word.target if where == word.source else where) for name, (number, where) in named.items()}
            at = word.target if at == word.source else at
    own = [named[name] for name in (subject.symptom, subject.fingerprint) if name in named]
    if own:
        return max(own, key=lambda said: said[0])[1]
    like = named.get(subject.resembles or "")
    return like[1] if like is not None and like[1] is not None else at


SUBJECTS = st.builds(
    Subject,
    st.integers(0, 6).map(lambda n: f"s{n}"),
    st.one_of(st.none(), st.integers(0, 6).map(lambda n: f"s{n}")),
    st.one_of(st.none(), st.integers(0, 6).map(lambda n: f"s{n}")),
    st.one_of(st.none(), st.sampled_from(PATTERNS)),
)


@settings(deadline=None, max_examples=200)
@given(WORDS, st.lists(SUBJECTS, max_size=12))
def test_compiled_rules_say_what_the_words_say_one_by_one(said: list[tuple[str, Any, Any]], subjects: list[Subject]) -> None:
    words = spoken(said)
    made = Rules.of(words)
    for subject in subjects:
        assert made.place(subject).pattern == read_one_by_one(words, subject)


def test_no_word_leaves_the_machine_its_judgement() -> None:
    assert Rules.of([]).place(Subject("a", None, None, PATTERNS[0])) == Place(PATTERNS[0], None)


# --- on a workspace ---


def by_service(workspace: make.Workspace) -> dict[str, UUID]:
    with workspace.db() as db:
        found = db.execute(select(Pattern).where(Pattern.issue_count > 0, Pattern.by_hand.is_(False))).scalars()
        return {str(pattern.service): pattern.id for pattern in found}


def patterns_of(workspace: make.Workspace, issues: list[UUID]) -> list[UUID | None]:
    with workspace.db() as db:
        found = {row.id: row.pattern_id for row in db.execute(select(Issue.id, Issue.pattern_id).where(Issue.id.in_(issues)))}
    return [found[issue] for issue in issues]


@pytest.fixture
def two(alice: make.Workspace) -> tuple[make.Workspace, list[UUID], list[UUID], UUID, UUID]:
    database = alice.learn(*make.failures("database", (9, 5, 2)))
    payments = alice.learn(*make.failures("payments", (8, 4)))
    found = by_service(alice)
    return alice, database, payments, found["orders-api"], found["payments-api"]


def test_merged_patterns_stay_one_for_failures_to_come(two: Any) -> None:
    alice, database, payments, one, other = two
    with alice.db() as db:
        said = corrections.merge(db, one, other, by=alice.principal)
        assert said.moved == 2
    assert set(patterns_of(alice, database + payments)) == {one}
    later = alice.learn(make.failures("payments", (1,), external_id="later")[0])
    assert patterns_of(alice, later) == [one]
    with alice.db() as db:
        found = db.execute(select(Pattern).where(Pattern.id == one)).scalar_one()
        assert (found.issue_count, db.execute(select(Pattern.merged_into).where(Pattern.id == other)).scalar_one()) == (6, one)
        issue = db.execute(select(Issue).where(Issue.id == later[0])).scalar_one()
        assert (issue.home_id, issue.correction_id) == (other, said.id)
        assert issue.assignment is not None
        assert issue.assignment["stage"] == "exact", "what the machine thought stays to be seen"


def test_a_detached_failure_and_all_equal_to_it_stay_away(two: Any) -> None:
    alice, database, payments, one, _ = two
    with alice.db() as db:
        corrections.link(db, payments[:1], one, by=alice.principal)
    assert set(patterns_of(alice, database + payments)) == {one}, "equal failures go together"
    with alice.db() as db:
        (said,) = corrections.detach(db, one, payments[:1], by=alice.principal)
    assert set(patterns_of(alice, payments)) == {said.target_id}
    later = alice.learn(make.failures("payments", (1,), external_id="later")[0])
    assert patterns_of(alice, later) == [said.target_id], "the last word wins"


def test_unlinked_failures_belong_nowhere_until_somebody_says_otherwise(two: Any) -> None:
    alice, _, payments, one, other = two
    with alice.db() as db:
        corrections.unlink(db, payments[:1], by=alice.principal)
    later = alice.learn(make.failures("payments", (1,), external_id="later")[0])
    assert patterns_of(alice, [*payments, *later]) == [None] * 3
    with alice.db() as db:
        corrections.link(db, later, other, by=alice.principal)
    assert patterns_of(alice, [*payments, *later]) == [other] * 3
    assert one != other


def test_a_failure_like_one_that_was_moved_goes_with_it() -> None:
    words = [Word(1, uuid5(SPACE, "w"), None, PATTERNS[1], ("moved",))]
    assert Rules.of(words).place(Subject("new", None, "moved", PATTERNS[0])) == Place(PATTERNS[1], words[0].id)


def test_linking_a_failure_that_was_not_learnt_yet_holds(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (9, 5)))
    one = by_service(alice)["orders-api"]
    fresh = alice.ingest(make.failures("login", (1,))[0])
    with alice.db() as db:
        corrections.link(db, fresh, one, by=alice.principal)
    with alice.db() as db:
        loop.learn(db, fresh, now=make.NOW)
    assert patterns_of(alice, fresh) == [one]


def test_nonsense_is_refused(two: Any, bob: make.Workspace) -> None:
    alice, database, payments, one, other = two
    with alice.db() as db:
        with pytest.raises(Conflict, match="with itself"):
            corrections.merge(db, one, one, by=alice.principal)
        with pytest.raises(Invalid, match="no member"):
            corrections.split(db, one, payments, by=alice.principal)
        with pytest.raises(Invalid, match="were named"):
            corrections.link(db, [], one, by=alice.principal)
        with pytest.raises(Invalid, match="no such issue"):
            corrections.link(db, [ids.new()], one, by=alice.principal)
        said = corrections.merge(db, one, other, by=alice.principal)
        with pytest.raises(Conflict, match="merged into"):
            corrections.link(db, database, other, by=alice.principal)
        corrections.undo(db, said.id, by=alice.principal)
        with pytest.raises(Conflict, match="taken back"):
            corrections.undo(db, said.id, by=alice.principal)
    with bob.db() as db, pytest.raises(NotFound):
        corrections.undo(db, said.id, by=bob.principal)


def test_what_the_machine_joins_leaves_what_people_named(two: Any) -> None:
    """A person parted two patterns; the machine may not make them one again, nor lose one that a word names."""
    alice, database, payments, one, other = two
    with alice.db() as db:
        said = corrections.link(db, payments, one, by=alice.principal)
        assert {one} <= corrections.rules_of(db).named
        corrections.undo(db, said.id, by=alice.principal)
        assert other not in corrections.rules_of(db).named
    assert patterns_of(alice, database + payments) == [one] * 3 + [other] * 2


# --- exactly as before ---

STATE = {
    "issues": "SELECT id, pattern_id, home_id, status, correction_id, fingerprint, assignment, risk_score FROM issues ORDER BY id",
    "patterns": "SELECT to_jsonb(p) - 'updated_at' FROM patterns p ORDER BY id",
    "hours": "SELECT pattern_id, hour, failures, newest FROM pattern_hours ORDER BY 1, 2",
    "tallies": "SELECT pattern_id, what, value, failures, total FROM pattern_tallies ORDER BY 1, 2, 3",
    "keys": "SELECT key, pattern_id FROM pattern_keys ORDER BY 1",
    "predictions": "SELECT id, pattern_id, status FROM predictions ORDER BY 1",
    "fixes": "SELECT recommendation_id, pattern_id FROM recommendation_patterns ORDER BY 1, 2",
    "watches": "SELECT id, pattern_id FROM verifications ORDER BY 1",
}


def state(db: Session) -> dict[str, list[Any]]:
    return {name: [tuple(row) for row in db.execute(text(query))] for name, query in STATE.items()}


def say(db: Session, workspace: make.Workspace, chance: random.Random) -> Correction | None:
    """Say something at random that can be said."""
    live = list(db.execute(text("SELECT id FROM patterns WHERE merged_into IS NULL AND issue_count > 0 ORDER BY id")).scalars())
    issues = list(db.execute(text("SELECT id, pattern_id FROM issues WHERE pattern_id IS NOT NULL ORDER BY id")).all())
    what = chance.choice(("merge", "merge", "split", "detach", "link", "link", "unlink"))
    if what == "merge" and len(live) > 3:
        one, other = chance.sample(live, 2)
        return corrections.merge(db, one, other, by=workspace.principal)
    if not issues or not live:
        return None
    some = chance.choice(issues)
    if what == "split":
        return corrections.split(db, some.pattern_id, [some.id], by=workspace.principal)
    if what == "detach":
        return corrections.detach(db, some.pattern_id, [some.id], by=workspace.principal)[0]
    if what == "unlink":
        return corrections.unlink(db, [some.id], by=workspace.principal) if chance.random() < 0.3 else None
    return corrections.link(db, [some.id], chance.choice(live), by=workspace.principal)


NOUNS = ("disk", "queue", "cache", "token", "upload", "mail", "shard", "lease", "quota", "proxy", "cursor", "kernel", "socket", "ledger")


def varied(many: int) -> list[dict[str, Any]]:
    """Return failures of `many` causes, each a few times."""
    out = []
    for n in range(many):
        one, other = NOUNS[n % len(NOUNS)], NOUNS[(n * 5 + n // len(NOUNS)) % len(NOUNS)]
        title = f"{one.title()} {NOUNS[(3 * n + 1) % len(NOUNS)]} of {other} failed in region {chr(97 + n % 26)}{chr(97 + n // 26)}"
        for k in range(1 + n % 3):
            at = make.NOW - timedelta(days=40 - n % 30, hours=5 * k)
            out.append(make.event(external_id=f"v{n}-{k}", title=title, service=f"{one}-api", source_created_at=at.isoformat()))
    return out


@pytest.mark.parametrize("seed", range(2))
def test_taking_everything_back_in_any_order_restores_the_exact_state(alice: make.Workspace, time: Any, seed: int) -> None:
    chance = random.Random(seed)  # noqa: S311 - a repeatable test
    make.with_history(alice)
    alice.learn(*varied(24))
    with alice.db() as db:
        db.execute(text("UPDATE issues SET status = 'open' WHERE external_id LIKE 'v1%'"))
        before = state(db)
        said = [row.id for row in (say(db, alice, chance) for _ in range(14)) if row is not None]
        assert state(db) != before
        assert len(said) > 6
        chance.shuffle(said)
        for one in said:
            corrections.undo(db, one, by=alice.principal)
        after = state(db)
        for name in before:
            assert after[name] == before[name], name


def test_a_word_taken_back_after_more_failures_came_leaves_them_where_the_machine_has_them(two: Any) -> None:
    alice, database, payments, one, other = two
    with alice.db() as db:
        said = corrections.merge(db, one, other, by=alice.principal)
    later = alice.learn(make.failures("payments", (1,), external_id="later")[0])
    with alice.db() as db:
        corrections.undo(db, said.id, by=alice.principal)
    assert patterns_of(alice, [*database, *payments, *later]) == [one] * 3 + [other] * 3
    with alice.db() as db:
        counts = {row.id: row.issue_count for row in db.execute(select(Pattern.id, Pattern.issue_count))}
    assert (counts[one], counts[other]) == (3, 3)


SIZES = {"few": (40, 400), "many": (1_000, 10_000)}


def test_replayed_failures_land_as_the_last_human_said(alice: make.Workspace, time: Any) -> None:
    """Random words, some taken back, then failures like those known: each lands where the words say, one by one. Asked for `many`, it takes
    1,000 words and 10,000 failures (some minutes).
    """
    words, replayed = SIZES[os.environ.get("EVERFIX_TEST_CORRECTIONS", "few")]
    chance = random.Random(words)  # noqa: S311 - a repeatable test
    causes = varied(words // 3)
    alice.learn(*causes)
    said = 0
    while said < words:
        with alice.db() as db:
            standing = list(db.execute(select(Correction.id).where(Correction.revoked_at.is_(None))).scalars())
            if standing and chance.random() < 0.2:
                corrections.undo(db, chance.choice(standing), by=alice.principal)
            elif say(db, alice, chance) is not None:
                said += 1
    again = [
        {
            **chance.choice(causes),
            "external_id": f"again-{n}",
            "source_created_at": (make.NOW - timedelta(minutes=n)).isoformat(),
        }
        for n in range(replayed)
    ]
    replays = alice.learn(*again)
    with alice.db() as db:
        standing_words = corrections.words_of(db)
        landed = db.execute(select(Issue).where(Issue.id.in_(replays))).scalars().all()
        assert len(landed) == replayed
        for issue in landed:
            subject = Subject(str(issue.fingerprint), issue.symptom, issue.resembles, issue.home_id)
            assert issue.pattern_id == read_one_by_one(standing_words, subject), issue.title
        everything = text("SELECT id, pattern_id, fingerprint, symptom, resembles, home_id FROM issues")
        wrong = [
            row.id
            for row in db.execute(everything)
            if row.pattern_id != read_one_by_one(standing_words, Subject(row.fingerprint, row.symptom, row.resembles, row.home_id))
        ]
    assert wrong == []


# --- a preview moves nothing and says what would ---


def test_a_preview_says_what_would_move_and_moves_nothing(two: Any) -> None:
    alice, database, payments, one, other = two
    with alice.db() as db:
        before = state(db)
        seen = previews.of(db, source=other, target=one)
        assert (seen.failures, [move["failures"] for move in seen.moves]) == (2, [2])
        split = previews.of(db, source=one, target=None, issue_ids=database[:1])
        assert (split.failures, split.named) == (3, 1), "equal failures go together"
        assert state(db) == before
    with alice.db() as db:
        assert corrections.merge(db, one, other, by=alice.principal).moved == seen.failures
    assert patterns_of(alice, payments) == [one, one]
