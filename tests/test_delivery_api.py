"""`/v1/destinations`, `/v1/deliveries`, `/v1/settings/delivery`, their pages, and what a recipient does without an account."""

from __future__ import annotations

from collections.abc import Iterator

import httpx
import pytest

from everfix.core import ids
from everfix.delivery import outbox, preferences
from everfix.delivery.envelope import BULLETS
from everfix.delivery.preferences import Named
from tests import delivering, make, sinks
from tests.test_web import Person

HOOK = {"kind": "webhook", "name": "Ops hook", "config": {"url": "https://hooks.example/in", "secret": "s3cr3t"}}


@pytest.fixture
def sink() -> Iterator[sinks.Sink]:
    with sinks.http() as made:
        yield made


@pytest.fixture
def reach(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> make.Workspace:
    """Alice's workspace on a server that may call this machine."""
    monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))
    return alice


def test_destinations_over_http(alice: make.Workspace) -> None:
    made = alice.admin.post("/v1/destinations", HOOK)
    assert made.status_code == 201
    found = made.json()
    assert (found["id"][:4], found["config"], found["summary"], found["title"]) == (
        "dst_",
        {"url": "https://hooks.example/in", "secret": BULLETS, "headers": {}},
        "hooks.example",
        "Outbound Webhook",
    )
    path = f"/v1/destinations/{found['id']}"
    changed = alice.admin.ok("PATCH", path, {"name": "Renamed", "config": {"secret": BULLETS, "url": "https://other.example"}})
    assert (changed["name"], changed["config"]["url"], changed["config"]["secret"]) == ("Renamed", "https://other.example", BULLETS)
    assert alice.viewer.ok("GET", path) == changed
    assert [item["id"] for item in alice.viewer.ok("GET", "/v1/destinations", kind="webhook,slack")["data"]] == [found["id"]]
    assert alice.viewer.ok("GET", "/v1/destinations", kind="slack")["data"] == []
    for api in (alice.viewer, alice.analyst):
        assert api.post("/v1/destinations", HOOK).status_code == 403
        assert api.patch(path, {"name": "x"}).status_code == 403
        assert api.call("DELETE", path).status_code == 403
    assert alice.admin.call("DELETE", path).status_code == 204
    assert alice.admin.get(path).status_code == 404


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({**HOOK, "kind": "fax"}, 400, "kind"),
        ({**HOOK, "config": {}}, 422, "config.url"),
        ({**HOOK, "config": {"url": "http://hooks.example"}}, 422, "config.url"),
        ({**HOOK, "config": "x"}, 422, "config"),
        ({**HOOK, "name": ""}, 422, "name"),
        ({**HOOK, "name": "x" * 121}, 422, "name"),
        ({**HOOK, "more": 1}, 422, "more"),
        ({"kind": "webhook"}, 422, "name"),
    ],
)
def test_bad_destinations(alice: make.Workspace, body: dict[str, object], status: int, field: str) -> None:
    answer = alice.admin.post("/v1/destinations", body)
    assert answer.status_code == status, answer.text
    assert field in answer.json()["error"]["details"]
    assert alice.admin.get("/v1/destinations", kind="fax").status_code == 422


def test_the_test_button_says_what_came_of_it(reach: make.Workspace, sink: sinks.Sink) -> None:
    place = reach.admin.ok("POST", "/v1/destinations", {**HOOK, "config": {"url": sink.url}})["id"]
    good = reach.admin.ok("POST", f"/v1/destinations/{place}/test")
    assert good["ok"]
    assert good["deliveries"][0]["words"] == "The webhook call to Ops hook was sent."
    sink.answers = [sinks.Answer(401, b"who are you")]
    bad = reach.admin.ok("POST", f"/v1/destinations/{place}/test")
    assert not bad["ok"]
    assert "127.0.0.1 answered 401: who are you" in bad["deliveries"][0]["words"]
    reach.work()
    assert len(sink.got) == 2  # the safety net finds both ended
    assert reach.analyst.post(f"/v1/destinations/{place}/test").status_code == 403


