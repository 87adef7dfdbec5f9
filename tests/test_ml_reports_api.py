"""`/api/reports`: as its clients know it, row by row of the reference's checklist."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator
from typing import Any
from uuid import UUID

import httpx
import polars as pl
import pytest
from pypdf import PdfReader
from sqlalchemy import select

from everfix.core import ids
from everfix.documents.model import Chart, Document
from everfix.errors import Invalid
from everfix.identity.principals import Scope
from everfix.ml.deployments import Deployment
from everfix.ml.models import Model
from everfix.reports import definitions, runs
from everfix.reports.ml import build, entities, options
from everfix.reports.ml.work import Part
from everfix.reports.runs import Status
from tests import make, ml_work

NOBODY = "00000000-0000-7000-8000-000000000000"
EVERY = ("experiment", "model", "project", "synthgen", "deployment")


class Work:
    """A workspace with one of each kind."""

    def __init__(self, workspace: make.Workspace) -> None:
        self.workspace = workspace
        self.project = ml_work.project(workspace)
        self.experiment, self.models = ml_work.cancer(workspace, self.project)

    def row(self, kind: str) -> Any:
        return {"experiment": self.experiment, "model": self.models[0], "project": self.project}[kind]

    def entity(self, kind: str) -> str:
        return str(self.row(kind).id)

    def built(self, kind: str, **options: Any) -> Document:
        return ml_work.built(self.workspace, kind, self.row(kind), **options)[0]

    def order(self, kind: str = "model", **options: Any) -> httpx.Response:
        body: dict[str, Any] = {"project_id": str(self.project.id), "kind": kind, "entity_id": self.entity(kind)}
        return self.workspace.api.post("/api/reports", body | ({"options": options} if options else {}))

    def made(self, kind: str = "model", **options: Any) -> str:
        """Order a report and have it made; returns its id."""
        answer = self.order(kind, **options)
        assert answer.status_code == 201, answer.text
        self.workspace.work()
        return str(answer.json()["report_id"])

    def document(self, report_id: str) -> Document:
        with self.workspace.db() as db:
            run = runs.get(db, UUID(report_id))
            assert run.document is not None, run.reason
            return Document.model_validate(run.document)


@pytest.fixture
def work(alice: make.Workspace) -> Work:
    return Work(alice)


def ids_of(document: Document) -> list[str]:
    return [section.id for section in document.sections]


def pdf_text(body: bytes) -> str:
    return "".join(page.extract_text() for page in PdfReader(io.BytesIO(body)).pages)


# ---- create


def test_creating_answers_201_with_exactly_three_keys(work: Work) -> None:
    answer = work.order()
    assert answer.status_code == 201
    assert set(answer.json()) == {"report_id", "job_id", "status"}
    assert answer.json()["status"] == "queued"
    assert str(UUID(answer.json()["report_id"])) == answer.json()["report_id"]
    job = work.workspace.api.ok("GET", f"/api/jobs/{answer.json()['job_id']}")["job"]
    assert (job["type"], job["status"]) == ("report_generate", "queued")
    again = work.order().json()
    assert again["report_id"] != answer.json()["report_id"]


@pytest.mark.parametrize("given", [None, {}, {"unheard_of": 3, "include_metrics": None}])
def test_absent_empty_and_unknown_options_are_alike(work: Work, given: Any) -> None:
    body = {"project_id": str(work.project.id), "kind": "model", "entity_id": work.entity("model"), "options": given}
    made = work.workspace.api.post("/api/reports", body)
    assert made.status_code == 201, made.text
    kept = work.workspace.api.ok("GET", f"/api/reports/{made.json()['report_id']}")["report"]["options"]
    assert kept == options.read(None)


@pytest.mark.parametrize("missing", ["project_id", "kind", "entity_id"])
def test_a_missing_field_is_422(work: Work, missing: str) -> None:
    body = {"project_id": str(work.project.id), "kind": "model", "entity_id": work.entity("model")}
    del body[missing]
    answer = work.workspace.api.post("/api/reports", body)
    assert answer.status_code == 422
    assert missing in answer.json()["detail"]


@pytest.mark.parametrize(
    ("change", "status", "words"),
    [
        ({"kind": "privacy"}, 422, "experiment, model"),
        ({"kind": "dashboard"}, 422, "dashboard"),
        ({"entity_id": "no id"}, 422, "entity_id"),
        ({"entity_id": NOBODY}, 404, "no model"),
        ({"project_id": NOBODY}, 404, "no project"),
        ({"project_id": "x"}, 422, "project_id"),
        ({"options": []}, 422, "options"),
        ({"options": {"include_charts": "perhaps"}}, 422, "include_charts"),
        ({"options": {"title": 3}}, 422, "title"),
        ({"options": {"comments": "x" * 10_001}}, 422, "10,001"),
        ({"project_id": NOBODY, "kind": "dashboard"}, 404, "no project"),  # the project is looked at first
        ({"kind": "dashboard", "entity_id": "no id"}, 422, "kind"),  # then the kind
    ],
)
def test_what_is_refused_on_create(work: Work, change: dict[str, Any], status: int, words: str) -> None:
    body = {"project_id": str(work.project.id), "kind": "model", "entity_id": work.entity("model"), **change}
    answer = work.workspace.api.post("/api/reports", body)
    assert answer.status_code == status, answer.text
    assert set(answer.json()) == {"detail"}
    assert words in answer.json()["detail"]


def test_an_entity_of_another_kind_or_project_is_not_there(work: Work) -> None:
    api, other = work.workspace.api, ml_work.project(work.workspace, "Other")
    wrong_kind = {"project_id": str(work.project.id), "kind": "experiment", "entity_id": work.entity("model")}
    wrong_project = {"project_id": str(other.id), "kind": "model", "entity_id": work.entity("model")}
    another_project = {"project_id": str(work.project.id), "kind": "project", "entity_id": str(other.id)}
    for body in (wrong_kind, wrong_project, another_project):
        assert api.post("/api/reports", body).status_code == 404


def test_prefixed_ids_are_read_too(work: Work) -> None:
    body = {
        "project_id": ids.show(ids.Prefix.ML_PROJECT, work.project.id),
        "kind": "model",
        "entity_id": ids.show(ids.Prefix.MODEL, work.models[0].id),
    }
    assert work.workspace.api.post("/api/reports", body).status_code == 201


# ---- who may


def test_members_of_a_project_and_nobody_else(work: Work, bob: make.Workspace) -> None:
    alice = work.workspace
    made = work.made()
    body = {"project_id": str(work.project.id), "kind": "model", "entity_id": str(work.models[0].id)}
    assert alice.analyst.post("/api/reports", body).status_code == 404  # no member of the project
    assert alice.analyst.get(f"/api/reports/{made}").status_code == 404
    assert alice.analyst.get(f"/api/reports/{made}/download").status_code == 404
    assert alice.analyst.get("/api/reports", project_id=str(work.project.id)).status_code == 404
    ml_work.member(alice, work.project, alice.users["analyst"], "viewer")
    assert alice.analyst.get(f"/api/reports/{made}").status_code == 200
    refused = alice.analyst.post("/api/reports", body)
    assert (refused.status_code, "editor" in refused.json()["detail"]) == (403, True)
    assert bob.api.get(f"/api/reports/{made}").status_code == 404
    assert bob.api.post("/api/reports", body).status_code == 404


def test_no_other_surface_shows_a_report_to_who_may_not_see_its_project(work: Work) -> None:
    """The run is hidden by the database itself, wherever runs are read."""
    alice = work.workspace
    made = work.order().json()
    alice.work()
    run = ids.show(ids.Prefix.RUN, UUID(made["report_id"]))
    job = ids.show(ids.Prefix.JOB, UUID(made["job_id"]))
    assert alice.api.get(f"/v1/reports/jobs/{job}").status_code == 200
    assert alice.analyst.get(f"/v1/reports/jobs/{job}").status_code == 404
    assert job not in alice.analyst.get("/v1/reports/jobs").text
    assert alice.api.get(f"/api/v1/reports/runs/{run}").status_code == 200
    assert alice.analyst.get(f"/api/v1/reports/runs/{run}").status_code == 404
    assert alice.analyst.get(f"/api/jobs/{made['job_id']}").status_code == 404
    ml_work.member(alice, work.project, alice.users["analyst"], "viewer")
    assert alice.analyst.get(f"/api/v1/reports/runs/{run}").status_code == 200


def test_scopes(work: Work) -> None:
    reader = work.workspace.with_scopes(Scope.REPORTS_READ)
    made = work.made()
    for path in ("", "/view", "/download"):
        assert reader.get(f"/api/reports/{made}{path}").status_code == 200
    body = {"project_id": str(work.project.id), "kind": "model", "entity_id": str(work.models[0].id)}
    assert reader.post("/api/reports", body).status_code == 403
    assert work.workspace.with_scopes(Scope.REPORTS_WRITE, Scope.REPORTS_READ).post("/api/reports", body).status_code == 201


# ---- status, list, detail


def test_from_queued_to_succeeded(work: Work) -> None:
    api = work.workspace.api
    made = work.order().json()
    path = f"/api/reports/{made['report_id']}"
    first = api.ok("GET", path)["report"]
    assert (first["status"], first["artifact_id"], first["summary"], first["job_id"]) == ("queued", None, {}, made["job_id"])
    for way in ("view", "download"):
        early = api.get(f"{path}/{way}")
        assert early.status_code == 409
        assert "queued" in early.json()["detail"]
    work.workspace.work()
    done = api.ok("GET", path)["report"]
    assert done["status"] == "succeeded"
    assert UUID(done["artifact_id"])
    assert done["summary"]["primary_metric"]["name"] == "auc"
    assert done["summary"]["bytes"] > 10_000
    assert api.ok("GET", f"/api/jobs/{made['job_id']}")["job"]["status"] == "succeeded"
    assert {"id", "project_id", "kind", "entity_id", "status", "summary", "artifact_id", "job_id"} <= set(done)


def test_a_failed_report_says_why(work: Work) -> None:
    made = work.order().json()
    with work.workspace.db() as db:
        run = runs.get(db, UUID(made["report_id"]))
        run.status, run.reason = Status.FAILED, "the report could not be made: the disk is full"
    api = work.workspace.api
    shown = api.ok("GET", f"/api/reports/{made['report_id']}")["report"]
    assert (shown["status"], shown["error"]) == ("failed", "the report could not be made: the disk is full")
    refused = api.get(f"/api/reports/{made['report_id']}/view")
    assert (refused.status_code, "disk is full" in refused.json()["detail"]) == (409, True)


def test_a_deleted_entity_fails_the_report_with_its_reason(work: Work) -> None:
    made = work.order().json()
    with work.workspace.db() as db:
        db.delete(db.execute(select(Model).where(Model.id == work.models[0].id)).scalar_one())
    work.workspace.work()
    shown = work.workspace.api.ok("GET", f"/api/reports/{made['report_id']}")["report"]
    assert shown["status"] == "failed"
    assert "no model" in shown["error"]


def test_the_list(work: Work) -> None:
    api, project = work.workspace.api, str(work.project.id)
    ordered = [work.order("model").json()["report_id"] for _ in range(3)] + [work.order("project").json()["report_id"]]
    found = api.ok("GET", "/api/reports", project_id=project)
    assert [item["id"] for item in found["items"]] == ordered[::-1]
    assert (found["total"], found["limit"], found["offset"]) == (4, 50, 0)
    keys = {"id", "project_id", "kind", "entity_id", "status", "summary", "artifact_id", "created_at"}
    assert all(set(item) == keys for item in found["items"])
    assert re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d+)?Z", found["items"][0]["created_at"])
    page = api.ok("GET", "/api/reports", project_id=project, limit=2, offset=1)
    assert ([item["id"] for item in page["items"]], page["total"]) == (ordered[::-1][1:3], 4)
    assert api.ok("GET", "/api/reports", project_id=project, kind="project")["total"] == 1
    assert api.ok("GET", "/api/reports", project_id=project, entity_id=str(work.models[0].id))["total"] == 3
    other = ml_work.project(work.workspace, "Other")
    assert api.ok("GET", "/api/reports", project_id=str(other.id))["total"] == 0


@pytest.mark.parametrize(
    ("params", "status"),
    [
        ({}, 422),
        ({"project_id": NOBODY}, 404),
        ({"limit": "0"}, 422),
        ({"limit": "501"}, 422),
        ({"limit": "500"}, 200),
        ({"offset": "-1"}, 422),
        ({"kind": "dashboard"}, 422),
        ({"entity_id": "x"}, 422),
    ],
)
def test_bounds_of_the_list(work: Work, params: dict[str, str], status: int) -> None:
    given = {**({} if not params else {"project_id": str(work.project.id)}), **params}
    answer = work.workspace.api.get("/api/reports", **given)
    assert answer.status_code == status, answer.text
    if status >= 400:
        assert set(answer.json()) == {"detail"}


# ---- view and download


def test_view_is_inline_html_for_a_frame_of_our_own(work: Work) -> None:
    made = work.made()
    answer = work.workspace.api.get(f"/api/reports/{made}/view")
    assert answer.status_code == 200
    assert answer.headers["content-type"].startswith("text/html")
    assert answer.headers["content-disposition"].startswith("inline")
    assert "frame-ancestors 'self'" in answer.headers["content-security-policy"]
    assert answer.headers["x-frame-options"] == "SAMEORIGIN"
    assert "<script" not in answer.text
    assert not re.search(r"""(?:src|href)=["']https?://(?!x)""", answer.text.replace(work.workspace.installation.url, ""))
    pdf = work.workspace.api.get(f"/api/reports/{made}/view", format="pdf")
    assert (pdf.headers["content-type"], pdf.content[:5]) == ("application/pdf", b"%PDF-")
    assert pdf.headers["content-disposition"].startswith("inline")


