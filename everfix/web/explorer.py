"""Explorer: the API's own documentation at /docs, served from this host."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from everfix.web import shell

router = APIRouter(include_in_schema=False)


@router.get("/docs")
def explorer(request: Request) -> Response:
    """Show every call of the API, to be tried with a token."""
    return shell.plain(request, "explorer/page.html")
