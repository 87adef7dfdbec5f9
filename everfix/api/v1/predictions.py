"""`/v1/predictions`: what is likely to come back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from everfix.api import pages
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import filters
from everfix.failures.predictions import Prediction
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/predictions", tags=["predictions"])
Reader = Annotated[Principal, needs(Scope.PREDICTIONS_READ)]
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
def listed(db: Db, who: Reader, page: Page, wanted: Annotated[filters.PredictionFilter, Query()]) -> pages.PageOf[PredictionOut]:
    """The standing predictions, most probable first; `status` shows dismissed and superseded ones too."""
    return pages.page(db, page, wanted.narrow(select(Prediction)), Prediction.id, SORTS, shown)
