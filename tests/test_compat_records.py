"""The dashboard surface: attribution, traces, interactions, the audit log, dead letters, metrics and the analyzer's settings."""

from __future__ import annotations

import hashlib
import json
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text

from everfix import audit
from everfix.failures import analyses, changes
from tests import make
from tests.conftest import Clock

ATTRIBUTION, TRACES, SUMMARY, DLQ = "/api/v1/attribution", "/api/v1/decision-traces", "/api/v1/interaction-summary", "/api/v1/admin/dlq"


@pytest.fixture
def filled(alice: make.Workspace, time: Clock) -> make.Workspace:
    make.with_history(alice)
    with alice.db() as db:
        db.execute(text("UPDATE verifications SET verdict = 'held' WHERE verdict = 'not_enough_exposure'"))
        fixes = [("payments-api", 46), ("payments-api", 50)]
        changes.accept(
            db,
            [
                {
                    "external_id": f"c-{n}",
                    "kind": "fix",
                    "service": service,
                    "title": f"Fix {n}",
                    "occurred_at": make.NOW - timedelta(days=ago),
                }
                for n, (service, ago) in enumerate(fixes)
            ],
        )
    return alice


def conversion(workspace: make.Workspace) -> dict[str, Any]:
    found = workspace.analyst.ok("GET", ATTRIBUTION)["data"]
    return max(found, key=lambda item: len(item["touchpoints"]))


def test_a_conversion_is_attributed(filled: make.Workspace) -> None:
    """D88, D90, D91: 201 with its touchpoints; credits sum to 1, values to the value asked for, which is 1 when none is."""
    known = conversion(filled)
    assert len(known["touchpoints"]) == 3
    body = {"customerId": known["customerId"], "conversionId": known["conversionId"]}
    for more, total in (({}, 1), ({"conversionValue": 250.5, "model": "position_based"}, 250.5)):
        answer = filled.analyst.post(ATTRIBUTION, body | more)
        assert answer.status_code == 201
        found = answer.json()
        assert found.keys() == {"customerId", "conversionId", "model", "totalValue", "touchpoints"}
        assert (found["customerId"], found["model"], found["totalValue"]) == (known["customerId"], more.get("model", "linear"), total)
        assert {"offerId", "channelId", "credit", "value"} <= found["touchpoints"][0].keys()
        assert sum(item["credit"] for item in found["touchpoints"]) == pytest.approx(1)
        assert sum(item["value"] for item in found["touchpoints"]) == pytest.approx(total)


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"model": "magic"}, 400),
        ({"conversionId": ""}, 400),
        ({"conversionValue": -1}, 400),
        ({"customerId": "x"}, 400),
        ({"conversionId": "nope"}, 404),
    ],
)
def test_a_wrong_attribution_is_refused(filled: make.Workspace, change: dict[str, Any], status: int) -> None:
    known = conversion(filled)
    body = {"customerId": known["customerId"], "conversionId": known["conversionId"]}
    assert filled.analyst.post(ATTRIBUTION, body | change).status_code == status


def test_attributions_are_walked_and_only_an_editor_may(filled: make.Workspace) -> None:
    """D93, D233."""
    all_ = filled.analyst.ok("GET", ATTRIBUTION)
    assert all_["pagination"] == {"total": len(all_["data"]), "limit": 50, "offset": 0, "hasMore": False}
    first = filled.analyst.ok("GET", ATTRIBUTION, limit=1)
    assert (first["data"], first["pagination"]["hasMore"]) == (all_["data"][:1], len(all_["data"]) > 1)
    mine = filled.analyst.ok("GET", ATTRIBUTION, customerId=all_["data"][0]["customerId"])
    assert {item["customerId"] for item in mine["data"]} == {all_["data"][0]["customerId"]}
    assert filled.analyst.get(ATTRIBUTION, limit=201).status_code == 400
    assert filled.viewer.get(ATTRIBUTION).status_code == 403


def test_the_hundred_and_first_in_a_minute_waits(alice: make.Workspace, bob: make.Workspace, time: Clock) -> None:
    """D92: counted in the database, for each workspace by itself."""
    with alice.db() as db:
        db.execute(text("INSERT INTO limits_spent (name, since, times) VALUES ('attribution', :now, 99)"), {"now": make.NOW})
    assert alice.analyst.get(ATTRIBUTION).status_code == 200
    refused = alice.analyst.get(ATTRIBUTION)
    assert (refused.status_code, refused.json()["error"]["code"]) == (429, "RATE_LIMITED")
    assert bob.analyst.get(ATTRIBUTION).status_code == 200
    time.advance(seconds=60)
    assert alice.analyst.get(ATTRIBUTION).status_code == 200


