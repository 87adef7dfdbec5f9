"""Files: one interface over a local folder, S3, GCS and Azure (obstore); a file's name begins with its workspace.

What goes wrong with the place itself (a full disk, a store that does not answer, a key that was refused) is `Unavailable`, in
words: a job that meets it fails with them and is tried again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path
from queue import Full, Queue
from typing import Any
from uuid import UUID

import obstore
from obstore.store import LocalStore, ObjectStore, from_url

from everfix.errors import ConfigurationError, Gone, Unavailable
from everfix.settings import Settings

PIECE = 2 << 20  # bytes read at a time
PART = 8 << 20  # bytes of one part of an upload; two are in memory at a time
UPLOADS = 2
TRIES, PATIENCE = 3, timedelta(seconds=20)  # of one call to a remote store
FULL = ("no space left", "os error 28", "quota", "file too large", "os error 27")


@dataclass(frozen=True, slots=True)
class Stored:
    """What was stored: its key, its size in bytes and its SHA-256 in hex."""

    key: str
    size: int
    sha256: str


class Storage:
    """Keeps files under `<workspace>/<name>`; `place` is what messages call it."""

    def __init__(self, store: ObjectStore, place: str = "the storage") -> None:
        self._store, self.place = store, place

    def put(self, workspace: UUID, name: str, body: bytes) -> Stored:
        """Store `body` whole or not at all, replacing what was there; raises Unavailable."""
        key = f"{workspace}/{name}"
        with self._said("stored"):
            obstore.put(self._store, key, body)
        return Stored(key, len(body), hashlib.sha256(body).hexdigest())

    def put_stream(self, workspace: UUID, name: str, pieces: Iterable[bytes]) -> Stored:
        """Store what `pieces` yields, whole or not at all, with a few megabytes of it in memory; raises Unavailable.

        The upload pulls its pieces from inside the store's own event loop, where nothing may wait for a database or for the store
        itself; so it runs on a thread of its own and is handed what this one makes.
        """
        key, seen, handed, whole = f"{workspace}/{name}", _Seen(pieces), _Handed(), False
        with ThreadPoolExecutor(1, thread_name_prefix="upload") as thread:
            upload = thread.submit(self._upload, key, iter(handed))
            try:
                whole = all(handed.give(piece, upload) for piece in seen)
            finally:
                handed.give(END if whole else BROKEN, upload)
            upload.result()
        return Stored(key, seen.size, seen.digest.hexdigest())

    def _upload(self, key: str, pieces: Iterator[bytes]) -> None:
        with self._said("stored"):
            obstore.put(self._store, key, pieces, use_multipart=True, chunk_size=PART, max_concurrency=UPLOADS)

    def put_file(self, workspace: UUID, name: str, path: Path) -> Stored:
        """Store a file of this machine; raises Unavailable."""
        return self.put_stream(workspace, name, _pieces(path))

    def size(self, key: str) -> int:
        """Return the file's size in bytes; raises Gone, Unavailable."""
        with self._said("read"):
            return int(obstore.head(self._store, key)["size"])

    def stream(self, key: str, start: int = 0, end: int | None = None) -> Iterator[bytes]:
        """Yield the file, or its bytes from `start` up to but not including `end`, in pieces; raises Gone when it is no longer there.

        Each piece is a request of its own, so a slow reader never holds one open, and none is cut off by a time limit.
        """
        stop = self.size(key) if end is None else end

        def pieces() -> Iterator[bytes]:
            for begin in range(start, stop, PIECE):
                with self._said("read"):
                    piece = bytes(obstore.get_range(self._store, key, start=begin, end=min(begin + PIECE, stop)))
                yield piece

        return pieces()

    def read(self, key: str) -> bytes:
        """Return the whole file; raises Gone when it is no longer there."""
        return b"".join(self.stream(key))

    def keys(self, workspace: UUID, prefix: str) -> Iterator[str]:
        """Yield the key of each file of the workspace in the folder `prefix`; raises Unavailable."""
        with self._said("listed"):
            for page in obstore.list(self._store, prefix=f"{workspace}/{prefix}", chunk_size=1000):
                yield from (str(one["path"]) for one in page)

    def delete(self, keys: Iterable[str]) -> int:
        """Remove files and return how many; one that is not there is as good as removed. Raises Unavailable."""
        gone = 0
        for key in keys:
            try:
                with self._said("removed"):
                    obstore.delete(self._store, key)
            except Gone:
                continue
            gone += 1
        return gone

    @contextmanager
    def _said(self, what: str) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError as problem:
            if what in ("read", "removed"):
                raise Gone("the file is no longer kept") from problem
            raise Unavailable(f"files cannot be {what} in {self.place}: there is no such bucket or folder") from problem
        except (obstore.exceptions.BaseError, OSError) as problem:
            raise Unavailable(f"files cannot be {what} in {self.place}: {reason(problem)}") from problem


