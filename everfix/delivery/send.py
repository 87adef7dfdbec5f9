"""Sending: one delivery at a time, each try written down before and after the call.

1. Take: lock the row, write "sending", load everything the channel needs; commit.
2. Call, with no transaction open; what the other side has taken is noted at once in a file (`acceptances`).
3. Write the outcome: sent with the receipt; queued again after a wait; or failed with the cause.
"""

from __future__ import annotations

import dataclasses
import random
from datetime import timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, jobs, outbound
from everfix.core.crypto import Keys
from everfix.core.db import Database, Json
from everfix.delivery import (
    acceptances,
    addresses,
    channels,
    circuits,
    destinations,
    digests,
    messages,
    notices,
    outbox,
    preferences,
    slack,
)
from everfix.delivery.envelope import Channel, Config, Envelope, Target
from everfix.delivery.outbox import Delivery, Status
from everfix.errors import Outbound
from everfix.identity import workspaces
from everfix.identity.principals import system

log = structlog.get_logger()

ATTEMPTS = 5
FIRST_WAIT_SECONDS, GROWTH, LONGEST_WAIT_SECONDS = 10.0, 4.0, 3_600.0  # 10 s, 40 s, 160 s, 640 s: long enough for greylisting
LONGEST_ASKED_SECONDS = 6 * 3600.0  # a Retry-After beyond this is not waited for in full
FOUND = "the worker was lost after it was taken, and had noted that"
LOST = "the worker was lost during this try; whether it was taken is unknown, so it is sent again under the same key"


@dataclasses.dataclass(frozen=True, slots=True)
class Taken:
    """A delivery in hand."""

    call: acceptances.Call
    channel: Channel
    envelope: Envelope


class _End(Exception):
    """The delivery ends without a call."""

    def __init__(self, status: Status, reason: str) -> None:
        self.status, self.reason = status, reason
        super().__init__(reason)


def execute(job: jobs.Running) -> Json:
    """Job `delivery.send`: send one delivery once; a try that may be repeated queues the next one itself."""
    return {"status": attempt(job.database, job.workspace, job.services, UUID(job.payload["delivery"]))}


def gave_up(job: jobs.Running, cause: str) -> None:
    """End a delivery whose job failed for a reason that is ours, so that its row does not stay "sending" for ever."""
    with job.database.transaction(job.workspace) as db:
        row = outbox.find(db, UUID(job.payload["delivery"]), lock=True)
        if row is not None and row.status not in outbox.FINAL:
            circuits.passed_over(db, row)
            _failed(db, row, f"Everfix itself failed while sending: {cause}")


def attempt(database: Database, workspace: UUID, services: Any, delivery_id: UUID, *, tries: int = ATTEMPTS) -> str:  # noqa: ANN401 - an Installation
    """Try one delivery and return its status; a delivery that has ended, or is not queued, is left as it is."""
    with database.transaction(workspace) as db:
        taken = _take(db, workspace, services, delivery_id, tries)
        if isinstance(taken, str):
            return taken
    with services.accepted.under_way(taken.call) as accepted:
        try:
            receipt = taken.channel.send(dataclasses.replace(taken.envelope, accepted=accepted))
        except Outbound as problem:
            with database.transaction(workspace) as db:
                return _not_taken(db, delivery_id, problem, tries)
        accepted(receipt)
        with database.transaction(workspace) as db:
            return _sent(db, delivery_id, receipt)


def settle(services: Any) -> int:  # noqa: ANN401 - an Installation
    """Mark as sent what processes that died had noted as taken; returns how many notes they left. Called now and then, by every worker."""

    def tell(call: acceptances.Call, receipt: Json) -> None:
        with services.database.transaction(call.workspace) as db:
            row = outbox.find(db, call.delivery, lock=True)
            if row is not None and row.status == Status.SENDING and len(row.tries) == call.number:
                _sent(db, row.id, receipt, FOUND)

    return int(services.accepted.settle(tell))


