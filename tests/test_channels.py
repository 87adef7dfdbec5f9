"""Each channel against a real server on this machine: what arrives is what was to be said, and a refusal is told in words."""

from __future__ import annotations

import base64
import hmac
import html
import json
import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs

import pytest

from everfix.delivery import acceptances, apprise_, channels, files, pagerduty, slack, teams, webhook
from everfix.delivery.outbox import Delivery
from tests import delivering, make, sinks

PARAGRAPHS = ["12 failures, 3 fewer than the week before.", "Checkout & <payments> lead *again*."]


@pytest.fixture
def sink() -> Iterator[sinks.Sink]:
    with sinks.http() as made:
        yield made


def deliver(workspace: make.Workspace, kind: str, config: dict[str, Any], **message: Any) -> Delivery:
    (row,) = delivering.send(workspace, chosen=[delivering.destination(workspace, kind, config)], **message)
    workspace.work()
    return delivering.row(workspace, row)


def test_the_table_has_the_documented_kinds() -> None:
    assert channels.DOCUMENTED == ("slack", "teams", "webhook", "ops_email")
    assert set(channels.DOCUMENTED) < set(channels.CHANNELS)
    assert all(channel.kind == kind for kind, channel in channels.CHANNELS.items())


# Webhook


def test_a_webhook_gets_the_whole_message_and_proof_of_who_sent_it(alice: make.Workspace, sink: sinks.Sink) -> None:
    here = delivering.reaching(alice)
    artifacts = [
        delivering.artifact(here, "weekly.csv", b"a,b\r\n1,2\r\n", "text/csv"),
        delivering.artifact(here, "weekly.pdf", bytes(range(256))),
    ]
    config = {"url": f"{sink.url}/in?team=shop", "secret": "top secret", "headers": {"X-Team": "shop", "Authorization": "Bearer abc"}}
    row = deliver(here, "webhook", config, paragraphs=PARAGRAPHS, artifacts=artifacts, data={"run": "r1"}, sections={"s1": "text"})
    (got,) = sink.got
    body = json.loads(got.body)
    assert (row.status, row.receipt["status"], got.method, got.path) == ("sent", 200, "POST", "/in?team=shop")
    assert got.headers["x-team"] == "shop"
    assert got.headers["authorization"] == "Bearer abc"
    assert got.headers["idempotency-key"] == body["id"] == row.key
    plain = hmac.new(b"top secret", got.body, "sha256").hexdigest()
    assert got.headers["x-kaireon-signature"] == f"sha256={plain}"
    assert got.headers["x-causeloop-signature"] == plain
    stamp = got.headers["x-everfix-timestamp"]
    assert got.headers["x-everfix-signature"] == "v1=" + hmac.new(b"top secret", f"{stamp}.".encode() + got.body, "sha256").hexdigest()
    assert (body["title"], body["message"], body["data"], body["sections"]) == (
        "Weekly failures",
        "\n\n".join(PARAGRAPHS),
        {"run": "r1"},
        {"s1": "text"},
    )
    found = {item["filename"]: base64.b64decode(item["content"]) for item in body["extraPayload"]["artifacts"]}
    assert found == {"weekly.csv": b"a,b\r\n1,2\r\n", "weekly.pdf": bytes(range(256))}


def test_a_webhook_without_a_secret_is_not_signed(alice: make.Workspace, sink: sinks.Sink) -> None:
    assert deliver(delivering.reaching(alice), "webhook", {"url": sink.url}).status == "sent"
    assert not [name for name in sink.got[0].headers if "signature" in name]
    assert webhook.REPLAY_SECONDS == 300


