"""The dashboard surface: templates, preview, run-now, schedules, runs, saving a dashboard, and the tick of an outside scheduler."""

from __future__ import annotations

import base64
import json
import uuid
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from pydantic import SecretStr
from sqlalchemy import text

from everfix.core import ids
from everfix.metrics import dashboards, query
from tests import delivering, make, sinks
from tests.conftest import Clock

TEMPLATES, SCHEDULES, RUNS = "/api/v1/reports/templates", "/api/v1/reports/schedules", "/api/v1/reports/runs"
BODY = {
    "name": "Weekly digest",
    "dataSources": [{"sourceKey": "offer_performance", "params": {"days": 7}}, {"sourceKey": "daily_trend", "params": {"days": 7}}],
    "formats": ["csv"],
}


@pytest.fixture
def filled(alice: make.Workspace) -> make.Workspace:
    alice.learn(*make.failures("database", (9, 8, 3, 2, 1)), *make.failures("payments", (12, 5, 1)))
    return alice


@pytest.fixture
def recent(filled: make.Workspace, time: Clock) -> make.Workspace:
    """The same with the clock held where the failures are."""
    return filled


def stored(workspace: make.Workspace) -> dict[str, int]:
    with workspace.db() as db:
        tables = ("report_definitions", "report_schedules", "report_runs", "files", "jobs", "deliveries", "messages", "audit_log")
        return {table: int(db.execute(text(f"SELECT count(*) FROM {table}")).scalar_one()) for table in tables}


# ---- templates


def test_a_template_is_made_with_its_defaults(alice: make.Workspace) -> None:
    """D130, D131, D132."""
    made = alice.analyst.post(TEMPLATES, {"name": "Plain", "dataSources": [{"sourceKey": "offer_performance"}]})
    assert made.status_code == 201
    found = made.json()
    assert (found["description"], found["formats"], found["narrative"], found["sections"], found["filters"], found["enabled"]) == (
        "",
        ["pdf"],
        {"enabled": True},
        [],
        {},
        True,
    )
    assert found["dataSources"] == [{"sourceKey": "offer_performance", "params": {}}]
    assert uuid.UUID(found["id"]).version == 7
    assert found["tenantId"] == str(alice.id)
    assert found["ownerUserId"] == str(alice.users["analyst"])
    assert found["createdAt"].endswith("Z")
    assert alice.viewer.ok("GET", f"{TEMPLATES}/{found['id']}") == found
    assert alice.viewer.ok("GET", f"{TEMPLATES}/{ids.show(ids.Prefix.REPORT, uuid.UUID(found['id']))}") == found  # D5


def test_the_documented_body_is_kept_whole(alice: make.Workspace) -> None:
    """D130, D136, D137, D138: the example of the reference, word for word."""
    body = {
        "name": "Weekly digest",
        "description": "…",
        "dataSources": [{"sourceKey": "offer_performance", "params": {"days": 7}}],
        "sections": [{"id": "s1", "title": "Offers", "dataSourceIndex": 0}],
        "formats": ["pdf", "csv"],
        "narrative": {"enabled": True, "prompt": "flag any offer that fell", "modelOverride": "x"},
        "filters": {"destinations": []},
        "enabled": True,
    }
    found = alice.analyst.ok("POST", TEMPLATES, body)
    assert {key: found[key] for key in body} == body


def test_templates_are_listed_newest_first(alice: make.Workspace, time: Clock) -> None:
    """D129."""
    for name in ("one", "two", "three"):
        alice.analyst.ok("POST", TEMPLATES, BODY | {"name": name})
        time.advance(minutes=1)
    listed = alice.viewer.ok("GET", TEMPLATES)
    assert [item["name"] for item in listed["data"]] == ["three", "two", "one"]
    assert {"id", "name", "description", "dataSources", "formats", "narrative", "enabled", "createdAt", "updatedAt"} <= listed["data"][
        0
    ].keys()


