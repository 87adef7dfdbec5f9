"""`/v1/issues/{id}/reanalyze` and `/analyses`: the root cause of an issue, again and version by version."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from everfix.api import fields
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, needs
from everfix.failures import analyses, issues
from everfix.failures.analyses import Analysis
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/issues", tags=["issues"])
IssueId = Annotated[UUID, fields.path_id(ids.Prefix.ISSUE, "issue", "issue_id")]
Reader = Annotated[Principal, needs(Scope.ISSUES_READ)]
Writer = Annotated[Principal, needs(Scope.ISSUES_WRITE)]


class AnalysisOut(BaseModel):
    """One version of an issue's analysis; each statement names the evidence it rests on."""

    model_config = ConfigDict(from_attributes=True)

    root_cause: str
    the_cause: str
    contributing_factors: list[str] = Field(description="Strongest first.")
    why_recurring: str
    confidence: float
    model: str = Field(description="`rules`, or the provider and model that wrote it.")
    model_version: str
    version: int = Field(validation_alias="number")
    tier: str
    note: str = Field(description="Why the rules wrote it where a model was asked.")
    requested_by: str
    statements: Json = Field(description="For each statement, the ids of its evidence.")
    evidence: list[Json]
    created_at: datetime


class Versions(BaseModel):
    """Every version of an issue's analysis, newest first."""

    data: list[AnalysisOut]


class Reanalyze(BaseModel):
    """How thoroughly to look."""

    model_config = ConfigDict(extra="forbid")

    tier: Literal["fast", "balanced", "deep"] = "balanced"


class Reanalyzing(BaseModel):
    """Work that was queued; the issue shows `analyzing` at once."""

    id: ids.field(ids.Prefix.ISSUE)  # type: ignore[valid-type]
    analysis_status: str
    tier: str
    job_id: ids.field(ids.Prefix.JOB)  # type: ignore[valid-type]


def shown(db: Session, issue_id: UUID) -> AnalysisOut | None:
    """Return the newest analysis of an issue as the API shows it, or None before there is one."""
    found = analyses.newest(db, issue_id)
    return AnalysisOut.model_validate(found) if found else None


@router.post("/{issue_id}/reanalyze", status_code=202)
def reanalyze(db: Db, who: Writer, issue_id: IssueId, body: Reanalyze | None = None) -> Reanalyzing:
    """Analyse an issue again; `tier` chooses how capable a model is asked, and how long it may think."""
    tier = (body or Reanalyze()).tier
    job = analyses.request(db, issue_id, tier, by=who)
    return Reanalyzing(id=issue_id, analysis_status="analyzing", tier=tier, job_id=job)


@router.get("/{issue_id}/analyses")
def listed(db: Db, who: Reader, issue_id: IssueId) -> Versions:
    """Every version of an issue's analysis, newest first."""
    issues.get(db, issue_id)
    found: list[Analysis] = analyses.versions(db, issue_id)
    return Versions(data=[AnalysisOut.model_validate(row) for row in found])
