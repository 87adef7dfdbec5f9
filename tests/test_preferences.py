"""Recipients choose for themselves, without an account: how often, a pause, or none; and owners are told what did not arrive."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from uuid import UUID

import pytest
from sqlalchemy import select, text

from everfix import worker
from everfix.core import ids, outbound
from everfix.delivery import destinations, messages, outbox, preferences, targets
from everfix.delivery.outbox import Delivery
from everfix.delivery.preferences import Frequency, Named
from everfix.errors import NotFound
from tests import conftest, delivering, make, sinks

SCHEDULE, OTHER = ids.new(), ids.new()


@pytest.fixture
def sink() -> Iterator[sinks.MailSink]:
    with sinks.mail() as made:
        yield made


def fire(
    workspace: make.Workspace,
    slot: datetime,
    recipients: Sequence[str] = ("anna@shop.example",),
    *,
    schedule: UUID = SCHEDULE,
    **message: str,
) -> list[UUID]:
    """Send a schedule's slot."""
    with workspace.db() as db:
        installation = workspace.installation
        found = targets.of(db, installation.keys, outbound.guard(installation.settings), recipients, [])
        rows = outbox.plan(db, found, schedule=schedule, slot=slot, owner=workspace.users["analyst"])
        said = messages.write(
            db,
            kind="report",
            subject=message.get("subject", "Weekly failures"),
            paragraphs=["12 failures."],
            takeaways=["A"],
            link="http://x",
        )
        outbox.release(db, rows, said.id)
        return [row.id for row in rows]


def choose(workspace: make.Workspace, **given: object) -> None:
    named = Named(workspace.id, "mail", "anna@shop.example", SCHEDULE)
    with workspace.db() as db:
        preferences.choose(db, named, **given)  # type: ignore[arg-type]


def statuses(workspace: make.Workspace, rows: Sequence[UUID]) -> list[tuple[str, str]]:
    found = [delivering.row(workspace, row) for row in rows]
    return [(row.status, row.reason) for row in found]


