"""Destinations: places that reports and alerts are sent to, set up once; their configs are sealed, and shown without secrets."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.crypto import BadEnvelope, Keys
from everfix.core.db import Base, Json, WorkspaceRow, created, current
from everfix.core.outbound import Guard
from everfix.delivery import channels, circuits
from everfix.delivery.envelope import BULLETS, Channel, Config
from everfix.errors import Invalid, NotFound, Outbound
from everfix.identity.principals import Principal

PURPOSE = "destination"
NAME_LONGEST = 120


class Destination(WorkspaceRow, Base):
    """One destination. `sealed` is its config in an envelope that opens for this row only; `summary` says where it goes."""

    __tablename__ = "destinations"
    __table_args__ = (Index("ix_destinations_created", "workspace_id", "created_at", "id"),)

    owner_user_id: Mapped[UUID | None]  # of a personal one: only its owner's notifications go there, and no list shows it
    kind: Mapped[str]
    name: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    sealed: Mapped[bytes]
    summary: Mapped[str]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()

    @property
    def channel(self) -> Channel:
        """How it is spoken to."""
        return channels.CHANNELS[self.kind]


SHARED = Destination.owner_user_id.is_(None)


def personal(db: Session, user: UUID) -> Sequence[Destination]:
    """Return a person's own channels."""
    query = select(Destination).where(Destination.owner_user_id == user, Destination.enabled)
    return db.execute(query.order_by(Destination.kind)).scalars().all()


def keep_personal(db: Session, keys: Keys, guard: Guard, by: Principal, kind: str, config: Json | None) -> None:
    """Keep a person's own channel of a kind, or take it away (None); raises Invalid for a config that does not fit."""
    if by.actor_id is None:
        raise Invalid("only a person or a service account has channels of its own")
    found = next((row for row in personal(db, by.actor_id) if row.kind == kind), None)
    if config is None:
        if found is not None:
            db.delete(found)
            db.flush()
        return
    if found is not None:
        config = _merged(found.channel, _opened(db, keys, found), config)
    checked = _checked(channels.get(kind), config, guard)
    row = found or Destination(id=ids.new(), kind=kind, name=f"{channels.get(kind).title} of {by.name}"[:NAME_LONGEST], created_by=by.name)
    row.owner_user_id, row.summary, row.enabled = by.actor_id, checked.summary(), True
    row.sealed, row.updated_at = _seal(db, keys, row.id, checked), clock.now()
    db.add(row)
    db.flush()


def create(
    db: Session, keys: Keys, guard: Guard, by: Principal, *, kind: str, name: str, config: Json, enabled: bool = True
) -> Destination:
    """Set up a destination; raises Malformed for an unknown kind, Invalid for a name or config that does not fit."""
    checked = _checked(channels.get(kind), config, guard)
    made = Destination(id=ids.new(), kind=kind, name=_name(name), enabled=enabled, summary=checked.summary(), created_by=by.name)
    made.sealed = _seal(db, keys, made.id, checked)
    made.created_at = made.updated_at = clock.now()
    db.add(made)
    db.flush()
    audit.record(db, by, audit.Action.DESTINATION_CREATED, "destination", made.id, {"kind": kind, "name": made.name})
    return made


def change(
    db: Session,
    keys: Keys,
    guard: Guard,
    by: Principal,
    destination_id: UUID,
    *,
    name: str | None = None,
    enabled: bool | None = None,
    config: Json | None = None,
) -> Destination:
    """Change what is given. In `config` a secret that still holds the bullets stays as it was, and so do fields that are not sent."""
    found = get(db, destination_id)
    if name is not None:
        found.name = _name(name)
    if enabled is not None:
        found.enabled = enabled
    if config is not None:
        merged = _merged(found.channel, _opened(db, keys, found), config)
        checked = _checked(found.channel, merged, guard)
        found.sealed, found.summary = _seal(db, keys, found.id, checked), checked.summary()
    found.updated_at = clock.now()
    db.flush()
    circuits.reset(db, found.id)
    given = [word for word, value in (("name", name), ("enabled", enabled), ("config", config)) if value is not None]
    audit.record(db, by, audit.Action.DESTINATION_UPDATED, "destination", found.id, {"changed": given})
    return found


