"""Previews: what a report would say now, as oneself or as one of its recipients; nothing is stored, nothing is sent."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.delivery import addresses
from everfix.documents.model import Document
from everfix.errors import Invalid
from everfix.metrics import narrow
from everfix.reports import audiences, definitions, making, orders, schedules
from everfix.reports.definitions import Definition
from everfix.reports.runs import Run


def document(services: Any, workspace: UUID, order: Callable[[Session], Run]) -> Document:  # noqa: ANN401 - an Installation
    """Return the Document of a run that `order` makes and does not store; the narrative is written with no transaction open."""
    with services.database.transaction(workspace) as db:
        run = order(db)
        bare = making.figures(db, run, services.url)
        how = making.how(db, services, run)
    made, _ = making.narrated(bare, how)
    return made


@dataclasses.dataclass(frozen=True, slots=True)
class Preview:
    """A Document with under whose rights, and through which filters, it is seen."""

    document: Document
    executor: str
    filters: Json


def seen_as(
    db: Session, definition_id: UUID, by: str, url: str, *, recipient: str | None = None, own: Mapping[str, Any] | None = None
) -> Preview:
    """Return a saved report as it would be now, told by the rules; `own` are the recipient's filters, else those of its schedules.

    Raises NotFound, Forbidden for a recipient who may see nothing of it, Invalid for one who is none.
    """
    found = definitions.get(db, definition_id)
    run = orders.ordered(found, None, by)
    if recipient is not None:
        person = _person(recipient)
        filters = narrow.read(own) if own is not None else _named(db, found, person)
        run.filters, run.executor = audiences.view(db, person, run.filters, filters), person
    told, _ = making.narrated(making.figures(db, run, url), making.by_rules(run))
    return Preview(told if recipient is None else audiences.named(told, run.executor), run.executor, run.filters)


def _person(recipient: str) -> str:
    try:
        return addresses.slack(recipient) or addresses.mail(recipient)
    except ValueError as problem:
        raise Invalid(str(problem), details={"recipient": "an e-mail address or a Slack channel id"}) from problem


def _named(db: Session, found: Definition, person: str) -> narrow.Filters | None:
    for schedule in schedules.listed(db, found.id):
        if person in schedule.recipient_filters:
            return narrow.read(schedule.recipient_filters[person])
    return None
