"""`/v1/ml` as its users meet it: registering, uploading, who sees what, and what is refused."""

from __future__ import annotations

import io
import subprocess
import sys
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from everfix.core import ids
from everfix.identity.principals import Scope
from everfix.ml import deployments, frames, uploads
from tests import make

CSV = {"Content-Type": "text/csv"}
ZERO = "00000000-0000-7000-8000-000000000000"


def send(api: make.Api, path: str, content: str | bytes, **headers: str) -> Any:
    return api.call("POST", path, content=content, headers={**CSV, **headers})


def project(api: make.Api, name: str = "Churn") -> str:
    return str(api.ok("POST", "/v1/ml/projects", {"name": name})["id"])


def model(api: make.Api, here: str) -> str:
    experiment = api.ok(
        "POST", "/v1/ml/experiments", {"project_id": here, "name": "Search", "problem_type": "binary", "status": "succeeded"}
    )
    return str(api.ok("POST", "/v1/ml/models", {"experiment_id": experiment["id"], "name": "GBM_1", "metrics": {"auc": 0.9}})["id"])


def deployment(api: make.Api, here: str, name: str = "churn") -> str:
    body = {"model_id": model(api, here), "name": name, "stage": "production"}
    return str(api.ok("POST", "/v1/ml/deployments", body)["id"])


def files(workspace: make.Workspace) -> set[str]:
    return set(workspace.installation.storage.keys(workspace.id, "ml"))


def test_a_project_is_seen_by_its_members_and_the_workspaces_admins(alice: make.Workspace) -> None:
    here = project(alice.analyst)
    path = f"/v1/ml/projects/{here}"
    assert [row["id"] for row in alice.analyst.ok("GET", "/v1/ml/projects")["data"]] == [here]
    for api in (alice.api, alice.admin, alice.service):
        assert api.get(path).status_code == 200
    assert alice.viewer.get(path).status_code == 404
    assert alice.viewer.ok("GET", "/v1/ml/projects")["data"] == []
    added = alice.analyst.ok("POST", f"{path}/members", {"email": "Viewer@Alice.example", "role": "viewer"})
    assert (added["role"], added["name"]) == ("viewer", "Viewer")
    assert alice.viewer.get(path).status_code == 200
    assert [row["email"] for row in alice.viewer.ok("GET", f"{path}/members")["data"]] == ["analyst@alice.example", "viewer@alice.example"]
    assert alice.analyst.call("DELETE", f"{path}/members/{added['id']}").status_code == 204
    assert alice.viewer.get(path).status_code == 404


def test_a_project_viewer_reads_and_an_editor_writes(alice: make.Workspace) -> None:
    """The workspace role gives the scope, the project role narrows it: an analyst who is viewer of a project changes nothing there."""
    here = project(alice.api)
    one = model(alice.api, here)
    path = f"/v1/ml/models/{one}"
    assert alice.analyst.get(path).status_code == 404
    member = alice.api.ok("POST", f"/v1/ml/projects/{here}/members", {"email": "analyst@alice.example", "role": "viewer"})
    assert alice.analyst.get(path).status_code == 200
    refused = [
        alice.analyst.patch(path, {"name": "x"}),
        alice.analyst.call("DELETE", path),
        alice.analyst.patch(f"/v1/ml/projects/{here}", {"name": "x"}),
        alice.analyst.post("/v1/ml/datasets", {"project_id": here, "name": "x"}),
        alice.analyst.post(f"/v1/ml/projects/{here}/members", {"email": "viewer@alice.example"}),
        send(alice.analyst, f"{path}/evaluation/upload", "y_true,y_pred\n1,1\n"),
    ]
    assert [answer.status_code for answer in refused] == [403] * 6
    assert refused[0].json()["error"]["message"] == "this needs the project role editor; yours is viewer"
    alice.api.ok("POST", f"/v1/ml/projects/{here}/members", {"email": "analyst@alice.example"})
    assert alice.analyst.patch(path, {"name": "x"}).json()["name"] == "x"
    assert alice.analyst.call("DELETE", f"/v1/ml/projects/{here}/members/{member['id']}").status_code == 403
    assert alice.analyst.call("DELETE", f"/v1/ml/projects/{here}").status_code == 403


