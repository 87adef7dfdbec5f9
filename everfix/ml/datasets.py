"""Data sets: each upload or registration is a version with its schema and quality."""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import BigInteger, Index
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


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
