"""What one source's failures have in common, learnt as they arrive: how rare a token is, how far apart failures are, where the key is.

Every threshold of the similarity stage is relative to these figures, so each source tunes itself: agreeing on something that half of the
source shows says nothing, agreeing on something seen twice says much. Memory is bounded (MOST_TOKENS, MOST_TIMES).
"""

from __future__ import annotations

import bisect
import math
from collections.abc import Iterable
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from everfix.failures import normalise
from everfix.failures.fingerprint import Features
from everfix.failures.journal import Journal

MOST_TOKENS, MOST_TIMES = 60_000, 512
LEARN = 20  # distinct failures after which a source's own figures are trusted
STOP = frozenset(
    "a an and are as at be been but by can could did do does exception expected failed failure error for from had has have"
    " i if in is it java lang no not null of"
    " on or org com should so test tests than that the then this to value was we were when will with would yes you".split()
)


class Bag:
    """A failure's features as sets of prefixed tokens, made once: what is intersected when two failures are compared."""

    def __init__(self, features: Features, key: str = "") -> None:
        self.features, self.key = features, key
        self.frames = frozenset(f"f:{n}" for n in features.frames)
        self.differs = frozenset(f"d:{t}" for t in features.differs)
        self.lines = frozenset(f"l:{t}" for t in features.lines)
        self.words = frozenset(f"w:{w}" for w in features.words if len(w) > 2 and w not in STOP)
        self.calls = frozenset(f"q:{w}" for n in features.frames[:6] for w in normalise.words(n) if w not in STOP)
        self.title = frozenset(f"n:{w}" for w in normalise.words(features.title) if w not in STOP)
        self.place = frozenset(f"k:{w}" for w in normalise.words(features.service.rsplit(".", 1)[-1]) if w not in STOP)
        self.kinds = frozenset(f"y:{w}" for w in normalise.words(features.error_type))
        self.type = f"t:{features.error_type}" if features.error_type else ""
        self.service = f"s:{features.service}" if features.service else ""
        self.check = bool(features.frames) and features.frames[0] in features.tests
        self.top = f"f:{features.frames[0]}" if features.frames else ""
        self.head = f"h:{features.lines[0]}" if features.lines else ""

        self._weights: dict[str, tuple[int, float]] = {}

    def weight(self, name: str, source: Source) -> float:
        """Return the summed bits of one set of tokens, remembered until the source has grown by a twentieth."""
        held = self._weights.get(name)
        if held is None or source.seen > held[0] + 1 + held[0] // 20:
            held = self._weights[name] = (source.seen, source.weight(getattr(self, name)))
        return held[1]

    @cached_property
    def tokens(self) -> frozenset[str]:
        single = {t for t in (self.type, self.service, self.head) if t}
        return self.frames | self.differs | self.lines | self.words | self.calls | self.title | self.place | self.kinds | single

    @cached_property
    def keys(self) -> tuple[str, ...]:
        """What finds candidates: everything that can be rare and shared."""
        found = self.frames | self.differs | self.lines | self.title | self.place | {t for t in (self.service, self.type) if t}
        return tuple(sorted(found)) + (tuple(sorted(self.words)) if not self.frames else tuple(sorted(self.calls)))


