"""Jobs: queued with their caller's work or not at all, tried again with growing waits, kept with their cause when they fail for good."""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import text

from everfix.core import ids, jobs
from everfix.core.db import Database
from everfix.core.jobs import Running, Status, Task
from everfix.errors import Conflict, NotFound
from tests import make


def queue(workspace: make.Workspace, kind: str = "failures.refresh", **payload: Any) -> UUID:
    with workspace.db() as db:
        return jobs.enqueue(db, kind, payload, by="test")


def job(workspace: make.Workspace, job_id: UUID) -> jobs.Job:
    with workspace.db() as db:
        return jobs.get(db, job_id)


def running(workspace: make.Workspace, job_id: UUID) -> Running:
    return Running(workspace.installation.database, workspace.id, job_id, job(workspace, job_id).payload, workspace.installation)


def failing(*, times: int = 99, error: Callable[[], Exception] = lambda: ValueError("no luck")) -> tuple[Task, list[int]]:
    calls: list[int] = []

    def run(_: Running) -> None:
        calls.append(1)
        if len(calls) <= times:
            raise error()

    return Task(run), calls


def tickets(owner: Database) -> list[dict[str, Any]]:
    with owner.transaction() as db:
        return [json.loads(bytes(row[0])) for row in db.execute(text("SELECT payload FROM pgqueuer WHERE status = 'queued'"))]


def test_a_job_is_queued_with_its_callers_work(alice: make.Workspace, owner: Database) -> None:
    job_id = queue(alice, "failures.refresh", a=1)
    found = job(alice, job_id)
    assert (found.status, found.kind, found.payload, found.created_by, found.progress, found.attempts) == (
        "queued",
        "failures.refresh",
        {"a": 1},
        "test",
        0,
        0,
    )
    assert tickets(owner) == [{"workspace": str(alice.id), "job": str(job_id)}]


def test_a_rollback_leaves_no_job(alice: make.Workspace, owner: Database) -> None:
    class Changed(Exception):
        pass

    with pytest.raises(Changed), alice.db() as db:
        jobs.enqueue(db, "failures.refresh", {})
        raise Changed
    with alice.db() as db:
        assert jobs.backlog(db) == (0, None)
    assert tickets(owner) == []


def test_a_job_outside_of_a_workspace_is_refused(alice: make.Workspace) -> None:
    with pytest.raises(Exception, match=r"null value|workspace|row-level security"), alice.installation.database.transaction() as db:
        jobs.enqueue(db, "failures.refresh", {})


def test_a_delay_is_kept_by_the_queue(alice: make.Workspace, owner: Database) -> None:
    with alice.db() as db:
        jobs.enqueue(db, "failures.refresh", {}, delay=timedelta(hours=1))
    with owner.transaction() as db:
        waiting = db.execute(text("SELECT execute_after > now() + interval '50 minutes' FROM pgqueuer")).scalar_one()
    assert waiting


def test_a_job_succeeds_with_its_result(alice: make.Workspace, time: Any) -> None:
    job_id = queue(alice)
    assert jobs.work(Task(lambda _: {"made": 3}), running(alice, job_id), attempts=3) is None
    found = job(alice, job_id)
    assert (found.status, found.result, found.progress, found.attempts, found.error) == ("succeeded", {"made": 3}, 1.0, 1, None)
    assert (found.started_at, found.finished_at) == (make.NOW, make.NOW)


def test_a_failing_job_is_tried_again_with_growing_waits(alice: make.Workspace) -> None:
    job_id = queue(alice)
    task, calls = failing()
    waits = []
    for tries in range(1, 5):
        retry = jobs.work(task, running(alice, job_id), attempts=5)
        assert retry is not None
        assert "ValueError: no luck" in retry.reason
        waits.append(retry.wait.total_seconds())
        found = job(alice, job_id)
        assert (found.status, found.attempts) == ("queued", tries)
        assert found.message == f"try {tries} of 5 failed; will be tried again"
        assert "no luck" in (found.error or "")
    assert all(0.8 * 2**n <= wait <= 1.2 * 2**n for n, wait in enumerate(waits))
    assert jobs.work(task, running(alice, job_id), attempts=5) is None
    found = job(alice, job_id)
    assert (found.status, len(calls)) == ("failed", 5)
    assert (found.error or "").startswith("ValueError: no luck (in run, line ")
    assert found.finished_at is not None


