"""Jira: a message becomes an issue of a project (Cloud REST API v3), and its status can be asked for later."""

from __future__ import annotations

import base64
import json
from typing import Annotated, Any, ClassVar
from urllib.parse import quote

import httpx
from pydantic import Field

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.outbound import Guard
from everfix.delivery import tickets
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.tickets import State
from everfix.delivery.webhook import Https

SUMMARY = 250  # characters; Jira takes 255
STATES = {"new": State.OPEN, "indeterminate": State.STARTED, "done": State.DONE}  # its three categories of statuses


class JiraConfig(Config):
    """The site, whose token speaks, and where issues go."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"api_token"})

    site_url: Https
    email: Annotated[str, Field(min_length=3, max_length=254)]
    api_token: Annotated[str, Field(min_length=1, max_length=500)]
    project: Annotated[str, Field(pattern=r"^[A-Za-z][A-Za-z0-9_]{1,99}$")]
    issue_type: Annotated[str, Field(min_length=1, max_length=60)] = "Task"

    def summary(self) -> str:
        return f"{self.project.upper()} at {httpx.URL(self.site_url).host}"


def send(envelope: Envelope) -> Json:
    """Create the issue; at a second try an issue of the first, known by its label, is taken for it."""
    config: JiraConfig = envelope.config
    label = f"everfix-{envelope.key}"
    found = _made_before(envelope.guard, config, label) if envelope.attempt > 1 else None
    if found is None:
        fields = {
            "project": {"key": config.project.upper()},
            "issuetype": {"name": config.issue_type},
            "summary": " ".join(envelope.message.subject.split())[:SUMMARY],
            "description": _adf(tickets.lines(envelope.message)),
            "labels": ["everfix", label],
        }
        found = str(_call(envelope.guard, config, "POST", "/rest/api/3/issue", {"fields": fields})["key"])
    return tickets.receipt(found, f"{config.site_url.rstrip('/')}/browse/{found}")


def follow(config: Any, guard: Guard, external_id: str) -> State:  # noqa: ANN401 - a JiraConfig
    """Return what has become of the issue."""
    answer = _call(guard, config, "GET", f"/rest/api/3/issue/{quote(external_id, safe='')}?fields=status", None)
    return STATES.get(str(answer["fields"]["status"]["statusCategory"]["key"]), State.OPEN)


def _made_before(guard: Guard, config: JiraConfig, label: str) -> str | None:
    query = quote(f'labels = "{label}"', safe="")
    answer = _call(guard, config, "GET", f"/rest/api/3/search/jql?jql={query}&fields=status&maxResults=1", None)
    return next((str(issue["key"]) for issue in answer["issues"]), None)


def _call(guard: Guard, config: JiraConfig, method: str, path: str, body: Json | None) -> Json:
    secret = base64.b64encode(f"{config.email}:{config.api_token}".encode()).decode()
    headers = {"Authorization": f"Basic {secret}", "Accept": "application/json", "Content-Type": "application/json"}
    content = None if body is None else json.dumps(body).encode()
    found: Json = tickets.answer(
        outbound.call(guard, method, f"{config.site_url.rstrip('/')}{path}", headers=headers, content=content), "Jira"
    )
    return found


def _adf(lines: list[str]) -> Json:
    """Return paragraphs in Atlassian's document format: text as data, never markup."""
    content = [{"type": "paragraph", "content": [{"type": "text", "text": line}]} for line in lines if line]
    return {"type": "doc", "version": 1, "content": content}


CHANNEL = Channel("jira", "Jira issue", "jira", JiraConfig, send, follow=follow)
