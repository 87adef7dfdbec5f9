"""Why a file is refused, and the bounds it must keep."""

from __future__ import annotations

import dataclasses
from typing import Literal

LISTED = 100  # refused rows that are listed one by one; all are counted
WORST_SHARE = 0.10  # a file of which more is refused is refused whole


@dataclasses.dataclass(frozen=True, slots=True)
class Limits:
    """What a file may be at most, unpacked."""

    bytes: int
    rows: int
    columns: int = 10_000
    name: int = 300  # characters of a column's name


class Refused(Exception):
    """The file as a whole cannot be taken; `kind` decides the status: media 415, large 413, invalid 422."""

    def __init__(self, reason: str, kind: Literal["media", "large", "invalid"] = "invalid", field: str = "file") -> None:
        super().__init__(reason)
        self.reason, self.kind, self.field = reason, kind, field


@dataclasses.dataclass(slots=True)
class Rejects:
    """The rows that were refused: the first ones with their place (data rows count from 1), all of them as a number."""

    count: int = 0
    listed: list[dict[str, object]] = dataclasses.field(default_factory=list)

    def add(self, row: int | None, column: str | None, reason: str) -> None:
        """Note one refused row."""
        self.count += 1
        self.note(row, column, reason)

    def note(self, row: int | None, column: str | None, reason: str) -> None:
        """List a refused row, if there is room, without counting it."""
        if len(self.listed) < LISTED:
            self.listed.append({"row": row, "column": column, "reason": reason})

    def judge(self, kept: int) -> None:
        """Raise Refused when too much of the file cannot be read."""
        if self.count and self.count > WORST_SHARE * (kept + self.count):
            first = self.listed[0]
            where = f"row {first['row']}, column {first['column']}" if first["column"] else f"row {first['row']}"
            raise Refused(
                f"{self.count:,} of {kept + self.count:,} rows cannot be read (more than {WORST_SHARE:.0%}); the first: {where}: {first['reason']}"
            )
