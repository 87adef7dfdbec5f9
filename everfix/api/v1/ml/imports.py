"""`/v1/ml/imports`: tracking servers that projects are filled from."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy.orm import Session

from everfix.api import fields, pages
from everfix.api.v1.jobs import JobOut
from everfix.api.v1.jobs import shown as job_shown
from everfix.api.v1.ml.shown import OfProject, Owned, Reader, Writer
from everfix.core import ids, jobs
from everfix.core.db import Json
from everfix.deps import Db, Page, SigningKeys
from everfix.ml import imports, projects
from everfix.ml.imports import Import

router = APIRouter(prefix="/imports", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.ML_IMPORT, "import", "import_id")]
SORTS = pages.Sorts({"created_at": Import.created_at}, "-created_at")


class ImportOut(Owned):
    """One tracking server, and how far it was taken in; its secret is never shown."""

    id: ids.field(ids.Prefix.ML_IMPORT)  # type: ignore[valid-type]
    kind: str
    url: str
    has_secret: bool
    experiments: list[str]
    counts: Json
    warnings: list[str]
    imported_at: datetime | None
    job: JobOut | None


def shown(db: Session, row: Import) -> ImportOut:
    """Return an import with its newest job."""
    found = jobs.find(db, row.job_id) if row.job_id is not None else None
    values = {name: getattr(row, name) for name in ImportOut.model_fields if name not in ("job", "has_secret")}
    return ImportOut.model_validate({**values, "has_secret": row.secret is not None, "job": None if found is None else job_shown(found)})


@router.get("")
def listed(db: Db, who: Reader, page: Page, project_id: OfProject = None) -> pages.PageOf[ImportOut]:
    """Imports, newest first."""
    query = projects.within(Import, who, project_id)
    return pages.page(db, page, query, Import.id, SORTS, lambda rows: [shown(db, row) for row in rows])


@router.post("", status_code=202)
def start(db: Db, who: Writer, keys: SigningKeys, body: imports.Record) -> ImportOut:
    """Take in an MLflow tracking server in the background; sent again, it goes on where it stopped."""
    return shown(db, imports.start(db, keys, body, who)[0])


@router.get("/{import_id}")
def one(db: Db, who: Reader, import_id: PathId) -> ImportOut:
    """One import, with how far its job is."""
    return shown(db, imports.get(db, import_id, who))


@router.delete("/{import_id}", status_code=204)
def remove(db: Db, who: Writer, import_id: PathId) -> None:
    """Forget a server and its secret; what was taken in stays."""
    imports.remove(db, import_id, who)
