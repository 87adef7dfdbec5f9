"""Pages: keyset pagination with signed cursors, sorting, and the documented envelope `{data, page}`.

A cursor holds the last row's sort value and id, for one sort order and one set of filters; anything else is refused as malformed.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from collections.abc import Callable, Mapping, Sequence
from datetime import date, datetime
from typing import Any, Generic, TypeVar
from uuid import UUID

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Select, and_, func, literal, literal_column, or_, select, tuple_
from sqlalchemy.orm import InstrumentedAttribute, Session
from sqlalchemy.sql.util import ClauseAdapter

from everfix.core.crypto import BadSignature
from everfix.deps import Paging
from everfix.errors import Invalid, Malformed

EXACT_ROWS = 10_000  # above this `total` is an estimate
FEW = 4_000  # rows that are sooner gathered and ordered than met on a walk along the order
Row = TypeVar("Row")
Shown = TypeVar("Shown")


class PageInfo(BaseModel):
    """Where the list goes on."""

    next_cursor: str | None
    has_more: bool
    total: int


class PageOf(BaseModel, Generic[Shown]):
    """A page of a list."""

    data: list[Shown]
    page: PageInfo


@dataclasses.dataclass(frozen=True, slots=True)
class Sorts:
    """The fields a list may be sorted by, and which it is sorted by when nothing is said."""

    fields: Mapping[str, InstrumentedAttribute[Any]]
    default: str

    def read(self, sort: str | None) -> tuple[str, bool]:
        """Return (field, descending); raises Invalid naming what is allowed."""
        wanted = sort or self.default
        name = wanted.removeprefix("-")
        if name not in self.fields:
            raise Invalid(f"cannot sort by {name[:40]!r}", details={"sort": f"one of {', '.join(self.fields)}, with - for descending"})
        return name, wanted.startswith("-")


def page(
    db: Session,
    paging: Paging,
    query: Select[Row],
    key: InstrumentedAttribute[UUID],
    sorts: Sorts,
    show: Callable[[Sequence[Row]], list[Shown]],
    *,
    quick: Select[Row] | None = None,
    many: int | None = None,
    every: Select[Row] | None = None,
) -> PageOf[Shown]:
    """Run `query` (already filtered) for one page. Rows without a sort value come last; equal values are ordered by id.

    `quick` says the same as `query` in a way that is sooner answered this time, and `many` how many rows there are, where that is known.
    With `every`, the list before it was filtered, up to FEW rows are gathered by what they are and then ordered; otherwise, and of more, the
    order is walked until the page is full.
    """
    name, descending = sorts.read(paging.sort)
    column = sorts.fields[name]
    mark = _mark(name, query)
    limited = query = query if quick is None else quick
    many = total(db, query) if many is None else many
    if paging.cursor:
        limited = limited.where(_after(column, key, descending, *_read(paging, mark, descending)))
    ordered = order(column, key, descending)
    if every is not None and many <= FEW:
        limited = every.where(key.in_(_gathered(limited, column, key, ordered, paging.limit + 1)))
    limited = limited.order_by(*ordered).limit(paging.limit + 1)
    rows = list(db.execute(limited).scalars()) if many else []
    more, rows = len(rows) > paging.limit, rows[: paging.limit]
    cursor = None
    if more:
        last = rows[-1]
        cursor = paging.keys.sign("cursor", [mark, descending, _plain(getattr(last, column.key)), str(getattr(last, key.key))])
    return PageOf(data=show(rows), page=PageInfo(next_cursor=cursor, has_more=more, total=many))


def _gathered(
    query: Select[Any],
    column: InstrumentedAttribute[Any],
    key: InstrumentedAttribute[UUID],
    ordered: Sequence[ColumnElement[Any]],
    limit: int,
) -> Select[Any]:
    """Return the keys of a page's rows. OFFSET keeps the planner from walking the order past all that does not fit, as it likes to: what fits
    is found in an index of the filters alone, and only the rows of the page are fetched.
    """
    found = query.with_only_columns(key, column).order_by(None).offset(0).subquery("found")
    adapted = ClauseAdapter(found)
    return select(found.c[key.key]).order_by(*(adapted.traverse(one) for one in ordered)).limit(limit)


def order(column: InstrumentedAttribute[Any], key: InstrumentedAttribute[UUID], descending: bool) -> tuple[ColumnElement[Any], ...]:
    """Return the order of a page; NULLS LAST is said only where there can be one, since an index read backwards begins with them."""
    if not descending:
        return column.asc(), key.asc()  # where NULLs come last by themselves
    return (column.desc().nulls_last() if column.nullable else column.desc()), key.desc()


def _mark(name: str, query: Select[Any]) -> str:
    """Return what tells this list, its filters and its sort field from every other."""
    compiled = query.compile()
    words = json.dumps([name, str(compiled), sorted((key, str(value)) for key, value in compiled.params.items())])
    return hashlib.sha256(words.encode()).hexdigest()[:16]


def _read(paging: Paging, mark: str, descending: bool) -> tuple[object, UUID]:
    try:
        found = paging.keys.verify("cursor", str(paging.cursor))
    except BadSignature as problem:
        raise Malformed("the cursor token is malformed", details={"cursor": "malformed cursor token"}) from problem
    if not isinstance(found, list) or found[:2] != [mark, descending]:
        raise Malformed(
            "the cursor token belongs to another list, sort or filter", details={"cursor": "malformed cursor token for this list"}
        )
    return found[2], UUID(found[3])


def _after(
    column: InstrumentedAttribute[Any], key: InstrumentedAttribute[UUID], descending: bool, value: object, last: UUID
) -> ColumnElement[bool]:
    beyond_key = key < last if descending else key > last
    if value is None:
        return and_(column.is_(None), beyond_key)
    typed = literal(_typed(column, value), column.type)
    if not column.nullable:  # as rows compare, so that an index leads straight to the page
        mark, here = tuple_(typed, literal(last, key.type)), tuple_(column, key)
        return here < mark if descending else here > mark
    beyond = column < typed if descending else column > typed
    return or_(beyond, and_(column == typed, beyond_key), column.is_(None))


def _plain(value: object) -> object:
    return value.isoformat() if isinstance(value, datetime | date) else value


def _typed(column: InstrumentedAttribute[Any], value: object) -> object:
    if column.type.python_type is datetime:
        return datetime.fromisoformat(str(value))
    return date.fromisoformat(str(value)) if column.type.python_type is date else value


def total(db: Session, query: Select[Any]) -> int:
    """Return how many rows the query matches: exact up to 10,000, above that the planner's estimate."""
    bare: Select[Any] = query.with_only_columns(literal_column("1"), maintain_column_froms=True).order_by(
        None
    )  # no column, so that an index can do
    counted = int(db.execute(select(func.count()).select_from(bare.limit(EXACT_ROWS + 1).subquery())).scalar_one())
    if counted <= EXACT_ROWS:
        return counted
    compiled = bare.compile(dialect=db.get_bind().dialect, compile_kwargs={"render_postcompile": True})
    plan = db.connection().exec_driver_sql(f"EXPLAIN (FORMAT JSON) {compiled}", compiled.params).scalar_one()
    return max(EXACT_ROWS + 1, int(plan[0]["Plan"]["Plan Rows"]))
