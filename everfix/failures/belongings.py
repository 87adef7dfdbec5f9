"""What belongs to patterns beside their failures: how an issue reads as a failure, and what goes over, and comes back, when people regroup."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.failures import fingerprint, memory, names, patterns
from everfix.ingest.events import Issue


def failure(issue: Issue) -> fingerprint.Failure:
    """Return the issue as the fingerprint sees it."""
    return fingerprint.Failure(
        scope=memory.SCOPE,
        title=issue.title,
        message=issue.body,
        stacktrace=issue.stacktrace,
        error_type=issue.error_type or "",
        service=issue.service or "",
        kind=issue.kind,
        team=issue.team or "",
        occurred_at=issue.occurred_at,
    )


def draft(issue: Issue, found: fingerprint.Fingerprint, name: str = "") -> patterns.Draft:
    """Return the pattern that would be made for an issue."""
    signature = {"error_signature": found.signature[:200]}
    return patterns.Draft(
        name=name or names.of(found.signature or issue.title),
        fingerprint={"error_type": issue.error_type, **signature} if issue.error_type else signature,
        why=found.why,
        service=issue.service,
        team=issue.team,
        kind=issue.kind,
        severity=issue.severity,
    )


def hand_over(db: Session, source: UUID, target: UUID) -> dict[str, list[str]]:
    """Let fixes and their watches go over to `target`, and what was predicted of `source` no longer stand; returns what did, for the way back."""
    given = {"source": source, "target": target}
    return {name: [str(one) for one in db.execute(text(statement), given).scalars()] for name, statement in _OVER.items()}


def take_back(db: Session, source: UUID | None, target: UUID | None, before: Mapping[str, Any]) -> None:
    """Undo `hand_over`, as far as what went over is still there."""
    for name, statement in _BACK.items():
        db.execute(text(statement), {"source": source, "target": target, "ids": before.get(name, [])})


_OVER = {
    "predictions": "UPDATE predictions SET status = 'superseded' WHERE pattern_id = :source AND status = 'active' RETURNING id",
    "recommendations": """UPDATE recommendation_patterns rp SET pattern_id = :target WHERE pattern_id = :source AND NOT EXISTS (
        SELECT FROM recommendation_patterns k WHERE k.pattern_id = :target AND k.recommendation_id = rp.recommendation_id) RETURNING recommendation_id""",
    "verifications": """UPDATE verifications v SET pattern_id = :target WHERE pattern_id = :source AND NOT EXISTS (
        SELECT FROM verifications k WHERE k.pattern_id = :target AND k.recommendation_id = v.recommendation_id) RETURNING id""",
}
_BACK = {
    "predictions": "UPDATE predictions SET status = 'active' WHERE id = ANY(cast(:ids AS uuid[])) AND status = 'superseded' AND outcome IS NULL",
    "recommendations": """UPDATE recommendation_patterns SET pattern_id = :source
        WHERE pattern_id = :target AND recommendation_id = ANY(cast(:ids AS uuid[]))""",
    "verifications": "UPDATE verifications SET pattern_id = :source WHERE pattern_id = :target AND id = ANY(cast(:ids AS uuid[]))",
}


def of_symptoms(db: Session, symptoms: Sequence[str]) -> set[UUID]:
    """Return the patterns that hold a failure of one of these symptoms."""
    if not symptoms:
        return set()
    return {row.pattern_id for row in db.execute(text(_HOLDING), {"symptoms": list(symptoms)}) if row.pattern_id is not None}


def snapshot(db: Session, pattern_ids: Iterable[UUID]) -> dict[str, Json]:
    """Return what regrouping may change of these patterns and counting does not bring back."""
    return {str(row.id): row.kept for row in db.execute(text(_SNAPSHOT), {"ids": list(pattern_ids)})}


def restore(db: Session, kept: Mapping[str, Json]) -> None:
    """Give these patterns back what `snapshot` kept, where they hold the same failures again; in others the count has the last word."""
    for pattern_id, row in kept.items():
        db.execute(text(_RESTORE), {"id": UUID(pattern_id), "kept": json.dumps(row)})


def remember_before(db: Session, kept: Mapping[str, Json]) -> None:
    """Keep with each pattern how it was before the first word that stands about it, whatever the order in which words are taken back."""
    rows = json.dumps([{"id": pattern_id, "kept": row} for pattern_id, row in kept.items()])
    db.execute(text(_REMEMBER), {"rows": rows})


def forget_words(db: Session) -> None:
    """Bring patterns that no word touches any more back to how they were before the first one."""
    untouched = db.execute(text(_UNTOUCHED)).all()
    restore(db, {str(row.id): row.before_words for row in untouched})
    db.execute(text("UPDATE patterns SET before_words = NULL WHERE id = ANY(:ids)"), {"ids": [row.id for row in untouched]})


_REMEMBER = """
UPDATE patterns p SET before_words = r.kept FROM jsonb_to_recordset(cast(:rows AS jsonb)) AS r(id uuid, kept jsonb)
WHERE p.id = r.id AND p.before_words IS NULL
"""
_UNTOUCHED = """
SELECT id, before_words FROM patterns p WHERE before_words IS NOT NULL
AND NOT EXISTS (SELECT FROM corrections c WHERE c.revoked_at IS NULL AND p.id IN (c.source_id, c.target_id))
AND NOT EXISTS (SELECT FROM issues i WHERE i.home_id = p.id AND i.correction_id IS NOT NULL)
AND NOT EXISTS (SELECT FROM issues i WHERE i.pattern_id = p.id AND i.correction_id IS NOT NULL)
"""
_HOLDING = """
SELECT DISTINCT pattern_id FROM issues WHERE fingerprint = ANY(:symptoms)
UNION SELECT DISTINCT pattern_id FROM issues WHERE symptom = ANY(:symptoms) AND symptom IS NOT NULL
UNION SELECT DISTINCT pattern_id FROM issues WHERE resembles = ANY(:symptoms) AND resembles IS NOT NULL
"""
_LOOKS = ("status", "fingerprint", "domain", "service", "team", "severity", "confidence", "risk_score", "risk_parts", "rated")
_SNAPSHOT = f"""
SELECT id, jsonb_build_object({", ".join(f"'{name}', {name}" for name in (*_LOOKS, "issue_count", "last_seen_at"))}) AS kept
FROM patterns WHERE id = ANY(:ids)
"""  # noqa: S608 - built from the constants above
# Counting makes a pattern active at most; any other status is what a person has made of it since.
_RESTORE = f"""
UPDATE patterns p SET {", ".join(f"{name} = k.{name}" for name in _LOOKS)}
FROM jsonb_populate_record(NULL::patterns, cast(:kept AS jsonb)) k
WHERE p.id = :id AND (p.issue_count, p.last_seen_at) IS NOT DISTINCT FROM (k.issue_count, k.last_seen_at) AND p.status IN ('active', k.status)
"""  # noqa: S608 - built from the constants above
