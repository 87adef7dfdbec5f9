"""Sources: the catalogue of everything that can be shown. One entry, and it is on dashboards, in reports, in the API and in the docs.

A source is a key, a title, parameters with bounds, typed columns and a query; the query sees only the current workspace.
"""

from __future__ import annotations

import dataclasses
import re
from typing import Literal

from everfix.documents.model import Column, Unit
from everfix.errors import Invalid

WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclasses.dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a source: whole numbers between `low` and `high`, or text of at most `high` characters."""

    key: str
    default: int | str | None
    low: int = 0
    high: int = 0
    kind: Literal["int", "text"] = "int"

    def read(self, value: object) -> int | str | None:
        """Return the value, or raise Invalid naming the parameter, what came and what is allowed."""
        if value is None:
            return self.default
        if self.kind == "text":
            if isinstance(value, str) and len(value) <= self.high and "\x00" not in value:
                return value
            raise Invalid(f"{self.key}: {str(value)[:60]!r} is not allowed", details={self.key: f"text of at most {self.high} characters"})
        whole = isinstance(value, int | str) and not isinstance(value, bool) and WHOLE.fullmatch(str(value)) is not None
        if not whole or not self.low <= int(str(value)) <= self.high:
            raise Invalid(
                f"{self.key}: {str(value)[:60]!r} is not allowed", details={self.key: f"a whole number from {self.low} to {self.high}"}
            )
        return int(str(value))


LIMIT = Param("limit", 10, 1, 1000)


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One set of rows. `link` names the column with an id that leads to a page (not shown), and `page` that page."""

    key: str
    title: str
    about: str
    columns: tuple[Column, ...]
    sql: str
    params: tuple[Param, ...] = ()
    counts: str | None = None  # a query that counts all rows, where `sql` cuts
    page: str | None = None  # e.g. "/patterns/{}": the query's last column is the id
    empty: str = "Nothing to show for this period."


def column(key: str, title: str, unit: Unit = Unit.TEXT, **more: bool | Literal["up", "down"]) -> Column:
    """Return a column; a shorthand for the tables of sources."""
    return Column(key=key, title=title, unit=unit, **more)


def catalogue() -> dict[str, Source]:
    """Return every source by its key; raises ValueError when two share one."""
    from everfix.metrics import fix_sources, issue_sources, one_pattern_sources, pattern_sources, prediction_sources  # noqa: PLC0415 - they import this module

    found: dict[str, Source] = {}
    for source in (
        *issue_sources.SOURCES,
        *pattern_sources.SOURCES,
        *one_pattern_sources.SOURCES,
        *prediction_sources.SOURCES,
        *fix_sources.SOURCES,
    ):
        if source.key in found:
            raise ValueError(f"two sources have the key {source.key}")
        found[source.key] = source
    return found
