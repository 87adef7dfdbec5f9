"""The pile that facts, names and phrases are gathered on while a Document is read."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field

from everfix.narrative import lexicon, tokens
from everfix.narrative.fact import Fact, canonical, short

WINDOW = re.compile(r"\bin \d+ days$")
ADVERBS = frozenset((word,) for word in lexicon.CURRENT_KEYS | lexicon.PREVIOUS_KEYS)
RESERVED = frozenset().union(lexicon.UP, lexicon.DOWN, lexicon.FIRST, lexicon.LAST, lexicon.BREAKS, lexicon.PRONOUNS, lexicon.STOP)


@dataclass
class Collected:
    """Grows while blocks are read; `facts.of` freezes it."""

    facts: list[Fact] = field(default_factory=list)
    bounds: list[str] = field(default_factory=list)
    names: dict[tuple[str, ...], str] = field(default_factory=dict)
    columns: dict[str, set[str]] = field(default_factory=dict)
    labels: set[str] = field(default_factory=set)
    pairs: set[tuple[str, str]] = field(default_factory=set)
    states: dict[tuple[str, ...], str] = field(default_factory=dict)
    titles: dict[tuple[str, ...], set[str]] = field(default_factory=dict)  # with a digit: read before numbers are
    phrases: dict[tuple[str, ...], set[str]] = field(default_factory=dict)
    weak: dict[str, set[str]] = field(default_factory=dict)
    words: set[str] = field(default_factory=set)
    said: set[str] = field(default_factory=set)

    def add(self, fact: Fact) -> None:
        self.facts.append(fact)

    def name(self, text: str, column: str, *, alias: str = "") -> str:
        """Know `text` (and its `alias`) as the name of a row and return it as facts carry it; "" for what reads like a number."""
        name = canonical(text)
        if not any(letter.isalpha() for letter in name) or name in lexicon.MONTHS or name in lexicon.WEEKDAYS:
            return ""
        if name not in self.columns:
            self.columns[name] = set()
            self.names[tokens.lows(text)] = name
            self.hear(text)
        for shown in (short(text), alias):
            key = tokens.lows(shown)
            if key:
                self.names.setdefault(key, name)  # two names with one short form: `prose.Voice.name` then says the second in full
        self.columns[name].add(column)
        return name

    def state(self, text: str) -> str:
        """Know `text` as a state that rows may be in."""
        state = canonical(text)
        key = tokens.lows(text)
        if key and any(letter.isalpha() for letter in state):
            self.states[key] = state
            if any(word[0].isdigit() or word in lexicon.MONTHS or word in lexicon.WEEKDAYS for word in key):
                self.titles.setdefault(key, set())  # its number or day is part of the word
            self.hear(text)
        return state

    def phrase(self, title: str, concept: str) -> None:
        """Know the words by which prose may name a measure: its title, its key, and the synonyms of the key."""
        self.hear(title)
        whole = tokens.lows(title)
        if len(whole) > 1 and any(word[0].isdigit() or word[-1].isdigit() for word in whole):
            self.titles.setdefault(whole, set()).add(concept)
            window = WINDOW.search(title)
            if window is not None:  # "prevent 2.4 returns in 90 days" of the column "Returns prevented in 90 days"
                self.titles.setdefault(tokens.lows(window.group()), set()).add(concept)
        if "," in title:
            self.phrases.setdefault(tokens.stems(title.split(",", maxsplit=1)[0]), set()).add(concept)
        for text in (title, concept.replace("_", " "), *lexicon.SYNONYMS.get(concept, ())):
            phrase = tokens.stems(text)
            if not phrase or (text is title and lexicon.STOP.issuperset(phrase)):
                continue
            if phrase in ADVERBS:
                continue  # "to 412 now" counts what was named, not a column called "Now"
            self.phrases.setdefault(phrase, set()).add(concept)
            for word in phrase if text is title else ():
                if len(phrase) > 1 and len(word) > 2 and word not in lexicon.LOOSE:
                    self.weak.setdefault(word, set()).add(concept)

    def hear(self, text: str) -> None:
        self.words.update(token.low for token in tokens.split(tokens.plain(text)))

    def say(self, texts: Iterable[str]) -> None:
        """Know sentences of the Document itself: to repeat one word for word is sound."""
        for text in texts:
            if text:
                self.said.add(canonical(text).rstrip("."))
                self.hear(text)

    def settle(self) -> None:
        """Let single words of longer phrases name their measure where no whole phrase already does."""
        for word, concepts in self.weak.items():
            self.phrases.setdefault((word,), set()).update(concepts)
        reserved = {(word,) for word in RESERVED}
        for key in [key for key in self.names if key in reserved or tuple(tokens.stem(word) for word in key) in self.phrases]:
            del self.names[key]  # a row called "issues" cannot be told from the measure
