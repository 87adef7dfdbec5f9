"""Causes: what the evidence says, in sentences that each name the evidence they rest on; the writer that needs no model."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from everfix.failures.evidence import Item

VERSION = "causes-1"
CAUSAL = ("change", "habit", "upstream", "attribute", "kind", "place")
MOST_FACTORS = 5
COUNTED = 3  # pieces of evidence that add to the confidence
CAP, NOTHING = 0.95, 0.05


@dataclass(frozen=True, slots=True)
class Said:
    """One statement and the ids of the evidence it rests on."""

    text: str
    evidence: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Finding:
    """What is thought to be the cause. `confidence` is 0–1: 1 − the product of (1 − strength) of the three strongest pieces."""

    root_cause: Said
    the_cause: Said
    factors: tuple[Said, ...]
    why_recurring: Said
    confidence: float


def of(evidence: Sequence[Item]) -> Finding:
    """Return what the evidence says by itself: the strongest piece is the cause, the others contribute in order of strength."""
    causal = sorted((item for item in evidence if item.kind in CAUSAL and item.strength > 0), key=lambda item: -item.strength)
    if not causal:
        nothing = tuple(item.id for item in evidence if item.kind == "recurrence")
        return Finding(
            Said("Nothing in this workspace tells the cause: nothing changed before it, nothing else failed with it, its failures share nothing unusual.", nothing),
            Said("not known", nothing),
            (),
            why_recurring(evidence),
            NOTHING,
        )  # fmt: skip
    first = causal[0]
    others = [item for item in causal[1:] if item.subject != first.subject]
    behind = next((item for item in others if item.kind in ("kind", "place") and first.kind not in ("kind", "place")), None)
    told = [first, *([behind] if behind else [])]
    return Finding(
        Said(" ".join(item.text for item in told), tuple(item.id for item in told)),
        Said(first.subject[:1].upper() + first.subject[1:], (first.id,)),
        tuple(Said(item.text, (item.id,)) for item in others[:MOST_FACTORS]),
        why_recurring(evidence),
        support(causal[:COUNTED]),
    )


def support(items: Sequence[Item]) -> float:
    """Return how much these pieces of evidence let one believe together, 0–1."""
    strongest = sorted((item.strength for item in items), reverse=True)[:COUNTED]
    return round(min(CAP, 1 - math.prod(1 - strength for strength in strongest)), 2) if strongest else NOTHING


def why_recurring(evidence: Sequence[Item]) -> Said:
    """Return why it comes back: what was tried, and what it follows."""
    by = {item.kind: item for item in reversed(evidence)}
    recurrence, fix, habit, upstream = (by.get(kind) for kind in ("recurrence", "fix", "habit", "upstream"))
    if recurrence is None:
        return Said("It belongs to no pattern yet, so nothing is known of its coming back.", ())
    if recurrence.figures.get("failures", 0) < 2:
        return Said(recurrence.text, (recurrence.id,))
    told = [recurrence, *[item for item in (habit, upstream) if item is not None][:1], *([fix] if fix else [])]
    return Said(" ".join(item.text for item in told), tuple(item.id for item in told))
