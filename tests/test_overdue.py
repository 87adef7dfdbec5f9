"""What the watchdog finds is told in words to whoever answers for it, once, in one notice for each person."""

from __future__ import annotations

from datetime import timedelta

import pytest
from sqlalchemy import text, update

from everfix import worker
from everfix.core import jobs
from everfix.delivery import feed
from everfix.identity.members import Member
from everfix.reports import overdue, watchdog
from tests import delivering, make, sinks
from tests.conftest import Clock
from tests.test_schedules import NOON, made, schedule, tick


def tell(workspace: make.Workspace, time: Clock, minutes: int) -> int:
    """Run the job `minutes` after noon."""
    time.at = NOON + timedelta(minutes=minutes)
    with workspace.db() as db:
        job = jobs.enqueue(db, overdue.TASK, {})
    workspace.work()
    with workspace.db() as db:
        found = jobs.get(db, job)
        assert (found.status, found.error) == ("succeeded", None)
        return int((found.result or {})["told"])


def sql(workspace: make.Workspace, words: str) -> None:
    with workspace.db() as db:
        db.execute(text(words))


def text_of(post: sinks.MailSink) -> str:
    (mail,) = post.mails
    post.mails.clear()
    body = mail.get_body(("plain",))
    assert body is not None
    return f"{mail['Subject']}\n{body.get_content()}"


def test_a_slot_that_nothing_served_is_told_once(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    schedule(anna, name="Weekly", recipients=["a@shop.example"])
    assert tell(anna, time, 4) == 0
    assert tell(anna, time, 6) == 1
    assert tell(anna, time, 7) == 0
    said = text_of(post)
    assert said.startswith("Overdue: Weekly\n")
    assert "Weekly: no scheduler has served the slot of 2026-03-16 12:00 UTC." in " ".join(said.split())
    assert "/reports/schedules" in said
    with anna.db() as db:
        (event,) = [row for row in db.execute(feed.Notification.__table__.select()) if row.type == "delivery.failed"]
    assert event.entity_type == "report_schedule"


def test_many_findings_of_one_owner_are_one_notice(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    for number in range(40):
        schedule(anna, name=f"Report {number}")
    assert tell(anna, time, 6) == 40
    said = text_of(post)
    assert "Overdue: Report " in said
    assert "and 39 more" in said
    assert "and 10 more." in said


def test_the_next_slot_is_another_finding(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    schedule(anna)
    assert tell(anna, time, 6) == 1
    sql(anna, "UPDATE report_schedules SET next_run_at = next_run_at + interval '1 hour'")
    assert tell(anna, time, 59) == 0
    assert tell(anna, time, 66) == 1
    assert len(post.mails) == 2


def test_the_admins_are_told_when_the_owner_has_left(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    schedule(anna)
    with anna.db() as db:
        db.execute(update(Member).where(Member.user_id == anna.users["owner"]).values(status="suspended"))
    assert tell(anna, time, 6) == 1
    assert post.mails
    assert all("its owner no longer belongs to the workspace" in str(mail.get_body(("plain",))) for mail in post.mails)


@pytest.mark.parametrize(
    ("broken", "words"),
    [("cron = 'every now and then'", "cannot be read"), ("timezone = 'Europe/Atlantis'", "Atlantis")],
    ids=["cron", "zone"],
)
def test_a_schedule_that_cannot_be_read_is_told(anna: make.Workspace, post: sinks.MailSink, time: Clock, broken: str, words: str) -> None:
    """It does not fire, and it does not keep quiet about it."""
    schedule(anna)
    sql(anna, f"UPDATE report_schedules SET {broken}")
    tick(anna, NOON + timedelta(seconds=1))
    assert made(anna) == []
    assert tell(anna, time, 6) == 1
    said = text_of(post)
    assert words in said
    assert "correct it" in said


def test_a_run_that_no_worker_takes_is_told(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    schedule(anna)
    time.at = NOON + timedelta(seconds=1)
    tick(anna, time.at)
    sql(anna, "DELETE FROM jobs")
    with anna.db() as db:
        run = made(anna)[0]
        db.execute(text("UPDATE report_runs SET created_at = :at"), {"at": NOON})
    assert tell(anna, time, 10) == 1
    assert f"{run.name}: no worker has taken it" in " ".join(text_of(post).split())


def test_a_delivery_whose_job_is_lost_is_told(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    time.at = NOON
    (row,) = delivering.send(anna, ["a@shop.example"])
    with anna.db() as db:
        assert watchdog.look(db, NOON + timedelta(minutes=10)) == [], "its job waits"
        db.execute(text("UPDATE jobs SET status = 'cancelled'"))
    with anna.db() as db:
        (found,) = watchdog.look(db, NOON + timedelta(minutes=10))
    assert (found.kind, found.subject, found.entity) == ("delivery", row, "delivery")
    assert tell(anna, time, 10) == 1
    assert "no job is left that would send it" in " ".join(text_of(post).split())


def test_what_waits_for_a_digest_is_not_overdue(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=["a@shop.example"])
    time.at = NOON + timedelta(seconds=1)
    tick(anna, time.at)
    anna.work()
    sql(anna, "UPDATE deliveries SET status = 'held', reason = 'waits for the weekly digest', next_try_at = now() + interval '6 days'")
    with anna.db() as db:
        assert watchdog.look(db, NOON + timedelta(hours=3)) == []
        db.execute(text("UPDATE deliveries SET next_try_at = NULL"))
        (found,) = watchdog.look(db, NOON + timedelta(hours=3))
    assert found.words == "its report was made, and it was never released"


def test_the_clock_looks_where_there_is_anything(anna: make.Workspace) -> None:
    assert not worker._queued(anna.installation, anna.id, overdue.TASK)
    schedule(anna)
    assert worker._queued(anna.installation, anna.id, overdue.TASK)
    assert not worker._queued(anna.installation, anna.id, overdue.TASK), "once per period"
