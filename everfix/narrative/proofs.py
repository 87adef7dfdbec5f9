"""Proofs: for each number, date, direction and rank of a narrative, where in the report a reader finds what bears it out.

They are kept with the narrative, so that a page can show them without reading the text again.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from everfix.documents import format as show
from everfix.documents.model import Document, Narrative, Proof, Source
from everfix.narrative import grounding, tokens
from everfix.narrative.fact import Fact
from everfix.narrative.facts import Facts

SOURCES = 3  # facts that one claim shows


def of(narrative: Narrative, document: Document, facts: Facts) -> tuple[Proof, ...]:
    """Return the proofs of every text of an English narrative."""
    titles = {section.id: section.title for section in document.sections}
    return tuple(proof for place, text in grounding.texts(narrative) for proof in _proofs(place, text, document, facts, titles))


def _proofs(place: str, text: str, document: Document, facts: Facts, titles: dict[str, str]) -> Iterator[Proof]:
    cleaned = tokens.plain(text)
    if len(cleaned) != len(text):
        return  # a disguised text: its places are not those of what is shown
    at = 0
    for sentence, bound, _ in grounding.paragraph(text, facts):
        begin = cleaned.find(sentence, at)
        at = begin + len(sentence)
        for _, start, found in sorted(bound, key=lambda one: one[1]):
            end = begin + start + _length(cleaned, begin + start, sentence, start, bound)
            if found:
                yield Proof(
                    place=place, start=begin + start, end=end, sources=tuple(_source(fact, document, titles) for fact in found[:SOURCES])
                )


def _length(cleaned: str, at: int, sentence: str, start: int, bound: grounding.Bound) -> int:
    """Return how many characters a claim takes: its token, with the spaces that stand between its parts in the text."""
    token = next(text for text, place, _ in bound if place == start)
    wanted = token.replace(" ", "")
    taken = 0
    for size, letter in enumerate(cleaned[at : at + len(sentence) - start], start=1):
        taken += letter != " "
        if taken == len(wanted):
            return size
    return len(token)


def _source(fact: Fact, document: Document, titles: dict[str, str]) -> Source:
    return Source(
        fact=fact.id,
        section=fact.section,
        block=fact.block,
        title=titles.get(fact.section, "The report's period"),
        row=fact.subject if fact.names else show.day(date.fromisoformat(fact.when[:10])) if fact.when else "",
        column=fact.label,
        aspect=fact.aspect.replace("_", " "),
        shown=show.show(fact.value, fact.unit, currency=document.currency, timezone=document.period.timezone),
        raw=fact.value,
    )
