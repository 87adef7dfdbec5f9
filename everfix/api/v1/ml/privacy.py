"""`/v1/ml/privacy-sessions`: what personal data was found, what was done with it, what risk is left."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from everfix.api import fields, pages
from everfix.api.uploading import SCHEMA, Upload
from everfix.api.v1.ml.shown import OfProject, Out, Owned, Reader, TableId, TableOut, VersionId, Writer
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.errors import NotFound
from everfix.ml import privacy, projects
from everfix.ml.privacy import PrivacySession
from everfix.ml.projects import Role

router = APIRouter(prefix="/privacy-sessions", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.PRIVACY_SESSION, "privacy session", "privacy_session_id")]
SORTS = pages.Sorts({"created_at": PrivacySession.created_at, "name": PrivacySession.name}, "-created_at")
ROLES = ("original", "transformed")


class SessionOut(Owned):
    """One session."""

    id: ids.field(ids.Prefix.PRIVACY_SESSION)  # type: ignore[valid-type]
    name: str
    policy: str
    profile: str
    status: str
    dataset_version_id: VersionId | None
    rows: int | None
    findings: list[Json]
    transformations: list[Json]
    quasi_identifiers: list[str]
    risk: Json
    error: str | None
    original_id: TableId | None
    transformed_id: TableId | None
    started_at: datetime | None
    finished_at: datetime | None


class Attached(Out):
    """What became of an uploaded table."""

    session: SessionOut
    table: TableOut


@router.get("")
def listed(db: Db, who: Reader, page: Page, project_id: OfProject = None) -> pages.PageOf[SessionOut]:
    """Sessions, newest first."""
    query = projects.within(PrivacySession, who, project_id)
    return pages.page(db, page, query, PrivacySession.id, SORTS, lambda rows: [SessionOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: privacy.Record) -> SessionOut:
    """Register a session; sent again with the same `external_id`, it changes."""
    return SessionOut.model_validate(privacy.create(db, body, who))


@router.get("/{privacy_session_id}")
def one(db: Db, who: Reader, privacy_session_id: PathId) -> SessionOut:
    """One session."""
    return SessionOut.model_validate(privacy.get(db, privacy_session_id, who))


@router.patch("/{privacy_session_id}")
def change(db: Db, who: Writer, privacy_session_id: PathId, body: privacy.Change) -> SessionOut:
    """Change what is known of a session."""
    return SessionOut.model_validate(privacy.change(db, privacy_session_id, body, who))


@router.delete("/{privacy_session_id}", status_code=204)
def remove(db: Db, who: Writer, privacy_session_id: PathId) -> None:
    """Remove a session with its tables."""
    privacy.remove(db, privacy_session_id, who)


@router.post("/{privacy_session_id}/{privacy_table}/upload", status_code=201, openapi_extra=SCHEMA)
def attach(box: Upload, privacy_session_id: PathId, privacy_table: str) -> Attached:
    """Upload the session's `original` or `transformed` table."""
    if privacy_table not in ROLES:
        raise NotFound(f"a session has no table {privacy_table[:40]!r}; it has {', '.join(ROLES)}")
    with box.db() as db:
        privacy.get(db, privacy_session_id, box.who, Role.EDITOR)
    with box.stored(privacy_table) as kept, box.db() as db:
        found = privacy.get(db, privacy_session_id, box.who, Role.EDITOR)
        table = box.keep(db, kept, found.project_id, privacy_table)
        row = privacy.attach(db, privacy_session_id, privacy_table, table, box.who)
        return Attached(session=SessionOut.model_validate(row), table=TableOut.model_validate(table))
