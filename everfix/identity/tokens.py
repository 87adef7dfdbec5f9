"""Tokens: what a caller shows. One table for personal tokens, service accounts' tokens, browser sessions and sign-in links;
only the SHA-256 of a secret is kept.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterable
from datetime import datetime, timedelta
from enum import StrEnum
from uuid import UUID

from sqlalchemy import CheckConstraint, ForeignKey, Index, or_, select, text, update
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, crypto, ids
from everfix.core.db import Base, WorkspaceRow, created, enter, mine, refers, view
from everfix.errors import Unauthorized
from everfix.identity.members import Member
from everfix.identity.principals import ROLE_SCOPES, Principal, Role, Scope
from everfix.identity.users import User

LINK_LIFE = timedelta(hours=24)
SESSION_LIFE = timedelta(days=7)
SEEN_EVERY = timedelta(minutes=5)  # how fresh `last_used_at` is kept: a write on each read would cost more than it tells


class Kind(StrEnum):
    """What a token stands for; the letters a secret begins with follow from it."""

    PERSONAL = "personal"
    SERVICE = "service"
    SESSION = "session"
    LINK = "link"


PREFIXES = {Kind.PERSONAL: "efx_pat_", Kind.SERVICE: "efx_sat_", Kind.SESSION: "efx_ses_", Kind.LINK: "efx_lnk_"}


class ServiceAccount(WorkspaceRow, Base):
    """An identity of the workspace itself; outlives whoever made it."""

    __tablename__ = "service_accounts"
    __table_args__ = (Index("uq_service_accounts_name", "workspace_id", "name", unique=True),)

    name: Mapped[str]
    created_at: Mapped[datetime] = created()


class Token(WorkspaceRow, Base):
    """A secret's hash and what it may."""

    __tablename__ = "tokens"
    __table_args__ = (
        refers("service_account_id", "service_accounts"),
        CheckConstraint("kind IN ('personal', 'service', 'session', 'link')", name="kind"),
        CheckConstraint("num_nonnulls(user_id, service_account_id) = 1", name="holder"),
    )

    kind: Mapped[str]
    name: Mapped[str]
    user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    service_account_id: Mapped[UUID | None]
    hash: Mapped[bytes] = mapped_column(BYTEA, unique=True)
    scopes: Mapped[list[str] | None]  # None: all that the role may
    expires_at: Mapped[datetime | None]
    revoked_at: Mapped[datetime | None]
    last_used_at: Mapped[datetime | None]
    created_at: Mapped[datetime] = created()


def issue(
    db: Session,
    kind: Kind,
    name: str,
    *,
    user: UUID | None = None,
    service_account: UUID | None = None,
    scopes: Iterable[Scope] | None = None,
    life: timedelta | None = None,
) -> str:
    """Make a token and return its secret, which is shown this once."""
    secret = PREFIXES[kind] + secrets.token_urlsafe(32)
    db.add(
        Token(
            kind=kind,
            name=name,
            user_id=user,
            service_account_id=service_account,
            hash=crypto.token_hash(secret),
            scopes=None if scopes is None else sorted(scope.value for scope in scopes),
            expires_at=None if life is None else clock.now() + life,
        )
    )
    db.flush()
    return secret


def authenticate(db: Session, secret: str, kinds: Iterable[Kind], *, ip: str = "", trace_id: str = "") -> Principal:
    """Enter the token's workspace and return who calls; raises Unauthorized for anything but a live token of these kinds."""
    found = db.execute(text("SELECT workspace_id FROM everfix_find_token(:hash)"), {"hash": crypto.token_hash(secret)}).one_or_none()
    if found is None:
        raise Unauthorized
    enter(db, found.workspace_id)
    now = clock.now()
    alive = [Token.revoked_at.is_(None), or_(Token.expires_at.is_(None), Token.expires_at > now), Token.kind.in_(list(kinds))]
    token = db.execute(select(Token).where(Token.hash == crypto.token_hash(secret), *alive)).scalar_one_or_none()
    if token is None:
        raise Unauthorized
    if token.last_used_at is None or now - token.last_used_at > SEEN_EVERY:
        db.execute(update(Token).where(Token.id == token.id).values(last_used_at=now))
    return _service(db, token, ip, trace_id) if token.service_account_id else _person(db, token, ip, trace_id)


def _service(db: Session, token: Token, ip: str, trace_id: str) -> Principal:
    account = db.execute(select(ServiceAccount).where(ServiceAccount.id == token.service_account_id)).scalar_one()
    scopes = frozenset(Scope(name) for name in token.scopes or () if name in set(Scope))
    return Principal("service_account", account.id, account.name, token.workspace_id, scopes, None, token.id, ip, trace_id)


def _person(db: Session, token: Token, ip: str, trace_id: str) -> Principal:
    """Return the person as the token lets them act: without scopes, or with an empty list of them, as far as their role goes."""
    row = db.execute(
        select(User, Member.role).join(Member, Member.user_id == User.id).where(User.id == token.user_id, Member.status == "active")
    ).one_or_none()
    if row is None:
        raise Unauthorized
    role = Role(row.role)
    if role not in (Role.ADMIN, Role.OWNER):
        view(db, row.User.id)
    scopes = ROLE_SCOPES[role] if not token.scopes else ROLE_SCOPES[role] & {Scope(name) for name in token.scopes if name in set(Scope)}
    return Principal("user", row.User.id, row.User.name, token.workspace_id, frozenset(scopes), role, token.id, ip, trace_id)


def spend(db: Session, token_id: UUID | None) -> None:
    """Revoke a token at once and for good; raises Unauthorized when it was spent before (a sign-in link works once)."""
    done = db.execute(
        update(Token).where(Token.id == token_id, Token.revoked_at.is_(None)).values(revoked_at=clock.now()).returning(Token.id)
    )
    if done.one_or_none() is None:
        raise Unauthorized


def service_account(db: Session, name: str) -> ServiceAccount:
    """Return the workspace's service account of that name, made when missing."""
    account = db.execute(select(ServiceAccount).where(mine(ServiceAccount), ServiceAccount.name == name)).scalar_one_or_none()
    if account is None:
        account = ServiceAccount(id=ids.new(), name=name)
        db.add(account)
        db.flush()
    return account
