"""Facts of a table: its cells, counts of rows and states, totals, shares and ranks."""

from __future__ import annotations

from bisect import bisect_right
from collections import Counter
from dataclasses import dataclass

from everfix.documents.model import Cell, Column, Table, Unit
from everfix.narrative import lexicon
from everfix.narrative.collected import Collected
from everfix.narrative.fact import Aspect, Fact, short

ROWS = 200  # cells of more rows are not facts; totals and counts are of all rows
RANKS = 10
ADDITIVE = frozenset({Unit.COUNT, Unit.MONEY})
TIMES = frozenset({Unit.DATE, Unit.DATETIME})
UNCOUNTED = frozenset({"rank", "window_days"})  # numbers that order or bound: neither ranked nor added up


@dataclass
class Read:
    """A table while it is read: which columns name rows, which hold states, and each row's names."""

    section: str
    block: str
    table: Table
    label: int | None
    named: tuple[int, ...]
    states: tuple[int, ...]
    names: tuple[tuple[str, ...], ...]

    @property
    def whole(self) -> bool:
        return self.table.total_rows in (None, len(self.table.rows))

    @property
    def counted(self) -> frozenset[str]:
        """The concepts that a count of rows counts."""
        label = () if self.label is None else (self.table.columns[self.label].key,)
        return frozenset({*label, self.section, "rows"})

    def subject(self, row: int) -> str:
        return short(str(self.table.rows[row][self.label])) if self.label is not None else f"row {row + 1}"


def collect(section: str, key: str, table: Table, collected: Collected) -> None:
    """Add every fact of `table`, bounded to its first ROWS rows."""
    for column in table.columns:
        collected.phrase(column.title, column.key)
    collected.phrase(table.title, section)
    collected.say((table.note, table.empty))
    read = _read(section, key, table, collected)
    if len(table.rows) > ROWS:
        collected.bounds.append(
            f"{section}.{key}: cells of the first {ROWS} of {len(table.rows):,} rows are facts; totals and counts are of all rows"
        )
    _counts(read, collected)
    for index, column in enumerate(table.columns):
        if column.unit in TIMES or column.unit not in (Unit.TEXT, Unit.FLAG):
            _cells(read, index, collected)
        if column.unit not in TIMES and column.unit not in (Unit.TEXT, Unit.FLAG) and column.key not in UNCOUNTED:
            _column(read, index, collected)
    _before_and_now(read, collected)
    _order(read, collected)


def _read(section: str, key: str, table: Table, collected: Collected) -> Read:
    text = [index for index, column in enumerate(table.columns) if column.unit is Unit.TEXT]
    first = label(table)
    plain = [index for index in text if table.columns[index].key not in lexicon.STATE_KEYS and index != first and _names(table, index)]
    named = () if first is None else (first, *plain)
    states = tuple(index for index in text if index not in named)
    collected.labels.update(f"{section}.{key}.{table.columns[index].key}" for index in named[:1])
    rows = []
    for row in table.rows[:ROWS]:
        names = [
            collected.name(told(table.columns[index], row[index]), f"{section}.{key}.{table.columns[index].key}", alias=str(row[index]))
            for index in named
            if row[index] not in (None, "")
        ]
        names = [name for name in dict.fromkeys(names) if name]
        collected.pairs.update((one, other) for one in names for other in names if one != other)
        said = [collected.state(str(row[index])) for index in states if row[index] not in (None, "")]
        names = names or ([] if named else said[:1])
        rows.append(tuple(names))
    return Read(section, key, table, named[0] if named else None, named, states, tuple(rows))


def told(column: Column, cell: Cell) -> str:
    """Return a cell as a name: a trigger without the evidence that stands behind it in brackets."""
    text = str(cell)
    return text.partition(" (")[0] if column.key in lexicon.TRIGGER_KEYS and text.endswith(")") else text


def label(table: Table) -> int | None:
    """Return the index of the column that names the rows: the first that holds names; None where words are all states."""
    text = [index for index, column in enumerate(table.columns) if column.unit is Unit.TEXT]
    known = [index for index in text if table.columns[index].key in lexicon.NAME_KEYS]
    plain = [index for index in text if table.columns[index].key not in lexicon.STATE_KEYS]
    kinds = [index for index in plain if table.columns[index].key not in lexicon.CHANGE_KEYS]
    for group in (known if len(plain) > 1 and plain[0] not in kinds else [], kinds, plain):
        if group:
            return group[0]
    return None


