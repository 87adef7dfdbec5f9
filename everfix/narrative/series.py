"""Facts of a time series: its points, total, mean, extremes with their dates, halves, and how unusual a point is."""

from __future__ import annotations

import statistics
from collections.abc import Sequence
from dataclasses import dataclass

from everfix.documents.model import Chart, Column, Table, Unit
from everfix.narrative.cells import ADDITIVE, TIMES
from everfix.narrative.collected import Collected
from everfix.narrative.fact import Aspect, Fact

POINTS = 400  # only the last points become facts of their own; everything else is of all points
NAMELESS = frozenset({"observed", "value", "count"})  # columns whose chart says what they count
ENOUGH = 8  # points needed before a z-score means anything


@dataclass(frozen=True)
class Line:
    """One observed line: days with values, in order of time."""

    column: Column
    name: str
    days: tuple[str, ...]
    values: tuple[float, ...]

    @property
    def total(self) -> float:
        return sum(self.values)

    @property
    def peak(self) -> tuple[str, float]:
        """The day and the value of the (first) maximum."""
        index = max(range(len(self.values)), key=lambda place: (self.values[place], -place))
        return self.days[index], self.values[index]

    @property
    def trough(self) -> tuple[str, float]:
        index = min(range(len(self.values)), key=lambda place: (self.values[place], place))
        return self.days[index], self.values[index]

    def halves(self) -> tuple[float, float] | None:
        """First and second half (a middle point belongs to neither): sums of what can be added, else means."""
        half = len(self.values) // 2
        if half < 2:
            return None
        first, second = self.values[:half], self.values[-half:]
        if self.column.unit in ADDITIVE:
            return sum(first), sum(second)
        return statistics.fmean(first), statistics.fmean(second)

    def zscores(self) -> tuple[float, ...]:
        """(value − mean) / sample standard deviation for each point; empty where there are too few points or none differs."""
        if len(self.values) < ENOUGH:
            return ()
        spread = statistics.stdev(self.values)
        mean = statistics.fmean(self.values)
        return tuple((value - mean) / spread for value in self.values) if spread > 1e-12 else ()


def time_column(table: Table, x: str | None = None) -> int | None:
    """Return the index of the time column: `x` where given, else the first column; None where that holds no time."""
    for index, column in enumerate(table.columns):
        if column.unit in TIMES and (column.key == x or (x is None and index == 0)):
            return index
    return None


def told_over_time(table: Table) -> bool:
    """Whether a table is a time series by itself: its first column is a time and no column names its rows."""
    return time_column(table) is not None and all(column.unit is not Unit.TEXT for column in table.columns)


def lines(table: Table, *, x: str | None = None, split: str | None = None, series: str | None = None, y: Sequence[str] = ()) -> list[Line]:
    """Return the observed lines of a time series, one for each numeric column and value of `series`."""
    time = time_column(table, x)
    if time is None:
        return []
    keys = [column.key for column in table.columns]
    grouped: dict[tuple[int, str], list[tuple[str, float]]] = {}
    for row in table.rows:
        day = str(row[time])[:10]
        if row[time] is None or (split is not None and day > split[:10]):
            continue
        name = str(row[keys.index(series)]) if series else ""
        for index, column in enumerate(table.columns):
            cell = row[index]
            if index != time and (not y or column.key in y) and isinstance(cell, (int, float)) and not isinstance(cell, bool):
                grouped.setdefault((index, name), []).append((day, float(cell)))
    found = []
    for (index, name), points in grouped.items():
        points.sort()
        found.append(Line(table.columns[index], name, tuple(day for day, _ in points), tuple(value for _, value in points)))
    return found


def collect(section: str, key: str, block: Chart | Table, collected: Collected) -> None:
    """Add every fact of a time series; the caller has made sure that it is one."""
    table = block.table if isinstance(block, Chart) else block
    x, split, series = (block.x, block.split, block.series) if isinstance(block, Chart) else (None, None, None)
    for column in table.columns:
        collected.phrase(column.title, column.key)
        if isinstance(block, Chart) and column.key in NAMELESS:
            collected.phrase(block.title, column.key)
    collected.say((table.note, table.empty, block.title, block.alt if isinstance(block, Chart) else ""))
    base = f"{section}.{key}"
    for line in lines(table, x=x, split=split, series=series):
        name = collected.name(line.name, f"{base}.{series}") if line.name else ""
        _line(section, key, line, (name,) if name else (), collected)
    if isinstance(block, Chart):
        if block.threshold is not None:
            unit = next((column.unit for column in table.columns if column.key in block.y), Unit.NUMBER)
            collected.phrase(block.threshold_label, "threshold")
            collected.add(
                Fact(
                    f"{base}.threshold",
                    block.title,
                    block.threshold_label or "threshold",
                    block.threshold,
                    unit,
                    section,
                    key,
                    Aspect.THRESHOLD,
                    frozenset({"threshold", *block.y}),
                    f"{base}.threshold",
                )
            )
        if split is not None:
            _projected(section, key, block, collected)


