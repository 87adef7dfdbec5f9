"""Models: what was trained, with which parameters, and how good it is."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


class Model(Belonging, Base):
    """One trained model, or one that failed.

    `metrics` are {name: number} with natural signs, `metrics_by_split` {train|validation|cross_validation|test: {name: number}};
    `learning_curve` is [{step, metric, split, value}], `feature_importance` [{feature, importance, stddev?}], `confusion_matrix`
    {labels, counts} (rows are the truth), `roc` {fpr, tpr, thresholds}, `pr` {precision, recall, thresholds}, `calibration`
    {mean_predicted, fraction_positive, counts?}. The evaluation table (columns y_true, y_pred, y_score or y_score_<label>, split,
    others are features) gives all of these anew, and is preferred.
    """

    __tablename__ = "ml_models"
    __table_args__ = (
        *belongs("ml_models"),
        refers("experiment_id", "ml_experiments"),
        refers("evaluation_id", "ml_tables", ondelete="SET NULL"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
        Index("ix_ml_models_experiment", "workspace_id", "experiment_id", "id"),
    )
    NOUN, PREFIX = "model", ids.Prefix.MODEL

    experiment_id: Mapped[UUID]
    name: Mapped[str]
    algo: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str] = mapped_column(server_default="succeeded")
    is_best: Mapped[bool] = mapped_column(server_default="false")
    parameters: Mapped[Json] = mapped_column(server_default="{}")
    default_parameters: Mapped[Json] = mapped_column(server_default="{}")
    metrics: Mapped[Json] = mapped_column(server_default="{}")
    metrics_by_split: Mapped[Json] = mapped_column(server_default="{}")
    learning_curve: Mapped[list[Json]] = mapped_column(server_default="[]")
    early_stop_step: Mapped[int | None]
    feature_importance: Mapped[list[Json]] = mapped_column(server_default="[]")
    confusion_matrix: Mapped[Json | None]
    roc: Mapped[Json | None]
    pr: Mapped[Json | None]
    calibration: Mapped[Json | None]
    operating_point: Mapped[float | None]
    positive_label: Mapped[str | None]
    training_time_ms: Mapped[float | None]
    predict_time_per_row_ms: Mapped[float | None]
    registered_name: Mapped[str | None]
    registered_version: Mapped[str | None]
    registered_aliases: Mapped[list[str]] = mapped_column(server_default="{}")
    signature: Mapped[Json] = mapped_column(server_default="{}")
    artifacts: Mapped[list[Json]] = mapped_column(server_default="[]")
    tags: Mapped[Json] = mapped_column(server_default="{}")
    source_url: Mapped[str | None]
    error: Mapped[str | None]
    evaluation_id: Mapped[UUID | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
