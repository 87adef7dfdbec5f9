"""Sources about fixes: what is proposed, what was done, and what it prevented."""

from __future__ import annotations

from everfix.documents.model import Unit
from everfix.metrics.sources import LIMIT, Source, column

# Prevented in a stretch of time: the old rate over the watched days inside it, less the failing days that came all the same.
# A fix that failed prevented nothing.
_PREVENTED = """
    (SELECT coalesce(sum(greatest(0, v.rate_per_day * greatest(0, extract(epoch FROM least(v.window_ends_at, cast(:{end} AS timestamptz))
        - greatest(v.claimed_at, cast(:{start} AS timestamptz))) / 86400))), 0) FROM verifications v WHERE v.verdict IN ('watching', 'held'))
"""
_NOW, _BEFORE = _PREVENTED.format(start="start", end="end"), _PREVENTED.format(start="previous_start", end="previous_end")

SOURCES = (
    Source(
        "fix_figures",
        "Fixes",
        "Returns prevented by fixes that hold or are still watched, in failing days, and what that is worth.",
        (
            column("prevented", "Returns prevented", Unit.NUMBER, better="up"),
            column("prevented_before", "Returns prevented before", Unit.NUMBER),
            column("exposure_avoided", "Exposure avoided", Unit.MONEY, better="up"),
            column("exposure_avoided_before", "Exposure avoided before", Unit.MONEY),
            column("held", "Fixes that held", Unit.COUNT, better="up"),
            column("held_before", "Fixes that held before", Unit.COUNT),
            column("failed", "Fixes that failed", Unit.COUNT, better="down"),
            column("failed_before", "Fixes that failed before", Unit.COUNT),
        ),
        f"""
        SELECT round({_NOW}::numeric, 1), round({_BEFORE}::numeric, 1), round({_NOW}::numeric, 1)::float * w.loop_cost, round({_BEFORE}::numeric, 1)::float * w.loop_cost,
            count(v.id) FILTER (WHERE v.verdict = 'held' AND v.decided_at >= :start AND v.decided_at < :end),
            count(v.id) FILTER (WHERE v.verdict = 'held' AND v.decided_at >= :previous_start AND v.decided_at < :previous_end),
            count(v.id) FILTER (WHERE v.verdict = 'failed' AND v.decided_at >= :start AND v.decided_at < :end),
            count(v.id) FILTER (WHERE v.verdict = 'failed' AND v.decided_at >= :previous_start AND v.decided_at < :previous_end)
        FROM workspaces w LEFT JOIN verifications v ON true GROUP BY w.loop_cost
        """,
    ),
    Source(
        "loops_prevented",
        "Loops prevented",
        "Each fix that was claimed: what the old rate would have brought since, what came, and whether it holds.",
        (
            column("fix", "Fix", wide=True),
            column("pattern", "Pattern", wide=True),
            column("claimed", "In place since", Unit.DATE),
            column("expected", "Expected", Unit.NUMBER),
            column("observed", "Came", Unit.COUNT, better="down"),
            column("prevented", "Prevented", Unit.NUMBER, better="up", bar=True),
            column("holds", "Holds", Unit.PROBABILITY, better="up"),
            column("verdict", "Verdict"),
        ),
        """
        SELECT r.title, p.name, (v.claimed_at AT TIME ZONE :timezone)::date, round(v.expected::numeric, 1), v.observed,
            CASE WHEN v.verdict = 'failed' THEN 0 ELSE round(v.prevented::numeric, 1) END, v.holds_probability,
            replace(v.verdict, '_', ' '), p.id
        FROM verifications v JOIN recommendations r ON r.id = v.recommendation_id JOIN patterns p ON p.id = v.pattern_id
        WHERE v.claimed_at < :end AND (v.verdict = 'watching' OR v.decided_at >= cast(:end AS timestamptz) - interval '90 days')
        ORDER BY v.verdict = 'failed', v.prevented DESC, v.claimed_at DESC, v.id LIMIT :limit
        """,
        (LIMIT,),
        counts="""SELECT count(*) FROM verifications v WHERE v.claimed_at < :end
            AND (v.verdict = 'watching' OR v.decided_at >= cast(:end AS timestamptz) - interval '90 days')""",
        page="/patterns/{}",
        empty="No fix has been claimed yet. Mark a recommendation as implemented and Everfix watches whether it holds.",
    ),
    Source(
        "recommended_fixes",
        "Recommended fixes",
        "The open recommendations by rank: those expected to prevent most returns first.",
        (
            column("fix", "Fix", wide=True),
            column("pattern", "Pattern", wide=True),
            column("rank", "Rank", Unit.COUNT),
            column("type", "Type"),
            column("effort", "Effort"),
            column("impact", "Impact"),
            column("expected_loops_prevented", "Returns prevented in 90 days", Unit.NUMBER, better="up", bar=True),
            column("expected_cost_saved", "Worth", Unit.MONEY, better="up"),
        ),
        """
        SELECT r.title, p.name, r.rank, replace(r.type, '_', ' '), r.effort, replace(r.impact, '_', ' '), r.expected_loops_prevented,
            r.expected_cost_saved, p.id
        FROM recommendations r JOIN recommendation_patterns rp ON rp.recommendation_id = r.id JOIN patterns p ON p.id = rp.pattern_id
        WHERE r.status IN ('pending', 'in_progress') ORDER BY r.rank, r.id LIMIT :limit
        """,
        (LIMIT,),
        counts="SELECT count(*) FROM recommendations WHERE status IN ('pending', 'in_progress')",
        page="/patterns/{}",
        empty="Nothing to recommend yet: a fix is proposed once a pattern has failed twice and its grouping is trusted.",
    ),
    Source(
        "recommendation_list",
        "Recommendations",
        "Every recommendation with its status, its proof and its attestation.",
        (
            column("fix", "Fix", wide=True),
            column("pattern", "Pattern", wide=True),
            column("status", "Status"),
            column("type", "Type"),
            column("effort", "Effort"),
            column("expected_loops_prevented", "Returns prevented in 90 days", Unit.NUMBER),
            column("implemented", "In place since", Unit.DATE),
            column("verdict", "Proof"),
            column("attestation", "Attestation"),
        ),
        """
        SELECT r.title, p.name, replace(r.status, '_', ' '), replace(r.type, '_', ' '), r.effort, r.expected_loops_prevented,
            (r.implemented_at AT TIME ZONE :timezone)::date, replace(v.verdict, '_', ' '), r.attestation, p.id
        FROM recommendations r JOIN recommendation_patterns rp ON rp.recommendation_id = r.id JOIN patterns p ON p.id = rp.pattern_id
        LEFT JOIN verifications v ON v.recommendation_id = r.id AND v.pattern_id = p.id
        ORDER BY array_position(ARRAY['in_progress', 'pending', 'implemented', 'dismissed'], r.status), r.rank, r.id LIMIT :limit
        """,
        (LIMIT,),
        counts="SELECT count(*) FROM recommendations",
        page="/patterns/{}",
    ),
    Source(
        "recommendation_status",
        "Recommendations by status",
        "How many recommendations stand where, and what they would prevent in a quarter.",
        (
            column("status", "Status"),
            column("recommendations", "Recommendations", Unit.COUNT),
            column("expected_loops_prevented", "Returns prevented in 90 days", Unit.NUMBER),
        ),
        """
        SELECT replace(s.name, '_', ' '), count(r.id), round(coalesce(sum(r.expected_loops_prevented), 0)::numeric, 1)
        FROM (VALUES (1, 'pending'), (2, 'in_progress'), (3, 'implemented'), (4, 'dismissed')) s(n, name)
        LEFT JOIN recommendations r ON r.status = s.name GROUP BY s.n, s.name ORDER BY s.n
        """,
    ),
)
