"""`/v1/issues/…`: what people do with issues: many at once, like ones, links to patterns, the timeline, comments."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal, Self
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from everfix.api import fields
from everfix.api.v1.issues import IssueDetail, IssueId, IssueOut, PatternRef, Reader, UserRef, Writer, detail
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db
from everfix.failures import alike, corrections, discussions, issues
from everfix.ingest import events

router = APIRouter(prefix="/issues", tags=["issues"])
CommentId = Annotated[UUID, fields.path_id(ids.Prefix.COMMENT, "comment", "comment_id")]
IssueRef = Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.ISSUE, value))]
VALUES: dict[str, Any] = {
    "status": TypeAdapter(events.Status),
    "severity": TypeAdapter(events.Severity),
    "assign": TypeAdapter(UserRef | None),
    "team": TypeAdapter(types.text(200) | None),
    "link_pattern": TypeAdapter(PatternRef),
}


class BulkChange(BaseModel):
    """One operation for many issues: `status`, `severity`, `assign` (a member, or null), `team`, `link_pattern`, `unlink_pattern`."""

    model_config = ConfigDict(extra="forbid")

    ids: list[IssueRef] = Field(min_length=1, max_length=corrections.MOST)
    op: Literal["status", "severity", "assign", "team", "link_pattern", "unlink_pattern"]
    value: Any = None

    @model_validator(mode="after")
    def _sound(self) -> Self:
        """Read the value as the operation means it."""
        if self.op in VALUES:
            try:
                self.value = VALUES[self.op].validate_python(self.value)
            except ValidationError as problem:
                raise ValueError(f"value: {events.explain(problem).removeprefix('record: ')}") from problem
        elif self.value is not None:
            raise ValueError(f"value: {self.op} takes none")
        return self


class BulkFailure(BaseModel):
    """An issue that was not changed, and why."""

    id: ids.field(ids.Prefix.ISSUE)  # type: ignore[valid-type]
    reason: str


class BulkDone(BaseModel):
    """What became of a bulk change."""

    updated: int
    ids: list[ids.field(ids.Prefix.ISSUE)]  # type: ignore[valid-type]
    failed: list[BulkFailure]


class Link(BaseModel):
    """The pattern that an issue belongs to."""

    model_config = ConfigDict(extra="forbid")

    pattern_id: PatternRef
    reason: types.text(500) = ""  # type: ignore[valid-type]


class Unlink(BaseModel):
    """Why an issue belongs to no pattern."""

    model_config = ConfigDict(extra="forbid")

    reason: types.text(500) = ""  # type: ignore[valid-type]


class Similar(BaseModel):
    """An issue that is like another: how likely it has the same cause (0–1), and why."""

    issue: IssueOut
    score: float
    because: list[str]


class SimilarList(BaseModel):
    """The issues most like one, best first."""

    data: list[Similar]


class Activity(BaseModel):
    """What happened to an issue at one moment."""

    at: datetime
    type: str
    title: str
    actor: str
    details: Json


class Timeline(BaseModel):
    """What happened to an issue and near it, newest first."""

    data: list[Activity]


class NewComment(BaseModel):
    """What to write; `@name` or `@address` names a member."""

    model_config = ConfigDict(extra="forbid")

    body: types.text(10_000, 1)  # type: ignore[valid-type]


class CommentOut(BaseModel):
    """A comment, with the members it names."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.COMMENT)  # type: ignore[valid-type]
    issue_id: ids.field(ids.Prefix.ISSUE)  # type: ignore[valid-type]
    author_id: ids.field(ids.Prefix.USER) | None  # type: ignore[valid-type]
    author_name: str
    body: str
    mentions: list[ids.field(ids.Prefix.USER)]  # type: ignore[valid-type]
    created_at: datetime


class CommentList(BaseModel):
    """An issue's comments, oldest first."""

    data: list[CommentOut]


@router.post("/bulk")
def bulk(db: Db, who: Writer, body: BulkChange) -> BulkDone:
    """Change many issues at once; those that cannot be changed are listed with the reason, the others are."""
    done = issues.bulk(db, body.ids, body.op, body.value, by=who)
    failed = [BulkFailure(id=one, reason=reason) for one, reason in done.failed]
    return BulkDone(updated=len(done.updated), ids=done.updated, failed=failed)


@router.get("/{issue_id}/similar")
def similar(db: Db, who: Reader, issue_id: IssueId, limit: Annotated[int, Query(ge=1, le=20)] = 3) -> SimilarList:
    """The issues most like this one, with how likely they have the same cause, and why."""
    found = alike.of(db, issue_id, limit)
    return SimilarList(data=[Similar(issue=IssueOut.model_validate(one.issue), score=one.score, because=one.because) for one in found])


@router.post("/{issue_id}/link-pattern")
def link_pattern(db: Db, who: Writer, issue_id: IssueId, body: Link) -> IssueDetail:
    """Say that this failure, and all that are equal to it, belong to a pattern; it moves to `in_loop`, and later ones follow."""
    issue = issues.get(db, issue_id)
    issues.regroup(db, [issue_id], body.pattern_id, by=who, reason=body.reason)
    db.refresh(issue)
    return detail(db, issue)


@router.post("/{issue_id}/unlink-pattern")
def unlink_pattern(db: Db, who: Writer, issue_id: IssueId, body: Unlink | None = None) -> IssueDetail:
    """Say that this failure, and all that are equal to it, belong to no pattern."""
    issue = issues.get(db, issue_id)
    issues.regroup(db, [issue_id], None, by=who, reason=body.reason if body else "")
    db.refresh(issue)
    return detail(db, issue)


@router.get("/{issue_id}/activity")
def activity(db: Db, who: Reader, issue_id: IssueId) -> Timeline:
    """What happened to the issue, what people did and wrote, and what was changed of its service near it; newest first."""
    return Timeline(data=[Activity(**entry) for entry in discussions.activity(db, issue_id)])


@router.get("/{issue_id}/comments")
def comments(db: Db, who: Reader, issue_id: IssueId) -> CommentList:
    """What people wrote about the issue, oldest first."""
    return CommentList(data=[CommentOut.model_validate(row) for row in discussions.comments(db, issue_id)])


@router.post("/{issue_id}/comments", status_code=201)
def comment(db: Db, who: Writer, issue_id: IssueId, body: NewComment) -> CommentOut:
    """Write about the issue; members named with @ are listed in `mentions`."""
    return CommentOut.model_validate(discussions.comment(db, issue_id, body.body, by=who))


@router.delete("/{issue_id}/comments/{comment_id}", status_code=204)
def uncomment(db: Db, who: Writer, issue_id: IssueId, comment_id: CommentId) -> None:
    """Delete one's own comment."""
    discussions.withdraw(db, issue_id, comment_id, by=who)
