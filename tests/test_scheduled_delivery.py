"""From a slot to the recipients: planned before the work, sent once, held, skipped or failed with the reason in words."""

from __future__ import annotations

import io
import re
from datetime import timedelta
from html import unescape
from typing import Any
from uuid import UUID

import pytest
from PIL import Image
from sqlalchemy import select, text, update

from everfix import documents
from everfix.delivery import feed, messages, outbox
from everfix.delivery.outbox import Delivery
from everfix.documents.model import Chart, Document, Figures, Table
from everfix.identity.members import Member
from everfix.reports import build, definitions, sending, ticks, variants, watchdog
from everfix.reports.runs import Run
from tests import make, sinks
from tests.conftest import Clock
from tests.test_schedules import NOON, definition, get, made, schedule, tick


def ledger(workspace: make.Workspace) -> list[Delivery]:
    with workspace.db() as db:
        return list(db.execute(select(Delivery).order_by(Delivery.label, Delivery.slot)).scalars())


def document_of(run: Run) -> Document:
    return Document.model_validate(run.document)


def issues(run: Run) -> object:
    (block,) = [block for block in document_of(run).sections[0].blocks if isinstance(block, Figures)]
    return block.figures[0].value


def fire(workspace: make.Workspace, time: Clock, **given: Any) -> UUID:
    """Save a schedule, let it be noon, and do the work."""
    found = schedule(workspace, **given)
    time.at = NOON + timedelta(seconds=2)
    tick(workspace, time.at)
    workspace.work()
    return found


def test_the_rows_are_there_before_the_work_starts(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=["a@shop.example", "b@shop.example", "C0123ABCD"])
    tick(anna, NOON)
    assert [(row.label, row.status, row.slot) for row in ledger(anna)] == [
        ("Slack channel C0123ABCD", "planned", NOON),
        ("a@shop.example", "planned", NOON),
        ("b@shop.example", "planned", NOON),
    ]


