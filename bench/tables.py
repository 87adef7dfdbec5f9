"""A Document with one large table, for the spreadsheet benches."""

from __future__ import annotations

from datetime import UTC, date, datetime

from bench import rows
from everfix.documents.model import Brand, Column, Document, Period, Section, Table, Unit

UNITS = (Unit.TEXT, Unit.TEXT, Unit.TEXT, Unit.COUNT, Unit.SCORE, Unit.PROBABILITY, Unit.MONEY, Unit.DATE, Unit.DATETIME, Unit.FLAG)


def document(count: int) -> Document:
    """Return a report that holds `count` rows of `rows.raw`."""
    columns = tuple(Column(key=f"c{n}", title=title, unit=unit) for n, (title, unit) in enumerate(zip(rows.HEADERS, UNITS, strict=True)))
    table = Table(key="issues", title="All issues", columns=columns, rows=tuple(rows.raw(count)))
    previous = {"previous_start": date(2025, 1, 1), "previous_end": date(2025, 12, 31)}
    period = Period(start=date(2026, 1, 1), end=date(2026, 12, 31), **previous, label="2026", timezone="UTC")
    return Document(
        title="Issues",
        workspace="Bench",
        period=period,
        generated_at=datetime(2027, 1, 1, tzinfo=UTC),
        brand=Brand(),
        sections=(Section(id="issues", title="Issues", blocks=(table,)),),
    )
