"""Problems: how each surface words a failure; one table, by where the path begins."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any

from fastapi.responses import JSONResponse
from pydantic import BaseModel

from everfix.errors import BadField, EverfixError, RateLimited, Unauthorized

Json = dict[str, Any]


class Ascii(JSONResponse):
    """An error may quote what came, and that may be text which UTF-8 cannot write (a lone surrogate)."""

    def render(self, content: object) -> bytes:
        """Return JSON in ASCII."""
        return json.dumps(content).encode()


def _ours(problem: EverfixError, trace: str) -> tuple[int, Json]:
    body: Json = {"code": problem.code, "message": problem.message}
    if not isinstance(problem, RateLimited):
        body["trace_id"] = trace
    if problem.details:
        body["details"] = problem.details
    return problem.status, {"error": body}


# What the dashboard surface calls a status; any other 4xx is a bad request, any 5xx an internal error.
CODES = {
    400: "BAD_REQUEST",
    401: "UNAUTHORIZED",
    403: "FORBIDDEN",
    404: "NOT_FOUND",
    405: "METHOD_NOT_ALLOWED",
    409: "CONFLICT",
    413: "PAYLOAD_TOO_LARGE",
    422: "UNPROCESSABLE_ENTITY",
    429: "RATE_LIMITED",
    502: "BAD_GATEWAY",
    503: "SERVICE_UNAVAILABLE",
}


def _dashboards(problem: EverfixError, _trace: str) -> tuple[int, Json]:
    """What does not have the shape asked for is a bad request there; 422 is kept for what has it and makes no sense."""
    status = 400 if isinstance(problem, BadField) else problem.status
    code = CODES.get(status) or ("BAD_REQUEST" if status < 500 else "INTERNAL_ERROR")
    body: Json = {"code": code, "message": problem.message, "status": status}
    if problem.details:
        body["details"] = problem.details
    return status, {"error": body}


def _detail(problem: EverfixError, _trace: str) -> tuple[int, Json]:
    return problem.status, {"detail": problem.message}


# Where a path begins → (status, body) of a failure there; the first that fits, else `_ours`.
SHAPES: tuple[tuple[str, Callable[[EverfixError, str], tuple[int, Json]]], ...] = (
    ("/api/jobs", _detail),
    ("/api/reports", _detail),
    ("/api/privacy", _detail),
    ("/api/", _dashboards),
)


# ---- the same for the explorer and /openapi.json


class Problem(BaseModel):
    """What went wrong: a code for programs, words for people, and by field what is allowed."""

    code: str
    message: str
    trace_id: str | None = None
    details: dict[str, str] | None = None


class Enveloped(BaseModel):
    """Every failure of /v1."""

    error: Problem


class DashboardProblem(BaseModel):
    """What went wrong, with the status once more."""

    code: str
    message: str
    status: int
    details: dict[str, str] | None = None


class DashboardEnveloped(BaseModel):
    """Every failure of the dashboard surface."""

    error: DashboardProblem


class Detailed(BaseModel):
    """Every failure of the reports on ML work."""

    detail: str


def documented(body: type[BaseModel]) -> dict[int | str, Json]:
    """Return how a router says what its failures look like."""
    return {"4XX": {"model": body, "description": "It was refused, and why."}}


def answer(path: str, problem: EverfixError, trace: str) -> JSONResponse:
    """Return a failure in the words of the surface that the path belongs to."""
    shape = next((made for start, made in SHAPES if path.startswith(start)), _ours)
    status, body = shape(problem, trace)
    headers = {"X-Request-Id": trace, "X-Content-Type-Options": "nosniff"}  # an unforeseen error is answered outside of Envelope
    if isinstance(problem, Unauthorized):
        headers["WWW-Authenticate"] = "Bearer"
    return Ascii(body, status, headers)
