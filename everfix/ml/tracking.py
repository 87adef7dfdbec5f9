"""An MLflow tracking server, over its documented REST API and the guarded way out.

Not through MLflow's own client: that one takes its credentials from the environment of the process (two imports at once would share
them), resolves addresses itself (so that no guard could hold it to the address that was judged), and needs a cloud store's own
credentials to read an artifact that the server would hand out.
"""

from __future__ import annotations

import base64
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlencode, urlsplit

from everfix.core import outbound
from everfix.core.db import Json
from everfix.core.outbound import Guard
from everfix.errors import Invalid, Outbound

TIMEOUT = 60.0
ANSWER, TABLE, SMALL = 50_000_000, 50_000_000, 1_000_000  # bytes
RUNS, POINTS, PAGES = 100, 25_000, 10_000


def address(url: str) -> str:
    """Return the address of a tracking server without what does not belong to it; raises Invalid saying what is allowed."""
    try:
        parts = urlsplit(url.strip())
        port_is_sound = parts.port is None or parts.port > 0
    except ValueError as problem:
        raise Invalid(f"url: {problem}", details={"url": "http:// or https:// and a host"}) from problem
    if parts.scheme not in ("http", "https") or not parts.hostname or not port_is_sound:
        raise Invalid("url: this is no address of a tracking server", details={"url": "http:// or https:// and a host"})
    if parts.username or parts.password:
        raise Invalid("url: credentials do not belong into the address", details={"url": "send token, or username and password"})
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{parts.scheme}://{host}{f':{parts.port}' if parts.port else ''}{parts.path.rstrip('/')}"


def authorization(secret: Json) -> dict[str, str]:
    """Return the header that a sealed secret stands for: a token, or a user and password."""
    if secret.get("token"):
        return {"Authorization": f"Bearer {secret['token']}"}
    if secret.get("username"):
        pair = f"{secret['username']}:{secret.get('password', '')}"
        return {"Authorization": "Basic " + base64.b64encode(pair.encode()).decode()}
    return {}


class Server:
    """One tracking server; every call raises Outbound, which says whether trying again may help."""

    def __init__(self, guard: Guard, url: str, headers: dict[str, str]) -> None:
        self.guard, self.url, self.headers = guard, url, headers
        self.name = urlsplit(url).hostname or url

    def experiments(self) -> Iterator[Json]:
        """Yield each active experiment."""
        yield from self._pages("/api/2.0/mlflow/experiments/search", {"max_results": 500, "view_type": "ACTIVE_ONLY"}, "experiments")

    def runs(self, experiment_id: str, filter_: str) -> Iterator[list[Json]]:
        """Yield the active runs that fit, in pages, those that ended first first."""
        body: Json = {"experiment_ids": [experiment_id], "filter": filter_, "run_view_type": "ACTIVE_ONLY", "max_results": RUNS}
        body["order_by"] = ["attributes.end_time ASC", "attributes.run_id ASC"]
        for _ in range(PAGES):
            answer = self._call("POST", "/api/2.0/mlflow/runs/search", body)
            yield answer.get("runs", [])
            if not answer.get("next_page_token"):
                return
            body["page_token"] = answer["next_page_token"]

    def history(self, run_id: str, metric: str) -> list[Json]:
        """Return every value of a metric that was logged, up to a bound."""
        query: Json = {"run_id": run_id, "metric_key": metric, "max_results": POINTS}
        found: list[Json] = self._call("GET", f"/api/2.0/mlflow/metrics/get-history?{urlencode(query)}").get("metrics", [])
        return found

    def files(self, run_id: str, path: str = "") -> list[Json]:
        """Return what lies in a folder of a run's artifacts."""
        query = {"run_id": run_id, **({"path": path} if path else {})}
        found: list[Json] = self._call("GET", f"/api/2.0/mlflow/artifacts/list?{urlencode(query)}").get("files", [])
        return found

    def file(self, run_id: str, path: str, most: int) -> bytes:
        """Return an artifact of at most so many bytes."""
        query = urlencode({"run_uuid": run_id, "path": path})
        answer = outbound.call(self.guard, "GET", f"{self.url}/get-artifact?{query}", headers=self.headers, timeout=TIMEOUT, limit=most)
        return outbound.judge(answer, self.name).content

    def model_file(self, model_id: str) -> bytes:
        """Return the description of a logged model (MLflow 3), which holds its flavour and signature."""
        path = f"/ajax-api/2.0/mlflow/logged-models/{model_id}/artifacts/files?{urlencode({'artifact_file_path': 'MLmodel'})}"
        answer = outbound.call(self.guard, "GET", self.url + path, headers=self.headers, timeout=TIMEOUT, limit=SMALL)
        return outbound.judge(answer, self.name).content

    def registered(self) -> Iterator[Json]:
        """Yield each registered model."""
        yield from self._pages("/api/2.0/mlflow/registered-models/search", {"max_results": 200}, "registered_models", method="GET")

    def versions(self) -> Iterator[Json]:
        """Yield each version of every registered model."""
        yield from self._pages("/api/2.0/mlflow/model-versions/search", {"max_results": 1_000}, "model_versions", method="GET")

    def _pages(self, path: str, query: Json, key: str, *, method: str = "POST") -> Iterator[Json]:
        for _ in range(PAGES):
            answer = self._call(method, path if method == "POST" else f"{path}?{urlencode(query)}", query if method == "POST" else None)
            yield from answer.get(key, [])
            if not answer.get("next_page_token"):
                return
            query = {**query, "page_token": answer["next_page_token"]}

    def _call(self, method: str, path: str, body: Json | None = None) -> Json:
        headers = {**self.headers, "Accept": "application/json", **({"Content-Type": "application/json"} if body is not None else {})}
        content = None if body is None else json.dumps(body).encode()
        answer = outbound.call(self.guard, method, self.url + path, headers=headers, content=content, timeout=TIMEOUT, limit=ANSWER)
        outbound.judge(answer, self.name)
        try:
            found: Any = answer.json()
        except ValueError as problem:
            raise Outbound(f"{self.name} did not answer with JSON: is it an MLflow tracking server?", permanent=True) from problem
        if not isinstance(found, dict):
            raise Outbound(f"{self.name} did not answer as an MLflow tracking server does", permanent=True)
        return found
