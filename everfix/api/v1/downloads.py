"""`/v1/downloads/{token}`: a file by a signed, expiring link, without signing in."""

from __future__ import annotations

import dataclasses
from datetime import UTC, datetime
from uuid import UUID

from fastapi import APIRouter, Request
from fastapi.responses import StreamingResponse
from sqlalchemy import select
from starlette.responses import Response

from everfix import audit, ranges
from everfix.core import clock, links
from everfix.core.crypto import BadSignature
from everfix.core.db import enter
from everfix.deps import Db, Files, SigningKeys, client_ip
from everfix.errors import Gone, NotFound
from everfix.exports.requests import ExportFile
from everfix.identity.principals import system
from everfix.reports.runs import File

router = APIRouter(prefix="/downloads", tags=["reports"])
link = links.download


@router.head("/{token}", include_in_schema=False)
@router.get("/{token}", response_class=StreamingResponse)
def download(request: Request, db: Db, token: str, keys: SigningKeys, files: Files) -> Response:
    """Fetch a file, or with `Range` a part of it; a changed link is not found, an expired one is gone."""
    try:
        found = keys.verify(links.DOWNLOAD, token)
    except BadSignature:
        raise NotFound("this link leads nowhere") from None
    assert isinstance(found, list)  # noqa: S101 - we signed it
    workspace, file_id, until = UUID(found[0]), UUID(found[1]), datetime.fromtimestamp(found[2], UTC)
    if clock.now() > until:
        raise Gone("this link has expired; ask for the job again to get a new one")
    enter(db, workspace)
    file = _found(db, file_id)
    if file is None:
        raise Gone("the file is no longer kept")
    made = ranges.answer(request, files, file)
    if ranges.begins(request):
        _recorded(request, db, workspace, file, "".join(found[3:]))
    return made


def _found(db: Db, file_id: UUID) -> File | ExportFile | None:
    file = db.execute(select(File).where(File.id == file_id)).scalar_one_or_none()
    return file or db.execute(select(ExportFile).where(ExportFile.id == file_id)).scalar_one_or_none()


def _recorded(request: Request, db: Db, workspace: UUID, file: File | ExportFile, by: str) -> None:
    """Note who took what: a link has no person in it but the one whom it was made for."""
    who = dataclasses.replace(
        system(workspace, f"link of {by}" if by else "signed link"), kind="link", ip=client_ip(request), trace_id=request.state.trace_id
    )
    action = audit.Action.EXPORT_DOWNLOADED if isinstance(file, ExportFile) else audit.Action.REPORT_DOWNLOADED
    audit.record(db, who, action, "file", file.id, {"filename": file.filename})
