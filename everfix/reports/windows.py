"""Windows: the days a report is about, as a client writes them: `7D`, `30d`, any number of days, or two dates."""

from __future__ import annotations

import re
from datetime import date, datetime

from everfix.errors import Invalid
from everfix.metrics import periods
from everfix.metrics.periods import Period

USUAL = {"7d": 7, "30d": 30, "90d": 90}
DAYS = re.compile(r"^([1-9][0-9]{0,2})d$")
RANGE = re.compile(r"^(\d{4}-\d{2}-\d{2})\.\.(\d{4}-\d{2}-\d{2})$")
LONGEST = 366
ALLOWED = f"one of {', '.join(USUAL)}, any number of days up to {LONGEST}d, or two days like 2026-01-01..2026-01-31"


def read(window: str) -> str:
    """Return the window as it is kept; raises Invalid."""
    plain = window.strip().lower()
    found = DAYS.match(plain)
    if found is not None and int(found[1]) <= LONGEST:
        return plain
    if RANGE.match(plain):
        _dates(plain)
        return plain
    raise Invalid(f"{window[:40]!r} is no window", details={"window": ALLOWED})


def between(first: date, last: date) -> str:
    """Return the window of the days from `first` to `last`, both included; raises Invalid."""
    return read(f"{first.isoformat()}..{last.isoformat()}")


def _dates(window: str) -> tuple[date, date]:
    try:
        first, last = (date.fromisoformat(part) for part in window.split(".."))
    except ValueError as problem:
        raise Invalid(f"{window[:40]!r} is no window: {problem}", details={"window": ALLOWED}) from problem
    if not date(1970, 1, 2) <= first <= last < date(2200, 1, 1):
        raise Invalid(f"{window[:40]!r} is no window: it ends before it begins", details={"window": ALLOWED})
    if (last - first).days >= LONGEST:
        raise Invalid(f"{window[:40]!r} is longer than {LONGEST} days", details={"window": ALLOWED})
    return first, last


def days(window: str) -> int:
    """Return how many days a window has; raises Invalid."""
    plain = read(window)
    if ".." not in plain:
        return int(plain[:-1])
    first, last = _dates(plain)
    return (last - first).days + 1


def period(window: str, as_of: datetime, timezone: str) -> Period:
    """Return the days of a window that ends with `as_of`, or of its own dates; raises Invalid."""
    plain = read(window)
    if ".." not in plain:
        return periods.last(days(plain), as_of, timezone)
    first, last = _dates(plain)
    return periods.between(first, last, timezone)


def title(window: str) -> str:
    """Return the window in words."""
    plain = read(window)
    if ".." in plain:
        first, last = _dates(plain)
        return f"{first.day} {first:%b %Y} to {last.day} {last:%b %Y}" if first != last else f"{first.day} {first:%b %Y}"
    return "Today" if plain == "1d" else f"Last {days(plain)} days"
