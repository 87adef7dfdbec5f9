"""Numbers bound to facts: a number is sound when a fact of its subject and measure, in the role its words give it, rounds to it.

Rounding: the fact, in the unit written, must lie within half of the last written digit ("12 %" for 12.3 %, "$12.4k" for $12,412); a
duration of two parts may also be cut off ("2 h 14 min" for 2 h 14 min 50 s). "About" and its like allow 5 % but at most what the last
digit that is not 0 is worth ("about 400" for 412, not "about 404"), "over", "more than", "under",
"nearly" allow 15 % on their side; a fraction in words ("a third") allows 3 points. Nothing else does: 300 is not 304.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

from everfix.documents import format as show
from everfix.documents.model import Unit
from everfix.narrative import lexicon
from everfix.narrative.claims import Quantity
from everfix.narrative.fact import Aspect, Fact
from everfix.narrative.scope import Scope

SHARES = frozenset({Unit.PERCENT, Unit.PROBABILITY})
PLAIN = frozenset({Unit.COUNT, Unit.NUMBER, Unit.MEASURE, Unit.SCORE})
MOVES = frozenset({Aspect.CHANGE, Aspect.DIFFERENCE})
DIRECTIONS = lexicon.UP | lexicon.DOWN | lexicon.MORE | lexicon.FEWER | lexicon.LONGER
EARLIER = frozenset(["before", "previously", "earlier", "prior", "previous"])
ROLE_SKIP = (
    lexicon.ABOUT | lexicon.UNDER | lexicon.OVER | frozenset(["the", "a", "an", "just", "only", "still", "some", "least", "most", "than"])
)
NOUNS = frozenset(["drop", "fall", "rise", "increase", "decrease", "improvement", "gain", "decline", "reduction", "growth", "change"])
RANKED = frozenset(["rank", "ranked", "ranks", "#", "number", "place", "position", "priority"])


def bind(scope: Scope, index: int) -> str:
    """Bind the quantity at `index` in `scope.bound`; return "" or the reason why it cannot be."""
    quantity = scope.items[index].value
    assert isinstance(quantity, Quantity)  # noqa: S101 - the caller chose a quantity
    special = _special(scope, index, quantity)
    if special is not None:
        scope.bound[index] = special
        return ""
    role = _role(scope, index, quantity)
    if role == "change" and quantity.signed and quantity.value < 0 and not scope.words(index) & {"changed", "change", "moved"}:
        return "a fall is told by its word, without a minus sign"
    nearest: Fact | None = None
    for pool in scope.pools(index):
        if nearest is not None and nearest.names and pool and not pool[-1].names and not scope.opens_whole(index):
            break  # the name in reach has such a number, and it is another one
        decided, near = _decide(scope, index, quantity, role, pool)
        if decided:
            scope.bound[index] = decided
            return ""
        nearest = nearest or near
    together = _together(scope, index, quantity)
    if together:
        scope.bound[index] = together
        return ""
    return _reason(scope, quantity, role, nearest)


def _decide(scope: Scope, index: int, quantity: Quantity, role: str, pool: tuple[Fact, ...]) -> tuple[tuple[Fact, ...], Fact | None]:
    """Match within one pool: the first measure in reach that has facts of this kind and role decides."""
    of_kind = [fact for fact in pool if kind(quantity, fact, scope)]
    if not of_kind:
        return (), None
    slack = _slack(scope, index)
    for concepts in scope.measures(index):
        eligible = [
            fact for fact in of_kind if fact.concepts & concepts and plays(scope, index, fact, role) and _headed(scope, index, fact)
        ]
        if eligible:
            return tuple(fact for fact in eligible if fits(_sided(scope, index, quantity, fact), fact, slack)), eligible[0]
    fitting_kind = [fact for fact in of_kind if plays(scope, index, fact, role) and _headed(scope, index, fact)]
    moved = [fact for fact in fitting_kind if fact.aspect in MOVES | {Aspect.PREVIOUS, Aspect.CURRENT} and fact.names]
    bare = fitting_kind if quantity.kind != "plain" and _single(fitting_kind) else moved
    return tuple(fact for fact in bare if fits(quantity, fact, slack)), (bare[0] if bare else None)


def _sided(scope: Scope, index: int, quantity: Quantity, fact: Fact) -> Quantity:
    """A z-score told as "below the mean" is negative."""
    if fact.aspect is Aspect.ZSCORE and not quantity.signed and scope.words(index) & {"below", "under"}:
        return replace(quantity, value=-quantity.value)
    return quantity


def _single(facts: Iterable[Fact]) -> bool:
    """Whether a number without a measure can only mean one thing here."""
    return len({fact.family for fact in facts if fact.aspect not in (Aspect.SHARE, Aspect.RANK)}) <= 1 or all(fact.names for fact in facts)


def kind(quantity: Quantity, fact: Fact, scope: Scope) -> bool:
    """Return whether a fact can be written as this kind of quantity."""
    match quantity.kind:
        case "percent" | "fraction":
            able = fact.unit in SHARES and fact.aspect is not Aspect.DIFFERENCE
        case "points":
            able = fact.unit in SHARES and fact.aspect is Aspect.DIFFERENCE
        case "money":
            able = fact.unit is Unit.MONEY and quantity.currency == scope.facts.document.currency
        case "duration":
            able = fact.unit in (Unit.SECONDS, Unit.DAYS)
        case "ordinal":
            able = fact.aspect is Aspect.RANK
        case _:
            able = fact.unit in PLAIN or (fact.unit is Unit.PROBABILITY and quantity.step < 1)
    return able and fact.number is not None


def fits(quantity: Quantity, fact: Fact, slack: str = "") -> bool:
    """Return whether the fact rounds to the quantity as written (see the rules above)."""
    value = fact.number
    if value is None:
        return False
    if quantity.kind == "duration" and fact.unit is Unit.DAYS:
        value *= 86400
    if fact.aspect in MOVES and not quantity.signed:
        value = abs(value)
    written, step = quantity.value, quantity.step
    off = value - written
    tiny = 1e-9 + abs(value) * 1e-9
    if slack == "about":
        return abs(off) <= max(step / 2, min(abs(value) * 0.05, _worth(written, step))) + tiny
    if slack == "over":
        return -tiny <= off <= abs(written) * 0.15 + tiny
    if slack == "under":
        return -abs(written) * 0.15 - tiny <= off <= tiny
    return -step / 2 - tiny <= off <= (step - 0.5 if quantity.parts > 1 else step / 2) + tiny


def _worth(written: float, step: float) -> float:
    """What the last written digit that is not 0 is worth: 100 for 400, 10 for 350, 1 for 404."""
    worth = step
    while written and round(written / worth) % 10 == 0:
        worth *= 10
    return worth


def _slack(scope: Scope, index: int) -> str:
    left = scope.sentence.around(index, -1, reach=3)
    first, second, third = (*left, "", "", "")[:3]
    if (first, second) == ("to", "up") and third in ("went", "goes", "moved", "came"):
        return ""  # "went up to 412 from 368" is a movement, not a bound
    if first in lexicon.ABOUT or (first, second) in (("to", "close"), ("a", "about"), ("a", "roughly"), ("a", "around")):
        return "about"
    if first in lexicon.OVER or (first == "than" and second in ("more", "greater", "higher")) or (first, second) == ("least", "at"):
        return "over"
    if (
        first in lexicon.UNDER
        or (first == "than" and second in ("less", "fewer", "lower"))
        or (first, second) in (("most", "at"), ("to", "up"))
    ):
        return "under"
    if first in ("a", "just") and second in ("nearly", "almost", "under", "over"):
        return "over" if second == "over" else "under"
    return ""


def _headed(scope: Scope, index: int, fact: Fact) -> bool:
    """Return whether a row is spoken of by its first name, in this segment, before it, or as the subject carried over."""
    if len(fact.names) < 2:
        return True
    segment = scope.items[index].segment
    head = fact.names[0]
    if head == scope.carried or head == scope.own(index) or head in scope.inherited(index)[:1]:
        return True
    return any(
        place < index or bool(set(scope.sentence.around(place, -1, reach=1)) & {"by", "from", "with", "to", "through"})
        for place, item in enumerate(scope.items)
        if item.value == head and item.kind == "name" and item.segment <= segment
    )


def _role(scope: Scope, index: int, quantity: Quantity) -> str:
    """Say what the words beside a number make it: previous, against, change, current, or plain."""
    left = scope.sentence.around(index, -1, skip=ROLE_SKIP, reach=2)
    first, second = (*left, "", "")[:2]
    right = []
    for item in scope.items[index + 1 : index + 7]:
        if item.kind == "quantity" or item.segment != scope.items[index].segment:
            break
        right.append(item.low)
    words = scope.words(index)
    sized = set(right[:1]) & (DIRECTIONS | {"better", "worse"})
    against = first in ("against", "versus", "vs") or (second, first) in (("compared", "to"), ("compared", "with"), ("instead", "of"))
    if first == "from":
        return "previous" if not right or words & DIRECTIONS or not _counts(scope, index) else "against"
    after_direction = first in DIRECTIONS or (second in DIRECTIONS and first in ("by", "another", "some", "of"))
    if first == "(" and second == "period" and "previous" in scope.sentence.around(index, -1, skip=ROLE_SKIP, reach=4):
        return "previous"  # "on the previous period (368)"
    if {"had", "been"} <= words or {"had", "stood"} <= words:
        return "previous"  # "In the period before, it had been at 368"
    moved = after_direction and quantity.kind in ("percent", "points")  # "up 12 % on the previous period"
    reached = first == "to" and second not in ("compared", "relative")  # "rising to 412 in the previous period" contradicts itself
    if not sized and not against and not moved and not reached and (set(right[:5]) & EARLIER or first in EARLIER):
        return "previous"
    by = first == "by" and words & (DIRECTIONS | lexicon.BETTER | lexicon.WORSE)
    roles = (
        ("against", against),
        ("change", sized or after_direction or by or set(right[:2]) & NOUNS),
        ("current", first in lexicon.CURRENTLY),
        ("moved", quantity.signed or words & {"change", "changed", "difference", "moved", "swing", "improvement", "improved"}),
    )
    return next((role for role, holds in roles if holds), "plain")


def _counts(scope: Scope, index: int) -> bool:
    return any(index < measure.first <= index + 3 and measure.segment == scope.items[index].segment for measure in scope.sentence.measures)


def plays(scope: Scope, index: int, fact: Fact, role: str) -> bool:
    """Return whether a fact's aspect agrees with the number's role and has the word it asks for in the sentence."""
    aspect = fact.aspect
    if _other_period(scope, index, aspect):
        return False
    if (aspect is Aspect.ZSCORE) != _unusual(scope, index) and fact.unit in PLAIN:
        return False
    if role == "change":
        return aspect in MOVES
    if role == "previous":
        return aspect is Aspect.PREVIOUS or (aspect is Aspect.HALF and fact.rank == 1)
    if aspect in MOVES or aspect is Aspect.PREVIOUS:
        return role == ("moved" if aspect in MOVES else "against") or (
            aspect is Aspect.PREVIOUS and role != "current" and bool(scope.words(index) & EARLIER)
        )
    return not (role == "against" and aspect is Aspect.CURRENT) and _asked(scope, index, fact)


def _other_period(scope: Scope, index: int, aspect: Aspect) -> bool:
    """Return whether the words right after a number put it into another period than the fact's."""
    right = scope.sentence.around(index, 1, skip=frozenset(["in", "of", "the", "for"]), reach=2)
    if aspect is Aspect.PREVIOUS:
        return right in (["this", "period"], ["current", "period"])
    return aspect is Aspect.HALF and "previous" in scope.words(index)  # no half of it is stated


