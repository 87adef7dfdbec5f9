"""Predictions: how probable it is that a pattern fails again within its window, and whether that came true.

A prediction belongs to a pattern, a window and a day; while the day lasts it is brought up to date, then it stands and is
resolved when its window ends: `hit` (it failed), `prevented` (it did not, and a fix was in place), `miss` (it did not).
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import date, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, select, text, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow, among, created, refers
from everfix.errors import Conflict, NotFound
from everfix.failures import forecast, learned, patterns, triggers
from everfix.identity import workspaces

STRIDE = timedelta(days=3.5)  # how far apart the past windows lie that the model learns from
ACTIVE_DAYS = 180.0
HIGH = 0.8  # "high probability"
IMPACT = {"p1": "critical", "p2": "high", "p3": "medium", "p4": "low"}


class Prediction(WorkspaceRow, Base):
    """One forecast and what became of it. `why` lists what moved the probability, strongest first."""

    __tablename__ = "predictions"
    __table_args__ = (
        refers("pattern_id", "patterns"),
        CheckConstraint("probability BETWEEN 0 AND 1", name="probability"),
        CheckConstraint("impact IN ('critical', 'high', 'medium', 'low')", name="impact"),
        CheckConstraint("outcome IN ('hit', 'miss', 'prevented')", name="outcome"),
        CheckConstraint("status IN ('active', 'dismissed', 'superseded')", name="status"),
        Index("uq_predictions_day", "workspace_id", "pattern_id", "window_days", "day", unique=True),
        Index("ix_predictions_status", "workspace_id", "status", "probability", "id"),
        Index("ix_predictions_expires", "workspace_id", "expires_at", postgresql_where=text("outcome IS NULL")),
    )

    pattern_id: Mapped[UUID]
    window_days: Mapped[int]
    day: Mapped[date]
    probability: Mapped[float]
    lower: Mapped[float]
    upper: Mapped[float]
    impact: Mapped[str]
    likely_trigger: Mapped[str]
    why: Mapped[list[Json]]
    base_rate: Mapped[float]
    failures: Mapped[int]  # how often the pattern had failed when this was said
    model_version: Mapped[str]
    generated_at: Mapped[datetime]
    expires_at: Mapped[datetime]
    status: Mapped[str] = mapped_column(server_default="active")
    outcome: Mapped[str | None]
    outcome_by: Mapped[str | None]  # who said so, where a person did; the clock's word leaves it empty
    resolved_at: Mapped[datetime | None]
    dismissed_reason: Mapped[str | None]
    dismissed_until: Mapped[datetime | None]
    feedback: Mapped[list[Json]] = mapped_column(server_default="[]")
    created_at: Mapped[datetime] = created()


def refresh(db: Session, now: datetime, pattern_ids: Sequence[UUID] | None = None) -> dict[UUID, float]:
    """Predict these patterns (default: all live ones) at `now` and return their probabilities.

    1. Learn from the windows of the whole workspace that ended since the model last learnt.
    2. Predict; write today's prediction of each pattern; older open ones are superseded.
    """
    window = workspaces.here(db).prediction_window_days
    known = patterns.histories(db, now, pattern_ids)
    if not known:
        return {}
    model = catch_up(db, now, window, known if pattern_ids is None else None)
    forecasts = model.predict([item.history for item in known], now, window, whole=pattern_ids is None)
    trigger = triggers.of(db, known, now)
    rows = [_row(item, made, trigger[item.pattern.id], now, window) for item, made in zip(known, forecasts, strict=True)]
    _write(db, rows)
    touched = [row["pattern_id"] for row in rows]
    db.execute(
        update(Prediction)
        .where(among(Prediction.pattern_id, touched), Prediction.status == "active", Prediction.day < now.date())
        .values(status="superseded")
    )
    db.execute(text(_STAY_DISMISSED), {"ids": touched, "now": now})
    return {row["pattern_id"]: row["probability"] for row in rows}


# What a person dismissed stays off the list until the window of the dismissed prediction ends.
_STAY_DISMISSED = """
UPDATE predictions p SET status = 'dismissed', dismissed_reason = d.dismissed_reason FROM predictions d
WHERE p.pattern_id = ANY(:ids) AND p.status = 'active' AND d.pattern_id = p.pattern_id AND d.window_days = p.window_days
    AND d.status = 'dismissed' AND d.dismissed_until > :now AND d.id <> p.id
