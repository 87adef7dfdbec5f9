"""Patterns: issues that share a root cause, kept as one recurring failure with its history by the hour."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import NotFound
from everfix.failures import features, risk

RECURRING = 2  # failures that make a loop
CONFIRMED_FAILURES, CONFIRMED_DAYS = 3, 2  # what turns an emerging pattern active
SILENT = timedelta(days=180)  # a pattern that has not failed for longer is no longer asked about
PRIOR_MEMBERS = 2.0  # how many members of confidence 0.5 a new pattern starts with


class Pattern(WorkspaceRow, Base):
    """One recurring failure. `confidence` is how sure the grouping is right; `risk_parts` adds up to `risk_score`."""

    __tablename__ = "patterns"
    __table_args__ = (
        CheckConstraint("status IN ('emerging', 'active', 'resolved')", name="status"),
        CheckConstraint("risk_score BETWEEN 0 AND 100", name="risk"),
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        Index("ix_patterns_risk", "workspace_id", "risk_score", "id"),
        Index("ix_patterns_seen", "workspace_id", "last_seen_at", "id"),
        Index("ix_patterns_count", "workspace_id", "issue_count", "id"),
    )

    name: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="emerging")
    mitigating_since: Mapped[datetime | None]
    risk_score: Mapped[int] = mapped_column(server_default="0")
    risk_parts: Mapped[Json] = mapped_column(server_default="{}")
    confidence: Mapped[float] = mapped_column(server_default="0.5")
    fingerprint: Mapped[Json] = mapped_column(server_default="{}")
    why: Mapped[Json] = mapped_column(server_default="{}")
    tags: Mapped[list[str]] = mapped_column(server_default="{}")
    domain: Mapped[str | None]
    service: Mapped[str | None]
    team: Mapped[str | None]
    kind: Mapped[str] = mapped_column(server_default="incident")
    severity: Mapped[str] = mapped_column(server_default="p3")
    issue_count: Mapped[int] = mapped_column(server_default="0")
    first_seen_at: Mapped[datetime | None]
    last_seen_at: Mapped[datetime | None]
    mttr_seconds: Mapped[float | None]
    closure_note: Mapped[str] = mapped_column(server_default="")
    closed_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


class PatternKey(Base):
    """Which pattern a group of the grouper (named by the fingerprint that began it) is. Looked up in O(1), whatever the history."""

    __tablename__ = "pattern_keys"
    __table_args__ = (PrimaryKeyConstraint("workspace_id", "version", "key"), refers("pattern_id", "patterns"))

    workspace_id: Mapped[UUID] = mapped_column(server_default=text("nullif(current_setting('everfix.workspace_id', true), '')::uuid"))
    version: Mapped[str]
    key: Mapped[str]
    pattern_id: Mapped[UUID]


class PatternHour(Base):
    """How often a pattern failed in one hour: all that forecasts need of its history."""

    __tablename__ = "pattern_hours"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "pattern_id", "hour"),
        refers("pattern_id", "patterns"),
        Index("ix_pattern_hours_hour", "workspace_id", "hour"),
    )

    workspace_id: Mapped[UUID] = mapped_column(server_default=text("nullif(current_setting('everfix.workspace_id', true), '')::uuid"))
    pattern_id: Mapped[UUID]
    hour: Mapped[datetime]
    failures: Mapped[int]
    newest: Mapped[datetime]


@dataclasses.dataclass(frozen=True, slots=True)
class Draft:
    """A pattern about to be made for a failure that fits none."""

    name: str
    fingerprint: Json
    why: Json
    service: str | None
    team: str | None
    kind: str
    severity: str


def get(db: Session, pattern_id: UUID) -> Pattern:
    """Return one pattern; raises NotFound."""
    pattern = db.execute(select(Pattern).where(Pattern.id == pattern_id)).scalar_one_or_none()
    if pattern is None:
        raise NotFound(f"no pattern {ids.show(ids.Prefix.PATTERN, pattern_id)}")
    return pattern


def create(db: Session, draft: Draft) -> UUID:
    """Make an emerging pattern and return its id."""
    pattern = Pattern(id=ids.new(), domain=draft.service, **dataclasses.asdict(draft))
    db.add(pattern)
    db.flush()
    return pattern.id


def known(db: Session, version: str, keys: Iterable[str]) -> dict[str, UUID]:
    """Return the pattern of each key that has one."""
    rows = db.execute(select(PatternKey.key, PatternKey.pattern_id).where(PatternKey.version == version, PatternKey.key.in_(list(keys))))
    return {row.key: row.pattern_id for row in rows}


def remember(db: Session, version: str, key: str, pattern_id: UUID) -> None:
    """Let later failures of this group find the pattern."""
    db.execute(
        text(
            "INSERT INTO pattern_keys (version, key, pattern_id) VALUES (:version, :key, :pattern)"
            " ON CONFLICT (workspace_id, version, key) DO UPDATE SET pattern_id = excluded.pattern_id"
        ),
        {"version": version, "key": key, "pattern": pattern_id},
    )


def absorb(db: Session, gone: UUID, kept: UUID) -> None:
    """Make two patterns one: issues, keys, fixes and the track record of `gone` go over to `kept`, which must be recounted."""
    given = {"gone": gone, "kept": kept}
    for statement in _ABSORB:
        db.execute(text(statement), given)


# What stands once for a pattern (a day's prediction, a fix's watch) is kept from `kept` where both have it; a proposal that nobody took up goes.
_ABSORB = (
    "UPDATE issues SET pattern_id = :kept WHERE pattern_id = :gone",
    "UPDATE pattern_keys SET pattern_id = :kept WHERE pattern_id = :gone",
    """UPDATE predictions p SET pattern_id = :kept WHERE pattern_id = :gone AND outcome IS NOT NULL AND NOT EXISTS (
        SELECT FROM predictions k WHERE k.pattern_id = :kept AND k.window_days = p.window_days AND k.day = p.day)""",
    """DELETE FROM recommendations r USING recommendation_patterns rp
        WHERE rp.recommendation_id = r.id AND rp.pattern_id = :gone AND r.status = 'pending'""",
    """UPDATE recommendation_patterns rp SET pattern_id = :kept WHERE pattern_id = :gone AND NOT EXISTS (
        SELECT FROM recommendation_patterns k WHERE k.pattern_id = :kept AND k.recommendation_id = rp.recommendation_id)""",
    """UPDATE verifications v SET pattern_id = :kept WHERE pattern_id = :gone AND NOT EXISTS (
        SELECT FROM verifications k WHERE k.pattern_id = :kept AND k.recommendation_id = v.recommendation_id)""",
    "DELETE FROM patterns WHERE id = :gone",
)


def recount(db: Session, pattern_ids: Sequence[UUID]) -> None:
    """Bring figures and hours of these patterns in line with their issues, whatever was added, moved or re-timed."""
    if not pattern_ids:
        return
    given = {"ids": list(pattern_ids), "prior": PRIOR_MEMBERS, "failures": CONFIRMED_FAILURES, "days": CONFIRMED_DAYS}
    db.execute(text(_HOURS), given)
    db.execute(text(_FIGURES), given)
    db.execute(text(_EMPTIED), given)


_EMPTIED = """
UPDATE patterns p SET issue_count = 0, first_seen_at = NULL, last_seen_at = NULL, mttr_seconds = NULL, risk_score = 0, risk_parts = '{}', updated_at = now()
WHERE p.id = ANY(:ids) AND p.issue_count > 0 AND NOT EXISTS (SELECT FROM issues i WHERE i.pattern_id = p.id)
"""
# Most hours of a long history stay as they are: only those that differ are written.
_HOURS = """
WITH found AS (
    SELECT pattern_id, date_trunc('hour', occurred_at) AS hour, count(*) AS failures, max(occurred_at) AS newest
    FROM issues WHERE pattern_id = ANY(:ids) GROUP BY 1, 2
), gone AS (
    DELETE FROM pattern_hours h WHERE h.pattern_id = ANY(:ids)
    AND NOT EXISTS (SELECT FROM found f WHERE f.pattern_id = h.pattern_id AND f.hour = h.hour)
)
INSERT INTO pattern_hours AS h (pattern_id, hour, failures, newest) SELECT pattern_id, hour, failures, newest FROM found
ON CONFLICT (workspace_id, pattern_id, hour) DO UPDATE SET failures = excluded.failures, newest = excluded.newest
WHERE (h.failures, h.newest) IS DISTINCT FROM (excluded.failures, excluded.newest)
"""
_FIGURES = """
UPDATE patterns p SET
    issue_count = f.failures, first_seen_at = f.first, last_seen_at = f.last, mttr_seconds = f.mttr,
    severity = f.severity, service = f.service, domain = coalesce(p.domain, f.service), team = f.team,
    confidence = (:prior * 0.5 + f.certainty) / (:prior + f.failures),
    fingerprint = p.fingerprint || jsonb_strip_nulls(jsonb_build_object('service', f.service, 'team', f.team, 'time_of_day', f.time_of_day)),
    status = CASE
        WHEN p.status = 'resolved' AND f.last > coalesce(p.closed_at, f.last) THEN 'active'
        WHEN p.status = 'emerging' AND f.failures >= :failures AND f.days >= :days THEN 'active'
        ELSE p.status END,
    updated_at = now()
