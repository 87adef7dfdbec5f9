"""Apprise: the long tail of services (Telegram, Discord, Pushover, Webex, …), one URL per destination.

Apprise makes its own connections, so the guard cannot pin them: a service whose host stands in the URL is taken only when the operator
has named that host (EVERFIX_OUTBOUND_ALLOW); services with a host of their own, and no way to act on this machine, are free.
"""

from __future__ import annotations

import logging
import re
from typing import Annotated, Any, ClassVar

import apprise
from apprise.attachment.memory import AttachMemory
from pydantic import AfterValidator, Field, ValidationInfo

from everfix.core.db import Json
from everfix.core.outbound import Guard
from everfix.delivery import files
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.errors import Outbound

TIMEOUT_SECONDS = 30.0
HOST = re.compile(r"\{(host|domain)\}")
ELSEWHERE = frozenset({"nostr"})  # services whose server is a parameter of the URL
TYPES = {
    "info": apprise.NotifyType.INFO,
    "warning": apprise.NotifyType.WARNING,
    "critical": apprise.NotifyType.FAILURE,
    "ok": apprise.NotifyType.SUCCESS,
}


def _sound(value: str, info: ValidationInfo) -> str:
    guard: Guard = (info.context or {}).get("guard", Guard())
    service = apprise.Apprise.instantiate(value, suppress_exceptions=True)
    if service is None:
        raise ValueError("is no Apprise URL")
    if not service.secure_protocol or ELSEWHERE & set(_schemas(service)):
        raise ValueError(f"{service.service_name} is not offered: it acts on this machine, or speaks without TLS")
    own_host = any(HOST.search(str(template)) for template in service.templates) and getattr(service, "mode", None) != "cloud"
    if own_host and not guard.names(str(service.host or "")):
        raise ValueError(f"{service.service_name} on a host of one's own needs that host in EVERFIX_OUTBOUND_ALLOW")
    return value


def _schemas(service: Any) -> list[str]:  # noqa: ANN401 - an Apprise plugin
    found = service.secure_protocol
    return [found] if isinstance(found, str) else list(found)


class AppriseConfig(Config):
    """`url` as Apprise writes it, e.g. `tgram://bottoken/ChatID`."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"url"})

    url: Annotated[str, Field(min_length=1, max_length=2_000), AfterValidator(_sound)]

    def summary(self) -> str:
        return str(_service(self.url).service_name)


def _service(url: str) -> apprise.NotifyBase:
    service = apprise.Apprise.instantiate(url)
    if service is None:
        raise Outbound("Apprise no longer knows this kind of URL", permanent=True)
    return service


def send(envelope: Envelope) -> Json:
    """Hand the message over; what Apprise says on the way is the cause when it was not taken."""
    config: AppriseConfig = envelope.config
    service, message = _service(config.url), envelope.message
    attached: list[Any] = []
    if service.attachment_support:
        inline = files.split(envelope)[0]
        attached = [AttachMemory(files.read(envelope, item), name=item.filename, mimetype=item.media_type) for item in inline]  # type: ignore[no-untyped-call]
    parts = [*message.paragraphs, "\n".join(f"- {line}" for line in message.takeaways), message.link]
    said: list[str] = []
    taken = apprise.Apprise(service).notify(
        body="\n\n".join(part for part in parts if part) or message.subject,
        title=message.subject,
        notify_type=TYPES[message.severity],
        attach=attached or None,
        timeout=TIMEOUT_SECONDS,
        log_callback=lambda entry, _service: said.append(entry.message),
        log_level=logging.WARNING,
    )
    if not taken:
        words = " ".join(" ".join(said).split())[-300:]
        raise Outbound(f"{service.service_name} did not take it: {words or 'no reason was given'}")
    return {"service": str(service.service_name), "files": [item.filename for item in message.files] if attached else []}


CHANNEL = Channel("apprise", "Apprise", "apprise", AppriseConfig, send)
