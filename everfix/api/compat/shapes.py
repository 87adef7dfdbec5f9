"""Shapes: what the bodies of the dashboard surface have in common: camelCase names, UUIDs, times that end in Z."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, BeforeValidator, ConfigDict, PlainSerializer
from pydantic.alias_generators import to_camel

from everfix.core import ids


def zulu(value: datetime) -> str:
    """Return an instant as this surface writes it: 2026-03-16T10:00:00.000Z."""
    return value.astimezone(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


Moment = Annotated[datetime, PlainSerializer(zulu, return_type=str)]


class Shape(BaseModel):
    """A body of this surface; a field that it does not know is refused."""

    model_config = ConfigDict(alias_generator=to_camel, populate_by_name=True, from_attributes=True, extra="forbid")


def _reads(prefix: ids.Prefix) -> BeforeValidator:
    return BeforeValidator(lambda text: ids.parse(prefix, text))


# Ids in bodies: shown as UUIDs, read in either spelling.
ReportId = Annotated[UUID, _reads(ids.Prefix.REPORT)]
DestinationId = Annotated[UUID, _reads(ids.Prefix.DESTINATION)]
PatternId = Annotated[UUID, _reads(ids.Prefix.PATTERN)]


def camel(record: dict[str, Any]) -> dict[str, Any]:
    """Return a source's row with the names of this surface: `conversion_rate` → `conversionRate`."""
    return {to_camel(key): value for key, value in record.items()}
