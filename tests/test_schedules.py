"""Schedules: saved soundly, fired once per slot by any number of ticks, and honest about what was missed."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from sqlalchemy import select, text

from everfix.errors import Invalid, NotFound
from everfix.reports import definitions, orders, runs, schedules, sending, ticks
from everfix.reports.definitions import Definition
from everfix.reports.runs import Run, Status
from everfix.reports.schedules import Schedule
from tests import make
from tests.conftest import Clock

NOON = datetime(2026, 3, 16, 12, 0, tzinfo=UTC)  # make.NOW is two hours earlier


def schedule(workspace: make.Workspace, **given: Any) -> UUID:
    """Save a schedule of the issue digest at noon, every day."""
    with workspace.db() as db:
        if "definition_id" not in given:
            given = {"report_type": "issue_digest", **given}
        return schedules.create(db, workspace.principal, **{"name": "Noon", "cron": "0 12 * * *", "formats": ["json"], **given}).id


def definition(workspace: make.Workspace, **given: Any) -> UUID:
    with workspace.db() as db:
        return definitions.create(db, workspace.principal, **{"template": "issue_digest", "formats": ["json"], **given}).id


def get(workspace: make.Workspace, schedule_id: UUID) -> Schedule:
    with workspace.db() as db:
        return schedules.get(db, schedule_id)


def made(workspace: make.Workspace) -> list[Run]:
    with workspace.db() as db:
        return list(db.execute(select(Run).order_by(Run.slot, Run.id)).scalars())


def tick(workspace: make.Workspace, at: datetime) -> ticks.Ticked:
    return ticks.tick(workspace.installation, at)


def way(workspace: make.Workspace) -> sending.Means:
    return sending.means(workspace.installation.settings, workspace.installation.keys)


def test_a_new_schedule_is_active_and_knows_when_it_fires(alice: make.Workspace, time: Clock) -> None:
    found = get(alice, schedule(alice, cron="0 9 * * MON", timezone="America/New_York"))
    assert (found.enabled, found.last_status, found.cron) == (True, "pending", "0 9 * * MON")
    assert found.next_run_at == found.next_slot_at == datetime(2026, 3, 16, 13, tzinfo=UTC)


def test_a_schedule_fires_once_for_its_slot(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice)
    assert tick(alice, NOON - timedelta(seconds=1)) == ticks.Ticked()
    assert tick(alice, NOON + timedelta(seconds=3)) == ticks.Ticked(due=1, started=1)
    assert tick(alice, NOON + timedelta(seconds=8)) == ticks.Ticked()
    time.at = NOON + timedelta(seconds=10)
    alice.work()
    (run,) = made(alice)
    assert (run.slot, run.as_of, run.trigger, run.status, run.schedule_id) == (NOON, NOON, "schedule", "succeeded", schedule_id)
    found = get(alice, schedule_id)
    assert (found.last_status, found.last_slot_at, found.next_run_at) == ("succeeded", NOON, NOON + timedelta(days=1))


def test_many_ticks_at_once_serve_a_slot_once(alice: make.Workspace, bob: make.Workspace, time: Clock) -> None:
    for workspace in (alice, bob):
        for _ in range(5):
            schedule(workspace)
    with ThreadPoolExecutor(6) as threads:
        done = list(threads.map(lambda _: tick(alice, NOON), range(12)))
    assert sum(item.started for item in done) == 10
    assert [len(made(workspace)) for workspace in (alice, bob)] == [5, 5]


def test_a_late_tick_sends_once_and_says_what_was_missed(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice)
    late = NOON + timedelta(days=3, hours=5)
    assert tick(alice, late) == ticks.Ticked(due=1, started=1, missed=3)
    found = made(alice)
    assert [run.slot for run in found] == [NOON + timedelta(days=n) for n in range(4)]
    assert [run.status for run in found] == ["failed"] * 3 + ["queued"]
    assert found[0].reason == "no scheduler served it; in its place stands the run for 2026-03-19 12:00 UTC"
    assert found[-1].inputs["notices"] == ["Sent late: it was due at 2026-03-19 12:00 UTC."]
    assert get(alice, schedule_id).next_run_at == NOON + timedelta(days=4)


def test_a_late_tick_may_merge(alice: make.Workspace, time: Clock) -> None:
    schedule(alice, misfire="merge", window="7d")
    tick(alice, NOON + timedelta(days=3, hours=5))
    found = made(alice)
    assert [run.status for run in found] == ["skipped"] * 3 + ["queued"]
    assert found[-1].window == "10d"
    assert "stands for 3 earlier ones" in found[-1].inputs["notices"][0]


def test_a_late_tick_may_skip(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice, misfire="skip")
    assert tick(alice, NOON + timedelta(days=1, minutes=6)) == ticks.Ticked(due=1, started=0, missed=2)
    assert {run.status for run in made(alice)} == {"skipped"}
    assert get(alice, schedule_id).next_run_at == NOON + timedelta(days=2)
    assert tick(alice, NOON + timedelta(days=2, minutes=4)).started == 1, "within the grace it is not late"


def test_a_busy_schedule_after_a_long_silence(alice: make.Workspace, time: Clock) -> None:
    schedule(alice, cron="* * * * *")
    assert tick(alice, NOON + timedelta(days=30)).started == 1
    assert len(made(alice)) == ticks.KEPT_SLOTS
    assert made(alice)[-1].slot == NOON + timedelta(days=30)


def test_a_clock_that_jumps_ahead_and_back_loses_nothing_and_doubles_nothing(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice)
    tick(alice, NOON + timedelta(days=365))  # the clock was wrong
    assert get(alice, schedule_id).next_run_at == NOON + timedelta(days=366)
    before = len(made(alice))
    assert tick(alice, NOON + timedelta(seconds=5)).started == 0, "the slot has its row"
    assert get(alice, schedule_id).next_run_at == NOON + timedelta(days=1), "and the next is tomorrow again"
    assert len(made(alice)) == before
    for day in (266, 267, 400):
        tick(alice, NOON + timedelta(days=day, seconds=1))
    slots = [run.slot for run in made(alice)]
    assert len(slots) == len(set(slots))


def test_a_clock_that_goes_back_a_little_does_not_fire_again(alice: make.Workspace, time: Clock) -> None:
    schedule(alice)
    assert tick(alice, NOON + timedelta(seconds=30)).started == 1
    for seconds in (-60, -5, 0, 10, 40):
        assert tick(alice, NOON + timedelta(seconds=seconds)).started == 0
    assert len(made(alice)) == 1


def test_a_disabled_schedule_and_a_disabled_report_do_not_fire(alice: make.Workspace, time: Clock) -> None:
    schedule(alice, enabled=False)
    report = definition(alice)
    schedule(alice, definition_id=report)
    with alice.db() as db:
        definitions.change(db, report, alice.principal, enabled=False)
    assert tick(alice, NOON) == ticks.Ticked(due=1, started=0, missed=1)
    assert [(run.status, run.reason) for run in made(alice)] == [("skipped", "the report is disabled")]
    with alice.db() as db, pytest.raises(Invalid, match="disabled"):
        orders.place(db, way(alice), alice.principal, report)


def test_an_unreadable_cron_is_silent_until_corrected(alice: make.Workspace, time: Clock) -> None:
    schedule_id, other = schedule(alice), schedule(alice)
    with alice.db() as db:
        db.execute(text("UPDATE report_schedules SET cron = 'every full moon' WHERE id = :id"), {"id": schedule_id})
    assert tick(alice, NOON).started == 1, "the other one fires"
    assert get(alice, schedule_id).next_run_at is None
    assert tick(alice, NOON + timedelta(days=1)).due == 1
    with alice.db() as db:
        schedules.change(db, schedule_id, alice.principal, cron="30 12 * * *")
    assert get(alice, schedule_id).next_run_at == datetime(2026, 3, 16, 12, 30, tzinfo=UTC)
    assert {run.schedule_id for run in made(alice)} == {other}


def test_start_end_and_pause_bound_what_fires(alice: make.Workspace, time: Clock) -> None:
    day = timedelta(days=1)
    schedule_id = schedule(alice, start_at=NOON + 2 * day, end_at=NOON + 3 * day)
    assert get(alice, schedule_id).next_run_at == NOON + 2 * day, "a slot at the very start counts"
    with alice.db() as db:
        fires = schedules.upcoming(schedules.get(db, schedule_id), make.NOW)
    assert [fire.at for fire in fires] == [NOON + 2 * day, NOON + 3 * day]
    for n in range(6):
        tick(alice, NOON + n * day)
    assert [run.slot for run in made(alice)] == [NOON + 2 * day, NOON + 3 * day]
    assert get(alice, schedule_id).next_run_at is None
    paused = schedule(alice)
    with alice.db() as db:
        schedules.pause(db, paused, alice.principal, NOON + 4 * day + timedelta(hours=1))
        assert schedules.get(db, paused).next_run_at == NOON + 5 * day
        schedules.pause(db, paused, alice.principal)
        assert not schedules.get(db, paused).enabled
        schedules.resume(db, paused, alice.principal)
        assert (schedules.get(db, paused).enabled, schedules.get(db, paused).next_run_at) == (True, NOON)


def test_many_schedules_of_one_minute_are_spread(alice: make.Workspace, time: Clock) -> None:
    found = [get(alice, schedule(alice, spread_seconds=300)) for _ in range(30)]
    offsets = {(item.next_run_at - item.next_slot_at).total_seconds() for item in found if item.next_run_at and item.next_slot_at}
    assert len(offsets) > 20
    assert 0 <= min(offsets) <= max(offsets) <= 300
    assert {item.next_slot_at for item in found} == {NOON}
    assert tick(alice, NOON + timedelta(seconds=150)).started in range(8, 23)
    tick(alice, NOON + timedelta(seconds=301))
    assert {run.slot for run in made(alice)} == {NOON}
    assert len(made(alice)) == 30


def test_run_now_leaves_the_slots_alone(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice, condition={"when": "not_empty"})
    with alice.db() as db:
        run_id = orders.fire(db, way(alice), alice.principal, schedule_id).id
    alice.work()
    with alice.db() as db:
        run = runs.get(db, run_id)
    assert (run.slot, run.trigger, run.status, run.schedule_id) == (None, "manual", "succeeded", schedule_id)
    assert get(alice, schedule_id).next_run_at == NOON


def test_a_workspace_level_schedule_brings_its_report_and_takes_it_along(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice)
    with alice.db() as db:
        assert definitions.listed(db) == []
        schedules.change(db, schedule_id, alice.principal, window="90d", report_type="executive_summary", formats=["pdf", "csv"])
        found = definitions.get(db, schedules.get(db, schedule_id).definition_id)
        assert (found.template, found.window, found.formats) == ("executive_summary", "90d", ["pdf", "csv"])
        assert [part["id"] for part in found.sections][:2] == ["kpis", "top_patterns"]
        schedules.remove(db, schedule_id, alice.principal)
        assert db.execute(select(Definition)).all() == []


def test_deleting_a_report_takes_its_schedules_and_leaves_its_runs(alice: make.Workspace, time: Clock) -> None:
    report = definition(alice)
    schedule(alice, definition_id=report)
    tick(alice, NOON)
    with alice.db() as db:
        definitions.remove(db, report, alice.principal)
        assert schedules.listed(db) == []
    alice.work()
    (run,) = made(alice)
    assert (run.definition_id, run.schedule_id, run.status, run.reason) == (None, None, "skipped", "the report was deleted")


@pytest.mark.parametrize(
    ("given", "words"),
    [
        ({"cron": "61 * * * *"}, "bad minute"),
        ({"cron": ""}, "needs a cron"),
        ({"name": " "}, "needs a name"),
        ({"timezone": "Mars/Base"}, "no IANA time zone"),
        ({"report_type": "nope"}, "no template"),
        ({"report_type": None}, "report_id or a report_type"),
        ({"window": "8w"}, "no window"),
        ({"formats": ["doc"]}, "doc"),
        ({"formats": []}, "at least one format"),
        ({"misfire": "hope"}, "misfire"),
        ({"spread_seconds": 9999}, "spread_seconds"),
        ({"calendar": {"country": "XX"}}, "country"),
        ({"freshness": {"max_age_minutes": 0}}, "max_age_minutes"),
        ({"freshness": {"max_age_minutes": 5, "at_deadline": "pray"}}, "at_deadline"),
        ({"condition": {"when": "raining"}}, "raining"),
        ({"condition": {"when": "figure", "figure": "issues", "op": "~", "value": 1}}, "figure, op and a number"),
        ({"condition": {"when": "figure", "figure": "issues", "op": ">", "value": True}}, "figure, op and a number"),
        ({"recipients": [""]}, "neither an e-mail address"),
        ({"recipient_filters": {"a@b.example": {"service": "x"}}}, "no recipient"),
        ({"recipients": ["a@b.example"], "recipient_filters": {"a@b.example": {"colour": "x"}}}, "no filter 'colour'"),
        ({"start_at": NOON, "end_at": NOON}, "ends before it starts"),
        ({"filters": {"severity": ["p9"]}}, "severity"),
    ],
)
def test_wrong_schedules_are_refused_whole(alice: make.Workspace, time: Clock, given: dict[str, Any], words: str) -> None:
    with pytest.raises(Invalid, match=words):
        schedule(alice, **given)
    with alice.db() as db:
        assert db.execute(select(Schedule)).all() == []
        assert db.execute(select(Definition)).all() == []


def test_another_workspaces_schedule_is_not_there(alice: make.Workspace, bob: make.Workspace, time: Clock) -> None:
    schedule_id, report = schedule(alice), definition(alice)
    with bob.db() as db:
        for call in (lambda: schedules.get(db, schedule_id), lambda: definitions.get(db, report)):
            with pytest.raises(NotFound):
                call()
        with pytest.raises(NotFound):
            schedules.create(db, bob.principal, definition_id=report, name="x", cron="0 9 * * *")


def test_each_change_is_audited(alice: make.Workspace, time: Clock) -> None:
    schedule_id = schedule(alice)
    with alice.db() as db:
        schedules.change(db, schedule_id, alice.principal, cron="0 8 * * *")
        orders.fire(db, way(alice), alice.principal, schedule_id)
        schedules.remove(db, schedule_id, alice.principal)
        actions = list(db.execute(text("SELECT action FROM audit_log ORDER BY number")).scalars())
    assert actions[-5:] == ["report.created", "schedule.created", "schedule.updated", "schedule.fired", "schedule.deleted"]
    assert Status.HELD not in runs.FINAL
