"""Acceptances: what the other side has taken, noted in a file the moment it says so, before the ledger is told.

A worker that is killed, or loses the database, between the answer and the ledger's commit leaves its note behind: one `write` to a file in
the data directory, which the kernel keeps whatever happens to the process. Whoever finds the delivery still "sending" finds the note and
marks it sent instead of sending it again. Each process writes a file of its own and holds a lock on it, so that a file without a lock is
that of a process that died: `settle` tells the ledger what stands in it and removes it. See docs/decisions/0009.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple
from uuid import UUID

import structlog

from everfix.core import ids
from everfix.core.db import Json

log = structlog.get_logger()

RENEW_BYTES = 64_000  # a file of this size is replaced by one that holds only what is still under way
SUFFIX = ".accepted"


class Call(NamedTuple):
    """One try of one delivery: `number` is how many outcomes its row held before."""

    workspace: UUID
    delivery: UUID
    number: int


class Journal:
    """The notes of this process, and a look at those of every other on this machine. Opened at the first call, closed with the process."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._open: dict[Call, bool] = {}  # the calls under way, and whether each was taken
        self._file: int | None = None
        self._path: Path | None = None

    @contextlib.contextmanager
    def under_way(self, call: Call) -> Iterator[Callable[[Json], None]]:
        """Yield what to call with the receipt when the other side has taken it. A block that ends well has told the ledger; of one that
        raises, the note stays.
        """
        with self._lock:
            self._open[call] = False
            self._opened()
        try:
            yield lambda receipt: self._note(call, receipt)
        except BaseException:
            with self._lock:
                if not self._open[call]:
                    del self._open[call]
            raise
        self.told(call)

    def _note(self, call: Call, receipt: Json) -> None:
        with self._lock:
            if self._file is None or self._open.get(call):
                return
            try:
                os.write(self._file, _line(call, receipt))
            except OSError as problem:  # a full disk: the message is out all the same, and the ledger is told next
                log.warning("acceptance_not_noted", delivery=str(call.delivery), error=str(problem))
                return
            self._open[call] = True

    def told(self, call: Call) -> None:
        """Forget a call: the ledger holds its outcome."""
        with self._lock:
            self._open.pop(call, None)
            if self._file is not None and os.fstat(self._file).st_size > RENEW_BYTES:
                self._renew()

    def found(self, call: Call) -> Json | None:
        """Return the receipt of a call that was taken, by the notes of any process of this machine; None when none says so."""
        for path in self.folder.glob(f"*{SUFFIX}"):
            for other, receipt in _read(path):
                if other == call:
                    return receipt
        return None

    def settle(self, tell: Callable[[Call, Json], object]) -> int:
        """Tell the ledger what processes that died had noted, and remove their files; returns how many notes that was."""
        count = 0
        for path in self.folder.glob(f"*{SUFFIX}"):
            if path == self._path:
                continue
            with _held(path) as is_dead:
                if is_dead:
                    for call, receipt in _read(path):
                        tell(call, receipt)
                        count += 1
                    path.unlink(missing_ok=True)
        return count

    def close(self) -> None:
        """Let go of the file; it is removed unless it holds what the ledger was not told."""
        with self._lock:
            if self._file is None or self._path is None:
                return
            if not any(self._open.values()):
                self._path.unlink(missing_ok=True)
            os.close(self._file)
            self._file = self._path = None

    def _opened(self) -> None:
        if self._file is not None:
            return
        try:
            self._file, self._path = self._fresh()
        except OSError as problem:  # without it a killed worker's message may come twice, under one key; not sending would be worse
            log.warning("acceptances_cannot_be_noted", folder=str(self.folder), error=str(problem))

    def _fresh(self, lines: bytes = b"") -> tuple[int, Path]:
        """Make a file that is locked before anybody can find it."""
        self.folder.mkdir(parents=True, exist_ok=True)
        path = self.folder / f"{ids.new()}{SUFFIX}"
        hidden = path.with_suffix(".new")
        file = os.open(hidden, os.O_CREAT | os.O_WRONLY | os.O_APPEND | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(file, fcntl.LOCK_EX)
            os.write(file, lines)
            hidden.rename(path)
        except OSError:
            os.close(file)
            raise
        return file, path

    def _renew(self) -> None:
        """Go on in a new file that holds the notes of calls still under way."""
        if self._file is None or self._path is None:
            return
        kept = b"".join(_line(call, receipt) for call, receipt in _read(self._path) if call in self._open)
        old, gone = self._file, self._path
        try:
            self._file, self._path = self._fresh(kept)
        except OSError as problem:
            log.warning("acceptances_not_renewed", folder=str(self.folder), error=str(problem))
            return
        gone.unlink(missing_ok=True)
        os.close(old)


def _line(call: Call, receipt: Json) -> bytes:
    return (json.dumps([str(call.workspace), str(call.delivery), call.number, receipt]) + "\n").encode()


def _read(path: Path) -> Iterator[tuple[Call, Json]]:
    """Yield what stands in a file that others may be writing, or removing."""
    try:
        lines = path.read_bytes().split(b"\n")
    except FileNotFoundError:
        return
    for line in lines[:-1]:  # the last is empty, or half written
        workspace, delivery, number, receipt = json.loads(line)
        yield Call(UUID(workspace), UUID(delivery), number), receipt


@contextlib.contextmanager
def _held(path: Path) -> Iterator[bool]:
    """Lock a file unless its process lives; yields whether it is dead."""
    try:
        file = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    except FileNotFoundError:
        yield False
        return
    try:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            yield False
        else:
            yield True
    finally:
        os.close(file)
