"""The pages of reports: saved reports and their runs, one run, schedules with their next times, and the preview."""

from __future__ import annotations

import pytest

from everfix.reports import ticks
from tests import make
from tests.conftest import Clock
from tests.test_web import Person


def signed_in(workspace: make.Workspace, role: str = "owner") -> Person:
    return Person(workspace.client).enter(workspace.secrets[role])


@pytest.fixture
def owner_(alice: make.Workspace, time: Clock) -> Person:
    alice.learn(*make.failures("database", (6, 5, 2)))
    return signed_in(alice)


def test_a_report_is_saved_run_and_shown_with_its_result(alice: make.Workspace, owner_: Person) -> None:
    """C296."""
    sent = {
        "csrf": owner_.csrf(),
        "template": "blank",
        "section": ["issue_kpis", "issue_list"],
        "name": "Ours",
        "format": ["json", "csv"],
        "window": "7d",
    }
    answer = owner_.post("/reports/saved", sent)
    address = answer.headers["location"]
    assert address.startswith("/reports/saved/rep_")
    page = owner_.page(address)
    assert "Ours" in page
    assert "It has not run yet." in page
    assert owner_.post(f"{address}/run", {"csrf": owner_.csrf()}).headers["location"] == address
    alice.work()
    page = owner_.page(address)
    assert '<span class="pill succeeded">succeeded</span>' in page
    assert "Ours" in owner_.page("/reports/saved")
    run = page.split('href="/reports/runs/')[1].split('"')[0]
    told = owner_.page(f"/reports/runs/{run}")
    assert "What it said" in told
    assert "Made with the rights of Alice Owner" in told
    assert owner_.post(f"{address}/switch", {"csrf": owner_.csrf()}).status_code == 303
    assert "switched off" in owner_.page(address)
    assert owner_.post(f"{address}/delete", {"csrf": owner_.csrf()}).headers["location"] == "/reports/saved"
    assert owner_.get(address).status_code == 404
    assert owner_.get(f"/reports/runs/{run}").status_code == 200, "its runs are records"


def test_the_preview_says_what_the_report_would(owner_: Person) -> None:
    """C296."""
    page = owner_.page("/reports/preview?template=blank&section=issue_kpis&section=issue_list&window=30d")
    assert "Issues at a glance" in page
    assert "3 rows" in page
    assert "needs sections" in owner_.page("/reports/preview?template=blank")
    assert "first and the last day" in owner_.page("/reports/preview?window=range")


def test_a_schedule_is_saved_paused_run_and_removed(alice: make.Workspace, owner_: Person, time: Clock) -> None:
    """C296."""
    sent = {
        "csrf": owner_.csrf(),
        "name": "Monday",
        "cron": "0 9 * * MON",
        "timezone": "Europe/Berlin",
        "report": "issue_digest",
        "format": "csv",
    }
    answer = owner_.post("/reports/schedules", {**sent, "recipients": "a@shop.example, C0123ABCD"})
    assert answer.headers["location"] == "/reports/schedules"
    page = owner_.page("/reports/schedules")
    assert "a@shop.example, C0123ABCD" in page
    assert "0 9 * * MON" in page
    name = page.split('action="/reports/schedules/')[1].split("/")[0]
    for action in ("pause", "resume", "run"):
        assert owner_.post(f"/reports/schedules/{name}/{action}", {"csrf": owner_.csrf()}).status_code == 303
    assert owner_.post(f"/reports/schedules/{name}/fly", {"csrf": owner_.csrf()}).status_code == 404
    time.advance(days=8)
    owner_ = signed_in(alice)
    assert "no scheduler has served the slot" in owner_.page("/reports/schedules")
    ticks.tick(alice.installation, time.at)
    assert "no scheduler has served" not in owner_.page("/reports/schedules")
    assert owner_.post(f"/reports/schedules/{name}/delete", {"csrf": owner_.csrf()}).status_code == 303
    assert "Nothing is sent by itself yet" in owner_.page("/reports/schedules")


def test_a_wrong_schedule_keeps_what_was_typed(owner_: Person) -> None:
    answer = owner_.post(
        "/reports/schedules",
        {"csrf": owner_.csrf(), "name": "Mine", "cron": "61 * * * *", "report": "issue_digest", "recipients": "a@b.example"},
    )
    assert answer.status_code == 422
    assert "bad minute" in answer.text
    assert 'value="Mine"' in answer.text
    assert "a@b.example" in answer.text


def test_the_next_ten_times_are_shown_while_typing(alice: make.Workspace, time: Clock) -> None:
    time.advance(days=9)
    owner_ = signed_in(alice)
    page = owner_.page("/reports/schedules/fires?cron=0+9+*+*+*&timezone=Europe/Berlin")
    assert page.count("<tr>") == 11
    assert "the clock goes forward by 1 h on this day" in page
    assert "five fields" in owner_.page("/reports/schedules/fires?cron=x&timezone=UTC")


def test_a_viewer_reads_and_changes_nothing(alice: make.Workspace, time: Clock) -> None:
    viewer = signed_in(alice, "viewer")
    assert "New schedule" not in viewer.page("/reports/schedules")
    assert viewer.page("/reports/saved")
    sent = {"csrf": "x", "name": "Mine", "cron": "0 9 * * *"}
    assert viewer.post("/reports/schedules", sent).status_code == 403


def test_another_workspaces_pages_are_not_there(alice: make.Workspace, bob: make.Workspace, owner_: Person) -> None:
    owner_.post("/reports/saved", {"csrf": owner_.csrf(), "template": "issue_digest", "format": ["json"]})
    report = alice.api.ok("GET", "/v1/reports")["data"][0]["id"]
    run = alice.api.ok("POST", f"/v1/reports/{report}/run")["run_id"]
    stranger = signed_in(bob)
    for path in (f"/reports/saved/{report}", f"/reports/runs/{run}", "/reports/runs/x", "/reports/saved/x"):
        assert stranger.get(path).status_code == 404
