"""Execution: the job that makes a run; safe to do again at any point, since each step is kept before the next begins.

1. Hold while the data are stale, or the owner has left and nobody adopted the report.
2. Build the Document with its narrative, and keep it: from here on nothing is computed again.
3. Render, store and note each format not yet stored; for a report with its recipients' rights also each distinct view.
4. Release the ledger's rows with the message, and note what came of it: one transaction.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.core import clock, ids, jobs, prompt_logs
from everfix.core.db import Json
from everfix.delivery import feed, notices, outbox
from everfix.delivery.notices import Notice
from everfix.documents.model import Document
from everfix.narrative import Account, How
from everfix.reports import build, conditions, definitions, making, pictures, runs, sending, templates, variants
from everfix.reports.runs import FINAL, Run, Status, Trigger
from everfix.reports.schedules import Schedule

NAMED = 5  # failed deliveries that a run's reason names
LOOK_AGAIN = timedelta(minutes=1)
WAITS_FOR_ADMIN = timedelta(days=7)
LEFT = "the one whose rights this report runs under has left; an admin may adopt the report"


def execute(job: jobs.Running) -> Json:
    """Job `reports.run`; a second try goes on from where the first stopped."""
    run_id = UUID(job.payload["run"])
    try:
        if not _start(job, run_id):
            return {"run": str(run_id)}
        document = _document(job, run_id)
        formats = making.render(job, run_id, document)
        variants.make(job, run_id)
        drawn = pictures.draw(job, run_id)
    except jobs.Cancelled:
        with job.database.transaction(job.workspace) as db:
            finish(db, runs.get(db, run_id), Status.CANCELLED, "cancelled")
        raise
    job.report(0.95, "sending")
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        skipped = _send(db, run, document, job.services.url, drawn)
        if skipped is not None:
            finish(db, run, Status.SKIPPED, skipped)
        else:
            finish(db, run, *_outcome(db, run, document))
    return {"run": str(run_id), "formats": formats}


def _send(db: Session, run: Run, document: Document, url: str, drawn: pictures.Drawn) -> str | None:
    """Release the ledger's rows with the run's message; returns why nothing was to be sent, where a condition says so."""
    rows = [row for row in sending.rows(db, run) if row.status in outbox.WAITING]
    if run.inputs.get("run_as") == "recipient":
        variants.release(db, run, rows, url, drawn)
        return None
    reason = making.unmet(db, run, document)
    if reason is None:
        sending.release(db, run, document, url, rows, drawn.get(run.id, ()))
        return None
    if run.inputs["condition"].get("otherwise") == "say_so" and rows:
        outbox.release(db, rows, sending.nothing(db, run, document, url, reason).id)
        return None
    return reason


def _outcome(db: Session, run: Run, document: Document) -> tuple[Status, str]:
    """Return what became of a made run, and why. A part that the database refused, or a format that could not be drawn, makes it partial;
    a wrong parameter stands in its section, and the run succeeded.
    """
    missing = making.without(making.absent(db, run))
    words = [*build.failures(document), *([missing] if missing else [])]
    refused = any("the database refused" in one for one in words)
    return Status.PARTIAL if refused or missing else Status.SUCCEEDED, "; ".join(words)


def failed(job: jobs.Running, cause: str) -> None:
    """Note the last failure of the job on its run, its schedule and the ledger."""
    with job.database.transaction(job.workspace) as db:
        run = runs.find(db, UUID(job.payload["run"]))
        if run is not None and run.status not in FINAL:
            finish(db, run, Status.FAILED, f"the report could not be made: {cause}")


def settle(job: jobs.Running) -> Json:
    """Job `reports.settle`: let a run and its schedule say what became of the deliveries, once some of them failed or came through late."""
    with job.database.transaction(job.workspace) as db:
        run = runs.find(db, UUID(job.payload["run"]))
        if run is not None and run.parent_id is not None:
            run = runs.find(db, run.parent_id)
        if run is None or run.status not in (Status.SUCCEEDED, Status.PARTIAL, Status.FAILED) or run.document is None:
            return {}
        rows = [row for one in (run, *variants.children(db, run.id)) for row in sending.rows(db, one)]
        missing = [row for row in rows if row.status == outbox.Status.FAILED]
        made, why = _outcome(db, run, Document.model_validate(run.document))
        run.status = made if not missing else Status.FAILED if len(missing) == len(rows) else Status.PARTIAL
        run.reason = "; ".join(outbox.needs_words(row) for row in missing[:NAMED]) if missing else why if made == Status.PARTIAL else ""
        _on_schedule(db, run, run.status)
        return {"status": run.status}


def cancelled(db: Session, job_id: UUID) -> None:
    """Note on its run that a job was cancelled before it began."""
    run = db.execute(select(Run).where(Run.job_id == job_id)).scalar_one_or_none()
    if run is not None and run.status in (Status.QUEUED, Status.HELD):
        finish(db, run, Status.CANCELLED, "cancelled")


def finish(db: Session, run: Run, status: Status, reason: str = "") -> None:
    """Note what became of a run; whoever still waits for it is told in the ledger."""
    run.status, run.reason, run.finished_at, run.held_until = status, reason, clock.now(), None
    if status == Status.FAILED:
        outbox.fail(db, sending.rows(db, run), reason)
    elif status in (Status.SKIPPED, Status.CANCELLED):
        outbox.skip(db, sending.rows(db, run), reason)
    _on_schedule(db, run, status)
    if run.trigger == Trigger.SCHEDULE and status in (Status.SUCCEEDED, Status.PARTIAL):
        link = f"/reports/runs/{ids.show(ids.Prefix.RUN, run.id)}"
        words = "The scheduled report is ready." if status == Status.SUCCEEDED else f"It is ready in part: {reason}"
        feed.tell(db, feed.Event("report.ready", f"{run.name} is ready", words, "report_run", run.id, link, key=f"report|{run.id}"))
    db.flush()


def _on_schedule(db: Session, run: Run, status: Status) -> None:
    schedule = _schedule(db, run)
    if schedule is not None and (schedule.last_slot_at is None or run.slot is None or run.slot >= schedule.last_slot_at):
        schedule.last_status = status
        if run.slot is None:
            schedule.last_run_at = clock.now()


def _schedule(db: Session, run: Run) -> Schedule | None:
    if run.schedule_id is None:
        return None
    return db.execute(select(Schedule).where(Schedule.id == run.schedule_id).with_for_update()).scalar_one_or_none()


def _start(job: jobs.Running, run_id: UUID) -> bool:
    """Take the run in hand; tells whether it is to be made now."""
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        if run.status in FINAL:
            return False
        now = clock.now()
        run.started_at = run.started_at or now
        if run.document is None:
            reason, until, at_deadline = _wait(db, run)
            if reason and until is not None and now < until:
                _hold(db, run, reason, until)
                if reason == LEFT:
                    _tell_of_leaver(db, run, until, job.services.url)
                return False
            if reason and at_deadline == "skip":
                finish(db, run, Status.SKIPPED, reason)
                return False
            if reason:
                run.inputs = {**run.inputs, "notices": [f"Sent at the deadline although {reason}."]}
        run.status, run.reason = Status.RUNNING, ""
        return True


def _wait(db: Session, run: Run) -> tuple[str | None, datetime | None, str]:
    """Return in words why the run has to wait, until when it may, and what happens then."""
    definition = definitions.find(db, run.definition_id) if run.definition_id else None
    if run.trigger == Trigger.SCHEDULE and definition is None:
        return "the report was deleted", None, "skip"
    if definition is not None and definitions.orphaned(db, definition):
        return LEFT, run.created_at + WAITS_FOR_ADMIN, "skip"
    rule = run.inputs.get("freshness")
    stale = conditions.stale(db, rule, clock.now()) if rule else None
    if rule and stale:
        return stale, (run.slot or run.created_at) + timedelta(minutes=rule["deadline_minutes"]), rule["at_deadline"]
    return None, None, "send"


def _hold(db: Session, run: Run, reason: str, until: datetime) -> None:
    """Keep the run waiting, and look again soon: a new job, since this one has done what it could."""
    run.status, run.reason, run.held_until = Status.HELD, reason, until
    run.job_id = runs.enqueue(db, run, run.requested_by, delay=LOOK_AGAIN)
    outbox.hold(db, sending.rows(db, run), reason)
    _on_schedule(db, run, Status.HELD)


def _tell_of_leaver(db: Session, run: Run, until: datetime, url: str) -> None:
    """Ask the admins, once per run, to adopt a report whose owner has left."""
    definition = definitions.find(db, run.definition_id) if run.definition_id else None
    if definition is None:
        return
    opening = f"“{run.name}” is held: {LEFT}. Without that its run is left out on {until:%d %b %Y}."
    link = f"/reports/saved/{ids.show(ids.Prefix.REPORT, definition.id)}"
    notice = Notice(f"Held: {run.name}", opening, (), link, "report", definition.id)
    notices.say(db, definition.owner_user_id, notice, f"left|{run.id}", url)


def _document(job: jobs.Running, run_id: UUID) -> Document:
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        if run.document is not None:
            return Document.model_validate(run.document)
    job.report(0.05, "building the report")
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        bare = None if templates.about(run.sections) is not None else making.figures(db, run, job.services.url)
        how = making.how(db, job.services, run)
    document, account = _ml(job, run, how) if bare is None else making.narrated(bare, how)
    if run.inputs.get("run_as") != "recipient":  # then each view says itself whose it is
        document = document.model_copy(update={"rights": run.executor})
    with job.database.transaction(job.workspace) as db:
        run = runs.get(db, run_id)
        run.document, run.digest = document.model_dump(mode="json"), making.digest(document)
        run.written = making.written(document, account)
        prompt_logs.record(db, account.calls, "run", run.id)
    return document


def _ml(job: jobs.Running, run: Run, how: How) -> tuple[Document, Account]:
    try:
        from everfix.reports.ml import build as ml  # noqa: PLC0415 - heavy libraries, which only a worker that makes such reports needs
    except ModuleNotFoundError as missing:
        raise jobs.Permanent(f"reports on ML work need the extra everfix[ml] on the worker: {missing.name} is not installed") from missing
    return ml.make(job, run, how)
