"""What a metric was: its value at every minute of the past from one look at its events, equal to what a rule saw then.

Metrics that rest on a state of today alone (jobs that wait, open loops, …) have no past. Events are counted by the minute, windows are
differences of running sums, so a quarter of a year of minutes costs one query, however wide the window.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.failures import analyses

Floats = NDArray[np.float64]
MINUTE = timedelta(minutes=1)


@dataclasses.dataclass(frozen=True, slots=True)
class Events:
    """The events of a metric as rows of `at` and `value`, and how those of a window become one number."""

    sql: str
    fold: Literal["sum", "mean", "p99", "age"]


_DUE = "(outcome = 'prevented')::int AS value, resolved_at AS at FROM predictions WHERE outcome IN ('hit', 'prevented')"
EVENTS: Mapping[str, Events] = {
    "acceptance_rate": Events(f"SELECT {_DUE}", "mean"),
    "revenue": Events(
        "SELECT p.resolved_at AS at, w.loop_cost AS value FROM predictions p CROSS JOIN workspaces w WHERE p.outcome = 'prevented'", "sum"
    ),
    "selection_frequency": Events("SELECT ingested_at AS at, (pattern_id IS NOT NULL)::int AS value FROM issues", "mean"),
    "latency_p99": Events(
        "SELECT analyzed_at AS at, extract(epoch FROM analyzed_at - ingested_at) * 1000 AS value FROM issues WHERE analyzed_at >= ingested_at",
        "p99",
    ),
    "degraded_scoring_rate": Events(f"SELECT created_at AS at, ({analyses.DEGRADED})::int AS value FROM analyses", "mean"),  # noqa: S608 - our own
    "issue_count": Events("SELECT ingested_at AS at, 1 AS value FROM issues", "sum"),
    "exposure": Events(
        "SELECT i.occurred_at AS at, w.loop_cost AS value FROM issues i CROSS JOIN workspaces w WHERE i.pattern_id IS NOT NULL", "sum"
    ),
    "sync_age": Events("SELECT ingested_at AS at, 0 AS value FROM issues", "age"),
    "error_rate": Events(
        "SELECT finished_at AS at, (status = 'failed')::int AS value FROM jobs WHERE status IN ('succeeded', 'failed')", "mean"
    ),
    "deliveries_failed": Events("SELECT finished_at AS at, 1 AS value FROM deliveries WHERE status = 'failed'", "sum"),
}
_MINUTES = """
SELECT extract(epoch FROM minute)::float / 60, many, total, extract(epoch FROM last)::float
FROM (SELECT date_trunc('minute', at) AS minute, count(*)::float AS many, sum(value)::float AS total, max(at) AS last FROM ({events}) e
    WHERE at >= :start AND at < :end GROUP BY 1 ORDER BY 1) m
"""
_EACH = "SELECT extract(epoch FROM at)::float, value::float FROM ({events}) e WHERE at >= :start AND at < :end ORDER BY 1"
_BEFORE = "SELECT extract(epoch FROM max(at))::float FROM ({events}) e WHERE at < :start"


@dataclasses.dataclass(frozen=True, slots=True)
class Windows:
    """Windows of one width, as the seconds at which they start and end, and what events they can hold."""

    starts: Floats
    ends: Floats
    given: dict[str, Any]


def values(db: Session, key: str, minutes: int, moments: Sequence[datetime]) -> list[float | None]:
    """Return a metric's value over the windows of so many minutes that end at these moments, which are whole minutes in order."""
    events, ends = EVENTS[key], np.array([moment.timestamp() for moment in moments])
    windows = Windows(ends - 60 * minutes, ends, {"start": moments[0] - minutes * MINUTE, "end": moments[-1]})
    found = {"sum": _sums, "mean": _means, "p99": _p99, "age": _ages}[events.fold](db, events.sql, windows)
    return [None if np.isnan(one) else float(one) for one in found]


def _sums(db: Session, sql: str, windows: Windows) -> Floats:
    minute, _, total, _ = _rows(db, _MINUTES.format(events=sql), windows, 4)
    return np.round(_within(minute, total, windows), 6)  # the running sum's own rounding is no part of the figure


def _means(db: Session, sql: str, windows: Windows) -> Floats:
    minute, many, total, _ = _rows(db, _MINUTES.format(events=sql), windows, 4)
    count = _within(minute, many, windows)
    nothing: Floats = np.full(len(count), np.nan)
    return np.divide(_within(minute, total, windows), count, out=nothing, where=count > 0)


def _p99(db: Session, sql: str, windows: Windows) -> Floats:
    at, value = _rows(db, _EACH.format(events=sql), windows, 2)
    bounds = zip(np.searchsorted(at, windows.starts), np.searchsorted(at, windows.ends), strict=True)
    return np.array([np.percentile(value[low:high], 99) if high > low else np.nan for low, high in bounds])


def _ages(db: Session, sql: str, windows: Windows) -> Floats:
    before = db.execute(text(_BEFORE.format(events=sql)), windows.given).scalar_one()
    lasts = _rows(db, _MINUTES.format(events=sql), windows, 4)[3]
    met = np.concatenate([[np.nan if before is None else before], lasts])[np.searchsorted(lasts, windows.ends)]
    since: Floats = windows.ends - met
    return since


def _rows(db: Session, sql: str, windows: Windows, width: int) -> Floats:
    found = db.execute(text(sql), windows.given).all()
    return np.array([tuple(row) for row in found], dtype=np.float64).reshape(-1, width).T


def _within(minute: Floats, amount: Floats, windows: Windows) -> Floats:
    """Return how much fell into each window; its ends are whole minutes, so it holds whole minutes only."""
    running: Floats = np.concatenate([[0.0], np.cumsum(amount)])
    last, first = (np.searchsorted(minute, moments / 60) for moments in (windows.ends, windows.starts))
    within: Floats = running[last] - running[first]
    return within
