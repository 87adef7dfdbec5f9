"""Recommendations: ranked fixes for patterns, from `fixes.recommend`; each keeps the arithmetic of its figures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, PrimaryKeyConstraint, delete, func, select, text
from sqlalchemy.dialects.postgresql import aggregate_order_by
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core import db as database
from everfix.core.db import Base, Json, WorkspaceRow, among, created, refers
from everfix.errors import Conflict, Invalid, NotFound
from everfix.failures import changes, claims, fixes, forecast, patterns, playbook, precedents, verifications
from everfix.identity import workspaces

PENDING, IN_PROGRESS, IMPLEMENTED, DISMISSED = "pending", "in_progress", "implemented", "dismissed"
FLOW = {
    PENDING: (IN_PROGRESS, IMPLEMENTED, DISMISSED),
    IN_PROGRESS: (PENDING, IMPLEMENTED, DISMISSED),
    IMPLEMENTED: (IN_PROGRESS,),
    DISMISSED: (PENDING,),
}
ATTESTED = "attested"
CLAIMED = "claimed"  # the key of a fix that Everfix did not propose
TASK = "failures.rank"
MANY = 1_000  # open recommendations above which a job ranks them
SAMPLE = 12  # newest issues of a pattern whose words say what kind of cause it is


class Recommendation(WorkspaceRow, Base):
    """One proposed fix. `why` holds each factor of its score; `rank` is its place among the open ones of the workspace."""

    __tablename__ = "recommendations"
    __table_args__ = (
        CheckConstraint("status IN ('pending', 'in_progress', 'implemented', 'dismissed')", name="status"),
        CheckConstraint("type IN ('code_fix', 'config_change', 'process', 'monitoring')", name="type"),
        CheckConstraint("effort IN ('low', 'medium', 'high')", name="effort"),
        CheckConstraint("impact IN ('high', 'medium', 'quick_win')", name="impact"),
        Index("ix_recommendations_rank", "workspace_id", "rank", "id"),
        Index("ix_recommendations_status", "workspace_id", "status", "rank"),
    )

    key: Mapped[str]
    title: Mapped[str]
    summary: Mapped[str]
    type: Mapped[str]
    effort: Mapped[str]
    impact: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=PENDING)
    rank: Mapped[int | None]
    score: Mapped[float]
    expected_loops_prevented: Mapped[float]
    expected_cost_saved: Mapped[float]
    why: Mapped[Json]
    attestation: Mapped[str] = mapped_column(server_default="none")  # none | attested
    attestation_note: Mapped[str] = mapped_column(server_default="")
    attested_by: Mapped[str | None]
    attested_at: Mapped[datetime | None]
    implemented_at: Mapped[datetime | None]
    claim: Mapped[Json | None]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


class RecommendationPattern(Base):
    """Which patterns a recommendation would fix."""

    __tablename__ = "recommendation_patterns"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "recommendation_id", "pattern_id"),
        refers("recommendation_id", "recommendations"),
        refers("pattern_id", "patterns"),
        Index("ix_recommendation_patterns_pattern", "workspace_id", "pattern_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(server_default=text("nullif(current_setting('everfix.workspace_id', true), '')::uuid"))
    recommendation_id: Mapped[UUID]
    pattern_id: Mapped[UUID]


class Step(WorkspaceRow, Base):
    """One step of a recommendation's plan, ticked off on its own."""

    __tablename__ = "recommendation_steps"
    __table_args__ = (
        refers("recommendation_id", "recommendations"),
        Index("ix_recommendation_steps_of", "workspace_id", "recommendation_id", "position"),
    )

    recommendation_id: Mapped[UUID]
    position: Mapped[int]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    completed_at: Mapped[datetime | None]


