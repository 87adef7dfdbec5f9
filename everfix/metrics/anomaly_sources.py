"""The source of anomalies: what differs from the window before by more than chance explains.

Each measure becomes rows of (metric, dimension, current, baseline, z):

- a count: Poisson, widened by how unevenly the baseline's days were filled; `r` is the one window's length over the other's;
- a share (x of n now, y of m before): two proportions with a pooled variance;
- a mean: Welch's t.
"""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import DUE, SEGMENT, issue_inside
from everfix.metrics.sources import DAYS, Param, Source, column

LEAST = 10  # events that the baseline must hold
INFO, WARNING, CRITICAL = 2, 3, 4  # |z| from which on
SMALLEST = 0.05  # a change below this share of the baseline is nobody's concern, however sure it is
_BASELINE = Param("baselineDays", None, 1, 365)  # the days right before; left out: as many as the period has
_DIMENSIONS = ("service", "team", "domain", "source")
_BY_DIMENSION = " UNION ALL ".join(
    f"SELECT '{name} ' || {name} AS dimension, now, day FROM seen WHERE {name} IS NOT NULL" for name in _DIMENSIONS
)
_SEEN = f"""
    length AS (
        SELECT extract(epoch FROM cast(:end AS timestamptz) - cast(:start AS timestamptz))::float / seconds AS r, seconds / 86400 AS d
        FROM (SELECT extract(epoch FROM cast(:previous_end AS timestamptz) - cast(:previous_start AS timestamptz))::float AS seconds) before
    ), seen AS (
        SELECT i.service, i.team, i.source, p.domain, p.issue_count, i.analysis_status, i.occurred_at >= :start AS now,
            (i.occurred_at AT TIME ZONE :timezone)::date AS day,
            CASE WHEN i.analyzed_at >= i.ingested_at THEN extract(epoch FROM i.analyzed_at - i.ingested_at)::float END AS seconds
        FROM issues i LEFT JOIN patterns p ON p.id = i.pattern_id
        WHERE i.occurred_at >= :previous_start AND i.occurred_at < :end AND {issue_inside("i")}
    )"""
_COUNTS = f"""
    by_day AS (
        SELECT dimension, now, day, count(*)::float AS n
        FROM ({_BY_DIMENSION} UNION ALL SELECT 'all', now, day FROM seen) parts GROUP BY 1, 2, 3
    ), sums AS (
        SELECT dimension, coalesce(sum(n) FILTER (WHERE now), 0) AS x, sum(n) FILTER (WHERE NOT now) AS y, sum(n * n) FILTER (WHERE NOT now) AS squares
        FROM by_day GROUP BY 1
    ), spread AS (
        SELECT s.*, r, CASE WHEN d > 2 THEN greatest(1, (squares - y * y / d) / (d - 1) / (y / d)) ELSE 1 END AS uneven FROM sums s, length WHERE y >= {LEAST}
    ), counts AS (
        SELECT 'Issue volume' AS metric, dimension, x AS current, y * r AS baseline, (x - r * y) / sqrt(r * (x + y) * uneven) AS z FROM spread
    )"""


def _share(metric: str, dimension: str, good: str, all_: str, group: str = "") -> str:
    """Return the SQL of one share: how many of `all_` are `good`, now (x of n) and before (y of m)."""
    parts = ", ".join(
        f"(count(*) FILTER (WHERE {when} AND {condition}))::float AS {name}"
        for name, when, condition in (
            ("x", "now", f"{all_} AND {good}"),
            ("n", "now", all_),
            ("y", "NOT now", f"{all_} AND {good}"),
            ("m", "NOT now", all_),
        )
    )
    return f"SELECT '{metric}' AS metric, {dimension} AS dimension, {parts} FROM seen {group}"


_SHARES = f"""
    shares AS (
        {_share("Linked to a known pattern", "'all'", "issue_count >= 2", "analysis_status = 'done'")}
        UNION ALL {_share("Linked to a known pattern", "'source ' || source", "issue_count >= 2", "analysis_status = 'done'", "GROUP BY source")}
        UNION ALL {_share("Failed analyses", "'all'", "analysis_status = 'failed'", "analysis_status IN ('done', 'failed')")}
        UNION ALL SELECT 'Prevention rate', part, sum(prevented), sum(occurred + prevented), sum(prevented_before), sum(occurred_before + prevented_before)
        FROM (SELECT 'all' AS part, * FROM due UNION ALL SELECT 'service ' || service, * FROM due WHERE service IS NOT NULL) d GROUP BY part
    ), proportions AS (
        SELECT metric, dimension, x / n AS current, y / m AS baseline, (x + y) / (n + m) AS p, 1 / n + 1 / m AS v FROM shares WHERE n > 0 AND m >= {LEAST}
    )"""