def test_a_private_webhook_is_refused_at_every_post(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D194: It was public when it was set up; the name leads to a private address by the time of the call."""
    import socket

    place = alice.admin.ok("POST", "/v1/destinations", HOOK)["id"]
    rows = [(socket.AF_INET, socket.SOCK_STREAM, 6, "", ("10.0.0.7", 443))]
    monkeypatch.setattr("everfix.core.outbound.socket.getaddrinfo", lambda *_, **__: rows)
    found = alice.admin.ok("POST", f"/v1/destinations/{place}/test")
    assert "private address 10.0.0.7" in found["deliveries"][0]["reason"]


def test_the_ledger_is_filtered_and_what_failed_is_sent_again(reach: make.Workspace, sink: sinks.Sink) -> None:
    good, bad = (delivering.destination(reach, "webhook", {"url": f"{sink.url}/{name}"}, name=name) for name in ("good", "bad"))
    sink.answer = lambda got: sinks.Answer(200 if got.path == "/good" else 410)
    sent, failed = delivering.send(reach, chosen=[good, bad])
    reach.work()
    api = reach.viewer
    page = api.ok("GET", "/v1/deliveries")
    assert {item["label"]: item["status"] for item in page["data"]} == {"good": "sent", "bad": "failed", "owner@alice.example": "failed"}
    assert page["page"]["total"] == 3
    row = api.ok("GET", "/v1/deliveries", status="failed", channel="webhook")["data"][0]
    assert (row["id"], row["words"].partition(".")[0]) == (ids.show(ids.Prefix.DELIVERY, failed), "The webhook call to bad failed: 127")
    place = ids.show(ids.Prefix.DESTINATION, good)
    assert [item["id"] for item in api.ok("GET", "/v1/deliveries", destination_id=place)["data"]] == [ids.show(ids.Prefix.DELIVERY, sent)]
    assert api.ok("GET", "/v1/deliveries", **{"from": "2099-01-01T00:00:00Z"})["data"] == []
    assert len(api.ok("GET", "/v1/deliveries", to="2099-01-01T00:00:00Z")["data"]) == 3
    for wrong in ({"status": "lost"}, {"channel": "fax"}, {"run_id": "x"}, {"schedule_id": "x"}, {"from": "x"}):
        assert api.get("/v1/deliveries", **wrong).status_code == 422, wrong
    assert reach.viewer.post(f"/v1/deliveries/{row['id']}/resend").status_code == 403
    sink.answer = None
    again = reach.analyst.post(f"/v1/deliveries/{row['id']}/resend")
    assert (again.status_code, again.json()["status"]) == (202, "queued")
    reach.work()
    assert api.ok("GET", f"/v1/deliveries/{row['id']}")["status"] == "sent"
    assert reach.analyst.post(f"/v1/deliveries/{row['id']}/resend").status_code == 409


def test_the_domains_that_get_mail(alice: make.Workspace) -> None:
    assert alice.viewer.ok("GET", "/v1/settings/delivery") == {"mail_domains": []}
    assert alice.admin.ok("PATCH", "/v1/settings/delivery", {"mail_domains": ["@Shop.Example", "shop.example"]}) == {
        "mail_domains": ["shop.example"]
    }
    for wrong in ({"mail_domains": ["x y"]}, {"mail_domains": "x"}, {"mail_domains": [""]}, {}):
        assert alice.admin.patch("/v1/settings/delivery", wrong).status_code == 422
    assert alice.analyst.patch("/v1/settings/delivery", {"mail_domains": []}).status_code == 403


# ---- without an account


def link(workspace: make.Workspace, schedule: object = None) -> str:
    named = Named(workspace.id, "mail", "anna@shop.example", schedule)  # type: ignore[arg-type]
    return preferences.link("", workspace.installation.keys, named)


def state(workspace: make.Workspace, schedule: object = None) -> tuple[object, object]:
    with workspace.db() as db:
        return preferences.of(db, Named(workspace.id, "mail", "anna@shop.example", schedule))  # type: ignore[arg-type]


def test_one_click_unsubscribes_and_looking_does_not(alice: make.Workspace, client: httpx.Client) -> None:
    schedule = ids.new()
    path = link(alice, schedule)
    assert client.get(path, headers={"accept": "text/html"}).status_code == 200
    assert state(alice, schedule) == (None, None)
    answer = client.post(path, data={"List-Unsubscribe": "One-Click"})
    assert answer.status_code == 200
    for_all, for_one = state(alice, schedule)
    assert for_all is None
    assert for_one is not None
    assert "You are unsubscribed." in answer.text


def test_a_recipient_chooses_on_the_page(alice: make.Workspace, client: httpx.Client) -> None:
    schedule = ids.new()
    path = link(alice, schedule)
    said = {
        ("frequency:daily", "one"): "One mail a day",
        ("pause:7", "all"): "Paused for 1 week",
        ("resume", "all"): "Mail comes again",
        ("unsubscribe", "all"): "You are unsubscribed",
    }
    for (action, scope), words in said.items():
        answer = client.post(path, data={"action": action, "scope": scope})
        assert answer.status_code == 200, answer.text
        assert words.lower() in answer.text.lower()
    for_all, for_one = state(alice, schedule)
    assert for_one.frequency == "daily"  # type: ignore[attr-defined]
    assert for_all.unsubscribed_at is not None  # type: ignore[attr-defined]


def test_wrong_links_and_choices(alice: make.Workspace, client: httpx.Client) -> None:
    path = link(alice)
    assert client.get(path[:-3], headers={"accept": "text/html"}).status_code == 404
    for data in ({"action": "frequency:hourly"}, {"action": "pause:9"}, {"action": "x"}, {}, {"action": "resume", "scope": "x"}):
        assert client.post(path, data=data).status_code == 422, data
    assert state(alice) == (None, None)


# ---- pages


def test_the_page_of_deliveries(alice: make.Workspace) -> None:
    visitor = Person(alice.client).enter(alice.secrets["owner"])
    assert "Nothing has been sent yet" in visitor.page("/deliveries")
    wanted = delivering.belongings(alice)
    page = visitor.page("/deliveries")
    assert "Weekly failures" in page
    assert "Send again" in page
    failed = ids.parse(ids.Prefix.DELIVERY, wanted["delivery"])
    path = f"/deliveries/{ids.show(ids.Prefix.DELIVERY, failed)}/resend"
    assert visitor.post(path, {"csrf": "wrong"}).status_code == 403
    assert visitor.post(path, {"csrf": visitor.csrf()}).status_code == 303
    assert delivering.row(alice, failed).status == outbox.Status.QUEUED
    assert "No delivery is failed" in visitor.page("/deliveries?status=failed")
    viewer = Person(alice.client).enter(alice.secrets["viewer"])
    assert "Send again" not in viewer.page("/deliveries")


def test_the_pages_of_destinations(reach: make.Workspace, sink: sinks.Sink) -> None:
    """D199: Add Destination, its kind, fields and name, save, Test."""
    visitor = Person(reach.client).enter(reach.secrets["admin"])
    for path in ("/settings/integrations", "/settings/destinations"):
        assert "Add Destination" in visitor.page(path)
    assert "must" not in visitor.page("/settings/destinations/new?kind=webhook")
    given = {"csrf": visitor.csrf(), "kind": "webhook", "name": "Hook", "url": "http://hooks.example", "secret": "s3cr3t"}
    wrong = visitor.post("/settings/destinations", given)
    assert wrong.status_code == 422
    assert "must be an https:// address" in wrong.text
    assert 'value="Hook"' in wrong.text
    made = visitor.post("/settings/destinations", {**given, "url": sink.url, "headers": "X-Team: shop\nX-B: c"})
    assert made.status_code == 303
    path = made.headers["location"].partition("?")[0]
    shown = visitor.page(made.headers["location"])
    assert "Saved." in shown
    assert "s3cr3t" not in shown
    assert f"X-Team: {BULLETS}" in shown
    kept = {**given, "url": sink.url, "secret": BULLETS, "headers": f"X-Team: {BULLETS}", "enabled": "on", "name": "Renamed"}
    assert visitor.post(path, kept).status_code == 303
    assert visitor.post(f"{path}/test", {"csrf": given["csrf"]}).status_code == 303
    assert "has not been sent yet" in visitor.page(path)
    reach.work()
    assert "The webhook call to Renamed was sent." in visitor.page(path)
    got = sink.got[0].headers
    assert got["x-team"] == "shop"
    assert "x-b" not in got
    assert "x-kaireon-signature" in got
    visitor.post(f"{path}/delete", {"csrf": given["csrf"]})
    assert visitor.get(path).status_code == 404


def test_who_may_not_set_up_sees_no_forms(alice: make.Workspace) -> None:
    delivering.destination(alice, "webhook", HOOK["config"])  # type: ignore[arg-type]
    analyst = Person(alice.client).enter(alice.secrets["analyst"])
    assert "Add Destination" not in analyst.page("/settings/destinations")
    assert analyst.get("/settings/destinations/new?kind=webhook").status_code == 403
    assert analyst.post("/settings/destinations", {"csrf": analyst.csrf(), "kind": "webhook"}).status_code == 403