def get(db: Session, recommendation_id: UUID) -> Recommendation:
    """Return one recommendation; raises NotFound."""
    found = db.execute(select(Recommendation).where(Recommendation.id == recommendation_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no recommendation {ids.show(ids.Prefix.RECOMMENDATION, recommendation_id)}")
    return found


def refresh(db: Session, pattern_ids: Sequence[UUID]) -> None:
    """Bring the best open recommendation of each of these patterns up to date, then rank all open ones."""
    here = workspaces.here(db)
    worthy = select(patterns.Pattern).where(
        among(patterns.Pattern.id, pattern_ids),
        patterns.Pattern.status != "resolved",
        patterns.Pattern.issue_count >= patterns.RECURRING,
        patterns.Pattern.confidence >= here.ai_confidence_threshold,
        patterns.Pattern.mitigating_since.is_(None),
    )
    found = list(db.execute(worthy).scalars())
    if found:
        past = resolutions(db)
        learnt = precedents.of(db, past, lambda wanted: _words(db, wanted))
        words, odds = _words(db, [p.id for p in found]), _odds(db, [p.id for p in found])
        held = _open(db, [p.id for p in found])
        parts: list[Base] = []
        for pattern in found:
            if pattern.id in odds:
                facts = fixes.PatternFacts(str(pattern.id), pattern.name, words.get(pattern.id, ""), pattern.service or "")
                best = fixes.recommend(facts, odds[pattern.id], past, window_days=here.prediction_window_days, at_most=1, learnt=learnt)
                if best:  # nothing is left to propose where everything known has failed here before
                    parts += _store(db, pattern, best[0], held.get(pattern.id), here.loop_cost)
        db.flush()  # all recommendations first, then what refers to them
        db.add_all(parts)
        db.flush()
    rank(db)


def rank(db: Session) -> None:
    """Give the open recommendations their places: few at once, many by a job, since one that comes to the top moves all that are below."""
    open_ = select(Recommendation.id).where(Recommendation.status.in_((PENDING, IN_PROGRESS))).limit(MANY + 1).subquery()
    if db.execute(select(func.count()).select_from(open_)).scalar_one() <= MANY:
        db.execute(text(_RANK))
    elif not db.execute(select(jobs.Job.id).where(jobs.Job.kind == TASK, jobs.Job.status == jobs.Status.QUEUED).limit(1)).first():
        jobs.enqueue(db, TASK, {})


def task_rank(job: jobs.Running) -> Json:
    """Job `failures.rank`: the places of all open recommendations; returns how many moved."""
    with job.database.transaction(job.workspace) as db:
        database.lock(db, "loop")  # no batch may change proposals meanwhile, in another order
        return {"moved": len(db.execute(text(f"{_RANK} RETURNING r.id")).all())}


def _store(db: Session, pattern: patterns.Pattern, best: fixes.Fix, held: Recommendation | None, loop_cost: float) -> list[Base]:
    """Write the recommendation and return the rows that belong to it."""
    parts: list[Base] = []
    if held is not None and held.status == DISMISSED:
        return parts  # a person said no to a fix for this pattern; it is not proposed again by itself
    if held is None:
        held = Recommendation(
            id=ids.new(), key=best.key, title=best.title, type=best.type, effort=best.effort, summary="", impact=best.impact
        )
        held.score = held.expected_loops_prevented = held.expected_cost_saved = 0.0
        held.why = {}
        db.add(held)
        parts = [RecommendationPattern(recommendation_id=held.id, pattern_id=pattern.id), *_plan(held, best)]
    elif held.status == PENDING and held.key != best.key:
        held.key, held.title, held.type, held.effort = best.key, best.title, best.type, best.effort
        db.execute(delete(Step).where(Step.recommendation_id == held.id))
        parts = _plan(held, best)
    elif held.key != best.key:
        return parts  # somebody works on it: its words stand
    held.impact, held.score, held.why = best.impact, best.score, best.why
    held.expected_loops_prevented = best.expected_loops_prevented
    held.expected_cost_saved = round(best.expected_loops_prevented * loop_cost, 2)
    held.summary = (
        f"For «{pattern.name}»: expected to prevent {best.expected_loops_prevented:.1f} of {best.why['expected_recurrences']:.1f} returns."
    )
    held.updated_at = clock.now()
    return parts


def _plan(held: Recommendation, best: fixes.Fix) -> list[Base]:
    return [Step(recommendation_id=held.id, position=place, title=title) for place, title in enumerate(best.steps, 1)]


def _open(db: Session, pattern_ids: Sequence[UUID]) -> dict[UUID, Recommendation]:
    query = (
        select(RecommendationPattern.pattern_id, Recommendation)
        .join(Recommendation, Recommendation.id == RecommendationPattern.recommendation_id)
        .where(among(RecommendationPattern.pattern_id, pattern_ids), Recommendation.status != IMPLEMENTED)
    )
    return {row.pattern_id: row.Recommendation for row in db.execute(query)}


def _words(db: Session, pattern_ids: Sequence[UUID]) -> dict[UUID, str]:
    rows = db.execute(
        text(
            "SELECT p.id, (SELECT string_agg(concat_ws(' ', i.title, i.error_type, left(i.body, 400)), E'\\n') FROM"
            " (SELECT title, error_type, body FROM issues WHERE pattern_id = p.id ORDER BY occurred_at DESC LIMIT :sample) i) AS words"
            " FROM unnest(cast(:ids AS uuid[])) AS p(id)"
        ),
        {"ids": list(pattern_ids), "sample": SAMPLE},
    )
    return {row.id: row.words or "" for row in rows}


def _odds(db: Session, pattern_ids: Sequence[UUID]) -> dict[UUID, forecast.Forecast]:
    rows = db.execute(
        text("SELECT pattern_id, probability, lower, upper FROM predictions WHERE pattern_id = ANY(:ids) AND status = 'active'"),
        {"ids": list(pattern_ids)},
    )
    return {row.pattern_id: forecast.Forecast(str(row.pattern_id), row.probability, row.lower, row.upper, []) for row in rows}


def resolutions(db: Session) -> list[fixes.Resolution]:
    """Return every fix that was implemented here, and whether it held: what later recommendations learn from.

    One after which the failure came back, even later than the proof, did not hold for whoever is to choose a fix.
    """
    steps = select(func.array_agg(aggregate_order_by(Step.title, Step.position))).where(Step.recommendation_id == Recommendation.id)
    query = (
        select(Recommendation, patterns.Pattern, verifications.Verification, steps.scalar_subquery().label("steps"))
        .join(RecommendationPattern, RecommendationPattern.recommendation_id == Recommendation.id)
        .join(patterns.Pattern, patterns.Pattern.id == RecommendationPattern.pattern_id)
        .outerjoin(
            verifications.Verification,
            (verifications.Verification.recommendation_id == Recommendation.id)
            & (verifications.Verification.pattern_id == patterns.Pattern.id),
        )
        .where(Recommendation.implemented_at.is_not(None))
        .order_by(Recommendation.implemented_at.desc())
        .limit(500)
    )
    return [_resolution(row.Recommendation, row.Pattern, row.Verification, tuple(row.steps or ())) for row in db.execute(query)]


def _resolution(
    done: Recommendation, pattern: patterns.Pattern, watch: verifications.Verification | None, steps: tuple[str, ...]
) -> fixes.Resolution:
    held, known = None, None
    if watch is not None:
        known = watch.returned_at or watch.decided_at
        held = {verifications.HELD: watch.returned_at is None, verifications.FAILED: False}.get(watch.verdict)
    facts = fixes.PatternFacts(str(pattern.id), pattern.name, "", pattern.service or "")
    key = "" if done.key == CLAIMED else done.key
    type_, effort = cast("playbook.FixType", done.type), cast("playbook.Effort", done.effort)
    return fixes.Resolution(facts, done.title, type_, effort, held, key, steps, known)


# Rank 1 is expected to prevent most returns; of two that prevent as much, the one that is likelier to hold for less effort comes first.
_RANK = """
UPDATE recommendations r SET rank = o.place FROM (
    SELECT id, CASE WHEN open THEN row_number() OVER (PARTITION BY open ORDER BY expected_loops_prevented DESC, score DESC, created_at, id) END AS place
    FROM (SELECT *, status IN ('pending', 'in_progress') AS open FROM recommendations) every
) o WHERE r.id = o.id AND r.rank IS DISTINCT FROM o.place
"""


def move(db: Session, recommendation_id: UUID, status: str, *, by: audit.Actor, claim: claims.Claim | None = None) -> Recommendation:
    """Change a recommendation's status along FLOW; `implemented` starts the watch over its patterns from `claim.at` (default: now).

    Raises Conflict when the flow does not lead there, and Invalid for a claim that names an unknown deploy or the future.
    """
    found = get(db, recommendation_id)
    if status == found.status:
        return found
    if status not in FLOW[found.status]:
        raise Conflict(f"a recommendation that is {found.status} can become {' or '.join(FLOW[found.status])}, not {status}")
    before, found.status, found.updated_at = found.status, status, clock.now()
    if before == IMPLEMENTED:
        found.implemented_at = found.claim = None
        found.attestation, found.attestation_note, found.attested_by, found.attested_at = "none", "", None, None
        verifications.withdraw(db, found.id)
    if status == IMPLEMENTED:
        said = _completed(db, claim or claims.Claim())
        at = said.at or clock.now()
        found.implemented_at, found.claim = at, {**claims.shown(said), "at": at.isoformat()}
        _start_watch(db, found, at, said)
    db.flush()
    rank(db)
    audit.record(db, by, audit.Action.RECOMMENDATION_UPDATED, "recommendation", found.id, {"status": [before, status]})
    return found


def _completed(db: Session, said: claims.Claim) -> claims.Claim:
    """Return the claim with what the deploy that it names adds: when it was, which release it brought, and where."""
    if said.at and said.at > clock.now() + timedelta(minutes=5):
        raise Invalid(f"at: {said.at.isoformat()} lies in the future", details={"claim.at": "when the fix went out, not later than now"})
    if said.deploy is None:
        return said
    query = select(changes.Change).where(changes.Change.external_id == said.deploy).order_by(changes.Change.occurred_at.desc()).limit(1)
    change = db.execute(query).scalar_one_or_none()
    if change is None:
        raise Invalid(f"deploy: there is no change {said.deploy[:60]!r}", details={"claim.deploy": "the external_id of a recorded change"})
    release = change.details.get("release") or change.details.get("version")
    environment = change.details.get("environment")
    added = {
        "at": said.at or change.occurred_at,
        "release": said.release or (str(release)[:200] if release else None),
        "environment": said.environment or (str(environment)[:100] if environment else None),
    }
    return said.model_copy(update=added)


def complete(db: Session, recommendation_id: UUID, step_id: UUID, *, done: bool, by: audit.Actor) -> Step:
    """Tick one step off, or take that back; raises NotFound for a step of another recommendation."""
    get(db, recommendation_id)
    step = db.execute(select(Step).where(Step.id == step_id, Step.recommendation_id == recommendation_id)).scalar_one_or_none()
    if step is None:
        raise NotFound(f"the recommendation has no step {ids.show(ids.Prefix.STEP, step_id)}")
    if done != (step.completed_at is not None):
        step.completed_at = clock.now() if done else None
        db.flush()
        details = {"step": step.title, "completed": done}
        audit.record(db, by, audit.Action.RECOMMENDATION_UPDATED, "recommendation", recommendation_id, details)
    return step


def attest(db: Session, recommendation_id: UUID, note: str, *, by: audit.Actor) -> Recommendation:
    """Put a person's name under the fix; raises Conflict unless it is in place and its proof window has shown that it held."""
    found = get(db, recommendation_id)
    if found.status != IMPLEMENTED:
        raise Conflict(f"a recommendation that is {found.status} cannot be attested: it is not in place")
    query = select(verifications.Verification.verdict).where(verifications.Verification.recommendation_id == recommendation_id)
    open_ = sorted({verdict for verdict in db.execute(query).scalars() if verdict != verifications.HELD})
    if open_:
        raise Conflict(f"only a fix that held can be attested; this one is {' and '.join(open_).replace('_', ' ')}")
    found.attestation, found.attestation_note, found.attested_by, found.attested_at = ATTESTED, note, by.name, clock.now()
    db.flush()
    audit.record(db, by, audit.Action.RECOMMENDATION_ATTESTED, "recommendation", found.id, {"note": note})
    return found


def claim(
    db: Session,
    pattern_id: UUID,
    *,
    title: str,
    type: str,
    effort: str,
    at: datetime,
    by: audit.Actor,
    said: claims.Claim | None = None,
) -> Recommendation:
    """Record a fix that somebody made by themselves, and begin to watch whether it holds; proposals for its pattern are withdrawn."""
    db.execute(text(_WITHDRAW), {"pattern": pattern_id})
    done = Recommendation(
        id=ids.new(), key=CLAIMED, title=title, type=type, effort=effort, impact="medium", summary="", why={"from": f"claimed by {by.name}"}
    )
    done.score = done.expected_loops_prevented = done.expected_cost_saved = 0.0
    db.add(done)
    db.flush()
    db.add(RecommendationPattern(recommendation_id=done.id, pattern_id=pattern_id))
    db.flush()
    return move(db, done.id, IMPLEMENTED, by=by, claim=(said or claims.Claim()).model_copy(update={"at": at}))


_WITHDRAW = """
DELETE FROM recommendations r USING recommendation_patterns rp
WHERE rp.recommendation_id = r.id AND rp.pattern_id = :pattern AND r.status = 'pending'
"""


def _start_watch(db: Session, found: Recommendation, at: datetime, said: claims.Claim) -> None:
    members = (
        db.execute(select(RecommendationPattern.pattern_id).where(RecommendationPattern.recommendation_id == found.id)).scalars().all()
    )
    for pattern_id in members:
        verifications.start(db, found.id, pattern_id, at, said)
    db.execute(
        text("UPDATE patterns SET mitigating_since = coalesce(mitigating_since, :at), updated_at = now() WHERE id = ANY(:ids)"),
        {"ids": list(members), "at": at},
    )