FROM (
    SELECT pattern_id, count(*) AS failures, min(occurred_at) AS first, max(occurred_at) AS last,
        count(DISTINCT occurred_at::date) AS days, mode() WITHIN GROUP (ORDER BY severity) AS severity,
        mode() WITHIN GROUP (ORDER BY service) AS service, mode() WITHIN GROUP (ORDER BY team) AS team,
        CASE WHEN count(*) >= 4 THEN mode() WITHIN GROUP (ORDER BY CASE
            WHEN extract(hour FROM occurred_at) < 6 THEN 'night' WHEN extract(hour FROM occurred_at) < 12 THEN 'morning'
            WHEN extract(hour FROM occurred_at) < 18 THEN 'afternoon' ELSE 'evening' END) END AS time_of_day,
        avg(extract(epoch FROM resolved_at - occurred_at)) FILTER (WHERE resolved_at >= occurred_at) AS mttr,
        sum(coalesce((assignment->>'confidence')::float, 0.5)) AS certainty
    FROM issues WHERE pattern_id = ANY(:ids) GROUP BY pattern_id
) f WHERE p.id = f.pattern_id
"""


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A pattern with its history, as the forecaster takes it."""

    pattern: Pattern
    history: features.History


def histories(db: Session, now: datetime, pattern_ids: Sequence[UUID] | None = None, silent: timedelta = SILENT) -> list[Known]:
    """Return the live patterns (or these) with what was known of them at `now`; those silent for longer are left out."""
    query = select(Pattern).where(Pattern.status != "resolved", Pattern.issue_count > 0, Pattern.last_seen_at > now - silent)
    if pattern_ids is not None:
        query = query.where(Pattern.id.in_(pattern_ids))
    found = list(db.execute(query.order_by(Pattern.id)).scalars())
    rows = db.execute(text(_HISTORY), {"ids": [pattern.id for pattern in found], "now": now})
    hours = {row.pattern_id: (row.at, row.failures) for row in rows}
    return [Known(pattern, _history(pattern, *hours[pattern.id])) for pattern in found if pattern.id in hours]