def test_the_charts_of_the_report_stand_in_its_mail(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    """As inline parts of the HTML part, drawn from the run's own snapshot, with a title and words for who cannot see them."""
    anna.learn(*make.failures("database", (9, 5, 2)), *make.failures("payments", (8, 6, 3)))
    fire(anna, time, report_type="executive_summary", recipients=["a@shop.example"], formats=["pdf"])
    (mail,) = post.mails
    (html,) = [part for part in mail.walk() if part.get_content_type() == "text/html"]
    (related,) = [part for part in mail.walk() if part.get_content_type() == "multipart/related"]
    pictures = {str(part["Content-ID"]).strip("<>"): part for part in related.walk() if part.get_content_type() == "image/png"}
    (run,) = made(anna)
    charts = [block for section in document_of(run).sections for block in section.blocks if isinstance(block, Chart) and block.table.rows]
    assert len(charts) >= 2
    shown = [(cid, unescape(alt)) for cid, alt in re.findall(r'<img src="cid:([^"]+)" alt="([^"]+)"', html.get_content())]
    assert [alt for _, alt in shown] == [chart.alt for chart in charts]
    assert set(pictures) == {cid for cid, _ in shown}
    assert all(chart.title in html.get_content() for chart in charts)
    for cid, _ in shown:
        picture = Image.open(io.BytesIO(pictures[cid].get_content())).convert("RGB")
        assert picture.width == 2 * 584
        assert picture.getpixel((0, 0)) == (255, 255, 255)  # a dark mail puts no dark letters on a dark ground
        assert len(set(picture.resize((292, picture.height // 4)).get_flattened_data())) > 20  # something is drawn
    assert [part.get_content_type() for part in mail.iter_attachments()] == ["application/pdf"]


def test_no_charts_are_drawn_where_no_mail_waits_for_them(anna: make.Workspace, time: Clock) -> None:
    anna.learn(*make.failures("database", (9, 5, 2)))
    fire(anna, time, report_type="executive_summary", recipients=["C0123ABCD"], formats=["json"])
    (run,) = made(anna)
    kept = [key.rpartition(".")[2] for key in anna.installation.storage.keys(anna.id, f"reports/{run.id}")]
    assert kept == ["json"]


def test_each_recipient_gets_the_report_once(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    """D172 (a scheduled run): C250."""
    anna.learn(*make.failures("database", (9, 5, 2)))
    schedule_id = fire(anna, time, recipients=["a@shop.example", "b@shop.example"], formats=["csv", "json"])
    assert sorted(mail["To"] for mail in post.mails) == ["a@shop.example", "b@shop.example"]
    names = {part.get_filename() for part in post.mails[0].iter_attachments()}
    assert {name.rpartition(".")[2] for name in names if name} >= {"csv", "json"}
    assert [row.status for row in ledger(anna)] == ["sent", "sent"]
    assert get(anna, schedule_id).last_status == "succeeded"
    tick(anna, NOON + timedelta(minutes=1))
    anna.work()
    assert len(post.mails) == 2


def test_a_condition_that_is_not_met_skips_with_the_reason(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    schedule_id = fire(anna, time, recipients=["a@shop.example"], condition={"when": "not_empty"})
    assert [(row.status, row.reason) for row in ledger(anna)] == [("skipped", "there is nothing to report")]
    assert (made(anna)[0].status, made(anna)[0].reason) == ("skipped", "there is nothing to report")
    assert get(anna, schedule_id).last_status == "skipped"
    assert post.mails == []


def test_no_data_may_be_said_on_purpose(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    fire(anna, time, recipients=["a@shop.example"], condition={"when": "not_empty", "otherwise": "say_so"})
    assert "nothing to report" in post.mails[0]["Subject"]
    assert [row.status for row in ledger(anna)] == ["sent"]


@pytest.mark.parametrize(("value", "status"), [(2, "sent"), (3, "skipped")])
def test_a_condition_on_a_figure(anna: make.Workspace, time: Clock, value: int, status: str) -> None:
    anna.learn(*make.failures("database", (9, 5, 2)))
    fire(anna, time, recipients=["a@shop.example"], condition={"when": "figure", "figure": "issues", "op": "gt", "value": value})
    (row,) = ledger(anna)
    assert row.status == status
    if status == "skipped":
        assert row.reason == "Issues is 3, which is not > 3"


def test_only_what_changed_is_sent(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    anna.learn(*make.failures("database", (9, 5, 2)))
    fire(anna, time, recipients=["a@shop.example"], condition={"when": "changed"}, window="2026-03-01..2026-03-15")
    assert len(post.mails) == 1, "there was no run to compare the first with"
    for day in (1, 2):
        time.at = NOON + timedelta(days=day)
        if day == 2:
            anna.learn(*make.failures("login", (4,)))
        tick(anna, time.at)
        anna.work()
    assert [row.status for row in ledger(anna)] == ["sent", "skipped", "sent"]
    assert ledger(anna)[1].reason == "nothing has changed since the last run"


def test_a_report_waits_for_fresh_data_until_its_deadline(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    anna.learn(*make.failures("database", (9, 5, 2)))
    with anna.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :at"), {"at": NOON - timedelta(hours=5)})
    fresh = {"max_age_minutes": 60, "deadline_minutes": 30}
    schedule_id = schedule(anna, recipients=["a@shop.example"], freshness=fresh)
    time.at = NOON
    tick(anna, NOON)
    anna.work_once()
    (row,) = ledger(anna)
    assert (row.status, made(anna)[0].status, get(anna, schedule_id).last_status) == ("held", "held", "held")
    assert "older than 60 minutes: the newest data are of 2026-03-16 07:00 UTC" in row.reason
    assert made(anna)[0].held_until == NOON + timedelta(minutes=30)
    with anna.db() as db:
        db.execute(text("UPDATE issues SET ingested_at = :at"), {"at": NOON + timedelta(minutes=9)})
    time.at = NOON + timedelta(minutes=10)
    anna.work()
    assert [row.status for row in ledger(anna)] == ["sent"]
    assert made(anna)[0].status == "succeeded"


@pytest.mark.parametrize("at_deadline", ["send", "skip"])
def test_at_the_deadline_a_stale_report_is_sent_and_says_so_or_is_skipped(
    anna: make.Workspace, post: sinks.MailSink, time: Clock, at_deadline: str
) -> None:
    schedule(anna, recipients=["a@shop.example"], freshness={"max_age_minutes": 60, "deadline_minutes": 30, "at_deadline": at_deadline})
    time.at = NOON
    tick(anna, NOON)
    anna.work_once()
    time.at = NOON + timedelta(minutes=31)
    anna.work()
    (row,), (run,) = ledger(anna), made(anna)
    if at_deadline == "skip":
        assert (row.status, run.status) == ("skipped", "skipped")
        assert "nothing has come in yet" in row.reason
    else:
        assert (row.status, run.status) == ("sent", "succeeded")
        assert document_of(run).notices[-1].startswith("Sent at the deadline although the data")


def test_missed_slots_are_in_the_ledger_of_each_recipient(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=["a@shop.example", "b@shop.example"])
    time.at = NOON + timedelta(days=2)
    tick(anna, time.at)
    anna.work()
    assert [(row.status, row.slot) for row in ledger(anna) if row.slot is not None] == [
        (status, NOON + timedelta(days=day)) for _ in "ab" for day, status in enumerate(["failed", "failed", "sent"])
    ]
    assert ledger(anna)[0].reason.startswith(ticks.UNSERVED)


def test_a_report_that_cannot_be_made_fails_each_row_with_the_cause(
    anna: make.Workspace, time: Clock, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> bytes:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(anna.installation.storage, "put", full)
    schedule_id = fire(anna, time, recipients=["a@shop.example"])
    (row,), (run,) = ledger(anna), made(anna)
    assert (row.status, run.status, get(anna, schedule_id).last_status) == ("failed", "failed", "failed")
    assert "No space left on device" in row.reason


def test_a_cancelled_run_skips_its_rows(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=["a@shop.example"])
    tick(anna, NOON)
    job = str(made(anna)[0].job_id)
    anna.api.ok("POST", f"/v1/jobs/{job}/cancel")
    anna.work()
    assert [(row.status, row.reason) for row in ledger(anna)] == [("skipped", "cancelled")]
    assert made(anna)[0].status == "cancelled"


@pytest.mark.parametrize("where", ["figures", "render", "put", "release"])
def test_a_worker_killed_anywhere_sends_once(
    anna: make.Workspace, post: sinks.MailSink, time: Clock, monkeypatch: pytest.MonkeyPatch, where: str
) -> None:
    """The process dies at a point of the run; another worker's second try ends in one mail."""

    class Killed(BaseException):
        pass

    places: dict[str, tuple[Any, str]] = {
        "figures": (build, "figures"),
        "render": (documents, "render"),
        "put": (anna.installation.storage, "put"),
        "release": (sending, "release"),
    }
    owner, name = places[where]
    real, calls = getattr(owner, name), []

    def dying(*given: Any, **more: Any) -> Any:
        calls.append(1)
        found = real(*given, **more)
        if len(calls) == 1:
            raise Killed
        return found

    monkeypatch.setattr(owner, name, dying)
    schedule(anna, recipients=["a@shop.example"])
    tick(anna, NOON)
    with pytest.raises(Killed):
        anna.work()
    assert post.mails == []
    with anna.db() as db:
        db.execute(text("UPDATE jobs SET status = 'queued' WHERE status = 'running'"))  # as its heartbeat running out does
    anna.work()
    assert len(post.mails) == 1
    assert [row.status for row in ledger(anna)] == ["sent"]


@pytest.mark.parametrize(
    ("misfire", "slots", "words"),
    [
        ("skip", 2, "the schedule says skip"),
        ("merge", 1, "it is part of the run for 2026-03-17 12:00 UTC"),
        ("send_late", 1, "in its place stands the run for 2026-03-17 12:00 UTC"),
    ],
)
def test_the_owner_is_told_of_missed_slots_once(
    anna: make.Workspace, post: sinks.MailSink, time: Clock, misfire: str, slots: int, words: str
) -> None:
    schedule(anna, recipients=["a@shop.example"], misfire=misfire)
    time.at = NOON + timedelta(days=1, minutes=6)
    for _ in range(2):
        tick(anna, time.at)
        anna.work()
    (told,) = [mail for mail in post.mails if mail["Subject"] == "Missed: Noon"]
    body = told.get_body(("plain",))
    assert told["To"] == "owner@alice.example"
    assert body is not None
    assert body.get_content().count(words) == slots
    assert "2026-03-16 12:00 UTC" in body.get_content()
    with anna.db() as db:
        rows = db.execute(select(feed.Notification).where(feed.Notification.title == "Missed: Noon")).scalars().all()
    assert [row.user_id for row in rows] == [anna.users["owner"]]


def test_a_leaver_as_owner_is_held_until_an_admin_adopts(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    report = definition(anna)
    schedule(anna, definition_id=report, recipients=["a@shop.example"])
    with anna.db() as db:
        db.execute(update(Member).where(Member.user_id == anna.users["owner"]).values(status="suspended"))
    time.at = NOON
    tick(anna, NOON)
    anna.work_once()
    row = next(row for row in ledger(anna) if row.slot is not None)
    assert (row.status, made(anna)[0].status) == ("held", "held")
    assert "has left" in row.reason
    for _ in range(2):  # it looks again each minute, and the admins are told once
        time.advance(minutes=1)
        anna.work_once()
    (asked,) = [mail for mail in post.mails if mail["Subject"] == "Held: Issue digest"]
    text_part = asked.get_body(("plain",))
    assert asked["To"] == "admin@alice.example"
    assert text_part is not None
    assert "an admin may adopt the report" in text_part.get_content()
    assert "/reports/saved/rep_" in text_part.get_content()
    with anna.db() as db:
        definitions.adopt(db, report, anna.principal)
    time.advance(minutes=2)
    anna.work()
    assert made(anna)[0].status == "succeeded"
    assert "a@shop.example" in [mail["To"] for mail in post.mails]


def test_each_recipient_sees_their_own_data_and_equals_share(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    anna.learn(*make.failures("database", (9, 5, 2)), *make.failures("login", (4, 3)))
    report = definition(anna, run_as="recipient", sections=["issue_kpis", "issue_list"], template="blank")
    people = ["core@shop.example", "core2@shop.example", "web@shop.example", "nobody@shop.example", "viewer@alice.example"]
    filters = {name: {"service": "orders-api"} for name in people[:2]} | {people[2]: {"service": "login-api"}}
    fire(anna, time, definition_id=report, recipients=people, recipient_filters=filters, formats=["json"])
    with anna.db() as db:
        parent = next(run for run in made(anna) if run.parent_id is None)
        found = {tuple(run.recipients): run for run in variants.children(db, parent.id)}
    assert set(found) == {("core@shop.example", "core2@shop.example"), ("web@shop.example",), ("viewer@alice.example",)}
    counts = {seen[0]: issues(run) for seen, run in found.items()}
    assert counts == {people[0]: 3, people[2]: 2, people[4]: 5}
    assert {row.label: row.status for row in ledger(anna)} == {**dict.fromkeys(people, "sent"), "nobody@shop.example": "skipped"}
    assert "no member" in next(row.reason for row in ledger(anna) if row.label == "nobody@shop.example")
    by_person = {row.label: row.message_id for row in ledger(anna)}
    assert by_person[people[0]] == by_person[people[1]] != by_person[people[2]]
    assert "Shown with the rights of web@shop.example." in document_of(found[("web@shop.example",)]).notices
    with anna.db() as db:
        message = messages.get(db, by_person["web@shop.example"])  # type: ignore[arg-type]
    assert message.artifacts[0]["storage_key"].startswith(f"{anna.id}/reports/{found[('web@shop.example',)].id}/")


def test_a_recipient_the_workspace_may_no_longer_write_to_has_a_row_that_says_so(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=["a@shop.example", "b@elsewhere.example"])
    with anna.db() as db:
        db.execute(text("UPDATE workspaces SET mail_domains = '{shop.example}'"))
    time.at = NOON
    tick(anna, NOON)
    anna.work()
    assert {row.label: row.status for row in ledger(anna)} == {"a@shop.example": "sent", "b@elsewhere.example": "skipped"}


def test_a_run_without_recipients_is_made_and_says_nothing(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    fire(anna, time)
    assert (made(anna)[0].status, ledger(anna), post.mails) == ("succeeded", [], [])
    with anna.db() as db:
        assert db.execute(select(messages.Message)).all() == []


def test_a_report_that_some_did_not_get_is_no_success(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    post.refuse = lambda step, address: "550 no such person" if step == "rcpt" and address.startswith("b@") else None
    schedule_id = fire(anna, time, recipients=["a@shop.example", "b@shop.example"])
    assert (made(anna)[0].status, get(anna, schedule_id).last_status) == ("partial", "partial")
    assert "b@shop.example" in made(anna)[0].reason
    assert "550" in made(anna)[0].reason
    post.refuse = lambda _step, _text: None
    with anna.db() as db:
        outbox.resend(db, next(row.id for row in ledger(anna) if row.status == "failed"), anna.principal)
    anna.work()
    assert (made(anna)[0].status, made(anna)[0].reason, get(anna, schedule_id).last_status) == ("succeeded", "", "succeeded")


def test_the_watchdog_sees_what_nothing_served(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=["a@shop.example"])
    late = NOON + timedelta(minutes=6)
    with anna.db() as db:
        assert watchdog.look(db, NOON + timedelta(minutes=4)) == []
        (found,) = watchdog.look(db, late)
    assert (found.kind, found.words) == ("slot", "no scheduler has served the slot of 2026-03-16 12:00 UTC")
    time.at = late
    tick(anna, late)
    with anna.db() as db:
        assert watchdog.look(db, late) == []
        (found,) = watchdog.look(db, late + timedelta(minutes=6))
        (slot,) = watchdog.reconcile(db, NOON, NOON + timedelta(hours=1))
    assert (found.kind, slot.expected, slot.waiting, slot.balanced) == ("run", 1, 1, False)
    anna.work()
    with anna.db() as db:
        assert watchdog.look(db, late + timedelta(minutes=6)) == []
        (slot,) = watchdog.reconcile(db, NOON, NOON + timedelta(hours=1))
    assert (slot.run, slot.sent, slot.balanced) == ("succeeded", 1, True)


def test_expected_against_delivered_is_a_section(anna: make.Workspace, time: Clock) -> None:
    fire(anna, time, recipients=["a@shop.example", "b@shop.example"], name="Noon mail")
    time.advance(minutes=5)
    with anna.db() as db:
        made_ = build.document(db, "Ledger", "blank", ["expected_and_delivered"], "1d", {}, time.at, "http://x")
    table = made_.sections[0].blocks[0]
    assert isinstance(table, Table)
    assert table.rows == (("Noon mail", 1, 2, 2, 0, 0, 0),)
