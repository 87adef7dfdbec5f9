"""The documented examples, unchanged, against a real `everfix serve`: curl, and a small client of our own that polls and streams."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from everfix.core.embedded import Embedded
from tests import ml_work
from tests.processes import everfix, wait

CREATE = """
curl -s -X POST "$BASE/api/reports" -H "Authorization: Bearer $API_KEY" -H "Content-Type: application/json" \
  -d '{"project_id": "'$PROJECT_ID'", "kind": "model", "entity_id": "'$MODEL_ID'", "options": {"llm_insights": false, "include_charts": true}}'
"""
DETAIL = 'curl -s "$BASE/api/reports/$REPORT_ID" -H "Authorization: Bearer $API_KEY"'
LIST = 'curl -s "$BASE/api/reports?project_id=$PROJECT_ID&kind=model&limit=50&offset=0" -H "Authorization: Bearer $API_KEY"'
DOWNLOAD = 'curl -s -f "$BASE/api/reports/$REPORT_ID/download" -H "Authorization: Bearer $API_KEY" -o report.pdf'
VIEW = 'curl -s -f -D headers.txt "$BASE/api/reports/$REPORT_ID/view" -H "Authorization: Bearer $API_KEY" -o report.html'


class Server:
    """A started server with a model to report on; `run` runs a line of shell as its documentation shows it."""

    def __init__(self, url: str, secret: str, folder: Path) -> None:
        self.folder, self.http = folder, httpx.Client(base_url=url, headers={"Authorization": f"Bearer {secret}"}, timeout=60)
        self.environment = {**os.environ, "BASE": url, "API_KEY": secret}
        self.project = self._made("/v1/ml/projects", {"name": "Cancer"})
        search = self._made(
            "/v1/ml/experiments", {"project_id": self.project, "name": "Search", "problem_type": "binary", "status": "succeeded"}
        )
        self.model = self._made("/v1/ml/models", {"experiment_id": search, "name": "GBM_1", "algo": "GBM", "parameters": {"depth": 3}})
        evaluation = ml_work.evaluation().write_csv()
        sent = self.http.post(f"/v1/ml/models/{self.model}/evaluation/upload", content=evaluation, headers={"Content-Type": "text/csv"})
        assert sent.is_success, sent.text

    def _made(self, path: str, body: dict[str, Any]) -> str:
        answer = self.http.post(path, json=body)
        assert answer.is_success, answer.text
        return str(answer.json()["id"])

    def run(self, line: str, **names: str) -> str:
        environment = {**self.environment, "PROJECT_ID": self.project, "MODEL_ID": self.model, **names}
        made = subprocess.run(
            ["/bin/sh", "-c", line], cwd=self.folder, env=environment, capture_output=True, text=True, timeout=60, check=False
        )
        assert made.returncode == 0, made.stderr
        return made.stdout


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    folder = Path(tempfile.mkdtemp(prefix="everfix-ml-"))
    try:
        with everfix(folder / "one", "serve", "--data-dir", str(folder / "data"), "--port", "0") as running:
            running.says("ready http")
            made = Server(running.out.split("ready ")[1].split()[0], (folder / "data" / "owner.token").read_text().strip(), folder)
            with contextlib.closing(made.http):
                yield made
    finally:
        Embedded(folder / "data").stop()
        shutil.rmtree(folder, ignore_errors=True)


def test_the_documented_curl_lines(server: Server) -> None:
    import json

    made = json.loads(server.run(CREATE))
    assert made["status"] == "queued"
    report = made["report_id"]

    def final() -> str:
        status = json.loads(server.run(DETAIL, REPORT_ID=report))["report"]["status"]
        return status if status in ("succeeded", "failed") else ""

    assert wait(final, "the report") == "succeeded", server.run(DETAIL, REPORT_ID=report)
    assert json.loads(server.run(LIST))["items"][0]["id"] == report
    server.run(DOWNLOAD, REPORT_ID=report)
    assert (server.folder / "report.pdf").read_bytes().startswith(b"%PDF-")
    server.run(VIEW, REPORT_ID=report)
    assert "GBM_1" in (server.folder / "report.html").read_text()
    assert "inline" in (server.folder / "headers.txt").read_text()


def test_a_client_that_creates_waits_and_streams(server: Server) -> None:
    """As the published client does: a POST, GETs until a final status, the file in parts of 8,192 bytes."""
    ordered = server.http.post("/api/reports", json={"project_id": server.project, "kind": "project", "entity_id": server.project}).json()
    assert set(ordered) == {"report_id", "job_id", "status"}

    def final() -> str:
        found = server.http.get(f"/api/reports/{ordered['report_id']}").json()
        status = str(found.get("report", found)["status"])
        return status if status in ("succeeded", "completed", "failed", "error") else ""

    assert wait(final, "the report") == "succeeded"
    with server.http.stream("GET", f"/api/reports/{ordered['report_id']}/download") as answer:
        parts = list(answer.iter_bytes(8192))
        size = int(answer.headers["content-length"])
    assert sum(map(len, parts)) == size
    assert server.http.get(f"/api/jobs/{ordered['job_id']}").json()["job"]["status"] == "succeeded"
