"""Analyses: the root cause of an issue, from evidence in the workspace; by rules at once, by a model where one may be asked.

    new issue ─ learned ─▶ failures.analyse (a batch, rules) ─▶ failures.analyse (one, a model: severest first, so many an hour)
    POST /v1/issues/{id}/reanalyze ─▶ analyzing ─▶ failures.analyse (one, tier) ─▶ done | failed

Every analysis is kept as a version of its own, with its evidence; the newest is shown.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, func, or_, select, text, true, update
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs, llm, prompt_logs
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.core.llm_providers import TIERS, Tier
from everfix.errors import Invalid
from everfix.failures import causes, evidence, issues, reasoning
from everfix.failures.causes import Finding, Said
from everfix.failures.evidence import Found, Item
from everfix.identity import ai
from everfix.ingest.events import Issue

TASK = "failures.analyse"
RULES = "rules"
DEGRADED = f"model = '{RULES}' AND note <> ''"  # of an analysis: the rules wrote what a model was asked for
LATER = -1  # priority: learning comes first


class Analysis(WorkspaceRow, Base):
    """One version. `statements` says which evidence each sentence rests on; `note` why the rules wrote where a model was asked."""

    __tablename__ = "analyses"
    __table_args__ = (
        refers("issue_id", "issues"),
        CheckConstraint("confidence BETWEEN 0 AND 1", name="confidence"),
        CheckConstraint("tier IN ('fast', 'balanced', 'deep')", name="tier"),
        Index("uq_analyses_version", "workspace_id", "issue_id", "number", unique=True),
        Index("ix_analyses_made", "workspace_id", "created_at"),
    )

    issue_id: Mapped[UUID]
    number: Mapped[int]
    tier: Mapped[str]
    model: Mapped[str]
    model_version: Mapped[str]
    root_cause: Mapped[str]
    the_cause: Mapped[str]
    contributing_factors: Mapped[list[str]]
    why_recurring: Mapped[str]
    confidence: Mapped[float]
    statements: Mapped[Json]
    evidence: Mapped[list[Json]]
    note: Mapped[str] = mapped_column(server_default="")
    requested_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = created()


def newest(db: Session, issue_id: UUID) -> Analysis | None:
    """Return the analysis that is shown, if there is one yet."""
    return db.execute(select(Analysis).where(Analysis.issue_id == issue_id).order_by(Analysis.number.desc()).limit(1)).scalar_one_or_none()


def versions(db: Session, issue_id: UUID) -> list[Analysis]:
    """Return every version of an issue's analysis, newest first."""
    return list(db.execute(select(Analysis).where(Analysis.issue_id == issue_id).order_by(Analysis.number.desc())).scalars())


def request(db: Session, issue_id: UUID, tier: str, by: audit.Actor) -> UUID:
    """Have an issue analysed again: it shows "analyzing" at once. Returns the job's id; raises NotFound, Invalid for an unknown tier."""
    if tier not in TIERS:
        raise Invalid(f"{tier[:40]!r} is no tier", details={"tier": f"one of {', '.join(TIERS)}"})
    issue = issues.get(db, issue_id)
    issue.analysis_status, issue.updated_at = "analyzing", clock.now()
    job = jobs.enqueue(db, TASK, {"issue": str(issue_id), "tier": tier, "by": by.name}, by=by.name, priority=1)
    audit.record(db, by, audit.Action.ISSUE_REANALYZED, "issue", issue_id, {"tier": tier})
    return job


def enqueue(db: Session, issue_ids: Sequence[UUID]) -> None:
    """Have new issues analysed, after what waits to be learnt."""
    if issue_ids:
        jobs.enqueue(db, TASK, {"issues": [str(issue) for issue in issue_ids]}, priority=LATER)


def task(job: jobs.Running) -> Json:
    """Job `failures.analyse`: a batch by rules, or one issue by a model where one may be asked."""
    if "issue" in job.payload:
        return _one(job, UUID(job.payload["issue"]), job.payload["tier"], job.payload.get("by", ""))
    wanted = [UUID(text_) for text_ in job.payload["issues"]]
    with job.database.transaction(job.workspace) as db:
        found = evidence.gather(db, list(db.execute(select(Issue).where(Issue.id.in_(wanted))).scalars()))
        store(db, [(one, causes.of(one.items)) for one in found.values()])
        _written(db, wanted)
        asked = _chosen(db, job, list(found.values()))
        for issue in asked:
            jobs.enqueue(db, TASK, {"issue": str(issue), "tier": "balanced"}, priority=LATER)
    return {"issues": len(found), "asked": len(asked)}


def _chosen(db: Session, job: jobs.Running, found: Sequence[Found]) -> list[UUID]:
    """Return the issues that a model is asked about by itself: severest first, one of a pattern, so many an hour."""
    settings = ai.here(db)
    if not settings.analyses or not settings.auto_per_hour or ai.asked(db, job.services.keys, job.services.settings)[0] is None:
        return []
    since = func.now() - text("interval '1 hour'")
    lately = db.execute(
        select(func.count()).where(
            Analysis.created_at > since, or_(Analysis.model != RULES, Analysis.note != ""), Analysis.requested_by == ""
        )
    ).scalar_one()
    ordered = sorted(found, key=lambda one: (one.issue.severity, -one.issue.occurred_at.timestamp()))
    by_pattern = {one.issue.pattern_id or one.issue.id: one.issue.id for one in reversed(ordered)}
    chosen = [one.issue.id for one in ordered if by_pattern[one.issue.pattern_id or one.issue.id] == one.issue.id]
    return chosen[: max(0, settings.auto_per_hour - lately)]


