"""Conditions: whether a report that is due is also to be sent, and whether the data are fresh enough to build it; read and decided here.

when:  always | not_empty | changed | figure {figure, op, value}      otherwise: skip | say_so
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.core import ids
from everfix.core.db import Json
from everfix.documents.model import Document, Figures, Table, Unit
from everfix.errors import Invalid
from everfix.ingest.events import Issue
from everfix.reports import build, differences

WHEN = ("always", "not_empty", "changed", "figure")
OTHERWISE = ("skip", "say_so")
OPS: dict[str, Callable[[Any, Any], bool]] = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
OP_ALIASES = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<=", "eq": "==", "ne": "!=", "=": "=="}
CONDITION_ALLOWED = {"condition": "{when: always | not_empty | changed | figure, figure, op, value, otherwise: skip | say_so}"}
FRESHNESS_ALLOWED = {"freshness": "{max_age_minutes: 1-43200, deadline_minutes: 1-1440, source or connector_id, at_deadline: send | skip}"}
AT_DEADLINE = ("send", "skip")


def read_condition(given: Json) -> Json:
    """Return a condition as it is kept; raises Invalid."""
    unknown = sorted(set(given) - {"when", "figure", "op", "value", "otherwise"})
    if unknown:
        raise Invalid(f"condition has no field {unknown[0][:40]!r}", details=CONDITION_ALLOWED)
    when, otherwise = given.get("when", "always"), given.get("otherwise", "skip")
    if when not in WHEN or otherwise not in OTHERWISE:
        wrong = when if when not in WHEN else otherwise
        raise Invalid(f"condition: {str(wrong)[:40]!r} is not allowed", details=CONDITION_ALLOWED)
    if when != "figure":
        return {"when": when, "otherwise": otherwise}
    op, value = OP_ALIASES.get(str(given.get("op")), given.get("op")), given.get("value")
    if not isinstance(given.get("figure"), str) or op not in OPS or isinstance(value, bool) or not isinstance(value, int | float):
        raise Invalid("a condition on a figure needs figure, op and a number as value", details=CONDITION_ALLOWED)
    return {"when": when, "figure": given["figure"], "op": op, "value": value, "otherwise": otherwise}


def read_freshness(given: Json) -> Json:
    """Return a rule of freshness as it is kept; raises Invalid."""
    unknown = sorted(set(given) - {"max_age_minutes", "deadline_minutes", "source", "connector_id", "at_deadline"})
    if unknown:
        raise Invalid(f"freshness has no field {unknown[0][:40]!r}", details=FRESHNESS_ALLOWED)
    age, deadline, last = given.get("max_age_minutes"), given.get("deadline_minutes", 60), given.get("at_deadline", "send")
    for name, value, most in (("max_age_minutes", age, 43_200), ("deadline_minutes", deadline, 1_440)):
        if isinstance(value, bool) or not isinstance(value, int) or not 1 <= value <= most:
            raise Invalid(f"freshness.{name}: {str(value)[:40]!r} is not allowed", details=FRESHNESS_ALLOWED)
    if last not in AT_DEADLINE:
        raise Invalid(f"freshness.at_deadline: {str(last)[:40]!r} is not allowed", details=FRESHNESS_ALLOWED)
    kept: Json = {"max_age_minutes": age, "deadline_minutes": deadline, "at_deadline": last}
    if given.get("source") is not None:
        kept["source"] = str(given["source"])[:64]
    if given.get("connector_id") is not None:
        try:
            kept["connector_id"] = str(ids.parse(ids.Prefix.CONNECTOR, given["connector_id"]))
        except ValueError as problem:
            raise Invalid(f"freshness.connector_id: {problem}", details=FRESHNESS_ALLOWED) from problem
    return kept


def stale(db: Session, rule: Json, now: datetime) -> str | None:
    """Return in words why the data are not fresh enough, or None when they are."""
    query, what = select(func.max(Issue.ingested_at)), "the workspace"
    if "connector_id" in rule:
        connector = UUID(rule["connector_id"])
        query, what = query.where(Issue.connector_id == connector), f"the connector {ids.show(ids.Prefix.CONNECTOR, connector)}"
    if "source" in rule:
        query, what = query.where(Issue.source == rule["source"]), rule["source"]
    newest = db.execute(query).scalar_one()
    if newest is not None and now - newest <= timedelta(minutes=rule["max_age_minutes"]):
        return None
    age = "nothing has come in yet" if newest is None else f"the newest data are of {newest:%Y-%m-%d %H:%M} UTC"
    return f"the data of {what} are older than {rule['max_age_minutes']} minutes: {age}"


def unmet(rule: Json, document: Document, previous: Document | None) -> str | None:
    """Return in words why the report is not to be sent, or None when it is."""
    match rule.get("when", "always"):
        case "not_empty":
            return "there is nothing to report" if empty(document) else None
        case "changed":
            if previous is None or differences.between(previous, document):
                return None
            return "nothing has changed since the last run"
        case "figure":
            return _figure(rule, document)
        case _:
            return None


def _figure(rule: Json, document: Document) -> str | None:
    for section in document.sections:
        for block in section.blocks:
            for figure in block.figures if isinstance(block, Figures) else ():
                if figure.key == rule["figure"]:
                    if figure.value is not None and OPS[rule["op"]](figure.value, rule["value"]):
                        return None
                    return f"{figure.title} is {figure.value}, which is not {rule['op']} {rule['value']}"
    return f"the report has no figure {rule['figure']!r}"


def empty(document: Document) -> bool:
    """Tell whether a report holds no row and no figure but zero; a section that could not be built is something to report."""
    for section in document.sections:
        for block in section.blocks:
            if isinstance(block, Figures) and any(figure.value for figure in block.figures):
                return False
            if isinstance(block, Table) and (block.key == build.FAILED or any(_says(block))):
                return False
    return True


def _says(table: Table) -> list[bool]:
    """Tell for each row whether it says something: a row of words and days around zeros does not."""
    numbers = [place for place, column in enumerate(table.columns) if column.unit not in (Unit.TEXT, Unit.DATE, Unit.DATETIME, Unit.FLAG)]
    return [not numbers or any(row[place] for place in numbers) for row in table.rows]
