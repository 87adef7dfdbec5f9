"""Sources: the catalogue of everything that can be shown. One entry, and it is on dashboards, in reports, in the API and in the docs.

A source is a key, a title, parameters with bounds, typed columns and a query; the query sees only the current workspace.
"""

from __future__ import annotations

import dataclasses
import importlib
import re
from typing import Literal

from everfix.documents.model import Column, Unit
from everfix.errors import Invalid

# The files that hold entries, `<name>_sources.py`, in the order in which they are listed.
FILES = (
    "delivery",
    "breaker",
    "issue",
    "pattern",
    "one_pattern",
    "prediction",
    "fix",
    "due",
    "trend",
    "summary",
    "flow",
    "operation",
    "health",
    "anomaly",
    "model",
    "attribution",
    "interaction",
)
WHOLE = re.compile(r"-?[0-9]{1,18}")


@dataclasses.dataclass(frozen=True, slots=True)
class Param:
    """One parameter of a source: whole numbers between `low` and `high`, text of at most `high` characters, or one of `choices`."""

    key: str
    default: int | str | None
    low: int = 0
    high: int = 0
    kind: Literal["int", "text"] = "int"
    choices: tuple[str, ...] = ()
    required: bool = False

    @property
    def bounds(self) -> str:
        """Return in words what is allowed, and what is taken when nothing is given."""
        allowed = (
            ", ".join(self.choices)
            if self.choices
            else f"{self.low} to {self.high}"
            if self.kind == "int"
            else f"text of at most {self.high} characters"
        )
        return f"{allowed}; {'required' if self.required else 'optional' if self.default is None else f'default {self.default}'}"

    def read(self, value: object) -> int | str | None:
        """Return the value, or raise Invalid naming the parameter, what came and what is allowed."""
        if value is None:
            if self.required:
                raise Invalid(f"{self.key} is needed", details={self.key: f"text of at most {self.high} characters"})
            return self.default
        if self.choices:
            if isinstance(value, str) and value in self.choices:
                return value
            raise Invalid(f"{self.key}: {str(value)[:60]!r} is not allowed", details={self.key: f"one of {', '.join(self.choices)}"})
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
DAYS = Param("days", None, 1, 365)  # ending where the period ends; left out: the period's own days


@dataclasses.dataclass(frozen=True, slots=True)
class Picture:
    """How a source is drawn where there is room for a chart; the names are those of its columns (see `documents.model.Chart`)."""

    form: Literal["line", "area", "bar", "column", "heatmap", "scatter"]
    x: str
    y: tuple[str, ...]
    alt: str
    series: str | None = None


@dataclasses.dataclass(frozen=True, slots=True)
class Source:
    """One set of rows. `page` is the page that a row leads to, by the id in the query's last column (not shown).

    A source of `figures` has one row: each column is a headline number, `<key>_before` the same of the period before.
    """

    key: str
    title: str
    about: str
    columns: tuple[Column, ...]
    sql: str
    params: tuple[Param, ...] = ()
    counts: str | None = None  # a query that counts all rows, where `sql` cuts
    page: str | None = None  # e.g. "/patterns/{}": the query's last column is the id
    empty: str = "Nothing to show for this period."
    figures: bool = False
    picture: Picture | None = None
    ids: tuple[str, ...] = ()  # columns for programs, ids and what would crowd a page: in the data, not on pages and in reports


def column(key: str, title: str, unit: Unit = Unit.TEXT, **more: bool | Literal["up", "down"]) -> Column:
    """Return a column; a shorthand for the tables of sources."""
    return Column(key=key, title=title, unit=unit, **more)


def catalogue() -> dict[str, Source]:
    """Return every source by its key; raises ValueError when two share one."""
    found: dict[str, Source] = {}
    for name in FILES:
        for source in importlib.import_module(f"everfix.metrics.{name}_sources").SOURCES:  # they import this module
            if source.key in found:
                raise ValueError(f"two sources have the key {source.key}")
            found[source.key] = source
    return found
