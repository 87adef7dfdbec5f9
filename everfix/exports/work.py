"""Work: the job of an export. Each part is read in one transaction into a file of this machine, then stored, then noted.

A job that is done again (its worker was killed, the store did not answer) goes on behind the last part that was noted. Nothing
is cut off: parts follow until no row is left, and the manifest says how many there were.
"""

from __future__ import annotations

import dataclasses
import io
import json
import tempfile
import time
import zipfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import delete
from sqlalchemy.orm import Session

import everfix
from everfix.core import clock, ids, jobs
from everfix.core.db import Json
from everfix.core.storage import Storage
from everfix.documents import RENDERERS
from everfix.errors import Unavailable
from everfix.exports import requests, resources, to_csv, to_json, to_pdf, to_xlsx
from everfix.exports.options import Options
from everfix.exports.requests import BUNDLE, MANIFEST, PART, Export, ExportFile
from everfix.exports.rows import Look
from everfix.identity.principals import system

TOLD_EVERY = 1.0  # seconds between two words about how far it is
PART_ROWS = {"csv": 2_000_000, "xlsx": 2 * to_xlsx.SHEET_ROWS, "json": 1_000_000, "pdf": 5_000}


@dataclasses.dataclass(frozen=True, slots=True)
class Plan:
    """What an export is to become."""

    export: Export
    look: Look
    part_rows: int
    expected: int

    @property
    def folder(self) -> str:
        return f"exports/{self.export.id}"

    @property
    def stem(self) -> str:
        """What its files are called, e.g. "issues-2026-11-17"."""
        return f"{self.export.resource.replace('_', '-')}-{self.export.created_at.date().isoformat()}"

    def filename(self, number: int) -> str:
        """Return the name of one part; an export of a single part has no number."""
        extension = RENDERERS[self.export.format].extension
        alone = self.expected <= self.part_rows and number == 1
        return f"{self.stem}.{extension}" if alone else f"{self.stem}-{number:04d}.{extension}"


def execute(job: jobs.Running) -> Json:
    """Job `exports.run`: write the parts that are not yet there, then the bundle (of several) and the manifest."""
    plan = _plan(job, UUID(job.payload["export"]))
    if plan.export.finished_at is not None:  # killed between the last word of the work and that of the job
        return {"export": str(plan.export.id), "rows": plan.export.rows}
    parts = _parts(job, plan)
    while not parts or parts[-1].rows == plan.part_rows:
        made = _part(job, plan, parts)
        if made is None:
            break
        parts.append(made)
    rows = sum(part.rows for part in parts)
    job.report(0.96, f"{rows:,} rows written; closing the export")
    manifest = _manifest(job, plan, parts, rows)
    if len(parts) > 1:
        _note(job, plan, BUNDLE, f"{plan.stem}.zip", "application/zip", _zipped(job, plan, parts, manifest))
    with job.database.transaction(job.workspace) as db:
        export = requests.get(db, plan.export.id)
        export.rows, export.finished_at = rows, clock.now()
        if len(parts) > 1:  # they are in the bundle
            db.execute(delete(ExportFile).where(ExportFile.export_id == export.id, ExportFile.kind == PART))
    if len(parts) > 1:
        job.services.storage.delete([part.storage_key for part in parts])
    return {"export": str(plan.export.id), "rows": rows, "parts": len(parts)}


def make(services: Any, workspace: UUID, told: Callable[[float, str], None], **asked: Any) -> ExportFile:  # noqa: ANN401 - see requests.request
    """Make an export now, in this process, as the API would, and return its file.

    Raises EverfixError for what the API would refuse, and Unavailable with the cause where it could not be made.
    """
    with services.database.transaction(workspace) as db:
        export = requests.request(db, system(workspace), **asked)
        assert export.job_id is not None  # noqa: S101 - it was just queued
        running = jobs.Running(services.database, workspace, export.job_id, {"export": str(export.id)}, services, told)
    jobs.work(jobs.Task(execute), running, attempts=1)
    with services.database.transaction(workspace) as db:
        job = jobs.get(db, running.job_id)
        file = requests.delivered(requests.files(db, [export.id])[export.id])
    if job.status != jobs.Status.SUCCEEDED or file is None:
        raise Unavailable(f"the export was not made: {job.error or job.status}")
    return file


def _plan(job: jobs.Running, export_id: UUID) -> Plan:
    """Return what is to be done; the first time, find out how many rows there are and with which they end."""
    with job.database.transaction(job.workspace) as db:
        export = requests.get(db, export_id)
        resource, options = resources.get(export.resource), Options.model_validate(export.options)
        columns = resource.chosen(export.columns, analysis=export.analysis)
        look = Look(resource, columns, resource.read(export.filters), options, export.until)
        if export.expected is None:
            export.expected, export.until = look.extent(db)
        most = options.part_rows or PART_ROWS[export.format]
        return Plan(export, dataclasses.replace(look, until=export.until, most=most), most, export.expected)


def _parts(job: jobs.Running, plan: Plan) -> list[ExportFile]:
    with job.database.transaction(job.workspace) as db:
        found = requests.files(db, [plan.export.id])[plan.export.id]
    return [file for file in found if file.kind == PART]


