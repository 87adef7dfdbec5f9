"""Sources about patterns: what recurs, what is new, what came back."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Param, Source, column

OPEN_DAYS = 90  # a loop that has been silent for longer is no longer counted as open
_IN = "h.hour >= :start AND h.hour < :end"
_BEFORE = "h.hour >= :previous_start AND h.hour < :previous_end"
_NEWEST = "(SELECT DISTINCT ON (pattern_id) pattern_id, probability FROM predictions WHERE status = 'active' ORDER BY pattern_id, generated_at DESC)"

SOURCES = (
    Source(
        "loop_figures",
        "Loops",
        f"Open loops: patterns that failed at least twice, are not resolved and failed within {OPEN_DAYS} days. Returns: days on which a known pattern failed again.",
        (
            column("open_loops", "Open loops", Unit.COUNT, better="down"),
            column("open_loops_before", "Open loops before", Unit.COUNT),
            column("new_patterns", "New patterns", Unit.COUNT, better="down"),
            column("new_patterns_before", "New patterns before", Unit.COUNT),
            column("returns", "Returns", Unit.COUNT, better="down"),
            column("returns_before", "Returns before", Unit.COUNT),
        ),
        f"""
        WITH days AS (
            SELECT h.pattern_id, (h.hour AT TIME ZONE :timezone)::date AS day, min(h.hour) AS hour FROM pattern_hours h WHERE h.hour < :end GROUP BY 1, 2
        ), numbered AS (SELECT *, row_number() OVER (PARTITION BY pattern_id ORDER BY day) AS n FROM days),
        lives AS (
            SELECT p.id, p.status, p.closed_at, sum(h.failures) FILTER (WHERE h.hour < :end) AS by_end, max(h.hour) FILTER (WHERE h.hour < :end) AS last,
                sum(h.failures) FILTER (WHERE h.hour < :previous_end) AS by_before, max(h.hour) FILTER (WHERE h.hour < :previous_end) AS last_before
            FROM patterns p JOIN pattern_hours h ON h.pattern_id = p.id GROUP BY p.id, p.status, p.closed_at
        )
        SELECT
            (SELECT count(*) FROM lives WHERE status <> 'resolved' AND by_end >= 2 AND last >= cast(:end AS timestamptz) - interval '{OPEN_DAYS} days'),
            (SELECT count(*) FROM lives WHERE (status <> 'resolved' OR closed_at > :previous_end) AND by_before >= 2
                AND last_before >= cast(:previous_end AS timestamptz) - interval '{OPEN_DAYS} days'),
            count(*) FILTER (WHERE n = 1 AND hour >= :start), count(*) FILTER (WHERE n = 1 AND hour >= :previous_start AND hour < :previous_end),
            count(*) FILTER (WHERE n > 1 AND hour >= :start), count(*) FILTER (WHERE n > 1 AND hour >= :previous_start AND hour < :previous_end)
        FROM numbered
        """,
    ),
    Source(
        "top_patterns",
        "Top patterns",
        "The patterns that failed most in the period.",
        (
            column("pattern", "Pattern", wide=True),
            column("service", "Service"),
            column("status", "Status"),
            column("risk_score", "Risk", Unit.SCORE),
            column("issues", "Failures", Unit.COUNT, better="down", bar=True),
            column("share", "Share", Unit.PERCENT),
            column("before", "Before", Unit.COUNT),
            column("last_seen", "Last seen", Unit.DATE),
            column("probability", "Next 7 days", Unit.PROBABILITY, better="down"),
        ),
        f"""
        SELECT p.name, p.service, p.status, p.risk_score, sum(h.failures) FILTER (WHERE {_IN}) AS n,
            (sum(h.failures) FILTER (WHERE {_IN}))::float / greatest(1, sum(sum(h.failures) FILTER (WHERE {_IN})) OVER ()),
            coalesce(sum(h.failures) FILTER (WHERE {_BEFORE}), 0), (max(h.newest) AT TIME ZONE :timezone)::date, max(f.probability), p.id
        FROM patterns p JOIN pattern_hours h ON h.pattern_id = p.id LEFT JOIN {_NEWEST} f ON f.pattern_id = p.id
        WHERE h.hour >= :previous_start AND h.hour < :end
        GROUP BY p.id, p.name, p.service, p.status, p.risk_score HAVING sum(h.failures) FILTER (WHERE {_IN}) > 0
        ORDER BY n DESC, p.risk_score DESC, p.id LIMIT :limit
        """,
        (LIMIT,),
        counts=f"SELECT count(DISTINCT h.pattern_id) FROM pattern_hours h WHERE {_IN}",
        page="/patterns/{}",
    ),
    Source(
        "pattern_list",
        "All patterns",
        "Every pattern that is not resolved, riskiest first.",
        (
            column("pattern", "Pattern", wide=True),
            column("service", "Service"),
            column("status", "Status"),
            column("risk_score", "Risk", Unit.SCORE, bar=True),
            column("confidence", "Confidence", Unit.PROBABILITY),
            column("issues", "Failures", Unit.COUNT),
            column("first_seen", "First seen", Unit.DATE),
            column("last_seen", "Last seen", Unit.DATE),
            column("mttr", "Mean time to resolve", Unit.SECONDS),
            column("probability", "Next 7 days", Unit.PROBABILITY),
        ),
        f"""
        SELECT p.name, p.service, p.status, p.risk_score, p.confidence, p.issue_count, (p.first_seen_at AT TIME ZONE :timezone)::date,
            (p.last_seen_at AT TIME ZONE :timezone)::date, p.mttr_seconds, f.probability, p.id
        FROM patterns p LEFT JOIN {_NEWEST} f ON f.pattern_id = p.id WHERE p.status <> 'resolved' AND p.issue_count > 0
        ORDER BY p.risk_score DESC, p.issue_count DESC, p.id LIMIT :limit
        """,
        (LIMIT,),
        counts="SELECT count(*) FROM patterns WHERE status <> 'resolved' AND issue_count > 0",
        page="/patterns/{}",
    ),
    Source(
        "pattern_frequency",
        "Failures by pattern and week",
        "The patterns with most failures in the period, week by week.",
        (column("week", "Week of", Unit.DATE), column("pattern", "Pattern"), column("failures", "Failures", Unit.COUNT)),
        f"""
        WITH top AS (
            SELECT h.pattern_id, left(p.name, 60) AS name, sum(h.failures) AS n FROM pattern_hours h JOIN patterns p ON p.id = h.pattern_id
            WHERE {_IN} GROUP BY 1, 2 ORDER BY n DESC, 1 LIMIT :limit
        ), weeks AS (
            SELECT w::date AS week FROM generate_series(date_trunc('week', cast(:first_day AS timestamp)),
                date_trunc('week', cast(:last_day AS timestamp)), interval '1 week') w
        )
        SELECT w.week, t.name, coalesce(sum(h.failures), 0) FROM weeks w CROSS JOIN top t
        LEFT JOIN pattern_hours h ON h.pattern_id = t.pattern_id AND date_trunc('week', h.hour AT TIME ZONE :timezone)::date = w.week AND {_IN}
        GROUP BY w.week, t.name, t.n ORDER BY w.week, t.n DESC, t.name
        """,
        (LIMIT,),
    ),
    Source(
        "what_changed",
        "What changed",
        "New patterns, patterns that came back after a month of silence, and those that rose or fell most against the period before.",
        (
            column("change", "Change"),
            column("pattern", "Pattern", wide=True),
            column("service", "Service"),
            column("before", "Before", Unit.COUNT),
            column("now", "Now", Unit.COUNT, better="down"),
            column("difference", "Difference", Unit.COUNT, better="down"),
        ),
        f"""
        WITH counts AS (
            SELECT p.id, p.name, p.service, p.first_seen_at,
                coalesce(sum(h.failures) FILTER (WHERE {_BEFORE}), 0) AS before, coalesce(sum(h.failures) FILTER (WHERE {_IN}), 0) AS now,
                max(h.newest) FILTER (WHERE h.hour < :start) AS last_before, min(h.hour) FILTER (WHERE {_IN}) AS first_now
            FROM patterns p JOIN pattern_hours h ON h.pattern_id = p.id WHERE h.hour < :end GROUP BY p.id, p.name, p.service, p.first_seen_at
        ), kinds AS (
            SELECT *, CASE
                WHEN first_seen_at >= :start AND now >= 2 THEN 'new'
                WHEN last_before < first_now - interval '30 days' AND now > 0 AND before = 0 THEN 'came back'
                WHEN before > 0 AND now > before THEN 'rose' WHEN before > now AND now > 0 THEN 'fell' WHEN before >= 2 AND now = 0 THEN 'went silent' END AS change
            FROM counts
        ), placed AS (
            SELECT *, row_number() OVER (PARTITION BY change ORDER BY abs(now - before) DESC, now DESC, id) AS place FROM kinds WHERE change IS NOT NULL
        )
        SELECT change, name, service, before, now, now - before, id FROM placed WHERE place <= :each
        ORDER BY array_position(ARRAY['came back', 'new', 'rose', 'fell', 'went silent'], change), place
        """,
        (Param("each", 3, 1, 50),),
        page="/patterns/{}",
    ),
)