def test_strangers_are_no_members_and_a_last_admin_stays(alice: make.Workspace) -> None:
    here = project(alice.analyst)
    path = f"/v1/ml/projects/{here}/members"
    answer = alice.analyst.post(path, {"email": "owner@bob.example"})
    assert (answer.status_code, "active member of this workspace" in answer.text) == (404, True)
    assert alice.analyst.post(path, {"email": "viewer@alice.example", "role": "owner"}).status_code == 422
    only = alice.analyst.ok("GET", path)["data"][0]["id"]
    assert alice.analyst.call("DELETE", f"{path}/{only}").status_code == 409


def test_scopes(alice: make.Workspace) -> None:
    here = project(alice.api)
    reader = alice.with_scopes(Scope.ML_READ)
    assert reader.get(f"/v1/ml/projects/{here}").status_code == 200
    assert reader.patch(f"/v1/ml/projects/{here}", {"name": "x"}).status_code == 403
    assert send(reader, f"/v1/ml/datasets/{ZERO}/versions/upload", "a\n1\n").status_code == 403


def test_sent_again_with_its_outside_name_a_thing_changes(alice: make.Workspace) -> None:
    here = project(alice.api)
    first = alice.api.ok("POST", "/v1/ml/experiments", {"project_id": here, "name": "A", "external_id": "7", "status": "running"})
    again = alice.api.ok("POST", "/v1/ml/experiments", {"project_id": here, "name": "A2", "external_id": "7", "status": "succeeded"})
    assert (again["id"], again["name"], again["status"]) == (first["id"], "A2", "succeeded")
    elsewhere = alice.api.ok("POST", "/v1/ml/experiments", {"project_id": project(alice.api), "name": "B", "external_id": "7"})
    assert elsewhere["id"] != first["id"]
    assert alice.api.ok("GET", "/v1/ml/experiments", project_id=here)["page"]["total"] == 1


def test_a_model_with_all_its_figures(alice: make.Workspace) -> None:
    here = project(alice.api)
    experiment = alice.api.ok("POST", "/v1/ml/experiments", {"project_id": here, "name": "Search"})
    body = {
        "experiment_id": experiment["id"],
        "name": "GBM_1",
        "algo": "GBM",
        "parameters": {"depth": 5},
        "metrics": {"auc": 0.9, "diverged": None},
        "metrics_by_split": {"train": {"auc": 0.95}, "validation": {"auc": 0.9}},
        "learning_curve": [{"step": 1, "metric": "logloss", "split": "train", "value": 0.7}],
        "feature_importance": [{"feature": "age", "importance": -0.3, "stddev": 0.1}],
        "confusion_matrix": {"labels": ["no", "yes"], "counts": [[5, 1], [2, 4]]},
        "roc": {"fpr": [0, 1], "tpr": [0, 1], "thresholds": [None, 0.5]},
        "pr": {"precision": [0.5, 1], "recall": [1, 0], "thresholds": [0.5]},
        "calibration": {"mean_predicted": [0.1], "fraction_positive": [0.2], "counts": [10]},
    }
    made = alice.api.ok("POST", "/v1/ml/models", body)
    shown = alice.api.ok("GET", f"/v1/ml/models/{made['id']}")
    assert {name: shown[name] for name in body} == body
    assert alice.api.ok("GET", f"/v1/ml/projects/{here}")["model_count"] == 1


@pytest.mark.parametrize(
    ("more", "said"),
    [
        ({"metrics": {"auc": "high"}}, "metrics.auc"),
        ({"confusion_matrix": {"labels": ["a", "b"], "counts": [[1, 2]]}}, "counts must be 2 rows of 2 numbers"),
        ({"roc": {"fpr": [0, 1], "tpr": [0, 0.5, 1]}}, "the lists must be equally long"),
        ({"roc": {"fpr": [0, 2], "tpr": [0, 1]}}, "less than or equal to 1"),
        ({"acuracy": 1}, "Extra inputs are not permitted"),
        ({"status": "done"}, "'queued', 'running', 'succeeded' or 'failed'"),
        ({"name": "x\x00"}, "NUL"),
        ({"training_time_ms": -1}, "greater than or equal to 0"),
    ],
)
def test_wrong_figures_are_refused(alice: make.Workspace, more: dict[str, Any], said: str) -> None:
    experiment = alice.api.ok("POST", "/v1/ml/experiments", {"project_id": project(alice.api), "name": "Search"})
    answer = alice.api.post("/v1/ml/models", {"experiment_id": experiment["id"], "name": "x", **more})
    assert answer.status_code == 422
    assert said in answer.text


