"""Targets: whom the recipients and destinations of a schedule stand for, each once."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy.orm import Session

from everfix import audit
from everfix.core.crypto import Keys
from everfix.core.outbound import Guard
from everfix.delivery import addresses, destinations
from everfix.delivery.envelope import Target
from everfix.errors import Invalid, NotFound, Outbound
from everfix.identity import workspaces
from everfix.identity.principals import Principal

MOST = 1_000
MOST_DOMAINS = 200


def check(db: Session, recipients: Sequence[str]) -> list[str]:
    """Return recipients in their stored spelling; raises Invalid naming the first that is neither an e-mail address nor a Slack channel id,
    or that the workspace sends no mail to.
    """
    if len(recipients) > MOST:
        raise Invalid(f"{len(recipients)} recipients are too many", details={"recipients": f"at most {MOST}"})
    domains = workspaces.here(db).mail_domains
    return list(dict.fromkeys(_spelled(text, domains) for text in recipients))


def allow(db: Session, by: Principal, domains: Sequence[str]) -> list[str]:
    """Let the workspace send mail to these domains and below them only (none: everywhere); what waits for another is left out in its turn."""
    here = workspaces.here(db)
    before, here.mail_domains = here.mail_domains, list(dict.fromkeys(domains))
    if here.mail_domains != before:
        db.flush()
        audit.record(db, by, audit.Action.WORKSPACE_UPDATED, "workspace", here.id, {"mail_domains": here.mail_domains})
    return here.mail_domains


def outside(db: Session, recipients: Sequence[str]) -> list[str]:
    """Return the addresses that the workspace sends no mail to; Slack's ids are none."""
    domains = workspaces.here(db).mail_domains
    return [one for one in dict.fromkeys(recipients) if "@" in one and not addresses.allowed(one, domains)]


def _spelled(text: str, domains: Sequence[str]) -> str:
    channel = addresses.slack(text)
    if channel is not None:
        return channel
    try:
        address = addresses.mail(text)
    except ValueError:
        raise Invalid(
            f"{text[:80]!r} is neither an e-mail address nor a Slack channel id",
            details={"recipients": "e-mail addresses, or Slack channel ids like C012AB3CD"},
        ) from None
    addresses.check_allowed(address, domains)
    return address


def of(db: Session, keys: Keys, guard: Guard, recipients: Sequence[str], chosen: Sequence[UUID]) -> list[Target]:
    """Return a target for each recipient and destination, nobody twice; raises Invalid naming the one that cannot be.

    A mail destination stands for each of its recipients. A destination that is gone still gets its row, so that the ledger can say so.
    """
    found: dict[tuple[str, str], Target] = {}
    for recipient in check(db, recipients):
        target = _of_recipient(recipient)
        found.setdefault((target.channel, target.recipient), target)
    for destination_id in dict.fromkeys(chosen):
        for target in _of_destination(db, keys, guard, destination_id):
            found.setdefault((target.channel, target.recipient), target)
    return list(found.values())


def _of_recipient(recipient: str) -> Target:
    if "@" in recipient:
        return Target("mail", recipient, recipient)
    return Target("slack", recipient, f"Slack channel {recipient}")


def _of_destination(db: Session, keys: Keys, guard: Guard, destination_id: UUID) -> list[Target]:
    there = destinations.find(db, destination_id)
    if there is None:
        return [Target("gone", str(destination_id), "a destination that was deleted", destination_id)]
    channel = there.channel
    if channel.recipients is None:
        return [Target(channel.channel, str(there.id), there.name, there.id)]
    try:
        people = channel.recipients(destinations.config(db, keys, guard, there))
    except Outbound:
        return [Target(channel.channel, str(there.id), there.name, there.id)]  # its row then fails with the cause
    return [Target(channel.channel, address, f"{address} ({there.name})", there.id) for address in people]


def check_destinations(db: Session, chosen: Sequence[UUID]) -> None:
    """Raise NotFound naming the first destination that is not there: for whoever writes a schedule or a rule."""
    for destination_id in chosen:
        if destinations.find(db, destination_id) is None:
            raise NotFound(f"there is no destination {destination_id}", details={"destinations": "ids of destinations of this workspace"})
