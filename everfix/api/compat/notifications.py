"""`/api/v1/notifications`: destinations, a test of each, and a message on demand."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter, Request
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.api import fields
from everfix.api.compat import report_runs, shapes
from everfix.api.compat.doors import Admin, EditorInPassing, Viewer
from everfix.core import fields as types
from everfix.core import ids, outbound
from everfix.core.crypto import Keys
from everfix.core.db import Json
from everfix.delivery import channels, destinations, on_demand
from everfix.delivery.destinations import Destination
from everfix.delivery.outbox import Delivery, Status
from everfix.deps import Config, Db, SigningKeys

router = APIRouter(prefix="/notifications", tags=["destinations"])
ProviderId = Annotated[UUID, fields.path_id(ids.Prefix.DESTINATION, "notification provider", "provider_id")]
Given = types.JsonObject


class Created(shapes.Shape):
    """A destination to be set up; what `config` holds depends on its kind."""

    kind: types.text(40, 1)  # type: ignore[valid-type]
    name: types.text(120, 1)  # type: ignore[valid-type]
    config: Given
    enabled: bool = True


class Changed(shapes.Shape):
    """What may be changed; a secret that still holds the bullets stays as it was."""

    name: types.text(120, 1) | None = None  # type: ignore[valid-type]
    enabled: bool | None = None
    config: Given | None = None


class Send(shapes.Shape):
    """A message on demand."""

    provider_id: shapes.DestinationId
    subject: types.text(200, 1) = "A message from Everfix"  # type: ignore[valid-type]
    message: Annotated[types.text(10_000, 1), Field(description="Paragraphs, an empty line between them.")]  # type: ignore[valid-type]


def _bare(found: Destination) -> Json:
    return {
        "id": str(found.id),
        "kind": found.kind,
        "name": found.name,
        "enabled": found.enabled,
        "configSummary": found.summary,
        "createdAt": shapes.zulu(found.created_at),
        "updatedAt": shapes.zulu(found.updated_at),
    }


def _shown(db: Session, keys: Keys, found: Destination) -> Json:
    return {**_bare(found), "config": destinations.redacted(db, keys, found)}


@router.get("/providers")
def listed(db: Db, who: Viewer, keys: SigningKeys) -> Json:
    """The destinations, their secrets hidden, and the kinds there are."""
    kinds = [{"kind": kind, "displayName": channels.CHANNELS[kind].title} for kind in channels.DOCUMENTED]
    return {"data": [_shown(db, keys, found) for found in destinations.listed(db)], "kinds": kinds}


@router.post("/providers", status_code=201)
def create(db: Db, who: Admin, body: Created, keys: SigningKeys, settings: Config) -> Json:
    """Set up a destination."""
    guard = outbound.guard(settings)
    return _bare(destinations.create(db, keys, guard, who, kind=body.kind, name=body.name, config=body.config, enabled=body.enabled))


@router.get("/providers/{provider_id}")
def one(db: Db, who: Viewer, provider_id: ProviderId, keys: SigningKeys) -> Json:
    """One destination, its secrets hidden."""
    return _shown(db, keys, destinations.get(db, provider_id))


@router.patch("/providers/{provider_id}")
def change(db: Db, who: Admin, provider_id: ProviderId, body: Changed, keys: SigningKeys, settings: Config) -> Json:
    """Change what is sent."""
    guard = outbound.guard(settings)
    found = destinations.change(db, keys, guard, who, provider_id, name=body.name, enabled=body.enabled, config=body.config)
    return _shown(db, keys, found)


@router.delete("/providers/{provider_id}", status_code=204)
def remove(db: Db, who: Admin, provider_id: ProviderId) -> Response:
    """Remove a destination; the ledger keeps what was sent to it."""
    destinations.delete(db, who, provider_id)
    return Response(status_code=204)


@router.post("/providers/{provider_id}/test")
def test(request: Request, who: EditorInPassing, provider_id: ProviderId) -> Json:
    """Send a test message there now, and say what became of it."""
    said = on_demand.now(
        request.app.state.installation.database,
        request.app.state.installation,
        who,
        provider_id,
        kind="test",
        subject="Everfix: a test message",
        paragraphs=on_demand.TEST,
    )
    return _outcome(said)


@router.post("/send")
def send(request: Request, who: EditorInPassing, body: Send) -> Json:
    """Send a message to one destination now, and say what became of it."""
    said = on_demand.now(
        request.app.state.installation.database,
        request.app.state.installation,
        who,
        body.provider_id,
        kind="notice",
        subject=body.subject,
        paragraphs=[part.strip() for part in body.message.split("\n\n") if part.strip()],
    )
    return _outcome(said)


def _outcome(rows: Sequence[Delivery]) -> Json:
    """Return what became of a message: sent when every recipient was reached."""
    results = [report_runs.delivery(row) for row in rows]
    ok = bool(results) and all(item["status"] == Status.SENT for item in results)
    return {"ok": ok, "status": "sent" if ok else "failed", "results": results}