def test_each_mail_leads_to_the_recipients_choices(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    fire(here, make.NOW)
    here.work()
    (mail,) = sink.mails
    address = str(mail["List-Unsubscribe"]).strip("<>")
    assert mail["List-Unsubscribe-Post"] == "List-Unsubscribe=One-Click"
    named = preferences.read(here.installation.keys, address.removeprefix("http://testserver/preferences/"))
    assert named == Named(here.id, "mail", "anna@shop.example", SCHEDULE)
    assert address in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_a_changed_link_is_not_found(alice: make.Workspace) -> None:
    link = preferences.link("http://x", alice.installation.keys, Named(alice.id, "mail", "anna@shop.example", None))
    token = link.rpartition("/")[2]
    assert preferences.read(alice.installation.keys, token).schedule is None
    for wrong in ("", token[:-2], "A" + token[1:] if token[0] != "A" else "B" + token[1:], "../x"):
        with pytest.raises(NotFound):
            preferences.read(alice.installation.keys, wrong)


@pytest.mark.parametrize(
    ("choice", "reason"),
    [
        ({"unsubscribed": True}, "the recipient has unsubscribed"),
        ({"unsubscribed": True, "everything": True}, "the recipient has unsubscribed"),
        ({"snooze_days": 7}, "the recipient has paused mail until 23 March 2026"),
        ({"snooze_days": 7, "everything": True}, "the recipient has paused mail until 23 March 2026"),
    ],
)
def test_who_wants_none_gets_none(
    alice: make.Workspace, sink: sinks.MailSink, time: conftest.Clock, choice: dict[str, object], reason: str
) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    choose(here, **choice)
    rows = fire(here, make.NOW, ("anna@shop.example", "ben@shop.example"))
    others = fire(here, make.NOW, schedule=OTHER)
    here.work()
    assert statuses(here, rows) == [("skipped", reason), ("sent", "")]
    assert statuses(here, others) == [("skipped", reason) if choice.get("everything") else ("sent", "")]
    undo = {"unsubscribed": False} if "unsubscribed" in choice else {"snooze_days": 0}
    choose(here, **(choice | undo))
    rows = fire(here, make.NOW + timedelta(days=7))
    here.work()
    assert statuses(here, rows) == [("sent", "")]


def test_a_pause_ends_by_itself(alice: make.Workspace, sink: sinks.MailSink, time: conftest.Clock) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    choose(here, snooze_days=1)
    time.advance(days=1, minutes=1)
    rows = fire(here, time.at)
    here.work()
    assert statuses(here, rows) == [("sent", "")]


def test_a_digest_brings_several_reports_in_one_mail(alice: make.Workspace, sink: sinks.MailSink, time: conftest.Clock) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    choose(here, frequency=Frequency.DAILY, everything=True)
    rows = fire(here, make.NOW, subject="Weekly failures") + fire(here, make.NOW, schedule=OTHER, subject="Risk")
    here.work()
    assert statuses(here, rows) == [("held", "it waits for the recipient's daily digest")] * 2
    worker.tick(here.installation)  # the watchdog's look at what was not delivered
    here.work_once()
    assert worker.tick(here.installation) == 0
    time.at = datetime(2026, 3, 17, 8, 0, tzinfo=UTC)
    assert worker.tick(here.installation) == 1
    assert worker.tick(here.installation) == 0
    here.work()
    assert statuses(here, rows) == [("sent", "")] * 2
    (mail,) = sink.mails
    assert mail["Subject"] == "2 reports: Weekly failures, Risk"
    assert "Risk: 12 failures." in mail.get_body(("plain",)).get_content()  # type: ignore[union-attr]
    found = [delivering.row(here, row) for row in rows]
    assert found[0].digest_id == found[1].digest_id is not None


def test_a_digest_that_fails_fails_its_rows_and_one_may_be_sent_alone(
    alice: make.Workspace, sink: sinks.MailSink, time: conftest.Clock
) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    choose(here, frequency=Frequency.WEEKLY)
    rows = fire(here, make.NOW)
    here.work()
    time.at = datetime(2026, 3, 23, 8, 0, tzinfo=UTC)
    worker.tick(here.installation)
    sink.refuse = lambda step, text: "550 no such user" if step == "rcpt" and text.startswith("anna") else None
    here.work()
    assert statuses(here, rows)[0][0] == "failed"
    sink.refuse = lambda _step, _text: None
    with here.db() as db:
        outbox.resend(db, rows[0], here.principal)
    here.work()
    assert statuses(here, rows) == [("sent", "")]


def test_who_unsubscribes_while_a_digest_waits_gets_none(alice: make.Workspace, sink: sinks.MailSink, time: conftest.Clock) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    choose(here, frequency=Frequency.DAILY)
    rows = fire(here, make.NOW)
    here.work()
    choose(here, unsubscribed=True)
    time.advance(days=1)
    worker.tick(here.installation)
    here.work()
    assert statuses(here, rows) == [("skipped", "the recipient has unsubscribed")]
    assert sink.mails == []


@pytest.mark.parametrize(
    ("frequency", "zone", "now", "expected"),
    [
        ("daily", "UTC", "2026-03-16T07:59", "2026-03-16T08:00"),
        ("daily", "UTC", "2026-03-16T08:00", "2026-03-17T08:00"),
        ("weekly", "UTC", "2026-03-16T07:00", "2026-03-16T08:00"),
        ("weekly", "UTC", "2026-03-16T09:00", "2026-03-23T08:00"),
        ("daily", "America/New_York", "2026-03-08T11:00", "2026-03-08T12:00"),  # the clocks went forward at 2
        ("daily", "Pacific/Kiritimati", "2026-03-16T17:00", "2026-03-16T18:00"),
    ],
)
def test_when_a_digest_comes(frequency: str, zone: str, now: str, expected: str) -> None:
    found = preferences.next_digest(Frequency(frequency), zone, datetime.fromisoformat(now).replace(tzinfo=UTC))
    assert found.astimezone(UTC).isoformat()[:16] == expected


def test_the_owner_is_told_once_and_in_words(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    sink.refuse = lambda step, text: "550 5.1.1 no such user" if step == "rcpt" and text.endswith("@gone.example") else None
    rows = fire(here, make.NOW, ("anna@shop.example", "a@gone.example", "b@gone.example"))
    here.work()
    assert [status for status, _ in statuses(here, rows)] == ["sent", "failed", "failed"]
    notices = [mail for mail in sink.mails if str(mail["Subject"]).startswith("Not delivered")]
    assert [(mail["To"], mail["Subject"]) for mail in notices] == [("analyst@alice.example", "Not delivered: Weekly failures")]
    words = notices[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
    assert "did not reach 2 recipients" in words
    assert re.search(r"The mail to a@gone\.example failed: .*550 5\.1\.1 no such user", words)
    assert notices[0]["List-Unsubscribe"] is None


def test_the_admins_are_told_when_the_owner_has_left(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    with here.db() as db:
        db.execute(text("UPDATE memberships SET status = 'suspended' WHERE user_id = :id"), {"id": here.users["analyst"]})
    sink.refuse = lambda step, text: "550 no such user" if step == "rcpt" and text == "anna@shop.example" else None
    fire(here, make.NOW)
    here.work()
    assert sorted(str(mail["To"]) for mail in sink.mails) == ["admin@alice.example", "owner@alice.example"]
    assert "its owner no longer belongs to the workspace" in sink.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]


def test_a_notice_that_fails_is_not_told_about(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    sink.refuse = lambda _step, _text: "550 nobody here"
    fire(here, make.NOW)
    here.work()
    with here.db() as db:
        found = db.execute(select(Delivery.recipient, Delivery.status).order_by(Delivery.id)).all()
    assert [tuple(row) for row in found] == [("anna@shop.example", "failed"), ("analyst@alice.example", "failed")]


def test_a_deleted_destination_tells_the_owner(alice: make.Workspace, sink: sinks.MailSink) -> None:
    here = delivering.reaching(alice, smtp=sink.url)
    place = delivering.destination(here, "webhook", {"url": "https://hooks.example/"}, name="Ops hook")
    delivering.send(here, chosen=[place])
    with here.db() as db:
        destinations.delete(db, here.principal, place)
    here.work()
    assert "The webhook call to Ops hook failed: the destination was deleted." in sink.mails[0].get_body(("plain",)).get_content()  # type: ignore[union-attr]
