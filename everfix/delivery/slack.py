"""Slack: through an incoming webhook (text, bullets, link), or through a bot token (the same, and the files in its thread).

With a token the files are uploaded first, where nobody sees them yet; then the message is posted, and the files are shown below it:
a try that fails on the way has shown nothing, so the next one cannot show it twice.
"""

from __future__ import annotations

import re
from typing import Annotated, Any, ClassVar, Self

import httpx
from pydantic import Field, StringConstraints, model_validator
from slack_sdk import WebClient
from slack_sdk.errors import SlackApiError, SlackRequestError

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.fields import dump
from everfix.delivery import files
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.webhook import Https
from everfix.errors import Outbound

API = "https://slack.com/api/"
TEXT_LONGEST, HEADER_LONGEST, BLOCKS_MOST = 2_900, 150, 50  # Slack allows 3,000 characters in a section
# What passes by itself; every other word of Slack's (channel_not_found, invalid_auth, is_archived, …) stays until a person acts.
PASSING = frozenset(
    {"fatal_error", "internal_error", "ratelimited", "rate_limited", "request_timeout", "service_unavailable", "team_added_to_org"}
)
NO_FILES = frozenset({"missing_scope", "not_allowed_token_type", "file_uploads_disabled", "file_upload_size_restricted"})
UNKNOWN = "the worker was lost after the message was posted; whether its files were shown below it is unknown"
WORDS = {
    "channel_not_found": "the channel does not exist, or the bot cannot see it",
    "not_in_channel": "the bot is not in the channel: invite it",
    "is_archived": "the channel is archived",
    "invalid_auth": "the bot token is not valid",
    "token_revoked": "the bot token was revoked",
    "account_inactive": "the bot was removed from the workspace",
}


class SlackConfig(Config):
    """`webhookUrl`; or `botToken`, with the `channel` to post to when it is used as a destination of its own."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"webhookUrl", "botToken"})

    webhookUrl: Https | None = None  # noqa: N815 - the reference's name
    botToken: Annotated[str, StringConstraints(pattern=r"^xox[a-z]-[A-Za-z0-9-]{5,250}$")] | None = None  # noqa: N815
    channel: Annotated[str, StringConstraints(pattern=r"^[CGDU][A-Z0-9]{6,20}$")] | None = Field(default=None)

    @model_validator(mode="after")
    def _one_way(self) -> Self:
        if self.webhookUrl is None and self.botToken is None:
            raise ValueError("webhookUrl is needed (or a botToken)")
        return self

    def summary(self) -> str:
        if self.webhookUrl is not None:
            return httpx.URL(self.webhookUrl).host
        return f"bot in {self.channel}" if self.channel else "bot"


def send(envelope: Envelope) -> Json:
    """Post the message; the receipt holds Slack's own answer."""
    config: SlackConfig | None = envelope.config
    if config is None:
        raise Outbound("a Slack channel id needs a Slack destination with a bot token, and there is none", permanent=True)
    channel = config.channel if envelope.target.recipient == str(envelope.target.destination_id) else envelope.target.recipient
    if config.botToken is not None and channel is not None:
        return _by_token(envelope, config.botToken, channel)
    if config.webhookUrl is None:
        raise Outbound("the destination has a bot token and no channel", permanent=True)
    said = dump({"text": _short(envelope.message.subject, TEXT_LONGEST), "blocks": blocks(envelope), "mrkdwn": False})
    headers = {"Content-Type": "application/json"}
    receipt: Json = {"way": "incoming webhook"}

    def taken(_: int) -> bool:
        envelope.accepted(receipt)
        return True

    outbound.judge(outbound.call(envelope.guard, "POST", config.webhookUrl, headers=headers, content=said, taken=taken), config.summary())
    return receipt


def _by_token(envelope: Envelope, token: str, channel: str) -> Json:
    client = WebClient(token, base_url=API, timeout=int(outbound.TIMEOUT_SECONDS), retry_handlers=[])
    uploaded, note = _upload(envelope, client)
    posted = _ask(
        client.chat_postMessage,
        channel=channel,
        text=_short(envelope.message.subject, TEXT_LONGEST),
        blocks=blocks(envelope),
        mrkdwn=False,
        parse="none",
        link_names=False,
        unfurl_links=False,
        metadata={"event_type": "everfix_delivery", "event_payload": {"key": envelope.key}},
    )
    receipt: Json = {
        "way": "bot token",
        "channel": str(posted["channel"]),
        "ts": str(posted["ts"]),
        "files": [name for _, name in uploaded],
    }
    envelope.accepted({**receipt, "note": note or UNKNOWN} if uploaded or note else receipt)
    if uploaded:
        note = _show(client, uploaded, receipt["channel"], receipt["ts"])
    return {**receipt, "note": note} if note else receipt