def test_waits_have_a_bound(alice: make.Workspace) -> None:
    job_id = queue(alice)
    with alice.db() as db:
        db.execute(text("UPDATE jobs SET attempts = 40"))
    retry = jobs.work(failing()[0], running(alice, job_id), attempts=50)
    assert retry is not None
    assert retry.wait <= timedelta(seconds=360)


def test_a_job_that_recovers_forgets_its_failure(alice: make.Workspace) -> None:
    job_id = queue(alice)
    task, _ = failing(times=1)
    assert jobs.work(task, running(alice, job_id), attempts=3) is not None
    assert jobs.work(task, running(alice, job_id), attempts=3) is None
    found = job(alice, job_id)
    assert (found.status, found.error, found.message) == ("succeeded", None, "")


def test_a_permanent_failure_is_not_tried_again(alice: make.Workspace) -> None:
    job_id = queue(alice)
    task, calls = failing(error=lambda: jobs.Permanent("the file is no CSV"))
    assert jobs.work(task, running(alice, job_id), attempts=5) is None
    assert (job(alice, job_id).status, job(alice, job_id).error, len(calls)) == ("failed", "the file is no CSV", 1)


def test_a_tasks_own_number_of_tries_counts(alice: make.Workspace) -> None:
    job_id = queue(alice)
    task, _ = failing()
    once = Task(task.run, attempts=1)
    assert jobs.work(once, running(alice, job_id), attempts=5) is None
    assert job(alice, job_id).status == "failed"


def test_the_last_failure_tells_the_task(alice: make.Workspace) -> None:
    told: list[str] = []
    job_id = queue(alice)
    task = Task(failing()[0].run, failed=lambda _, cause: told.append(cause))
    jobs.work(task, running(alice, job_id), attempts=2)
    assert told == []
    jobs.work(task, running(alice, job_id), attempts=2)
    assert len(told) == 1
    assert "no luck" in told[0]


