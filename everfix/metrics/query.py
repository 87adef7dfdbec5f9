"""Query: a source's key, parameters and a period become a typed table."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.documents.model import Cell, Table
from everfix.errors import Invalid
from everfix.metrics import periods, sources
from everfix.metrics.periods import Period

PERIOD_PARAMS = ("days", "windowHours", "baselineDays")  # these move the period instead of being asked for by name


@functools.lru_cache(maxsize=1)
def catalogue() -> dict[str, sources.Source]:
    """Return the catalogue, made once."""
    return sources.catalogue()


def find(key: str) -> sources.Source:
    """Return one source; raises Invalid naming those there are."""
    found = catalogue().get(key)
    if found is None:
        raise Invalid(f"there is no source {key[:60]!r}", details={"source": f"one of {', '.join(sorted(catalogue()))}"})
    return found


def values(source: sources.Source, params: Mapping[str, Any] | None) -> dict[str, Any]:
    """Return every parameter of the source with its value; raises Invalid for unknown names and values out of bounds."""
    given = dict(params or {})
    known = {param.key: param for param in source.params}
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise Invalid(f"{source.key} has no parameter {unknown[0]!r}", details={unknown[0]: f"one of {', '.join(known) or 'none'}"})
    return {key: param.read(given.get(key)) for key, param in known.items()}


def table(
    db: Session, key: str, period: Period, params: Mapping[str, Any] | None = None, *, url: str = "", title: str | None = None
) -> Table:
    """Run a source and return its rows; `url` is put before links."""
    source = find(key)
    given = values(source, params)
    bound = {**stretch(period, given).sql, **{name: value for name, value in given.items() if name not in PERIOD_PARAMS}}
    rows = [tuple(cell(value) for value in row) for row in db.execute(text(source.sql), _used(source.sql, bound))]
    links: tuple[str | None, ...] = ()
    if source.page is not None:
        links = tuple(f"{url}{source.page.format(row[-1])}" if row[-1] else None for row in rows)
        rows = [row[:-1] for row in rows]
    total = int(db.execute(text(source.counts), _used(source.counts, bound)).scalar_one()) if source.counts else len(rows)
    return Table(
        key=source.key,
        title=source.title if title is None else title,
        columns=source.columns,
        rows=tuple(rows),
        total_rows=total,
        links=links,
        empty=source.empty,
    )


def stretch(period: Period, given: Mapping[str, Any]) -> Period:
    """Return the period that a source's own `days`, `windowHours` and `baselineDays` ask for: it ends where the given one ends."""
    days, hours, baseline = (given.get(name) for name in PERIOD_PARAMS)
    if days is not None:
        period = periods.last(days, period.end, period.timezone)
    if hours is not None:
        period = periods.hours(period, hours)
    return period if "baselineDays" not in given else periods.against(period, baseline or period.days)


def records(db: Session, key: str, period: Period, params: Mapping[str, Any] | None = None) -> list[dict[str, Any]]:
    """Run a source and return its rows by column, with the row's `id` where it leads to a page."""
    found = table(db, key, period, params)
    names = [column.key for column in found.columns]
    made = [dict(zip(names, row, strict=True)) for row in found.rows]
    for row, link in zip(made, found.links, strict=False):
        row["id"] = link.rpartition("/")[2] if link else None
    return made


def _used(sql: str, bound: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in bound.items() if f":{name}" in sql}


def cell(value: object) -> Cell:
    """Return a database value as a Document holds it."""
    match value:
        case None | bool() | int() | float() | str():
            return value
        case Decimal():
            return float(value)
        case datetime():
            return value.isoformat()
        case date():
            return value.isoformat()
        case _:
            return str(value)
