"""Notices: the owner is told in words what was not delivered, missed or held, and why; an owner who has left is replaced by the workspace's admins.

Failures of one run are told together: the job waits a moment, and takes what has failed by then.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import Select, select
from sqlalchemy.orm import Session

from everfix.core import clock, jobs
from everfix.core.db import Json
from everfix.delivery import feed, messages, outbox
from everfix.delivery.envelope import Target
from everfix.delivery.outbox import Delivery, Status
from everfix.identity.members import Member
from everfix.identity.principals import Role
from everfix.identity.users import User

TASK = "delivery.tell"
WAIT = timedelta(seconds=30)
NAMED_MOST = 30
SILENT = ("notice", "test")  # a notice about a notice would go round in circles; whoever tests sees the answer


@dataclasses.dataclass(frozen=True, slots=True)
class Notice:
    """What somebody has to know: a subject, a sentence, a line for each thing, and the path of the page about it."""

    subject: str
    opening: str
    lines: Sequence[str]
    link: str
    entity: str
    entity_id: UUID


def queue(db: Session, row: Delivery) -> None:
    """Have the owner told of a delivery that failed for good, unless it was itself a notice or a test."""
    kind = messages.get(db, row.message_id).kind if row.message_id is not None else "report"
    if kind not in SILENT:
        jobs.enqueue(db, TASK, {"delivery": str(row.id)}, by="delivery", delay=WAIT)


def tell(job: jobs.Running) -> Json:
    """Job `delivery.tell`: write to whoever answers for a delivery about everything of the same run that failed and was not told yet."""
    with job.database.transaction(job.workspace) as db:
        row = outbox.find(db, UUID(job.payload["delivery"]))
        if row is None or row.told_at is not None:
            return {"told": 0}
        failed = db.execute(_untold(row).with_for_update()).scalars().all()
        if not failed:
            return {"told": 0}
        told = say(db, row.owner_user_id, _undelivered(db, failed), str(job.job_id), job.services.url)
        for one in failed:
            one.told_at = clock.now()
        return {"told": told}


def say(db: Session, owner: UUID | None, notice: Notice, cause: str, url: str) -> int:
    """Tell whoever answers for something, by mail and in the feed, once per `cause`; returns how many people that is."""
    people, stands_in = responsible(db, owner)
    targets = [Target("mail", person.email, person.email) for person in people]
    waiting = [row for row in outbox.plan(db, targets, cause=f"notice|{cause}") if row.status in outbox.WAITING]
    if waiting:
        why = ["You get this as an admin: its owner no longer belongs to the workspace."] if stands_in and owner else []
        message = messages.write(
            db,
            kind="notice",
            subject=notice.subject,
            paragraphs=[notice.opening, *why],
            takeaways=notice.lines,
            link=f"{url}{notice.link}",
            severity="warning",
        )
        outbox.release(db, waiting, message.id)
    words = " ".join(notice.lines)[:1000] or notice.opening
    event = feed.Event("delivery.failed", notice.subject, words, notice.entity, notice.entity_id, notice.link, key=f"notice|{cause}")
    feed.tell(db, event, users=[person.id for person in people])
    return len(people)


def _untold(row: Delivery) -> Select[Delivery]:
    query = select(Delivery).where(Delivery.status == Status.FAILED, Delivery.told_at.is_(None)).order_by(Delivery.id)
    if row.run_id is not None:
        return query.where(Delivery.run_id == row.run_id)
    if row.schedule_id is not None:
        return query.where(Delivery.schedule_id == row.schedule_id, Delivery.slot == row.slot)
    return query.where(Delivery.id == row.id)


def responsible(db: Session, owner: UUID | None) -> tuple[list[User], bool]:
    """Return who answers for something, and whether they stand in for an owner who is unknown or has left: then it is the admins."""
    active = select(User).join(Member, Member.user_id == User.id).where(Member.status == "active")
    found = db.execute(active.where(User.id == owner)).scalars().all() if owner is not None else []
    if found:
        return list(found), False
    return list(db.execute(active.where(Member.role.in_((Role.ADMIN, Role.OWNER))).order_by(User.email)).scalars()), True


def _undelivered(db: Session, failed: Sequence[Delivery]) -> Notice:
    first = failed[0]
    about = messages.get(db, first.message_id).subject if first.message_id is not None else "A report"
    lines = [outbox.needs_words(row) for row in failed[:NAMED_MOST]]
    if len(failed) > NAMED_MOST:
        lines.append(f"and {len(failed) - NAMED_MOST} more.")
    opening = f"“{about}” did not reach {'one recipient' if len(failed) == 1 else f'{len(failed)} recipients'}."
    return Notice(f"Not delivered: {about}", opening, lines, "/deliveries?status=failed", "delivery", first.id)
