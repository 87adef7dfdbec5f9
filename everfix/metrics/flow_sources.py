"""Sources about the way of a failure through the loop: received, new, linked, predicted, recommended, proven fixed."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.measures import SEGMENT, inside, issue_inside
from everfix.metrics.sources import DAYS, Param, Picture, Source, column

HOURS = Param("windowHours", None, 1, 168)  # ending where the period ends; left out: the period itself
_CHANNEL, _CATEGORY, _FLOW = (Param(key, None, 0, 200, kind="text") for key in ("channelId", "categoryId", "decisionFlowId"))
_OFFER = Param("offerId", None, 0, 60, kind="text", required=True)
SHOWN_RANKS = 10  # recommendations below this rank are not shown at first sight
# The one flow there is; asking for another finds nothing.
LOOP = "loop"
_ARRIVED = "i.ingested_at >= :start AND i.ingested_at < :end"
# Recommendations with each failure of their patterns in the period: an occasion on which the fix could have been taken up.
_OCCASIONS = f"""
    occasions AS (
        SELECT r.id, r.title, r.rank, r.status, r.created_at, r.implemented_at, p.id AS pattern_id, p.confidence, i.occurred_at AS at,
            EXISTS (SELECT FROM verifications v WHERE v.pattern_id = p.id AND v.claimed_at <= i.occurred_at AND v.window_ends_at > i.occurred_at
                AND v.recommendation_id <> r.id) AS covered
        FROM recommendations r JOIN recommendation_patterns rp ON rp.recommendation_id = r.id JOIN patterns p ON p.id = rp.pattern_id
        JOIN issues i ON i.pattern_id = p.id AND i.occurred_at >= :start AND i.occurred_at < :end
        WHERE {inside("p")}"""

SOURCES = (
    Source(
        "decision_traces_summary",
        "The loop, stage by stage",
        "Events of the period through the stages of the loop, and how many an average run of it took that far. Dropped: share "
        "of the events received that did not get there.",
        (
            column("stage", "Stage"),
            column("count", "Events", Unit.COUNT, bar=True),
            column("average", "Per run of the loop", Unit.NUMBER),
            column("dropped", "Dropped so far", Unit.PERCENT),
        ),
        f"""
        WITH arrived AS (
            SELECT i.id, p.issue_count, p.id AS pattern_id FROM issues i LEFT JOIN patterns p ON p.id = i.pattern_id
            WHERE {_ARRIVED} AND {issue_inside("i")}
        ), runs AS (SELECT count(*) AS n FROM jobs WHERE kind = 'failures.learn' AND status = 'succeeded' AND finished_at >= :start AND finished_at < :end),
        received AS (
            SELECT count(*) AS n FROM signals s JOIN issues i ON i.id = s.issue_id WHERE s.received_at >= :start AND s.received_at < :end AND {issue_inside("i")}
        ), linked AS (SELECT * FROM arrived WHERE issue_count >= 2),
        predicted AS (SELECT * FROM linked l WHERE EXISTS (SELECT FROM predictions f WHERE f.pattern_id = l.pattern_id AND f.status = 'active')),
        stages(place, stage, n) AS (
            SELECT 1, 'Events received', n FROM received UNION ALL SELECT 2, 'Valid and mapped', n FROM received
            UNION ALL SELECT 3, 'New after deduplication', count(*) FROM arrived UNION ALL SELECT 4, 'Linked to a pattern', count(*) FROM linked
            UNION ALL SELECT 5, 'With a live prediction', count(*) FROM predicted
            UNION ALL SELECT 6, 'Verified fix', count(*) FROM predicted f WHERE EXISTS (
                SELECT FROM verifications v WHERE v.pattern_id = f.pattern_id AND v.verdict = 'held')
        )
        SELECT s.stage, s.n, CASE WHEN runs.n > 0 THEN round(s.n::numeric / runs.n, 2) END,
            CASE WHEN received.n > 0 THEN greatest(0, 1 - s.n::float / received.n) END
        FROM stages s, runs, received ORDER BY s.place
        """,
        (DAYS, HOURS, SEGMENT),
        picture=Picture("bar", "stage", ("count",), "How many events reached each stage of the loop."),
    ),
    Source(
        "funnel",
        "From issue to proven fix",
        "Issues of the period, the patterns they belong to, and how many of those have a prediction, a recommendation and a fix that held.",
        (column("stage", "Stage"), column("count", "Count", Unit.COUNT, bar=True)),
        f"""
        WITH here AS (SELECT i.id, i.pattern_id FROM issues i WHERE i.occurred_at >= :start AND i.occurred_at < :end AND {issue_inside("i")}),
        kinds AS (SELECT DISTINCT pattern_id AS id FROM here WHERE pattern_id IS NOT NULL)
        SELECT stage, n FROM (
            SELECT 1, 'Issue', count(*) FROM here UNION ALL SELECT 2, 'Pattern', count(*) FROM kinds
            UNION ALL SELECT 3, 'Prediction', count(*) FROM kinds k WHERE EXISTS (SELECT FROM predictions f WHERE f.pattern_id = k.id AND f.status = 'active')
            UNION ALL SELECT 4, 'Recommendation', count(*) FROM kinds k WHERE EXISTS (
                SELECT FROM recommendation_patterns rp JOIN recommendations r ON r.id = rp.recommendation_id
                WHERE rp.pattern_id = k.id AND r.status <> 'dismissed')
            UNION ALL SELECT 5, 'Verified fix', count(*) FROM kinds k WHERE EXISTS (SELECT FROM verifications v WHERE v.pattern_id = k.id AND v.verdict = 'held')
        ) stages(place, stage, n) ORDER BY place
        """,
        (DAYS, SEGMENT),
        picture=Picture("bar", "stage", ("count",), "How many reached each stage from issue to verified fix."),
    ),
    Source(
        "selection_frequency",
        "Recommendations taken up",
        "For each recommendation: failures of its patterns in the period (eligible), those that came while it was proposed and "
        "ranked, whether it was taken up, and its rank; earlier ranks are not kept.",
        (
            column("offer", "Recommendation", wide=True),
            column("times_eligible", "Times eligible", Unit.COUNT, bar=True),
            column("times_scored", "Times ranked", Unit.COUNT),
            column("times_selected", "Taken up", Unit.COUNT, better="up"),
            column("average_rank", "Average rank", Unit.NUMBER),
        ),
        f"""
        WITH {_OCCASIONS} AND (cast(:channelId AS text) IS NULL OR i.source = :channelId)
                AND (cast(:categoryId AS text) IS NULL OR p.domain = :categoryId)
                AND (cast(:decisionFlowId AS text) IS NULL OR cast(:decisionFlowId AS text) = '{LOOP}')
        )
        SELECT o.title, count(*), count(*) FILTER (WHERE o.created_at <= o.at AND (o.implemented_at IS NULL OR o.at < o.implemented_at)),
            CASE WHEN o.status IN ('in_progress', 'implemented') THEN 1 ELSE 0 END, o.rank, o.pattern_id
        FROM occasions o GROUP BY o.id, o.title, o.status, o.rank, o.pattern_id ORDER BY 2 DESC, o.rank NULLS LAST, o.id LIMIT :limit
        """,
        (DAYS, Param("limit", 20, 1, 1000), SEGMENT, _CHANNEL, _CATEGORY, _FLOW),
        page="/patterns/{}",
        empty="No failure of this period has a recommended fix.",
    ),
    Source(
        "why_not_ranked",
        "Why a fix was not taken up",
        "One recommendation, or those of one pattern: each failure of the period counts once, for the first reason that "
        "applies. Already covered: another fix was being watched. Not confident: the grouping is below the workspace's "
        f"threshold. Ranked too low: below rank {SHOWN_RANKS}, or not ranked.",
        (
            column("offer", "Recommendation", wide=True),
            column("times_eligible", "Times eligible", Unit.COUNT),
            column("filtered_by_contact_policy", "Already covered", Unit.COUNT),
            column("filtered_by_qualification", "Pattern not confident", Unit.COUNT),
            column("scored_too_low", "Ranked too low", Unit.COUNT),
            column("selected", "Taken up", Unit.COUNT, better="up"),
        ),
        f"""
        WITH {_OCCASIONS} AND cast(:offerId AS text) IN (r.id::text, p.id::text)
        ), judged AS (
            SELECT o.*, CASE WHEN o.status IN ('in_progress', 'implemented') THEN 'taken' WHEN o.covered THEN 'covered'
                WHEN o.confidence < w.ai_confidence_threshold THEN 'unsure' WHEN coalesce(o.rank, {SHOWN_RANKS + 1}) > {SHOWN_RANKS} THEN 'low' END AS reason
            FROM occasions o, workspaces w
        )
        SELECT title, count(*), count(*) FILTER (WHERE reason = 'covered'), count(*) FILTER (WHERE reason = 'unsure'),
            count(*) FILTER (WHERE reason = 'low'), count(*) FILTER (WHERE reason = 'taken'), pattern_id
        FROM judged GROUP BY id, title, pattern_id ORDER BY 2 DESC, id
        """,
        (_OFFER, DAYS, SEGMENT),
        page="/patterns/{}",
        empty="No failure of this period belongs to this recommendation or pattern.",
    ),
)
