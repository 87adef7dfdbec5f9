"""Linear: a message becomes an issue of a team (GraphQL API), and its state can be asked for later."""

from __future__ import annotations

import json
import uuid
from typing import Annotated, Any, ClassVar

from pydantic import Field

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.outbound import Guard
from everfix.delivery import tickets
from everfix.delivery.envelope import Channel, Config, Envelope
from everfix.delivery.tickets import State
from everfix.delivery.webhook import Https
from everfix.errors import Outbound

STATES = {"started": State.STARTED, "completed": State.DONE, "canceled": State.CANCELLED, "cancelled": State.CANCELLED}
_CREATE = "mutation($input: IssueCreateInput!) { issueCreate(input: $input) { success issue { id identifier url } } }"
_LOOK = "query($id: String!) { issue(id: $id) { id identifier url state { type } } }"


class LinearConfig(Config):
    """Whose key speaks, and the team that gets the issues."""

    SECRET: ClassVar[frozenset[str]] = frozenset({"api_key"})

    api_key: Annotated[str, Field(min_length=1, max_length=500)]
    team_id: Annotated[str, Field(min_length=1, max_length=100)]
    base_url: Https = "https://api.linear.app"

    def summary(self) -> str:
        return f"team {self.team_id}"


def send(envelope: Envelope) -> Json:
    """Create the issue under an id made from the idempotency key: a second try finds the first one's."""
    config: LinearConfig = envelope.config
    own = str(uuid.UUID(bytes=bytes.fromhex(envelope.key)[:16], version=4))
    found = _look(config, envelope.guard, own) if envelope.attempt > 1 else None
    if found is None:
        body = "\n\n".join(tickets.markdown(envelope.message))
        given = {"id": own, "teamId": config.team_id, "title": " ".join(envelope.message.subject.split())[:250], "description": body}
        found = _call(config, envelope.guard, _CREATE, {"input": given})["issueCreate"]["issue"]
    return tickets.receipt(str(found["identifier"]), str(found["url"]))


def follow(config: Any, guard: Guard, external_id: str) -> State:  # noqa: ANN401 - a LinearConfig
    """Return what has become of the issue."""
    found = _look(config, guard, external_id)
    if found is None:
        raise Outbound(f"Linear has no issue {external_id} any more", permanent=True)
    return STATES.get(str(found["state"]["type"]), State.OPEN)


def _look(config: LinearConfig, guard: Guard, name: str) -> Json | None:
    try:
        found: Json | None = _call(config, guard, _LOOK, {"id": name})["issue"]
    except Outbound as problem:
        if "not found" in str(problem).lower():
            return None
        raise
    return found


def _call(config: LinearConfig, guard: Guard, query: str, variables: Json) -> Json:
    headers = {"Authorization": config.api_key, "Content-Type": "application/json"}
    content = json.dumps({"query": query, "variables": variables}).encode()
    answer = tickets.answer(
        outbound.call(guard, "POST", f"{config.base_url.rstrip('/')}/graphql", headers=headers, content=content), "Linear"
    )
    if answer.get("errors"):
        raise Outbound(f"Linear refused: {str(answer['errors'][0].get('message', 'no reason given'))[:300]}", permanent=True)
    data: Json = answer["data"]
    return data


CHANNEL = Channel("linear", "Linear issue", "linear", LinearConfig, send, follow=follow)
