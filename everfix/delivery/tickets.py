"""Tickets: what trackers have in common. A tracker is a channel whose message becomes a ticket that can be followed."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

import httpx

from everfix.core import outbound
from everfix.core.db import Json
from everfix.delivery.messages import Message
from everfix.errors import Outbound

_MARKUP = re.compile(r"([\\`*_{}\[\]<>#|~!])")


class State(StrEnum):
    """What has become of a ticket, in the words that all trackers share."""

    OPEN = "open"
    STARTED = "started"
    DONE = "done"
    CANCELLED = "cancelled"


FINAL = (State.DONE, State.CANCELLED)


def receipt(external_id: str, url: str) -> Json:
    """Return what the ledger keeps of a ticket."""
    return {"external_id": external_id, "external_url": url}


def lines(message: Message) -> list[str]:
    """Return what a ticket says, a paragraph each, as plain text."""
    return [*message.paragraphs, *(f"• {line}" for line in message.takeaways), *([message.link] if message.link else [])]


def markdown(message: Message) -> list[str]:
    """Return what a ticket says as Markdown in which names and titles are text, never markup or a mention."""
    said = [_plain(line) for line in message.paragraphs]
    steps = "\n".join(f"{place}. {_plain(line)}" for place, line in enumerate(message.takeaways, 1))
    return [*said, *([steps] if steps else []), *([f"<{message.link}>"] if message.link else [])]


def _plain(text: str) -> str:
    return _MARKUP.sub(r"\\\1", text).replace("@", "@\u200b")


def answer(given: httpx.Response, name: str) -> Any:  # noqa: ANN401 - JSON
    """Return the JSON of a tracker's answer; raises Outbound with its own words when it refused."""
    if given.status_code in (400, 404, 422):
        words = "; ".join(_words(given))[:300]
        raise Outbound(f"{name} answered {given.status_code}: {words or 'no reason given'}", permanent=True)
    judged = outbound.judge(given, name)
    try:
        return judged.json()
    except ValueError as problem:
        raise Outbound(f"{name} answered with something that is not JSON") from problem


def _words(given: httpx.Response) -> Iterator[str]:
    """Yield a tracker's reasons: Jira's errorMessages and errors, GitHub's message, GraphQL's errors."""
    try:
        found = given.json()
    except json.JSONDecodeError:
        yield given.text[:200]
        return
    if not isinstance(found, dict):
        return
    yield from (str(word) for word in found.get("errorMessages") or [])
    errors = found.get("errors")
    if isinstance(errors, dict):
        yield from (f"{name}: {word}" for name, word in errors.items())
    elif isinstance(errors, list):
        yield from (str(error.get("message", error)) if isinstance(error, dict) else str(error) for error in errors)
    if found.get("message"):
        yield str(found["message"])
