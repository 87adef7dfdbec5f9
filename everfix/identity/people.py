"""People: looking up who belongs where, for what a person asks by name."""

from __future__ import annotations

from sqlalchemy import case, select
from sqlalchemy.orm import Session

from everfix.core.db import enter, mine
from everfix.errors import NotFound
from everfix.identity import tokens
from everfix.identity.members import Member
from everfix.identity.principals import Role
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
