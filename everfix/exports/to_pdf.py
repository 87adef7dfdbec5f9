"""PDF: the rows as a table on paper, for people; it says which columns it leaves to the other formats."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

import everfix
from everfix.core import clock
from everfix.documents import format as words
from everfix.documents import render
from everfix.documents.model import Column as Heading
from everfix.documents.model import Document, Period, Section, Table, Unit
from everfix.exports.columns import Column
from everfix.exports.rows import Look
from everfix.identity import workspaces
from everfix.metrics import brands


def on_paper(look: Look) -> list[Column]:
    """Return the columns that a PDF shows: those asked for by name, else the ones that people read."""
    return list(look.columns) if look.options.columns else [column for column in look.columns if column.paper]


def document(db: Session, look: Look, *, first: int, expected: int, filters: dict[str, Any]) -> tuple[Document, UUID | None]:
    """Return a part of the rows as a Document, and the key of the last row; `first` counts the rows of the parts before."""
    here, zone = workspaces.here(db), look.options.timezone
    shown = on_paper(look)
    places = [place for place, column in enumerate(look.columns) if column in shown]
    last, rows = None, []
    for key, columns in look.batches(db):
        last = key
        rows += list(zip(*([_cell(cell, look.columns[place]) for cell in columns[place]] for place in places), strict=True))
    left = len(look.columns) - len(shown)
    span = f"rows {first + 1:,} to {first + len(rows):,} of {expected:,}" if rows else "no rows"
    narrowed = "; ".join(f"{name} {value}" for name, value in filters.items()) or "none"
    made = clock.now()
    table = Table(
        key="rows",
        columns=tuple(Heading(key=column.key, title=column.heading, unit=column.unit, wide=column.wide) for column in shown),
        rows=tuple(rows),
        note=f"{left} more columns are in the CSV, XLSX and JSON exports." if left else "",
        empty="There are no such rows.",
    )
    today = date.fromisoformat(made.date().isoformat())
    return Document(
        title=f"{look.resource.title}: export",
        subtitle=f"{here.name}: {span}",
        workspace=here.name,
        period=Period(start=today, end=today, previous_start=today, previous_end=today, timezone=zone),
        facts=(("Rows", span), ("Filters", words.short(narrowed, 200)), ("Time zone", zone)),
        generated_at=made,
        currency=here.currency,
        brand=brands.of(here),
        sections=(Section(id="rows", title=look.resource.title, blocks=(table,)),),
        code_version=everfix.__version__,
    ), last


def _cell(value: Any, column: Column) -> Any:  # noqa: ANN401 - a cell
    if column.nested and value is not None:
        return json.dumps(value, ensure_ascii=False)
    if isinstance(value, datetime):
        return value.isoformat()
    return value if column.unit is not Unit.TEXT or value is None else str(value)


def write(
    path: Path, db: Session, look: Look, told: Callable[[int], None], *, first: int, expected: int, filters: dict[str, Any]
) -> tuple[int, UUID | None]:
    """Write the rows to `path` and return how many there were, and the key of the last."""
    made, last = document(db, look, first=first, expected=expected, filters=filters)
    path.write_bytes(render(made, "pdf"))
    rows = len(made.sections[0].blocks[0].rows)  # type: ignore[union-attr]
    told(rows)
    return rows, last