def test_download_is_a_pdf_the_same_each_time(work: Work) -> None:
    made = work.made()
    answer = work.workspace.api.get(f"/api/reports/{made}/download")
    assert answer.headers["content-type"] == "application/pdf"
    assert answer.headers["content-disposition"].startswith(f'attachment; filename="report-model-{made[:8]}.pdf"')
    assert work.workspace.api.get(f"/api/reports/{made}/download").content == answer.content
    page = work.workspace.api.get(f"/api/reports/{made}/download", format="html")
    assert page.headers["content-disposition"].startswith("attachment")
    document = work.document(made)
    text, html = re.sub(r"\s+", "", pdf_text(answer.content)), page.text
    for section in document.sections:
        assert re.sub(r"\s+", "", section.title) in text, section.title
        assert section.title.replace("&", "&amp;") in html, section.title
    wrong = work.workspace.api.get(f"/api/reports/{made}/download", format="docx")
    assert (wrong.status_code, set(wrong.json())) == (422, {"detail"})


@pytest.mark.parametrize("path", ["", "/view", "/download"])
@pytest.mark.parametrize("report", [NOBODY, "no-id"])
def test_an_unknown_report_is_404(work: Work, report: str, path: str) -> None:
    answer = work.workspace.api.get(f"/api/reports/{report}{path}")
    assert (answer.status_code, set(answer.json())) == (404, {"detail"})


