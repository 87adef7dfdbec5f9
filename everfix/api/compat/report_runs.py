"""`/api/v1/reports/runs`: every run of a report, with what it said, its files and what became of each delivery."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import StreamingResponse

from everfix import audit
from everfix.api import fields
from everfix.api.compat import shapes
from everfix.api.compat.doors import Viewer
from everfix.core import ids
from everfix.core.db import Json
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery
from everfix.deps import Db, Files
from everfix.documents.model import Chart, Document, Figures, Table
from everfix.errors import NotFound
from everfix.reports import runs
from everfix.reports.runs import Run, Status, Trigger

router = APIRouter(prefix="/reports/runs", tags=["report runs"])
RunId = Annotated[UUID, fields.path_id(ids.Prefix.RUN, "report run", "run_id")]
TemplateId = Annotated[UUID | None, fields.query_id(ids.Prefix.REPORT, "templateId")]
RUNNING = "running"
SETTLED = tuple(str(status) for status in outbox.FINAL)
# What the ledger knows, as this surface says it.
WAITING = {outbox.Status.PLANNED: "pending", outbox.Status.QUEUED: "pending", outbox.Status.SENDING: "pending", outbox.Status.HELD: "held"}


@router.get("")
def listed(
    db: Db,
    who: Viewer,
    template_id: TemplateId = None,
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Json:
    """The runs, newest first, without what they said and without their files' contents."""
    query = select(Run).where(Run.trigger != Trigger.PREVIEW, Run.parent_id.is_(None))
    if template_id is not None:
        query = query.where(Run.definition_id == template_id)
    total = db.execute(select(func.count()).select_from(query.subquery())).scalar_one()
    found = db.execute(query.order_by(Run.created_at.desc(), Run.id.desc()).limit(limit).offset(offset)).scalars().all()
    page = {"total": total, "limit": limit, "offset": offset, "hasMore": offset + len(found) < total}
    return {"data": shown(db, found), "pagination": page}


@router.get("/{run_id}")
def one(db: Db, who: Viewer, run_id: RunId) -> Json:
    """One run with all it said; `artifacts` say where its files are."""
    run = runs.get(db, run_id)
    document = Document.model_validate(run.document) if run.document is not None else None
    return {
        **shown(db, [run])[0],
        "inputs": {**run.inputs, "sections": run.sections, "window": run.window, "filters": run.filters, "asOf": shapes.zulu(run.as_of)},
        "codeVersion": run.code_version,
        "sectionsData": sections_data(document) if document else [],
        "narrativeOutput": narrative_output(document) if document else None,
    }


@router.get("/{run_id}/artifacts/{format}")
def download(db: Db, who: Viewer, files: Files, run_id: RunId, format: str) -> StreamingResponse:
    """The file of a run, as it was made."""
    run = runs.get(db, run_id)
    wanted = runs.renderer(format)
    file = next((file for file in runs.files(db, [run.id])[run.id] if file.format == wanted), None)
    if file is None:
        raise NotFound(f"this run has no {wanted} file, or it is no longer kept")
    audit.record(db, who, audit.Action.REPORT_DOWNLOADED, "file", file.id, {"filename": file.filename})
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(file.filename)}",
        "Content-Length": str(file.size),
        "Cache-Control": "private, no-store",
        "Content-Security-Policy": "sandbox; default-src 'none'; style-src 'unsafe-inline'; img-src data:",
    }
    return StreamingResponse(files.stream(file.storage_key), media_type=file.media_type, headers=headers)


def shown(db: Session, found: Sequence[Run]) -> list[Json]:
    """Return runs as this surface shows them, each with its files and what became of its deliveries."""
    files = runs.files(db, [run.id for run in found])
    sent: dict[UUID, list[Delivery]] = {run.id: [] for run in found}
    for row in db.execute(select(Delivery).where(Delivery.run_id.in_(sent)).order_by(Delivery.created_at, Delivery.id)).scalars():
        if row.run_id is not None:
            sent[row.run_id].append(row)
    return [_shown(run, files[run.id], sent[run.id]) for run in found]


def _shown(run: Run, files: Sequence[runs.File], sent: Sequence[Delivery]) -> Json:
    took = runs.seconds(run)
    order = {name: place for place, name in enumerate(run.formats)}
    return {
        "id": str(run.id),
        "tenantId": str(run.workspace_id),
        "templateId": str(run.definition_id) if run.definition_id else None,
        "scheduleId": str(run.schedule_id) if run.schedule_id else None,
        "name": run.name,
        "trigger": "schedule" if run.schedule_id and run.slot else "manual",
        "status": RUNNING if run.status == Status.QUEUED else run.status,
        "requestedBy": run.requested_by,
        "createdAt": shapes.zulu(run.created_at),
        "startedAt": shapes.zulu(run.started_at) if run.started_at else None,
        "completedAt": shapes.zulu(run.finished_at) if run.finished_at else None,
        "durationMs": None if took is None else round(1000 * took),
        "artifacts": [_artifact(run, file) for file in sorted(files, key=lambda file: order.get(file.format, len(order)))],
        "deliveryResults": [delivery(row) for row in sent],
        "error": run.reason or None,
    }


def _artifact(run: Run, file: runs.File) -> Json:
    return {
        "id": str(file.id),
        "format": file.format,
        "filename": file.filename,
        "contentType": file.media_type,
        "size": file.size,
        "sha256": file.sha256,
        "url": f"/api/v1/reports/runs/{run.id}/artifacts/{file.format}",
    }


def delivery(row: Delivery) -> Json:
    """Return what became of one delivery."""
    status = WAITING.get(outbox.Status(row.status), row.status)
    return {
        "providerId": str(row.destination_id) if row.destination_id else None,
        "kind": row.channel,
        "recipient": row.label,
        "status": status,
        "error": row.reason or None,
        "attempts": row.attempts,
    }


def sections_data(document: Document) -> list[Json]:
    """Return what each section shows, as rows by column."""
    return [
        {
            "id": section.id,
            "title": section.title,
            "rowCount": sum(len(rows) for rows in (table["rows"] for table in tables)),
            "tables": tables,
        }
        for section, tables in ((section, [found for block in section.blocks for found in _tables(block)]) for section in document.sections)
    ]


def _tables(block: object) -> list[Json]:
    match block:
        case Figures():
            rows = [
                {"figure": figure.title, "value": figure.value, "previous": figure.previous, "unit": figure.unit, "better": figure.better}
                for figure in block.figures
            ]
            return [{"key": block.key, "title": block.title, "columns": [], "rows": rows, "totalRows": len(rows)}]
        case Chart():
            return [_rows(block.table, block.title)]
        case Table():
            return [_rows(block, block.title)]
        case _:
            return []


def _rows(table: Table, title: str) -> Json:
    names = [next(iter(shapes.camel({column.key: None}))) for column in table.columns]
    return {
        "key": table.key,
        "title": title,
        "columns": [{"key": name, "title": column.title, "unit": column.unit} for name, column in zip(names, table.columns, strict=True)],
        "rows": [dict(zip(names, row, strict=True)) for row in table.rows],
        "totalRows": table.total_rows if table.total_rows is not None else len(table.rows),
    }


def narrative_output(document: Document) -> Json | None:
    """Return the words of a report: a summary, a paragraph for each section, takeaways; None when it has none."""
    words = document.narrative
    if words is None:
        return None
    return {
        "executiveSummary": "\n\n".join(words.executive_summary),
        "sections": [{"id": key, "narrative": text} for key, text in words.sections.items()],
        "keyTakeaways": list(words.key_takeaways),
        "writer": words.writer,
        "note": words.note or None,
    }
