"""Brand: the page on which a workspace says how its reports are signed, and how long their files are kept."""

from __future__ import annotations

import base64
from typing import Annotated

from fastapi import APIRouter, File, Form, UploadFile
from starlette.responses import Response

from everfix import kept
from everfix.documents import palette
from everfix.errors import Invalid
from everfix.identity.principals import Scope
from everfix.metrics import brands
from everfix.web import session, shell
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False, prefix="/settings")
HERE = "/settings/brand"


@router.get("/brand")
def shown(visit: session.sees(Scope.WORKSPACE_READ)) -> Response:  # type: ignore[valid-type]
    """The brand as it is, with how a report's first page begins."""
    return _page(visit)


@router.post("/brand")
def change(
    visit: session.changes(Scope.WORKSPACE_WRITE),  # type: ignore[valid-type]
    name: Annotated[str, Form(max_length=200)] = "",
    colour: Annotated[str, Form(max_length=20)] = "",
    logo: Annotated[UploadFile | None, File()] = None,
    remove: Annotated[bool, Form()] = False,
) -> Response:
    """Keep what the form says; what cannot be kept is said beside it, and nothing changes."""
    given: dict[str, str | bytes] = {"name": name, "colour": colour}
    sent = logo.file.read(brands.UPLOAD + 1) if logo is not None and logo.filename else b""
    if remove or sent:
        given["logo"] = b"" if remove else sent
    try:
        with visit.db.begin_nested():
            brands.change(visit.db, visit.who, given)
    except Invalid as problem:
        visit.db.refresh(visit.here)
        return _page(visit, problem, name=name, colour=colour)
    return shell.go(HERE)


@router.post("/files")
def change_files(
    visit: session.changes(Scope.WORKSPACE_COMPLIANCE_WRITE),  # type: ignore[valid-type]
    days: Annotated[int, Form(ge=1, le=3650)],
    hold: Annotated[bool, Form()] = False,
) -> Response:
    """Keep how long files stay."""
    kept.change(visit.db, visit.who, days=days, hold=hold)
    return shell.go(HERE)


def _page(visit: Visit, problem: Invalid | None = None, **typed: str) -> Response:
    brand = brands.of(visit.here)
    tones = palette.of(brand.colour, "light")
    logo = f"data:image/svg+xml;base64,{base64.b64encode(brand.logo_svg.encode()).decode()}" if brand.logo_svg else ""
    return shell.page(
        visit,
        "settings/brand.html",
        status=422 if problem else 200,
        name=typed.get("name", visit.here.brand_name),
        colour=typed.get("colour", brand.colour),
        brand=brand,
        band=tones.accent,
        on=max(("#ffffff", tones.ink), key=lambda one: palette.contrast(tones.accent, one)),
        logo=logo,
        rule=kept.rule(visit.db),
        problem=problem,
    )
