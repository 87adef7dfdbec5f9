"""Sources of headline figures for the dashboards."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import DUE, HOLDS, SEGMENT, inside, issue_inside, watched
from everfix.metrics.pattern_sources import OPEN_DAYS
from everfix.metrics.sources import DAYS, Source, column


def _open(end: str, by: str) -> str:
    """Return how many loops are open at an instant: failed twice by then, the last time within OPEN_DAYS, and not closed."""
    still = "status <> 'resolved'" if end == ":end" else f"(status <> 'resolved' OR closed_at > {end})"
    return f"(SELECT count(*) FROM lives WHERE {still} AND {by} >= 2 AND {by}_last >= cast({end} AS timestamptz) - interval '{OPEN_DAYS} days')"


def _prevented(start: str, end: str) -> str:
    sums = f"SELECT coalesce(sum({watched(start, end)}), 0) FROM verifications v JOIN patterns p ON p.id = v.pattern_id"
    return f"round(({sums} WHERE {HOLDS} AND {inside('p')})::numeric, 1)::float"


SOURCES = (
    Source(
        "summary",
        "What there is",
        "Open loops, sources that report, schedules that are switched on, and recommendations that wait for a decision, as it stands now.",
        (
            column("active_offers", "Open loops", Unit.COUNT, better="down"),
            column("channels", "Sources", Unit.COUNT),
            column("journeys", "Schedules", Unit.COUNT),
            column("pending_approvals", "Recommendations waiting", Unit.COUNT, better="down"),
        ),
        f"""
        SELECT (SELECT count(*) FROM patterns WHERE status <> 'resolved' AND issue_count >= 2
                AND last_seen_at >= cast(:end AS timestamptz) - interval '{OPEN_DAYS} days'),
            (SELECT count(DISTINCT source) FROM issues), (SELECT count(*) FROM report_schedules WHERE enabled), (SELECT count(*) FROM recommendations WHERE status = 'pending')
        """,
        figures=True,
    ),
    Source(
        "summary_with_comparison",
        "Summary",
        "Open loops, issues and exposure avoided against the period before.",
        (
            column("active_offers", "Open loops", Unit.COUNT, better="down"),
            column("active_offers_before", "Open loops before", Unit.COUNT),
            column("decisions", "Issues", Unit.COUNT, better="down"),
            column("decisions_before", "Issues before", Unit.COUNT),
            column("revenue", "Exposure avoided", Unit.MONEY, better="up"),
            column("revenue_before", "Exposure avoided before", Unit.MONEY),
        ),
        f"""
        WITH lives AS (
            SELECT p.status, p.closed_at, sum(h.failures) AS now, max(h.hour) AS now_last, sum(h.failures) FILTER (WHERE h.hour < :previous_end) AS before,
                max(h.hour) FILTER (WHERE h.hour < :previous_end) AS before_last
            FROM patterns p JOIN pattern_hours h ON h.pattern_id = p.id WHERE h.hour < :end AND {inside("p")} GROUP BY p.id, p.status, p.closed_at
        ), issue AS (
            SELECT count(*) FILTER (WHERE i.occurred_at >= :start) AS now, count(*) FILTER (WHERE i.occurred_at < :previous_end) AS before
            FROM issues i WHERE i.occurred_at >= :previous_start AND i.occurred_at < :end AND {issue_inside("i")}
        )
        SELECT {_open(":end", "now")}, {_open(":previous_end", "before")}, issue.now, issue.before,
            {_prevented(":start", ":end")} * w.loop_cost, {_prevented(":previous_start", ":previous_end")} * w.loop_cost
        FROM issue, workspaces w
        """,
        (DAYS, SEGMENT),
        figures=True,
    ),
    Source(
        "prevention_figures",
        "Prevention",
        "What was due, how much of it was prevented, and the rate, against the period before.",
        (
            column("due", "Due", Unit.NUMBER),
            column("due_before", "Due before", Unit.NUMBER),
            column("prevented", "Prevented", Unit.NUMBER, better="up"),
            column("prevented_before", "Prevented before", Unit.NUMBER),
            column("rate", "Prevention rate", Unit.PERCENT, better="up"),
            column("rate_before", "Prevention rate before", Unit.PERCENT),
        ),
        f"""
        WITH {DUE}, t AS (
            SELECT coalesce(sum(occurred), 0) AS occurred, coalesce(sum(prevented), 0) AS prevented,
                coalesce(sum(occurred_before), 0) AS occurred_before, coalesce(sum(prevented_before), 0) AS prevented_before FROM due
        )
        SELECT round((occurred + prevented)::numeric, 1), round((occurred_before + prevented_before)::numeric, 1), round(prevented::numeric, 1),
            round(prevented_before::numeric, 1), prevented / nullif(occurred + prevented, 0), prevented_before / nullif(occurred_before + prevented_before, 0)
        FROM t
        """,
        (DAYS, SEGMENT),
        figures=True,
    ),
)
