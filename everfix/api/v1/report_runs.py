"""`/v1/reports/{id}/runs`: what a report has become each time: its snapshot, files, deliveries, and what changed between two runs."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.api import fields, pages
from everfix.api.v1 import report_files
from everfix.api.v1.report_files import FileOut
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.crypto import Keys
from everfix.core.db import Json
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery
from everfix.deps import Config, Db, Files, Page, SigningKeys, needs
from everfix.documents.model import Document
from everfix.errors import Conflict, NotFound
from everfix.identity.principals import Principal, Scope
from everfix.reports import backfill, definitions, differences, making, orders, runs, sending, variants
from everfix.reports.runs import Run
from everfix.settings import Settings

router = APIRouter(prefix="/reports", tags=["reports"])
ReportId = Annotated[UUID, fields.path_id(ids.Prefix.REPORT, "report", "report_id")]
RunId = Annotated[UUID, fields.path_id(ids.Prefix.RUN, "report run", "run_id")]
Reader = Annotated[Principal, needs(Scope.REPORTS_READ)]
Writer = Annotated[Principal, needs(Scope.REPORTS_WRITE)]
SORTS = pages.Sorts({"created_at": Run.created_at, "as_of": Run.as_of}, "-created_at")


class DeliveryOut(BaseModel):
    """What became of a run at one recipient or destination."""

    id: ids.field(ids.Prefix.DELIVERY)  # type: ignore[valid-type]
    channel: str
    recipient: str
    status: str
    reason: str
    words: str
    attempts: int
    finished_at: datetime | None


class RunOut(BaseModel):
    """One run. `executor` is under whose rights it was made, `written` who wrote its narrative; `download_url` is its first file's."""

    id: ids.field(ids.Prefix.RUN)  # type: ignore[valid-type]
    run_id: ids.field(ids.Prefix.RUN)  # type: ignore[valid-type]
    report_id: ids.field(ids.Prefix.REPORT) | None  # type: ignore[valid-type]
    schedule_id: ids.field(ids.Prefix.SCHEDULE) | None  # type: ignore[valid-type]
    job_id: ids.field(ids.Prefix.JOB) | None  # type: ignore[valid-type]
    name: str
    template: str
    trigger: str
    status: str
    reason: str
    slot: datetime | None
    as_of: datetime
    window: str
    formats: list[str]
    filters: Json
    executor: str
    requested_by: str
    recipients: list[str]
    written: Json
    code_version: str
    created_at: datetime
    started_at: datetime | None
    finished_at: datetime | None
    duration_seconds: float | None
    held_until: datetime | None
    download_url: str | None
    files: list[FileOut]
    deliveries: list[DeliveryOut]


class RunDetail(RunOut):
    """One run with the whole snapshot: everything it was made from, and the Document that every file is rendered from."""

    inputs: Json
    sections: list[Json]
    document: Json | None
    variants: list[RunOut]


class ChangesOut(BaseModel):
    """What changed between two runs of a report, from their snapshots."""

    run_id: ids.field(ids.Prefix.RUN)  # type: ignore[valid-type]
    since: ids.field(ids.Prefix.RUN) | None  # type: ignore[valid-type]
    changes: list[Json]


class Render(BaseModel):
    """A format to render from the snapshot."""

    model_config = ConfigDict(extra="forbid")

    format: types.text(20)  # type: ignore[valid-type]


class Backfill(BaseModel):
    """How many past periods to make, the newest ending with `until` (yesterday by default); `window` is the report's by default."""

    model_config = ConfigDict(extra="forbid")

    periods: Annotated[int, Field(ge=1, le=backfill.MOST)] = 52
    until: date | None = None
    window: types.text(30) | None = None  # type: ignore[valid-type]


class Queued(BaseModel):
    """Work that was queued; poll the job until its `status` is `succeeded`."""

    id: str
    job_id: str
    kind: str
    status: str
    run_id: ids.field(ids.Prefix.RUN) | None = None  # type: ignore[valid-type]


def queued(job_id: UUID, kind: str, run_id: UUID | None = None) -> Queued:
    """Return the answer of a call that queued a job."""
    name = ids.show(ids.Prefix.JOB, job_id)
    return Queued(id=name, job_id=name, kind=kind, status="queued", run_id=run_id)


@router.post("/{report_id}/run", status_code=202)
def run_now(db: Db, who: Writer, report_id: ReportId, settings: Config, keys: SigningKeys) -> Queued:
    """Make the report now; `job_id` is the job to poll."""
    run = orders.place(db, sending.means(settings, keys), who, report_id)
    assert run.job_id is not None  # noqa: S101 - `place` queued it
    return queued(run.job_id, "report", run.id)