def _upload(envelope: Envelope, client: WebClient) -> tuple[list[tuple[str, str]], str]:
    """Return (file id, name) of each file uploaded, and why there is none where the token does not allow it."""
    made = []
    for item in files.split(envelope)[0]:
        body = files.read(envelope, item)
        try:
            place = client.files_getUploadURLExternal(filename=item.filename, length=len(body))
        except SlackApiError as problem:
            if _word(problem) in NO_FILES:
                return [], f"without files: Slack says {_word(problem)}"
            raise _outbound(problem) from problem
        except (SlackRequestError, OSError) as problem:
            raise Outbound(f"Slack cannot be reached: {problem}") from problem
        headers = {"Content-Type": "application/octet-stream"}
        answer = outbound.call(envelope.guard, "POST", str(place["upload_url"]), headers=headers, content=body)
        outbound.judge(answer, "Slack's file store")
        made.append((str(place["file_id"]), item.filename))
    return made, ""


def _show(client: WebClient, uploaded: list[tuple[str, str]], channel: str, stamp: str) -> str:
    """Show the files below the message. The message is out: a failure here is noted, not tried again, or it would be posted twice."""
    try:
        _ask(
            client.files_completeUploadExternal,
            files=[{"id": file, "title": name} for file, name in uploaded],
            channel_id=channel,
            thread_ts=stamp,
        )
    except Outbound as problem:
        return f"the message was posted, its files were not shown: {problem.message}"
    return ""


def _ask(call: Any, **given: Any) -> Any:  # noqa: ANN401 - slack-sdk's
    try:
        return call(**given)
    except SlackApiError as problem:
        raise _outbound(problem) from problem
    except (SlackRequestError, OSError) as problem:
        raise Outbound(f"Slack cannot be reached: {problem}") from problem


def _word(problem: SlackApiError) -> str:
    answer = problem.response
    return str(answer.get("error") or "") if answer is not None and not isinstance(answer.data, bytes) else ""


def _outbound(problem: SlackApiError) -> Outbound:
    word, answer = _word(problem), problem.response
    headers = {str(name).lower(): str(value) for name, value in (answer.headers or {}).items()}
    again = answer.status_code == 429 or answer.status_code >= 500 or word in PASSING
    words = WORDS.get(word)
    return Outbound(
        f"Slack refused it: {words} ({word})" if words else f"Slack refused it: {word or answer.status_code}",
        permanent=not again,
        retry_after=outbound.retry_after(headers.get("retry-after")),
    )


def escaped(text: str) -> str:
    """Return text in which nothing is a link or a mention of Slack's; its bold, italic and code are kept out by `plain_text`."""
    return text.replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")


def blocks(envelope: Envelope) -> list[Json]:
    """Return the message as Slack's blocks: header, paragraphs, bullets, a button to the run; long text is cut with a mark."""
    message = envelope.message
    made: list[Json] = [{"type": "header", "block_id": envelope.key, "text": _plain(_short(message.subject, HEADER_LONGEST))}]
    made += [_section(escaped(paragraph)) for paragraph in message.paragraphs if paragraph.strip()]
    if message.takeaways:
        made.append(_section("\n".join(f"• {escaped(line)}" for line in message.takeaways)))
    made = made[: BLOCKS_MOST - 2]
    if message.link:
        button = {"type": "button", "text": {"type": "plain_text", "text": "Open"}, "url": message.link, "action_id": "open"}
        made.append({"type": "actions", "elements": [button]})
    made.append({"type": "context", "elements": [_plain(escaped(f"{message.brand} · {message.severity}"))]})
    return made


def _section(text: str) -> Json:
    return {"type": "section", "text": _plain(_whole(text, TEXT_LONGEST))}


def _plain(text: str) -> Json:
    """Return a text object that shows the letters of a failure's title as they are: no `*bold*`, no `:smile:`."""
    return {"type": "plain_text", "text": text, "emoji": False}


def _short(text: str, longest: int) -> str:
    return _whole(escaped(text), longest)


def _whole(text: str, longest: int) -> str:
    """Cut escaped text, not within what stands for one letter."""
    return re.sub(r"&[a-z]*…$", "…", cut(text, longest))


def cut(text: str, longest: int) -> str:
    """Return text of at most `longest` characters; what was cut is marked."""
    return text if len(text) <= longest else text[: longest - 1].rstrip() + "…"


CHANNEL = Channel("slack", "Slack", "slack", SlackConfig, send)
