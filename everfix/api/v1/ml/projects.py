"""`/v1/ml/projects`: projects and their members."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, Field
from sqlalchemy import func, select
from sqlalchemy.orm import Session

from everfix.api import fields, pages
from everfix.api.v1.jobs import JobOut
from everfix.api.v1.jobs import shown as job_shown
from everfix.api.v1.ml.shown import Out, ProjectId, Reader, Search, Writer
from everfix.core import fields as types
from everfix.core import ids, jobs
from everfix.deps import Db, Page
from everfix.failures import own_forecasts
from everfix.identity.users import User
from everfix.ml import datasets, deployments, experiments, models, projects
from everfix.ml.projects import Project, Role

router = APIRouter(prefix="/projects", tags=["ml"])
PathId = Annotated[UUID, fields.path_id(ids.Prefix.ML_PROJECT, "project", "project_id")]
MemberId = Annotated[UUID, fields.path_id(ids.Prefix.ML_MEMBER, "member", "project_member_id")]
SORTS = pages.Sorts({"created_at": Project.created_at, "name": Project.name, "updated_at": Project.updated_at}, "-created_at")
COUNTED: dict[str, type[projects.Belonging]] = {
    "dataset_count": datasets.Dataset,
    "experiment_count": experiments.Experiment,
    "model_count": models.Model,
    "deployment_count": deployments.Deployment,
}


class ProjectOut(Out):
    """One project, with how much is in it."""

    id: ProjectId
    name: str
    description: str
    status: str
    external_id: str | None
    dataset_count: int = 0
    experiment_count: int = 0
    model_count: int = 0
    deployment_count: int = 0
    created_at: datetime
    updated_at: datetime


class MemberOut(BaseModel):
    """A person of a project."""

    id: ids.field(ids.Prefix.ML_MEMBER)  # type: ignore[valid-type]
    user_id: ids.field(ids.Prefix.USER)  # type: ignore[valid-type]
    email: str
    name: str
    role: str
    created_at: datetime


class Members(BaseModel):
    """Who belongs to a project."""

    data: list[MemberOut]


class NewMember(BaseModel):
    """Whom to add, with which role; somebody who is in it already gets the role."""

    email: types.text(320, 3)  # type: ignore[valid-type]
    role: Role = Field(default=Role.EDITOR)


def shown(db: Session, rows: Sequence[Project]) -> list[ProjectOut]:
    """Return projects with their counts."""
    counts: dict[str, dict[UUID, int]] = {}
    for name, table in COUNTED.items():
        query = select(table.project_id, func.count()).where(table.project_id.in_([row.id for row in rows])).group_by(table.project_id)
        counts[name] = {row[0]: row[1] for row in db.execute(query)}
    made = [ProjectOut.model_validate(row) for row in rows]
    return [out.model_copy(update={name: found.get(out.id, 0) for name, found in counts.items()}) for out in made]


def _member(member: projects.Member, user: User) -> MemberOut:
    return MemberOut(id=member.id, user_id=user.id, email=user.email, name=user.name, role=member.role, created_at=member.created_at)


@router.get("")
def listed(db: Db, who: Reader, page: Page, search: Search = None) -> pages.PageOf[ProjectOut]:
    """The projects you may see, newest first."""
    query = projects.listed(who)
    if search:
        query = query.where(Project.name.icontains(types.storable(search), autoescape=True))
    return pages.page(db, page, query, Project.id, SORTS, lambda rows: shown(db, rows))


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: projects.Record) -> ProjectOut:
    """Make a project; you become its admin."""
    return shown(db, [projects.create(db, body, who)])[0]


@router.get("/{project_id}")
def one(db: Db, who: Reader, project_id: PathId) -> ProjectOut:
    """One project."""
    return shown(db, [projects.get(db, project_id, who)])[0]


@router.patch("/{project_id}")
def change(db: Db, who: Writer, project_id: PathId, body: projects.Change) -> ProjectOut:
    """Rename, describe or archive a project."""
    return shown(db, [projects.edit(db, projects.get(db, project_id, who, Role.EDITOR), body, who)])[0]


@router.delete("/{project_id}", status_code=204)
def remove(db: Db, who: Writer, project_id: PathId) -> None:
    """Remove a project and all inside, files included."""
    projects.remove(db, project_id, who)


@router.post("/{project_id}/own-forecasts", status_code=202)
def take_own_forecasts(db: Db, who: Writer, project_id: PathId) -> JobOut:
    """Take Everfix's own forecasts in as a model, judged by the predictions that have settled; again: with what settled since."""
    return job_shown(jobs.get(db, own_forecasts.start(db, project_id, who)))


@router.get("/{project_id}/members")
def members(db: Db, who: Reader, project_id: PathId) -> Members:
    """Who belongs to a project."""
    projects.get(db, project_id, who)
    return Members(data=[_member(member, user) for member, user in projects.members(db, project_id)])


@router.post("/{project_id}/members", status_code=201)
def add_member(db: Db, who: Writer, project_id: PathId, body: NewMember) -> MemberOut:
    """Give a member of the workspace a role in the project."""
    projects.get(db, project_id, who)
    return _member(*projects.add_member(db, project_id, body.email, body.role, who))


@router.delete("/{project_id}/members/{project_member_id}", status_code=204)
def remove_member(db: Db, who: Writer, project_id: PathId, project_member_id: MemberId) -> None:
    """Take a person out of a project."""
    projects.get(db, project_id, who)
    projects.remove_member(db, project_id, project_member_id, who)
