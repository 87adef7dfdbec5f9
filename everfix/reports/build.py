"""Build: a template's sections and a period become a Document with its narrative; nothing is stored here.

A part that cannot be built (a source that is gone, a wrong parameter, a dropped column) becomes a section of one row that says so.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any

from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.orm import Session

import everfix
from everfix.core.db import Json
from everfix.documents import model
from everfix.errors import Invalid
from everfix.identity import workspaces
from everfix.metrics import blocks, brands, narrow
from everfix.narrative import grounding, rules
from everfix.reports import templates, windows
from everfix.reports.sections import SECTIONS, Context

SIMULATED = "The failures in this report are simulated: a made-up company, not yours."
NO_GLANCE = "a report on ML work is made by a worker only: it has no preview, and no view of one recipient's own"
FAILED = "part_failed"  # the key of the table that stands where a part could not be built


def document(
    db: Session,
    name: str,
    template: str,
    sections: Sequence[str | Json],
    window: str,
    filters: Json,
    as_of: datetime,
    url: str,
    *,
    brand: Json | None = None,
    notices: Sequence[str] = (),
) -> model.Document:
    """Return the complete report, its narrative grounded in its own figures; raises Invalid for a filter that does not exist."""
    bare = figures(db, name, template, sections, window, filters, as_of, url, brand=brand, notices=notices)
    narrative = rules.write(bare)
    grounding.require(narrative, bare)
    return bare.model_copy(update={"narrative": narrative})


def figures(
    db: Session,
    name: str,
    template: str,
    sections: Sequence[str | Json],
    window: str,
    filters: Json,
    as_of: datetime,
    url: str,
    *,
    brand: Json | None = None,
    notices: Sequence[str] = (),
) -> model.Document:
    """Return the report without a narrative; raises Invalid for a filter that does not exist."""
    seen = narrow.read(filters)
    here = workspaces.here(db)
    period = windows.period(window, as_of, here.timezone)
    parts: list[Json] = [
        {"id": item, "section": item} if isinstance(item, str) else item for item in sections
    ]  # as kept: a part may be gone since
    if templates.about(parts) is not None:
        raise Invalid(NO_GLANCE, details={"sections": "run the report, or order it at /api/reports"})
    with narrow.to(db, seen):
        built = tuple(_section(Context(db, period, here, url, part.get("params") or {}), part) for part in parts)
    return model.Document(
        title=name,
        subtitle=f"{here.name}: {period.shown().label.lower() if not period.label else period.label}",
        workspace=here.name,
        period=period.shown(),
        generated_at=as_of,
        currency=here.currency,
        brand=_brand(here, brand or {}),
        notices=(*((SIMULATED,) if here.simulated else ()), *_filtered(seen), *notices),
        sections=built,
        link=f"{url}/",
        template=template,
        code_version=everfix.__version__,
    )


def _brand(here: workspaces.Workspace, own: Json) -> model.Brand:
    whole = brands.of(here)
    return whole.model_copy(update={name: own[name] for name in ("name", "colour", "logo_svg") if own.get(name)})


def _filtered(seen: narrow.Filters) -> tuple[str, ...]:
    if not seen:
        return ()
    words = [f"{key} {' or '.join(values) or 'none'}" for key, values in seen.items()]
    return (f"Only {'; '.join(words)}.",)


def _section(context: Context, part: Json) -> model.Section:
    """Build one part inside a savepoint, so that one that fails takes nothing else with it."""
    try:
        with context.db.begin_nested():
            title, blocks = _blocks(context, part)
            context.require_used()
    except Invalid as problem:
        return _failed(part, problem.message)
    except OperationalError:
        raise  # the database went away: the whole job is tried again
    except DBAPIError as problem:
        return _failed(part, f"the database refused: {str(problem.orig).splitlines()[0]}")
    return model.Section(id=part["id"], title=part.get("title") or title, blocks=blocks)


def _blocks(context: Context, part: Json) -> tuple[str, tuple[Any, ...]]:
    if "source" in part:
        table = context.table(str(part["source"]), title="", **context.params)
        return context.titled(str(part["source"])), blocks.of(table)
    section = SECTIONS.get(str(part["section"]))
    if section is None:
        raise Invalid(f"there is no section {part['section']!r} any more")
    return section.title, section.build(context)


def _failed(part: Json, words: str) -> model.Section:
    table = model.Table(
        key=FAILED,
        columns=(model.Column(key="error", title="Could not be built", wide=True),),
        rows=((words,),),
    )
    return model.Section(id=part["id"], title=part.get("title") or str(part.get("section") or part.get("source")), blocks=(table,))


def failures(document: model.Document) -> list[str]:
    """Return what could not be built, in words, with the section's id."""
    return [
        f"{section.id}: {block.rows[0][0]}"
        for section in document.sections
        for block in section.blocks
        if isinstance(block, model.Table) and block.key == FAILED
    ]