"""


def _row(item: patterns.Known, made: forecast.Forecast, trigger: str, now: datetime, window: int) -> dict[str, Any]:
    return {
        "id": ids.new(),
        "pattern_id": item.pattern.id,
        "window_days": window,
        "day": now.date(),
        "probability": round(made.probability, 6),
        "lower": round(made.lower, 6),
        "upper": round(made.upper, 6),
        "impact": IMPACT[item.pattern.severity],
        "likely_trigger": trigger,
        "why": made.why,
        "base_rate": float(made.why[0]["value"]),
        "failures": int(item.history.counts.sum()),
        "model_version": forecast.VERSION,
        "generated_at": now,
        "expires_at": now + timedelta(days=window),
    }


def _write(db: Session, rows: list[dict[str, Any]]) -> None:
    db.execute(text(_UPSERT), {"rows": json.dumps(rows, default=str)})


_TYPES = {
    "id": "uuid",
    "pattern_id": "uuid",
    "window_days": "int",
    "day": "date",
    "probability": "float",
    "lower": "float",
    "upper": "float",
    "impact": "text",
    "likely_trigger": "text",
    "why": "jsonb",
    "base_rate": "float",
    "failures": "int",
    "model_version": "text",
    "generated_at": "timestamptz",
    "expires_at": "timestamptz",
}
_UPSERT = f"""
INSERT INTO predictions ({", ".join(_TYPES)}) SELECT {", ".join(_TYPES)}
FROM jsonb_to_recordset(cast(:rows AS jsonb)) AS r({", ".join(f"{name} {kind}" for name, kind in _TYPES.items())})
ON CONFLICT (workspace_id, pattern_id, window_days, day) DO UPDATE SET
    {", ".join(f"{name} = excluded.{name}" for name in _TYPES if name not in ("id", "pattern_id", "window_days", "day"))}
WHERE predictions.outcome IS NULL
"""  # noqa: S608 - built from the table above


def catch_up(db: Session, now: datetime, window: int, known: Sequence[patterns.Known] | None = None) -> forecast.Model:
    """Return the workspace's model after it has learnt from every window that ended by `now` and that it has not seen.

    `known` is the whole workspace where the caller has loaded it already.
    """
    held = learned.load(db, "forecast", forecast.VERSION)
    model = forecast.Model.from_state(held[0]) if held else forecast.Model.new()
    facts = dict(held[1]) if held else {}
    until = now - timedelta(days=window)
    began = datetime.fromisoformat(facts[str(window)]) if str(window) in facts else _first(db)
    if began is None or began + STRIDE > until:
        return model
    everything = [item.history for item in known or patterns.histories(db, now)]
    origin = began
    while origin + STRIDE <= until:
        origin += STRIDE
        model.learn(everything, origin, now, window, active_days=ACTIVE_DAYS)
    facts[str(window)] = origin.isoformat()
    learned.save(db, "forecast", forecast.VERSION, model.to_state(), facts)
    return model


def _first(db: Session) -> datetime | None:
    first: datetime | None = db.execute(text("SELECT min(hour) FROM pattern_hours")).scalar_one()
    return first


def resolve(db: Session, now: datetime) -> int:
    """Settle every prediction whose window has ended, and return how many that were."""
    return len(db.execute(text(_RESOLVE), {"now": now}).all())


_RESOLVE = """
UPDATE predictions p SET
    outcome = CASE
        WHEN EXISTS (SELECT FROM issues i WHERE i.pattern_id = p.pattern_id AND i.occurred_at > p.generated_at
            AND i.occurred_at <= p.expires_at) THEN 'hit'
        WHEN EXISTS (SELECT FROM recommendation_patterns rp JOIN recommendations r ON r.id = rp.recommendation_id
            WHERE rp.pattern_id = p.pattern_id AND r.status = 'implemented' AND r.implemented_at <= p.expires_at) THEN 'prevented'
        ELSE 'miss' END,
    resolved_at = :now,
    status = CASE WHEN p.status = 'active' THEN 'superseded' ELSE p.status END