_TIMES = f"""
    times AS (
        SELECT avg(seconds) FILTER (WHERE now) AS current, avg(seconds) FILTER (WHERE NOT now) AS baseline,
            (variance(seconds) FILTER (WHERE now)) / count(seconds) FILTER (WHERE now)
                + (variance(seconds) FILTER (WHERE NOT now)) / count(seconds) FILTER (WHERE NOT now) AS v
        FROM seen HAVING count(seconds) FILTER (WHERE now) >= {LEAST} AND count(seconds) FILTER (WHERE NOT now) >= {LEAST}
    )"""

SOURCES = (
    Source(
        "anomaly_candidates",
        "Anomalies",
        "What differs from the days before by more than chance explains: issue volume by service, team, domain and source, "
        "prevention rate, time to analyse, failed analyses, and how many issues are linked to a known pattern. "
        f"From a z-score of {INFO} on it is information, of {WARNING} a warning, of {CRITICAL} critical; "
        f"at least {LEAST} events in the baseline, and a change of at least {SMALLEST:.0%}.",
        (
            column("metric", "Metric"),
            column("dimension", "Dimension"),
            column("current", "Current value", Unit.NUMBER),
            column("baseline", "Baseline", Unit.NUMBER),
            column("delta", "Change", Unit.PERCENT),
            column("z_score", "z-score", Unit.NUMBER),
            column("severity", "Severity"),
        ),
        f"""
        WITH {DUE}, {_SEEN}, {_COUNTS}, {_SHARES}, {_TIMES}, every AS (
            SELECT metric, dimension, current, baseline, z FROM counts
            UNION ALL SELECT metric, dimension, current, baseline, (current - baseline) / sqrt(p * (1 - p) * v) FROM proportions WHERE p > 0 AND p < 1
            UNION ALL SELECT 'Time to analyse, seconds', 'all', current, baseline, (current - baseline) / sqrt(v) FROM times WHERE v > 0
        )
        SELECT metric, dimension, round(current::numeric, 3), round(baseline::numeric, 3), CASE WHEN baseline > 0 THEN current / baseline - 1 END,
            round(z::numeric, 2), CASE WHEN abs(z) >= {CRITICAL} THEN 'critical' WHEN abs(z) >= {WARNING} THEN 'warning' ELSE 'info' END
        FROM every WHERE abs(z) >= {INFO} AND abs(current - baseline) >= {SMALLEST} * abs(baseline) ORDER BY abs(z) DESC, metric, dimension LIMIT :limit
        """,
        (DAYS, _BASELINE, Param("limit", 50, 1, 1000), SEGMENT),
        empty="Nothing differs from the days before by more than chance explains.",
    ),
    Source(
        "anomaly_patterns",
        "Patterns behind an anomaly",
        "The patterns whose failures changed most against the days before, in one service, team, domain or source (channelId).",
        (
            column("pattern", "Pattern", wide=True),
            column("before", "Before", Unit.NUMBER),
            column("now", "Now", Unit.COUNT),
            column("difference", "Difference", Unit.NUMBER, better="down"),
        ),
        f"""
        WITH {_SEEN.partition(", seen AS")[0]}, counted AS (
            SELECT p.id, p.name, count(*) FILTER (WHERE i.occurred_at >= :start) AS now, count(*) FILTER (WHERE i.occurred_at < :start) * r AS before
            FROM issues i JOIN patterns p ON p.id = i.pattern_id, length
            WHERE i.occurred_at >= :previous_start AND i.occurred_at < :end AND {issue_inside("i")}
                AND (cast(:channelId AS text) IS NULL OR i.source = :channelId) GROUP BY p.id, p.name, r
        )
        SELECT name, round(before::numeric, 1), now, round((now - before)::numeric, 1), id FROM counted
        ORDER BY abs(now - before) DESC, id LIMIT :limit
        """,
        (DAYS, _BASELINE, Param("limit", 5, 1, 100), SEGMENT, Param("channelId", None, 0, 200, kind="text")),
        page="/patterns/{}",
        empty="No pattern changed.",
    ),
)
