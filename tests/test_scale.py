"""Lists of many issues: every sort walks each row once, and its query is answered in an index's order, without sorting a workspace."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, Literal

import pytest
from sqlalchemy import ColumnElement, select, text

from everfix import pages
from everfix.api.v1 import issues as listed
from everfix.failures import issues
from everfix.ingest.events import Issue
from tests import make

BOTH = [f"{sign}{name}" for name in listed.SORTS.fields for sign in ("", "-")]


@pytest.mark.parametrize("sort", BOTH)
def test_every_sort_walks_each_issue_once(alice: make.Workspace, sort: str) -> None:
    moments = [make.NOW - timedelta(hours=number // 2) for number in range(7)]
    records = [make.event(severity=f"p{1 + place % 3}", source_created_at=at.isoformat()) for place, at in enumerate(moments)]
    alice.ingest(*records)
    with alice.db() as db:
        db.execute(text("UPDATE issues SET source_created_at = NULL WHERE severity = 'p2'"))
    rows, cursor = [], None
    while True:
        page = alice.api.ok("GET", "/v1/issues", sort=sort, limit=2, **({"cursor": cursor} if cursor else {}))
        rows += page["data"]
        cursor = page["page"]["next_cursor"]
        if cursor is None:
            break
    assert len(rows) == 7
    assert len({row["id"] for row in rows}) == 7
    name = sort.removeprefix("-")
    values = [row[name] for row in rows]
    there = [value for value in values if value is not None]
    assert there == sorted(there, reverse=sort.startswith("-"))
    assert values[: len(there)] == there  # what has no value comes last, whichever way


def test_rows_gathered_first_are_those_met_on_a_walk(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    alice.ingest(*(make.event(severity=f"p{1 + place % 2}", team=f"team-{place % 3}") for place in range(12)))
    found = []
    for few in (0, pages.FEW):
        monkeypatch.setattr(pages, "FEW", few)
        first = alice.api.ok("GET", "/v1/issues", sort="-risk_score", severity="p2", limit=4)
        rest = alice.api.ok("GET", "/v1/issues", sort="-risk_score", severity="p2", limit=4, cursor=first["page"]["next_cursor"])
        found.append([row["id"] for row in first["data"] + rest["data"]])
        assert first["page"]["total"] == rest["page"]["total"] == 6
    assert found[0] == found[1]
    assert len(set(found[0])) == 6


@pytest.mark.parametrize("sort", BOTH)
def test_every_sort_has_an_index(alice: make.Workspace, sort: str) -> None:
    name, descending = listed.SORTS.read(sort)
    plan = _plan(alice, pages.order(listed.SORTS.fields[name], Issue.id, descending))
    assert "Sort" not in plan, plan
    assert "Index" in plan, plan


@pytest.mark.parametrize("descending", [True, False])
def test_an_order_without_an_index_is_sorted(alice: make.Workspace, descending: bool) -> None:
    assert "Sort" in _plan(alice, pages.order(Issue.title, Issue.id, descending))


@pytest.mark.parametrize("field", ["service", "team"])
def test_what_a_field_holds_is_met_step_by_step_on_an_index(alice: make.Workspace, field: Literal["service", "team"]) -> None:
    alice.ingest(*(make.event(service=f"s{place % 3}", team=f"t{place % 3}") for place in range(30)), make.event())
    with alice.db() as db:
        assert issues.spelled(db, field, 200) == [f"{field[0]}{place}" for place in range(3)]
        assert issues.spelled(db, field, 2) == [f"{field[0]}{place}" for place in range(2)]
        for way in ("seqscan", "bitmapscan", "sort"):
            db.execute(text(f"SET LOCAL enable_{way} = off"))
        plan = "\n".join(db.execute(text(f"EXPLAIN {issues._SPELLED.format(field=field)}"), {"most": 200}).scalars())
    assert f"ix_issues_{field}" in plan
    assert "Sort" not in plan


def _plan(workspace: make.Workspace, order: tuple[ColumnElement[Any], ...]) -> str:
    """Return the plan of a page in this order. Every way but an index's own order is switched off, and a plan without anything that is switched off
    always wins: so a sort stands in it only where no index has the order, whatever the statistics say.
    """
    query = select(Issue.id).order_by(*order).limit(25)
    with workspace.db() as db:
        for way in ("seqscan", "bitmapscan", "sort", "incremental_sort"):
            db.execute(text(f"SET LOCAL enable_{way} = off"))
        words = str(query.compile(dialect=db.get_bind().dialect, compile_kwargs={"literal_binds": True}))
        return "\n".join(db.execute(text(f"EXPLAIN {words}")).scalars())
