"""How a table is laid on paper: the width of each column, the size of its type, and the panels that a too wide one is cut into."""

from __future__ import annotations

import re
from typing import Any

from everfix.documents import cells
from everfix.documents import format as words
from everfix.documents.model import Column, Document, Table, Unit

Json = dict[str, Any]
PORTRAIT, LANDSCAPE = 174.0, 261.0  # millimetres between the margins of A4
SIZES = (8.2, 7.4, 6.8)  # points
GLYPH = 0.535 * 0.3528  # millimetres of an average character of Inter for each point of its size
DIGIT = 0.60 * 0.3528  # of a figure in a column of numbers
FRAME = 3.6  # millimetres of padding in a cell
BAR = 14.0  # millimetres for a bar in a cell
TEXT_LEAST, TEXT_MOST, WIDE_LEAST = 9, 26, 30  # characters a text column is given before it wraps
CELL = 700  # characters of one cell on paper; a longer text ends with "…", whole in CSV, XLSX and JSON
WORD = re.compile(r"\S{25,}")
CHUNK = re.compile(r"(.{10})")


def upright(text: str) -> str:
    """Let words of 25 characters and more break: a zero-width space after every ten, so nothing runs off the page."""
    return WORD.sub(lambda match: CHUNK.sub("\\1\u200b", match[0]), text)


def panels(document: Document, table: Table) -> tuple[list[Json], bool]:
    """Return the table's panels for the template, and whether they need the page turned.

    Tried in order: upright, in smaller type, turned, and at last cut into panels that each repeat the first column.
    """
    texts = [
        [words.short(cells.show(document, cell, column.unit), CELL) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    for room, sizes in ((PORTRAIT, SIZES), (LANDSCAPE, SIZES[1:])):
        for size in sizes:
            widths = _widths(table, texts, size)
            if sum(widths) <= room:
                return [_panel(table, texts, list(range(len(widths))), _filled(table.columns, widths, room), size=size)], room == LANDSCAPE
    widths = _widths(table, texts, SIZES[1])
    groups = _groups(widths, LANDSCAPE)
    made = []
    for number, group in enumerate(groups, start=1):
        columns = tuple(table.columns[place] for place in group)
        filled = _filled(columns, [min(widths[place], LANDSCAPE / 2) for place in group], LANDSCAPE)
        label = f"Columns, part {number} of {len(groups)}" if len(groups) > 1 else ""
        made.append(_panel(table, texts, group, filled, size=SIZES[1], label=label))
    return made, True


def _widths(table: Table, texts: list[list[str]], size: float) -> list[float]:
    """Return the least width of each column in millimetres: numbers never wrap, words may."""
    return [_width(column, [row[place] for row in texts], size) for place, column in enumerate(table.columns)]


def _width(column: Column, texts: list[str], size: float) -> float:
    longest = max(map(len, texts), default=0)
    heading = max((len(word) for word in column.title.split()), default=1)
    if column.unit is Unit.TEXT:
        least = WIDE_LEAST if column.wide else TEXT_LEAST
        characters = max(min(longest, TEXT_MOST if not column.wide else WIDE_LEAST), min(least, longest), min(heading, 14))
    else:
        characters = max(longest, min(heading, 14))
    if column.bar:
        return max(longest * size * DIGIT + BAR, heading * size * GLYPH) + FRAME
    return characters * size * (GLYPH if column.unit is Unit.TEXT else DIGIT) + FRAME


def _filled(columns: tuple[Column, ...], widths: list[float], room: float) -> list[float]:
    """Give the room that is left to the wide columns, else to the texts, else to all alike."""
    left = max(0.0, room - sum(widths))
    takers = [column.wide for column in columns]
    if not any(takers):
        takers = [column.unit is Unit.TEXT for column in columns]
    share = left / (sum(takers) or len(columns))
    return [width + (share if taker or not any(takers) else 0.0) for width, taker in zip(widths, takers, strict=True)]


def _groups(widths: list[float], room: float) -> list[list[int]]:
    groups: list[list[int]] = [[0]]
    used = widths[0]
    for place, width in enumerate(widths[1:], start=1):
        if used + width > room and len(groups[-1]) > 1:
            groups.append([0])
            used = widths[0]
        groups[-1].append(place)
        used += width
    return groups


def _panel(table: Table, texts: list[list[str]], group: list[int], widths: list[float], *, size: float, label: str = "") -> Json:
    shares, tones = cells.shares(table), cells.tones(table)
    links = [cells.link(address) for address in table.links] or [""] * len(texts)
    rows: list[list[Json | str]] = []
    for number, row in enumerate(texts):
        made: list[Json | str] = []
        for place in group:
            text = upright(row[place])
            extra: Json = {}
            if place == 0 and links[number] and text:
                extra["link"] = links[number]
            if place in shares:
                extra["share"] = shares[place][number]
            if place in tones and tones[place][number] != "plain":
                extra["tone"] = tones[place][number]
            made.append({"text": text, **extra} if extra else text)
        rows.append(made)
    columns = [
        {
            "title": upright(words.short(words.printable(table.columns[place].title), 80)),
            "right": cells.right(table.columns[place]),
            "width": width,
            "number": max((len(row[place]) for row in texts), default=1) * size * DIGIT + 0.6,
        }
        for place, width in zip(group, widths, strict=True)
    ]
    return {"label": label, "columns": columns, "rows": rows, "size": size}
