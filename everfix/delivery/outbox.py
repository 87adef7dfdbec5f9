"""The ledger: a row for each (schedule, slot, channel, recipient), written before any work starts; each ends in words.

planned ─▶ queued ─▶ sending ─▶ sent
   │  ▲       │ ▲       ├─────▶ queued again, after a wait        (429, 5xx, time-outs; ATTEMPTS tries in all)
   │  └ held ◀┘ │       └─────▶ failed(cause)
   │      └─────┘ its destination's breaker lets it go (`circuits`)
   └──────────────────────────▶ skipped(reason) · failed(cause)

At least once: "sending" is committed before the call and the outcome after it. A worker that dies in between leaves "sending". When it had
read the other side's answer its note says so (`acceptances`), and the row becomes sent; else nobody can know, so the message is sent again
under the same key (the mail's Message-ID, the webhook's Idempotency-Key), and the ledger says so. See docs/decisions/0009.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Sequence
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import Index, select, text
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, created
from everfix.delivery.envelope import Target
from everfix.errors import Conflict, NotFound
from everfix.identity.principals import Principal

TASK = "delivery.send"


class Status(StrEnum):
    """What has become of a delivery; the last three are final."""

    PLANNED = "planned"
    HELD = "held"
    QUEUED = "queued"
    SENDING = "sending"
    SENT = "sent"
    SKIPPED = "skipped"
    FAILED = "failed"


FINAL = (Status.SENT, Status.SKIPPED, Status.FAILED)
WAITING = (Status.PLANNED, Status.HELD)


class Delivery(WorkspaceRow, Base):
    """One row of the ledger. It outlives the schedule, the run and the destination it names, so none of them is a foreign key.

    `key` is the idempotency key; `label` is the recipient as a person reads it; `tries` holds each call that was made and its outcome.
    """

    __tablename__ = "deliveries"
    __table_args__ = (
        Index("uq_deliveries_key", "workspace_id", "key", unique=True),
        Index("uq_deliveries_slot", "workspace_id", "schedule_id", "slot", "channel", "recipient", unique=True),
        Index("ix_deliveries_status", "workspace_id", "status", "id"),
        Index("ix_deliveries_run", "workspace_id", "run_id"),
        Index("ix_deliveries_created", "workspace_id", "created_at", "id"),
        Index("ix_deliveries_digest", "workspace_id", "digest_id", postgresql_where=text("digest_id IS NOT NULL")),
    )

    schedule_id: Mapped[UUID | None]
    slot: Mapped[datetime | None]
    run_id: Mapped[UUID | None]
    destination_id: Mapped[UUID | None]
    message_id: Mapped[UUID | None]
    digest_id: Mapped[UUID | None]  # the delivery of the digest it became part of
    channel: Mapped[str]
    recipient: Mapped[str]
    label: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=Status.PLANNED)
    reason: Mapped[str] = mapped_column(server_default="")
    attempts: Mapped[int] = mapped_column(server_default="0")
    next_try_at: Mapped[datetime | None]
    key: Mapped[str]
    receipt: Mapped[Json] = mapped_column(server_default="{}")
    tries: Mapped[list[Json]] = mapped_column(server_default="[]")
    owner_user_id: Mapped[UUID | None]
    created_at: Mapped[datetime] = created()
    finished_at: Mapped[datetime | None]
    told_at: Mapped[datetime | None]  # when its owner was told that it failed
    held_since: Mapped[datetime | None]  # when its destination's breaker first held it; None while it never did

    @property
    def waits(self) -> bool:
        """Whether it waits for what it is for; what a breaker holds waits for its destination."""
        return self.status in WAITING and self.held_since is None


def plan(
    db: Session,
    targets: Iterable[Target],
    *,
    schedule: UUID | None = None,
    slot: datetime | None = None,
    run: UUID | None = None,
    cause: str | None = None,
    owner: UUID | None = None,
) -> list[Delivery]:
    """Write a row per target before any work starts, and return them; a row that is there already is returned as it is.

    What they are for makes the key: a schedule's slot, else a run, else `cause` (an alert's firing), else nothing but this call.
    """
    if (schedule is None) != (slot is None):
        raise ValueError("a schedule and its slot belong together")
    base = f"{schedule}|{slot.isoformat()}" if schedule and slot else str(run) if run else cause or str(ids.new())
    wanted = {key(base, target): target for target in targets}
    rows = [
        {
            "id": ids.new(),
            "schedule_id": schedule,
            "slot": slot,
            "run_id": run,
            "destination_id": target.destination_id,
            "channel": target.channel,
            "recipient": target.recipient,
            "label": target.label,
            "key": name,
            "owner_user_id": owner,
            "created_at": clock.now(),
        }
        for name, target in wanted.items()
    ]
    if not rows:
        return []
    db.execute(insert(Delivery).values(rows).on_conflict_do_nothing(index_elements=["workspace_id", "key"]))
    found = {row.key: row for row in db.execute(select(Delivery).where(Delivery.key.in_(wanted))).scalars()}
    return [found[name] for name in wanted]


def key(base: str, target: Target) -> str:
    """Return the idempotency key: the same input gives the same key on any machine, at any time."""
    return hashlib.sha256(f"{base}|{target.channel}|{target.recipient}".encode()).hexdigest()[:40]


def release(
    db: Session, deliveries: Iterable[Delivery], message_id: UUID, *, run: UUID | None = None, wait: timedelta | None = None
) -> list[Delivery]:
    """Give waiting deliveries their message and queue them, in the caller's transaction; returns those that were still waiting."""
    released = []
    for row in deliveries:
        if not row.waits:
            continue
        row.message_id, row.run_id = message_id, run or row.run_id
        queue(db, row, wait)
        released.append(row)
    db.flush()
    return released


