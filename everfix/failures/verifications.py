"""Verifications: a fix counts only once its proof window shows that it held.

From the claim on, the pattern is watched: what the old rate would have brought by now (`expected`, in failing days) against what
came (`observed`). A failure inside the window settles `failed` and re-opens the loop; a silent window settles `held`, or
`not_enough_exposure` when so little was expected that silence proves nothing.
"""

from __future__ import annotations

import json
import math
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.identity import workspaces

BEFORE_DAYS = 90  # how far back the old rate is measured
GRACE = timedelta(hours=1)  # failures already under way when the fix went out
PRIOR_HOLDS = 0.6  # belief that a fix holds before anything was seen


class Verification(WorkspaceRow, Base):
    """The watch over one fix of one pattern. `prevented` is what was expected and did not come."""

    __tablename__ = "verifications"
    __table_args__ = (
        refers("recommendation_id", "recommendations"),
        refers("pattern_id", "patterns"),
        CheckConstraint("verdict IN ('watching', 'held', 'failed', 'not_enough_exposure')", name="verdict"),
        Index("uq_verifications_fix", "workspace_id", "recommendation_id", "pattern_id", unique=True),
        Index("ix_verifications_verdict", "workspace_id", "verdict"),
    )

    recommendation_id: Mapped[UUID]
    pattern_id: Mapped[UUID]
    claimed_at: Mapped[datetime]
    window_ends_at: Mapped[datetime]
    rate_per_day: Mapped[float]
    expected: Mapped[float] = mapped_column(server_default="0")
    observed: Mapped[int] = mapped_column(server_default="0")
    prevented: Mapped[float] = mapped_column(server_default="0")
    holds_probability: Mapped[float] = mapped_column(server_default=str(PRIOR_HOLDS))
    verdict: Mapped[str] = mapped_column(server_default="watching")
    why: Mapped[Json] = mapped_column(server_default="{}")
    decided_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


def start(db: Session, recommendation_id: UUID, pattern_id: UUID, at: datetime) -> UUID:
    """Begin to watch a pattern from `at`; the old rate is its failing days over the days before the claim that it was alive."""
    row = db.execute(
        text(
            "SELECT count(DISTINCT hour::date) AS days, min(hour) AS first FROM pattern_hours"
            " WHERE pattern_id = :pattern AND hour < :at AND hour >= :since"
        ),
        {"pattern": pattern_id, "at": at, "since": at - timedelta(days=BEFORE_DAYS)},
    ).one()
    alive = max((at - row.first).total_seconds() / 86400, 7.0) if row.first else float(BEFORE_DAYS)
    watch = Verification(
        id=ids.new(),
        recommendation_id=recommendation_id,
        pattern_id=pattern_id,
        claimed_at=at,
        window_ends_at=at + timedelta(days=workspaces.here(db).ai_proof_window_days),
        rate_per_day=row.days / alive,
    )
    db.add(watch)
    db.flush()
    return watch.id


def withdraw(db: Session, recommendation_id: UUID) -> None:
    """End the watch over a fix that turned out not to be in place, as if it had never been claimed."""
    db.execute(text(_WITHDRAW), {"id": recommendation_id})


def check(db: Session, now: datetime) -> list[UUID]:
    """Bring every open watch up to `now`; settles those that can be, re-opens what came back, and returns the patterns re-opened."""
    rows = db.execute(text(_WATCHES), {"now": now, "grace": GRACE}).all()
    reopened: list[UUID] = []
    for row in rows:
        days = max(0.0, (min(now, row.window_ends_at) - row.claimed_at).total_seconds() / 86400)
        expected = row.rate_per_day * days
        verdict = "failed" if row.observed else _silent(expected, over=now >= row.window_ends_at)
        holds = 0.0 if row.observed else PRIOR_HOLDS / (PRIOR_HOLDS + (1 - PRIOR_HOLDS) * math.exp(-expected))
        why = {"old_rate_per_day": round(row.rate_per_day, 4), "days_watched": round(days, 1), "expected_failing_days": round(expected, 2)}
        given = {
            "id": row.id,
            "expected": expected,
            "observed": row.observed,
            "prevented": max(0.0, expected - row.observed),
            "holds": holds,
        }
        db.execute(text(_WRITE), given | {"verdict": verdict, "now": now, "why": json.dumps(why)})
        if verdict == "failed":
            reopened.append(row.pattern_id)
    _follow(db, reopened, now)
    return reopened


def _silent(expected: float, *, over: bool) -> str:
    if not over:
        return "watching"
    return "held" if expected >= 1.0 else "not_enough_exposure"


def _follow(db: Session, reopened: list[UUID], now: datetime) -> None:
    if reopened:
        db.execute(
            text(
                "UPDATE patterns SET status = 'active', mitigating_since = NULL, closed_at = NULL, updated_at = :now WHERE id = ANY(:ids)"
            ),
            {"ids": reopened, "now": now},
        )
    db.execute(text(_CLOSE), {"now": now})


_WITHDRAW = """
WITH gone AS (DELETE FROM verifications WHERE recommendation_id = :id RETURNING pattern_id)
UPDATE patterns p SET mitigating_since = NULL, updated_at = now() FROM gone g
WHERE p.id = g.pattern_id AND NOT EXISTS (
    SELECT FROM verifications v WHERE v.pattern_id = p.id AND v.recommendation_id <> :id AND v.verdict IN ('watching', 'held')
)
"""
_WATCHES = """
SELECT v.id, v.pattern_id, v.claimed_at, v.window_ends_at, v.rate_per_day, count(DISTINCT i.occurred_at::date)::int AS observed
FROM verifications v LEFT JOIN issues i ON i.pattern_id = v.pattern_id
    AND i.occurred_at > v.claimed_at + cast(:grace AS interval) AND i.occurred_at <= least(v.window_ends_at, cast(:now AS timestamptz))
WHERE v.verdict = 'watching' GROUP BY v.id, v.pattern_id, v.claimed_at, v.window_ends_at, v.rate_per_day
"""
_WRITE = """
UPDATE verifications SET expected = :expected, observed = :observed, prevented = :prevented, holds_probability = :holds,
    verdict = :verdict, why = cast(:why AS jsonb),
    decided_at = CASE WHEN cast(:verdict AS text) = 'watching' THEN NULL ELSE least(cast(:now AS timestamptz), window_ends_at) END WHERE id = :id
"""
# A pattern is resolved when a person has closed it with a note and it stayed silent for the proof window.
_CLOSE = """
UPDATE patterns p SET status = 'resolved', closed_at = :now, updated_at = :now
FROM (SELECT ai_proof_window_days AS days FROM workspaces) w
WHERE p.status <> 'resolved' AND p.closure_note <> '' AND p.last_seen_at < cast(:now AS timestamptz) - make_interval(days => w.days)
"""