@router.post("/{report_id}/backfill", status_code=202)
def backfilled(db: Db, who: Writer, report_id: ReportId, body: Backfill) -> Queued:
    """Make the report for past periods, each as a run of its own, in one job."""
    job_id = backfill.request(db, who, report_id, periods=body.periods, until=body.until, window=body.window)
    return queued(job_id, "backfill")


@router.get("/{report_id}/runs")
def listed(db: Db, who: Reader, report_id: ReportId, page: Page, settings: Config, keys: SigningKeys) -> pages.PageOf[RunOut]:
    """The runs of a report, newest first, each with status, duration, files and deliveries."""
    definitions.get(db, report_id)
    query = select(Run).where(Run.definition_id == report_id, Run.parent_id.is_(None))
    return pages.page(db, page, query, Run.id, SORTS, lambda rows: shown(db, rows, settings, keys))


@router.get("/{report_id}/runs/{run_id}")
def one(db: Db, who: Reader, report_id: ReportId, run_id: RunId, settings: Config, keys: SigningKeys) -> RunDetail:
    """One run with its snapshot."""
    run = of(db, report_id, run_id)
    (head,) = shown(db, [run], settings, keys)
    return RunDetail(
        **head.model_dump(),
        inputs=run.inputs,
        sections=run.sections,
        document=run.document,
        variants=shown(db, variants.children(db, run.id), settings, keys),
    )


@router.get("/{report_id}/runs/{run_id}/changes")
def changes(
    db: Db, who: Reader, report_id: ReportId, run_id: RunId, since: Annotated[UUID | None, fields.query_id(ids.Prefix.RUN, "since")]
) -> ChangesOut:
    """What changed since the run before, or since the run named by `since`."""
    run = of(db, report_id, run_id)
    earlier = of(db, report_id, since) if since is not None else runs.previous(db, run)
    if earlier is None:
        return ChangesOut(run_id=run.id, since=None, changes=[])
    found = differences.between(_snapshot(earlier), _snapshot(run))
    return ChangesOut(run_id=run.id, since=earlier.id, changes=differences.shown(found))


@router.post("/{report_id}/runs/{run_id}/render")
def render(
    db: Db, who: Writer, report_id: ReportId, run_id: RunId, body: Render, settings: Config, keys: SigningKeys, files: Files
) -> FileOut:
    """Render the snapshot in one more format; nothing is computed again, and what is there already is returned as it is."""
    run = of(db, report_id, run_id)
    format_ = runs.renderer(body.format)
    there = next((file for file in runs.files(db, [run.id])[run.id] if file.format == format_), None)
    return report_files.shown(there or making.add(db, files, run, _snapshot(run), format_), settings, keys)


def _snapshot(run: Run) -> Document:
    if run.document is None:
        raise Conflict(f"this run has no snapshot: it is {run.status}")
    return Document.model_validate(run.document)


def of(db: Session, report_id: UUID, run_id: UUID) -> Run:
    """Return a run of that report; raises NotFound, also for another report's."""
    run = runs.get(db, run_id)
    if run.definition_id != report_id:
        raise NotFound(f"no report run {ids.show(ids.Prefix.RUN, run_id)}")
    return run


def shown(db: Session, found: Sequence[Run], settings: Settings, keys: Keys) -> list[RunOut]:
    """Return runs as the API shows them."""
    names = [run.id for run in found]
    files = runs.files(db, names)
    rows: dict[UUID, list[Delivery]] = {name: [] for name in names}
    for row in db.execute(select(Delivery).where(Delivery.run_id.in_(names)).order_by(Delivery.created_at, Delivery.id)).scalars():
        if row.run_id is not None:
            rows[row.run_id].append(row)
    return [_one(run, report_files.ordered(files[run.id], run.formats, settings, keys), rows[run.id]) for run in found]


def _one(run: Run, files: list[FileOut], rows: Sequence[Delivery]) -> RunOut:
    same = {name: getattr(run, name) for name in RunOut.model_fields if hasattr(run, name) and name not in ("files", "deliveries")}
    return RunOut(
        **{**same, "status": runs.told(run, [row.status for row in rows])},
        run_id=run.id,
        report_id=run.definition_id,
        duration_seconds=runs.seconds(run),
        download_url=files[0].download_url if files else None,
        files=files,
        deliveries=[_delivery(row) for row in rows],
    )


def _delivery(row: Delivery) -> DeliveryOut:
    return DeliveryOut(
        id=row.id,
        channel=row.channel,
        recipient=row.label,
        status=row.status,
        reason=row.reason,
        words=outbox.needs_words(row),
        attempts=row.attempts,
        finished_at=row.finished_at,
    )
