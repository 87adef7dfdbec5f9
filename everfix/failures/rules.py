"""Rules: what people said about groups, in order, compiled to two look-ups; the last word on a failure wins.

A word is about symptoms (fingerprints: equal failures go together) or about a whole pattern. Pure: where a failure belongs follows from what
it is, where the machine put it, and the words that stand; so a word taken back leaves everything as if it had never been said.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID


@dataclass(frozen=True, slots=True)
class Word:
    """One thing that was said: pattern `source` is `target` (no symptoms), or these symptoms belong to `target` (None: to no pattern)."""

    number: int
    id: UUID
    source: UUID | None
    target: UUID | None
    symptoms: tuple[str, ...] = ()


class Subject(NamedTuple):
    """What decides where a failure belongs: its fingerprint, its bare symptom if it is one, the fingerprint it was found to be like, and
    the pattern that the machine gave it.
    """

    fingerprint: str
    symptom: str | None
    resembles: str | None
    home: UUID | None


class Place(NamedTuple):
    """Where a failure belongs, and the word that says so (None: the machine's own judgement stands)."""

    pattern: UUID | None
    word: UUID | None


class _Said(NamedTuple):
    number: int
    place: Place


@dataclass(slots=True)
class Rules:
    """The words that stand, compiled."""

    symptoms: dict[str, _Said] = field(default_factory=dict)
    merged: dict[UUID, Place] = field(default_factory=dict)
    named: frozenset[UUID] = frozenset()  # every pattern that a word names

    @classmethod
    def of(cls, words: Iterable[Word]) -> Rules:
        """Compile words, which must come in order."""
        made = cls()
        there: dict[UUID | None, set[str]] = {}
        inside: dict[UUID | None, set[UUID]] = {}
        named: set[UUID | None] = set()
        for word in words:
            named |= {word.source, word.target}
            if word.symptoms:
                for symptom in word.symptoms:
                    before = made.symptoms.get(symptom)
                    if before is not None and before.place.pattern is not None:
                        there[before.place.pattern].discard(symptom)
                    made.symptoms[symptom] = _Said(word.number, Place(word.target, word.id))
                    if word.target is not None:
                        there.setdefault(word.target, set()).add(symptom)
            elif word.source is not None and word.target is not None:
                made._merge(word.source, Place(word.target, word.id), there, inside)
        made.named = frozenset(one for one in named if one is not None)
        return made

    def _merge(self, source: UUID, place: Place, there: dict[UUID | None, set[str]], inside: dict[UUID | None, set[UUID]]) -> None:
        """Let everything that was at the source be at the target."""
        symptoms, patterns = there.pop(source, set()), inside.pop(source, set()) | {source}
        for symptom in symptoms:
            self.symptoms[symptom] = _Said(self.symptoms[symptom].number, place)
        for pattern in patterns:
            self.merged[pattern] = place
        there.setdefault(place.pattern, set()).update(symptoms)
        inside.setdefault(place.pattern, set()).update(patterns)

    def place(self, subject: Subject) -> Place:
        """Return where a failure belongs: by the last word on it, else on what it is like, else on the pattern the machine gave it."""
        said = [self.symptoms[name] for name in (subject.symptom, subject.fingerprint) if name is not None and name in self.symptoms]
        if said:
            return max(said).place
        like = self.symptoms.get(subject.resembles) if subject.resembles is not None else None
        if like is not None and like.place.pattern is not None:
            return like.place
        return self.merged.get(subject.home, Place(subject.home, None)) if subject.home is not None else Place(None, None)


@dataclass(frozen=True, slots=True)
class Difference:
    """Which failures two sets of rules may place differently: those of these symptoms, and those of these homes at these patterns."""

    symptoms: tuple[str, ...]
    homes: tuple[UUID, ...]
    patterns: tuple[UUID, ...]


def difference(old: Rules, new: Rules) -> Difference:
    """Return what to look at when `new` takes the place of `old`."""
    symptoms = [name for name in old.symptoms.keys() | new.symptoms.keys() if _place(old, name) != _place(new, name)]
    homes = [home for home in old.merged.keys() | new.merged.keys() if old.merged.get(home) != new.merged.get(home)]
    patterns = {old.merged[home].pattern if home in old.merged else home for home in homes}
    return Difference(tuple(sorted(symptoms)), tuple(sorted(homes)), tuple(sorted(one for one in patterns if one is not None)))


def _place(rules: Rules, symptom: str) -> _Said | None:
    return rules.symptoms.get(symptom)
