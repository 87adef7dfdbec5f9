"""Words that move many failures: a job with progress, all of it or nothing, said once however often the job starts, taken back exactly."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from everfix.core import ids, jobs
from everfix.failures import placing, regrouping
from tests import make


@pytest.fixture
def two(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> tuple[str, str]:
    """Two patterns of ten failures each, where more than three are many and are moved two by two."""
    monkeypatch.setattr(regrouping, "LARGE", 3)
    monkeypatch.setattr(placing, "CHUNK", 2)
    days = tuple(range(1, 11))
    alice.learn(*make.failures("database", days), *make.failures("payments", days))
    alice.work()
    found = [row["id"] for row in alice.api.ok("GET", "/v1/patterns")["data"]]
    assert len(found) == 2
    return found[0], found[1]


def _state(workspace: make.Workspace) -> dict[str, Any]:
    """Return where every failure is, and how the patterns look."""
    with workspace.db() as db:
        places = db.execute(text("SELECT id, pattern_id, correction_id, home_id, status FROM issues ORDER BY id")).all()
        looks = db.execute(text("SELECT id, name, status, issue_count, merged_into, last_seen_at FROM patterns ORDER BY id")).all()
        return {"issues": [tuple(row) for row in places], "patterns": [tuple(row) for row in looks]}


def test_a_large_merge_is_a_job_and_its_undo_too(alice: make.Workspace, two: tuple[str, str]) -> None:
    target, source = two
    before = _state(alice)
    answer = alice.api.post(f"/v1/patterns/{target}/merge", {"source_pattern_id": source, "reason": "one cause"})
    assert answer.status_code == 202
    queued = answer.json()
    assert queued == {"job_id": queued["job_id"], "status": "queued", "failures": 10}
    assert _state(alice) == before
    alice.work()
    done = alice.api.ok("GET", f"/v1/jobs/{queued['job_id']}")
    assert (done["status"], done["progress"], done["result"]["failures"]) == ("succeeded", 1.0, 10)
    merged = _state(alice)
    assert {str(row[1]) for row in merged["issues"]} == {str(ids.parse(ids.Prefix.PATTERN, target))}
    word = alice.api.ok("GET", "/v1/corrections")["data"][0]
    assert done["result"]["corrections"] == [word["id"]]
    assert (word["moved"], word["reason"], word["said_by"]) == (10, "one cause", alice.principal.name)
    for path in (f"/v1/corrections/{word['id']}/undo", f"/v1/patterns/{target}/undo"):
        answer = alice.api.post(path)
        assert answer.status_code == 202, answer.text
        assert answer.json()["failures"] == 10
    alice.work()  # the second job finds that the first has taken the word back
    assert {job["status"] for job in alice.api.ok("GET", "/v1/jobs")["data"] if job["kind"] == regrouping.TASK} == {"succeeded"}
    assert _state(alice) == before


def test_a_split_and_a_detach_are_jobs(alice: make.Workspace, two: tuple[str, str]) -> None:
    for act in ("split", "detach"):
        before = _state(alice)
        member = alice.api.ok("GET", f"/v1/patterns/{two[0]}/members")["data"][0]["id"]
        answer = alice.api.post(f"/v1/patterns/{two[0]}/{act}", {"issue_ids": [member]})
        assert answer.status_code == 202
        alice.work()
        word = alice.api.ok("GET", "/v1/corrections")["data"][0]
        assert (word["kind"], word["moved"]) == (act, 10)
        alice.api.post(f"/v1/corrections/{word['id']}/undo")
        alice.work()
        assert _state(alice) == before


def test_what_moves_few_is_said_at_once(alice: make.Workspace, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(regrouping, "LARGE", 10)
    made = alice.api.ok("POST", f"/v1/patterns/{two[0]}/merge", {"source_pattern_id": two[1]})
    assert made["moved"] == 10
    assert alice.api.ok("POST", f"/v1/corrections/{made['id']}/undo")["revoked_by"] == alice.principal.name


def _queued(workspace: make.Workspace, two: tuple[str, str]) -> jobs.Running:
    job = workspace.api.post(f"/v1/patterns/{two[0]}/merge", {"source_pattern_id": two[1]}).json()["job_id"]
    with workspace.db() as db:
        found = jobs.get(db, ids.parse(ids.Prefix.JOB, job))
    return jobs.Running(workspace.installation.database, workspace.id, found.id, found.payload, None)


def test_a_job_that_starts_over_says_it_once(alice: make.Workspace, two: tuple[str, str]) -> None:
    running = _queued(alice, two)
    first = regrouping.task(running)
    after = _state(alice)
    assert regrouping.task(running) == first
    assert _state(alice) == after
    assert len(alice.api.ok("GET", "/v1/corrections")["data"]) == 1


def test_a_cancelled_job_leaves_no_trace(alice: make.Workspace, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    before, running, seen = _state(alice), _queued(alice, two), []

    def report(_job: jobs.Running, progress: float, message: str = "") -> None:
        seen.append((progress, message))
        if len(seen) == 4:
            raise jobs.Cancelled

    monkeypatch.setattr(jobs.Running, "report", report)
    with pytest.raises(jobs.Cancelled):
        regrouping.task(running)
    assert [message for _, message in seen[1:]] == ["0 of 10 failures moved", "2 of 10 failures moved", "4 of 10 failures moved"]
    assert _state(alice) == before
    assert alice.api.ok("GET", "/v1/corrections")["data"] == []


def test_what_is_no_longer_possible_is_told(alice: make.Workspace, two: tuple[str, str], monkeypatch: pytest.MonkeyPatch) -> None:
    running = _queued(alice, two)
    monkeypatch.setattr(regrouping, "LARGE", 10)
    alice.api.ok("POST", f"/v1/patterns/{two[0]}/merge", {"source_pattern_id": two[1]})
    with pytest.raises(jobs.Permanent, match="merged into"):
        regrouping.task(running)


def test_bad_words_are_refused_at_once(alice: make.Workspace, two: tuple[str, str]) -> None:
    same = alice.api.post(f"/v1/patterns/{two[0]}/merge", {"source_pattern_id": two[0]})
    assert same.status_code == 409
    gone = alice.api.post(f"/v1/corrections/{ids.show(ids.Prefix.CORRECTION, ids.new())}/undo")
    assert gone.status_code == 404
