"""Builders of ML things: a project with one of each in it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from everfix.core import ids
from everfix.core.db import Base
from everfix.ml.datasets import Dataset, DatasetVersion
from everfix.ml.deployments import Deployment, PredictionPart
from everfix.ml.experiments import Experiment
from everfix.ml.imports import Import
from everfix.ml.models import Model
from everfix.ml.monitors import Monitor
from everfix.ml.privacy import PrivacySession
from everfix.ml.projects import Member, Project
from everfix.ml.synthgen import SynthgenRun
from everfix.ml.tables import Table
from tests import make


def project(workspace: make.Workspace, name: str = "Churn", **roles: str) -> UUID:
    """Make a project; `roles` names its members by the workspace's user: viewer="editor"."""
    with workspace.db() as db:
        row = Project(id=ids.new(), name=name)
        db.add(row)
        db.flush()
        for user, role in roles.items():
            db.add(Member(id=ids.new(), project_id=row.id, user_id=workspace.users[user], role=role))
        return row.id


def add(workspace: make.Workspace, row: type[Base], **values: Any) -> UUID:
    """Store one row and return its id."""
    with workspace.db() as db:
        made: Any = row(id=ids.new(), **values)
        db.add(made)
        db.flush()
        return UUID(str(made.id))


def everything(workspace: make.Workspace) -> dict[str, UUID]:
    """Make a project with one row of each kind, without files, and return each one's id."""
    here = project(workspace, owner="admin")
    mine: dict[str, Any] = {"project_id": here}
    table = {"format": "csv", "key": "nowhere", "bytes": 1, "sha256": "0", "rows": 1, "columns": 1, "schema": []}
    made = {"ml_project": here, "ml_table": add(workspace, Table, role="dataset", **table, **mine)}
    made["dataset"] = add(workspace, Dataset, name="Customers", **mine)
    made["dataset_version"] = add(workspace, DatasetVersion, dataset_id=made["dataset"], number=1, **mine)
    made["experiment"] = add(workspace, Experiment, name="Search", **mine)
    made["model"] = add(workspace, Model, experiment_id=made["experiment"], name="GBM_1", **mine)
    made["deployment"] = add(workspace, Deployment, model_id=made["model"], name="churn", stage="production", **mine)
    part = {"sha256": "0", "first_at": make.NOW, "last_at": make.NOW, "rows": 1, "errors": 0, "labelled": 0}
    made["part"] = add(workspace, PredictionPart, deployment_id=made["deployment"], table_id=made["ml_table"], **part)
    made["synthgen_run"] = add(workspace, SynthgenRun, name="Copy", **mine)
    made["privacy_session"] = add(workspace, PrivacySession, name="GDPR", **mine)
    limit = {"metric": "error_rate", "operator": "gt", "threshold": 0.1, "window_minutes": 60, "min_rows": 10}
    made["monitor"] = add(workspace, Monitor, deployment_id=made["deployment"], name="Errors", **limit, **mine)
    made["import"] = add(workspace, Import, kind="mlflow", url="https://mlflow.example", **mine)
    return made
