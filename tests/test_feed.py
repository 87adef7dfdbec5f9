"""The feed: who hears of what, gates before choices, digests, and live updates with what was missed."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from sqlalchemy import select
from starlette.testclient import TestClient
from starlette.websockets import WebSocketDisconnect

from everfix import worker
from everfix.app import create_app
from everfix.core import ids, live
from everfix.delivery import feed, personal
from everfix.delivery.feed import Event, Notification
from tests import conftest, delivering, make, sinks
from tests.test_web import Person

FEED = "/v1/me/notifications/feed"


@pytest.fixture
def mail() -> Iterator[sinks.MailSink]:
    with sinks.mail() as made:
        yield made


def tell(workspace: make.Workspace, type: str = "report.ready", title: str = "Weekly is ready", **more: Any) -> int:
    with workspace.db() as db:
        return feed.tell(db, Event(type, title, "Words.", "report_run", ids.new(), "/reports", **more))


def test_the_feed_over_http(alice: make.Workspace, bob: make.Workspace) -> None:
    """C207–C212."""
    for number in range(25):
        tell(alice, "recommendation.created" if number % 5 == 0 else "report.ready", f"Number {number}")
    page = alice.viewer.ok("GET", FEED)
    assert (len(page["data"]), page["unread_count"], page["page"]["has_more"]) == (20, 25, True)
    row = page["data"][0]
    assert set(row) == {
        "id",
        "type",
        "title",
        "body",
        "created_at",
        "entity_type",
        "entity_id",
        "source",
        "actor",
        "read",
        "read_at",
        "link",
    }
    assert (row["id"][:4], row["title"], row["read"], row["link"]) == ("ntf_", "Number 24", False, "/reports")
    rest = alice.viewer.ok("GET", FEED, cursor=page["page"]["next_cursor"])
    assert [item["title"] for item in rest["data"]] == [f"Number {number}" for number in range(4, -1, -1)]
    assert alice.viewer.get(FEED, limit=51).status_code == 422
    assert len(alice.viewer.ok("GET", FEED, limit=50)["data"]) == 25
    assert len(alice.viewer.ok("GET", FEED, type="recommendation.", limit=50)["data"]) == 5
    assert alice.viewer.ok("GET", FEED, since="2099-01-01T00:00:00Z")["data"] == []
    read = alice.viewer.ok("POST", f"{FEED}/{row['id']}/read")
    assert read["read"]
    assert len(alice.viewer.ok("GET", FEED, unread="true", limit=50)["data"]) == 24
    assert alice.viewer.ok("POST", f"{FEED}/read-all", {"type": "recommendation."}) == {"marked": 5, "unread_count": 19}
    assert alice.viewer.call("DELETE", f"{FEED}/{rest['data'][0]['id']}").status_code == 204
    assert alice.viewer.ok("POST", f"{FEED}/read-all", {}) == {"marked": 18, "unread_count": 0}
    assert len(alice.viewer.ok("GET", FEED, limit=50)["data"]) == 24
    assert alice.admin.ok("GET", FEED)["unread_count"] == 25  # each has an own feed
    assert alice.admin.call("DELETE", f"{FEED}/{row['id']}").status_code == 404
    assert bob.viewer.ok("GET", FEED)["unread_count"] == 0


def test_the_same_thing_is_told_once(alice: make.Workspace) -> None:
    assert tell(alice, key="a") == 4
    assert tell(alice, key="a") == 0
    assert tell(alice, key="b") == 4


def test_settings_over_http(alice: make.Workspace) -> None:
    """C99, C216."""
    path = "/v1/settings/notifications"
    found = alice.viewer.ok("GET", path)
    assert (found["min_severity_for_alert"], found["min_risk_score_for_alert"], found["email_enabled"]) == ("p2", 70, False)
    assert [item["key"] for item in found["events"]] == list(personal.EVENTS)
    channels = {
        "slack": {"webhookUrl": "https://hooks.slack.example/x"},
        "teams": {"webhookUrl": "https://t.example"},
        "pagerduty": {"integrationKey": "a" * 32},
    }
    given = {
        "email_enabled": True, "slack_enabled": True, "digest_frequency": "daily", "min_severity_for_alert": "p1", "min_risk_score_for_alert": 0,
        "events": [{"key": "report.ready", "in_app": False, "email": False, "slack": True}], "notify_on_new_issue": False,
        "notify_on_pattern_detected": False, "notify_on_prediction": False, "notify_on_recommendation": False, "notify_on_report_ready": False,
    }  # fmt: skip
    for name, value in given.items():
        changed = alice.viewer.ok("PATCH", path, {name: value})
        if name != "events":
            assert changed[name] == value
    assert next(item for item in changed["events"] if item["key"] == "report.ready")["in_app"] is False
    shown = alice.viewer.ok("PATCH", path, {"channels": channels})["channels"]
    assert shown["slack"] == {"webhookUrl": "••••••••"}
    assert alice.viewer.ok("PATCH", path, {"channels": {"teams": None}})["channels"]["teams"] is None
    assert alice.admin.ok("GET", path)["channels"] == {"slack": None, "teams": None, "pagerduty": None}
    assert alice.admin.ok("GET", "/v1/destinations")["data"] == []  # a person's own channels are nobody else's
    wrongs: tuple[dict[str, Any], ...] = (
        {"digest_frequency": "hourlyish"},
        {"min_severity_for_alert": "p5"},
        {"min_risk_score_for_alert": 101},
        {"events": [{"key": "x"}]},
        {"email_enabled": None},
        {"channels": {"slack": {"webhookUrl": "http://x"}}},
        {"channels": {"fax": {}}},
        {"x": 1},
    )
    for wrong in wrongs:
        assert alice.viewer.patch(path, wrong).status_code == 422, wrong


@pytest.mark.parametrize(
    ("settings", "event", "heard"),
    [
        ({}, {"type": "issue.created", "severity": "p2"}, True),
        ({}, {"type": "issue.created", "severity": "p3"}, False),
        ({"min_severity_for_alert": "p4"}, {"type": "issue.created", "severity": "p3"}, True),
        ({"min_severity_for_alert": "p4", "notify_on_new_issue": False}, {"type": "issue.created", "severity": "p1"}, False),
        ({}, {"type": "pattern.updated", "risk": 70}, True),
        ({}, {"type": "pattern.updated", "risk": 69}, False),
        ({"events": [{"key": "pattern.updated", "in_app": True}]}, {"type": "pattern.updated", "risk": 69}, False),  # the gate comes first
        ({"events": [{"key": "report.ready", "in_app": False}]}, {"type": "report.ready"}, False),
        ({}, {"type": "report.ready"}, True),
    ],
)
def test_gates_come_before_choices(alice: make.Workspace, settings: dict[str, Any], event: dict[str, Any], heard: bool) -> None:
    """C102, C215."""
    if settings:
        alice.viewer.ok("PATCH", "/v1/settings/notifications", settings)
    tell(alice, **event)
    assert (alice.viewer.ok("GET", FEED)["unread_count"] == 1) == heard


def test_personal_channels(alice: make.Workspace, mail: sinks.MailSink, monkeypatch: pytest.MonkeyPatch) -> None:
    """C101."""
    with sinks.http() as sink:
        here = delivering.reaching(alice, smtp=mail.url)
        monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))
        channels = {kind: {"webhookUrl": f"{sink.url}/{kind}"} for kind in ("slack", "teams")}
        alice.viewer.ok(
            "PATCH",
            "/v1/settings/notifications",
            {"email_enabled": True, "slack_enabled": True, "teams_enabled": True, "channels": channels},
        )
        alice.viewer.ok("PATCH", "/v1/settings/notifications", {"events": [{"key": "report.ready", "teams": False}]})
        tell(here)
        here.work()
        assert [got.path for got in sink.got] == ["/slack"]
        assert [(mail_["To"], mail_["Subject"]) for mail_ in mail.mails] == [("viewer@alice.example", "Weekly is ready")]


def test_a_personal_digest(alice: make.Workspace, mail: sinks.MailSink, time: conftest.Clock) -> None:
    """C100."""
    here = delivering.reaching(alice, smtp=mail.url)
    alice.viewer.ok("PATCH", "/v1/settings/notifications", {"email_enabled": True, "digest_frequency": "hourly"})
    alice.analyst.ok("PATCH", "/v1/settings/notifications", {"email_enabled": True, "digest_frequency": "never"})
    tell(here, title="One")
    tell(here, title="Two")
    here.work()
    assert (worker.tick(here.installation), mail.mails) == (0, [])
    time.at = datetime(2026, 3, 16, 11, 0, tzinfo=UTC)
    assert worker.tick(here.installation) == 1
    here.work()
    worker.tick(here.installation)  # the watchdog looks at what was delivered; there is no second digest
    here.work()
    assert [(mail_["To"], mail_["Subject"]) for mail_ in mail.mails] == [("viewer@alice.example", "2 notifications")]


def test_what_the_loop_tells(alice: make.Workspace, time: conftest.Clock) -> None:
    """C213."""
    alice.viewer.ok("PATCH", "/v1/settings/notifications", {"min_severity_for_alert": "p4", "min_risk_score_for_alert": 0})
    alice.learn(*make.failures("database", (0.3, 0.2, 0.1, 9, 8)))
    alice.learn(*make.failures("payments", [hour / 24 for hour in range(1, 9)]))
    found = alice.viewer.ok("GET", FEED, limit=50)["data"]
    types = {item["type"] for item in found}
    assert {"issue.created", "recommendation.created"} <= types
    assert "pattern.updated" not in types  # nobody watches one yet
    pattern = alice.viewer.ok("GET", "/v1/patterns")["data"][0]
    alice.analyst.ok("PATCH", "/v1/settings/notifications", {"min_risk_score_for_alert": 0})
    alice.analyst.ok("POST", f"/v1/patterns/{pattern['id']}/watch")
    alice.learn(*make.failures("payments", [hour / 24 for hour in range(10, 13)]))
    alice.learn(*make.failures("database", (0.25, 0.15, 0.05, 7, 6)))
    grown = [item for item in alice.analyst.ok("GET", FEED, type="pattern.updated", limit=50)["data"] if "has come" in item["title"]]
    assert {item["link"] for item in grown} == {f"/patterns/{pattern['id']}"}
    assert not [item for item in alice.viewer.ok("GET", FEED, limit=50)["data"] if item["type"] == "pattern.updated"]
    assert "8 new issues" in {item["title"] for item in found}
    issue = next(item for item in found if item["type"] == "issue.created" and item["entity_id"])
    alice.analyst.ok("PATCH", f"/v1/issues/{issue['entity_id']}", {"severity": "p1"})
    top = alice.viewer.ok("GET", FEED)["data"][0]
    assert (top["type"], top["actor"]["name"]) == ("issue.escalated", "Analyst")
    before = alice.viewer.ok("GET", FEED)["unread_count"]
    alice.learn(*make.failures("search", (90, 80, 70)))  # history is no news
    assert alice.viewer.ok("GET", FEED)["unread_count"] == before


# ---- live


def test_the_websocket_follows_and_brings_what_was_missed(alice: make.Workspace, bob: make.Workspace) -> None:
    secret = alice.secrets["viewer"]
    workspace = ids.show(ids.Prefix.WORKSPACE, alice.id)
    tell(alice, title="Before")
    before = alice.viewer.ok("GET", FEED)["data"][0]["id"]
    with TestClient(create_app(alice.installation)) as client:
        with client.websocket_connect(f"/v1/stream?workspace={workspace}", subprotocols=["bearer", secret]) as socket:
            assert socket.accepted_subprotocol == "bearer"
            assert socket.receive_json() == {"type": "hello", "unread_count": 1}
            tell(alice, "recommendation.created", "Fix it")
            said = socket.receive_json()
            assert (said["type"], said["unread_count"], said["data"]["title"]) == ("recommendation.created", 2, "Fix it")
        tell(alice, title="While away")
        with client.websocket_connect(f"/v1/stream?workspace={alice.id}&since={before}", subprotocols=[secret]) as socket:
            assert socket.receive_json()["type"] == "hello"
            missed = [socket.receive_json()["data"]["title"] for _ in range(2)]
            assert missed == ["Fix it", "While away"]
        for protocols, where, code in (
            (["bearer", "wrong"], workspace, 4401),
            ([], workspace, 4401),
            (["bearer", secret], str(bob.id), 4404),
            (["bearer", secret], "x", 4404),
        ):
            with (
                client.websocket_connect(f"/v1/stream?workspace={where}", subprotocols=protocols) as socket,
                pytest.raises(WebSocketDisconnect) as caught,
            ):
                socket.receive_json()
            assert caught.value.code == code


def test_a_commit_wakes_who_follows(alice: make.Workspace, bob: make.Workspace) -> None:
    """C217: well within two seconds, and only those of the same workspace."""

    async def run() -> tuple[bool, bool]:
        hub = live.Hub(alice.installation.database.url)
        with hub.following(alice.id) as mine, hub.following(bob.id) as other:
            await live.wait(mine, 5)  # it begins to listen
            other.clear()
            await asyncio.to_thread(tell, alice)
            return await live.wait(mine, 2), other.is_set()

    assert asyncio.run(run()) == (True, False)


def test_server_sent_events(alice: make.Workspace) -> None:
    """The stream itself, without a client that would wait for its end."""
    from everfix.api.v1 import notifications

    tell(alice, title="First")
    with alice.db() as db:
        last = feed.newest(db, alice.users["viewer"])
    tell(alice, title="Second")

    class Asked:
        app = create_app(alice.installation)

        async def is_disconnected(self) -> bool:
            return True

    async def run() -> bytes:
        who = alice.principal.__class__("user", alice.users["viewer"], "Viewer", alice.id, frozenset())
        return b"".join([part async for part in notifications._events(Asked(), alice.installation, who, last)])  # type: ignore[arg-type]

    said = asyncio.run(run()).decode()
    assert said.startswith("id: ntf_")
    data = json.loads(said.partition("data: ")[2].partition("\n")[0])
    assert (data["title"], "event: unread\ndata: 2\n\n" in said) == ("Second", True)


def test_a_finished_scheduled_report_is_told(alice: make.Workspace) -> None:
    """C214."""
    from everfix.reports import execution, runs

    with alice.db() as db:
        made = runs.new(alice.principal, template="issue_digest", window="7d", formats=["json"], trigger="schedule")
        db.add(made)
        db.flush()
        execution.finish(db, made, runs.Status.SUCCEEDED)
    with alice.db() as db:
        found = db.execute(select(Notification).where(Notification.user_id == alice.users["viewer"])).scalar_one()
    assert (found.type, found.title, found.created_at - found.created_at) == ("report.ready", "Issue digest is ready", timedelta(0))


# ---- the page


def test_the_bell_and_its_page(alice: make.Workspace) -> None:
    """C284, C299."""
    visitor = Person(alice.client).enter(alice.secrets["viewer"])
    assert "data-unread hidden>0<" in visitor.page("/dashboards/executive")
    assert "Nothing yet" in visitor.page("/notifications")
    tell(alice, title="<b>Weekly</b>")
    tell(alice, title="Second")
    assert "data-unread>2<" in visitor.page("/reports")
    page = visitor.page("/notifications")
    assert "&lt;b&gt;Weekly&lt;/b&gt;" in page
    first, second = (row["id"] for row in alice.viewer.ok("GET", FEED)["data"])
    csrf = {"csrf": visitor.csrf()}
    assert visitor.post(f"/notifications/{first}/open", csrf).headers["location"] == "/reports"
    assert alice.viewer.ok("GET", FEED)["unread_count"] == 1
    assert visitor.post("/notifications/read-all", csrf).status_code == 303
    assert alice.viewer.ok("GET", FEED)["unread_count"] == 0
    assert visitor.post(f"/notifications/{second}/dismiss", csrf).status_code == 303
    assert len(alice.viewer.ok("GET", FEED)["data"]) == 1
    assert visitor.post(f"/notifications/{second}/open", csrf).status_code == 404
    assert visitor.post(f"/notifications/{first}/open", {"csrf": "x"}).status_code == 403
