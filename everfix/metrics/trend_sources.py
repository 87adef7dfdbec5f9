"""Sources by day, and where in the product failures pile up: trends, budgets, and segments against patterns."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import BY, HOLDS, NUMBERED, SEGMENT, UNNAMED, inside, issue_inside, watched
from everfix.metrics.sources import DAYS, Param, Picture, Source, column

# Each day of the period on the workspace's clock, with what came back and what was prevented on it.
BY_DAY = f"""{NUMBERED},
    days AS (
        SELECT d::date AS day, greatest(d::date::timestamp AT TIME ZONE :timezone, cast(:start AS timestamptz)) AS a,
            least((d::date + 1)::timestamp AT TIME ZONE :timezone, cast(:end AS timestamptz)) AS b
        FROM generate_series(cast(:first_day AS date), cast(:last_day AS date), interval '1 day') d
    ), came AS (
        SELECT n.day, count(*) AS n FROM numbered n JOIN patterns p ON p.id = n.pattern_id
        WHERE n.n > 1 AND n.hour >= :start AND {inside("p")} GROUP BY 1
    ), kept AS (
        SELECT d.day, sum({watched("d.a", "d.b")}) AS n
        FROM days d JOIN verifications v ON {HOLDS} AND v.claimed_at < d.b AND v.window_ends_at > d.a JOIN patterns p ON p.id = v.pattern_id
        WHERE {inside("p")} GROUP BY 1
    ), by_day AS (
        SELECT d.day, coalesce(c.n, 0) AS occurred, coalesce(k.n, 0) AS prevented
        FROM days d LEFT JOIN came c ON c.day = d.day LEFT JOIN kept k ON k.day = d.day
    )"""
_HABIT_DAYS = 90

SOURCES = (
    Source(
        "daily_trend",
        "Due and prevented a day",
        "For each day: the returns that were due, and those that a fix prevented.",
        (
            column("date", "Date", Unit.DATE),
            column("impressions", "Due", Unit.NUMBER),
            column("conversions", "Prevented", Unit.NUMBER, better="up"),
        ),
        f"WITH {BY_DAY} SELECT day, round((occurred + prevented)::numeric, 2), round(prevented::numeric, 2) FROM by_day ORDER BY day",
        (DAYS, SEGMENT),
        picture=Picture("line", "date", ("impressions", "conversions"), "Returns due and returns prevented on each day of the period."),
    ),
    Source(
        "decision_trend",
        "Issues a day",
        "For each day: the issues that happened.",
        (column("date", "Date", Unit.DATE), column("decisions", "Issues", Unit.COUNT, better="down")),
        f"""
        SELECT d::date, count(i.id) FROM generate_series(cast(:first_day AS date), cast(:last_day AS date), interval '1 day') d
        LEFT JOIN issues i ON (i.occurred_at AT TIME ZONE :timezone)::date = d::date AND i.occurred_at >= :start AND i.occurred_at < :end AND {issue_inside("i")}
        GROUP BY 1 ORDER BY 1
        """,
        (DAYS, SEGMENT),
        picture=Picture("line", "date", ("decisions",), "Issues on each day of the period."),
    ),
    Source(
        "revenue_trend",
        "Exposure avoided a day",
        "For each day: what the returns that fixes prevented would have cost; 0 for a day on which no fix was watched.",
        (column("date", "Date", Unit.DATE), column("revenue", "Exposure avoided", Unit.MONEY, better="up")),
        f"WITH {BY_DAY} SELECT day, round((prevented * w.loop_cost)::numeric, 2) FROM by_day, workspaces w ORDER BY day",
        (DAYS, SEGMENT),
        picture=Picture("area", "date", ("revenue",), "Exposure avoided on each day of the period."),
    ),
    Source(
        "exposure_trend",
        "Exposure a day",
        "For each day: what the returns of that day cost, and what fixes avoided.",
        (
            column("date", "Date", Unit.DATE),
            column("exposure", "Exposure", Unit.MONEY, better="down"),
            column("avoided", "Exposure avoided", Unit.MONEY, better="up"),
        ),
        f"""
        WITH {BY_DAY} SELECT day, occurred * w.loop_cost, round((prevented * w.loop_cost)::numeric, 2) FROM by_day, workspaces w ORDER BY day
        """,
        (DAYS, SEGMENT),
        picture=Picture("column", "date", ("exposure", "avoided"), "Exposure and exposure avoided on each day of the period."),
    ),
    Source(
        "budget_burn",
        "Failure budgets",
        "Failures of each service or team against its budget: `allowed` failures in 30 days, or without that its own mean over "
        f"the {_HABIT_DAYS} days before. A burn rate above 1 means more failures than budgeted.",
        (
            column("allocation", "Service or team"),
            column("budget", "Budget", Unit.NUMBER),
            column("spent", "Spent", Unit.COUNT, better="down", bar=True),
            column("remaining", "Remaining", Unit.NUMBER, better="up"),
            column("burn_rate", "Burn rate", Unit.NUMBER, better="down"),
        ),
        f"""
        WITH length AS (SELECT extract(epoch FROM cast(:end AS timestamptz) - cast(:start AS timestamptz)) / 86400 AS days),
        counted AS (
            SELECT CASE cast(:by AS text) WHEN 'team' THEN i.team ELSE i.service END AS part, count(*) FILTER (WHERE i.occurred_at >= :start) AS spent,
                count(*) FILTER (WHERE i.occurred_at < :start) AS habit
            FROM issues i WHERE i.occurred_at >= cast(:start AS timestamptz) - interval '{_HABIT_DAYS} days' AND i.occurred_at < :end AND {issue_inside("i")}
            GROUP BY 1
        ), given AS (
            SELECT part, spent, CASE WHEN cast(:allowed AS int) IS NOT NULL THEN :allowed / 30.0 ELSE habit / {_HABIT_DAYS}.0 END * days AS budget
            FROM counted, length WHERE part IS NOT NULL
        )
        SELECT part, round(budget, 1), spent, round(budget - spent, 1), CASE WHEN budget > 0 THEN round(spent / budget, 2) END
        FROM given WHERE spent > 0 OR budget > 0 ORDER BY spent - budget DESC, part LIMIT :limit
        """,
        (
            DAYS,
            Param("by", "service", choices=("service", "team")),
            Param("allowed", None, 0, 100_000),
            Param("limit", 20, 1, 1000),
            SEGMENT,
        ),
        empty="No service or team has failed in this period or in the quarter before it.",
    ),
    Source(
        "segment_patterns",
        "Failures by segment and pattern",
        "The services, teams or domains with most failures, each against the patterns that fail most.",
        (column("segment", "Segment"), column("pattern", "Pattern"), column("failures", "Failures", Unit.COUNT, better="down")),
        f"""
        WITH counted AS (
            SELECT coalesce(CASE cast(:by AS text) WHEN 'team' THEN i.team WHEN 'domain' THEN p.domain ELSE i.service END, '{UNNAMED}') AS part,
                p.id, left(p.name, 80) AS name, count(*) AS n
            FROM issues i JOIN patterns p ON p.id = i.pattern_id
            WHERE i.occurred_at >= :start AND i.occurred_at < :end AND {issue_inside("i")} GROUP BY 1, 2, 3
        ), parts AS (SELECT part, sum(n) AS n FROM counted GROUP BY 1 ORDER BY n DESC, part LIMIT :limit),
        kinds AS (SELECT id, name, sum(n) AS n FROM counted GROUP BY 1, 2 ORDER BY n DESC, id LIMIT :limit)
        SELECT s.part, k.name, coalesce(c.n, 0), k.id FROM parts s CROSS JOIN kinds k LEFT JOIN counted c ON c.part = s.part AND c.id = k.id
        ORDER BY s.n DESC, s.part, k.n DESC, k.id
        """,
        (DAYS, BY, Param("limit", 10, 1, 25), SEGMENT),
        page="/patterns/{}",
        picture=Picture("heatmap", "pattern", ("failures",), "Failures of each pattern in each segment.", series="segment"),
        empty="No failure of this period belongs to a pattern.",
    ),
)
