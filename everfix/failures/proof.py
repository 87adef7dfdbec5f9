"""Proof that a fix holds: a sequential test on what silence is worth; pure.

The question after a fix is not how long it has been quiet but how improbable that quiet would be had nothing been fixed. Failures are
counted as failing days (a burst is one), and the old rate is uncertain, so the silence of an unfixed pattern over `t` exposed days has
the Gamma-Poisson predictive probability

    q(t) = (T / (T + t)) ** (n / d)

for n failing days in T days before the fix, with d ≥ 1 their dispersion (variance over mean of counts of equal stretches, the
quasi-Poisson correction of McCullagh & Nelder, Generalized Linear Models, 2nd ed., section 6.2): ten bad days in a row followed by
months of quiet say little about the next month.

The test is Wald's (Sequential Analysis, 1947) for "the old rate" against "no failure at all". Its likelihood ratio is 1 / q(t) while it
is silent, so silence proves the fix once q(t) ≤ ERROR: of fixes that did nothing, at most ERROR are ever said to hold. One counted
failure is impossible under "no failure at all", so the first one decides that the fix failed; no test can tell earlier.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

ERROR = 0.01  # share of fixes that did nothing and would still be said to hold
PRIOR_HELD, PRIOR_FAILED = 3.0, 2.0  # Beta prior of the share of fixes that hold, before the workspace has settled any
STRETCHES = 12  # how many stretches the time before a fix is cut into to see how bunched its failures were
SHORTEST_DAYS = 7.0  # the time before a fix counts as at least a week: a pattern born yesterday has no rate yet


@dataclass(frozen=True, slots=True)
class Before:
    """What the pattern did before the fix: failing days, over how many days it was alive, and how bunched they were."""

    failing_days: int
    days: float
    dispersion: float = 1.0

    @property
    def rate(self) -> float:
        """Failing days a day."""
        return self.failing_days / self.days

    @property
    def weight(self) -> float:
        """How many independent failing days these are worth."""
        return self.failing_days / self.dispersion


def before(ages: Sequence[float], span: float) -> Before:
    """Return what is known from the ages (days before the fix, one for each failing day) within the last `span` days."""
    inside = np.asarray([age for age in ages if age <= span], float)
    if not len(inside):
        return Before(0, max(span, SHORTEST_DAYS))
    days = max(float(inside.max()), SHORTEST_DAYS)
    cut = min(STRETCHES, max(2, int(days // SHORTEST_DAYS)))
    counts = np.bincount(np.minimum((inside / days * cut).astype(int), cut - 1), minlength=cut)
    dispersion = float(counts.var(ddof=1) / counts.mean())
    return Before(len(inside), days, max(1.0, min(dispersion, float(len(inside)))))


def silence(known: Before, exposed_days: float) -> float:
    """Return q(t): how probable it is that a pattern which nothing has fixed stays silent for so many exposed days."""
    return float((known.days / (known.days + max(exposed_days, 0.0))) ** known.weight)


def belief(known: Before, exposed_days: float, held: int = 0, failed: int = 0) -> float:
    """Return the probability that a silent fix holds, given how many fixes held and failed here before."""
    prior = (PRIOR_HELD + held) / (PRIOR_HELD + held + PRIOR_FAILED + failed)
    return prior / (prior + (1 - prior) * silence(known, exposed_days))


def verdict(known: Before, exposed_days: float, counted: int, *, over: bool) -> str:
    """Return watching, held, failed or not_enough_exposure; `over`: the proof window has ended.

    A fix is held only when its window is over and silence proves it to ERROR.
    """
    if counted:
        return "failed"
    if not over:
        return "watching"
    return "held" if silence(known, exposed_days) <= ERROR else "not_enough_exposure"


def needed_days(known: Before) -> float | None:
    """Return after how many exposed days silence would prove the fix; None where the pattern never failed before it."""
    if known.weight <= 0:
        return None
    return known.days * (float(ERROR ** (-1 / known.weight)) - 1)
