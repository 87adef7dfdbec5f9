"""`/v1/changes`: deploys, releases, flags and fixes as evidence."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, Field

from everfix import audit
from everfix.deps import Db, needs
from everfix.failures import changes
from everfix.failures.changes import Record
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/changes", tags=["changes"])


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
