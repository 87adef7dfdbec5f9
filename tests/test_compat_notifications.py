"""The dashboard surface: destinations with their secrets hidden, a test of each, and a message on demand."""

from __future__ import annotations

import hashlib
import hmac
import json
from typing import Any

import pytest
from sqlalchemy import text

from tests import make, sinks

PROVIDERS = "/api/v1/notifications/providers"
SLACK = {"kind": "slack", "name": "Ops", "config": {"webhookUrl": "https://hooks.slack.com/services/T0/B0/secretpart"}}
HOOK = {
    "kind": "webhook",
    "name": "Hook",
    "config": {"url": "https://93.184.215.14/in", "secret": "very secret", "headers": {"X-Key": "abc"}},
}
BULLETS = "•" * 8


def test_a_destination_is_made_without_showing_its_config(alice: make.Workspace) -> None:
    """D181, D188, D192."""
    answer = alice.admin.post(PROVIDERS, SLACK)
    assert answer.status_code == 201
    found = answer.json()
    assert {"id", "kind", "name", "enabled", "configSummary", "createdAt", "updatedAt"} == found.keys()
    assert (found["kind"], found["enabled"], found["configSummary"]) == ("slack", True, "hooks.slack.com")
    with alice.db() as db:
        (sealed,) = db.execute(text("SELECT sealed FROM destinations")).scalars()
    assert b"secretpart" not in bytes(sealed)


def test_lists_hide_secrets_and_name_the_four_kinds(alice: make.Workspace) -> None:
    """D180, D184."""
    for body in (SLACK, HOOK):
        alice.admin.ok("POST", PROVIDERS, body)
    listed = alice.viewer.ok("GET", PROVIDERS)
    assert [item["kind"] for item in listed["kinds"]] == ["slack", "teams", "webhook", "ops_email"]
    assert [item["displayName"] for item in listed["kinds"]][2] == "Outbound Webhook"
    slack, hook = listed["data"]
    assert slack["config"]["webhookUrl"] == BULLETS
    assert (hook["config"]["url"], hook["config"]["secret"]) == ("https://93.184.215.14/in", BULLETS)
    assert "secretpart" not in json.dumps(listed)
    assert "very secret" not in json.dumps(listed)
    assert alice.viewer.ok("GET", f"{PROVIDERS}/{hook['id']}") == hook


def test_a_change_merges_and_bullets_leave_a_secret(alice: make.Workspace) -> None:
    """D185, D193."""
    made = alice.admin.ok("POST", PROVIDERS, HOOK)
    path = f"{PROVIDERS}/{made['id']}"
    found = alice.admin.patch(path, {"name": "Other", "config": {"secret": BULLETS, "url": "https://93.184.215.14/other"}}).json()
    assert (found["name"], found["config"]["url"], found["config"]["secret"]) == ("Other", "https://93.184.215.14/other", BULLETS)
    assert alice.admin.patch(path, {"enabled": False}).json()["enabled"] is False
    for url in ("http://93.184.215.14/in", "ftp://x/y", "nonsense"):
        refused = alice.admin.patch(path, {"config": {"url": url}})
        assert refused.status_code == 422, url
        assert "config.url" in refused.text


@pytest.mark.parametrize(
    ("change", "status"),
    [
        ({"kind": "pigeon"}, 400),
        ({"name": ""}, 400),
        ({"name": "x" * 121}, 400),
        ({"config": {}}, 422),
        ({"config": {"webhookUrl": "http://hooks.slack.com/x"}}, 422),
        ({"config": {"webhookUrl": SLACK["config"]["webhookUrl"], "nope": 1}}, 422),  # type: ignore[index]
        ({"config": "x"}, 400),
    ],
)
def test_a_wrong_destination_is_refused(alice: make.Workspace, change: dict[str, Any], status: int) -> None:
    """D182, D183, D193."""
    answer = alice.admin.post(PROVIDERS, SLACK | change)
    assert answer.status_code == status, answer.text
    assert alice.viewer.ok("GET", PROVIDERS)["data"] == []


