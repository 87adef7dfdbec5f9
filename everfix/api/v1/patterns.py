"""`/v1/patterns`: recurring failures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import filters, patterns, predictions
from everfix.failures.patterns import Pattern
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/patterns", tags=["patterns"])
PatternId = Annotated[UUID, fields.path_id(ids.Prefix.PATTERN, "pattern", "pattern_id")]
Reader = Annotated[Principal, needs(Scope.PATTERNS_READ)]
SORTS = pages.Sorts(
    {
        "risk_score": Pattern.risk_score,
        "issue_count": Pattern.issue_count,
        "last_seen_at": Pattern.last_seen_at,
        "created_at": Pattern.created_at,
    },
    "-risk_score",
)


class PatternOut(BaseModel):
    """One pattern, as the reference names its fields."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    name: str
    status: str
    mitigating_since: datetime | None
    risk_score: int
    risk_parts: Json
    confidence: float
    fingerprint: Json
    tags: list[str]
    domain: str | None
    service: str | None
    team: str | None
    kind: str
    severity: str
    issue_count: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    mttr_seconds: float | None
    closure_note: str
    created_at: datetime
    updated_at: datetime


class PatternDetail(PatternOut):
    """One pattern with why it is one, and what is expected of it."""

    why: Json
    prediction: Json | None


def shown(rows: Sequence[Pattern]) -> list[PatternOut]:
    """Return patterns as the API shows them."""
    return [PatternOut.model_validate(row) for row in rows]


@router.get("")
def listed(db: Db, who: Reader, page: Page, wanted: Annotated[filters.PatternFilter, Query()]) -> pages.PageOf[PatternOut]:
    """The workspace's patterns, riskiest first."""
    return pages.page(db, page, wanted.narrow(select(Pattern)), Pattern.id, SORTS, shown)


@router.get("/{pattern_id}")
def one(db: Db, who: Reader, pattern_id: PatternId) -> PatternDetail:
    """One pattern, with the rule that made it and its standing prediction."""
    pattern = patterns.get(db, pattern_id)
    next_ = predictions.newest(db, pattern_id)
    found = None
    if next_:
        found = {
            "probability": next_.probability,
            "window_days": next_.window_days,
            "lower": next_.lower,
            "upper": next_.upper,
            "why": next_.why,
        }
    values = {name: getattr(pattern, name) for name in PatternDetail.model_fields if name != "prediction"}
    return PatternDetail.model_validate({**values, "prediction": found})
