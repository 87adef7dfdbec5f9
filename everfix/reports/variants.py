"""Variants: the runs inside a run, one for each distinct view that its recipients have of the report."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

import everfix
from everfix.core import clock, ids, jobs, prompt_logs
from everfix.core.db import Json
from everfix.delivery import outbox
from everfix.delivery.messages import Picture
from everfix.delivery.outbox import Delivery
from everfix.documents.model import Document
from everfix.reports import audiences, making, runs, sending
from everfix.reports.audiences import Audience
from everfix.reports.runs import Run, Status, Trigger


def make(job: jobs.Running, run_id: UUID) -> None:
    """Make the variants of a run that has recipients' rights; nothing else has any. Whoever has one already is left alone."""
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        if run.inputs.get("run_as") != "recipient":
            return
        waiting = [row for row in sending.rows(db, run) if row.status in outbox.WAITING]
        found, refused = audiences.of(db, run, waiting)
        for row in waiting:
            if row.id in refused:
                outbox.skip(db, [row], refused[row.id])
        served = {person for child in children(db, run_id) for person in child.recipients}
    for place, audience in enumerate(found):
        job.report(0.6 + 0.3 * place / len(found), f"view {place + 1} of {len(found)}")
        left = tuple(person for person in audience.recipients if person not in served)
        if left:
            _keep(job, run_id, Audience(audience.filters, left))
    with job.database.transaction(job.workspace) as db:
        made = [(child.id, Document.model_validate(child.document)) for child in children(db, run_id)]
    for child_id, document in made:
        making.render(job, child_id, document)


def children(db: Session, run_id: UUID) -> Sequence[Run]:
    """Return the variants of a run, oldest first."""
    return db.execute(select(Run).where(Run.parent_id == run_id).order_by(Run.id)).scalars().all()


def _keep(job: jobs.Running, run_id: UUID, audience: Audience) -> None:
    """Build what an audience sees, and keep it: with those who see exactly the same, else as a variant of its own."""
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        bare, how = making.figures(db, run, job.services.url, filters=audience.filters), making.how(db, job.services, run)
    digest = making.digest(bare.model_copy(update={"notices": ()}))
    document, account = making.narrated(bare, how)
    with job.database.transaction(job.workspace) as db:
        prompt_logs.record(db, account.calls, "run", run_id)
        same = db.execute(select(Run).where(Run.parent_id == run_id, Run.digest == digest)).scalar_one_or_none()
        if same is not None:
            same.recipients = [*same.recipients, *audience.recipients]
            return
        db.add(_variant(run, audience, audiences.named(document, audience.words), making.written(document, account), digest))


def _variant(run: Run, audience: Audience, document: Document, written: Json, digest: str) -> Run:
    return Run(
        id=ids.new(),
        parent_id=run.id,
        definition_id=run.definition_id,
        trigger=Trigger.RECIPIENT,
        status=Status.RUNNING,
        executor=", ".join(audience.recipients),
        recipients=list(audience.recipients),
        name=run.name,
        template=run.template,
        sections=run.sections,
        window=run.window,
        formats=run.formats,
        filters=audience.filters,
        inputs={**run.inputs, "run_as": "recipient"},
        as_of=run.as_of,
        document=document.model_dump(mode="json"),
        written=written,
        digest=digest,
        code_version=everfix.__version__,
        requested_by=run.requested_by,
        created_at=clock.now(),
        started_at=clock.now(),
    )


def release(db: Session, run: Run, rows: Sequence[Delivery], url: str, drawn: Mapping[UUID, Sequence[Picture]]) -> None:
    """Give each recipient the message of the variant they see, or the reason why there is none for them."""
    for child in children(db, run.id):
        document = Document.model_validate(child.document)
        own = [row for row in rows if row.recipient in child.recipients]
        reason = making.unmet(db, child, document)
        child.status, child.reason, child.finished_at = Status.SUCCEEDED, "", clock.now()
        if reason is None:
            sending.release(db, child, document, url, own, drawn.get(child.id, ()), run)
        elif child.inputs["condition"].get("otherwise") == "say_so" and own:
            outbox.release(db, own, sending.nothing(db, run, document, url, reason).id)
        else:
            outbox.skip(db, own, reason)
            child.status, child.reason = Status.SKIPPED, reason
