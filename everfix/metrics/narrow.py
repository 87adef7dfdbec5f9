"""Narrow: what part of a workspace a reader sees, for whatever a query joins: views that show this part stand before their tables.

An issue is seen when it matches every filter, a pattern when one of its issues is seen, and what is said about a pattern follows it.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any, get_args

from pydantic import TypeAdapter, ValidationError
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix.core import ids
from everfix.core.db import Json
from everfix.core.fields import storable
from everfix.errors import Invalid
from everfix.failures.patterns import Pattern
from everfix.ingest import events

SETTING = "everfix.narrow"
MOST_VALUES, LONGEST = 100, 200
_CHOICES: dict[str, TypeAdapter[Any]] = {
    "severity": TypeAdapter(events.Severity),
    "status": TypeAdapter(events.Status),
    "kind": TypeAdapter(events.Kind),
}
FIELDS = ("service", "team", "domain", "environment", "source", "severity", "status", "kind", "pattern")
Filters = dict[str, list[str]]


def read(given: Mapping[str, Any]) -> Filters:
    """Return filters as lists of canonical values; raises Invalid naming the filter, what came and what is allowed."""
    found: Filters = {}
    for key, value in given.items():
        if key not in FIELDS:
            raise Invalid(f"there is no filter {key[:60]!r}", details={"filters": f"any of {', '.join(FIELDS)}"})
        values = value if isinstance(value, list) else [value]
        if not values or len(values) > MOST_VALUES:
            raise Invalid(f"filters.{key} needs 1 to {MOST_VALUES} values", details={f"filters.{key}": "text, or a list of texts"})
        found[key] = list(dict.fromkeys(_value(key, item) for item in values))
    return found


def _value(key: str, value: object) -> str:
    where = f"filters.{key}"
    if not isinstance(value, str) or not 0 < len(value) <= LONGEST:
        words = f"must be text of at most {LONGEST} characters"
        raise Invalid(f"{where}: {words}", details={where: words})
    try:
        if key == "pattern":
            return str(ids.parse(ids.Prefix.PATTERN, value))
        return str(_CHOICES[key].validate_python(value)) if key in _CHOICES else storable(value)
    except ValidationError:
        allowed = {"severity": events.Severity, "status": events.Status, "kind": events.Kind}[key]
        words = ", ".join(get_args(get_args(allowed)[0] if get_args(get_args(allowed)[0]) else allowed))
        raise Invalid(f"{where}: {str(value)[:40]!r} is not allowed", details={where: f"one or more of {words}"}) from None
    except ValueError as problem:
        raise Invalid(f"{where}: {problem}", details={where: str(problem)}) from problem


def both(one: Filters, other: Filters) -> Filters:
    """Return the filters under which only that is seen which both show."""
    merged = {**one, **other}
    for key in one.keys() & other.keys():
        merged[key] = [value for value in one[key] if value in other[key]]
    return merged


@contextmanager
def to(db: Session, filters: Mapping[str, Any]) -> Iterator[None]:
    """Let the queries of the block see only what `filters` show; nothing may be written inside."""
    found = read(filters) if not all(isinstance(value, list) for value in filters.values()) else dict(filters)
    if not found:
        yield
        return
    before = db.execute(text("SELECT current_setting('search_path')")).scalar_one()
    _set(db, json.dumps(_resolved(db, found)), f"narrowed, {before}")
    try:
        yield
    finally:
        if db.is_active:
            _set(db, "", before)


def _resolved(db: Session, found: Json) -> Json:
    """Turn a domain into its patterns: the view of issues may not ask patterns, whose own view asks issues."""
    if "domain" not in found:
        return found
    wanted = {str(row.id) for row in db.execute(select(Pattern.id).where(Pattern.domain.in_(found["domain"])))}
    kept = sorted(wanted & set(found["pattern"]) if "pattern" in found else wanted)
    return {**{key: value for key, value in found.items() if key != "domain"}, "pattern": kept}


def _set(db: Session, value: str, path: str) -> None:
    given = {"name": SETTING, "value": value, "path": path}
    db.execute(text("SELECT set_config(:name, :value, true), set_config('search_path', :path, true)"), given)