def _history(pattern: Pattern, at: Sequence[int], failures: Sequence[int]) -> features.History:
    moments = np.array(at, dtype=np.int64)
    counts = np.array(failures, dtype=np.int64)
    return features.History(str(pattern.id), moments, moments, counts, int(moments[0]), pattern.kind, pattern.service or "")


_HISTORY = """
SELECT pattern_id, array_agg((extract(epoch FROM newest) * 1000000)::bigint ORDER BY hour) AS at, array_agg(failures ORDER BY hour) AS failures
FROM pattern_hours WHERE pattern_id = ANY(:ids) AND newest <= :now GROUP BY pattern_id
"""


def rate(db: Session, pattern_ids: Sequence[UUID], probabilities: dict[UUID, float], *, slack: int = 0) -> None:
    """Set the risk scores of these patterns from severity, frequency, probability of return and trend, and what follows for their issues.

    An issue's score that is off by `slack` points or fewer stays until a call without slack: a pattern's risk moves a little with
    every failure, and its issues may be many.
    """
    if not pattern_ids:
        return
    now = clock.now()
    recent = {
        row.pattern_id: row
        for row in db.execute(
            text(
                "SELECT pattern_id, sum(failures) FILTER (WHERE hour > :month) AS last_month,"
                " sum(failures) FILTER (WHERE hour > :months AND hour <= :month) AS month_before"
                " FROM pattern_hours WHERE pattern_id = ANY(:ids) GROUP BY 1"
            ),
            {"ids": list(pattern_ids), "month": now - timedelta(days=30), "months": now - timedelta(days=60)},
        )
    }
    for pattern in db.execute(select(Pattern).where(Pattern.id.in_(pattern_ids))).scalars():
        row = recent.get(pattern.id)
        last, before = (int(row.last_month or 0), int(row.month_before or 0)) if row else (0, 0)
        parts = risk.of_pattern(pattern.severity, last, before, probabilities.get(pattern.id, 0.0))
        pattern.risk_parts, pattern.risk_score = parts, risk.total(parts)
    db.flush()
    given = {"ids": list(pattern_ids), "points": risk.SEVERITY_POINTS_JSON, "slack": slack, "recurring": RECURRING}
    db.execute(text(_ISSUE_RISK), given)


_ISSUE_RISK = """
UPDATE issues i SET risk_parts = f.parts, risk_score = f.score,
    status = CASE WHEN f.joins THEN 'in_loop' ELSE i.status END, updated_at = CASE WHEN f.joins THEN now() ELSE i.updated_at END
FROM (
    SELECT m.id, jsonb_build_object('severity', s.points, 'pattern', round(p.risk_score * 0.6)) AS parts,
        least(100, s.points + round(p.risk_score * 0.6))::int AS score, m.status = 'open' AND p.issue_count >= :recurring AS joins
    FROM issues m JOIN patterns p ON p.id = m.pattern_id
    CROSS JOIN LATERAL (SELECT (cast(:points AS jsonb)->>m.severity)::int AS points) s
    WHERE m.pattern_id = ANY(:ids) AND m.status <> 'closed'
) f WHERE i.id = f.id AND (f.joins OR abs(i.risk_score - f.score) > :slack)
"""
