"""Circuits: what is to go to a destination that keeps failing is held, not tried again and again; nothing is lost.

A breaker stands before each destination (for mail: before the mail server). While it is open, deliveries to it are `held`, with the cause
and the time of the next try in words. When its wait is over, the oldest of them is sent as the probe; when that succeeds, all are queued at
once, a little spread. What was held for HELD_LONGEST ends as failed, as any delivery that cannot be made: its owner is told, and it can be
sent again.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import ColumnElement, delete, func, select, text, update
from sqlalchemy.orm import Session

from everfix.core import breakers, clock
from everfix.core.breakers import Breaker, State
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery, Status
from everfix.errors import Outbound

log = structlog.get_logger()

HELD_LONGEST = timedelta(hours=24)
SPREAD_SECONDS = 0.2  # between two of those that a breaker lets go
PREFIX = "destination:"
MAIL, SLACK = "mail", "slack"
TITLES = {MAIL: "The mail server", SLACK: "Slack, by its bot"}


def name(row: Delivery) -> str:
    """Return the breaker that a delivery asks: all mail goes through one server, everything else to its own destination."""
    return row.channel if row.channel == MAIL or row.destination_id is None else f"{PREFIX}{row.destination_id}"


def of(destination: UUID) -> str:
    """Return the name of a destination's breaker."""
    return f"{PREFIX}{destination}"


def refuses(db: Session, row: Delivery) -> Breaker | None:
    """Return the breaker that does not let a delivery go now, or None; who is let through by one that is not closed is its probe."""
    found = breakers.ask(db, name(row), str(row.id))
    if found is not None:
        found.holds = True
    return found


def words(found: Breaker) -> str:
    """Return why something is held, and until when."""
    at = f"{found.retry_at:%Y-%m-%d %H:%M} UTC" if found.retry_at else "once the try under way has ended"
    times = "once" if found.failures == 1 else f"{found.failures} times in a row"
    return f"{found.title} failed {times} ({found.cause}); next try at {at}"


def hold(row: Delivery, found: Breaker) -> None:
    """Let a delivery wait for a breaker."""
    if row.status != Status.HELD:
        outbox.note(row, "held", words(found))
    row.status, row.reason, row.next_try_at = Status.HELD, words(found), found.retry_at
    row.held_since = row.held_since or clock.now()


def failed(db: Session, row: Delivery, title: str, problem: Outbound) -> None:
    """Count a failure, unless the other side is well and only refuses this message or this recipient; say to those held what it means."""
    if problem.permanent or problem.answered:
        succeeded(db, row)
        return
    found = breakers.note_failure(db, name(row), title, problem.message, problem.retry_after)
    if found.state != State.CLOSED:
        db.execute(update(Delivery).where(*_held(found.name)).values(reason=words(found), next_try_at=found.retry_at))


def succeeded(db: Session, row: Delivery) -> None:
    """Close the breaker, and let go whatever waited for that."""
    _let_go(db, breakers.note_success(db, name(row)))


def passed_over(db: Session, row: Delivery) -> None:
    """Say that a delivery ended, or waits, without a call: if it was the probe, another one may be."""
    breakers.give_back(db, name(row), str(row.id))


def reset(db: Session, destination: UUID) -> None:
    """Close a destination's breaker because a person changed the destination: what waits is tried anew."""
    _let_go(db, breakers.note_success(db, of(destination), "the destination was changed"))


def forget(db: Session, destination: UUID) -> None:
    """Remove the breaker of a destination that is gone; what waits for it ends."""
    reset(db, destination)
    db.execute(delete(Breaker).where(Breaker.name == of(destination)))


def _let_go(db: Session, found: Breaker | None) -> None:
    if found is None:
        return
    query = select(Delivery).where(*_held(found.name)).order_by(Delivery.created_at, Delivery.id).with_for_update(skip_locked=True)
    for place, row in enumerate(db.execute(query).scalars().all()):
        outbox.queue(db, row, timedelta(seconds=place * SPREAD_SECONDS))


def _held(breaker: str) -> tuple[ColumnElement[bool], ...]:
    waits = (Delivery.status == Status.HELD, Delivery.held_since.is_not(None))
    if breaker.startswith(PREFIX):
        return (*waits, Delivery.destination_id == UUID(breaker.removeprefix(PREFIX)), Delivery.channel != MAIL)
    return (*waits, Delivery.channel == breaker, *(() if breaker == MAIL else (Delivery.destination_id.is_(None),)))


def too_long(row: Delivery) -> bool:
    """Tell whether a delivery was held for as long as one may be."""
    return row.held_since is not None and row.held_since <= clock.now() - HELD_LONGEST


def tick(services: Any, now: datetime | None = None) -> int:  # noqa: ANN401 - an Installation
    """Send the probe of each breaker whose wait is over, and what was held for too long; returns how many deliveries were queued.

    Called every few seconds, by every worker; each breaker is served by one of them.
    """
    database, done = services.database, 0
    with database.transaction() as db:
        at = now or db.execute(select(func.clock_timestamp())).scalar_one()
        due = db.execute(text("SELECT workspace_id, breaker_id FROM everfix_due_breakers(:at)"), {"at": at}).all()
    for workspace, breaker in due:
        with database.transaction(workspace) as db:
            done += _serve(db, breaker, at)
    return done


def _serve(db: Session, breaker: UUID, now: datetime) -> int:
    query = select(Breaker).where(Breaker.id == breaker, Breaker.retry_at <= now).with_for_update(skip_locked=True)
    found = db.execute(query).scalar_one_or_none()
    if found is None:
        return 0  # another tick has it in hand, or has served it just now; or a call went through
    held = select(Delivery).where(*_held(found.name)).order_by(Delivery.created_at, Delivery.id).with_for_update(skip_locked=True)
    old = db.execute(held.where(Delivery.held_since <= now - HELD_LONGEST)).scalars().all()
    rows = [*old, *db.execute(held.where(Delivery.held_since > now - HELD_LONGEST).limit(1)).scalars()]
    for row in rows:
        outbox.queue(db, row)
    fresh = rows[len(old) :]
    if fresh:
        new, _ = breakers.asked(found.circuit, str(fresh[0].id), now)
        found.become(new, "its wait was over")
    elif not old:
        found.holds = False
    return len(rows)
