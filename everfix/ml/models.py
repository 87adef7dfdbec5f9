"""Models: what was trained, with which parameters, and how good it is."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids
from everfix.core.db import Base, Json, refers
from everfix.identity.principals import Principal
from everfix.ml import projects
from everfix.ml.figures_in import POINTS, Calibration, Confusion, External, Importance, Metrics, Name, Number, Point, Pr, Roc, Strict
from everfix.ml.projects import Belonging, Role, belongs
from everfix.ml.tables import Table


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


class Change(Strict):
    """What may change of a model."""

    name: Name | None = None
    algo: fields.text(200) | None = None  # type: ignore[valid-type]
    status: Literal["queued", "running", "succeeded", "failed"] | None = None
    is_best: bool | None = None
    parameters: fields.JsonObject | None = None
    default_parameters: fields.JsonObject | None = None
    metrics: Metrics | None = None
    metrics_by_split: dict[Literal["train", "validation", "cross_validation", "test"], Metrics] | None = None
    learning_curve: list[Point] | None = Field(default=None, max_length=POINTS)
    early_stop_step: int | None = Field(default=None, ge=0)
    feature_importance: list[Importance] | None = Field(default=None, max_length=10_000)
    confusion_matrix: Confusion | None = None
    roc: Roc | None = None
    pr: Pr | None = None
    calibration: Calibration | None = None
    operating_point: Number | None = Field(default=None, description="the score from which a case counts as positive")
    positive_label: fields.text(200) | None = None  # type: ignore[valid-type]
    training_time_ms: Number | None = Field(default=None, ge=0)
    predict_time_per_row_ms: Number | None = Field(default=None, ge=0)
    registered_name: Name | None = None
    registered_version: Name | None = None
    registered_aliases: list[Name] | None = Field(default=None, max_length=100)
    signature: fields.JsonObject | None = None
    tags: fields.JsonObject | None = None
    source_url: fields.text(2_000) | None = None  # type: ignore[valid-type]
    error: fields.text(10_000) | None = None  # type: ignore[valid-type]
    started_at: fields.Moment | None = None
    finished_at: fields.Moment | None = None


class Record(Change):
    """A model as it comes in."""

    experiment_id: ids.field(ids.Prefix.EXPERIMENT)  # type: ignore[valid-type]
    name: Name
    external_id: External | None = None


def create(db: Session, body: Record, project_id: UUID, by: Principal) -> Model:
    """Keep a model of an experiment of `project_id`."""
    values = {**body.stored(), "project_id": project_id}
    return projects.keep(db, Model, values, by, audit.Action.ML_MODEL_KEPT)


def get(db: Session, model_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Model:
    """Return one model; raises NotFound, Forbidden."""
    return projects.belonging(db, Model, model_id, by, need)


def change(db: Session, model_id: UUID, body: Change, by: Principal) -> Model:
    """Write what was sent."""
    row = get(db, model_id, by, Role.EDITOR)
    return projects.change(db, row, body.stored(exclude_unset=True), by, audit.Action.ML_MODEL_KEPT)


def evaluated(db: Session, model_id: UUID, table: Table, by: Principal) -> Model:
    """Let `table` be what the model is judged by; the one before it is forgotten."""
    row = get(db, model_id, by, Role.EDITOR)
    return projects.attach(db, row, "evaluation_id", table, by)


def remove(db: Session, model_id: UUID, by: Principal) -> None:
    """Remove a model."""
    row = get(db, model_id, by, Role.EDITOR)
    projects.drop(db, row, [row.evaluation_id], by)
