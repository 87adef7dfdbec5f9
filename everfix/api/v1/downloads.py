"""`/v1/downloads/{token}`: a file by a signed, expiring link, without signing in."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter
from fastapi.responses import StreamingResponse
from sqlalchemy import select

from everfix.core import clock
from everfix.core.crypto import BadSignature, Keys
from everfix.core.db import enter
from everfix.deps import Db, Files, SigningKeys
from everfix.errors import Gone, NotFound
from everfix.reports.runs import File
from everfix.settings import Settings

router = APIRouter(prefix="/downloads", tags=["reports"])
PURPOSE = "download"


def link(settings: Settings, keys: Keys, workspace: UUID, file: UUID, life: timedelta | None = None) -> str:
    """Return a link to one file that works for `life` (default: the setting link_seconds)."""
    until = clock.now() + (life or timedelta(seconds=settings.link_seconds))
    return f"{settings.url}/v1/downloads/{keys.sign(PURPOSE, [str(workspace), str(file), int(until.timestamp())])}"


@router.get("/{token}", response_class=StreamingResponse)
def download(db: Db, token: str, keys: SigningKeys, files: Files) -> StreamingResponse:
    """Fetch a file; a changed link is not found, an expired one is gone."""
    try:
        found = keys.verify(PURPOSE, token)
    except BadSignature:
        raise NotFound("this link leads nowhere") from None
    assert isinstance(found, list)  # noqa: S101 - we signed it
    workspace, file_id, until = UUID(found[0]), UUID(found[1]), datetime.fromtimestamp(found[2], UTC)
    if clock.now() > until:
        raise Gone("this link has expired; ask for the job again to get a new one")
    enter(db, workspace)
    file = db.execute(select(File).where(File.id == file_id)).scalar_one_or_none()
    if file is None:
        raise Gone("the file is no longer kept")
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.filename)}",
        "Content-Length": str(file.size),
        "Cache-Control": "private, no-store",
        "X-Content-Type-Options": "nosniff",
        "Digest": f"sha-256={file.sha256}",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }
    return StreamingResponse(files.stream(file.storage_key), media_type=file.media_type, headers=headers)
