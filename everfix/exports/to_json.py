"""JSON: one array of objects, as the API names their fields; instants in UTC, to the microsecond, nested values as they are."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.exports.rows import Look


def write(path: Path, db: Session, look: Look, told: Callable[[int], None]) -> tuple[int, UUID | None]:
    """Write the rows to `path` and return how many there were, and the key of the last."""
    keys = [column.key for column in look.columns]
    rows, last = 0, None
    with path.open("w", encoding="utf-8", newline="\n") as out:
        out.write("[")
        for key, columns in look.batches(db):
            for made in zip(*columns, strict=True):
                out.write(",\n" if rows else "\n")
                out.write(json.dumps(dict(zip(keys, made, strict=True)), ensure_ascii=False, default=_plain, separators=(",", ":")))
                rows += 1
            last = key
            told(rows)
        out.write("\n]\n")
    return rows, last


def _plain(value: Any) -> str:  # noqa: ANN401 - whatever JSON does not know
    if isinstance(value, datetime):
        return value.astimezone(UTC).isoformat().replace("+00:00", "Z")
    raise TypeError(f"no JSON for {type(value).__name__}")
