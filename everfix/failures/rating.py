"""Rating: the risk of patterns after they were counted and predicted anew, and what follows for the risk of their issues.

An issue's score rests on its pattern's; a pattern's moves a little with every failure, and its issues may be many. So new issues are rated
at once, those of a small pattern too, and those of a large one by a job, once the pattern has moved by more than SLACK points.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import func, select, text
from sqlalchemy.orm import Session

from everfix.core import clock, jobs
from everfix.core.db import Json, among
from everfix.failures import risk
from everfix.failures.patterns import RECURRING, Pattern

SLACK = 2  # points by which an issue's risk may lag behind its pattern's
SMALL = 200  # issues up to which a pattern's are all rated at once
CHUNK = 2_000  # issues that the job rates in one transaction


def rate(
    db: Session,
    pattern_ids: Sequence[UUID],
    probabilities: Mapping[UUID, float],
    *,
    came: Collection[UUID] = (),
    joined: Collection[UUID] = (),
) -> None:
    """Set the risk of these patterns, of the issues that just `came`, and of the other issues where the pattern has moved; `joined` are new
    in their patterns: those of them that are open are in a loop as soon as their pattern recurs.
    """
    if not pattern_ids:
        return
    _patterns(db, pattern_ids, probabilities)
    given = {"ids": list(pattern_ids), "points": risk.SEVERITY_POINTS_JSON, "recurring": RECURRING}
    if came:
        db.execute(text(_THESE), given | {"came": list(came), "joined": list(joined)})
    moved = {"ids": list(pattern_ids), "slack": SLACK, "recurring": RECURRING, "small": SMALL}
    small = [row.id for row in db.execute(text(_MOVED), moved) if row.issue_count <= SMALL]
    if small:
        db.execute(text(_ALL), given | {"ids": small})
        db.execute(text(_RATED), {"ids": small})
    if not _waiting(db) and db.execute(text(f"{_MOVED} LIMIT 1"), moved).first():
        jobs.enqueue(db, "failures.rate", {})


def _patterns(db: Session, pattern_ids: Sequence[UUID], probabilities: Mapping[UUID, float]) -> None:
    """Set the risk of these patterns from severity, frequency, probability of return and trend."""
    now = clock.now()
    given = {"ids": list(pattern_ids), "month": now - timedelta(days=30), "months": now - timedelta(days=60)}
    recent = {row.pattern_id: (int(row.last_month or 0), int(row.month_before or 0)) for row in db.execute(text(_RECENT), given)}
    for pattern in db.execute(select(Pattern).where(among(Pattern.id, pattern_ids))).scalars():
        last, before = recent.get(pattern.id, (0, 0))
        parts = risk.of_pattern(pattern.severity, last, before, probabilities.get(pattern.id, 0.0))
        pattern.risk_parts, pattern.risk_score = parts, risk.total(parts)
    db.flush()


_RECENT = """
SELECT pattern_id, sum(failures) FILTER (WHERE hour > :month) AS last_month, sum(failures) FILTER (WHERE hour <= :month) AS month_before
FROM pattern_hours WHERE pattern_id = ANY(:ids) AND hour > :months GROUP BY 1
"""
_MOVED = """
SELECT id, issue_count FROM patterns
WHERE id = ANY(:ids) AND issue_count >= :recurring AND (rated IS NULL OR abs(risk_score - rated) > :slack)
"""
_RATED = "UPDATE patterns SET rated = risk_score WHERE id = ANY(:ids)"
_SCORE = """
jsonb_build_object('severity', s.points, 'pattern', round(p.risk_score * 0.6)) AS parts,
    least(100, s.points + round(p.risk_score * 0.6))::int AS score
"""
_POINTS = "CROSS JOIN LATERAL (SELECT (cast(:points AS jsonb)->>m.severity)::int AS points) s"
_SET = """
UPDATE issues i SET risk_parts = f.parts, risk_score = f.score,
    status = CASE WHEN f.joins THEN 'in_loop' ELSE i.status END, updated_at = CASE WHEN f.joins THEN now() ELSE i.updated_at END
"""
# Settled issues keep the score they had; what a person put back to open does not join again, only what is new in a pattern does.
_THESE = f"""
{_SET} FROM (
    SELECT m.id, {_SCORE}, m.status = 'open' AND p.issue_count >= :recurring AND m.id = ANY(cast(:joined AS uuid[])) AS joins
    FROM issues m JOIN patterns p ON p.id = m.pattern_id {_POINTS}
    WHERE m.id = ANY(:came) AND m.pattern_id = ANY(:ids) AND m.status <> 'closed'
) f WHERE i.id = f.id AND (f.joins OR i.risk_score <> f.score)
"""  # noqa: S608 - built from the constants above
_ALL = f"""
{_SET} FROM (
    SELECT m.id, {_SCORE}, m.status = 'open' AND p.rated IS NULL AS joins
    FROM issues m JOIN patterns p ON p.id = m.pattern_id {_POINTS}
    WHERE m.pattern_id = ANY(:ids) AND m.status NOT IN ('resolved', 'closed')
) f WHERE i.id = f.id AND (f.joins OR i.risk_score <> f.score)
"""  # noqa: S608 - built from the constants above


def _waiting(db: Session) -> bool:
    query = select(func.count()).where(jobs.Job.kind == "failures.rate", jobs.Job.status == jobs.Status.QUEUED)
    return bool(db.execute(query).scalar_one())


def task(job: jobs.Running) -> Json:
    """Job `failures.rate`: the issues of patterns that have moved, CHUNK by CHUNK, each in a transaction of its own."""
    with job.database.transaction(job.workspace) as db:
        due = db.execute(text(_DUE), {"slack": SLACK, "recurring": RECURRING}).all()
    done = 0
    for place, row in enumerate(due):
        job.report(place / len(due), f"pattern {place + 1} of {len(due)}")
        done += _pattern(job, row.id)
    return {"patterns": len(due), "issues": done}


def _pattern(job: jobs.Running, pattern_id: UUID) -> int:
    """Rate one pattern's issues in order of time; where its score moves meanwhile, the next job takes it up again."""
    seen, after = 0, (None, None)
    with job.database.transaction(job.workspace) as db:
        first = db.execute(text("SELECT risk_score, rated FROM patterns WHERE id = :id"), {"id": pattern_id}).one_or_none()
    while first is not None:
        with job.database.transaction(job.workspace) as db:
            found = db.execute(text(_CHUNK), {"id": pattern_id, "at": after[0], "last": after[1], "chunk": CHUNK}).all()
            if not found:
                db.execute(text("UPDATE patterns SET rated = :score WHERE id = :id"), {"id": pattern_id, "score": first.risk_score})
                break
            came = [row.id for row in found]
            given = {"came": came, "joined": came if first.rated is None else [], "ids": [pattern_id]}
            db.execute(text(_THESE), given | {"points": risk.SEVERITY_POINTS_JSON, "recurring": RECURRING})
            seen, after = seen + len(found), (found[-1].occurred_at, found[-1].id)
    return seen


_DUE = """
SELECT id FROM patterns WHERE issue_count >= :recurring AND (rated IS NULL OR abs(risk_score - rated) > :slack) ORDER BY risk_score DESC, id
"""
_CHUNK = """
SELECT id, occurred_at FROM issues WHERE pattern_id = :id AND status NOT IN ('resolved', 'closed')
AND (cast(:at AS timestamptz) IS NULL OR (occurred_at, id) > (cast(:at AS timestamptz), cast(:last AS uuid)))
ORDER BY occurred_at, id LIMIT :chunk
"""
