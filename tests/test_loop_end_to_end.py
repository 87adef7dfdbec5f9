"""The loop end to end, by API, on real failures: Node.js CI of autumn 2024, in which one test fails on 15 days of 27, is silent for 57, and returns.

Failures in → pattern → prediction → fix claimed → verified held, attested → a recurrence re-opens it. What is not this test's failures are
those of other tests of the same CI, so that silence is silence and not a tool that reports nothing.
"""

from __future__ import annotations

import csv
import gzip
from datetime import UTC, datetime
from typing import Any

from everfix.core import jobs
from tests import make
from tests.conftest import Clock
from tests.shared import shared

BROKEN = "JS_TEST_FAILURE|node-api/test_threadsafe_function/test"
BEGIN, CLAIMED, HELD, BACK, END = (datetime(2024, *day, tzinfo=UTC) for day in ((9, 10), (10, 12), (11, 14), (12, 6), (12, 8)))
OTHERS = 8


def failures() -> list[dict[str, Any]]:
    """Return the failures of the broken test and of the busiest others, oldest first, as a client sends them."""
    with gzip.open(shared("data/nodejs/events.csv.gz"), "rt", encoding="utf-8", newline="") as file:
        rows = [row for row in csv.DictReader(file) if BEGIN <= datetime.fromisoformat(row["occurred_at"]) < END]
    counts: dict[str, int] = {}
    for row in rows:
        counts[row["pattern"]] = counts.get(row["pattern"], 0) + 1
    wanted = {BROKEN, *sorted(counts, key=lambda one: (-counts[one], one))[2 : 2 + OTHERS]}
    kept: dict[tuple[str, str], dict[str, Any]] = {}
    for row in rows:
        if row["pattern"] in wanted:  # one of a pattern and a day: that it failed is what counts
            kept.setdefault((row["pattern"], row["occurred_at"][:10]), row)
    return [
        {
            "external_id": f"{row['pattern']} in {row['ci_run']}",
            "title": f"{row['signature'][:200]} failed",
            "error_type": row["kind"],
            "severity": "p2",
            "service": "node",
            "kind": "check",
            "source_created_at": row["occurred_at"],
        }
        for row in sorted(kept.values(), key=lambda row: str(row["occurred_at"]))
    ]


def until(workspace: make.Workspace, time: Clock, records: list[dict[str, Any]], moment: datetime) -> None:
    """Let the clock stand at a moment, send what has happened up to then, and let the workers do theirs, the hourly refresh too."""
    time.at = moment
    due = [one for one in records if datetime.fromisoformat(one["source_created_at"]) < moment]
    del records[: len(due)]
    for start in range(0, len(due), 500):
        assert workspace.api.ok("POST", "/v1/ingest/batch", {"records": due[start : start + 500]})["rejected"] == []
    workspace.work()
    with workspace.db() as db:
        jobs.enqueue(db, "failures.refresh", {})
    workspace.work()


def test_a_real_failure_travels_to_a_proven_fix_and_reopens_when_it_returns(alice: make.Workspace, time: Clock) -> None:
    records, api = failures(), alice.api
    until(alice, time, records, CLAIMED)
    # failures in, pattern found
    (listed,) = api.ok("GET", "/v1/patterns", q="test_threadsafe_function")["data"]
    (issue, *_) = api.ok("GET", f"/v1/patterns/{listed['id']}/members")["data"]
    assert issue["analysis_status"] == "done"
    assert api.ok("GET", f"/v1/issues/{issue['id']}")["analysis"]["root_cause"]
    pattern = api.ok("GET", f"/v1/patterns/{issue['pattern_id']}")
    assert pattern["issue_count"] == 15
    members = api.ok("GET", f"/v1/patterns/{pattern['id']}/members", limit=100)["data"]
    assert all("test_threadsafe_function" in one["title"] for one in members), "its own failures, and no others"
    # prediction made
    (prediction,) = api.ok("GET", "/v1/predictions", pattern_id=pattern["id"], window_days=7)["data"]
    assert prediction["probability"] > 0.5, "15 failing days of 27"
    assert prediction["lower"] <= prediction["probability"] <= prediction["upper"]
    # fix claimed
    fix = next(one for one in api.ok("GET", "/v1/recommendations", limit=100)["data"] if pattern["id"] in one["pattern_ids"])
    path = f"/v1/recommendations/{fix['id']}"
    api.ok("PATCH", path, {"status": "implemented", "claim": {"what": "Wait for the queue to be drained before the function is released"}})
    (watch,) = api.ok("GET", path)["verifications"]
    assert watch["verdict"] == "watching"
    # verified held: 33 silent days, in which the others went on failing
    until(alice, time, records, HELD)
    (watch,) = api.ok("GET", path)["verifications"]
    assert (watch["verdict"], watch["observed"]) == ("held", 0)
    assert watch["expected"] > 5, "at the old rate"
    assert watch["holds_probability"] > 0.95
    assert alice.analyst.ok("POST", f"{path}/attest", {"note": "the CI has been quiet"})
    # a recurrence re-opens it
    until(alice, time, records, END)
    again = api.ok("GET", f"/v1/patterns/{pattern['id']}")
    assert again["issue_count"] > pattern["issue_count"]
    assert again["status"] == "active"
    assert datetime.fromisoformat(again["last_seen_at"]) >= BACK
    (next_,) = api.ok("GET", "/v1/predictions", pattern_id=pattern["id"], window_days=7)["data"]
    assert next_["id"] != prediction["id"]
    (watch,) = api.ok("GET", path)["verifications"]
    assert (watch["verdict"], watch["returned_at"] is not None) == ("held", True), "the verdict stands, and that it came back is told"