@dataclass(slots=True)
class Source:
    """Running figures of one scope. `seen` counts distinct failures (by key), since a burst of one says nothing of what is common."""

    seen: int = 0
    documents: dict[str, int] = field(default_factory=dict)
    headlines: float = 0.0
    times: list[float] = field(default_factory=list)
    arrived: int = 0
    repeats: int = 0
    together: int = 0
    journal: Journal = field(default_factory=Journal, compare=False)
    _gaps: list[float] = field(default_factory=list, compare=False)

    def arrive(self, at: float | None) -> None:
        """Count one failure, new or known, at a time in seconds since 1970; beyond MOST_TIMES the oldest tenth is forgotten."""
        self.arrived += 1
        if at is None:
            return
        bisect.insort(self.times, at)
        if len(self.times) > MOST_TIMES:
            del self.times[: MOST_TIMES // 10]
        if self.arrived < 64 or self.arrived % 32 == 0:
            self._gaps = []

    def observe(self, bag: Bag) -> None:
        """Learn the tokens of a failure whose key is new."""
        self.seen += 1
        if bag.head:
            held = self.documents.get(bag.head, 0)
            self.headlines += (held + 1) * math.log(held + 1) - (held * math.log(held) if held else 0.0)
        for token in bag.tokens:
            self.documents[token] = self.documents.get(token, 0) + 1
        self.journal.mark("documents", bag.tokens)
        if len(self.documents) > MOST_TOKENS:
            usual = sorted(self.documents.values())[len(self.documents) // 10]  # the rarest tenth, or all that are as rare, go
            self.documents = {t: n for t, n in self.documents.items() if n > usual}
            self.journal.all()

    def repeat(self, same_moment: bool) -> None:
        """Count a telling failure that came again for the first time: at the very moment it came first, or later."""
        self.repeats += 1
        self.together += same_moment

    @property
    def exclusive(self) -> bool:
        """Say whether this source lists a failure at most once a moment, as a daily report does; two at one moment are then two."""
        return self.repeats >= 3 and self.together <= 0.25 * self.repeats

    def bits(self, token: str) -> float:
        """Return how surprising it is to meet a token, in bits; 0 for one that every failure has."""
        return max(0.0, math.log2((self.seen + 1) / (self.documents.get(token, 0) + 0.5)))

    def weight(self, tokens: Iterable[str]) -> float:
        documents, seen = self.documents, self.seen + 1
        return sum(max(0.0, math.log2(seen / (documents.get(t, 0) + 0.5))) for t in tokens)

    def telling(self, bag: Bag) -> bool:
        """Say whether a text has a line of its own: one that at most 3 % (or four) of the source's distinct failures show.

        A bare «timeout», all of whose lines many other reports hold too, is a symptom and not an identity.
        """
        if bag.frames or len(bag.lines) < 2 or self.seen < LEARN:
            return True
        return min(self.documents.get(line, 0) for line in bag.lines) <= max(4.0, 0.03 * self.seen)

    def headline_tells(self, bag: Bag) -> bool:
        """Say whether the first line is this source's key: there are many of them, and this one is not everywhere.

        Many: the effective number of first lines (the exponential of their entropy over distinct failures) is at least 6 and at least the
        root of the number of distinct failures. `headlines` holds the sum of n log n over first lines, from which the entropy follows.
        """
        if not bag.head or self.seen < LEARN or math.exp(math.log(self.seen) - self.headlines / self.seen) < max(6.0, math.sqrt(self.seen)):
            return False
        return self.documents.get(bag.head, 0) <= max(10.0, 0.2 * self.seen) and sum(c.isalpha() for c in bag.head) >= 8

    def closeness(self, gap: float) -> float:
        """Return how surprising it is that two failures lie within `gap` seconds, in bits, against all pairs of recent failures."""
        if len(self.times) < 3:
            return 0.0
        if not self._gaps:
            times = self.times
            step = max(1, len(times) // 48)
            some = times[::step]
            self._gaps = sorted(b - a for i, a in enumerate(some) for b in some[i + 1 :])
        return -math.log2((bisect.bisect_right(self._gaps, gap) + 1) / (len(self._gaps) + 1))

    def between(self, one: float, other: float, margin: float) -> int:
        """Return how many recent failures lie between two times, and `margin` seconds around: in a crowd, closeness says little."""
        low, high = min(one, other) - margin, max(one, other) + margin
        return bisect.bisect_right(self.times, high) - bisect.bisect_left(self.times, low)

    def figures(self) -> dict[str, Any]:
        """Return what is small: all but the documents."""
        return {name: getattr(self, name) for name in ("seen", "headlines", "times", "arrived", "repeats", "together")}

    def set(self, figures: dict[str, Any]) -> None:
        """Take over what `figures` returned."""
        for name, value in figures.items():
            setattr(self, name, list(value) if isinstance(value, list) else value)
        self._gaps = []


def learnt(bags: Iterable[Bag]) -> Source:
    """Return a source that has seen these failures, each as one of its own."""
    source = Source()
    for bag in bags:
        source.arrive(bag.features.at)
        source.observe(bag)
    return source
