"""Names, states and words of nothing: a quoted or unknown name, a wrong pairing, a wrong state and a false "none" are refused."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from everfix.narrative import lexicon, tokens
from everfix.narrative.fact import Aspect
from everfix.narrative.scope import Scope

STATED = frozenset(
    [
        "is",
        "was",
        "are",
        "were",
        "remains",
        "remained",
        "still",
        "as",
        "(",
        ",",
        "marked",
        "status",
        "verdict",
        "stays",
        "stayed",
        "now",
        "currently",
    ]
)
AMOUNTS = frozenset({Aspect.CURRENT, Aspect.PREVIOUS, Aspect.CELL, Aspect.ROWS, Aspect.TOTAL})
NO_CLAIM_AFTER = frozenset(
    [
        "longer",
        "more",
        "need",
        "doubt",
        "other",
        "else",
        "one",
        "matter",
        "further",
        "way",
        "later",
        "earlier",
        "less",
        "fewer",
        "comparison",
        "base",
        "question",
        "signs",
        "sign",
        "single",
        "new",
        "change",
        "suggests",
        "indicates",
        "points",
        "to",
        "that",
        "here",
        "can",
        "could",
        "should",
        "would",
    ],
)

STOPS, RETURNS = frozenset(["stop", "prevent"]), frozenset(["recurrence", "return"])
AT_LARGE = lexicon.words("the a an any all each every known old same such more further new what which both them")


def refused(scope: Scope) -> Iterator[tuple[str, str]]:
    """Yield (token, reason) for each name, state and "none" of the sentence that the Document does not bear out."""
    yield from _quoted(scope)
    yield from _unknown(scope)
    yield from _pairs(scope)
    yield from _called(scope)
    yield from _acting(scope)
    yield from _failing(scope)
    yield from _nameless(scope)
    yield from _triggering(scope)
    yield from _states(scope)
    yield from _nothing(scope)


def _quoted(scope: Scope) -> Iterator[tuple[str, str]]:
    marks = [index for index, item in enumerate(scope.items) if item.low == '"' and item.kind == "mark"]
    for first, last in zip(marks[::2], marks[1::2], strict=False):
        inside = scope.items[first + 1 : last]
        if len(inside) == 1 and inside[0].kind == "name":
            continue
        words = [word.low for item in inside for word in tokens.split(item.low)]
        if any(word not in scope.facts.words for word in words if word[0].isalnum()):
            yield " ".join(words), "these words in quotation marks do not stand in the Document"


def _unknown(scope: Scope) -> Iterator[tuple[str, str]]:
    known = scope.facts.words
    for index, item in enumerate(scope.items):
        if item.kind != "word" or item.value is not None:
            continue
        if tokens.mixed_alphabets(item.text):
            yield item.text, "letters of two alphabets in one word"
        low = item.low.removesuffix("'s")
        if low in known or item.text.removesuffix("'s") in lexicon.COMMON_CAPITALS or low in lexicon.MONTHS or low in lexicon.WEEKDAYS:
            continue
        opens = index == 0 or scope.items[index - 1].low in ('"', "(", ":", "–", ".")
        capital = item.text[0].isupper() and not opens
        inner = item.text[1:]
        coded = any(letter.isdigit() or letter in "_/\\@:" for letter in inner) or (
            any(letter.isupper() for letter in inner) and not item.text.isupper()
        )
        if capital or coded or (item.text[0].isdigit()):
            yield item.text, "this name does not stand in the Document"


def _pairs(scope: Scope) -> Iterator[tuple[str, str]]:
    """A name beside one from another column of the same table must share a row with it or with its other neighbour."""
    named = [str(item.value) for item in scope.items if item.kind == "name"]
    for place, name in enumerate(named):
        beside = [
            other
            for other in (*named[max(place - 1, 0) : place], *named[place + 1 : place + 2])
            if other != name and _siblings(scope, name, other)
        ]
        if beside and not any((name, other) in scope.facts.pairs for other in beside):
            yield name, f"the Document does not put it together with {beside[0]!r}"


def _siblings(scope: Scope, one: str, other: str) -> bool:
    mine, theirs = scope.facts.columns[one], scope.facts.columns[other]
    if mine & theirs:
        return False
    return bool({column.rsplit(".", 1)[0] for column in mine} & {column.rsplit(".", 1)[0] for column in theirs})


def _called(scope: Scope) -> Iterator[tuple[str, str]]:
    """A name that is said to be a pattern, a fix or a trigger must stand in that column."""
    columns = {column.rsplit(".", 1)[-1] for places in scope.facts.columns.values() for column in places}
    for index, item in enumerate(scope.items):
        if item.kind != "name":
            continue
        said: list[frozenset[str]] = []
        if scope.sentence.around(index, 1, reach=1)[:1] in (["as"], ["is"], ["was"], ["being"]):
            said = [measure.concepts for measure in scope.sentence.measures if index < measure.first <= index + 4]
        elif scope.sentence.around(index, -1, reach=1)[:1] in (["is"], ["was"], ["being"], ["called"]):
            said = [measure.concepts for measure in scope.sentence.measures if index - 6 <= measure.last < index]
        stands = {column.rsplit(".", 1)[-1] for column in scope.facts.columns[str(item.value)]}
        for concepts in said[:1]:
            if concepts & columns and not concepts & stands:
                yield item.text, f"the Document does not call it {' or '.join(sorted(concepts & columns))}"


def _acting(scope: Scope) -> Iterator[tuple[str, str]]:
    """What addresses or prevents something is the row's first name: "fix addresses pattern", "pattern was addressed by fix"."""
    places = [index for index, item in enumerate(scope.items) if item.kind == "name"]
    for one, other in pairwise(places):
        between = {item.low for item in scope.items[one:other]}
        if not between & lexicon.ACTING:
            continue
        first, second = (str(scope.items[place].value) for place in ((other, one) if "by" in between else (one, other)))
        if (first, second) not in scope.facts.pairs:
            yield first, f"the Document does not say this of {second!r}"
            continue
        if not _siblings(scope, first, second):
            continue
        shared = {column.rsplit(".", 1)[0] for column in scope.facts.columns[second]}
        if not any(column in scope.facts.labels and column.rsplit(".", 1)[0] in shared for column in scope.facts.columns[first]):
            yield first, f"the Document has it the other way round with {second!r}"


