"""Discussions: comments on issues, with mentions of members, and the timeline of an issue: what happened to it, and what was changed near it."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Index, Uuid, delete, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import Forbidden, NotFound
from everfix.failures import announcements, changes, issues
from everfix.failures.corrections import Correction
from everfix.identity.members import Member
from everfix.identity.users import User
from everfix.ingest.events import Issue

AROUND = timedelta(hours=24)  # changes this long before a failure are shown beside it
AFTER = timedelta(hours=6)
MOST = 200  # entries of a timeline
MENTION = re.compile(r"(?<![\w@])@([A-Za-z0-9._+-]+(?:@[A-Za-z0-9.-]+\w)?)")


class Comment(WorkspaceRow, Base):
    """What somebody wrote about an issue; `mentions` are the users it names."""

    __tablename__ = "comments"
    __table_args__ = (refers("issue_id", "issues"), Index("ix_comments_issue", "workspace_id", "issue_id", "id"))

    issue_id: Mapped[UUID]
    author_id: Mapped[UUID | None]
    author_name: Mapped[str]
    body: Mapped[str]
    mentions: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    created_at: Mapped[datetime] = created()


def members(db: Session) -> list[User]:
    """Return the active members, by name."""
    query = select(User).join(Member, Member.user_id == User.id).where(Member.status == "active")
    return list(db.execute(query.order_by(User.name, User.email)).scalars())


def mentioned(body: str, people: Iterable[User]) -> list[UUID]:
    """Return whom a text names: `@` and an address, the part before its @, or a name without its spaces; each once, in order."""
    known: dict[str, UUID] = {}
    for person in people:
        for name in (person.email, person.email.partition("@")[0], "".join(person.name.split())):
            known.setdefault(name.lower(), person.id)
    found = (known.get(match.group(1).lower().rstrip(".")) for match in MENTION.finditer(body))
    return list(dict.fromkeys(one for one in found if one is not None))


def comment(db: Session, issue_id: UUID, body: str, *, by: audit.Actor) -> Comment:
    """Write a comment; raises NotFound."""
    issue = issues.get(db, issue_id)
    row = Comment(id=ids.new(), issue_id=issue.id, author_name=by.name, body=body, mentions=mentioned(body, members(db)))
    row.author_id = by.actor_id if by.kind == "user" else None
    row.created_at = clock.now()
    db.add(row)
    db.flush()
    audit.record(db, by, audit.Action.COMMENT_CREATED, "issue", issue.id, {"comment": ids.show(ids.Prefix.COMMENT, row.id)})
    announcements.mentioned(db, issue, row.id, body, row.mentions, by)
    return row


def comments(db: Session, issue_id: UUID) -> list[Comment]:
    """Return an issue's comments, oldest first; raises NotFound."""
    issues.get(db, issue_id)
    return list(db.execute(select(Comment).where(Comment.issue_id == issue_id).order_by(Comment.id).limit(MOST)).scalars())


def withdraw(db: Session, issue_id: UUID, comment_id: UUID, *, by: audit.Actor) -> None:
    """Delete one's own comment; raises NotFound, and Forbidden for somebody else's."""
    row = db.execute(select(Comment).where(Comment.id == comment_id, Comment.issue_id == issue_id)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"no comment {ids.show(ids.Prefix.COMMENT, comment_id)}")
    if row.author_id is None or row.author_id != by.actor_id:
        raise Forbidden("only its author may delete a comment")
    db.execute(delete(Comment).where(Comment.id == comment_id))
    audit.record(db, by, audit.Action.COMMENT_DELETED, "issue", issue_id, {"comment": ids.show(ids.Prefix.COMMENT, comment_id)})


def activity(db: Session, issue_id: UUID) -> list[dict[str, Any]]:
    """Return what happened to an issue, newest first: its own moments, what people did and wrote, the words that regrouped it, and changes of its
    service within a day before it happened and some hours after.
    """
    issue = issues.get(db, issue_id)
    found = [*_moments(issue), *_acts(db, issue), *_written(db, issue), *_words(db, issue), *_changes(db, issue)]
    return sorted(found, key=lambda entry: (entry["at"], entry["type"]), reverse=True)[:MOST]


def _entry(at: datetime, kind: str, title: str, actor: str = "", details: Json | None = None) -> dict[str, Any]:
    return {"at": at, "type": kind, "title": title, "actor": actor, "details": details or {}}


def _moments(issue: Issue) -> list[dict[str, Any]]:
    pairs = (
        (issue.occurred_at, "issue.occurred", "It happened"),
        (issue.ingested_at, "issue.ingested", f"Came in from {issue.source}"),
        (issue.acknowledged_at, "issue.acknowledged", "Acknowledged"),
        (issue.analyzed_at, "issue.analyzed", "Analysed"),
        (issue.resolved_at, "issue.resolved", "Resolved"),
    )
    return [_entry(at, kind, title) for at, kind, title in pairs if at is not None]


def _acts(db: Session, issue: Issue) -> list[dict[str, Any]]:
    query = select(audit.Entry).where(audit.Entry.target_id == issue.id, audit.Entry.target_kind == "issue")
    query = query.where(audit.Entry.action.not_in((audit.Action.COMMENT_CREATED, audit.Action.COMMENT_DELETED)))
    rows = db.execute(query.order_by(audit.Entry.number.desc()).limit(MOST)).scalars()
    return [_entry(row.at, row.action, row.action.replace(".", " ").replace("_", " "), row.actor_name, row.details) for row in rows]


def _written(db: Session, issue: Issue) -> list[dict[str, Any]]:
    rows = db.execute(select(Comment).where(Comment.issue_id == issue.id).order_by(Comment.id.desc()).limit(MOST)).scalars()
    return [_entry(row.created_at, "comment", row.body, row.author_name, {"id": ids.show(ids.Prefix.COMMENT, row.id)}) for row in rows]


def _words(db: Session, issue: Issue) -> list[dict[str, Any]]:
    """Return the words about its symptom, and those that joined the pattern it was given with another."""
    names = [name for name in (issue.symptom, issue.fingerprint, issue.resembles) if name]
    about = Correction.symptoms.overlap(names) | ((Correction.kind == "merge") & (Correction.source_id == issue.home_id))
    found = []
    for row in db.execute(select(Correction).where(about).order_by(Correction.number.desc()).limit(MOST)).scalars():
        word = {"id": ids.show(ids.Prefix.CORRECTION, row.id), "kind": row.kind, "reason": row.reason}
        found.append(_entry(row.said_at, f"correction.{row.kind}", f"Regrouped by a person: {row.kind}", row.said_by, word))
        if row.revoked_at is not None:
            found.append(_entry(row.revoked_at, "correction.undo", f"Taken back: {row.kind}", row.revoked_by or "", word))
    return found


def _changes(db: Session, issue: Issue) -> list[dict[str, Any]]:
    rows = changes.around(db, issue.service, issue.occurred_at - AROUND, issue.occurred_at + AFTER)
    return [
        _entry(row.occurred_at, f"change.{row.kind}", row.title, row.source, {"service": row.service, "id": row.external_id})
        for row in rows
    ]
