"""The fault matrix of schedules and runs: each row has a state in the ledger, a message in words, and goes on by itself where it can."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import text, update

from everfix.errors import Invalid
from everfix.identity.members import Member
from everfix.narrative import rules
from everfix.reports import backfill, build, definitions, orders, schedules, ticks, watchdog
from tests import make, sinks
from tests.conftest import Clock
from tests.test_scheduled_delivery import fire, ledger
from tests.test_schedules import NOON, definition, get, made, schedule, tick, way

TO = ["a@shop.example"]


def _sql(words: str) -> Callable[[make.Workspace], None]:
    def act(workspace: make.Workspace) -> None:
        with workspace.db() as db:
            db.execute(text(words))

    return act


def _leave(workspace: make.Workspace) -> None:
    with workspace.db() as db:
        db.execute(update(Member).where(Member.user_id == workspace.users["owner"]).values(status="suspended"))


def _gone(workspace: make.Workspace) -> None:
    for run in made(workspace):
        if run.definition_id is not None:
            with workspace.db() as db:
                definitions.remove(db, run.definition_id, workspace.principal)


# What happens between the tick and the work → (state of the delivery, state of the run, words of the reason).
BETWEEN: dict[str, tuple[Callable[[make.Workspace], None], tuple[str, str, str]]] = {
    "nothing at all": (_sql("SELECT 1"), ("sent", "succeeded", "")),
    "the report is deleted": (_gone, ("skipped", "skipped", "the report was deleted")),
    "the schedule is deleted": (_sql("DELETE FROM report_schedules"), ("sent", "succeeded", "")),
    "the report is switched off": (_sql("UPDATE report_definitions SET enabled = false"), ("sent", "succeeded", "")),
    "the report is changed": (_sql("UPDATE report_definitions SET sections = '[]', formats = '{pdf}'"), ("sent", "succeeded", "")),
    "the owner leaves": (_leave, ("held", "held", "has left")),
    "a section is dropped from the product": (
        _sql("""UPDATE report_runs SET sections = '[{"id": "gone", "section": "no_longer"}]'"""),
        ("sent", "succeeded", "gone: there is no section 'no_longer'"),
    ),
    "a source is dropped from the catalogue": (
        _sql("""UPDATE report_runs SET sections = '[{"id": "gone", "source": "no_longer"}]'"""),
        ("sent", "succeeded", "gone: there is no source 'no_longer'"),
    ),
    "a parameter is no longer allowed": (
        _sql("""UPDATE report_runs SET sections = '[{"id": "x", "source": "issues_by_service", "params": {"limit": "many"}}]'"""),
        ("sent", "succeeded", "limit: 'many' is not allowed"),
    ),
    "the recipient's domain is no longer allowed": (
        _sql("UPDATE workspaces SET mail_domains = '{other.example}'"),
        ("skipped", "succeeded", ""),
    ),
    "the job's row is lost": (_sql("DELETE FROM jobs"), ("planned", "queued", "")),
}


@pytest.mark.parametrize("fault", list(BETWEEN))
def test_between_the_tick_and_the_work(anna: make.Workspace, time: Clock, fault: str) -> None:
    act, (delivered, ran, words) = BETWEEN[fault]
    schedule(anna, recipients=TO, definition_id=definition(anna))
    time.at = NOON + timedelta(seconds=1)
    tick(anna, time.at)
    act(anna)
    anna.work_once()
    anna.work_once()
    (row,) = [row for row in ledger(anna) if row.slot is not None]
    run = next(run for run in made(anna) if run.slot is not None)
    assert (row.status, run.status) == (delivered, ran), (row.reason, run.reason)
    assert words in run.reason


def test_a_lost_job_is_reported_by_the_watchdog(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=TO)
    tick(anna, NOON)
    with anna.db() as db:
        db.execute(text("DELETE FROM jobs"))
        (found,) = watchdog.look(db, NOON + timedelta(minutes=10))
    assert (found.kind, "no worker has taken it" in found.words) == ("run", True)


def _raises(problem: BaseException) -> Callable[..., Any]:
    def call(*_given: object, **_more: object) -> Any:
        raise problem

    return call


# What fails inside the work, for good → (state, words).
INSIDE: dict[str, tuple[Any, str, BaseException, str]] = {
    "the disk is full": ("storage", "put", OSError(28, "No space left on device"), "No space left on device"),
    "the storage refuses": ("storage", "put", PermissionError(13, "Permission denied"), "Permission denied"),
    "the rules cannot tell it": (rules, "write", ValueError("a figure without a unit"), "a figure without a unit"),
    "the figures cannot be built": (build, "figures", LookupError("no such thing"), "no such thing"),
}


@pytest.mark.parametrize("fault", list(INSIDE))
def test_inside_the_work(anna: make.Workspace, time: Clock, monkeypatch: pytest.MonkeyPatch, fault: str) -> None:
    owner, name, problem, words = INSIDE[fault]
    monkeypatch.setattr(anna.installation.storage if owner == "storage" else owner, name, _raises(problem))
    schedule_id = fire(anna, time, recipients=TO)
    (row,), (run,) = ledger(anna), made(anna)
    assert (row.status, run.status, get(anna, schedule_id).last_status) == ("failed", "failed", "failed")
    assert words in row.reason
    assert words in run.reason
    assert get(anna, schedule_id).next_run_at == NOON + timedelta(days=1), "the next slot comes all the same"


def test_a_column_that_is_gone_makes_the_run_partial(anna: make.Workspace, owner: Any, time: Clock, post: sinks.MailSink) -> None:
    anna.learn(*make.failures("database", (9, 5, 2)))
    report = definition(anna, template="blank", sections=["issue_kpis", "recommendation_list"])
    schedule(anna, recipients=TO, definition_id=report)
    tick(anna, NOON)
    with owner.transaction() as db:
        db.execute(text("ALTER TABLE recommendations RENAME COLUMN effort TO effort_gone"))
    try:
        time.at = NOON + timedelta(seconds=1)
        anna.work()
    finally:
        with owner.transaction() as db:
            db.execute(text("ALTER TABLE recommendations RENAME COLUMN effort_gone TO effort"))
    (run,), (row,) = made(anna), ledger(anna)
    assert (run.status, row.status) == ("partial", "sent")
    assert "recommendation_list: the database refused" in run.reason
    assert len(post.mails) == 1, "what could be built is sent"


# What is stored wrongly, by an older version or by hand → what the next tick makes of it.
STORED = {
    "a cron that cannot be read": "UPDATE report_schedules SET cron = 'never'",
    "a zone that is unknown": "UPDATE report_schedules SET timezone = 'Mars/Base'",
    "a calendar that cannot be read": """UPDATE report_schedules SET calendar = '{"country": "XX"}'""",
    "a cron that never fires": "UPDATE report_schedules SET cron = '0 9 30 2 *'",
}


@pytest.mark.parametrize("fault", list(STORED))
def test_what_is_stored_wrongly_is_silent_and_stops_nobody(anna: make.Workspace, time: Clock, fault: str) -> None:
    wrong = schedule(anna, recipients=TO)
    with anna.db() as db:
        db.execute(text(STORED[fault]))
    sound = schedule(anna, recipients=TO)
    assert tick(anna, NOON).started == 1
    assert get(anna, wrong).next_run_at is None
    assert {run.schedule_id for run in made(anna)} == {sound}
    with anna.db() as db:
        schedules.change(db, wrong, anna.principal, cron="0 12 * * *", timezone="UTC", calendar={})
    assert get(anna, wrong).next_run_at == NOON


def test_a_mail_server_that_is_away_is_tried_again(anna: make.Workspace, post: sinks.MailSink, time: Clock) -> None:
    post.refuse = lambda step, _: "451 try later" if step == "rcpt" and not post.mails else None
    schedule_id = schedule(anna, recipients=TO)
    time.at = NOON + timedelta(seconds=1)
    tick(anna, time.at)
    anna.work_once()
    anna.work_once()
    (row,) = ledger(anna)
    assert (row.status, row.attempts) == ("queued", 1)
    post.refuse = lambda _step, _text: None
    anna.work()
    assert [row.status for row in ledger(anna)] == ["sent"]
    assert get(anna, schedule_id).last_status == "succeeded"


@pytest.mark.parametrize("jump", [timedelta(days=-2), timedelta(hours=-1), timedelta(days=1), timedelta(days=40)])
def test_a_clock_that_jumps_during_the_day(anna: make.Workspace, time: Clock, jump: timedelta) -> None:
    """Whatever the clock says in between, each slot has at most one run, and the next day is served."""
    schedule_id = schedule(anna, recipients=TO)
    tick(anna, NOON)
    tick(anna, NOON + jump)
    tick(anna, NOON + timedelta(minutes=5))
    tick(anna, NOON + timedelta(days=1, seconds=2))
    slots = [run.slot for run in made(anna)]
    assert len(slots) == len(set(slots))
    assert {NOON, NOON + timedelta(days=1)} <= set(slots)
    assert get(anna, schedule_id).next_run_at == NOON + timedelta(days=2)


def test_no_scheduler_for_a_day(anna: make.Workspace, time: Clock) -> None:
    schedule(anna, recipients=TO)
    time.at = NOON + timedelta(days=1, minutes=1)
    tick(anna, time.at)
    first = ledger(anna)[0]
    assert (first.status, first.reason.split(";")[0]) == ("failed", ticks.UNSERVED)


def test_a_disabled_report_has_its_row(anna: make.Workspace, time: Clock) -> None:
    report = definition(anna)
    schedule(anna, recipients=TO, definition_id=report)
    with anna.db() as db:
        definitions.change(db, report, anna.principal, enabled=False)
    tick(anna, NOON)
    assert [(row.status, row.reason) for row in ledger(anna)] == [("skipped", "the report is disabled")]


def test_a_backfill_that_is_killed_goes_on(anna: make.Workspace, time: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    class Killed(BaseException):
        pass

    report = definition(anna, template="blank", sections=["issue_kpis"])
    with anna.db() as db:
        backfill.request(db, anna.principal, report, periods=4, window="7d")
    real, calls = build.figures, []

    def dying(*given: Any, **more: Any) -> Any:
        calls.append(1)
        if len(calls) == 3:
            raise Killed
        return real(*given, **more)

    monkeypatch.setattr(build, "figures", dying)
    with pytest.raises(Killed):
        anna.work()
    with anna.db() as db:
        db.execute(text("UPDATE jobs SET status = 'queued' WHERE status = 'running'"))
    anna.work()
    found = made(anna)
    assert [run.status for run in found] == ["succeeded"] * 4
    assert len({run.window for run in found}) == 4
    assert len(calls) == 5, "what was made is not made again"


def test_run_now_of_what_is_disabled_is_refused(anna: make.Workspace, time: Clock) -> None:
    report = definition(anna, enabled=False)
    found = schedule(anna, recipients=TO, definition_id=report)
    with anna.db() as db, pytest.raises(Invalid, match="disabled"):
        orders.fire(db, way(anna), anna.principal, found)
