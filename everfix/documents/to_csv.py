"""A Document as one CSV file: raw rows, no narrative. Each table is a block: its title, its header, its rows, then an empty line.

Values are raw (percent and probability as 0–1, durations in seconds, ISO 8601 days and instants), so a program can read them;
texts that a spreadsheet would take for a formula get a leading apostrophe. Quoting follows RFC 4180.
"""

from __future__ import annotations

import csv
import io
import re
from collections.abc import Iterator

from everfix.documents import cells
from everfix.documents import format as words
from everfix.documents.model import Cell, Document, Figures, Table

FORMULA = re.compile(r"[\s\u200b\ufeff]*[=+\-@]|[\t\r]")  # spreadsheets skip blanks before they look for "="
NUMBER = re.compile(r"[+-]?(\d+(\.\d*)?|\.\d+)([eE][+-]?\d+)?")
FIGURES = ("Key", "Figure", "Value", "Previous", "Change", "Unit", "Note")
NOTHING = "Nothing to show for this period."
BOM = "\ufeff"


def render(document: Document, *, bom: bool = False) -> bytes:
    """Return the tables of the report, charts as the data they draw; `bom` marks the file as UTF-8 for Excel on Windows."""
    out = io.StringIO(newline="")
    writer = csv.writer(out, lineterminator="\r\n")
    tables = cells.tables(document)
    if not tables:
        writer.writerows([[neutral(document.title)], [NOTHING]])
    for number, (title, block) in enumerate(tables):
        if number:
            out.write("\r\n")
        writer.writerow([neutral(title)])
        writer.writerows(rows(document, block))
    return ((BOM if bom else "") + out.getvalue()).encode()


def rows(document: Document, block: Table | Figures) -> Iterator[list[Cell]]:
    """Yield the header and the rows of one block, neutral."""
    if isinstance(block, Figures):
        yield list(FIGURES)
        for figure in block.figures:
            unit = document.currency if figure.unit == "money" else str(figure.unit)
            texts = (
                neutral(figure.title),
                figure.value,
                figure.previous,
                words.change(figure.value, figure.previous),
                unit,
                neutral(figure.note),
            )
            yield [figure.key, *texts]
        return
    yield [neutral(column.title) for column in block.columns]
    for row in block.rows:
        yield [neutral(cell) if isinstance(cell, str) else raw(cell) for cell in row]
    if extent := cells.extent(block):
        yield [neutral(extent)]


def raw(cell: Cell) -> Cell:
    """Return yes and no for flags; numbers stay numbers, nothing stays nothing."""
    return cell if not isinstance(cell, bool) else "yes" if cell else "no"


def neutral(text: str) -> str:
    """Return a text that no spreadsheet evaluates: "=1+1" → "'=1+1", while "-3.5" and "+49" stay the numbers they are."""
    shown = words.printable(text)
    if FORMULA.match(text) and not NUMBER.fullmatch(shown):
        return f"'{shown}"
    return shown