def queue(db: Session, row: Delivery, wait: timedelta | None = None) -> None:
    """Have a delivery sent, in the caller's transaction, after a wait."""
    row.status, row.reason, row.next_try_at = Status.QUEUED, "", None
    db.flush()
    jobs.enqueue(db, TASK, {"delivery": str(row.id)}, by="delivery", delay=wait)


def skip(db: Session, deliveries: Iterable[Delivery], reason: str) -> list[Delivery]:
    """End waiting deliveries on purpose, with the reason in words."""
    return _settle(db, deliveries, Status.SKIPPED, reason)


def fail(db: Session, deliveries: Iterable[Delivery], reason: str) -> list[Delivery]:
    """End waiting deliveries because what they were for could not be made, with the cause in words."""
    return _settle(db, deliveries, Status.FAILED, reason)


def hold(db: Session, deliveries: Iterable[Delivery], reason: str) -> list[Delivery]:
    """Let planned deliveries wait, with the reason in words; `release` sends them later."""
    return _settle(db, deliveries, Status.HELD, reason)


def _settle(db: Session, deliveries: Iterable[Delivery], status: Status, reason: str) -> list[Delivery]:
    if not reason.strip():
        raise ValueError(f"{status} needs a reason in words")
    settled = [row for row in deliveries if row.waits]
    for row in settled:
        row.status, row.reason = status, reason
        row.finished_at = None if status == Status.HELD else clock.now()
    db.flush()
    return settled


def resend(db: Session, delivery_id: UUID, by: Principal) -> Delivery:
    """Send once more what failed, under the same key; raises Conflict for anything that has not failed, or was never made."""
    row = get(db, delivery_id, lock=True)
    if row.status != Status.FAILED:
        raise Conflict(f"only what failed can be sent again: this delivery is {row.status}")
    if row.message_id is None:
        raise Conflict("there is nothing to send again: the report itself was not made; run it once more")
    row.attempts, row.finished_at, row.told_at, row.digest_id, row.held_since = 0, None, None, None, None
    note(row, "sent again", f"asked for by {by.name}")
    queue(db, row)
    audit.record(db, by, audit.Action.DELIVERY_RESENT, "delivery", row.id, {"recipient": row.label})
    return row


def note(row: Delivery, outcome: str, cause: str) -> None:
    """Add to what a row remembers of its tries."""
    row.tries = [*row.tries, {"at": clock.now().isoformat(), "try": row.attempts, "outcome": outcome, "cause": cause}]


def find(db: Session, delivery_id: UUID, *, lock: bool = False) -> Delivery | None:
    """Return one row, or None; with `lock` nobody else changes it until the transaction ends."""
    query = select(Delivery).where(Delivery.id == delivery_id)
    return db.execute(query.with_for_update() if lock else query).scalar_one_or_none()


def get(db: Session, delivery_id: UUID, *, lock: bool = False) -> Delivery:
    """Return one row; raises NotFound."""
    row = find(db, delivery_id, lock=lock)
    if row is None:
        raise NotFound(f"no delivery {ids.show(ids.Prefix.DELIVERY, delivery_id)}")
    return row


def of_run(db: Session, run_id: UUID) -> Sequence[Delivery]:
    """Return the deliveries of a run, in the order they were planned."""
    return db.execute(select(Delivery).where(Delivery.run_id == run_id).order_by(Delivery.created_at, Delivery.id)).scalars().all()


def of_slot(db: Session, schedule_id: UUID, slot: datetime) -> Sequence[Delivery]:
    """Return the deliveries of one slot of a schedule."""
    query = select(Delivery).where(Delivery.schedule_id == schedule_id, Delivery.slot == slot)
    return db.execute(query.order_by(Delivery.created_at, Delivery.id)).scalars().all()


CHANNEL_WORDS = {
    "mail": "The mail",
    "slack": "The Slack message",
    "teams": "The Teams message",
    "webhook": "The webhook call",
    "pagerduty": "The PagerDuty event",
    "apprise": "The message",
    "gone": "The message",  # to a destination that was no longer there when the row was planned
}
CHANNELS = tuple(CHANNEL_WORDS)


def needs_words(row: Delivery) -> str:
    """Return what became of a delivery, for a person: what, to whom, why, and what can be done."""
    what = f"{CHANNEL_WORDS[row.channel]} to {row.label}"
    tries = f" after {row.attempts} tries" if row.attempts > 1 else ""
    match row.status:
        case Status.SENT:
            return f"{what} was sent{f' at try {row.attempts}' if row.attempts > 1 else ''}."
        case Status.SKIPPED:
            return f"{what} was left out: {row.reason}."
        case Status.FAILED:
            end = "The other recipients are not affected; it can be sent again." if row.message_id else "Run the report again."
            return f"{what} failed{tries}: {row.reason}. {end}"
        case Status.HELD:
            return f"{what} waits: {row.reason}."
        case Status.QUEUED if row.attempts:
            return f"{what} was not taken at try {row.attempts} ({row.reason}); it will be tried again."
        case _:
            return f"{what} has not been sent yet."
