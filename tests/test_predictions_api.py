"""/v1/predictions: what is likely to come back, most probable first."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest

from everfix.failures import loop
from tests import make


def fill(workspace: make.Workspace) -> None:
    workspace.learn(
        *make.failures("database", [n / 2 for n in range(1, 30)], severity="p1"),
        *make.failures("payments", (60, 10, 3)),
        *make.failures("login", (40,)),
    )


def rows(workspace: make.Workspace, **params: Any) -> list[dict[str, Any]]:
    return workspace.viewer.ok("GET", "/v1/predictions", **params)["data"]  # type: ignore[no-any-return]


def test_they_appear_by_themselves_most_probable_first(alice: make.Workspace) -> None:
    """C144, C145, C146."""
    fill(alice)
    found = rows(alice)
    assert len(found) == 3
    assert {alice.viewer.ok("GET", f"/v1/patterns/{row['pattern_id']}")["status"] for row in found} == {"emerging", "active"}
    odds = [row["probability"] for row in found]
    assert odds == sorted(odds, reverse=True)
    for row in found:
        assert 0 <= row["lower"] <= row["probability"] <= row["upper"] <= 1
        assert row["impact"] in ("critical", "high", "medium", "low")
        assert row["likely_trigger"]
        assert row["why"]
        assert row["id"].startswith("prd_")
        assert row["pattern_id"].startswith("pat_")
        assert (row["status"], row["outcome"], row["window_days"]) == ("active", None, 7)


def test_filters(alice: make.Workspace) -> None:
    fill(alice)
    highest = rows(alice)[0]
    assert [row["id"] for row in rows(alice, min_probability=highest["probability"])] == [highest["id"]]
    assert rows(alice, min_probability=1) == []
    assert [row["id"] for row in rows(alice, pattern_id=highest["pattern_id"])] == [highest["id"]]
    assert len(rows(alice, window_days=7)) == 3
    assert rows(alice, window_days=30) == []


def test_only_the_standing_ones_unless_asked(alice: make.Workspace) -> None:
    fill(alice)
    with alice.db() as db:
        loop.refresh(db, make.NOW + timedelta(days=8))
    assert len(rows(alice)) == 3
    past = rows(alice, status="superseded")
    assert {row["outcome"] for row in past} <= {"hit", "miss", "prevented"}
    assert len(past) == 3
    assert len(rows(alice, status="active,superseded")) == 6


@pytest.mark.parametrize("sort", ["probability", "-probability", "generated_at", "-created_at"])
def test_sorts(alice: make.Workspace, sort: str) -> None:
    fill(alice)
    assert len(rows(alice, sort=sort)) == 3


def test_each_workspace_sees_its_own(alice: make.Workspace, bob: make.Workspace) -> None:
    fill(alice)
    assert rows(bob) == []
