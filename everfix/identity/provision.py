"""Provisioning: one transaction makes an organisation, a workspace, an owner and the membership (reference, section 10)."""

from __future__ import annotations

import dataclasses
import re
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import ids
from everfix.core.db import enter
from everfix.errors import Conflict, Invalid
from everfix.identity import workspaces
from everfix.identity.members import Member
from everfix.identity.organisations import FREE_SEATS, Organisation
from everfix.identity.principals import Role, system
from everfix.identity.users import User
from everfix.identity.workspaces import SLUG, Workspace


@dataclasses.dataclass(frozen=True, slots=True)
class Provisioned:
    """What was made."""

    organization_id: UUID
    workspace_id: UUID
    owner_user_id: UUID
    membership_id: UUID


def client(
    db: Session,
    *,
    org_name: str,
    org_slug: str,
    owner_email: str,
    owner_name: str | None = None,
    workspace_name: str | None = None,
    plan: str = "free",
    timezone: str = "UTC",
    seats: int = FREE_SEATS,
    simulated: bool = False,
    currency: str = "USD",
    loop_cost: float = 4_800.0,
) -> Provisioned:
    """Make a client's organisation, first workspace and owner; an existing user is reused by e-mail.

    Runs on the owner's connection. Raises Conflict for a taken slug, Invalid for a wrong one or an unknown zone.
    """
    if not re.fullmatch(SLUG, org_slug):
        raise Invalid(f"organisation slug {org_slug!r} must match {SLUG}", details={"slug": "lower-case letters, digits and hyphens"})
    try:
        workspaces.zone(timezone)
    except ValueError as problem:
        raise Invalid(str(problem), details={"timezone": "an IANA name like Europe/Paris"}) from problem
    if db.execute(select(Organisation.id).where(Organisation.slug == org_slug)).one_or_none():
        raise Conflict(f"the organisation slug {org_slug!r} is taken")
    organisation = Organisation(id=ids.new(), name=org_name, slug=org_slug, plan=plan, seats_total=seats)
    name = workspace_name or org_name
    workspace = Workspace(id=ids.new(), organization_id=organisation.id, name=name, slug=org_slug, timezone=timezone, simulated=simulated)
    workspace.currency, workspace.loop_cost = currency, loop_cost
    email = owner_email.strip().lower()
    user = db.execute(select(User).where(User.email == email)).scalar_one_or_none()
    enter(db, workspace.id)
    db.add(organisation)
    db.flush()
    db.add(workspace)
    if user is None:
        user = User(id=ids.new(), email=email, name=owner_name or email.partition("@")[0])
        db.add(user)
    db.flush()
    member = Member(id=ids.new(), user_id=user.id, role=Role.OWNER)
    db.add(member)
    db.flush()
    audit.record(db, system(workspace.id), audit.Action.WORKSPACE_PROVISIONED, "workspace", workspace.id, {"owner": email, "plan": plan})
    return Provisioned(organisation.id, workspace.id, user.id, member.id)
