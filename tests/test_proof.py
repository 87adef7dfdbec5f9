"""Proof: what silence is worth, and how often a verdict is right on streams whose truth is known."""

from __future__ import annotations

import math

import numpy as np
import pytest

from bench import proof as bench
from everfix.failures import proof

RUNS = 4_000


def test_silence_of_a_steady_pattern_is_improbable() -> None:
    steady = proof.before([1.0 * n + 0.5 for n in range(90)], 90)
    assert steady.rate == pytest.approx(1, rel=0.02)
    assert proof.silence(steady, 30) < 1e-9
    assert proof.belief(steady, 14.2) > 0.99


def test_a_bunched_pattern_needs_a_longer_silence() -> None:
    """Ten bad days in a row and then nothing for weeks says less than ten days spread over the same time."""
    spread = proof.before([8.0 * n + 4 for n in range(10)], 90)
    bunched = proof.before([76 - n for n in range(10)], 90)
    assert bunched.dispersion > 2 * spread.dispersion
    assert proof.silence(bunched, 30) > proof.silence(spread, 30)


def test_what_never_failed_proves_nothing() -> None:
    nothing = proof.before([], 90)
    assert proof.silence(nothing, 365) == 1.0
    assert proof.needed_days(nothing) is None
    assert proof.verdict(nothing, 365, 0, over=True) == "not_enough_exposure"


def test_the_days_needed_are_those_after_which_silence_proves() -> None:
    known = proof.before([6.0 * n + 1 for n in range(15)], 90)
    needed = proof.needed_days(known)
    assert needed is not None
    assert proof.silence(known, needed) == pytest.approx(proof.ERROR)
    assert proof.verdict(known, needed * 1.001, 0, over=True) == "held"
    assert proof.verdict(known, needed * 0.99, 0, over=True) == "not_enough_exposure"


def test_a_workspace_whose_fixes_fail_is_believed_less() -> None:
    known = proof.before([3.0 * n for n in range(30)], 90)
    assert proof.belief(known, 3, held=0, failed=20) < proof.belief(known, 3) < proof.belief(known, 3, held=20, failed=0)


@pytest.mark.parametrize("kind", ["steady", "weekdays", "bursts"])
@pytest.mark.parametrize("rate", [0.2, 0.5, 1.0])
def test_at_least_99_of_100_verdicts_are_right(kind: str, rate: float) -> None:
    """A fix that did nothing is never called held more often than the stated error; one that works is never called failed."""
    rng = np.random.default_rng(2026)
    wrong = found_out = 0
    for number in range(RUNS // 9):
        before = bench.stream(rng, kind, rate, 90.0)
        works = number % 2 == 0
        after = np.array([]) if works else bench.stream(rng, kind, rate, bench.WINDOW)
        verdict, _ = bench.ours(before, after, rate)
        found_out += verdict == "failed" and not works
        wrong += verdict == ("failed" if works else "held")
    assert wrong <= 0.01 * RUNS / 9, f"{wrong} of {RUNS // 9} wrong"
    assert found_out > 0.8 * RUNS / 9 / 2, "nearly every fix that did nothing is found out within the window"


def test_a_failed_fix_is_found_as_early_as_the_optimal_test_finds_it() -> None:
    """Wald's test of the old rate against a twentieth of it (the fix leaves a little) is optimal in expected time; ours needs ≤ 1.2 of it."""
    rng = np.random.default_rng(7)
    ours, optimal = [], []
    low, up = math.log(proof.ERROR), -math.log(proof.ERROR)
    for _ in range(RUNS):
        rate = float(rng.uniform(0.2, 2.0))
        after = np.cumsum(rng.exponential(1 / rate, 400))
        known = proof.Before(int(rate * 90), 90.0)
        first = next(time for time in after if proof.verdict(known, float(time), 1, over=False) == "failed")
        ratio, last = 0.0, 0.0
        for time in after:
            ratio += (rate - rate / 20) * (time - last) + math.log(1 / 20)
            last = float(time)
            if ratio <= low or ratio >= up:
                break
        ours.append(float(first))
        optimal.append(last)
    assert np.mean(ours) <= 1.2 * np.mean(optimal), (np.mean(ours), np.mean(optimal))
