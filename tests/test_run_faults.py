"""The fault matrix of a run from its slot to its recipients: killed at each step, without room, without a model, without one format."""

from __future__ import annotations

import dataclasses
import subprocess
from collections.abc import Iterator
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
from obstore.store import LocalStore
from sqlalchemy import text

from everfix import documents
from everfix.core import jobs
from everfix.core.storage import Storage
from everfix.delivery import outbox, send
from everfix.documents.model import Document
from everfix.errors import Unavailable
from everfix.reports import build, execution, making, pictures, runs, sending, ticks
from tests import delivering, make, sinks
from tests.conftest import Clock
from tests.test_scheduled_delivery import fire, ledger
from tests.test_schedules import NOON, made, schedule, tick

TO = ["a@shop.example"]


class Killed(BaseException):
    """A power cut: nothing catches it."""


@pytest.fixture
def anna(alice: make.Workspace, post: sinks.MailSink, tmp_path: Path) -> Iterator[make.Workspace]:
    here = delivering.reaching(alice, smtp=post.url, data_dir=tmp_path)
    yield here
    here.installation.accepted.close()


# Each step from the tick to the ledger: where the process dies (before it, or right after it) → calls of it that go well before.
POINTS: dict[str, tuple[Any, str, int]] = {
    "while the slot's rows are planned": (sending, "plan", 0),
    "while the run is queued": (runs, "enqueue", 0),
    "when the job is taken": (jobs, "_take", 0),
    "when the run is taken": (execution, "_start", 0),
    "while the figures are built": (build, "figures", 0),
    "while the narrative is written": (making, "narrated", 0),
    "before the snapshot is kept": (making, "digest", 0),
    "while the first format is drawn": (documents, "render", 0),
    "while the second format is drawn": (documents, "render", 1),
    "while a file is stored": (Storage, "put", 0),
    "between two files": (Storage, "put", 1),
    "while charts are drawn": (pictures, "draw", 0),
    "before the message is released": (execution, "_send", 0),
    "before the run is ended": (execution, "finish", 0),
    "when the delivery is taken": (send, "_take", 0),
    "before the call": (send, "_envelope", 0),
    "after the receiver's answer": (send, "_sent", 0),
    "before a job's end is noted": (jobs, "_finish", 0),
    "before the delivery's end is noted": (jobs, "_finish", 1),
}


def _dying(patch: pytest.MonkeyPatch, owner: Any, name: str, after: int, when: str) -> list[int]:
    """Let `owner.name` die at one call, before it or after it."""
    real, calls = getattr(owner, name), []

    def call(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) != after + 1:
            return real(*given, **more)
        if when == "after":
            real(*given, **more)
        raise Killed

    patch.setattr(owner, name, call)
    return calls


def _alive_again(workspace: make.Workspace) -> None:
    """What the heartbeat does: the job of a worker that died is taken over."""
    with workspace.db() as db:
        db.execute(text("UPDATE jobs SET status = 'queued' WHERE status = 'running'"))


@pytest.mark.parametrize("when", ["before", "after"])
@pytest.mark.parametrize("point", list(POINTS))
def test_killed_at_any_point_a_report_arrives_once(
    anna: make.Workspace, post: sinks.MailSink, time: Clock, monkeypatch: pytest.MonkeyPatch, point: str, when: str
) -> None:
    schedule(anna, recipients=TO, formats=["json", "csv"])
    time.at = NOON + timedelta(seconds=1)
    with monkeypatch.context() as patch:
        calls = _dying(patch, *POINTS[point], when)
        with pytest.raises(Killed):
            tick(anna, time.at)
            anna.work()
        assert calls
    _alive_again(anna)
    tick(anna, time.at + timedelta(seconds=5))
    anna.work()
    (run,), (row,) = made(anna), ledger(anna)
    assert (run.status, run.reason, row.status) == ("succeeded", "", "sent")
    assert len(post.mails) == 1
    with anna.db() as db:
        assert sorted(file.format for file in runs.files(db, [run.id])[run.id]) == ["csv", "json"]


