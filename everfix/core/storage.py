"""Files: one interface over a local folder, S3, GCS and Azure (obstore); a file's name begins with its workspace."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from uuid import UUID

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from everfix.errors import ConfigurationError, Gone
from everfix.settings import Settings

CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored: its key, its size in bytes and its SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class Storage:
    """Keeps files under `<workspace>/<name>`."""

    def __init__(self, store: ObjectStore) -> None:
        self._store = store

    def put(self, workspace: UUID, name: str, body: bytes) -> Stored:
        """Store `body` whole or not at all, replacing what was there."""
        key = f"{workspace}/{name}"
        obstore.put(self._store, key, body)
        return Stored(key, len(body), hashlib.sha256(body).hexdigest())

    def stream(self, key: str) -> Iterator[bytes]:
        """Yield the file in pieces of about 1 MB; raises Gone when it is no longer there."""
        try:
            found = obstore.get(self._store, key)
        except FileNotFoundError as problem:
            raise Gone("the file is no longer kept") from problem
        return (bytes(piece) for piece in found.stream(min_chunk_size=CHUNK))

    def read(self, key: str) -> bytes:
        """Return the whole file; raises Gone when it is no longer there."""
        return b"".join(self.stream(key))


def open_(settings: Settings) -> Storage:
    """Return the storage that the settings name; raises ConfigurationError when its address cannot be used."""
    if settings.storage_url is None:
        folder = (settings.data_dir / "files").resolve()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Storage(LocalStore(str(folder)))
    try:
        if settings.storage_url.startswith("file://"):
            Path(settings.storage_url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
        return Storage(from_url(settings.storage_url))
    except (ValueError, OSError, obstore.exceptions.BaseError) as problem:
        raise ConfigurationError(f"EVERFIX_STORAGE_URL {settings.storage_url!r} cannot be used: {problem}") from problem
