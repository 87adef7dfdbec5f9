"""Triggers: what usually comes before a pattern fails, said only where its history shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.failures.patterns import Pattern

AFTER_CHANGE = timedelta(hours=6)
ENOUGH = 4  # failing days before a habit is claimed
HABIT = 0.45  # share of failing days on one weekday that makes it a habit (a seventh would be chance)
LIFT = 2.0  # how many times more often than by chance failures must follow a change
DAYS = ("Sundays", "Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays")


def of(db: Session, found: Sequence[Pattern], now: datetime) -> dict[UUID, str]:
    """Return one sentence per pattern: a deploy of its service, a weekday, or its usual gap."""
    rows = {row.pattern_id: row for row in db.execute(text(_HABITS), {"ids": [p.id for p in found], "now": now, "after": AFTER_CHANGE})}
    return {pattern.id: _sentence(pattern, rows.get(pattern.id)) for pattern in found}


def _sentence(pattern: Pattern, row: object) -> str:
    days = int(getattr(row, "days", 0) or 0)
    if days < 2:  # noqa: PLR2004 - a habit needs a return
        return "Seen once so far: no trigger can be told yet."
    after, chance = float(getattr(row, "after_change", 0.0) or 0.0), float(getattr(row, "chance", 0.0) or 0.0)
    if days >= ENOUGH and after >= 0.5 and after >= LIFT * max(chance, 0.02):  # noqa: PLR2004 - half of its failing days
        return f"A change of {pattern.service}: {after:.0%} of its failing days followed one within {AFTER_CHANGE.seconds // 3600} hours."
    share, weekday = float(getattr(row, "share", 0.0) or 0.0), int(getattr(row, "weekday", 0) or 0)
    if days >= ENOUGH and share >= HABIT:
        return f"{DAYS[weekday]}: {share:.0%} of its failing days fall on them."
    gap = float(getattr(row, "gap", 0.0) or 0.0)
    return f"No single trigger stands out; half of its returns come within {gap:.0f} {'day' if round(gap) == 1 else 'days'} of the last failure."


_HABITS = """
WITH days AS (
    SELECT h.pattern_id, h.hour::date AS day, min(h.hour) AS first FROM pattern_hours h
    WHERE h.pattern_id = ANY(:ids) AND h.newest <= :now GROUP BY 1, 2
), gaps AS (
    SELECT pattern_id, day, first, day - lag(day) OVER (PARTITION BY pattern_id ORDER BY day) AS gap FROM days
), weekdays AS (
    SELECT DISTINCT ON (pattern_id) pattern_id, weekday, n FROM (
        SELECT pattern_id, extract(dow FROM day) AS weekday, count(*) AS n FROM days GROUP BY 1, 2) w ORDER BY pattern_id, n DESC, weekday
), follows AS (
    SELECT d.pattern_id, avg(CASE WHEN EXISTS (
        SELECT FROM changes c WHERE c.service = p.service AND c.kind <> 'fix' AND c.occurred_at BETWEEN d.first - :after AND d.first + interval '1 hour'
    ) THEN 1.0 ELSE 0.0 END) AS share FROM days d JOIN patterns p ON p.id = d.pattern_id GROUP BY 1
), chances AS (
    SELECT p.id AS pattern_id, least(1.0, count(c.id) * extract(epoch FROM cast(:after AS interval))
        / greatest(extract(epoch FROM cast(:now AS timestamptz) - p.first_seen_at), 86400)) AS chance
    FROM patterns p LEFT JOIN changes c ON c.service = p.service AND c.kind <> 'fix' AND c.occurred_at BETWEEN p.first_seen_at AND :now
    WHERE p.id = ANY(:ids) GROUP BY p.id, p.first_seen_at
)
SELECT g.pattern_id, count(*) AS days, percentile_cont(0.5) WITHIN GROUP (ORDER BY g.gap) AS gap,
    max(w.weekday) AS weekday, max(w.n)::float / count(*) AS share, max(f.share) AS after_change, max(ch.chance) AS chance
FROM gaps g JOIN weekdays w USING (pattern_id) JOIN follows f USING (pattern_id) JOIN chances ch USING (pattern_id) GROUP BY g.pattern_id
"""
