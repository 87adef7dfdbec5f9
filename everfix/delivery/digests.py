"""Digests: the reports that wait for a recipient who wants one mail a day or a week, put into one mail; each row ends as that mail does."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from uuid import UUID

from sqlalchemy import Select, select, update
from sqlalchemy.orm import Session

from everfix.core import clock, jobs
from everfix.core.db import Json
from everfix.delivery import messages, outbox, preferences
from everfix.delivery.envelope import Target
from everfix.delivery.messages import Message
from everfix.delivery.outbox import Delivery, Status
from everfix.identity import workspaces

TASK = "delivery.digests"
TAKEAWAYS_MOST = 20


def _due() -> Select[Delivery]:
    """Rows that wait for a digest whose moment has come (a row that `hold` put there has no such moment, one that a breaker holds another)."""
    held = (Delivery.status == Status.HELD, Delivery.digest_id.is_(None), Delivery.held_since.is_(None))
    return select(Delivery).where(*held, Delivery.next_try_at <= clock.now())


def is_due(db: Session) -> bool:
    """Tell whether any digest of this workspace should be made now."""
    return db.execute(_due().limit(1)).first() is not None


def gather(job: jobs.Running) -> Json:
    """Job `delivery.digests`: make and queue one mail for each recipient whose digest is due."""
    made = 0
    with job.database.transaction(job.workspace) as db:
        order = (Delivery.channel, Delivery.recipient, Delivery.destination_id, Delivery.id)
        rows = db.execute(_due().order_by(*order).with_for_update(skip_locked=True)).scalars().all()
        for _, members in groupby(rows, key=lambda row: (row.channel, row.recipient, row.destination_id)):
            wanted = [row for row in members if _still_wanted(db, job.workspace, row)]
            if wanted:
                _one(db, wanted, job.services.url)
                made += 1
    return {"digests": made, "reports": len(rows)}


def _still_wanted(db: Session, workspace: UUID, row: Delivery) -> bool:
    """Leave out what the recipient has ended while it waited."""
    named = preferences.Named(workspace, row.channel, row.recipient, row.schedule_id)
    gate = preferences.gate(db, named, workspaces.here(db).timezone, digest=False)
    if gate.skip:
        row.status, row.reason, row.finished_at, row.next_try_at = Status.SKIPPED, gate.skip, clock.now(), None
    return not gate.skip


def _one(db: Session, rows: Sequence[Delivery], url: str) -> None:
    said = [messages.get(db, row.message_id) for row in rows if row.message_id is not None]
    message = said[0] if len(said) == 1 else _together(db, said, url)
    first = rows[0]
    target = Target(first.channel, first.recipient, first.label, first.destination_id)
    (digest,) = outbox.plan(db, [target], cause=f"digest|{first.key}", owner=first.owner_user_id)
    for row in rows:
        row.digest_id = digest.id
    outbox.release(db, [digest], message.id)


def _together(db: Session, said: Sequence[Message], url: str) -> Message:
    """Return one message of several: each opens with its subject, and brings its files along."""
    return messages.write(
        db,
        kind="digest",
        subject=f"{len(said)} reports: {', '.join(dict.fromkeys(one.subject for one in said))}"[:200],
        paragraphs=[f"{one.subject}: {' '.join(one.paragraphs)}" for one in said],
        takeaways=[line for one in said for line in one.takeaways][:TAKEAWAYS_MOST],
        link=f"{url}/reports",
        brand=said[0].brand,
        colour=said[0].colour,
        artifacts=[file for one in said for file in one.files],
        data={"reports": [{"subject": one.subject, "link": one.link, "data": one.data} for one in said]},
    )


def follow(db: Session, digest: UUID, status: str, reason: str) -> None:
    """Let the rows of a digest end as it did."""
    ended = (Status.HELD, Status.FAILED)
    values = {"status": status, "reason": reason, "finished_at": clock.now(), "next_try_at": None}
    db.execute(update(Delivery).where(Delivery.digest_id == digest, Delivery.status.in_(ended)).values(**values))
