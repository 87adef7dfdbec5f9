"""What a route may ask for: the database, who calls (and so the permission), a page of a list, the installation's parts."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated, Any

from fastapi import Depends, Query, Request, Security
from fastapi.security import HTTPBearer
from sqlalchemy.orm import Session

from everfix.core.crypto import Keys
from everfix.core.storage import Storage
from everfix.errors import Unauthorized
from everfix.identity import tokens
from everfix.identity.principals import Principal, Scope
from everfix.settings import Settings

LIMIT_DEFAULT, LIMIT_MOST = 25, 100
COOKIE = "everfix_session"


def _db(request: Request) -> Iterator[Session]:
    with request.app.state.installation.database.transaction() as db:
        yield db


# Committed before the response is sent: with FastAPI's default scope a failed commit would still answer 200.
Db = Annotated[Session, Depends(_db, scope="function")]


def client_ip(request: Request) -> str:
    """Return the caller's address as the server saw it."""
    return request.client.host if request.client else ""


def secure(settings: Settings) -> bool:
    """Tell whether people reach this server over https, so that cookies may be kept to it."""
    return settings.url.startswith("https://")


def cookie_name(settings: Settings) -> str:
    """Return the cookie's name; over https the prefix makes browsers refuse one that a neighbouring host planted."""
    return f"__Host-{COOKIE}" if secure(settings) else COOKIE


def bearer(request: Request) -> str:
    """Return the bearer token's secret; raises Unauthorized."""
    scheme, _, secret = request.headers.get("authorization", "").partition(" ")
    if scheme.lower() != "bearer" or not secret.strip():
        raise Unauthorized
    return secret.strip()


BEARER = HTTPBearer(auto_error=False, description="A personal or a service account's token.")  # for the explorer; `bearer` reads the header


def _caller(request: Request, db: Db, _shown: Annotated[object, Security(BEARER)]) -> Principal:
    kinds = (tokens.Kind.PERSONAL, tokens.Kind.SERVICE)
    return tokens.authenticate(db, bearer(request), kinds, ip=client_ip(request), trace_id=request.state.trace_id)


Caller = Annotated[Principal, Depends(_caller)]


def needs(scope: Scope | str) -> Any:  # noqa: ANN401 - FastAPI's marker
    """Return the condition on a route's `who`, as in `Annotated[Principal, needs(Scope.X)]`: reading the signature tells the permission."""
    wanted = Scope(scope)

    def check(who: Caller) -> Principal:
        who.require(wanted)
        return who

    check.scope = wanted  # type: ignore[attr-defined]
    return Depends(check)


def apart(scope: Scope | str) -> Any:  # noqa: ANN401 - FastAPI's marker
    """Like `needs`, but its transaction is over when the route begins: for a route that calls another server and opens its own."""
    wanted = Scope(scope)

    def check(request: Request, _shown: Annotated[object, Security(BEARER)]) -> Principal:
        with request.app.state.installation.database.transaction() as db:
            who = _caller(request, db, _shown)
        who.require(wanted)
        return who

    check.scope = wanted  # type: ignore[attr-defined]
    return Depends(check)


def _settings(request: Request) -> Settings:
    return request.app.state.installation.settings  # type: ignore[no-any-return]


def _keys(request: Request) -> Keys:
    return request.app.state.installation.keys  # type: ignore[no-any-return]


def _storage(request: Request) -> Storage:
    return request.app.state.installation.storage  # type: ignore[no-any-return]


def _installation(request: Request) -> Any:  # noqa: ANN401 - an Installation, which stands below
    return request.app.state.installation


Installed = Annotated[Any, Depends(_installation)]
Config = Annotated[Settings, Depends(_settings)]
SigningKeys = Annotated[Keys, Depends(_keys)]
Files = Annotated[Storage, Depends(_storage)]


class Paging:
    """How a list is walked: `limit`, `cursor` and `sort` as they came; `api.pages` reads them."""

    def __init__(
        self,
        keys: SigningKeys,
        limit: Annotated[int, Query(ge=1, le=LIMIT_MOST, description="How many rows a page holds.")] = LIMIT_DEFAULT,
        cursor: Annotated[str | None, Query(max_length=2000, description="Where the next page starts, as the last answer said.")] = None,
        sort: Annotated[str | None, Query(max_length=60, description="`field` ascending, `-field` descending.")] = None,
    ) -> None:
        self.keys, self.limit, self.cursor, self.sort = keys, limit, cursor, sort


Page = Annotated[Paging, Depends()]
