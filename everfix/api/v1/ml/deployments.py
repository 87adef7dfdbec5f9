"""`/v1/ml/deployments`: models in use, their prediction logs and the reference they are compared with."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.api.uploading import SCHEMA, Upload
from everfix.api.v1.ml.shown import OfProject, Out, Owned, Reader, TableId, TableOut, Writer
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page
from everfix.errors import Conflict
from everfix.ml import deployments, models, monitors, projects
from everfix.ml.deployments import Deployment, PredictionPart
from everfix.ml.projects import Role

router = APIRouter(prefix="/deployments", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.DEPLOYMENT, "deployment", "deployment_id")]
SORTS = pages.Sorts({"created_at": Deployment.created_at, "name": Deployment.name}, "-created_at")
PART_SORTS = pages.Sorts({"first_at": PredictionPart.first_at, "created_at": PredictionPart.created_at}, "-first_at")


class DeploymentOut(Owned):
    """One deployment."""

    id: ids.field(ids.Prefix.DEPLOYMENT)  # type: ignore[valid-type]
    model_id: ids.field(ids.Prefix.MODEL)  # type: ignore[valid-type]
    name: str
    stage: str
    status: str
    traffic_percent: int
    config: Json
    ab_test: Json | None
    features: list[str]
    team: str | None
    service: str | None
    source_url: str | None
    reference_id: TableId | None
    deployed_at: datetime | None
    ended_at: datetime | None


class PartOut(Out):
    """One piece of a prediction log."""

    id: ids.field(ids.Prefix.PREDICTION_PART)  # type: ignore[valid-type]
    table_id: TableId
    first_at: datetime
    last_at: datetime
    rows: int
    errors: int
    labelled: int
    created_at: datetime


class Added(Out):
    """What became of an uploaded piece."""

    part: PartOut
    table: TableOut


class Referred(Out):
    """What became of an uploaded reference."""

    deployment: DeploymentOut
    table: TableOut


@router.get("")
def listed(db: Db, who: Reader, page: Page, project_id: OfProject = None) -> pages.PageOf[DeploymentOut]:
    """Deployments, newest first."""
    query = projects.within(Deployment, who, project_id)
    return pages.page(db, page, query, Deployment.id, SORTS, lambda rows: [DeploymentOut.model_validate(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: deployments.Record) -> DeploymentOut:
    """Register a deployment; in production it archives the active one of the same name, if it takes all traffic."""
    found = models.get(db, body.model_id, who, Role.EDITOR)
    return DeploymentOut.model_validate(deployments.create(db, body, found.project_id, who))


@router.get("/{deployment_id}")
def one(db: Db, who: Reader, deployment_id: PathId) -> DeploymentOut:
    """One deployment."""
    return DeploymentOut.model_validate(deployments.get(db, deployment_id, who))


@router.patch("/{deployment_id}")
def change(db: Db, who: Writer, deployment_id: PathId, body: deployments.Change) -> DeploymentOut:
    """Change what is known of a deployment."""
    return DeploymentOut.model_validate(deployments.change(db, deployment_id, body, who))


@router.delete("/{deployment_id}", status_code=204)
def remove(db: Db, who: Writer, deployment_id: PathId) -> None:
    """Remove a deployment with its log."""
    deployments.remove(db, deployment_id, who)


@router.get("/{deployment_id}/predictions")
def parts(db: Db, who: Reader, page: Page, deployment_id: PathId) -> pages.PageOf[PartOut]:
    """The pieces of the prediction log, newest first."""
    deployments.get(db, deployment_id, who)
    query = select(PredictionPart).where(PredictionPart.deployment_id == deployment_id)
    return pages.page(db, page, query, PredictionPart.id, PART_SORTS, lambda rows: [PartOut.model_validate(row) for row in rows])


@router.post("/{deployment_id}/predictions/upload", status_code=201, openapi_extra=SCHEMA)
def add(box: Upload, deployment_id: PathId) -> Added:
    """Upload a piece of the log: timestamp, and any of prediction, score, label, latency_ms, error; others are features.

    The same file sent twice is refused with 409 and counts once.
    """
    with box.db() as db:
        deployments.get(db, deployment_id, box.who, Role.EDITOR)
    with box.stored("predictions") as kept, box.db() as db:
        found = deployments.get(db, deployment_id, box.who, Role.EDITOR)
        projects.hold(db, found)
        known = deployments.part_of(db, deployment_id, kept.upload_sha256)
        if known is not None:
            raise Conflict(f"this very file is in the log already: {ids.show(ids.Prefix.PREDICTION_PART, known.id)}")
        table = box.keep(db, kept, found.project_id, "predictions")
        part = deployments.add_part(db, deployment_id, table, kept.upload_sha256, box.who)
        monitors.look(db, deployment_id, box.who)
        return Added(part=PartOut.model_validate(part), table=TableOut.model_validate(table))


@router.post("/{deployment_id}/reference/upload", status_code=201, openapi_extra=SCHEMA)
def refer(box: Upload, deployment_id: PathId) -> Referred:
    """Upload what inputs and predictions are compared with: columns as in the log, usually a sample of the training data."""
    with box.db() as db:
        deployments.get(db, deployment_id, box.who, Role.EDITOR)
    with box.stored("reference") as kept, box.db() as db:
        found = deployments.get(db, deployment_id, box.who, Role.EDITOR)
        table = box.keep(db, kept, found.project_id, "reference")
        row = deployments.refer(db, deployment_id, table, box.who)
        monitors.look(db, deployment_id, box.who)
        return Referred(deployment=DeploymentOut.model_validate(row), table=TableOut.model_validate(table))
