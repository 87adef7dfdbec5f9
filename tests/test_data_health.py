"""D83: what comes in, against usual: volume, freshness, refusals, delays, checks, shape, runs, dead letters and breakers, as sources and a report."""

from __future__ import annotations

import re
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix.documents.model import Document, Table
from everfix.metrics import dashboards, periods, query
from everfix.reports import previews, runs
from tests import make
from tests.conftest import Clock
from tests.test_web import Person

NOW = make.NOW


def records(here: make.Workspace, key: str, **given: Any) -> list[dict[str, Any]]:
    with here.db() as db:
        return query.records(db, key, periods.last(7, NOW, "UTC"), given)


@pytest.fixture
def fed(alice: make.Workspace, time: Clock) -> make.Workspace:
    """Two sources with a month behind them: one goes on, one fell silent five days ago; one batch was refused in part."""
    steady = make.failures(
        "database", [day + hour / 24 for day in range(36) for hour in (1, 5)], source="pagerduty", metadata={"region": "eu"}
    )
    silent = make.failures(
        "payments", [5 + day for day in range(30) for _ in range(4)], source="sentry", metadata={"region": "eu", "shop": 1}
    )
    for place, record in enumerate(silent):
        record["external_id"] = f"silent-{place}"
    checks = make.failures("search", (1, 2, 8), source="junit", kind="check")
    alice.learn(*steady, *silent, *checks)
    with alice.db() as db:  # all came in within a minute; one of them two hours late
        db.execute(text("UPDATE issues SET ingested_at = occurred_at + interval '1 minute'"))
        db.execute(text("UPDATE issues SET ingested_at = occurred_at + interval '2 hours' WHERE external_id = 'database-3'"))
        db.execute(
            text("UPDATE issues SET metadata = '{\"zone\": 1}' WHERE source = 'sentry' AND occurred_at >= :at"),
            {"at": NOW - timedelta(days=6)},
        )
    time.at = NOW - timedelta(hours=1)
    batch = [make.event(source="sentry"), make.event(source="sentry", severity="p9"), make.event(source="nowhere", severity="p9"), 7]
    told = alice.api.ok("POST", "/v1/ingest/batch", {"records": batch})
    assert (told["accepted"], len(told["rejected"])) == (1, 3)
    refused = alice.api.ok("POST", "/v1/ingest/batch", {"records": [make.event(source="sentry", severity="p9")]})
    assert (refused["accepted"], refused["job_id"]) == (0, None)
    with alice.db() as db:
        db.execute(
            text("UPDATE issues SET occurred_at = :at, ingested_at = :at WHERE external_id LIKE 'e-%'"), {"at": NOW - timedelta(days=40)}
        )
    time.at = NOW
    return alice


def by(rows: list[dict[str, Any]], column: str = "source") -> dict[str, dict[str, Any]]:
    return {row[column]: row for row in rows}


def test_d83_the_figures_of_what_comes_in(fed: make.Workspace) -> None:
    volume = by(records(fed, "connector_health"))
    assert (volume["pagerduty"]["state"], volume["pagerduty"]["late"]) == ("usual", 1)
    assert (volume["sentry"]["state"], volume["sentry"]["received"]) == ("low", 8)
    assert volume["junit"]["state"] == "few"
    fresh = by(records(fed, "sync_freshness"))
    assert (fresh["pagerduty"]["state"], fresh["sentry"]["state"], fresh["junit"]["state"]) == ("fresh", "silent", "new")
    assert fresh["sentry"]["age"] == pytest.approx(5 * 86_400)
    assert fresh["sentry"]["usual_gap"] == pytest.approx(86_400)
    days = records(fed, "ingest_volume")
    assert len(days) == 7
    assert all(day["usual"] == 6 for day in days)
    assert days[-2]["received"] == 3  # two steady ones and a check
    refused = records(fed, "rejects")
    assert [(row["source"], row["records"]) for row in refused] == [("sentry", 2), ("custom_api", 1), ("custom_api", 1)]
    assert all("severity" in row["reason"] or "JSON object" in row["reason"] for row in refused)
    assert not any("p9" in row["reason"] for row in refused), "what was sent is not repeated"
    late = by(records(fed, "late_arrivals"))
    assert (late["pagerduty"]["late"], late["pagerduty"]["median"], late["sentry"]["late"]) == (1, 60, 0)
    (check,) = records(fed, "failed_checks")
    assert (check["failures"], check["failures_before"], check["service"]) == (2, 1, "search-api")
    shape = by(records(fed, "source_schemas"))
    assert (shape["sentry"]["new_fields"], shape["sentry"]["dropped_fields"]) == ("zone", "region, shop")
    assert (shape["pagerduty"]["schemas"], shape["pagerduty"]["new_fields"], shape["pagerduty"]["dropped_fields"]) == (1, None, None)


def test_d73_runs_are_counted_by_kind(fed: make.Workspace) -> None:
    """D73: with queue, backlog, MTTA and MTTR on Operations."""
    with fed.db() as db:
        db.execute(
            text("UPDATE jobs SET finished_at = :at, created_at = :at, started_at = :at, status = 'succeeded'"),
            {"at": NOW - timedelta(hours=1)},
        )
        db.execute(
            text(
                "INSERT INTO jobs (id, kind, status, payload, created_at, finished_at) VALUES (gen_random_uuid(), 'ml.import', 'failed', '{}', :at, :at)"
            ),
            {"at": NOW - timedelta(hours=2)},
        )
    found = by(records(fed, "connector_runs"), "kind")
    assert (found["ml.import"]["runs"], found["ml.import"]["failed"]) == (1, 1)
    assert found["failures.learn"]["failed"] == 0
    shown = [part.source for part in dashboards.get("operations").saved]
    assert {"mtta_mttr", "queue_backlog", "connector_runs", "dead_letters", "circuit_breakers"} <= set(shown)


def test_d83_the_page_and_its_report_hold_every_part(fed: make.Workspace) -> None:
    page = Person(fed.client).enter(fed.secrets["viewer"]).page("/dashboards/data-health")
    for part in dashboards.get("data-health").parts:
        assert part.title in page
    assert {("is-silent", "silent"), ("is-fresh", "fresh"), ("is-low", "low")} <= set(
        re.findall(r'<span class="pill ([\w-]+)">([^<]*)</span>', page)
    )
    sections = dashboards.saved(dashboards.get("data-health"), 7, None)

    def order(_: Any) -> runs.Run:
        return runs.new(fed.principal, template="blank", sections=sections, window="7d", formats=["pdf"], name="Data Health", inputs={})

    document: Document = previews.document(fed.installation, fed.id, order)
    tables = {block.key for section in document.sections for block in section.blocks if isinstance(block, Table)}
    assert {"connector_health", "sync_freshness", "rejects", "dead_letters", "late_arrivals", "failed_checks", "source_schemas"} <= tables


def test_d83_an_empty_workspace_has_empty_tables(alice: make.Workspace) -> None:
    for part in dashboards.get("data-health").parts:
        assert records(alice, part.source, **{key: value for key, value in part.params.items() if key != "days"}) == [], part.source
