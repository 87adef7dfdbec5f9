"""POST /v1/ingest: the documented answers, the job, the limits."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import ids
from tests import make


def test_one_event_is_accepted(alice: make.Workspace) -> None:
    """C174, C175."""
    answer = alice.api.post("/v1/ingest/events", {"external_id": "x-1", "title": "Checkout failed"})
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["rejected"]) == (1, [])
    assert told["issue_id"].startswith("iss_")
    assert told["job_id"].startswith("ing_job_")
    issue = alice.api.ok("GET", f"/v1/issues/{told['issue_id']}")
    assert (issue["source"], issue["body"], issue["severity"], issue["external_id"]) == ("custom_api", "", "p3", "x-1")


def test_the_quick_start_leads_to_a_pattern_without_further_calls(alice: make.Workspace) -> None:
    """C179, C182: An ingested event reaches a pattern, and once it recurs a prediction and a recommendation."""
    for number in range(3):
        record = make.event(external_id=f"x-{number}", title="Card provider answers 504", service="payments", severity="high")
        told = alice.api.ok("POST", "/v1/ingest/events", record)
    status = alice.api.ok("GET", f"/v1/ingest/status/{told['job_id']}")
    assert (status["status"], status["progress"]) == ("queued", 0)
    assert alice.work() == 4  # three jobs, two of them taken along by the first, and one analysis
    status = alice.api.ok("GET", f"/v1/ingest/status/{told['job_id']}")
    assert (status["status"], status["progress"], status["error"]) == ("succeeded", 1.0, None)
    assert status["id"] == status["job_id"] == told["job_id"]
    issue = alice.api.ok("GET", f"/v1/issues/{told['issue_id']}")
    assert (issue["analysis_status"], issue["status"]) == ("done", "in_loop")
    assert issue["pattern"]["issue_count"] == 3
    assert issue["assignment"]["why"]["rule"].startswith("same ")
    assert issue["recurrence"]["window_days"] == 7
    assert alice.api.ok("GET", "/v1/predictions")["page"]["total"] == 1
    assert alice.api.ok("GET", "/v1/recommendations")["page"]["total"] == 1


def test_a_batch_of_500_is_accepted(alice: make.Workspace) -> None:
    """C176."""
    told = alice.api.ok("POST", "/v1/ingest/batch", {"records": [make.event() for _ in range(500)]})
    assert (told["accepted"], told["created"], told["updated"], told["stale"], told["rejected"]) == (500, 500, 0, 0, [])
    assert len(set(told["issue_ids"])) == 500
    assert alice.api.ok("GET", "/v1/issues", limit=1)["page"]["total"] == 500


@pytest.mark.parametrize("size", [0, 501])
def test_none_or_too_many_are_refused(alice: make.Workspace, size: int) -> None:
    """C176."""
    answer = alice.api.post("/v1/ingest/batch", {"records": [make.event() for _ in range(size)]})
    assert answer.status_code == 422
    assert "records" in answer.json()["error"]["details"]
    assert alice.api.ok("GET", "/v1/issues")["page"]["total"] == 0


def test_a_batch_keeps_the_good_ones(alice: make.Workspace) -> None:
    """C177."""
    records: list[Any] = [make.event(), {"title": "no id"}, make.event(), 7]
    told = alice.api.ok("POST", "/v1/ingest/batch", {"records": records})
    assert told["accepted"] == 2
    assert [reject["index"] for reject in told["rejected"]] == [1, 3]
    assert all(reject["reason"] for reject in told["rejected"])
    assert alice.work() == 2  # it is learnt, then analysed


def test_a_batch_of_bad_ones_queues_nothing(alice: make.Workspace) -> None:
    told = alice.api.ok("POST", "/v1/ingest/batch", {"records": [{}, {}]})
    assert (told["accepted"], told["job_id"], told["issue_ids"]) == (0, None, [])
    assert alice.work() == 0


def test_a_batch_is_one_job_and_one_audit_entry(alice: make.Workspace) -> None:
    with alice.db() as db:
        before = db.execute(text("SELECT count(*) FROM audit_log")).scalar_one()
    alice.api.ok("POST", "/v1/ingest/batch", {"records": [make.event() for _ in range(9)]})
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 1
        entry = db.execute(text("SELECT action, details, actor_name FROM audit_log ORDER BY number DESC LIMIT 1")).one()
        assert db.execute(text("SELECT count(*) FROM audit_log")).scalar_one() == before + 1
    assert (entry.action, entry.actor_name) == ("ingest.accepted", "Alice Owner")
    assert entry.details == {"accepted": 9, "rejected": 0}


def test_a_named_source(alice: make.Workspace) -> None:
    """C178."""
    told = alice.api.ok("POST", "/v1/ingest/jira/issues", {"external_id": "OPS-1", "title": "Broken", "source": "sentry"})
    assert alice.api.ok("GET", f"/v1/issues/{told['issue_id']}")["source"] == "jira"
    assert alice.api.post("/v1/ingest/fax/issues", {"external_id": "1"}).status_code == 404
    assert alice.api.post("/v1/ingest/jira/issues", {"title": "x"}).status_code == 422


def test_a_uuid_is_accepted_where_an_id_is(alice: make.Workspace) -> None:
    """C20."""
    told = alice.api.ok("POST", "/v1/ingest/events", make.event())
    issue, job = ids.parse(ids.Prefix.ISSUE, told["issue_id"]), ids.parse(ids.Prefix.INGEST_JOB, told["job_id"])
    assert alice.api.ok("GET", f"/v1/issues/{issue}")["id"] == told["issue_id"]
    assert alice.api.ok("GET", f"/v1/ingest/status/{job}")["id"] == told["job_id"]


def test_another_kind_of_job_is_no_ingest_job(alice: make.Workspace) -> None:
    job = alice.api.ok("POST", "/v1/reports/generate", {"format": "json"})
    assert alice.api.get(f"/v1/ingest/status/{ids.parse(ids.Prefix.JOB, job['id'])}").status_code == 404


def test_changes_are_recorded_once(alice: make.Workspace) -> None:
    body = {
        "changes": [
            {"external_id": f"d-{n}", "title": "Deploy", "service": "shop", "occurred_at": "2026-03-01T00:00:00Z"} for n in range(3)
        ]
    }
    assert alice.api.ok("POST", "/v1/changes", body) == {"accepted": 3}
    assert alice.api.ok("POST", "/v1/changes", body) == {"accepted": 0}
    assert alice.api.post("/v1/changes", {"changes": []}).status_code == 422
    assert alice.api.post("/v1/changes", {"changes": [{"external_id": "x", "title": "x", "occurred_at": "x"}]}).status_code == 422


def test_a_role_decides_who_may_ingest(alice: make.Workspace) -> None:
    assert alice.analyst.post("/v1/ingest/events", make.event()).status_code == 202
    assert alice.viewer.post("/v1/ingest/events", make.event()).status_code == 403
    assert alice.service.post("/v1/ingest/events", make.event()).status_code == 202
