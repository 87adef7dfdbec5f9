"""The table of channels. To add one: a file like its neighbours, and a line here."""

from __future__ import annotations

from collections.abc import Mapping

from everfix.delivery import apprise_, github_issues, jira, linear, mail, pagerduty, slack, teams, webhook
from everfix.delivery.envelope import Channel
from everfix.errors import Malformed

MODULES = (slack, teams, webhook, mail, pagerduty, apprise_, jira, linear, github_issues)
CHANNELS: Mapping[str, Channel] = {module.CHANNEL.kind: module.CHANNEL for module in MODULES}
DOCUMENTED = ("slack", "teams", "webhook", "ops_email")  # the kinds that the dashboards' surface knows


def get(kind: str) -> Channel:
    """Return the channel of a kind; raises Malformed naming those there are."""
    if kind not in CHANNELS:
        raise Malformed(f"there is no kind of destination {kind[:40]!r}", details={"kind": f"one of {', '.join(CHANNELS)}"})
    return CHANNELS[kind]
