"""Verdicts on fixes whose truth is known: how many are right, and how soon a fix that did nothing is found out, beside other ways to decide.

Streams are scripted: a pattern fails for 90 days (steadily, on working days only, or in bursts), then something is claimed to fix it, which
either ends it or changes nothing. Each way of deciding sees what comes within 30 days. `python -m bench.proof` writes `bench/proof.md`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from bench import figures
from everfix.failures import proof

RUNS = 2_000  # streams of each kind and rate, half of them fixed
KINDS, RATES = ("steady", "weekdays", "bursts"), (0.2, 0.5, 1.0)
BEFORE, WINDOW = 90.0, 30.0  # days
GRACE = 1 / 24  # of a day: what was under way at the claim
LEFT = 1 / 20  # what the optimal test expects a fix to leave
RESULTS = Path(__file__).with_name("proof.md")
Times = NDArray[np.float64]
Way = Callable[[Times, Times, float], tuple[str, float]]


def stream(rng: np.random.Generator, kind: str, rate: float, days: float) -> Times:
    """Return the times (days) of failures of an unfixed pattern: steady, with a weekly rhythm, or in bursts."""
    if kind == "bursts":
        starts = np.cumsum(rng.exponential(3 / rate, int(days * rate) + 20))
        times = np.concatenate([start + rng.exponential(0.3, 3).cumsum() for start in starts])
    else:
        times = np.cumsum(rng.exponential(1 / rate, int(days * rate * 3) + 50))
        if kind == "weekdays":
            times = times[(times % 7) < 5]
    return np.sort(times[times < days])


def ours(before: Times, after: Times, _rate: float) -> tuple[str, float]:
    """Return Everfix's verdict and the day of it; the rate is learnt from what came before, not told."""
    known = proof.before([BEFORE - day for day in np.unique(np.floor(before))], BEFORE)
    counted = after[(after > GRACE) & (after <= WINDOW)]
    if len(counted):
        return proof.verdict(known, float(counted[0]), 1, over=False), float(counted[0])
    return proof.verdict(known, WINDOW, 0, over=True), WINDOW


def quiet(days: float) -> Way:
    """Return the way of those who close what was quiet for so many days."""

    def decide(_before: Times, after: Times, _rate: float) -> tuple[str, float]:
        counted = after[(after > GRACE) & (after <= days)]
        return ("failed", float(counted[0])) if len(counted) else ("held", days)

    return decide


def optimal(_before: Times, after: Times, rate: float) -> tuple[str, float]:
    """Return the verdict of Wald's test of the true rate, which nobody knows, against a twentieth of it, with errors of 1 % each."""
    bound, last, failures = -math.log(proof.ERROR), 0.0, 0
    for time in (*after[after > GRACE], WINDOW):
        proven = (bound - failures * math.log(LEFT)) / (rate * (1 - LEFT))  # until when silence proves that it holds
        if proven <= min(time, WINDOW):
            return "held", max(last, proven)
        if time >= WINDOW:
            break
        failures, last = failures + 1, float(time)
        if rate * (1 - LEFT) * last + failures * math.log(LEFT) <= -bound:
            return "failed", last
    return "not_enough_exposure", WINDOW


OURS, OPTIMAL = "Everfix, the rate learnt", "Wald's test, the true rate told"
WAYS: Mapping[str, Way] = {
    OURS: ours,
    "quiet for 7 days": quiet(7),
    "quiet for 14 days": quiet(14),
    "quiet for 30 days": quiet(30),
    OPTIMAL: optimal,
}


def run(runs: int = RUNS) -> figures.Result:
    """Let each way decide on the same streams."""
    columns = (
        "way",
        "right verdicts",
        "called held, did nothing",
        "called failed, was fixed",
        "undecided",
        "days to find out",
        "days to hold",
    )
    result = figures.Result(f"Verdicts on {runs * len(KINDS) * len(RATES):,} scripted streams", columns)
    seen = {name: _decided(way, runs) for name, way in WAYS.items()}
    for name, (works, verdicts, days) in seen.items():
        decided, right = verdicts != "not_enough_exposure", verdicts == np.where(works, "held", "failed")
        share = right.sum() / decided.sum()
        false = [np.mean(verdicts[side] == said) for side, said in ((~works, "held"), (works, "failed"))]
        found, held = days[~works & (verdicts == "failed")].mean(), days[works & (verdicts == "held")]
        result.add(
            name, f"{share:.2%}", f"{false[0]:.2%}", f"{false[1]:.2%}", f"{1 - decided.mean():.1%}", f"{found:.2f}", f"{held.mean():.1f}"
        )  # fmt: skip
        if WAYS[name] is ours:
            result.goals.append(figures.Goal("share of right verdicts", float(share), 0.99, at_least=True))
    early = _to_failure(seen[OURS]) / _to_failure(seen[OPTIMAL])
    result.goals.append(figures.Goal("days to find out a failed fix, against the optimal test's", float(early), 1.2, at_least=False))
    return result


def _decided(way: Way, runs: int) -> tuple[NDArray[np.bool_], NDArray[np.str_], Times]:
    rng, rows = np.random.default_rng(2026), []
    for kind in KINDS:
        for rate in RATES:
            for number in range(runs):
                before, works = stream(rng, kind, rate, BEFORE), number % 2 == 0
                after = stream(rng, kind, rate, WINDOW)
                true = rate * 5 / 7 if kind == "weekdays" else rate
                rows.append((works, *way(before, np.array([]) if works else after, true)))
    works_, verdicts, days = zip(*rows, strict=True)
    return np.array(works_), np.array(verdicts), np.array(days)


def _to_failure(decided: tuple[NDArray[np.bool_], NDArray[np.str_], Times]) -> float:
    """Return the mean days until a fix that did nothing was found out; one that was not counts as the whole window."""
    works, verdicts, days = decided
    return float(np.where(verdicts == "failed", days, WINDOW)[~works].mean())


def page(result: figures.Result, seconds: float) -> str:
    """Return the page of the results."""
    how = (
        f"`python -m bench.proof` wrote this in {seconds:.0f} s: {len(KINDS)} kinds of pattern ({', '.join(KINDS)}) at {len(RATES)} rates "
        f"({', '.join(map(str, RATES))} failures a day), {RUNS:,} streams of each, every second one fixed. A verdict is right when it says held of a "
        "fixed pattern, or failed of one that nothing has fixed. Days to find out: the mean of those that were found out; days to hold: the mean of "
        "right verdicts. The goal's ratio counts a failed fix that was not found out as the whole window. The optimal test asks for two failures where the "
        "rate is low, since it allows a fix to leave a twentieth; Everfix takes one counted failure as a failed fix, and says that a fix holds "
        "only at the end of its window, so it is early on failures and late on successes. Wald's test takes failures to come independently, which bursts "
        "do not; Everfix counts failing days, and allows for how bunched they were."
    )
    return "\n".join(["# Verdicts on fixes\n", how, "", *result.markdown()])


if __name__ == "__main__":
    with figures.clock() as taken:
        measured = run()
    print("\n".join(measured.lines()))
    RESULTS.write_text(page(measured, taken[0]), encoding="utf-8")
