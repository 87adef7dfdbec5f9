"""Audiences: a report that runs with the rights of its recipients is made once for each distinct view, and shared by those who have it.

A member sees what the role may, through the narrowed view of the filters named for them; one who is no member sees only by such filters.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.delivery.outbox import Delivery
from everfix.documents.model import Document
from everfix.errors import Forbidden
from everfix.identity.members import Member
from everfix.identity.principals import ROLE_SCOPES, Role, Scope
from everfix.identity.users import User
from everfix.metrics import narrow
from everfix.reports.runs import Run

STRANGER = "is no member of the workspace, and no filters are named for them"
NO_RIGHT = "may not read reports"


@dataclasses.dataclass(frozen=True, slots=True)
class Audience:
    """Some recipients who see through the same filters."""

    filters: narrow.Filters
    recipients: tuple[str, ...]

    @property
    def words(self) -> str:
        """Whose rights these are, as the report names them."""
        return self.recipients[0] if len(self.recipients) == 1 else f"its {len(self.recipients)} recipients"


def of(db: Session, run: Run, rows: Sequence[Delivery]) -> tuple[list[Audience], dict[UUID, str]]:
    """Return the audiences of a run's waiting deliveries, and for each delivery that may see nothing why."""
    named: Json = run.inputs.get("recipient_filters") or {}
    groups: dict[str, list[str]] = {}
    refused: dict[UUID, str] = {}
    for row in rows:
        try:
            filters = view(db, row.recipient, run.filters, named.get(row.recipient))
        except Forbidden as problem:
            refused[row.id] = problem.message
            continue
        groups.setdefault(json.dumps(filters, sort_keys=True), []).append(row.recipient)
    return [Audience(json.loads(filters), tuple(dict.fromkeys(people))) for filters, people in groups.items()], refused


def view(db: Session, recipient: str, filters: narrow.Filters, own: narrow.Filters | None) -> narrow.Filters:
    """Return the filters through which a recipient sees a report; raises Forbidden for one who may see nothing of it."""
    role = db.execute(
        select(Member.role)
        .join(User, User.id == Member.user_id)
        .where(func.lower(User.email) == recipient.lower(), Member.status == "active")
    ).scalar_one_or_none()
    if role is None and own is None:
        raise Forbidden(f"{recipient} {STRANGER}")
    if role is not None and Scope.REPORTS_READ not in ROLE_SCOPES[Role(role)]:
        raise Forbidden(f"{recipient} {NO_RIGHT}")
    return narrow.both(filters, own or {})


def named(document: Document, executor: str) -> Document:
    """Return the document with the words under whose rights it was made."""
    return document.model_copy(update={"notices": (*document.notices, f"Shown with the rights of {executor}.")})
