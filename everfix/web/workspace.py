"""Workspace settings: its name and zone, and what steers the loop in it."""

from __future__ import annotations

from typing import Any

from fastapi import APIRouter
from pydantic import ValidationError
from starlette.responses import Response

from everfix.errors import EverfixError
from everfix.identity import workspaces
from everfix.identity.principals import Scope
from everfix.web import session, shell
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
HERE = "/settings/workspace"
SHARES = ("ai_confidence_threshold", "alert_threshold")  # people write them in percent
FIELDS = {
    "name": "Name", "slug": "Slug", "timezone": "Time zone", "default_theme": "Colours", "industry": "Industry", "description": "Description",
    "currency": "Currency", "loop_cost": "Cost of a recurrence", "ai_confidence_threshold": "Likeness to join a pattern",
    "ai_proof_window_days": "Proof window", "alert_threshold": "Alert threshold", "ai_auto_link": "Join by likeness",
}  # fmt: skip


@router.get("/settings")
def settings(visit: session.sees(Scope.WORKSPACE_READ)) -> Response:  # type: ignore[valid-type]
    """Lead to the first of the settings."""
    return shell.go(next(address for address, _, scope in shell.SETTINGS if visit.may(scope)))


@router.get(HERE)
def shown(visit: session.sees(Scope.WORKSPACE_READ), kept: str = "") -> Response:  # type: ignore[valid-type]
    """The settings as they are, and a form for those who may change them."""
    return _page(visit, kept=bool(kept))


@router.post(HERE)
def change(visit: session.changes(Scope.WORKSPACE_WRITE), given: session.Given) -> Response:  # type: ignore[valid-type]
    """Keep what the form says; what cannot be kept is said, and nothing changes."""
    typed: dict[str, Any] = {name: given[name] for name in FIELDS if name in given}
    typed["ai_auto_link"] = "ai_auto_link" in given  # a box that is not ticked is not sent
    try:
        read = workspaces.Change.model_validate(typed | {name: _share(typed[name]) for name in SHARES if name in typed})
        with visit.db.begin_nested():
            workspaces.change(visit.db, visit.who, read.model_dump(exclude_unset=True))
    except ValidationError as problem:
        return _page(visit, problem=_words(problem, typed), typed=typed)
    except EverfixError as refused:
        return _page(visit, problem=refused.message, typed=typed)
    return shell.go(f"{HERE}?kept=1")


def _words(problem: ValidationError, typed: dict[str, Any]) -> str:
    first = problem.errors()[0]
    field = str(first["loc"][0])
    return f"{FIELDS[field]}: {first['msg'].removeprefix('Value error, ')} ({typed[field][:60]!r} came)"


def _share(percent: str) -> float | str:
    try:
        return float(percent) / 100
    except ValueError:
        return percent


def _page(visit: Visit, *, kept: bool = False, problem: str = "", typed: dict[str, Any] | None = None) -> Response:
    here = visit.here
    values = {name: getattr(here, name) for name in FIELDS} | {name: f"{100 * getattr(here, name):g}" for name in SHARES}
    values["loop_cost"] = f"{here.loop_cost:.15g}"
    return shell.page(
        visit,
        "settings/workspace.html",
        status=422 if problem else 200,
        values=values | (typed or {}),
        problem=problem,
        kept=kept,
        zones=workspaces.zones(),
        may=visit.may(Scope.WORKSPACE_WRITE),
    )
