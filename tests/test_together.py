from __future__ import annotations

import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix.failures import scopes, together

DAY, HOUR = 86_400.0, 3_600.0
ALERT = together.Voice("orders", "error rate", "OrdersDown", "incident", trace=False)
CRASH = together.Voice("orders", "PoolTimeout", "PoolTimeout", "defect", trace=True)


def moments(seed: int, count: int, days: int = 300) -> list[float]:
    rng = random.Random(seed)  # noqa: S311 - moments, no secret
    return sorted(rng.uniform(0, days * DAY) for _ in range(count))


def told(held: together.Together, one: list[float], other: list[float], voices: tuple[together.Voice, together.Voice]) -> str | None:
    for at, name in sorted([(t, "a") for t in one] + [(t, "b") for t in other]):
        met = held.note(name, voices[name == "b"], at, lambda _: False)
        if met:
            return met[0]
    return None


def test_two_voices_that_keep_company_are_one() -> None:
    alert = moments(1, 30)
    crash = [t + 600 for t in alert[::3]]
    assert told(together.Together(), alert, crash, (ALERT, CRASH)) in {"a", "b"}


@pytest.mark.parametrize("seed", range(12))
def test_two_that_fail_at_their_own_times_stay_apart(seed: int) -> None:
    assert told(together.Together(), moments(seed, 60), moments(100 + seed, 40), (ALERT, CRASH)) is None


def test_a_nightly_habit_is_no_company() -> None:
    nights = [n * DAY + 2 * HOUR for n in range(60)]
    assert told(together.Together(), nights, [t + 300 for t in nights[::2]], (ALERT, CRASH)) is None


def test_another_place_a_missing_kind_or_unrelated_names_never_join() -> None:
    alert = moments(1, 30)
    for other in (CRASH._replace(place="payments"), CRASH._replace(kind=""), CRASH._replace(place="")):
        assert told(together.Together(), alert, [t + 60 for t in alert], (ALERT, other)) is None


def test_company_in_a_small_share_of_the_spells_is_not_enough() -> None:
    often = moments(3, 20)
    rare = sorted([*(t + 60 for t in often[:4]), *moments(4, 30)])
    assert together.company(often, rare)["chance"] == 1.0


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(0, 50 * DAY), min_size=1, max_size=40), st.lists(st.floats(0, 50 * DAY), min_size=1, max_size=40))
def test_company_is_symmetric_and_a_chance(one: list[float], other: list[float]) -> None:
    one, other = sorted(one), sorted(other)
    found = together.company(one, other)
    assert 0 <= found["chance"] <= 1
    assert found["together"] <= found["of"]
    assert found == together.company(other, one)


@settings(deadline=None)
@given(st.integers(0, 30), st.integers(0, 30), st.floats(0, 1))
def test_the_tail_is_a_chance_that_falls_with_more_hits(hits: int, more: int, share: float) -> None:
    of = hits + more
    assert 0 <= together.tail(hits + 1, of, share) <= together.tail(hits, of, share) <= 1
    assert together.tail(0, of, share) == pytest.approx(1.0)


def test_what_is_remembered_is_bounded_and_survives_json(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(together, "MOST_GROUPS", 50)
    held = together.Together()
    for n in range(200):
        held.note(f"g{n}", CRASH, n * DAY, lambda _: False)
    for n in range(300):
        held.note("g199", CRASH, (200 + n) * DAY, lambda _: False)
    assert len(held.times) <= 50
    assert held.times.keys() == held.voices.keys()
    assert len(held.times["g199"]) == together.KEPT
    assert len(held.recent) <= together.RECENT
    scope = scopes.Scope(together=held)
    assert scopes.Scope.from_json(json.loads(json.dumps(scope.to_json()))).together == held


def test_groups_made_one_have_both_their_moments() -> None:
    held = together.Together()
    held.note("a", ALERT, 5.0, lambda _: False)
    held.note("b", CRASH, 3.0, lambda _: False)
    held.join("a", "b")
    assert held.times == {"a": [3.0, 5.0]}
    assert held.voices == {"a": [ALERT, CRASH]}
    assert {g for _, g in held.recent} == {"a"}
