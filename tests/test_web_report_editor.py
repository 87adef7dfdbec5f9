"""Saved reports as pages: the list, the editor with its preview, schedules, runs, and Run Now."""

from __future__ import annotations

import re
from typing import Any

import pytest

from tests import make
from tests.conftest import Clock
from tests.test_compat_reports import stored
from tests.test_web import PART, Person

LIST = "/reports/saved"


@pytest.fixture
def full(alice: make.Workspace, time: Clock) -> make.Workspace:
    alice.learn(*make.failures("database", (1, 2, 3, 5, 8, 20)), *make.failures("payments", (2, 4, 9)))
    return alice


@pytest.fixture
def owner_page(alice: make.Workspace) -> Person:
    return Person(alice.client).enter(alice.secrets["owner"])


def form(person: Person, **more: Any) -> dict[str, Any]:
    plain = {
        "csrf": person.csrf(),
        "name": "Monday",
        "enabled": "on",
        "source": ["offer_performance", "section:kpis"],
        "days": ["7", ""],
        "title": ["", ""],
        "more": ['{"limit": 5}', ""],
        "format": ["csv"],
        "narrative": "on",
        "prompt": "",
    }
    return {**plain, **more}


def saved(person: Person) -> str:
    """Save a report in the editor and return the address of its page."""
    answer = person.post(f"{LIST}/new", form(person))
    assert answer.status_code == 303
    address, _, ending = answer.headers["location"].rpartition("/")
    assert ending == "edit"
    return address


def test_a_report_is_composed_saved_and_listed(full: make.Workspace, owner_page: Person) -> None:
    """D238–D242, D246."""
    assert "No report is saved yet" in owner_page.page(LIST)
    fresh = owner_page.page(f"{LIST}/new")
    assert 'value="offer_performance" selected' in fresh
    address = saved(owner_page)
    page = owner_page.page(f"{address}/edit")
    assert 'hx-post="/reports/saved/preview"' in page
    assert "delay:600ms" in page  # D245
    assert 'value="section:kpis" selected' in page
    (template,) = full.viewer.ok("GET", "/api/v1/reports/templates")["data"]
    assert template["dataSources"] == [
        {"sourceKey": "offer_performance", "params": {"limit": 5, "days": 7}},
        {"sourceKey": "section:kpis", "params": {}},
    ]
    assert owner_page.post(f"{address}/edit", form(owner_page, name="Tuesday", enabled="", prompt="be brief")).status_code == 303
    (template,) = full.viewer.ok("GET", "/api/v1/reports/templates")["data"]
    assert (template["name"], template["enabled"], template["narrative"]["prompt"]) == ("Tuesday", False, "be brief")
    assert "Tuesday" in owner_page.page(LIST)
    assert owner_page.post(f"{address}/delete", {"csrf": owner_page.csrf()}).status_code == 303
    assert "No report is saved yet" in owner_page.page(LIST)


def test_the_old_address_leads_to_the_one_list(full: make.Workspace, owner_page: Person) -> None:
    address = saved(owner_page)
    for old, new in (("", LIST), ("/new", f"{LIST}/new"), (f"/{address.rsplit('/', 1)[1]}", f"{address}/edit")):
        led = owner_page.get(f"/settings/reports{old}")
        assert (led.status_code, led.headers["location"]) == (303, new)
        assert owner_page.page(new)
    page = owner_page.page(LIST)
    assert page.count(f'href="{address}"') == 1
    assert "by hand only" in page
    owner_page.post(f"{address}/schedules", {"csrf": owner_page.csrf(), "name": "Weekly", "cron": "0 8 * * 1", "timezone": "UTC"})
    assert "23 Mar 2026" in owner_page.page(LIST)


def test_the_preview_shows_the_summary_and_the_rows(full: make.Workspace, owner_page: Person) -> None:
    """D245: and keeps nothing; what cannot be read is said."""
    asked, before = form(owner_page), stored(full)
    answer = owner_page.post(f"{LIST}/preview", asked, **PART)
    assert answer.status_code == 200
    assert "Executive summary" in answer.text
    assert re.search(r"<small>\d+ rows</small>", answer.text)
    assert stored(full) == before
    assert owner_page.post(f"{LIST}/preview", asked | {"days": ["x", ""]}, **PART).status_code == 422
    assert "Executive summary" not in owner_page.post(f"{LIST}/preview", asked | {"narrative": ""}, **PART).text


