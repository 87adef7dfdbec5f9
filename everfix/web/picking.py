"""Picking a pattern: a field in which one types a few letters and chooses, and what a form that holds such a field means."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import AfterValidator
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.core import fields, ids
from everfix.errors import Invalid
from everfix.failures import filters, patterns
from everfix.failures.patterns import Pattern
from everfix.identity.principals import Scope
from everfix.web import session, shell

router = APIRouter(include_in_schema=False)
OFFERED = 12
Words = Annotated[str, AfterValidator(fields.storable), Query(max_length=200)]


@router.get("/pick/patterns")
def offered(visit: session.sees(Scope.PATTERNS_READ), q: Words = "", but: Words = "") -> Response:  # type: ignore[valid-type]
    """The riskiest patterns whose name holds these words, one excepted, as the choices of a list."""
    wanted = filters.PatternFilter(q=q.strip() or None).narrow(select(Pattern))
    other = shell.shown_id(ids.Prefix.PATTERN, but)
    if other is not None:
        wanted = wanted.where(Pattern.id != other)
    rows = visit.db.execute(wanted.order_by(Pattern.risk_score.desc(), Pattern.id).limit(OFFERED + 1)).scalars().all()
    choices = [(ids.show(ids.Prefix.PATTERN, row.id), row.name, row.service or "", row.issue_count) for row in rows[:OFFERED]]
    return shell.page(visit, "patterns/choices.html", choices=choices, more=len(rows) > OFFERED, words=q.strip())


def chosen(db: Session, text: str, field: str = "pattern") -> UUID:
    """Return the pattern that a field names: by id, or by the whole name where one pattern has it; raises Invalid."""
    words = text.strip()
    found: UUID | None = shell.shown_id(ids.Prefix.PATTERN, words)
    if found is not None:
        return found
    named = list(db.execute(select(Pattern.id).where(patterns.listed(), Pattern.name == words).limit(2)).scalars()) if words else []
    if len(named) == 1:
        return named[0]
    said = "choose a pattern" if not words else f"{len(named) or 'no'} pattern{'s are' if named else ' is'} called {words[:60]!r}"
    raise Invalid(said, details={field: f"an id that begins with {ids.Prefix.PATTERN.value}_, or the whole name of one pattern"})
