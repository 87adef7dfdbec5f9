"""Types of query parameters and path ids that several resources share."""

from __future__ import annotations

from collections.abc import Callable
from typing import Annotated, Any
from uuid import UUID

from fastapi import Depends, Path, Query
from pydantic import AfterValidator

from everfix.core import fields, ids
from everfix.errors import Invalid, NotFound


def words(longest: int) -> Any:  # noqa: ANN401 - an Annotated type made at import
    """Return the type of text in the query string."""
    return Annotated[
        str | None, AfterValidator(lambda value: value if value is None else fields.storable(value)), Query(max_length=longest)
    ]


Search = words(200)
RiskBound = Annotated[int | None, Query(ge=0, le=100)]


def path_id(prefix: ids.Prefix, noun: str, name: str = "id") -> Any:  # noqa: ANN401 - FastAPI's marker
    """Return what reads an id in a path; what cannot be an id is simply not there (404)."""

    def read(value: str = Path(alias=name, max_length=200)) -> UUID:  # an annotation could not see `name`
        try:
            return ids.parse(prefix, value)
        except ValueError:
            raise NotFound(f"no {noun} {value[:60]!r}") from None

    return Depends(read)


def query_id(prefix: ids.Prefix, name: str) -> Any:  # noqa: ANN401 - FastAPI's marker
    """Return what reads an id in the query string."""

    def read(value: str | None = Query(None, alias=name, max_length=200)) -> UUID | None:  # an annotation could not see `name`
        if value is None:
            return None
        try:
            return ids.parse(prefix, value)
        except ValueError as problem:
            raise Invalid(str(problem), details={name: str(problem)}) from None

    return Depends(read)


def choices(value: str | None, name: str, allowed: tuple[str, ...], read: Callable[[str], str] = str) -> list[str] | None:
    """Return the comma-separated values of a filter, aliases read by `read`; raises Invalid naming what is allowed."""
    if value is None:
        return None
    found = [read(part.strip().lower()) for part in value.split(",") if part.strip()]
    wrong = [part for part in found if part not in allowed]
    if wrong or not found:
        raise Invalid(f"{name}: {(wrong or [value])[0][:40]!r} is not allowed", details={name: f"one or more of {', '.join(allowed)}"})
    return found
