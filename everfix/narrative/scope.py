"""Who a clause speaks of: the names, days and measures in reach of one item of a sentence, and the facts they open up."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field

from everfix.narrative import lexicon
from everfix.narrative.claims import Day, Item, Sentence
from everfix.narrative.fact import Aspect, Fact
from everfix.narrative.facts import Facts

AHEAD = frozenset(
    ["with", "at", "after", "having", "from", "of", "as", "by", "for", "in", "on", "over", "during", "within", "up", "down", "given"]
)
OPEN = frozenset(["of", "all", "total", "overall", "workspace"])


@dataclass
class Scope:
    """One sentence being bound: `bound` maps an item's index to the facts it was bound to.

    `carried` is the subject of the sentence before, for "it" and "its"; `spoken` its measures.
    """

    sentence: Sentence
    facts: Facts
    carried: str = ""
    spoken: tuple[frozenset[str], ...] = ()
    bound: dict[int, tuple[Fact, ...]] = field(default_factory=dict)
    _narrowed: dict[str, tuple[Fact, ...]] = field(default_factory=dict)
    _words: dict[int, frozenset[str]] = field(default_factory=dict)
    _measures: dict[int, tuple[frozenset[str], ...]] = field(default_factory=dict)

    @property
    def items(self) -> list[Item]:
        return self.sentence.items

    def segment(self, index: int) -> list[tuple[int, Item]]:
        """Return the items of the segment that item `index` stands in."""
        number = self.items[index].segment
        return [(place, item) for place, item in enumerate(self.items) if item.segment == number]

    def words(self, index: int | None = None) -> frozenset[str]:
        """Return the lower-case words of an item's segment, or of the whole sentence."""
        number = -1 if index is None else self.items[index].segment
        if number not in self._words:
            self._words[number] = frozenset(
                item.low for item in self.items if item.kind in ("word", "mark") and number in (-1, item.segment)
            )
        return self._words[number]

    def own(self, index: int) -> str:
        """Return the name in the item's own segment: the nearest before it, else the nearest after it, else ""."""
        named = [(place, str(item.value)) for place, item in self.segment(index) if item.kind == "name"]
        before = [name for place, name in named if place < index]
        after = [name for place, name in named if place > index]
        return before[-1] if before else after[0] if after else ""

    def inherited(self, index: int) -> tuple[str, ...]:
        """Return the names a segment without its own may speak of, nearest first."""
        number = self.items[index].segment
        before = [str(item.value) for item in self.items if item.kind == "name" and item.segment < number]
        pronoun = bool(self.words(index) & {"it", "its"})
        if before:
            return tuple(dict.fromkeys([before[-1], *([before[0]] if pronoun else [])]))
        first = next((item.low for item in self.items if item.segment == number and item.low not in (",", "and", "but", "while")), "")
        after = [item for item in self.items if item.kind == "name" and item.segment > number]
        if after and first in AHEAD and self._comma(number, after[0].segment):
            return (str(after[0].value),)
        opening = {item.low for item in self.items[:4]} | (self.words(index) & {"it", "its"})
        return (self.carried,) if self.carried and opening & lexicon.PRONOUNS else ()

    def _comma(self, number: int, other: int) -> bool:
        between = [item.low for item in self.items if number < item.segment <= other and item.kind == "mark"]
        return not set(between) & {";", ":"} and other - number <= 2

    def days(self, index: int) -> tuple[Day, ...]:
        """Return the dates an item may belong to: those of its segment, else the nearest of the sentence."""
        dated = [(place, item) for place, item in enumerate(self.items) if isinstance(item.value, Day)]
        own = [item.value for _, item in dated if item.segment == self.items[index].segment]
        if own:
            return tuple(day for day in own if isinstance(day, Day))
        nearest = sorted(dated, key=lambda pair: abs(pair[0] - index))[:2]
        return tuple(item.value for _, item in nearest if isinstance(item.value, Day))

    def pools(self, index: int) -> Iterator[tuple[Fact, ...]]:
        """Yield the groups of facts an item may be bound to, the most likely first."""
        own = self.own(index)
        states = tuple(fact for state in self._states(index) for fact in self.facts.by_name.get(state, ()))
        day_facts = tuple(fact for day in self.days(index) if day.day is not None for fact in self._on(day))
        if own:
            yield self._meant(own)
            yield tuple(fact for fact in day_facts if own in fact.names)
            if states:
                yield states
            if self._whole(index):
                yield self.facts.whole
            return
        if states:
            yield states
        names = self.inherited(index)
        for name in names:
            yield self._meant(name)
            yield tuple(fact for fact in day_facts if name in fact.names)
        if not names or self._whole(index) or any(measure.segment == self.items[index].segment for measure in self.sentence.measures):
            yield (*(fact for fact in day_facts if not fact.names), *self.facts.whole)
        else:
            yield tuple(fact for fact in day_facts if not fact.names)

    def _meant(self, name: str) -> tuple[Fact, ...]:
        """Return the facts of a name. Of several rows of a table that bear it only those of which the sentence tells the most other cells:
        "A, most likely after a change of B" is not said of the A that comes back by time alone.
        """
        if name not in self._narrowed:
            told = {str(item.value) for item in self.items if item.kind == "name"} - {name}
            facts = self.facts.by_name.get(name, ())
            most: dict[str, int] = {}
            for fact in facts:
                if _bears(fact, name):
                    most[fact.block] = max(most.get(fact.block, 0), len(told.intersection(fact.names)))
            self._narrowed[name] = tuple(
                fact for fact in facts if not _bears(fact, name) or len(told.intersection(fact.names)) == most[fact.block]
            )
        return self._narrowed[name]

    def _on(self, day: Day) -> tuple[Fact, ...]:
        if day.year is not None and day.month is not None:
            return self.facts.by_day.get(f"{day.year}-{day.month:02}-{day.day:02}", ())
        return tuple(fact for iso, facts in self.facts.by_day.items() if day.means(iso) for fact in facts)

    def periods(self) -> tuple[Fact, ...]:
        return self.facts.families["period"]

    def _states(self, index: int) -> list[str]:
        number = self.items[index].segment
        found = [state for place, state in self.sentence.states if self.items[place].segment == number]
        moving = "from" in self.words(index)  # "loss rose from 30 to 57" tells a movement, not the rows that are in the state "rose"
        return [state for state in found if not (moving and state in lexicon.UP | lexicon.DOWN)]

    def opens_whole(self, index: int) -> bool:
        """Return whether the segment of a number speaks of the whole: by "overall" and the like, or with a measure as its subject."""
        if self._whole(index):
            return True
        skip = lexicon.BREAKS | {",", ";", ":", "(", ")", "–", "the", "a", "an", "all", "total"}
        first = next((place for place, item in self.segment(index) if item.low not in skip), index)
        return any(measure.first == first for measure in self.sentence.measures)

    def _whole(self, index: int) -> bool:
        """Return whether the words beside a number say that it is of the whole: "of the 340 issues", "340 in all"."""
        left = self.sentence.around(index, -1, skip=frozenset(["the", "all", "its", "a"]) | lexicon.ABOUT, reach=1)
        return bool(set(left) & OPEN) or bool(self.words(index) & (lexicon.WHOLE - {"together", "combined", "total"}))

    def measures(self, index: int) -> tuple[frozenset[str], ...]:
        """Return the measures an item may count, nearest in grammar first; the first that has facts decides."""
        if index not in self._measures:
            self._measures[index] = tuple(self._nearest(index))
        return self._measures[index]

    def _nearest(self, index: int) -> Iterator[frozenset[str]]:
        number = self.items[index].segment
        mentions = self.sentence.measures
        other = [place for place, item in enumerate(self.items) if item.kind == "quantity" and place > index]
        stop = min([*other, index + 6])
        direct = [mention for mention in mentions if index < mention.first < stop and mention.segment == number]
        before = [mention for mention in reversed(mentions) if mention.last < index and mention.segment == number]
        after = [mention for mention in mentions if mention.first >= stop and mention.segment == number]
        earlier = [mention for mention in reversed(mentions) if mention.segment < number]
        later = [mention for mention in mentions if mention.segment > number]
        for mention in (*direct, *before, *after, *earlier, *later):
            near = [one.concepts for one in mentions if one is not mention and one.segment == mention.segment]
            narrowed = [mention.concepts & concepts for concepts in near if mention.concepts & concepts]
            yield narrowed[0] if narrowed and len(mention.concepts) > 1 else mention.concepts
        yield from self.spoken
        for item in self.items:
            if item.low in lexicon.RANKED_BY:
                yield frozenset(lexicon.RANKED_BY[item.low])


def _bears(fact: Fact, name: str) -> bool:
    """Return whether a fact is a cell of a row that is called `name`."""
    return fact.aspect is Aspect.CELL and fact.names[:1] == (name,)
