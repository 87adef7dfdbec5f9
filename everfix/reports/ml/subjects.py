"""Subjects: which runs are reports on ML work, on what, with which options; who may see them is who may see the project."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, Select, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.errors import Invalid, NotFound
from everfix.identity.members import Member as WorkspaceMember
from everfix.identity.principals import Principal
from everfix.identity.principals import Role as WorkspaceRole
from everfix.ml import deployments, projects
from everfix.reports import definitions, runs, windows
from everfix.reports.ml import entities
from everfix.reports.ml import options as all_options
from everfix.reports.ml.options import KINDS
from everfix.reports.runs import Run

TITLES = {
    "experiment": "Experiment report", "model": "Model report", "project": "Project report", "synthgen": "Synthetic data report",
    "deployment": "Deployment report", "privacy": "Privacy report",
}  # fmt: skip
FORMATS = ("html", "pdf")
SHOWN = {"partial": "succeeded", "held": "queued", "cancelled": "failed", "skipped": "failed"}  # as this surface calls a run's status


class Subject(WorkspaceRow, Base):
    """What one run is about. `summary` is filled once the report is made."""

    __tablename__ = "ml_reports"
    __table_args__ = (
        refers("run_id", "report_runs"),
        refers("project_id", "ml_projects"),
        CheckConstraint("kind IN ('experiment', 'model', 'project', 'synthgen', 'deployment', 'privacy')", name="kind"),
        Index("uq_ml_reports_run", "workspace_id", "run_id", unique=True),
        Index("ix_ml_reports_project", "workspace_id", "project_id", "created_at", "id"),
        Index("ix_ml_reports_entity", "workspace_id", "entity_id"),
    )

    run_id: Mapped[UUID]
    project_id: Mapped[UUID]
    kind: Mapped[str]
    entity_id: Mapped[UUID]
    options: Mapped[Json] = mapped_column(server_default="{}")
    summary: Mapped[Json] = mapped_column(server_default="{}")
    created_at: Mapped[datetime] = created()


def create(db: Session, by: Principal, *, project_id: UUID, kind: str, entity_id: object, options: Json | None) -> Run:
    """Order a report, checked in this order: project, the caller's role in it, kind, id, entity, options; raises NotFound, Forbidden, Invalid."""
    projects.get(db, project_id, by)
    projects.get(db, project_id, by, projects.Role.EDITOR)
    if kind not in KINDS:
        raise Invalid(f"kind: {kind[:60]!r} is not allowed; one of {', '.join(KINDS)} is", details={"kind": f"one of {', '.join(KINDS)}"})
    row = entities.get(db, kind, entities.parse(entity_id), project_id)
    return order(db, by, kind, row, all_options.read(options))


def order(db: Session, by: Principal, kind: str, row: Any, options: Json) -> Run:  # noqa: ANN401
    """Insert the run of a report on `row`, its subject and its job."""
    part = {"section": f"ml_{kind}", "params": {"entity_id": str(row.id), "options": options}}
    title = options.get("title") or f"{TITLES[kind]}: {row.name}"
    run_id, _ = runs.request(
        db, by, template=f"ml_{kind}", window=window(db, kind, row), formats=FORMATS, name=str(title)[:200], sections=[part]
    )
    found = Subject(
        run_id=run_id, project_id=entities.project_of(kind, row), kind=kind, entity_id=row.id, options=options, created_at=clock.now()
    )
    db.add(found)
    db.flush()
    return runs.get(db, run_id)


def window(db: Session, kind: str, row: Any) -> str:  # noqa: ANN401
    """Return the days of a deployment's log (the last year of it); anything else is of one day."""
    if kind != "deployment":
        return "1d"
    part = deployments.PredictionPart
    first, last = db.execute(select(func.min(part.first_at), func.max(part.last_at)).where(part.deployment_id == row.id)).one()
    if first is None:
        return "30d"
    end, begin = last.astimezone(UTC).date(), first.astimezone(UTC).date()
    return windows.between(max(begin, end - timedelta(days=windows.LONGEST - 1)), end)


def noted(db: Session, run: Run) -> Subject:
    """Return the subject of a run, made now for one that a schedule or a saved report ordered; raises NotFound, Invalid."""
    found = of_run(db, run.id)
    if found is not None:
        return found
    kind, params = str(run.sections[0]["section"]).removeprefix("ml_"), run.sections[0].get("params") or {}
    row = entities.get(db, kind, entities.parse(params.get("entity_id")))
    _require_owner(db, run, entities.project_of(kind, row))
    found = Subject(
        run_id=run.id, project_id=entities.project_of(kind, row), kind=kind, entity_id=row.id, options=all_options.read(params.get("options")),
        created_at=run.created_at,
    )  # fmt: skip
    db.add(found)
    db.flush()
    return found


def _require_owner(db: Session, run: Run, project_id: UUID) -> None:
    """A saved report shows what its owner may see: raises NotFound for a project that is not the owner's."""
    definition = definitions.find(db, run.definition_id) if run.definition_id else None
    if definition is None:
        raise NotFound("a report on ML work is ordered at /api/reports, or saved as a report with its entity")
    if definition.owner_user_id is None or definition.adopted_by is not None:
        return
    role = db.execute(select(WorkspaceMember.role).where(WorkspaceMember.user_id == definition.owner_user_id)).scalar_one_or_none()
    if role in (WorkspaceRole.ADMIN, WorkspaceRole.OWNER):
        return
    mine = select(projects.Member.id).where(projects.Member.project_id == project_id, projects.Member.user_id == definition.owner_user_id)
    if db.execute(mine).scalar_one_or_none() is None:
        raise NotFound("the owner of this report may not see the project")


def of_run(db: Session, run_id: UUID) -> Subject | None:
    """Return the subject of a run, or None where the run is no report on ML work."""
    return db.execute(select(Subject).where(Subject.run_id == run_id)).scalar_one_or_none()


def get(db: Session, report_id: UUID, by: Principal) -> tuple[Subject, Run]:
    """Return a report that `by` may see; raises NotFound."""
    query = select(Subject, Run).join(Run, Run.id == Subject.run_id)
    found = db.execute(query.where(Run.id == report_id, projects.visible(Subject.project_id, by))).one_or_none()
    if found is None:
        raise NotFound(f"no report {report_id}")
    return found[0], found[1]


def listed(by: Principal, project_id: UUID, kind: str | None, entity_id: UUID | None) -> Select[Subject, Run]:
    """Return the query for a project's reports, the newest first."""
    query = select(Subject, Run).join(Run, Run.id == Subject.run_id)
    query = query.where(Subject.project_id == project_id, projects.visible(Subject.project_id, by))
    query = query.where(Subject.kind == kind if kind is not None else Subject.kind.in_(KINDS))
    if entity_id is not None:
        query = query.where(Subject.entity_id == entity_id)
    return query.order_by(Subject.created_at.desc(), Run.id.desc())


def shown(status: str) -> str:
    """Return a run's status in the four words of this surface."""
    return SHOWN.get(status, status)


def files(db: Session, run_ids: Sequence[UUID]) -> dict[UUID, dict[str, runs.File]]:
    """Return each run's files by format."""
    return {run_id: {file.format: file for file in found} for run_id, found in runs.files(db, run_ids).items()}
