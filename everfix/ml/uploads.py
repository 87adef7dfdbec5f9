"""Uploads: a CSV or Parquet that came in becomes a stored Parquet file and a row of `ml_tables`.

1. `stored` lets a process of its own read the file (`everfix.ml.intake`: types, bad rows, statistics; bounded), and stores the result.
2. `keep` writes the row. What was stored is removed again when that fails.

Good rows are kept and bad ones listed, up to 10 % of the file; `strict` refuses a file with any bad row.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.core import ids
from everfix.core.db import Json
from everfix.core.storage import Storage
from everfix.errors import EverfixError, Invalid, TooLarge, Unavailable, UnsupportedMedia
from everfix.ml.tables import Table
from everfix.settings import Settings

LIBRARIES = ("polars", "pyarrow")
SECONDS = 900  # of processor time; in all, twice as many
AT_ONCE = threading.BoundedSemaphore(2)  # files that this process lets be read at the same time
KINDS: Mapping[str, type[EverfixError]] = {"media": UnsupportedMedia, "large": TooLarge, "invalid": Invalid}


@dataclasses.dataclass(frozen=True, slots=True)
class Kept:
    """A file as it is stored. `quality` is for data sets; `upload_sha256` tells the same file when it comes again."""

    key: str
    format: str
    bytes: int
    sha256: str
    rows: int
    columns: int
    schema: list[Json]
    quality: Json
    rejected: int
    rejects: list[Json]
    upload_sha256: str


def available() -> None:
    """Raise Unavailable, in words, where the libraries of the extra are not installed."""
    missing = [name for name in LIBRARIES if find_spec(name) is None]
    if missing:
        raise Unavailable(f"this installation cannot read tables: {' and '.join(missing)} missing; install everfix[ml]")


@contextmanager
def stored(
    storage: Storage, workspace: UUID, path: Path, role: str, settings: Settings, *, mapping: Mapping[str, str], strict: bool = False
) -> Iterator[Kept]:
    """Yield the file as it was stored; it is removed again when the block raises.

    Raises UnsupportedMedia (415), TooLarge (413) and Invalid (422), each with its reason.
    """
    out = path.with_suffix(".kept.parquet")
    found = _taken(path, out, role, settings, mapping)
    rejects = found.pop("rejects")
    if strict and rejects["count"]:
        first = rejects["listed"][0]
        raise Invalid(
            f"{rejects['count']:,} rows cannot be read; the first: row {first['row']}, {first['column'] or 'whole row'}: {first['reason']}"
        )
    put = storage.put_file(workspace, f"ml/{ids.show(ids.Prefix.ML_TABLE, ids.new())}.parquet", out)
    out.unlink()
    try:
        yield Kept(key=put.key, rejected=rejects["count"], rejects=rejects["listed"], upload_sha256=digest(path), **found)
    except BaseException:
        storage.delete([put.key])
        raise


def digest(path: Path) -> str:
    """Return the SHA-256 of a file in hex."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _taken(path: Path, out: Path, role: str, settings: Settings, mapping: Mapping[str, str]) -> dict[str, Any]:
    available()
    limits = {"bytes": settings.upload_unpacked_bytes, "rows": settings.upload_max_rows}
    task: Json = {"path": str(path), "out": str(out), "role": role, "mapping": dict(mapping), "limits": limits}
    task |= {"memory": settings.upload_memory_bytes, "seconds": SECONDS}
    command = [sys.executable, "-m", "everfix.ml.intake"]
    with AT_ONCE:
        try:
            done = subprocess.run(command, input=json.dumps(task), capture_output=True, text=True, timeout=2 * SECONDS, check=False)
        except subprocess.TimeoutExpired as problem:
            raise TooLarge(f"reading the file takes longer than {2 * SECONDS} s") from problem
    if done.returncode < 0 or "memory allocation" in done.stderr:  # killed by a bound, or by what the file did to its reader
        raise TooLarge(f"the file cannot be read within {settings.upload_memory_bytes:,} bytes of memory and {SECONDS} s")
    if done.returncode:
        raise EverfixError(
            f"the reader of tables failed: {done.stderr.strip().splitlines()[-1][:500] if done.stderr.strip() else done.returncode}"
        )
    outcome: dict[str, Any] = json.loads(done.stdout)
    if "refused" in outcome:
        refused = outcome["refused"]
        raise KINDS[refused["kind"]](refused["reason"], details={refused["field"]: refused["reason"]})
    return outcome


def keep(db: Session, kept: Kept, project_id: UUID, role: str, file_name: str) -> Table:
    """Write the row of a stored file."""
    values = {field.name: getattr(kept, field.name) for field in dataclasses.fields(Kept) if field.name not in ("quality", "upload_sha256")}
    row = Table(id=ids.new(), project_id=project_id, role=role, file_name=file_name[:300], **values)
    db.add(row)
    db.flush()
    db.refresh(row)
    return row
