"""Report templates as this surface writes them, and the saved reports that they are.

`dataSources` are a report's sections; `sections` give one of them a title and an id of its own. What the surface alone knows
(`sections`, `filters`) is kept with the report as it came.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import AfterValidator, Field
from sqlalchemy.orm import Session

from everfix.api.compat import shapes
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.delivery import targets
from everfix.errors import Invalid
from everfix.metrics import dashboards
from everfix.reports.definitions import Definition

Format = Literal["pdf", "csv", "markdown", "html"]
SHORTEST = 7
SECTION = "section:"  # before the key of a section of ours, where a data source is named
Params = Annotated[types.JsonObject, AfterValidator(dict)]


class DataSource(shapes.Shape):
    """A source by its key, or `section:` and the key of one of our sections; the parameters are checked when the report runs."""

    source_key: types.text(64, 1)  # type: ignore[valid-type]
    params: Params = Field(default_factory=dict)


class Section(shapes.Shape):
    """The title and the id that one data source has in the report."""

    id: types.text(64, 1)  # type: ignore[valid-type]
    title: types.text(200) = ""  # type: ignore[valid-type]
    data_source_index: Annotated[int, Field(ge=0, le=99)]


class Narrative(shapes.Shape):
    """Whether words are written, with what added to the instructions, and by which model."""

    enabled: bool = True
    prompt: types.text(4000) | None = None  # type: ignore[valid-type]
    model_override: types.text(200) | None = None  # type: ignore[valid-type]


class Body(shapes.Shape):
    """An unsaved report, for a preview: no format makes no file."""

    name: types.text(200, 1) = "Preview"  # type: ignore[valid-type]
    description: types.text(2000) = ""  # type: ignore[valid-type]
    data_sources: Annotated[list[DataSource], Field(max_length=50)] = Field(default_factory=list)
    sections: Annotated[list[Section], Field(max_length=50)] = Field(default_factory=list)
    formats: Annotated[list[Format], Field(max_length=4)] = Field(default_factory=list)
    narrative: Narrative = Field(default_factory=Narrative)
    filters: Params = Field(default_factory=dict)
    enabled: bool = True
    dashboard: types.text(40) | None = None  # type: ignore[valid-type]
    period: types.text(10) = dashboards.DEFAULT_PERIOD  # type: ignore[valid-type]
    segment_id: types.text(210) | None = None  # type: ignore[valid-type]


class Created(Body):
    """A report to be saved."""

    name: types.text(200, 1)  # type: ignore[valid-type]
    formats: Annotated[list[Format], Field(min_length=1, max_length=4)] = Field(default_factory=lambda: list[Format](["pdf"]))


class Changed(shapes.Shape):
    """What may be changed; what is not sent stays."""

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    description: types.text(2000) | None = None  # type: ignore[valid-type]
    data_sources: Annotated[list[DataSource], Field(max_length=50)] | None = None
    sections: Annotated[list[Section], Field(max_length=50)] | None = None
    formats: Annotated[list[Format], Field(min_length=1, max_length=4)] | None = None
    narrative: Narrative | None = None
    filters: Params | None = None
    enabled: bool | None = None


class Out(shapes.Shape):
    """One saved report."""

    id: UUID
    tenant_id: UUID
    name: str
    description: str
    owner_user_id: UUID | None
    data_sources: list[Json]
    sections: list[Json]
    formats: list[str]
    narrative: Json
    filters: Json
    enabled: bool
    created_at: shapes.Moment
    updated_at: shapes.Moment


def parts(body: Body) -> list[Json]:
    """Return the sections of the report that a body describes; a dashboard stands for its own. Raises Invalid."""
    if body.dashboard is not None and not body.data_sources:
        return dashboards.saved(dashboards.get(body.dashboard), dashboards.days(body.period), body.segment_id)
    return _parts(body.data_sources, body.sections)


def _parts(sources: Sequence[DataSource], sections: Sequence[Section]) -> list[Json]:
    named: dict[int, Section] = {}
    for section in sections:
        place = section.data_source_index
        if place >= len(sources) or place in named:
            why = "is named twice" if place in named else "does not exist"
            raise Invalid(f"sections: data source {place} {why}", details={"sections": f"each of 0 to {len(sources) - 1} at most once"})
        named[place] = section
    return [_part(place, source, named.get(place)) for place, source in enumerate(sources)]


def _part(place: int, source: DataSource, named: Section | None) -> Json:
    key = source.source_key
    kind = {"section": key.removeprefix(SECTION)} if key.startswith(SECTION) else {"source": key}
    made: Json = {"id": named.id if named else f"s{place + 1}", **kind, "params": source.params}
    return {**made, "title": named.title} if named and named.title else made


def window(found: Sequence[Json]) -> str:
    """Return the window that a report's heading names: the longest that one of its sources asks for."""
    asked = [part["params"].get("days") for part in found]
    return (
        f"{max([days for days in asked if isinstance(days, int) and not isinstance(days, bool) and 1 <= days <= 365], default=SHORTEST)}d"
    )