CUES = {
    Aspect.TOTAL: lexicon.WHOLE | {"all", "period", "days", "in"},
    Aspect.MAXIMUM: lexicon.PEAKS,
    Aspect.MINIMUM: lexicon.LOWS,
    Aspect.MEAN: lexicon.AVERAGE,
    Aspect.ZSCORE: lexicon.UNUSUAL,
    Aspect.THRESHOLD: lexicon.LIMIT,
    Aspect.PROJECTED: lexicon.PROJECTED,
    Aspect.PERIOD: lexicon.PERIODS | {"days", "last", "past", "over", "these", "day"},
}  # the words of which one must stand in a sentence that states such a fact


def _asked(scope: Scope, index: int, fact: Fact) -> bool:
    words = scope.words()
    match fact.aspect:
        case Aspect.MEAN if {"a", "day"} <= scope.words(index):
            return True
        case Aspect.THRESHOLD if set(fact.label.lower().split()) & words:
            return True
        case Aspect.HALF:
            return "half" in words and _half(scope, index, fact.rank)
        case Aspect.RANK:
            left = scope.sentence.around(index, -1, skip=frozenset(["."]), reach=1)
            return bool(set(left) & (RANKED | {"no"})) or getattr(scope.items[index].value, "kind", "") == "ordinal"
        case Aspect.TOP_SHARE:
            return _top(scope) == fact.rank
        case aspect:
            return aspect not in CUES or bool(words & CUES[aspect])


