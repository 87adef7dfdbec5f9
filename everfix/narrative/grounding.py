"""Every number, date, direction, rank and name of a narrative must be a fact of the Document, said of the right subject.

How a claim is bound:

1. A sentence is cut into segments at commas, brackets, dashes and joining words ("and", "while", "but"). Names of rows are recognised
   first, longest first, so numbers inside a name claim nothing.
2. A number belongs to the name in its segment: the nearest before it, else the nearest after; a segment without a name speaks of the
   nearest name before it, of the next one when it opens with a preposition ("With 12 issues, A …"), or of the subject of the sentence
   before when it says "it". Facts of the whole report are in reach of a segment that names nobody, and of "of the 340 issues".
3. It counts the measure named nearest (directly after it, before it, then further off); the first measure that has facts decides.
4. It plays the role its words give it: "from 304" is the previous value, "up 12 %" and "by 36" a change, "to 340" the current one;
   totals, averages, extremes, z-scores, halves, thresholds and forecasts each ask for their word.
5. It must round to the fact (rules in `quantities`). Dates: `dates`. Direction words: `moves`. Ranks: `ranks`. Names, states and
   words of nothing: `names`.

A sentence that the Document itself contains word for word is sound. Words that carry no claim are those in none of the tables of
`lexicon`: hedges, "several", "many", "some", "recent", "only", "all", and modal wishes such as "to improve".
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from everfix.documents.model import Document, Narrative
from everfix.narrative import claims, dates, lexicon, moves, names, quantities, ranks
from everfix.narrative import facts as all_facts
from everfix.narrative.fact import Fact, canonical
from everfix.narrative.facts import Facts
from everfix.narrative.scope import Scope


@dataclass(frozen=True, slots=True)
class Refusal:
    """One claim that no fact bears out; `place` is where in the narrative, such as "sections.kpis"."""

    place: str
    sentence: str
    token: str
    reason: str

    def __str__(self) -> str:
        return f"{self.place}: {self.token!r} in “{self.sentence}”: {self.reason}"


@dataclass(frozen=True, slots=True)
class Binding:
    """One claim with the facts that bear it out; `sentence` is the text as it was compared, `start` the claim's place in it."""

    place: str
    sentence: str
    token: str
    start: int
    facts: tuple[str, ...]


class Ungrounded(ValueError):
    """The narrative states things that the Document does not."""

    def __init__(self, refusals: tuple[Refusal, ...]) -> None:
        self.refusals = refusals
        super().__init__("\n".join(str(refusal) for refusal in refusals))


def check(narrative: Narrative, document: Document, facts: Facts | None = None) -> tuple[Refusal, ...]:
    """Return every claim of `narrative` that no fact of `document` bears out; empty means sound."""
    return read(narrative, document, facts)[1]


def require(narrative: Narrative, document: Document, facts: Facts | None = None) -> None:
    """Raise Ungrounded, with a reason for each claim that is not borne out."""
    refusals = check(narrative, document, facts)
    if refusals:
        raise Ungrounded(refusals)


def read(narrative: Narrative, document: Document, facts: Facts | None = None) -> tuple[tuple[Binding, ...], tuple[Refusal, ...]]:
    """Return what every claim was bound to, and what could not be bound."""
    known = facts or all_facts.of(document)
    bindings: list[Binding] = []
    refusals: list[Refusal] = []
    sections = {section.id for section in document.sections}
    for place, text in texts(narrative):
        section = place.removeprefix("sections.")
        if place.startswith("sections.") and section not in sections:
            refusals.append(Refusal(place, text[:80], section, "the Document has no such section"))
        for sentence, bound, refused in paragraph(text, known):
            bindings += [Binding(place, sentence, token, start, tuple(fact.id for fact in found)) for token, start, found in bound]
            refusals += [Refusal(place, sentence, token, reason) for token, reason in refused]
    return tuple(bindings), tuple(refusals)


def texts(narrative: Narrative) -> Iterator[tuple[str, str]]:
    """Yield every text of a narrative with its place, such as "sections.kpis"."""
    for number, text in enumerate(narrative.executive_summary):
        yield f"executive_summary[{number}]", text
    for section, text in narrative.sections.items():
        yield f"sections.{section}", text
    for number, text in enumerate(narrative.key_takeaways):
        yield f"key_takeaways[{number}]", text


Bound = list[tuple[str, int, tuple[Fact, ...]]]
Refused = list[tuple[str, str]]


def paragraph(text: str, facts: Facts) -> Iterator[tuple[str, Bound, Refused]]:
    """Bind one paragraph: yield each sentence with its bound claims and its refused ones."""
    carried = ""
    spoken: tuple[frozenset[str], ...] = ()
    for sentence in claims.sentences(text, facts):
        scope = Scope(sentence, facts, carried, spoken)
        said = canonical(sentence.text).rstrip(".") in facts.said
        refused = [] if said else _sentence(scope)
        offset = sentence.items[0].start
        yield (
            sentence.text,
            [(scope.items[place].text, scope.items[place].start - offset, found) for place, found in scope.bound.items()],
            refused,
        )
        named = [str(item.value) for item in sentence.items if item.kind == "name"]
        carried = named[0] if named else carried
        spoken = tuple(measure.concepts for measure in sentence.measures)[:2] or spoken


def _sentence(scope: Scope) -> Refused:
    refused: Refused = []
    binders = {"quantity": quantities.bind, "date": dates.bind}
    for kind, bind in binders.items():
        for index, item in enumerate(scope.items):
            if item.kind == kind and not (kind == "quantity" and _no_claim(scope, index)):
                reason = bind(scope, index)
                if reason:
                    refused.append((item.text, reason))
    refused += moves.itself(scope)
    for index, item in enumerate(scope.items):
        rank = ranks.claim(scope, index)
        reason = ranks.bind(scope, index, rank) if rank and index not in scope.bound else ""
        if reason:
            refused.append((item.text, reason))
        meaning = moves.claim(scope, index)
        reason = moves.bind(scope, index, meaning) if meaning else ""
        if reason:
            refused.append((item.text, reason))
    return refused + list(names.refused(scope))


def _no_claim(scope: Scope, index: int) -> bool:
    """Whether a number in letters is a pronoun: "one of", "no one", "the one", "this one"."""
    item = scope.items[index]
    if item.low not in ("one", "couple"):
        return False
    left = scope.sentence.around(index, -1, reach=1)
    right = scope.sentence.around(index, 1, reach=1)
    return right == ["of"] or bool(set(left) & lexicon.NOT_A_COUNT)
