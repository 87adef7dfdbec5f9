"""Requests: an export as it was asked for, what it may be asked by, and the files it has come to."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic import ValidationError
from sqlalchemy import BigInteger, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import Conflict, Forbidden, Invalid, NotFound
from everfix.exports import resources
from everfix.exports.options import Options
from everfix.exports.resources import Resource
from everfix.identity.principals import Principal, Role, Scope

KIND = "exports.run"
FORMATS = ("csv", "xlsx", "json", "pdf")
PART, BUNDLE, MANIFEST = "part", "bundle", "manifest"


class Export(WorkspaceRow, Base):
    """One export. `until` is the last row there was when it began: what comes later is not in it. `rows` counts what was written."""

    __tablename__ = "exports"
    __table_args__ = (refers("job_id", "jobs", ondelete="SET NULL"), Index("ix_exports_created", "workspace_id", "created_at", "id"))

    job_id: Mapped[UUID | None]
    resource: Mapped[str]
    format: Mapped[str]
    filters: Mapped[Json] = mapped_column(server_default="{}")
    options: Mapped[Json] = mapped_column(server_default="{}")
    analysis: Mapped[bool] = mapped_column(server_default="false")
    columns: Mapped[list[str]]
    expected: Mapped[int | None]
    until: Mapped[UUID | None]
    rows: Mapped[int | None]
    requested_by: Mapped[str]
    created_at: Mapped[datetime] = created()
    finished_at: Mapped[datetime | None]


class ExportFile(WorkspaceRow, Base):
    """One file of an export: a part of its rows (`last` is the row it ends with), the bundle of several parts, or the manifest."""

    __tablename__ = "export_files"
    __table_args__ = (refers("export_id", "exports"), Index("uq_export_files", "workspace_id", "export_id", "kind", "number", unique=True))

    export_id: Mapped[UUID]
    kind: Mapped[str]
    number: Mapped[int] = mapped_column(server_default="1")
    rows: Mapped[int] = mapped_column(server_default="0")
    last: Mapped[UUID | None]
    filename: Mapped[str]
    media_type: Mapped[str]
    size: Mapped[int] = mapped_column(BigInteger)
    sha256: Mapped[str]
    storage_key: Mapped[str]
    created_at: Mapped[datetime] = created()


def permit(who: Principal, resource: Resource | None = None) -> None:
    """Raise Forbidden unless `who` may take raw data out: `reports:write`, a person as admin or owner too, and what the resource asks for."""
    who.require(Scope.REPORTS_WRITE)
    if who.role is not None and who.role.rank < Role.ADMIN.rank:
        raise Forbidden(f"exporting raw data needs the role admin or owner; yours is {who.role}")
    if resource is not None and resource.also is not None:
        who.require(resource.also)


def permitted(who: Principal, resource: str) -> bool:
    """Tell whether `who` may have the rows of an export."""
    try:
        permit(who, resources.RESOURCES[resource])
    except Forbidden:
        return False
    return True


def request(
    db: Session,
    by: Principal,
    *,
    resource: str,
    format: str = "csv",
    filters: Json | None = None,
    options: Options | None = None,
    analysis: bool = False,
) -> Export:
    """Insert an export and its job; raises Forbidden, and Invalid for an unknown resource, format, filter or column."""
    chosen = resources.get(resource)
    permit(by, chosen)
    kind = format.strip().lower()
    if kind not in FORMATS:
        raise Invalid(f"exports have no format {format[:40]!r}", details={"format": f"one of {', '.join(FORMATS)}"})
    how = options or Options()
    narrowed = read_filters(chosen, filters or {})
    made = Export(
        id=ids.new(),
        resource=chosen.name,
        format=kind,
        filters=narrowed,
        options=how.model_dump(mode="json", exclude_defaults=True),
        analysis=analysis,
        columns=[column.key for column in chosen.chosen(how.columns, analysis=analysis)],
        requested_by=by.name,
        created_at=clock.now(),
    )
    db.add(made)
    db.flush()
    made.job_id = jobs.enqueue(db, KIND, {"export": str(made.id)}, by=by.name)
    told = {"resource": chosen.name, "format": kind, "filters": narrowed}
    audit.record(db, by, audit.Action.EXPORT_STARTED, "export", made.id, told)
    return made


def status(export: Export, job: jobs.Job | None) -> str:
    """Return how an export stands; its job is kept for less long than it."""
    return job.status if job is not None else jobs.Status.SUCCEEDED if export.finished_at else jobs.Status.CANCELLED


def cancel(db: Session, by: Principal, export: Export) -> None:
    """Ask an export to stop; raises Conflict when it has ended."""
    if export.job_id is None:
        raise Conflict("the export has ended")
    job = jobs.cancel(db, export.job_id)
    audit.record(db, by, audit.Action.JOB_CANCELLED, "job", job.id, {"export": ids.show(ids.Prefix.EXPORT, export.id)})


def read_filters(resource: Resource, given: Json) -> Json:
    """Return the filters as they are kept; raises Invalid naming the one that is wrong and what is allowed."""
    try:
        return resource.read(given).model_dump(mode="json", exclude_none=True)
    except ValidationError as problem:
        wrong: dict[str, str] = {}
        for error in problem.errors(include_url=False):
            name = ".".join(("filters", *(str(part) for part in error["loc"])))
            wrong[name] = error["msg"].removeprefix("Value error, ")
        name, why = next(iter(wrong.items()))
        raise Invalid(f"{name}: {why}", details=wrong) from problem


def get(db: Session, export_id: UUID) -> Export:
    """Return one export; raises NotFound."""
    found = db.execute(select(Export).where(Export.id == export_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no export {ids.show(ids.Prefix.EXPORT, export_id)}")
    return found


def files(db: Session, export_ids: Sequence[UUID]) -> dict[UUID, list[ExportFile]]:
    """Return the files of each export, its parts in order."""
    found: dict[UUID, list[ExportFile]] = {export_id: [] for export_id in export_ids}
    query = select(ExportFile).where(ExportFile.export_id.in_(export_ids)).order_by(ExportFile.kind, ExportFile.number)
    for file in db.execute(query).scalars():
        found[file.export_id].append(file)
    return found


def by_jobs(db: Session, job_ids: Sequence[UUID]) -> dict[UUID, Export]:
    """Return the export of each job."""
    rows = db.execute(select(Export).where(Export.job_id.in_(job_ids))).scalars()
    return {row.job_id: row for row in rows if row.job_id is not None}


def delivered(found: Sequence[ExportFile]) -> ExportFile | None:
    """Return the one file that a person downloads: the bundle, else the only part."""
    chosen: Any = next((file for file in found if file.kind == BUNDLE), None)
    return chosen or next((file for file in found if file.kind == PART), None)
