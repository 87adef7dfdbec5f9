"""What was accepted is not sent again: the note made at once, found by whoever takes the delivery over, after a kill at any moment."""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from bench import schedules as herds
from everfix.core import db as database
from everfix.core import ids, storage
from everfix.core.crypto import Keys
from everfix.core.db import Database
from everfix.delivery import acceptances, pagerduty, send
from everfix.delivery.acceptances import Call, Journal
from everfix.installation import Installation
from everfix.reports import ticks
from everfix.settings import Settings
from tests import delivering, make, processes, sinks
from tests.conftest import MASTER_KEY

RECEIPT = {"status": 200}


def call(number: int = 0) -> Call:
    return Call(ids.new(), ids.new(), number)


@pytest.fixture
def journal(tmp_path: Path) -> Iterator[Journal]:
    made = Journal(tmp_path / "accepted")
    yield made
    made.close()


def dies(journal: Journal) -> None:
    """Let go of the file as a killed process does."""
    assert journal._file is not None
    os.close(journal._file)
    journal._file = journal._path = None


def accept(journal: Journal, one: Call, receipt: dict[str, Any] = RECEIPT) -> None:
    """Note an acceptance, and fail to tell the ledger."""
    with pytest.raises(ConnectionError), journal.under_way(one) as accepted:
        accepted(receipt)
        accepted({"status": "noted once"})
        raise ConnectionError


def test_a_note_is_found_by_another_process_and_only_for_its_own_try(journal: Journal) -> None:
    one = call()
    accept(journal, one)
    other = Journal(journal.folder)
    assert other.found(one) == RECEIPT
    assert other.found(one._replace(number=1)) is None
    assert other.found(call()) is None


def test_the_living_are_left_alone_and_the_dead_are_settled_once(journal: Journal) -> None:
    one, told = call(), []
    accept(journal, one)
    other = Journal(journal.folder)
    assert other.settle(lambda *given: told.append(given)) == 0
    dies(journal)
    assert other.settle(lambda *given: told.append(given)) == 1
    assert other.settle(lambda *given: told.append(given)) == 0
    assert told == [(one, RECEIPT)]
    assert list(journal.folder.iterdir()) == []


def test_what_cannot_be_told_stays_for_the_next_time(journal: Journal) -> None:
    accept(journal, one := call())
    dies(journal)
    other = Journal(journal.folder)

    def down(*_: object) -> None:
        raise ConnectionError

    with pytest.raises(ConnectionError):
        other.settle(down)
    assert other.found(one) == RECEIPT


def test_a_line_cut_by_a_full_disk_is_no_note(journal: Journal) -> None:
    accept(journal, one := call())
    assert journal._file is not None
    os.write(journal._file, b'["half a li')
    dies(journal)
    told: list[Call] = []
    assert Journal(journal.folder).settle(lambda found, _: told.append(found)) == 1
    assert told == [one]


