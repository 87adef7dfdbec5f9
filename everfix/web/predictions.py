"""Predictions: what is likely to come back, where risk is going, and how right earlier predictions were."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from sqlalchemy import select
from starlette.responses import Response

from everfix.core import clock, ids
from everfix.documents.model import Chart, Column, Figure, Table, Unit
from everfix.errors import NotFound
from everfix.failures import accuracy, outlook, predictions
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.identity.principals import Scope
from everfix.metrics import periods, query
from everfix.reports import windows
from everfix.web import session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
LISTED, PLACED, RECORD_DAYS = 40, 25, 90
Json = dict[str, Any]


@router.get("/predictions")
def page(visit: session.sees(Scope.PREDICTIONS_READ), window: Annotated[str, Query(max_length=10)] = "30d") -> Response:  # type: ignore[valid-type]
    """The four tiles, the forecast of the workspace's risk, the matrix, the standing predictions, the track record."""
    days = min(windows.days(window), 90)
    now = clock.now()
    reader = shown.Reader.of(visit.here)
    ahead = outlook.of(visit.db, now, days)
    placed = query.table(visit.db, "prediction_matrix", periods.last(days, now, visit.here.timezone), {"limit": PLACED})
    rows = _rows(visit, reader)
    return shell.page(
        visit,
        "predictions/page.html",
        window=f"{days}d",
        ranges=tuple(windows.USUAL),
        cards=[shown.card(reader, figure) for figure in _tiles(visit)],
        forecast=shown.chart(reader, _forecast(ahead), height=280),
        breach=_breach(reader, ahead),
        matrix=shown.chart(reader, _matrix(placed)),
        rows=rows,
        more=max(0, int(predictions.summary(visit.db)["total"]) - len(rows)),
        record=_record(visit, reader),
        record_days=RECORD_DAYS,
    )


@router.post("/predictions/{prediction_id}/dismiss")
def dismiss(
    visit: session.changes(Scope.PREDICTIONS_WRITE),  # type: ignore[valid-type]
    prediction_id: str,
    reason: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Take a prediction off the list until its window ends."""
    wanted = shell.shown_id(ids.Prefix.PREDICTION, prediction_id)
    if wanted is None:
        raise NotFound(f"no prediction {prediction_id[:60]!r}")
    predictions.dismiss(visit.db, wanted, reason, by=visit.who)
    return shell.go("/predictions#due")


def _tiles(visit: Visit) -> tuple[Figure, ...]:
    found = predictions.summary(visit.db)
    threshold = f"{found['alert_threshold']:.0%} and more"
    return (
        Figure(key="total", title="Predictions", value=found["total"]),
        Figure(key="high", title="High probability", value=found["high_probability"], note="80% and more"),
        Figure(key="above", title="Above alert threshold", value=found["above_alert_threshold"], note=threshold),
        Figure(key="average", title="Average probability", value=found["average_probability"], unit=Unit.PROBABILITY),
    )


def _forecast(ahead: outlook.Outlook) -> Chart:
    """Return the curve: observed up to today, projected from today on, so that the two lines meet."""
    rows = []
    for place, point in enumerate(ahead.points):
        observed = point.value if point.kind == "observed" else None
        projected = point.value if place >= ahead.today_index else None
        band = (point.lower, point.upper) if place >= ahead.today_index else (None, None)
        rows.append((point.bucket_ts.date().isoformat(), observed, projected, *band))
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        Column(key="observed", title="Observed", unit=Unit.SCORE),
        Column(key="projected", title="Projected", unit=Unit.SCORE),
        Column(key="lower", title="Low", unit=Unit.SCORE),
        Column(key="upper", title="High", unit=Unit.SCORE),
    )
    table = Table(key="outlook", title="Risk", columns=columns, rows=tuple(rows), empty="No pattern is known yet.")
    return Chart(
        key="outlook_chart",
        title="Risk of the riskiest pattern",
        form="line",
        table=table if any(point.value for point in ahead.points) else table.model_copy(update={"rows": ()}),
        x="day",
        y=("observed", "projected"),
        lower="lower",
        upper="upper",
        split=ahead.points[ahead.today_index].bucket_ts.date().isoformat(),
        threshold=100 * ahead.threshold,
        threshold_label=f"ALERT {round(100 * ahead.threshold)}",
        alt="Composite risk from 0 to 100 of the riskiest pattern on each day: observed up to today, then projected with its band.",
    )


def _breach(reader: shown.Reader, ahead: outlook.Outlook) -> Json | None:
    found = ahead.breach
    if found is None:
        return None
    return {
        "day": reader.words(found.bucket_ts.date().isoformat(), Unit.DATE),
        "pattern": found.pattern_label,
        "href": f"/patterns/{ids.show(ids.Prefix.PATTERN, found.pattern_id)}",
        "probability": reader.words(found.probability, Unit.PROBABILITY),
        "today": found.point_index == ahead.today_index + 1,
    }


def _matrix(placed: Table) -> Chart:
    return Chart(
        key="matrix_chart",
        title=placed.title,
        form="matrix",
        table=placed.model_copy(update={"links": ()}),
        x="impact",
        y=("likelihood",),
        alt="The most probable predictions, each placed by its probability and its pattern's risk.",
    )


def _rows(visit: Visit, reader: shown.Reader) -> list[Json]:
    wanted = select(Prediction, Pattern).join(Pattern, Pattern.id == Prediction.pattern_id).where(Prediction.status == "active")
    found = visit.db.execute(wanted.order_by(Prediction.probability.desc(), Prediction.id).limit(LISTED)).all()
    return [_row(reader, row.Prediction, row.Pattern) for row in found]


def _row(reader: shown.Reader, one: Prediction, pattern: Pattern) -> Json:
    return {
        "id": ids.show(ids.Prefix.PREDICTION, one.id),
        "pattern": pattern.name,
        "service": pattern.service or "",
        "href": f"/patterns/{ids.show(ids.Prefix.PATTERN, pattern.id)}",
        "probability": reader.words(one.probability, Unit.PROBABILITY),
        "lower": 100 * one.lower,
        "percent": 100 * one.probability,
        "upper": 100 * one.upper,
        "range": f"{reader.words(one.lower, Unit.PROBABILITY)} to {reader.words(one.upper, Unit.PROBABILITY)}",
        "window": one.window_days,
        "impact": one.impact,
        "trigger": one.likely_trigger,
        "risk": pattern.risk_score,
        "band": shown.band(pattern.risk_score),
    }


def _record(visit: Visit, reader: shown.Reader) -> Json:
    """Return how right the predictions of the last days were, in words."""
    now = clock.now()
    found = accuracy.of(visit.db, now - timedelta(days=RECORD_DAYS), now)
    facts = (
        ("Came true", found.hits, Unit.COUNT),
        ("Prevented by a fix", found.prevented, Unit.COUNT),
        ("Did not come", found.misses, Unit.COUNT),
        ("Brier score", None if found.brier is None else round(found.brier, 3), Unit.NUMBER),
        ("of guessing the base rate", None if found.brier_base is None else round(found.brier_base, 3), Unit.NUMBER),
        ("Alerts that came true", found.precision, Unit.PROBABILITY),
        ("Returns that were alerted", found.recall, Unit.PROBABILITY),
        ("Typical lead time", found.lead_time_days, Unit.DAYS),
    )
    return {"settled": found.settled, "facts": [(name, reader.words(value, unit)) for name, value, unit in facts if value is not None]}