@pytest.fixture
def small(tmp_path: Path) -> Iterator[Path]:
    """A file system of 64 kB."""
    place = tmp_path / "small"
    place.mkdir()
    if subprocess.run(["mount", "-t", "tmpfs", "-o", "size=64k", "tmpfs", str(place)], capture_output=True, check=False).returncode:
        pytest.skip("mounting a small file system needs rights; tests/test_storage.py has the nearest to it that needs none")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def test_a_disk_that_is_really_full(anna: make.Workspace, small: Path, time: Clock) -> None:
    """The report fails in words after its tries; with room again the same slot's next run is made."""
    (small / "ballast").write_bytes(bytes(60_000))
    full = dataclasses.replace(anna.installation, storage=Storage(LocalStore(str(small))))
    here = make.Workspace(make.Seeded(anna.name, anna.id, anna.users, anna.secrets), anna.client, full)
    fire(here, time, recipients=TO, formats=["json", "html"])
    (row,), (run,) = ledger(here), made(here)
    assert (row.status, run.status) == ("failed", "failed")
    assert "is full" in row.reason
    assert [path.name for path in small.rglob("*") if path.is_file() and path.name != "ballast" and path.stat().st_size == 0] == []


def _undrawn(patch: pytest.MonkeyPatch, *formats: str) -> None:
    real = documents.render

    def call(document: Document, format_: str) -> bytes:
        if format_ in formats:
            raise ValueError("no glyph for \ue000")
        return real(document, format_)

    patch.setattr(documents, "render", call)


def test_one_format_that_cannot_be_drawn_withholds_no_other(
    anna: make.Workspace, post: sinks.MailSink, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    _undrawn(monkeypatch, "html")
    fire(anna, time, recipients=TO, formats=["csv", "html", "json"])
    (row,), (run,), (mail,) = ledger(anna), made(anna), post.mails
    words = "This report comes without HTML: that could not be drawn; what is here is whole."
    assert (row.status, run.status, run.reason) == ("sent", "partial", words)
    body = mail.get_body(("plain",))
    assert body is not None
    assert words in " ".join(body.get_content().split())
    assert sorted(str(part.get_filename()).rpartition(".")[2] for part in mail.iter_attachments()) == ["csv", "json"]
    with anna.db() as db:
        assert outbox.get(db, row.id).status == "sent"


def test_no_format_that_can_be_drawn_fails_the_run(anna: make.Workspace, time: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    _undrawn(monkeypatch, "html", "json")
    fire(anna, time, recipients=TO, formats=["html", "json"])
    (row,), (run,) = ledger(anna), made(anna)
    assert (row.status, run.status) == ("failed", "failed")
    assert "no glyph" in row.reason


@pytest.mark.parametrize(
    ("field", "wrong"),
    [("cron", "61 * * * *"), ("cron", "every now and then"), ("timezone", "Europe/Atlantis"), ("recipients", ["nobody"])],
)
def test_bad_input_is_refused_by_name_and_leaves_no_row(anna: make.Workspace, field: str, wrong: Any) -> None:
    body = {"report_type": "issue_digest", "name": "Wrong", "cron": "0 9 * * *", "recipients": TO, field: wrong}
    answer = anna.api.post("/v1/reports/schedules", body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["error"]["details"], answer.text
    assert ledger(anna) == []


def test_nobody_to_send_to_is_said_and_kept(anna: make.Workspace, time: Clock) -> None:
    """A schedule without recipients is made for the page: a run, no row, and no failure."""
    fire(anna, time, recipients=[])
    (run,) = made(anna)
    assert (run.status, ledger(anna)) == ("succeeded", [])


def test_two_schedulers_and_a_clock_that_jumps_serve_a_slot_once(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    schedule(anna, recipients=TO)
    time.at = NOON + timedelta(seconds=1)
    started = [
        ticks.tick(anna.installation, at).started for at in (NOON, NOON, NOON + timedelta(days=-1), NOON + timedelta(seconds=9), NOON)
    ]
    anna.work()
    assert (sum(started), len(made(anna)), len(post.mails)) == (1, 1, 1)


def test_storage_that_is_away_for_a_while_only_delays(
    anna: make.Workspace, post: sinks.MailSink, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(anna, recipients=TO)
    time.at = NOON + timedelta(seconds=1)
    tick(anna, time.at)
    real, calls = Storage.put, []

    def away(*given: Any) -> Any:
        calls.append(1)
        if len(calls) < 3:
            raise Unavailable("the storage cannot be reached")
        return real(*given)

    monkeypatch.setattr(Storage, "put", away)
    anna.work()
    (row,), (run,) = ledger(anna), made(anna)
    assert (row.status, run.status, len(post.mails)) == ("sent", "succeeded", 1)
