"""Frequency: a pattern's failures of each day of a window, and for the days to come what its prediction lets expect, with a band.

A probability p of a return within w days means a daily hazard h = 1 − (1 − p)^(1/w); a failing day brings as many failures as the pattern's
failing days usually did. The band is the prediction's own interval; a count cannot be below zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.failures import predictions
from everfix.failures.patterns import Pattern
from everfix.identity import workspaces


@dataclass(frozen=True, slots=True)
class Frequency:
    """Days that were (date, failures), and days to come (date, expected, lower, upper)."""

    series: list[dict[str, Any]]
    predicted: list[dict[str, Any]]


def of(db: Session, pattern: Pattern, days: int, now: datetime) -> Frequency:
    """Return so many days up to today, in the workspace's time zone, and as many to come as the standing prediction looks ahead."""
    zone = workspaces.here(db).timezone
    today = now.astimezone(ZoneInfo(zone)).date()
    given = {"pattern": pattern.id, "zone": zone, "first": today - timedelta(days=days - 1), "today": today}
    rows = db.execute(text(_DAYS), given).all()
    series = [{"date": row.day.isoformat(), "failures": int(row.failures)} for row in rows]
    standing = predictions.newest(db, pattern.id)
    if standing is None:
        return Frequency(series, [])
    usual = db.execute(text(_USUAL), {"pattern": pattern.id}).scalar_one()
    chances = {name: getattr(standing, key) for name, key in (("expected", "probability"), ("lower", "lower"), ("upper", "upper"))}
    each = {name: round(float(usual or 1.0) * (1 - (1 - min(p, 0.9999)) ** (1 / standing.window_days)), 4) for name, p in chances.items()}
    ahead = min(days, standing.window_days)
    return Frequency(series, [{"date": (today + timedelta(days=n)).isoformat(), **each} for n in range(1, ahead + 1)])


_DAYS = """
SELECT d::date AS day, coalesce(sum(h.failures), 0) AS failures
FROM generate_series(cast(:first AS date), cast(:today AS date), interval '1 day') d
LEFT JOIN pattern_hours h ON h.pattern_id = :pattern AND h.hour >= d::timestamp AT TIME ZONE :zone
    AND h.hour < (d + interval '1 day')::timestamp AT TIME ZONE :zone
GROUP BY d ORDER BY d
"""
_USUAL = """
SELECT avg(n) FROM (SELECT sum(failures) AS n FROM pattern_hours WHERE pattern_id = :pattern GROUP BY hour::date ORDER BY hour::date DESC LIMIT 30) last
"""
