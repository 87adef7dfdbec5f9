"""Saved views: a list's filters and order under a name, for oneself or shared with the team."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, delete, or_, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow, created
from everfix.errors import Conflict, Forbidden, NotFound

RESOURCES = ("issues", "patterns")
MOST = 200  # views that one person sees


class SavedView(WorkspaceRow, Base):
    """One view. Its name is unique among those of its owner."""

    __tablename__ = "saved_views"
    __table_args__ = (
        CheckConstraint("resource IN ('issues', 'patterns')", name="resource"),
        Index("uq_saved_views_name", "workspace_id", "owner_id", "resource", "name", unique=True),
    )

    owner_id: Mapped[UUID]
    resource: Mapped[str]
    name: Mapped[str]
    filters: Mapped[Json] = mapped_column(server_default="{}")
    sort: Mapped[str] = mapped_column(server_default="")
    shared: Mapped[bool] = mapped_column(server_default="false")
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


def listed(db: Session, owner: UUID | None, resource: str | None = None) -> list[SavedView]:
    """Return one's own views and those shared by others, by name."""
    query = select(SavedView).where(or_(SavedView.shared, SavedView.owner_id == owner))
    if resource is not None:
        query = query.where(SavedView.resource == resource)
    return list(db.execute(query.order_by(SavedView.name, SavedView.id).limit(MOST)).scalars())


def get(db: Session, view_id: UUID, owner: UUID | None) -> SavedView:
    """Return one view that is one's own or shared; raises NotFound."""
    row = db.execute(select(SavedView).where(SavedView.id == view_id)).scalar_one_or_none()
    if row is None or not (row.shared or row.owner_id == owner):
        raise NotFound(f"no saved view {ids.show(ids.Prefix.SAVED_VIEW, view_id)}")
    return row


def create(db: Session, values: Mapping[str, Any], *, by: audit.Actor) -> SavedView:
    """Save a view; raises Conflict when one's own has that name, Forbidden for who is no person or account."""
    if by.actor_id is None:
        raise Forbidden("a view belongs to somebody")
    _free(db, by.actor_id, values["resource"], values["name"])
    row = SavedView(id=ids.new(), owner_id=by.actor_id, **values)
    db.add(row)
    db.flush()
    audit.record(db, by, audit.Action.SAVED_VIEW_CREATED, "saved_view", row.id, {"name": row.name})
    db.refresh(row)
    return row


def change(db: Session, view_id: UUID, values: Mapping[str, Any], *, by: audit.Actor) -> SavedView:
    """Change one's own view; raises NotFound, Conflict for a name that is taken, Forbidden for somebody else's view."""
    row = _own(db, view_id, by)
    if values.get("name", row.name) != row.name:
        _free(db, row.owner_id, row.resource, values["name"])
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = clock.now()
    db.flush()
    audit.record(db, by, audit.Action.SAVED_VIEW_UPDATED, "saved_view", row.id, {"changed": sorted(values)})
    return row


def remove(db: Session, view_id: UUID, *, by: audit.Actor) -> None:
    """Delete one's own view; raises NotFound, Forbidden for somebody else's."""
    row = _own(db, view_id, by)
    db.execute(delete(SavedView).where(SavedView.id == row.id))
    audit.record(db, by, audit.Action.SAVED_VIEW_DELETED, "saved_view", row.id, {"name": row.name})


def _own(db: Session, view_id: UUID, by: audit.Actor) -> SavedView:
    row = get(db, view_id, by.actor_id)
    if row.owner_id != by.actor_id:
        raise Forbidden("only its owner may change a saved view")
    return row


def _free(db: Session, owner: UUID, resource: str, name: str) -> None:
    taken = select(SavedView.id).where(SavedView.owner_id == owner, SavedView.resource == resource, SavedView.name == name)
    if db.execute(taken).first() is not None:
        raise Conflict(f"you have a view called {name[:60]!r} already", details={"name": "another name"})
