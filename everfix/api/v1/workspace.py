"""`/v1/workspace`: the workspace and the settings of its loop; how reports are signed, and how long they and their files are kept."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field

from everfix import kept
from everfix.core import fields as types
from everfix.core import ids
from everfix.deps import Db, needs
from everfix.identity import workspaces
from everfix.identity.principals import Principal, Scope
from everfix.identity.workspaces import Workspace
from everfix.metrics import brands

router = APIRouter(prefix="/workspace", tags=["workspace"])
Reader = Annotated[Principal, needs(Scope.WORKSPACE_READ)]


class WorkspaceOut(BaseModel):
    """The workspace of the token."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.WORKSPACE)  # type: ignore[valid-type]
    organization_id: ids.field(ids.Prefix.ORGANIZATION)  # type: ignore[valid-type]
    name: str
    slug: str
    timezone: str
    default_theme: str
    industry: str
    description: str
    sso_enforced: bool
    ai_auto_link: bool
    ai_confidence_threshold: float
    ai_proof_window_days: int
    alert_threshold: float
    prediction_window_days: int
    currency: str
    loop_cost: float
    simulated: bool
    created_at: datetime


class BrandOut(BaseModel):
    """The brand; where `name` is empty, the workspace's own name is printed."""

    name: str
    colour: str
    logo_svg: str


class BrandChange(BaseModel):
    """What may change; a field that is not sent stays. `logo` is an SVG, or a PNG in base64 or as a data: address; null takes it away."""

    model_config = ConfigDict(extra="forbid")

    name: types.text(200) | None = None  # type: ignore[valid-type]
    colour: types.text(20) | None = None  # type: ignore[valid-type]
    logo: types.text(300_000) | None = None  # type: ignore[valid-type]


class FilesRule(BaseModel):
    """How many days report runs, exports and their files are kept; under a legal hold nothing is removed."""

    model_config = ConfigDict(extra="forbid")

    days: int = Field(ge=1, le=3650)
    legal_hold: bool


class FilesChange(BaseModel):
    """What may change; a field that is not sent stays."""

    model_config = ConfigDict(extra="forbid")

    days: int | None = Field(None, ge=1, le=3650)
    legal_hold: bool | None = None


def _brand(here: Workspace) -> BrandOut:
    made = brands.of(here)
    return BrandOut(name=here.brand_name, colour=made.colour, logo_svg=made.logo_svg)


@router.get("")
def read(db: Db, who: Reader) -> WorkspaceOut:
    """The workspace and the settings of its loop."""
    return WorkspaceOut.model_validate(workspaces.here(db))


@router.patch("")
def change(db: Db, who: Annotated[Principal, needs(Scope.WORKSPACE_WRITE)], body: workspaces.Change) -> WorkspaceOut:
    """Change it; the loop and every page and report go by it from now on, what was made keeps what it was made with."""
    return WorkspaceOut.model_validate(workspaces.change(db, who, body.model_dump(exclude_unset=True)))


@router.get("/brand")
def brand(db: Db, who: Reader) -> BrandOut:
    """How this workspace signs its reports."""
    return _brand(workspaces.here(db))


@router.patch("/brand")
def change_brand(db: Db, who: Annotated[Principal, needs(Scope.WORKSPACE_WRITE)], body: BrandChange) -> BrandOut:
    """Change name, colour or logo; reports made from now on carry them, those that were made keep theirs."""
    return _brand(brands.change(db, who, body.model_dump(exclude_unset=True)))


@router.get("/files")
def files(db: Db, who: Reader) -> FilesRule:
    """How long report runs, exports and their files are kept."""
    rule = kept.rule(db)
    return FilesRule(days=rule.days, legal_hold=rule.hold)


@router.patch("/files")
def change_files(db: Db, who: Annotated[Principal, needs(Scope.WORKSPACE_COMPLIANCE_WRITE)], body: FilesChange) -> FilesRule:
    """Change how long they are kept; what is older goes within the hour."""
    rule = kept.change(db, who, days=body.days, hold=body.legal_hold)
    return FilesRule(days=rule.days, legal_hold=rule.hold)