def values(db: Session, body: Created) -> Json:
    """Return the fields of the saved report that a body describes."""
    found = parts(body)
    return {
        "name": body.name,
        "description": body.description,
        "sections": found,
        "window": window(found),
        "formats": list(body.formats),
        "narrative": narrative(body.narrative),
        "enabled": body.enabled,
        "destinations": destinations(db, body.filters),
        "surface": {"sections": [section.model_dump(by_alias=True) for section in body.sections], "filters": body.filters},
    }


def changes(db: Session, found: Definition, body: Changed) -> Json:
    """Return the fields that a body changes."""
    given: Json = {name: getattr(body, name) for name in ("name", "description", "enabled")}
    given["formats"] = list(body.formats) if body.formats else None
    given["narrative"] = narrative(body.narrative) if body.narrative else None
    surface = dict(found.surface)
    if body.data_sources is not None or body.sections is not None:
        sources = body.data_sources if body.data_sources is not None else [DataSource(**item) for item in shown_sources(found)]
        sections = body.sections if body.sections is not None else [Section(**item) for item in surface.get("sections", [])]
        if body.sections is None:
            sections = [section for section in sections if section.data_source_index < len(sources)]
        given["sections"] = _parts(sources, sections)
        given["window"] = window(given["sections"])
        surface["sections"] = [section.model_dump(by_alias=True) for section in sections]
    if body.filters is not None:
        given["destinations"] = destinations(db, body.filters)
        surface["filters"] = body.filters
    return {**{name: value for name, value in given.items() if value is not None}, "surface": surface}


def narrative(given: Narrative) -> Json:
    """Return the narrative's settings as a report keeps them."""
    return given.model_dump(exclude_none=True)


def destinations(db: Session, filters: Json) -> list[UUID]:
    """Return the destinations that `filters.destinations` names; nothing else in it is read. Raises Invalid, NotFound."""
    given = filters.get("destinations") or []
    if not isinstance(given, list):
        raise Invalid("filters.destinations must be a list", details={"filters.destinations": "ids of notification providers"})
    found = [destination(item) for item in given]
    targets.check_destinations(db, found)
    return found


def destination(given: object) -> UUID:
    """Return the id of a destination; raises Invalid for what is none."""
    try:
        return ids.parse(ids.Prefix.DESTINATION, given)
    except ValueError as problem:
        raise Invalid(str(problem), details={"destinations": "ids of notification providers"}) from None


def shown_sources(found: Definition) -> list[Json]:
    """Return a report's sections as data sources."""
    return [
        {"sourceKey": part["source"] if "source" in part else f"{SECTION}{part['section']}", "params": part.get("params") or {}}
        for part in found.sections
    ]


def shown(found: Definition) -> Out:
    """Return a saved report as this surface shows it."""
    words = {"modelOverride" if key == "model_override" else key: value for key, value in found.narrative.items()}
    return Out(
        id=found.id,
        tenant_id=found.workspace_id,
        name=found.name,
        description=found.description,
        owner_user_id=found.owner_user_id,
        data_sources=shown_sources(found),
        sections=found.surface.get("sections", []),
        formats=found.formats,
        narrative=words,
        filters=found.surface.get("filters", {"destinations": [str(item) for item in found.destinations]} if found.destinations else {}),
        enabled=found.enabled,
        created_at=found.created_at,
        updated_at=found.updated_at,
    )


def moment(value: datetime | None) -> str | None:
    """Return an instant as this surface writes it."""
    return None if value is None else shapes.zulu(value)
