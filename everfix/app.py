"""The HTTP server: create_app() mounts the surfaces, with one error handler and one lifespan; the only HTTP wiring."""

from __future__ import annotations

import json
import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import Any

import psycopg
import structlog
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi.responses import JSONResponse, Response
from sqlalchemy.exc import DBAPIError
from starlette.exceptions import HTTPException
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp, Message, Receive, Scope, Send

import everfix
from everfix import web
from everfix.api import compat, problems, v1
from everfix.core import ids, jobs, live
from everfix.errors import BadField, EverfixError, Malformed, TooLarge, Unavailable
from everfix.installation import Installation, reachable

log = structlog.get_logger()
UPLOADS = re.compile(r"^/v1/ml/.+/upload$")  # tables: streamed to disk, so that they may be larger than other bodies
TRACE_ID = re.compile(r"^[A-Za-z0-9._:-]{8,128}$")
Next = Callable[[Request], Awaitable[Any]]


def create_app(installation: Installation) -> FastAPI:
    """Return the application over an open installation; `app.state.stopping` makes /health answer 503."""
    app = FastAPI(
        title="Everfix", version=everfix.__version__, description=everfix.__doc__ or "", lifespan=_lifespan, docs_url=None, redoc_url=None
    )
    app.state.installation, app.state.stopping = installation, False
    app.state.hub = live.Hub(installation.database.url) if hasattr(installation, "database") else None
    app.include_router(v1.router, responses=problems.documented(problems.Enveloped))
    app.include_router(compat.router)
    web.mount(app)
    app.get("/health", tags=["operations"])(_health)
    app.get("/ready", tags=["operations"])(_ready)
    app.add_exception_handler(Exception, _answer)
    for kind in (EverfixError, RequestValidationError, HTTPException, DBAPIError):
        app.add_exception_handler(kind, _answer)
    if installation.settings.allowed_origins:
        sent = ("Authorization", "Content-Type", "Idempotency-Key", "X-API-Key", "X-Request-Id", "X-Tenant-Id")
        app.add_middleware(
            CORSMiddleware,
            allow_origins=installation.settings.allowed_origins,
            allow_methods=("*",),
            allow_headers=sent,
            expose_headers=("X-Request-Id",),
        )
    app.add_middleware(Envelope, most=installation.settings.request_max_bytes, upload=installation.settings.upload_max_bytes)
    return app


@asynccontextmanager
async def _lifespan(app: FastAPI) -> AsyncIterator[None]:
    yield
    app.state.stopping = True


def _health(request: Request) -> JSONResponse:
    """Say that the process lives; 503 while it shuts down."""
    if request.app.state.stopping:
        return JSONResponse({"status": "unhealthy"}, 503)
    return JSONResponse({"status": "ok"})


def _ready(request: Request) -> JSONResponse:
    """Say whether requests can be served: the database answers, and the process is not shutting down."""
    ready = not request.app.state.stopping and reachable(request.app.state.installation)
    return JSONResponse({"status": "ready" if ready else "unavailable", "checks": {"database": ready}}, 200 if ready else 503)