def test_what_is_named_must_be_there_and_of_the_same_project(alice: make.Workspace) -> None:
    here, there = project(alice.api), project(alice.api)
    assert alice.api.post("/v1/ml/experiments", {"project_id": ZERO, "name": "x"}).status_code == 404
    assert alice.api.post("/v1/ml/models", {"experiment_id": ZERO, "name": "x"}).status_code == 404
    assert alice.api.post("/v1/ml/experiments", {"project_id": "nonsense", "name": "x"}).status_code == 422
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": there, "name": "x"})
    version = alice.api.ok(
        "POST", f"/v1/ml/datasets/{data['id']}/versions", {"rows": 3, "schema": [{"name": "a", "type": "number", "mean": 2}]}
    )
    answer = alice.api.post("/v1/ml/experiments", {"project_id": here, "name": "x", "dataset_version_id": version["id"]})
    assert answer.status_code == 404
    assert version["schema"] == [{"name": "a", "type": "number", "mean": 2}]


def test_a_data_set_is_uploaded_in_versions(alice: make.Workspace) -> None:
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "Customers"})
    path = f"/v1/ml/datasets/{data['id']}/versions"
    first = send(alice.api, f"{path}/upload?target_column=y", "age,y\n" + "30,1\n" * 60 + "40,0\n")
    assert first.status_code == 201, first.text
    version, table = first.json()["version"], first.json()["table"]
    assert (version["number"], version["rows"], version["target_column"]) == (1, 61, "y")
    assert [column["type"] for column in version["schema"]] == ["integer", "integer"]
    assert version["quality"]["overall_score"] < 90
    assert (table["format"], table["rejected"]) == ("csv", 0)
    frame = pl.DataFrame({"age": [1, 2]})
    body = io.BytesIO()
    frame.write_parquet(body)
    second = alice.api.call("POST", f"{path}/upload", files={"file": ("two.parquet", body.getvalue(), "application/octet-stream")})
    assert second.json()["version"]["number"] == 2
    assert second.json()["table"]["file_name"] == "two.parquet"
    assert [row["number"] for row in alice.api.ok("GET", path)["data"]] == [2, 1]
    shown = alice.api.ok("GET", f"/v1/ml/dataset-versions/{version['id']}")
    assert shown["schema"] == version["schema"]
    assert alice.api.ok("GET", f"/v1/ml/dataset-versions/{version['id']}/table")["sha256"] == table["sha256"]


def test_bad_rows_are_listed_or_refused(alice: make.Workspace) -> None:
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "x"})
    path = f"/v1/ml/datasets/{data['id']}/versions/upload"
    content = "a,b\n" + "1,2\n" * 200 + "x,2\n"
    table = send(alice.api, path, content).json()["table"]
    assert (table["rows"], table["rejected"]) == (200, 1)
    assert table["rejects"] == [{"row": 201, "column": "a", "reason": "'x' is not a whole number"}]
    strict = send(alice.api, f"{path}?strict=true", content)
    assert (strict.status_code, strict.json()["error"]["message"]) == (
        422,
        "1 rows cannot be read; the first: row 201, a: 'x' is not a whole number",
    )


