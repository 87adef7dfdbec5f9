"""`/v1/predictions`: what is likely to come back, where risk is going, and how right we were."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.core import clock, ids
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.errors import Invalid
from everfix.failures import accuracy, outlook, overrulings, predictions
from everfix.failures.predictions import Prediction
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/predictions", tags=["predictions"])
Reader = Annotated[Principal, needs(Scope.PREDICTIONS_READ)]
Writer = Annotated[Principal, needs(Scope.PREDICTIONS_WRITE)]
PatternFilter = Annotated[UUID | None, fields.query_id(ids.Prefix.PATTERN, "pattern_id")]
PredictionId = Annotated[UUID, fields.path_id(ids.Prefix.PREDICTION, "prediction", "prediction_id")]
STATUSES = ("active", "dismissed", "superseded")
IMPACTS = ("critical", "high", "medium", "low")
LONGEST_WINDOW = 90
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
    outcome_by: str | None
    feedback: list[Json]
    dismissed_reason: str | None
    generated_at: datetime
    expires_at: datetime
    resolved_at: datetime | None


class Summary(BaseModel):
    """The four tiles. `high` is at 0.80 and more, `above_threshold` at the workspace's alert threshold and more."""

    total: int
    high_probability: int
    above_alert_threshold: int
    average_probability: float | None
    alert_threshold: float


class PointOut(BaseModel):
    """One day of the curve, 0–100."""

    bucket_ts: datetime
    value: float
    lower: float
    upper: float
    kind: str
    trigger: str | None


class AxisOut(BaseModel):
    """Where the ticks are."""

    y_ticks: list[int]
    x_tick_indices: list[int]


class ThresholdOut(BaseModel):
    """The line that a breach crosses."""

    probability: float
    label: str


class BreachOut(BaseModel):
    """Where the projection crosses the threshold."""

    bucket_ts: datetime
    point_index: int
    pattern_id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    pattern_label: str
    probability: float


class ForecastOut(BaseModel):
    """Observed then projected risk with its band."""

    window: str
    pattern_id: ids.field(ids.Prefix.PATTERN) | None  # type: ignore[valid-type]
    generated_at: datetime
    today_index: int
    points: list[PointOut]
    axis: AxisOut
    alert_threshold: ThresholdOut
    breach: BreachOut | None


class AccuracyOut(BaseModel):
    """The track record of the predictions that ended in the last `days` days; see the figures' definitions in docs/how-it-judges."""

    model_config = ConfigDict(extra="allow")

    days: int
    evaluated_at: datetime
    settled: int
    hits: int
    misses: int
    prevented: int
    base_rate: float | None
    brier: float | None
    brier_base: float | None
    skill: float | None
    log_loss: float | None
    log_loss_base: float | None
    ece: float | None
    auc: float | None
    threshold: float
    alerts: int
    precision: float | None
    recall: float | None
    lead_time_days: float | None
    calibration: list[Json]
    grouping: Json


class Outcome(BaseModel):
    """What became of a prediction, by a person's word."""

    model_config = ConfigDict(extra="forbid")

    outcome: Literal["hit", "miss", "prevented"]


class Dismiss(BaseModel):
    """Why a prediction is not wanted."""

    model_config = ConfigDict(extra="forbid")

    reason: types.text(2000) = ""  # type: ignore[valid-type]


class Feedback(BaseModel):
    """What somebody thinks of a prediction."""

    model_config = ConfigDict(extra="forbid")

    useful: bool
    comment: types.text(2000) = ""  # type: ignore[valid-type]


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
    impact: str | None = None,
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
    chosen = fields.choices(impact, "impact", IMPACTS)
    if chosen is not None:
        query = query.where(Prediction.impact.in_(chosen))
    return pages.page(db, page, query, Prediction.id, SORTS, shown)


@router.get("/summary")
def summary(db: Db, who: Reader) -> Summary:
    """The four tiles over the standing predictions."""
    return Summary(**predictions.summary(db))


@router.get("/forecast")
def forecast(db: Db, who: Reader, pattern_id: PatternFilter, window: Annotated[str, Query(max_length=10)] = "30d") -> ForecastOut:
    """Risk observed and projected, `window` back and ahead, for one pattern or the whole workspace."""
    days = _days(window)
    now = clock.now()
    made = outlook.of(db, now, days, pattern_id)
    return ForecastOut(
        window=f"{days}d",
        pattern_id=pattern_id,
        generated_at=now,
        today_index=made.today_index,
        points=[PointOut(**_without(dataclasses.asdict(point), "pattern_id")) for point in made.points],
        axis=AxisOut(y_ticks=[0, 25, 50, 75, 100], x_tick_indices=made.x_tick_indices),
        alert_threshold=ThresholdOut(probability=made.threshold, label=f"ALERT {round(100 * made.threshold)}"),
        breach=BreachOut(**dataclasses.asdict(made.breach)) if made.breach else None,
    )


def _without(values: dict[str, Any], key: str) -> dict[str, Any]:
    return {name: value for name, value in values.items() if name != key}


def _days(window: str) -> int:
    plain = window.strip().lower().removesuffix("d")
    if not plain.isdecimal() or not plain.isascii() or not 1 <= int(plain[:6]) <= LONGEST_WINDOW:
        raise Invalid(f"{window!r} is no window", details={"window": f"a number of days such as 7d, 30d or 90d, at most {LONGEST_WINDOW}d"})
    return int(plain)


@router.get("/accuracy")
def track_record(db: Db, who: Reader, days: Annotated[int, Query(ge=1, le=366)] = 90) -> AccuracyOut:
    """How right the settled predictions were, against the base rate, and how far people agree with the groups that they are about."""
    now = clock.now()
    since = now - timedelta(days=days)
    found, groups = accuracy.of(db, since, now), overrulings.of(db, since, now)
    return AccuracyOut(days=days, evaluated_at=now, **dataclasses.asdict(found), grouping=dataclasses.asdict(groups))


@router.get("/{prediction_id}")
def one(db: Db, who: Reader, prediction_id: PredictionId) -> PredictionOut:
    """One prediction with what moved it and what became of it."""
    return PredictionOut.model_validate(predictions.get(db, prediction_id))


@router.post("/{prediction_id}/outcome")
def outcome(db: Db, who: Writer, prediction_id: PredictionId, body: Outcome) -> PredictionOut:
    """Record by hand what became of it; a person's word stands over the clock's."""
    return PredictionOut.model_validate(predictions.settle(db, prediction_id, body.outcome, by=who))


@router.post("/{prediction_id}/dismiss")
def dismiss(db: Db, who: Writer, prediction_id: PredictionId, body: Dismiss | None = None) -> PredictionOut:
    """Take a prediction off the list until its window ends; it is scored like any other."""
    return PredictionOut.model_validate(predictions.dismiss(db, prediction_id, body.reason if body else "", by=who))


@router.post("/{prediction_id}/feedback")
def feedback(db: Db, who: Writer, prediction_id: PredictionId, body: Feedback) -> PredictionOut:
    """Say whether it was useful."""
    return PredictionOut.model_validate(predictions.judge(db, prediction_id, useful=body.useful, comment=body.comment, by=who))
