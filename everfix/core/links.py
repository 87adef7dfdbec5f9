"""Links that work without signing in: they name one thing, are signed, and expire."""

from __future__ import annotations

from datetime import timedelta
from uuid import UUID

from everfix.core import clock
from everfix.core.crypto import Keys
from everfix.settings import Settings

DOWNLOAD = "download"


def download(settings: Settings, keys: Keys, workspace: UUID, file: UUID, life: timedelta | None = None, by: str = "") -> str:
    """Return a link to one file that works for `life` (default: the setting link_seconds); `by` says in the audit log whose link it is."""
    until = clock.now() + (life or timedelta(seconds=settings.link_seconds))
    return f"{settings.url}/v1/downloads/{keys.sign(DOWNLOAD, [str(workspace), str(file), int(until.timestamp()), by])}"
