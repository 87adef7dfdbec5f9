"""Frames: stored tables as Polars reads them, lazily, so that ten million rows never stand in memory.

with database.transaction(workspace) as db:
keys = list(dict.fromkeys(table.key for _, table in deployments.parts(db, deployment_id, since, until)))
with frames.scanned(storage, keys) as rows:
rows.select(pl.col("latency_ms").quantile(0.95)).collect(engine="streaming")
"""

from __future__ import annotations

import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

from everfix.core.storage import Storage
from everfix.ml import uploads

if TYPE_CHECKING:
    import polars as pl


@contextmanager
def copied(storage: Storage, keys: Sequence[str]) -> Iterator[list[Path]]:
    """Yield copies of stored tables in a temporary folder, which is gone after the block; raises Gone where one is no longer kept."""
    with tempfile.TemporaryDirectory(prefix="everfix-ml-") as folder:
        yield [_copied(storage, key, Path(folder) / f"{place}.parquet") for place, key in enumerate(keys)]


@contextmanager
def scanned(
    storage: Storage, keys: Sequence[str], *, since: datetime | None = None, until: datetime | None = None
) -> Iterator[pl.LazyFrame]:
    """Yield the rows of stored tables, one after another; with `since` and `until` those whose `timestamp` lies in [since, until).

    A column that one part lacks is null there.
    Raises Gone where a file is no longer kept, Unavailable where the extra `everfix[ml]` is not installed.
    """
    uploads.available()
    import polars as pl  # noqa: PLC0415 - the extra's library, only where it is needed

    with copied(storage, keys) as paths:
        lazy = pl.concat([pl.scan_parquet(path) for path in paths], how="diagonal_relaxed") if paths else pl.LazyFrame()
        if since is not None and paths:
            lazy = lazy.filter(pl.col("timestamp") >= since)
        if until is not None and paths:
            lazy = lazy.filter(pl.col("timestamp") < until)
        yield lazy


def _copied(storage: Storage, key: str, path: Path) -> Path:
    with path.open("wb") as file:
        for piece in storage.stream(key):
            file.write(piece)
    return path
