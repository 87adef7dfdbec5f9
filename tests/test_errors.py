"""Bad input, at every route: never a server error, always the envelope, the field named, nothing half-stored."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote

import httpx
import pytest
from fastapi.routing import APIRoute
from hypothesis import HealthCheck, assume, given, settings
from hypothesis import strategies as st
from pydantic import BaseModel
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from everfix import errors
from everfix.api import problems
from everfix.app import translate
from everfix.failures import patterns
from everfix.ingest.events import Event
from tests import make
from tests.test_strangers import BODIES, NAMED, ROUTES, WORDS

FUZZ = settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
STORED = ("issues", "signals", "patterns", "jobs", "report_runs", "changes", "audit_log", "pgqueuer")


def envelope(answer: httpx.Response) -> dict[str, Any]:
    """Return the error of an answer after checking all that every error has, in the words of its surface."""
    body = answer.json()
    if answer.request.url.path.startswith("/api/"):
        return _of_another_surface(answer, body)
    assert set(body) == {"error"}, body
    error: dict[str, Any] = body["error"]
    assert set(error) <= {"code", "message", "trace_id", "details"}, error
    assert isinstance(error["code"], str)
    assert isinstance(error["message"], str)
    assert error["message"]
    assert error["trace_id"] == answer.headers["x-request-id"]
    if "details" in error:
        assert error["details"]
        assert all(isinstance(key, str) and isinstance(value, str) for key, value in error["details"].items())
    assert answer.headers["content-type"] == "application/json"
    return error


def _of_another_surface(answer: httpx.Response, body: dict[str, Any]) -> dict[str, Any]:
    if set(body) == {"detail"}:
        assert body["detail"]
        return {"code": "", "message": body["detail"]}
    error: dict[str, Any] = body["error"]
    assert set(error) <= {"code", "message", "status", "details"}, error
    assert error["status"] == answer.status_code
    assert error["code"].isupper()
    assert error["message"]
    return error


def sound(answer: httpx.Response) -> None:
    """A fuzzed call is refused properly or answered properly."""
    unset = answer.status_code == 503 and answer.request.url.path == "/api/cron/tick"  # the reference's answer where CRON_TOKEN is not set
    assert unset or answer.status_code < 500, (str(answer.request.url)[:300], answer.request.content[:300], answer.text[:500])
    if answer.status_code >= 400:
        envelope(answer)
    else:
        assert answer.headers["content-type"].startswith("application/json")
        answer.json()


def counts(workspace: make.Workspace) -> dict[str, int]:
    with workspace.db() as db:
        return {name: int(db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one()) for name in STORED}


# --- what an attacker or a broken client sends ---

NASTY: list[Any] = [
    None, True, False, 0, -1, 1.5, 10**30, -(10**400), 1e308, "", " ", "x" * 400, "\x00", "a\x00b", "\ud800", "é" * 300, "💥", "' OR 1=1 --", "%", "..", "/",
    "{{7*7}}", "<script>", "=1+1", [], {}, [[]], {"a": {}}, ["x"] * 600, "null", "NaN", "2026-13-45", "9999-12-31T23:59:59Z", "0001-01-01", "-9999999999", "1e400",
    "iss_", "iss_OOOOOOOOOOOOOOOOOOOOOOOOOO", "iss_zzzzzzzzzzzzzzzzzzzzzzzzzz", "00000000-0000-0000-0000-000000000000", "\u202e", "p1,p2,,", ",", "true", "-title",
]  # fmt: skip
nasty = st.sampled_from(NASTY)
trees = st.recursive(
    nasty | st.text(max_size=40) | st.integers() | st.floats(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=12), inner, max_size=4),
    max_leaves=12,
)


def _dump(value: Any) -> bytes:
    """Return JSON that may hold lone surrogates, NaN and Infinity, as a careless client writes it."""
    return json.dumps(value, ensure_ascii=True, allow_nan=True).encode()


def _parameters(route: APIRoute) -> list[str]:
    names = []
    waiting = [route.dependant]
    while waiting:
        node = waiting.pop()
        names += [field.alias for field in node.query_params]
        waiting.extend(node.dependencies)
    return names


def _fields(route: APIRoute) -> list[str]:
    if route.body_field is None:
        return []
    kind: Any = route.body_field.field_info.annotation
    return list(kind.model_fields if isinstance(kind, type) and issubclass(kind, BaseModel) else Event.model_fields)


def _concrete(route: APIRoute, draw: random.Random) -> str:
    path = route.path
    for name in (*NAMED, *WORDS, "token"):
        if "{" + name + "}" in path:
            value = draw.choice([str(value) for value in NASTY if isinstance(value, str) and value.strip("/. ")])
            path = path.replace("{" + name + "}", quote(value.encode("utf-8", "surrogatepass"), safe=""))
    return path


ENDLESS = {"/v1/me/notifications/stream"}  # answers for as long as the client stays
ANSWERING = [(method, route) for method, route in ROUTES if route.path not in ENDLESS]


@pytest.fixture(params=ANSWERING, ids=[f"{method} {route.path}" for method, route in ANSWERING])
def route(request: pytest.FixtureRequest) -> tuple[str, APIRoute]:
    return request.param  # type: ignore[no-any-return]


@FUZZ
@given(seed=st.integers(0, 2**32), body=trees)
def test_any_parameters_and_bodies_are_answered(alice: make.Workspace, route: tuple[str, APIRoute], seed: int, body: Any) -> None:
    method, where = route
    draw = random.Random(seed)  # noqa: S311 - hypothesis gives the seed
    params = []
    for name in _parameters(where):
        if draw.random() < 0.4:
            value = draw.choice(NASTY)
            params.append((name, str(value).encode("utf-8", "surrogatepass").decode("utf-8", "replace")))
    good = BODIES.get((method, where.path))
    if isinstance(good, dict) and draw.random() < 0.7:
        body = {**good, **{name: draw.choice([*NASTY, body]) for name in _fields(where) if draw.random() < 0.4}}
    more: dict[str, Any] = {} if good is None else {"content": _dump(body), "headers": {"Content-Type": "application/json"}}
    sound(alice.service.call(method, _concrete(where, draw), params=params, **more))


@FUZZ
@given(raw=st.binary(max_size=200) | st.text(max_size=50).map(lambda text_: ('"' + text_).encode("utf-8", "surrogatepass")))
def test_bytes_that_are_no_json(alice: make.Workspace, raw: bytes) -> None:
    assume(raw.strip() != b"{}")
    before = counts(alice)
    for path in ("/v1/ingest/events", "/v1/ingest/batch", "/v1/reports/generate"):
        answer = alice.api.call("POST", path, content=raw, headers={"Content-Type": "application/json"})
        sound(answer)
        assert answer.status_code in (400, 422), (raw, answer.text)
    assert counts(alice) == before


@pytest.mark.parametrize(
    ("content", "kind", "status"),
    [
        (b"", "application/json", 422),
        (b"{", "application/json", 400),
        (b'{"external_id": "x", "title": "\xff\xfe"}', "application/json", 400),
        (b'{"external_id": "x", "title": "a", "metadata": {"x": NaN}}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "metadata": {"x": Infinity}}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "metadata": {"x": 1e999}}', "application/json", 422),
        (b'{"external_id": "x", "title": "a\\u0000b"}', "application/json", 422),
        (b'{"external_id": "x", "title": "\\ud800"}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "metadata": {"\\ud800": 1}}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "unknown": "\\ud800"}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "unknown": "\\u0000"}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "unknown": NaN}', "application/json", 422),
        (b'{"external_id": "x", "title": "a", "metadata": {"n": ' + b"9" * 5000 + b"}}", "application/json", (400, 422)),
        (b'{"external_id": "x", "title": "a", "metadata": ' + b'{"a":' * 40 + b"1" + b"}" * 41, "application/json", 422),
        (b'{"external_id": "x", "title": "a", "unknown": ' + b"[" * 100_000 + b"]" * 100_000 + b"}", "application/json", (400, 422)),
        (b"[" * 100_000, "application/json", 400),
        (b"external_id=x&title=y", "application/x-www-form-urlencoded", (400, 415, 422)),
        (b"<x/>", "text/xml", (400, 415, 422)),
        (b'{"external_id": "x", "title": "a"}', "text/plain", (400, 415, 422)),
    ],
)
def test_broken_events(alice: make.Workspace, content: bytes, kind: str, status: int | tuple[int, ...]) -> None:
    before = counts(alice)
    answer = alice.api.call("POST", "/v1/ingest/events", content=content, headers={"Content-Type": kind})
    assert answer.status_code in (status if isinstance(status, tuple) else (status,)), answer.text
    assert envelope(answer)["code"] in ("validation_error", "unsupported_media_type")
    assert counts(alice) == before


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("external_id", ""), ("external_id", None), ("external_id", 7), ("external_id", "x" * 513), ("title", "x" * 301), ("body", "x" * 50_001),
        ("severity", "p5"), ("severity", ""), ("severity", 1), ("kind", "party"), ("external_url", "javascript:alert(1)"), ("external_url", "http://" + "x" * 2050),
        ("source_created_at", "yesterday"), ("source_created_at", "1492-01-01T00:00:00Z"), ("source_updated_at", "2300-01-01T00:00:00Z"), ("metadata", []),
        ("metadata", "text"), ("connector_id", "con_nope"), ("team", "x" * 201), ("status", "asleep"), ("stacktrace", "x" * 100_001), ("source", "x" * 65),
    ],
)  # fmt: skip
def test_a_broken_field_is_named(alice: make.Workspace, field: str, value: Any) -> None:
    """C76."""
    before = counts(alice)
    answer = alice.api.post("/v1/ingest/events", make.event(**{field: value}))
    assert answer.status_code == 422, answer.text
    assert list(envelope(answer)["details"]) == [field]
    batch = alice.api.post("/v1/ingest/batch", {"records": [make.event(**{field: value})]})
    assert batch.status_code == 202
    told = batch.json()
    assert (told["accepted"], told["job_id"]) == (0, None)
    assert told["rejected"][0]["reason"].startswith(f"{field}: ")
    assert counts(alice) == before | {"audit_log": before["audit_log"] + 1}, "only that a batch was refused is kept"


@pytest.mark.parametrize(
    ("path", "params", "field"),
    [
        ("/v1/issues", {"limit": 0}, "limit"), ("/v1/issues", {"limit": 101}, "limit"), ("/v1/issues", {"limit": "many"}, "limit"),
        ("/v1/issues", {"sort": "title"}, "sort"), ("/v1/issues", {"sort": "--risk_score"}, "sort"), ("/v1/issues", {"status": "asleep"}, "status"),
        ("/v1/issues", {"severity": "p9"}, "severity"), ("/v1/issues", {"pattern_id": "pat_1"}, "pattern_id"), ("/v1/issues", {"q": "x" * 201}, "q"),
        ("/v1/issues", {"q": "a\x00b"}, "q"), ("/v1/issues", {"risk_min": -1}, "risk_min"), ("/v1/issues", {"risk_min": 9, "risk_max": 3}, "risk_max"),
        ("/v1/issues", {"linked": "perhaps"}, "linked"), ("/v1/issues", {"date_from": "soon"}, "date_from"), ("/v1/patterns", {"status": "x"}, "status"),
        ("/v1/issues", {"team": "a\x00b"}, "team"), ("/v1/issues", {"source": "a\x00b"}, "source"), ("/v1/patterns", {"domain": "a\x00b"}, "domain"),
        ("/v1/patterns", {"q": "x" * 201}, "q"), ("/v1/patterns", {"risk_min": 50, "risk_max": 10}, "risk_max"), ("/v1/predictions", {"min_probability": 2}, "min_probability"),
        ("/v1/predictions", {"min_probability": "nan"}, "min_probability"), ("/v1/predictions", {"window_days": 0}, "window_days"),
        ("/v1/recommendations", {"type": "magic"}, "type"), ("/v1/recommendations", {"impact": "huge"}, "impact"), ("/v1/recommendations", {"sort": "title"}, "sort"),
    ],
)  # fmt: skip
def test_a_broken_parameter_is_named(alice: make.Workspace, path: str, params: dict[str, Any], field: str) -> None:
    """C131."""
    answer = alice.api.get(path, **params)
    assert answer.status_code == 422, answer.text
    assert field in envelope(answer)["details"]


def test_a_malformed_id_is_simply_not_there(alice: make.Workspace) -> None:
    for value in ("x", "iss_1", "pat_01K4X9T3QKJ2M4N5P6R7S8T9V0", "0", "%00", "iss_" + "z" * 26, "%FF"):
        answer = alice.api.get(f"/v1/issues/{value}")
        assert answer.status_code == 404, answer.text
        assert envelope(answer)["code"] == "not_found"


def test_unknown_paths_and_methods(anyone: make.Api) -> None:
    assert envelope(anyone.get("/v1/nothing"))["code"] == "not_found"
    answer = anyone.call("DELETE", "/v1/issues")
    assert answer.status_code == 405
    assert envelope(answer)["code"] == "method_not_allowed"


# --- the trace id ---


def test_the_callers_request_id_is_kept(alice: make.Workspace) -> None:
    answer = alice.api.call("GET", "/v1/issues/x", headers={"X-Request-Id": "abc-12345678"})
    assert envelope(answer)["trace_id"] == "abc-12345678"
    assert alice.api.call("GET", "/v1/issues", headers={"X-Request-Id": "abc-12345678"}).headers["x-request-id"] == "abc-12345678"


@pytest.mark.parametrize("sent", ["", "short", "x" * 129, "with space in it", "<script>alert(1)</script>", "a\tb-12345678"])
def test_a_strange_request_id_is_replaced(alice: make.Workspace, sent: str) -> None:
    answer = alice.api.call("GET", "/v1/issues/x", headers={"X-Request-Id": sent})
    assert envelope(answer)["trace_id"] != sent


def test_every_answer_has_one_request_id_of_its_own(alice: make.Workspace) -> None:
    """C77."""
    seen = [alice.api.get(path).headers.get_list("x-request-id") for path in ("/v1/issues", "/health", "/v1/issues/x")]
    assert all(len(found) == 1 for found in seen)
    assert len({found[0] for found in seen}) == 3


# --- size ---


def _pieces(size: int) -> Iterator[bytes]:
    yield b'{"external_id": "x", "title": "x", "body": "'
    for _ in range(size // 100_000):
        yield b"x" * 100_000
    yield b'"}'


@pytest.mark.parametrize("chunked", [False, True])
def test_a_body_over_the_limit_gets_413(alice: make.Workspace, chunked: bool) -> None:
    most = alice.installation.settings.request_max_bytes
    before = counts(alice)
    content: Any = _pieces(most + 200_000) if chunked else b"".join(_pieces(most + 200_000))
    answer = alice.api.call("POST", "/v1/ingest/events", content=content, headers={"Content-Type": "application/json"})
    assert answer.status_code == 413, answer.text
    error = envelope(answer)
    assert error["code"] == "payload_too_large"
    assert str(most) in error["message"]
    assert counts(alice) == before


def test_a_lying_content_length_is_no_way_in(alice: make.Workspace) -> None:
    headers = {"Content-Type": "application/json", "Content-Length": "-5"}
    answer = alice.api.call("POST", "/v1/ingest/events", content=b'{"external_id": "x", "title": "x"}', headers=headers)
    sound(answer)


# --- what is our own fault ---


def test_a_bug_is_answered_without_its_details(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: object) -> None:
        raise RuntimeError("the password is hunter2")

    monkeypatch.setattr(patterns, "get", broken)
    answer = alice.api.get("/v1/patterns/00000000-0000-7000-8000-000000000000")
    assert answer.status_code == 500
    error = envelope(answer)
    assert error["code"] == "internal_error"
    assert "hunter2" not in answer.text
    assert answer.headers["x-content-type-options"] == "nosniff"


def test_a_request_that_fails_leaves_nothing(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    from everfix import audit

    def broken(*_: object, **__: object) -> None:
        raise RuntimeError

    before = counts(alice)
    monkeypatch.setattr(audit, "record", broken)
    assert alice.api.post("/v1/ingest/events", make.event()).status_code == 500
    assert alice.api.post("/v1/reports/generate", {"format": "json"}).status_code == 500
    monkeypatch.undo()
    assert counts(alice) == before


def test_a_commit_that_fails_is_not_answered_with_success(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """FastAPI commits a dependency after the answer unless told otherwise."""
    from sqlalchemy.orm import Session

    def broken(_: object) -> None:
        raise RuntimeError("disk full")

    monkeypatch.setattr(Session, "commit", broken)
    assert alice.api.post("/v1/ingest/events", make.event()).status_code == 500


def test_a_database_that_is_away_is_503() -> None:
    gone = OperationalError("SELECT 1", {}, Exception("server closed the connection"), connection_invalidated=True)
    found = translate(gone)
    assert (found.status, found.code) == (503, "unavailable")
    assert translate(OperationalError("SELECT 1", {}, Exception("x"))).status in (500, 503)


def test_the_error_tree_is_as_drawn() -> None:
    drawn = {line.split()[1]: tuple(line.split()[2:4]) for line in (errors.__doc__ or "").splitlines() if "──" in line}
    classes = {name: kind for name, kind in vars(errors).items() if isinstance(kind, type) and issubclass(kind, errors.EverfixError)}
    for name, (status, code) in drawn.items():
        assert (str(classes[name].status), classes[name].code) == (status, code)
    assert set(classes) - set(drawn) == {"EverfixError"}
    assert errors.NotFound().message == "There is nothing here."


def test_a_rate_limit_error_has_no_trace_id() -> None:
    body = json.loads(bytes(problems.answer("/v1/issues", errors.RateLimited(), "trace").body))
    assert body == {"error": {"code": "rate_limited", "message": "Too many requests"}}


def test_the_schema_says_what_failures_look_like(client: httpx.Client) -> None:
    schema = client.get("/openapi.json").json()
    told = {path: [call["responses"].get("4XX") for call in calls.values()] for path, calls in schema["paths"].items()}
    shapes = (("/v1/", "Enveloped"), ("/api/v1/", "DashboardEnveloped"), ("/api/reports", "Detailed"), ("/api/jobs/", "Detailed"))
    for start, shape in shapes:
        found = [
            answer["content"]["application/json"]["schema"]["$ref"] for path in told if path.startswith(start) for answer in told[path]
        ]
        assert set(found) == {f"#/components/schemas/{shape}"}, start
    assert "HTTPValidationError" not in schema["components"]["schemas"]