def test_a_failing_analysis_shows_on_its_issues(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from everfix.failures import loop

    told = alice.api.ok("POST", "/v1/ingest/events", make.event())

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError("model away")

    monkeypatch.setattr(loop, "learn", broken)
    for _ in range(alice.installation.settings.job_attempts):
        alice.work_once()
    assert alice.api.ok("GET", f"/v1/issues/{told['issue_id']}")["analysis_status"] == "failed"
    status = alice.api.ok("GET", f"/v1/ingest/status/{told['job_id']}")
    assert status["status"] == "failed"
    assert "RuntimeError: model away" in status["error"]


def test_progress_is_seen_while_a_job_runs(alice: make.Workspace) -> None:
    job_id = queue(alice)
    seen: list[tuple[str, float, str]] = []

    def run(work: Running) -> None:
        for step in (-1.0, 0.25, 7.0):
            work.report(step, f"step {step}")
            found = alice.api.ok("GET", f"/v1/jobs/{job_id}")
            seen.append((found["status"], found["progress"], found["message"]))

    jobs.work(Task(run), running(alice, job_id), attempts=1)
    assert seen == [("running", 0.0, "step -1.0"), ("running", 0.25, "step 0.25"), ("running", 1.0, "step 7.0")]


def test_a_cancelled_waiting_job_never_starts(alice: make.Workspace) -> None:
    job_id = queue(alice)
    told = alice.api.ok("POST", f"/v1/jobs/{job_id}/cancel")
    assert (told["status"], told["finished_at"] is None) == ("cancelled", False)
    task, calls = failing()
    assert jobs.work(task, running(alice, job_id), attempts=3) is None
    assert calls == []
    assert job(alice, job_id).status == "cancelled"


def test_a_cancelled_running_job_stops_at_its_next_report(alice: make.Workspace) -> None:
    job_id = queue(alice)
    steps: list[int] = []

    def run(work: Running) -> None:
        work.report(0.1)
        steps.append(1)
        assert alice.api.ok("POST", f"/v1/jobs/{job_id}/cancel")["status"] == "running"
        work.report(0.2)
        steps.append(2)

    assert jobs.work(Task(run), running(alice, job_id), attempts=3) is None
    assert steps == [1]
    assert job(alice, job_id).status == "cancelled"


def test_an_ended_job_cannot_be_cancelled(alice: make.Workspace) -> None:
    job_id = queue(alice)
    jobs.work(Task(lambda _: None), running(alice, job_id), attempts=1)
    answer = alice.api.post(f"/v1/jobs/{job_id}/cancel")
    assert answer.status_code == 409
    assert answer.json()["error"]["code"] == "conflict"
    with pytest.raises(Conflict), alice.db() as db:
        jobs.cancel(db, job_id)


def test_a_failing_job_that_was_cancelled_is_not_tried_again(alice: make.Workspace) -> None:
    job_id = queue(alice)

    def run(_: Running) -> None:
        alice.api.ok("POST", f"/v1/jobs/{job_id}/cancel")
        raise ValueError("too late")

    assert jobs.work(Task(run), running(alice, job_id), attempts=3) is None
    assert job(alice, job_id).status == "cancelled"


def test_a_finished_job_is_not_done_again(alice: make.Workspace) -> None:
    """A worker that was only slow may come back after another has finished its job."""
    job_id = queue(alice)
    jobs.work(Task(lambda _: {"by": "first"}), running(alice, job_id), attempts=1)
    task, calls = failing()
    assert jobs.work(task, running(alice, job_id), attempts=1) is None
    assert calls == []
    assert job(alice, job_id).result == {"by": "first"}


def test_jobs_are_listed_newest_first(alice: make.Workspace) -> None:
    made = [ids.show(ids.Prefix.JOB, queue(alice)) for _ in range(3)]
    assert make.ids_of(alice.api.ok("GET", "/v1/jobs")["data"]) == made[::-1]
    with alice.db() as db:
        waiting, since = jobs.backlog(db)
    assert waiting == 3
    assert since is not None


def test_a_job_that_is_not_there(alice: make.Workspace) -> None:
    with pytest.raises(NotFound), alice.db() as db:
        jobs.get(db, ids.new())


def test_final_statuses_are_the_last_three() -> None:
    assert tuple(Status)[-3:] == jobs.FINAL


def test_an_error_is_kept_short() -> None:
    assert len(jobs.describe(ValueError("x" * 10_000))) == jobs.ERROR_CHARACTERS
    assert jobs.describe(ValueError("x")) == "ValueError: x"


def test_cancelling_leaves_a_trace(alice: make.Workspace) -> None:
    job_id = queue(alice)
    alice.api.ok("POST", f"/v1/jobs/{job_id}/cancel")
    with alice.db() as db:
        entry = db.execute(text("SELECT action, target_id FROM audit_log ORDER BY number DESC LIMIT 1")).one()
    assert (entry.action, entry.target_id) == ("job.cancelled", job_id)


def test_whoever_waits_in_this_process_is_told(alice: make.Workspace) -> None:
    told: list[tuple[float, str]] = []
    job_id = queue(alice)
    told_too = dataclasses.replace(running(alice, job_id), told=lambda done, words: told.append((done, words)))
    jobs.work(Task(lambda work: work.report(0.5, "half")), told_too, attempts=1)
    assert told == [(0.5, "half")]
