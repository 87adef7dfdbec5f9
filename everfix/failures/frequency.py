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
SELECT d::date AS day, coalesce(h.failures, 0) AS failures
FROM generate_series(cast(:first AS date), cast(:today AS date), interval '1 day') d LEFT JOIN (
    SELECT (hour AT TIME ZONE :zone)::date AS day, sum(failures) AS failures FROM pattern_hours
    WHERE pattern_id = :pattern AND hour >= cast(:first AS timestamp) AT TIME ZONE :zone GROUP BY 1
) h ON h.day = d::date
ORDER BY d
"""
# Thirty failing days have at most 720 hours, and so the newest 720 hours hold the newest thirty days.
_USUAL = """
SELECT avg(n) FROM (
    SELECT sum(failures) AS n FROM (SELECT hour, failures FROM pattern_hours WHERE pattern_id = :pattern ORDER BY hour DESC LIMIT 720) newest
    GROUP BY hour::date ORDER BY hour::date DESC LIMIT 30
) last
"""
