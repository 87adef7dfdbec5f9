"""Uploads: a table comes as the body itself (CSV or Parquet) or as the `file` of a form; streamed to disk once its sender is known.

The body is read only after the caller was recognised, and no database connection is held while it comes in.
"""

from __future__ import annotations

import dataclasses
import shutil
import tempfile
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Query, Request
from sqlalchemy.orm import Session
from starlette.concurrency import run_in_threadpool
from starlette.datastructures import UploadFile

from everfix.core import db as database
from everfix.core import fields
from everfix.core.storage import Storage
from everfix.deps import Config, Db, Files, needs
from everfix.errors import Invalid, UnsupportedMedia
from everfix.identity.principals import Principal, Scope
from everfix.ml import tables, uploads
from everfix.settings import Settings

TYPES = (
    "application/csv application/gzip application/octet-stream application/parquet application/vnd.apache.parquet"
    " application/vnd.ms-excel application/x-gzip application/x-parquet text/csv text/plain text/tab-separated-values"
).split()
FORM = "multipart/form-data"
SCHEMA: dict[str, Any] = {
    "requestBody": {
        "required": True,
        "content": {
            "text/csv": {"schema": {"type": "string", "format": "binary"}},
            "application/vnd.apache.parquet": {"schema": {"type": "string", "format": "binary"}},
            FORM: {"schema": {"type": "object", "required": ["file"], "properties": {"file": {"type": "string", "format": "binary"}}}},
        },
    }
}


@dataclasses.dataclass(frozen=True, slots=True)
class Incoming:
    """A table that has come in, and what goes with it: who sent it, and how its columns are to be read."""

    path: Path
    name: str
    who: Principal
    database: database.Database
    storage: Storage
    settings: Settings
    mapping: dict[str, str]
    strict: bool

    @contextmanager
    def db(self) -> Iterator[Session]:
        """Yield a transaction of the sender's workspace."""
        with self.database.transaction(self.who.workspace) as db:
            yield db

    @contextmanager
    def stored(self, role: str) -> Iterator[uploads.Kept]:
        """Yield the table as it is stored; removed again when the block raises."""
        here = self.who.workspace
        with uploads.stored(self.storage, here, self.path, role, self.settings, mapping=self.mapping, strict=self.strict) as kept:
            yield kept

    def keep(self, db: Session, kept: uploads.Kept, project_id: UUID, role: str) -> tables.Table:
        """Write the table's row."""
        return uploads.keep(db, kept, project_id, role, self.name)


async def _incoming(
    request: Request,
    db: Db,
    who: Annotated[Principal, needs(Scope.ML_WRITE)],
    storage: Files,
    settings: Config,
    map_: Annotated[
        str | None, Query(alias="map", max_length=5_000, description="Which column is which: `timestamp=ts,prediction=p`.")
    ] = None,
    strict: Annotated[bool, Query(description="Refuse the whole file when any row is bad.")] = False,
) -> AsyncIterator[Incoming]:
    mapping = _mapping(map_)
    uploads.available()
    await run_in_threadpool(database.release, db)
    settings.data_dir.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=settings.data_dir, ignore_cleanup_errors=True) as folder:
        path = Path(folder) / "upload"
        kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
        name = await (_form(request, path) if kind == FORM else _body(request, path, kind))
        yield Incoming(path, fields.storable(name)[:300], who, request.app.state.installation.database, storage, settings, mapping, strict)


def _mapping(text: str | None) -> dict[str, str]:
    pairs = [part.partition("=") for part in (text or "").split(",") if part.strip()]
    if any(not equals or not kept.strip() or not given.strip() for kept, equals, given in pairs):
        raise Invalid(f"map: {text!r} cannot be read"[:200], details={"map": "kept=given, such as timestamp=ts,prediction=p"})
    return {kept.strip(): given.strip() for kept, _, given in pairs}


async def _body(request: Request, path: Path, kind: str) -> str:
    if kind and kind not in TYPES:
        raise UnsupportedMedia(f"{kind[:80]!r} is not read here", details={"Content-Type": f"one of {', '.join(TYPES)}, {FORM}"})
    size = 0
    with path.open("wb") as file:
        async for piece in request.stream():
            size += len(piece)
            await run_in_threadpool(file.write, piece)
    if not size:
        raise Invalid("the body is empty", details={"file": "a CSV or Parquet file"})
    return ""


async def _form(request: Request, path: Path) -> str:
    async with request.form(max_files=1, max_fields=20) as form:
        found = form.get("file")
        if not isinstance(found, UploadFile):
            raise Invalid("file: the form has no file of that name", details={"file": "a CSV or Parquet file"})
        if not found.size:
            raise Invalid("file: the file is empty", details={"file": "a CSV or Parquet file"})
        with path.open("wb") as file:
            await run_in_threadpool(shutil.copyfileobj, found.file, file)
        return found.filename or ""


Upload = Annotated[Incoming, Depends(_incoming, scope="function")]
