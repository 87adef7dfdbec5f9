"""Rows: a part of an export's rows as they leave the database, a few thousand at a time, by a server-side cursor or by COPY."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any
from uuid import UUID

from psycopg import Copy, sql
from sqlalchemy import Select, func, select, text
from sqlalchemy.orm import Session

from everfix.exports.columns import Column, joined, shown_ids
from everfix.exports.options import Options
from everfix.exports.resources import Resource
from everfix.failures.filters import Filter

BATCH = 2_000


@dataclasses.dataclass(frozen=True, slots=True)
class Look:
    """Which rows of a resource, and what of them: those after `after`, up to `until`, at most `most`."""

    resource: Resource
    columns: Sequence[Column]
    narrowed: Filter
    options: Options
    until: UUID | None
    after: UUID | None = None
    most: int | None = None

    def query(self) -> Select[Any]:
        """Return the query for the rows; its columns are for the caller to name."""
        key, query = self.resource.key, self.resource.rows(self.narrowed)
        if self.until is not None:
            query = query.where(key <= self.until)
        if self.after is not None:
            query = query.where(key > self.after)
        return query.order_by(key).limit(self.most)

    def extent(self, db: Session) -> tuple[int, UUID | None]:
        """Return how many rows there are, and the last one."""
        key, query = self.resource.key, self.resource.rows(self.narrowed)
        count = db.execute(select(func.count()).select_from(query.subquery())).scalar_one()
        return int(count), db.execute(query.order_by(key.desc()).limit(1)).scalar_one_or_none()

    def batches(self, db: Session, *, wall_clock: bool = False) -> Iterator[tuple[UUID, list[Sequence[Any]]]]:
        """Yield the rows as columns of values, a batch at a time, with the key that each batch ends with; ids as the API shows them.

        With `wall_clock` instants are what a clock on the wall of the export's zone shows, without a zone.
        """
        zone = self.options.timezone if wall_clock else None
        query = self.query().add_columns(*(column.plain(zone).label(column.key) for column in self.columns))
        words, values = _compiled(db, query)
        raw: Any = db.connection().connection.driver_connection
        with raw.cursor(name="export") as cursor:
            cursor.execute(words, values)
            while rows := cursor.fetchmany(BATCH):
                keys, *columns = zip(*rows, strict=True)
                yield keys[-1], [shown_ids(c.prefix, list(v)) if c.prefix else v for c, v in zip(self.columns, columns, strict=True)]

    @contextmanager
    def copied(self, db: Session) -> Iterator[Copy]:
        """Yield PostgreSQL's own CSV of the rows: the key and the shown ids as hexadecimal digits, then the other columns; texts are quoted."""
        _in_zone(db, self.options)
        options, shown = self.options, [column for column in self.columns if column.prefix is None]
        found = [column.value for column in self.columns if column.prefix]
        cells = [column.shown(options.decimal, options.timezone, options.dates).label(column.key) for column in shown]
        query = self.query().with_only_columns(joined([self.resource.key, *found]).label("ids"), *cells)
        compiled, values = _compiled(db, query)
        quoted = sql.SQL(", ").join(sql.Identifier(column.key) for column in shown if column.quoted)
        force = sql.SQL(", FORCE_QUOTE ({})").format(quoted) if any(column.quoted for column in shown) else sql.SQL("")
        words = sql.SQL("COPY ({}) TO STDOUT (FORMAT csv, DELIMITER {}{})").format(
            sql.SQL(compiled),
            sql.Literal(options.delimiter),
            force,
        )
        raw: Any = db.connection().connection.driver_connection
        with raw.cursor() as cursor, cursor.copy(words, values) as copy:
            yield copy


def _compiled(db: Session, query: Select[Any]) -> tuple[str, dict[str, Any]]:
    """Return SQLAlchemy's own text of a query, its values apart: psycopg sends it without SQLAlchemy's objects around each row."""
    made = query.compile(dialect=db.get_bind().dialect, compile_kwargs={"render_postcompile": True})
    return str(made), dict(made.params)


def _in_zone(db: Session, options: Options) -> None:
    """Let this transaction say instants in the export's zone."""
    db.execute(text("SELECT set_config('TimeZone', :zone, true)"), {"zone": options.timezone})
