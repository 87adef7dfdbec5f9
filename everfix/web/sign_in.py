"""Sign in: by a link that works once, or by a pasted API token; and sign out."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form, Query, Request
from starlette.responses import Response

from everfix import deps
from everfix.errors import Unauthorized
from everfix.identity import tokens, workspaces
from everfix.identity.principals import Principal
from everfix.web import session, shell

router = APIRouter(include_in_schema=False)
SECRET = 200  # characters of a secret that are looked at
Secret = Annotated[str, Form(max_length=SECRET)]
Next = Annotated[str, Form(max_length=2000)]


@router.get("/login")
def login(
    request: Request,
    db: deps.Db,
    settings: deps.Config,
    next: Annotated[str, Query(max_length=2000)] = "",
    ended: Annotated[str, Query(max_length=5)] = "",
) -> Response:
    """Say how to get in; somebody who is in goes on."""
    secret = request.cookies.get(deps.cookie_name(settings))
    if secret is None:
        return shell.plain(request, "sign_in/login.html", target=shell.back(next), lost=False, ended=bool(ended), wrong="")
    try:
        _caller(request, db, secret, tokens.Kind.SESSION)
    except Unauthorized:
        made = shell.plain(request, "sign_in/login.html", target=shell.back(next), lost=True, ended=False, wrong="")
        session.forget(made, settings)
        return made
    return shell.go(shell.back(next))


@router.post("/login")
def enter(request: Request, db: deps.Db, settings: deps.Config, token: Secret = "", next: Next = "") -> Response:
    """Begin a session with an API token."""
    session.same_site(request, settings)
    try:
        who = _caller(request, db, token.strip(), tokens.Kind.PERSONAL, tokens.Kind.SERVICE)
    except Unauthorized:
        wrong = "This is no token that works here. It may be mistyped, revoked or expired."
        return shell.plain(request, "sign_in/login.html", status=401, target=shell.back(next), lost=False, ended=False, wrong=wrong)
    made = shell.go(shell.back(next))
    session.start(db, made, request, settings, who, by="token")
    return made


@router.get("/sign-in/{secret}")
def link(request: Request, db: deps.Db, secret: str) -> Response:
    """Show whom a link signs in, and a button. Nothing is spent: chat programs and mail scanners open links to preview them."""
    try:
        who = _caller(request, db, secret, tokens.Kind.LINK)
    except Unauthorized:
        return shell.plain(request, "sign_in/spent.html", status=410)
    return shell.plain(request, "sign_in/confirm.html", secret=secret, who=who, here=workspaces.here(db))


@router.post("/sign-in")
def spend(request: Request, db: deps.Db, settings: deps.Config, secret: Secret = "") -> Response:
    """Spend a link and begin the session."""
    session.same_site(request, settings)
    try:
        who = _caller(request, db, secret, tokens.Kind.LINK)
        tokens.spend(db, who.token_id)
    except Unauthorized:
        return shell.plain(request, "sign_in/spent.html", status=410)
    made = shell.go(shell.HOME)
    session.start(db, made, request, settings, who, by="link")
    return made


@router.post("/sign-out")
def leave(visit: session.changes(), settings: deps.Config) -> Response:  # type: ignore[valid-type]
    """End the session."""
    made = shell.go("/login?ended=true")
    session.end(visit, made, settings)
    return made


@router.post("/theme")
def theme(settings: deps.Config, theme: Annotated[str, Form(max_length=10)] = "", next: Next = "") -> Response:
    """Keep the colours somebody chose, for a browser without scripts."""
    made = shell.go(shell.back(next))
    if theme in shell.THEMES:
        made.set_cookie("everfix_theme", theme, max_age=31_536_000, path="/", secure=deps.secure(settings), samesite="lax")
    return made


def _caller(request: Request, db: deps.Db, secret: str, *kinds: tokens.Kind) -> Principal:
    if not secret or len(secret) > SECRET or not secret.isascii():
        raise Unauthorized
    return tokens.authenticate(db, secret, kinds, ip=deps.client_ip(request), trace_id=request.state.trace_id)
