"""Traces: the way of one issue through the loop, step by step, with the result of each and why."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.failures import analyses


@dataclasses.dataclass(frozen=True, slots=True)
class Step:
    """One step: whether the issue got past it, what came of it, and the reason."""

    key: str
    name: str
    passed: bool
    result: str
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Trace:
    """An issue's way. `seconds` is from its arrival to its root cause; `degraded`: the rules wrote what a model was asked for."""

    issue: UUID
    pattern: UUID | None
    title: str
    received_at: datetime
    seconds: float | None
    degraded: bool
    linked: bool
    steps: tuple[Step, ...]


def listed(
    db: Session, *, pattern: UUID | None = None, issue: UUID | None = None, limit: int = 50, offset: int = 0
) -> tuple[list[Trace], int]:
    """Return the traces of a pattern's issues, of one issue, or of all, newest first, and how many there are."""
    given = {"pattern": pattern, "issue": issue, "limit": limit, "offset": offset}
    total = int(db.execute(text(f"SELECT count(*) FROM issues i WHERE {_WANTED}"), given).scalar_one())  # noqa: S608 - a constant
    return [_trace(row) for row in db.execute(text(_LISTED), given)], total


_WANTED = "(cast(:pattern AS uuid) IS NULL OR i.pattern_id = :pattern) AND (cast(:issue AS uuid) IS NULL OR i.id = :issue)"
_LISTED = f"""
SELECT i.id, i.title, i.source, i.kind, i.severity, i.ingested_at, i.analyzed_at, i.analysis_status, i.assignment, i.pattern_id, s.signals, a.degraded,
    p.name, p.issue_count, p.confidence, p.status, f.probability, f.window_days, r.title AS fix, r.status AS fix_status, v.verdict
FROM issues i
LEFT JOIN LATERAL (SELECT count(*) AS signals FROM signals WHERE issue_id = i.id) s ON true
LEFT JOIN LATERAL (SELECT {analyses.DEGRADED} AS degraded FROM analyses WHERE issue_id = i.id ORDER BY number DESC LIMIT 1) a ON true
LEFT JOIN patterns p ON p.id = i.pattern_id
LEFT JOIN LATERAL (
    SELECT probability, window_days FROM predictions WHERE pattern_id = p.id AND status = 'active' ORDER BY generated_at DESC LIMIT 1
) f ON true
LEFT JOIN LATERAL (
    SELECT r.id, r.title, r.status FROM recommendation_patterns rp JOIN recommendations r ON r.id = rp.recommendation_id
    WHERE rp.pattern_id = p.id AND r.status <> 'dismissed' ORDER BY r.rank NULLS LAST, r.id LIMIT 1
) r ON true
LEFT JOIN LATERAL (SELECT verdict FROM verifications WHERE pattern_id = p.id ORDER BY claimed_at DESC LIMIT 1) v ON true
WHERE {_WANTED} ORDER BY i.ingested_at DESC, i.id DESC LIMIT :limit OFFSET :offset
"""  # noqa: S608 - put together from constants


def _trace(row: Any) -> Trace:  # noqa: ANN401 - a row of _LISTED
    seconds = max(0.0, (row.analyzed_at - row.ingested_at).total_seconds()) if row.analyzed_at else None
    return Trace(
        issue=row.id,
        pattern=row.pattern_id,
        title=row.title,
        received_at=row.ingested_at,
        seconds=seconds,
        degraded=bool(row.degraded),
        linked=(row.issue_count or 0) >= 2,
        steps=_steps(row),
    )


def _steps(row: Any) -> tuple[Step, ...]:  # noqa: ANN401 - a row of _LISTED
    judged, linked = row.assignment is not None, (row.issue_count or 0) >= 2
    why = (row.assignment or {}).get("why") or {}
    rule = str(why.get("rule") or "")
    steps: Sequence[tuple[str, str, bool, str, str]] = (
        ("received", "Received", True, f"{row.signals} signals from {row.source}", ""),
        ("mapped", "Mapped", True, f"{row.kind}, {row.severity}", ""),
        ("new", "New after deduplication", True, "one issue", "further signals of the same failure join it" if row.signals > 1 else ""),
        ("linked", "Linked to a pattern", linked, row.name or "none", rule or _unlinked(row.analysis_status, judged)),
        (
            "predicted",
            "With a live prediction",
            row.probability is not None,
            "none" if row.probability is None else f"{row.probability:.0%} within {row.window_days} days",
            "" if row.probability is not None else "the pattern is resolved, or was not asked about yet" if judged else "not judged yet",
        ),
        ("recommended", "With a recommendation", row.fix is not None, row.fix or "none", row.fix_status or _unproposed(row)),
        ("verified", "Verified fix", row.verdict == "held", (row.verdict or "none").replace("_", " "), ""),
    )
    return tuple(Step(*step) for step in steps)


def _unlinked(status: str, judged: bool) -> str:
    if judged:
        return "nothing like it has failed before"
    return "it could not be judged" if status == "failed" else "not judged yet"


def _unproposed(row: Any) -> str:  # noqa: ANN401 - a row of _LISTED
    if (row.issue_count or 0) < 2:
        return "it has failed once only"
    return "its grouping is not trusted enough, or everything known was dismissed or has failed here"
