"""A Document as Markdown: reads well as plain text, in a forge and pasted into Slack; every text is escaped."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from everfix.documents import cells, matrix
from everfix.documents import format as words
from everfix.documents.model import Block, Chart, Document, Figure, Figures, Section, Table, Text

# What means something to CommonMark, to GitHub's tables or to Slack. An underscore inside a word means nothing, so names stay readable.
SPECIAL = re.compile(r"([\\`*\[\]~|]|(?<![^\W_])_|_(?![^\W_]))")
STARTS = re.compile(r"^([#+=:]|-(?!\d)|\d+(?=[.)](?:\s|$)))")
ADDRESS = re.compile(r"\b(https?|ftp|www|mailto|javascript|data)(?=[:.])", re.IGNORECASE)  # what would link itself
MENTION = re.compile(r"(?<![\w.])@(?=\w)")  # of a person, a team or a whole channel, where Markdown is pasted into a forge or into Slack
ENTITY = re.compile(r"&(?=#?\w+;)")
PREFIX = {"warning": "**Warning:** ", "error": "**Error:** ", "note": "**Note:** ", "body": ""}
MOST = 60  # rows of one table; more say how many there are
MOST_CELL = 300  # characters


def render(document: Document) -> bytes:
    """Return the report as Markdown in UTF-8; charts appear as their description and their data."""
    lines = [*_cover(document), *_story(document)]
    for section in document.sections:
        lines += _section(document, section)
    if address := cells.link(document.link):
        lines += ["---", "", f"[Open the live report]({_address(address)})", ""]
    return ("\n".join(lines).rstrip() + "\n").encode()


def escape(text: str) -> str:
    """Return `text` as one line that Markdown shows letter by letter; "<" and "&" become entities, addresses are not linked, nobody is mentioned."""
    line = " ".join(words.printable(text).split())
    line = ENTITY.sub("&amp;", line).replace("<", "&lt;").replace(">", "&gt;")
    line = SPECIAL.sub(r"\\\1", line)
    line = STARTS.sub(lambda match: f"{match[1]}\u2060" if match[1].isdigit() else f"\\{match[1]}", line)
    return ADDRESS.sub("\\1\u2060", MENTION.sub("@\u2060", line))


def _cover(document: Document) -> Iterator[str]:
    yield f"# {escape(cells.heading(document.title, 'Report'))}"
    yield ""
    if document.subtitle:
        yield f"*{escape(document.subtitle)}*"
        yield ""
    if document.facts:
        yield f"**{escape(document.workspace)}** · " + " · ".join(f"{escape(name)}: {escape(text)}" for name, text in document.facts)
    else:
        label = f"{escape(document.period.label)}, " if document.period.label else ""
        yield f"**{escape(document.workspace)}** · {label}{cells.period(document)}, compared with {cells.compared(document)}"
    yield ""
    rights = f" · with the rights of {escape(document.rights)}" if document.rights else ""
    yield f"{escape(document.brand.name)} · made {escape(cells.generated(document))}{rights}"
    yield ""
    for notice in document.notices:
        yield f"> **Notice:** {escape(notice)}"
        yield ""


def _story(document: Document) -> Iterator[str]:
    story = document.narrative
    if story is None:
        return
    if story.executive_summary:
        yield "## Executive summary"
        yield ""
        yield from _paragraphs(story.executive_summary)
    if story.key_takeaways:
        yield "**Key takeaways**"
        yield ""
        yield from (f"- {escape(text)}" for text in story.key_takeaways)
        yield ""
    if story.note:
        yield f"*{escape(story.note)}*"
        yield ""


def _section(document: Document, section: Section) -> Iterator[str]:
    yield f"## {escape(cells.heading(section.title, 'Section'))}"
    yield ""
    if document.narrative and (text := document.narrative.sections.get(section.id)):
        yield from _paragraphs(cells.paragraphs(text))
    for block in section.blocks:
        yield from _block(document, block)


def _block(document: Document, block: Block) -> Iterator[str]:
    if block.title:
        yield f"### {escape(cells.title(block))}"
        yield ""
    match block:
        case Figures():
            yield from _figures(document, block)
        case Table():
            yield from _table(document, block)
        case Chart():
            yield escape(block.alt)
            yield ""
            if names := matrix.key(block):
                yield escape("Dots: " + "; ".join(names))
                yield ""
            yield from _table(document, block.table)
        case Text():
            first, *rest = [part for text in block.paragraphs for part in cells.paragraphs(text)] or [""]
            quote = "" if block.role == "body" else "> "
            yield f"{quote}{PREFIX[block.role]}{escape(first)}"
            yield from (line for part in rest for line in (quote.rstrip(), f"{quote}{escape(part)}"))
            yield ""


def _figures(document: Document, block: Figures) -> Iterator[str]:
    headers = ("Figure", "Value", "Change", "Before", "Note")
    yield from _grid(headers, (False, True, True, True, False), [_figure(document, figure) for figure in block.figures])


def _figure(document: Document, figure: Figure) -> list[str]:
    change = cells.change(document, figure)
    arrow = {"up": "▲ ", "down": "▼ ", "none": ""}[change.arrow]
    before = cells.show(document, figure.previous, figure.unit)
    value = cells.show(document, figure.value, figure.unit)
    return [escape(figure.title), f"**{escape(value)}**", escape(f"{arrow}{change.words}"), escape(before), escape(figure.note)]


def _table(document: Document, table: Table) -> Iterator[str]:
    if not table.rows:
        yield f"*{escape(table.empty)}*"
        yield ""
        return
    body = []
    for number, row in enumerate(table.rows[:MOST]):
        texts = [
            escape(words.short(cells.show(document, cell, column.unit), MOST_CELL)) for cell, column in zip(row, table.columns, strict=True)
        ]
        if table.links and (address := cells.link(table.links[number])):
            texts[0] = f"[{texts[0]}]({_address(address)})"
        body.append(texts)
    yield from _grid([escape(column.title) for column in table.columns], [cells.right(column) for column in table.columns], body)
    total = max(table.total_rows or 0, len(table.rows))
    extent = f"{len(body):,} of {total:,} rows" if total > len(body) else ""
    if under := " · ".join(part for part in (extent, escape(table.note)) if part):
        yield under
        yield ""


def _grid(headers: Sequence[str], right: Sequence[bool], rows: list[list[str]]) -> Iterator[str]:
    yield f"| {' | '.join(headers)} |"
    yield f"|{'|'.join(' ---: ' if number else ' --- ' for number in right)}|"
    yield from (f"| {' | '.join(row)} |" for row in rows)
    yield ""


def _paragraphs(texts: Sequence[str]) -> Iterator[str]:
    for text in texts:
        yield escape(text)
        yield ""


def _address(address: str) -> str:
    """Return an address that cannot end its parentheses early or leave its table cell."""
    return (
        address.replace("(", "%28").replace(")", "%29").replace("|", "%7C").replace("_", "%5F")
        if "|" in address or "(" in address or ")" in address
        else address
    )