# ---- options


def test_title_and_comments(work: Work) -> None:
    made = work.built("model", title="For the risk committee", comments="Approved.\nSee minutes.")
    assert made.title == "For the risk committee"
    said = next(section for section in made.sections if section.id == "comments")
    assert said.blocks[0].paragraphs == ("Approved.", "See minutes.")  # type: ignore[union-attr]
    assert "comments" not in ids_of(work.built("model"))


SWITCHED = [
    ("model", "include_metrics", {"metrics", "classes", "glance"}),
    ("model", "include_hyperparameters", {"parameters"}),
    ("model", "include_data_summary", {"data"}),
    ("model", "include_feature_importance", {"features"}),
    ("model", "include_confusion_matrix", {"confusion"}),
    ("model", "include_roc_curve", {"roc"}),
    ("model", "include_learning_curves", {"learning"}),
    ("experiment", "include_leaderboard", {"leaderboard"}),
    ("experiment", "include_feature_importance", {"features"}),
]


@pytest.mark.parametrize(("kind", "switch", "gone"), SWITCHED, ids=[f"{kind} {switch}" for kind, switch, _ in SWITCHED])
def test_each_switch_removes_its_sections(work: Work, kind: str, switch: str, gone: set[str]) -> None:
    whole, less = set(ids_of(work.built(kind))), set(ids_of(work.built(kind, **{switch: False})))
    assert whole - less == gone
    assert less <= whole


