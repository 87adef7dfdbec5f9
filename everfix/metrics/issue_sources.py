"""Sources about issues: how many, how bad, where and when."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Source, column

IN_PERIOD = "occurred_at >= :start AND occurred_at < :end"
BEFORE = "occurred_at >= :previous_start AND occurred_at < :previous_end"
WEIGHTS = "CASE severity WHEN 'p1' THEN 10 WHEN 'p2' THEN 5 WHEN 'p3' THEN 2 ELSE 1 END"
DAYS = "generate_series(cast(:first_day AS date), cast(:last_day AS date), interval '1 day')"
LOCAL = "(occurred_at AT TIME ZONE :timezone)"

SOURCES = (
    Source(
        "issue_figures",
        "Issues",
        "Issues of the period against the period before.",
        (
            column("issues", "Issues", Unit.COUNT, better="down"),
            column("issues_before", "Issues before", Unit.COUNT),
            column("urgent", "P1 and P2", Unit.COUNT, better="down"),
            column("urgent_before", "P1 and P2 before", Unit.COUNT),
            column("mttr", "Mean time to resolve", Unit.SECONDS, better="down"),
            column("mttr_before", "Mean time to resolve before", Unit.SECONDS),
            column("mtta", "Mean time to acknowledge", Unit.SECONDS, better="down"),
            column("mtta_before", "Mean time to acknowledge before", Unit.SECONDS),
        ),
        f"""
        SELECT count(*) FILTER (WHERE {IN_PERIOD}), count(*) FILTER (WHERE {BEFORE}),
            count(*) FILTER (WHERE {IN_PERIOD} AND severity IN ('p1', 'p2')), count(*) FILTER (WHERE {BEFORE} AND severity IN ('p1', 'p2')),
            avg(extract(epoch FROM resolved_at - occurred_at)) FILTER (WHERE {IN_PERIOD} AND resolved_at >= occurred_at),
            avg(extract(epoch FROM resolved_at - occurred_at)) FILTER (WHERE {BEFORE} AND resolved_at >= occurred_at),
            avg(extract(epoch FROM acknowledged_at - occurred_at)) FILTER (WHERE {IN_PERIOD} AND acknowledged_at >= occurred_at),
            avg(extract(epoch FROM acknowledged_at - occurred_at)) FILTER (WHERE {BEFORE} AND acknowledged_at >= occurred_at)
        FROM issues WHERE occurred_at >= :previous_start AND occurred_at < :end
        """,
    ),
    Source(
        "issues_by_day",
        "Issues a day",
        "Issues per calendar day of the workspace, and their seven-day mean.",
        (
            column("day", "Day", Unit.DATE),
            column("issues", "Issues", Unit.COUNT, better="down"),
            column("mean_7d", "7-day mean", Unit.NUMBER),
        ),
        f"""
        WITH counted AS (
            SELECT {LOCAL}::date AS day, count(*) AS n FROM issues
            WHERE occurred_at >= cast(:start AS timestamptz) - interval '7 days' AND occurred_at < :end GROUP BY 1
        ), days AS (
            SELECT d::date AS day, coalesce(c.n, 0) AS n
            FROM generate_series(cast(:first_day AS date) - 6, cast(:last_day AS date), interval '1 day') d LEFT JOIN counted c ON c.day = d::date
        ), smooth AS (
            SELECT day, n, avg(n) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS mean FROM days
        )
        SELECT day, n, round(mean, 2) FROM smooth WHERE day >= :first_day ORDER BY day
        """,
    ),
    Source(
        "risk_by_day",
        "Risk trend",
        "Failures of the last seven days on each day, weighted by severity (P1 10, P2 5, P3 2, P4 1).",
        (column("day", "Day", Unit.DATE), column("risk", "Weighted failures, 7-day sum", Unit.NUMBER, better="down")),
        f"""
        WITH counted AS (
            SELECT {LOCAL}::date AS day, sum({WEIGHTS}) AS n FROM issues
            WHERE occurred_at >= cast(:start AS timestamptz) - interval '7 days' AND occurred_at < :end GROUP BY 1
        ), days AS (
            SELECT d::date AS day, coalesce(c.n, 0) AS n
            FROM generate_series(cast(:first_day AS date) - 6, cast(:last_day AS date), interval '1 day') d LEFT JOIN counted c ON c.day = d::date
        ), summed AS (SELECT day, sum(n) OVER (ORDER BY day ROWS BETWEEN 6 PRECEDING AND CURRENT ROW) AS n FROM days)
        SELECT day, n FROM summed WHERE day >= :first_day ORDER BY day
        """,
    ),
    Source(
        "issues_by_severity",
        "Issues by severity",
        "Issues per week and severity.",
        (
            column("week", "Week of", Unit.DATE),
            column("p1", "P1", Unit.COUNT),
            column("p2", "P2", Unit.COUNT),
            column("p3", "P3", Unit.COUNT),
            column("p4", "P4", Unit.COUNT),
        ),
        f"""
        SELECT w::date, count(i.id) FILTER (WHERE severity = 'p1'), count(i.id) FILTER (WHERE severity = 'p2'),
            count(i.id) FILTER (WHERE severity = 'p3'), count(i.id) FILTER (WHERE severity = 'p4')
        FROM generate_series(date_trunc('week', cast(:first_day AS timestamp)), date_trunc('week', cast(:last_day AS timestamp)), interval '1 week') w
        LEFT JOIN issues i ON date_trunc('week', {LOCAL}) = w AND {IN_PERIOD}
        GROUP BY w ORDER BY w
        """,
    ),
    Source(
        "issues_by_service",
        "Issues by service",
        "The services with most issues in the period.",
        (
            column("service", "Service"),
            column("issues", "Issues", Unit.COUNT, better="down", bar=True),
            column("share", "Share", Unit.PERCENT),
            column("before", "Before", Unit.COUNT),
            column("mttr", "Mean time to resolve", Unit.SECONDS, better="down"),
        ),
        f"""
        SELECT coalesce(service, 'no service named'), count(*) FILTER (WHERE {IN_PERIOD}) AS n,
            count(*) FILTER (WHERE {IN_PERIOD})::float / greatest(1, sum(count(*) FILTER (WHERE {IN_PERIOD})) OVER ()),
            count(*) FILTER (WHERE {BEFORE}),
            avg(extract(epoch FROM resolved_at - occurred_at)) FILTER (WHERE {IN_PERIOD} AND resolved_at >= occurred_at)
        FROM issues WHERE occurred_at >= :previous_start AND occurred_at < :end GROUP BY 1 HAVING count(*) FILTER (WHERE {IN_PERIOD}) > 0
        ORDER BY n DESC, 1 LIMIT :limit
        """,
        (LIMIT,),
        counts=f"SELECT count(DISTINCT coalesce(service, '')) FROM issues WHERE {IN_PERIOD}",
    ),
    Source(
        "issues_by_hour",
        "When failures happen",
        "Issues by weekday and hour of the workspace's clock.",
        (column("weekday", "Weekday"), column("hour", "Hour"), column("issues", "Issues", Unit.COUNT)),
        f"""
        SELECT (ARRAY['Mon','Tue','Wed','Thu','Fri','Sat','Sun'])[d], to_char(h, 'FM00') || ' h', count(i.id)
        FROM generate_series(1, 7) d CROSS JOIN generate_series(0, 23, 3) h
        LEFT JOIN issues i ON extract(isodow FROM {LOCAL}) = d AND floor(extract(hour FROM {LOCAL}) / 3) * 3 = h AND {IN_PERIOD}
        GROUP BY d, h ORDER BY d, h
        """,
    ),
    Source(
        "issue_list",
        "Issues",
        "Issues of the period, riskiest first, with why each was put where it is.",
        (
            column("occurred_at", "Happened", Unit.DATETIME),
            column("title", "Issue", wide=True),
            column("severity", "Severity"),
            column("status", "Status"),
            column("service", "Service"),
            column("pattern", "Pattern", wide=True),
            column("risk_score", "Risk", Unit.SCORE, bar=True),
            column("rule", "Grouped by"),
        ),
        f"""
        SELECT i.occurred_at, i.title, upper(i.severity), i.status, i.service, p.name, i.risk_score, i.assignment->'why'->>'rule', i.id
        FROM issues i LEFT JOIN patterns p ON p.id = i.pattern_id WHERE i.{IN_PERIOD.replace("AND ", "AND i.")}
        ORDER BY i.risk_score DESC, i.occurred_at DESC, i.id LIMIT :limit
        """,
        (LIMIT,),
        counts=f"SELECT count(*) FROM issues WHERE {IN_PERIOD}",
        page="/issues/{}",
    ),
)
