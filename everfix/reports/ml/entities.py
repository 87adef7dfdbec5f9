"""Entities: the rows that reports on ML work are about, and who may have reports on them."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.core import ids
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Principal
from everfix.ml import deployments, experiments, models, privacy, projects, synthgen

TABLES: dict[str, type[Any]] = {
    "experiment": experiments.Experiment,
    "model": models.Model,
    "project": projects.Project,
    "synthgen": synthgen.SynthgenRun,
    "deployment": deployments.Deployment,
    "privacy": privacy.PrivacySession,
}


def parse(text: object) -> UUID:
    """Return the entity that `text` names, as a UUID or any prefixed id; raises Invalid."""
    plain = str(text).rpartition("_")[2] if isinstance(text, str) else text
    try:
        return ids.parse(ids.Prefix.MODEL, plain)
    except ValueError as problem:
        raise Invalid(
            f"entity_id: {str(text)[:80]!r} is no id; a UUID or a prefixed id is", details={"entity_id": "a UUID, or a prefixed id"}
        ) from problem


def get(db: Session, kind: str, entity_id: UUID, project_id: UUID | None = None) -> Any:  # noqa: ANN401 - a row of that kind
    """Return what a report is about; raises NotFound where nothing of this kind and project has the id."""
    table = TABLES[kind]
    query = select(table).where(table.id == entity_id)
    if project_id is not None:
        query = query.where((table.id if kind == "project" else table.project_id) == project_id)
    found = db.execute(query).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no {kind} {entity_id} in this project" if project_id is not None else f"no {kind} {entity_id}")
    return found


def project_of(kind: str, row: Any) -> UUID:  # noqa: ANN401
    """Return the project that a row belongs to."""
    found: UUID = row.id if kind == "project" else row.project_id
    return found


def writable(db: Session, kind: str, entity_id: object, by: Principal) -> Any:  # noqa: ANN401
    """Return what `by` may have reports on; raises Invalid, NotFound for what is not there or not visible, Forbidden for a viewer of its project."""
    row = get(db, kind, parse(entity_id))
    project_id = project_of(kind, row)
    if projects.role_of(db, project_id, by) is None:
        raise NotFound(f"no {kind} {row.id}")  # the words of one that is not there
    projects.require(db, project_id, by, projects.Role.EDITOR)
    return row
