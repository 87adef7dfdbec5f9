"""The process that reads one file: the task comes as JSON on standard input, the outcome goes as JSON to standard output."""

from __future__ import annotations

import contextlib
import dataclasses
import hashlib
import json
import os
import resource
import sys
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from everfix.ml.intake.refused import Limits, Refused, Rejects

LIBRARIES_BYTES = 1 << 30  # address space that the libraries take before any data
ROW_GROUP_CELLS = 4_000_000
SIGNATURES = {
    b"PK\x03\x04": "a zip archive or an Excel workbook",
    b"\xd0\xcf\x11\xe0": "an old Excel workbook",
    b"%PDF": "a PDF",
    b"\x28\xb5\x2f\xfd": "a zstd archive",
    b"BZh": "a bzip2 archive",
    b"\xfd7zXZ": "an xz archive",
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"ARROW1": "an Arrow file",
    b"Obj\x01": "an Avro file",
    b"ORC": "an ORC file",
    b"\x89HDF": "an HDF5 file",
}


def main() -> int:
    """Read the task, do it, say what came of it."""
    task = json.load(sys.stdin)
    memory, seconds = int(task["memory"]), int(task["seconds"])
    os.environ["POLARS_MAX_THREADS"] = "2"
    with contextlib.suppress(ValueError, OSError):  # a system that has no such bound, or a lower one already
        resource.setrlimit(resource.RLIMIT_DATA, (memory + LIBRARIES_BYTES, memory + LIBRARIES_BYTES))
        resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds))
    try:
        outcome: dict[str, Any] = taken(Path(task["path"]), Path(task["out"]), task["role"], task["mapping"], Limits(**task["limits"]))
    except Refused as problem:
        outcome = {"refused": {"reason": problem.reason, "kind": problem.kind, "field": problem.field}}
    except MemoryError:
        outcome = {"refused": {"reason": f"reading the file needs more than {memory:,} bytes of memory", "kind": "large", "field": "file"}}
    json.dump(outcome, sys.stdout)
    return 0


def taken(path: Path, out: Path, role: str, mapping: Mapping[str, str], limits: Limits) -> dict[str, Any]:
    """Write the file as Parquet to `out` and return what is to be known of it; raises Refused."""
    from everfix.ml.intake import profile  # noqa: PLC0415 - the libraries load after the bounds are set

    form, open_ = _reader(path, role, mapping, limits)
    settled, kept, rejects = False, 0, Rejects()
    while not settled:  # a column that turns out to be of a wider type is read again; each reading widens at least one
        rejects = Rejects()
        frames, check = open_(rejects)
        kept = _written(frames, out, role, rejects)
        settled = check()
    rejects.judge(kept)
    if not kept:
        raise Refused("the table has no rows")
    schema, rows = profile.described(out)
    return {
        "format": form,
        "rows": rows,
        "columns": len(schema),
        "schema": schema,
        "quality": profile.quality(out, schema, rows, rejects),
        "bytes": out.stat().st_size,
        "sha256": _sha256(out),
        "rejects": dataclasses.asdict(rejects),
    }


Opened = Callable[[Rejects], tuple[Iterator[Any], Callable[[], bool]]]


def _reader(path: Path, role: str, mapping: Mapping[str, str], limits: Limits) -> tuple[str, Opened]:
    """Return the format, and what starts a reading: its batches, and whether the types stood when they are through."""
    from everfix.ml.intake import delimited, parquet, roles  # noqa: PLC0415 - see taken

    with path.open("rb") as file:
        head = file.read(8)
    foreign = next((words for mark, words in SIGNATURES.items() if head.startswith(mark)), None)
    if foreign is not None:
        raise Refused(f"this is {foreign}; upload CSV (gzip is fine) or Parquet", "media")
    if head.startswith(b"PAR1"):
        opened = parquet.opened(path, limits)
        names = roles.renamed(role, opened.schema_arrow.names, mapping)
        named = (frame.rename(dict(zip(frame.columns, names, strict=True))) for frame in parquet.batches(opened, limits))
        return "parquet", lambda _: (named, lambda: True)
    form = "csv"
    if head.startswith(b"\x1f\x8b"):
        path, form = delimited.unpacked(path, limits), "csv.gz"
    layout = delimited.layout(path, limits)
    layout.names = roles.renamed(role, layout.names, mapping)
    reader = delimited.Reader(path, layout, limits)
    columns = delimited.guessed(reader)

    def settled() -> bool:
        return all([column.settled() for column in columns])  # noqa: C419 - each must be asked

    return form, lambda rejects: (delimited.typed(reader, columns, rejects), settled)


def _written(frames: Iterator[Any], out: Path, role: str, rejects: Rejects) -> int:
    import pyarrow as pa  # noqa: PLC0415 - see taken
    from pyarrow import parquet as arrow_parquet  # noqa: PLC0415 - see taken

    from everfix.ml.intake import roles  # noqa: PLC0415 - see taken

    writer = None
    waiting, cells, rows = [], 0, 0
    try:
        for frame in frames:
            made = roles.finished(role, frame, rejects)
            table = made.to_arrow(compat_level=None) if made.height else None
            if table is None:
                continue
            writer = writer or arrow_parquet.ParquetWriter(out, table.schema, compression="zstd")
            waiting.append(table)
            cells, rows = cells + table.num_rows * table.num_columns, rows + table.num_rows
            if cells >= ROW_GROUP_CELLS:
                writer.write_table(pa.concat_tables(waiting), row_group_size=table.num_rows * len(waiting) + 1)
                waiting, cells = [], 0
        if writer is not None and waiting:
            writer.write_table(pa.concat_tables(waiting))
    finally:
        if writer is not None:
            writer.close()
    return rows


def _sha256(path: Path) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


if __name__ == "__main__":
    sys.exit(main())
