"""How a table is laid on paper: the width of each column, the size of its type, and the panels that a too wide one is cut into."""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any

from everfix.documents import cells, fonts
from everfix.documents import format as words
from everfix.documents.model import Column, Document, Table, Unit

Json = dict[str, Any]
PORTRAIT, LANDSCAPE = 174.0, 261.0  # millimetres between the margins of A4
# Tried in this order until a table fits: the room, the size of type in points, and the characters a long text is given before it wraps.
TRIES = (
    (PORTRAIT, 8.2, 34),
    (PORTRAIT, 7.6, 30),
    (PORTRAIT, 7.2, 26),
    (PORTRAIT, 6.8, 20),
    (LANDSCAPE, 7.4, 25),
    (LANDSCAPE, 6.8, 20),
)
EASY = 7.2  # points
CUT = 7.4  # points, in a table that is cut into panels
SMALLER = 0.4  # points that a heading is smaller than its column
POINT = 0.3528  # millimetres
FRAME = 3.4  # millimetres of padding in a cell, and a hair for rounding
BAR, BAR_MOST = 11.0, 24.0  # millimetres for a bar in a cell, and where there is room
ONE_LINE = 17  # a text column whose longest cell is not longer stays on one line
TEXT_LEAST = 12  # characters that a text column is given at the least before it wraps
LONG = 84  # characters: what a column of longer texts asks for
CELL = 700  # characters of one cell on paper; a longer text ends with "…", whole in CSV, XLSX and JSON
WORD = re.compile(r"\S{18,}")
SEAM = re.compile(r"(?<=[\w)\]])([._/:=,]+)(?=[\w(\[<])|(?<=[a-z])(?=[A-Z])")  # where a path, a name or an address may break
CHUNK = re.compile(r"([^\u200b]{10})(?=[^\u200b])")
LUMP = re.compile(r"[^\u200b]{25,}")


@dataclass(frozen=True)
class Want:
    """What a column asks for in millimetres: what it must have, and what it takes to keep every cell on one line."""

    least: float
    full: float


@lru_cache(maxsize=4096)
def upright(text: str) -> str:
    """Let words of 18 characters and more break: a zero-width space at their seams, else after every ten; keep numbers with their units."""
    text = cells.held(text)
    return WORD.sub(lambda match: LUMP.sub(lambda lump: CHUNK.sub("\\1\u200b", lump[0]), SEAM.sub("\\1\u200b", match[0])), text)


def measured(text: str, size: float) -> float:
    """Return the width of a line of text in millimetres."""
    return fonts.ems(text) * size * POINT


def panels(document: Document, table: Table) -> tuple[list[Json], bool]:
    """Return the table's panels for the template, and whether they need the page turned.

    Tried in order: upright, in smaller type, turned, and at last cut into panels that each repeat the first column.
    """
    texts = [
        [_cell(cells.show(document, cell, column.unit), column) for cell, column in zip(row, table.columns, strict=True)]
        for row in table.rows
    ]
    fitting = [(room, size, wants) for room, size, wants in _tried(table, texts) if sum(want.least for want in wants) <= room]
    if fitting:
        room, size, wants = next((one for one in fitting if _unwrapped(table, one)), fitting[0])
        return [_panel(table, texts, list(range(len(wants))), _filled(table.columns, wants, room), size=size)], room == LANDSCAPE
    wants = _wants(table, texts, CUT, TRIES[-1][2])
    groups = _groups([want.least for want in wants], LANDSCAPE)
    made = []
    for number, group in enumerate(groups, start=1):
        columns = tuple(table.columns[place] for place in group)
        filled = _filled(columns, [wants[place] for place in group], LANDSCAPE)
        label = f"Columns, part {number} of {len(groups)}" if len(groups) > 1 else ""
        made.append(_panel(table, texts, group, filled, size=CUT, label=label))
    return made, True


