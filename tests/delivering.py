"""What the tests of delivery share: an installation that may reach this machine's sinks, destinations, messages and rows of the ledger."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from pydantic import SecretStr

from everfix.core import breakers, ids, outbound
from everfix.delivery import destinations, feed, messages, outbox, personal, preferences, targets
from everfix.delivery.messages import Artifact, Picture
from everfix.delivery.outbox import Delivery
from everfix.failures import alerts
from everfix.identity import tokens
from everfix.installation import Installation
from tests import make


def reaching(workspace: make.Workspace, *, smtp: str | None = None, **settings: Any) -> make.Workspace:
    """Return the workspace with an installation that may call 127.0.0.1, and that has a mail server."""
    more: dict[str, Any] = {"outbound_allow": ("127.0.0.1",), "mail_from": "Everfix <reports@everfix.example>", **settings}
    if smtp is not None:
        more["smtp_url"] = SecretStr(smtp)
    installation: Installation = dataclasses.replace(
        workspace.installation, settings=workspace.installation.settings.model_copy(update=more)
    )
    seeded = make.Seeded(workspace.name, workspace.id, workspace.users, workspace.secrets)
    return make.Workspace(seeded, workspace.client, installation)


def destination(workspace: make.Workspace, kind: str, config: dict[str, Any], **more: Any) -> UUID:
    with workspace.db() as db:
        guard = outbound.guard(workspace.installation.settings)
        made = destinations.create(
            db, workspace.installation.keys, guard, workspace.principal, kind=kind, name=more.pop("name", kind), config=config, **more
        )
        return made.id


def artifact(workspace: make.Workspace, filename: str, body: bytes, media_type: str = "text/plain", **more: Any) -> Artifact:
    stored = workspace.installation.storage.put(workspace.id, f"tests/{filename}", body)
    given = {"format": filename.rpartition(".")[2], "filename": filename, "media_type": media_type, **more}
    return Artifact(size=stored.size, sha256=stored.sha256, storage_key=stored.key, **given)


def picture(workspace: make.Workspace, filename: str, body: bytes, **more: Any) -> Picture:
    return Picture.model_validate({**artifact(workspace, filename, body, "image/png").model_dump(), **more})


def send(workspace: make.Workspace, recipients: Sequence[str] = (), chosen: Sequence[UUID] = (), **message: Any) -> list[UUID]:
    """Plan, say and queue, as a run does; returns the rows' ids. Nothing is sent yet: `workspace.work()` does that."""
    with workspace.db() as db:
        installation = workspace.installation
        found = targets.of(db, installation.keys, outbound.guard(installation.settings), recipients, chosen)
        rows = outbox.plan(db, found, owner=workspace.users["owner"])
        given = {
            "kind": "report",
            "subject": "Weekly failures",
            "paragraphs": ["12 failures, 3 fewer than the week before."],
            "takeaways": ["Checkout fails on Mondays", "The pool fix holds"],
            "link": "http://testserver/reports/runs/1",
            **message,
        }
        outbox.release(db, rows, messages.write(db, **given).id)
        return [row.id for row in rows]


def row(workspace: make.Workspace, delivery: UUID) -> Delivery:
    with workspace.db() as db:
        return outbox.get(db, delivery)


def everything(workspace: make.Workspace) -> None:
    """Put at least one row into every table of delivery."""
    send(workspace, chosen=[destination(workspace, "webhook", {"url": "https://hooks.example/in"})])
    with workspace.db() as db:
        preferences.choose(db, preferences.Named(workspace.id, "mail", "anna@shop.example", None), snooze_days=1)
        personal.change(db, workspace.users["owner"], {"email_enabled": False})
        feed.tell(db, feed.Event("report.ready", "x"))
        alerts.create(db, workspace.principal, "prediction", {"name": "x", "probability": 0.7, "window_days": 7})
        breakers.note_failure(db, "mail", "The mail server", "it cannot be reached")


def belongings(workspace: make.Workspace) -> dict[str, str]:
    """Return the ids of a destination, and of a delivery that failed."""
    place = destination(workspace, "webhook", {"url": "https://hooks.example/in"})
    (failed,) = send(workspace, chosen=[place])
    with workspace.db() as db:
        found = outbox.get(db, failed)
        found.status, found.reason = outbox.Status.FAILED, "refused"
    with workspace.db() as db:
        robot = tokens.service_account(db, f"robot-of-{workspace.name}").id
        notification = feed.Notification(id=ids.new(), user_id=robot, type="report.ready", title="x", key="x")
        db.add(notification)
        rule = alerts.create(db, workspace.principal, "prediction", {"name": "x", "probability": 0.7, "window_days": 7})
        return {"destination": str(place), "delivery": str(failed), "notification": str(notification.id), "rule": str(rule.id)}
