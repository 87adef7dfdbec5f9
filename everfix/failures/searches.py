"""Searches: lists of issues that hold words, in whichever of two ways is sooner answered: through the words, or along the list's own order.

Row-level security keeps PostgreSQL from using the index of words by itself: it must not run an operator that it does not know to be silent
on rows that it has not yet found to be the caller's. So the database's function `everfix_issues_holding` looks the words up, in the caller's
workspace alone. Words that many issues hold are met soon along any order of the list; how many those are is estimated from a sample, where the
sample leaves no doubt that they are more than what is counted exactly.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import ColumnElement, Select, cast, column, func, select, text
from sqlalchemy.dialects.postgresql import ARRAY, TEXT
from sqlalchemy.orm import Session
from sqlalchemy.sql.util import ClauseAdapter

from everfix.failures import filters, issues
from everfix.ingest.events import Issue

FEW = 4_000  # issues up to which words lead to a page sooner than the order does
EXACT = 10_000  # a list's total is exact up to here
SAMPLE = 500  # pages of the table that a sample looks at
ALL = 2**31 - 1
CLEAR = 1.8  # how many times EXACT an estimate must be, to leave no doubt that there are more
ENOUGH = 40  # issues of a sample that must match, for its share to tell


def quick(db: Session, wanted: filters.IssueFilter, query: Select[Any]) -> tuple[Select[Any] | None, int | None]:
    """Return what says the same as `wanted.narrow(query)` and is sooner answered (None: nothing is), and how many rows it has, where it is known."""
    words = issues.words(wanted.q or "")
    if not words:
        return None, None
    estimate = _estimated(db, wanted)
    if estimate >= CLEAR * EXACT:
        return None, estimate  # met soon on a walk along the order, and too many to be counted
    rest = wanted.model_copy(update={"q": None})
    alone = not list(rest.conditions())
    rows, found = db.execute(select(func.count(), func.count(column("issue_id"))).select_from(_holding(words, EXACT + 1))).one()
    if rows > found:  # every word is a common one
        return None, None
    if alone and found > FEW:
        return None, found if found <= EXACT else max(EXACT + 1, estimate)
    held = FEW if found <= FEW else EXACT if found <= EXACT else ALL
    among = rest.narrow(query).where(_among(words, held))
    many = found if alone else int(db.execute(rest.narrow(select(func.count(Issue.id))).where(_among(words, held))).scalar_one())
    return among if many <= FEW else None, many


def _holding(words: list[str], most: int) -> Any:  # noqa: ANN401 - a function as a table
    return func.everfix_issues_holding(cast(words, ARRAY(TEXT)), most).table_valued("issue_id")


def _among(words: list[str], most: int) -> ColumnElement[bool]:
    return Issue.id.in_(select(column("issue_id")).select_from(_holding(words, most)))


def _estimated(db: Session, wanted: filters.IssueFilter) -> int:
    """Return about how many issues fit, from a sample of the table; 0 where so few of it fit that it does not tell."""
    pages = int(db.execute(text("SELECT relpages FROM pg_class WHERE oid = 'issues'::regclass")).scalar_one())
    share = min(1.0, SAMPLE / max(1, pages))
    part = Issue.__table__.tablesample(func.system(100 * share), name="part")
    fits = [ClauseAdapter(part).traverse(condition) for condition in wanted.conditions()]
    matching = int(db.execute(select(func.count()).select_from(part).where(*fits)).scalar_one())
    return round(matching / share) if matching >= ENOUGH else 0
