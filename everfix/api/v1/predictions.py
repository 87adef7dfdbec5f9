"""`/v1/predictions`: what is likely to come back."""

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
from everfix.failures.predictions import Prediction
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/predictions", tags=["predictions"])
Reader = Annotated[Principal, needs(Scope.PREDICTIONS_READ)]
PatternFilter = Annotated[UUID | None, fields.query_id(ids.Prefix.PATTERN, "pattern_id")]
STATUSES = ("active", "dismissed", "superseded")
SORTS = pages.Sorts(
    {"probability": Prediction.probability, "generated_at": Prediction.generated_at, "created_at": Prediction.created_at}, "-probability"
)


class PredictionOut(BaseModel):
    """One prediction: the pattern fails again within `window_days` with `probability` (0–1; `lower` to `upper` in 90 % of cases)."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.PREDICTION)  # type: ignore[valid-type]
    pattern_id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    window_days: int
    probability: float
    lower: float
    upper: float
    impact: str
    likely_trigger: str
    why: list[Json]
    base_rate: float
    model_version: str
    status: str
    outcome: str | None
    generated_at: datetime
    expires_at: datetime
    resolved_at: datetime | None


def shown(rows: Sequence[Prediction]) -> list[PredictionOut]:
    """Return predictions as the API shows them."""
    return [PredictionOut.model_validate(row) for row in rows]


@router.get("")
def listed(
    db: Db,
    who: Reader,
    page: Page,
    pattern_id: PatternFilter,
    min_probability: Annotated[float | None, Query(ge=0, le=1)] = None,
    window_days: Annotated[int | None, Query(ge=1, le=365)] = None,
    status: str = "active",
) -> pages.PageOf[PredictionOut]:
    """The standing predictions, most probable first; `status` shows dismissed and superseded ones too."""
    query = select(Prediction).where(Prediction.status.in_(fields.choices(status, "status", STATUSES) or ["active"]))
    if min_probability is not None:
        query = query.where(Prediction.probability >= min_probability)
    if window_days is not None:
        query = query.where(Prediction.window_days == window_days)
    if pattern_id is not None:
        query = query.where(Prediction.pattern_id == pattern_id)
    return pages.page(db, page, query, Prediction.id, SORTS, shown)
