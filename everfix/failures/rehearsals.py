"""Rehearsals: when a rule would have fired, had it been made some days ago; the rule's own code walks over what was known then.

A prediction rule walks over the last word of each day on each pattern; a metric rule looks at its figure every minute, as it does when it is
switched on (at a percentile less often; the answer says how often).
"""

from __future__ import annotations

import dataclasses
import itertools
import math
from collections.abc import Iterator
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.errors import Invalid
from everfix.failures import alert_metrics, alerts, metric_past
from everfix.failures.alerts import Rule

LOOKS = 1_500  # times that a percentile is looked at
LISTED = 200  # firings that the API tells one by one, the newest
TOLD_BY = ("metric", "operator", "threshold", "window_minutes", "cooldown_minutes", "no_data")  # what a metric rule fires by
LONGEST = 90  # days
OVERLAP = 8  # times that a row is read at most: a long window is looked at less often
STEPS = (1, 2, 5, 10, 15, 30, 60, 120, 180, 360, 720, 1440)  # minutes from one look to the next


@dataclasses.dataclass(frozen=True, slots=True)
class Fire:
    """One time that the rule would have told somebody: what it saw, and when it was over (None: it still is not)."""

    at: datetime
    value: float | None
    over_at: datetime | None
    pattern_id: UUID | None = None
    name: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Rehearsal:
    """Every time the rule would have fired, the newest first; `seen` is what a figure was at each look, `step_minutes` apart."""

    start: datetime
    end: datetime
    threshold: float
    fires: list[Fire]
    step_minutes: int | None = None
    seen: list[tuple[datetime, float | None]] = dataclasses.field(default_factory=list)

    @property
    def patterns(self) -> int:
        """Return for how many patterns it would have fired."""
        return len({fire.pattern_id for fire in self.fires})

    @property
    def extremes(self) -> tuple[float, float] | None:
        """Return the least and the most that a figure was, or None where there were no data."""
        known = [value for _, value in self.seen if value is not None]
        return (min(known), max(known)) if known else None


def of(db: Session, rule: Rule, days: int, now: datetime) -> Rehearsal:
    """Walk a rule, kept or not, over the last days; it need not be switched on. Raises Invalid for a figure whose past is not known."""
    start = now - timedelta(days=days)
    return _predictions(db, rule, start, now) if rule.kind == "prediction" else _metric(db, rule, start, now)


# ---- predictions

# The last word of each day on each pattern that came near the threshold, and until when it stood.
_SAID = """
SELECT p.pattern_id, max(t.name) AS name, min(p.generated_at) AS at, max(p.probability) FILTER (WHERE p.window_days <= :window) AS probability,
    max(least(p.expires_at, coalesce(p.resolved_at, p.expires_at))) AS until
FROM predictions p JOIN patterns t ON t.id = p.pattern_id
WHERE p.pattern_id IN (SELECT n.pattern_id FROM predictions n WHERE n.status IN ('active', 'superseded') AND n.probability >= :limit
        AND n.expires_at > :start AND (cast(:pattern AS uuid) IS NULL OR n.pattern_id = :pattern))
    AND p.status IN ('active', 'superseded') AND p.expires_at > :start AND p.generated_at <= :end
GROUP BY p.pattern_id, p.day ORDER BY p.pattern_id, at
"""


def _predictions(db: Session, rule: Rule, start: datetime, end: datetime) -> Rehearsal:
    limit = float(rule.probability or 0)
    given = {"limit": limit, "window": rule.window_days or 365, "pattern": rule.pattern_id, "start": start, "end": end}
    said = db.execute(text(_SAID), given).yield_per(5_000)
    fires = [
        fire for _, words in itertools.groupby(said, key=lambda row: row.pattern_id) for fire in _of_pattern(list(words), limit, start, end)
    ]
    fires.sort(key=lambda fire: (fire.at, fire.value or 0.0), reverse=True)
    return Rehearsal(start, end, limit, fires)


def _of_pattern(words: list[Any], limit: float, start: datetime, end: datetime) -> Iterator[Fire]:
    """Yield when the rule would have fired for one pattern: `words` are what was said of it, in order."""
    fire: Fire | None = None
    key = str(words[0].pattern_id)
    words = words[next((place for place in range(len(words) - 1, 0, -1) if words[place].at <= start), 0) :]  # what stood at the start
    for word, following in itertools.zip_longest(words, words[1:]):
        odds = {key: word.probability} if word.probability is not None else {}
        came, over = alerts.due([key] if fire else [], odds, limit)
        if over and fire:
            yield dataclasses.replace(fire, over_at=word.at)
            fire = None
        if came:
            fire = Fire(max(word.at, start), word.probability, None, word.pattern_id, word.name)
        lapsed = word.until <= end and (following is None or following.at > word.until)
        if fire and lapsed and alerts.due([key], {}, limit)[1]:
            yield dataclasses.replace(fire, over_at=word.until)
            fire = None
    if fire:
        yield fire


# ---- figures


def _metric(db: Session, rule: Rule, start: datetime, end: datetime) -> Rehearsal:
    alerts.check_condition(rule)
    key = str(rule.metric)
    if key not in metric_past.EVENTS:
        said = f"what “{alert_metrics.METRICS[key].title}” was in the past is not kept"
        raise Invalid(said, details={"metric": f"for a preview one of {', '.join(metric_past.EVENTS)}"})
    minutes = round((end - start) / metric_past.MINUTE)
    rare = metric_past.EVENTS[key].fold == "p99"  # a running sum does not give it
    step = max(next(one for one in STEPS if minutes / one <= LOOKS), math.ceil(rule.window_minutes / OVERLAP)) if rare else 1
    last = end.replace(second=0, microsecond=0)
    moments = [last - step * place * metric_past.MINUTE for place in range(minutes // step, -1, -1)]
    seen = list(zip(moments, metric_past.values(db, key, rule.window_minutes, moments), strict=True))
    fires = _walk(alerts.draft("metric", {name: getattr(rule, name) for name in TOLD_BY}), seen)
    return Rehearsal(start, end, float(rule.threshold or 0), fires[::-1], step_minutes=step, seen=seen)


def _walk(rule: Rule, seen: list[tuple[datetime, float | None]]) -> list[Fire]:
    """Return when a rule fires as it meets these values: what has not changed is passed by, unless the rule might tell it again."""
    fires: list[Fire] = []
    open_, before = 0, seen[0][1]
    for place, (at, value) in enumerate(seen):
        if place and value == before and rule.status != "firing":
            continue
        before = value
        told = alerts.look(rule, alerts.judged(rule, value, None), at)
        if told == "fired":
            fires.append(Fire(at, value, None))
        elif told == "recovered":
            fires[open_:] = [dataclasses.replace(fire, over_at=at) for fire in fires[open_:]]
            open_ = len(fires)
    return fires
