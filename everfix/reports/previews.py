"""Previews: what a report would say now; nothing is stored, nothing is sent."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.core.db import Database
from everfix.documents.model import Document
from everfix.reports import making
from everfix.reports.runs import Run


def document(database: Database, workspace: UUID, url: str, order: Callable[[Session], Run]) -> Document:
    """Return the Document of a run that `order` makes and does not store; the narrative is written with no transaction open."""
    with database.transaction(workspace) as db:
        run = order(db)
        bare = making.figures(db, run, url)
    made, _ = making.narrated(bare, run)
    return made
