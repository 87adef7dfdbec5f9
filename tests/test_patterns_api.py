"""/v1/patterns: recurring failures, riskiest first, with why each is one."""

from __future__ import annotations

from typing import Any

import pytest

from tests import make


def fill(workspace: make.Workspace) -> None:
    workspace.learn(
        *make.failures("database", [n / 2 for n in range(1, 30)], severity="p1", team="shop", error_type="PoolTimeout"),
        *make.failures("payments", (20, 10, 3)),
        *make.failures("login", (40,)),
    )


def services(workspace: make.Workspace, **params: Any) -> list[str]:
    return [row["service"] for row in workspace.viewer.ok("GET", "/v1/patterns", **params)["data"]]


def test_the_riskiest_come_first(alice: make.Workspace) -> None:
    fill(alice)
    assert services(alice) == ["orders-api", "payments-api", "login-api"]


def test_the_fields_of_the_reference(alice: make.Workspace) -> None:
    """C134, C136, C137."""
    fill(alice)
    row = alice.api.ok("GET", "/v1/patterns")["data"][0]
    named = {
        "id",
        "name",
        "status",
        "mitigating_since",
        "risk_score",
        "confidence",
        "fingerprint",
        "tags",
        "issue_count",
        "first_seen_at",
        "last_seen_at",
    }
    assert named | {"mttr_seconds"} <= set(row)
    one = alice.api.ok("GET", f"/v1/patterns/{row['id']}")
    assert {key: one[key] for key in row} == row
    assert one["why"]["rule"]
    assert one["prediction"]["window_days"] == 7
    assert (one["fingerprint"]["service"], one["fingerprint"]["team"]) == ("orders-api", "shop")
    assert {"error_type", "time_of_day"} <= one["fingerprint"].keys()
    assert all(0 <= pattern["risk_score"] <= 100 for pattern in alice.api.ok("GET", "/v1/patterns")["data"])
    assert 0 <= one["confidence"] <= 1


@pytest.mark.parametrize(
    ("params", "expected"),
    [
        ({"status": "active"}, ["orders-api", "payments-api"]),
        ({"status": "mitigating"}, ["orders-api", "payments-api"]),
        ({"status": "watching"}, ["login-api"]),
        ({"status": "emerging,active"}, ["orders-api", "payments-api", "login-api"]),
        ({"status": "resolved"}, []),
        ({"q": "POOL"}, ["orders-api"]),
        ({"q": "%"}, []),
        ({"q": "_"}, []),
        ({"domain": "payments-api"}, ["payments-api"]),
        ({"risk_min": 50}, ["orders-api"]),
        ({"risk_max": 49, "risk_min": 20, "status": "active"}, ["payments-api"]),
        ({"sort": "issue_count"}, ["login-api", "payments-api", "orders-api"]),
        ({"sort": "-issue_count"}, ["orders-api", "payments-api", "login-api"]),
        ({"sort": "risk_score"}, ["login-api", "payments-api", "orders-api"]),
        ({"sort": "-risk_score"}, ["orders-api", "payments-api", "login-api"]),
        ({"sort": "last_seen_at"}, ["login-api", "payments-api", "orders-api"]),
        ({"sort": "-last_seen_at"}, ["orders-api", "payments-api", "login-api"]),
    ],
)
def test_filters_and_sorts(alice: make.Workspace, params: dict[str, Any], expected: list[str]) -> None:
    """C130, C132, C135."""
    fill(alice)
    assert services(alice, **params) == expected


def test_a_pattern_says_when_a_fix_is_in_progress(alice: make.Workspace) -> None:
    from sqlalchemy import select

    from everfix.failures import claims, recommendations
    from everfix.failures.recommendations import Recommendation

    alice.learn(*make.failures("database", (9, 5, 2)))
    assert alice.api.ok("GET", "/v1/patterns")["data"][0]["mitigating_since"] is None
    with alice.db() as db:
        one = db.execute(select(Recommendation)).scalar_one()
        recommendations.move(db, one.id, "implemented", by=alice.principal, claim=claims.Claim(at=make.NOW))
    assert alice.api.ok("GET", "/v1/patterns")["data"][0]["mitigating_since"].startswith("2026-03-16T10:00:00")
