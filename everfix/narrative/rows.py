"""A table as its writer reads it: cells by column key, names fit for prose, and orders in which each name stands once."""

from __future__ import annotations

from dataclasses import dataclass

from everfix.documents.model import Cell, Column, Table
from everfix.narrative import cells, prose
from everfix.narrative.prose import Voice

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
        cell = self.cell(row, column or self.label)
        return "" if cell is None else self.voice.name(cells.told(column or self.label, cell))

    def called(self, row: Row, column: Column | None = None) -> str:
        """Return a name as it stands inside a sentence: in quotation marks unless it is one word."""
        return prose.quoted(self.name(row, column))

    @property
    def count(self) -> int:
        return len(self.table.rows) if self.table.total_rows is None else self.table.total_rows


def ordered(rows: Rows, column: Column) -> list[Row]:
    """Return the rows prose may name, each name once, largest first; none where the largest of all is not among them."""
    known = [row for row in rows.rows if rows.number(row, column) is not None]
    known.sort(key=lambda row: -(rows.number(row, column) or 0.0))
    values = [rows.number(row, column) for row in rows.table.rows]
    top = max((value for value in values if value is not None), default=None)
    return once(rows, known) if known and rows.number(known[0], column) == top else []


def once(rows: Rows, known: list[Row], column: Column | None = None) -> list[Row]:
    """Drop the rows whose name (or cell of `column`) an earlier one has: a ranking that names a thing twice cannot be understood."""
    found: dict[str, Row] = {}
    for row in known:
        found.setdefault(str(rows.cell(row, column)) if rows.cell(row, column) else rows.name(row), row)
    return list(found.values())
