"""Learning jobs that wait are taken along by the one that runs; each still ends with what became of its own issues."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix import worker
from everfix.core import db as database
from everfix.core import jobs
from everfix.failures import loop
from everfix.ingest.events import Issue
from tests import make

LEARN = worker.TASKS["failures.learn"]


def queued(alice: make.Workspace, *records: dict[str, Any]) -> UUID:
    found = alice.ingest(*records)
    with alice.db() as db:
        return jobs.enqueue(db, "failures.learn", {"issues": [str(issue) for issue in found]})


def work(alice: make.Workspace, job_id: UUID) -> jobs.Retry | None:
    return worker._one(LEARN, alice.installation, alice.id, job_id)


def job(alice: make.Workspace, job_id: UUID) -> jobs.Job:
    with alice.db() as db:
        return jobs.get(db, job_id)


def analysed(alice: make.Workspace) -> list[str]:
    """How far each issue is: grouped ("done") once it has a fingerprint."""
    with alice.db() as db:
        return ["done" if found else "pending" for found in db.execute(select(Issue.fingerprint).order_by(Issue.id)).scalars()]


def test_jobs_that_wait_are_taken_along(alice: make.Workspace) -> None:
    ids = [queued(alice, *make.failures(cause, (3, 2, 1))) for cause in ("database", "payments", "search")]
    assert work(alice, ids[0]) is None
    assert analysed(alice) == ["done"] * 9
    for one in ids:
        done = job(alice, one)
        assert (done.status, done.progress, done.result) == ("succeeded", 1.0, {"issues": 3, "patterns": 1})
        assert done.started_at is not None
        assert done.finished_at is not None
    with alice.db() as db:
        left = (
            db.execute(text("SELECT convert_from(payload, 'UTF8')::jsonb->>'job' FROM pgqueuer WHERE entrypoint = 'failures.learn'"))
            .scalars()
            .all()
        )
    assert left == [str(ids[0])]  # the queue itself takes away the ticket of the job that ran


def test_the_ticket_of_a_job_that_was_taken_along_changes_nothing(alice: make.Workspace) -> None:
    ids = [queued(alice, *make.failures(cause, (3, 2))) for cause in ("database", "payments")]
    work(alice, ids[0])
    before = job(alice, ids[1])
    assert work(alice, ids[1]) is None
    after = job(alice, ids[1])
    assert (after.finished_at, after.attempts, after.result) == (before.finished_at, before.attempts, before.result)


def test_a_job_taken_along_while_it_waited_for_the_lock_keeps_its_result(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    one = queued(alice, *make.failures("database", (3, 2)))
    with alice.db() as db:
        db.get_one(jobs.Job, (alice.id, one)).status = jobs.Status.RUNNING
    said = {"issues": 2, "patterns": 1}

    def lock(db: Session, _name: str) -> None:
        found = jobs.get(db, one)
        found.status, found.result = jobs.Status.SUCCEEDED, said
        db.flush()

    monkeypatch.setattr(database, "lock", lock)
    running = jobs.Running(alice.installation.database, alice.id, one, job(alice, one).payload, alice.installation)
    assert loop.task_learn(running) == said
    assert analysed(alice) == ["pending", "pending"]  # it did not learn a second time


def test_a_failure_leaves_the_others_to_themselves_and_is_tried_alone(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    ids = [queued(alice, *make.failures(cause, (3, 2))) for cause in ("database", "payments")]
    real = loop.learn

    def broken(db: Session, issues: list[UUID], **more: Any) -> loop.Batch:
        if len(issues) > 2:
            raise RuntimeError("one of these cannot be learnt from")
        return real(db, issues, **more)

    monkeypatch.setattr(loop, "learn", broken)
    again = work(alice, ids[0])
    assert again is not None
    assert "cannot be learnt from" in again.reason
    assert analysed(alice) == ["pending"] * 4
    assert work(alice, ids[0]) is None  # the second try takes nobody along
    assert job(alice, ids[0]).status == "succeeded"
    assert analysed(alice).count("pending") == 2
    assert work(alice, ids[1]) is None
    assert analysed(alice) == ["done"] * 4


def test_no_more_issues_are_taken_along_than_there_is_room_for(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(loop, "TOGETHER", 5)
    ids = [queued(alice, *make.failures(cause, (3, 2))) for cause in ("database", "payments", "search")]
    work(alice, ids[0])
    assert [job(alice, one).status for one in ids] == ["succeeded", "succeeded", "queued"]


def test_a_cancelled_job_is_not_taken_along(alice: make.Workspace) -> None:
    ids = [queued(alice, *make.failures(cause, (3, 2))) for cause in ("database", "payments")]
    with alice.db() as db:
        jobs.cancel(db, ids[1])
    work(alice, ids[0])
    assert job(alice, ids[1]).status == "cancelled"
    assert analysed(alice).count("pending") == 2


def test_together_or_one_by_one_the_patterns_are_the_same(alice: make.Workspace, bob: make.Workspace) -> None:
    records = [record for cause in ("database", "payments", "login") for record in make.failures(cause, (5, 3, 1))]
    for record in records:
        bob.learn(record)
    ids = [queued(alice, record) for record in records]
    work(alice, ids[0])
    groups = []
    for one in (alice, bob):
        with one.db() as db:
            rows = db.execute(select(Issue.external_id, Issue.pattern_id, Issue.fingerprint).order_by(Issue.external_id)).all()
        together = {row.pattern_id: sorted(other.external_id for other in rows if other.pattern_id == row.pattern_id) for row in rows}
        groups.append([(row.external_id, row.fingerprint, together[row.pattern_id]) for row in rows])
    assert groups[0] == groups[1]


def test_the_loaded_issues_say_what_was_written(alice: make.Workspace) -> None:
    found = alice.ingest(*make.failures("database", (3, 2)))
    with alice.db() as db:
        batch = loop.learn(db, found, now=make.NOW)
        said = [(issue.pattern_id, issue.fingerprint, issue.assignment, issue.analysis_status, issue.analyzed_at) for issue in batch.issues]
    with alice.db() as db:
        rows = db.execute(select(Issue).order_by(Issue.occurred_at)).scalars().all()
        assert [(row.pattern_id, row.fingerprint, row.assignment, row.analysis_status, row.analyzed_at) for row in rows] == said
    assert said[0][0] == said[1][0]
