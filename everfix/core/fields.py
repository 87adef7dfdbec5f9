"""Field types for data from outside: bounded text that PostgreSQL can hold, aware times, shallow JSON."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import Annotated, Any

from pydantic import AfterValidator, StringConstraints

MAX_DEPTH = 12
MAX_JSON_NODES = 5_000
EARLIEST, LATEST = datetime(1970, 1, 1, tzinfo=UTC), datetime(2200, 1, 1, tzinfo=UTC)


def storable(value: str) -> str:
    if "\x00" in value:
        raise ValueError("must not hold the NUL character (U+0000)")
    try:
        value.encode()
    except UnicodeEncodeError as problem:
        raise ValueError("must be valid Unicode (a lone surrogate was found)") from problem
    return value


def text(longest: int, shortest: int = 0) -> Any:  # noqa: ANN401 - an Annotated type made at import
    """Return the type of text of at most `longest` characters, surrounding space removed, without NUL or lone surrogates."""
    return Annotated[str, StringConstraints(max_length=longest, min_length=shortest, strip_whitespace=True), AfterValidator(storable)]


def web(url: str) -> str:
    """Return an address that a browser may follow; raises ValueError for every other scheme."""
    if url and not url.lower().startswith(("http://", "https://")):
        raise ValueError("must begin with http:// or https://")
    return url


def _aware(value: datetime) -> datetime:
    moment = value.replace(tzinfo=UTC) if value.tzinfo is None else value.astimezone(UTC)
    if not EARLIEST <= moment <= LATEST:
        raise ValueError("must lie between 1970 and 2200")
    return moment


Moment = Annotated[datetime, AfterValidator(_aware)]  # a time without a zone is read as UTC


def bounded(value: dict[str, Any]) -> dict[str, Any]:
    """Return a JSON object that PostgreSQL can hold, neither deep nor large; raises ValueError saying what is wrong."""
    nodes = 0
    stack: list[tuple[Any, int]] = [(value, 1)]
    while stack:
        item, depth = stack.pop()
        nodes += 1
        if depth > MAX_DEPTH:
            raise ValueError(f"is nested deeper than {MAX_DEPTH} levels")
        if nodes > MAX_JSON_NODES:
            raise ValueError(f"holds more than {MAX_JSON_NODES} values")
        if isinstance(item, dict):
            for key in item:
                storable(str(key))
            stack.extend((child, depth + 1) for child in item.values())
        elif isinstance(item, list):
            stack.extend((child, depth + 1) for child in item)
        elif isinstance(item, str):
            storable(item)
        elif isinstance(item, float) and (item != item or item in (float("inf"), float("-inf"))):  # noqa: PLR0124 - NaN
            raise ValueError("must not hold NaN or Infinity")
    return value


JsonObject = Annotated[dict[str, Any], AfterValidator(bounded)]


def dump(value: object) -> bytes:
    """Return JSON as it goes over the wire: no spaces, letters as they are."""
    return json.dumps(value, separators=(",", ":"), ensure_ascii=False).encode()
