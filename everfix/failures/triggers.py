"""Triggers: what usually comes before a pattern fails, said only where its history shows it."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.failures import features
from everfix.failures.changes import Change
from everfix.failures.patterns import Known

AFTER_CHANGE = timedelta(hours=6)
LOOK_BACK = timedelta(days=400)
ENOUGH = 4  # failing days before a habit is claimed
HABIT = 0.45  # share of failing days on one weekday that makes it a habit (a seventh would be chance)
OFTEN = 0.5  # share of failing days that must follow a change
LIFT = 2.0  # how many times more often than by chance failures must follow a change
DAYS = ("Mondays", "Tuesdays", "Wednesdays", "Thursdays", "Fridays", "Saturdays", "Sundays")
ONCE = "none known (seen once so far)"
EPOCH_WEEKDAY = 3  # 1 January 1970 was a Thursday


def of(db: Session, found: Sequence[Known], now: datetime) -> dict[UUID, str]:
    """Return a noun phrase per pattern, its evidence in brackets: a change of its service, a weekday, or time alone."""
    services = {item.pattern.service for item in found if item.pattern.service and item.pattern.issue_count > 1}
    changed = _changes(db, services, now)
    return {item.pattern.id: _clause(item, changed.get(item.pattern.service or "")) for item in found}


def _changes(db: Session, services: set[str], now: datetime) -> dict[str, features.Ints]:
    query = select(Change.service, Change.occurred_at).where(
        Change.service.in_(services), Change.kind != "fix", Change.occurred_at <= now, Change.occurred_at > now - LOOK_BACK
    )
    moments: dict[str, list[int]] = {}
    for row in db.execute(query):
        moments.setdefault(row.service, []).append(features.microseconds(row.occurred_at))
    return {service: np.sort(np.array(times, dtype=np.int64)) for service, times in moments.items()}


def _clause(item: Known, changed: features.Ints | None) -> str:
    days, first = np.unique(item.history.occurred // features.DAY, return_index=True)
    if len(days) < 2:
        return ONCE
    if len(days) >= ENOUGH:
        if changed is not None and len(changed):
            after, chance = _after(item.history.occurred[first], changed)
            if after >= OFTEN and after >= LIFT * chance:
                return f"a change of {item.pattern.service} ({after:.0%} of its failing days followed one within {AFTER_CHANGE.seconds // 3600} hours)"
        weekdays = np.bincount((days + EPOCH_WEEKDAY) % 7, minlength=7) / len(days)
        if weekdays.max() >= HABIT:
            return f"{DAYS[int(weekdays.argmax())]} ({weekdays.max():.0%} of its failing days)"
    gap = round(float(np.median(np.diff(days))))
    return f"time alone (half of its returns come within {gap} {'day' if gap == 1 else 'days'})"


def _after(failed: features.Ints, changed: features.Ints) -> tuple[float, float]:
    """Return the share of failing days that began soon after a change, and the share that chance would give."""
    reach = int(AFTER_CHANGE.total_seconds() * 1_000_000)
    place = np.searchsorted(changed, failed, side="right") - 1
    soon = (place >= 0) & (failed - changed[np.maximum(place, 0)] <= reach)
    span = max(int(failed[-1] - failed[0]), features.DAY)
    inside = int(((changed >= failed[0] - reach) & (changed <= failed[-1])).sum())
    return float(soon.mean()), min(1.0, inside * reach / span)
