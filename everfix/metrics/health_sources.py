"""Sources about what comes in: how much against usual, how fresh, what was refused, what came late, and whether its shape changed."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.issue_sources import BEFORE, IN_PERIOD
from everfix.metrics.sources import DAYS, LIMIT, Picture, Source, column

LATE_SECONDS = 3_600  # what comes in later than this after it happened is late
USUAL_PERIODS = 4  # periods before this one whose mean is the usual volume
FEW_GAPS = 5  # gaps between failures that a source must have shown before its silence means anything
SAMPLE = 2_000  # failures of a source, in each period, whose fields are read
COMMON = 0.5  # share of a source's failures that carry a field which then counts as dropped when none does
_DONE = "status IN ('succeeded', 'failed')"
_LENGTH = "(cast(:end AS timestamptz) - cast(:start AS timestamptz))"
_FIELDS = ("service", "team", "environment", "release", "error_type")  # besides those of a failure's metadata

SOURCES = (
    Source(
        "connector_health",
        "Volume by source, against usual",
        f"Failures of the period by the source that reported them, against the mean of the {USUAL_PERIODS} periods before: low or high where that is beyond "
        "three standard deviations of chance, and at least 10 are usual. Counted by when they happened, so that history taken in is no surge. Low may mean "
        "that all is well, or that a source no longer sends: see its freshness.",
        (
            column("source", "Source"),
            column("state", "State"),
            column("received", "Failures", Unit.COUNT),
            column("usual", "Usual", Unit.NUMBER),
            column("late", "Came late", Unit.COUNT, better="down"),
            column("newest", "Newest", Unit.DATETIME),
        ),
        f"""
        WITH counted AS (
            SELECT source, count(*) FILTER (WHERE occurred_at >= :start) AS now, count(*) FILTER (WHERE occurred_at < :start) / {USUAL_PERIODS}.0 AS usual,
                count(*) FILTER (WHERE occurred_at >= :start AND ingested_at > occurred_at + make_interval(secs => {LATE_SECONDS})) AS late, max(occurred_at) AS newest
            FROM issues WHERE occurred_at >= cast(:start AS timestamptz) - {USUAL_PERIODS} * {_LENGTH} AND occurred_at < :end GROUP BY source
        )
        SELECT source, CASE WHEN usual = 0 THEN 'new' WHEN usual < 10 THEN 'few' WHEN now < usual - 3 * sqrt(usual) THEN 'low'
            WHEN now > usual + 3 * sqrt(usual) THEN 'high' ELSE 'usual' END, now, round(usual, 1), late, newest
        FROM counted ORDER BY greatest(now, usual) DESC, source LIMIT :limit
        """,
        (DAYS, LIMIT),
        empty="No source has reported a failure.",
    ),
    Source(
        "ingest_volume",
        "Failures a day, against usual",
        "Failures by the day on which they happened, against the middle of the same weekday in the four weeks before.",
        (
            column("date", "Date", Unit.DATE),
            column("received", "Failures", Unit.COUNT),
            column("usual", "Usual", Unit.NUMBER),
        ),
        """
        WITH counted AS (
            SELECT (occurred_at AT TIME ZONE :timezone)::date AS day, count(*) AS n FROM issues
            WHERE occurred_at >= cast(:start AS timestamptz) - interval '29 days' AND occurred_at < :end GROUP BY 1
        ), days AS (SELECT generate_series(cast(:first_day AS date), cast(:last_day AS date), interval '1 day')::date AS day)
        SELECT d.day, coalesce(c.n, 0), (SELECT percentile_cont(0.5) WITHIN GROUP (ORDER BY coalesce(b.n, 0))
            FROM generate_series(1, 4) w LEFT JOIN counted b ON b.day = d.day - 7 * w)
        FROM days d LEFT JOIN counted c USING (day) WHERE EXISTS (SELECT FROM counted) ORDER BY d.day
        """,
        (DAYS,),
        picture=Picture("line", "date", ("received", "usual"), "Failures of each day, and what is usual for its weekday."),
        empty="Nothing has come in.",
    ),
    Source(
        "sync_freshness",
        "Freshness by source",
        f"How long ago each source reported its newest failure, against its own gaps of the last 90 days: fresh within the 95th percentile of them, late within "
        f"three times that, silent beyond; new with fewer than {FEW_GAPS} gaps. A source of failures may be silent because all is well.",
        (
            column("source", "Source"),
            column("state", "State"),
            column("age", "Newest is", Unit.SECONDS, better="down"),
            column("usual_gap", "Usual gap, at most", Unit.SECONDS),
            column("newest", "Newest", Unit.DATETIME),
            column("received_at", "Last came in", Unit.DATETIME),
        ),
        f"""
        WITH seen AS (
            SELECT source, occurred_at, ingested_at, extract(epoch FROM occurred_at - lag(occurred_at) OVER (PARTITION BY source ORDER BY occurred_at)) AS gap
            FROM issues WHERE occurred_at >= cast(:end AS timestamptz) - interval '90 days' AND occurred_at < :end
        ), known AS (
            SELECT source, max(occurred_at) AS newest, max(ingested_at) AS received, extract(epoch FROM :end - max(occurred_at))::float AS age,
                percentile_cont(0.95) WITHIN GROUP (ORDER BY gap) FILTER (WHERE gap > 0)::float AS gap, count(*) FILTER (WHERE gap > 0) AS gaps FROM seen GROUP BY source
        )
        SELECT source, CASE WHEN gaps < {FEW_GAPS} THEN 'new' WHEN age <= gap THEN 'fresh' WHEN age <= 3 * gap THEN 'late' ELSE 'silent' END,
            age, CASE WHEN gaps >= {FEW_GAPS} THEN gap END, newest, received
        FROM known ORDER BY CASE WHEN gaps >= {FEW_GAPS} THEN age / gap END DESC NULLS LAST, source LIMIT :limit
        """,
        (LIMIT,),
        empty="No source has reported a failure in the last 90 days.",
    ),
    Source(
        "rejects",
        "Refused records",
        "Records of batches that were refused in the period, by source and reason; their neighbours were kept. A single record that is refused is told to its "
        "sender at once, and counted nowhere.",
        (
            column("source", "Source"),
            column("reason", "Reason", wide=True),
            column("records", "Records", Unit.COUNT, better="down", bar=True),
            column("newest", "Newest", Unit.DATETIME),
        ),
        """
        SELECT r ->> 'source', r ->> 'reason', sum((r ->> 'records')::int), max(a.at)
        FROM audit_log a, jsonb_array_elements(CASE WHEN jsonb_typeof(a.details -> 'rejects') = 'array' THEN a.details -> 'rejects' ELSE '[]' END) r
        WHERE a.action = 'ingest.accepted' AND a.at >= :start AND a.at < :end GROUP BY 1, 2 ORDER BY 3 DESC, 1, 2 LIMIT :limit
        """,
        (LIMIT,),
        empty="No record was refused in this period.",
    ),
    Source(
        "late_arrivals",
        "Late arrivals",
        "Failures that came in during the period later than an hour after they happened, by source, and how long all of them took. History that is taken in is late, too.",
        (
            column("source", "Source"),
            column("received", "Came in", Unit.COUNT),
            column("late", "Late", Unit.COUNT, better="down", bar=True),
            column("median", "Usual delay", Unit.SECONDS, better="down"),
            column("p95", "P95 of the delay", Unit.SECONDS, better="down"),
        ),
        f"""
        WITH came AS (
            SELECT source, greatest(0, extract(epoch FROM ingested_at - occurred_at))::float AS delay FROM issues WHERE ingested_at >= :start AND ingested_at < :end
        )
        SELECT source, count(*), count(*) FILTER (WHERE delay > {LATE_SECONDS}), percentile_cont(0.5) WITHIN GROUP (ORDER BY delay), percentile_cont(0.95) WITHIN GROUP (ORDER BY delay)
        FROM came GROUP BY source ORDER BY 3 DESC, 2 DESC, source LIMIT :limit
        """,
        (DAYS, LIMIT),
        empty="Nothing came in during this period.",
    ),
    Source(
        "failed_checks",
        "Failed checks",
        "Checks that failed in the period (tests, monitors and data checks), by pattern, against the period before.",
        (
            column("check", "Check"),
            column("service", "Service"),
            column("failures", "Failures", Unit.COUNT, better="down", bar=True),
            column("failures_before", "Before", Unit.COUNT),
            column("newest", "Newest", Unit.DATETIME),
        ),
        f"""
        SELECT coalesce(p.name, min(i.title)), max(i.service), count(*) FILTER (WHERE {IN_PERIOD}), count(*) FILTER (WHERE {BEFORE}), max(i.occurred_at), i.pattern_id
        FROM issues i LEFT JOIN patterns p ON p.id = i.pattern_id
        WHERE i.kind = 'check' AND i.occurred_at >= :previous_start AND i.occurred_at < :end
        GROUP BY i.pattern_id, p.name, CASE WHEN i.pattern_id IS NULL THEN i.title END HAVING count(*) FILTER (WHERE {IN_PERIOD}) > 0
        ORDER BY 3 DESC, 5 DESC, 1 LIMIT :limit
        """,
        (DAYS, LIMIT),
        page="/patterns/{}",
        empty="No check failed in this period.",
    ),
    Source(
        "source_schemas",
        "Shape of what comes in",
        f"Fields of each source's newest failures (at most {SAMPLE:,} of this period, and of the one before): in how many different sets they came, which are new, "
        f"and which at least half of the failures had before and none has now.",
        (
            column("source", "Source"),
            column("schemas", "Different sets", Unit.COUNT),
            column("fields", "Fields", Unit.COUNT),
            column("new_fields", "New fields", wide=True),
            column("dropped_fields", "Dropped fields", wide=True),
        ),
        f"""
        WITH ranked AS (
            SELECT source, occurred_at >= :start AS now, metadata, {", ".join(_FIELDS)},
                row_number() OVER (PARTITION BY source, occurred_at >= :start ORDER BY occurred_at DESC, id DESC) AS place
            FROM issues WHERE occurred_at >= :previous_start AND occurred_at < :end
        ), shaped AS (
            SELECT source, now, ARRAY(SELECT json_object_keys(CASE WHEN json_typeof(metadata) = 'object' THEN metadata ELSE '{{}}' END) UNION
                SELECT name FROM (VALUES {", ".join(f"('{name}', {name} IS NOT NULL)" for name in _FIELDS)}) x(name, there) WHERE there ORDER BY 1) AS names
            FROM ranked WHERE place <= {SAMPLE}
        ), totals AS (
            SELECT source, count(DISTINCT names) FILTER (WHERE now) AS schemas, count(*) FILTER (WHERE now) AS n, count(*) FILTER (WHERE NOT now) AS before FROM shaped GROUP BY 1
        ), counted AS (
            SELECT source, name, count(*) FILTER (WHERE now) AS n, count(*) FILTER (WHERE NOT now) AS before FROM shaped, unnest(names) name GROUP BY 1, 2
        )
        SELECT t.source, t.schemas, count(c.name) FILTER (WHERE c.n > 0),
            string_agg(c.name, ', ' ORDER BY c.name) FILTER (WHERE c.before = 0 AND t.before > 0),
            string_agg(c.name, ', ' ORDER BY c.name) FILTER (WHERE c.n = 0 AND c.before >= {COMMON} * t.before)
        FROM totals t LEFT JOIN counted c USING (source) WHERE t.n > 0 GROUP BY t.source, t.schemas, t.n ORDER BY 5 NULLS LAST, 4 NULLS LAST, t.n DESC, 1 LIMIT :limit
        """,
        (DAYS, LIMIT),
        empty="No source has reported a failure in this period.",
    ),
    Source(
        "connector_runs",
        "Runs",
        "Work that ended in the period, by kind: taking in and learning failures, imports from other tools, reports, deliveries; how many succeeded, and how long they took.",
        (
            column("kind", "Kind"),
            column("runs", "Runs", Unit.COUNT),
            column("succeeded", "Succeeded", Unit.COUNT, better="up"),
            column("failed", "Failed", Unit.COUNT, better="down"),
            column("median", "Usual time", Unit.SECONDS, better="down"),
            column("newest", "Newest", Unit.DATETIME),
        ),
        f"""
        SELECT kind, count(*), count(*) FILTER (WHERE status = 'succeeded'), count(*) FILTER (WHERE status = 'failed'),
            percentile_cont(0.5) WITHIN GROUP (ORDER BY greatest(0, extract(epoch FROM finished_at - coalesce(started_at, created_at)))::float), max(finished_at)
        FROM jobs WHERE {_DONE} AND finished_at >= :start AND finished_at < :end GROUP BY kind ORDER BY 4 DESC, 2 DESC, kind LIMIT :limit
        """,
        (DAYS, LIMIT),
        empty="No run ended in this period.",
    ),
)
