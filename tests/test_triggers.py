"""Triggers: what usually comes before a pattern fails, said only where its history shows it."""

from __future__ import annotations

from datetime import timedelta

from everfix.failures import changes, patterns, triggers
from tests import make


def trigger(workspace: make.Workspace) -> str:
    with workspace.db() as db:
        known = patterns.histories(db, make.NOW)
        return triggers.of(db, known, make.NOW)[known[0].pattern.id]


def deploys(workspace: make.Workspace, days: list[float], *, service: str = "orders-api", kind: str = "deploy", hours: float = 2) -> None:
    records = [
        {
            "external_id": f"d-{day}",
            "title": "Deploy",
            "service": service,
            "kind": kind,
            "occurred_at": make.NOW - timedelta(days=day, hours=hours),
        }
        for day in days
    ]
    with workspace.db() as db:
        changes.accept(db, records)


IRREGULAR = [71.0, 60, 44, 31, 19, 10, 2]


def test_once_tells_nothing(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3,)))
    assert trigger(alice) == triggers.ONCE


def test_a_habit_needs_enough_days(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (14, 7)))
    assert trigger(alice) == "time alone (half of its returns come within 7 days)"


def test_a_weekday(alice: make.Workspace) -> None:
    """16 March 2026 is a Monday."""
    alice.learn(*make.failures("database", (35, 28, 21, 14, 7)))
    assert trigger(alice) == "Mondays (100% of its failing days)"


def test_a_change_of_its_service(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", IRREGULAR))
    deploys(alice, IRREGULAR)
    assert trigger(alice) == "a change of orders-api (100% of its failing days followed one within 6 hours)"


def test_changes_of_others_late_ones_and_fixes_are_no_trigger(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", IRREGULAR))
    deploys(alice, IRREGULAR, service="search-api")
    deploys(alice, [day + 0.01 for day in IRREGULAR], hours=30)
    deploys(alice, [day + 0.02 for day in IRREGULAR], kind="fix")
    assert trigger(alice).startswith("time alone")


def test_a_service_that_always_changes_is_no_trigger(alice: make.Workspace) -> None:
    """When half of all hours follow a deploy, half of the failures do by chance."""
    alice.learn(*make.failures("database", IRREGULAR))
    deploys(alice, [day / 2 for day in range(150)], hours=2)
    assert trigger(alice).startswith("time alone")


def test_a_change_after_now_is_not_known(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", IRREGULAR))
    deploys(alice, [-day for day in IRREGULAR])
    assert trigger(alice).startswith("time alone")


def test_another_workspaces_changes_are_not_seen(alice: make.Workspace, bob: make.Workspace) -> None:
    alice.learn(*make.failures("database", IRREGULAR))
    deploys(bob, IRREGULAR)
    assert trigger(alice).startswith("time alone")


def test_no_changes_are_no_statement(alice: make.Workspace) -> None:
    with alice.db() as db:
        assert changes.accept(db, []) == 0