class Envelope:
    """Around every request: a trace id in and out, a bound on the body's size, and safe headers on every answer."""

    def __init__(self, app: ASGIApp, most: int, upload: int) -> None:
        self.app, self.most, self.upload = app, most, upload

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request; a body over the bound ends it with 413 before anything is stored."""
        if scope["type"] != "http":
            await self.app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        sent = headers.get(b"x-request-id", b"").decode("latin-1")
        trace = sent if TRACE_ID.match(sent) else str(ids.new())
        scope.setdefault("state", {})["trace_id"] = trace
        most = self.upload if UPLOADS.match(scope["path"]) else self.most
        length = headers.get(b"content-length", b"0")
        if length.isdigit() and int(length) > most:
            await self._swallow(receive)
            problem = TooLarge(f"the request body has {int(length)} bytes; at most {most} are read")
            await problems.answer(scope["path"], problem, trace)(scope, receive, _stamped(send, trace))
            return
        await self.app(scope, self._bounded(receive, most), _stamped(send, trace))

    def _bounded(self, receive: Receive, most: int) -> Receive:
        read = 0

        async def bounded() -> Message:
            nonlocal read
            message = await receive()
            read += len(message.get("body", b""))
            if read > most:
                if message.get("more_body"):
                    await self._swallow(receive)
                raise HTTPException(413, f"the request body has more than {most} bytes")  # the one kind that FastAPI lets through here
            return message

        return bounded

    async def _swallow(self, receive: Receive) -> None:
        """Read on for as many bytes again and keep nothing: an answer in mid-sending would reach most clients as a broken connection."""
        left = self.most
        while left > 0:
            message = await receive()
            left -= len(message.get("body", b""))
            if not message.get("more_body"):
                return


def _stamped(send: Send, trace: str) -> Send:
    async def stamped(message: Message) -> None:
        if message["type"] == "http.response.start":
            present = {name.lower() for name, _ in message["headers"]}
            extra = ((b"x-request-id", trace.encode()), (b"x-content-type-options", b"nosniff"), (b"referrer-policy", b"same-origin"))
            message["headers"] = [*message["headers"], *(pair for pair in extra if pair[0] not in present)]
        await send(message)

    return stamped


async def _answer(request: Request, problem: Exception) -> Response:
    """Turn any failure into the envelope, or into a page; what we did not foresee is logged in full and answered without its details."""
    trace = request.state.trace_id
    known = translate(problem)
    if isinstance(problem, Unavailable):  # said on purpose: something is not set up, or this process is going down
        log.warning("request refused", trace_id=trace, path=request.url.path, error=known.message)
    elif known.status >= 500:
        log.error("request failed", trace_id=trace, path=request.url.path, error=jobs.describe(problem), exc_info=problem)
    return web.problem(request, known) if web.answers(request) else problems.answer(request.url.path, known, trace)


def translate(problem: Exception) -> EverfixError:
    """Return the error of our tree that a failure means."""
    match problem:
        case EverfixError():
            return problem
        case RequestValidationError():
            return _validation(problem)
        case HTTPException():
            return _http(problem)
        case DBAPIError() if problem.connection_invalidated or away(problem):
            return Unavailable("the database does not answer; try again")
        case _:
            return EverfixError("something went wrong here; the trace id finds it in the log")


def away(problem: DBAPIError) -> bool:
    """Tell whether the database was out of reach: no SQLSTATE where it did not answer, class 08 or 57P where it comes or goes."""
    cause = problem.orig
    return isinstance(cause, psycopg.OperationalError) and (cause.sqlstate is None or cause.sqlstate.startswith(("08", "57P")))


def _validation(problem: RequestValidationError) -> EverfixError:
    errors = problem.errors()
    details = {}
    for error in errors:
        place = [str(part) for part in error["loc"] if part not in ("body", "query", "path", "header")]
        shown = error.get("input")
        came = f" (got {json.dumps(shown)[:60]})" if isinstance(shown, str | int | float | bool) and error["type"] != "json_invalid" else ""
        details[".".join(place) or "body"] = error["msg"].removeprefix("Value error, ") + came
    field, reason = next(iter(details.items()))
    if any(error["type"] == "json_invalid" for error in errors):
        return Malformed(f"the body is not JSON: {reason}", details={"body": reason})
    return BadField(f"{field}: {reason}", details=details)


def _http(problem: HTTPException) -> EverfixError:
    made = Malformed(str(problem.detail)) if problem.status_code < 500 else EverfixError(str(problem.detail))
    names = {404: "not_found", 405: "method_not_allowed", 413: TooLarge.code, 415: "unsupported_media_type"}
    kind = type("Http", (type(made),), {"code": names.get(problem.status_code, made.code), "status": problem.status_code})
    return kind(str(problem.detail))  # type: ignore[no-any-return]
