"""How a demo's findings are scored."""

from __future__ import annotations

import itertools

import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfix.demo import truth

PLANTED = truth.Truth(
    {**{f"a{number}": "a" for number in range(10)}, **{f"b{number}": "b" for number in range(5)}, "x": None, "y": None, "c": "c"}
)


def test_perfect_groups() -> None:
    scores = truth.score_groups(PLANTED, {failure: cause or failure for failure, cause in PLANTED.causes.items()})
    assert (scores.planted, scores.found, scores.missed) == (2, ("a", "b"), ())  # c failed once: nothing to find
    assert (scores.precision, scores.recall, scores.f1, scores.over_merged, scores.ungrouped) == (1.0, 1.0, 1.0, 0.0, 0)
    assert scores.groups == 5


def test_everything_in_one_group() -> None:
    scores = truth.score_groups(PLANTED, dict.fromkeys(PLANTED.causes, "g"))
    assert scores.found == ("a",)  # the majority; all else is lost in it
    assert scores.recall == 1.0
    assert scores.precision == pytest.approx(55 / 153)
    assert scores.over_merged == pytest.approx(6 / 16)


def test_everything_alone_and_nothing_grouped() -> None:
    alone = truth.score_groups(PLANTED, {failure: failure for failure in PLANTED.causes})
    none = truth.score_groups(PLANTED, {"of another workspace": "g"})
    assert alone.found == none.found == ()
    assert (alone.recall, alone.precision, none.recall) == (0.0, 1.0, 0.0)
    assert none.ungrouped == len(PLANTED.causes)


@pytest.mark.parametrize(("held", "found"), [(8, True), (7, False)])
def test_four_fifths_of_a_cause_find_it(held: int, found: bool) -> None:
    groups = {f"a{number}": "g" if number < held else f"other {number}" for number in range(10)}
    assert ("a" in truth.score_groups(PLANTED, groups).found) is found


def test_a_group_must_be_mostly_of_the_cause() -> None:
    causes: dict[str, str | None] = {**{f"a{number}": "a" for number in range(4)}, **{f"n{number}": None for number in range(4)}}
    assert truth.score_groups(truth.Truth(causes), dict.fromkeys(causes, "g")).found == ()


@given(st.lists(st.tuples(st.sampled_from(["a", "b", "c", None]), st.sampled_from("ghij")), max_size=25))
def test_pair_scores_agree_with_counting_pairs(drawn: list[tuple[str | None, str]]) -> None:
    causes = {str(number): cause for number, (cause, _) in enumerate(drawn)}
    groups = {str(number): group for number, (_, group) in enumerate(drawn)}
    scores = truth.score_groups(truth.Truth(causes), groups)
    pairs = list(itertools.combinations(causes, 2))
    together = [groups[one] == groups[two] for one, two in pairs]
    same = [causes[one] is not None and causes[one] == causes[two] for one, two in pairs]
    both = sum(1 for one, two in zip(together, same, strict=True) if one and two)
    assert scores.precision == pytest.approx(both / sum(together) if any(together) else 1.0)
    assert scores.recall == pytest.approx(both / sum(same) if any(same) else 1.0)


def test_forecasts_against_the_base_rate() -> None:
    scores = truth.score_forecasts([(0.9, True), (0.1, False), (0.2, False), (0.8, True)])
    assert scores.brier == pytest.approx(0.025)
    assert (scores.base_rate, scores.base_brier, scores.happened, scores.forecasts) == (0.5, 0.25, 2, 4)
    assert scores.skill == pytest.approx(0.9)
    assert truth.score_forecasts([(0.5, True)], base_rate=0.2).base_brier == pytest.approx(0.64)
    assert truth.score_forecasts([]).skill == 0.0
    with pytest.raises(ValueError, match=r"probability: 1.5 is not allowed; allowed: 0 to 1"):
        truth.score_forecasts([(1.5, True)])
