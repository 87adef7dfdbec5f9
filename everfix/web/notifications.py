"""Notifications: what the visitor should know, newest first; the bell of every page counts what is unread, and is kept up to date."""

from __future__ import annotations

from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.concurrency import run_in_threadpool
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from starlette.responses import Response

from everfix import deps
from everfix.core import ids, live
from everfix.delivery import feed
from everfix.delivery.feed import Notification
from everfix.errors import NotFound
from everfix.identity.principals import Scope
from everfix.web import session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
LISTED = 50
KEEP_ALIVE_SECONDS = 15.0


@router.get("/notifications")
def listed(visit: session.sees(Scope.WORKSPACE_READ)) -> Response:  # type: ignore[valid-type]
    """The visitor's feed."""
    query = select(Notification).where(feed.visible(me(visit))).order_by(Notification.id.desc()).limit(LISTED)
    reader = shown.Reader.of(visit.here)
    rows = [
        {
            "id": ids.show(ids.Prefix.NOTIFICATION, row.id),
            "title": row.title,
            "body": row.body,
            "at": reader.moment(row.created_at),
            "unread": row.read_at is None,
        }
        for row in visit.db.execute(query).scalars()
    ]
    return shell.page(visit, "notifications/page.html", rows=rows)


@router.post("/notifications/read-all")
def read_all(visit: session.changes(Scope.WORKSPACE_READ)) -> Response:  # type: ignore[valid-type]
    """Mark everything read."""
    feed.read_all(visit.db, me(visit))
    return shell.go("/notifications")


@router.post("/notifications/{notification_id}/open")
def open_(visit: session.changes(Scope.WORKSPACE_READ), notification_id: str) -> Response:  # type: ignore[valid-type]
    """Mark one read, and go to what it is about."""
    row = feed.read(visit.db, me(visit), _id(notification_id))
    return shell.go(row.link if row.link.startswith("/") and not row.link.startswith("//") else "/notifications")


@router.post("/notifications/{notification_id}/dismiss")
def dismiss(visit: session.changes(Scope.WORKSPACE_READ), notification_id: str) -> Response:  # type: ignore[valid-type]
    """Take one away."""
    feed.dismiss(visit.db, me(visit), _id(notification_id))
    return shell.go("/notifications")


@router.get("/notifications/stream")
def stream(request: Request, visit: session.sees(Scope.WORKSPACE_READ), installation: deps.Installed) -> StreamingResponse:  # type: ignore[valid-type]
    """Keep the bell up to date: an event whenever the number of unread rows changes."""
    events = _counts(request, installation, visit.who.workspace, me(visit))
    return StreamingResponse(events, media_type="text/event-stream", headers={"Cache-Control": "no-store", "X-Accel-Buffering": "no"})


async def _counts(request: Request, installation: Any, workspace: UUID, user: UUID) -> AsyncIterator[bytes]:  # noqa: ANN401 - an Installation
    said: int | None = None
    with request.app.state.hub.following(workspace) as event:
        while not await request.is_disconnected():
            now = await run_in_threadpool(_unread, installation, workspace, user)
            yield f"event: unread\ndata: {now}\n\n".encode() if now != said else b": alive\n\n"
            said = now
            await live.wait(event, KEEP_ALIVE_SECONDS)


def _unread(installation: Any, workspace: UUID, user: UUID) -> int:  # noqa: ANN401
    with installation.database.transaction(workspace) as db:
        return feed.unread(db, user)


def me(visit: Visit) -> UUID:
    if visit.who.actor_id is None:
        raise NotFound("only a person has notifications")
    return visit.who.actor_id


def _id(text: str) -> UUID:
    wanted: UUID | None = shell.shown_id(ids.Prefix.NOTIFICATION, text)
    if wanted is None:
        raise NotFound("there is no such notification")
    return wanted
