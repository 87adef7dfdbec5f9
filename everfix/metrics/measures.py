"""Measures: what was due (it came back, or a fix prevented it), as SQL that several sources share.

A pattern comes back on each day on which it failed and had failed before. Prevented is the old rate over the watched days of a
fix that holds or is still watched. Both as in `loop_figures` and `fix_figures`, here for each pattern.
"""

from __future__ import annotations

from everfix.metrics.sources import Param

# A service, a team or a domain: "service:orders-api", or the bare name.
SEGMENT = Param("segmentId", None, 0, 210, kind="text")
_SEGMENT = "cast(:segmentId AS text)"
BY = Param("by", "service", choices=("service", "team", "domain"))
UNNAMED = "none named"


def inside(pattern: str) -> str:
    """Return the condition that a row of `patterns` belongs to the segment asked for."""
    names = ", ".join(f"'{kind}:' || {pattern}.{kind}, {pattern}.{kind}" for kind in BY.choices)
    return f"({_SEGMENT} IS NULL OR {_SEGMENT} IN ({names}))"


def issue_inside(issue: str) -> str:
    """Return the same for a row of `issues`, whose domain is its pattern's."""
    names = ", ".join(f"'{kind}:' || {issue}.{kind}, {issue}.{kind}" for kind in ("service", "team"))
    domain = f"EXISTS (SELECT FROM patterns s WHERE s.id = {issue}.pattern_id AND {_SEGMENT} IN ('domain:' || s.domain, s.domain))"
    return f"({_SEGMENT} IS NULL OR {_SEGMENT} IN ({names}) OR {domain})"


def watched(start: str, end: str) -> str:
    """Return the failing days that the old rate of a watch `v` would have brought between two instants."""
    days = f"extract(epoch FROM least(v.window_ends_at, cast({end} AS timestamptz)) - greatest(v.claimed_at, cast({start} AS timestamptz))) / 86400"
    return f"greatest(0, v.rate_per_day * greatest(0, {days}))"


HOLDS = "v.verdict IN ('watching', 'held')"
# Days on which each pattern failed, counted from its first: from the second on it came back.
NUMBERED = """
    failed AS (
        SELECT h.pattern_id, (h.hour AT TIME ZONE :timezone)::date AS day, min(h.hour) AS hour FROM pattern_hours h WHERE h.hour < :end GROUP BY 1, 2
    ), numbered AS (SELECT pattern_id, day, hour, row_number() OVER (PARTITION BY pattern_id ORDER BY day) AS n FROM failed)"""
# `due`: each pattern of the segment with what came back and what was prevented, in the period and in the one before.
DUE = f"""{NUMBERED},
    came AS (
        SELECT pattern_id, count(*) FILTER (WHERE hour >= :start) AS now,
            count(*) FILTER (WHERE hour >= :previous_start AND hour < :previous_end) AS before FROM numbered WHERE n > 1 GROUP BY 1
    ), kept AS (
        SELECT v.pattern_id, sum({watched(":start", ":end")}) AS now, sum({watched(":previous_start", ":previous_end")}) AS before
        FROM verifications v WHERE {HOLDS} GROUP BY 1
    ), due AS (
        SELECT p.id, p.name, p.service, p.team, p.domain, p.risk_score, coalesce(c.now, 0) AS occurred, coalesce(c.before, 0) AS occurred_before,
            coalesce(k.now, 0) AS prevented, coalesce(k.before, 0) AS prevented_before
        FROM patterns p LEFT JOIN came c ON c.pattern_id = p.id LEFT JOIN kept k ON k.pattern_id = p.id
        WHERE {inside("p")} AND (c.pattern_id IS NOT NULL OR k.pattern_id IS NOT NULL)
    )"""


def rate(part: str, other: str) -> str:
    """Return part / (part + other), or nothing where nothing was due."""
    return f"CASE WHEN {part} + {other} > 0 THEN ({part}) / ({part} + {other})::float END"
