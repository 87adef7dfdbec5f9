"""Words about a table: richer for the tables every report knows (patterns, fixes, predictions, changes), sound for any other."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from everfix.documents.model import Cell, Column, Table, Unit
from everfix.narrative import cells, lexicon, prose
from everfix.narrative.prose import Voice
from everfix.narrative.told import Told

Row = tuple[Cell, ...]


@dataclass(frozen=True)
class Rows:
    """A table with its cells by column key; only rows whose name prose may use."""

    voice: Voice
    table: Table
    label: Column
    rows: tuple[Row, ...]

    def column(self, *keys: str) -> Column | None:
        return next((column for key in keys for column in self.table.columns if column.key == key), None)

    def cell(self, row: Row, column: Column | None) -> Cell:
        return None if column is None else row[self.table.columns.index(column)]

    def number(self, row: Row, column: Column | None) -> float | None:
        cell = self.cell(row, column)
        return float(cell) if isinstance(cell, (int, float)) and not isinstance(cell, bool) else None

    def show(self, row: Row, column: Column | None) -> str:
        cell = self.cell(row, column)
        return "" if column is None or cell is None or cell == "" else self.voice.say(cell, column.unit)

    def name(self, row: Row, column: Column | None = None) -> str:
        return self.voice.name(self.cell(row, column or self.label))

    @property
    def count(self) -> int:
        return len(self.table.rows) if self.table.total_rows is None else self.table.total_rows


def tell(voice: Voice, table: Table) -> Told:
    """Return the paragraph of a table."""
    if not table.rows:
        return Told((table.empty,))
    place = cells.label(table)
    if place is None:
        return _by_state(voice, table)
    label = table.columns[place]
    bounded = table.rows[: cells.ROWS]
    rows = Rows(voice, table, label, tuple(row for row in bounded if voice.name(row[place])))
    if not rows.rows:
        return Told()
    for wanted, writer in WRITERS:
        if all(rows.column(*keys) for keys in wanted) and (writer is not _patterns or label.key == "pattern"):
            return writer(rows)
    return _any(rows)


def _by_state(voice: Voice, table: Table) -> Told:
    """Tell a table that counts things by their state: "4 recommendations are open, 5 are held"."""
    state = next((index for index, column in enumerate(table.columns) if column.unit is Unit.TEXT), None)
    count = next((index for index, column in enumerate(table.columns) if column.unit is Unit.COUNT), None)
    states = [] if state is None else [str(row[state]) for row in table.rows]
    if state is None or count is None or len(set(states)) < len(states) or any(not one.replace(" ", "").isalpha() for one in states):
        return Told()
    title = table.columns[count].title
    rows = [(str(row[state]), float(cell)) for row in table.rows if isinstance(cell := row[count], (int, float)) and cell]
    amounts = [prose.counted(number, title) if place == 0 else voice.say(number, Unit.COUNT) for place, (_, number) in enumerate(rows)]
    told = [f"{amount} {'is' if number == 1 else 'are'} {prose.lower(name)}" for amount, (name, number) in zip(amounts, rows, strict=True)]
    return Told((voice.sentence(prose.listing(told)),)) if told else Told((table.empty,))


def _sorted(rows: Rows, column: Column) -> list[Row]:
    """Return the rows prose may name, largest first; none where the largest of all is not among them."""
    known = [row for row in rows.rows if rows.number(row, column) is not None]
    known.sort(key=lambda row: -(rows.number(row, column) or 0.0))
    values = [rows.number(row, column) for row in rows.table.rows]
    top = max((value for value in values if value is not None), default=None)
    return known if known and rows.number(known[0], column) == top else []


def _patterns(rows: Rows) -> Told:
    voice, risk, issues = rows.voice, rows.column("risk_score"), rows.column("issues")
    order = _sorted(rows, risk or rows.table.columns[0])
    if not order or risk is None:
        return _any(rows)
    top = order[0]
    head = f"{rows.name(top)} carries the highest {prose.lower(risk.title)}, {rows.show(top, risk)}"
    if issues is not None and rows.show(top, issues):
        number = rows.number(top, issues) or 0.0
        head += f", with {prose.counted(number, issues.title)}" + _share(rows, top) + _before(rows, top)
    sentences = [voice.sentence(head)]
    parts = [f"{rows.name(row)} ({_pattern(rows, row)})" for row in order[1:3]]
    if parts:
        sentences.append(voice.sentence(f"behind it {'come' if len(parts) > 1 else 'comes'} {prose.listing(parts)}"))
    sentences += _top_share(rows, issues)
    sentences += _seen(rows, top)
    if rows.count > len(rows.table.rows):
        sentences.append(
            voice.sentence(f"{voice.say(len(rows.table.rows), Unit.COUNT)} of {prose.counted(rows.count, rows.label.title)} are shown")
        )
    sentences += _states(rows)
    summary = voice.sentence(
        f"what keeps coming back is led by {rows.name(top)}, with {_also(rows, top)}a {prose.lower(risk.title)} of {rows.show(top, risk)}"
    )
    return Told(tuple(sentences), summary, sentences[0], 8.0)


def _before(rows: Rows, row: Row) -> str:
    """Tell where the failures of a pattern stood in the period before."""
    issues, before = rows.column("issues"), rows.column("before")
    now, old = rows.number(row, issues), rows.number(row, before)
    if issues is None or before is None or before.unit is not issues.unit or rows.column("now") is not None:
        return ""
    if now is None or old is None or now == old:
        return ""
    return f", {'up' if now > old else 'down'} from {rows.show(row, before)}"


def _also(rows: Rows, row: Row) -> str:
    issues = rows.column("issues")
    number = rows.number(row, issues)
    return "" if issues is None or number is None else f"{prose.counted(number, issues.title)}{_share(rows, row)} and "


def _share(rows: Rows, row: Row) -> str:
    share = rows.column("share")
    return f" ({rows.show(row, share)} of the total)" if rows.show(row, share) else ""


def _pattern(rows: Rows, row: Row) -> str:
    parts = []
    for key in ("risk_score", "issues"):
        column = rows.column(key)
        if column is not None and rows.show(row, column):
            number = rows.number(row, column) or 0.0
            parts.append(
                f"{prose.lower(column.title)} {rows.show(row, column)}"
                if column.unit is not Unit.COUNT
                else prose.counted(number, column.title)
            )
    return ", ".join(parts)


def _top_share(rows: Rows, column: Column | None) -> list[str]:
    """Say how much the three largest hold together, where the table is whole and there are more than that."""
    if column is None or column.unit not in cells.ADDITIVE or rows.count != len(rows.table.rows) or len(rows.table.rows) <= 4:
        return []
    known = [rows.number(row, column) for row in rows.table.rows]
    values = sorted((value for value in known if value is not None), reverse=True)
    if len(values) <= 4 or values[-1] < 0 or not sum(values):
        return []
    share = rows.voice.say(sum(values[:3]) / sum(values), Unit.PERCENT)
    return [
        rows.voice.sentence(f"the three largest {prose.plural(rows.label.title)} hold {share} of the {prose.lower(column.title)} listed")
    ]


def _seen(rows: Rows, row: Row) -> list[str]:
    seen, chance = rows.column("last_seen"), rows.column("probability")
    parts = []
    if rows.show(row, seen):
        parts.append(f"was last seen on {rows.show(row, seen)}")
    if rows.show(row, chance):
        parts.append(f"has {prose.article(rows.show(row, chance))} chance of coming back")
    told = prose.listing(parts)
    trend = rows.column("change", "trend")
    number = rows.number(row, trend)
    if trend is not None and trend.unit is Unit.PERCENT and number and told and rows.show(row, trend) not in ("0 %", "-0 %"):
        told += f"; the trend is {'up' if number > 0 else 'down'} {rows.voice.say(abs(number), Unit.PERCENT)}"
    return [rows.voice.sentence(f"{rows.name(row)} {told}")] if parts else []


def _states(rows: Rows) -> list[str]:
    """Count the rows in each state, where there are few states."""
    column = rows.column("status", "verdict", "state")
    if column is None or len(rows.table.rows) < 2:
        return []
    found = Counter(str(cell) for cell in rows.table.column(column.key) if cell not in (None, ""))
    if not found or len(found) > 4 or any(not state.replace(" ", "").isalpha() for state in found):
        return []
    parts = [f"{count} {prose.lower(state)}" for state, count in found.most_common()]
    return [rows.voice.sentence(f"by {prose.lower(column.title)}: {prose.listing(parts)}")]


def _prevented(rows: Rows) -> Told:
    voice, prevented = rows.voice, rows.column("prevented", "loops_prevented")
    expected, observed, pattern = rows.column("expected"), rows.column("observed"), rows.column("pattern")
    if prevented is None:
        return _any(rows)
    sentences, order = [], _sorted(rows, prevented)
    total = sum(rows.number(row, prevented) or 0.0 for row in rows.table.rows)
    if prevented.unit in cells.ADDITIVE:
        followed = prose.counted(len(rows.table.rows), rows.label.title)
        sum_ = (
            voice.say(total, prevented.unit)
            if prevented.unit is Unit.MONEY
            else prose.amount(voice.say(total, prevented.unit), "recurrence")
        )
        sentences.append(
            voice.sentence(
                f"{followed} were followed up; together they prevented {sum_}"
                if len(rows.table.rows) > 1
                else f"{followed} was followed up"
            )
        )
    for row in order[:2]:
        told = f"{prose.quoted(rows.name(row))} prevented {prose.amount(rows.show(row, prevented), 'recurrence')}"
        if pattern is not None and rows.name(row, pattern) and rows.name(row, pattern) != rows.name(row):
            told += f" of {rows.name(row, pattern)}"
        if rows.show(row, expected) and rows.show(row, observed):
            told += f": {rows.show(row, expected)} had been expected and {rows.show(row, observed)} came back"
        sentences.append(voice.sentence(told))
    sentences += _states(rows)
    return Told(tuple(sentences), sentences[0], sentences[1] if len(sentences) > 1 and order else sentences[0], 5.0)


def _fixes(rows: Rows) -> Told:
    voice, rank, pattern = rows.voice, rows.column("rank"), rows.column("pattern")
    gain = rows.column("expected_loops_prevented", "impact")
    order = sorted((row for row in rows.rows if rows.number(row, rank) is not None), key=lambda row: rows.number(row, rank) or 0.0)
    if not order:
        return _any(rows)
    sentences = []
    for place, row in enumerate(order[:3]):
        target = rows.name(row, pattern) if pattern is not None else ""
        told = f"{('start with', 'next in line is', 'after that comes')[place]} {prose.quoted(rows.name(row))}"
        addresses = f"addresses {target}" if target and target != rows.name(row) else ""
        gains = ""
        if rows.show(row, gain):
            gains = f"is expected to prevent {_gain(rows, row, gain)}" if place == 0 else f"should prevent {rows.show(row, gain)}"
        does = prose.listing([part for part in (addresses, gains) if part])
        sentences.append(voice.sentence(f"{told}, which {does}" if does else told))
    effort = rows.column("effort")
    if rows.show(order[0], effort):
        sentences[0] = f"{sentences[0][:-1]}; its effort is {prose.lower(rows.show(order[0], effort))}."
    name = prose.quoted(rows.name(order[0]))
    gains = f", which is expected to prevent {_gain(rows, order[0], gain)}" if rows.show(order[0], gain) else ""
    return Told(
        tuple(sentences), voice.sentence(f"the fix to make first is {name}{gains}"), voice.sentence(f"do this first: {name}{gains}"), 7.0
    )


def _gain(rows: Rows, row: Row, gain: Column | None) -> str:
    shown = rows.show(row, gain)
    return shown if gain is None or gain.unit in (Unit.MONEY, Unit.PERCENT, Unit.TEXT) else prose.amount(shown, "recurrence")


def _due(rows: Rows) -> Told:
    voice, chance, window, trigger = (
        rows.voice,
        rows.column("probability"),
        rows.column("window_days"),
        rows.column("likely_trigger", "trigger"),
    )
    if chance is None:
        return _any(rows)
    order = _sorted(rows, chance)
    if not order:
        return _any(rows)
    told: list[str] = []
    for place, row in enumerate(order[:3]):
        if place:
            within = f" within {voice.say(rows.number(row, window), Unit.DAYS)}" if rows.number(row, window) is not None else ""
            told.append(f"{rows.name(row)} {'follows' if place == 1 else ''} at {rows.show(row, chance)}{within}".replace("  ", " "))
            continue
        part = f"{rows.name(row)} has {prose.article(rows.show(row, chance))} chance of coming back"
        if rows.number(row, window) is not None:
            part += f" within {rows.voice.say(rows.number(row, window), Unit.DAYS)}"
        if rows.show(row, trigger):
            part += f", with {rows.show(row, trigger)} as the likely trigger"
        told.append(voice.sentence(part))
    if len(told) > 1:
        told = [told[0], voice.sentence(prose.listing(told[1:]))]
    count = f"{prose.counted(rows.count, rows.label.title)} {'is' if rows.count == 1 else 'are'} listed as due"
    due = f"due next: {told[0][:-1]}"
    return Told(
        (voice.sentence(count), *told),
        voice.sentence(due),
        voice.sentence(f"watch {told[0][:-1].replace(' has ', ', which has ', 1)}"),
        6.5,
    )


def _changes(rows: Rows) -> Told:
    voice, before, now = rows.voice, rows.column(*sorted(lexicon.PREVIOUS_KEYS)), rows.column(*sorted(lexicon.CURRENT_KEYS))
    sentences = []
    moved = [row for row in rows.rows if rows.number(row, before) is not None and rows.number(row, now) is not None]
    moved.sort(key=lambda row: -abs((rows.number(row, now) or 0.0) - (rows.number(row, before) or 0.0)))
    for row in moved[:4]:
        old, new = rows.show(row, before), rows.show(row, now)
        if old == new:
            continue
        way = (rows.number(row, now) or 0.0) > (rows.number(row, before) or 0.0)
        verb = voice.choose(rows.name(row), ("rose", "went up", "climbed") if way else ("fell", "went down", "dropped"))
        sentences.append(f"{rows.name(row)} {verb} from {old} to {new}")
    sentences = [voice.sentence(", while ".join(sentences[place : place + 2])) for place in range(0, len(sentences), 2)]
    if not sentences:
        return _any(rows)
    return Told(tuple(sentences), "", sentences[0], 4.0)


def _any(rows: Rows) -> Told:
    """Any other table: how many rows, and the largest of its main measure."""
    voice = rows.voice
    skip = cells.UNCOUNTED | lexicon.CHANGE_KEYS
    numeric = [
        column for column in rows.table.columns if column.unit not in (Unit.TEXT, Unit.FLAG, *cells.TIMES) and column.key not in skip
    ]
    noun = prose.plural(rows.label.title)
    count = f"the table lists {prose.counted(len(rows.table.rows), rows.label.title)}"
    if rows.count > len(rows.table.rows):
        count = f"{voice.say(len(rows.table.rows), Unit.COUNT)} of {prose.counted(rows.count, rows.label.title)} are shown"
    if not numeric:
        return Told((voice.sentence(count), *_states(rows)), "", "", 0.5)
    main = numeric[0]
    order = _sorted(rows, main)
    if not order:
        values = [cell for cell in rows.table.column(main.key) if isinstance(cell, (int, float)) and not isinstance(cell, bool)]
        top_value = (
            [voice.sentence(f"the highest value of {prose.lower(main.title)} is {voice.say(max(values), main.unit)}")] if values else []
        )
        return Told((voice.sentence(count), *top_value), "", "", 0.5)
    title = prose.lower(main.title)
    top = order[0]
    head = f"{rows.name(top)} has the highest {title}, {rows.show(top, main)}"
    rest = [f"{rows.name(row)} ({rows.show(row, main)})" for row in order[1:3]]
    if len(order) == 1:
        head = f"{rows.name(top)} is given with {title} {rows.show(top, main)}"
    if rest:
        head += f", ahead of {prose.listing(rest)}"
    sentences = [voice.sentence(count), voice.sentence(head)]
    if len({rows.number(row, main) for row in order}) == 1 and len(order) > 1:
        sentences = [voice.sentence(count), voice.sentence(f"all {noun} have the same {title}, {rows.show(top, main)} at {rows.name(top)}")]
    sentences += _top_share(rows, main) + _states(rows)
    return Told(tuple(sentences), voice.sentence(head) if len(sentences) > 1 else "", sentences[1], 2.0)


WRITERS = (
    ((("expected_loops_prevented", "impact"), ("rank",), ("fix", "recommendation", "title")), _fixes),
    ((("prevented", "loops_prevented"), ("fix", "pattern")), _prevented),
    ((("risk_score",), ("pattern", "title", "name")), _patterns),
    ((("probability",), ("pattern",), ("window_days",)), _due),
    ((("before", "previous", "prior"), ("now", "current", "after")), _changes),
)
