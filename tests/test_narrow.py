"""The narrowed view: row-level security hides what a reader's filters do not show, from whatever a query joins."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import func, select, text

from everfix.core import ids
from everfix.errors import Invalid
from everfix.failures.patterns import Pattern
from everfix.ingest.events import Issue
from everfix.metrics import narrow
from everfix.migrations import policies
from tests import make


def counts(workspace: make.Workspace, filters: dict[str, Any]) -> dict[str, int]:
    with workspace.db() as db, narrow.to(db, filters):
        tables = ("issues", "patterns", "pattern_hours", "predictions", "recommendations", "recommendation_patterns")
        return {name: int(db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in tables}


@pytest.fixture
def filled(alice: make.Workspace) -> make.Workspace:
    alice.learn(*make.failures("database", (30, 20, 12, 9, 3, 1), team="core"), *make.failures("payments", (25, 11, 6, 2), severity="p1"))
    return alice


def test_without_filters_everything_is_seen(filled: make.Workspace) -> None:
    assert counts(filled, {})["issues"] == 10


def test_one_service_and_all_that_follows_it(filled: make.Workspace) -> None:
    whole, seen = counts(filled, {}), counts(filled, {"service": "payments-api"})
    assert (seen["issues"], seen["patterns"]) == (4, 1)
    assert 0 < seen["pattern_hours"] < whole["pattern_hours"]
    assert 0 < seen["predictions"] < whole["predictions"]
    assert 0 < seen["recommendations"] < whole["recommendations"]
    assert counts(filled, {"service": ["payments-api", "orders-api"]}) == whole
    assert set(counts(filled, {"service": "nobody"}).values()) == {0}


@pytest.mark.parametrize(
    ("filters", "issues"),
    [
        ({"team": "core"}, 6),
        ({"severity": "critical"}, 4),
        ({"severity": ["p1", "p2"]}, 10),
        ({"source": "pagerduty", "service": "orders-api"}, 6),
        ({"status": "open"}, 0),
        ({"kind": "incident"}, 10),
        ({"environment": "prod"}, 0),
    ],
)
def test_each_filter(filled: make.Workspace, filters: dict[str, Any], issues: int) -> None:
    with filled.db() as db:
        db.execute(text("UPDATE issues SET status = 'in_loop'"))
    assert counts(filled, filters)["issues"] == issues


def test_a_domain_and_a_pattern(filled: make.Workspace) -> None:
    with filled.db() as db:
        pattern = db.execute(select(Pattern).where(Pattern.service == "payments-api")).scalar_one()
        pattern.domain = "money"
    assert counts(filled, {"domain": "money"})["issues"] == 4
    assert counts(filled, {"domain": "money", "service": "orders-api"})["issues"] == 0
    assert counts(filled, {"pattern": ids.show(ids.Prefix.PATTERN, pattern.id)})["issues"] == 4
    assert counts(filled, {"domain": "nothing"})["issues"] == 0


def test_the_view_ends_with_its_block(filled: make.Workspace) -> None:
    with filled.db() as db:
        with pytest.raises(LookupError), narrow.to(db, {"service": "nobody"}):
            assert db.execute(select(func.count(Issue.id))).scalar_one() == 0
            raise LookupError
        assert db.execute(select(func.count(Issue.id))).scalar_one() == 10


def test_both_show_only_what_each_shows() -> None:
    assert narrow.both({"service": ["a", "b"]}, {"service": ["b", "c"], "team": ["x"]}) == {"service": ["b"], "team": ["x"]}
    assert narrow.both({"service": ["a"]}, {"service": ["b"]}) == {"service": []}


def test_what_both_leave_empty_shows_nothing(filled: make.Workspace) -> None:
    assert counts(filled, {"service": []})["issues"] == 0


@pytest.mark.parametrize(
    "filters",
    [
        {"colour": "red"},
        {"severity": "p9"},
        {"service": []},
        {"service": ""},
        {"service": 4},
        {"pattern": "x"},
        {"team": "a\x00b"},
        {"status": None},
    ],
)
def test_wrong_filters_are_refused(filters: dict[str, Any]) -> None:
    with pytest.raises(Invalid, match="filter"):
        narrow.read(filters)


def test_the_planner_still_expects_every_row(filled: make.Workspace, owner: Any) -> None:
    """Without a narrowed view the policy must not make PostgreSQL believe that a table is nearly empty."""
    with owner.transaction() as db:
        db.execute(text("ANALYZE issues"))
    with filled.db() as db:
        plan = db.execute(text("EXPLAIN (FORMAT JSON) SELECT * FROM issues")).scalar_one()
    assert plan[0]["Plan"]["Plan Rows"] == 10


def test_a_view_has_every_column_of_its_table(owner: Any) -> None:
    """A migration that adds a column to one of these tables must end with `policies.narrowed_views()`."""
    with owner.transaction() as db:
        for table in policies.NARROWED:
            there = [row.column_name for row in db.execute(text(_COLUMNS), {"schema": "public", "table": table})]
            assert [row.column_name for row in db.execute(text(_COLUMNS), {"schema": "narrowed", "table": table})] == there, table


_COLUMNS = "SELECT column_name FROM information_schema.columns WHERE table_schema = :schema AND table_name = :table ORDER BY column_name"


def test_no_view_shows_another_workspace(filled: make.Workspace, bob: make.Workspace) -> None:
    assert counts(bob, {"severity": ["p1", "p2", "p3", "p4"]})["issues"] == 0
    assert counts(filled, {"severity": ["p1", "p2", "p3", "p4"]})["issues"] == 10