def _take(db: Session, workspace: UUID, services: Any, delivery_id: UUID, tries: int) -> Taken | str:  # noqa: ANN401
    row = outbox.find(db, delivery_id, lock=True)
    if row is None:
        return "gone"
    if row.status not in (Status.QUEUED, Status.SENDING):
        return row.status
    call = acceptances.Call(workspace, row.id, len(row.tries))
    if row.status == Status.SENDING and (receipt := services.accepted.found(call)) is not None:
        services.accepted.told(call)
        return _sent(db, row.id, receipt, FOUND)
    try:
        _again_after_loss(row, tries)
        channel, envelope = _envelope(db, workspace, services, row)
        _pass(db, row, tries)
    except _End as end:
        return _ended(db, row, end)
    row.status, row.next_try_at, row.attempts = Status.SENDING, None, row.attempts + 1
    return Taken(call._replace(number=len(row.tries)), channel, envelope)


def _again_after_loss(row: Delivery, tries: int) -> None:
    """Note that a worker died in mid-send; raises _End when that was the last try."""
    if row.status != Status.SENDING:
        return
    outbox.note(row, "lost", LOST)
    if row.attempts >= tries:
        raise _End(Status.FAILED, f"given up after {row.attempts} tries; during the last one the worker was lost")


def _pass(db: Session, row: Delivery, tries: int) -> None:
    """Raise _End for what its destination's breaker holds, or has held for too long. Who sends once, by hand, is not held: that is a test."""
    if tries == 1:
        return
    if circuits.too_long(row):
        raise _End(Status.FAILED, f"its destination did not come back within {circuits.HELD_LONGEST.total_seconds() / 3600:.0f} hours")
    breaker = circuits.refuses(db, row)
    if breaker is not None:
        circuits.hold(row, breaker)
        raise _End(Status.HELD, row.reason)


def _envelope(db: Session, workspace: UUID, services: Any, row: Delivery) -> tuple[Channel, Envelope]:  # noqa: ANN401
    guard = outbound.guard(services.settings)
    if row.message_id is None:
        raise _End(Status.FAILED, "there is no message to send")
    message = messages.get(db, row.message_id)
    link = _chosen(db, workspace, services, row, message)
    channel, config = _way(db, services.keys, guard, row)
    if channel.channel == "mail" and not addresses.allowed(row.recipient, workspaces.here(db).mail_domains):
        raise _End(Status.SKIPPED, "the workspace sends no mail to this domain")
    if channel.recipients is not None and config is not None and row.recipient not in channel.recipients(config):
        raise _End(Status.SKIPPED, "the destination no longer names this recipient")
    target = Target(row.channel, row.recipient, row.label, row.destination_id)
    made = Envelope(
        message,
        target,
        config,
        row.key,
        workspace,
        services.settings,
        services.keys,
        services.storage,
        guard,
        preferences=link,
        attempt=row.attempts + 1,
    )
    return channel, made


def _chosen(db: Session, workspace: UUID, services: Any, row: Delivery, message: messages.Message) -> str:  # noqa: ANN401
    """Return where the recipient chooses what comes; raises _End when they have chosen otherwise than to get this now."""
    if row.channel != "mail" or message.kind not in preferences.ASKED:
        return ""
    named = preferences.Named(workspace, row.channel, row.recipient, row.schedule_id)
    first = message.kind == "report" and row.digest_id is None and not row.tries and row.schedule_id is not None
    gate = preferences.gate(db, named, workspaces.here(db).timezone, digest=first)
    if gate.skip:
        raise _End(Status.SKIPPED, gate.skip)
    if gate.hold:
        row.next_try_at = gate.until
        raise _End(Status.HELD, gate.hold)
    return preferences.link(services.url, services.keys, named)


def _way(db: Session, keys: Keys, guard: outbound.Guard, row: Delivery) -> tuple[Channel, Config | None]:
    """Return the channel and its config for a row; raises _End when its destination is gone or switched off."""
    try:
        if row.destination_id is None:
            channel = next(made for made in channels.CHANNELS.values() if made.channel == row.channel)
            return channel, _bot(db, keys, guard) if channel.kind == "slack" else None
        there = destinations.find(db, row.destination_id)
        if there is None:
            raise _End(Status.FAILED, "the destination was deleted")
        if not there.enabled:
            raise _End(Status.SKIPPED, f"the destination {there.name} is switched off")
        return there.channel, destinations.config(db, keys, guard, there)
    except Outbound as problem:  # a config that cannot be opened, or is no longer sound
        raise _End(Status.FAILED, problem.message) from problem


