"""`/v1/ml/models`: an experiment's models, sorted by its metric, are the leaderboard."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from everfix.api import fields, pages
from everfix.api.uploading import SCHEMA, Upload
from everfix.api.v1.ml.shown import OfProject, Out, Owned, Reader, Search, TableId, TableOut, Writer
from everfix.core import fields as types
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.ml import experiments, models, projects
from everfix.ml.models import Model
from everfix.ml.projects import Role

router = APIRouter(prefix="/models", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.MODEL, "model", "model_id")]
OfExperiment = Annotated[UUID | None, fields.query_id(ids.Prefix.EXPERIMENT, "experiment_id")]
SORTS = pages.Sorts({"created_at": Model.created_at, "name": Model.name, "updated_at": Model.updated_at}, "-created_at")


class ModelOut(Owned):
    """One model, as the leaderboard shows it."""

    id: ids.field(ids.Prefix.MODEL)  # type: ignore[valid-type]
    experiment_id: ids.field(ids.Prefix.EXPERIMENT)  # type: ignore[valid-type]
    name: str
    algo: str
    status: str
    is_best: bool
    metrics: Json
    training_time_ms: float | None
    predict_time_per_row_ms: float | None
    registered_name: str | None
    registered_version: str | None
    registered_aliases: list[str]
    source_url: str | None
    error: str | None
    evaluation_id: TableId | None
    started_at: datetime | None
    finished_at: datetime | None


class ModelDetail(ModelOut):
    """One model with everything that is known of it."""

    parameters: Json
    default_parameters: Json
    metrics_by_split: Json
    learning_curve: list[Json]
    early_stop_step: int | None
    feature_importance: list[Json]
    confusion_matrix: Json | None
    roc: Json | None
    pr: Json | None
    calibration: Json | None
    operating_point: float | None
    positive_label: str | None
    signature: Json
    artifacts: list[Json]
    tags: Json


class Evaluated(Out):
    """What became of an evaluation table."""

    model: ModelOut
    table: TableOut


@router.get("")
def listed(
    db: Db,
    who: Reader,
    page: Page,
    project_id: OfProject = None,
    experiment_id: OfExperiment = None,
    search: Search = None,
) -> pages.PageOf[ModelOut]:
    """Models, newest first."""
    query = projects.within(Model, who, project_id)
    if experiment_id is not None:
        query = query.where(Model.experiment_id == experiment_id)
    if search:
        query = query.where(Model.name.icontains(types.storable(search), autoescape=True))
    return pages.page(db, page, query, Model.id, SORTS, lambda rows: [ModelOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: models.Record) -> ModelDetail:
    """Register a model; sent again with the same `external_id`, it changes."""
    found = experiments.get(db, body.experiment_id, who, Role.EDITOR)
    return ModelDetail.model_validate(models.create(db, body, found.project_id, who))


@router.get("/{model_id}")
def one(db: Db, who: Reader, model_id: PathId) -> ModelDetail:
    """One model."""
    return ModelDetail.model_validate(models.get(db, model_id, who))


@router.patch("/{model_id}")
def change(db: Db, who: Writer, model_id: PathId, body: models.Change) -> ModelDetail:
    """Change what is known of a model."""
    return ModelDetail.model_validate(models.change(db, model_id, body, who))


@router.delete("/{model_id}", status_code=204)
def remove(db: Db, who: Writer, model_id: PathId) -> None:
    """Remove a model, with its deployments."""
    models.remove(db, model_id, who)


@router.post("/{model_id}/evaluation/upload", status_code=201, openapi_extra=SCHEMA)
def evaluate(box: Upload, model_id: PathId) -> Evaluated:
    """Upload what the model said and what was true: y_true, y_pred, y_score or y_score_<label>, split; other columns are features."""
    with box.db() as db:
        models.get(db, model_id, box.who, Role.EDITOR)
    with box.stored("evaluation") as kept, box.db() as db:
        found = models.get(db, model_id, box.who, Role.EDITOR)
        table = box.keep(db, kept, found.project_id, "evaluation")
        row = models.evaluated(db, model_id, table, box.who)
        return Evaluated(model=ModelOut.model_validate(row), table=TableOut.model_validate(table))