def _unusual(scope: Scope, index: int) -> bool:
    """Return whether this is the number nearest to "z-score" or "standard deviations"."""
    numbers = [place for place, item in enumerate(scope.items) if item.kind == "quantity"]
    cues = [place for place, item in enumerate(scope.items) if item.low in lexicon.UNUSUAL - {"unusual"}]
    return any(min(numbers, key=lambda place: abs(place - cue)) == index for cue in cues)


def _half(scope: Scope, index: int, half: int) -> bool:
    """Return whether the nearest "first half" or "second half" is the one meant."""
    found = []
    for place, item in enumerate(scope.items[:-1]):
        if item.low in lexicon.HALVES and scope.items[place + 1].low == "half":
            found.append((item.segment != scope.items[index].segment, abs(place - index), 1 if item.low == "first" else 2))
    return bool(found) and min(found)[-1] == half


def _top(scope: Scope) -> int:
    """Return the k of "top three" or "three largest" in the sentence, else 0; a list of names before "together" counts too."""
    for place, item in enumerate(scope.items):
        if isinstance(item.value, Quantity) and item.value.kind == "plain":
            beside = {*scope.sentence.around(place, -1, reach=1), *scope.sentence.around(place, 1, reach=1)}
            if beside & (lexicon.FIRST - {"most"}):
                return int(item.value.value)
    return 0


