"""Blocks: a source's rows as a page or a report shows them: headline figures, a picture, or the table itself."""

from __future__ import annotations

from everfix.documents.model import Block, Chart, Figure, Figures, Table
from everfix.metrics import query
from everfix.metrics.sources import Source

BEFORE = "_before"


def of(table: Table) -> tuple[Block, ...]:
    """Return what shows a source's table best."""
    source = query.find(table.key)
    table = without(table, source.ids)
    if source.figures:
        return (figures(source, table),)
    if source.picture is None or not table.rows:
        return (table,)
    drawn = chart(source, table)
    return (drawn, table) if source.picture.form == "bar" and len(table.columns) > 2 else (drawn,)


def without(table: Table, keys: tuple[str, ...]) -> Table:
    """Return a table without some of its columns."""
    places = [place for place, column in enumerate(table.columns) if column.key not in keys]
    if len(places) == len(table.columns):
        return table
    rows = tuple(tuple(row[place] for place in places) for row in table.rows)
    return table.model_copy(update={"columns": tuple(table.columns[place] for place in places), "rows": rows})


def figures(source: Source, table: Table) -> Figures:
    """Return a one-row table as headline figures, each with the value of the period before where there is one."""
    row = dict(zip((column.key for column in table.columns), table.rows[0], strict=True))
    made = tuple(
        Figure(
            key=column.key,
            title=column.title,
            value=_number(row[column.key]),
            unit=column.unit,
            previous=_number(row.get(f"{column.key}{BEFORE}")),
            better=column.better,
        )
        for column in table.columns
        if not column.key.endswith(BEFORE)
    )
    return Figures(key=f"{source.key}_cards", title=table.title, figures=made)


def _number(value: object) -> int | float | None:
    return value if isinstance(value, int | float) else None


def chart(source: Source, table: Table) -> Chart:
    """Return the picture of a source that has one; raises LookupError for one that has none."""
    picture = source.picture
    if picture is None:
        raise LookupError(f"{source.key} has no picture")
    return Chart(
        key=f"{source.key}_chart",
        title=table.title or source.title,
        form=picture.form,
        table=table.model_copy(update={"links": ()}),
        x=picture.x,
        y=picture.y,
        series=picture.series,
        alt=picture.alt,
    )