def test_every_issue_has_a_trace(alice: make.Workspace, time: Clock) -> None:
    """D72, D114: the steps in order, each with its result and why; by pattern, by issue, page by page."""
    ids_ = alice.learn(*make.failures("database", (3, 2, 1)), make.event(title="Alone in the world"))
    with alice.db() as db:
        analyses.enqueue(db, ids_)
    alice.work()
    found = alice.viewer.ok("GET", TRACES)
    assert found["pagination"] == {"total": 4, "limit": 50, "offset": 0, "hasMore": False}
    by_issue = {trace["requestId"]: trace for trace in found["data"]}
    linked, alone = by_issue[str(ids_[0])], by_issue[str(ids_[3])]
    assert [step["step"] for step in linked["steps"]] == ["received", "mapped", "new", "linked", "predicted", "recommended", "verified"]
    assert linked["selected"] is True
    assert linked["totalLatencyMs"] is not None
    step = next(step for step in alone["steps"] if step["step"] == "linked")
    assert (step["passed"], alone["selected"]) == (False, False)
    assert step["reason"]
    assert alice.viewer.ok("GET", TRACES, requestId=str(ids_[0]))["data"] == [linked]
    assert len(alice.viewer.ok("GET", TRACES, customerId=linked["customerId"])["data"]) == 3
    assert alice.viewer.ok("GET", TRACES, limit=1, offset=1)["data"] == found["data"][1:2]
    for wrong in ({"limit": 201}, {"offset": -1}):
        assert alice.viewer.get(TRACES, **wrong).status_code == 400
    assert alice.viewer.get(TRACES, requestId="x").status_code == 422


def test_interactions_by_group(filled: make.Workspace) -> None:
    """D113."""
    totals = set()
    for group in ("action", "treatment", "channel", "customer"):
        found = filled.viewer.ok("GET", SUMMARY, groupBy=group, days=90)
        assert (found["groupBy"], found["days"], found["limit"], found["offset"], found["total"]) == (
            group,
            90,
            100,
            0,
            len(found["summary"]),
        )
        assert {"impression", "click", "dismiss", "accept", "convert", "total", "ctr", "cvr", "positive", "negative", "neutral"} <= found[
            "summary"
        ][0].keys()
        totals.add(round(sum(row["impression"] for row in found["summary"])))
    assert len(totals) == 1
    assert filled.viewer.ok("GET", SUMMARY)["days"] == 30
    assert (
        filled.viewer.ok("GET", SUMMARY, days=90, limit=1, offset=1)["summary"] == filled.viewer.ok("GET", SUMMARY, days=90)["summary"][1:2]
    )
    for wrong in ({"groupBy": "x"}, {"limit": 501}, {"days": 0}):
        assert filled.viewer.get(SUMMARY, **wrong).status_code == 400


def test_the_audit_log_is_read_and_never_changed(alice: make.Workspace) -> None:
    """D234, D235: by page and kind, for admins; the chain of hashes can be checked by who reads it."""
    for n in range(3):
        alice.analyst.ok("POST", "/api/v1/reports/templates", {"name": f"r{n}", "dataSources": [{"sourceKey": "funnel"}]})
    path = "/api/v1/audit-logs"
    found = alice.admin.ok("GET", path)
    assert found["pagination"]["total"] == len(found["data"])
    reports = alice.admin.ok("GET", path, entityType="report")
    assert [entry["action"] for entry in reports["data"]] == ["report.created"] * 3
    assert {entry["actorName"] for entry in reports["data"]} == {"Analyst"}
    assert alice.admin.ok("GET", path, limit=1, page=2)["data"] == found["data"][1:2]
    newer, older = found["data"][:2]
    assert newer["previousHash"] == older["hash"]
    with alice.db() as db:
        entry = db.query(audit.Entry).order_by(audit.Entry.number.desc()).first()
        assert entry is not None
        assert audit.digest(entry) == newer["hash"]
        assert len(newer["hash"]) == hashlib.sha256().digest_size * 2
        assert audit.broken(db) is None
    for method in ("PUT", "PATCH", "DELETE", "POST"):
        assert alice.admin.call(method, path).status_code == 405
    assert alice.analyst.get(path).status_code == 403
    assert alice.admin.get(path, limit=101).status_code == 400


def dead(workspace: make.Workspace, kind: str, payload: dict[str, Any], n: int = 1) -> list[str]:
    with workspace.db() as db:
        rows = db.execute(
            text(
                "INSERT INTO jobs (id, kind, status, payload, error, attempts, finished_at)"
                " SELECT gen_random_uuid(), :kind, 'failed', cast(:payload AS jsonb), 'it broke', 5, now() FROM generate_series(1, :n) RETURNING id"
            ),
            {"kind": kind, "payload": json.dumps(payload), "n": n},
        )
        return [str(row.id) for row in rows]