def delete(db: Session, by: Principal, destination_id: UUID) -> None:
    """Remove a destination; the ledger keeps what was sent to it."""
    found = get(db, destination_id)
    db.delete(found)
    db.flush()
    circuits.forget(db, destination_id)
    audit.record(db, by, audit.Action.DESTINATION_DELETED, "destination", found.id, {"kind": found.kind, "name": found.name})


def find(db: Session, destination_id: UUID) -> Destination | None:
    """Return one destination, or None when it is not there."""
    return db.execute(select(Destination).where(Destination.id == destination_id)).scalar_one_or_none()


def get(db: Session, destination_id: UUID) -> Destination:
    """Return one destination; raises NotFound."""
    found = find(db, destination_id)
    if found is None or found.owner_user_id is not None:
        raise NotFound(f"no destination {ids.show(ids.Prefix.DESTINATION, destination_id)}")
    return found


def listed(db: Session, *, kind: str | None = None, enabled: bool | None = None) -> Sequence[Destination]:
    """Return the workspace's destinations, the oldest first."""
    query = select(Destination).where(SHARED).order_by(Destination.created_at, Destination.id)
    if kind is not None:
        query = query.where(Destination.kind == kind)
    if enabled is not None:
        query = query.where(Destination.enabled.is_(enabled))
    return db.execute(query).scalars().all()


def redacted(db: Session, keys: Keys, found: Destination) -> Json:
    """Return the config as it may be shown: eight bullets for each secret."""
    return {
        name: _hidden(value) if name in found.channel.config.SECRET and value else value for name, value in _opened(db, keys, found).items()
    }


def config(db: Session, keys: Keys, guard: Guard, found: Destination) -> Config:
    """Return the config to send with; raises Outbound when it cannot be opened, or no longer keeps a rule."""
    try:
        return found.channel.config.model_validate(_opened(db, keys, found), context={"guard": guard})
    except ValidationError as problem:
        raise Outbound(f"the destination {found.name} must be set up again: {_words(problem)}", permanent=True) from problem


def _opened(db: Session, keys: Keys, found: Destination) -> dict[str, Any]:
    try:
        opened = keys.unseal(PURPOSE, _place(db, found.id), found.sealed)
    except BadEnvelope as problem:
        raise Outbound(
            f"the config of the destination {found.name} cannot be opened; was EVERFIX_MASTER_KEY changed? Enter it again.", permanent=True
        ) from problem
    assert isinstance(opened, dict)  # noqa: S101 - we sealed a dict
    return opened


def _seal(db: Session, keys: Keys, row: UUID, checked: Config) -> bytes:
    return keys.seal(PURPOSE, _place(db, row), checked.model_dump(mode="json", exclude_none=True))


def _place(db: Session, row: UUID) -> str:
    return f"{current(db)}/{row}"


def _name(text: str) -> str:
    name = " ".join(text.split())
    if not 1 <= len(name) <= NAME_LONGEST:
        raise Invalid(f"the name has {len(name)} characters", details={"name": f"1 to {NAME_LONGEST} characters"})
    return name


def _checked(channel: Channel, config: Json, guard: Guard) -> Config:
    try:
        return channel.config.model_validate(config, context={"guard": guard})
    except ValidationError as problem:
        details = {
            ".".join(("config", *(str(part) for part in error["loc"]))): error["msg"].removeprefix("Value error, ")
            for error in problem.errors(include_input=False, include_url=False)
        }
        raise Invalid(f"the config does not fit the kind {channel.kind}: {_words(problem)}", details=details) from problem


def _words(problem: ValidationError) -> str:
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc'])} {error['msg'].removeprefix('Value error, ')}".strip()
        for error in problem.errors(include_input=False, include_url=False)
    )


def _merged(channel: Channel, old: Json, given: Json) -> Json:
    """Return the old config with the new fields on top; null takes an optional field away."""
    merged = {**old, **given}
    for name in channel.config.SECRET & given.keys():
        value, before = given[name], old.get(name)
        if value == BULLETS:
            merged[name] = before
        elif isinstance(value, dict) and isinstance(before, dict):  # each header by itself
            merged[name] = {key: before.get(key, text) if text == BULLETS else text for key, text in value.items()}
    return {name: value for name, value in merged.items() if value is not None}


def _hidden(value: Any) -> Any:  # noqa: ANN401 - JSON
    return dict.fromkeys(value, BULLETS) if isinstance(value, dict) else [BULLETS] * len(value) if isinstance(value, list) else BULLETS
