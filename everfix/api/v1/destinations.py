"""`/v1/destinations`: places that reports and alerts are sent to. Reading needs `reports:read`; setting up needs `webhooks:admin`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from starlette.responses import Response

from everfix.api import fields, pages
from everfix.api.v1.deliveries import DeliveryOut
from everfix.api.v1.deliveries import shown as delivery_shown
from everfix.core import ids, outbound
from everfix.core.db import Json
from everfix.core.fields import JsonObject
from everfix.delivery import channels, destinations, on_demand
from everfix.delivery.destinations import Destination
from everfix.deps import Config, Db, Installed, Page, SigningKeys, apart, needs
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/destinations", tags=["delivery"])
Reader = Annotated[Principal, needs(Scope.REPORTS_READ)]
Admin = Annotated[Principal, needs(Scope.WEBHOOKS_ADMIN)]
Tester = Annotated[Principal, apart(Scope.WEBHOOKS_ADMIN)]
DestinationId = Annotated[UUID, fields.path_id(ids.Prefix.DESTINATION, "destination", "destination_id")]
SORTS = pages.Sorts({"created_at": Destination.created_at, "name": Destination.name, "updated_at": Destination.updated_at}, "created_at")


class DestinationIn(BaseModel):
    """A destination to set up; `config` is what its kind needs."""

    model_config = ConfigDict(extra="forbid")

    kind: str = Field(max_length=40)
    name: str = Field(min_length=1, max_length=destinations.NAME_LONGEST)
    config: JsonObject
    enabled: bool = True


class DestinationChange(BaseModel):
    """What to change. A secret that still holds the bullets stays as it was; so do fields that are not sent."""

    model_config = ConfigDict(extra="forbid")

    name: str | None = Field(default=None, min_length=1, max_length=destinations.NAME_LONGEST)
    config: JsonObject | None = None
    enabled: bool | None = None


class DestinationOut(BaseModel):
    """One destination; its secrets are eight bullets, and `config` is null where it cannot be opened any more."""

    id: ids.field(ids.Prefix.DESTINATION)  # type: ignore[valid-type]
    kind: str
    title: str
    name: str
    enabled: bool
    config: Json
    summary: str
    created_by: str
    created_at: datetime
    updated_at: datetime


def shown(db: Db, keys: SigningKeys, row: Destination) -> DestinationOut:
    """Return a destination as the API shows it."""
    own: dict[str, Any] = {name: getattr(row, name) for name in DestinationOut.model_fields if name not in ("config", "title")}
    return DestinationOut(config=destinations.redacted(db, keys, row), title=row.channel.title, **own)


@router.get("")
def listed(db: Db, who: Reader, page: Page, keys: SigningKeys, kind: fields.Search = None) -> pages.PageOf[DestinationOut]:
    """The workspace's destinations; commas separate several kinds."""
    query = select(Destination).where(destinations.SHARED)
    chosen = fields.choices(kind, "kind", tuple(channels.CHANNELS))
    if chosen is not None:
        query = query.where(Destination.kind.in_(chosen))
    return pages.page(db, page, query, Destination.id, SORTS, lambda rows: [shown(db, keys, row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Admin, keys: SigningKeys, settings: Config, body: DestinationIn) -> DestinationOut:
    """Set up a destination."""
    made = destinations.create(
        db, keys, outbound.guard(settings), who, kind=body.kind, name=body.name, config=body.config, enabled=body.enabled
    )
    return shown(db, keys, made)


@router.get("/{destination_id}")
def one(db: Db, who: Reader, keys: SigningKeys, destination_id: DestinationId) -> DestinationOut:
    """One destination, without its secrets."""
    return shown(db, keys, destinations.get(db, destination_id))


@router.patch("/{destination_id}")
def change(
    db: Db, who: Admin, keys: SigningKeys, settings: Config, destination_id: DestinationId, body: DestinationChange
) -> DestinationOut:
    """Rename it, switch it on or off, or change its config."""
    guard = outbound.guard(settings)
    made = destinations.change(db, keys, guard, who, destination_id, name=body.name, enabled=body.enabled, config=body.config)
    return shown(db, keys, made)


class Tried(BaseModel):
    """What came of a test: a row of the ledger per recipient."""

    ok: bool
    deliveries: list[DeliveryOut]


@router.post("/{destination_id}/test")
def test(installation: Installed, who: Tester, destination_id: DestinationId) -> Tried:
    """Send a test message now, once, and say what came of it."""
    subject, database = "Test of a destination", installation.database
    rows = on_demand.now(database, installation, who, destination_id, kind="test", subject=subject, paragraphs=on_demand.TEST)
    return Tried(ok=all(row.status == "sent" for row in rows), deliveries=[delivery_shown(row) for row in rows])


@router.delete("/{destination_id}", status_code=204, response_class=Response)
def delete(db: Db, who: Admin, destination_id: DestinationId) -> None:
    """Remove it; what was sent to it stays in the ledger."""
    destinations.delete(db, who, destination_id)
