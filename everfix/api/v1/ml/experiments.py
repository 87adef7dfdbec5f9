"""`/v1/ml/experiments`."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter

from everfix.api import fields, pages
from everfix.api.v1.ml.shown import OfProject, Owned, Reader, VersionId, Writer
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.ml import experiments, projects
from everfix.ml.experiments import Experiment

router = APIRouter(prefix="/experiments", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.EXPERIMENT, "experiment", "experiment_id")]
SORTS = pages.Sorts({"created_at": Experiment.created_at, "name": Experiment.name, "updated_at": Experiment.updated_at}, "-created_at")


class ExperimentOut(Owned):
    """One experiment."""

    id: ids.field(ids.Prefix.EXPERIMENT)  # type: ignore[valid-type]
    name: str
    description: str
    problem_type: str
    target_column: str | None
    metric: str | None
    status: str
    engine: str | None
    config: Json
    search: Json
    engine_runs: list[Json]
    dataset_version_id: VersionId | None
    source_url: str | None
    error: str | None
    started_at: datetime | None
    finished_at: datetime | None


@router.get("")
def listed(db: Db, who: Reader, page: Page, project_id: OfProject = None, status: str | None = None) -> pages.PageOf[ExperimentOut]:
    """Experiments, newest first."""
    query = projects.within(Experiment, who, project_id)
    wanted = fields.choices(status, "status", ("queued", "running", "succeeded", "failed"))
    if wanted is not None:
        query = query.where(Experiment.status.in_(wanted))
    return pages.page(db, page, query, Experiment.id, SORTS, lambda rows: [ExperimentOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: experiments.Record) -> ExperimentOut:
    """Register an experiment; sent again with the same `external_id`, it changes."""
    return ExperimentOut.model_validate(experiments.create(db, body, who))


@router.get("/{experiment_id}")
def one(db: Db, who: Reader, experiment_id: PathId) -> ExperimentOut:
    """One experiment."""
    return ExperimentOut.model_validate(experiments.get(db, experiment_id, who))


@router.patch("/{experiment_id}")
def change(db: Db, who: Writer, experiment_id: PathId, body: experiments.Change) -> ExperimentOut:
    """Change what is known of an experiment."""
    return ExperimentOut.model_validate(experiments.change(db, experiment_id, body, who))


@router.delete("/{experiment_id}", status_code=204)
def remove(db: Db, who: Writer, experiment_id: PathId) -> None:
    """Remove an experiment with its models."""
    experiments.remove(db, experiment_id, who)