def test_what_is_too_large_is_linked(alice: make.Workspace, sink: sinks.Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(files, "MOST_BYTES", 100)
    here = delivering.reaching(alice)
    small, large = (delivering.artifact(here, name, bytes(size), file_id=here.id) for name, size in (("a.csv", 90), ("b.pdf", 200)))
    deliver(here, "webhook", {"url": sink.url}, artifacts=[large, small])
    first, second = json.loads(sink.got[0].body)["extraPayload"]["artifacts"]
    assert (first["filename"], first["encoding"]) == ("a.csv", "base64")
    assert (second["filename"], second["size"]) == ("b.pdf", 200)
    named: Any = here.installation.keys.verify("download", second["url"].rpartition("/")[2])
    assert named[:2] == [str(here.id), str(here.id)]


def test_a_changed_or_missing_file_stops_the_delivery(alice: make.Workspace, sink: sinks.Sink) -> None:
    here = delivering.reaching(alice)
    wrong = delivering.artifact(here, "weekly.csv", b"right")
    here.installation.storage.put(here.id, "tests/weekly.csv", b"wrong")
    gone = wrong.model_copy(update={"storage_key": f"{here.id}/nowhere.csv"})
    for item, words in ((wrong, "SHA-256 differs"), (gone, "no longer kept")):
        row = deliver(here, "webhook", {"url": sink.url}, artifacts=[item])
        assert row.status == "failed"
        assert words in row.reason
    assert sink.got == []


# Slack


def test_slack_by_webhook(alice: make.Workspace, sink: sinks.Sink) -> None:
    """D202: narrative, bullets, a link to the run, no files."""
    here = delivering.reaching(alice)
    files = [delivering.artifact(here, "weekly.pdf", b"%PDF-1")]
    row = deliver(here, "slack", {"webhookUrl": f"{sink.url}/services/T0/B0/x"}, paragraphs=PARAGRAPHS, artifacts=files)
    said = json.loads(sink.got[0].body)
    assert b"weekly.pdf" not in sink.got[0].body, "no files"
    assert row.status == "sent"
    assert said["text"] == said["blocks"][0]["text"]["text"] == "Weekly failures"
    texts = [block["text"]["text"] for block in said["blocks"] if block["type"] == "section"]
    assert texts == [PARAGRAPHS[0], "Checkout &amp; &lt;payments&gt; lead *again*.", "• Checkout fails on Mondays\n• The pool fix holds"]
    assert [block["elements"][0]["url"] for block in said["blocks"] if block["type"] == "actions"] == ["http://testserver/reports/runs/1"]


def test_slack_blocks_keep_slacks_limits(alice: make.Workspace, sink: sinks.Sink) -> None:
    deliver(delivering.reaching(alice), "slack", {"webhookUrl": sink.url}, paragraphs=["&" * 9_000] * 80, subject="x" * 400)
    said = json.loads(sink.got[0].body)["blocks"]
    assert len(said) <= 50
    assert len(said[0]["text"]["text"]) <= 150
    assert all(len(block["text"]["text"]) <= 3000 for block in said if block["type"] == "section")
    assert all("&amp…" not in block["text"]["text"] for block in said if block["type"] == "section")


HOSTILE = (
    "*_x_* ~y~ `z` :boom:",
    "<!channel> <!here> @everyone",
    "<@U012AB3CD> <https://evil.example|Log in> <#C1>",
    "a && b <b>c</b> &lt;",
    "> quoted ```code```",
)


def texts(said: Any) -> list[dict[str, Any]]:
    """Return every text object of a message, wherever it stands."""
    if isinstance(said, list):
        return [found for item in said for found in texts(item)]
    if not isinstance(said, dict):
        return []
    here = [said] if isinstance(said.get("text"), str) and "type" in said else []
    return here + [found for item in said.values() for found in texts(item)]


@pytest.mark.parametrize("title", HOSTILE)
def test_slack_shows_a_hostile_title_as_it_is_and_mentions_nobody(alice: make.Workspace, sink: sinks.Sink, title: str) -> None:
    deliver(
        delivering.reaching(alice), "slack", {"webhookUrl": sink.url}, subject=title, paragraphs=[title], takeaways=[title], brand=title
    )
    said = json.loads(sink.got[0].body)
    assert said["mrkdwn"] is False
    found = [said["text"], *(item["text"] for item in texts(said["blocks"]))]
    assert {item["type"] for item in texts(said["blocks"])} == {"plain_text"}
    assert not any(item.get("emoji", False) for item in texts(said["blocks"]) if item["text"] != "Open")
    assert not re.search(r"[<>]|&(?!(amp|lt|gt);)", "".join(found))
    assert [html.unescape(text) for text in found] == [title, title, title, f"• {title}", "Open", f"{title} · info"]


def test_slack_by_token_parses_no_mark_up(alice: make.Workspace, fake: FakeSlack) -> None:
    deliver(delivering.reaching(alice), "slack", BOT, subject=HOSTILE[1])
    (posted,) = [given for name, given in fake.calls if name == "chat.postMessage"]
    asked = {name: str(value[0] if isinstance(value, list) else value).lower() for name, value in posted.items()}
    assert (asked["mrkdwn"], asked["parse"], asked["link_names"]) in {("false", "none", "false"), ("0", "none", "0")}
    assert html.unescape(asked["text"]) == HOSTILE[1].lower()
    assert "<" not in asked["text"]


class FakeSlack:
    """Slack's API as far as it is used, with the answers Slack gives."""

    def __init__(self, sink: sinks.Sink) -> None:
        self.sink = sink
        self.calls: list[tuple[str, dict[str, Any]]] = []
        self.refuse: dict[str, tuple[int, dict[str, Any], dict[str, str]]] = {}
        self.uploads: dict[str, bytes] = {}
        sink.answer = self.answer

    def answer(self, got: sinks.Got) -> sinks.Answer:
        name = got.path.partition("?")[0].rpartition("/")[2]
        if got.path.startswith("/upload/"):
            self.uploads[name] = got.body
            return sinks.Answer(200, b"OK - 5")
        assert got.headers["authorization"] == "Bearer xoxb-1-abcdef"
        given = json.loads(got.body) if got.headers["content-type"].startswith("application/json") else parse_qs(got.body.decode())
        self.calls.append((name, given))
        if name in self.refuse:
            status, body, headers = self.refuse[name]
            return sinks.Answer(status, json.dumps(body).encode(), headers)
        body = {
            "files.getUploadURLExternal": {
                "ok": True,
                "upload_url": f"{self.sink.url}/upload/F{len(self.calls)}",
                "file_id": f"F{len(self.calls)}",
            },
            "chat.postMessage": {"ok": True, "channel": "C012AB3CD", "ts": "1503435956.000247", "message": {"text": "x"}},
            "files.completeUploadExternal": {"ok": True, "files": [{"id": "F1", "title": "weekly.pdf"}]},
        }[name]
        return sinks.Answer(200, json.dumps(body).encode(), {"Content-Type": "application/json; charset=utf-8"})


@pytest.fixture
def fake(sink: sinks.Sink, monkeypatch: pytest.MonkeyPatch) -> FakeSlack:
    monkeypatch.setattr(slack, "API", f"{sink.url}/api/")
    return FakeSlack(sink)


BOT = {"botToken": "xoxb-1-abcdef", "channel": "C012AB3CD"}


def test_slack_by_token_posts_and_shows_the_files_in_its_thread(alice: make.Workspace, fake: FakeSlack) -> None:
    here = delivering.reaching(alice)
    row = deliver(
        here, "slack", BOT, artifacts=[delivering.artifact(here, "weekly.pdf", b"%PDF-1"), delivering.artifact(here, "weekly.csv", b"a")]
    )
    assert (row.status, row.receipt["ts"], row.receipt["files"]) == ("sent", "1503435956.000247", ["weekly.pdf", "weekly.csv"])
    names = [name for name, _ in fake.calls]
    assert names == ["files.getUploadURLExternal", "files.getUploadURLExternal", "chat.postMessage", "files.completeUploadExternal"]
    assert list(fake.uploads.values()) == [b"%PDF-1", b"a"]
    assert fake.calls[2][1]["metadata"]["event_payload"] == {"key": row.key}
    assert fake.calls[3][1]["thread_ts"] == ["1503435956.000247"]


def test_a_slack_channel_id_is_a_recipient(alice: make.Workspace, fake: FakeSlack) -> None:
    here = delivering.reaching(alice)
    (row,) = delivering.send(here, ["C0CHANNEL9"])
    here.work()
    assert "needs a Slack destination with a bot token" in delivering.row(here, row).reason
    delivering.destination(here, "slack", {"botToken": BOT["botToken"]})
    (row,) = delivering.send(here, ["C0CHANNEL9"])
    here.work()
    assert delivering.row(here, row).status == "sent"
    assert fake.calls[-1][1]["channel"] == "C0CHANNEL9"


@pytest.mark.parametrize(
    ("status", "error", "headers", "ends", "words"),
    [
        (200, "channel_not_found", {}, "failed", "the channel does not exist"),
        (200, "not_in_channel", {}, "failed", "invite it"),
        (200, "invalid_auth", {}, "failed", "not valid"),
        (429, "ratelimited", {"Retry-After": "30"}, "queued", "ratelimited"),
        (200, "internal_error", {}, "queued", "internal_error"),
        (503, "", {}, "queued", "503"),
    ],
)
def test_slacks_refusals(
    alice: make.Workspace, fake: FakeSlack, status: int, error: str, headers: dict[str, str], ends: str, words: str
) -> None:
    here = delivering.reaching(alice)
    fake.refuse["chat.postMessage"] = (status, {"ok": False, "error": error}, headers)
    (row,) = delivering.send(here, chosen=[delivering.destination(here, "slack", BOT)])
    here.work_once()
    done = delivering.row(here, row)
    assert done.status == ends
    assert words in done.reason
    assert BOT["botToken"] not in done.reason
    if headers:
        assert done.next_try_at is not None
        assert (done.next_try_at - done.created_at).total_seconds() > 29


def test_a_token_that_may_not_upload_still_posts(alice: make.Workspace, fake: FakeSlack) -> None:
    here = delivering.reaching(alice)
    fake.refuse["files.getUploadURLExternal"] = (200, {"ok": False, "error": "missing_scope", "needed": "files:write"}, {})
    row = deliver(here, "slack", BOT, artifacts=[delivering.artifact(here, "weekly.pdf", b"%PDF-1")])
    assert (row.status, row.receipt["files"], row.receipt["note"]) == ("sent", [], "without files: Slack says missing_scope")


def test_a_message_posted_by_token_is_noted_before_its_files_are_shown(
    alice: make.Workspace, fake: FakeSlack, monkeypatch: pytest.MonkeyPatch
) -> None:
    here = delivering.reaching(alice)
    noted: list[dict[str, Any]] = []
    monkeypatch.setattr(acceptances.Journal, "_note", lambda _, __, receipt: noted.append(receipt))
    monkeypatch.setattr(slack, "_show", lambda *_: f"{len(noted)} noted before")
    row = deliver(here, "slack", BOT, artifacts=[delivering.artifact(here, "weekly.pdf", b"%PDF-1")])
    assert row.receipt["note"] == "1 noted before"
    assert noted[0] == {**row.receipt, "note": slack.UNKNOWN}


def test_files_that_cannot_be_shown_do_not_post_twice(alice: make.Workspace, fake: FakeSlack) -> None:
    here = delivering.reaching(alice)
    fake.refuse["files.completeUploadExternal"] = (200, {"ok": False, "error": "internal_error"}, {})
    row = deliver(here, "slack", BOT, artifacts=[delivering.artifact(here, "weekly.pdf", b"%PDF-1")])
    assert row.status == "sent"
    assert "its files were not shown" in row.receipt["note"]
    assert [name for name, _ in fake.calls].count("chat.postMessage") == 1


# Teams


@pytest.mark.parametrize(
    ("severity", "style", "colour"), [("critical", "attention", "b91c1c"), ("ok", "good", "15803d"), ("info", "accent", "2563eb")]
)
def test_teams_gets_an_adaptive_card(alice: make.Workspace, sink: sinks.Sink, severity: str, style: str, colour: str) -> None:
    """D189, D202: narrative, bullets, a link to the run, no files."""
    here = delivering.reaching(alice)
    files = [delivering.artifact(here, "weekly.pdf", b"%PDF-1")]
    row = deliver(here, "teams", {"webhookUrl": sink.url}, paragraphs=PARAGRAPHS, severity=severity, artifacts=files)
    said = json.loads(sink.got[0].body)
    assert b"weekly.pdf" not in sink.got[0].body, "no files"
    card = said["attachments"][0]["content"]
    assert (row.status, said["themeColor"], card["type"], card["body"][0]["style"]) == ("sent", colour, "AdaptiveCard", style)
    assert [item["text"] for item in card["body"][1:3]] == [PARAGRAPHS[0], r"Checkout & <payments\> lead \*again\*."]
    assert card["body"][3]["text"] == "- Checkout fails on Mondays\n- The pool fix holds"
    assert card["actions"][0]["url"] == "http://testserver/reports/runs/1"


def test_a_long_card_is_cut_until_teams_takes_it(alice: make.Workspace, sink: sinks.Sink) -> None:
    deliver(delivering.reaching(alice), "teams", {"webhookUrl": sink.url}, paragraphs=["é" * 5_000] * 20)
    assert len(sink.got[0].body) <= teams.MOST_BYTES
    assert "…" in sink.got[0].body.decode()


def test_teams_throttling_hides_behind_200(alice: make.Workspace, sink: sinks.Sink) -> None:
    text = b"Webhook message delivery failed with error: Microsoft Teams endpoint returned HTTP error 429 with ContextId tcid=1,server=x"
    sink.answers = [sinks.Answer(200, text), sinks.Answer(200, b"1")]
    row = deliver(delivering.reaching(alice), "teams", {"webhookUrl": sink.url})
    assert (row.status, row.attempts) == ("sent", 2)
    assert "HTTP error 429" in row.tries[0]["cause"]


# PagerDuty


def test_pagerduty_opens_and_resolves(alice: make.Workspace, sink: sinks.Sink, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pagerduty, "API", f"{sink.url}/v2/enqueue")
    sink.answers = [sinks.Answer(202, b'{"status":"success","message":"Event processed","dedup_key":"rule-1"}')]
    here = delivering.reaching(alice)
    for severity in ("critical", "ok"):
        deliver(here, "pagerduty", {"integrationKey": "a" * 32}, severity=severity, data={"dedup_key": "rule-1"})
    first, second = (json.loads(got.body) for got in sink.got)
    assert (first["event_action"], first["payload"]["severity"], second["event_action"]) == ("trigger", "critical", "resolve")
    assert first["dedup_key"] == second["dedup_key"] == "rule-1"
    assert first["routing_key"] == "a" * 32


# Apprise


def test_apprise_carries_text_and_files(alice: make.Workspace, sink: sinks.Sink) -> None:
    here = delivering.reaching(alice)
    port = sink.url.rpartition(":")[2]
    row = deliver(
        here, "apprise", {"url": f"json://127.0.0.1:{port}/in"}, artifacts=[delivering.artifact(here, "weekly.csv", b"a,b", "text/csv")]
    )
    said = json.loads(sink.got[0].body)
    assert (row.status, row.receipt["files"]) == ("sent", ["weekly.csv"])
    assert said["title"] == "Weekly failures"
    assert "- The pool fix holds" in said["message"]
    assert base64.b64decode(said["attachments"][0]["base64"]) == b"a,b"


def test_apprise_says_why(alice: make.Workspace, sink: sinks.Sink) -> None:
    here = delivering.reaching(alice)
    sink.answers = [sinks.Answer(500, b"no")]
    (row,) = delivering.send(
        here, chosen=[delivering.destination(here, "apprise", {"url": f"json://127.0.0.1:{sink.url.rpartition(':')[2]}/"})]
    )
    here.work_once()
    done = delivering.row(here, row)
    assert done.status == "queued"
    assert "JSON did not take it: " in done.reason
    assert "500" in done.reason


@pytest.mark.parametrize(
    "url", ["syslog://", "dbus://", "gnome://", "windows://", "json://10.0.0.1/", "mmosts://chat.example/abc", "nonsense", "http://x"]
)
def test_apprise_cannot_reach_this_machine_or_a_host_nobody_named(url: str) -> None:
    with pytest.raises(ValueError, match=r"is no Apprise URL|EVERFIX_OUTBOUND_ALLOW|not offered"):
        apprise_.AppriseConfig(url=url)


def test_apprise_offers_the_services_that_live_elsewhere() -> None:
    config = apprise_.AppriseConfig(url="tgram://123456789:abcdefg_hijklmnop/12315544/")
    assert config.summary() == "Telegram"