def test_any_field_changes_and_the_rest_stays(alice: make.Workspace) -> None:
    """D133, D137."""
    made = alice.analyst.ok("POST", TEMPLATES, BODY)
    path = f"{TEMPLATES}/{made['id']}"
    changes: list[dict[str, Any]] = [
        {"name": "Other"},
        {"description": "words"},
        {"formats": ["html", "markdown"]},
        {"narrative": {"enabled": False}},
        {"enabled": False},
        {"dataSources": [{"sourceKey": "funnel", "params": {}}, {"sourceKey": "section:kpis", "params": {}}]},
        {"sections": [{"id": "f", "title": "The funnel", "dataSourceIndex": 0}]},
    ]
    expected = made
    for change in changes:
        found = alice.analyst.patch(path, change)
        assert found.status_code == 200, found.text
        expected = {**expected, **change, "updatedAt": found.json()["updatedAt"]}
        assert found.json() == expected
    assert alice.viewer.ok("GET", path) == expected


@pytest.mark.parametrize(
    ("body", "status", "word"),
    [
        ({"dataSources": []}, 400, "name"),
        (BODY | {"formats": ["xlsx"]}, 400, "formats"),  # D135
        (BODY | {"formats": []}, 400, "formats"),  # D40
        (BODY | {"name": ""}, 400, "name"),
        (BODY | {"nope": 1}, 400, "nope"),
        (BODY | {"dataSources": [{"sourceKey": ""}]}, 400, "sourceKey"),
        (BODY | {"dataSources": "x"}, 400, "dataSources"),
        (BODY | {"narrative": {"enabled": "perhaps"}}, 400, "narrative"),
        (BODY | {"dataSources": []}, 422, "section"),
        (BODY | {"sections": [{"id": "a", "title": "", "dataSourceIndex": 7}]}, 422, "data source 7"),
        (
            BODY | {"sections": [{"id": "a", "title": "", "dataSourceIndex": 0}, {"id": "b", "title": "", "dataSourceIndex": 0}]},
            422,
            "twice",
        ),
        (BODY | {"filters": {"destinations": ["nope"]}}, 422, "nope"),
        (BODY | {"filters": {"destinations": "x"}}, 422, "destinations"),
        (BODY | {"filters": {"destinations": [str(uuid.uuid4())]}}, 404, "destination"),
    ],
)
def test_a_wrong_template_is_refused_with_its_field(alice: make.Workspace, body: dict[str, Any], status: int, word: str) -> None:
    """D9."""
    answer = alice.analyst.post(TEMPLATES, body)
    assert (answer.status_code, answer.json()["error"]["status"]) == (status, status), answer.text
    assert word in answer.text
    assert alice.viewer.ok("GET", TEMPLATES) == {"data": []}


def test_roles_of_templates_and_schedules(alice: make.Workspace) -> None:
    """D10, D130, D233: a viewer reads and previews, an editor writes."""
    made = alice.analyst.ok("POST", TEMPLATES, BODY)
    path = f"{TEMPLATES}/{made['id']}"
    for method, target, body in (
        ("POST", TEMPLATES, BODY),
        ("PATCH", path, {"name": "x"}),
        ("DELETE", path, None),
        ("POST", f"{path}/run-now", None),
        ("POST", "/api/v1/reports/preview", BODY),  # D37
        ("POST", "/api/v1/reports/save-dashboard", {"dashboard": "executive", "name": "x"}),  # D48
        ("POST", SCHEDULES, {"templateId": made["id"], "name": "x", "cronExpression": "0 8 * * 1"}),
    ):
        assert alice.viewer.call(method, target, **({"json": body} if body else {})).status_code == 403, target
    assert alice.viewer.post(f"{path}/preview").status_code == 200


def test_deleting_a_template_takes_its_schedules_and_leaves_its_runs(filled: make.Workspace) -> None:
    """D134, D157."""
    made = filled.analyst.ok("POST", TEMPLATES, BODY)
    for name in ("daily", "weekly"):
        filled.analyst.ok("POST", SCHEDULES, {"templateId": made["id"], "name": name, "cronExpression": "0 8 * * *"})
    run = filled.analyst.ok("POST", f"{TEMPLATES}/{made['id']}/run-now?wait=0")
    filled.work()
    assert filled.analyst.call("DELETE", f"{TEMPLATES}/{made['id']}").status_code == 204
    assert filled.viewer.get(f"{TEMPLATES}/{made['id']}").status_code == 404
    assert filled.viewer.ok("GET", SCHEDULES) == {"data": []}
    assert filled.viewer.ok("GET", f"{RUNS}/{run['runId']}")["status"] == "succeeded"