def test_no_charts_means_none(work: Work) -> None:
    made = work.built("experiment", include_charts=False, include_roc_curve=True, include_confusion_matrix=True)
    assert not [block for section in made.sections for block in section.blocks if isinstance(block, Chart)]
    assert "confusion" in ids_of(made)  # as numbers


ALIASES = [(alias, name) for name, switch in options.SWITCHES.items() for alias in switch.aliases]


@pytest.mark.parametrize(("alias", "name"), ALIASES, ids=[alias for alias, _ in ALIASES])
def test_aliases(alias: str, name: str) -> None:
    default = options.SWITCHES[name].default
    assert options.read({alias: not default})[name] is not default
    assert options.read({alias: not default, name: default})[name] is default, "a switch's own name wins"


def test_options_read_what_clients_send() -> None:
    assert options.read({"include_charts": "False", "llm_insights": 1})["include_charts"] is False
    assert options.read(None)["llm_insights"] is False
    with pytest.raises(Invalid, match="include_metrics"):
        options.read({"include_metrics": 2})


def test_insights_without_a_provider_say_so_and_carry_the_rules_text(work: Work) -> None:
    made = work.made(llm_insights=True)
    document = work.document(made)
    assert document.narrative is not None
    assert "none is configured" in document.narrative.note
    assert document.narrative.sections["insights"]
    assert work.workspace.api.ok("GET", f"/api/reports/{made}")["report"]["summary"]["llm_insights"] == "unavailable"
    assert "insights" not in ids_of(work.built("model"))


