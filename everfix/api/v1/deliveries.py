"""`/v1/deliveries`: the ledger: whom each report and alert was for, on which way, and what became of it, in words."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.core import ids
from everfix.core.db import Json
from everfix.core.fields import Moment
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery
from everfix.deps import Db, Page, needs
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/deliveries", tags=["delivery"])
Reader = Annotated[Principal, needs(Scope.REPORTS_READ)]
Writer = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
DeliveryId = Annotated[UUID, fields.path_id(ids.Prefix.DELIVERY, "delivery", "delivery_id")]
SORTS = pages.Sorts({"created_at": Delivery.created_at, "finished_at": Delivery.finished_at, "status": Delivery.status}, "-created_at")
STATUSES = tuple(status.value for status in outbox.Status)


class DeliveryOut(BaseModel):
    """One row. `words` says for a person what became of it; `key` is the idempotency key that mail and webhooks carry."""

    id: ids.field(ids.Prefix.DELIVERY)  # type: ignore[valid-type]
    status: str
    words: str
    reason: str
    channel: str
    recipient: str
    label: str
    schedule_id: UUID | None
    slot: datetime | None
    run_id: ids.field(ids.Prefix.RUN) | None  # type: ignore[valid-type]
    destination_id: ids.field(ids.Prefix.DESTINATION) | None  # type: ignore[valid-type]
    digest_id: ids.field(ids.Prefix.DELIVERY) | None  # type: ignore[valid-type]
    attempts: int
    tries: list[Json]
    next_try_at: datetime | None
    key: str
    receipt: Json
    created_at: datetime
    finished_at: datetime | None
    told_at: datetime | None


def shown(row: Delivery) -> DeliveryOut:
    """Return a row as the API shows it."""
    own = {name: getattr(row, name) for name in DeliveryOut.model_fields if name != "words"}
    return DeliveryOut.model_validate({**own, "words": outbox.needs_words(row)})


def _all(rows: Sequence[Delivery]) -> list[DeliveryOut]:
    return [shown(row) for row in rows]


@router.get("")
def listed(
    db: Db,
    who: Reader,
    page: Page,
    status: fields.Search = None,
    channel: fields.Search = None,
    recipient: fields.Search = None,
    schedule_id: UUID | None = None,
    run_id: Annotated[UUID | None, fields.query_id(ids.Prefix.RUN, "run_id")] = None,
    destination_id: Annotated[UUID | None, fields.query_id(ids.Prefix.DESTINATION, "destination_id")] = None,
    since: Annotated[Moment | None, Query(alias="from")] = None,
    until: Annotated[Moment | None, Query(alias="to")] = None,
) -> pages.PageOf[DeliveryOut]:
    """The ledger, newest first; commas separate several values of `status` and `channel`."""
    query = select(Delivery)
    statuses, ways = fields.choices(status, "status", STATUSES), fields.choices(channel, "channel", outbox.CHANNELS)
    conditions = (
        (statuses, lambda: Delivery.status.in_(statuses or ())),
        (ways, lambda: Delivery.channel.in_(ways or ())),
        (recipient, lambda: Delivery.recipient == recipient),
        (schedule_id, lambda: Delivery.schedule_id == schedule_id),
        (run_id, lambda: Delivery.run_id == run_id),
        (destination_id, lambda: Delivery.destination_id == destination_id),
        (since, lambda: Delivery.created_at >= since),
        (until, lambda: Delivery.created_at < until),
    )
    for given, condition in conditions:
        if given is not None:
            query = query.where(condition())
    return pages.page(db, page, query, Delivery.id, SORTS, _all)


@router.get("/{delivery_id}")
def one(db: Db, who: Reader, delivery_id: DeliveryId) -> DeliveryOut:
    """One row, with each try that was made."""
    return shown(outbox.get(db, delivery_id))


@router.post("/{delivery_id}/resend", status_code=202)
def resend(db: Db, who: Writer, delivery_id: DeliveryId) -> DeliveryOut:
    """Send once more what failed, to this recipient only and under the same key; anything else is a conflict."""
    return shown(outbox.resend(db, delivery_id, who))