def _bot(db: Session, keys: Keys, guard: outbound.Guard) -> slack.SlackConfig | None:
    """Return the first Slack destination with a bot token: it posts to channels that a schedule names by their id."""
    for there in destinations.listed(db, kind="slack", enabled=True):
        config = destinations.config(db, keys, guard, there)
        if isinstance(config, slack.SlackConfig) and config.botToken is not None:
            return config
    return None


def _sent(db: Session, delivery_id: UUID, receipt: Json, how: str = "") -> str:
    row = outbox.get(db, delivery_id, lock=True)
    if row.status == Status.SENT:
        return row.status  # whoever found our note was quicker
    outbox.note(row, "sent", how)
    row.status, row.reason, row.receipt, row.finished_at, row.next_try_at = Status.SENT, "", receipt, clock.now(), None
    row.held_since = None
    circuits.succeeded(db, row)
    digests.follow(db, row.id, row.status, "")
    if len(row.tries) > 1:
        _tell_run(db, row)
    return row.status


def _tell_run(db: Session, row: Delivery) -> None:
    """Have the run say what became of its deliveries: a report that some did not get is not a success."""
    if row.run_id is not None:
        jobs.enqueue(db, "reports.settle", {"run": str(row.run_id)}, by="delivery")


def _not_taken(db: Session, delivery_id: UUID, problem: Outbound, tries: int) -> str:
    row = outbox.get(db, delivery_id, lock=True)
    if row.status == Status.SENT:
        return row.status  # the other worker, thought lost, came through after all
    outbox.note(row, "refused" if problem.permanent else "not taken", problem.message)
    circuits.failed(db, row, _place(db, row), problem)
    if problem.permanent or row.attempts >= tries:
        return _failed(db, row, problem.message)
    wait = timedelta(seconds=seconds_to_wait(row.attempts, problem.retry_after))
    row.status, row.reason, row.next_try_at = Status.QUEUED, problem.message, clock.now() + wait
    db.flush()
    jobs.enqueue(db, outbox.TASK, {"delivery": str(row.id)}, by="delivery", delay=wait)
    return row.status


def _place(db: Session, row: Delivery) -> str:
    """Return what a breaker is called: nobody else's business is a personal channel's name."""
    there = destinations.find(db, row.destination_id) if row.destination_id and row.channel != circuits.MAIL else None
    if there is None:
        return circuits.TITLES.get(row.channel, outbox.CHANNEL_WORDS[row.channel])
    return there.name if there.owner_user_id is None else f"{there.channel.title}, personal"


def seconds_to_wait(attempts: int, asked: float | None) -> float:
    """Return how long to wait before the next try: growing, spread a little, and never less than the other side asked for."""
    own = min(FIRST_WAIT_SECONDS * GROWTH ** (attempts - 1), LONGEST_WAIT_SECONDS) * random.uniform(0.9, 1.1)  # noqa: S311 - spreads retries
    return max(own, min(asked, LONGEST_ASKED_SECONDS)) if asked is not None else own


def _ended(db: Session, row: Delivery, end: _End) -> str:
    """Write the end of a delivery for which no call was made."""
    circuits.passed_over(db, row)
    if end.status == Status.FAILED:
        return _failed(db, row, end.reason)
    row.status, row.reason = end.status, end.reason
    if end.status == Status.SKIPPED:
        row.finished_at, row.next_try_at = clock.now(), None
        digests.follow(db, row.id, row.status, row.reason)
    return row.status


def _failed(db: Session, row: Delivery, reason: str) -> str:
    row.status, row.reason, row.finished_at, row.next_try_at = Status.FAILED, reason, clock.now(), None
    db.flush()
    row.held_since = None
    log.warning("delivery_failed", delivery=str(row.id), channel=row.channel, recipient=row.label, reason=reason)
    details = {"channel": row.channel, "recipient": row.label, "reason": reason[:500]}
    digests.follow(db, row.id, row.status, row.reason)
    notices.queue(db, row)
    _tell_run(db, row)
    audit.record(db, system(workspaces.here(db).id), audit.Action.DELIVERY_FAILED, "delivery", row.id, details)
    return row.status
