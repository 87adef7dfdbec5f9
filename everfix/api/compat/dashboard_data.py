"""`/api/v1/dashboard-data` and `/api/v1/dashboards/decision-pipeline`: the sources behind the six dashboards, as JSON."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Query
from pydantic import AfterValidator, ConfigDict, Field
from sqlalchemy.orm import Session

from everfix.api.compat import shapes
from everfix.api.compat.doors import Viewer
from everfix.core import clock
from everfix.core.fields import storable
from everfix.deps import Db
from everfix.errors import BadField
from everfix.identity import workspaces
from everfix.metrics import periods, query, segments
from everfix.metrics.periods import Period

router = APIRouter(tags=["dashboards"])
Json = dict[str, Any]
Word = Annotated[str | None, Field(max_length=210), AfterValidator(lambda value: value if value is None else storable(value))]
Hours = Annotated[int, Query(alias="windowHours", ge=1, le=168)]
# Types that answer rows, each a source of the same name; the other two answer an object.
ROWS = (
    "acceptance_rate",
    "offer_performance",
    "offer_performance_grouped",
    "channel_effectiveness",
    "daily_trend",
    "revenue_trend",
    "selection_frequency",
    "why_not_ranked",
    "anomaly_candidates",
    "model_metrics_trend",
    "score_distribution",
    "model_auc_summary_with_prev",
)
TYPES = ("summary", "summary_with_comparison", *ROWS)


def _period(db: Session, days: int) -> Period:
    return periods.last(days, clock.now(), workspaces.here(db).timezone)


class Asked(shapes.Shape):
    """What may be asked; parameters that a type does not have are passed over, as clients send them all."""

    model_config = ConfigDict(extra="ignore")

    type: str = "summary"
    days: Annotated[int, Field(ge=1, le=365)] = 7
    model_id: Word = None
    group_by: Word = None
    filter_id: Word = None
    segment_id: Word = None
    channel_id: Word = None
    category_id: Word = None
    decision_flow_id: Word = None
    offer_id: Word = None
    baseline_days: Annotated[int | None, Field(ge=1, le=365)] = None


@router.get("/dashboard-data")
def dashboard_data(db: Db, who: Viewer, asked: Annotated[Asked, Query()]) -> Json:
    """One data set, aggregated in the database."""
    if asked.type not in TYPES:
        raise BadField(f"type: {asked.type[:60]!r} is not allowed", details={"type": f"one of {', '.join(TYPES)}"})
    wanted = asked.model_dump(by_alias=True, exclude_none=True, exclude={"type", "days"})
    segment = asked.segment_id
    if segment is not None and not segments.known(db, segment):
        return {"type": asked.type, "days": asked.days, "data": [], "warning": f"no failure belongs to the segment {segment!r} (yet)"}
    period = _period(db, asked.days)
    if asked.type == "summary":
        return _object(asked, summary(db, period))
    if asked.type == "summary_with_comparison":
        return _object(asked, compared(db, period, wanted))
    return _rows(db, asked.type, period, wanted)


def _object(asked: Asked, found: Json) -> Json:
    """Where the object lies is not documented: it is at the top and under `data`."""
    return {"type": asked.type, "days": asked.days, "data": found, **found}


def _rows(db: Session, key: str, period: Period, wanted: Json) -> Json:
    known = {param.key for param in query.find(key).params}
    found = [shapes.camel(row) for row in query.records(db, key, period, {name: value for name, value in wanted.items() if name in known})]
    for row in found:
        if "id" in row:
            row["offerId"] = row.pop("id")
    answer: Json = {"type": key, "days": period.days, "data": found}
    if key == "acceptance_rate":
        impressions, positive = (sum(row[name] for row in found) for name in ("impressions", "positive"))
        rate = positive / impressions if impressions else None
        answer["totals"] = {"impressions": round(impressions, 1), "positive": round(positive, 1), "acceptRate": rate}
    return answer


def summary(db: Session, period: Period) -> Json:
    """Return what there is, counted."""
    (row,) = query.records(db, "summary", period)
    return shapes.camel({key: value for key, value in row.items() if key != "id"})


def compared(db: Session, period: Period, wanted: Json) -> Json:
    """Return the headline figures with those of the period before, and a value for each day."""
    given = {name: value for name, value in wanted.items() if name == "segmentId"}
    (row,) = query.records(db, "summary_with_comparison", period, given)
    pairs = {key: {"current": row[key], "previous": row[f"{key}_before"]} for key in ("decisions", "revenue")}
    return {
        "activeOffers": row["active_offers"],
        "activeOffersPrevious": row["active_offers_before"],
        **pairs,
        "sparklines": {
            "decisions": [day["decisions"] for day in query.records(db, "decision_trend", period, given)],
            "revenue": [day["revenue"] for day in query.records(db, "revenue_trend", period, given)],
        },
    }


STAGES = ("initialCandidates", "afterQualification", "afterSuppression", "afterContactPolicy", "afterScoring", "verified")
DROPS = {"qualification": 1, "suppression": 2, "contactPolicy": 3, "scoring": 4}
TOO_MANY = 0.8  # dropped by then at the fourth stage: a sign that something is set up wrongly


@router.get("/dashboards/decision-pipeline")
def decision_pipeline(db: Db, who: Viewer, hours: Hours = 24) -> Json:
    """The loop, stage by stage, over the last hours: events per run at each stage, what was dropped by then, and how long it took."""
    period = periods.hours(_period(db, 1), hours)
    stages = query.records(db, "decision_traces_summary", period)
    (latency,) = query.records(db, "latency_summary", period)
    dropped = {name: stages[place]["dropped"] for name, place in DROPS.items()}
    policy = dropped["contactPolicy"]
    warning = None
    if policy is not None and policy > TOO_MANY:
        warning = f"{policy:.0%} of the events were not linked to a pattern: the threshold may be too strict, or the fingerprint too narrow"
    return {
        "windowHours": hours,
        "windowFrom": shapes.zulu(period.start),
        "windowTo": shapes.zulu(period.end),
        "totalTraces": latency["analysed"],
        "totalLatencyMs": {name: _ms(latency[name]) for name in ("average", "p50", "p95", "p99")},
        "funnel": {name: row["average"] for name, row in zip(STAGES, stages, strict=True)},
        "counts": {name: row["count"] for name, row in zip(STAGES, stages, strict=True)},
        "stages": [{"key": name, **shapes.camel(row)} for name, row in zip(STAGES, stages, strict=True)],
        "filterRates": dropped,
        "warning": warning,
    }


def _ms(seconds: float | None) -> float | None:
    return None if seconds is None else round(1000 * seconds, 1)
