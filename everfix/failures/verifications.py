"""Verifications: a fix counts only once its proof window shows that it held.

    watching → held | failed | not_enough_exposure

From the claim on, the pattern is watched: what the old rate would have brought by now (`expected`, in failing days) against what came
(`observed`). Which failures count is `claims.counts`, on which days silence counts `exposures`, and what silence proves `proof`. A failure
that counts settles `failed` and re-opens the loop. A silent window settles `held`, or `not_enough_exposure` while so little was expected
that silence proves nothing; such a watch goes on until it does, for a year at most. A failure after `held` re-opens the loop too: the
verdict stands as what was proven then, and `returned_at` says that it came back.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, WorkspaceRow, among, created, refers
from everfix.failures import claims, exposures, proof
from everfix.identity import workspaces

BEFORE_DAYS = 90  # how far back the old rate is measured
LONGEST_DAYS = 365  # how long a fix is watched whose silence proves too little
WATCHING, HELD, FAILED, UNPROVEN = "watching", "held", "failed", "not_enough_exposure"
PRIOR_HOLDS = proof.PRIOR_HELD / (proof.PRIOR_HELD + proof.PRIOR_FAILED)  # belief that a fix holds before anything was seen


class Verification(WorkspaceRow, Base):
    """The watch over one fix of one pattern. `prevented` is what was expected and did not come; `history` holds a point for each day."""

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
    claim: Mapped[Json] = mapped_column(server_default="{}")
    rate_per_day: Mapped[float]
    before: Mapped[Json] = mapped_column(server_default="{}")
    exposed_days: Mapped[float] = mapped_column(server_default="0")
    expected: Mapped[float] = mapped_column(server_default="0")
    observed: Mapped[int] = mapped_column(server_default="0")
    not_counted: Mapped[int] = mapped_column(server_default="0")
    prevented: Mapped[float] = mapped_column(server_default="0")
    holds_probability: Mapped[float] = mapped_column(server_default="0.6")
    verdict: Mapped[str] = mapped_column(server_default=WATCHING)
    why: Mapped[Json] = mapped_column(server_default="{}")
    history: Mapped[list[Json]] = mapped_column(server_default="[]")
    decided_at: Mapped[datetime | None]
    returned_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


def start(db: Session, recommendation_id: UUID, pattern_id: UUID, at: datetime, claim: claims.Claim | None = None) -> UUID:
    """Begin to watch a pattern from `at`; the old rate is its failing days over the days before the claim that it was alive."""
    days = db.execute(text(_FAILING_DAYS), {"pattern": pattern_id, "at": at, "since": at - timedelta(days=BEFORE_DAYS)}).scalars().all()
    before = proof.before([(at - day).total_seconds() / 86400 for day in days], float(BEFORE_DAYS))
    watch = Verification(
        id=ids.new(),
        recommendation_id=recommendation_id,
        pattern_id=pattern_id,
        claimed_at=at,
        window_ends_at=at + timedelta(days=workspaces.here(db).ai_proof_window_days),
        claim=claims.shown(claim or claims.Claim()),
        rate_per_day=before.rate,
        before={"failing_days": before.failing_days, "days": round(before.days, 3), "dispersion": round(before.dispersion, 3)},
    )
    db.add(watch)
    db.flush()
    return watch.id


_FAILING_DAYS = """
SELECT min(hour) FROM pattern_hours WHERE pattern_id = :pattern AND hour < :at AND hour >= :since GROUP BY hour::date
"""


def withdraw(db: Session, recommendation_id: UUID) -> None:
    """End the watch over a fix that turned out not to be in place, as if it had never been claimed."""
    db.execute(text(_WITHDRAW), {"id": recommendation_id})


def check(db: Session, now: datetime, pattern_ids: Sequence[UUID] | None = None) -> list[UUID]:
    """Bring every open watch up to `now`, settle those that can be, re-open what came back; returns the patterns re-opened.

    With `pattern_ids` (those a batch of failures touched) only what came back is looked for: that costs nothing for the rest.
    """
    found = _open(db, now, pattern_ids)
    reopened: list[UUID] = []
    if found:
        look = _Look.of(db, found, now, whole=pattern_ids is None)
        reopened = [watch.pattern_id for watch in found if _bring_up(db, watch, look)]
        db.flush()
    _follow(db, reopened, now)
    return reopened


@dataclasses.dataclass(frozen=True, slots=True)
class _Look:
    """What all watches of one check share."""

    now: datetime
    whole: bool
    releases: claims.Known
    reporting: exposures.Reporting
    sources: dict[UUID, list[str]]
    record: tuple[int, int]

    @classmethod
    def of(cls, db: Session, found: Sequence[Verification], now: datetime, *, whole: bool) -> _Look:
        releases = exposures.known(db) if any("release" in watch.claim for watch in found) else claims.Known()
        reporting = exposures.reporting(db, min(watch.claimed_at for watch in found), now) if whole else exposures.Reporting({})
        sources = exposures.sources(db, [watch.pattern_id for watch in found]) if whole else {}
        return cls(now, whole, releases, reporting, sources, _record(db))


def _open(db: Session, now: datetime, pattern_ids: Sequence[UUID] | None) -> list[Verification]:
    """Return the watches on which time or a failure can still change something."""
    query = select(Verification).where(
        Verification.verdict.in_((WATCHING, UNPROVEN)) | ((Verification.verdict == HELD) & Verification.returned_at.is_(None)),
        Verification.claimed_at >= now - timedelta(days=LONGEST_DAYS),
    )
    if pattern_ids is not None:
        query = query.where(among(Verification.pattern_id, pattern_ids))
    return list(db.execute(query.order_by(Verification.claimed_at, Verification.id)).scalars())


def _record(db: Session) -> tuple[int, int]:
    """Return how many fixes held and how many failed here so far."""
    row = db.execute(text(_RECORD)).one()
    return int(row.held), int(row.failed)


_RECORD = """
SELECT count(*) FILTER (WHERE verdict = 'held') AS held, count(*) FILTER (WHERE verdict = 'failed') AS failed FROM verifications
"""


def _bring_up(db: Session, watch: Verification, look: _Look) -> bool:
    """Judge one watch; returns whether the loop re-opens."""
    claim = claims.read(watch.claim)
    until = look.now if watch.verdict != WATCHING else min(look.now, watch.window_ends_at)
    came = exposures.since(db, watch.pattern_id, claim, watch.claimed_at, look.releases, until)
    if watch.verdict == HELD:
        watch.returned_at = came.first
        return came.first is not None
    if not look.whole and not came.counted_days:
        return False
    start_ = claims.exposed_from(claim, watch.claimed_at, look.releases)
    days, blind = 0.0, "the release with the fix has not appeared yet"
    if start_ is not None:
        days, blind = look.reporting.exposed(look.sources.get(watch.pattern_id, []), watch.pattern_id, start_, until)
    _measure(watch, days, came, blind, look.record)
    watch.history = _history(watch, until)
    verdict = proof.verdict(_before(watch), days, came.counted_days, over=look.now >= watch.window_ends_at)
    if verdict != watch.verdict:
        watch.decided_at = look.now if watch.decided_at else min(look.now, watch.window_ends_at)
        watch.verdict = verdict
    return verdict == FAILED


def _measure(watch: Verification, days: float, came: exposures.Since, blind: str, record: tuple[int, int]) -> None:
    """Write down what was expected, what came, and what that is worth."""
    before = _before(watch)
    watch.exposed_days, watch.expected, watch.observed = days, before.rate * days, came.counted_days
    watch.not_counted, watch.prevented = came.not_counted, max(0.0, watch.expected - came.counted_days)
    watch.holds_probability = 0.0 if came.counted_days else proof.belief(before, days, *record)
    watch.why = _why(watch, before, days, came, blind)


def _before(watch: Verification) -> proof.Before:
    known = watch.before
    return proof.Before(int(known["failing_days"]), float(known["days"]), float(known["dispersion"]))


def _why(watch: Verification, before: proof.Before, days: float, came: exposures.Since, blind: str) -> Json:
    needed = proof.needed_days(before)
    said = {
        "old_rate_per_day": round(before.rate, 4),
        "dispersion": round(before.dispersion, 2),
        "days_watched": round(days, 1),
        "expected_failing_days": round(watch.expected, 2),
        "silence_if_unfixed": round(proof.silence(before, days), 6),
        "error_rate": proof.ERROR,
        "days_needed": None if needed is None else round(needed, 1),
        "not_counted": came.told,
    }
    return said | ({"blind": blind} if blind else {}) | ({"first_return_at": came.first.isoformat()} if came.first else {})


def _history(watch: Verification, until: datetime) -> list[Json]:
    """Return the watch's history with today's point, one for each day."""
    day = until.date().isoformat()
    point = {
        "day": day,
        "expected": round(watch.expected, 3),
        "observed": watch.observed,
        "not_counted": watch.not_counted,
        "holds": round(watch.holds_probability, 4),
    }
    return [*(one for one in watch.history if one["day"] < day), point]


def _follow(db: Session, reopened: list[UUID], now: datetime) -> None:
    if reopened:
        db.execute(text(_REOPEN), {"ids": reopened, "now": now})
    db.execute(text(_CLOSE), {"now": now})


_REOPEN = "UPDATE patterns SET status = 'active', mitigating_since = NULL, closed_at = NULL, updated_at = :now WHERE id = ANY(:ids)"
_WITHDRAW = """
WITH gone AS (DELETE FROM verifications WHERE recommendation_id = :id RETURNING pattern_id)
UPDATE patterns p SET mitigating_since = NULL, updated_at = now() FROM gone g
WHERE p.id = g.pattern_id AND NOT EXISTS (
    SELECT FROM verifications v WHERE v.pattern_id = p.id AND v.recommendation_id <> :id AND v.verdict IN ('watching', 'held')
)
"""
# A pattern is resolved when a person has closed it with a note and it stayed silent for the proof window.
_CLOSE = """
UPDATE patterns p SET status = 'resolved', closed_at = :now, updated_at = :now
FROM (SELECT ai_proof_window_days AS days FROM workspaces) w
WHERE p.status <> 'resolved' AND p.closure_note <> '' AND p.last_seen_at < cast(:now AS timestamptz) - make_interval(days => w.days)
"""
