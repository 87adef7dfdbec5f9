"""What a metric rule may watch: each metric is one number of a window, or nothing where the window holds no data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from datetime import datetime

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.failures import analyses

LARGEST = 1e15


@dataclasses.dataclass(frozen=True, slots=True)
class Metric:
    """One metric: its name for people, its unit, and the query of its value between :start and :end."""

    title: str
    unit: str
    sql: str

    @property
    def least(self) -> float:
        """Return the smallest value it can have."""
        return 0.0

    @property
    def most(self) -> float:
        """Return the largest value it can have."""
        return 1.0 if self.unit == "share" else LARGEST

    @property
    def range(self) -> str:
        """Say what it can be."""
        return "a share, from 0 to 1" if self.unit == "share" else "a number of 0 or more"


# A prediction's outcome is what became of a recurrence that was due: it came (hit) or was prevented.
_DUE = "SELECT outcome FROM predictions WHERE outcome IN ('hit', 'prevented') AND resolved_at >= :start AND resolved_at < :end"
_CAME = "SELECT * FROM issues WHERE ingested_at >= :start AND ingested_at < :end"
_ENDED = "SELECT status FROM jobs WHERE finished_at >= :start AND finished_at < :end AND status IN ('succeeded', 'failed')"

METRICS: Mapping[str, Metric] = {
    "acceptance_rate": Metric("Prevention rate", "share", f"SELECT avg((outcome = 'prevented')::int)::float FROM ({_DUE}) d"),
    "ctr": Metric(
        "Recommendations acted on",
        "share",
        "SELECT avg((status IN ('in_progress', 'implemented'))::int)::float FROM recommendations WHERE created_at < :end"
        " AND (status = 'pending' OR updated_at >= :start)",
    ),
    "revenue": Metric(
        "Exposure avoided",
        "money",
        f"SELECT count(*) FILTER (WHERE d.outcome = 'prevented') * max(w.loop_cost) FROM workspaces w LEFT JOIN ({_DUE}) d ON true",
    ),
    "selection_frequency": Metric(
        "Issues linked to a pattern", "share", f"SELECT avg((pattern_id IS NOT NULL)::int)::float FROM ({_CAME}) i"
    ),
    "latency_p99": Metric(
        "From coming in to analysed, p99",
        "ms",
        "SELECT percentile_cont(0.99) WITHIN GROUP (ORDER BY extract(epoch FROM analyzed_at - ingested_at) * 1000) FROM issues"
        " WHERE analyzed_at >= :start AND analyzed_at < :end AND analyzed_at >= ingested_at",
    ),
    "degraded_scoring_rate": Metric(
        "Analyses that the rules wrote because the model could not",
        "share",
        f"SELECT avg(({analyses.DEGRADED})::int)::float FROM analyses WHERE created_at >= :start AND created_at < :end",
    ),
    "issue_count": Metric("Issues", "count", f"SELECT count(*) FROM ({_CAME}) i"),
    "open_loops": Metric("Open loops", "count", "SELECT count(*) FROM patterns WHERE status IN ('emerging', 'active')"),
    "exposure": Metric(
        "Exposure",
        "money",
        "SELECT count(i.id) * max(w.loop_cost) FROM workspaces w LEFT JOIN issues i ON i.pattern_id IS NOT NULL"
        " AND i.occurred_at >= :start AND i.occurred_at < :end",
    ),
    "dead_letters": Metric("Dead letters", "count", "SELECT count(*) FROM jobs WHERE status = 'failed' AND finished_at < :end"),
    "sync_age": Metric(
        "Time since anything came in",
        "s",
        "SELECT extract(epoch FROM cast(:end AS timestamptz) - i.last) FROM (SELECT max(ingested_at) AS last FROM issues WHERE ingested_at < :end) i"
        " WHERE i.last IS NOT NULL",
    ),
    "backlog": Metric("Jobs that wait", "count", "SELECT count(*) FROM jobs WHERE status = 'queued'"),
    "error_rate": Metric("Jobs that failed", "share", f"SELECT avg((status = 'failed')::int)::float FROM ({_ENDED}) j"),
    "deliveries_failed": Metric(
        "Deliveries that failed",
        "count",
        "SELECT count(*) FROM deliveries WHERE status = 'failed' AND finished_at >= :start AND finished_at < :end",
    ),
}
ALIASES = {"decision_count": "issue_count"}


def value(db: Session, key: str, start: datetime, end: datetime) -> float | None:
    """Return a metric's value between two moments, or None where there are no data."""
    found = db.execute(text(METRICS[key].sql), {"start": start, "end": end}).scalar_one_or_none()
    return None if found is None else float(found)