@pytest.mark.parametrize(
    ("content", "kind", "status", "said"),
    [
        (b"a\n1\n", "image/png", 415, "'image/png' is not read here"),
        (b"PK\x03\x04", "text/csv", 415, "a zip archive or an Excel workbook"),
        (b"", "text/csv", 422, "the body is empty"),
        (b"a,b\n", "text/csv", 422, "the table has no rows"),
        (b"a,a\n1\n2\n", "text/csv", 422, "2 of 2 rows cannot be read"),
        (b"PAR1", "application/vnd.apache.parquet", 422, "the Parquet file is broken"),
    ],
)
def test_what_cannot_be_read_is_refused(alice: make.Workspace, content: bytes, kind: str, status: int, said: str) -> None:
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "x"})
    before = files(alice)
    answer = send(alice.api, f"/v1/ml/datasets/{data['id']}/versions/upload", content, **{"Content-Type": kind})
    assert (answer.status_code, said in answer.text) == (status, True), answer.text
    assert alice.api.ok("GET", f"/v1/ml/datasets/{data['id']}/versions")["data"] == []
    assert files(alice) == before
    assert not list(alice.installation.settings.data_dir.glob("upload-*"))


def test_a_form_without_a_file(alice: make.Workspace) -> None:
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "x"})
    path = f"/v1/ml/datasets/{data['id']}/versions/upload"
    assert "no file of that name" in alice.api.call("POST", path, files={"other": ("x.csv", b"a\n1\n")}).text
    assert "kept=given" in send(alice.api, f"{path}?map=nonsense", "a\n1\n").text


def test_a_file_that_needs_too_much_memory_is_refused(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    """A column of one word, ten million times: a small file that would need gigabytes once the words are written out."""
    import pyarrow as pa
    from pyarrow import parquet as arrow_parquet

    path = tmp_path / "bomb.parquet"
    words = pa.DictionaryArray.from_arrays(pa.array([0] * 2_000_000, pa.int32()), pa.array(["x" * 10_000]))
    arrow_parquet.write_table(pa.table({"a": words}), path)
    assert path.stat().st_size < 100_000
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "x"})
    answer = send(alice.api, f"/v1/ml/datasets/{data['id']}/versions/upload", path.read_bytes())
    assert answer.status_code == 413, answer.text
    assert answer.json()["error"]["code"] == "payload_too_large"


