"""Saved reports, their runs and schedules through the API: the reference's section 7.3, row by row, and what we added."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from everfix.documents.model import Document
from everfix.reports import ticks
from tests import make
from tests.conftest import Clock

NEW = {"name": "Weekly", "template": "issue_digest", "window": "7D", "format": "JSON"}


def report(workspace: make.Workspace, **body: Any) -> dict[str, Any]:
    sent = {key: value for key, value in {**NEW, **body}.items() if value is not None}
    return workspace.api.ok("POST", "/v1/reports", sent)  # type: ignore[no-any-return]


def run(workspace: make.Workspace, report_id: str) -> dict[str, Any]:
    """Run a report now, do the work, and return the run."""
    queued = workspace.api.ok("POST", f"/v1/reports/{report_id}/run")
    workspace.work()
    return workspace.api.ok("GET", f"/v1/reports/{report_id}/runs/{queued['run_id']}")  # type: ignore[no-any-return]


def test_a_report_is_saved_read_changed_listed_and_removed(alice: make.Workspace) -> None:  # C218-C222
    answer = alice.api.post("/v1/reports", NEW)
    assert answer.status_code == 201
    made = answer.json()
    assert made["id"].startswith("rep_")
    assert (made["name"], made["window"], made["format"], made["formats"], made["filters"]) == ("Weekly", "7d", "json", ["json"], {})
    assert [part["id"] for part in made["sections"]] == ["issue_kpis", "issue_volume", "issue_list"]
    assert alice.viewer.ok("GET", f"/v1/reports/{made['id']}") == made
    changed = alice.api.ok(
        "PATCH",
        f"/v1/reports/{made['id']}",
        {"name": "Daily", "description": "For the team", "format": "PDF", "filters": {"severity": "critical", "service": ["a", "b"]}},
    )
    assert (changed["name"], changed["description"], changed["formats"]) == ("Daily", "For the team", ["pdf"])
    assert changed["filters"] == {"severity": ["p1"], "service": ["a", "b"]}
    assert make.ids_of(alice.viewer.ok("GET", "/v1/reports")["data"]) == [made["id"]]
    assert alice.api.call("DELETE", f"/v1/reports/{made['id']}").status_code == 204
    assert alice.api.get(f"/v1/reports/{made['id']}").status_code == 404


def test_running_a_report_keeps_a_run_with_files_and_snapshot(alice: make.Workspace, time: Clock) -> None:  # C233-C235
    alice.learn(*make.failures("database", (6, 5, 2)))
    made = report(alice, format=None, formats=["json", "csv"], filters={"service": "orders-api"})
    answer = alice.api.post(f"/v1/reports/{made['id']}/run")
    assert answer.status_code == 202
    assert set(answer.json()) >= {"job_id", "run_id", "status"}
    alice.work()
    job = alice.api.ok("GET", f"/v1/reports/jobs/{answer.json()['job_id']}")
    assert (job["status"], job["download_url"] is not None) == ("succeeded", True)
    (listed,) = alice.viewer.ok("GET", f"/v1/reports/{made['id']}/runs")["data"]
    assert (listed["status"], listed["trigger"], [file["format"] for file in listed["files"]]) == ("succeeded", "manual", ["json", "csv"])
    assert listed["duration_seconds"] >= 0
    assert alice.client.get(listed["download_url"]).status_code == 200
    one = alice.viewer.ok("GET", f"/v1/reports/{made['id']}/runs/{listed['id']}")
    assert (one["executor"], one["written"]["writer"], one["filters"]) == ("Alice Owner", "rules", {"service": ["orders-api"]})
    assert one["inputs"]["report"]["name"] == "Weekly"
    assert "Only service orders-api." in Document.model_validate(one["document"]).notices


def test_any_format_is_rendered_later_from_the_snapshot(alice: make.Workspace, time: Clock) -> None:
    alice.learn(*make.failures("database", (6, 5, 2)))
    made = report(alice)
    found = run(alice, made["id"])
    alice.learn(*make.failures("login", (3, 1)))
    for format_ in ("PDF", "html", "markdown", "csv", "xlsx"):
        file = alice.api.ok("POST", f"/v1/reports/{made['id']}/runs/{found['id']}/render", {"format": format_})
        assert alice.client.get(file["download_url"]).status_code == 200
        assert alice.api.ok("POST", f"/v1/reports/{made['id']}/runs/{found['id']}/render", {"format": format_})["sha256"] == file["sha256"]
    text = alice.client.get(
        alice.api.ok("POST", f"/v1/reports/{made['id']}/runs/{found['id']}/render", {"format": "md"})["download_url"]
    ).text
    assert "login" not in text
    assert alice.api.post(f"/v1/reports/{made['id']}/runs/{found['id']}/render", {"format": "doc"}).status_code == 422


def test_what_changed_is_computed_between_two_snapshots(alice: make.Workspace, time: Clock) -> None:
    alice.learn(*make.failures("database", (6, 5, 2)))
    made = report(alice, template="blank", sections=["issue_kpis", "issue_list", "changes_since_last_run"])
    first = run(alice, made["id"])
    assert alice.api.ok("GET", f"/v1/reports/{made['id']}/runs/{first['id']}/changes")["changes"] == []
    alice.learn(*make.failures("login", (3, 1)))
    time.advance(minutes=1)
    second = run(alice, made["id"])
    told = alice.api.ok("GET", f"/v1/reports/{made['id']}/runs/{second['id']}/changes")
    assert told["since"] == first["id"]
    figures = {item["what"]: (item["before"], item["after"]) for item in told["changes"] if item["kind"] == "figure"}
    assert figures["Issues"] == (3, 5)
    assert [item["kind"] for item in told["changes"] if item["kind"] == "new"] == ["new", "new"]
    back = alice.api.ok("GET", f"/v1/reports/{made['id']}/runs/{first['id']}/changes", since=second["id"])
    assert {item["what"]: item["after"] for item in back["changes"] if item["kind"] == "figure"}["Issues"] == 3
    sections = {part["id"]: part for part in second["document"]["sections"]}
    assert sections["changes_since_last_run"]["blocks"][0]["figures"][0]["previous"] == 3
    assert [part["id"] for part in second["document"]["sections"]][-1] == "changes_since_last_run"


def test_fifty_two_past_weeks_are_one_call(alice: make.Workspace, time: Clock) -> None:
    alice.learn(*make.failures("database", (300, 200, 100, 50, 20, 9, 5, 2)))
    made = report(alice, template="blank", sections=["issue_kpis"])
    answer = alice.api.post(f"/v1/reports/{made['id']}/backfill", {"periods": 52})
    assert answer.status_code == 202
    alice.work()
    job = alice.api.ok("GET", f"/v1/jobs/{answer.json()['job_id']}")
    assert (job["status"], len(job["result"]["runs"])) == ("succeeded", 52)
    found = alice.api.ok("GET", f"/v1/reports/{made['id']}/runs", limit=100, sort="-as_of")["data"]
    assert len(found) == 52
    assert {item["status"] for item in found} == {"succeeded"}
    assert (found[0]["window"], found[1]["window"], found[0]["trigger"]) == ("2026-03-09..2026-03-15", "2026-03-02..2026-03-08", "backfill")
    newest = alice.api.ok("GET", f"/v1/reports/{made['id']}/runs/{found[0]['id']}")
    figure = newest["document"]["sections"][0]["blocks"][0]["figures"][0]
    assert (figure["value"], newest["document"]["period"]["label"]) == (2, "9 Mar 2026 to 15 Mar 2026")
    assert newest["deliveries"] == []


@pytest.mark.parametrize(
    "body", [{"periods": 0}, {"periods": 521}, {"until": "2099-01-01"}, {"until": "soon"}, {"window": "2026-01-01..2026-01-31"}]
)
def test_a_wrong_backfill_is_refused(alice: make.Workspace, body: dict[str, Any]) -> None:
    assert alice.api.post(f"/v1/reports/{report(alice)['id']}/backfill", body).status_code == 422


def test_sections_by_hand_name_sources_too(alice: make.Workspace, time: Clock) -> None:  # C230, D126, D136, D137
    alice.learn(*make.failures("database", (6, 5, 2)))
    sections = [
        {"id": "s1", "title": "Who failed", "source": "issues_by_service", "params": {"limit": 3}},
        {"id": "s2", "title": "Wrong", "source": "issues_by_service", "params": {"limit": 99999}},
        {"id": "s3", "source": "no_such_source"},
        {"section": "issue_list", "params": {"limit": 1}},
        {"id": "odd", "section": "issue_list", "params": {"colour": "red"}},
    ]
    found = run(alice, report(alice, template="blank", sections=sections)["id"])
    assert found["status"] == "succeeded", "wrong parameters stand in their section"
    parts = {part["id"]: part for part in found["document"]["sections"]}
    assert list(parts) == ["s1", "s2", "s3", "issue_list", "odd"]
    assert parts["s1"]["title"] == "Who failed"
    assert parts["s1"]["blocks"][0]["rows"][0][0] == "orders-api"
    for wrong, words in (("s2", "limit"), ("s3", "no source"), ("odd", "no parameter 'colour'")):
        (block,) = parts[wrong]["blocks"]
        assert len(block["rows"]) == 1
        assert words in block["rows"][0][0]
    assert len(parts["issue_list"]["blocks"][0]["rows"]) == 1


def test_a_workspace_level_schedule(alice: make.Workspace, time: Clock) -> None:  # C240-C244, C248, C249
    body = {
        "name": "Monday",
        "cron": "0 9 * * MON",
        "timezone": "America/New_York",
        "report_type": "executive_summary",
        "window": "30D",
        "recipients": ["boss@shop.example", "C0123ABCD"],
        "format": "PDF",
    }
    answer = alice.api.post("/v1/reports/schedules", body)
    assert answer.status_code == 201, answer.text
    made = answer.json()
    assert made["id"].startswith("sch_")
    assert made["next_run_at"] == "2026-03-16T13:00:00Z"
    assert (made["enabled"], made["last_status"], made["report_type"], made["window"], made["format"]) == (
        True,
        "pending",
        "executive_summary",
        "30d",
        "pdf",
    )
    assert made["recipients"] == body["recipients"]
    assert make.ids_of(alice.viewer.ok("GET", "/v1/reports/schedules")["data"]) == [made["id"]]
    assert alice.viewer.ok("GET", f"/v1/reports/schedules/{made['id']}") == made
    assert alice.api.ok("GET", "/v1/reports")["data"] == [], "it brings no saved report into the list"
    changed = alice.api.ok(
        "PATCH",
        f"/v1/reports/schedules/{made['id']}",
        {"cron": "30 8 * * *", "timezone": "Europe/Berlin", "recipients": ["x@shop.example"], "format": "csv"},
    )
    assert (changed["next_run_at"], changed["format"], changed["recipients"]) == ("2026-03-17T07:30:00Z", "csv", ["x@shop.example"])
    fired = alice.api.post(f"/v1/reports/schedules/{made['id']}/run-now")
    assert fired.status_code == 202
    assert fired.json()["job_id"].startswith("job_")
    assert alice.api.call("DELETE", f"/v1/reports/schedules/{made['id']}").status_code == 204
    assert alice.api.ok("GET", "/v1/reports/schedules")["data"] == []


def test_a_schedule_of_a_report(alice: make.Workspace, time: Clock) -> None:  # C245-C247
    own, other = report(alice), report(alice)
    made = alice.api.ok("POST", f"/v1/reports/{own['id']}/schedules", {"cron": "0 9 * * *", "recipients": ["x@shop.example"]})
    assert (made["report_id"], made["report_name"], made["window"]) == (own["id"], "Weekly", "7d")
    path = f"/v1/reports/{own['id']}/schedules/{made['id']}"
    assert alice.api.ok("PATCH", path, {"cron": "0 10 * * *"})["next_run_at"] == "2026-03-17T10:00:00Z"
    assert alice.api.patch(f"/v1/reports/{other['id']}/schedules/{made['id']}", {"cron": "0 9 * * *"}).status_code == 404
    assert make.ids_of(alice.api.ok("GET", f"/v1/reports/{own['id']}/schedules")["data"]) == [made["id"]]
    assert alice.api.ok("GET", f"/v1/reports/{other['id']}/schedules")["data"] == []
    assert alice.api.call("DELETE", f"/v1/reports/{other['id']}/schedules/{made['id']}").status_code == 404
    assert alice.api.call("DELETE", path).status_code == 204


def test_the_next_ten_fires_are_shown_with_the_change_of_the_clock(alice: make.Workspace, time: Clock) -> None:
    time.at = datetime(2026, 3, 25, 12, tzinfo=UTC)
    told = alice.viewer.ok("GET", "/v1/reports/schedules/next-fires", cron="0 9 * * *", timezone="Europe/Berlin")
    assert len(told["fires"]) == 10
    assert [item["utc"][11:16] for item in told["fires"][:4]] == ["08:00", "08:00", "08:00", "07:00"]
    assert [item["note"] for item in told["fires"][:4]] == ["", "", "", "the clock goes forward by 1 h on this day"]
    made = alice.api.ok("POST", f"/v1/reports/{report(alice)['id']}/schedules", {"cron": "0 9 * * *", "timezone": "Europe/Berlin"})
    assert alice.viewer.ok("GET", f"/v1/reports/schedules/{made['id']}/next-fires", count=3)["fires"] == told["fires"][:3]
    for wrong in ({"cron": "x"}, {"cron": "0 9 * * *", "timezone": "Mars/Base"}, {"cron": "0 9 30 2 *"}):
        answer = alice.viewer.get("/v1/reports/schedules/next-fires", **wrong)
        assert answer.status_code == 422
        assert set(answer.json()["error"]["details"]) <= {"cron", "timezone"}


def test_pause_and_resume(alice: make.Workspace, time: Clock) -> None:
    made = alice.api.ok("POST", f"/v1/reports/{report(alice)['id']}/schedules", {"cron": "0 12 * * *"})
    path = f"/v1/reports/schedules/{made['id']}"
    assert alice.api.ok("POST", f"{path}/pause", {"until": "2026-03-20T00:00:00Z"})["next_run_at"] == "2026-03-20T12:00:00Z"
    assert alice.api.ok("POST", f"{path}/resume")["next_run_at"] == "2026-03-16T12:00:00Z"
    assert alice.api.ok("POST", f"{path}/pause", {})["enabled"] is False
    assert ticks.tick(alice.installation, time.at + timedelta(days=1)).due == 0


@pytest.mark.parametrize("word", ["generate", "templates", "jobs", "schedules"])
def test_literal_words_are_never_read_as_an_id(alice: make.Workspace, word: str) -> None:  # C238
    if word in ("templates", "jobs", "schedules"):
        assert "data" in alice.api.ok("GET", f"/v1/reports/{word}")
    for method in ("GET", "PATCH", "DELETE"):
        answer = alice.api.call(method, f"/v1/reports/{word}", json={} if method == "PATCH" else None)
        assert answer.status_code in (200, 404, 405), answer.text


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"name": ""}, "name"),
        ({"template": "nope"}, "template"),
        ({"template": "blank"}, "sections"),
        ({"sections": ["nope"]}, "sections"),
        ({"sections": [{"id": "A!", "source": "x"}]}, "sections"),
        ({"sections": [{"source": "x", "section": "y"}]}, "sections"),
        ({"sections": [{"section": "kpis", "title": "a\u0000b"}]}, "sections"),
        ({"window": "8w"}, "window"),
        ({"window": "7d", "from": "2026-01-01", "to": "2026-01-02"}, "window"),
        ({"window": None, "from": "2026-01-01"}, "window"),
        ({"window": None, "from": "2026-02-01", "to": "2026-01-02"}, "window"),
        ({"format": "pdf", "formats": ["pdf"]}, "formats"),
        ({"format": None, "formats": []}, "formats"),
        ({"format": "doc"}, "format"),
        ({"filters": {"colour": "red"}}, "filters"),
        ({"filters": {"severity": "p9"}}, "filters.severity"),
        ({"narrative": {"enabled": "yes"}}, "narrative"),
        ({"narrative": {"prompt": "x" * 5000}}, "narrative"),
        ({"run_as": "root"}, "run_as"),
        ({"brand": {"colour": "red"}}, "brand"),
        ({"destinations": ["not-an-id"]}, "destinations"),
        ({"colour": "red"}, "colour"),
    ],
)
def test_a_wrong_report_is_refused_with_the_field(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    sent = {key: value for key, value in {**NEW, **body}.items() if value is not None}
    if "formats" in body and "format" not in body:
        sent.pop("format")
    answer = alice.api.post("/v1/reports", sent)
    assert answer.status_code == 422, answer.text
    assert any(name.startswith(field) for name in answer.json()["error"]["details"]), answer.text
    assert alice.api.ok("GET", "/v1/reports")["data"] == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"cron": "61 * * * *"}, "cron"),
        ({"timezone": "Mars/Base"}, "timezone"),
        ({"report_type": None}, "report_type"),
        ({"recipients": ["nobody"]}, "recipients"),
        ({"recipients": ["a\u0000@b.example"]}, "recipients"),
        ({"misfire": "hope"}, "misfire"),
        ({"spread_seconds": -1}, "spread_seconds"),
        ({"calendar": {"country": "XX"}}, "calendar.country"),
        ({"condition": {"when": "x"}}, "condition"),
        ({"freshness": {"max_age_minutes": "x"}}, "freshness"),
        ({"paused_until": "soon"}, "paused_until"),
    ],
)
def test_a_wrong_schedule_is_refused_with_the_field(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    sent = {"name": "x", "cron": "0 9 * * *", "report_type": "issue_digest", **body}
    answer = alice.api.post("/v1/reports/schedules", {key: value for key, value in sent.items() if value is not None})
    assert answer.status_code == 422, answer.text
    assert any(name.startswith(field) for name in answer.json()["error"]["details"]), answer.text


def test_a_custom_range(alice: make.Workspace) -> None:
    alice.learn(*make.failures("database", (20, 15, 5, 2)))
    made = alice.api.ok(
        "POST", "/v1/reports", {"name": "Range", "format": "json", "from": "2026-02-20", "to": "2026-03-05", "template": "issue_digest"}
    )
    assert made["window"] == "2026-02-20..2026-03-05"
    found = run(alice, made["id"])
    assert found["document"]["sections"][0]["blocks"][0]["figures"][0]["value"] == 2
    assert found["document"]["period"] == {
        "start": "2026-02-20",
        "end": "2026-03-05",
        "previous_start": "2026-02-06",
        "previous_end": "2026-02-19",
        "label": "20 Feb 2026 to 5 Mar 2026",
        "timezone": "UTC",
    }
    job = alice.api.ok("POST", "/v1/reports/generate", {"from": "2026-02-20", "to": "2026-03-05", "format": "json"})
    assert job["window"] == "2026-02-20..2026-03-05"


def test_preview_as_a_recipient(alice: make.Workspace, time: Clock) -> None:
    alice.learn(*make.failures("database", (6, 5, 2)), *make.failures("login", (3,)))
    made = report(alice, template="blank", sections=["issue_kpis"])
    recipients = {"recipients": ["web@shop.example"], "recipient_filters": {"web@shop.example": {"service": "login-api"}}}
    alice.api.ok("POST", f"/v1/reports/{made['id']}/schedules", {"cron": "0 9 * * *", **recipients})

    def issues(body: dict[str, Any]) -> tuple[int, str]:
        told = alice.api.ok("POST", f"/v1/reports/{made['id']}/preview", body)
        return told["document"]["sections"][0]["blocks"][0]["figures"][0]["value"], told["executor"]

    assert issues({}) == (4, "Alice Owner")
    assert issues({"recipient": "web@shop.example"}) == (1, "web@shop.example")
    assert issues({"recipient": "viewer@alice.example"}) == (4, "viewer@alice.example")
    assert issues({"recipient": "viewer@alice.example", "recipient_filters": {"team": "nobody"}}) == (0, "viewer@alice.example")
    assert alice.api.post(f"/v1/reports/{made['id']}/preview", {"recipient": "stranger@shop.example"}).status_code == 403
    assert alice.api.post(f"/v1/reports/{made['id']}/preview", {"recipient": "nobody"}).status_code == 422
    assert alice.api.ok("GET", f"/v1/reports/{made['id']}/runs")["data"] == []


def test_only_an_admin_adopts(alice: make.Workspace) -> None:
    made = report(alice)
    assert alice.analyst.post(f"/v1/reports/{made['id']}/adopt").status_code == 403
    assert alice.admin.ok("POST", f"/v1/reports/{made['id']}/adopt")["adopted_by"] == "Admin"


def test_a_run_without_a_snapshot_cannot_be_rendered(alice: make.Workspace) -> None:
    made = report(alice)
    queued = alice.api.ok("POST", f"/v1/reports/{made['id']}/run")
    answer = alice.api.post(f"/v1/reports/{made['id']}/runs/{queued['run_id']}/render", {"format": "pdf"})
    assert (answer.status_code, answer.json()["error"]["code"]) == (409, "conflict")
    other = report(alice)
    assert alice.api.get(f"/v1/reports/{other['id']}/runs/{queued['run_id']}").status_code == 404


def test_a_disabled_report_is_not_run_by_hand(alice: make.Workspace) -> None:
    made = report(alice, enabled=False)
    assert alice.api.post(f"/v1/reports/{made['id']}/run").status_code == 422
