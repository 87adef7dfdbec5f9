"""`/v1/stream`: the WebSocket that keeps a page up to date; a client that comes back says what it had last, and gets what it missed.

    wss://<host>/v1/stream?workspace=<id>&since=<notification id>       subprotocols: "bearer", "<token>"

The server answers `hello` and then `activity.created`, `issue.updated`, `pattern.updated`, `prediction.alert`, `recommendation.created`.
"""  # fmt: skip

from __future__ import annotations

import asyncio
import contextlib
from typing import Any
from uuid import UUID

from fastapi import APIRouter, WebSocket, WebSocketDisconnect
from fastapi.concurrency import run_in_threadpool

from everfix.api.v1 import notifications
from everfix.core import ids
from everfix.core.db import Json
from everfix.errors import EverfixError, Unauthorized
from everfix.identity import tokens
from everfix.identity.principals import Principal, Scope

router = APIRouter(tags=["notifications"])
UNAUTHORIZED, NOT_THERE = 4401, 4404  # as the HTTP statuses, in the range that applications have
# what a feed's type is called on the stream; anything else is `activity.created`
TYPES = {
    "issue.created": "issue.updated",
    "issue.escalated": "issue.updated",
    "pattern.updated": "pattern.updated",
    "prediction.alert.fired": "prediction.alert",
    "recommendation.created": "recommendation.created",
}


@router.websocket("/stream")
async def stream(socket: WebSocket, workspace: str = "", since: str = "") -> None:
    """Follow the caller's feed of one workspace."""
    offered = [part.strip() for part in socket.headers.get("sec-websocket-protocol", "").split(",") if part.strip()]
    chosen = "bearer" if "bearer" in offered else (offered[0] if offered else None)
    await socket.accept(subprotocol=chosen)
    try:
        who = await run_in_threadpool(_caller, socket, offered)
        same = not workspace or ids.parse(ids.Prefix.WORKSPACE, workspace) == who.workspace
        last = ids.parse(ids.Prefix.NOTIFICATION, since) if since else None
    except EverfixError as problem:
        await socket.close(UNAUTHORIZED, problem.message[:120])
        return
    except ValueError as problem:
        await socket.close(NOT_THERE, str(problem)[:120])
        return
    if not same:
        await socket.close(NOT_THERE, "there is no such workspace, or this token does not belong to it")
        return
    await _follow(socket, who, last)


def _caller(socket: WebSocket, offered: list[str]) -> Principal:
    header = socket.headers.get("authorization", "")
    secret = next((part for part in offered if part != "bearer"), header.partition(" ")[2].strip())
    if not secret:
        raise Unauthorized
    with socket.app.state.installation.database.transaction() as db:
        who = tokens.authenticate(db, secret, (tokens.Kind.PERSONAL, tokens.Kind.SERVICE), ip="", trace_id=str(ids.new()))
    who.require(Scope.WORKSPACE_READ)
    return who


async def _follow(socket: WebSocket, who: Principal, last: UUID | None) -> None:
    gone = asyncio.create_task(_until_gone(socket))
    sending = asyncio.create_task(_send(socket, who, last))
    done, waiting = await asyncio.wait((gone, sending), return_when=asyncio.FIRST_COMPLETED)
    for task in waiting:
        task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await task
    for task in done:
        with contextlib.suppress(WebSocketDisconnect):
            task.result()


async def _until_gone(socket: WebSocket) -> None:
    with contextlib.suppress(WebSocketDisconnect):
        while True:
            await socket.receive_text()  # clients have nothing to say; this notices when they leave


async def _send(socket: WebSocket, who: Principal, last: UUID | None) -> None:
    state, first = socket.app.state, True
    async for found in notifications.follow(state.hub, state.installation, who.workspace, notifications.me(who), last):
        if first:
            await socket.send_json({"type": "hello", "unread_count": found["unread_count"]})
            first = False
        for row in found["rows"]:
            await socket.send_json(_message(row, found["unread_count"]))


def _message(row: Any, unread: int) -> Json:  # noqa: ANN401 - a NotificationOut
    return {"type": TYPES.get(row.type, "activity.created"), "unread_count": unread, "data": row.model_dump(mode="json")}
