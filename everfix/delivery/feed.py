"""The feed: what happened that a person should know, one row for each of them; mail and chat go out as each has chosen.

`tell` is called in the transaction in which the thing happened. Whoever listens (server-sent events, the WebSocket) is woken when it commits.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime
from itertools import groupby
from uuid import UUID

from sqlalchemy import ColumnElement, Index, and_, func, select, text, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids, jobs, live
from everfix.core.db import Base, Json, WorkspaceRow, created, current
from everfix.delivery import destinations, messages, outbox, personal
from everfix.delivery.envelope import Target
from everfix.delivery.messages import Severity
from everfix.delivery.personal import Personal
from everfix.errors import NotFound
from everfix.identity.members import Member
from everfix.identity.users import User

TASK = "notifications.digests"

SEVERITIES: dict[str | None, Severity] = {"p1": "critical", "p2": "warning"}


class Notification(WorkspaceRow, Base):
    """One row of one person's feed. `key` keeps the same thing from being told twice; `mail_due_at` is when its digest comes."""

    __tablename__ = "notifications"
    __table_args__ = (
        Index("ix_notifications_feed", "workspace_id", "user_id", "id"),
        Index("uq_notifications_key", "workspace_id", "user_id", "key", unique=True),
        Index("ix_notifications_mail", "workspace_id", "mail_due_at", postgresql_where=text("mail_due_at IS NOT NULL")),
    )

    user_id: Mapped[UUID]
    type: Mapped[str]
    title: Mapped[str]
    body: Mapped[str] = mapped_column(server_default="")
    entity_type: Mapped[str | None]
    entity_id: Mapped[UUID | None]
    source: Mapped[str] = mapped_column(server_default="everfix")
    actor: Mapped[Json] = mapped_column(server_default="{}")
    link: Mapped[str] = mapped_column(server_default="")
    key: Mapped[str]
    in_app: Mapped[bool] = mapped_column(server_default="true")
    read_at: Mapped[datetime | None]
    dismissed_at: Mapped[datetime | None]
    mail_due_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


@dataclasses.dataclass(frozen=True, slots=True)
class Event:
    """Something that happened. `severity` and `risk` are what personal gates look at, where the event has one; `link` is a path."""

    type: str
    title: str
    body: str = ""
    entity_type: str | None = None
    entity_id: UUID | None = None
    link: str = ""
    source: str = "everfix"
    actor: Json = dataclasses.field(default_factory=dict)
    severity: str | None = None
    risk: int | None = None
    key: str = ""


def tell(db: Session, event: Event, *, users: Collection[UUID] | None = None, url: str = "") -> int:
    """Tell each active member (or those of `users`) as they have chosen, once per `key`; returns how many rows that made."""
    query = select(User).join(Member, Member.user_id == User.id).where(Member.status == "active").order_by(User.id)
    people = db.execute(query if users is None else query.where(User.id.in_(users))).scalars().all()
    settings = {row.user_id: row for row in db.execute(select(Personal)).scalars()}
    made = 0
    for person in people:
        own = settings.get(person.id) or personal.defaults(person.id)
        choice = personal.choice(own, event.type, event.severity, event.risk)
        if choice.in_app or choice.ways:
            made += _one(db, event, person, own, choice, url)
    if made:
        db.execute(text("SELECT pg_notify(:channel, :workspace)"), {"channel": live.CHANNEL, "workspace": str(current(db))})
    return made


def _one(db: Session, event: Event, person: User, own: Personal, choice: personal.Choice, url: str) -> int:
    now = clock.now()
    by_mail = "email" in choice.ways
    due = personal.next_mail(own.digest_frequency, person.timezone, now) if by_mail else None
    row = {
        "id": ids.new(),
        "user_id": person.id,
        **{name: getattr(event, name) for name in ("type", "title", "body", "entity_type", "entity_id", "source", "actor", "link")},
        "key": event.key or str(ids.new()),
        "in_app": choice.in_app,
        "mail_due_at": due,
        "created_at": now,
    }
    added = insert(Notification).values(row).on_conflict_do_nothing(index_elements=["workspace_id", "user_id", "key"])
    if db.execute(added.returning(Notification.id)).one_or_none() is None:
        return 0
    targets = [Target("mail", person.email, person.email)] if by_mail and due is None else []
    targets += _own_channels(db, person.id, choice.ways)
    if targets:
        said = messages.write(
            db,
            kind="notice",
            subject=event.title,
            paragraphs=[event.body] if event.body else [],
            link=f"{url}{event.link}" if url and event.link else "",
            severity=SEVERITIES.get(event.severity, "info"),
            data={"type": event.type, "dedup_key": str(row["key"])},
        )
        outbox.release(db, outbox.plan(db, targets, cause=f"notification|{row['id']}", owner=person.id), said.id)
    return 1