# ---- preview


def test_a_preview_shows_all_and_leaves_nothing(recent: make.Workspace) -> None:
    """D172 (preview): D34, D36, D139: sections, narrative and files inline; nothing stored, nothing sent."""
    made = recent.analyst.ok("POST", TEMPLATES, BODY | {"formats": ["csv", "markdown"]})
    before = stored(recent)
    for found in (
        recent.viewer.ok("POST", f"{TEMPLATES}/{made['id']}/preview"),
        recent.analyst.ok("POST", "/api/v1/reports/preview", BODY | {"formats": ["csv", "markdown"]}),
    ):
        assert [section["id"] for section in found["sections"]] == ["s1", "s2"]
        assert found["sections"][0]["title"] == query.find("offer_performance").title  # D127
        assert found["sections"][0]["rowCount"] == len(found["sections"][0]["tables"][0]["rows"]) > 0
        assert found["narrative"]["executiveSummary"]
        assert 1 <= len(found["narrative"]["keyTakeaways"]) <= 5
        files = {item["format"]: base64.b64decode(item["contentBase64"]) for item in found["artifacts"]}
        assert files.keys() == {"csv", "markdown"}
        assert b"Weekly digest" in files["markdown"]  # D168
    assert stored(recent) == before


def test_a_preview_without_words_and_without_files(filled: make.Workspace) -> None:
    """D138."""
    found = filled.analyst.ok("POST", "/api/v1/reports/preview", {"dataSources": BODY["dataSources"], "narrative": {"enabled": False}})
    assert (found["narrative"], found["artifacts"]) == (None, [])


def test_a_wrong_parameter_is_one_row_and_the_rest_goes_on(filled: make.Workspace) -> None:
    """D126: at run time, not when saved."""
    wrong = {"sourceKey": "offer_performance", "params": {"days": 9999}}
    unknown = {"sourceKey": "no_such_source", "params": {}}
    made = filled.analyst.ok("POST", TEMPLATES, BODY | {"dataSources": [wrong, *BODY["dataSources"], unknown]})
    filled.analyst.ok("POST", f"{TEMPLATES}/{made['id']}/run-now?wait=0")
    filled.work()
    (run,) = filled.viewer.ok("GET", RUNS)["data"]
    assert run["status"] == "succeeded"
    sections = filled.viewer.ok("GET", f"{RUNS}/{run['id']}")["sectionsData"]
    assert [section["rowCount"] for section in sections] == [1, sections[1]["rowCount"], 7, 1]
    assert "days" in json.dumps(sections[0]["tables"][0]["rows"])


@pytest.mark.parametrize("key", sorted(dashboards.DASHBOARDS))
def test_every_dashboard_exports_in_every_format(recent: make.Workspace, key: str) -> None:
    """D28–D33, D35: also with no destination, no scheduler and no model; the words stand on the figures."""
    body = {"name": "An export", "dashboard": key, "period": "30d", "formats": ["pdf", "csv", "markdown", "html"]}
    found = recent.analyst.ok("POST", "/api/v1/reports/preview", body)
    files = {item["format"]: base64.b64decode(item["contentBase64"]) for item in found["artifacts"]}
    assert files["pdf"].startswith(b"%PDF")
    assert b"An export" in files["html"]
    assert [section["id"] for section in found["sections"]] == [part.source for part in dashboards.DASHBOARDS[key].saved]  # D128
    assert "Key takeaways" not in files["csv"].decode("utf-8-sig")
    assert found["narrative"]["executiveSummary"].split("\n\n")[0] in files["markdown"].decode().replace("\\", "")


