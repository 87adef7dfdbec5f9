"""Sending: the rows of the ledger that a run answers for, written before it is made and settled with it; and what the message says."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.core import ids, outbound
from everfix.core.crypto import Keys
from everfix.core.outbound import Guard
from everfix.delivery import addresses, messages, outbox, targets
from everfix.delivery.envelope import Target
from everfix.delivery.messages import Artifact, Message, Picture
from everfix.delivery.outbox import Delivery
from everfix.documents.model import Document
from everfix.errors import Invalid
from everfix.reports import making, runs
from everfix.reports.definitions import Definition
from everfix.reports.runs import File, Run
from everfix.settings import Settings

PARAGRAPHS = 12


@dataclasses.dataclass(frozen=True, slots=True)
class Means:
    """What planning a delivery needs: the keys that open destinations, and which addresses may be called."""

    keys: Keys
    guard: Guard


def means(settings: Settings, keys: Keys) -> Means:
    """Return what planning needs."""
    return Means(keys, outbound.guard(settings))


def plan(db: Session, way: Means, run: Run, definition: Definition) -> Sequence[Delivery]:
    """Write a row per recipient and destination of a run; one whom the workspace may no longer write to gets a row that says so."""
    chosen = [UUID(item) for item in run.inputs.get("destinations", ())]
    found: dict[tuple[str, str], Target] = {}
    refused: dict[tuple[str, str], str] = {}
    for recipient in run.recipients:
        try:
            made = targets.of(db, way.keys, way.guard, [recipient], [])
        except Invalid as problem:
            made = [Target("mail" if addresses.slack(recipient) is None else "slack", recipient, recipient)]
            refused[(made[0].channel, made[0].recipient)] = problem.message
        found.update({(target.channel, target.recipient): target for target in made})
    for target in targets.of(db, way.keys, way.guard, [], chosen):
        found.setdefault((target.channel, target.recipient), target)
    schedule = run.schedule_id if run.slot is not None else None
    rows = outbox.plan(db, found.values(), schedule=schedule, slot=run.slot, run=run.id, owner=definition.owner_user_id)
    for row in rows:
        if (row.channel, row.recipient) in refused:
            outbox.skip(db, [row], refused[(row.channel, row.recipient)])
    return rows


def rows(db: Session, run: Run) -> Sequence[Delivery]:
    """Return the ledger's rows of a run."""
    return outbox.of_run(db, run.id)


def release(
    db: Session,
    run: Run,
    document: Document,
    url: str,
    chosen: Sequence[Delivery],
    charts: Sequence[Picture] = (),
    whole: Run | None = None,
) -> Message | None:
    """Give waiting rows the message of a run that is made, and queue them; a run of which nobody is told makes no message."""
    waiting = [row for row in chosen if row.status in outbox.WAITING]
    if not waiting:
        return None
    message = write(db, run, document, url, runs.files(db, [run.id])[run.id], whole or run, charts)
    outbox.release(db, waiting, message.id)
    return message


def write(
    db: Session, run: Run, document: Document, url: str, files: Sequence[File], whole: Run, charts: Sequence[Picture] = ()
) -> Message:
    """Store what is said about a run: its narrative, its files, and what a webhook gets beside them."""
    said = document.narrative
    missing = making.without([format_ for format_ in run.formats if format_ not in {file.format for file in files}])
    return messages.write(
        db,
        kind="report",
        subject=f"{document.title}: {document.period.label or document.subtitle}",
        paragraphs=[*([missing] if missing else []), *document.notices, *(said.executive_summary if said else ())][:PARAGRAPHS],
        sections={section.title: said.sections[section.id] for section in document.sections if section.id in said.sections} if said else {},
        takeaways=said.key_takeaways if said else (),
        link=f"{url}/reports/runs/{ids.show(ids.Prefix.RUN, whole.id)}",
        brand=document.brand.name,
        colour=document.brand.colour,
        artifacts=[_artifact(file) for file in files if file.format in run.formats],
        charts=charts,
        data=_data(run, document, whole),
    )


def nothing(db: Session, run: Run, document: Document, url: str, reason: str) -> Message:
    """Store the message of a report that has nothing to say, on purpose."""
    return messages.write(
        db,
        kind="report",
        subject=f"{document.title}: nothing to report",
        paragraphs=[f"This report was due and made, and has nothing to report: {reason}.", "You get this line so that you know it ran."],
        link=f"{url}/reports/runs/{ids.show(ids.Prefix.RUN, run.id)}",
        brand=document.brand.name,
        colour=document.brand.colour,
        data=_data(run, document, run),
    )


def _data(run: Run, document: Document, whole: Run) -> dict[str, Any]:
    return {
        "run_id": ids.show(ids.Prefix.RUN, whole.id),
        "report_id": ids.show(ids.Prefix.REPORT, run.definition_id) if run.definition_id else None,
        "schedule_id": ids.show(ids.Prefix.SCHEDULE, run.schedule_id) if run.schedule_id else None,
        "slot": run.slot.isoformat() if run.slot else None,
        "name": run.name,
        "template": run.template,
        "period": document.period.model_dump(mode="json"),
        "executor": run.executor,
    }


def _artifact(file: File) -> Artifact:
    return Artifact(
        format=file.format,
        filename=file.filename,
        media_type=file.media_type,
        size=file.size,
        sha256=file.sha256,
        storage_key=file.storage_key,
        file_id=file.id,
    )
