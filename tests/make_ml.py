"""Builders of ML things: a project with one of each in it."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from sqlalchemy import select

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

# What `tests/test_strangers.py` must know of the routes under /v1/ml: ids in paths, words, sound bodies and files, what removes others.
NOBODY = "00000000-0000-7000-8000-000000000000"
NAMED = {
    **{
        f"{noun}_id": noun
        for noun in ("dataset", "dataset_version", "experiment", "model", "deployment", "monitor", "synthgen_run", "privacy_session")
    },
    "import_id": "import",
    "project_id": "ml_project",
    "project_member_id": "ml_member",
}
WORDS = {"synthgen_table": "real", "privacy_table": "original"}
BODIES: dict[tuple[str, str], Any] = {
    ("POST", "/v1/ml/projects"): {"name": "x"},
    ("PATCH", "/v1/ml/projects/{project_id}"): {"name": "x"},
    ("POST", "/v1/ml/projects/{project_id}/members"): {"email": "viewer@alice.example"},
    ("POST", "/v1/ml/datasets"): {"project_id": NOBODY, "name": "x"},
    ("POST", "/v1/ml/datasets/{dataset_id}/versions"): {"rows": 1},
    ("POST", "/v1/ml/experiments"): {"project_id": NOBODY, "name": "x"},
    ("PATCH", "/v1/ml/experiments/{experiment_id}"): {"name": "x"},
    ("POST", "/v1/ml/models"): {"experiment_id": NOBODY, "name": "x"},
    ("PATCH", "/v1/ml/models/{model_id}"): {"name": "x"},
    ("POST", "/v1/ml/deployments"): {"model_id": NOBODY, "name": "x", "stage": "staging"},
    ("PATCH", "/v1/ml/deployments/{deployment_id}"): {"name": "x"},
    ("POST", "/v1/ml/imports"): {"project_id": NOBODY, "url": "https://mlflow.example"},
    ("POST", "/v1/ml/monitors"): {"deployment_id": NOBODY, "metric": "error_rate", "threshold": 0.1},
    ("PATCH", "/v1/ml/monitors/{monitor_id}"): {"name": "x"},
    ("POST", "/v1/ml/synthgen-runs"): {"project_id": NOBODY, "name": "x"},
    ("PATCH", "/v1/ml/synthgen-runs/{synthgen_run_id}"): {"name": "x"},
    ("POST", "/v1/ml/privacy-sessions"): {"project_id": NOBODY, "name": "x"},
    ("PATCH", "/v1/ml/privacy-sessions/{privacy_session_id}"): {"name": "x"},
}
UPLOADS = {
    "/v1/ml/datasets/{dataset_id}/versions/upload": "a,b\n1,x\n2,y\n",
    "/v1/ml/models/{model_id}/evaluation/upload": "y_true,y_pred\n1,1\n0,1\n",
    "/v1/ml/deployments/{deployment_id}/predictions/upload": "timestamp,x\n2026-01-01T00:00:00Z,1\n",
    "/v1/ml/deployments/{deployment_id}/reference/upload": "x\n1\n",
    "/v1/ml/synthgen-runs/{synthgen_run_id}/{synthgen_table}/upload": "a\n1\n",
    "/v1/ml/privacy-sessions/{privacy_session_id}/{privacy_table}/upload": "a\n1\n",
}
HOLDERS = (
    "deployments/{deployment_id}",
    "models/{model_id}",
    "experiments/{experiment_id}",
    "datasets/{dataset_id}",
    "projects/{project_id}",
)


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
    here = project(workspace, owner="admin", analyst="admin")
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
    with workspace.db() as db:
        made["ml_member"] = db.execute(
            select(Member.id).where(Member.project_id == here, Member.user_id == workspace.users["owner"])
        ).scalar_one()
    return made