# ---- privacy, schedules


def test_the_privacy_report_is_a_pdf_at_its_own_address(work: Work) -> None:
    session = ml_work.privacy(work.workspace, work.project)
    answer = work.workspace.api.get(f"/api/privacy/sessions/{session.id}/report")
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/pdf"
    text = pdf_text(answer.content)
    for words in ("Customers for the lab", "hash", "Risk before and after", "city"):
        assert words in text, words
    for secret in ("a@example.org", "b@example.org", "per session", "Ulm"):  # neither a person's data nor what would undo a transformation
        assert secret not in text, secret
    assert work.workspace.analyst.get(f"/api/privacy/sessions/{session.id}/report").status_code == 404
    unknown = work.workspace.api.get(f"/api/privacy/sessions/{NOBODY}/report")
    assert (unknown.status_code, set(unknown.json())) == (404, {"detail"})


def test_a_saved_report_on_a_model_runs_like_any_other(work: Work) -> None:
    alice = work.workspace
    part = {"section": "ml_model", "params": {"entity_id": str(work.models[0].id), "options": {"title": "Weekly model report"}}}
    with alice.db() as db:
        saved = definitions.create(db, alice.principal, template="ml_model", name="Weekly", sections=[part], formats=["pdf", "html"]).id
    run = ids.parse(ids.Prefix.RUN, alice.api.ok("POST", f"/v1/reports/{ids.show(ids.Prefix.REPORT, saved)}/run")["run_id"])
    alice.work()
    document = work.document(str(run))
    assert document.title == "Weekly model report"
    listed = alice.api.ok("GET", "/api/reports", project_id=str(work.project.id))["items"]
    assert [item["id"] for item in listed] == [str(run)]


def test_a_saved_report_shows_its_owner_no_more_than_the_owner_may_see(work: Work) -> None:
    alice = work.workspace
    part = {"section": "ml_model", "params": {"entity_id": str(work.models[0].id)}}
    with alice.db() as db:
        saved = definitions.create(db, alice.principal, template="ml_model", name="Stolen", sections=[part])
        saved.owner_user_id = alice.users["analyst"]
        name = ids.show(ids.Prefix.REPORT, saved.id)
    run = ids.parse(ids.Prefix.RUN, alice.api.ok("POST", f"/v1/reports/{name}/run")["run_id"])
    alice.work()
    with alice.db() as db:
        found = runs.get(db, run)
        assert (found.status, "may not see" in found.reason, found.document) == (Status.FAILED, True, None)


@pytest.mark.parametrize("params", [None, {}, {"entity_id": 3}, {"entity_id": NOBODY, "options": "x"}])
def test_a_saved_report_must_name_its_entity(alice: make.Workspace, params: Any) -> None:
    part = {"section": "ml_model", **({} if params is None else {"params": params})}
    with alice.db() as db, pytest.raises(Invalid, match="what it is about"):
        definitions.create(db, alice.principal, template="ml_model", name="x", sections=[part])


def _part(work: Work, kind: str = "model") -> dict[str, Any]:
    return {"section": f"ml_{kind}", "params": {"entity_id": work.entity(kind)}}


