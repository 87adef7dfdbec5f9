"""A report with long tables, cut into pieces that are typeset one after the other: Typst holds all of a compilation until its file is made.

A piece ends where a page does, so that the pages together look like those of one compilation. Where that is, is asked of Typst: a long
table is laid out some rows too far, the rows of its last page are taken back, and the next piece begins with them.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

Json = dict[str, Any]
AT_ONCE = 2_400  # cells of one compilation, at some 33 kB each
LEAST = 100  # rows of a table that is worth cutting: more than fit on a page


@dataclass(frozen=True)
class Told:
    """What Typst tells of a piece: its pages, and those of its headings of level 1 and of the rows of its cut table."""

    pages: int
    headings: tuple[int, ...]
    rows: tuple[int, ...]


@dataclass(frozen=True)
class Piece:
    """Some sections of the report, and how many pages come before and after them."""

    sections: list[Json]
    before: int
    pages: int
    headings: tuple[int, ...]


def many(data: Json) -> bool:
    """Return whether the report's tables hold more cells than one compilation should."""
    return sum(_cells(panel) for section in data["sections"] for block in section["blocks"] for panel in block.get("panels", ())) > AT_ONCE


def cut(data: Json, ask: Callable[[Json], Told]) -> list[Json]:
    """Return the data of each piece, with the page numbers and the table of contents of the whole."""
    entries = [{"title": title, "page": 0} for title in _titles(data)]
    found: list[Piece] = []
    rest: list[Json] = data["sections"]
    while rest:
        before = sum(piece.pages for piece in found)
        taken, left, is_open = _taken(rest)
        told = ask(_part(data, taken, before=before, pages=0, entries=entries, first=not found, last=not left))
        pages = told.pages
        if is_open:
            fitting = told.rows.index(told.rows[-1]) or len(told.rows)
            pages -= fitting < len(told.rows)
            taken, left = _moved(taken, left, fitting)
        found.append(Piece(taken, before, pages, tuple(page + before for page in told.headings)))
        rest = left
    total = sum(piece.pages for piece in found)
    pages_of = [page for piece in found for page in piece.headings]
    entries = [{**entry, "page": page} for entry, page in zip(entries, pages_of, strict=True)]
    return [
        _part(data, piece.sections, before=piece.before, pages=total, entries=entries, first=place == 0, last=place == len(found) - 1)
        for place, piece in enumerate(found)
    ]


def _part(data: Json, sections: list[Json], *, before: int, pages: int, entries: list[Json], first: bool, last: bool) -> Json:
    whole = {"entries": entries, "first": first, "before": before, "pages": pages}
    return data | {"sections": sections, "end": data["end"] if last else [], "unshown": data["unshown"] if last else "", "piece": whole}


def _titles(data: Json) -> list[str]:
    """Return the headings of level 1 in their order, as the template sets them."""
    first = ["Executive summary"] if data["summary"] else ["Key takeaways"] if data["takeaways"] else []
    return first + [section["title"] for section in data["sections"]]


def _cells(panel: Json) -> int:
    return len(panel["rows"]) * len(panel["columns"])


def _taken(sections: list[Json]) -> tuple[list[Json], list[Json], bool]:
    """Return the sections of a piece, those that are left, and whether the piece ends within a table."""
    room = AT_ONCE
    for number, section in enumerate(sections):
        for place, block in enumerate(section["blocks"]):
            for order, panel in enumerate(block.get("panels", ())):
                rows = max(LEAST, room // len(panel["columns"]))
                if len(panel["rows"]) > rows + LEAST:
                    return _parted(sections, (number, place, order), rows)
                room -= _cells(panel)
    return sections, [], False


def _parted(sections: list[Json], where: tuple[int, int, int], rows: int) -> tuple[list[Json], list[Json], bool]:
    number, place, order = where
    section, block = sections[number], sections[number]["blocks"][place]
    panel = block["panels"][order]
    head = {**panel, "rows": panel["rows"][:rows], "cut": True}
    tail = {**panel, "rows": panel["rows"][rows:], "label": ""}
    above = {**block, "panels": [*block["panels"][:order], head], "extent": "", "note": ""}
    below = {**block, "panels": [tail, *block["panels"][order + 1 :]], "title": ""}
    upper = {**section, "blocks": [*section["blocks"][:place], above]}
    lower = {**section, "blocks": [below, *section["blocks"][place + 1 :]], "title": "", "story": [], "lead": []}
    return [*sections[:number], upper], [lower, *sections[number + 1 :]], True


def _moved(taken: list[Json], left: list[Json], fitting: int) -> tuple[list[Json], list[Json]]:
    """Move the rows of a piece's cut table that begin another page to the piece that follows."""
    head, tail = taken[-1]["blocks"][-1]["panels"][-1], left[0]["blocks"][0]["panels"][0]
    above, below = taken[-1]["blocks"][-1], left[0]["blocks"][0]
    kept = {**above, "panels": [*above["panels"][:-1], {**head, "rows": head["rows"][:fitting], "cut": False}]}
    more = {**below, "panels": [{**tail, "rows": [*head["rows"][fitting:], *tail["rows"]]}, *below["panels"][1:]]}
    return (
        [*taken[:-1], {**taken[-1], "blocks": [*taken[-1]["blocks"][:-1], kept]}],
        [{**left[0], "blocks": [more, *left[0]["blocks"][1:]]}, *left[1:]],
    )
