"""Words about a time series: its level, its peak with the date, how unusual that is, and whether the second half went up or down."""

from __future__ import annotations

from datetime import date, timedelta
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
WEEK = 7
STEPS = {1: " a day", WEEK: " a week"}
EXPECTED = "expected"
MANY = 100  # from here on a mean is told in whole numbers
OUTCOMES = {"hits": "came true", "prevented": "were prevented by a fix", "misses": "did not come true"}


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
    together = _outcomes(voice, found) or _totals(voice, found)
    if together:
        return Told((together,), weight=1.0)
    sentences: list[str] = []
    best: tuple[float, str] = (0.0, "")
    for line in found[:LINES]:
        sentences += _line(voice, block, line)
        best = max(best, _unusual(voice, block, line))
    sentences += [*_limit(voice, block, found[0]), *_ahead(voice, block, found[0])]
    summary = _moved(voice, block, found[0])
    takeaway = best[1] or _watch(voice, block, found[0])
    return Told(tuple(sentences), summary=summary, takeaway=takeaway, weight=6.0 if best[1] else 3.0 if takeaway else 0.0)


def _outcomes(voice: Voice, found: list[Line]) -> str:
    """Tell how the predictions of the period ended, where these are their weekly counts."""
    said = {line.column.key: voice.say(line.total, Unit.COUNT) for line in found if line.column.key in OUTCOMES}
    if len(said) < 2 or len(said) < len(found):
        return ""
    return voice.sentence(
        f"of the predictions that ended in the period, {prose.listing([f'{amount} {OUTCOMES[key]}' for key, amount in said.items()])}"
    )


def _totals(voice: Voice, found: list[Line]) -> str:
    """Tell lines that add up to one whole, such as the severities, by their totals."""
    if len(found) <= LINES or any(line.name or line.column.unit is not Unit.COUNT for line in found):
        return ""
    head, *rest = [(line.column.title, voice.say(line.total, Unit.COUNT)) for line in found]
    return voice.sentence(f"in total, {prose.listing([f'{head[0]} came to {head[1]}', *(f'{title} to {total}' for title, total in rest)])}")


def _title(voice: Voice, block: Chart | Table, line: Line) -> str:
    """Return what a line counts; a column that is only called "observed" is told by the title of its chart."""
    title = prose.lower(line.column.title.split(",", maxsplit=1)[0])
    if isinstance(block, Chart) and line.column.key in series.NAMELESS:
        title = prose.lower(block.title)
    return f"{title} of {prose.quoted(voice.name(line.name))}" if line.name else title


def _step(line: Line) -> int:
    """Return how many days lie between two points, 0 where that varies."""
    gaps = {(date.fromisoformat(later) - date.fromisoformat(earlier)).days for earlier, later in pairwise(line.days)}
    return min(gaps) if len(gaps) == 1 else 0


def _begun(voice: Voice, line: Line) -> bool:
    """Whether the first week lies partly before the period, so that it cannot be compared with whole ones."""
    start = voice.document.period.start
    return line.days[0] < start.isoformat() < (date.fromisoformat(line.days[0]) + timedelta(days=_step(line))).isoformat()


def _on(voice: Voice, block: Chart | Table, line: Line, day: str) -> str:
    if _step(line) != WEEK:
        return f"on {voice.say(day, Unit.DATE)}"
    place = series.time_column(block.table if isinstance(block, Chart) else block, block.x if isinstance(block, Chart) else None)
    column = (block.table if isinstance(block, Chart) else block).columns[place or 0]
    return f"in the week {'of' if column.title.lower().startswith('week') else 'to'} {voice.say(day, Unit.DATE)}"


def _level(voice: Voice, line: Line, value: float) -> str:
    """Return a mean as it is read: no more digits than say something."""
    if line.column.unit in (Unit.COUNT, Unit.SCORE, Unit.NUMBER):
        return f"{value:,.0f}" if abs(value) >= MANY else f"{value:,.1f}"
    return voice.say(value, line.column.unit)


def _line(voice: Voice, block: Chart | Table, line: Line) -> list[str]:
    title, unit = _title(voice, block, line), line.column.unit
    if len(line.values) < 3:
        points = [f"{voice.say(value, unit)} on {voice.say(day, Unit.DATE)}" for day, value in zip(line.days, line.values, strict=True)]
        return [voice.sentence(f"{title} came to {prose.listing(points)}; so few days show no trend")]
    day, value = line.peak
    score = max(line.zscores(), default=0.0)
    peak = f"peaked at {voice.say(value, unit)} {_on(voice, block, line, day)}"
    if score >= UNUSUAL:
        peak += f", {score:.1f} standard deviations above the mean"
    mean = _level(voice, line, sum(line.values) / len(line.values))
    each = STEPS.get(_step(line), "") if unit in ADDITIVE and " a " not in title else ""
    if min(line.values) == value:
        return [voice.sentence(f"{title} averaged {mean}{each} without any variation")]
    level = f"{title} averaged {mean}{each} and {peak}"
    if unit in ADDITIVE and (line.name or _begun(voice, line)):
        level = f"{title} came to {voice.say(line.total, unit)} in total and {peak}"
    low = _unusual(voice, block, line)[1] if score < max((abs(other) for other in line.zscores()), default=0.0) else ""
    return [sentence for sentence in (voice.sentence(level + _then(voice, line)), low) if sentence]


