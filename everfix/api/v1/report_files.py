"""The files of a run as every answer shows them, each with a link that works for a while without signing in."""

from __future__ import annotations

from collections.abc import Sequence

from pydantic import BaseModel

from everfix.api.v1 import downloads
from everfix.core.crypto import Keys
from everfix.reports.runs import File
from everfix.settings import Settings


class FileOut(BaseModel):
    """One file, with a link that works without signing in until it expires."""

    format: str
    filename: str
    media_type: str
    size: int
    sha256: str
    download_url: str


def shown(file: File, settings: Settings, keys: Keys) -> FileOut:
    """Return a file with a fresh link."""
    link = downloads.link(settings, keys, file.workspace_id, file.id)
    return FileOut(
        format=file.format, filename=file.filename, media_type=file.media_type, size=file.size, sha256=file.sha256, download_url=link
    )


def ordered(files: Sequence[File], formats: Sequence[str], settings: Settings, keys: Keys) -> list[FileOut]:
    """Return files in the order in which their formats were asked for."""
    order = {name: place for place, name in enumerate(formats)}
    return [shown(file, settings, keys) for file in sorted(files, key=lambda file: order.get(file.format, 99))]