def _names(table: Table, index: int) -> bool:
    if table.columns[index].key in lexicon.NAME_KEYS:
        return True
    cells = [str(row[index]) for row in table.rows if row[index] not in (None, "")]
    return len(cells) > 1 and (len(set(cells)) == len(cells) or any(" " in cell for cell in cells))


def _counts(read: Read, collected: Collected) -> None:
    base = f"{read.section}.{read.block}.rows"
    title = read.table.title or read.section.replace("_", " ")
    total = len(read.table.rows) if read.table.total_rows is None else read.table.total_rows
    counts = {"shown": len(read.table.rows), "all": total}
    for key, count in counts.items():
        collected.add(Fact(f"{base}.{key}", title, "rows", count, Unit.COUNT, read.section, read.block, Aspect.ROWS, read.counted, base))
    for index in read.states if read.label is not None else ():
        column = read.table.columns[index]
        found = Counter(str(row[index]) for row in read.table.rows if row[index] not in (None, ""))
        for state, count in found.items():
            concepts = read.counted | {column.key}
            known = collected.state(state)
            collected.add(
                Fact(
                    f"{base}.{column.key}.{known}",
                    title,
                    state,
                    count,
                    Unit.COUNT,
                    read.section,
                    read.block,
                    Aspect.ROWS,
                    concepts,
                    base,
                    names=(known,),
                )
            )
        for row, names in enumerate(read.names):
            cell = read.table.rows[row][index]
            if names and cell not in (None, ""):
                collected.add(
                    Fact(
                        f"{read.section}.{read.block}.{row}.{column.key}",
                        read.subject(row),
                        column.title,
                        collected.state(str(cell)),
                        Unit.TEXT,
                        read.section,
                        read.block,
                        Aspect.STATE,
                        frozenset({column.key}),
                        f"{read.section}.{read.block}.{row}.{column.key}",
                        names=names,
                    )
                )


def _aspect(column: Column) -> Aspect:
    if column.key in lexicon.PREVIOUS_KEYS:
        return Aspect.PREVIOUS
    if column.key in lexicon.CURRENT_KEYS:
        return Aspect.CURRENT
    if column.key in lexicon.CHANGE_KEYS:
        return Aspect.CHANGE if column.unit is Unit.PERCENT else Aspect.DIFFERENCE
    return Aspect.CELL


def _family(read: Read, row: int, column: Column) -> str:
    paired = _aspect(column) is not Aspect.CELL
    return f"{read.section}.{read.block}.{row}" if paired else f"{read.section}.{read.block}.{row}.{column.key}"


def _cells(read: Read, index: int, collected: Collected) -> None:
    column = read.table.columns[index]
    aspect = _aspect(column)
    concepts = frozenset({column.key}) if aspect is Aspect.CELL else frozenset({column.key, read.section, "moved"})
    for row, names in enumerate(read.names):
        cell = read.table.rows[row][index]
        if cell is None or isinstance(cell, bool) or cell == "" or not names:
            continue  # a cell of a row without a name could be taken for a figure of the whole
        value = float(cell) if isinstance(cell, (int, float)) else str(cell)
        collected.add(
            Fact(
                f"{read.section}.{read.block}.{row}.{column.key}",
                read.subject(row),
                column.title,
                value,
                column.unit,
                read.section,
                read.block,
                aspect,
                concepts,
                _family(read, row, column),
                names=names,
                better=column.better,
            )
        )


def _number(cell: Cell) -> float | None:
    return float(cell) if isinstance(cell, (int, float)) and not isinstance(cell, bool) else None


