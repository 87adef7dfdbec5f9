"""`/v1/recommendations`: ranked fixes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.api import pages
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import filters
from everfix.failures.recommendations import Recommendation, RecommendationPattern, Step
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/recommendations", tags=["recommendations"])
Reader = Annotated[Principal, needs(Scope.RECOMMENDATIONS_READ)]
SORTS = pages.Sorts(
    {
        "rank": Recommendation.rank,
        "created_at": Recommendation.created_at,
        "expected_loops_prevented": Recommendation.expected_loops_prevented,
        "updated_at": Recommendation.updated_at,
    },
    "rank",
)


class StepOut(BaseModel):
    """One step of the plan."""

    id: ids.field(ids.Prefix.STEP)  # type: ignore[valid-type]
    position: int
    title: str
    description: str
    completed: bool


class RecommendationOut(BaseModel):
    """One recommendation; `why` holds each factor of its score."""

    id: ids.field(ids.Prefix.RECOMMENDATION)  # type: ignore[valid-type]
    title: str
    summary: str
    type: str
    effort: str
    impact: str
    status: str
    rank: int | None
    score: float
    expected_loops_prevented: float
    expected_cost_saved: float
    why: Json
    attestation: str
    pattern_ids: list[ids.field(ids.Prefix.PATTERN)]  # type: ignore[valid-type]
    steps: list[StepOut]
    implemented_at: datetime | None
    created_at: datetime
    updated_at: datetime


def shown(db: Session, rows: Sequence[Recommendation]) -> list[RecommendationOut]:
    """Return recommendations with their patterns and steps, two queries whatever their number."""
    wanted = [row.id for row in rows]
    steps: dict[object, list[StepOut]] = {key: [] for key in wanted}
    for step in db.execute(select(Step).where(Step.recommendation_id.in_(wanted)).order_by(Step.position)).scalars():
        done = step.completed_at is not None
        steps[step.recommendation_id].append(
            StepOut(id=step.id, position=step.position, title=step.title, description=step.description, completed=done)
        )
    members: dict[object, list[object]] = {key: [] for key in wanted}
    for member in db.execute(select(RecommendationPattern).where(RecommendationPattern.recommendation_id.in_(wanted))).scalars():
        members[member.recommendation_id].append(member.pattern_id)
    own = [name for name in RecommendationOut.model_fields if name not in ("pattern_ids", "steps")]
    return [
        RecommendationOut.model_validate(
            {**{name: getattr(row, name) for name in own}, "pattern_ids": members[row.id], "steps": steps[row.id]}
        )
        for row in rows
    ]


@router.get("")
def listed(db: Db, who: Reader, page: Page, wanted: Annotated[filters.RecommendationFilter, Query()]) -> pages.PageOf[RecommendationOut]:
    """The workspace's recommendations by rank; commas separate several values of a filter."""
    return pages.page(db, page, wanted.narrow(select(Recommendation)), Recommendation.id, SORTS, lambda rows: shown(db, rows))
