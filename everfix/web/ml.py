"""ML: the projects a visitor may see, what is in them, and reports on it: ordered here, read in a frame, fetched as files."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query
from sqlalchemy import func, select
from starlette.responses import Response

from everfix.core import ids
from everfix.documents.model import Unit
from everfix.errors import NotFound
from everfix.failures import own_forecasts
from everfix.identity.principals import Scope
from everfix.ml import deployments, experiments, models, privacy, projects, synthgen
from everfix.ml.projects import Project, Role
from everfix.reports import runs
from everfix.reports.ml import options, subjects
from everfix.web import session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
PAGE = 20
MOST = 50  # rows of one kind on a project's page
FRAME = "; frame-src 'self'"
LIVE = ("queued", "running")
KINDS: tuple[tuple[str, str, type[Any]], ...] = (
    ("experiment", "Experiments", experiments.Experiment),
    ("model", "Models", models.Model),
    ("deployment", "Deployments", deployments.Deployment),
    ("synthgen", "Synthetic data", synthgen.SynthgenRun),
    ("privacy", "Privacy sessions", privacy.PrivacySession),
)
DETAILS = {"experiment": "problem_type", "model": "algo", "deployment": "stage", "synthgen": "generator", "privacy": "profile"}
PILLS = {
    "active": "succeeded",
    "archived": "",
    "inactive": "",
}  # as deployments mean it: an active issue is bad, an active deployment is not
Field = Annotated[str, Form(max_length=200)]


@dataclasses.dataclass(frozen=True, slots=True)
class Row:
    """One thing of a project as a row shows it; `address` is where its report is, where it has one of its own."""

    id: str
    name: str
    detail: str
    status: str
    pill: str  # the colour of the status
    address: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Shown:
    """One report as a row shows it."""

    id: str
    title: str
    kind: str
    status: str
    made: str
    headline: str
    error: str
    live: bool


@router.get("/ml")
def listed(visit: session.sees(Scope.ML_READ)) -> Response:  # type: ignore[valid-type]
    """The projects that the visitor may see."""
    found = list(visit.db.execute(projects.listed(visit.who).order_by(Project.created_at.desc(), Project.id.desc()).limit(200)).scalars())
    counts = {table: _counts(visit, table) for table in (experiments.Experiment, models.Model, deployments.Deployment)}
    rows = [(one, *(counts[table].get(one.id, 0) for table in counts)) for one in found]
    return shell.page(visit, "ml/page.html", rows=rows)


def _counts(visit: Visit, table: type[Any]) -> dict[UUID, int]:
    query = select(table.project_id, func.count()).where(projects.visible(table.project_id, visit.who)).group_by(table.project_id)
    return {row[0]: row[1] for row in visit.db.execute(query)}


@router.get("/ml/projects/{project_id}")
def project(visit: session.sees(Scope.ML_READ), project_id: str, before: Annotated[str, Query(max_length=60)] = "") -> Response:  # type: ignore[valid-type]
    """What is in a project, and the reports on it."""
    home = _project(visit, project_id)
    query = subjects.listed(visit.who, home.id, None, None)
    start = shell.shown_id(ids.Prefix.RUN, before) if before else None
    if start is not None:
        query = query.where(runs.Run.id < start)
    found = list(visit.db.execute(query.limit(PAGE + 1))) if visit.may(Scope.REPORTS_READ) else []
    role = projects.role_of(visit.db, home.id, visit.who)
    edits = role is not None and role.rank >= Role.EDITOR.rank
    return shell.page(
        visit,
        "ml/project.html",
        project=home,
        kinds=[(kind, title, _rows(visit, home, kind, table)) for kind, title, table in KINDS],
        reports=[_shown(visit, subject, run) for subject, run in found[:PAGE]],
        older=str(found[PAGE - 1][1].id) if len(found) > PAGE else "",
        first=start is None,
        most=MOST,
        own=own_forecasts.latest(visit.db, home.id),
        writes=visit.may(Scope.REPORTS_WRITE) and edits,
        takes=visit.may(Scope.ML_WRITE) and edits,
    )


def _project(visit: Visit, text: str) -> Project:
    wanted = shell.shown_id(ids.Prefix.ML_PROJECT, text)
    if wanted is None:
        raise NotFound("there is no such project")
    return projects.get(visit.db, wanted, visit.who)


def _rows(visit: Visit, home: Project, kind: str, table: type[Any]) -> list[Row]:
    query = select(table).where(table.project_id == home.id).order_by(table.created_at.desc(), table.id.desc()).limit(MOST)
    return [
        Row(
            str(one.id),
            one.name,
            str(getattr(one, DETAILS[kind]) or ""),
            one.status,
            PILLS.get(one.status, one.status),
            f"/api/privacy/sessions/{one.id}/report" if kind == "privacy" else "",
        )
        for one in visit.db.execute(query).scalars()
    ]


@router.post("/ml/projects/{project_id}/reports")
def create(visit: session.changes(Scope.REPORTS_WRITE), project_id: str, kind: Field, entity_id: Field, insights: Field = "") -> Response:  # type: ignore[valid-type]
    """Order a report, and lead to it."""
    home = _project(visit, project_id)
    chosen = options.read({"llm_insights": bool(insights)})
    run = subjects.create(visit.db, visit.who, project_id=home.id, kind=kind, entity_id=entity_id, options=chosen)
    return shell.go(f"/ml/reports/{run.id}")


@router.post("/ml/projects/{project_id}/own-forecasts")
def take_own_forecasts(visit: session.changes(Scope.ML_WRITE), project_id: str) -> Response:  # type: ignore[valid-type]
    """Take Everfix's own forecasts in as a model of this project."""
    home = _project(visit, project_id)
    own_forecasts.start(visit.db, home.id, visit.who)
    return shell.go(f"/ml/projects/{home.id}")


@router.get("/ml/reports/{report_id}")
def report(visit: session.sees(Scope.REPORTS_READ), report_id: str) -> Response:  # type: ignore[valid-type]
    """One report in a frame, with its files; while it is made, how far it is."""
    wanted = shell.shown_id(ids.Prefix.RUN, report_id)
    if wanted is None:
        raise NotFound("there is no such report")
    subject, run = subjects.get(visit.db, wanted, visit.who)
    home = projects.get(visit.db, subject.project_id, visit.who)
    template = "ml/state.html" if shell.is_partial(visit.request) else "ml/report.html"
    answer = shell.page(visit, template, report=_shown(visit, subject, run), project=home)
    answer.headers["Content-Security-Policy"] += FRAME
    return answer


def _shown(visit: Visit, subject: subjects.Subject, run: runs.Run) -> Shown:
    reader = shown.Reader.of(visit.here)
    status = subjects.shown(run.status)
    return Shown(
        str(run.id),
        str(subject.summary.get("title") or run.name),
        subject.kind,
        status,
        _when(reader, subject.created_at),
        str(subject.summary.get("headline") or ""),
        run.reason if status == "failed" else "",
        status in LIVE,
    )


def _when(reader: shown.Reader, at: datetime) -> str:
    return reader.words(at.isoformat(), Unit.DATETIME)
