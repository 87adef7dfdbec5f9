"""Feature importance as a model gave it: ordered by size, with its sign and what the top features hold together."""

from __future__ import annotations

import math
from collections.abc import Iterable
from dataclasses import dataclass

from everfix.ml.figures.unmade import Unmade

TOP = 20


@dataclass(frozen=True, slots=True)
class Importance:
    """The `top` features by absolute importance; shares are of the sum of all absolute importances."""

    top: tuple[tuple[str, float, float], ...]  # feature, importance with its sign, share
    features: int
    unused: int  # features of importance zero
    signed: bool
    half: int  # how many features hold half of the whole


def of(pairs: Iterable[tuple[str, float]], top: int = TOP) -> Importance:
    """Return the importance of named features; raises Unmade where none is finite and not zero."""
    known = [(name, value) for name, value in pairs if math.isfinite(value)]
    total = sum(abs(value) for _, value in known)
    if not total:
        raise Unmade("no feature has a finite importance other than zero")
    ordered = sorted(known, key=lambda pair: (-abs(pair[1]), pair[0]))
    held, half = 0.0, 0
    while held < total / 2 - 1e-12:
        held += abs(ordered[half][1])
        half += 1
    return Importance(
        top=tuple((name, value, abs(value) / total) for name, value in ordered[:top]),
        features=len(known),
        unused=sum(value == 0 for _, value in known),
        signed=any(value < 0 for _, value in known),
        half=half,
    )
