"""A stranger at every door: each route is tried without a token, without its scope, and with another workspace's id.

Routes are taken from the application itself: a new one is tried by itself, and one that is not classified here fails.
"""

from __future__ import annotations

import copy
import re
from collections.abc import Callable
from datetime import datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
from fastapi.routing import APIRoute, iter_route_contexts
from sqlalchemy import select

from everfix import deps
from everfix.app import create_app
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation, Step
from everfix.identity.principals import Scope
from everfix.settings import Settings
from tests import asking, delivering, make, make_ml, triaging

SURFACES = ("/v1", "/api")
# Routes without a bearer, and why nobody else's data can come out of them.
PUBLIC = {
    ("GET", "/v1/downloads/{token}"): "the link is signed, names one file and expires",
    ("POST", "/api/cron/tick"): "an outside scheduler shows CRON_TOKEN, and learns only how many there were",
}
# What an id in a path names, so that another workspace's can be tried.
NOUNS = (
    "alert",
    "change",
    "delivery",
    "destination",
    "export",
    "issue",
    "job",
    "notification",
    "pattern",
    "prediction",
    "provider",
    "recommendation",
    "report",
    "rule",
    "run",
    "schedule",
    "step",
    "template",
)
NAMED = {**triaging.NAMED, **{f"{noun}_id": noun for noun in NOUNS}, **make_ml.NAMED, "ml_report_id": "ml_report"}
# Path parameters that name nothing of a workspace, with a value that is sound.
WORDS = {"source": "pagerduty", "format": "csv", **make_ml.WORDS}
# What an id must be of, where a route serves only one kind: path → (what the id names, which one).
KINDS = {"/v1/ingest/status/{job_id}": ("job", "ingest_job"), "/api/v1/reports/runs/{run_id}/artifacts/{format}": ("run", "made_run")}
# Calls that change nothing although they are no GET, or only what is the caller's own.
READS = {
    *triaging.READS,
    ("POST", "/api/v1/reports/templates/{template_id}/preview"),
    ("DELETE", "/v1/me/notifications/feed/{notification_id}"),
    ("PATCH", "/v1/settings/notifications"),
    ("POST", "/v1/alert-rules/preview"),
    ("POST", "/api/v1/alerts/preview"),
    ("POST", "/v1/me/notifications/feed/read-all"),
    ("POST", "/v1/me/notifications/feed/{notification_id}/read"),
}
_ALERT = {"name": "x", "metric": "acceptance_rate", "operator": "lt", "threshold": 1}
_REPORT = {"name": "x", "dataSources": [{"sourceKey": "funnel"}], "formats": ["csv"]}
# Routes that answer the same to every workspace, or the workspace itself (tests/test_workspace.py tells them apart).
NO_LISTS = {"/v1/reports/templates", "/v1/reports/schedules/next-fires", "/v1/me/notifications/stream", "/v1/workspace"}
# Routes that answer figures of the workspace, not a list.
FIGURES = {
    *triaging.FIGURES,
    "/v1/predictions/summary",
    "/v1/predictions/forecast",
    "/v1/predictions/accuracy",
    "/v1/settings/ai",
    "/v1/settings/delivery",
    "/v1/settings/notifications",
    "/v1/me/notifications/feed",
    "/v1/workspace/brand",
    "/v1/workspace/files",
}
# A sound body for each route that takes one, so that nothing but the stranger can be refused.
BODIES: dict[tuple[str, str], Any] = {
    **triaging.BODIES,
    ("POST", "/v1/ingest/events"): {"external_id": "x", "title": "x"},
    ("POST", "/v1/ingest/batch"): {"records": [{"external_id": "x", "title": "x"}]},
    ("POST", "/v1/ingest/{source}/issues"): {"external_id": "x", "title": "x"},
    ("POST", "/v1/issues"): {"title": "x"},
    ("PATCH", "/v1/issues/{issue_id}"): {"status": "closed"},
    ("POST", "/v1/changes"): {"changes": [{"external_id": "x", "title": "x", "occurred_at": "2026-01-01T00:00:00Z"}]},
    ("PATCH", "/v1/workspace"): {"industry": "rail"},
    ("PATCH", "/v1/workspace/brand"): {"colour": "#112233"},
    ("PATCH", "/v1/workspace/files"): {"days": 30},
    ("POST", "/v1/exports"): {"resource": "issues"},
    ("POST", "/v1/reports/generate"): {"template": "issue_digest", "format": "json"},
    ("PATCH", "/v1/recommendations/{recommendation_id}"): {"status": "dismissed"},
    ("PATCH", "/v1/recommendations/{recommendation_id}/steps/{step_id}"): {"completed": True},
    ("POST", "/v1/alert-rules"): {"name": "x", "scope": "all", "threshold": {"probability": 0.7, "window_days": 7}},
    ("POST", "/v1/alert-rules/preview"): {"threshold": {"probability": 0.7, "window_days": 7}},
    ("PATCH", "/v1/alert-rules/{rule_id}"): {"name": "y"},
    ("PATCH", "/v1/alert-rules/{rule_id}/snooze"): {"until": None},
    ("POST", "/v1/me/notifications/feed/read-all"): {"type": "x"},
    ("PATCH", "/v1/settings/notifications"): {"email_enabled": False},
    ("POST", "/v1/destinations"): {"kind": "webhook", "name": "x", "config": {"url": "https://hooks.example/in"}},
    ("PATCH", "/v1/destinations/{destination_id}"): {"name": "y"},
    ("PATCH", "/v1/settings/delivery"): {"mail_domains": ["shop.example"]},
    ("POST", "/v1/jobs/{job_id}/cancel"): None,
    ("POST", "/v1/reports"): {"name": "x", "template": "issue_digest", "format": "json"},
    ("PATCH", "/v1/reports/{report_id}"): {"name": "y"},
    ("POST", "/v1/reports/{report_id}/preview"): {},
    ("POST", "/v1/reports/{report_id}/backfill"): {"periods": 1},
    ("POST", "/v1/reports/{report_id}/runs/{run_id}/render"): {"format": "csv"},
    ("POST", "/v1/reports/{report_id}/schedules"): {"cron": "0 9 * * *"},
    ("PATCH", "/v1/reports/{report_id}/schedules/{schedule_id}"): {"cron": "0 8 * * *"},
    ("POST", "/v1/reports/schedules"): {"name": "x", "cron": "0 9 * * *", "report_type": "issue_digest"},
    ("PATCH", "/v1/reports/schedules/{schedule_id}"): {"cron": "0 7 * * *"},
    ("POST", "/v1/reports/schedules/{schedule_id}/pause"): {},
    **make_ml.BODIES,
    ("POST", "/api/reports"): {"project_id": make_ml.NOBODY, "kind": "project", "entity_id": make_ml.NOBODY},
    ("POST", "/v1/predictions/{prediction_id}/outcome"): {"outcome": "hit"},
    ("POST", "/v1/predictions/{prediction_id}/dismiss"): {"reason": "x"},
    ("POST", "/v1/predictions/{prediction_id}/feedback"): {"useful": True},
    ("POST", "/v1/issues/{issue_id}/reanalyze"): {"tier": "fast"},
    ("PUT", "/v1/settings/ai"): {"redact": True},
    ("POST", "/v1/recommendations/{recommendation_id}/attest"): {"note": "x"},
    ("POST", "/v1/recommendations/{recommendation_id}/push"): {"tracker": "jira"},
    ("POST", "/api/v1/reports/preview"): _REPORT,
    ("POST", "/api/v1/reports/templates"): _REPORT,
    ("PATCH", "/api/v1/reports/templates/{template_id}"): {"name": "y"},
    ("POST", "/api/v1/reports/save-dashboard"): {"name": "x", "dashboard": "executive"},
    ("POST", "/api/v1/reports/schedules"): {
        "name": "x",
        "templateId": "00000000-0000-7000-8000-000000000000",
        "cronExpression": "0 8 * * *",
    },
    ("PATCH", "/api/v1/reports/schedules/{schedule_id}"): {"name": "y"},
    ("POST", "/api/v1/notifications/providers"): {
        "kind": "slack",
        "name": "x",
        "config": {"webhookUrl": "https://hooks.slack.com/services/x"},
    },
    ("PATCH", "/api/v1/notifications/providers/{provider_id}"): {"name": "y"},
    ("POST", "/api/v1/alerts"): _ALERT,
    ("POST", "/api/v1/alerts/preview"): {"metric": "issue_count", "operator": "gt", "threshold": 1},
    ("PUT", "/api/v1/alerts/{alert_id}"): {"threshold": 0.5},
    ("POST", "/api/v1/attribution"): {"customerId": "00000000-0000-7000-8000-000000000000", "conversionId": "x"},
    ("POST", "/api/v1/admin/retention-configs"): {"dataClass": "report_runs", "retentionDays": 30},
    ("POST", "/api/v1/admin/dlq"): {"action": "retry", "topic": "x"},
    ("PUT", "/api/v1/ai/analyzer-settings"): {"language": "en"},
    ("POST", "/api/v1/notifications/send"): {"providerId": "00000000-0000-7000-8000-000000000000", "message": "x"},
}
# Routes that find the thing and then refuse for the state it is in, with what they answer to its owner.
REFUSING = {
    **triaging.REFUSING,
    ("POST", "/v1/recommendations/{recommendation_id}/attest"): 409,
    ("POST", "/v1/recommendations/{recommendation_id}/push"): 409,
    ("GET", "/api/reports/{ml_report_id}/view"): 409,
    ("GET", "/api/reports/{ml_report_id}/download"): 409,
}