def _one(job: jobs.Running, issue_id: UUID, tier: Tier, by: str) -> Json:
    with job.database.transaction(job.workspace) as db:
        issue = db.execute(select(Issue).where(Issue.id == issue_id)).scalar_one_or_none()
        if issue is None:
            return {"issue": None}  # it was removed while the job waited
        issue.analysis_status = "analyzing"
        found = evidence.gather(db, [issue])[issue_id]
        db.expunge_all()
        assistant, problem = ai.asked(db, job.services.keys, job.services.settings) if ai.here(db).analyses else (None, "")
        redactor = ai.redactor(db)
    job.report(0.3, "weighing the evidence")
    finding, answer = causes.of(found.items), None
    note = f"No language model could be asked ({problem}); the rules wrote this." if problem else ""
    if assistant is not None:
        finding, note, answer = reasoning.write(found, finding, assistant, tier, redactor)
    with job.database.transaction(job.workspace) as db:
        prompt_logs.record(db, assistant.calls if assistant else (), "issue", issue_id)
        store(db, [(found, finding)], tier=tier, answer=answer, note=note, by=by)
        _written(db, [issue_id], asked=True)
    return {"issue": str(issue_id), "model": answer.label if answer else RULES, "note": note}


def _written(db: Session, issue_ids: Sequence[UUID], *, asked: bool = False) -> None:
    """Say at the issues that their root cause is written. One that somebody asked for meanwhile goes on; the first writing is the latency."""
    waiting = true() if asked else Issue.analysis_status != "analyzing"
    values = {"analysis_status": "done", "analyzed_at": func.coalesce(Issue.analyzed_at, clock.now())}
    db.execute(update(Issue).where(Issue.id.in_(issue_ids), waiting).values(values))


def failed(job: jobs.Running, _cause: str) -> None:
    """Say at the issues that their analysis failed for good; what the loop made of them stands."""
    one = job.payload.get("issue")
    wanted = [UUID(text_) for text_ in ([one] if one else job.payload["issues"])]
    waits = "analyzing" if one else "pending"
    with job.database.transaction(job.workspace) as db:
        db.execute(update(Issue).where(Issue.id.in_(wanted), Issue.analysis_status == waits).values(analysis_status="failed"))


def store(
    db: Session,
    made: Sequence[tuple[Found, Finding]],
    *,
    tier: str = "fast",
    answer: llm.Answer[reasoning.Reasoned] | None = None,
    note: str = "",
    by: str = "",
) -> None:
    """Keep analyses as the next version of each issue, in one statement; one by rules that says what the newest says is not kept again."""
    rows = [_row(found, finding, tier, answer, note, by) for found, finding in made]
    if rows:
        db.execute(text(_STORE), {"rows": json.dumps(rows)})


def _row(found: Found, finding: Finding, tier: str, answer: llm.Answer[reasoning.Reasoned] | None, note: str, by: str) -> Json:
    factors = [factor.text for factor in finding.factors]
    return {
        "id": str(ids.new()),
        "issue_id": str(found.issue.id),
        "tier": tier,
        "model": answer.label if answer else RULES,
        "model_version": answer.version if answer else causes.VERSION,
        "root_cause": finding.root_cause.text,
        "the_cause": finding.the_cause.text,
        "contributing_factors": factors,
        "why_recurring": finding.why_recurring.text,
        "confidence": finding.confidence,
        "statements": {
            "root_cause": list(finding.root_cause.evidence),
            "the_cause": list(finding.the_cause.evidence),
            "contributing_factors": [list(factor.evidence) for factor in finding.factors],
            "why_recurring": list(finding.why_recurring.evidence),
        },
        "evidence": [item.plain() for item in found.items],
        "note": note,
        "requested_by": by,
    }


_STORE = """
INSERT INTO analyses (id, issue_id, number, tier, model, model_version, root_cause, the_cause, contributing_factors, why_recurring,
    confidence, statements, evidence, note, requested_by)
SELECT r.id, r.issue_id, coalesce(last.number, 0) + 1, r.tier, r.model, r.model_version, r.root_cause, r.the_cause,
    ARRAY(SELECT jsonb_array_elements_text(r.contributing_factors)), r.why_recurring, r.confidence, r.statements, r.evidence, r.note, r.requested_by
FROM jsonb_to_recordset(cast(:rows AS jsonb)) AS r(id uuid, issue_id uuid, tier text, model text, model_version text, root_cause text,
    the_cause text, contributing_factors jsonb, why_recurring text, confidence float8, statements jsonb, evidence jsonb, note text, requested_by text)
JOIN issues i ON i.id = r.issue_id
LEFT JOIN LATERAL (
    SELECT number, model, evidence FROM analyses a WHERE a.issue_id = r.issue_id ORDER BY number DESC LIMIT 1
) last ON true
WHERE last.number IS NULL OR r.requested_by <> '' OR r.model <> 'rules' OR r.note <> '' OR (last.model = 'rules' AND last.evidence IS DISTINCT FROM r.evidence)
"""


def items(found: Analysis) -> dict[str, Item]:
    """Return the evidence of an analysis by id."""
    return {row["id"]: Item(**row) for row in found.evidence}


def said(found: Analysis) -> tuple[Said, ...]:
    """Return the contributing factors with the evidence each rests on."""
    ids_ = found.statements.get("contributing_factors", [])
    return tuple(Said(text_, tuple(evidence_)) for text_, evidence_ in zip(found.contributing_factors, ids_, strict=True))
