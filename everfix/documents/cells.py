"""What the cells, figures and headings of a Document read like: shared by every renderer, so that all say the same."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Literal

from everfix.documents import format as words
from everfix.documents.model import Block, Cell, Chart, Column, Document, Figure, Figures, Table, Text, Unit

Tone = Literal["good", "bad", "plain"]
WORDS = (Unit.TEXT, Unit.DATE, Unit.DATETIME, Unit.FLAG)  # set from the left; everything else is a number, set from the right
SEEN = re.compile(
    r"[^\s\u00ad\u034f\u061c\u115f\u1160\u17b4\u17b5\u180b-\u180f\u200b-\u200f\u2060-\u206f\u2800\u3164\ufe00-\ufe0f\ufeff\uffa0\U000e0000-\U000e0fff]"
)
LINK = re.compile(r"https?://[^\s<>\"'`\\\x00-\x20]+", re.IGNORECASE)
UNIT = re.compile(r"(?<=\d) (?=(?:%|(?:d|h|min|s|days?)\b))")
TONES: dict[str, Tone] = {"better": "good", "worse": "bad"}


@dataclass(frozen=True)
class Change:
    """A figure's change as its card shows it; `words` is "" where there is nothing to compare with."""

    words: str
    tone: Tone
    arrow: Literal["up", "down", "none"]
    before: str  # "before: 1,391"


def show(document: Document, value: Cell, unit: Unit) -> str:
    """Return a value in words, in the document's currency and zone."""
    return words.printable(words.show(value, unit, currency=document.currency, timezone=document.period.timezone))


def right(column: Column) -> bool:
    """Return whether a column is set from the right."""
    return column.unit not in WORDS


def change(document: Document, figure: Figure) -> Change:
    """Return what a figure card says about the previous period."""
    state = words.verdict(figure.value, figure.previous, figure.better)
    if state == "none":
        return Change("", "plain", "none", "")
    moved = words.change(figure.value, figure.previous) or 0.0
    arrow: Literal["up", "down", "none"] = "none" if state in ("flat", "new") else "up" if moved > 0 else "down"
    before = f"before: {show(document, figure.previous, figure.unit)}"
    return Change(words.change_text(figure.value, figure.previous), TONES.get(state, "plain"), arrow, before)


def tones(table: Table) -> dict[int, list[Tone]]:
    """Return the tone of each cell of the columns that hold changes: those that say what is better and go below zero."""
    found: dict[int, list[Tone]] = {}
    for place, column in enumerate(table.columns):
        numbers = [_number(row[place]) for row in table.rows]
        if column.better is None or not any(number is not None and number < 0 for number in numbers):
            continue
        found[place] = [_tone(number, column.better) for number in numbers]
    return found


def _tone(number: float | None, better: str) -> Tone:
    if not number:
        return "plain"
    return "good" if (number > 0) == (better == "up") else "bad"


def shares(table: Table) -> dict[int, list[float]]:
    """Return, for each column drawn with bars, every cell's share (0–1) of the column's largest value."""
    found: dict[int, list[float]] = {}
    for place, column in enumerate(table.columns):
        if not column.bar:
            continue
        numbers = [max(0.0, _number(row[place]) or 0.0) for row in table.rows]
        top = max(numbers, default=0.0)
        found[place] = [number / top if top else 0.0 for number in numbers]
    return found


def _number(value: Cell) -> float | None:
    return None if value is None or isinstance(value, str | bool) else float(value)


def link(address: str | None) -> str:
    """Return the address if it is one that a reader may follow (http or https), else ""."""
    return address if address and len(address) <= 2000 and LINK.fullmatch(address) else ""


def extent(table: Table) -> str:
    """Return "10 of 143 rows" where the table shows less than there is, else ""."""
    if table.total_rows is None or table.total_rows <= len(table.rows):
        return ""
    return f"{len(table.rows):,} of {table.total_rows:,} rows"


def paragraphs(text: str) -> list[str]:
    """Return the paragraphs of a text: what blank lines or line ends separate, printable."""
    return [part for part in (line.strip() for line in words.printable(text).split("\n")) if part]


def held(text: str) -> str:
    """Return a text in which no line can end between a number and its unit."""
    return UNIT.sub("\u00a0", text)


def period(document: Document) -> str:
    """Return the days reported on, "19 Oct – 17 Nov 2026"."""
    return span(document.period.start.isoformat(), document.period.end.isoformat())


def compared(document: Document) -> str:
    return span(document.period.previous_start.isoformat(), document.period.previous_end.isoformat())


def span(start: str, end: str) -> str:
    """Return two days as one phrase; the year is said once where it is the same."""
    first, last = words.show(start, Unit.DATE), words.show(end, Unit.DATE)
    if first == last:
        return first
    return f"{first[:-5] if first[-4:] == last[-4:] else first} – {last}"


def generated(document: Document) -> str:
    """Return when the report was made, with its zone: "18 Nov 2026, 08:00 (Europe/Berlin)"."""
    moment = words.show(document.generated_at.isoformat(), Unit.DATETIME, timezone=document.period.timezone)
    return f"{moment} ({document.period.timezone})"


def made(document: Document) -> list[tuple[str, str]]:
    """Return when the report was made and with whose rights, as a list of facts says them."""
    rights = [("With the rights of", words.short(words.printable(document.rights), 120))] if document.rights else []
    return [("Made", generated(document)), *rights]


def title(block: Block) -> str:
    """Return a block's heading, or ""."""
    return heading(block.title, "")


def heading(text: str, instead: str, most: int = 160) -> str:
    """Return a heading as one line of at most `most` characters; `instead` where there is nothing to see in it."""
    line = " ".join(words.printable(text).split())
    return words.short(line, most) if SEEN.search(line) else instead


def tables(document: Document) -> list[tuple[str, Table | Figures]]:
    """Return every table of figures or rows with its heading, charts by the data they draw, in the order of the report."""
    found: list[tuple[str, Table | Figures]] = []
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Text):
                continue
            heading = words.printable(section.title)
            if block.title and block.title != section.title:
                heading = f"{heading}: {title(block)}" if heading else title(block)
            found.append((heading, block.table if isinstance(block, Chart) else block))
    return found
