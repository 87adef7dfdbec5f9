"""Experiments: a search for the best model; its models, sorted by the metric, are the leaderboard."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


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