def test_what_is_on_screen_is_in_the_file(recent: make.Workspace) -> None:
    """D32: the period and the segment."""
    given = {"dashboard": "executive", "period": "14d", "segmentId": "service:payments-api", "formats": ["csv"]}
    found = recent.analyst.ok("POST", "/api/v1/reports/preview", given)
    table = next(section for section in found["sections"] if section["id"] == "offer_performance")["tables"][0]
    assert len(table["rows"]) == 1
    assert recent.analyst.post("/api/v1/reports/preview", given | {"period": "8d"}).status_code == 422
    assert recent.analyst.post("/api/v1/reports/preview", given | {"dashboard": "nope"}).status_code == 422


# ---- saving a dashboard


def test_a_dashboard_is_saved_with_its_schedule_or_not_at_all(filled: make.Workspace) -> None:
    """D41, D42, D43, D44, D46."""
    body = {
        "dashboard": "business",
        "period": "30d",
        "segmentId": "service:orders-api",
        "name": "Money",
        "formats": ["pdf", "csv"],
        "schedule": {"cronExpression": "0 8 * * 1", "timezone": "Europe/Paris"},
    }
    before = stored(filled)
    for cron, zone in (("99 8 * * 1", "UTC"), ("x", "UTC"), ("0 8 * * 1", "Mars/Olympus")):
        refused = filled.analyst.post("/api/v1/reports/save-dashboard", body | {"schedule": {"cronExpression": cron, "timezone": zone}})
        assert refused.status_code == 422, refused.text
        assert stored(filled) == before
    made = filled.analyst.post("/api/v1/reports/save-dashboard", body)
    assert made.status_code == 201
    template, schedule = made.json()["template"], made.json()["schedule"]
    assert [item["sourceKey"] for item in template["dataSources"]] == [
        "revenue_trend",
        "exposure_by_segment",
        "offer_performance",
        "channel_effectiveness",
        "funnel",
        "budget_burn",
    ]
    assert all(item["params"]["days"] == 30 and item["params"]["segmentId"] == "service:orders-api" for item in template["dataSources"])
    assert template["narrative"] == {"enabled": True}
    assert (schedule["templateId"], schedule["cronExpression"], schedule["timezone"], schedule["destinations"]) == (
        template["id"],
        "0 8 * * 1",
        "Europe/Paris",
        [],
    )
    assert schedule["nextRunAt"] is not None
    alone = filled.analyst.ok("POST", "/api/v1/reports/save-dashboard", {"dashboard": "executive", "name": "By hand"})
    assert alone["schedule"] is None
    assert filled.analyst.post(f"{TEMPLATES}/{alone['template']['id']}/run-now?wait=0").status_code == 202


def test_a_saved_dashboards_sources_stay(filled: make.Workspace) -> None:
    """D47, D144."""
    made = filled.analyst.ok("POST", "/api/v1/reports/save-dashboard", {"dashboard": "executive", "name": "Fixed"})["template"]
    path = f"{TEMPLATES}/{made['id']}"
    refused = filled.analyst.patch(path, {"dataSources": BODY["dataSources"]})
    assert refused.status_code == 422
    assert "delete it and save" in refused.json()["error"]["message"]
    assert filled.analyst.patch(path, {"name": "Renamed", "dataSources": made["dataSources"]}).status_code == 200
    assert filled.viewer.ok("GET", path)["dataSources"] == made["dataSources"]


# ---- run now


