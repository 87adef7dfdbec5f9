"""Files: stored whole, read in pieces, apart by workspace, wherever the settings say."""

from __future__ import annotations

import hashlib
import socket
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from pydantic import SecretStr

from everfix.core import ids, storage
from everfix.errors import ConfigurationError, Gone, Unavailable
from everfix.settings import Settings
from tests.shared import ROOT


def test_what_is_put_comes_back(tmp_path: Path) -> None:
    files = storage.open_(Settings(data_dir=tmp_path))
    workspace, body = ids.new(), bytes(range(256)) * 10_000
    stored = files.put(workspace, "reports/x/ä b.pdf", body)
    assert (stored.size, stored.sha256) == (len(body), hashlib.sha256(body).hexdigest())
    assert stored.key == f"{workspace}/reports/x/ä b.pdf"
    assert files.read(stored.key) == body
    assert len(list(files.stream(stored.key))) > 1, "never all in memory at once"


def test_a_second_put_replaces(tmp_path: Path) -> None:
    files = storage.open_(Settings(data_dir=tmp_path))
    workspace = ids.new()
    files.put(workspace, "x", b"one")
    assert files.read(files.put(workspace, "x", b"two").key) == b"two"


def test_what_is_not_there_is_gone(tmp_path: Path) -> None:
    files = storage.open_(Settings(data_dir=tmp_path))
    with pytest.raises(Gone):
        files.read(f"{ids.new()}/x")


def test_a_url_names_another_place(tmp_path: Path) -> None:
    files = storage.open_(Settings(data_dir=tmp_path / "data", storage_url=f"file://{tmp_path}/elsewhere"))
    key = files.put(ids.new(), "x", b"1").key
    assert (tmp_path / "elsewhere" / key).read_bytes() == b"1"
    assert not (tmp_path / "data").exists()


@pytest.mark.parametrize("url", ["nonsense", "ftp://x/y", "s3://"])
def test_a_place_that_cannot_be_used_is_named(url: str, tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="EVERFIX_STORAGE_URL"):
        storage.open_(Settings(data_dir=tmp_path, storage_url=url))


def test_the_folder_is_its_owners(tmp_path: Path) -> None:
    storage.open_(Settings(data_dir=tmp_path / "d"))
    assert (tmp_path / "d" / "files").stat().st_mode & 0o077 == 0


@pytest.fixture
def s3(monkeypatch: pytest.MonkeyPatch) -> Iterator[Settings]:
    """A real S3 server of this machine, with an empty bucket."""
    moto = pytest.importorskip("moto.server")
    server = moto.ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    try:
        host, port = server.get_host_and_port()
        httpx.put(
            f"http://{host}:{port}/bucket", headers={"Authorization": "AWS4-HMAC-SHA256 Credential=k/20260101/us-east-1/s3/aws4_request"}
        )
        yield Settings(
            storage_url="s3://bucket/files",
            storage_endpoint=f"http://{host}:{port}",
            storage_region="us-east-1",
            storage_access_key="key",
            storage_secret_key=SecretStr("secret"),
        )
    finally:
        server.stop()


@pytest.fixture(params=["local", "s3"])
def files(request: pytest.FixtureRequest, tmp_path: Path) -> storage.Storage:
    return storage.open_(Settings(data_dir=tmp_path) if request.param == "local" else request.getfixturevalue("s3"))


def test_what_is_streamed_in_comes_back_and_can_be_read_in_parts(files: storage.Storage) -> None:
    workspace, block = ids.new(), bytes(range(256)) * 4096
    stored = files.put_stream(workspace, "exports/a b/ü.csv", (block for _ in range(19)))
    assert (stored.size, stored.sha256) == (19 << 20, hashlib.sha256(block * 19).hexdigest())
    assert files.size(stored.key) == stored.size
    assert hashlib.sha256(files.read(stored.key)).hexdigest() == stored.sha256
    assert b"".join(files.stream(stored.key, 5, 9)) == bytes([5, 6, 7, 8])
    assert b"".join(files.stream(stored.key, stored.size - 3)) == bytes([253, 254, 255])


def test_an_empty_stream_is_an_empty_file(files: storage.Storage) -> None:
    stored = files.put_stream(ids.new(), "x", iter(()))
    assert (stored.size, files.read(stored.key)) == (0, b"")


def test_a_stream_that_breaks_off_stores_nothing(files: storage.Storage) -> None:
    workspace = ids.new()

    def pieces() -> Iterator[bytes]:
        yield b"x" * (9 << 20)
        raise RuntimeError("broke off")

    with pytest.raises(RuntimeError, match="broke off"):
        files.put_stream(workspace, "y", pieces())
    assert list(files.keys(workspace, "")) == []
    with pytest.raises(Gone):
        files.read(f"{workspace}/y")


def test_a_folder_is_listed_and_removed_and_nobody_elses(files: storage.Storage) -> None:
    mine, other = ids.new(), ids.new()
    keys = {files.put(mine, f"exports/1/{name}", b"x").key for name in "abc"}
    kept = {files.put(mine, "exports/2/a", b"x").key, files.put(other, "exports/1/a", b"x").key}
    assert set(files.keys(mine, "exports/1")) == keys
    files.delete(keys)
    assert list(files.keys(mine, "exports/1")) == []
    files.delete(keys)
    assert {files.read(key) for key in kept} == {b"x"}


def test_a_store_that_does_not_answer_is_said_in_words(tmp_path: Path) -> None:
    with socket.socket() as taken:  # bound and not listening: connections are refused
        taken.bind(("127.0.0.1", 0))
        there = f"http://127.0.0.1:{taken.getsockname()[1]}"
        files = storage.open_(
            Settings(
                data_dir=tmp_path, storage_url="s3://b", storage_endpoint=there, storage_access_key="k", storage_secret_key=SecretStr("s")
            )
        )
        with pytest.raises(Unavailable, match="cannot be stored in s3://b: it does not answer"):
            files.put(ids.new(), "x", b"1")


def test_a_bucket_that_is_not_there_is_said_in_words(s3: Settings) -> None:
    files = storage.open_(s3.model_copy(update={"storage_url": "s3://nowhere"}))
    with pytest.raises(Unavailable, match="cannot be stored in s3://nowhere: there is no such bucket"):
        files.put_stream(ids.new(), "x", [b"1"])


FULL = """
import resource, signal, sys, uuid
from pathlib import Path
from everfix.core import storage
from everfix.errors import Unavailable
from everfix.settings import Settings
files = storage.open_(Settings(data_dir=Path(sys.argv[1])))
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
resource.setrlimit(resource.RLIMIT_FSIZE, (3 << 20, 3 << 20))  # the nearest to a full disk that needs no rights
try:
    files.put_stream(uuid.UUID(int=1), "x", (b"x" * (1 << 20) for _ in range(20)))
except Unavailable as problem:
    print(problem.message)
    print(list(files.keys(uuid.UUID(int=1), "")))
"""


def test_a_full_disk_is_said_in_words_and_leaves_nothing(tmp_path: Path) -> None:
    done = subprocess.run([sys.executable, "-c", FULL, str(tmp_path)], capture_output=True, text=True, check=True, cwd=ROOT, timeout=60)
    said, left = done.stdout.strip().splitlines()
    assert f"files cannot be stored in {tmp_path}/files: the disk is full" in said
    assert left == "[]"


def test_keys_for_another_kind_of_store_are_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="for s3://"):
        storage.open_(Settings(data_dir=tmp_path, storage_url="gs://bucket", storage_access_key="k"))
