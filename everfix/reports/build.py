"""Build: a template's sections and a period become a Document with its narrative; nothing is stored here."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime

from sqlalchemy.orm import Session

import everfix
from everfix.core.db import Json
from everfix.documents import model
from everfix.errors import Invalid
from everfix.identity import workspaces
from everfix.metrics import periods
from everfix.narrative import grounding, rules
from everfix.reports import templates
from everfix.reports.sections import SECTIONS, Context

SIMULATED = "The failures in this report are simulated: a made-up company, not yours."


def check_filters(filters: Json) -> None:
    """Raise Invalid for a filter that does not exist."""
    if filters:
        raise Invalid(f"reports have no filter {next(iter(filters))[:60]!r}", details={"filters": "must be empty"})


def document(
    db: Session, name: str, template: str, sections: Sequence[str], window: str, filters: Json, as_of: datetime, url: str
) -> model.Document:
    """Return the complete report, its narrative grounded in its own figures; raises Invalid for a filter that does not exist."""
    check_filters(filters)
    here = workspaces.here(db)
    period = periods.last(templates.days(window), as_of, here.timezone)
    context = Context(db, period, here, url)
    bare = model.Document(
        title=name,
        subtitle=f"{here.name}: {period.shown().label.lower()}",
        workspace=here.name,
        period=period.shown(),
        generated_at=as_of,
        currency=here.currency,
        brand=model.Brand(name=here.name, colour=here.brand_colour),
        notices=(SIMULATED,) if here.simulated else (),
        sections=tuple(model.Section(id=key, title=SECTIONS[key].title, blocks=SECTIONS[key].build(context)) for key in sections),
        link=f"{url}/",
        template=template,
        code_version=everfix.__version__,
    )
    narrative = rules.write(bare)
    grounding.require(narrative, bare)
    return bare.model_copy(update={"narrative": narrative})
