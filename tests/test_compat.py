"""The dashboard surface: who is let in, how it refuses, and the data behind the six dashboards."""

from __future__ import annotations

import uuid
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import ids
from everfix.identity import tokens
from everfix.identity.principals import Scope
from everfix.metrics import attribution_sources
from tests import make
from tests.conftest import Clock

DATA = "/api/v1/dashboard-data"


def cookie_of(workspace: make.Workspace, role: str = "owner") -> dict[str, str]:
    """Return the cookie of a browser's session of one of the workspace's people."""
    from everfix.identity import tokens

    with workspace.db() as db:
        secret = tokens.issue(db, tokens.Kind.SESSION, "a browser", user=workspace.users[role])
    return {"Cookie": f"everfix_session={secret}"}


def test_three_ways_in(alice: make.Workspace, anyone: make.Api) -> None:
    """D1: a key with its tenant, a bearer with its tenant, a browser's session."""
    for tenant in ({}, {"X-Tenant-Id": str(alice.id)}, {"X-Tenant-Id": ids.show(ids.Prefix.WORKSPACE, alice.id)}):
        for credentials in (
            {"X-API-Key": alice.secrets["viewer"]},
            {"Authorization": f"Bearer {alice.secrets['viewer']}"},
            cookie_of(alice),
        ):
            assert anyone.call("GET", DATA, headers=credentials | tenant).status_code == 200, (credentials, tenant)


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"X-API-Key": "krn_wrong"},
        {"Authorization": "Bearer nope"},
        {"Cookie": "everfix_session=efx_ses_x"},
        {"Authorization": "Basic x"},
    ],
)
def test_no_or_wrong_credentials(anyone: make.Api, alice: make.Workspace, headers: dict[str, str]) -> None:
    """D2, D4."""
    answer = anyone.call("GET", DATA, headers=headers)
    assert answer.status_code == 401
    assert answer.json()["error"].keys() == {"code", "message", "status"}
    assert (answer.json()["error"]["code"], answer.json()["error"]["status"]) == ("UNAUTHORIZED", 401)


def test_a_session_is_no_key_and_a_key_is_no_session(alice: make.Workspace, anyone: make.Api) -> None:
    session = cookie_of(alice)["Cookie"].partition("=")[2]
    assert anyone.call("GET", DATA, headers={"X-API-Key": session}).status_code == 401
    assert anyone.call("GET", DATA, headers={"Cookie": f"everfix_session={alice.secrets['owner']}"}).status_code == 401


def test_the_tenant_must_be_the_tokens(alice: make.Workspace, bob: make.Workspace, anyone: make.Api) -> None:
    """D3: another tenant, and one that cannot be, are simply not there."""
    for tenant in (str(bob.id), str(uuid.uuid4()), "nonsense"):
        answer = anyone.call("GET", DATA, headers={"X-API-Key": alice.secrets["owner"], "X-Tenant-Id": tenant})
        assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


def test_a_revoked_key_stops_at_once(alice: make.Workspace, anyone: make.Api) -> None:
    """D6."""
    with alice.db() as db:
        db.execute(text("UPDATE tokens SET revoked_at = now() WHERE user_id = :user"), {"user": alice.users["viewer"]})
    assert anyone.call("GET", DATA, headers={"X-API-Key": alice.secrets["viewer"]}).status_code == 401


def test_a_key_without_scopes_does_what_its_owner_may_and_one_with_scopes_no_more_than_they_say(
    alice: make.Workspace, anyone: make.Api
) -> None:
    """D7."""
    with alice.db() as db:
        given: tuple[tuple[Scope, ...] | None, ...] = (None, (), (Scope.REPORTS_READ,), (Scope.ISSUES_READ,))
        keys = [tokens.issue(db, tokens.Kind.PERSONAL, "key", user=alice.users["analyst"], scopes=scopes) for scopes in given]
    template = {"name": "Mine", "dataSources": [{"sourceKey": "daily_trend", "params": {}}]}
    for key, status in zip(keys, ((200, 201), (200, 201), (200, 403), (403, 403)), strict=True):
        headers = {"X-API-Key": key}
        read = anyone.call("GET", "/api/v1/reports/templates", headers=headers)
        made = anyone.call("POST", "/api/v1/reports/templates", headers=headers, json=template)
        assert (read.status_code, made.status_code) == status, made.text
        assert anyone.call("GET", "/api/v1/audit-logs", headers=headers).status_code == 403, "never more than its owner may"


def test_refusals_have_the_shape_of_this_surface(alice: make.Workspace) -> None:
    """D4, D9: 400 for what cannot be read, with the field named; 404 and 405 too; /v1 keeps its own."""
    wrong = alice.api.get(DATA, days=400)
    assert (wrong.status_code, wrong.json()["error"]["code"], wrong.json()["error"]["status"]) == (400, "BAD_REQUEST", 400)
    assert "days" in wrong.json()["error"]["message"]
    assert alice.api.get("/api/v1/nope").json()["error"] == {"code": "NOT_FOUND", "message": "Not Found", "status": 404}
    assert alice.api.call("DELETE", DATA).json()["error"]["code"] == "METHOD_NOT_ALLOWED"
    assert alice.api.get("/v1/nope").json()["error"]["code"] == "not_found"
    assert "trace_id" in alice.api.get("/v1/nope").json()["error"]