WHERE p.outcome IS NULL AND p.expires_at <= :now RETURNING p.id
"""


def replay(db: Session, origins: Sequence[datetime]) -> int:
    """Write the predictions that would have been made at past moments, for imported history; returns how many.

    Each uses only what had happened by its origin, and is settled like any other; `origins` must be in order.
    """
    made = 0
    for origin in origins:
        made += len(refresh(db, origin))
    return made


def get(db: Session, prediction_id: UUID) -> Prediction:
    """Return one prediction; raises NotFound."""
    found = db.execute(select(Prediction).where(Prediction.id == prediction_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no prediction {ids.show(ids.Prefix.PREDICTION, prediction_id)}")
    return found


def summary(db: Session) -> dict[str, Any]:
    """Return the four tiles: how many stand, at HIGH and more, at the alert threshold and more, and their mean."""
    return dict(db.execute(text(_SUMMARY), {"high": HIGH}).mappings().one())


_SUMMARY = """
SELECT count(f.id) AS total, count(f.id) FILTER (WHERE f.probability >= :high) AS high_probability,
    count(f.id) FILTER (WHERE f.probability >= w.alert_threshold) AS above_alert_threshold,
    avg(f.probability) AS average_probability, w.alert_threshold
FROM workspaces w LEFT JOIN predictions f ON f.status = 'active' GROUP BY w.alert_threshold
"""


def settle(db: Session, prediction_id: UUID, outcome: str, *, by: audit.Actor) -> Prediction:
    """Record by hand what became of a prediction."""
    found = get(db, prediction_id)
    before, found.outcome, found.outcome_by, found.resolved_at = found.outcome, outcome, by.name, clock.now()
    db.flush()
    audit.record(db, by, audit.Action.PREDICTION_SETTLED, "prediction", found.id, {"outcome": [before, outcome]})
    return found


def dismiss(db: Session, prediction_id: UUID, reason: str, *, by: audit.Actor) -> Prediction:
    """Take a prediction off the list until its window ends; raises Conflict when it no longer stands."""
    found = get(db, prediction_id)
    if found.status == "superseded":
        raise Conflict("a newer prediction has taken this one's place: dismiss that one")
    found.status, found.dismissed_reason, found.dismissed_until = "dismissed", reason, found.expires_at
    db.flush()
    audit.record(db, by, audit.Action.PREDICTION_DISMISSED, "prediction", found.id, {"reason": reason})
    return found


def judge(db: Session, prediction_id: UUID, *, useful: bool, comment: str, by: audit.Actor) -> Prediction:
    """Keep what somebody thinks of a prediction, the newest word of each."""
    found = get(db, prediction_id)
    word = {"by": by.name, "by_id": str(by.actor_id), "useful": useful, "comment": comment, "at": clock.now().isoformat()}
    found.feedback = [*(one for one in found.feedback if one["by_id"] != str(by.actor_id)), word]
    db.flush()
    audit.record(db, by, audit.Action.PREDICTION_JUDGED, "prediction", found.id, {"useful": useful})
    return found


def newest(db: Session, pattern_id: UUID) -> Prediction | None:
    """Return the pattern's prediction that stands now, if there is one."""
    query = select(Prediction).where(Prediction.pattern_id == pattern_id, Prediction.status == "active")
    return db.execute(query.order_by(Prediction.generated_at.desc()).limit(1)).scalar_one_or_none()