def test_only_an_admin_sets_up_destinations(alice: make.Workspace) -> None:
    """D187, D233: an editor lists and sends, and changes none."""
    made = alice.admin.ok("POST", PROVIDERS, SLACK)
    path = f"{PROVIDERS}/{made['id']}"
    for who in (alice.analyst, alice.viewer):
        assert who.get(path).status_code == 200
        assert who.post(PROVIDERS, SLACK).status_code == 403
        assert who.patch(path, {"name": "x"}).status_code == 403
        assert who.call("DELETE", path).status_code == 403
    assert alice.viewer.post(f"{path}/test").status_code == 403
    assert alice.admin.call("DELETE", path).status_code == 204  # D186
    assert alice.viewer.get(path).status_code == 404


def test_a_browsers_change_needs_the_header(alice: make.Workspace, anyone: make.Api) -> None:
    """D8: only what a page of ours sends; a key needs none."""
    from tests.test_compat import cookie_of

    cookie = cookie_of(alice)
    refused = anyone.post(PROVIDERS, SLACK, headers=cookie)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "FORBIDDEN")
    assert "X-Requested-With" in refused.json()["error"]["message"]
    assert anyone.post(PROVIDERS, SLACK, headers=cookie | {"X-Requested-With": "XMLHttpRequest"}).status_code == 201
    assert anyone.call("GET", PROVIDERS, headers=cookie).status_code == 200


def test_test_and_send_go_out_now_and_are_in_the_ledger(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D190, D195, D196, D197, D198: signed, with its own headers; what became of it is the answer."""
    monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))
    with sinks.http() as sink:
        made = alice.admin.ok("POST", PROVIDERS, HOOK | {"config": {"url": sink.url, "secret": "very secret", "headers": {"X-Key": "abc"}}})
        tested = alice.analyst.post(f"{PROVIDERS}/{made['id']}/test")
        assert (tested.status_code, tested.json()["ok"]) == (200, True)
        sent = alice.analyst.ok(
            "POST", "/api/v1/notifications/send", {"providerId": made["id"], "subject": "Hello", "message": "One.\n\nTwo."}
        )
        assert [item["status"] for item in sent["results"]] == ["sent"]
        sink.answers = [sinks.Answer(500)]
        failed = alice.analyst.ok("POST", f"{PROVIDERS}/{made['id']}/test")
    assert (failed["ok"], failed["results"][0]["status"]) == (False, "failed")
    assert "500" in failed["results"][0]["error"]
    got = sink.got[1]
    assert json.loads(got.body)["message"] == "One.\n\nTwo."
    assert got.headers["x-kaireon-signature"] == "sha256=" + hmac.new(b"very secret", got.body, hashlib.sha256).hexdigest()
    assert got.headers["x-key"] == "abc"
    with alice.db() as db:
        assert db.execute(text("SELECT count(*), count(*) FILTER (WHERE status = 'sent') FROM deliveries")).one() == (3, 2)
        assert db.execute(text("SELECT count(*) FROM jobs WHERE kind = 'delivery.send'")).scalar_one() == 3  # they find the rows ended
    for wrong in ({"providerId": made["id"]}, {"message": "x"}, {"providerId": "x", "message": "x"}):
        assert alice.analyst.post("/api/v1/notifications/send", wrong).status_code == 400


def test_mail_goes_to_each_recipient(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """D191, D201."""
    from pydantic import SecretStr

    with sinks.mail() as sink:
        monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))
        monkeypatch.setattr(alice.installation.settings, "smtp_url", SecretStr(sink.url))
        body = {
            "kind": "ops_email",
            "name": "Mail",
            "config": {"fromEmail": "reports@everfix.example", "recipients": ["a@x.example", "b@x.example"]},
        }
        made = alice.admin.ok("POST", PROVIDERS, body)
        answer = alice.analyst.ok("POST", "/api/v1/notifications/send", {"providerId": made["id"], "subject": "Hello", "message": "One."})
    assert answer["ok"] is True
    assert sorted(to for _, tos in sink.envelopes for to in tos) == ["a@x.example", "b@x.example"]
    assert sink.mails[0]["subject"] == "Hello"