def _removing_last(pair: tuple[str, APIRoute]) -> tuple[bool, int]:
    """What removes other things with it is removed last."""
    holder = next((place for place, end in enumerate(make_ml.HOLDERS, 1) if pair[1].path.endswith(end)), 0)
    return pair[0] == "DELETE", holder if pair[0] == "DELETE" else 0


def _all() -> list[tuple[str, APIRoute]]:
    """Return each method and route of the surfaces for programs."""
    app = create_app(SimpleNamespace(settings=Settings(data_dir=Path("nowhere"))))  # type: ignore[arg-type]  # nothing is served here
    found = []
    for context in iter_route_contexts(app.routes):
        if isinstance(context.original_route, APIRoute) and context.path and context.path.startswith(SURFACES):
            route = copy.copy(context.original_route)
            route.path = context.path
            found += [(method, route) for method in sorted((context.methods or set()) - {"HEAD", "OPTIONS"})]
    return found


def said(answer: httpx.Response) -> str:
    """Return the code of a refusal, in whichever words its surface has (see `api.problems`)."""
    body = answer.json()
    if "detail" in body:
        return {401: "unauthorized", 403: "forbidden", 404: "not_found"}[answer.status_code]
    return str(body["error"]["code"]).lower()


ROUTES = _all()
CASES = pytest.mark.parametrize(("method", "route"), ROUTES, ids=[f"{method} {route.path}" for method, route in ROUTES])


