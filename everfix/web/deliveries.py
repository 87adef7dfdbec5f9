"""Deliveries: what was expected against what was delivered, and sending again what failed."""

from __future__ import annotations

from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query
from sqlalchemy import func, select
from starlette.responses import Response

from everfix.core import clock, ids
from everfix.delivery import outbox
from everfix.delivery.messages import Message
from everfix.delivery.outbox import Delivery, Status
from everfix.errors import NotFound
from everfix.identity.principals import Scope
from everfix.web import session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
DAYS, PAGE = 30, 50
# what a card counts, and how it looks
CARDS = (
    ("Expected", tuple(Status), ""),
    ("Delivered", (Status.SENT,), "good"),
    ("Failed", (Status.FAILED,), "bad"),
    ("Left out on purpose", (Status.SKIPPED,), ""),
    ("Waiting", (Status.PLANNED, Status.HELD, Status.QUEUED, Status.SENDING), ""),
)
PILLS = {"sent": "succeeded", "failed": "failed", "held": "queued", "queued": "queued", "sending": "running"}  # the shell's colours
Json = dict[str, Any]


@router.get("/deliveries")
def listed(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    status: Annotated[str, Query(max_length=20)] = "",
    before: Annotated[str, Query(max_length=60)] = "",
) -> Response:
    """The ledger of the last days, newest first."""
    since = clock.now() - timedelta(days=DAYS)
    counted = visit.db.execute(select(Delivery.status, func.count()).where(Delivery.created_at >= since).group_by(Delivery.status))
    counts: dict[str, int] = {row[0]: row[1] for row in counted}
    query = select(Delivery).order_by(Delivery.id.desc()).limit(PAGE + 1)
    if status in set(Status):
        query = query.where(Delivery.status == status)
    start = shell.shown_id(ids.Prefix.DELIVERY, before) if before else None
    if start is not None:
        query = query.where(Delivery.id < start)
    rows = list(visit.db.execute(query).scalars())
    return shell.page(
        visit,
        "deliveries/page.html",
        cards=[(title, sum(counts.get(one, 0) for one in which), kind) for title, which, kind in CARDS],
        days=DAYS,
        rows=_shown(visit, rows[:PAGE]),
        chosen=status if status in set(Status) else "",
        statuses=[one.value for one in Status],
        older=ids.show(ids.Prefix.DELIVERY, rows[PAGE - 1].id) if len(rows) > PAGE else "",
        first=start is None,
    )


@router.post("/deliveries/{delivery_id}/resend")
def resend(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    delivery_id: str,
    back: Annotated[str, Form(max_length=200)] = "",
) -> Response:
    """Send once more what failed."""
    wanted = shell.shown_id(ids.Prefix.DELIVERY, delivery_id)
    if wanted is None:
        raise NotFound("there is no such delivery")
    row = outbox.resend(visit.db, wanted, visit.who)
    if shell.is_partial(visit.request):
        return shell.page(visit, "deliveries/row.html", row=_shown(visit, [row])[0])
    return shell.go(back if back.startswith("/deliveries") else "/deliveries")


def _shown(visit: Visit, rows: list[Delivery]) -> list[Json]:
    reader = shown.Reader.of(visit.here)
    wanted = {row.message_id for row in rows if row.message_id is not None}
    subjects: dict[UUID | None, str] = {
        row[0]: row[1] for row in visit.db.execute(select(Message.id, Message.subject).where(Message.id.in_(wanted)))
    }
    return [
        {
            "id": ids.show(ids.Prefix.DELIVERY, row.id),
            "at": reader.moment(row.created_at),
            "slot": reader.moment(row.slot) if row.slot else "",
            "subject": subjects.get(row.message_id, "A report that was not made"),
            "label": row.label,
            "channel": row.channel,
            "status": row.status,
            "pill": PILLS.get(row.status, ""),
            "words": outbox.needs_words(row),
            "again": row.status == Status.FAILED and row.message_id is not None,
            "next": reader.moment(row.next_try_at) if row.next_try_at and row.status in (Status.QUEUED, Status.HELD) else "",
        }
        for row in rows
    ]
