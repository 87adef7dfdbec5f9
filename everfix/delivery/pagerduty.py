"""PagerDuty: an event of the Events API v2; an alert that is over resolves the incident it opened."""

from __future__ import annotations

from typing import Annotated, ClassVar

from pydantic import StringConstraints

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.fields import dump
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.slack import cut

API = "https://events.pagerduty.com/v2/enqueue"
SEVERITIES = {"info": "info", "warning": "warning", "critical": "critical", "ok": "info"}


class PagerDutyConfig(Config):
    """`integrationKey` of a service's Events API v2 integration."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"integrationKey"})

    integrationKey: Annotated[str, StringConstraints(pattern=r"^[A-Za-z0-9]{32}$")]  # noqa: N815 - PagerDuty's name

    def summary(self) -> str:
        return "events.pagerduty.com"


def send(envelope: Envelope) -> Json:
    """Send the event. PagerDuty takes the same `dedup_key` for the same incident: a try that is repeated opens no second one."""
    config: PagerDutyConfig = envelope.config
    message = envelope.message
    dedup = str(message.data.get("dedup_key") or envelope.key)
    event: Json = {"routing_key": config.integrationKey, "event_action": "resolve" if message.severity == "ok" else "trigger"}
    event["dedup_key"] = cut(dedup, 255)
    event["payload"] = {
        "summary": cut(message.subject, 1_024),
        "source": message.brand,
        "severity": SEVERITIES.get(message.severity, "info"),
        "custom_details": {"text": message.paragraphs, "takeaways": message.takeaways},
    }
    if message.link:
        event["links"] = [{"href": message.link, "text": "Open"}]
    headers = {"Content-Type": "application/json"}

    def taken(status: int) -> bool:
        envelope.accepted({"status": status, "dedup_key": event["dedup_key"]})
        return True

    answer = outbound.judge(outbound.call(envelope.guard, "POST", API, headers=headers, content=dump(event), taken=taken), "PagerDuty")
    return {"status": answer.status_code, "dedup_key": event["dedup_key"]}


CHANNEL = Channel("pagerduty", "PagerDuty", "pagerduty", PagerDutyConfig, send)