def scope_of(route: APIRoute) -> Scope | None:
    """Return the scope that a route's `who` asks for."""
    found = []
    waiting = [route.dependant]
    while waiting:
        node = waiting.pop()
        if node.call is not None and hasattr(node.call, "scope"):
            found.append(node.call.scope)
        waiting.extend(node.dependencies)
    assert len(found) <= 1, f"{route.path} asks for several scopes"
    return found[0] if found else None


def _path(route: APIRoute, ids: dict[str, str] | None = None) -> str:
    def fill(match: re.Match[str]) -> str:
        name = match[1]
        if name in WORDS:
            return WORDS[name]
        assert name in NAMED, f"{route.path}: say in NAMED what {name} names"
        return _of(route, ids or {})[NAMED[name]]

    return re.sub(r"{(\w+)}", fill, route.path)


def _of(route: APIRoute, ids: dict[str, str]) -> dict[str, str]:
    plain = dict.fromkeys(NAMED.values(), make_ml.NOBODY)
    noun, kind = KINDS.get(route.path, ("", ""))
    return {**plain, **ids, **({noun: ids[kind]} if kind in ids else {})}


def _call(api: make.Api, method: str, route: APIRoute, path: str) -> httpx.Response:
    if route.path in make_ml.UPLOADS:
        return api.call(method, path, content=make_ml.UPLOADS[route.path], headers={"Content-Type": "text/csv"})
    body = BODIES.get((method, route.path))
    return api.call(method, path, **({} if body is None else {"json": body}))