def test_run_now_answers_with_files_and_deliveries(filled: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D172 (Run Now): D140, D141, D142, D160, D161, D163, D165, D167, D200, D203."""
    monkeypatch.setattr(filled.installation.settings, "outbound_allow", ("127.0.0.1",))
    with sinks.http() as sink:
        there = str(delivering.destination(filled, "webhook", {"url": f"{sink.url}/hook"}))
        made = filled.analyst.ok("POST", TEMPLATES, BODY | {"formats": ["csv", "html"], "filters": {"destinations": [there]}})
        started = filled.analyst.post(f"{TEMPLATES}/{made['id']}/run-now?wait=0")
        assert (started.status_code, started.json()["status"]) == (202, "running")
        filled.work()
        run = filled.viewer.ok("GET", f"{RUNS}/{started.json()['runId']}")
        assert (run["status"], run["trigger"], run["templateId"]) == ("succeeded", "manual", made["id"])
        assert [item["format"] for item in run["artifacts"]] == ["csv", "html"]
        assert [(item["providerId"], item["kind"], item["status"], item["attempts"]) for item in run["deliveryResults"]] == [
            (there, "webhook", "sent", 1)
        ]
        sent = json.loads(sink.got[0].body)
    inline = {item["format"]: base64.b64decode(item["content"]) for item in sent["extraPayload"]["artifacts"]}
    for item in run["artifacts"]:
        file = filled.viewer.get(item["url"])
        assert (len(file.content), file.headers["content-type"]) == (item["size"], item["contentType"])
        assert file.content == inline[item["format"]]
    assert run["durationMs"] is not None
    assert run["narrativeOutput"]["executiveSummary"]
    assert filled.viewer.get(f"{RUNS}/{run['id']}/artifacts/pdf").status_code == 404
    assert filled.viewer.get(f"{RUNS}/{run['id']}/artifacts/nope").status_code == 422


def test_run_now_goes_where_the_schedules_go(filled: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D143: the enabled schedules' destinations, each once; a switched-off schedule's not."""
    monkeypatch.setattr(filled.installation.settings, "outbound_allow", ("127.0.0.1",))
    with sinks.http() as sink:
        one, two, three = (
            str(delivering.destination(filled, "webhook", {"url": f"{sink.url}/{n}"}, name=n)) for n in ("one", "two", "three")
        )
        made = filled.analyst.ok("POST", TEMPLATES, BODY | {"filters": {"destinations": [three]}})
        for chosen, enabled in (([one], True), ([one, two], True), ([three], False)):
            filled.analyst.ok(
                "POST",
                SCHEDULES,
                {"templateId": made["id"], "name": "x", "cronExpression": "0 8 * * *", "destinations": chosen, "enabled": enabled},
            )
        filled.analyst.ok("POST", f"{TEMPLATES}/{made['id']}/run-now?wait=0")
        filled.work()
        assert sorted(got.path for got in sink.got) == ["/one", "/two"]


def test_one_failing_destination_does_not_stop_the_others(filled: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D204, D205."""
    monkeypatch.setattr(filled.installation.settings, "outbound_allow", ("127.0.0.1",))
    with sinks.http() as sink:
        sink.answer = lambda got: sinks.Answer(410 if got.path == "/gone" else 200)
        bad, good = (str(delivering.destination(filled, "webhook", {"url": f"{sink.url}{path}"}, name=path)) for path in ("/gone", "/good"))
        made = filled.analyst.ok("POST", TEMPLATES, BODY | {"filters": {"destinations": [bad, good]}})
        filled.analyst.ok("POST", f"{TEMPLATES}/{made['id']}/run-now?wait=0")
        filled.work()
    (run,) = filled.viewer.ok("GET", RUNS)["data"]
    found = {item["providerId"]: item for item in run["deliveryResults"]}
    assert (found[bad]["status"], found[good]["status"]) == ("failed", "sent")
    assert found[bad]["error"]


def test_a_disabled_template_is_not_run(filled: make.Workspace) -> None:
    made = filled.analyst.ok("POST", TEMPLATES, BODY | {"enabled": False})
    answer = filled.analyst.post(f"{TEMPLATES}/{made['id']}/run-now")
    assert answer.status_code == 422
    assert "disabled" in answer.json()["error"]["message"]


def test_runs_are_walked_by_limit_and_offset(filled: make.Workspace, time: Clock) -> None:
    """D162, D164, D166: newest first, without contents, by template."""
    one, two = (filled.analyst.ok("POST", TEMPLATES, BODY | {"name": name}) for name in ("one", "two"))
    for _ in range(3):
        time.advance(minutes=1)
        filled.analyst.ok("POST", f"{TEMPLATES}/{one['id']}/run-now?wait=0")
    time.advance(minutes=1)
    filled.analyst.ok("POST", f"{TEMPLATES}/{two['id']}/run-now?wait=0")
    all_ = filled.viewer.ok("GET", RUNS)
    assert [run["name"] for run in all_["data"]] == ["two", "one", "one", "one"]
    assert all_["pagination"] == {"total": 4, "limit": 50, "offset": 0, "hasMore": False}
    assert not {"artifactPayloads", "sectionsData", "narrativeOutput"} & all_["data"][0].keys()
    assert filled.viewer.ok("GET", RUNS, limit=2, offset=1)["data"] == all_["data"][1:3]
    assert len(filled.viewer.ok("GET", RUNS, templateId=one["id"])["data"]) == 3
    for wrong in ({"limit": 0}, {"limit": 201}, {"offset": -1}):
        assert filled.viewer.get(RUNS, **wrong).status_code == 400


def test_run_now_waits_for_its_run(filled: make.Workspace) -> None:
    """D140: while a worker works beside it, the answer is the finished run."""
    import threading

    made = filled.analyst.ok("POST", TEMPLATES, BODY)
    stop = threading.Event()

    def work() -> None:
        while not stop.wait(0.1):
            filled.work()

    worker = threading.Thread(target=work)
    worker.start()
    try:
        answer = filled.analyst.post(f"{TEMPLATES}/{made['id']}/run-now?wait=60")
    finally:
        stop.set()
        worker.join()
    assert (answer.status_code, answer.json()["status"]) == (202, "succeeded")
    assert [item["format"] for item in answer.json()["artifacts"]] == ["csv"]


# ---- schedules


def test_a_schedule_from_end_to_end(alice: make.Workspace, time: Clock) -> None:
    """D146–D153, D156, D158."""
    made = alice.analyst.ok("POST", TEMPLATES, BODY)
    answer = alice.analyst.post(SCHEDULES, {"templateId": made["id"], "name": "Mondays", "cronExpression": "0 8 * * 1"})
    assert answer.status_code == 201
    found = answer.json()
    assert (found["timezone"], found["destinations"], found["enabled"], found["lastRunAt"], found["lastStatus"]) == (
        "UTC",
        [],
        True,
        None,
        "pending",
    )
    assert found["nextRunAt"] == "2026-03-23T08:00:00.000Z"
    path = f"{SCHEDULES}/{found['id']}"
    assert alice.viewer.ok("GET", path) == found
    assert alice.viewer.ok("GET", SCHEDULES) == {"data": [found]}
    paris = alice.analyst.patch(path, {"timezone": "Europe/Paris", "cronExpression": "*/30 9-17 * * 1-5"}).json()
    assert paris["nextRunAt"] == "2026-03-16T10:30:00.000Z"
    later = alice.analyst.patch(path, {"cronExpression": "0 8 30 3 *"}).json()
    assert later["nextRunAt"] == "2026-03-30T06:00:00.000Z"  # summer time has begun
    assert alice.analyst.patch(path, {"name": "Renamed"}).json()["nextRunAt"] == later["nextRunAt"]
    assert alice.viewer.call("DELETE", path).status_code == 403
    assert alice.analyst.call("DELETE", path).status_code == 204
    assert alice.viewer.get(path).status_code == 404


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"cronExpression": "61 8 * * 1"}, 422),
        ({"cronExpression": "0 8 * *"}, 422),
        ({"timezone": "Nowhere/At_All"}, 422),
        ({"templateId": str(uuid.uuid4())}, 404),
        ({"templateId": "nonsense"}, 400),
        ({"destinations": [str(uuid.uuid4())]}, 404),
        ({"name": ""}, 400),
    ],
)
def test_a_wrong_schedule_is_refused(alice: make.Workspace, change: dict[str, Any], status: int) -> None:
    """D148."""
    made = alice.analyst.ok("POST", TEMPLATES, BODY)
    answer = alice.analyst.post(SCHEDULES, {"templateId": made["id"], "name": "x", "cronExpression": "0 8 * * 1"} | change)
    assert answer.status_code == status, answer.text
    assert alice.viewer.ok("GET", SCHEDULES) == {"data": []}


def test_another_tenants_template_cannot_be_scheduled(alice: make.Workspace, bob: make.Workspace) -> None:
    """D148, D125."""
    made = alice.analyst.ok("POST", TEMPLATES, BODY)
    assert bob.analyst.post(SCHEDULES, {"templateId": made["id"], "name": "x", "cronExpression": "0 8 * * 1"}).status_code == 404


# ---- the tick


@pytest.fixture
def token(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    monkeypatch.setattr(alice.installation.settings, "cron_token", SecretStr("open sesame"))
    return {"x-cron-token": "open sesame"}


def due(workspace: make.Workspace, **given: Any) -> str:
    """Return a schedule that was due a minute ago."""
    made = workspace.analyst.ok("POST", TEMPLATES, BODY | given)
    found = workspace.analyst.ok("POST", SCHEDULES, {"templateId": made["id"], "name": "x", "cronExpression": "* * * * *"})
    at = datetime.now(UTC).replace(second=0, microsecond=0) - timedelta(minutes=1)
    with workspace.db() as db:
        db.execute(text("UPDATE report_schedules SET next_slot_at = :at, next_run_at = :at WHERE id = :id"), {"at": at, "id": found["id"]})
    return str(found["id"])


def test_the_tick_needs_its_token(anyone: make.Api, token: dict[str, str], alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D207, D208: right 200, wrong or missing 401, unset 503."""
    path = "/api/cron/tick"
    assert anyone.post(path, headers=token).status_code == 200
    for wrong in (
        {},
        {"x-cron-token": "open"},
        {"x-cron-token": ""},
        {"x-cron-token": "é"},
        {"Authorization": f"Bearer {alice.secrets['owner']}"},
    ):
        answer = anyone.client.post(path, headers=[(key.encode(), value.encode()) for key, value in wrong.items()])
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "UNAUTHORIZED")
    monkeypatch.setattr(alice.installation.settings, "cron_token", None)
    assert anyone.post(path, headers=token).status_code == 503


def test_what_is_due_fires_once_however_many_tick(
    filled: make.Workspace, bob: make.Workspace, anyone: make.Api, token: dict[str, str]
) -> None:
    """D154, D156, D209, D210, D211: of every tenant, once for each slot."""
    schedule = due(filled)
    due(bob)
    quiet = filled.analyst.ok(
        "POST",
        SCHEDULES,
        {"templateId": filled.viewer.ok("GET", TEMPLATES)["data"][0]["id"], "name": "later", "cronExpression": "0 0 1 1 *"},
    )
    first, second = (anyone.post("/api/cron/tick", headers=token).json()["reports"] for _ in range(2))
    assert (first["due"], first["started"], first["failed"]) == (2, 2, 0)
    assert second["started"] in (0, 2)  # 2 when a minute has passed in between
    filled.work()
    found = filled.viewer.ok("GET", f"{SCHEDULES}/{schedule}")
    assert found["lastStatus"] == "succeeded"
    assert found["lastRunAt"] is not None
    assert found["nextRunAt"] > found["lastRunAt"][:17]
    runs = filled.viewer.ok("GET", RUNS)["data"]
    assert {run["trigger"] for run in runs} == {"schedule"}
    assert len({run["createdAt"] for run in runs}) == len(runs) <= 2
    assert filled.viewer.ok("GET", f"{SCHEDULES}/{quiet['id']}")["lastRunAt"] is None


def test_what_is_switched_off_does_not_fire(filled: make.Workspace, anyone: make.Api, token: dict[str, str]) -> None:
    """D145, D159, D212."""
    off = due(filled)
    filled.analyst.patch(f"{SCHEDULES}/{off}", {"enabled": False})
    due(filled, enabled=False)
    anyone.post("/api/cron/tick", headers=token)
    assert [run for run in filled.viewer.ok("GET", RUNS)["data"] if run["status"] != "skipped"] == []


def test_an_unreadable_expression_is_silent_until_corrected(filled: make.Workspace, anyone: make.Api, token: dict[str, str]) -> None:
    """D155."""
    schedule = due(filled)
    with filled.db() as db:
        db.execute(text("UPDATE report_schedules SET cron = 'not cron' WHERE id = :id"), {"id": schedule})
    anyone.post("/api/cron/tick", headers=token)
    assert filled.viewer.ok("GET", f"{SCHEDULES}/{schedule}")["nextRunAt"] is None
    corrected = filled.analyst.patch(f"{SCHEDULES}/{schedule}", {"cronExpression": "0 8 * * *"})
    assert corrected.json()["nextRunAt"] is not None
