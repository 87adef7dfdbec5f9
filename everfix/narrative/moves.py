"""Direction words bound to facts: rose, fell, up, down, better, worse, doubled, unchanged must agree with the sign of a stated change."""

from __future__ import annotations

from everfix.narrative import lexicon
from everfix.narrative.fact import Aspect, Fact
from everfix.narrative.scope import Scope

FLAT = 0.005  # "unchanged"; "steady" and "stable" allow ten times as much
MOVES = (Aspect.CHANGE, Aspect.DIFFERENCE)
MODALS = frozenset(["to", "would", "could", "should", "can", "may", "might", "will", "not", "must", "help", "helps"])
WISHES = frozenset(
    [
        "consider",
        "should",
        "could",
        "would",
        "recommend",
        "recommended",
        "need",
        "needs",
        "aim",
        "plan",
        "improve",
        "invest",
        "worth",
        "deserve",
        "deserves",
        "to",
    ]
)
LINKING = frozenset(
    [
        "is",
        "was",
        "are",
        "were",
        "a",
        "the",
        "much",
        "even",
        "far",
        "got",
        "became",
        "turned",
        "looks",
        "looked",
        "for",
        "also",
        "slightly",
        "clearly",
    ]
)
NEGATIONS = frozenset(["not", "no", "never", "without", "n't", "didn't", "don't"])
BASES = frozenset(
    [
        "rise",
        "increase",
        "fall",
        "drop",
        "decline",
        "decrease",
        "grow",
        "climb",
        "ease",
        "dip",
        "jump",
        "gain",
        "improve",
        "worsen",
        "shrink",
        "surge",
    ]
)
AGAINST = frozenset(["on", "than", "as", "against", "versus", "vs"])  # what a movement is measured against follows these
SMALLER_IS = lexicon.LONGER | frozenset(["shorter", "faster"])


def claim(scope: Scope, index: int) -> str:
    """Return what the word at `index` claims: up, down, flat, better, worse, more, fewer, a ratio's word, or ""."""
    item = scope.items[index]
    low = item.low
    if item.kind != "word" or _idle(scope, index):
        return ""
    if low in lexicon.RATIOS:
        return low
    if low in ("way", "direction", "side") and index and scope.items[index - 1].low in ("right", "wrong"):
        return "better" if scope.items[index - 1].low == "right" else "worse"
    for meaning, words in (
        ("up", lexicon.UP | lexicon.LONGER),
        ("down", lexicon.DOWN),
        ("flat", lexicon.FLAT),
        ("better", lexicon.BETTER),
        ("worse", lexicon.WORSE),
    ):
        if low in words:
            return meaning
    if low in lexicon.MORE | lexicon.FEWER:
        beside = [place for place in (index - 1, index + 1) if 0 <= place < len(scope.items) and scope.items[place].kind == "quantity"]
        changes = any(fact.aspect in MOVES for place in beside for fact in scope.bound.get(place, ()))
        than = "than" in scope.words() and scope.sentence.around(index, 1, reach=1) != ["than"]
        return ("up" if low in lexicon.MORE else "down") if changes or than else ""
    return ""


def itself(scope: Scope) -> list[tuple[str, str]]:
    """Return the places where this period is compared with itself, "is down 0.6 % on this period", "as good as in this period", or where
    halves of another are told.
    """
    refused = []
    for place, item in enumerate(scope.items):
        before = scope.sentence.around(place, -1, skip=frozenset(["in", "during"]), reach=2)
        if item.low == "period" and before[:1] == ["this"] and before[1:] and before[1] in AGAINST:
            refused.append(
                (f"{before[1]} this period", "this period is compared with itself; the Document compares it with the one before")
            )
        halves = scope.sentence.around(place, 1, skip=frozenset(["of", "the"]), reach=2)
        if item.low == "half" and halves[:1] and halves[0] in ("previous", "prior") and halves[1:] == ["period"]:
            refused.append((f"half of the {halves[0]} period", "the Document tells the halves of this period only"))
    return refused


def _idle(scope: Scope, index: int) -> bool:
    """Whether the word stands in an idiom, in the name of a measure, as a comparator of a number, or in a wish."""
    items = scope.items
    low = items[index].low
    before = items[index - 1].low if index else ""
    after = items[index + 1].low if index + 1 < len(items) else ""
    if f"{low} {after}" == "up to" and before in ("went", "goes", "moved", "came"):
        return False  # a movement, not a bound
    if f"{before} {low}" in lexicon.IDIOMS or f"{low} {after}" in lexicon.IDIOMS:
        return True
    if any(measure.first <= index <= measure.last and measure.last > measure.first for measure in scope.sentence.measures):
        return True
    if (
        after == "than"
        and index + 2 < len(items)
        and items[index + 2].kind == "quantity"
        and low in {"more", "fewer", "less", "higher", "lower", "better", "worse"}
    ):
        return True
    if low in ("better", "worse") and before not in LINKING and {item.low for item in items} & WISHES:
        return True
    return before in MODALS and before != "not" and low in BASES


def bind(scope: Scope, index: int, meaning: str) -> str:
    """Bind the direction word at `index`; return "" or the reason why it cannot be."""
    compared = _compared(scope, index, meaning)
    if compared is not None:
        return compared
    families = _families(scope, index)
    if not families:
        return "nothing in the Document says which way this moved"
    negated = bool(set(scope.sentence.around(index, -1, reach=2)) & NEGATIONS)
    agreeing = [facts for facts in families if _agrees(facts, meaning) != negated]
    if not agreeing:
        sample = families[0][0]
        moved = _move(families[0])
        return f"the Document has it {_said(moved, sample.better)} ({sample.subject}: {sample.label}; {sample.family})"
    scope.bound[index] = tuple(agreeing[0])
    return ""