def _belongings(workspace: make.Workspace) -> dict[str, str]:
    """Fill a workspace and return an id of each kind of thing in it."""
    api = workspace.api
    workspace.learn(*make.failures("database", (9, 8, 3, 2, 1)))
    asking.everything(workspace)
    dashboards = _dashboard_things(workspace)
    answer = api.ok("POST", "/v1/ingest/events", make.event())
    report = api.ok("POST", "/v1/reports", {"name": "x", "template": "issue_digest", "format": "json"})["id"]
    schedule = api.ok("POST", f"/v1/reports/{report}/schedules", {"cron": "0 9 * * *"})["id"]
    run = api.ok("POST", f"/v1/reports/{report}/run")["run_id"]
    workspace.work()
    job = api.ok("POST", "/v1/reports/generate", {"template": "issue_digest", "format": "json"})
    export = api.ok("POST", "/v1/exports", {"resource": "issues"})
    triaged = triaging.everything(workspace, answer["issue_id"])
    ml = {name: str(value) for name, value in make_ml.everything(workspace).items()}
    ordered = api.ok("POST", "/api/reports", {"project_id": ml["ml_project"], "kind": "model", "entity_id": ml["model"]})
    api.ok("POST", "/v1/changes", BODIES["POST", "/v1/changes"])
    with workspace.db() as db:
        return {
            **dashboards,
            **triaged,
            "issue": answer["issue_id"],
            "pattern": str(db.execute(select(Pattern.id).limit(1)).scalar_one()),
            "prediction": api.ok("GET", "/v1/predictions")["data"][0]["id"],
            "recommendation": str(db.execute(select(Recommendation.id).limit(1)).scalar_one()),
            "change": api.ok("GET", "/v1/changes")["data"][0]["id"],
            "step": str(db.execute(select(Step.id).limit(1)).scalar_one()),
            "job": job["id"],
            "report": report,
            "schedule": schedule,
            "run": run,
            "export": export["id"],
            "ingest_job": answer["job_id"],
            **delivering.belongings(workspace),
            **ml,
            "ml_report": ordered["report_id"],
        }


def _dashboard_things(workspace: make.Workspace) -> dict[str, str]:
    """Make a saved report with a run, another with a schedule, and a destination."""
    api, reports = workspace.api, "/api/v1/reports"
    template, planned = (api.ok("POST", f"{reports}/templates", _REPORT)["id"] for _ in range(2))
    run = api.ok("POST", f"{reports}/templates/{template}/run-now")["runId"]
    workspace.work()
    schedule = api.ok("POST", f"{reports}/schedules", {"name": "x", "templateId": planned, "cronExpression": "0 8 * * *"})["id"]
    mail = {"kind": "ops_email", "name": "x", "config": {"fromEmail": "a@x.example", "recipients": ["b@x.example"]}}
    provider = api.ok("POST", "/api/v1/notifications/providers", mail)["id"]
    alert = api.ok("POST", "/api/v1/alerts", _ALERT)["id"]
    return {"template": template, "schedule": schedule, "provider": provider, "made_run": run, "alert": alert}


def _removable(workspace: make.Workspace) -> dict[str, str]:
    """Return new ones of what can be deleted: a route that deletes must not leave the next one without."""
    report = workspace.api.ok("POST", "/v1/reports", {"name": "x", "template": "issue_digest", "format": "json"})["id"]
    schedule = workspace.api.ok("POST", f"/v1/reports/{report}/schedules", {"cron": "0 9 * * *"})["id"]
    alert = workspace.api.ok("POST", "/api/v1/alerts", _ALERT)["id"]
    return {"report": report, "schedule": schedule, "alert": alert}


def test_there_are_routes() -> None:
    assert len(ROUTES) >= 18


@CASES
def test_every_route_is_classified(method: str, route: APIRoute) -> None:
    scope = scope_of(route)
    assert (scope is None) == ((method, route.path) in PUBLIC), "a route needs a scope, or a reason in PUBLIC"
    takes_body = route.body_field is not None
    assert takes_body == (BODIES.get((method, route.path)) is not None), "give a sound body in BODIES"
    if scope is not None and method != "GET" and (method, route.path) not in READS:
        assert not scope.value.endswith(":read"), "a route that changes something needs more than a reading scope"


@CASES
def test_anonymous_gets_401(anyone: make.Api, method: str, route: APIRoute) -> None:
    """C22."""
    if (method, route.path) in PUBLIC:
        return
    answer = _call(anyone, method, route, _path(route))
    assert answer.status_code == 401, answer.text
    assert said(answer) == "unauthorized"
    assert answer.headers["www-authenticate"] == "Bearer"


@CASES
def test_without_the_scope_403(alice: make.Workspace, method: str, route: APIRoute) -> None:
    """C46."""
    scope = scope_of(route)
    if scope is None:
        return
    answer = _call(alice.with_scopes(*(set(Scope) - {scope})), method, route, _path(route))
    assert answer.status_code == 403, answer.text
    assert said(answer) == "forbidden"
    assert scope.value in answer.text


