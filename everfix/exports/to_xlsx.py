"""XLSX: typed cells from a server-side cursor, a new sheet where one is full; the library writes to disk as it goes."""

from __future__ import annotations

import itertools
import json
from collections.abc import Callable, Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.documents import to_xlsx as sheets
from everfix.documents.model import Unit
from everfix.exports.columns import Column
from everfix.exports.rows import Look

SHEET_ROWS = 1_048_575  # what Excel holds, less the header
FORMATS = {
    Unit.COUNT: "#,##0", Unit.NUMBER: "#,##0.00", Unit.PROBABILITY: "0.0%", Unit.PERCENT: "0.0%", Unit.SCORE: "0", Unit.MONEY: "#,##0",
    Unit.SECONDS: "#,##0", Unit.DATETIME: "yyyy-mm-dd hh:mm:ss",
}  # fmt: skip
Row = dict[str, Any]


def write(path: Path, db: Session, look: Look, told: Callable[[int], None], expected: int = 0) -> tuple[int, UUID | None]:
    """Write the rows to `path` and return how many there were, and the key of the last; `expected` says how many sheets to prepare."""
    from rustpy_xlsxwriter import FastExcel  # noqa: PLC0415 - needed by this format only

    seen: list[Any] = [0, None]
    rows = _rows(db, look, seen, told)
    book = FastExcel(str(path), output_format="xlsx").freeze(row=1)
    for number in range(max(1, -(-expected // SHEET_ROWS))):
        sheet = itertools.islice(rows, SHEET_ROWS)
        book.sheet(
            look.resource.title if number == 0 else f"{look.resource.title} {number + 1}",
            _headed(sheet, look.columns),
            header_format=sheets.format_().set_bold(),
            column_widths=[_width(column) for column in look.columns],
            column_formats=[_format(column) for column in look.columns],
            autofilter=True,
        )
    book.save()
    if next(rows, None) is not None:  # more rows came to fit the filters since they were counted: never leave them out
        raise RuntimeError("there are more rows than were counted; the part is written again")
    return seen[0], seen[1]


def _headed(rows: Iterator[Row], columns: Sequence[Column]) -> Iterator[Row]:
    """Yield the rows of a sheet; one empty row where there is none, since the header comes from the first."""
    first = next(rows, None)
    yield dict.fromkeys(column.key for column in columns) if first is None else first
    yield from rows


def _rows(db: Session, look: Look, seen: list[Any], told: Callable[[int], None]) -> Iterator[Row]:
    keys, turns = [column.key for column in look.columns], [_turn(column) for column in look.columns]
    for last, columns in look.batches(db, wall_clock=True):
        seen[0], seen[1] = seen[0] + len(columns[0]), last
        for made in zip(*(turn(values) for turn, values in zip(turns, columns, strict=True)), strict=True):
            yield dict(zip(keys, made, strict=True))
        told(seen[0])


def _turn(column: Column) -> Callable[[Sequence[Any]], Iterable[Any]]:
    """Return what turns a stretch of a column into Excel's own types; texts stay texts, whatever they begin with."""
    if column.nested:
        return lambda part: [None if cell is None else sheets.clean(json.dumps(cell, ensure_ascii=False)) for cell in part]
    if column.unit in FORMATS or column.unit is Unit.FLAG:
        return lambda part: part
    return sheets.plains


def _width(column: Column) -> int:
    if column.prefix:
        return 32
    return sheets.WIDE if column.wide else 20 if column.unit is Unit.DATETIME else 18 if column.unit is Unit.TEXT else 13


def _format(column: Column) -> Any:  # noqa: ANN401 - rustpy_xlsxwriter.Format, or None
    return sheets.format_().set_num_format(FORMATS[column.unit]) if column.unit in FORMATS else None
