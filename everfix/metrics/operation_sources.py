"""Sources about the server at work: how fast failures are analysed, what waits, what failed for good, how fast people are."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.issue_sources import BEFORE, IN_PERIOD
from everfix.metrics.measures import SEGMENT, UNNAMED, issue_inside
from everfix.metrics.sources import DAYS, LIMIT, Picture, Source, column

# From the moment a failure arrived until its root cause was first written; of what arrived again before that, from the last arrival on.
_LATENCY = "greatest(0, extract(epoch FROM i.analyzed_at - greatest(i.ingested_at, s.received_at)))"
_ANALYSED = f"""
    analysed AS (
        SELECT {_LATENCY}::float AS seconds, i.analyzed_at AS at FROM issues i
        LEFT JOIN LATERAL (SELECT max(received_at) AS received_at FROM signals WHERE issue_id = i.id AND received_at <= i.analyzed_at) s ON true
        WHERE i.analyzed_at >= :previous_start AND i.analyzed_at < :end AND {issue_inside("i")}
    )"""
_NOW, _BEFORE = "at >= :start", "at < :previous_end"
_WORK = "kind IN ('failures.learn', 'failures.refresh', 'reports.run')"
_DONE = "status IN ('succeeded', 'failed')"
OK_DEPTH, WARNING_DEPTH = 10, 100
_LEVEL = f"CASE WHEN {{n}} <= {OK_DEPTH} THEN 'OK' WHEN {{n}} <= {WARNING_DEPTH} THEN 'WARNING' ELSE 'CRITICAL' END"


def _percentile(part: float, when: str) -> str:
    return f"percentile_cont({part}) WITHIN GROUP (ORDER BY seconds) FILTER (WHERE {when})"


SOURCES = (
    Source(
        "latency_summary",
        "Runs and latency",
        "Runs of the loop and of reports, how many of those that ended succeeded, and the time from a failure's arrival until it was analysed.",
        (
            column("runs", "Total runs", Unit.COUNT),
            column("runs_before", "Total runs before", Unit.COUNT),
            column("success_rate", "Success rate", Unit.PERCENT, better="up"),
            column("success_rate_before", "Success rate before", Unit.PERCENT),
            column("analysed", "Failures analysed", Unit.COUNT),
            column("analysed_before", "Failures analysed before", Unit.COUNT),
            column("average", "Average latency", Unit.SECONDS, better="down"),
            column("average_before", "Average latency before", Unit.SECONDS),
            column("p50", "P50 latency", Unit.SECONDS, better="down"),
            column("p50_before", "P50 latency before", Unit.SECONDS),
            column("p95", "P95 latency", Unit.SECONDS, better="down"),
            column("p95_before", "P95 latency before", Unit.SECONDS),
            column("p99", "P99 latency", Unit.SECONDS, better="down"),
            column("p99_before", "P99 latency before", Unit.SECONDS),
        ),
        f"""
        WITH {_ANALYSED}, work AS (SELECT status, created_at AS at FROM jobs WHERE {_WORK} AND created_at >= :previous_start AND created_at < :end),
        runs AS (
            SELECT count(*) FILTER (WHERE {_NOW}) AS now, count(*) FILTER (WHERE {_BEFORE}) AS before,
                avg((status = 'succeeded')::int) FILTER (WHERE {_DONE} AND {_NOW})::float AS good, avg((status = 'succeeded')::int) FILTER (WHERE {_DONE} AND {_BEFORE})::float AS good_before
            FROM work
        )
        SELECT runs.now, runs.before, good, good_before, count(*) FILTER (WHERE {_NOW}), count(*) FILTER (WHERE {_BEFORE}),
            avg(seconds) FILTER (WHERE {_NOW}), avg(seconds) FILTER (WHERE {_BEFORE}), {_percentile(0.5, _NOW)}, {_percentile(0.5, _BEFORE)},
            {_percentile(0.95, _NOW)}, {_percentile(0.95, _BEFORE)}, {_percentile(0.99, _NOW)}, {_percentile(0.99, _BEFORE)}
        FROM runs LEFT JOIN analysed ON true GROUP BY runs.now, runs.before, good, good_before
        """,
        (DAYS, SEGMENT),
        figures=True,
    ),
    Source(
        "latency_trend",
        "Latency a day",
        "The middle (P50) and the slow end (P99) of the time from arrival to analysed, for each day that had any.",
        (
            column("date", "Date", Unit.DATE),
            column("p50", "P50", Unit.SECONDS, better="down"),
            column("p99", "P99", Unit.SECONDS, better="down"),
        ),
        f"""
        WITH {_ANALYSED}
        SELECT (at AT TIME ZONE :timezone)::date, percentile_cont(0.5) WITHIN GROUP (ORDER BY seconds), percentile_cont(0.99) WITHIN GROUP (ORDER BY seconds)
        FROM analysed WHERE {_NOW} GROUP BY 1 ORDER BY 1
        """,
        (DAYS, SEGMENT),
        picture=Picture("line", "date", ("p50", "p99"), "P50 and P99 of the time from arrival to analysed, for each day."),
        empty="Nothing was analysed in this period.",
    ),
    Source(
        "latency_runs",
        "Latency of each run",
        "The latest runs of the loop and of reports that ended in the period: how long each took from being asked for, against the 95th percentile of all of them.",
        (
            column("run", "Run"),
            column("kind", "Kind"),
            column("status", "Status"),
            column("ended", "Ended", Unit.DATETIME),
            column("latency", "Latency", Unit.SECONDS, better="down", bar=True),
            column("of_p95", "Of the P95", Unit.NUMBER),
        ),
        f"""
        WITH ended AS (
            SELECT id, kind, status, finished_at, greatest(0, extract(epoch FROM finished_at - created_at))::float AS seconds
            FROM jobs WHERE {_WORK} AND {_DONE} AND finished_at >= :start AND finished_at < :end
        ), p AS (SELECT percentile_cont(0.95) WITHIN GROUP (ORDER BY seconds) AS p95 FROM ended)
        SELECT id::text, kind, status, finished_at, seconds, CASE WHEN p95 > 0 THEN round((seconds / p95)::numeric, 3) END
        FROM ended, p ORDER BY finished_at DESC, id LIMIT :limit
        """,
        (DAYS, LIMIT),
        empty="No run ended in this period.",
    ),
    Source(
        "mtta_mttr",
        "Time to acknowledge and to resolve",
        "Mean time from a failure until somebody acknowledged it, and until it was resolved, by service; slowest to resolve first.",
        (
            column("service", "Service"),
            column("issues", "Issues", Unit.COUNT),
            column("mtta", "Mean time to acknowledge", Unit.SECONDS, better="down"),
            column("mtta_before", "Before", Unit.SECONDS),
            column("mttr", "Mean time to resolve", Unit.SECONDS, better="down"),
            column("mttr_before", "Before", Unit.SECONDS),
        ),
        f"""
        SELECT coalesce(i.service, '{UNNAMED}'), count(*) FILTER (WHERE {IN_PERIOD}),
            avg(extract(epoch FROM acknowledged_at - occurred_at)) FILTER (WHERE {IN_PERIOD} AND acknowledged_at >= occurred_at),
            avg(extract(epoch FROM acknowledged_at - occurred_at)) FILTER (WHERE {BEFORE} AND acknowledged_at >= occurred_at),
            avg(extract(epoch FROM resolved_at - occurred_at)) FILTER (WHERE {IN_PERIOD} AND resolved_at >= occurred_at) AS mttr,
            avg(extract(epoch FROM resolved_at - occurred_at)) FILTER (WHERE {BEFORE} AND resolved_at >= occurred_at)
        FROM issues i WHERE occurred_at >= :previous_start AND occurred_at < :end AND {issue_inside("i")}
        GROUP BY 1 HAVING count(*) FILTER (WHERE {IN_PERIOD}) > 0 ORDER BY mttr DESC NULLS LAST, 2 DESC, 1 LIMIT :limit
        """,
        (DAYS, LIMIT, SEGMENT),
    ),
    Source(
        "queue_backlog",
        "Queue",
        "Work in the background as it stands now: what waits, since when the oldest does, and what is being done.",
        (
            column("kind", "Kind"),
            column("waiting", "Waiting", Unit.COUNT, better="down", bar=True),
            column("oldest", "Oldest waits for", Unit.SECONDS, better="down"),
            column("running", "Running", Unit.COUNT),
        ),
        """
        SELECT kind, count(*) FILTER (WHERE status = 'queued'), extract(epoch FROM now() - min(created_at) FILTER (WHERE status = 'queued'))::float,
            count(*) FILTER (WHERE status = 'running')
        FROM jobs WHERE status IN ('queued', 'running') GROUP BY kind ORDER BY 2 DESC, kind
        """,
        empty="Nothing waits.",
    ),
    Source(
        "dead_letters",
        "Dead letters",
        f"Work that failed for the last time, by kind. Up to {OK_DEPTH} is OK, up to {WARNING_DEPTH} a warning, above that critical.",
        (
            column("topic", "Kind"),
            column("events", "Dead letters", Unit.COUNT, better="down", bar=True),
            column("newest", "Newest", Unit.DATETIME),
            column("level", "Level"),
        ),
        f"""
        SELECT kind, count(*), max(finished_at), {_LEVEL.format(n="count(*)")} FROM jobs WHERE status = 'failed' GROUP BY kind ORDER BY 2 DESC, kind
        """,
        empty="No dead letters.",
    ),
)
