"""`/v1/issues`: list, create, read and change issues."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session, defer

from everfix.api import fields, pages
from everfix.api.v1 import analysis
from everfix.api.v1.analysis import AnalysisOut
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import corrections, filters, issues, patterns, predictions, searches
from everfix.identity.principals import Principal, Scope
from everfix.identity.users import User
from everfix.ingest import events
from everfix.ingest.events import Issue

router = APIRouter(prefix="/issues", tags=["issues"])
IssueId = Annotated[UUID, fields.path_id(ids.Prefix.ISSUE, "issue", "issue_id")]
Reader = Annotated[Principal, needs(Scope.ISSUES_READ)]
Writer = Annotated[Principal, needs(Scope.ISSUES_WRITE)]
PatternRef = Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.PATTERN, value))]
UserRef = Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.USER, value))]
SORTS = pages.Sorts(filters.ISSUE_SORTS, "-created_at")


class IssueOut(BaseModel):
    """One issue, as the reference names its fields."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.ISSUE)  # type: ignore[valid-type]
    external_id: str
    title: str
    body: str
    kind: str
    severity: str
    status: str
    analysis_status: str
    source: str
    risk_score: int
    risk_parts: Json
    pattern_id: ids.field(ids.Prefix.PATTERN) | None  # type: ignore[valid-type]
    assignee_id: ids.field(ids.Prefix.USER) | None  # type: ignore[valid-type]
    team: str | None
    service: str | None
    environment: str | None
    error_type: str | None
    release: str | None
    external_url: str | None
    metadata: Json = Field(validation_alias="details")
    connector_id: ids.field(ids.Prefix.CONNECTOR) | None  # type: ignore[valid-type]
    occurred_at: datetime
    acknowledged_at: datetime | None
    resolved_at: datetime | None
    source_created_at: datetime | None
    source_updated_at: datetime | None
    analyzed_at: datetime | None
    ingested_at: datetime
    created_at: datetime
    updated_at: datetime


class PatternBrief(BaseModel):
    """The pattern an issue belongs to."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    name: str
    status: str
    risk_score: int
    issue_count: int


class IssueDetail(IssueOut):
    """One issue with its judgement, its pattern and what is expected of it."""

    stacktrace: str
    fingerprint: str | None
    assignment: Json | None
    assignee: Json | None
    pattern: PatternBrief | None = None
    loop: Json
    recurrence: Json | None
    analysis: AnalysisOut | None = None


class NewIssue(BaseModel):
    """An issue made by hand."""

    model_config = ConfigDict(extra="forbid")

    title: types.text(events.TITLE, 1)  # type: ignore[valid-type]
    body: types.text(events.BODY) = ""  # type: ignore[valid-type]
    severity: events.Severity = "p3"
    kind: events.Kind = "incident"
    external_id: types.text(512, 1) | None = None  # type: ignore[valid-type]
    source: types.text(64) | None = None  # type: ignore[valid-type]
    team: types.text(200) | None = None  # type: ignore[valid-type]
    service: types.text(200) | None = None  # type: ignore[valid-type]
    environment: types.text(100) | None = None  # type: ignore[valid-type]
    error_type: types.text(300) | None = None  # type: ignore[valid-type]
    stacktrace: types.text(events.TRACE) = ""  # type: ignore[valid-type]
    release: types.text(200) | None = None  # type: ignore[valid-type]
    external_url: types.text(2048) | None = None  # type: ignore[valid-type]
    source_created_at: types.Moment | None = None
    metadata: types.JsonObject = Field(default_factory=dict)


class IssueChange(BaseModel):
    """What may change; a field that is not sent stays."""

    model_config = ConfigDict(extra="forbid")

    title: types.text(events.TITLE, 1) | None = None  # type: ignore[valid-type]
    body: types.text(events.BODY) | None = None  # type: ignore[valid-type]
    severity: events.Severity | None = None
    status: events.Status | None = None
    team: types.text(200) | None = None  # type: ignore[valid-type]
    assignee_id: UserRef | None = None
    pattern_id: PatternRef | None = None


UNSHOWN = (defer(Issue.stacktrace), defer(Issue.assignment))  # large, and of no use in a list
NEVER_NULL = ("title", "body", "severity", "status")


def shown(rows: Sequence[Issue]) -> list[IssueOut]:
    """Return issues as the API shows them."""
    return [IssueOut.model_validate(row) for row in rows]


@router.get("")
def listed(db: Db, who: Reader, page: Page, wanted: Annotated[filters.IssueFilter, Query()]) -> pages.PageOf[IssueOut]:
    """The workspace's issues. `status`, `severity`, `kind` and `analysis_status` take several values, separated by commas."""
    every = select(Issue).options(*UNSHOWN)
    quick, many = searches.quick(db, wanted, every)
    return pages.page(db, page, wanted.narrow(every), Issue.id, SORTS, shown, quick=quick, many=many, every=every)


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: NewIssue) -> IssueOut:
    """Make an issue by hand; the loop takes it up at once."""
    return IssueOut.model_validate(issues.create(db, body.model_dump(mode="json"), by=who))


@router.get("/{issue_id}")
def one(db: Db, who: Reader, issue_id: IssueId) -> IssueDetail:
    """One issue with its pattern, why it was put there, how often that recurs and how probable the next time is."""
    return detail(db, issues.get(db, issue_id))


def detail(db: Session, issue: Issue) -> IssueDetail:
    """Return an issue with all that is known of it."""
    pattern = patterns.get(db, issue.pattern_id) if issue.pattern_id else None
    next_ = predictions.newest(db, issue.pattern_id) if issue.pattern_id else None
    extra = {
        "pattern": PatternBrief.model_validate(pattern) if pattern else None,
        "analysis": analysis.shown(db, issue.id),
        "loop": issues.loop_figures(db, issue.pattern_id),
        "recurrence": {"probability": next_.probability, "window_days": next_.window_days} if next_ else None,
    }
    extra |= {"assignment": corrections.explained(db, issue), "assignee": _assignee(db, issue.assignee_id)}
    values = {name: getattr(issue, name) for name in IssueDetail.model_fields if name not in (*extra, "metadata")}
    return IssueDetail.model_validate({**values, "details": issue.details, **extra})


def _assignee(db: Session, user: UUID | None) -> Json | None:
    """Return who works on an issue."""
    found = db.execute(select(User).where(User.id == user)).scalar_one_or_none() if user is not None else None
    return None if found is None else {"id": ids.show(ids.Prefix.USER, found.id), "name": found.name, "email": found.email}


@router.patch("/{issue_id}")
def change(db: Db, who: Writer, issue_id: IssueId, body: IssueChange) -> IssueDetail:
    """Change an issue; closing is a change of status."""
    values = body.model_dump(exclude_unset=True)
    values = {key: value for key, value in values.items() if value is not None or key not in NEVER_NULL}
    return detail(db, issues.change(db, issue_id, values, by=who))
