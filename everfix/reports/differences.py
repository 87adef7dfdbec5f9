"""Differences: what changed between two runs of a report, computed from their snapshots alone. Pure.

A figure changed when its value did; a table's rows are matched by their first text cells, and are new, gone, or changed in named columns.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator

from everfix.core.db import Json
from everfix.documents.model import Block, Cell, Column, Document, Figure, Figures, Section, Table, Unit

SECTION, TITLE = "changes_since_last_run", "What changed since the last run"
MOST_ROWS = 60
NAMES = (Unit.TEXT, Unit.DATE, Unit.DATETIME)


@dataclasses.dataclass(frozen=True, slots=True)
class Difference:
    """One difference. `kind` is figure, new, gone or changed; `what` names it inside its section; values are as the snapshots hold them."""

    section: str
    kind: str
    what: str
    column: str
    before: Cell
    after: Cell
    unit: Unit


def between(before: Document, after: Document) -> list[Difference]:
    """Return every difference, in the later report's order; parts that only one of the two has are left out."""
    earlier = {section.id: section for section in before.sections}
    found: list[Difference] = []
    for section in after.sections:
        if section.id != SECTION and section.id in earlier:
            found += _section(earlier[section.id], section)
    return found


def _section(before: Section, after: Section) -> Iterator[Difference]:
    blocks = {block.key: block for block in before.blocks}
    for block in after.blocks:
        other = blocks.get(block.key)
        if isinstance(block, Figures) and isinstance(other, Figures):
            yield from _figures(after, other, block)
        elif isinstance(block, Table) and isinstance(other, Table):
            yield from _tables(after, other, block)


def _figures(section: Section, before: Figures, after: Figures) -> Iterator[Difference]:
    values: dict[str, Figure] = {figure.key: figure for figure in before.figures}
    for figure in after.figures:
        other = values.get(figure.key)
        if other is not None and other.value != figure.value:
            yield Difference(section.title, "figure", figure.title, "", other.value, figure.value, figure.unit)


def _tables(section: Section, before: Table, after: Table) -> Iterator[Difference]:
    names = _names(after)
    if not names or [column.key for column in before.columns] != [column.key for column in after.columns]:
        return
    old, new = _rows(before, names), _rows(after, names)
    for name, row in new.items():
        if name not in old:
            yield Difference(section.title, "new", name, "", None, None, Unit.TEXT)
            continue
        for place, column in enumerate(after.columns):
            if place not in names and old[name][place] != row[place]:
                yield Difference(section.title, "changed", name, column.title, old[name][place], row[place], column.unit)
    if after.total_rows in (None, len(after.rows)):  # a cut table does not show whether a row is gone
        for name in old:
            if name not in new:
                yield Difference(section.title, "gone", name, "", None, None, Unit.TEXT)


def _names(table: Table) -> list[int]:
    """Return the places of the columns that name a row: its leading words and days."""
    found = []
    for place, column in enumerate(table.columns):
        if column.unit not in NAMES:
            break
        found.append(place)
    return found[:2]


def _rows(table: Table, names: list[int]) -> dict[str, tuple[Cell, ...]]:
    rows: dict[str, tuple[Cell, ...]] = {}
    for row in table.rows:
        rows.setdefault(" · ".join(str(row[place]) for place in names if row[place] is not None), row)
    return rows


def shown(found: list[Difference]) -> list[Json]:
    """Return differences as the API shows them."""
    return [{**dataclasses.asdict(item), "unit": item.unit.value} for item in found]


def section(before: Document | None, after: Document) -> Section:
    """Return the section "What changed since the last run" of a report."""
    return Section(id=SECTION, title=TITLE, blocks=blocks(before, after))


def blocks(before: Document | None, after: Document | None = None) -> tuple[Block, ...]:
    """Return what stands in that section."""
    if before is None or after is None:
        return (_empty("This is the first run of this report."),)
    return tuple(_blocks(before, after))


def _blocks(before: Document, after: Document) -> Iterator[Block]:
    found = between(before, after)
    figures = [item for item in found if item.kind == "figure"]
    rows = [item for item in found if item.kind != "figure"]
    since = f"{before.period.start.isoformat()} to {before.period.end.isoformat()}"
    if figures:
        yield _figure_table(before, after, since)
    if rows:
        yield Table(
            key="changed_rows",
            title="Rows",
            columns=(
                Column(key="section", title="Section"),
                Column(key="what", title="What", wide=True),
                Column(key="change", title="Change"),
                Column(key="before", title="Last run"),
                Column(key="after", title="This run"),
            ),
            rows=tuple(
                (item.section, item.what, item.column or item.kind, _words(item.before), _words(item.after)) for item in rows[:MOST_ROWS]
            ),
            total_rows=len(rows),
            note=f"Compared with the run for {since}.",
        )
    if not found:
        yield _empty(f"Nothing changed since the run for {since}.")


def _figure_table(before: Document, after: Document, since: str) -> Figures:
    """Return the changed figures as cards, each against its value in the last run."""
    old = {figure.key: figure for figure in _all(before)}
    cards = {}
    for figure in _all(after):
        other = old.get(figure.key)
        if other is not None and other.value != figure.value and figure.key not in cards:
            cards[figure.key] = figure.model_copy(update={"previous": other.value, "spark": (), "note": "against the last run"})
    return Figures(key="changed_figures", title=f"Figures against {since}", figures=tuple(cards.values()))


def _all(document: Document) -> Iterator[Figure]:
    for part in document.sections:
        for block in part.blocks:
            if isinstance(block, Figures) and part.id != SECTION:
                yield from block.figures


def _words(value: Cell) -> str | None:
    if isinstance(value, float):
        return f"{value:.4g}"
    return None if value is None else str(value)


def _empty(words: str) -> Table:
    return Table(key="changed_rows", columns=(Column(key="what", title="What", wide=True),), empty=words)
