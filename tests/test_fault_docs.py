"""The fault matrix as docs/faults.md shows it is the one that the tests walk through: `python -m tests.test_fault_docs` writes it."""

from __future__ import annotations

import re
from collections.abc import Iterator

import pytest

from tests import test_delivery_faults, test_run_faults, test_schedule_faults
from tests.shared import ROOT

PAGE = ROOT / "docs" / "faults.md"
HEAD = """# What can go wrong, and what becomes of it

Each row is a test. A state is what the ledger (`/deliveries`) says of the delivery at once; a passing fault (`queued`) is tried again, five times
in all, and then ends as `failed`. Whoever answers for a report is told in words of everything that failed, was missed, or is held. Written from
the tables of the tests by `python -m tests.test_fault_docs`; a test compares both.

| Fault | State | In words | Test |
| --- | --- | --- | --- |
"""
# Faults with a test of their own: what, the state, the words, where.
ALONE = (
    (
        "the cron expression is invalid",
        "no row: 422",
        "names the field",
        "test_run_faults.test_bad_input_is_refused_by_name_and_leaves_no_row",
    ),
    ("the zone is unknown", "no row: 422", "names the field", "test_run_faults.test_bad_input_is_refused_by_name_and_leaves_no_row"),
    ("a recipient is no address", "no row: 422", "names the field", "test_run_faults.test_bad_input_is_refused_by_name_and_leaves_no_row"),
    ("there are no recipients", "no row: made for the page", "", "test_run_faults.test_nobody_to_send_to_is_said_and_kept"),
    ("the disk is really full (tmpfs)", "failed", "is full", "test_run_faults.test_a_disk_that_is_really_full"),
    ("the storage is away for a while", "sent", "", "test_run_faults.test_storage_that_is_away_for_a_while_only_delays"),
    (
        "one format cannot be drawn",
        "sent",
        "comes without HTML",
        "test_run_faults.test_one_format_that_cannot_be_drawn_withholds_no_other",
    ),
    ("no format can be drawn", "failed", "the cause", "test_run_faults.test_no_format_that_can_be_drawn_fails_the_run"),
    (
        "two schedulers, and a clock that jumps",
        "sent once",
        "",
        "test_run_faults.test_two_schedulers_and_a_clock_that_jumps_serve_a_slot_once",
    ),
    ("the clock jumps by hours or days, either way", "one row per slot", "", "test_schedule_faults.test_a_clock_that_jumps_during_the_day"),
    ("twelve ticks at once", "one row per slot", "", "test_schedules.test_many_ticks_at_once_serve_a_slot_once"),
    (
        "no scheduler for a day",
        "failed, and the newest is sent late",
        "no scheduler served it",
        "test_schedule_faults.test_no_scheduler_for_a_day",
    ),
    (
        "a column is gone",
        "sent, the run is partial",
        "the database refused",
        "test_schedule_faults.test_a_column_that_is_gone_makes_the_run_partial",
    ),
    ("the report is disabled", "skipped", "the report is disabled", "test_schedule_faults.test_a_disabled_report_has_its_row"),
    ("a backfill is killed", "goes on", "", "test_schedule_faults.test_a_backfill_that_is_killed_goes_on"),
    ("a run's job is lost", "planned, and told", "no worker has taken it", "test_overdue.test_a_run_that_no_worker_takes_is_told"),
    ("a delivery's job is lost", "queued, and told", "no job is left", "test_overdue.test_a_delivery_whose_job_is_lost_is_told"),
    ("a stored schedule cannot be read", "no row, and told", "correct it", "test_overdue.test_a_schedule_that_cannot_be_read_is_told"),
    (
        "nothing serves a slot",
        "no row yet, and told",
        "no scheduler has served",
        "test_overdue.test_a_slot_that_nothing_served_is_told_once",
    ),
    ("a worker is killed after acceptance", "sent once", "had noted that", "test_acceptances.test_killed_between_acceptance_and_ledger"),
    (
        "all workers are killed after acceptance",
        "sent once",
        "",
        "test_acceptances.test_a_dozen_schedules_with_workers_killed_at_the_worst_moment",
    ),
    ("the database is lost after acceptance", "sent once", "", "test_acceptances.test_the_database_gone_after_acceptance"),
    ("QUIT fails after acceptance", "sent once", "", "test_acceptances.test_a_farewell_that_fails_does_not_have_the_mail_sent_again"),
    (
        "the answer's body breaks off after 2xx",
        "sent once",
        "",
        "test_acceptances.test_a_2xx_status_is_the_receipt_whatever_becomes_of_the_body",
    ),
    (
        "the probe's worker is killed",
        "another one is sent",
        "",
        "test_circuits.test_a_probe_whose_worker_was_killed_is_followed_by_another",
    ),
    ("many workers look for a probe at once", "one is sent", "", "test_circuits.test_many_workers_send_one_probe"),
    (
        "a held delivery's destination is changed, tested or deleted",
        "sent, or failed",
        "the destination was deleted",
        "test_circuits.test_a_person_who_acts_on_the_destination_need_not_wait",
    ),
    (
        "a destination does not come back within a day",
        "failed, and told",
        "did not come back within 24 hours",
        "test_circuits.test_what_was_held_for_a_day_ends_and_its_owner_is_told",
    ),
    ("the language model is down", "sent, written by rules", "says so", "test_narrated_runs.test_a_provider_that_is_down_fails_no_report"),
    ("a download link has expired", "410", "has expired", "test_downloads.test_an_expired_link_is_gone"),
    (
        "the owner has left, and the notice's reader too",
        "told to the admins",
        "",
        "test_overdue.test_the_admins_are_told_when_the_owner_has_left",
    ),
)


