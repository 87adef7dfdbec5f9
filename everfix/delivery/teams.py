"""Microsoft Teams: an Adaptive Card with a band in the colour of its severity, through an incoming webhook or a workflow's URL."""

from __future__ import annotations

import re
from typing import ClassVar

import httpx

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.fields import dump
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.slack import cut
from everfix.delivery.webhook import Https
from everfix.errors import Outbound

STYLES = {"info": "accent", "warning": "warning", "critical": "attention", "ok": "good"}
MOST_BYTES = 27_000  # Teams refuses more than 28 KB
_MARK_UP = re.compile(r"([\\\[\]*_`~#>|-])")


class TeamsConfig(Config):
    """`webhookUrl`."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"webhookUrl"})

    webhookUrl: Https  # noqa: N815 - the reference's name

    def summary(self) -> str:
        return httpx.URL(self.webhookUrl).host


def send(envelope: Envelope) -> Json:
    """Post the card. Teams' older webhooks answer 200 and say in the text that they were throttled: that is no receipt. A workflow's 202 is."""
    config: TeamsConfig = envelope.config
    headers = {"Content-Type": "application/json"}

    def taken(status: int) -> bool:
        if status == httpx.codes.OK:
            return False
        envelope.accepted({"status": status})
        return True

    answer = outbound.call(envelope.guard, "POST", config.webhookUrl, headers=headers, content=body(envelope), taken=taken)
    outbound.judge(answer, config.summary())
    hidden = re.search(r"HTTP error (\d{3})", answer.text)
    if hidden:
        status = int(hidden.group(1))
        raise Outbound(f"Teams did not take the message: {' '.join(answer.text[:200].split())}", permanent=status < 500 and status != 429)
    return {"status": answer.status_code}


def body(envelope: Envelope) -> bytes:
    """Return the card as it is posted, paragraphs cut until it fits."""
    for longest in (4_000, 1_500, 500, 150):
        made = dump(card(envelope, longest))
        if len(made) <= MOST_BYTES:
            return made
    raise Outbound(f"the card has {len(made):,} bytes even with short paragraphs; Teams takes {MOST_BYTES:,}", permanent=True)


def card(envelope: Envelope, longest: int) -> Json:
    """Return the message around an Adaptive Card."""
    message = envelope.message
    band = {
        "type": "Container",
        "style": STYLES.get(message.severity, "accent"),
        "bleed": True,
        "items": [{"type": "TextBlock", "text": escaped(cut(message.subject, 250)), "weight": "Bolder", "size": "Large", "wrap": True}],
    }
    texts = [escaped(cut(paragraph, longest)) for paragraph in message.paragraphs]
    items = [band, *({"type": "TextBlock", "text": text, "wrap": True} for text in texts)]
    if message.takeaways:
        bullets = "\n".join(f"- {escaped(cut(line, longest))}" for line in message.takeaways)
        items.append({"type": "TextBlock", "text": bullets, "wrap": True, "spacing": "Medium"})
    items.append({"type": "TextBlock", "text": escaped(message.brand), "isSubtle": True, "size": "Small"})
    content: Json = {
        "type": "AdaptiveCard",
        "$schema": "http://adaptivecards.io/schemas/adaptive-card.json",
        "version": "1.4",
        "body": items,
    }
    if message.link:
        content["actions"] = [{"type": "Action.OpenUrl", "title": "Open", "url": message.link}]
    content["msteams"] = {"width": "Full"}
    return {
        "type": "message",
        "summary": cut(message.subject, 250),
        "themeColor": message.accent.lstrip("#"),
        "attachments": [{"contentType": "application/vnd.microsoft.card.adaptive", "contentUrl": None, "content": content}],
    }


def escaped(text: str) -> str:
    """Return text in which nothing is Markdown."""
    return _MARK_UP.sub(r"\\\1", text)


CHANNEL = Channel("teams", "Microsoft Teams", "teams", TeamsConfig, send)
