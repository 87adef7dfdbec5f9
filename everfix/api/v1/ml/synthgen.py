"""`/v1/ml/synthgen-runs`: synthetic data, with the real and the synthetic table."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from everfix.api import fields, pages
from everfix.api.uploading import SCHEMA, Upload
from everfix.api.v1.ml.shown import OfProject, Out, Owned, Reader, TableId, TableOut, Writer
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.errors import NotFound
from everfix.ml import projects, synthgen
from everfix.ml.projects import Role
from everfix.ml.synthgen import SynthgenRun

router = APIRouter(prefix="/synthgen-runs", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.SYNTHGEN_RUN, "synthetic-data run", "synthgen_run_id")]
SORTS = pages.Sorts({"created_at": SynthgenRun.created_at, "name": SynthgenRun.name}, "-created_at")
ROLES = ("real", "synthetic", "holdout")


class RunOut(Owned):
    """One run."""

    id: ids.field(ids.Prefix.SYNTHGEN_RUN)  # type: ignore[valid-type]
    name: str
    generator: str
    status: str
    config: Json
    seed: int | None
    requested_rows: int | None
    loss_curve: list[Json]
    columns: Json
    primary_key: str | None
    target_column: str | None
    sensitive_columns: list[str]
    known_columns: list[str]
    model_name: str | None
    error: str | None
    real_id: TableId | None
    synthetic_id: TableId | None
    holdout_id: TableId | None
    started_at: datetime | None
    finished_at: datetime | None


class Attached(Out):
    """What became of an uploaded table."""

    run: RunOut
    table: TableOut


@router.get("")
def listed(db: Db, who: Reader, page: Page, project_id: OfProject = None) -> pages.PageOf[RunOut]:
    """Runs, newest first."""
    query = projects.within(SynthgenRun, who, project_id)
    return pages.page(db, page, query, SynthgenRun.id, SORTS, lambda rows: [RunOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: synthgen.Record) -> RunOut:
    """Register a run; sent again with the same `external_id`, it changes."""
    return RunOut.model_validate(synthgen.create(db, body, who))


@router.get("/{synthgen_run_id}")
def one(db: Db, who: Reader, synthgen_run_id: PathId) -> RunOut:
    """One run."""
    return RunOut.model_validate(synthgen.get(db, synthgen_run_id, who))


@router.patch("/{synthgen_run_id}")
def change(db: Db, who: Writer, synthgen_run_id: PathId, body: synthgen.Change) -> RunOut:
    """Change what is known of a run."""
    return RunOut.model_validate(synthgen.change(db, synthgen_run_id, body, who))


@router.delete("/{synthgen_run_id}", status_code=204)
def remove(db: Db, who: Writer, synthgen_run_id: PathId) -> None:
    """Remove a run with its tables."""
    synthgen.remove(db, synthgen_run_id, who)


@router.post("/{synthgen_run_id}/{synthgen_table}/upload", status_code=201, openapi_extra=SCHEMA)
def attach(box: Upload, synthgen_run_id: PathId, synthgen_table: str) -> Attached:
    """Upload the run's `real`, `synthetic` or `holdout` table."""
    if synthgen_table not in ROLES:
        raise NotFound(f"a run has no table {synthgen_table[:40]!r}; it has {', '.join(ROLES)}")
    with box.db() as db:
        synthgen.get(db, synthgen_run_id, box.who, Role.EDITOR)
    with box.stored(synthgen_table) as kept, box.db() as db:
        found = synthgen.get(db, synthgen_run_id, box.who, Role.EDITOR)
        table = box.keep(db, kept, found.project_id, synthgen_table)
        row = synthgen.attach(db, synthgen_run_id, synthgen_table, table, box.who)
        return Attached(run=RunOut.model_validate(row), table=TableOut.model_validate(table))
