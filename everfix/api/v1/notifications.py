"""`/v1/me/notifications`: the caller's own feed, and live updates of it: server-sent events here, the WebSocket in `stream.py`."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Header, Query, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from starlette.responses import Response

from everfix.api import fields, pages
from everfix.core import fields as types
from everfix.core import ids, live
from everfix.core.db import Json
from everfix.core.fields import Moment, dump
from everfix.delivery import feed
from everfix.delivery.feed import Notification
from everfix.deps import Db, Installed, Paging, SigningKeys, apart, needs
from everfix.errors import Forbidden
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/me/notifications", tags=["notifications"])
Own = Annotated[Principal, needs(Scope.WORKSPACE_READ)]  # each sees and marks the own rows only
OwnApart = Annotated[Principal, apart(Scope.WORKSPACE_READ)]
NotificationId = Annotated[UUID, fields.path_id(ids.Prefix.NOTIFICATION, "notification", "notification_id")]
SORTS = pages.Sorts({"created_at": Notification.created_at}, "-created_at")
KEEP_ALIVE_SECONDS = 15.0


class NotificationOut(BaseModel):
    """One row of the feed."""

    id: ids.field(ids.Prefix.NOTIFICATION)  # type: ignore[valid-type]
    type: str
    title: str
    body: str
    created_at: datetime
    entity_type: str | None
    entity_id: UUID | None
    source: str
    actor: Json
    read: bool
    read_at: datetime | None
    link: str


class Feed(pages.PageOf[NotificationOut]):
    """A page of the feed, and how much of all of it is unread."""

    unread_count: int


class ReadAll(BaseModel):
    """Which rows: all, or those whose type begins with `type`."""

    model_config = ConfigDict(extra="forbid")

    type: types.text(60) = ""  # type: ignore[valid-type]


class Marked(BaseModel):
    """How many were marked, and how many are still unread."""

    marked: int
    unread_count: int


def shown(row: Notification) -> NotificationOut:
    """Return a row as the API shows it."""
    own = {name: getattr(row, name) for name in NotificationOut.model_fields if name != "read"}
    return NotificationOut(**own, read=row.read_at is not None)


def me(who: Principal) -> UUID:
    """Return whose feed it is; raises Forbidden for the system itself."""
    if who.actor_id is None:
        raise Forbidden("only a person or a service account has a feed")
    return who.actor_id


@router.get("/feed")
def listed(
    db: Db,
    who: Own,
    keys: SigningKeys,
    limit: Annotated[int, Query(ge=1, le=50)] = 20,
    cursor: Annotated[str | None, Query(max_length=2000)] = None,
    unread_only: bool = False,
    unread: bool = False,
    type: fields.words(60) = None,  # type: ignore[valid-type]  # what a type begins with, e.g. `prediction.`
    since: Annotated[Moment | None, Query()] = None,
) -> Feed:
    """The caller's notifications, newest first."""
    user = me(who)
    query = select(Notification).where(feed.visible(user))
    if unread_only or unread:
        query = query.where(Notification.read_at.is_(None))
    if type:
        query = query.where(Notification.type.startswith(type, autoescape=True))
    if since is not None:
        query = query.where(Notification.created_at >= since)
    found = pages.page(db, Paging(keys, limit, cursor, None), query, Notification.id, SORTS, _all)
    return Feed(data=found.data, page=found.page, unread_count=feed.unread(db, user))


def _all(rows: Sequence[Notification]) -> list[NotificationOut]:
    return [shown(row) for row in rows]


@router.post("/feed/read-all")
def read_all(db: Db, who: Own, body: ReadAll) -> Marked:
    """Mark every unread row read, or those of a kind."""
    marked = feed.read_all(db, me(who), body.type)
    return Marked(marked=marked, unread_count=feed.unread(db, me(who)))


@router.post("/feed/{notification_id}/read")
def read(db: Db, who: Own, notification_id: NotificationId) -> NotificationOut:
    """Mark one row read."""
    return shown(feed.read(db, me(who), notification_id))


@router.delete("/feed/{notification_id}", status_code=204, response_class=Response)
def dismiss(db: Db, who: Own, notification_id: NotificationId) -> None:
    """Take one row out of the feed."""
    feed.dismiss(db, me(who), notification_id)


@router.get("/stream", response_class=StreamingResponse)
def stream(
    request: Request, installation: Installed, who: OwnApart, last_event_id: Annotated[str | None, Header(max_length=60)] = None
) -> StreamingResponse:
    """Follow the feed by server-sent events: `notification` for each new row, `unread` whenever the count changes.

    A client that comes back with `Last-Event-ID` gets what it missed.
    """
    try:
        last = ids.parse(ids.Prefix.NOTIFICATION, last_event_id) if last_event_id else None
    except ValueError:
        last = None
    headers = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}
    return StreamingResponse(_events(request, installation, who, last), media_type="text/event-stream", headers=headers)


async def _events(request: Request, installation: Any, who: Principal, last: UUID | None) -> AsyncIterator[bytes]:  # noqa: ANN401
    async for found in follow(request.app.state.hub, installation, who.workspace, me(who), last):
        for row in found["rows"]:
            data = dump(row.model_dump(mode="json")).decode()
            yield f"id: {ids.show(ids.Prefix.NOTIFICATION, row.id)}\nevent: notification\ndata: {data}\n\n".encode()
        yield f"event: unread\ndata: {found['unread_count']}\n\n".encode() if found["changed"] else b": alive\n\n"
        if await request.is_disconnected():
            return


async def follow(hub: live.Hub, installation: Any, workspace: UUID, user: UUID, last: UUID | None) -> AsyncIterator[Json]:  # noqa: ANN401
    """Yield `{rows, unread_count, changed}` at once, whenever something happens, and every KEEP_ALIVE_SECONDS.

    With `last` the first answer holds what came after it; without, nothing from before.
    """
    count: int | None = None
    if last is None:
        last = await run_in_threadpool(_newest, installation, workspace, user)
    with hub.following(workspace) as event:
        while True:
            rows, unread = await run_in_threadpool(_look, installation, workspace, user, last)
            last = rows[-1].id if rows else last
            yield {"rows": rows, "unread_count": unread, "changed": bool(rows) or unread != count}
            count = unread
            await live.wait(event, KEEP_ALIVE_SECONDS)


def _newest(installation: Any, workspace: UUID, user: UUID) -> UUID | None:  # noqa: ANN401
    with installation.database.transaction(workspace) as db:
        return feed.newest(db, user)


def _look(installation: Any, workspace: UUID, user: UUID, last: UUID | None) -> tuple[list[NotificationOut], int]:  # noqa: ANN401
    with installation.database.transaction(workspace) as db:
        return _all(feed.after(db, user, last)), feed.unread(db, user)
