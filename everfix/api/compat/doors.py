"""Doors: who calls a compatibility surface. A token in `X-API-Key` or as bearer, or a browser's session; each may name its tenant."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import Depends, Request
from sqlalchemy.orm import Session

from everfix import deps
from everfix.core import ids
from everfix.errors import Forbidden, NotFound
from everfix.identity import tokens
from everfix.identity.principals import Principal, Scope
from everfix.settings import Settings

TOKENS = (tokens.Kind.PERSONAL, tokens.Kind.SERVICE)
SAFE = ("GET", "HEAD", "OPTIONS")


def authenticate(request: Request, db: Session, settings: Settings) -> Principal:
    """Return who calls; raises Unauthorized, Forbidden for a change that a form of another site could have sent, NotFound for another tenant."""
    known = {"ip": deps.client_ip(request), "trace_id": request.state.trace_id}
    key, session = request.headers.get("x-api-key", "").strip(), request.cookies.get(deps.cookie_name(settings), "")
    if key:
        who = tokens.authenticate(db, key, TOKENS, **known)
    elif "authorization" in request.headers or not session:
        who = tokens.authenticate(db, deps.bearer(request), TOKENS, **known)
    else:
        who = tokens.authenticate(db, session, (tokens.Kind.SESSION,), **known)
        if request.method not in SAFE and request.headers.get("x-requested-with", "").lower() != "xmlhttprequest":
            raise Forbidden("a change made with a browser's session needs the header X-Requested-With: XMLHttpRequest")
    _same_tenant(request.headers.get("x-tenant-id", "").strip(), who)
    return who


def _same_tenant(named: str, who: Principal) -> None:
    if not named:
        return
    try:
        same = ids.parse(ids.Prefix.WORKSPACE, named) == who.workspace
    except ValueError:
        same = False
    if not same:
        raise NotFound("there is no such tenant, or this key does not belong to it")


def _caller(request: Request, db: deps.Db, settings: deps.Config) -> Principal:
    return authenticate(request, db, settings)


def _passer_by(request: Request, settings: deps.Config) -> Principal:
    with request.app.state.installation.database.transaction() as db:
        return authenticate(request, db, settings)


def needs(scope: Scope, caller: Any = _caller) -> Any:  # noqa: ANN401 - FastAPI's marker
    """Return the condition on a route's `who`, as `deps.needs` does for `/v1`."""

    def check(who: Annotated[Principal, Depends(caller)]) -> Principal:
        who.require(scope)
        return who

    check.__annotations__["who"] = Annotated[Principal, Depends(caller)]  # `caller` is not a name that FastAPI could look up
    check.scope = scope  # type: ignore[attr-defined]
    return Depends(check)


Viewer = Annotated[Principal, needs(Scope.REPORTS_READ)]
Editor = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
Auditor = Annotated[Principal, needs(Scope.AUDIT_READ)]
Admin = Annotated[Principal, needs(Scope.WORKSPACE_ADMIN)]
# For routes that ask other servers, or wait: they hold no transaction while they do.
ViewerInPassing = Annotated[Principal, needs(Scope.REPORTS_READ, _passer_by)]
EditorInPassing = Annotated[Principal, needs(Scope.REPORTS_WRITE, _passer_by)]
