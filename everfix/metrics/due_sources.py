"""Sources about what was due: how much of it came back, how much a fix prevented, and what that is worth.

Their keys and those of their columns are the ones that clients of the dashboard surface know; titles are our words.
"""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import BY, DUE, SEGMENT, UNNAMED, rate
from everfix.metrics.sources import DAYS, Param, Picture, Source, column

_TOP = Param("limit", 20, 1, 1000)
_DUE = "round((occurred + prevented)::numeric, 1)"
_PREVENTED = "round(prevented::numeric, 1)"
_SOMETHING = "occurred + prevented > 0"
# The sources that report a pattern, each with its share of the pattern's failures.
_SHARES = """
    shares AS (
        SELECT i.pattern_id, i.source, count(*)::float / sum(count(*)) OVER (PARTITION BY i.pattern_id) AS share
        FROM issues i WHERE i.pattern_id IS NOT NULL AND i.occurred_at < :end GROUP BY 1, 2
    )"""
_BY_SOURCE = f"""
    SELECT s.source AS part, sum(share * occurred) AS occurred, sum(share * prevented) AS prevented
    FROM due d JOIN shares s ON s.pattern_id = d.id WHERE {_SOMETHING} GROUP BY 1"""

SOURCES = (
    Source(
        "offer_performance",
        "Patterns: due and prevented",
        "The patterns of which most was due: returns that came and returns that a fix prevented.",
        (
            column("offer", "Pattern", wide=True),
            column("impressions", "Returns due", Unit.NUMBER, bar=True),
            column("conversions", "Prevented", Unit.NUMBER, better="up"),
            column("revenue", "Exposure avoided", Unit.MONEY, better="up"),
            column("conversion_rate", "Prevention rate", Unit.PERCENT, better="up"),
        ),
        f"""
        WITH {DUE}
        SELECT d.name, {_DUE}, {_PREVENTED}, {_PREVENTED}::float * w.loop_cost, {rate("prevented", "occurred")}, d.id
        FROM due d, workspaces w WHERE {_SOMETHING} ORDER BY occurred + prevented DESC, d.risk_score DESC, d.id LIMIT :limit
        """,
        (DAYS, _TOP, SEGMENT),
        counts=f"WITH {DUE} SELECT count(*) FROM due WHERE {_SOMETHING}",
        page="/patterns/{}",
        empty="Nothing came back in this period, and no fix was being watched.",
    ),
    Source(
        "acceptance_rate",
        "Prevention rate by pattern",
        "Every pattern of which something was due: how much was prevented, and how much came back.",
        (
            column("offer", "Pattern", wide=True),
            column("impressions", "Returns due", Unit.NUMBER),
            column("positive", "Prevented", Unit.NUMBER, better="up"),
            column("negative", "Came back", Unit.COUNT, better="down"),
            column("accept_rate", "Prevention rate", Unit.PERCENT, better="up", bar=True),
        ),
        f"""
        WITH {DUE}
        SELECT d.name, {_DUE}, {_PREVENTED}, occurred, {rate("prevented", "occurred")}, d.id
        FROM due d WHERE {_SOMETHING} ORDER BY occurred + prevented DESC, d.risk_score DESC, d.id
        """,
        (DAYS, SEGMENT),
        page="/patterns/{}",
        empty="Nothing came back in this period, and no fix was being watched.",
    ),
    Source(
        "offer_performance_grouped",
        "Due and prevented by group",
        "What was due by source (channel), domain (category) or service (segment). A pattern that several sources report is split by how many of its failures each of them reported.",
        (
            column("group", "Group"),
            column("impressions", "Returns due", Unit.NUMBER, bar=True),
            column("conversions", "Prevented", Unit.NUMBER, better="up"),
            column("revenue", "Exposure avoided", Unit.MONEY, better="up"),
            column("conversion_rate", "Prevention rate", Unit.PERCENT, better="up"),
        ),
        f"""
        WITH {DUE}, {_SHARES}, parts AS (
            SELECT part, occurred, prevented FROM ({_BY_SOURCE}) b WHERE cast(:groupBy AS text) = 'channel'
            UNION ALL
            SELECT coalesce(CASE cast(:groupBy AS text) WHEN 'category' THEN domain ELSE service END, '{UNNAMED}'), sum(occurred), sum(prevented)
            FROM due WHERE cast(:groupBy AS text) <> 'channel' AND {_SOMETHING} GROUP BY 1
        )
        SELECT part, {_DUE}, {_PREVENTED}, {_PREVENTED}::float * w.loop_cost, {rate("prevented", "occurred")}
        FROM parts, workspaces w ORDER BY occurred + prevented DESC, part LIMIT :limit
        """,
        (DAYS, Param("groupBy", "channel", choices=("channel", "category", "segment")), _TOP, SEGMENT),
        empty="Nothing came back in this period, and no fix was being watched.",
    ),
    Source(
        "channel_effectiveness",
        "Effectiveness by source",
        "How much of what each source reports was prevented. A pattern that several sources report is split by how many of its failures each of them reported.",
        (
            column("channel", "Source"),
            column("impressions", "Returns due", Unit.NUMBER, bar=True),
            column("conversions", "Prevented", Unit.NUMBER, better="up"),
            column("effectiveness", "Prevention rate", Unit.PERCENT, better="up"),
        ),
        f"""
        WITH {DUE}, {_SHARES}, parts AS ({_BY_SOURCE})
        SELECT part, {_DUE}, {_PREVENTED}, {rate("prevented", "occurred")} FROM parts ORDER BY occurred + prevented DESC, part
        """,
        (DAYS, SEGMENT),
        empty="Nothing came back in this period, and no fix was being watched.",
    ),
    Source(
        "exposure_by_segment",
        "Exposure by segment",
        "What the returns of each service, team or domain cost, and what fixes avoided, at the workspace's cost of a return.",
        (
            column("segment", "Segment"),
            column("occurred", "Came back", Unit.COUNT, better="down"),
            column("exposure", "Exposure", Unit.MONEY, better="down", bar=True),
            column("exposure_before", "Exposure before", Unit.MONEY),
            column("prevented", "Prevented", Unit.NUMBER, better="up"),
            column("avoided", "Exposure avoided", Unit.MONEY, better="up"),
        ),
        f"""
        WITH {DUE}, parts AS (
            SELECT coalesce(CASE cast(:by AS text) WHEN 'team' THEN team WHEN 'domain' THEN domain ELSE service END, '{UNNAMED}') AS part,
                sum(occurred) AS occurred, sum(occurred_before) AS before, sum(prevented) AS prevented FROM due GROUP BY 1
        )
        SELECT part, occurred, occurred * w.loop_cost, before * w.loop_cost, {_PREVENTED}, {_PREVENTED}::float * w.loop_cost
        FROM parts, workspaces w WHERE {_SOMETHING} OR before > 0 ORDER BY occurred DESC, prevented DESC, part LIMIT :limit
        """,
        (DAYS, BY, _TOP, SEGMENT),
        picture=Picture("bar", "segment", ("exposure", "avoided"), "Exposure and exposure avoided of each segment, largest first."),
        empty="Nothing came back in this period, and no fix was being watched.",
    ),
    Source(
        "exposure_figures",
        "Exposure",
        "What returned and what fixes prevented, in money at the workspace's cost of a return.",
        (
            column("exposure", "Exposure", Unit.MONEY, better="down"),
            column("exposure_before", "Exposure before", Unit.MONEY),
            column("avoided", "Exposure avoided", Unit.MONEY, better="up"),
            column("avoided_before", "Exposure avoided before", Unit.MONEY),
            column("cost_per_loop", "Cost per open loop", Unit.MONEY, better="down"),
            column("cost_per_loop_before", "Cost per open loop before", Unit.MONEY),
            column("prevented", "Returns prevented", Unit.NUMBER, better="up"),
            column("prevented_before", "Returns prevented before", Unit.NUMBER),
        ),
        f"""
        WITH {DUE}, t AS (
            SELECT coalesce(sum(occurred), 0) AS occurred, coalesce(sum(occurred_before), 0) AS before, round(coalesce(sum(prevented), 0)::numeric, 1)::float AS prevented,
                round(coalesce(sum(prevented_before), 0)::numeric, 1)::float AS prevented_before,
                count(*) FILTER (WHERE occurred > 0) AS loops, count(*) FILTER (WHERE occurred_before > 0) AS loops_before FROM due
        )
        SELECT occurred * c, before * c, prevented * c, prevented_before * c, CASE WHEN loops > 0 THEN occurred * c / loops END,
            CASE WHEN loops_before > 0 THEN before * c / loops_before END, prevented, prevented_before
        FROM t, (SELECT loop_cost AS c FROM workspaces) w
        """,
        (DAYS, SEGMENT),
        figures=True,
    ),
)