def rows() -> Iterator[tuple[str, str, str, str]]:
    """Yield every row: fault, state, words, test."""
    for name, _, status, words in test_delivery_faults.MATRIX:
        yield name, status, words, "test_delivery_faults.test_a_fault_ends_in_a_state_and_in_words"
    for name, (_, (status, ran, words)) in test_schedule_faults.BETWEEN.items():
        yield f"between tick and work: {name}", f"{status}, the run {ran}", words, "test_schedule_faults.test_between_the_tick_and_the_work"
    for name, (_, _, _, words) in test_schedule_faults.INSIDE.items():
        yield f"inside the work, for good: {name}", "failed", words, "test_schedule_faults.test_inside_the_work"
    for name in test_schedule_faults.STORED:
        yield f"stored: {name}", "no row, and told", "", "test_schedule_faults.test_what_is_stored_wrongly_is_silent_and_stops_nobody"
    for name in test_run_faults.POINTS:
        yield f"the process is killed {name}, before it or right after it", "sent once", "", KILLED
    yield from ALONE


KILLED = "test_run_faults.test_killed_at_any_point_a_report_arrives_once"


def page() -> str:
    return HEAD + "".join(f"| {' | '.join((*(cell.replace('|', '/') for cell in row[:3]), f'`{row[3]}`'))} |\n" for row in rows())


def test_the_page_is_the_tests() -> None:
    assert PAGE.read_text(encoding="utf-8") == page(), "run python -m tests.test_fault_docs"


def test_there_are_enough_rows_and_none_twice() -> None:
    names = [row[0] for row in rows()]
    assert len(names) == len(set(names))
    assert len(names) >= 100


@pytest.mark.parametrize("test", sorted({row[3] for row in rows()}))
def test_each_row_names_a_test_that_there_is(test: str) -> None:
    module, _, function = test.partition(".")
    assert re.search(rf"^def {function}\(", (ROOT / "tests" / f"{module}.py").read_text(encoding="utf-8"), re.MULTILINE)


if __name__ == "__main__":
    PAGE.write_text(page(), encoding="utf-8")