def _unusual(voice: Voice, block: Chart | Table, line: Line) -> tuple[float, str]:
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
        f"{day} was unusual: at {value}, {_title(voice, block, line)} stood {abs(score):.1f} standard deviations {side} the mean"
    )


def _compared(voice: Voice, line: Line) -> tuple[str, str, float] | None:
    """Return both halves as they are read and the relative change; None where they cannot be compared or read the same."""
    halves = line.halves()
    if halves is None or not halves[0] or _begun(voice, line):
        return None
    added = line.column.unit in ADDITIVE
    first, second = (voice.say(half, line.column.unit) if added else _level(voice, line, half) for half in halves)
    return None if first == second else (first, second, (halves[1] - halves[0]) / abs(halves[0]))


def _span(voice: Voice, line: Line) -> str:
    """Return "of the period", or what a line shows that reaches further back."""
    early = line.days[0] < voice.document.period.start.isoformat()
    return f"of the {'weeks' if _step(line) == WEEK else 'days'} shown" if early else "of the period"


def _then(voice: Voice, line: Line) -> str:
    """Return how the second half compares: "; the first half of the period saw 163 and the second half 249, a 52.8 % rise"."""
    compared = _compared(voice, line)
    if compared is None:
        return ""
    first, second, change = compared
    relative = show.show(abs(change), Unit.PERCENT)
    verb = "saw" if line.column.unit in ADDITIVE else "averaged"
    told = f"; the first half {_span(voice, line)} {verb} {first} and the second half {second}"
    return told + (f", {prose.article(relative)} {'rise' if change > 0 else 'fall'}" if WORTH <= abs(change) <= prose.HUGE else "")


def _moved(voice: Voice, block: Chart | Table, line: Line) -> str:
    compared = _compared(voice, line)
    if compared is None or abs(compared[2]) < WORTH:
        return ""
    first, second, change = compared
    verb = "rose" if change > 0 else "fell"
    return voice.sentence(
        f"{_title(voice, block, line)} {verb} from {first} in the first half {_span(voice, line)} to {second} in the second half"
    )


def _watch(voice: Voice, block: Chart | Table, line: Line) -> str:
    """Return the line to watch where it got worse between its halves."""
    compared = _compared(voice, line)
    better = line.column.better
    if compared is None or abs(compared[2]) < WORTH or better is None or (compared[2] > 0) != (better == "down"):
        return ""
    first, second, _ = compared
    title = _title(voice, block, line)
    return voice.sentence(f"keep an eye on {title}: {second} in the second half {_span(voice, line)}, after {first} in the first half")


def _limit(voice: Voice, block: Chart | Table, line: Line) -> list[str]:
    if not isinstance(block, Chart) or block.threshold is None or line.name or line.column.key != block.y[0]:
        return []
    limit = voice.say(block.threshold, line.column.unit)
    return [voice.sentence(f"the threshold for {_title(voice, block, line)} is {limit}")]


def _ahead(voice: Voice, block: Chart | Table, line: Line) -> list[str]:
    """Tell where the projection ends, with its band where the chart has one."""
    if not isinstance(block, Chart) or block.split is None or line.name:
        return []
    keys = [column.key for column in block.table.columns]
    measure = EXPECTED if line.column.key in series.NAMELESS and EXPECTED in keys else line.column.key
    place = keys.index(measure)
    day_place = keys.index(block.x)
    ahead = [row for row in block.table.rows if str(row[day_place] or "")[:10] > block.split[:10] and row[place] is not None]
    if not ahead:
        return []
    row = max(ahead, key=lambda row: str(row[day_place]))
    unit, day = block.table.columns[place].unit, str(row[day_place])
    if measure != EXPECTED:
        return [
            voice.sentence(
                f"the forecast puts {_title(voice, block, line)} at {voice.say(row[place], unit)} on {voice.say(day, Unit.DATE)}"
            )
        ]
    told = f"{voice.say(row[place], unit)} are expected {_on(voice, block, line, day)}"
    band = [row[keys.index(key)] if key in keys else None for key in (block.lower, block.upper)]
    if None not in band:
        told += f", with a low of {voice.say(band[0], unit)} and a high of {voice.say(band[1], unit)}"
    return [voice.sentence(told)]
