"""Data sets: each upload or registration is a version with its schema and quality."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from pydantic import Field
from sqlalchemy import BigInteger, Index, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids
from everfix.core.db import Base, Json, lock, refers
from everfix.errors import NotFound
from everfix.identity.principals import Principal
from everfix.ml import projects
from everfix.ml.figures_in import Columns, External, Name, Quality, Strict
from everfix.ml.projects import Belonging, Role, belongs
from everfix.ml.tables import Table


class Dataset(Belonging, Base):
    """A named table that changes over time."""

    __tablename__ = "ml_datasets"
    __table_args__ = belongs("ml_datasets")
    NOUN, PREFIX = "data set", ids.Prefix.DATASET

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")


class DatasetVersion(Belonging, Base):
    """One state of a data set. `schema` is that of `tables.Table`; `quality` is {overall_score: 0–100, issues: [{…}]}.

    `table_id` is null where only figures were registered.
    """

    __tablename__ = "ml_dataset_versions"
    __table_args__ = (
        *belongs("ml_dataset_versions"),
        refers("dataset_id", "ml_datasets"),
        refers("table_id", "ml_tables", ondelete="SET NULL"),
        Index("uq_ml_dataset_versions_number", "workspace_id", "dataset_id", "number", unique=True),
    )
    NOUN, PREFIX = "data set version", ids.Prefix.DATASET_VERSION

    dataset_id: Mapped[UUID]
    number: Mapped[int]
    digest: Mapped[str] = mapped_column(server_default="")
    source: Mapped[str] = mapped_column(server_default="")
    rows: Mapped[int | None] = mapped_column(BigInteger)
    columns: Mapped[int | None]
    schema: Mapped[list[Json]] = mapped_column(server_default="[]")
    target_column: Mapped[str | None]
    quality: Mapped[Json] = mapped_column(server_default="{}")
    table_id: Mapped[UUID | None]


class Record(Strict):
    """A data set as it comes in."""

    project_id: ids.field(ids.Prefix.ML_PROJECT)  # type: ignore[valid-type]
    name: Name
    description: fields.text(5_000) = ""  # type: ignore[valid-type]
    external_id: External | None = None


class VersionRecord(Strict):
    """A version as it is registered by its figures alone."""

    digest: fields.text(200) = ""  # type: ignore[valid-type]
    source: fields.text(2_000) = ""  # type: ignore[valid-type]
    rows: int | None = Field(default=None, ge=0)
    columns: int | None = Field(default=None, ge=0)
    schema_: Columns = Field(default_factory=list, alias="schema")
    target_column: Name | None = None
    quality: Quality | None = None
    external_id: External | None = None


def create(db: Session, body: Record, by: Principal) -> Dataset:
    """Keep a data set."""
    return projects.keep(db, Dataset, body.stored(), by, audit.Action.ML_DATASET_KEPT)


def get(db: Session, dataset_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Dataset:
    """Return one data set; raises NotFound, Forbidden."""
    return projects.belonging(db, Dataset, dataset_id, by, need)


def version(db: Session, version_id: UUID, by: Principal, need: Role = Role.VIEWER) -> DatasetVersion:
    """Return one version; raises NotFound, Forbidden."""
    return projects.belonging(db, DatasetVersion, version_id, by, need)


def in_project(db: Session, version_id: UUID | None, project_id: UUID) -> None:
    """Raise NotFound where a version is named that is not of this project."""
    query = select(DatasetVersion.id).where(DatasetVersion.id == version_id, DatasetVersion.project_id == project_id)
    if version_id is not None and db.execute(query).one_or_none() is None:
        raise NotFound(f"no data set version {ids.show(ids.Prefix.DATASET_VERSION, version_id)} in this project")


def add_version(db: Session, dataset: Dataset, body: VersionRecord, by: Principal) -> DatasetVersion:
    """Keep a version of which only figures are known."""
    values = body.stored(exclude={"schema_", "quality"})
    values["schema"] = [column.model_dump(exclude_none=True) for column in body.schema_]
    values["columns"] = body.columns if body.columns is not None else (len(body.schema_) or None)
    values["quality"] = body.quality.model_dump() if body.quality else {}
    return _numbered(db, dataset, values, by)


def add_table(db: Session, dataset: Dataset, table: Table, quality: dict[str, Any], by: Principal, **more: Any) -> DatasetVersion:  # noqa: ANN401 - columns
    """Keep a version from its stored table."""
    values = {"digest": table.sha256, "source": table.file_name, "rows": table.rows, "columns": table.columns, "schema": table.schema}
    return _numbered(db, dataset, {**values, "quality": quality, "table_id": table.id, **more}, by)


def _numbered(db: Session, dataset: Dataset, values: dict[str, Any], by: Principal) -> DatasetVersion:
    lock(db, f"dataset:{dataset.id}")
    held = projects.known(db, DatasetVersion, dataset.project_id, values.get("external_id"))
    newest = db.execute(select(func.max(DatasetVersion.number)).where(DatasetVersion.dataset_id == dataset.id)).scalar_one() or 0
    place = {"project_id": dataset.project_id, "dataset_id": dataset.id, "number": held.number if held else newest + 1}
    return projects.keep(db, DatasetVersion, {**values, **place}, by, audit.Action.ML_DATASET_KEPT)


def remove(db: Session, dataset_id: UUID, by: Principal) -> None:
    """Remove a data set with its versions."""
    row = get(db, dataset_id, by, Role.EDITOR)
    kept = db.execute(select(DatasetVersion.table_id).where(DatasetVersion.dataset_id == dataset_id)).scalars().all()
    projects.drop(db, row, kept, by)