END, BROKEN = object(), object()


class _Handed:
    """Pieces on their way from the thread that makes them to the one that stores them; two at a time."""

    def __init__(self) -> None:
        self._queue: Queue[Any] = Queue(2)

    def give(self, piece: Any, to: Future[None]) -> bool:  # noqa: ANN401 - bytes, END or BROKEN
        """Wait until there is room for one more, and return True; False when nobody takes any more."""
        while not to.done():
            try:
                self._queue.put(piece, timeout=0.1)
            except Full:
                continue
            return True
        return False

    def __iter__(self) -> Iterator[bytes]:
        while (piece := self._queue.get()) is not END:
            if piece is BROKEN:
                raise OSError("what was to be stored broke off")  # so that the store throws away what it has
            yield piece


class _Seen:
    """Counts and digests what passes by."""

    def __init__(self, pieces: Iterable[bytes]) -> None:
        self._pieces, self.size, self.digest = pieces, 0, hashlib.sha256()

    def __iter__(self) -> Iterator[bytes]:
        for piece in self._pieces:
            self.size += len(piece)
            self.digest.update(piece)
            yield piece


def _pieces(path: Path) -> Iterator[bytes]:
    with path.open("rb") as file:
        while piece := file.read(PIECE):
            yield piece


def reason(problem: BaseException) -> str:
    """Return in words why the place cannot be used: what an operator can mend comes first."""
    text = str(problem).splitlines()[0][:300] if str(problem) else type(problem).__name__
    lower = str(problem).lower()
    if any(word in lower for word in FULL):
        return f"the disk is full ({text})"
    if isinstance(problem, obstore.exceptions.PermissionDeniedError | obstore.exceptions.UnauthenticatedError | PermissionError):
        return f"access is refused; check its key and rights ({text})"
    if any(word in lower for word in ("connect", "dns", "timed out", "timeout", "error sending request")):
        return f"it does not answer ({text})"
    return text


def open_(settings: Settings) -> Storage:
    """Return the storage that the settings name; raises ConfigurationError when its address cannot be used."""
    url = settings.storage_url
    if url is None:
        folder = (settings.data_dir / "files").resolve()
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        return Storage(LocalStore(str(folder)), str(folder))
    try:
        if url.startswith("file://"):
            Path(url.removeprefix("file://")).mkdir(parents=True, exist_ok=True)
            return Storage(from_url(url), url)
        retry: Any = {"max_retries": TRIES, "retry_timeout": PATIENCE}
        client: Any = {"connect_timeout": "5s", "timeout": "60s", "allow_http": str(settings.storage_endpoint or "").startswith("http://")}
        return Storage(from_url(url, config=_config(settings), client_options=client, retry_config=retry), url)
    except (ValueError, OSError, obstore.exceptions.BaseError) as problem:
        raise ConfigurationError(f"EVERFIX_STORAGE_URL {url!r} cannot be used: {problem}") from problem


def _config(settings: Settings) -> Any:  # noqa: ANN401 - obstore's own type for each store
    """Return what the settings say on top of the store's own environment variables (AWS_…, GOOGLE_…, AZURE_…)."""
    given = {
        "aws_endpoint": settings.storage_endpoint,
        "aws_region": settings.storage_region,
        "aws_access_key_id": settings.storage_access_key,
        "aws_secret_access_key": settings.storage_secret_key and settings.storage_secret_key.get_secret_value(),
    }
    wanted = {name: value for name, value in given.items() if value}
    if not str(settings.storage_url).startswith(("s3://", "s3a://")):
        if wanted:
            raise ValueError("storage_endpoint, storage_region and the keys are for s3:// addresses")
        return {}
    return wanted
