"""What the bodies of reports and schedules have in common: formats in either spelling, windows as a length or as two days."""

from __future__ import annotations

from datetime import date
from typing import Annotated, Any
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.errors import Invalid
from everfix.reports import windows


def _sound(value: list[Any]) -> list[Any]:
    types.bounded({"items": value})
    return value


# The key of a section, or an object that names a section or a source.
Parts = Annotated[list[str | Json], Field(max_length=40), AfterValidator(_sound)]
Formats = Annotated[list[str], Field(max_length=6), AfterValidator(_sound)]
Recipients = Annotated[list[str], Field(max_length=1000), AfterValidator(_sound)]
DestinationId = Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.DESTINATION, value))]
Destinations = Annotated[list[DestinationId], Field(max_length=100)]


class Framed(BaseModel):
    """A report's files and days: `format` or `formats`, in either case; `window` is 7D, 30D, 90D or any number of days, or `from` and `to`."""

    model_config = ConfigDict(extra="forbid", populate_by_name=True)

    window: types.text(30) | None = None  # type: ignore[valid-type]
    first: date | None = Field(default=None, alias="from")
    last: date | None = Field(default=None, alias="to")
    format: types.text(20) | None = None  # type: ignore[valid-type]
    formats: Formats | None = None
    filters: types.JsonObject | None = None

    def days(self) -> str | None:
        """Return the window asked for, or None; raises Invalid for half a range, and for a range beside a window."""
        if (self.first is None) != (self.last is None) or (self.first is not None and self.window is not None):
            raise Invalid("send `window`, or both `from` and `to`", details={"window": windows.ALLOWED})
        if self.first is not None and self.last is not None:
            return windows.between(self.first, self.last)
        return self.window

    def files(self) -> list[str] | None:
        """Return the formats asked for, or None; raises Invalid when both spellings are sent."""
        if self.format is not None and self.formats is not None:
            raise Invalid("send `format` or `formats`, not both", details={"formats": "only one of the two"})
        return self.formats if self.format is None else [self.format]

    def columns(self, *names: str) -> dict[str, Any]:
        """Return the fields that were sent, under the names of the table: these, and the window, formats and filters."""
        sent = self.model_dump(exclude_unset=True, include=set(names))
        found: Json = dict(sent)
        for key, value in (("window", self.days()), ("formats", self.files()), ("filters", self.filters)):
            if value is not None:
                found[key] = value
        return found