def test_a_part_on_ml_work_is_a_report_of_its_own(work: Work) -> None:
    """Alone it makes the report one on ML work, whatever template was said; beside other parts it is refused, in words."""
    api = work.workspace.api
    alone = api.ok("POST", "/v1/reports", {"name": "Weekly", "template": "blank", "sections": [_part(work)]})
    assert alone["template"] == "ml_model"
    for sections in ([_part(work), "kpis"], [_part(work), _part(work, "experiment")]):
        for answer in (
            api.post("/v1/reports", {"name": "x", "sections": sections}),
            api.patch(f"/v1/reports/{alone['id']}", {"sections": sections}),
        ):
            assert answer.status_code == 422
            assert "cannot stand beside others" in answer.json()["error"]["message"]
    changed = api.ok("PATCH", f"/v1/reports/{alone['id']}", {"sections": ["kpis"]})
    assert (changed["template"], [part["section"] for part in changed["sections"]]) == ("blank", ["kpis"])
    again = api.ok("PATCH", f"/v1/reports/{alone['id']}", {"sections": [_part(work, "experiment")]})
    assert again["template"] == "ml_experiment"
    preview = api.post(f"/v1/reports/{alone['id']}/preview", {})
    assert preview.status_code == 422
    assert "has no preview" in preview.json()["error"]["message"]
    ordered = api.post("/v1/reports/generate", {"template": "ml_model", "sections": [_part(work)]})
    assert ordered.status_code == 422
    assert "/api/reports" in ordered.json()["error"]["message"]


def test_the_templates_on_ml_work_are_listed(work: Work) -> None:
    listed = {item["key"]: item for item in work.workspace.viewer.ok("GET", "/v1/reports/templates")["data"]}
    for kind in (*EVERY, "privacy"):
        found = listed[f"ml_{kind}"]
        assert (found["sections"], "params.entity_id" in found["description"]) == ([{"key": f"ml_{kind}", "title": found["name"]}], True)


def test_nobody_saves_a_report_on_what_they_may_not_have_reports_on(work: Work) -> None:
    """As where one is ordered: 404 for what is not visible, in the words of what is not there; 403 for a viewer of the project."""
    alice = work.workspace
    body = {"name": "Theirs", "template": "ml_model", "sections": [_part(work)]}
    nowhere = body | {"sections": [{"section": "ml_model", "params": {"entity_id": NOBODY}}]}
    hidden, missing = alice.analyst.post("/v1/reports", body), alice.analyst.post("/v1/reports", nowhere)
    assert (hidden.status_code, missing.status_code) == (404, 404)
    assert hidden.json()["error"]["message"].replace(work.entity("model"), NOBODY) == missing.json()["error"]["message"]
    assert alice.api.post("/v1/reports", nowhere).status_code == 404
    wrong = body | {"sections": [{"section": "ml_model", "params": {"entity_id": work.entity("experiment")}}]}
    assert alice.api.post("/v1/reports", wrong).status_code == 404  # no model has the id
    own = alice.analyst.ok("POST", "/v1/reports", {"name": "Mine", "template": "issue_digest"})
    assert alice.analyst.patch(f"/v1/reports/{own['id']}", {"sections": [_part(work)]}).status_code == 404
    assert alice.analyst.ok("GET", f"/v1/reports/{own['id']}")["template"] == "issue_digest"
    ml_work.member(alice, work.project, alice.users["analyst"], "viewer")
    assert alice.analyst.post("/v1/reports", body).status_code == 403
    assert (
        alice.analyst.post(
            "/v1/reports", {"name": "x", "template": "ml_model", "sections": [{"section": "ml_model", "params": {"entity_id": "?"}}]}
        ).status_code
        == 422
    )


# ---- bad data: a section says why, the run never fails


def _evaluated(work: Work, frame: pl.DataFrame, problem: str = "binary") -> Any:
    found = ml_work.experiment(work.workspace, work.project, problem_type=problem)
    kept = ml_work.table(work.workspace, work.project, frame, "evaluation")
    return ml_work.model(work.workspace, found, name="Odd", evaluation_id=kept.id)


