"""A synchronous httpx client over the real application in this process; Starlette's own asks for a second HTTP library."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterable, Iterator
from contextlib import contextmanager

import httpx
from anyio.from_thread import BlockingPortal, start_blocking_portal
from fastapi import FastAPI


class _Pieces(httpx.AsyncByteStream):
    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces = pieces

    async def __aiter__(self) -> AsyncIterator[bytes]:
        for piece in self._pieces:
            yield piece


class _Application(httpx.BaseTransport):
    """Hands each request to the application on its own event loop; a body given in pieces arrives in pieces."""

    def __init__(self, app: FastAPI, portal: BlockingPortal) -> None:
        self._asgi, self._portal = httpx.ASGITransport(app, raise_app_exceptions=False), portal

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        assert isinstance(request.stream, Iterable)
        sent = httpx.Request(request.method, request.url, headers=request.headers, stream=_Pieces(list(request.stream)))
        return self._portal.call(self._send, sent)

    async def _send(self, request: httpx.Request) -> httpx.Response:
        answer = await self._asgi.handle_async_request(request)
        body = await answer.aread()
        return httpx.Response(answer.status_code, headers=answer.headers, content=body)


@contextmanager
def over(app: FastAPI) -> Iterator[httpx.Client]:
    """Yield a client of `app`, started and stopped as a server would."""
    with (
        start_blocking_portal() as portal,
        portal.wrap_async_context_manager(app.router.lifespan_context(app)),
        httpx.Client(transport=_Application(app, portal), base_url="http://testserver") as client,
    ):
        yield client