def _own_channels(db: Session, user: UUID, ways: Collection[str]) -> list[Target]:
    wanted = [way for way in ways if way != "email"]
    if not wanted:
        return []
    return [Target(row.channel.channel, str(row.id), row.name, row.id) for row in destinations.personal(db, user) if row.kind in wanted]


def gather(job: jobs.Running) -> Json:
    """Job `notifications.digests`: one mail for each person whose digest is due."""
    with job.database.transaction(job.workspace) as db:
        due = select(Notification).where(Notification.mail_due_at <= clock.now()).order_by(Notification.user_id, Notification.id)
        rows = db.execute(due.with_for_update(skip_locked=True)).scalars().all()
        people = {person.id: person for person in db.execute(select(User).where(User.id.in_({row.user_id for row in rows}))).scalars()}
        for user, found in groupby(rows, key=lambda row: row.user_id):
            mine = list(found)
            if user in people:
                _digest(db, people[user], mine, job.services.url)
            for row in mine:
                row.mail_due_at = None
    return {"notifications": len(rows)}


def _digest(db: Session, person: User, rows: Sequence[Notification], url: str) -> None:
    subject = rows[0].title if len(rows) == 1 else f"{len(rows)} notifications"
    said = messages.write(
        db,
        kind="notice",
        subject=subject,
        paragraphs=[f"What happened since the last mail, {len(rows)} in all:"] if len(rows) > 1 else [rows[0].body],
        takeaways=[f"{row.title}. {row.body}".strip() for row in rows[:50]] if len(rows) > 1 else [],
        link=f"{url}/notifications",
    )
    target = Target("mail", person.email, person.email)
    outbox.release(db, outbox.plan(db, [target], cause=f"notifications|{rows[0].id}", owner=person.id), said.id)


def is_due(db: Session) -> bool:
    """Tell whether any person's digest is due."""
    return db.execute(select(Notification.id).where(Notification.mail_due_at <= clock.now()).limit(1)).first() is not None


# ---- one person's view


def visible(user: UUID) -> ColumnElement[bool]:
    """Return the condition that a row stands in a person's feed."""
    return and_(Notification.user_id == user, Notification.in_app, Notification.dismissed_at.is_(None))


def unread(db: Session, user: UUID) -> int:
    """Return how many rows a person has not read."""
    query = select(func.count()).select_from(Notification).where(visible(user), Notification.read_at.is_(None))
    return int(db.execute(query).scalar_one())


def after(db: Session, user: UUID, last: UUID | None, limit: int = 100) -> Sequence[Notification]:
    """Return the rows that came after `last`, oldest first: what a listener missed."""
    query = select(Notification).where(visible(user)).order_by(Notification.id).limit(limit)
    return db.execute(query if last is None else query.where(Notification.id > last)).scalars().all()


def newest(db: Session, user: UUID) -> UUID | None:
    """Return the id of a person's newest row."""
    query = select(Notification.id).where(visible(user)).order_by(Notification.id.desc()).limit(1)
    return db.execute(query).scalar_one_or_none()


def get(db: Session, user: UUID, notification_id: UUID) -> Notification:
    """Return one row of a person's feed; raises NotFound."""
    query = select(Notification).where(visible(user), Notification.id == notification_id)
    row = db.execute(query).scalar_one_or_none()
    if row is None:
        raise NotFound(f"no notification {ids.show(ids.Prefix.NOTIFICATION, notification_id)}")
    return row


def read(db: Session, user: UUID, notification_id: UUID) -> Notification:
    """Mark one row read."""
    row = get(db, user, notification_id)
    row.read_at = row.read_at or clock.now()
    db.flush()
    return row


def read_all(db: Session, user: UUID, prefix: str = "") -> int:
    """Mark every unread row read whose type begins with `prefix`, and return how many that were."""
    query = update(Notification).where(visible(user), Notification.read_at.is_(None))
    if prefix:
        query = query.where(Notification.type.startswith(prefix, autoescape=True))
    return len(db.execute(query.values(read_at=clock.now()).returning(Notification.id)).all())


def dismiss(db: Session, user: UUID, notification_id: UUID) -> None:
    """Take one row out of a person's feed."""
    get(db, user, notification_id).dismissed_at = clock.now()
    db.flush()