BAD: dict[str, tuple[pl.DataFrame, str, str]] = {
    "one class only": (pl.DataFrame({"y_true": [1, 1, 1], "y_score": [0.2, 0.9, 0.4]}), "binary", "only one class"),
    "no scores at all": (pl.DataFrame({"y_true": [1, 0, 1], "y_pred": [1, 1, 1]}), "binary", "no scores"),
    "empty": (pl.DataFrame({"y_true": pl.Series([], dtype=pl.Int64), "y_score": pl.Series([], dtype=pl.Float64)}), "binary", "no rows"),
    "NaN and infinities": (
        pl.DataFrame({"y_true": [1, 0, 1, 0], "y_score": [float("nan"), float("inf"), None, -float("inf")]}),
        "binary",
        "only one class",
    ),
    "scores that are no probabilities": (pl.DataFrame({"y_true": [1, 0, 1], "y_score": [3.5, -2.0, 1.0]}), "binary", "between 0 and 1"),
    "words for numbers": (pl.DataFrame({"y_true": ["a", "b"], "y_pred": ["c", "d"]}), "regression", "at least two"),
    "missing columns": (pl.DataFrame({"truth": [1, 0]}), "binary", "y_true"),
    "mixed labels": (pl.DataFrame({"y_true": ["1", "yes", None, "0"], "y_score": [0.1, 0.2, 0.3, 0.4]}), "binary", "3 classes"),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_evaluations_leave_a_report_that_says_why(work: Work, name: str) -> None:
    frame, problem, words = BAD[name]
    document, summary = ml_work.built(work.workspace, "model", _evaluated(work, frame, problem))
    assert words in json.dumps(summary["warnings"]) or words in document.to_json(), summary
    assert {"identity", "appendix"} <= set(ids_of(document))


def test_a_report_with_a_bad_section_is_made_and_read(work: Work) -> None:
    row = _evaluated(work, BAD["one class only"][0])
    body = {"project_id": str(work.project.id), "kind": "model", "entity_id": str(row.id)}
    made = work.workspace.api.ok("POST", "/api/reports", body)
    work.workspace.work()
    shown = work.workspace.api.ok("GET", f"/api/reports/{made['report_id']}")["report"]
    assert (shown["status"], "only one class" in json.dumps(shown["summary"]["warnings"])) == ("succeeded", True), shown
    said = pdf_text(work.workspace.api.get(f"/api/reports/{made['report_id']}/download").content)
    assert "onlyoneclass" in re.sub(r"\s+", "", said)  # lines may break between the words


def test_ten_thousand_columns_and_a_constant_one(work: Work) -> None:
    wide = pl.DataFrame({f"c{n}": [1, 2, 3] for n in range(10_000)}).with_columns(c0=pl.lit(1))
    kept = ml_work.version(work.workspace, work.project, wide, "wide", "c0")
    found = ml_work.experiment(work.workspace, work.project, dataset_version_id=kept.id, target_column="c0")
    one = ml_work.model(work.workspace, found, metrics={"auc": 0.8})
    document, _ = ml_work.built(work.workspace, "model", one)
    assert "first 500 of 10,000 columns" in document.to_json()
    assert len(document.to_json()) < 400_000


def test_a_deployment_without_log_or_reference(work: Work) -> None:
    bare = Deployment(project_id=work.project.id, model_id=work.models[0].id, name="Quiet", stage="staging", status="active")
    document, _ = ml_work.built(work.workspace, "deployment", ml_work.add(work.workspace, bare))
    left_out = next(
        block for section in document.sections if section.id == "appendix" for block in section.blocks if block.key == "left_out"
    )
    assert "no prediction in this time was given" in {row[1] for row in left_out.rows}  # type: ignore[union-attr]


def test_a_mistake_of_ours_still_fails_the_run(work: Work, monkeypatch: pytest.MonkeyPatch) -> None:
    """Only what bad data raises is written into the report; anything else must be seen."""

    def broken(_: Any) -> Iterator[Any]:
        raise NotImplementedError("forgotten")

    monkeypatch.setitem(build.PARTS, "model", (Part("glance", "At a glance", broken),))
    made = work.order().json()
    work.workspace.work()
    assert work.workspace.api.ok("GET", f"/api/reports/{made['report_id']}")["report"]["status"] in ("failed", "queued")


def test_subjects_know_every_kind() -> None:
    assert set(build.PARTS) == set(entities.TABLES) == {*EVERY, "privacy"}
