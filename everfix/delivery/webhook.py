"""Webhook: the whole message as JSON, files inline as base64, signed over the exact bytes.

Headers of each POST:
  Idempotency-Key                   the same for each try of the same delivery
  X-Kaireon-Signature               sha256=<hex HMAC-SHA256 of the body>, with a secret only, as the three below
  x-causeloop-signature             <hex HMAC-SHA256 of the body>
  X-Everfix-Timestamp               seconds since 1970, when this try was made
  X-Everfix-Signature               v1=<hex HMAC-SHA256 of "<timestamp>.<body>">; a receiver refuses a timestamp older than REPLAY_SECONDS
"""

from __future__ import annotations

import base64
import hmac
from typing import Annotated, Any, ClassVar

import httpx
from pydantic import AfterValidator, Field, ValidationInfo

from everfix.core import clock, ids, outbound
from everfix.core.db import Json
from everfix.core.fields import dump
from everfix.core.outbound import Guard
from everfix.delivery import files
from everfix.delivery.envelope import Channel, Config, Envelope

REPLAY_SECONDS = 300
OWN_HEADERS = 30
RESERVED = frozenset({"host", "content-length", "content-type", "transfer-encoding", "connection", "idempotency-key"})


def https(value: str, info: ValidationInfo) -> str:
    """Return an HTTPS address with a host; plain HTTP only where the operator has named that private host (EVERFIX_OUTBOUND_ALLOW)."""
    try:
        url = httpx.URL(value)
    except httpx.InvalidURL as problem:
        raise ValueError(f"is no address: {problem}") from problem
    guard = (info.context or {}).get("guard", Guard())
    if not url.host or url.scheme not in ("https", "http") or (url.scheme == "http" and not guard.names(url.host)):
        raise ValueError("must be an https:// address")
    return value


Https = Annotated[str, Field(min_length=1, max_length=2000), AfterValidator(https)]


def _headers(value: dict[str, str]) -> dict[str, str]:
    for name, text in value.items():
        if not name or not all(letter.isalnum() or letter in "-_" for letter in name) or not name.isascii():
            raise ValueError(f"{name[:60]!r} is no header's name")
        if name.lower() in RESERVED or name.lower().startswith(("x-everfix-", "x-kaireon-signature", "x-causeloop-signature")):
            raise ValueError(f"{name!r} is set by Everfix itself")
        if any(ord(letter) < 32 or ord(letter) > 126 for letter in text):
            raise ValueError(f"the value of {name!r} must be printable ASCII")
    return value


class WebhookConfig(Config):
    """`url`, and when wanted a `secret` that signs and `headers` of one's own."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"secret", "headers"})

    url: Https
    secret: Annotated[str, Field(min_length=1, max_length=500)] | None = None
    headers: Annotated[dict[str, str], Field(max_length=OWN_HEADERS), AfterValidator(_headers)] = Field(default_factory=dict)

    def summary(self) -> str:
        return httpx.URL(self.url).host


def send(envelope: Envelope) -> Json:
    """POST the message; a 2xx status is the receipt, whatever may follow it."""
    config: WebhookConfig = envelope.config
    body = dump(payload(envelope))
    headers = {**config.headers, **signed(config.secret, body), "Idempotency-Key": envelope.key, "Content-Type": "application/json"}
    headers["User-Agent"] = "Everfix"
    headers["X-Everfix-Attempt"] = str(envelope.attempt)

    def taken(status: int) -> bool:
        envelope.accepted({"status": status, "bytes": len(body)})
        return True

    answer = outbound.call(envelope.guard, "POST", config.url, headers=headers, content=body, taken=taken)
    return {"status": outbound.judge(answer, config.summary()).status_code, "bytes": len(body)}


def signed(secret: str | None, body: bytes) -> dict[str, str]:
    """Return the headers that prove to a receiver who wrote the body, and when."""
    if not secret:
        return {}
    plain = hmac.new(secret.encode(), body, "sha256").hexdigest()
    stamp = str(int(clock.now().timestamp()))
    timed = hmac.new(secret.encode(), stamp.encode() + b"." + body, "sha256").hexdigest()
    return {
        "X-Kaireon-Signature": f"sha256={plain}",
        "x-causeloop-signature": plain,
        "X-Everfix-Timestamp": stamp,
        "X-Everfix-Signature": f"v1={timed}",
    }


def payload(envelope: Envelope) -> dict[str, Any]:
    """Return the body: the text, its own data, and under `extraPayload` every file as base64 (or its link, when all are too large)."""
    message = envelope.message
    inline, linked = files.split(envelope)
    return {
        "id": envelope.key,
        "kind": message.kind,
        "severity": message.severity,
        "title": message.subject,
        "message": "\n\n".join(message.paragraphs),
        "takeaways": message.takeaways,
        "sections": message.sections,
        "link": message.link,
        "workspaceId": str(envelope.workspace),
        "messageId": ids.show(ids.Prefix.MESSAGE, message.id),
        "createdAt": message.created_at.isoformat(),
        "data": message.data,
        "extraPayload": {
            "artifacts": [
                {**_about(item), "encoding": "base64", "content": base64.b64encode(files.read(envelope, item)).decode()} for item in inline
            ]
            + [{**_about(item), "url": files.link(envelope, item)} for item in linked]
        },
    }


def _about(item: Any) -> dict[str, Any]:  # noqa: ANN401 - an Artifact
    return {"format": item.format, "filename": item.filename, "contentType": item.media_type, "size": item.size, "sha256": item.sha256}


CHANNEL = Channel("webhook", "Outbound Webhook", "webhook", WebhookConfig, send)
