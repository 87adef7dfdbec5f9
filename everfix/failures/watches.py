"""Watches: who wants to hear of a pattern, and what they are told: what people did to it, and that its status changed by itself."""

from __future__ import annotations

from collections.abc import Collection
from datetime import datetime
from uuid import UUID

from sqlalchemy import Index, PrimaryKeyConstraint, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import CURRENT, Base, among, created, refers
from everfix.delivery import feed
from everfix.errors import Invalid
from everfix.failures import patterns


class PatternWatch(Base):
    """One member who watches one pattern; `status` is the one that they have seen or were told."""

    __tablename__ = "pattern_watches"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "pattern_id", "user_id"),
        refers("pattern_id", "patterns"),
        Index("ix_pattern_watches_user", "workspace_id", "user_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    pattern_id: Mapped[UUID]
    user_id: Mapped[UUID]
    status: Mapped[str]
    created_at: Mapped[datetime] = created()


def begin(db: Session, pattern_id: UUID, *, by: audit.Actor) -> None:
    """Let somebody watch a pattern; raises NotFound, Invalid for who is no person."""
    pattern = patterns.get(db, pattern_id)
    values = {"pattern_id": pattern_id, "user_id": _person(by), "status": pattern.status}
    db.execute(insert(PatternWatch).values(values).on_conflict_do_nothing())
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


def all_of(db: Session, pattern_ids: Collection[UUID]) -> dict[UUID, list[UUID]]:
    """Return the users who watch each of these patterns, those without any left out."""
    query = select(PatternWatch.pattern_id, func.array_agg(PatternWatch.user_id).label("users"))
    rows = db.execute(query.where(among(PatternWatch.pattern_id, pattern_ids)).group_by(PatternWatch.pattern_id))
    return {row.pattern_id: row.users for row in rows}


def tell(db: Session, pattern_id: UUID, words: str, *, by: audit.Actor) -> None:
    """Tell a pattern's watchers what somebody did to it; not the one who did it, who has seen its status too."""
    own = by.actor_id if by.kind == "user" else None
    _pass(db, patterns.get(db, pattern_id), f"{by.name} {words}.", str(ids.new()), but=own, by=by)


def follow(db: Session) -> None:
    """Tell the watchers of each pattern whose status is no longer the one they know."""
    query = select(PatternWatch.pattern_id, func.min(PatternWatch.status).label("was")).join(
        patterns.Pattern, patterns.Pattern.id == PatternWatch.pattern_id
    )
    for row in db.execute(query.where(PatternWatch.status != patterns.Pattern.status).group_by(PatternWatch.pattern_id)).all():
        found = patterns.get(db, row.pattern_id)
        db.refresh(found)  # counting and proofs write past the session
        _pass(db, found, f"It was {row.was} and is {found.status} now.", f"{found.status}|{clock.now().isoformat()}")


def _pass(db: Session, pattern: patterns.Pattern, words: str, key: str, *, but: UUID | None = None, by: audit.Actor | None = None) -> None:
    """Give one line to the watchers' feeds. What was done to a watched pattern has no severity and no risk, so no such gate holds it back."""
    everybody = watchers(db, pattern.id)
    if not everybody:
        return
    event = feed.Event(
        "pattern.updated",
        f"{pattern.name} changed",
        words,
        "pattern",
        pattern.id,
        f"/patterns/{ids.show(ids.Prefix.PATTERN, pattern.id)}",
        actor={"id": str(by.actor_id) if by.actor_id else None, "name": by.name} if by else {},
        key=f"watched|{pattern.id}|{key}",
    )
    feed.tell(db, event, users=[one for one in everybody if one != but])
    db.execute(update(PatternWatch).where(PatternWatch.pattern_id == pattern.id).values(status=pattern.status))


def _person(by: audit.Actor) -> UUID:
    if by.kind != "user" or by.actor_id is None:
        raise Invalid("only a member can watch a pattern", details={"token": "the token of a person"})
    return by.actor_id