def test_the_file_does_not_grow_and_keeps_what_is_under_way(journal: Journal, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(acceptances, "RENEW_BYTES", 2_000)
    accept(journal, kept := call())
    for number in range(100):
        with journal.under_way(call(number)) as accepted:
            accepted(RECEIPT)
    (path,) = journal.folder.iterdir()
    assert path.stat().st_size < 2_500
    assert Journal(journal.folder).found(kept) == RECEIPT
    dies(journal)
    assert Journal(journal.folder).settle(lambda *_: None) >= 1


def test_a_clean_end_leaves_no_file_and_a_failed_call_no_note(journal: Journal) -> None:
    one = call()
    with pytest.raises(ZeroDivisionError), journal.under_way(one):
        raise ZeroDivisionError
    assert journal.found(one) is None
    assert len(list(journal.folder.iterdir())) == 1
    journal.close()
    journal.close()
    assert list(journal.folder.iterdir()) == []


def test_what_was_not_told_outlives_a_clean_end(journal: Journal) -> None:
    accept(journal, one := call())
    journal.close()
    assert Journal(journal.folder).found(one) == RECEIPT


def test_without_room_for_notes_messages_are_sent_all_the_same(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("a file where the folder should be")
    made = Journal(tmp_path / "file" / "accepted")
    with made.under_way(one := call()) as accepted:
        accepted(RECEIPT)
    assert made.found(one) is None


def test_a_full_disk_at_the_note_does_not_fail_what_was_taken(journal: Journal) -> None:
    with journal.under_way(call()):
        pass
    full = os.open("/dev/full", os.O_WRONLY)
    with contextlib.closing(_Restored(journal, full)), journal.under_way(one := call()) as accepted:
        accepted(RECEIPT)
    assert journal.found(one) is None


class _Restored:
    """Puts a full disk in the place of a journal's file for a while."""

    def __init__(self, journal: Journal, full: int) -> None:
        self.journal, self.full, self.real = journal, full, journal._file
        journal._file = full

    def close(self) -> None:
        self.journal._file = self.real
        os.close(self.full)


@pytest.fixture
def post(alice: make.Workspace, tmp_path: Path) -> Iterator[tuple[make.Workspace, sinks.Sink, sinks.MailSink]]:
    with sinks.http() as sink, sinks.mail() as mail:
        here = delivering.reaching(alice, smtp=mail.url, data_dir=tmp_path)
        yield here, sink, mail
        here.installation.accepted.close()


Post = tuple[make.Workspace, sinks.Sink, sinks.MailSink]


def ways(post: Post) -> dict[str, Callable[[], list[Any]]]:
    here, sink, _ = post
    return {
        "webhook": lambda: delivering.send(here, chosen=[delivering.destination(here, "webhook", {"url": sink.url})]),
        "slack": lambda: delivering.send(here, chosen=[delivering.destination(here, "slack", {"webhookUrl": sink.url})]),
        "mail": lambda: delivering.send(here, ["anna@shop.example"]),
    }


@pytest.mark.parametrize("way", ["webhook", "slack", "mail"])
@pytest.mark.parametrize("finder", ["another worker", "the clock"])
def test_killed_between_acceptance_and_ledger(post: Post, monkeypatch: pytest.MonkeyPatch, way: str, finder: str) -> None:
    here, sink, mail = post
    (row,) = ways(post)[way]()

    def power_cut(*_: object, **__: object) -> str:
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(send, "_sent", power_cut)
        send.attempt(here.installation.database, here.id, here.installation, row)
    assert delivering.row(here, row).status == "sending"
    dies(here.installation.accepted)
    if finder == "the clock":
        assert send.settle(here.installation) == 1
        assert delivering.row(here, row).status == "sent"
    here.work()
    done = delivering.row(here, row)
    assert (done.status, [item["cause"] for item in done.tries], done.attempts) == ("sent", [send.FOUND], 1)
    assert len(sink.got) + len(mail.mails) == 1
    assert done.receipt[{"webhook": "status", "slack": "way", "mail": "message_id"}[way]]


def test_the_database_gone_after_acceptance(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    """The job fails and is tried again; the message is not."""
    here, sink, _ = post
    (row,) = ways(post)["webhook"]()
    real = send._sent
    failed: list[int] = []

    def once(*given: Any, **more: Any) -> str:
        if not failed:
            failed.append(1)
            raise OperationalError("UPDATE", {}, psycopg.OperationalError("the server closed the connection"))
        return real(*given, **more)

    monkeypatch.setattr(send, "_sent", once)
    here.work()
    assert (delivering.row(here, row).status, len(sink.got)) == ("sent", 1)


def test_a_farewell_that_fails_does_not_have_the_mail_sent_again(post: Post, monkeypatch: pytest.MonkeyPatch) -> None:
    here, _, mail = post
    monkeypatch.setattr("everfix.delivery.smtp.FAREWELL_SECONDS", 0.2)
    for words in ("421 4.3.2 going down", None):

        async def quit_(*_: object, words: str | None = words) -> str:
            if words is None:
                import asyncio

                await asyncio.sleep(0.6)
            return words or "221 late"

        monkeypatch.setattr(sinks.MailSink, "handle_QUIT", quit_, raising=False)
        (row,) = delivering.send(here, ["anna@shop.example"])
        here.work_once()
        assert delivering.row(here, row).status == "sent"
    assert len(mail.mails) == 2


HALF, BROKEN = b"Content-Length: 500\r\n\r\nhalf", b"Transfer-Encoding: chunked\r\n\r\nzz\r\n"


@pytest.mark.parametrize(
    ("kind", "config", "ending"),
    [
        ("webhook", {"url": "{}"}, HALF),
        ("webhook", {"url": "{}"}, BROKEN),
        ("slack", {"webhookUrl": "{}"}, HALF),
        ("teams", {"webhookUrl": "{}"}, BROKEN),
        ("pagerduty", {"integrationKey": "a" * 32}, HALF),
    ],
)
def test_a_2xx_status_is_the_receipt_whatever_becomes_of_the_body(
    alice: make.Workspace, monkeypatch: pytest.MonkeyPatch, kind: str, config: dict[str, str], ending: bytes
) -> None:
    here = delivering.reaching(alice)
    noted: list[Any] = []
    monkeypatch.setattr(Journal, "_note", lambda _, __, receipt: noted.append(receipt))
    with socket.create_server(("127.0.0.1", 0)) as server:
        calls: list[bytes] = []

        def serve() -> None:
            client, _ = server.accept()
            with client:
                calls.append(client.recv(65_536))
                client.sendall(b"HTTP/1.1 202 Accepted\r\n" + ending)

        thread = threading.Thread(target=serve)
        thread.start()
        url = f"http://127.0.0.1:{server.getsockname()[1]}/"
        monkeypatch.setattr(pagerduty, "API", url)
        place = delivering.destination(here, kind, {name: value.format(url) for name, value in config.items()})
        (row,) = delivering.send(here, chosen=[place])
        here.work_once()
        thread.join(5)
    done = delivering.row(here, row)
    assert (done.status, done.receipt.get("status", 202), len(calls)) == ("sent", 202, 1)
    assert noted == [done.receipt] * 2  # at the status line by the channel, then once more by `send`, which the journal leaves out


@pytest.fixture
def busy(clone: Callable[[str], str], prepared: tuple[str, dict[str, make.Seeded]], keys: Keys, tmp_path: Path) -> Iterator[Installation]:
    url = clone("herd")
    settings = Settings(data_dir=tmp_path, master_key=MASTER_KEY, database_url=url, outbound_allow=("127.0.0.1",))
    app = Database(database.with_role(url, "everfix_app", keys.derive("database role").hex()))
    made = Installation(settings, app, storage.open_(settings), keys, url)
    yield made
    made.close()


class Window:
    """Holds the ledger from the moment a receiver takes a message, so that a worker can be killed just then."""

    def __init__(self, url: str, notes: Path, every: int) -> None:
        self.url, self.notes, self.every, self.seen = url, notes, every, 0
        self.held: psycopg.Connection[Any] | None = None
        self._lock = threading.Lock()

    def open(self) -> None:
        """Called by the receivers: the ledger can be read and no longer written."""
        with self._lock:
            self.seen += 1
            if self.held is None and self.seen % self.every == 0:
                connection = psycopg.connect(self.url)
                connection.execute("LOCK TABLE deliveries IN SHARE MODE")
                self.held = connection

    def on_call(self, _: sinks.Got) -> sinks.Answer:
        self.open()
        return sinks.Answer()

    def on_mail(self, step: str, _: str) -> None:
        if step == "data":
            self.open()

    def waits(self) -> bool:
        """Tell whether all that is under way was accepted and noted, and cannot be told to the ledger."""
        if self.held is None:
            return False
        with psycopg.connect(self.url) as connection:
            sending = {row[0] for row in connection.execute("SELECT id FROM deliveries WHERE status = 'sending'")}
        noted = {one.delivery for path in self.notes.glob("*.accepted") for one, _ in acceptances._read(path)}
        return bool(sending) and sending <= noted

    def close(self) -> None:
        with self._lock:
            if self.held is not None:
                self.held.close()
            self.held = None


def test_a_dozen_schedules_with_workers_killed_at_the_worst_moment(
    busy: Installation, prepared: tuple[str, dict[str, make.Seeded]], tmp_path: Path
) -> None:
    """Real processes, a real mail server and webhook: both workers are killed after the receiver's answer and before the ledger; 0 lost, 0 twice."""
    workspace, slot = prepared[1]["alice"].id, (datetime.now(UTC) - timedelta(minutes=1)).replace(second=0, microsecond=0)
    window = Window(str(busy.owner_url), tmp_path / "accepted", every=3)
    with sinks.mail() as mail, sinks.http() as hook:
        hook.answer = window.on_call
        mail.refuse = window.on_mail
        herds.fill(busy, workspace, 12, slot, hook)
        with busy.database.transaction(workspace) as db:
            db.execute(text("UPDATE report_schedules SET next_slot_at = :at, next_run_at = :at"), {"at": slot})
        herd = herds.Herd({**herds.environment(busy, mail), "EVERFIX_JOB_HEARTBEAT_SECONDS": "2"}, tmp_path)
        counted = herds.Counted(12)
        try:
            herd.start("worker")
            herd.start("worker")
            while ticks.tick(busy).started:
                pass

            def ended() -> bool:
                if herd.kills < 2 and window.waits():
                    herd.kill(0)
                    herd.kill(0)
                    window.close()
                elif herd.kills:
                    window.every = 10**9
                    window.close()
                left, planned = herds.still_open(busy, workspace)
                return planned == 12 and left == 0

            processes.wait(ended, "the deliveries to end", 150)
        finally:
            herd.end()
            window.close()
        herds.count_arrivals(counted, busy, workspace, slot, mail, hook)
    assert (counted.sent, counted.lost, counted.repeated, counted.doubled) == (12, 0, 0, 0), str(counted)
    assert counted.found >= 1, "the killed workers left their notes, and they were found"