@pytest.fixture
def filled(alice: make.Workspace, time: Clock) -> make.Workspace:
    make.with_history(alice)
    with alice.db() as db:
        db.execute(text("UPDATE verifications SET verdict = 'held' WHERE verdict = 'not_enough_exposure'"))
    return alice


def data(workspace: make.Workspace, type_: str, **params: Any) -> dict[str, Any]:
    found: dict[str, Any] = workspace.viewer.ok("GET", DATA, type=type_, **params)
    return found


def test_without_a_type_it_is_the_summary(filled: make.Workspace) -> None:
    """D95, D97."""
    found = filled.viewer.ok("GET", DATA)
    assert (found["type"], found["days"]) == ("summary", 7)
    assert found["activeOffers"] > 0
    assert {"activeOffers", "channels", "journeys", "pendingApprovals"} <= found["data"].keys()


@pytest.mark.parametrize("days", [0, 366, "x", "", "1.5"])
def test_days_have_bounds(alice: make.Workspace, days: Any) -> None:
    """D96."""
    assert alice.api.get(DATA, type="daily_trend", days=days).status_code == 400


def test_an_unknown_type_names_those_there_are(alice: make.Workspace) -> None:
    answer = alice.api.get(DATA, type="nope")
    assert answer.status_code == 400
    assert "acceptance_rate" in answer.json()["error"]["details"]["type"]


def test_summary_with_comparison(filled: make.Workspace) -> None:
    """D98: both weeks, and a value for each day."""
    found = data(filled, "summary_with_comparison")
    assert found["decisions"].keys() == found["revenue"].keys() == {"current", "previous"}
    assert {name: len(values) for name, values in found["sparklines"].items()} == {"decisions": 7, "revenue": 7}
    assert sum(found["sparklines"]["decisions"]) == found["decisions"]["current"]
    assert found["data"]["decisions"] == found["decisions"]


def test_the_acceptance_rate_of_the_week_before_is_a_difference(filled: make.Workspace) -> None:
    """D56, D99: 14-day totals less 7-day totals are the 7 days before."""
    with filled.db() as db:
        db.execute(text("UPDATE verifications SET window_ends_at = claimed_at + interval '90 days'"))
    week, fortnight = (data(filled, "acceptance_rate", days=days)["totals"] for days in (7, 14))
    assert 0 <= week["acceptRate"] <= 1
    assert fortnight["impressions"] - week["impressions"] > 0
    rows = data(filled, "acceptance_rate", days=14)["data"]
    assert {"offer", "offerId", "impressions", "positive", "negative", "acceptRate"} == rows[0].keys()
    assert sum(row["impressions"] for row in rows) == pytest.approx(fortnight["impressions"], abs=0.05)


@pytest.mark.parametrize(
    ("type_", "params", "columns"),
    [
        ("offer_performance", {}, {"offer", "impressions", "conversions", "revenue", "conversionRate", "offerId"}),  # D100
        ("offer_performance_grouped", {"groupBy": "segment"}, {"group", "impressions", "conversions", "revenue", "conversionRate"}),  # D101
        ("channel_effectiveness", {}, {"channel", "impressions", "conversions", "effectiveness"}),  # D102
        ("daily_trend", {}, {"date", "impressions", "conversions"}),  # D103
        ("revenue_trend", {}, {"date", "revenue"}),  # D104
        (
            "selection_frequency",
            {"channelId": "pagerduty"},
            {"offer", "timesEligible", "timesScored", "timesSelected", "averageRank", "offerId"},
        ),  # D105
        ("model_metrics_trend", {"modelId": "predictions"}, {"date", "auc", "brier", "predictions"}),  # D108
        ("score_distribution", {"groupBy": "offer"}, {"group", "fromScore", "toScore", "count"}),  # D109
        ("model_auc_summary_with_prev", {}, {"model", "modelType", "auc", "previousAuc", "evaluatedOn"}),  # D110
    ],
)
def test_each_type_has_its_columns(filled: make.Workspace, type_: str, params: dict[str, str], columns: set[str]) -> None:
    found = data(filled, type_, days=90, **params)
    assert found["data"], type_
    assert found["data"][0].keys() == columns


def test_twenty_rows_at_most(alice: make.Workspace, time: Clock) -> None:
    """D100."""
    words = [
        f"{a} {b}"
        for a in ("disk", "cache", "mail", "token", "queue", "index")
        for b in ("is full", "has lost its leader", "times out", "refuses")
    ]
    for n, word in enumerate(words):
        alice.learn(
            *[
                make.event(
                    title=f"The {word}",
                    service=f"s-{n}",
                    external_id=f"{n}-{d}",
                    source_created_at=(make.NOW - timedelta(days=d)).isoformat(),
                )
                for d in (1, 3)
            ]
        )
    assert len(data(alice, "acceptance_rate")["data"]) > 20
    assert len(data(alice, "offer_performance")["data"]) == 20


