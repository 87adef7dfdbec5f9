"""Web: the pages, server-rendered. One file per section of the product, one line here."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

from everfix.errors import EverfixError
from everfix.web import assets, dashboard, issues, patterns, reports, shell, sign_in

log = structlog.get_logger()
SECTIONS = (sign_in, dashboard, patterns, issues, reports)


class Static(StaticFiles):
    """Our own files: an address that carries its version is kept by browsers for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file."""
        response = await super().get_response(path, scope)
        versioned = path.startswith("dist") or b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable" if versioned and response.status_code in (200, 304) else "no-cache"
        return response


def mount(app: FastAPI) -> None:
    """Add the pages to the application, and say where their scripts are missing."""
    app.mount("/static", Static(directory=assets.STATIC), name="static")
    for section in SECTIONS:
        app.include_router(section.router)
    if not assets.built():
        log.error("pages are incomplete", reason=assets.MISSING)


def answers(request: Request) -> bool:
    """Tell whether a failure of this request is answered with a page."""
    return shell.wants_page(request)


def problem(request: Request, known: EverfixError) -> Response:
    """Return a failure as a page, or lead to /login."""
    return shell.problem(request, known)
