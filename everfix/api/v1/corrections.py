"""`/v1/corrections`: what people said about groups, in order, and taking it back; how often each stage of grouping was overruled."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from starlette.responses import JSONResponse, Response

from everfix.api import fields, pages
from everfix.core import ids
from everfix.deps import Db, Page, needs
from everfix.failures import corrections, overrulings, regrouping
from everfix.failures.corrections import Correction
from everfix.failures.regrouping import Wish
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


class LaterOut(BaseModel):
    """A word that moves many failures is said by a job: `/v1/jobs/{job_id}` tells how far it is, its `result` names the words."""

    job_id: ids.field(ids.Prefix.JOB)  # type: ignore[valid-type]
    status: Literal["queued"]
    failures: int


LATER: dict[int | str, dict[str, Any]] = {202: {"model": LaterOut, "description": "Many failures: a job moves them."}}


def later(made: regrouping.Answer) -> Response | None:
    """Return the answer for a word that a job says; None for one that was said."""
    if made.job is None:
        return None
    return JSONResponse(LaterOut(job_id=made.job, status="queued", failures=made.failures).model_dump(mode="json"), 202)


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
    return Quality(data=[Stage(**row) for row in overrulings.by_stage(db)])


@router.post("/{correction_id}/undo", response_model=CorrectionOut, responses=LATER)
def undo(db: Db, who: Writer, correction_id: CorrectionId) -> Response | CorrectionOut:
    """Take a word back: everything is as if it had not been said, and later failures go where they would have gone.

    Many failures are moved by a job (202).
    """
    made = regrouping.say(db, Wish("undo", corrections.about(db, correction_id), undone=correction_id), by=who)
    return later(made) or CorrectionOut.model_validate(made.words[0])
