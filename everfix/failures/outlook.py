"""Outlook: risk observed day by day, then projected, for one pattern or the whole workspace, and where it crosses the alert threshold.

Risk is the composite of `risk` on its 0–100 axis. A past day has the score that the pattern's failures and its prediction of that day
give. A coming day adds the failures that the prediction expects: p within w days means a daily hazard h = 1 − (1 − p)^(1/w), and each
failing day brings as many failures as the pattern's failing days usually do. The band takes the prediction's own 90 % interval, and
for the failures the 5th and 95th percentile of a Poisson count. The workspace's curve is that of its riskiest pattern on each day.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import date, datetime, time, timedelta
from typing import Any
from uuid import UUID
from zoneinfo import ZoneInfo

import numpy as np
from scipy import stats
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix.failures import patterns, risk
from everfix.failures.patterns import Pattern
from everfix.identity import workspaces

MONTH = 30
RISKIEST = 50  # patterns that a workspace's curve is drawn from
TICKS = 6  # labels of the time axis, about


@dataclasses.dataclass(frozen=True, slots=True)
class Point:
    """One day. `kind` is observed or projected; `trigger` says what a projected day waits for."""

    bucket_ts: datetime
    value: float
    lower: float
    upper: float
    kind: str
    trigger: str | None
    pattern_id: UUID | None


@dataclasses.dataclass(frozen=True, slots=True)
class Breach:
    """The first projected day whose risk reaches the threshold."""

    bucket_ts: datetime
    point_index: int
    pattern_id: UUID
    pattern_label: str
    probability: float


@dataclasses.dataclass(frozen=True, slots=True)
class Outlook:
    """The curve, `days` back and `days` ahead; `today_index` is the last observed point."""

    points: list[Point]
    today_index: int
    x_tick_indices: list[int]
    threshold: float
    breach: Breach | None


@dataclasses.dataclass(frozen=True, slots=True)
class Curve:
    """One pattern's days: risk with its band, what it would take, and how probable its return is now."""

    pattern: Pattern
    value: np.ndarray[Any, Any]
    lower: np.ndarray[Any, Any]
    upper: np.ndarray[Any, Any]
    trigger: str | None
    probability: float


def of(db: Session, now: datetime, days: int, pattern_id: UUID | None = None) -> Outlook:
    """Return the outlook of one pattern or, without one, of the workspace; raises NotFound for an unknown pattern."""
    here = workspaces.here(db)
    zone = ZoneInfo(here.timezone)
    today = now.astimezone(zone).date()
    chosen = [patterns.get(db, pattern_id)] if pattern_id else _riskiest(db)
    curves = _curves(db, chosen, today, days, zone)
    points = [_point(curves, place, today + timedelta(days=place - days + 1), days, zone) for place in range(2 * days)]
    ticks = sorted({round(place * (len(points) - 1) / (TICKS - 1)) for place in range(TICKS)})
    return Outlook(points, days - 1, ticks, here.alert_threshold, _breach(curves, points, days, here.alert_threshold))


def _riskiest(db: Session) -> list[Pattern]:
    query = select(Pattern).where(Pattern.status != "resolved", Pattern.issue_count > 0)
    return list(db.execute(query.order_by(Pattern.risk_score.desc(), Pattern.id).limit(RISKIEST)).scalars())


def _curves(db: Session, chosen: Sequence[Pattern], today: date, days: int, zone: ZoneInfo) -> list[Curve]:
    ids = [pattern.id for pattern in chosen]
    first = today - timedelta(days=days + 2 * MONTH)
    given = {"ids": ids, "zone": zone.key, "first": first}
    failures = {(row.pattern_id, row.day): int(row.failures) for row in db.execute(text(_DAYS), given)}
    said: dict[UUID, list[Any]] = {}
    for row in db.execute(text(_SAID), given):
        said.setdefault(row.pattern_id, []).append(row)
    span = [first + timedelta(days=place) for place in range((today - first).days + 1)]
    return [
        _curve(pattern, np.array([failures.get((pattern.id, day), 0) for day in span]), said.get(pattern.id, []), span, days)
        for pattern in chosen
    ]


