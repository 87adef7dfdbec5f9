"""`/v1/saved-views`: filters and order of a list under a name, for oneself or shared."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict

from everfix.api import fields
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, needs
from everfix.failures import filters, views
from everfix.failures.views import SavedView
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/saved-views", tags=["issues"])
ViewId = Annotated[UUID, fields.path_id(ids.Prefix.SAVED_VIEW, "saved view", "saved_view_id")]
Reader = Annotated[Principal, needs(Scope.ISSUES_READ)]
Writer = Annotated[Principal, needs(Scope.ISSUES_WRITE)]
Resource = Literal["issues", "patterns"]


class ViewOut(BaseModel):
    """One saved view; `mine` says whether one may change it."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.SAVED_VIEW)  # type: ignore[valid-type]
    owner_id: ids.field(ids.Prefix.USER)  # type: ignore[valid-type]
    resource: Resource
    name: str
    filters: Json
    sort: str
    shared: bool
    mine: bool
    created_at: datetime
    updated_at: datetime


class ViewList(BaseModel):
    """One's own views and those that others share, by name."""

    data: list[ViewOut]


class NewView(BaseModel):
    """A view to save."""

    model_config = ConfigDict(extra="forbid")

    name: types.text(100, 1)  # type: ignore[valid-type]
    resource: Resource = "issues"
    filters: types.JsonObject = {}
    sort: types.text(40) = ""  # type: ignore[valid-type]
    shared: bool = False


class ViewChange(BaseModel):
    """What may change of a view."""

    model_config = ConfigDict(extra="forbid")

    name: types.text(100, 1) | None = None  # type: ignore[valid-type]
    filters: types.JsonObject | None = None
    sort: types.text(40) | None = None  # type: ignore[valid-type]
    shared: bool | None = None


def shown(row: SavedView, who: Principal) -> ViewOut:
    columns = {column.key: getattr(row, column.key) for column in SavedView.__table__.columns if column.key != "workspace_id"}
    return ViewOut.model_validate({**columns, "mine": row.owner_id == who.actor_id})


@router.get("")
def listed(db: Db, who: Reader, resource: Resource | None = None) -> ViewList:
    """One's own saved views and those shared by others."""
    return ViewList(data=[shown(row, who) for row in views.listed(db, who.actor_id, resource)])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: NewView) -> ViewOut:
    """Save a view; its filters are those of the list."""
    filters.sound(body.resource, body.filters)
    return shown(views.create(db, body.model_dump(), by=who), who)


@router.get("/{saved_view_id}")
def one(db: Db, who: Reader, saved_view_id: ViewId) -> ViewOut:
    """One view."""
    return shown(views.get(db, saved_view_id, who.actor_id), who)


@router.patch("/{saved_view_id}")
def change(db: Db, who: Writer, saved_view_id: ViewId, body: ViewChange) -> ViewOut:
    """Change one's own view."""
    values = {name: value for name, value in body.model_dump(exclude_unset=True).items() if value is not None}
    if "filters" in values:
        filters.sound(views.get(db, saved_view_id, who.actor_id).resource, values["filters"])
    return shown(views.change(db, saved_view_id, values, by=who), who)


@router.delete("/{saved_view_id}", status_code=204)
def remove(db: Db, who: Writer, saved_view_id: ViewId) -> None:
    """Delete one's own view."""
    views.remove(db, saved_view_id, by=who)
