"""How much more than usual falls into the coming part of the week or the day: measured over whole periods, shrunk by its own noise."""

from __future__ import annotations

import numpy as np

from everfix.failures.history import WEEK, Ints

MEMORY = 8.0 * WEEK
NOISE = 0.3  # variance of one period's factor that is assumed before there are periods to measure it on


def factor(back: Ints, whole: Ints, window: int, period: int) -> float:
    """Log of (failures in the next window's part of the period / usual), 0.0 where that cannot be told.

    `back` are failing slots counted back from now, `whole` the slots since each pattern's birth. Each period is compared with
    its own level, so growth is not taken for rhythm. The means over periods are shrunk toward 1 by empirical Bayes: by the
    spread between parts of the period that is left when the spread between periods is taken off.
    """
    parts = period // window
    if parts < 2 or parts * window != period or not len(whole):
        return 0.0
    periods = int(whole.max()) // parts
    if periods < 2:
        return 0.0
    slots = periods * parts
    failing = np.bincount(back[back < slots], minlength=slots).reshape(periods, parts)
    born = np.bincount(np.minimum(whole, slots), minlength=slots + 1)[::-1].cumsum()[::-1][1:]  # patterns that existed in each slot
    present = np.maximum(born, 1).reshape(periods, parts)
    expected = present * failing.sum(1, keepdims=True) / present.sum(1, keepdims=True)
    weight = np.exp(-np.arange(periods) * period / MEMORY) * np.sqrt(expected.sum(1))
    if weight.sum() <= 0:
        return 0.0
    weight = weight / weight.sum()
    found = (failing + 1) / (expected + 1)
    mean = weight @ found
    one = float((weight**2).sum())
    spread = float((weight @ (found - mean) ** 2).mean()) / max(1 - one, 0.2)
    noise = (spread * periods + NOISE) / (periods + 1) * one
    real = max(float(((mean - 1) ** 2).mean()) * parts / (parts - 1) - noise, 0.0)
    coming = 1 + (mean[-1] - 1) * real / (real + noise)  # the next window is slot -1: the same part as the last of a period
    return float(np.log(np.clip(coming, 0.05, 20.0)))
