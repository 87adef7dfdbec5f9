"""Overrulings: how far people agree with the groups, as counted from their corrections, with honest intervals.

Corrections per 1,000 assignments: words that stand and were said in the period, over the failures of the period; one word may move a whole
group, so words are counted and not what they moved. Pair precision: of all pairs of failures that the loop had put together in groups that
a person looked at (corrected, or closed with a note), the share that is still together. People look where something seems wrong, so it is
a lower bound for all groups. Pairs of one group stand or fall together: its interval counts groups, not pairs. Both are Wilson's, 95 %.
"""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any

from sqlalchemy import text
from sqlalchemy.orm import Session

Z = 1.96


@dataclasses.dataclass(frozen=True, slots=True)
class Overrulings:
    """The figures; rates are None where there is nothing to count them on."""

    assigned: int
    words: int
    joined: int  # words that made two groups one: the loop had told them apart
    parted: int  # words that took failures out of a group: the loop had put them together
    overruled: int  # failures that stand elsewhere than where the loop put them
    per_thousand: float | None
    per_thousand_low: float | None
    per_thousand_high: float | None
    groups_seen: int
    pairs_seen: int
    pair_precision: float | None
    pair_precision_low: float | None
    pair_precision_high: float | None


def _wilson(share: str, count: str, sign: str) -> str:
    """Return one end of Wilson's interval of a share (1927), as SQL; NULL where nothing was counted."""
    root = f"sqrt({share} * (1 - {share}) / {count} + {Z * Z / 4} / ({count} * {count}))"
    end = f"({share} + {Z * Z / 2} / {count} {sign} {Z} * {root}) / (1 + {Z * Z} / {count})"
    return f"CASE WHEN {count} > 0 THEN round(cast(greatest(0, least(1, {end})) AS numeric), 6)::float END"


def query(issue: str = "true", pattern: str = "true") -> str:
    """Return the query over [:start, :end), its columns those of `Overrulings`; conditions narrow issues `i` and patterns `p`."""
    return f"""
    WITH assigned AS (
        SELECT i.home_id, i.pattern_id, i.correction_id IS NOT NULL AND i.pattern_id IS DISTINCT FROM i.home_id AS overruled FROM issues i
        WHERE i.home_id IS NOT NULL AND i.occurred_at >= :start AND i.occurred_at < :end AND {issue}
    ), counted AS (
        SELECT (count(*))::float AS n, (count(*) FILTER (WHERE overruled))::int AS overruled FROM assigned
    ), standing AS (
        SELECT c.kind, c.said_at, c.source_id, c.target_id FROM corrections c WHERE c.revoked_at IS NULL
    ), words AS (
        SELECT (count(*))::float AS said, (count(*) FILTER (WHERE kind IN ('merge', 'link')))::int AS joined,
            (count(*) FILTER (WHERE kind IN ('split', 'detach', 'unlink')))::int AS parted
        FROM standing s WHERE said_at >= :start AND said_at < :end
            AND EXISTS (SELECT FROM patterns p WHERE p.id IN (s.source_id, s.target_id) AND {pattern})
    ), looked AS (
        SELECT source_id AS home FROM standing UNION SELECT target_id FROM standing UNION SELECT id FROM patterns WHERE closure_note <> ''
    ), parts AS (
        SELECT home_id, pattern_id, count(*) AS n FROM assigned WHERE home_id IN (SELECT home FROM looked) GROUP BY 1, 2
    ), groups AS (
        SELECT home_id, sum(n * (n - 1) / 2) FILTER (WHERE pattern_id IS NOT NULL) AS together, sum(n) * (sum(n) - 1) / 2 AS pairs
        FROM parts GROUP BY 1 HAVING sum(n) > 1
    ), seen AS (
        SELECT (count(*))::float AS groups, coalesce(sum(pairs), 0)::bigint AS pairs,
            (coalesce(sum(together), 0) / nullif(sum(pairs), 0))::float AS precision FROM groups
    ), rated AS (
        SELECT *, CASE WHEN n > 0 THEN least(1, said / n) END AS rate FROM counted, words, seen
    )
    SELECT n::int AS assigned, said::int AS words, joined, parted, overruled,
        round(cast(1000 * rate AS numeric), 3)::float AS per_thousand, 1000 * {_wilson("rate", "n", "-")} AS per_thousand_low,
        1000 * {_wilson("rate", "n", "+")} AS per_thousand_high, groups::int AS groups_seen, pairs AS pairs_seen,
        round(cast(precision AS numeric), 6)::float AS pair_precision, {_wilson("precision", "groups", "-")} AS pair_precision_low,
        {_wilson("precision", "groups", "+")} AS pair_precision_high
    FROM rated
    """  # noqa: S608 - conditions are constants of this package


def of(db: Session, since: datetime, until: datetime) -> Overrulings:
    """Return the figures of the failures that occurred, and the words that were said, in [since, until)."""
    row = db.execute(text(query()), {"start": since, "end": until}).mappings().one()
    return Overrulings(**row)


def by_stage(db: Session) -> list[dict[str, Any]]:
    """Return how often people overruled each stage of grouping: what it assigned, what was moved, and the share that stood."""
    return [dict(row) for row in db.execute(text(_STAGES)).mappings()]


# An assignment is overruled when its issue is not where the machine put it.
_STAGES = """
SELECT coalesce(assignment->>'stage', 'unknown') AS stage, count(*)::int AS assigned,
    (count(*) FILTER (WHERE correction_id IS NOT NULL AND pattern_id IS DISTINCT FROM home_id))::int AS overruled,
    round(1 - (count(*) FILTER (WHERE correction_id IS NOT NULL AND pattern_id IS DISTINCT FROM home_id))::numeric / count(*), 4)::float AS stood
FROM issues WHERE fingerprint IS NOT NULL GROUP BY 1 ORDER BY 2 DESC, 1
"""