def test_another_workspaces_id_is_404(alice: make.Workspace, bob: make.Workspace, charlie: make.Workspace) -> None:
    """C6, C79: The owner herself gets an answer (so the ids are right); the neighbours get 404 for each."""
    ids = _belongings(alice)
    tried = 0
    for method, route in sorted(ROUTES, key=_removing_last):
        if (method, route.path) in PUBLIC or not any("{" + name + "}" in route.path for name in NAMED):
            continue
        if method == "DELETE":
            ids |= _removable(alice)
        path = _path(route, ids)
        for stranger in (bob, charlie):
            answer = _call(stranger.service, method, route, path)
            assert answer.status_code == 404, (method, path, answer.text)
            assert said(answer) == "not_found"
            tried += 1
        mine = _call(alice.service, method, route, path)
        refused = REFUSING.get((method, route.path))
        assert mine.status_code == refused if refused else mine.is_success, (method, path, mine.text)
    assert tried >= 10


def _timeless(answer: dict[str, Any]) -> dict[str, Any]:
    return {key: value for key, value in answer.items() if not key.endswith("_at")}


def test_lists_hold_only_the_own_workspace(alice: make.Workspace, bob: make.Workspace, charlie: make.Workspace) -> None:
    """C5, C6: Where alice has something, bob's lists are empty; figures of bob's empty workspace are those of any empty workspace."""
    _belongings(alice)
    for method, route in ROUTES:
        if method != "GET" or "{" in route.path or not route.path.startswith("/v1") or route.path in NO_LISTS:
            continue
        if route.path in FIGURES:
            assert _timeless(bob.service.ok("GET", route.path)) == _timeless(charlie.service.ok("GET", route.path)), route.path
            continue
        assert alice.service.ok("GET", route.path)["page"]["total"] > 0, route.path
        assert bob.service.ok("GET", route.path) == {"data": [], "page": {"next_cursor": None, "has_more": False, "total": 0}}, route.path


def test_no_figure_of_the_other_surfaces_changes_with_a_neighbours_failures(
    alice: make.Workspace, bob: make.Workspace, time: Callable[[], datetime]
) -> None:
    paths = [route.path for method, route in ROUTES if method == "GET" and "{" not in route.path and not route.path.startswith("/v1")]

    def seen(workspace: make.Workspace) -> list[tuple[int, str]]:
        return [(answer.status_code, answer.text) for answer in (workspace.service.get(path) for path in paths)]

    before, empty = seen(bob), seen(alice)
    _belongings(alice)
    assert seen(bob) == before
    assert seen(alice) != empty


@CASES
def test_a_viewer_changes_nothing(alice: make.Workspace, method: str, route: APIRoute) -> None:
    """C48."""
    if (method, route.path) in PUBLIC | dict.fromkeys(READS) or method == "GET":
        return
    assert _call(alice.viewer, method, route, _path(route)).status_code == 403


@pytest.mark.parametrize(
    "header",
    [
        "",
        "Bearer",
        "Bearer ",
        "Basic abc",
        "Bearer wrong",
        "Token efx_pat_x",
        "Bearer efx_pat_" + "a" * 43,
        "Bearer \x7f\x01",
        "Bearer " + "x" * 9000,
    ],
)
def test_a_broken_token_gets_401(anyone: make.Api, header: str) -> None:
    """C22."""
    answer = anyone.call("GET", "/v1/issues", headers={"Authorization": header})
    assert answer.status_code == 401, answer.text


def test_the_scheme_is_read_in_any_case(alice: make.Workspace, anyone: make.Api) -> None:
    """C27."""
    for scheme in ("bearer", "BEARER", "bEaReR"):
        assert anyone.call("GET", "/v1/issues", headers={"Authorization": f"{scheme} {alice.secrets['viewer']}"}).status_code == 200


def test_health_and_ready_and_the_schema_need_no_token(anyone: make.Api) -> None:
    """C68, C279, C280."""
    assert anyone.get("/health").json() == {"status": "ok"}
    assert anyone.get("/ready").status_code == 200
    assert anyone.get("/openapi.json").status_code == 200
    assert anyone.get("/docs").headers["content-type"].startswith("text/html")


def test_the_dependency_shows_its_scope() -> None:
    """`scope_of` reads what `needs` says; a route that hides it would pass for public and fail above."""
    found = deps.needs(Scope.AUDIT_READ)
    assert found.dependency.scope == Scope.AUDIT_READ
