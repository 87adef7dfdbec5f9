"""Pushes: a recommendation becomes a ticket of a tracker; its link is kept, and its state is followed back.

The ticket goes out like every other delivery: through the ledger, retried, sent once more only when it failed. An hourly job asks the
trackers what became of their tickets: one that was started moves its recommendation to `in_progress`, one that is done claims the fix.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs, outbound
from everfix.core.crypto import Keys
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.core.outbound import Guard
from everfix.delivery import channels, destinations, messages, outbox, targets, tickets
from everfix.delivery.destinations import Destination
from everfix.delivery.outbox import Delivery
from everfix.delivery.tickets import State
from everfix.errors import Conflict, Invalid, Outbound
from everfix.failures import claims, recommendations
from everfix.failures.recommendations import Recommendation, Step
from everfix.identity.principals import Principal, system

TASK = "failures.follow_tickets"


class Ticket(WorkspaceRow, Base):
    """A ticket that was opened for a recommendation. Its number and address are the receipt of its delivery."""

    __tablename__ = "tickets"
    __table_args__ = (
        refers("recommendation_id", "recommendations"),
        refers("delivery_id", "deliveries"),
        CheckConstraint("state IN ('open', 'started', 'done', 'cancelled')", name="state"),
        Index("uq_tickets_delivery", "workspace_id", "delivery_id", unique=True),
        Index("ix_tickets_recommendation", "workspace_id", "recommendation_id"),
    )

    recommendation_id: Mapped[UUID]
    delivery_id: Mapped[UUID]
    destination_id: Mapped[UUID]
    tracker: Mapped[str]
    state: Mapped[str] = mapped_column(server_default=State.OPEN)
    error: Mapped[str] = mapped_column(server_default="")
    checked_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """A ticket with what its delivery says of it."""

    ticket: Ticket
    delivery: Delivery

    @property
    def external_id(self) -> str | None:
        """The ticket's own name at the tracker, once it has one."""
        return self.delivery.receipt.get("external_id")

    @property
    def external_url(self) -> str | None:
        """Where the ticket can be seen."""
        return self.delivery.receipt.get("external_url")


def push(db: Session, keys: Keys, guard: Guard, recommendation_id: UUID, tracker: str, *, url: str, by: Principal) -> Shown:
    """Open a ticket for a recommendation at a tracker, named by its destination's id or by its kind where there is one of the kind.

    Pushing again gives the ticket that is there, or sends again what failed. Raises Invalid for a tracker that is not set up, Conflict for
    a recommendation that needs no ticket any more.
    """
    found = recommendations.get(db, recommendation_id)
    if found.status not in (recommendations.PENDING, recommendations.IN_PROGRESS):
        raise Conflict(f"a recommendation that is {found.status} needs no ticket")
    destination = _tracker(db, tracker)
    target = targets.of(db, keys, guard, (), [destination.id])
    row = outbox.plan(db, target, cause=f"push|{recommendation_id}", owner=by.actor_id if by.kind == "user" else None)[0]
    known = db.execute(select(Ticket).where(Ticket.delivery_id == row.id)).scalar_one_or_none()
    if known is None:
        known = Ticket(
            id=ids.new(), recommendation_id=found.id, delivery_id=row.id, destination_id=destination.id, tracker=destination.kind
        )
        db.add(known)
        outbox.release(db, [row], _message(db, found, url).id)
        audit.record(db, by, audit.Action.RECOMMENDATION_PUSHED, "recommendation", found.id, {"tracker": destination.name})
    elif row.status == outbox.Status.FAILED:
        outbox.resend(db, row.id, by)
    db.flush()
    return Shown(known, row)


def _tracker(db: Session, named: str) -> Destination:
    """Return the destination that `named` means; raises Invalid naming the trackers there are."""
    there = [one for one in destinations.listed(db, enabled=True) if one.channel.follow is not None]
    wanted = [one for one in there if named in (one.kind, str(one.id), ids.show(ids.Prefix.DESTINATION, one.id))]
    if len(wanted) == 1:
        return wanted[0]
    kinds = ", ".join(kind for kind, channel in channels.CHANNELS.items() if channel.follow is not None)
    known = ", ".join(f"{one.name} ({ids.show(ids.Prefix.DESTINATION, one.id)})" for one in there)
    said = f"several trackers are of the kind {named[:40]!r}" if wanted else f"there is no tracker {named[:60]!r}"
    hint = f"one of {known}" if known else f"set up a destination of the kind {kinds} first"
    raise Invalid(said, details={"tracker": hint})