def _line(section: str, key: str, line: Line, names: tuple[str, ...], collected: Collected) -> None:
    column = line.column
    stem = f"{section}.{key}.{column.key}" + (f".{names[0]}" if names else "")
    concepts = frozenset({column.key})

    def add(
        part: str, value: float, aspect: Aspect, unit: Unit = column.unit, *, when: str = "", family: str = stem, rank: int = 0
    ) -> None:
        collected.add(
            Fact(
                f"{stem}.{part}",
                line.name or column.title,
                column.title,
                value,
                unit,
                section,
                key,
                aspect,
                concepts,
                family,
                names=names,
                when=when,
                better=column.better,
                rank=rank,
            )
        )

    if len(line.values) > POINTS:
        collected.bounds.append(
            f"{stem}: the last {POINTS} of {len(line.values):,} points are facts of their own; totals and extremes are of all"
        )
    for day, value in list(zip(line.days, line.values, strict=True))[-POINTS:]:
        add(day, value, Aspect.CELL, when=day)
    if column.unit in ADDITIVE:
        add("total", line.total, Aspect.TOTAL)
    add("mean", statistics.fmean(line.values), Aspect.MEAN, Unit.NUMBER if column.unit is Unit.COUNT else column.unit)
    for part, aspect, (_, value) in (("maximum", Aspect.MAXIMUM, line.peak), ("minimum", Aspect.MINIMUM, line.trough)):
        for tied in [day for day, other in zip(line.days, line.values, strict=True) if other == value]:
            add(f"{part}.{tied}", value, aspect, when=tied)
    for place, score in _notable(line.zscores()):
        add(f"z.{line.days[place]}", score, Aspect.ZSCORE, Unit.NUMBER, when=line.days[place])
    first, second = line.halves() or (None, None)
    if first is None or second is None:
        return
    family = f"{stem}.halves"
    add("half1", first, Aspect.HALF, family=family, rank=1)
    add("half2", second, Aspect.HALF, family=family, rank=2)
    add("halves.difference", second - first, Aspect.DIFFERENCE, family=family)
    if first:
        add("halves.change", (second - first) / abs(first), Aspect.CHANGE, Unit.PERCENT, family=family)


def _notable(scores: Sequence[float]) -> list[tuple[int, float]]:
    """The z-scores worth a fact: the last point's, the farthest, and all beyond 2."""
    farthest = max((abs(score) for score in scores), default=0.0)
    return [(place, score) for place, score in enumerate(scores) if abs(score) >= min(2.0, farthest) or place == len(scores) - 1]


def _projected(section: str, key: str, chart: Chart, collected: Collected) -> None:
    base = f"{section}.{key}"
    time = time_column(chart.table, chart.x)
    if time is None or chart.split is None:
        return
    ahead = [row for row in chart.table.rows if row[time] is not None and str(row[time])[:10] > chart.split[:10]]
    for index, column in enumerate(chart.table.columns):
        cells = [(str(row[time])[:10], row[index]) for row in ahead]
        values = [(day, float(cell)) for day, cell in cells if isinstance(cell, (int, float)) and not isinstance(cell, bool)]
        if not values:
            continue
        stem, concepts = f"{base}.{column.key}.projected", frozenset({column.key, "projected"})
        for day, value in values[:POINTS]:
            collected.add(
                Fact(
                    f"{stem}.{day}",
                    column.title,
                    column.title,
                    value,
                    column.unit,
                    section,
                    key,
                    Aspect.PROJECTED,
                    concepts,
                    stem,
                    when=day,
                )
            )
        collected.add(
            Fact(
                f"{stem}.last",
                column.title,
                column.title,
                values[-1][1],
                column.unit,
                section,
                key,
                Aspect.PROJECTED,
                concepts,
                stem,
                rank=1,
            )
        )
        if column.unit in ADDITIVE:
            total = sum(value for _, value in values)
            collected.add(
                Fact(f"{stem}.total", column.title, column.title, total, column.unit, section, key, Aspect.PROJECTED, concepts, stem)
            )
