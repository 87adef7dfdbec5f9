"""Groups that fail at the same hours at one place: two voices of one cause, found by counting, whatever their words.

For two groups of one place, the rarer one's spells are counted, and those within WINDOW of which the other failed too. How often chance
alone brings that about is read from the groups themselves, by moving the rarer one's spells by whole days to either side: daily rhythms
and busy weeks then count for nothing. The binomial tail is the chance that such company is an accident.
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from everfix.failures.fingerprint import Features
from everfix.failures.journal import Journal

WINDOW = 3600.0  # seconds within which two failures are in company
SPELL = 3 * 3600.0  # failures closer than this are one spell: a burst is one piece of evidence
DAY, DAYS = 86_400.0, 7  # by which spells are moved to learn what chance does
# Chosen on the demo's seeds 1 to 16 with the true causes given: the largest chances at which no pair of two causes met there. On the seeds
# 17 to 20 two pairs did: about one wrong pair in ten years of one company is the price of the voices that are found.
LEAST, SHARE = 3, 1 / 3  # spells in company, and their share of the rarer group's spells, before anything is concluded
CHANCE = 3e-4  # of two different voices, such as an alert and an exception; asked of every pair at one place, so it must be small
CHANCE_ALIKE = 1e-6  # of two of one voice: two exceptions of one service may well come from two faults that a busy hour brings out
CHANCE_ELSEWHERE = 1e-6  # of two places that share a name or a type of error
AKIN = 10.0  # how many times larger the chance may be where both share a rare word
KEPT = 128  # moments remembered of a group
MOST_GROUPS = 20_000  # groups remembered in one scope; those not seen for longest are forgotten
RECENT = 96  # failures among which company is looked for


class Voice(NamedTuple):
    """How a group speaks: `trace` says whether it has frames, `name` is what its title begins with."""

    place: str
    name: str
    type: str
    kind: str
    trace: bool


def voice(features: Features) -> Voice:
    return Voice(features.service, features.title, features.error_type, features.kind, bool(features.frames))


def allowed(one: Voice, other: Voice) -> float:
    """Return how small the chance must be that two voices are in company by accident; 0 where no company could tell."""
    if not one.kind or not other.kind or not one.place or not other.place:
        return 0.0
    if one.place != other.place:
        related = one.name == other.name or (one.type == other.type != "")
        return CHANCE_ELSEWHERE if related and one.kind == other.kind else 0.0
    return CHANCE if (one.kind, one.trace) != (other.kind, other.trace) else CHANCE_ALIKE


@dataclass(slots=True)
class Together:
    """When the groups of one scope failed, and how they speak."""

    times: dict[str, list[float]] = field(default_factory=dict)
    voices: dict[str, list[Voice]] = field(default_factory=dict)
    recent: list[tuple[float, str]] = field(default_factory=list)
    journal: Journal = field(default_factory=Journal, compare=False)

    def note(self, group: str, said: Voice, at: float, akin: Callable[[str], bool]) -> tuple[str, dict[str, Any]] | None:
        """Enter a failure; return the group that its group turns out to be one with, and what was counted, or None."""
        times = self.times.pop(group, [])
        self.times[group] = times  # the latest seen stands last
        bisect.insort(times, at)
        del times[:-KEPT]
        known = self.voices.setdefault(group, [])
        if said not in known and len(known) < 4:
            known.append(said)
        self._mark(group)
        near = dict.fromkeys(g for t, g in reversed(self.recent) if abs(at - t) <= WINDOW and g != group)
        self.recent.append((at, group))
        del self.recent[:-RECENT]
        if len(self.times) > MOST_GROUPS:
            old = list(self.times)[: MOST_GROUPS // 10]
            for one in old:
                del self.times[one], self.voices[one]
            self.journal.drop("times", old)
            self.journal.drop("voices", old)
        for other in near:
            limit = max((allowed(a, b) for a in known for b in self.voices.get(other, ())), default=0.0)
            if limit:
                found = company(times, self.times[other])
                if found["chance"] <= limit or (found["chance"] <= limit * AKIN and akin(other)):
                    return other, found
        return None

    def join(self, kept: str, gone: str) -> None:
        """Make two groups' moments one."""
        times, voices = self.times.pop(gone, []), self.voices.pop(gone, [])
        if times:
            self.times[kept] = sorted([*self.times.pop(kept, []), *times])[-KEPT:]
            self.voices[kept] = list(dict.fromkeys([*self.voices.get(kept, []), *voices]))[:4]
        self.recent = [(t, kept if g == gone else g) for t, g in self.recent]
        self._mark(*((gone, kept) if times else (gone,)))

    def _mark(self, *groups: str) -> None:
        self.journal.mark("times", groups)
        self.journal.mark("voices", groups)


def company(one: list[float], other: list[float]) -> dict[str, Any]:
    """Count the rarer group's spells, those in company, and the chance of that many; `one` and `other` in order of time."""
    rare, often = sorted((one, other), key=lambda t: (len(spells(t)), t))
    rare = [t for t in spells(rare) if often[0] - SPELL <= t <= often[-1] + SPELL]
    held = sum(_near(often, t) for t in rare)
    if held < max(LEAST, SHARE * len(rare)):
        return {"together": held, "of": len(rare), "chance": 1.0}
    moved = [t + n * DAY for t in rare for n in range(-DAYS, DAYS + 1) if n]
    moved = [t for t in moved if often[0] <= t <= often[-1]]
    usual = (sum(_near(often, t) for t in moved) + 1) / (len(moved) + 2)
    return {"together": held, "of": len(rare), "chance": tail(held, len(rare), usual)}


def spells(times: list[float]) -> list[float]:
    """Return the first moment of each spell."""
    out: list[float] = []
    last = -math.inf
    for t in times:
        if t - last > SPELL:
            out.append(t)
        last = t
    return out


def _near(times: list[float], at: float) -> bool:
    n = bisect.bisect_left(times, at - WINDOW)
    return n < len(times) and times[n] <= at + WINDOW


def tail(hits: int, of: int, share: float) -> float:
    """Return the binomial chance of at least `hits` out of `of` where each has the chance `share`."""
    return min(1.0, sum(math.comb(of, k) * share**k * (1 - share) ** (of - k) for k in range(hits, of + 1)))
