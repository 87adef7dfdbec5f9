"""Brands: how a workspace signs its reports and exports: name, colour and logo."""

from __future__ import annotations

import base64
import binascii
import re
from typing import Any

from sqlalchemy.orm import Session

from everfix import audit
from everfix.documents import logo, model
from everfix.errors import Invalid
from everfix.identity import workspaces
from everfix.identity.principals import Principal
from everfix.identity.workspaces import Workspace

COLOUR = re.compile(r"#[0-9a-f]{6}")
NAME = 80
UPLOAD = 140_000  # bytes of a logo file
ALLOWED = f"an SVG or a PNG (in JSON as base64 or a data: address) of at most {UPLOAD // 1000} kB and {logo.PIXELS} × {logo.PIXELS} pixels"


def of(workspace: Workspace) -> model.Brand:
    """Return the brand of a workspace, as printed."""
    return model.Brand(name=workspace.brand_name or workspace.name, colour=workspace.brand_colour, logo_svg=workspace.brand_logo_svg)


def change(db: Session, by: Principal, given: dict[str, Any]) -> Workspace:
    """Change `name`, `colour` or `logo` (text, or the bytes of a file; None or "" takes it away); raises Invalid naming what is wrong."""
    here = workspaces.here(db)
    if "name" in given:
        here.brand_name = _name(given["name"] or "")
    if given.get("colour") is not None:
        here.brand_colour = _colour(given["colour"])
    if "logo" in given:
        here.brand_logo_svg = read_logo(given["logo"] or "")
    db.flush()
    told = {"name": here.brand_name, "colour": here.brand_colour, "logo": bool(here.brand_logo_svg)}
    audit.record(db, by, audit.Action.WORKSPACE_BRANDED, "workspace", here.id, told)
    return here


def _name(text: str) -> str:
    name = " ".join(text.split())
    if len(name) > NAME:
        raise Invalid(f"name has {len(name)} characters", details={"name": f"at most {NAME} characters"})
    return name


def _colour(text: str) -> str:
    colour = text.strip().lower()
    if not COLOUR.fullmatch(colour):
        raise Invalid(f"colour {text[:20]!r} is not allowed", details={"colour": "six hexadecimal digits behind #, like #0f766e"})
    return colour


def read_logo(given: str | bytes) -> str:
    """Return the clean SVG of a logo; raises Invalid saying what is wrong with it and what is allowed."""
    try:
        return logo.from_upload(_bytes(given))
    except (ValueError, binascii.Error) as problem:
        raise Invalid(str(problem), details={"logo": ALLOWED}) from problem


def _bytes(given: str | bytes) -> bytes:
    text = given.strip() if isinstance(given, str) else ""
    if isinstance(given, bytes):
        body = given
    elif not text or text.startswith("<"):
        body = text.encode()
    else:
        body = base64.b64decode(text.partition(";base64,")[2] or text, validate=True)
    if len(body) > UPLOAD:
        raise ValueError(f"the logo has {len(body):,} bytes")
    return body
