"""Files: stored whole, read in pieces, apart by workspace, wherever the settings say."""

from __future__ import annotations

import hashlib
from pathlib import Path

import pytest

from everfix.core import ids, storage
from everfix.errors import ConfigurationError, Gone
from everfix.settings import Settings


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
