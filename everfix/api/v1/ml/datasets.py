"""`/v1/ml/datasets` and `/v1/ml/dataset-versions`."""

from __future__ import annotations

from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import Field
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.api.uploading import SCHEMA, Upload
from everfix.api.v1.ml.shown import OfProject, Out, Owned, Reader, TableId, TableOut, VersionId, Writer
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.ml import datasets, projects, tables
from everfix.ml.datasets import Dataset, DatasetVersion
from everfix.ml.projects import Role

router = APIRouter(tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.DATASET, "data set", "dataset_id")]
VersionPathId = Annotated[UUID, fields.path_id(ids.Prefix.DATASET_VERSION, "data set version", "dataset_version_id")]
SORTS = pages.Sorts({"created_at": Dataset.created_at, "name": Dataset.name}, "-created_at")
VERSION_SORTS = pages.Sorts({"created_at": DatasetVersion.created_at, "number": DatasetVersion.number}, "-created_at")


class DatasetOut(Owned):
    """One data set."""

    id: ids.field(ids.Prefix.DATASET)  # type: ignore[valid-type]
    name: str
    description: str


class VersionOut(Owned):
    """One version, without its columns."""

    id: VersionId
    dataset_id: ids.field(ids.Prefix.DATASET)  # type: ignore[valid-type]
    number: int
    digest: str
    source: str
    rows: int | None
    columns: int | None
    target_column: str | None
    quality: Json
    table_id: TableId | None


class VersionDetail(VersionOut):
    """One version with its columns and their statistics."""

    schema_: list[Json] = Field(serialization_alias="schema")


class Uploaded(Out):
    """What became of an uploaded file: the version, and the rows that were refused."""

    version: VersionDetail
    table: TableOut


def detail(row: DatasetVersion) -> VersionDetail:
    """Return a version as it is shown alone."""
    return VersionDetail.model_validate({**{name: getattr(row, name) for name in VersionOut.model_fields}, "schema_": row.schema})


@router.get("/datasets")
def listed(db: Db, who: Reader, page: Page, project_id: OfProject = None) -> pages.PageOf[DatasetOut]:
    """Data sets, newest first."""
    query = projects.within(Dataset, who, project_id)
    return pages.page(db, page, query, Dataset.id, SORTS, lambda rows: [DatasetOut.model_validate(row) for row in rows])


@router.post("/datasets", status_code=201)
def create(db: Db, who: Writer, body: datasets.Record) -> DatasetOut:
    """Register a data set; sent again with the same `external_id`, it changes."""
    return DatasetOut.model_validate(datasets.create(db, body, who))


@router.get("/datasets/{dataset_id}")
def one(db: Db, who: Reader, dataset_id: PathId) -> DatasetOut:
    """One data set."""
    return DatasetOut.model_validate(datasets.get(db, dataset_id, who))


@router.delete("/datasets/{dataset_id}", status_code=204)
def remove(db: Db, who: Writer, dataset_id: PathId) -> None:
    """Remove a data set with its versions and files."""
    datasets.remove(db, dataset_id, who)


@router.get("/datasets/{dataset_id}/versions")
def versions(db: Db, who: Reader, page: Page, dataset_id: PathId) -> pages.PageOf[VersionOut]:
    """The versions of a data set, newest first."""
    datasets.get(db, dataset_id, who)
    query = select(DatasetVersion).where(DatasetVersion.dataset_id == dataset_id)
    return pages.page(db, page, query, DatasetVersion.id, VERSION_SORTS, lambda rows: [VersionOut.model_validate(row) for row in rows])


@router.post("/datasets/{dataset_id}/versions", status_code=201)
def add_version(db: Db, who: Writer, dataset_id: PathId, body: datasets.VersionRecord) -> VersionDetail:
    """Register a version by its figures, without the table."""
    return detail(datasets.add_version(db, datasets.get(db, dataset_id, who, Role.EDITOR), body, who))


@router.post("/datasets/{dataset_id}/versions/upload", status_code=201, openapi_extra=SCHEMA)
def upload(
    box: Upload,
    dataset_id: PathId,
    target_column: fields.words(300) = None,  # type: ignore[valid-type]  # what a model is to predict
) -> Uploaded:
    """Upload a version as CSV (gzip too) or Parquet: types and quality are found, bad rows listed."""
    with box.db() as db:
        datasets.get(db, dataset_id, box.who, Role.EDITOR)
    with box.stored("dataset") as kept, box.db() as db:
        found = datasets.get(db, dataset_id, box.who, Role.EDITOR)
        table = box.keep(db, kept, found.project_id, "dataset")
        row = datasets.add_table(db, found, table, kept.quality, box.who, target_column=target_column)
        return Uploaded(version=detail(row), table=TableOut.model_validate(table))


@router.get("/dataset-versions/{dataset_version_id}")
def version(db: Db, who: Reader, dataset_version_id: VersionPathId) -> VersionDetail:
    """One version with its columns."""
    return detail(datasets.version(db, dataset_version_id, who))


@router.get("/dataset-versions/{dataset_version_id}/table")
def version_table(db: Db, who: Reader, dataset_version_id: VersionPathId) -> TableOut | None:
    """The stored table of a version, with the rows that were refused; null where only figures were registered."""
    found = datasets.version(db, dataset_version_id, who)
    return None if found.table_id is None else TableOut.model_validate(tables.get(db, found.table_id))
