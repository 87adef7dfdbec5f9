"""Registered models on Model Health and in model governance, and how long each class of data is kept."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest

from everfix import kept
from everfix.core import ids
from everfix.metrics import periods, query, registry
from everfix.ml.deployments import Deployment
from everfix.ml.experiments import Experiment
from everfix.ml.models import Model
from everfix.ml.monitors import Monitor
from tests import make, make_ml
from tests.test_web import Person

GOVERNANCE, RETENTION = "/api/v1/model-governance", "/api/v1/admin/retention-configs"


def registered(workspace: make.Workspace, project: UUID, **roles: Any) -> dict[str, UUID]:
    """Register two versions of one model, serve the newer one, and let two monitors look at it."""
    mine: dict[str, Any] = {"project_id": project}
    experiment = make_ml.add(workspace, Experiment, name="Churn search", status="succeeded", problem_type="binary", metric="auc", **mine)
    common = {"experiment_id": experiment, "registered_name": "churn", "algo": "gbm", **mine}
    older = make_ml.add(
        workspace, Model, name="GBM_1", registered_version="1", metrics={"auc": 0.81}, finished_at=make.NOW.replace(day=1), **common
    )
    weights = [{"feature": name, "importance": weight} for name, weight in (("age", 0.2), ("visits", -0.7), ("plan", 0.1))]
    newer = make_ml.add(
        workspace,
        Model,
        name="GBM_2",
        registered_version="2",
        metrics={"auc": 0.86},
        finished_at=make.NOW.replace(day=9),
        feature_importance=weights,
        **common,
    )
    place = make_ml.add(workspace, Deployment, model_id=newer, name="churn", stage="production", **mine)
    limits = {"operator": "gt", "window_minutes": 60, "min_rows": 10, "deployment_id": place, "evaluated_at": make.NOW, **mine}
    psi = make_ml.add(workspace, Monitor, name="Drift", metric="prediction_psi", threshold=0.2, value=0.31, state="firing", **limits)
    drop = make_ml.add(workspace, Monitor, name="AUC", metric="auc_drop", threshold=0.1, value=0.04, state="ok", **limits)
    return {"experiment": experiment, "older": older, "newer": newer, "deployment": place, "psi": psi, "drop": drop}


@pytest.fixture
def models(alice: make.Workspace) -> dict[str, UUID]:
    return registered(alice, make_ml.project(alice, owner="admin"))


@pytest.fixture
def recent(alice: make.Workspace, time: object) -> None:
    make.with_history(alice)


def test_model_health_shows_registered_models_with_auc_and_drift(alice: make.Workspace, models: dict[str, UUID], recent: None) -> None:
    """D79, D80: the newest version against the one before, its PSI by band, what it goes by, and how experiments stand."""
    page = Person(alice.client).enter(alice.secrets["owner"]).page("/dashboards/model-health")
    for title in ("Registered models", "What the models go by", "Experiments"):
        assert f">{title}</h2>" in page
    with alice.db() as db:
        found = registry.registered(db, alice.principal)
        (row,) = registry.models(found).rows
        weights = registry.importance(found).rows
        ((experiment, status, problem, metric, count, _),) = registry.experiments(db, alice.principal).rows
    assert row[:8] == ("churn", "2", "production", 0.86, 0.81, 0.31, "retrain", -0.04)
    assert [feature for _, feature, _ in weights] == ["visits", "age", "plan"], "by weight, whatever its sign"
    assert (experiment, status, problem, metric, count) == ("Churn search", "succeeded", "binary", "auc", 2)
    assert "churn" in page
    assert "retrain" in page


@pytest.mark.parametrize(
    ("psi", "band"), [(0.0, "fine"), (0.099, "fine"), (0.1, "watch"), (0.25, "watch"), (0.2501, "retrain"), (None, None)]
)
def test_the_bands_of_drift(psi: float | None, band: str | None) -> None:
    assert registry.band(psi) == band


def test_a_model_without_auc_is_no_zero(alice: make.Workspace) -> None:
    """D82."""
    project = make_ml.project(alice, owner="admin")
    experiment = make_ml.add(alice, Experiment, name="Bandit", project_id=project)
    make_ml.add(alice, Model, name="T", registered_name="thompson", experiment_id=experiment, project_id=project, metrics={"reward": 3})
    with alice.db() as db:
        (row,) = registry.models(registry.registered(db, alice.principal)).rows
        assert query.records(db, "model_auc_summary_with_prev", periods.last(30, make.NOW, "UTC")) == [], "no zero stands for it"
    assert row == ("thompson", None, "nowhere", None, None, None, None, None, None)


def test_who_is_not_in_the_project_sees_none_of_it(alice: make.Workspace, models: dict[str, UUID], recent: None) -> None:
    page = Person(alice.client).enter(alice.secrets["viewer"]).page("/dashboards/model-health")
    assert "none that you may see" in page
    assert "churn" not in page.lower().replace("churn search", "churn")
    assert alice.viewer.get(GOVERNANCE, modelId=str(models["newer"])).status_code == 404


def test_governance_of_a_registered_model(alice: make.Workspace, bob: make.Workspace, models: dict[str, UUID]) -> None:
    """D81: the documented fields."""
    shown = str(models["newer"])
    patched = alice.api.call("PATCH", f"/v1/ml/deployments/{models['deployment']}", json={"traffic_percent": 50})
    assert patched.status_code == 200, patched.text
    found = alice.api.ok("GET", GOVERNANCE, modelId=shown)
    assert found["modelId"] == shown
    (approval,) = found["approvals"]
    assert (approval["stage"], approval["approvedBy"], approval["deploymentId"]) == ("production", "Alice Owner", str(models["deployment"]))
    checks = {check["id"]: check for check in found["driftChecks"]}
    assert set(checks[str(models["psi"])]) == {"id", "modelId", "version", "driftDetected", "psiScore", "aucDelta", "checkedAt"}
    drift, drop = checks[str(models["psi"])], checks[str(models["drop"])]
    assert (drift["driftDetected"], drift["psiScore"], drift["aucDelta"], drift["version"]) == (True, 0.31, None, "2")
    assert (drop["driftDetected"], drop["psiScore"], drop["aucDelta"]) == (False, None, -0.04)
    assert drift["checkedAt"].endswith("Z")
    assert alice.api.ok("GET", GOVERNANCE, modelId=ids.show(ids.Prefix.MODEL, models["newer"])) == found
    assert alice.api.ok("GET", GOVERNANCE, modelId=str(models["older"]))["driftChecks"] == []
    assert bob.api.get(GOVERNANCE, modelId=shown).status_code == 404
    for wrong, status in (({"modelId": "nope"}, 404), ({}, 400), ({"modelId": ""}, 400)):
        assert alice.api.get(GOVERNANCE, **wrong).status_code == status


def test_governance_of_the_loops_own_predictions(alice: make.Workspace, recent: None) -> None:
    found = alice.viewer.ok("GET", GOVERNANCE, modelId="predictions")
    assert (found["modelId"], found["approvals"]) == ("predictions", [])
    for check in found["driftChecks"]:
        assert check["driftDetected"] == (check["psiScore"] > 0.25)


def test_retention_per_class_of_data(alice: make.Workspace) -> None:
    """D169 (365 days): D236, D237."""
    configs = {one["dataClass"]: one for one in alice.admin.ok("GET", RETENTION)["configs"]}
    assert (configs["report_runs"]["retentionDays"], configs["report_runs"]["legalHold"]) == (365, False)
    assert (configs["audit"]["retentionDays"], configs["audit"]["legalHold"]) == (None, True)
    assert {"interactions", "decisions", "prompt_logs"} <= set(configs)
    changed = alice.admin.ok("POST", RETENTION, {"dataClass": "report_runs", "retentionDays": 30, "legalHold": True})
    assert (changed["retentionDays"], changed["legalHold"]) == (30, True)
    with alice.db() as db:
        assert kept.rule(db) == kept.Rule(30, True)
    assert alice.admin.ok("POST", RETENTION, {"dataClass": "report_runs", "legalHold": False})["retentionDays"] == 30
    assert alice.admin.ok("POST", RETENTION, {"dataClass": "prompt_logs", "retentionDays": 7})["retentionDays"] == 7
    assert alice.admin.ok("GET", "/v1/settings/ai")["prompt_logs_days"] == 7
    actions = [entry["action"] for entry in alice.admin.ok("GET", "/api/v1/audit-logs")["data"]]
    assert actions.count("retention.updated") == 2


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"dataClass": "audit", "retentionDays": 30}, "dataClass"),
        ({"dataClass": "nope", "retentionDays": 30}, "dataClass"),
        ({"dataClass": "interactions", "legalHold": True}, "dataClass"),
        ({"dataClass": "prompt_logs", "legalHold": True}, "legalHold"),
        ({"dataClass": "report_runs"}, "retentionDays"),
        ({"dataClass": "report_runs", "retentionDays": 0}, "retentionDays"),
    ],
)
def test_wrong_retention_is_refused_by_name(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    answer = alice.admin.post(RETENTION, body)
    assert answer.status_code in (400, 422)
    assert field in answer.json()["error"]["details"], answer.text


def test_retention_is_for_admins(alice: make.Workspace) -> None:
    assert alice.analyst.get(RETENTION).status_code == 403
    assert alice.analyst.post(RETENTION, {"dataClass": "report_runs", "retentionDays": 1}).status_code == 403