def _failing(scope: Scope) -> Iterator[tuple[str, str]]:
    """What is stopped or comes back, "to stop X", "recurrences of X", must be no fix and no trigger; what "still works", or is checked
    since something came back "after the fix", must be a fix.
    """
    for index, item in enumerate(scope.items):
        if item.kind != "name":
            continue
        left = scope.sentence.around(index, -1, skip=frozenset(['"', "the"]), reach=2)
        said = left[:1] and left[0] in lexicon.STOPPING
        said = said or (left[:1] == ["of"] and len(left) > 1 and tokens.stem(left[1]) in lexicon.FAILING)
        stands = {column.rsplit(".", 1)[-1] for column in scope.facts.columns[str(item.value)]}
        if said and stands and stands <= lexicon.FIX_KEYS | lexicon.TRIGGER_KEYS | {"change"}:
            called = "fix" if stands & lexicon.FIX_KEYS else "trigger" if stands & lexicon.TRIGGER_KEYS else "change"
            yield item.text, f"the Document calls it a {called}, not what fails"
        works = scope.sentence.around(index, 1, skip=frozenset(['"']), reach=2)
        checked = left[:1] == ["check"] and "fix" in scope.words()
        if (checked or works == ["still", "works"]) and not stands & lexicon.FIX_KEYS:
            yield item.text, "the Document does not call it a fix"


def _nameless(scope: Scope) -> Iterator[tuple[str, str]]:
    """What "to stop X, …" and "recurrences of X" speak of must be a name of the Document, or a word for what fails at large."""
    for index, item in enumerate(scope.items):
        opens = index == 0 and item.low == "to" and scope.sentence.around(index, 1)[:1] and scope.sentence.around(index, 1)[0] in STOPS
        counts = item.low == "of" and index > 0 and tokens.stem(scope.items[index - 1].low) in RETURNS
        place = index + 2 if opens else index + 1
        if not (opens or counts) or place >= len(scope.items):
            continue
        said = scope.items[place]
        at_large = said.low in AT_LARGE | lexicon.PRONOUNS or tokens.stem(said.low) in lexicon.FAILING | {"pattern", "problem", "loop"}
        measured = any(measure.first <= place <= measure.last for measure in scope.sentence.measures)
        if said.kind == "word" and not at_large and not measured:
            yield said.text, "the Document names nothing like this that fails"


def _triggering(scope: Scope) -> Iterator[tuple[str, str]]:
    """A name told as a likely cause, "most likely after X", must stand in a column of triggers."""
    for index, item in enumerate(scope.items):
        if item.kind != "name" or not index or scope.items[index - 1].low not in ("after", "on"):
            continue
        if index > 1 and scope.items[index - 2].low in ("likely", "chiefly"):
            stands = {column.rsplit(".", 1)[-1] for column in scope.facts.columns[str(item.value)]}
            if not stands & lexicon.TRIGGER_KEYS:
                yield item.text, "the Document does not call it a trigger"


def _states(scope: Scope) -> Iterator[tuple[str, str]]:
    columns = scope.facts.stated
    for index, state in scope.sentence.states:
        left = scope.sentence.around(index, -1, reach=1)
        titled = any(
            m.first == index + len(tokens.lows(state)) and m.concepts & columns.get(state, frozenset()) for m in scope.sentence.measures
        )
        said = titled or bool(set(left) & STATED) or (index > 0 and scope.items[index - 1].kind == "name")
        if state in lexicon.UP | lexicon.DOWN:
            continue  # told by a direction word: `moves` judges it
        if not said or any(m.first <= index <= m.last and m.last > m.first for m in scope.sentence.measures):
            continue
        name = scope.own(index) or next(iter(scope.inherited(index)), "")
        stated = [fact for fact in scope.facts.by_name.get(name, ()) if fact.aspect is Aspect.STATE]
        peers = [fact for fact in stated if fact.concepts & columns.get(state, frozenset())]
        if peers and not any(fact.value == state for fact in peers):
            yield state, f"the Document says {peers[0].value!r} ({peers[0].id})"


def _nothing(scope: Scope) -> Iterator[tuple[str, str]]:
    for index, item in enumerate(scope.items):
        if item.kind != "word" or item.low not in lexicon.NONE:
            continue
        following = scope.sentence.around(index, 1, reach=1)
        if set(following) & NO_CLAIM_AFTER:
            continue
        near = [measure for measure in scope.sentence.measures if index < measure.first <= index + 4]
        if item.low == "no" and not near:
            continue
        asked = near or scope.sentence.measures
        concepts = frozenset[str]().union(*(measure.concepts for measure in asked)) if asked else frozenset[str]()
        zeros = [
            fact for pool in scope.pools(index) for fact in pool if fact.number == 0 and fact.aspect in AMOUNTS and fact.concepts & concepts
        ]
        counts = [fact for fact in scope.facts.whole if fact.aspect in (Aspect.CURRENT, Aspect.ROWS) and fact.number]
        if concepts and not zeros:
            yield item.text, "the Document counts some, or does not say"
        elif not concepts and item.low == "nothing" and counts:
            yield item.text, f"the Document counts {counts[0].number:g} ({counts[0].label})"
