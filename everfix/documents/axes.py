"""What a chart's axis shows: numbers scaled to a readable unit, days and instants as UTC text, and the data in long form."""

from __future__ import annotations

import dataclasses
import json
import math
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import date, datetime
from zoneinfo import ZoneInfo

from everfix.documents import format as words
from everfix.documents.model import Cell, Chart, Column, Unit

TIMES = (Unit.DATE, Unit.DATETIME)
LABEL = 200  # characters of a category that are kept; the axis itself ends longer ones with "…"
STEPS = ((86400 * 3, 86400, " d"), (3600 * 3, 3600, " h"), (60 * 3, 60, " min"))
THOUSANDS = ((2e9, 1e9, " B"), (2e6, 1e6, " M"), (2e4, 1e3, " k"))


@dataclass(frozen=True)
class Scale:
    """How a quantity is drawn: `value / divisor`, with words around it."""

    divisor: float = 1.0
    before: str = ""
    after: str = ""
    digits: str = ",.2~f"

    def label(self) -> str:
        """Return the Vega expression of an axis label; the words are JSON strings, so they stay data."""
        return f"{json.dumps(self.before)} + replace(format(datum.value, {json.dumps(self.digits)}), '−', '-') + {json.dumps(self.after)}"

    def of(self, value: Cell) -> float | None:
        return None if value is None or isinstance(value, str) else float(value) / self.divisor


def scale(unit: Unit, largest: float, currency: str) -> Scale:
    """Return the scale for values up to `largest` (absolute)."""
    if unit in (Unit.PERCENT, Unit.PROBABILITY):
        return Scale(divisor=0.01, after=" %")
    if unit is Unit.SECONDS:
        return next((Scale(part, "", name) for least, part, name in STEPS if largest >= least), Scale(1, "", " s"))
    if unit is Unit.DAYS:
        return Scale(after=" d")
    before = words.SYMBOLS.get(currency, f"{currency} ") if unit is Unit.MONEY else ""
    for least, divisor, name in THOUSANDS:
        if largest >= least:
            return Scale(divisor, before, name)
    return Scale(1.0, before, "", ",.2~f" if largest >= 0.1 or largest == 0 else ",.3~g")


def spread(scaled: Scale, values: Iterable[object]) -> Scale:
    """Return a scale whose labels tell values apart that lie close together: as many digits as a fifth of their spread asks for."""
    known = [float(value) for value in values if isinstance(value, int | float)]
    step = (max(known) - min(known)) / 5 if known else 0.0
    if not 0 < step < 0.01:
        return scaled
    return dataclasses.replace(scaled, digits=f",.{min(9, math.ceil(-math.log10(step)))}~f")


def column(chart: Chart, key: str) -> Column:
    """Return the column of the chart's table named `key`."""
    return next(column for column in chart.table.columns if column.key == key)


def largest(chart: Chart) -> float:
    """Return the largest absolute number the chart's quantity reaches, thresholds and bands included; stacks add up."""
    stacked = chart.form in ("area", "column") and len(chart.y) > 1
    top = max((sum(numbers) if stacked else max(numbers, default=0.0) for numbers in _numbers(chart)), default=0.0)
    return max(top, abs(chart.threshold or 0.0))


def _numbers(chart: Chart) -> list[list[float]]:
    keys = {*chart.y, *(key for key in (chart.lower, chart.upper) if key)}
    places = [place for place, column in enumerate(chart.table.columns) if column.key in keys]
    return [[abs(float(row[place])) for place in places if isinstance(row[place], int | float)] for row in chart.table.rows]  # type: ignore[arg-type]


def moment(value: Cell, unit: Unit, timezone: str) -> str | None:
    """Return an ISO time without zone, as the clock on the wall of `timezone` shows it; Vega then reads it as UTC."""
    if value is None or value == "":
        return None
    if unit is Unit.DATE:
        return f"{date.fromisoformat(str(value)[:10]).isoformat()}T00:00:00"
    instant = datetime.fromisoformat(str(value))
    if instant.tzinfo is not None:
        instant = instant.astimezone(ZoneInfo(timezone)).replace(tzinfo=None)
    return instant.isoformat(timespec="seconds")


def long(chart: Chart, scaled: Scale, *, currency: str, timezone: str) -> list[dict[str, Cell]]:
    """Return one record for each row and y column: x, y, s (series), lower, upper, part, and the words of both for a tooltip."""
    at = {column.key: place for place, column in enumerate(chart.table.columns)}
    across = column(chart, chart.x)
    split = moment(chart.split, across.unit, timezone) if chart.split and across.unit in TIMES else chart.split
    records: list[dict[str, Cell]] = []
    names = Names()
    for row in chart.table.rows:
        x = place(row[at[chart.x]], across.unit, timezone)
        if isinstance(x, str) and across.unit not in TIMES:
            x = names.unique(x) if chart.series is None else x[:LABEL]
        for key in chart.y:
            shown = column(chart, key)
            series = str(row[at[chart.series]])[:LABEL] if chart.series else shown.title
            records.append(
                {
                    "x": x,
                    "y": scaled.of(row[at[key]]),
                    "s": words.printable(series),
                    "lower": scaled.of(row[at[chart.lower]]) if chart.lower else None,
                    "upper": scaled.of(row[at[chart.upper]]) if chart.upper else None,
                    "after": split is not None and x is not None and _later(x, split),
                    "xs": words.show(row[at[chart.x]], across.unit, currency=currency, timezone=timezone),
                    "ys": words.show(row[at[key]], shown.unit, currency=currency, timezone=timezone),
                }
            )
    return records


def _later(x: Cell, split: str) -> bool:
    return float(x) > float(split) if isinstance(x, int | float) else str(x) > split


def place(value: Cell, unit: Unit, timezone: str) -> Cell:
    """Return the x of a record: a moment, a number or the printable words of a category."""
    if unit in TIMES:
        return moment(value, unit, timezone)
    if value is None or isinstance(value, str | bool):
        return words.printable(words.show(value, unit))[:LABEL]
    return value


class Names:
    """Keeps categories apart that read the same: a zero-width space is added to each repeat."""

    def __init__(self) -> None:
        self.seen: dict[str, int] = {}

    def unique(self, name: str) -> str:
        count = self.seen.get(name, 0)
        self.seen[name] = count + 1
        return name + "\u200b" * count