def _families(scope: Scope, index: int) -> list[tuple[Fact, ...]]:
    """Find what moved: the family of the nearest number of the segment, else of the measure and name in reach."""
    segment = scope.items[index].segment
    placed = sorted((abs(place - index), place) for place in scope.bound if scope.items[place].segment == segment)
    for _, place in placed:
        found = _moving(scope, scope.bound[place])
        if found:
            return found
    measures = _measures_near(scope, index)
    for pool in scope.pools(index):
        for concepts in measures:
            found = _moving(
                scope, tuple(fact for fact in pool if fact.concepts & concepts and fact.aspect is not Aspect.SHARE), trends=True
            )
            if found:
                return _headlines(found)
        if not measures or (pool and pool[0].names):
            own = _moving(scope, tuple(fact for fact in pool if fact.names), trends=True)
            if own:
                return own
    return []


def _measures_near(scope: Scope, index: int) -> list[frozenset[str]]:
    """The measures of the word's own segment, nearest first and before rather than after; else those before it in the sentence."""
    segment = scope.items[index].segment
    own = [
        measure
        for measure in scope.sentence.measures
        if measure.segment == segment and not measure.first <= index <= measure.last and measure.concepts - lexicon.CHANGE_KEYS
    ]
    own.sort(key=lambda measure: (measure.first > index, abs(measure.first - index)))
    if own:
        return [own[0].concepts]
    return [concepts for concepts in scope.measures(index) if concepts - lexicon.CHANGE_KEYS][:1]


def _headlines(families: list[tuple[Fact, ...]]) -> list[tuple[Fact, ...]]:
    """Prefer headline figures, whose change is against the previous period, to halves of a line."""
    return [facts for facts in families if any(fact.aspect is Aspect.CURRENT for fact in facts)] or families


def _moving(scope: Scope, facts: tuple[Fact, ...], *, trends: bool = False) -> list[tuple[Fact, ...]]:
    found = []
    for family in dict.fromkeys(fact.family for fact in facts):
        members = scope.facts.families.get(family, ())
        if any(member.aspect in MOVES for member in members) or (
            trends and any(member.aspect is Aspect.STATE and _word(member) is not None for member in members)
        ):
            found.append(members)
    return found


def _word(fact: Fact) -> float | None:
    """Read a trend told in a word: rising, falling, flat."""
    first = str(fact.value).split(" ")[0]
    return (
        1.0
        if first in lexicon.UP | lexicon.WORSE
        else -1.0
        if first in lexicon.DOWN | lexicon.BETTER
        else 0.0
        if first in lexicon.FLAT
        else None
    )


def _move(facts: tuple[Fact, ...]) -> float:
    """Return the signed move of a family, relative where that is stated."""
    for aspect in (*MOVES, Aspect.STATE):
        for fact in facts:
            if fact.aspect is aspect:
                return (fact.number if aspect is not Aspect.STATE else _word(fact)) or 0.0
    return 0.0


def _agrees(facts: tuple[Fact, ...], meaning: str) -> bool:
    moved = _move(facts)
    better = next((fact.better for fact in facts if fact.better), None)
    if meaning in lexicon.RATIOS:
        low, high = lexicon.RATIOS[meaning]
        return any(fact.aspect is Aspect.CHANGE and low <= (fact.number or 0) <= high for fact in facts)
    match meaning:
        case "up":
            return moved > 0
        case "down":
            return moved < 0
        case "flat":
            relative = next((fact.number or 0.0 for fact in facts if fact.aspect is Aspect.CHANGE), moved)
            return abs(relative) <= FLAT * 4
        case _:
            return better is not None and moved != 0 and ((moved > 0) == (better == "up")) == (meaning == "better")


def _said(moved: float, better: str | None) -> str:
    way = "unchanged" if moved == 0 else "up" if moved > 0 else "down"
    if better is None or moved == 0:
        return way
    return f"{way}, which is {'better' if (moved > 0) == (better == 'up') else 'worse'}"


def _compared(scope: Scope, index: int, meaning: str) -> str | None:
    """Judge "A is higher than B": None where the word compares no two names."""
    items = scope.items
    after = items[index + 1 : index + 6]
    than = next((place for place, item in enumerate(after) if item.low == "than"), None)
    if than is None or meaning not in ("up", "down"):
        return None
    other = next((str(item.value) for item in after[than + 1 : than + 4] if item.kind == "name"), "")
    first = next((str(item.value) for item in reversed(items[:index]) if item.kind == "name"), "")
    if not first or not other:
        return None
    spoken = list(scope.measures(index))[:1]
    for fact in scope.facts.by_name.get(first, ()):
        for peer in scope.facts.by_name.get(other, ()):
            same = fact.id.rsplit(".", 1)[-1] == peer.id.rsplit(".", 1)[-1] and fact.aspect is Aspect.CELL and fact.block == peer.block
            if same and fact.number is not None and peer.number is not None and any(fact.concepts & concepts for concepts in spoken):
                right = fact.number > peer.number if meaning == "up" else fact.number < peer.number
                if right:
                    scope.bound[index] = (fact, peer)
                return (
                    ""
                    if right
                    else f"the Document has {fact.subject} at {fact.number:g} and {peer.subject} at {peer.number:g} ({fact.label})"
                )
    return "the Document does not let these two be compared"