def _part(job: jobs.Running, plan: Plan, before: list[ExportFile]) -> ExportFile | None:
    """Write, store and note the next part; None where no row is left (and there is a part already)."""
    done, number = sum(part.rows for part in before), len(before) + 1
    look = dataclasses.replace(plan.look, after=before[-1].last if before else None)
    with tempfile.TemporaryDirectory(prefix="everfix-export-", dir=_scratch(job)) as folder:
        path = Path(folder) / "part"
        with job.database.transaction(job.workspace) as db:
            rows, last = _write(plan, path, db, look, _progress(job, plan, done), done)
        if before and not rows:
            return None
        filename = plan.filename(number)
        stored = job.services.storage.put_file(job.workspace, f"{plan.folder}/{filename}", path)
    made = ExportFile(
        id=ids.new(), export_id=plan.export.id, kind=PART, number=number, rows=rows, last=last, filename=filename,
        media_type=RENDERERS[plan.export.format].media_type, size=stored.size, sha256=stored.sha256, storage_key=stored.key,
    )  # fmt: skip
    with job.database.transaction(job.workspace) as db:
        db.add(made)
    return made


def _write(plan: Plan, path: Path, db: Session, look: Look, told: Callable[[int], None], done: int) -> tuple[int, UUID | None]:
    match plan.export.format:
        case "csv":
            return to_csv.write(path, db, look, told)
        case "xlsx":
            return to_xlsx.write(path, db, look, told, min(plan.part_rows, plan.expected - done))
        case "pdf":
            return to_pdf.write(path, db, look, told, first=done, expected=plan.expected, filters=plan.export.filters)
        case _:
            return to_json.write(path, db, look, told)


def _scratch(job: jobs.Running) -> Path:
    """Return the folder for files on their way: beside the data, whose disk an operator watches."""
    folder = Path(job.services.settings.data_dir) / "scratch"
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    return folder


def _progress(job: jobs.Running, plan: Plan, done: int) -> Callable[[int], None]:
    """Return what hears how many rows of a part are written, and says so now and then; raises jobs.Cancelled when it should stop."""
    next_ = time.monotonic()

    def told(rows: int) -> None:
        nonlocal next_
        if time.monotonic() >= next_:
            share = (done + rows) / plan.expected if plan.expected else 1.0
            job.report(0.02 + 0.93 * min(1.0, share), f"{done + rows:,} of {plan.expected:,} rows")
            next_ = time.monotonic() + TOLD_EVERY

    return told


def _manifest(job: jobs.Running, plan: Plan, parts: list[ExportFile], rows: int) -> bytes:
    """Write, store and note what the export holds, and return it."""
    export = plan.export
    shown = to_pdf.on_paper(plan.look) if export.format == "pdf" else plan.look.columns
    told = {
        "export": ids.show(ids.Prefix.EXPORT, export.id),
        "resource": export.resource,
        "format": export.format,
        "filters": export.filters,
        "options": export.options,
        "include_analysis": export.analysis,
        "columns": [{"name": column.key, "title": column.heading, "unit": str(column.unit)} for column in shown],
        "rows": rows,
        "rows_when_it_began": plan.expected,
        "truncated": False,  # parts follow until no row is left
        "parts": [{"file": part.filename, "rows": part.rows, "bytes": part.size, "sha256": part.sha256} for part in parts],
        "requested_by": export.requested_by,
        "requested_at": export.created_at.isoformat(),
        "everfix": everfix.__version__,
    }
    body = json.dumps(told, indent=2, ensure_ascii=False).encode()
    _note(job, plan, MANIFEST, f"{plan.stem}-manifest.json", "application/json", iter([body]))
    return body


def _note(job: jobs.Running, plan: Plan, kind: str, filename: str, media_type: str, pieces: Iterator[bytes]) -> None:
    stored = job.services.storage.put_stream(job.workspace, f"{plan.folder}/{filename}", pieces)
    with job.database.transaction(job.workspace) as db:
        db.execute(delete(ExportFile).where(ExportFile.export_id == plan.export.id, ExportFile.kind == kind))
        db.add(
            ExportFile(
                export_id=plan.export.id, kind=kind, filename=filename, media_type=media_type, size=stored.size, sha256=stored.sha256,
                storage_key=stored.key,
            )
        )  # fmt: skip


class _Sink(io.RawIOBase):
    """Takes what zipfile writes, for us to hand on."""

    def __init__(self) -> None:
        self.held = bytearray()

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:  # noqa: ANN401 - any buffer
        self.held += data
        return len(data)

    def drained(self) -> bytes:
        """Return what has come since the last time."""
        found = bytes(self.held)
        self.held.clear()
        return found


def _zipped(job: jobs.Running, plan: Plan, parts: list[ExportFile], manifest: bytes) -> Iterator[bytes]:
    storage: Storage = job.services.storage
    packed = zipfile.ZIP_DEFLATED if plan.export.format in ("csv", "json") else zipfile.ZIP_STORED  # the others are packed already
    when = plan.export.created_at.timetuple()[:6]
    sink = _Sink()
    with zipfile.ZipFile(sink, "w", packed, compresslevel=3) as archive:
        archive.writestr(zipfile.ZipInfo("manifest.json", when), manifest)
        for number, part in enumerate(parts):
            job.report(0.96 + 0.04 * number / len(parts), f"packing {part.filename}")
            info = zipfile.ZipInfo(part.filename, when)
            info.compress_type = packed
            with archive.open(info, "w", force_zip64=True) as out:
                for piece in storage.stream(part.storage_key):
                    out.write(piece)
                    yield sink.drained()
    yield sink.drained()
