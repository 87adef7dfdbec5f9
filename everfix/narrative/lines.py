"""Words about a time series: its level, its peak with the date, how unusual that is, and whether the second half went up or down."""

from __future__ import annotations

from datetime import date
from itertools import pairwise

from everfix.documents import format as show
from everfix.documents.model import Chart, Table, Unit
from everfix.narrative import prose, series
from everfix.narrative.cells import ADDITIVE
from everfix.narrative.prose import Voice
from everfix.narrative.series import Line
from everfix.narrative.told import Told

UNUSUAL = 2.5  # standard deviations from the mean that make a point worth a sentence
WORTH = 0.05  # a smaller move between the halves is told as level
LINES = 2
DERIVED = ("mean", "lower", "upper", "expected")  # drawn beside a line to help the eye, not told
STEPS = {1: "a day", 7: "a week"}


def tell(voice: Voice, block: Chart | Table) -> Told:
    """Return the paragraph of a time series; the most unusual point is its takeaway."""
    if isinstance(block, Chart):
        found = series.lines(block.table, x=block.x, split=block.split, series=block.series, y=block.y)
        empty = block.table.empty
    else:
        found, empty = series.lines(block), block.empty
    found = [line for line in found if not line.column.key.startswith(DERIVED) and any(line.values)]
    found = [line for line in found if not line.name or voice.name(line.name)]
    if not found:
        return Told((empty,))
    sentences: list[str] = []
    best: tuple[float, str] = (0.0, "")
    for line in found[:LINES]:
        sentences += _line(voice, line)
        unusual = _unusual(voice, line)
        best = max(best, unusual)
    sentences += [*_limit(voice, block, found[0]), *_ahead(voice, block, found[0])]
    summary = _halves(voice, found[0])
    return Told(tuple(sentences), summary=summary, takeaway=best[1] or summary, weight=6.0 if best[1] else 3.0 if summary else 0.0)


def _title(line: Line) -> str:
    title = prose.lower(line.column.title.split(",", maxsplit=1)[0])
    return f"{title} of {line.name}" if line.name else title


def _each(line: Line) -> str:
    """Return " a day" or " a week" by the distance of the points, else nothing."""
    gaps = {(date.fromisoformat(later) - date.fromisoformat(earlier)).days for earlier, later in pairwise(line.days)}
    return f" {STEPS[min(gaps)]}" if len(gaps) == 1 and min(gaps) in STEPS else ""


def _line(voice: Voice, line: Line) -> list[str]:
    if len(line.values) < 3:
        points = [
            f"{voice.say(value, line.column.unit)} on {voice.say(day, Unit.DATE)}"
            for day, value in zip(line.days, line.values, strict=True)
        ]
        return [voice.sentence(f"{_title(line)} came to {prose.listing(points)}; so few days show no trend")]
    day, value = line.peak
    score = max(line.zscores(), default=0.0)
    peak = f"peaked at {voice.say(value, line.column.unit)} on {voice.say(day, Unit.DATE)}"
    if score >= UNUSUAL:
        peak += f", {score:.1f} standard deviations above the mean"
    average = sum(line.values) / len(line.values)
    mean = f"{average:,.1f}" if line.column.unit in (Unit.COUNT, Unit.SCORE) else voice.say(average, line.column.unit)
    if min(line.values) == value:
        return [voice.sentence(f"{_title(line)} averaged {mean}{_each(line)} without any variation")]
    level = f"{_title(line)} averaged {mean}{_each(line)} and {peak}"
    if line.column.unit in ADDITIVE:
        level = f"in total, {_title(line)} came to {voice.say(line.total, line.column.unit)}, an average of {mean}{_each(line)}, and {peak}"
    low = _unusual(voice, line)[1] if score < max((abs(other) for other in line.zscores()), default=0.0) else ""
    return [sentence for sentence in (voice.sentence(level), low, _halves(voice, line)) if sentence]


def _unusual(voice: Voice, line: Line) -> tuple[float, str]:
    """Return (|z|, sentence) of the most unusual point, or (0, "")."""
    scores = line.zscores()
    if not scores:
        return 0.0, ""
    place = max(range(len(scores)), key=lambda index: abs(scores[index]))
    score = scores[place]
    if abs(score) < UNUSUAL:
        return 0.0, ""
    value, day = voice.say(line.values[place], line.column.unit), voice.say(line.days[place], Unit.DATE)
    side = "above" if score > 0 else "below"
    return abs(score), voice.sentence(
        f"{day} was unusual: at {value}, {_title(line)} stood {abs(score):.1f} standard deviations {side} the mean"
    )


def _halves(voice: Voice, line: Line) -> str:
    halves = line.halves()
    if halves is None or not halves[0]:
        return ""
    first, second = (voice.say(half, line.column.unit) for half in halves)
    change = (halves[1] - halves[0]) / abs(halves[0])
    if first == second:
        return ""
    relative = show.show(abs(change), Unit.PERCENT)
    amount = "came to" if line.column.unit in ADDITIVE else "averaged"
    told = f"{_title(line)} {amount} {first} in the first half and {second} in the second half of the period"
    if abs(change) >= WORTH and abs(change) <= prose.HUGE:
        told += f", {prose.article(relative)} {'rise' if change > 0 else 'fall'}"
    return voice.sentence(told)


def _limit(voice: Voice, block: Chart | Table, line: Line) -> list[str]:
    if not isinstance(block, Chart) or block.threshold is None or line.name or line.column.key != block.y[0]:
        return []
    limit = voice.say(block.threshold, line.column.unit)
    return [voice.sentence(f"the threshold for {_title(line)} is {limit}")]


def _ahead(voice: Voice, block: Chart | Table, line: Line) -> list[str]:
    """Tell where the projection ends, where the chart has one."""
    if not isinstance(block, Chart) or block.split is None or line.name:
        return []
    cells = zip(block.table.column(block.x), block.table.column(line.column.key), strict=True)
    ahead = [(str(day)[:10], cell) for day, cell in cells if day is not None and str(day)[:10] > block.split[:10] and cell is not None]
    if not ahead:
        return []
    day, value = max(ahead)
    return [voice.sentence(f"the forecast puts {_title(line)} at {voice.say(value, line.column.unit)} on {voice.say(day, Unit.DATE)}")]
