"""People: looking up who belongs where, for what a person asks by name."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core.db import current, enter, mine
from everfix.errors import Conflict, Invalid, NotFound
from everfix.identity import tokens
from everfix.identity.members import Member
from everfix.identity.principals import Role, Scope, system
from everfix.identity.users import User
from everfix.identity.workspaces import Workspace


def sign_in_link(db: Session, email: str | None = None, workspace_slug: str | None = None) -> str:
    """Return the secret of a link that signs a person in once; default: the first owner. Runs as the database's owner.

    Raises NotFound when nobody fits.
    """
    for workspace in db.execute(select(Workspace).order_by(Workspace.created_at)).scalars():
        if workspace_slug is not None and workspace.slug != workspace_slug:
            continue
        enter(db, workspace.id)
        query = select(User).join(Member, Member.user_id == User.id).where(Member.status == "active", mine(Member))
        if email is not None:
            query = query.where(User.email == email.strip().lower())
        strongest = case({role.value: role.rank for role in Role}, value=Member.role).desc()
        user = db.execute(query.order_by(strongest, Member.created_at).limit(1)).scalars().first()
        if user is not None:
            return tokens.issue(db, tokens.Kind.LINK, "sign-in link", user=user.id, life=tokens.LINK_LIFE)
    raise NotFound(f"nobody with the address {email!r} belongs to a workspace here")


def workspace(db: Session, slug: str | None) -> UUID:
    """Return the workspace of that slug, or the only one. Runs as the database's owner.

    Raises NotFound, and Conflict naming the slugs when there are several and none was chosen.
    """
    found: dict[str, UUID] = {row.slug: row.id for row in db.execute(select(Workspace.slug, Workspace.id).order_by(Workspace.created_at))}
    if slug is None and len(found) == 1:
        return next(iter(found.values()))
    if slug is None:
        raise Conflict("there are several workspaces; choose one", details={"workspace": f"one of {', '.join(found)}"})
    if slug not in found:
        raise NotFound(f"there is no workspace {slug[:60]!r}", details={"workspace": f"one of {', '.join(found)}"})
    return found[slug]


def service_token(db: Session, name: str, scopes: Sequence[str], life: timedelta | None) -> str:
    """Return the secret of a new token of the service account `name`; raises Invalid for an unknown scope."""
    unknown = [scope for scope in scopes if scope not in set(Scope)]
    if unknown:
        raise Invalid(f"there is no scope {unknown[0][:60]!r}", details={"scope": f"any of {', '.join(sorted(Scope))}"})
    account = tokens.service_account(db, name)
    wanted = [Scope(scope) for scope in scopes]
    secret = tokens.issue(db, tokens.Kind.SERVICE, name, service_account=account.id, scopes=wanted, life=life)
    audit.record(db, system(current(db)), audit.Action.TOKEN_CREATED, "service_account", account.id, {"scopes": sorted(scopes)})
    return secret
