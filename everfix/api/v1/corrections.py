"""`/v1/corrections`: what people said about groups, in order, and taking it back; how often each stage of grouping was overruled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.core import ids
from everfix.deps import Db, Page, needs
from everfix.failures import corrections
from everfix.failures.corrections import Correction
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/corrections", tags=["patterns"])
CorrectionId = Annotated[UUID, fields.path_id(ids.Prefix.CORRECTION, "correction", "correction_id")]
PatternFilter = Annotated[UUID | None, fields.query_id(ids.Prefix.PATTERN, "pattern_id")]
Reader = Annotated[Principal, needs(Scope.PATTERNS_READ)]
Writer = Annotated[Principal, needs(Scope.PATTERNS_WRITE)]
SORTS = pages.Sorts({"number": Correction.number}, "-number")


class CorrectionOut(BaseModel):
    """One word: what was said of which pattern, by whom, how many failures it moved, and whether it was taken back."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.CORRECTION)  # type: ignore[valid-type]
    number: int
    kind: Literal["merge", "split", "detach", "link", "unlink"]
    source_id: ids.field(ids.Prefix.PATTERN) | None  # type: ignore[valid-type]
    target_id: ids.field(ids.Prefix.PATTERN) | None  # type: ignore[valid-type]
    symptoms: list[str]
    reason: str
    moved: int
    said_by: str
    said_at: datetime
    revoked_by: str | None
    revoked_at: datetime | None


class Stage(BaseModel):
    """How one stage of grouping fared: what it assigned, what people moved elsewhere, and the share that stood."""

    stage: str
    assigned: int
    overruled: int
    stood: float


class Quality(BaseModel):
    """Grouping quality, as people's corrections tell it."""

    data: list[Stage]


def shown(rows: Sequence[Correction]) -> list[CorrectionOut]:
    return [CorrectionOut.model_validate(row) for row in rows]


@router.get("")
def listed(
    db: Db,
    who: Reader,
    page: Page,
    pattern_id: PatternFilter,
    standing: Annotated[bool | None, Query(description="Only those that stand.")] = None,
) -> pages.PageOf[CorrectionOut]:
    """What was said, the last word first."""
    query = select(Correction)
    if pattern_id is not None:
        query = query.where((Correction.source_id == pattern_id) | (Correction.target_id == pattern_id))
    if standing is not None:
        query = query.where(Correction.revoked_at.is_(None) if standing else Correction.revoked_at.is_not(None))
    return pages.page(db, page, query, Correction.id, SORTS, shown)


@router.get("/quality")
def quality(db: Db, who: Reader) -> Quality:
    """How often people overruled each stage of grouping."""
    return Quality(data=[Stage(**row) for row in corrections.overruled(db)])


@router.post("/{correction_id}/undo")
def undo(db: Db, who: Writer, correction_id: CorrectionId) -> CorrectionOut:
    """Take a word back: everything is as if it had not been said, and later failures go where they would have gone."""
    return CorrectionOut.model_validate(corrections.undo(db, correction_id, by=who))
