"""Rows for the spreadsheet benches: ten typed columns, as a report's table holds them; plain Python, so that peers read the same."""

from __future__ import annotations

import re
import resource
import sys
from collections.abc import Iterator
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

HEADERS = ("Issue", "Title", "Service", "Occurrences", "Score", "Probability", "Cost", "First day", "Last seen", "Resolved")
START = datetime(2026, 1, 1, tzinfo=UTC)
Raw = tuple[str, str, str, int, float, float, float, str, str, bool]
Typed = tuple[str, str, str, int, float, float, float, date, datetime, str]


def raw(count: int) -> Iterator[Raw]:
    """Yield rows as a Document keeps them: days and instants in ISO 8601, flags as flags; one text in fifty begins like a formula."""
    for n in range(count):
        moment = START + timedelta(minutes=7 * n % 400_000)
        title = f"=cmd|' /C calc'!A{n}" if n % 50 == 7 else f"Connection pool exhausted on shard {n % 997} after deploy {n * 31 % 10_007}"
        yield (
            f"ISS-{100_000 + n}",
            title,
            f"service-{n % 24}",
            n % 977,
            round(n * 0.37 % 100, 2),
            n * 37 % 1000 / 1000,
            n * 13.7 % 90_000,
            moment.date().isoformat(),
            moment.isoformat(),
            n % 3 == 0,
        )


def typed(count: int) -> Iterator[Typed]:
    """Yield the same rows with the types a workbook has, made before a peer's clock starts."""
    for row in raw(count):
        yield (*row[:7], date.fromisoformat(row[7]), datetime.fromisoformat(row[8]).replace(tzinfo=None), "yes" if row[9] else "no")


def peak() -> float:
    """Return the largest memory this process has had, in MB.

    Linux tells it of the program itself; what it tells through `getrusage` begins with the memory of whoever started the program.
    """
    status = Path("/proc/self/status")
    if status.exists():
        found = re.search(r"VmHWM:\s+(\d+) kB", status.read_text(encoding="utf-8"))
        if found:
            return int(found[1]) / 1024
    most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return most / (1024 * 1024 if sys.platform == "darwin" else 1024)