def test_types_that_need_an_id_say_so(alice: make.Workspace) -> None:
    """D106, D108."""
    for type_, name in (("why_not_ranked", "offerId"), ("model_metrics_trend", "modelId")):
        answer = alice.api.get(DATA, type=type_)
        assert answer.status_code == 422
        assert name in answer.json()["error"]["message"]


def test_why_not_ranked_of_a_pattern(filled: make.Workspace) -> None:
    """D106."""
    offers = data(filled, "selection_frequency", days=365)["data"]
    found = data(filled, "why_not_ranked", days=365, offerId=offers[0]["offerId"])["data"]
    assert {"timesEligible", "filteredByContactPolicy", "filteredByQualification", "scoredTooLow", "selected"} <= found[0].keys()


def test_anomalies_take_a_baseline(filled: make.Workspace) -> None:
    """D107."""
    for baseline in (None, 30):
        for row in data(filled, "anomaly_candidates", days=7, **({"baselineDays": baseline} if baseline else {}))["data"]:
            assert {"metric", "dimension", "current", "baseline", "delta", "zScore", "severity"} == row.keys()


def test_segments_narrow_and_an_unknown_one_warns(filled: make.Workspace) -> None:
    """D111, D112."""
    for type_ in (
        "acceptance_rate",
        "offer_performance",
        "offer_performance_grouped",
        "channel_effectiveness",
        "daily_trend",
        "revenue_trend",
        "selection_frequency",
    ):
        all_, one = (data(filled, type_, days=90, **params)["data"] for params in ({}, {"segmentId": "service:orders-api"}))
        assert one != all_, type_
        nothing = data(filled, type_, segmentId="service:nope")
        assert nothing["data"] == []
        assert "service:nope" in nothing["warning"]


def test_the_pipeline_over_hours(alice: make.Workspace, time: Clock) -> None:
    """D64–D68: windowHours 1–168, five stages, shares of what came in, latency in milliseconds."""
    path = "/api/v1/dashboards/decision-pipeline"
    alice.learn(*make.failures("database", (0.1, 1, 2)), make.event(title="Alone"))
    with alice.db() as db:
        db.execute(
            text("UPDATE issues SET ingested_at = :at, analyzed_at = cast(:at AS timestamptz) + interval '2 seconds'"),
            {"at": make.NOW - timedelta(hours=2)},
        )
        db.execute(text("UPDATE signals SET received_at = :at"), {"at": make.NOW - timedelta(hours=2)})
        db.execute(
            text(
                "INSERT INTO jobs (id, kind, status, payload, finished_at) SELECT gen_random_uuid(), 'failures.learn', 'succeeded', '{}', :at FROM generate_series(1, 2)"
            ),
            {"at": make.NOW - timedelta(hours=1)},
        )
    found = alice.viewer.ok("GET", path)
    assert found["windowHours"] == 24
    assert found["counts"] == {
        "initialCandidates": 4,
        "afterQualification": 4,
        "afterSuppression": 4,
        "afterContactPolicy": 3,
        "afterScoring": 3,
        "verified": 0,
    }
    assert found["funnel"]["initialCandidates"] == 2
    assert found["filterRates"] == {"qualification": 0, "suppression": 0, "contactPolicy": 0.25, "scoring": 0.25}
    assert found["totalLatencyMs"] == {"average": 2000, "p50": 2000, "p95": 2000, "p99": 2000}
    assert found["warning"] is None
    assert alice.viewer.ok("GET", path, windowHours=1)["counts"]["initialCandidates"] == 0
    for wrong in (0, 169, "x"):
        assert alice.viewer.get(path, windowHours=wrong).status_code == 400


def test_too_many_unlinked_are_red(alice: make.Workspace, time: Clock) -> None:
    """D69: above 80 % at the fourth stage."""
    alice.learn(
        *[
            make.event(title=title, service=title[:6])
            for title in (
                "Disk is full on the mail host",
                "Certificate has expired",
                "Queue consumer lost its leader",
                "Login page shows nothing",
                "Backup of the vault failed",
                "Printer on fire",
            )
        ]
    )
    with alice.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :at"), {"at": make.NOW - timedelta(hours=2)})
        db.execute(text("UPDATE signals SET received_at = :at"), {"at": make.NOW - timedelta(hours=2)})
    found = alice.viewer.ok("GET", "/api/v1/dashboards/decision-pipeline")
    assert found["filterRates"]["contactPolicy"] > 0.8
    assert "not linked" in found["warning"]


def test_models_of_attribution_are_all_named() -> None:
    assert set(attribution_sources.MODELS) == {"last_touch", "first_touch", "linear", "time_decay", "position_based"}
