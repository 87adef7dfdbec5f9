"""`/v1/changes`: deploys, releases, flags and fixes as evidence."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field

from everfix import audit
from everfix.api import fields, pages
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import changes
from everfix.failures.changes import Change, Record
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/changes", tags=["changes"])
ChangeId = Annotated[UUID, fields.path_id(ids.Prefix.CHANGE, "change", "change_id")]
Reader = Annotated[Principal, needs(Scope.ISSUES_READ)]
SORTS = pages.Sorts({"occurred_at": Change.occurred_at, "created_at": Change.created_at}, "-occurred_at")


class ChangeOut(BaseModel):
    """One change."""

    model_config = ConfigDict(from_attributes=True, populate_by_name=True)

    id: ids.field(ids.Prefix.CHANGE)  # type: ignore[valid-type]
    source: str
    external_id: str
    kind: str
    service: str | None
    title: str
    details: Json = Field(serialization_alias="metadata")
    occurred_at: datetime
    created_at: datetime


class Changes(BaseModel):
    """Changes of one submission."""

    changes: list[Record] = Field(min_length=1, max_length=500)


class Recorded(BaseModel):
    """How many were new; the others were known."""

    accepted: int


@router.post("", status_code=202)
def record(db: Db, who: Annotated[Principal, needs(Scope.INGEST_WRITE)], body: Changes) -> Recorded:
    """Tell Everfix what was changed, so that failures can be seen beside it."""
    made = changes.accept(db, [item.model_dump() for item in body.changes])
    audit.record(db, who, audit.Action.CHANGE_RECORDED, "change", None, {"accepted": made})
    return Recorded(accepted=made)


def _shown(rows: Sequence[Change]) -> list[ChangeOut]:
    return [ChangeOut.model_validate(row) for row in rows]


@router.get("")
def listed(
    db: Db,
    who: Reader,
    page: Page,
    kind: Annotated[str | None, Query(max_length=100, description="One or more of deploy, release, flag, config, fix.")] = None,
    service: fields.words(200) = None,  # type: ignore[valid-type]
    date_from: types.Moment | None = None,
    date_to: types.Moment | None = None,
) -> pages.PageOf[ChangeOut]:
    """What was changed, the newest first; `service` also finds what was changed everywhere."""
    kinds = fields.choices(kind, "kind", changes.KINDS)
    wanted = changes.narrowed(kinds=kinds, service=service, start=date_from, end=date_to)
    return pages.page(db, page, wanted, Change.id, SORTS, _shown)


@router.get("/{change_id}")
def one(db: Db, who: Reader, change_id: ChangeId) -> ChangeOut:
    """One change."""
    return ChangeOut.model_validate(changes.get(db, change_id))