def _message(db: Session, found: Recommendation, url: str) -> messages.Message:
    steps = db.execute(select(Step.title).where(Step.recommendation_id == found.id).order_by(Step.position)).scalars().all()
    link = f"{url}/recommendations/{ids.show(ids.Prefix.RECOMMENDATION, found.id)}"
    return messages.write(db, kind="ticket", subject=found.title, paragraphs=[found.summary], takeaways=list(steps), link=link)


def of(db: Session, recommendation_ids: Sequence[UUID]) -> dict[UUID, list[Shown]]:
    """Return the tickets of each recommendation, oldest first."""
    query = select(Ticket, Delivery).join(Delivery, Delivery.id == Ticket.delivery_id)
    found: dict[UUID, list[Shown]] = {one: [] for one in recommendation_ids}
    for row in db.execute(query.where(Ticket.recommendation_id.in_(recommendation_ids)).order_by(Ticket.created_at, Ticket.id)):
        found[row.Ticket.recommendation_id].append(Shown(row.Ticket, row.Delivery))
    return found


@dataclasses.dataclass(frozen=True, slots=True)
class _Question:
    """What to ask a tracker, loaded before the call is made."""

    ticket: UUID
    external_id: str
    url: str
    config: Any
    follow: Any


def follow(job: jobs.Running) -> Json:
    """Job `failures.follow_tickets`: ask each tracker what became of its tickets, outside of any transaction, and act on the answers."""
    guard = outbound.guard(job.services.settings)
    with job.database.transaction(job.workspace) as db:
        questions, unanswered = _questions(db, job.services.keys, guard)
    moved = 0
    for place, question in enumerate(questions):
        job.report(place / len(questions), f"asking about {question.external_id}")
        try:
            state, error = State(question.follow(question.config, guard, question.external_id)), ""
        except Outbound as problem:
            state, error = None, problem.message
            unanswered += 1
        with job.database.transaction(job.workspace) as db:
            moved += _note(db, question, state, error, job.workspace)
    return {"tickets": len(questions), "moved": moved, "unanswered": unanswered}


def _questions(db: Session, keys: Keys, guard: Guard) -> tuple[list[_Question], int]:
    query = select(Ticket, Delivery).join(Delivery, Delivery.id == Ticket.delivery_id)
    rows = db.execute(query.where(Ticket.state.not_in(tickets.FINAL), Delivery.status == outbox.Status.SENT).order_by(Ticket.id)).all()
    found: list[_Question] = []
    lost = 0
    for row in rows:
        try:
            follow, config = _tracker_of(db, keys, guard, row.Ticket)
        except Outbound as problem:
            row.Ticket.error, row.Ticket.checked_at = problem.message, clock.now()
            lost += 1
            continue
        receipt = row.Delivery.receipt
        found.append(_Question(row.Ticket.id, receipt["external_id"], receipt["external_url"], config, follow))
    return found, lost


def _tracker_of(db: Session, keys: Keys, guard: Guard, ticket: Ticket) -> tuple[Any, Any]:
    """Return how a ticket is followed, and with which config; raises Outbound when its tracker is gone or cannot be opened."""
    destination = destinations.find(db, ticket.destination_id)
    if destination is None or destination.channel.follow is None:
        raise Outbound("the tracker is not set up any more", permanent=True)
    return destination.channel.follow, destinations.config(db, keys, guard, destination)


def _note(db: Session, question: _Question, state: State | None, error: str, workspace: UUID) -> bool:
    """Write down a tracker's answer, and move the recommendation where the ticket says more than it does; returns whether it moved."""
    ticket = db.execute(select(Ticket).where(Ticket.id == question.ticket)).scalar_one_or_none()
    if ticket is None:
        return False
    ticket.error, ticket.checked_at = error, clock.now()
    if state is None:
        return False
    ticket.state = state
    found = recommendations.get(db, ticket.recommendation_id)
    by = system(workspace, "the tracker")
    if state == State.STARTED and found.status == recommendations.PENDING:
        recommendations.move(db, found.id, recommendations.IN_PROGRESS, by=by)
        return True
    if state == State.DONE and found.status in (recommendations.PENDING, recommendations.IN_PROGRESS):
        said = claims.Claim(what=f"The ticket {question.external_id} was closed as done.", link=question.url)
        recommendations.move(db, found.id, recommendations.IMPLEMENTED, by=by, claim=said)
        return True
    return False