def test_dead_letters_are_listed_by_topic(alice: make.Workspace) -> None:
    """D75."""
    dead(alice, "failures.refresh", {}, 11)
    dead(alice, "failures.learn", {"issues": []}, 2)
    found = alice.admin.ok("GET", DLQ)
    assert (found["totalEvents"], found["byTopic"], found["alert"]) == (13, {"failures.learn": 2, "failures.refresh": 11}, "WARNING")
    assert found["events"][0].keys() == {"id", "topic", "payload", "error", "retryCount", "failedAt"}
    assert (found["events"][0]["error"], found["events"][0]["retryCount"]) == ("it broke", 4)
    assert len(alice.admin.ok("GET", DLQ, topic="failures.learn")["events"]) == 2
    assert len(alice.admin.ok("GET", DLQ, limit=3)["events"]) == 3
    for wrong in ({"limit": 201}, {"limit": 0}, {"topic": "No!"}):
        assert alice.admin.get(DLQ, **wrong).status_code == 400
    assert alice.analyst.get(DLQ).status_code == 403


def test_dead_letters_are_tried_again_or_put_away(alice: make.Workspace) -> None:
    """D76: by ids and by topic; what is tried again is done."""
    one, two, three = dead(alice, "failures.refresh", {}, 3)
    assert alice.admin.ok("POST", DLQ, {"action": "retry", "eventIds": [one]}) == {"action": "retry", "affected": 1}
    alice.work()
    assert alice.admin.ok("GET", f"/v1/jobs/{one}")["status"] == "succeeded"
    assert alice.admin.ok("POST", DLQ, {"action": "purge", "eventIds": [two]})["affected"] == 1
    assert alice.admin.ok("POST", DLQ, {"action": "purge", "topic": "failures.refresh"})["affected"] == 1
    assert alice.admin.ok("GET", DLQ)["totalEvents"] == 0
    assert alice.admin.get(f"/v1/jobs/{three}").status_code == 404
    assert alice.admin.post(DLQ, {"action": "retry"}).status_code == 422
    for wrong in ({"action": "burn", "topic": "x"}, {"action": "retry", "eventIds": ["x"]}):
        assert alice.admin.post(DLQ, wrong).status_code == 400


def test_a_run_that_failed_is_made_when_tried_again(alice: make.Workspace) -> None:
    """D76: a dead report is not only marked as done."""
    job = alice.api.ok("POST", "/v1/reports/generate", {"template": "issue_digest", "format": "json"})
    with alice.db() as db:
        db.execute(text("UPDATE jobs SET status = 'failed', error = 'disk full' WHERE id = (SELECT job_id FROM report_runs)"))
        db.execute(text("UPDATE report_runs SET status = 'failed', reason = 'disk full', finished_at = now()"))
    assert alice.admin.ok("POST", DLQ, {"action": "retry", "topic": "reports.run"})["affected"] == 1
    alice.work()
    done = alice.api.ok("GET", f"/v1/reports/jobs/{job['id']}")
    assert (done["status"], len(done["files"])) == ("succeeded", 1)


def test_metrics_by_name(alice: make.Workspace) -> None:
    """D74: for admins, each with its help, type and values."""
    alice.learn(*make.failures("database", (3, 2, 1)))
    found = alice.admin.ok("GET", "/api/v1/metrics/summary")
    for name, metric in found.items():
        assert metric.keys() == {"name", "help", "type", "values"}
        assert metric["name"] == name
        assert name.startswith("everfix_")
        assert all(value.keys() == {"labels", "value"} for value in metric["values"])
    assert found["everfix_issues_total"]["values"] == [{"labels": {"status": "in_loop"}, "value": 3}]
    assert found["everfix_signals_total"]["values"] == [{"labels": {}, "value": 3}]
    assert alice.analyst.get("/api/v1/metrics/summary").status_code == 403


def test_the_analyzers_settings(alice: make.Workspace) -> None:
    """D176, D178, D179: a viewer reads, an admin writes; nothing is asked until a provider is configured."""
    path = "/api/v1/ai/analyzer-settings"
    before = alice.viewer.ok("GET", path)
    assert before["effective"]["source"] == "none"
    assert alice.analyst.call("PUT", path, json={"language": "fr"}).status_code == 403
    found = alice.admin.ok("PUT", path, {"language": "fr", "autoPerHour": 5, "llmExplanationsEnabled": True, "multiLanguageEnabled": False})
    assert (found["language"], found["autoPerHour"], found["llmExplanationsEnabled"]) == ("fr", 5, True)
    assert alice.viewer.ok("GET", path) == found
    assert alice.admin.ok("PUT", path, {"redact": False})["llmExplanationsEnabled"] is True
    assert alice.admin.call("PUT", path, json={"language": "klingon"}).status_code == 422
    assert alice.admin.call("PUT", path, json={"autoPerHour": -1}).status_code == 400
