"""Dates bound to facts: a row's own date, the period's ends in their roles, an extreme's day, or the day of a number beside it."""

from __future__ import annotations

from datetime import datetime
from zoneinfo import ZoneInfo

from everfix.documents import format as show
from everfix.documents.model import Unit
from everfix.narrative import lexicon
from everfix.narrative.claims import Day
from everfix.narrative.fact import Aspect, Fact
from everfix.narrative.scope import Scope

TIMES = frozenset({Unit.DATE, Unit.DATETIME})
STARTS = frozenset(["from", "between", "since", "starting", "began", "beginning", "starts"])
ENDS = frozenset(["to", "and", "until", "through", "–", "-", "ending", "ended", "ends", "till", "by"])


def bind(scope: Scope, index: int) -> str:
    """Bind the date at `index` (numbers are bound already); return "" or the reason why it cannot be."""
    day = scope.items[index].value
    assert isinstance(day, Day)  # noqa: S101 - the caller chose a date
    dated = _dated(scope, index)
    found = (
        ()
        if dated and not any(day.means(fact.when) for fact in dated)
        else _row(scope, index, day) or _period(scope, index, day) or _beside(scope, index, day) or _extreme(scope, index, day)
    )
    if found:
        scope.bound[index] = found
        return ""
    nearest = [fact for pool in scope.pools(index) for fact in pool if fact.unit in TIMES]
    if nearest:
        said = show.show(nearest[0].value, nearest[0].unit, timezone=scope.facts.document.period.timezone)
        return f"the Document says {said} ({nearest[0].subject}: {nearest[0].label}; {nearest[0].id})"
    return "no fact of the subjects and measures of this clause has this date"


def _dated(scope: Scope, index: int) -> list[Fact]:
    """The facts of one day that a number of the same segment is bound to: its date cannot be another one."""
    segment = scope.items[index].segment
    bound = [
        facts for place, facts in scope.bound.items() if scope.items[place].segment == segment and scope.items[place].kind == "quantity"
    ]
    return [fact for facts in bound if facts and all(fact.when for fact in facts) for fact in facts]


def _local(scope: Scope, fact: Fact) -> str:
    """Return a date fact as it is shown, in the period's zone: "2026-11-05T14:05"."""
    text = str(fact.value)
    if fact.unit is Unit.DATE:
        return text[:10]
    moment = datetime.fromisoformat(text)
    return (moment.astimezone(ZoneInfo(scope.facts.document.period.timezone)) if moment.tzinfo else moment).isoformat(timespec="minutes")


def _row(scope: Scope, index: int, day: Day) -> tuple[Fact, ...]:
    own = scope.own(index)
    names = (own,) if own else scope.inherited(index)
    segment = scope.items[index].segment
    spoken = [measure.concepts for measure in scope.sentence.measures if measure.segment == segment]
    for name in names:
        dated = [fact for fact in scope.facts.by_name.get(name, ()) if fact.unit in TIMES]
        asked = [fact for fact in dated if any(fact.concepts & concepts for concepts in spoken)] or dated
        found = []
        for fact in asked:
            shown = _local(scope, fact)
            if day.means(shown) and (not day.time or shown[11:16] == day.time):
                found.append(fact)
        if found:
            return tuple(found)
    return ()


def _period(scope: Scope, index: int, day: Day) -> tuple[Fact, ...]:
    left = scope.sentence.around(index, -1, skip=frozenset(["the", "on"]), reach=1)
    words = scope.words(index)
    following = scope.sentence.around(index, 1, reach=1)
    earlier = bool(scope.words() & {"previous", "preceding", "prior", "before", "against"})
    facts = {fact.label: fact for fact in scope.periods() if fact.unit is Unit.DATE}
    current = (facts["start"], facts["end"])
    previous = (facts["previous_start"], facts["previous_end"])
    for start, end in (current, *((previous,) if earlier else ())):
        if day.day is None and day.month is not None:
            if str(start.value)[:7] <= f"{day.year or str(end.value)[:4]}-{day.month:02}" <= str(end.value)[:7]:
                return (start, end)
            continue
        if day.day is None:
            continue
        if day.means(str(start.value)) and (set(left) & (STARTS | {"("}) or set(following) & {"to", "–", "-", "until", "through", "and"}):
            return (start,)
        if start.value == end.value and day.means(str(start.value)) and "on" in scope.sentence.around(index, -1, reach=1):
            return (start, end)
        if day.means(str(end.value)) and (set(left) & ENDS or {"period", "covers"} & words):
            return (end,)
    return ()


def _beside(scope: Scope, index: int, day: Day) -> tuple[Fact, ...]:
    """A number of the same segment, else of the sentence, that was bound to a fact of this day."""
    segment = scope.items[index].segment
    placed = sorted(scope.bound.items(), key=lambda pair: (scope.items[pair[0]].segment != segment, abs(pair[0] - index)))
    for _, facts in placed:
        dated = tuple(fact for fact in facts if fact.when)
        if dated:
            found = tuple(fact for fact in dated if day.means(fact.when))
            if found:
                return found
    return ()


def _extreme(scope: Scope, index: int, day: Day) -> tuple[Fact, ...]:
    words = scope.words(index) | {item.low for item in scope.items if item.segment == scope.items[index].segment - 1}
    asked = {
        aspect
        for aspect, cues in ((Aspect.MAXIMUM, lexicon.PEAKS), (Aspect.MINIMUM, lexicon.LOWS), (Aspect.ZSCORE, lexicon.UNUSUAL))
        if words & cues
    }
    spoken = list(scope.measures(index))
    dated = [fact for pool in scope.pools(index) for fact in pool if fact.when and fact.aspect in asked and day.means(fact.when)]
    measured = [fact for fact in dated if any(fact.concepts & concepts for concepts in spoken[:1])]
    return tuple(measured or ([] if spoken else dated))
