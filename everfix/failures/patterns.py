"""Patterns: issues that share a root cause, kept as one recurring failure with its history by the hour."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from uuid import UUID

import numpy as np
from sqlalchemy import CheckConstraint, ColumnElement, Index, PrimaryKeyConstraint, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, WorkspaceRow, among, created, refers
from everfix.errors import NotFound
from everfix.failures import features

RECURRING = 2  # failures that make a loop
SILENT = timedelta(days=180)  # a pattern that has not failed for longer is no longer asked about
SENT_FROM = 946_684_800_000_000  # microseconds from 1970 to 2000, from when on PostgreSQL counts


class Pattern(WorkspaceRow, Base):
    """One recurring failure; its figures are kept by `failures.figures`. `confidence` is how sure the grouping is right; `risk_parts` adds up to `risk_score`."""

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
    merged_into: Mapped[UUID | None]  # the pattern that a person said it is part of; it keeps its row, for the way back
    before_words: Mapped[Json | None]  # how it looked before the first word of a person that stands about it
    by_hand: Mapped[bool] = mapped_column(server_default="false")
    counted: Mapped[bool] = mapped_column(server_default="false")  # its tallies and hours hold all its issues but for what waits in deltas
    rated: Mapped[int | None]  # the score that its issues' own scores rest on
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


def listed() -> ColumnElement[bool]:
    """Return the condition that a pattern stands in lists: it is no part of another, and holds failures or was made by hand."""
    return Pattern.merged_into.is_(None) & ((Pattern.issue_count > 0) | Pattern.by_hand)


def create(db: Session, draft: Draft, *, by_hand: bool = False) -> UUID:
    """Make an emerging pattern and return its id."""
    pattern = Pattern(id=ids.new(), domain=draft.service, counted=True, by_hand=by_hand, **dataclasses.asdict(draft))
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


def absorb(db: Session, gone: UUID, kept: UUID, at: UUID | None = None) -> None:
    """Make two patterns one, as the grouper found; its issues go to `at` (default: `kept`), which must be counted anew.

    Issues, keys, fixes and the track record of `gone` go over to `kept`.
    """
    given = {"gone": gone, "kept": kept, "at": at or kept}
    for statement in _ABSORB:
        db.execute(text(statement), given)


# What stands once for a pattern (a day's prediction, a fix's watch) is kept from `kept` where both have it; a proposal that nobody took up goes.
_ABSORB = (
    "UPDATE issues SET pattern_id = :at, home_id = :kept WHERE pattern_id = :gone",
    "UPDATE issues SET home_id = :kept WHERE home_id = :gone AND correction_id IS NOT NULL",
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


@dataclasses.dataclass(frozen=True, slots=True)
class Known:
    """A pattern with its history, as the forecaster takes it."""

    pattern: Pattern
    history: features.History


def histories(db: Session, now: datetime, pattern_ids: Sequence[UUID] | None = None, silent: timedelta = SILENT) -> list[Known]:
    """Return the live patterns (or these) with what was known of them at `now`; those silent for longer are left out."""
    query = select(Pattern).where(Pattern.status != "resolved", Pattern.issue_count > 0, Pattern.last_seen_at > now - silent)
    if pattern_ids is not None:
        query = query.where(among(Pattern.id, pattern_ids))
    found = list(db.execute(query.order_by(Pattern.id)).scalars())
    rows = db.execute(text(_HISTORY), {"ids": [pattern.id for pattern in found], "now": now})
    hours = {row.pattern_id: (row.newest, row.failures) for row in rows}
    return [Known(pattern, _history(pattern, *hours[pattern.id])) for pattern in found if pattern.id in hours]


def _history(pattern: Pattern, newest: bytes, failures: bytes) -> features.History:
    moments = np.frombuffer(newest, dtype=">i8").astype(np.int64) + SENT_FROM
    counts = np.frombuffer(failures, dtype=">i4").astype(np.int64)
    return features.History(str(pattern.id), moments, moments, counts, int(moments[0]), pattern.kind, pattern.service or "")


# Thousands of hours for each pattern go over as they are kept, eight bytes and four: numbers written out would cost most of a forecast.
_HISTORY = """
SELECT pattern_id, string_agg(timestamptz_send(newest), ''::bytea ORDER BY hour) AS newest,
    string_agg(int4send(failures), ''::bytea ORDER BY hour) AS failures
FROM pattern_hours WHERE pattern_id = ANY(:ids) AND newest <= :now GROUP BY pattern_id
"""
