from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from everfix.failures import calibration, features, history, learner, rhythm

DAY = features.DAY


def record(name: str, moments: list[int], **shared: str) -> features.History:
    return features.History.of(name, [day * DAY for day in moments], attributes=tuple(shared.items()))


def test_a_quiet_weekend_is_seen_and_an_even_week_is_not() -> None:
    workdays = np.array([day for day in range(70) if day % 7 not in (0, 6)])  # slots back from now; the coming one is like slot 6
    born = np.full(20, 70)
    assert rhythm.factor(np.tile(workdays, 20), born, DAY, history.WEEK) < -0.5
    assert abs(rhythm.factor(np.tile(np.arange(70), 20), born, DAY, history.WEEK)) < 0.05
    assert rhythm.factor(workdays, born, 3 * DAY, history.WEEK) == 0.0


def test_failing_siblings_speak_for_a_pattern() -> None:
    busy = [record(f"b{n}", list(range(100)), team="red") for n in range(4)]
    calm = [record(f"c{n}", [0, 50], team="blue") for n in range(4)]
    pack = features.Pack.of([*busy, *calm])
    rows = features.of(pack, 100 * DAY, 7 * DAY, features.context(pack, 100 * DAY, 7 * DAY))
    column = rows[:, features.NAMES.index("siblings_8")]
    assert column[:4].min() > column[4:].max()


def test_scores_agree_with_their_definitions() -> None:
    y, p = np.array([0.0, 0.0, 1.0, 1.0]), np.array([0.1, 0.6, 0.6, 0.9])
    assert calibration.brier(y, p) == pytest.approx((0.01 + 0.36 + 0.16 + 0.01) / 4)
    assert calibration.auc(y, p) == pytest.approx(3.5 / 4)
    assert calibration.calibration_error(y, y) == 0.0
    assert np.isnan(calibration.auc(np.ones(3), np.ones(3)))


def test_an_ensemble_learns_what_a_straight_line_cannot_and_says_what_moved() -> None:
    rows = np.random.default_rng(1).normal(size=(4000, 3))
    outcomes = (np.abs(rows[:, 0]) > 1).astype(np.float64)
    model = learner.Ensemble.new(np.zeros(4), np.zeros(4), np.full(3, 10.0), np.ones(3, dtype=np.bool_))
    for at in range(0, 4000, 400):
        model.learn(rows[at : at + 400], outcomes[at : at + 400])
    test = np.array([[2.0, 0.0, 0.0], [0.0, 0.0, 0.0], [-2.0, 0.0, 0.0]])
    score = model.score(test)
    assert min(score[0], score[2]) > 0 > score[1]
    assert np.abs(model.moved(test, np.zeros(3))[0]).argmax() == 0
    again = learner.Ensemble.new(np.zeros(4), np.zeros(4), np.full(3, 10.0), np.ones(3, dtype=np.bool_))
    again.restore(model.to_state())
    assert again.score(test) == pytest.approx(score, abs=1e-4)


def test_the_random_units_never_change() -> None:
    assert learner.uniform(1, 3).round(6).tolist() == learner.uniform(1, 5)[:3].round(6).tolist()
    assert learner.Units.drawn(1, 5).weights.astype(bool).sum() == learner.MIXED * learner.UNITS


@given(st.lists(st.lists(st.integers(0, 400), min_size=1, max_size=30), min_size=1, max_size=8), st.sampled_from([0.25, 1, 7, 30]))
def test_any_history_gives_finite_features(patterns: list[list[int]], window: float) -> None:
    pack = features.Pack.of([record(f"p{n}", moments, team=str(n % 3)) for n, moments in enumerate(patterns)])
    span = features.days(window)
    rows = features.of(pack, 400 * DAY, span, features.context(pack, 400 * DAY, span))
    assert rows.shape == (len(patterns), len(features.NAMES))
    assert np.isfinite(rows).all()
