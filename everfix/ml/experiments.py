"""Experiments: a search for the best model; its models, sorted by the metric, are the leaderboard."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import CheckConstraint, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids
from everfix.core.db import Base, Json, refers
from everfix.identity.principals import Principal
from everfix.ml import datasets, models, projects
from everfix.ml.figures_in import External, Name, Strict
from everfix.ml.projects import Belonging, Role, belongs


class Experiment(Belonging, Base):
    """One search.

    `metric` is the sort metric; `search` holds what the search found ({folds, limit_seconds, stop_reason, notes, …}); `engine_runs`
    is [{engine, status, started_at, finished_at, best_metric, …}].
    """

    __tablename__ = "ml_experiments"
    __table_args__ = (
        *belongs("ml_experiments"),
        refers("dataset_version_id", "ml_dataset_versions", ondelete="SET NULL"),
        CheckConstraint("problem_type IN ('binary', 'multiclass', 'classification', 'regression', 'other')", name="problem_type"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
    )
    NOUN, PREFIX = "experiment", ids.Prefix.EXPERIMENT

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    problem_type: Mapped[str] = mapped_column(server_default="other")
    target_column: Mapped[str | None]
    metric: Mapped[str | None]
    status: Mapped[str] = mapped_column(server_default="queued")
    engine: Mapped[str | None]
    config: Mapped[Json] = mapped_column(server_default="{}")
    search: Mapped[Json] = mapped_column(server_default="{}")
    engine_runs: Mapped[list[Json]] = mapped_column(server_default="[]")
    dataset_version_id: Mapped[UUID | None]
    source_url: Mapped[str | None]
    error: Mapped[str | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]


class Change(Strict):
    """What may change of an experiment."""

    name: Name | None = None
    description: fields.text(5_000) | None = None  # type: ignore[valid-type]
    problem_type: Literal["binary", "multiclass", "classification", "regression", "other"] | None = None
    target_column: Name | None = None
    metric: Name | None = Field(default=None, description="the metric that the leaderboard is sorted by")
    status: Literal["queued", "running", "succeeded", "failed"] | None = None
    engine: Name | None = None
    config: fields.JsonObject | None = None
    search: fields.JsonObject | None = Field(default=None, description="what the search found: folds, limit_seconds, stop_reason, notes")
    engine_runs: list[fields.JsonObject] | None = Field(default=None, max_length=50)
    dataset_version_id: ids.field(ids.Prefix.DATASET_VERSION) | None = None  # type: ignore[valid-type]
    source_url: fields.text(2_000) | None = None  # type: ignore[valid-type]
    error: fields.text(10_000) | None = None  # type: ignore[valid-type]
    started_at: fields.Moment | None = None
    finished_at: fields.Moment | None = None


class Record(Change):
    """An experiment as it comes in."""

    project_id: ids.field(ids.Prefix.ML_PROJECT)  # type: ignore[valid-type]
    name: Name
    external_id: External | None = None


def create(db: Session, body: Record, by: Principal) -> Experiment:
    """Keep an experiment; raises NotFound where its data set version is not of its project."""
    datasets.in_project(db, body.dataset_version_id, body.project_id)
    return projects.keep(db, Experiment, body.stored(), by, audit.Action.ML_EXPERIMENT_KEPT)


def get(db: Session, experiment_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Experiment:
    """Return one experiment; raises NotFound, Forbidden."""
    return projects.belonging(db, Experiment, experiment_id, by, need)


def change(db: Session, experiment_id: UUID, body: Change, by: Principal) -> Experiment:
    """Write what was sent."""
    row = get(db, experiment_id, by, Role.EDITOR)
    datasets.in_project(db, body.dataset_version_id, row.project_id)
    return projects.change(db, row, body.stored(exclude_unset=True), by, audit.Action.ML_EXPERIMENT_KEPT)


def remove(db: Session, experiment_id: UUID, by: Principal) -> None:
    """Remove an experiment with its models."""
    row = get(db, experiment_id, by, Role.EDITOR)
    kept = db.execute(select(models.Model.evaluation_id).where(models.Model.experiment_id == experiment_id)).scalars().all()
    projects.drop(db, row, kept, by)
