"""The source of interactions: what was due, and what was done about it, by group."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import DUE, SEGMENT, UNNAMED
from everfix.metrics.sources import DAYS, Param, Source, column

_BY = Param("groupBy", "action", choices=("action", "treatment", "channel", "customer"))
_WHEN = "r.updated_at >= :start AND r.updated_at < :end"

SOURCES = (
    Source(
        "interaction_summary",
        "Due and done",
        "What was due, prevented and came back, and the recommendations that were taken up, dismissed and carried out in the period, "
        "by pattern (action), kind of recommended fix (treatment), source (channel) or service (customer).",
        (
            column("key", "Group", wide=True),
            column("impression", "Due", Unit.NUMBER, bar=True),
            column("click", "Taken up", Unit.COUNT),
            column("dismiss", "Dismissed", Unit.COUNT),
            column("accept", "Carried out", Unit.COUNT),
            column("convert", "Prevented", Unit.NUMBER, better="up"),
            column("total", "Total", Unit.NUMBER),
            column("ctr", "Taken up of those shown", Unit.PERCENT),
            column("cvr", "Prevention rate", Unit.PERCENT, better="up"),
            column("positive", "Prevented", Unit.NUMBER, better="up"),
            column("negative", "Came back", Unit.NUMBER, better="down"),
            column("neutral", "Neither", Unit.NUMBER),
        ),
        f"""
        WITH {DUE}, fixes AS (
            SELECT rp.pattern_id, max(r.type) AS type, count(*) AS shown, count(*) FILTER (WHERE r.status IN ('in_progress', 'implemented') AND {_WHEN}) AS taken,
                count(*) FILTER (WHERE r.status = 'dismissed' AND {_WHEN}) AS dismissed, count(*) FILTER (WHERE r.implemented_at >= :start AND r.implemented_at < :end) AS done
            FROM recommendations r JOIN recommendation_patterns rp ON rp.recommendation_id = r.id GROUP BY 1
        ), shares AS (
            SELECT i.pattern_id, i.source, count(*)::float / sum(count(*)) OVER (PARTITION BY i.pattern_id) AS share
            FROM issues i WHERE i.pattern_id IS NOT NULL AND i.occurred_at < :end GROUP BY 1, 2
        ), parts AS (
            SELECT CASE cast(:groupBy AS text) WHEN 'action' THEN d.name WHEN 'treatment' THEN coalesce(replace(f.type, '_', ' '), 'no fix proposed')
                    WHEN 'channel' THEN s.source ELSE coalesce(d.service, '{UNNAMED}') END AS part,
                CASE WHEN cast(:groupBy AS text) = 'action' THEN d.id END AS id, s.share * d.occurred AS occurred, s.share * d.prevented AS prevented, s.share AS share, f.*
            FROM due d LEFT JOIN fixes f ON f.pattern_id = d.id, LATERAL (
                SELECT source, share FROM shares WHERE pattern_id = d.id AND cast(:groupBy AS text) = 'channel'
                UNION ALL SELECT NULL, 1.0 WHERE cast(:groupBy AS text) <> 'channel'
            ) s WHERE d.occurred + d.prevented > 0
        ), sums AS (
            SELECT part, id, sum(occurred) AS occurred, sum(prevented) AS prevented, coalesce(sum(taken), 0) AS taken, coalesce(sum(dismissed), 0) AS dismissed,
                coalesce(sum(done), 0) AS done, coalesce(sum(shown), 0) AS shown FROM parts GROUP BY part, id
        )
        SELECT part, round((occurred + prevented)::numeric, 1), taken, dismissed, done, round(prevented::numeric, 1),
            round((occurred + prevented + taken + dismissed + done)::numeric, 1), CASE WHEN shown > 0 THEN least(1, taken::float / shown) END,
            prevented / (occurred + prevented)::float, round(prevented::numeric, 1), round(occurred::numeric, 1), 0
        FROM sums ORDER BY occurred + prevented DESC, part, id
        """,
        (DAYS, _BY, SEGMENT),
        empty="Nothing was due in this period.",
    ),
)