def _tried(table: Table, texts: list[list[str]]) -> list[tuple[float, float, list[Want]]]:
    """Return each room and size to try with what the columns want in it, the turned page only where the upright one is too narrow."""
    tried = [(room, size, _wants(table, texts, size, characters)) for room, size, characters in TRIES]
    upright_ones = [one for one in tried if one[0] == PORTRAIT]
    return upright_ones if any(sum(want.least for want in wants) <= room for room, _, wants in upright_ones) else tried


def _unwrapped(table: Table, tried: tuple[float, float, list[Want]]) -> bool:
    """Return whether every cell keeps its line, in type that is still easy to read: then it is worth going smaller for."""
    room, size, wants = tried
    full = sum(want.least if column.bar else want.full for want, column in zip(wants, table.columns, strict=True))
    return size >= EASY and full <= room * 1.04  # widths are rounded up by about as much


def _cell(text: str, column: Column) -> str:
    """Cut what is too long for paper; a number and its unit never part."""
    return words.short(text, CELL) if column.unit is Unit.TEXT else words.short(text, CELL).replace(" ", "\u00a0")


def _wants(table: Table, texts: list[list[str]], size: float, characters: int) -> list[Want]:
    return [_want(column, [row[place] for row in texts], size, characters) for place, column in enumerate(table.columns)]


def _want(column: Column, found: list[str], size: float, characters: int) -> Want:
    """Numbers, days and short words stay on one line; long texts wrap, but keep room for `characters` (fewer if not wide) of them."""
    longest = max((measured(text[: LONG * 3], size) for text in found), default=0.0)
    title = _heading(column.title, size - SMALLER)
    if column.bar:
        return Want(max(longest + 1.5 + BAR, title) + FRAME, max(longest + 1.5 + BAR_MOST, title) + FRAME)
    em = 0.55 * size * POINT
    most = max(map(len, found), default=0)
    if column.unit is not Unit.TEXT or most <= ONE_LINE:
        wide = max(min(longest, LANDSCAPE / 2 - FRAME), title) + FRAME
        return Want(wide, wide)
    least = min(longest, (characters if column.wide or most > 2 * characters else TEXT_LEAST) * em)
    word = max((measured(part, size) for text in found[:200] for part in re.split(r"[\s\u200b-]", upright(text[:LONG]))), default=0.0)
    least = max(least, min(word, characters * em), title)
    return Want(least + FRAME, max(least, min(longest, LONG * em)) + FRAME)


def _heading(title: str, size: float) -> float:
    """Return the room of a heading on at most two lines, in bold."""
    parts = words.printable(title).split() or [""]
    halves = (max(measured(" ".join(parts[:cut]), size), measured(" ".join(parts[cut:]), size)) for cut in range(1, len(parts) + 1))
    return min(min(halves) * 1.08, 24 * 0.6 * size * POINT)


def _filled(columns: tuple[Column, ...], wants: list[Want], room: float) -> list[float]:
    """Share the room that is left: first by what each column still asks for, then among the wide columns, the texts, or all."""
    left = max(0.0, room - sum(want.least for want in wants))
    widths = [want.least for want in wants]
    for bars in (False, True):  # words come first: a bar says as much when it is short
        asked = [want.full - want.least if column.bar is bars else 0.0 for want, column in zip(wants, columns, strict=True)]
        share = min(1.0, left / sum(asked)) if sum(asked) > 0 else 0.0
        widths = [width + extra * share for width, extra in zip(widths, asked, strict=True)]
        left = max(0.0, room - sum(widths))
    takers = [column.wide for column in columns]
    if not any(takers):
        takers = [column.unit is Unit.TEXT for column in columns]
    each = left / (sum(takers) or len(columns))
    return [width + (each if taker or not any(takers) else 0.0) for width, taker in zip(widths, takers, strict=True)]


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
            "number": max((measured(row[place], size) for row in texts), default=0.0) + 0.3 if table.columns[place].bar else 0.0,
        }
        for place, width in zip(group, widths, strict=True)
    ]
    return {"label": label, "columns": columns, "rows": rows, "size": size}