def _special(scope: Scope, index: int, quantity: Quantity) -> tuple[Fact, ...] | None:
    """Numbers that need no measure: days of the period, the k of "top k", a year, "out of 100"."""
    left = scope.sentence.around(index, -1, reach=2)
    if quantity.kind == "duration":
        periods = tuple(fact for fact in scope.periods() if fact.unit is Unit.DAYS and fits(quantity, fact))
        cue = set(left) & {"last", "past", "previous", "over", "these", "preceding", "the"}
        earlier = bool(set(left) & {"previous", "preceding"})
        periods = tuple(fact for fact in periods if earlier == (fact.id == "period.previous_days"))
        return (
            periods
            if (periods and cue and not scope.own(index)) or (periods and set(left) & {"last", "past", "previous", "preceding"})
            else None
        )
    if quantity.kind != "plain":
        return None
    if left[:2] == ["of", "out"] and quantity.value == 100:
        return ()
    if (
        not quantity.written
        and 1970 <= quantity.value <= 2200
        and left[:1] in (["in"], ["since"], ["during"])
        and not _counts(scope, index)
    ):
        years = tuple(fact for fact in scope.periods() if isinstance(fact.value, str) and fact.value.startswith(f"{quantity.value:.0f}"))
        return years or None
    beside = {*left[:1], *scope.sentence.around(index, 1, reach=1)}
    if beside & (lexicon.FIRST - {"most", "maximum", "record"}):
        return _top_count(scope, index, int(quantity.value))
    return None


def _top_count(scope: Scope, index: int, size: int) -> tuple[Fact, ...] | None:
    """Bind the k of "top k": there must be that many rows, and as many names where the sentence lists them."""
    names = [item for item in scope.items[index:] if item.kind == "name"]
    if len(names) > 1 and len({str(item.value) for item in names}) != size:
        return None
    rows = [fact for fact in scope.facts.whole if fact.aspect is Aspect.ROWS and (fact.number or 0) >= size]
    for concepts in scope.measures(index):
        counted = tuple(fact for fact in rows if fact.concepts & concepts)
        if counted:
            return counted
    return tuple(rows) or None


def _together(scope: Scope, index: int, quantity: Quantity) -> tuple[Fact, ...]:
    """Bind a sum over the names listed before "together", "combined" or "between them"."""
    if not scope.words() & lexicon.TOGETHER:
        return ()
    names = list(dict.fromkeys(str(item.value) for item in scope.items[:index] if item.kind == "name"))
    if len(names) < 2:
        return ()
    slack = _slack(scope, index)
    for concepts in scope.measures(index):
        rows = [
            {
                fact.family if fact.aspect is Aspect.SHARE else fact.id.rsplit(".", 1)[-1]: fact
                for fact in scope.facts.by_name.get(name, ())
                if fact.concepts & concepts and fact.aspect in (Aspect.CELL, Aspect.SHARE) and kind(quantity, fact, scope)
            }
            for name in names
        ]
        for column in rows[0] if rows else ():
            parts = [row[column] for row in rows if column in row]
            if len(parts) != len(names):
                continue
            total = sum(part.number or 0 for part in parts)
            whole = Fact(
                f"sum.{column}",
                "sum",
                parts[0].label,
                total,
                parts[0].unit,
                parts[0].section,
                parts[0].block,
                Aspect.TOTAL,
                concepts,
                "sum",
            )
            if fits(quantity, whole, slack):
                return tuple(parts)
    return ()


def _reason(scope: Scope, quantity: Quantity, role: str, nearest: Fact | None) -> str:
    if nearest is None:
        return {
            "change": "no change of that size is stated for what this clause speaks of",
            "previous": "no earlier value is stated for what this clause speaks of",
        }.get(role, f"no fact of the subjects and measures of this clause is a {quantity.kind} like this")
    document = scope.facts.document
    value = show.show(nearest.value, nearest.unit, currency=document.currency, timezone=document.period.timezone)
    return f"the Document says {value} ({nearest.subject}: {nearest.label}, {nearest.aspect}; {nearest.id})"
