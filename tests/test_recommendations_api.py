"""/v1/recommendations: ranked fixes with their steps and patterns."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import event, text

from tests import make


def fill(workspace: make.Workspace) -> None:
    workspace.learn(*(record for cause in ("database", "payments", "search", "login") for record in make.failures(cause, (20, 12, 6, 2))))


def rows(workspace: make.Workspace, **params: Any) -> list[dict[str, Any]]:
    return workspace.viewer.ok("GET", "/v1/recommendations", **params)["data"]  # type: ignore[no-any-return]


def test_by_rank_with_all_that_the_reference_names(alice: make.Workspace) -> None:
    """C162, C168."""
    fill(alice)
    found = rows(alice)
    assert [row["rank"] for row in found] == [1, 2, 3, 4]
    for row in found:
        assert row["type"] in ("code_fix", "config_change", "process", "monitoring")
        assert row["effort"] in ("low", "medium", "high")
        assert row["impact"] in ("high", "medium", "quick_win")
        assert (row["status"], row["attestation"]) == ("pending", "none")
        assert row["expected_loops_prevented"] > 0
        assert len(row["pattern_ids"]) == 1
        assert [step["position"] for step in row["steps"]] == list(range(1, len(row["steps"]) + 1))
        assert {step["completed"] for step in row["steps"]} == {False}
        assert row["why"]


@pytest.mark.parametrize("sort", ["rank", "-rank", "-created_at", "-expected_loops_prevented", "-updated_at"])
def test_the_sorts_of_the_reference(alice: make.Workspace, sort: str) -> None:
    """C161."""
    fill(alice)
    values = [row[sort.removeprefix("-")] for row in rows(alice, sort=sort)]
    assert values == sorted(values, reverse=sort.startswith("-"))


def test_filters(alice: make.Workspace) -> None:
    """C160, C164."""
    fill(alice)
    everything = rows(alice)
    with alice.db() as db:
        db.execute(text("UPDATE recommendations SET type = 'config_change', status = 'dismissed', impact = 'quick_win' WHERE rank = 1"))
        db.execute(text("UPDATE recommendations SET type = 'code_fix', status = 'in_progress', impact = 'high' WHERE rank = 2"))
        db.execute(text("UPDATE recommendations SET type = 'process', impact = 'medium' WHERE rank > 2"))
    first, second, *others = make.ids_of(everything)
    for params, expected in (
        ({"type": "config"}, {first}),
        ({"type": "config_change,code_fix"}, {first, second}),
        ({"status": "in_progress"}, {second}),
        ({"status": "dismissed,in_progress"}, {first, second}),
        ({"impact": "quick_win"}, {first}),
        ({"impact": "medium"}, set(others)),
        ({"type": "process", "status": "pending"}, set(others)),
        ({"type": "process", "status": "dismissed"}, set()),
    ):
        assert set(make.ids_of(rows(alice, **params))) == expected, params


def test_a_page_costs_the_same_whatever_its_length(alice: make.Workspace) -> None:
    fill(alice)
    rows(alice)  # the first call notes that the token is in use
    seen: list[str] = []
    engine = alice.installation.database.engine
    event.listen(engine, "before_cursor_execute", listener := lambda *args: seen.append(args[2]))
    counts = []
    for limit in (1, 4):
        seen.clear()
        rows(alice, limit=limit)
        counts.append(len(seen))
    event.remove(engine, "before_cursor_execute", listener)
    assert counts[0] == counts[1]