_DAYS = """
SELECT pattern_id, (hour AT TIME ZONE :zone)::date AS day, sum(failures) AS failures FROM pattern_hours
WHERE pattern_id = ANY(:ids) AND hour >= cast(:first AS date)::timestamp AT TIME ZONE :zone GROUP BY 1, 2
"""
_SAID = """
SELECT pattern_id, day, probability, lower, upper, window_days, likely_trigger, status FROM predictions
WHERE pattern_id = ANY(:ids) AND day >= :first ORDER BY pattern_id, day, window_days
"""


def _curve(pattern: Pattern, failures: np.ndarray[Any, Any], said: Sequence[Any], span: Sequence[date], days: int) -> Curve:
    newest = next((row for row in reversed(said) if row.status == "active"), None)
    spoken = {row.day: float(row.probability) for row in said}
    value = np.empty(2 * days)
    probability = 0.0
    before = [spoken[day] for day in span[:-days] if day in spoken]
    probability = before[-1] if before else 0.0
    for place in range(days):
        at = len(span) - days + place
        probability = spoken.get(span[at], probability)
        value[place] = _score(pattern, failures, at + 1, 0.0, probability)
    lower, upper = value.copy(), value.copy()
    p, low, high, window = (newest.probability, newest.lower, newest.upper, newest.window_days) if newest else (0.0, 0.0, 0.0, 7)
    usual = float(failures[failures > 0].mean()) if failures.any() else 1.0
    for ahead in range(1, days + 1):
        coming = {name: ahead * (1 - (1 - min(odds, 0.999)) ** (1 / window)) * usual for name, odds in (("p", p), ("l", low), ("h", high))}
        few, many = float(stats.poisson.ppf(0.05, coming["l"])), float(stats.poisson.ppf(0.95, coming["h"]))
        at = days + ahead - 1
        end = len(failures) + ahead
        value[at] = _score(pattern, failures, end, coming["p"], p)
        lower[at] = min(value[at], _score(pattern, failures, end, few, low))
        upper[at] = max(value[at], _score(pattern, failures, end, many, high))
    return Curve(pattern, value, lower, upper, newest.likely_trigger if newest else None, p)


def _score(pattern: Pattern, failures: np.ndarray[Any, Any], end: int, coming: float, probability: float) -> float:
    """Return the risk as of `end` days into the span: what fell into the 30 days before it, and `coming` failures that are only expected."""
    last = int(failures[max(0, end - MONTH) : end].sum()) + coming
    before = int(failures[max(0, end - 2 * MONTH) : max(0, end - MONTH)].sum())
    return float(risk.total(risk.of_pattern(pattern.severity, round(last), before, probability)))


def _point(curves: Sequence[Curve], place: int, day: date, days: int, zone: ZoneInfo) -> Point:
    at = datetime.combine(day, time(), zone)
    kind = "observed" if place < days else "projected"
    top = max(curves, key=lambda curve: curve.value[place], default=None)
    if top is None:
        return Point(at, 0.0, 0.0, 0.0, kind, None, None)
    trigger = top.trigger if kind == "projected" else None
    return Point(at, float(top.value[place]), float(top.lower[place]), float(top.upper[place]), kind, trigger, top.pattern.id)


def _breach(curves: Sequence[Curve], points: Sequence[Point], days: int, threshold: float) -> Breach | None:
    """Return the first projected day at which the curve stands at the threshold or above."""
    by_id = {curve.pattern.id: curve for curve in curves}
    for place, point in enumerate(points[days:], days):
        if point.pattern_id is not None and point.value >= 100 * threshold:
            curve = by_id[point.pattern_id]
            return Breach(point.bucket_ts, place, point.pattern_id, curve.pattern.name, curve.probability)
    return None