def test_larger_bodies_are_read_on_upload_routes_only(alice: make.Workspace) -> None:
    settings = alice.installation.settings
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "x"})
    content = b"a,b\n" + b"1,2\n" * (settings.request_max_bytes // 4)
    assert send(alice.api, f"/v1/ml/datasets/{data['id']}/versions/upload", content).status_code == 201
    assert send(alice.api, "/v1/ml/datasets", content).status_code == 413


def test_without_the_extra_the_routes_say_so(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(uploads, "LIBRARIES", ("polars", "not_installed_here"))
    data = alice.api.ok("POST", "/v1/ml/datasets", {"project_id": project(alice.api), "name": "x"})
    answer = send(alice.api, f"/v1/ml/datasets/{data['id']}/versions/upload", "a\n1\n")
    assert (answer.status_code, answer.json()["error"]["message"]) == (
        503,
        "this installation cannot read tables: not_installed_here missing; install everfix[ml]",
    )


LOG = "timestamp,age,prediction,score,label,latency_ms,error\n"


def test_a_prediction_log_grows_in_parts(alice: make.Workspace) -> None:
    one = deployment(alice.api, project(alice.api))
    path = f"/v1/ml/deployments/{one}/predictions/upload"
    first = send(alice.api, path, LOG + "2026-01-01T00:00:00Z,30,1,0.9,1,10,\n2026-01-01T01:00:00Z,31,0,0.1,,20,boom\n").json()["part"]
    assert (first["rows"], first["errors"], first["labelled"]) == (2, 1, 1)
    assert (first["first_at"], first["last_at"]) == ("2026-01-01T00:00:00Z", "2026-01-01T01:00:00Z")
    again = send(alice.api, path, LOG + "2026-01-01T00:00:00Z,30,1,0.9,1,10,\n2026-01-01T01:00:00Z,31,0,0.1,,20,boom\n")
    assert (again.status_code, first["id"] in again.text) == (409, True)
    second = send(alice.api, path, LOG + "2026-01-02T00:00:00Z,30.5,1,0.9,1,30,\n")
    assert second.status_code == 201, second.text
    wrong = send(alice.api, path, LOG + "2026-01-03T00:00:00Z,old,1,0.9,1,30,\n")
    assert (wrong.status_code, "age: the column is text here and number in the log so far" in wrong.text) == (422, True)
    assert alice.api.ok("GET", f"/v1/ml/deployments/{one}/predictions")["page"]["total"] == 2
    with alice.db() as db:
        found = deployments.parts(db, ids.parse(ids.Prefix.DEPLOYMENT, one))
        row = deployments.get(db, ids.parse(ids.Prefix.DEPLOYMENT, one), alice.principal)
        assert deployments.features(row, found[0][1]) == ["age"]
    keys = [table.key for _, table in found]
    with frames.scanned(alice.installation.storage, keys) as rows:
        assert rows.select("age", "latency_ms").collect().rows() == [(30.0, 10.0), (31.0, 20.0), (30.5, 30.0)]
    with frames.scanned(alice.installation.storage, keys, since=found[0][0].last_at, until=found[1][0].first_at) as rows:
        assert rows.select("latency_ms").collect().rows() == [(20.0,)]


def test_a_new_production_deployment_archives_the_one_before(alice: make.Workspace) -> None:
    here = project(alice.api)
    first, other, second = deployment(alice.api, here), deployment(alice.api, here, "fraud"), deployment(alice.api, here)
    states = {row["id"]: row["status"] for row in alice.api.ok("GET", "/v1/ml/deployments", project_id=here)["data"]}
    assert states == {first: "archived", other: "active", second: "active"}


def test_removing_a_project_removes_its_files(alice: make.Workspace) -> None:
    before = files(alice)
    here = project(alice.api)
    one = deployment(alice.api, here)
    send(alice.api, f"/v1/ml/deployments/{one}/reference/upload", "age\n1\n")
    send(alice.api, f"/v1/ml/deployments/{one}/reference/upload", "age\n2\n")
    run = alice.api.ok("POST", "/v1/ml/synthgen-runs", {"project_id": here, "name": "x", "columns": {"a": "categorical"}})
    for table in ("real", "synthetic", "holdout"):
        assert send(alice.api, f"/v1/ml/synthgen-runs/{run['id']}/{table}/upload", "a\n1\n").status_code == 201
    assert send(alice.api, f"/v1/ml/synthgen-runs/{run['id']}/fake/upload", "a\n1\n").status_code == 404
    alice.work()
    assert len(files(alice) - before) == 4  # the first reference was replaced
    assert alice.api.call("DELETE", f"/v1/ml/projects/{here}").status_code == 204
    alice.work()
    assert files(alice) == before
    assert alice.api.get(f"/v1/ml/deployments/{one}").status_code == 404


def test_a_privacy_session(alice: make.Workspace) -> None:
    body = {
        "project_id": project(alice.api),
        "name": "GDPR check",
        "profile": "gdpr",
        "findings": [{"column": "mail", "pii_type": "email", "count": 10, "rows": None, "confidence": 0.99}],
        "transformations": [{"column": "mail", "pii_type": "email", "action": "hash", "changed": 10, "config": {}}],
        "risk": {"k_anonymity": {"before": 1, "after": 5}},
    }
    made = alice.api.ok("POST", "/v1/ml/privacy-sessions", body)
    assert {name: made[name] for name in body} == body
    wrong = alice.api.post("/v1/ml/privacy-sessions", {**body, "transformations": [{"column": "a", "action": "burn", "changed": 1}]})
    assert wrong.status_code == 422


def test_a_server_loads_nothing_of_the_extra() -> None:
    """Tables are read, and reports made, by processes of their own: the server stays small, and works where the extra is not installed."""
    code = """
import sys, types, pathlib, everfix.app, everfix.settings, everfix.worker
everfix.app.create_app(types.SimpleNamespace(settings=everfix.settings.Settings(data_dir=pathlib.Path("nowhere"))))
print([m for m in ("polars", "pyarrow", "pandas", "sklearn", "sdmetrics", "evidently", "mlflow") if m in sys.modules])
"""
    told = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert told.stdout.strip() == "[]"
