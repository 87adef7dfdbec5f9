"""Session: who looks at a page. A cookie holds a session token; changes need the session's own CSRF token from the same site."""

from __future__ import annotations

import dataclasses
import hmac
from typing import Annotated, Any
from urllib.parse import urlsplit
from uuid import UUID

from fastapi import Depends, Form, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import audit, deps
from everfix.core import clock
from everfix.errors import Forbidden, Malformed, Unauthorized
from everfix.identity import tokens, workspaces
from everfix.identity.principals import ROLE_SCOPES, Principal, Scope
from everfix.settings import Settings

FIELD = 20_000  # characters of one field of a form
DEVICE = 120  # characters of the browser's own description that are kept as the session's name


class NotSignedIn(Unauthorized):
    """Sign in to see this page."""


@dataclasses.dataclass(frozen=True, slots=True)
class Visit:
    """A signed-in request: the database, who looks, in which workspace, and the token that this session's forms carry."""

    request: Request
    db: Session
    who: Principal
    here: workspaces.Workspace
    csrf: str

    def may(self, scope: Scope) -> bool:
        """Tell whether this visitor has a scope; a page offers only what works."""
        return scope in self.who.scopes


def _visit(request: Request, db: deps.Db, settings: deps.Config) -> Visit:
    secret = request.cookies.get(deps.cookie_name(settings), "")
    try:
        who = tokens.authenticate(db, secret, (tokens.Kind.SESSION,), ip=deps.client_ip(request), trace_id=request.state.trace_id)
    except Unauthorized:
        raise NotSignedIn from None
    return Visit(request, db, who, workspaces.here(db), _csrf(secret))


def _csrf(secret: str) -> str:
    return hmac.digest(secret.encode(), b"csrf", "sha256").hex()


Visiting = Annotated[Visit, Depends(_visit)]


async def _fields(request: Request) -> dict[str, str]:
    form = await request.form(max_fields=40)
    given = {}
    for key, value in form.multi_items():
        if not isinstance(value, str) or len(value) > FIELD:
            raise Malformed(f"the field {key[:40]!r} must be text of at most {FIELD:,} characters")
        given[key] = value.strip()
    return given


Given = Annotated[dict[str, str], Depends(_fields)]  # the fields of a form as they came, for one of many fields


def sees(scope: Scope) -> Any:  # noqa: ANN401 - an Annotated type made at import
    """Return the type of a page's `visit`: reading the signature tells the permission."""

    def check(visit: Visiting) -> Visit:
        visit.who.require(scope)
        return visit

    return Annotated[Visit, Depends(check)]


def changes(scope: Scope | None = None) -> Any:  # noqa: ANN401 - an Annotated type made at import
    """Return the type of the `visit` of a form that changes something: same site, this session's token, and the permission."""

    def check(visit: Visiting, settings: deps.Config, csrf: Annotated[str, Form(max_length=200)] = "") -> Visit:
        same_site(visit.request, settings)
        if not hmac.compare_digest(csrf, visit.csrf):
            raise Forbidden("this form is out of date: load the page again and repeat")
        if scope is not None:
            visit.who.require(scope)
        return visit

    return Annotated[Visit, Depends(check)]


def same_site(request: Request, settings: Settings) -> None:
    """Raise Forbidden for a request that a page of another site started; programs, which say nothing about it, pass."""
    site, origin = request.headers.get("sec-fetch-site"), request.headers.get("origin")
    if site is not None:
        fine = site in ("same-origin", "none")
    else:
        fine = origin is None or urlsplit(origin).netloc in (request.headers.get("host"), urlsplit(settings.url).netloc)
    if not fine:
        raise Forbidden("this request came from another site")


def start(db: Session, response: Response, request: Request, settings: Settings, who: Principal, *, by: str) -> None:
    """Begin a session for `who` (entered by a link or a token) and put its cookie on the response."""
    device = request.headers.get("user-agent", "a browser")[:DEVICE]
    secret = _issue(db, who, device)
    audit.record(db, who, audit.Action.SESSION_STARTED, "session", None, {"by": by, "device": device})
    response.set_cookie(
        deps.cookie_name(settings),
        secret,
        max_age=int(tokens.SESSION_LIFE.total_seconds()),
        path="/",
        secure=deps.secure(settings),
        httponly=True,
        samesite="lax",
    )


def _issue(db: Session, who: Principal, device: str) -> str:
    """Make the session's token: it may what the token it came from may, and lives no longer."""
    spent = db.execute(select(tokens.Token).where(tokens.Token.id == who.token_id)).scalar_one()
    life = tokens.SESSION_LIFE
    if spent.kind != tokens.Kind.LINK and spent.expires_at is not None:
        life = min(life, spent.expires_at - clock.now())
    person: UUID | None = who.actor_id if who.kind == "user" else None
    whole = who.role is not None and who.scopes == ROLE_SCOPES[who.role]
    return tokens.issue(
        db,
        tokens.Kind.SESSION,
        device,
        user=person,
        service_account=None if person else who.actor_id,
        scopes=None if whole else who.scopes,
        life=life,
    )


def end(visit: Visit, response: Response, settings: Settings) -> None:
    """End the visitor's session for good and take its cookie away."""
    tokens.spend(visit.db, visit.who.token_id)
    audit.record(visit.db, visit.who, audit.Action.SESSION_ENDED, "session", visit.who.token_id)
    forget(response, settings)


def forget(response: Response, settings: Settings) -> None:
    """Take the session's cookie away."""
    response.delete_cookie(deps.cookie_name(settings), path="/", secure=deps.secure(settings), httponly=True, samesite="lax")
