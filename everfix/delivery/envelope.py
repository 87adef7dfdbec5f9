"""What every channel is made of: a config, a target, the envelope that `send` gets.

`send(Envelope) -> receipt` makes the call and returns what the other side said of it; it raises `Outbound` when the message was not
taken. It runs outside of any transaction.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from everfix.core.crypto import Keys
from everfix.core.db import Json
from everfix.core.outbound import Guard
from everfix.core.storage import Storage
from everfix.delivery.messages import Message
from everfix.settings import Settings

BULLETS = "•" * 8


class Config(BaseModel):
    """What a destination of a kind needs; `SECRET` names the fields that are never shown."""

    model_config = ConfigDict(extra="forbid", str_strip_whitespace=True)
    SECRET: ClassVar[frozenset[str]] = frozenset()

    def summary(self) -> str:
        """Return where it goes, in a word that gives nothing away."""
        raise NotImplementedError


@dataclasses.dataclass(frozen=True, slots=True)
class Target:
    """Whom a delivery is for: `recipient` is what makes it one of its own, `label` what a person reads."""

    channel: str
    recipient: str
    label: str
    destination_id: UUID | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Envelope:
    """Everything a channel needs to send one message to one recipient, loaded before the call is made."""

    message: Message
    target: Target
    config: Any  # the destination's config, a Config of the channel; None where a recipient needs none
    key: str  # the idempotency key: the same for each try of the same delivery
    workspace: UUID
    settings: Settings
    keys: Keys
    storage: Storage
    guard: Guard
    preferences: str = ""  # where the recipient changes or ends what is sent; empty where that makes no sense
    attempt: int = 1
    accepted: Callable[[Json], None] = lambda _receipt: None  # called with the receipt the moment the other side has taken it


@dataclasses.dataclass(frozen=True, slots=True)
class Channel:
    """A kind of destination, and how it is spoken to. `channel` is what the ledger calls it."""

    kind: str
    title: str
    channel: str
    config: type[Config]
    send: Callable[[Envelope], Json]
    recipients: Callable[[Any], Sequence[str]] | None = None  # of a config, where one destination stands for several people
    follow: Callable[[Any, Guard, str], str] | None = None  # of a tracker: (config, guard, ticket) → a state of `tickets.State`
