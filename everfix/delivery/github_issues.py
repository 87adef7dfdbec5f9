"""GitHub: a message becomes an issue of a repository (REST API, also of GitHub Enterprise), and its state can be asked for later."""

from __future__ import annotations

import json
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

from pydantic import Field

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.outbound import Guard
from everfix.delivery import tickets
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.tickets import State
from everfix.delivery.webhook import Https

LABEL = "everfix"
LOOK_BACK = 50  # newest issues of ours among which a second try looks for the first one's


class GithubConfig(Config):
    """Whose token speaks, and the repository that gets the issues."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"token"})

    token: Annotated[str, Field(min_length=1, max_length=500)]
    repository: Annotated[str, Field(pattern=r"^[A-Za-z0-9_.-]{1,100}/[A-Za-z0-9_.-]{1,100}$")]
    base_url: Https = "https://api.github.com"

    def summary(self) -> str:
        return self.repository


def send(envelope: Envelope) -> Json:
    """Create the issue; at a second try one that carries the same key is taken for it."""
    config: GithubConfig = envelope.config
    mark = f"<!-- everfix {envelope.key} -->"
    found = _made_before(config, envelope.guard, mark) if envelope.attempt > 1 else None
    if found is None:
        body = "\n\n".join([*tickets.markdown(envelope.message), mark])
        given = {"title": " ".join(envelope.message.subject.split())[:250], "body": body, "labels": [LABEL]}
        found = _call(config, envelope.guard, "POST", "/issues", given)
    return tickets.receipt(str(found["number"]), str(found["html_url"]))


def follow(config: Any, guard: Guard, external_id: str) -> State:  # noqa: ANN401 - a GithubConfig
    """Return what has become of the issue."""
    found = _call(config, guard, "GET", f"/issues/{quote(external_id, safe='')}", None)
    if found["state"] == "open":
        return State.STARTED if found.get("assignees") else State.OPEN
    return State.CANCELLED if found.get("state_reason") == "not_planned" else State.DONE


def _made_before(config: GithubConfig, guard: Guard, mark: str) -> Json | None:
    found = _call(config, guard, "GET", f"/issues?labels={LABEL}&state=all&per_page={LOOK_BACK}", None)
    return next((issue for issue in found if mark in (issue.get("body") or "")), None)


def _call(config: GithubConfig, guard: Guard, method: str, path: str, body: Json | None) -> Any:  # noqa: ANN401 - JSON
    headers = {"Authorization": f"Bearer {config.token}", "Accept": "application/vnd.github+json", "User-Agent": "Everfix"}
    url = f"{config.base_url.rstrip('/')}/repos/{config.repository}{path}"
    return tickets.answer(outbound.call(guard, method, url, headers=headers, content=json.dumps(body).encode() if body else None), "GitHub")


CHANNEL = Channel("github_issues", "GitHub issue", "github_issues", GithubConfig, send, follow=follow)
