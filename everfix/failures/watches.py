"""Watches: who wants to hear of a pattern."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, PrimaryKeyConstraint, delete, func, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core.db import CURRENT, Base, created, refers
from everfix.errors import Invalid
from everfix.failures import patterns


class PatternWatch(Base):
    """One member who watches one pattern."""

    __tablename__ = "pattern_watches"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "pattern_id", "user_id"),
        refers("pattern_id", "patterns"),
        Index("ix_pattern_watches_user", "workspace_id", "user_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    pattern_id: Mapped[UUID]
    user_id: Mapped[UUID]
    created_at: Mapped[datetime] = created()


def begin(db: Session, pattern_id: UUID, *, by: audit.Actor) -> None:
    """Let somebody watch a pattern; raises NotFound, Invalid for who is no person."""
    patterns.get(db, pattern_id)
    db.execute(insert(PatternWatch).values(pattern_id=pattern_id, user_id=_person(by)).on_conflict_do_nothing())
    audit.record(db, by, audit.Action.PATTERN_WATCHED, "pattern", pattern_id)


def end(db: Session, pattern_id: UUID, *, by: audit.Actor) -> None:
    """Let somebody no longer watch a pattern; raises NotFound, Invalid for who is no person."""
    patterns.get(db, pattern_id)
    db.execute(delete(PatternWatch).where(PatternWatch.pattern_id == pattern_id, PatternWatch.user_id == _person(by)))
    audit.record(db, by, audit.Action.PATTERN_UNWATCHED, "pattern", pattern_id)


def of(db: Session, pattern_id: UUID, user: UUID | None) -> tuple[bool, int]:
    """Return whether somebody watches a pattern, and how many do."""
    mine = func.count().filter(PatternWatch.user_id == user)
    row = db.execute(select(mine, func.count()).select_from(PatternWatch).where(PatternWatch.pattern_id == pattern_id)).one()
    return bool(row[0]), int(row[1])


def watchers(db: Session, pattern_id: UUID) -> list[UUID]:
    """Return the users who watch a pattern."""
    return list(db.execute(select(PatternWatch.user_id).where(PatternWatch.pattern_id == pattern_id)).scalars())


def _person(by: audit.Actor) -> UUID:
    if by.kind != "user" or by.actor_id is None:
        raise Invalid("only a member can watch a pattern", details={"token": "the token of a person"})
    return by.actor_id