def test_schedules_are_added_changed_switched_off_and_removed(full: make.Workspace, owner_page: Person) -> None:
    """D243."""
    address = saved(owner_page)
    csrf = owner_page.csrf()
    refused = owner_page.post(f"{address}/schedules", {"csrf": csrf, "name": "x", "cron": "nope"})
    assert refused.status_code == 422
    assert (
        owner_page.post(
            f"{address}/schedules", {"csrf": csrf, "name": "Weekly", "cron": "0 8 * * 1", "timezone": "Europe/Paris"}
        ).status_code
        == 303
    )
    (schedule,) = full.viewer.ok("GET", "/api/v1/reports/schedules")["data"]
    assert (schedule["name"], schedule["timezone"]) == ("Weekly", "Europe/Paris")
    assert "23 Mar 2026" in owner_page.page(f"{address}/edit")
    path = f"{address}/schedules/{schedule['id']}"
    assert owner_page.post(path, {"csrf": csrf, "cron": "0 9 * * *", "action": "off"}).status_code == 303
    (changed,) = full.viewer.ok("GET", "/api/v1/reports/schedules")["data"]
    assert (changed["cronExpression"], changed["enabled"]) == ("0 9 * * *", False)
    owner_page.post(path, {"csrf": csrf, "action": "remove"})
    assert full.viewer.ok("GET", "/api/v1/reports/schedules")["data"] == []


def test_run_now_says_so_and_its_run_is_listed(full: make.Workspace, owner_page: Person) -> None:
    """D244, D247."""
    address = saved(owner_page)
    toast = owner_page.post(f"{address}/run", {"csrf": owner_page.csrf()}, **PART)
    assert "Making monday" in toast.text
    full.work()
    page = owner_page.page(address)
    assert 'class="pill succeeded"' in page
    assert re.search(r'href="/reports/files/fil_\w+"[^>]*>CSV <', page)


def test_a_viewer_reads_and_changes_nothing(full: make.Workspace, owner_page: Person, bob: make.Workspace) -> None:
    address = saved(owner_page)
    viewer = Person(full.client).enter(full.secrets["viewer"])
    assert "New Report" not in viewer.page(LIST)
    assert "Run Now" not in viewer.page(address) + viewer.page(f"{address}/edit")
    assert viewer.get(f"{LIST}/new").status_code == 403
    for path in (f"{LIST}/new", f"{address}/edit", f"{address}/run", f"{address}/delete", f"{LIST}/preview"):
        assert viewer.post(path, form(viewer)).status_code == 403
    stranger = Person(bob.client).enter(bob.secrets["owner"])
    assert stranger.get(address).status_code == stranger.get(f"{address}/edit").status_code == 404
    assert stranger.post(f"{address}/run", {"csrf": stranger.csrf()}).status_code == 404


def test_a_saved_dashboards_parts_are_shown_sent_and_kept(full: make.Workspace, owner_page: Person) -> None:
    """D47: they cannot be chosen anew, and the preview still has them."""
    made = full.analyst.ok("POST", "/api/v1/reports/save-dashboard", {"dashboard": "executive", "name": "Fixed"})["template"]
    page = owner_page.page(f"{LIST}/{made['id']}/edit")
    sources, days = (re.findall(rf'type="hidden" name="{name}" value="([^"]*)"', page) for name in ("source", "days"))
    assert sources == [item["sourceKey"] for item in made["dataSources"]]
    assert "Add source" not in page
    sent = form(owner_page, name="Renamed", source=sources, days=days, title=[""] * len(days), more=[""] * len(days))
    assert owner_page.post(f"{LIST}/preview", sent, **PART).status_code == 200
    assert owner_page.post(f"{LIST}/{made['id']}/edit", sent).status_code == 303
    kept = full.viewer.ok("GET", f"/api/v1/reports/templates/{made['id']}")
    assert (kept["name"], kept["dataSources"]) == ("Renamed", made["dataSources"])
