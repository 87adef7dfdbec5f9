"""Ranks and superlatives bound to facts: largest, top, second, last must be the place that the Document gives the name beside them."""

from __future__ import annotations

from everfix.narrative import lexicon
from everfix.narrative.claims import Quantity
from everfix.narrative.fact import Aspect, Fact
from everfix.narrative.scope import Scope

LINKING = frozenset(
    [
        "is",
        "was",
        "are",
        "were",
        "be",
        "been",
        "remains",
        "remained",
        "stays",
        "stayed",
        "ranks",
        "ranked",
        "rank",
        "comes",
        "came",
        "come",
        "has",
        "had",
        "as",
        "being",
    ]
)
VERBS = frozenset(["leads", "led", "heads", "headed", "tops", "lead"])
TURNS = frozenset(["peaked", "peaks", "peaking", "bottomed", "trough"])  # said of a line over time, not of a row among rows
ADVERBS = frozenset(["first", "second", "third"])


def claim(scope: Scope, index: int) -> int:
    """Return the rank that the word at `index` claims (1 = first, -1 = last), or 0 where it claims none."""
    item = scope.items[index]
    low = item.low
    if isinstance(item.value, Quantity):
        return int(item.value.value) if item.value.kind == "ordinal" else 0
    if item.kind != "word" or any(
        measure.first <= index <= measure.last and measure.last > measure.first for measure in scope.sentence.measures
    ):
        return 0
    before = scope.items[index - 1].low if index else ""
    after = scope.items[index + 1].low if index + 1 < len(scope.items) else ""
    if f"{before} {low}" in lexicon.NOT_A_RANK or f"{low} {after}" in lexicon.NOT_A_RANK or after == "half":
        return 0
    if low in lexicon.ORDINALS and low != "first":
        return lexicon.ORDINALS[low]
    if low in lexicon.FIRST:
        guess = low == "most" and after == "likely" and before not in LINKING | {"the"}  # at a cause
        ordinal = before in lexicon.ORDINALS or (before.endswith(("nd", "rd", "th")) and before[:-2].isdigit())  # "second largest"
        return 0 if guess or ordinal else 1
    starts = low in ("start", "starting", "begin", "beginning") and after == "with"
    return 1 if starts else -1 if low in lexicon.LAST else 0


def bind(scope: Scope, index: int, rank: int) -> str:
    """Bind the rank word at `index`; return "" or the reason why it cannot be."""
    low = scope.items[index].low
    if _counted(scope, index) or _extreme(scope, index, rank):
        return ""
    name = "" if low in TURNS else _name(scope, index)
    if not name:
        if low in ADVERBS or low in ("start", "starting", "begin", "beginning"):
            return ""  # "First, …": an order of sentences
        return "no name, date or extreme value beside it shows what holds this rank"
    facts = [fact for fact in scope.facts.by_name.get(name, ()) if fact.aspect is Aspect.RANK]
    for concepts in _concepts(scope, index):
        asked = [fact for fact in facts if fact.concepts & concepts]
        if asked or concepts & (scope.facts.ordered - {"rank"}):
            facts = asked
            break
    else:
        ranked = [fact for fact in facts if "rank" in fact.concepts]
        facts = ranked if _is_advice(scope, index) else ranked or facts  # where rows are ranked, that is their order
    spoken = {_row(fact) for bound in scope.bound.values() for fact in bound if name in fact.names}
    facts = [fact for fact in facts if _row(fact) in spoken] or facts  # the row whose numbers the sentence tells
    held = tuple(fact for fact in facts if fact.number == (max(fact.rank, 2) if rank < 0 else rank))
    if held:
        scope.bound[index] = held
        return ""
    if not facts:
        return f"the Document ranks {name!r} nowhere"
    places = ", ".join(f"{fact.number:g} by {fact.label}" for fact in facts[:3])
    return f"the Document ranks {name!r} {places} ({facts[0].id})"


def _is_advice(scope: Scope, index: int) -> bool:
    """Whether "should come first" speaks of what to do first, in a report that ranks what to do: the riskiest is not what comes first there."""
    return "rank" in scope.facts.ordered and "should" in scope.sentence.around(index, -1, reach=3)


def _row(fact: Fact) -> tuple[str, str, str]:
    """Return the section, block and row that a fact of a table stands in: its id ends in "row.column"."""
    return fact.section, fact.block, fact.id.rsplit(".", 2)[-2]


def _name(scope: Scope, index: int) -> str:
    """Return the name the rank is said of: after "is the …" and after verbs the one before, else the one after."""
    items = scope.items
    segment = items[index].segment
    named = [(place, str(item.value)) for place, item in enumerate(items) if item.kind == "name"]
    before = [name for place, name in named if place < index]
    own_before = [name for place, name in named if place < index and items[place].segment == segment]
    own_after = [name for place, name in named if place > index and items[place].segment == segment]
    after = [name for place, name in named if place > index]
    left = scope.sentence.around(
        index, -1, skip=frozenset(["the", "a", "an", "by", "far", "clearly", "still", "again", "also", "its"]), reach=1
    )
    backward = items[index].low in VERBS or bool(set(left) & LINKING) or (items[index].low in ADVERBS and not own_after)
    order = (
        (own_before, own_after, before, after) if backward or (own_before and not own_after) else (own_after, own_before, after[:1], before)
    )
    for group in order:
        if group:
            return group[-1] if group is own_before or group is before else group[0]
    return scope.carried if scope.words() & lexicon.PRONOUNS else ""


def _concepts(scope: Scope, index: int) -> list[set[str] | frozenset[str]]:
    following = [item.low for item in scope.items[index : index + 3]]
    named: list[set[str] | frozenset[str]] = [lexicon.RANKED_BY[low] for low in following if low in lexicon.RANKED_BY]
    return named + [measure.concepts for measure in scope.sentence.measures if index < measure.first <= index + 3]


def _counted(scope: Scope, index: int) -> bool:
    """Whether the word belongs to a bound "top three" or "three largest"."""
    for place in (index - 1, index + 1):
        if place in scope.bound and isinstance(scope.items[place].value, Quantity):
            facts = scope.bound[place]
            if facts and facts[0].aspect is Aspect.ROWS and scope.items[index].low not in ("most", "maximum"):
                return True
    return False


def _extreme(scope: Scope, index: int, rank: int) -> bool:
    """Whether the number nearest to the word is bound to the extreme it speaks of, on the day and of the name that are told beside it."""
    if scope.items[index].low not in (lexicon.PEAKS | lexicon.LOWS | {"top"}):
        return False
    wanted = (Aspect.MAXIMUM, Aspect.TOP_SHARE) if rank == 1 else (Aspect.MINIMUM,)
    segment = scope.items[index].segment
    numbers = [place for place in scope.bound if scope.items[place].kind == "quantity" and abs(scope.items[place].segment - segment) <= 2]
    days = {fact.when for place, facts in scope.bound.items() if scope.items[place].kind == "date" for fact in facts if fact.when}
    name = scope.own(index)
    for place in sorted(numbers, key=lambda place: (abs(place - index), place < index))[:1]:
        found = [fact for fact in scope.bound[place] if fact.aspect in wanted]
        found = [fact for fact in found if (not days or fact.when in days) and (not name or name in fact.names)]
        if found:
            scope.bound[index] = tuple(found)
            return True
    return False
