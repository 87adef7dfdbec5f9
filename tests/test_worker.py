"""The worker, as a real process: takes jobs, finishes what it has in hand, and what a killed one had is taken over."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import httpx
import psycopg
import pytest
from sqlalchemy import text

from everfix import worker
from everfix.app import create_app
from everfix.core import db as database
from everfix.core import ids, jobs, storage
from everfix.core.crypto import Keys
from everfix.core.db import Database
from everfix.installation import Installation
from everfix.settings import Settings
from tests import client as clients
from tests import make
from tests.conftest import MASTER_KEY
from tests.processes import Running, everfix, wait

READY = "worker takes jobs"


class Place:
    """A database and a data directory of their own, for real processes."""

    def __init__(self, url: str, folder: Path, keys: Keys, seeded: make.Seeded) -> None:
        self.url, self.folder = url, folder
        self.settings = {
            "database_url": url,
            "master_key": MASTER_KEY,
            "data_dir": folder / "data",
            "job_heartbeat_seconds": 1,
            "job_attempts": 2,
        }
        settings = Settings(data_dir=folder / "data", master_key=MASTER_KEY, database_url=url, public_url="http://testserver")
        app = Database(database.with_role(url, "everfix_app", keys.derive("database role").hex()))
        self.installation = Installation(settings, app, storage.open_(settings), keys, url)
        self._seeded = seeded
        self._stack = ExitStack()
        client = self._stack.enter_context(clients.over(create_app(self.installation)))
        self.alice = make.Workspace(seeded, client, self.installation)

    @contextmanager
    def worker(self, name: str = "worker", *, wait_for: bool = True, **settings: object) -> Iterator[Running]:
        with everfix(self.folder / name, "worker", **{**self.settings, **settings}) as running:
            if wait_for:
                running.says(READY)
            yield running

    @contextmanager
    def held(self, statement: str) -> Iterator[psycopg.Connection[Any]]:
        """Hold a lock in the database, so that a job stands still at a place of the test's choice."""
        with psycopg.connect(self.url) as connection:
            connection.execute(statement)  # type: ignore[arg-type,unused-ignore]
            yield connection
            connection.rollback()

    def job(self, job_id: str) -> dict[str, Any]:
        return self.alice.api.ok("GET", f"/v1/jobs/{job_id}")  # type: ignore[no-any-return]

    def becomes(self, job_id: str, *statuses: str) -> dict[str, Any]:
        return wait(lambda: (found := self.job(job_id))["status"] in statuses and found, f"{job_id} {statuses}: {self.job(job_id)}")  # type: ignore[return-value]

    def blocked(self) -> bool:
        """Tell whether some session waits for a lock."""
        with psycopg.connect(self.url) as connection:
            row = connection.execute(
                "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()
        return bool(row and row[0])

    def close(self) -> None:
        self._stack.close()
        self.installation.close()


@pytest.fixture
def place(clone: Callable[[str], str], prepared: tuple[str, dict[str, make.Seeded]], keys: Keys, tmp_path: Path) -> Iterator[Place]:
    made = Place(clone("place"), tmp_path, keys, prepared[1]["alice"])
    yield made
    made.close()


def report(place: Place) -> dict[str, Any]:
    body = {"template": "blank", "sections": ["issue_kpis", "issue_list"], "formats": ["json", "csv", "markdown"]}
    return place.alice.api.ok("POST", "/v1/reports/generate", body)  # type: ignore[no-any-return]


def files(place: Place, job: str) -> list[str]:
    found = place.alice.api.ok("GET", f"/v1/reports/jobs/{job}")
    assert all(place.alice.client.get(file["download_url"]).status_code == 200 for file in found["files"])
    return [file["format"] for file in found["files"]]


def test_a_killed_workers_report_is_taken_over_and_made_once(place: Place) -> None:
    place.alice.learn(*make.failures("database", (9, 5, 3, 2, 1)))
    with place.worker("first") as first:
        with place.held("LOCK TABLE files IN EXCLUSIVE MODE"):
            job = report(place)["id"]
            wait(place.blocked, "the report to stand still before its first file")
            assert place.job(job)["status"] == "running"
            first.kill()
        snapshot = _one(place, "SELECT document::text, as_of::text FROM report_runs")
        assert snapshot[0] is not None, "the Document was kept before the first file"
        with place.worker("second"):
            done = place.becomes(job, "succeeded", "failed")
    assert (done["status"], done["attempts"]) == ("succeeded", 2), done
    assert files(place, job) == ["json", "csv", "markdown"]
    assert _one(place, "SELECT count(*) FROM files") == (3,)
    assert _one(place, "SELECT count(*) FROM report_runs") == (1,)
    assert _one(place, "SELECT document::text, as_of::text FROM report_runs") == snapshot, "taken over, not made anew"


def test_what_a_killed_worker_had_learnt_is_neither_lost_nor_doubled(place: Place) -> None:
    records = make.failures("database", (9, 5, 3, 2, 1)) + make.failures("login", (4, 2))
    with place.worker("first") as first:
        with place.held("LOCK TABLE verifications IN ACCESS EXCLUSIVE MODE"):
            told = place.alice.api.ok("POST", "/v1/ingest/batch", {"records": records})
            wait(place.blocked, "the loop to stand still at its last step")
            first.kill()
        assert _one(place, "SELECT count(*) FROM patterns") == (0,), "the loop is one transaction"
        with place.worker("second"):
            wait(
                lambda: place.alice.api.ok("GET", f"/v1/ingest/status/{told['job_id']}")["status"] == "succeeded",
                "the loop to be taken over",
            )
    assert _one(place, "SELECT count(*), sum(issue_count)::int FROM patterns") == (2, 7)
    assert _one(place, "SELECT count(*) FROM issues WHERE fingerprint IS NOT NULL") == (7,)
    assert _one(place, "SELECT sum(failures)::int FROM pattern_hours") == (7,)


def test_sigterm_finishes_the_job_in_hand(place: Place) -> None:
    with place.worker() as running:
        with place.held("LOCK TABLE files IN EXCLUSIVE MODE"):
            job = report(place)["id"]
            waiting = report(place)["id"]
            wait(place.blocked, "the report to stand still")
            running.process.terminate()
            assert not _ended(running, 1.0), "it waits for the job in hand"
        assert running.ends() == 0
    assert place.job(job)["status"] == "succeeded"
    assert place.job(waiting)["status"] in ("queued", "succeeded", "running")
    assert "worker has finished what it had in hand" in running.log
    assert "Traceback" not in running.log


def _ended(running: Running, seconds: float) -> bool:
    try:
        wait(lambda: running.process.poll() is not None, "the end", seconds)
    except AssertionError:
        return False
    return True


def test_two_workers_share_the_work_and_do_each_job_once(place: Place) -> None:
    told = [
        place.alice.api.ok("POST", "/v1/ingest/batch", {"records": make.failures("search", (n + 1,), end=make.NOW, source=s)})
        for n, s in enumerate(SOURCES)
    ]
    with place.worker("first", wait_for=False) as first, place.worker("second", wait_for=False) as second:
        for running in (first, second):
            running.says(READY)
        wait(lambda: _one(place, "SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')") == (0,), "all jobs to end")
        assert (first.stop(), second.stop()) == (0, 0)
    assert _one(place, "SELECT count(*), max(attempts) FROM jobs WHERE status = 'succeeded' AND kind = 'failures.learn'") == (len(told), 1)
    assert _one(place, "SELECT count(*), max(issue_count) FROM patterns") == (1, len(SOURCES)), (
        "equal failures of concurrent jobs meet in one pattern"
    )


SOURCES = ("pagerduty", "jira", "sentry", "datadog", "grafana", "zendesk", "okta", "splunk", "jenkins", "gitlab", "heroku", "stripe")


def test_a_job_that_always_fails_is_tried_again_and_becomes_a_dead_letter(place: Place) -> None:
    with place.alice.db() as db:
        job_id = jobs.enqueue(db, "reports.run", {"run": str(ids.new())}, by="test")
    with place.worker():
        done = place.becomes(str(job_id), "failed")
    assert done["attempts"] == 2
    assert done["error"].startswith("NotFound: no report run run_")


def test_a_cancelled_job_is_not_taken_and_holds_up_nothing(place: Place) -> None:
    cancelled = report(place)["id"]
    place.alice.api.ok("POST", f"/v1/jobs/{cancelled}/cancel")
    following = report(place)["id"]
    with place.worker():
        place.becomes(following, "succeeded")
        wait(lambda: _one(place, "SELECT count(*) FROM pgqueuer") == (0,), "both tickets to go")
    assert (place.job(cancelled)["status"], place.job(cancelled)["attempts"]) == ("cancelled", 0)


def test_a_worker_needs_a_database(tmp_path: Path) -> None:
    with everfix(tmp_path, "worker", data_dir=tmp_path / "data") as running:
        assert running.ends() == 1
        assert "needs EVERFIX_DATABASE_URL" in running.log
        assert "Traceback" not in running.log


def test_a_database_out_of_reach_is_said_in_one_line(tmp_path: Path) -> None:
    with everfix(tmp_path, "worker", data_dir=tmp_path / "data", database_url="postgresql://nobody@127.0.0.1:1/none") as running:
        assert running.ends() == 1
        assert "cannot be reached" in running.log
        assert "Traceback" not in running.log


def _one(place: Place, query: str) -> tuple[Any, ...]:
    with psycopg.connect(place.url) as connection:
        row = connection.execute(query).fetchone()  # type: ignore[arg-type,unused-ignore]
    assert row is not None
    return row


# --- the clock, in this process ---


def test_the_clock_queues_a_refresh_once_an_hour_for_each_live_workspace(
    alice: make.Workspace, bob: make.Workspace, installation: Installation
) -> None:
    assert worker.tick(installation) == 0, "nothing lives anywhere"
    alice.learn(*make.failures("database", (3, 2, 1)))
    assert worker.tick(installation) == 1
    assert worker.tick(installation) == 0
    with alice.db() as db:
        db.execute(text("UPDATE jobs SET created_at = created_at - interval '61 minutes'"))
    bob.learn(*make.failures("database", (3, 2, 1)))
    assert worker.tick(installation) == 2
    assert alice.work() == 2
    with alice.db() as db:
        assert db.execute(text("SELECT DISTINCT status, created_by FROM jobs")).one() == ("succeeded", "clock")


def test_every_kind_that_is_queued_has_a_task() -> None:
    """A job whose kind no worker knows would wait for ever."""
    import re

    from tests.test_layers import FILES

    queued = {kind for file in FILES for kind in re.findall(r'enqueue\(\s*db,\s*"([^"]+)"', file.read_text(encoding="utf-8"))}
    assert queued
    assert queued <= set(worker.TASKS)


def test_a_ticket_of_a_deleted_job_is_no_error(alice: make.Workspace, installation: Installation) -> None:
    assert worker._one(worker.TASKS["reports.run"], installation, alice.id, UUID(int=1)) is None


def test_only_named_origins_may_call_from_a_browser(installation: Installation) -> None:
    settings = installation.settings.model_copy(update={"allowed_origins": ("https://app.example",)})
    asked = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,content-type"}
    with clients.over(create_app(dataclasses.replace(installation, settings=settings))) as client:
        allowed = client.options("/v1/issues", headers={"Origin": "https://app.example", **asked})
        refused = client.options("/v1/issues", headers={"Origin": "https://evil.example", **asked})
        answer = client.get("/health", headers={"Origin": "https://app.example"})
    assert (allowed.status_code, allowed.headers["access-control-allow-origin"]) == (200, "https://app.example")
    assert "access-control-allow-origin" not in refused.headers
    assert answer.headers["access-control-expose-headers"] == "X-Request-Id"
    with clients.over(create_app(installation)) as client:
        assert "access-control-allow-origin" not in client.get("/health", headers={"Origin": "https://app.example"}).headers


def test_health_and_ready(installation: Installation) -> None:
    app = create_app(installation)
    with clients.over(app) as client:
        assert client.get("/health").json() == {"status": "ok"}
        assert client.get("/ready").json() == {"status": "ready", "checks": {"database": True}}
        app.state.stopping = True
        answers: list[httpx.Response] = [client.get("/health"), client.get("/ready")]
    assert [answer.status_code for answer in answers] == [503, 503]
    assert [answer.json()["status"] for answer in answers] == ["unhealthy", "unavailable"]
