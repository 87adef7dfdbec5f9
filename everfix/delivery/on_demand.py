"""On demand: a message that a person sends to one destination now; the ledger holds it like any other."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from typing import Any, Literal
from uuid import UUID

from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import outbound
from everfix.core.db import Database
from everfix.delivery import destinations, messages, outbox, send, targets
from everfix.delivery.outbox import Delivery
from everfix.identity import workspaces
from everfix.identity.principals import Principal

SAFETY = timedelta(minutes=2)  # a worker takes over what was to be sent right here and never was; after this no try is still under way
TEST = (
    "This is a test message.",
    "If you read it, reports and alerts will arrive here.",
)


def now(
    database: Database,
    services: Any,  # noqa: ANN401 - an Installation
    by: Principal,
    destination_id: UUID,
    *,
    kind: Literal["test", "notice"],
    subject: str,
    paragraphs: Sequence[str],
) -> list[Delivery]:
    """Send a message to one destination, one try for each of its recipients, and return what became of each. Raises NotFound.

    No transaction may be open: other servers are asked.
    """
    with database.transaction(by.workspace) as db:
        rows = queue(db, services, by, destination_id, wait=SAFETY, kind=kind, subject=subject, paragraphs=paragraphs)
    for row in rows:
        send.attempt(database, by.workspace, services, row, tries=1)
    with database.transaction(by.workspace) as db:
        return [outbox.get(db, row) for row in rows]


def test(db: Session, services: Any, by: Principal, destination_id: UUID) -> list[UUID]:  # noqa: ANN401
    """Queue a test message to a destination, and return its rows: for whoever does not wait."""
    subject = f"Test of {destinations.get(db, destination_id).name}"
    return queue(db, services, by, destination_id, kind="test", subject=subject, paragraphs=TEST)


def queue(db: Session, services: Any, by: Principal, destination_id: UUID, *, wait: timedelta | None = None, **said: Any) -> list[UUID]:  # noqa: ANN401
    """Write a message and its rows, and queue them (after `wait`); returns the rows' ids."""
    there = destinations.get(db, destination_id)
    here = workspaces.here(db)
    message = messages.write(db, brand=here.name, colour=here.brand_colour, link=services.url, **said)
    found = targets.of(db, services.keys, outbound.guard(services.settings), [], [there.id])
    rows = outbox.plan(db, found, owner=by.actor_id if by.kind == "user" else None)
    outbox.release(db, rows, message.id, wait=wait)
    action = audit.Action.DESTINATION_TESTED if said["kind"] == "test" else audit.Action.MESSAGE_SENT
    audit.record(db, by, action, "destination", there.id, {"name": there.name, "subject": message.subject})
    return [row.id for row in rows]
