"""Sources about one pattern: how often it failed, and the failures themselves."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Param, Source, column

PATTERN = Param("pattern", None, 0, 36, kind="text")  # its UUID; what is none matches nothing
_GIVEN = "cast(:pattern AS text)"
_ID = f"cast(CASE WHEN {_GIVEN} ~ '^[0-9a-f]{{8}}(-[0-9a-f]{{4}}){{3}}-[0-9a-f]{{12}}$' THEN {_GIVEN} END AS uuid)"
_WEEK = "date_trunc('week', cast(:end AS timestamptz) AT TIME ZONE :timezone)"

SOURCES = (
    Source(
        "pattern_weeks",
        "Failures a week",
        "How often one pattern failed in each week up to the end of the period.",
        (column("week", "Week of", Unit.DATE), column("failures", "Failures", Unit.COUNT, better="down")),
        f"""
        SELECT w::date, coalesce(sum(h.failures), 0)::int
        FROM generate_series({_WEEK} - make_interval(weeks => :weeks - 1), {_WEEK}, interval '1 week') w
        LEFT JOIN pattern_hours h ON h.pattern_id = {_ID}
            AND date_trunc('week', h.hour AT TIME ZONE :timezone) = w
        GROUP BY w ORDER BY w
        """,
        (PATTERN, Param("weeks", 26, 1, 104)),
    ),
    Source(
        "pattern_members",
        "Failures of this pattern",
        "The failures of one pattern, newest first, with what put each of them there.",
        (
            column("occurred_at", "Happened", Unit.DATETIME),
            column("title", "Issue", wide=True),
            column("severity", "Severity"),
            column("status", "Status"),
            column("service", "Service"),
            column("rule", "Grouped by"),
        ),
        f"""
        SELECT i.occurred_at, i.title, upper(i.severity), replace(i.status, '_', ' '), i.service, i.assignment->'why'->>'rule', i.id
        FROM issues i WHERE i.pattern_id = {_ID} ORDER BY i.occurred_at DESC, i.id LIMIT :limit
        """,
        (PATTERN, LIMIT),
        counts=f"SELECT count(*) FROM issues i WHERE i.pattern_id = {_ID}",
        page="/issues/{}",
        empty="No failure belongs to this pattern any more.",
    ),
)
