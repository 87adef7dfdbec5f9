"""Import from a real MLflow tracking server, started here, with scikit-learn models trained and logged there."""

from __future__ import annotations

import io
import json
import os
import socket
import subprocess
import sys
import time as clocks
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
from pypdf import PdfReader
from sqlalchemy import select
from typer.testing import CliRunner

from everfix import cli, cli_ml
from everfix.core import jobs
from everfix.errors import Invalid
from everfix.ml import frames, importing, mlflow, tables, tracking
from everfix.ml.imports import Import
from everfix.ml.models import Model
from tests import make
from tests.shared import ROOT
from tests.test_ml_api import project


def _process(*words: str, **more: Any) -> subprocess.Popen[str]:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "MLFLOW_ENABLE_ARTIFACTS_PROGRESS_BAR": "false", "GIT_PYTHON_REFRESH": "quiet"}
    return subprocess.Popen([sys.executable, "-W", "ignore", *words], env=environment, text=True, **more)


@pytest.fixture(scope="module")
def tracker(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A tracking server with sqlite and a folder of artifacts."""
    folder = tmp_path_factory.mktemp("mlflow")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = ["--backend-store-uri", f"sqlite:///{folder}/mlflow.db", "--artifacts-destination", str(folder / "artifacts")]
    with (folder / "log").open("w") as log:
        words = ["-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port), "--workers", "1", *store]
        started = _process(*words, stdout=log, stderr=log, cwd=folder, start_new_session=True)
        url = f"http://127.0.0.1:{port}"
        try:
            for _ in range(600):
                try:
                    if httpx.get(f"{url}/health").is_success:
                        break
                except httpx.HTTPError:
                    clocks.sleep(0.2)
                assert started.poll() is None, (folder / "log").read_text()
            yield url
        finally:
            os.killpg(started.pid, 9)  # it has nothing to lose, and takes its time to end
            started.wait(60)


def fill(url: str, what: str) -> dict[str, str]:
    done = _process("-m", "tests.mlflow_fill", url, what, stdout=subprocess.PIPE, stderr=subprocess.PIPE)
    out, err = done.communicate(timeout=180)
    assert done.returncode == 0, err[-3000:]
    found: dict[str, str] = json.loads(out.strip().splitlines()[-1])
    return found


@pytest.fixture(scope="module")
def first(tracker: str) -> dict[str, str]:
    return fill(tracker, "first")


@pytest.fixture(autouse=True)
def _allowed(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alice.installation.settings, "outbound_allow", ("127.0.0.1",))


def take(alice: make.Workspace, url: str, here: str, **more: Any) -> Any:
    """Import and return the import as it is shown after its job."""
    made = alice.api.ok("POST", "/v1/ml/imports", {"project_id": here, "url": url, **more})
    alice.work()
    return alice.api.ok("GET", f"/v1/ml/imports/{made['id']}")


def rows(alice: make.Workspace) -> dict[str, Model]:
    with alice.db() as db:
        return {row.name: row for row in db.execute(select(Model)).scalars()}


def test_a_tracking_server_is_taken_in_and_then_what_is_new(alice: make.Workspace, tracker: str, first: dict[str, str]) -> None:
    here = project(alice.api)
    shown = take(alice, tracker, here)
    assert (shown["job"]["status"], shown["job"]["error"], shown["warnings"]) == ("succeeded", None, [])
    assert shown["counts"] == {"experiments": 3, "models": 5, "new": 11, "changed": 0}  # Default is empty; data set, version, deployment
    found = rows(alice)
    _check_boosted(alice, found["boosted 30"], tracker)
    assert {name: (row.status, row.is_best) for name, row in found.items()} == {
        "boosted 30": ("succeeded", True),
        "logistic": ("succeeded", False),
        "broken": ("failed", False),
        "slow": ("running", False),
        "ridge": ("succeeded", True),
    }
    experiments = {row["name"]: row for row in alice.api.ok("GET", "/v1/ml/experiments")["data"]}
    assert {name: (row["problem_type"], row["metric"], row["status"]) for name, row in experiments.items()} == {
        "Default": ("other", None, "succeeded"),
        "cancer": ("classification", "auc", "running"),
        "diabetes": ("regression", "rmse", "succeeded"),
    }
    (deployed,) = alice.api.ok("GET", "/v1/ml/deployments")["data"]
    assert (deployed["name"], deployed["stage"], deployed["config"]) == ("cancer", "production", {"registered_version": "1"})
    (data,) = alice.api.ok("GET", "/v1/ml/datasets")["data"]
    (version,) = alice.api.ok("GET", f"/v1/ml/datasets/{data['id']}/versions")["data"]
    assert (data["name"], version["rows"], version["columns"]) == ("breast cancer", 426, 31)
    again = take(alice, tracker, here)
    assert (again["counts"]["new"], again["counts"]["changed"]) == (0, 0)  # nothing twice
    assert again["counts"]["models"] < 5  # and not everything again
    fill(tracker, "second")
    later = take(alice, tracker, here)
    assert (later["counts"]["new"], later["counts"]["changed"]) == (1, 1)
    found = rows(alice)
    assert (found["slow"].status, found["slow"].metrics, found["slow"].is_best) == ("succeeded", {"auc": 0.999}, True)
    assert not found["boosted 30"].is_best
    assert alice.api.ok("GET", "/v1/ml/models", project_id=here)["page"]["total"] == 6


def _check_boosted(alice: make.Workspace, row: Model, url: str) -> None:
    assert row.parameters == {"n_estimators": 30, "learning_rate": 0.1, "warm_start": False, "init": None}
    assert set(row.metrics) == {"auc", "accuracy", "logloss", "diverged"}
    assert row.metrics["diverged"] is None
    assert 0.9 < row.metrics["auc"] <= 1
    assert set(row.metrics_by_split) == {"train", "validation", "test"}
    curve = {split: [point for point in row.learning_curve if point["split"] == split] for split in ("train", "validation")}
    assert [len(points) for points in curve.values()] == [30, 30]
    assert [point["step"] for point in curve["train"]] == list(range(30))
    assert curve["train"][-1]["value"] == row.metrics_by_split["train"]["logloss"]
    assert len(row.feature_importance) == 30
    assert sum(one["importance"] for one in row.feature_importance) == pytest.approx(1)
    assert {one["path"] for one in row.artifacts} == {"evaluation.csv", "tables/feature_importance.csv"}
    assert (row.registered_name, row.registered_version, row.registered_aliases) == ("cancer", "1", ["champion"])
    assert row.tags == {"team": "risk"}
    assert row.algo == "sklearn"
    assert len(row.signature["inputs"]) == 30
    assert row.source_url is not None
    assert row.source_url.startswith(f"{url}/#/experiments/")
    assert row.training_time_ms is not None
    assert row.evaluation_id is not None
    with alice.db() as db:
        table = tables.get(db, row.evaluation_id)
    assert (table.role, table.rows, table.file_name) == ("evaluation", 143, "evaluation.csv")
    with frames.scanned(alice.installation.storage, [table.key]) as lazy:
        assert lazy.collect_schema().names() == ["y_true", "y_pred", "y_score"]


def test_what_was_imported_is_reported_on(alice: make.Workspace, tracker: str, first: dict[str, str]) -> None:
    """From the tracking server to the file in hand, through the API alone: import, order, poll, view, download."""
    here = project(alice.api)
    assert take(alice, tracker, here)["job"]["status"] == "succeeded"
    found = {row["name"]: row for row in alice.api.ok("GET", "/v1/ml/models", project_id=here)["data"]}
    search = {row["name"]: row["id"] for row in alice.api.ok("GET", "/v1/ml/experiments", project_id=here)["data"]}
    area = f"{found['boosted 30']['metrics']['auc']:.3f}"
    page, printed = _reported(alice, here, "model", found["boosted 30"]["id"])
    for words in ("boosted 30", "n_estimators", "ROC curve", "Confusion matrix", "Learning curve", area):
        assert words in page, words
        assert words in printed, words
    page, printed = _reported(alice, here, "experiment", search["cancer"])
    assert all(name in page and name in printed for name in ("boosted 30", "logistic", "broken", area))
    page, printed = _reported(alice, here, "model", found["ridge"]["id"])
    assert "RMSE" in page
    assert "ridge" in printed
    page, _ = _reported(alice, here, "deployment", alice.api.ok("GET", "/v1/ml/deployments", project_id=here)["data"][0]["id"])
    assert "no prediction in this time was given" in page  # nothing was logged here yet, and the report says so


def _reported(alice: make.Workspace, here: str, kind: str, entity: str) -> tuple[str, str]:
    """Order a report and return its page and the words of its PDF."""
    made = alice.api.post("/api/reports", {"project_id": here, "kind": kind, "entity_id": entity})
    assert (made.status_code, made.json()["status"]) == (201, "queued")
    path = f"/api/reports/{made.json()['report_id']}"
    assert alice.api.get(f"{path}/view").status_code == 409
    alice.work()
    report = alice.api.ok("GET", path)["report"]
    assert (report["status"], report["error"], report["summary"]["warnings"]) == ("succeeded", None, [])
    page, file = alice.api.get(f"{path}/view"), alice.api.get(f"{path}/download")
    assert page.headers["content-type"].startswith("text/html")
    assert (file.headers["content-type"], file.headers["content-disposition"].split(";")[0]) == ("application/pdf", "attachment")
    return page.text, "".join(part.extract_text() for part in PdfReader(io.BytesIO(file.content)).pages)


def test_one_experiment_by_name_and_one_that_is_not_there(alice: make.Workspace, tracker: str, first: dict[str, str]) -> None:
    here = project(alice.api)
    assert take(alice, tracker, here, experiments=["diabetes"])["counts"]["experiments"] == 1
    assert set(rows(alice)) == {"ridge"}
    missing = take(alice, tracker, here, experiments=["nothing"])
    assert (missing["job"]["status"], missing["job"]["error"]) == ("failed", "the server has no experiment 'nothing'")


def test_a_stopped_import_goes_on_where_it_was(
    alice: make.Workspace, tracker: str, first: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    """One run a page; somebody cancels after the second page: what was taken in stays, and the next import takes the rest."""
    monkeypatch.setattr(tracking, "RUNS", 1)
    here = project(alice.api)
    real, pages = importing._page, []

    def page(filler: importing.Filler, *more: Any) -> None:
        real(filler, *more)
        pages.append(1)
        if len(pages) == 2:
            with alice.db() as db:
                jobs.cancel(db, filler.job.job_id)

    monkeypatch.setattr(importing, "_page", page)
    stopped = take(alice, tracker, here, experiments=["cancer"])
    assert stopped["job"]["status"] == "cancelled"
    assert len(rows(alice)) == 2
    take(alice, tracker, here, experiments=["cancer"])
    assert len(rows(alice)) >= 4
    assert len({row.external_id for row in rows(alice).values()}) == len(rows(alice))


def test_secrets_are_sealed_and_never_shown(alice: make.Workspace) -> None:
    here = project(alice.api)
    answer = alice.api.post("/v1/ml/imports", {"project_id": here, "url": "https://127.0.0.1:1/x/", "token": "very-secret"})
    assert (answer.status_code, answer.json()["has_secret"], answer.json()["url"]) == (202, True, "https://127.0.0.1:1/x")
    assert "very-secret" not in answer.text
    with alice.db() as db:
        row = db.execute(select(Import)).scalar_one()
    assert row.secret is not None
    assert b"very-secret" not in row.secret
    assert alice.api.post("/v1/ml/imports", {"project_id": here, "url": "https://127.0.0.1:1/x"}).status_code == 409  # under way


def test_private_and_wrong_addresses_are_refused(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(alice.installation.settings, "outbound_allow", ())
    here = project(alice.api)
    shown = take(alice, "http://127.0.0.1:5000", here)
    assert shown["job"]["status"] == "failed"
    assert "private address" in shown["job"]["error"]
    for url in ("ftp://x.example", "https://", "nonsense", "https://user:pass@x.example", "https://x.example:99999"):
        assert alice.api.post("/v1/ml/imports", {"project_id": here, "url": url}).status_code == 422, url
    with pytest.raises(Invalid, match="credentials"):
        tracking.address("https://user@x.example")


def test_the_command_line_imports_and_registers(
    alice: make.Workspace, tracker: str, first: dict[str, str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from contextlib import nullcontext

    monkeypatch.setattr(cli_ml, "opened", lambda _: nullcontext(alice.installation))
    monkeypatch.setattr(cli_ml, "settings_of", lambda _: alice.installation.settings)
    monkeypatch.setattr(cli_ml, "workspace_of", lambda _made, _slug: alice.id)
    run = CliRunner()

    def told(*words: str, code: int = 0) -> str:
        done = run.invoke(cli.app, ["ml", *words])
        assert done.exit_code == code, (done.output, done.exception)
        return done.output

    assert "1 experiments and 1 models read: 2 new" in told("import", "--mlflow", tracker, "--project", "Mine", "--experiment", "diabetes")
    (tmp_path / "data.csv").write_text("age,y\n1,2\n3,4\n")
    assert "version 1 of Customers: 2 rows" in told(
        "register", "dataset", str(tmp_path / "data.csv"), "--project", "Mine", "--to", "Customers"
    )
    experiment = alice.api.ok("GET", "/v1/ml/experiments")["data"][0]["id"]
    (tmp_path / "model.json").write_text(
        json.dumps([{"experiment_id": experiment, "name": "A"}, {"experiment_id": experiment, "name": "B"}])
    )
    lines = told("register", "model", str(tmp_path / "model.json")).splitlines()
    assert [line.split()[1] for line in lines] == ["A", "B"]
    (tmp_path / "eval.csv").write_text("y_true,y_pred\n1,1\n")
    assert "evaluation of A: 1 rows" in told("register", "evaluation", str(tmp_path / "eval.csv"), "--to", lines[0].split()[0])
    (tmp_path / "bad.json").write_text('{"name": 1}')
    assert "experiment_id: Field required" in told("register", "model", str(tmp_path / "bad.json"), code=1)
    assert "there is no kind 'thing'" in told("register", "thing", str(tmp_path / "bad.json"), code=1)
    assert "--to must say which model" in told("register", "evaluation", str(tmp_path / "eval.csv"), code=1)


def test_names_and_values_are_translated() -> None:
    whole, splits = mlflow.metrics({"training_accuracy_score": 1.0, "accuracy_score": 0.9, "val_loss": 0.3, "custom": 2.0})
    assert whole == {"accuracy": 0.9, "custom": 2.0, "loss": 0.3}
    assert splits == {"train": {"accuracy": 1.0}, "validation": {"loss": 0.3}}
    assert [mlflow.number(value) for value in ("NaN", "Infinity", 1, None, "x")] == [None, None, 1.0, None, None]
    long = mlflow.curve("val_loss", [{"step": step, "value": step} for step in range(5_000)])
    assert (len(long), long[0]["step"], long[-1]["step"], long[0]["split"]) == (1_000, 0, 4_999, "validation")
    assert mlflow.best([("a", {"rmse": 3.0}), ("b", {"rmse": 2.0}), ("c", {})], "rmse") == "b"
    assert mlflow.importance("feature_importance.json", b'{"age": 0.5, "bad": "x"}') == [{"feature": "age", "importance": 0.5}]
    assert mlflow.described(b"flavors:\n  python_function: {}\n  lightgbm: {}\nsignature:\n  inputs: '[]'\n") == ("lightgbm", {})
    for wrong in (b"a: [", b"- x", b"\xff"):
        with pytest.raises(ValueError, match="no "):
            mlflow.described(wrong)
    assert importing.mlflow_stage("None", ["Champion"]) == "production"
    assert importing.mlflow_stage("Staging", []) == "staging"
    assert importing.mlflow_stage("None", ["best"]) is None
