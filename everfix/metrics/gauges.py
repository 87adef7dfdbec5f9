"""Gauges: the state of a workspace's work as metrics with labels, for who watches the server from outside."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from typing import Literal

from sqlalchemy import text
from sqlalchemy.orm import Session


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric; the query gives its labels in order, then the value."""

    name: str
    help: str
    type: Literal["counter", "gauge"]
    labels: tuple[str, ...]
    sql: str


@dataclasses.dataclass(frozen=True, slots=True)
class Sample:
    """One value of a metric."""

    labels: dict[str, str]
    value: float


_LATENCY = "extract(epoch FROM analyzed_at - ingested_at)"
METRICS = (
    Metric("everfix_issues_total", "Issues, by status.", "gauge", ("status",), "SELECT status, count(*) FROM issues GROUP BY 1 ORDER BY 1"),
    Metric("everfix_signals_total", "Events received.", "counter", (), "SELECT count(*) FROM signals"),
    Metric(
        "everfix_patterns_total",
        "Patterns, by status.",
        "gauge",
        ("status",),
        "SELECT status, count(*) FROM patterns GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "everfix_predictions_settled_total",
        "Predictions that ended, by outcome.",
        "counter",
        ("outcome",),
        "SELECT outcome, count(*) FROM predictions WHERE outcome IS NOT NULL GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "everfix_recommendations_total",
        "Recommendations, by status.",
        "gauge",
        ("status",),
        "SELECT status, count(*) FROM recommendations GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "everfix_jobs_total",
        "Jobs, by kind and status.",
        "gauge",
        ("kind", "status"),
        "SELECT kind, status, count(*) FROM jobs GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    Metric(
        "everfix_jobs_oldest_waiting_seconds",
        "How long the oldest waiting job has waited.",
        "gauge",
        (),
        "SELECT coalesce(extract(epoch FROM now() - min(created_at)), 0) FROM jobs WHERE status = 'queued'",
    ),
    Metric(
        "everfix_deliveries_total",
        "Deliveries, by channel and status.",
        "gauge",
        ("channel", "status"),
        "SELECT channel, status, count(*) FROM deliveries GROUP BY 1, 2 ORDER BY 1, 2",
    ),
    Metric(
        "everfix_report_runs_total",
        "Report runs, by status.",
        "gauge",
        ("status",),
        "SELECT status, count(*) FROM report_runs GROUP BY 1 ORDER BY 1",
    ),
    Metric(
        "everfix_analysis_seconds",
        "Time from a failure's arrival until it was analysed, over the last day.",
        "gauge",
        ("quantile",),
        f"""
        SELECT q::text, percentile_cont(q) WITHIN GROUP (ORDER BY greatest(0, {_LATENCY})) FROM issues, (VALUES (0.5::float), (0.95), (0.99)) qs(q)
        WHERE analyzed_at >= now() - interval '1 day' GROUP BY q ORDER BY q
        """,
    ),
)


def read(db: Session) -> Iterator[tuple[Metric, list[Sample]]]:
    """Yield every metric with its values."""
    for metric in METRICS:
        rows = db.execute(text(metric.sql)).all()
        yield metric, [Sample(dict(zip(metric.labels, map(str, row), strict=False)), float(row[-1])) for row in rows if row[-1] is not None]