def _column(read: Read, index: int, collected: Collected) -> None:
    column = read.table.columns[index]
    values = [_number(row[index]) for row in read.table.rows]
    known = [value for value in values if value is not None]
    if not known:
        return
    base = f"{read.section}.{read.block}.{column.key}"
    concepts = frozenset({column.key})

    def add(key: str, value: float, unit: Unit, aspect: Aspect, *, names: tuple[str, ...] = (), rank: int = 0, subject: str = "") -> None:
        collected.add(
            Fact(
                f"{base}.{key}",
                subject or read.table.title or read.section,
                column.title,
                value,
                unit,
                read.section,
                read.block,
                aspect,
                concepts | ({"share"} if aspect in (Aspect.SHARE, Aspect.TOP_SHARE) else frozenset()),
                base,
                names=names,
                rank=rank,
            )
        )

    total = sum(known)
    if column.unit in ADDITIVE and _aspect(column) is not Aspect.DIFFERENCE:
        add("total", total, column.unit, Aspect.TOTAL)
        if read.whole and total > 0 and min(known) >= 0:
            ordered = sorted(known, reverse=True)
            for size in range(2, min(RANKS, len(ordered)) + 1):
                add(f"top{size}", sum(ordered[:size]) / total, Unit.PERCENT, Aspect.TOP_SHARE, rank=size)
            for row, names in enumerate(read.names):
                value = values[row]
                if names and value is not None:
                    add(f"{row}.share", value / total, Unit.PERCENT, Aspect.SHARE, names=names, subject=read.subject(row))
    ordered = sorted(known)
    last = 1 + len(known) - bisect_right(ordered, ordered[0])
    add("maximum", max(known), column.unit, Aspect.MAXIMUM)
    add("minimum", min(known), column.unit, Aspect.MINIMUM)
    for row, names in enumerate(read.names):
        value = values[row]
        if names and value is not None and (len(known) > 1 or column.key == "risk_score"):
            rank = 1 + len(known) - bisect_right(ordered, value)
            add(f"{row}.rank", rank, Unit.COUNT, Aspect.RANK, names=names[:1], rank=last, subject=read.subject(row))


def _before_and_now(read: Read, collected: Collected) -> None:
    """Derive the difference and the relative change of rows that have a `before` and a `now` but lack them."""
    keys = {
        column.key: index
        for index, column in enumerate(read.table.columns)
        if column.unit not in (Unit.TEXT, Unit.FLAG) and column.unit not in TIMES
    }
    before = next((index for key, index in keys.items() if key in lexicon.PREVIOUS_KEYS), None)
    now = next((index for key, index in keys.items() if key in lexicon.CURRENT_KEYS), None)
    beside = None if now is not None or before is None else _beside(read.table, before)
    if before is None or (now is None and beside is None):
        return
    now = beside if now is None else now
    if now is None:
        return
    column = read.table.columns[now]
    for row, names in enumerate(read.names):
        old, new = _number(read.table.rows[row][before]), _number(read.table.rows[row][now])
        if old is None or new is None or not names:
            continue
        family = f"{read.section}.{read.block}.{row}" + ("" if beside is None else f".{column.key}")
        derived = [(Aspect.PREVIOUS, old, column.unit)] if beside is not None else []
        derived += [(Aspect.DIFFERENCE, new - old, column.unit)] + ([(Aspect.CHANGE, (new - old) / abs(old), Unit.PERCENT)] if old else [])
        for aspect, value, unit in derived:
            collected.add(
                Fact(
                    f"{family}.{aspect}",
                    read.subject(row),
                    column.title,
                    value,
                    unit,
                    read.section,
                    read.block,
                    aspect,
                    frozenset({"moved", read.section} if beside is None else {column.key, "moved"}),
                    family,
                    names=names,
                    better=column.better,
                )
            )


def _beside(table: Table, before: int) -> int | None:
    """The column that a lone `before` is the earlier value of: the nearest to its left of the same unit that is no share."""
    alike = [index for index, column in enumerate(table.columns[:before]) if column.unit is table.columns[before].unit]
    return next((index for index in reversed(alike) if table.columns[index].key not in UNCOUNTED), None)


def _order(read: Read, collected: Collected) -> None:
    """A `rank` column orders the rows: 1 is first."""
    keys = [column.key for column in read.table.columns]
    if "rank" not in keys:
        return
    values = [_number(row[keys.index("rank")]) for row in read.table.rows]
    last = max((value for value in values if value is not None), default=0)
    for row, names in enumerate(read.names):
        value = values[row]
        if names and value is not None:
            collected.add(
                Fact(
                    f"{read.section}.{read.block}.{row}.order",
                    read.subject(row),
                    "rank",
                    value,
                    Unit.COUNT,
                    read.section,
                    read.block,
                    Aspect.RANK,
                    frozenset({"rank", *read.counted}),
                    f"{read.section}.{read.block}.{row}.rank",
                    names=names[:1],
                    rank=int(last),
                )
            )
