"""Grouping quality from people's corrections: words over assignments, pairs that stayed together, Wilson's intervals, by segment."""

from __future__ import annotations

import math
from datetime import timedelta

import pytest
from sqlalchemy import select, text

from everfix.failures import corrections, overrulings
from everfix.failures.patterns import Pattern
from everfix.ingest.events import Issue
from everfix.metrics import periods
from everfix.metrics import query as metrics
from tests import make
from tests.conftest import Clock

SINCE, UNTIL = make.NOW - timedelta(days=365), make.NOW + timedelta(days=1)


def figures(workspace: make.Workspace) -> overrulings.Overrulings:
    with workspace.db() as db:
        return overrulings.of(db, SINCE, UNTIL)


@pytest.fixture(autouse=True)
def _now(time: Clock) -> None:
    assert time() == make.NOW


def filled(workspace: make.Workspace) -> None:
    workspace.learn(
        *make.failures("database", range(1, 11)), *make.failures("payments", range(1, 7)), *make.failures("search", range(1, 5))
    )


def named(workspace: make.Workspace, service: str) -> Pattern:
    with workspace.db() as db:
        return db.execute(select(Pattern).where(Pattern.service == service)).scalar_one()


def take_out(workspace: make.Workspace, service: str, count: int) -> None:
    """Differing titles make symptoms of their own, so that some failures of a group can be taken out of it."""
    with workspace.db() as db:
        rows = db.execute(select(Issue.id).where(Issue.service == service).order_by(Issue.occurred_at).limit(count)).scalars().all()
        db.execute(text("UPDATE issues SET fingerprint = fingerprint || id::text WHERE id = ANY(:ids)"), {"ids": list(rows)})
        db.expire_all()
        corrections.split(db, named(workspace, service).id, list(rows), name="Apart", by=workspace.principal)


def wilson(share: float, count: float) -> tuple[float, float]:
    z = overrulings.Z
    middle, root = share + z * z / 2 / count, z * math.sqrt(share * (1 - share) / count + z * z / 4 / count**2)
    return max(0.0, (middle - root) / (1 + z * z / count)), min(1.0, (middle + root) / (1 + z * z / count))


def test_nothing_said_is_no_precision_and_no_claim_of_none(alice: make.Workspace) -> None:
    empty = figures(alice)
    assert (empty.assigned, empty.per_thousand, empty.per_thousand_high, empty.pair_precision) == (0, None, None, None)
    filled(alice)
    found = figures(alice)
    assert (found.assigned, found.words, found.per_thousand, found.per_thousand_low) == (20, 0, 0.0, 0.0)
    assert found.per_thousand_high == pytest.approx(1000 * wilson(0, 20)[1], rel=1e-4), "silence of twenty failures proves little"
    assert (found.groups_seen, found.pairs_seen, found.pair_precision, found.pair_precision_low) == (0, 0, None, None)


def test_pairs_taken_apart_count_against_the_groups_that_were_looked_at(alice: make.Workspace) -> None:
    filled(alice)
    take_out(alice, "orders-api", 3)
    found = figures(alice)
    assert (found.words, found.joined, found.parted, found.overruled) == (1, 0, 1, 3)
    assert found.per_thousand == 50.0
    low, high = wilson(1 / 20, 20)
    assert (found.per_thousand_low, found.per_thousand_high) == pytest.approx((1000 * low, 1000 * high), rel=1e-4)
    assert (found.groups_seen, found.pairs_seen) == (1, 45)
    assert found.pair_precision == pytest.approx((21 + 3) / 45, abs=1e-6), "seven stay together, and the three that left are one again"
    assert (found.pair_precision_low, found.pair_precision_high) == pytest.approx(wilson(24 / 45, 1), abs=1e-4)


def test_a_closed_group_and_a_merged_one_confirm_their_pairs(alice: make.Workspace) -> None:
    filled(alice)
    with alice.db() as db:
        corrections.merge(db, named(alice, "orders-api").id, named(alice, "payments-api").id, by=alice.principal)
        db.execute(text("UPDATE patterns SET closure_note = 'shard restored' WHERE service = 'search-api'"))
    found = figures(alice)
    assert (found.words, found.joined, found.parted, found.overruled) == (1, 1, 0, 6)
    assert (found.groups_seen, found.pairs_seen, found.pair_precision) == (3, 45 + 15 + 6, 1.0)
    assert found.pair_precision_low == pytest.approx(wilson(1, 3)[0], abs=1e-4)


def test_a_word_taken_back_counts_no_more(alice: make.Workspace) -> None:
    filled(alice)
    with alice.db() as db:
        said = corrections.merge(db, named(alice, "orders-api").id, named(alice, "payments-api").id, by=alice.principal)
        corrections.undo(db, said.id, by=alice.principal)
    assert (figures(alice).words, figures(alice).groups_seen) == (0, 0)


def test_the_dashboard_the_route_and_a_segment_say_the_same(alice: make.Workspace) -> None:
    filled(alice)
    take_out(alice, "orders-api", 3)
    route = alice.viewer.ok("GET", "/v1/predictions/accuracy", days=366)["grouping"]
    with alice.db() as db:
        period = periods.last(90, make.NOW, "UTC")
        (whole,) = metrics.records(db, "grouping_quality", period, {})
        (part,) = metrics.records(db, "grouping_quality", period, {"segmentId": "service:payments-api"})
    assert {name: whole[name] for name in route} == pytest.approx(route)
    assert (part["assigned"], part["words"], part["groups_seen"]) == (6, 0, 0)
