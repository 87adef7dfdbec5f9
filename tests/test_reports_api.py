"""Reports through the API: every template, window and format comes out as a file with a working link."""

from __future__ import annotations

import csv
import io
import json
import zipfile
from typing import Any

import pytest
from pypdf import PdfReader

from everfix import documents
from everfix.core import ids
from everfix.documents.model import Document
from everfix.reports import templates
from everfix.reports.sections import SECTIONS
from tests import make

FORMATS = list(documents.RENDERERS)
NAMED = [key for key in templates.TEMPLATES if key != "blank"]


def fill(workspace: make.Workspace) -> None:
    workspace.learn(
        *make.failures("database", (80, 60, 40, 25, 20, 15, 9, 5, 2, 1), team="shop"),
        *make.failures("payments", (50, 33, 12, 6, 3), severity="p1", resolved_at=make.NOW.isoformat()),
        *make.failures("login", (45, 4)),
        make.event(title="Only once", source_created_at=make.NOW.isoformat()),
    )


def generate(workspace: make.Workspace, **body: Any) -> dict[str, Any]:
    """Ask for a report, make it, and return its job."""
    job = workspace.api.ok("POST", "/v1/reports/generate", body)
    assert (job["status"], job["download_url"], job["files"]) == ("queued", None, [])
    workspace.work_once()
    done = workspace.api.ok("GET", f"/v1/reports/jobs/{job['job_id']}")
    assert done["status"] == "succeeded", (body, done["error"])
    return done  # type: ignore[no-any-return]


def fetch(workspace: make.Workspace, file: dict[str, Any]) -> bytes:
    answer = workspace.client.get(file["download_url"])
    assert answer.status_code == 200
    assert answer.headers["content-type"].split(";")[0] == file["media_type"].split(";")[0]
    assert len(answer.content) == file["size"]
    return answer.content


def test_the_templates_of_the_reference_are_there(alice: make.Workspace) -> None:
    """C224."""
    told = alice.viewer.ok("GET", "/v1/reports/templates")
    assert told["page"] == {"next_cursor": None, "has_more": False, "total": 12}
    found = {item["key"]: item for item in told["data"]}
    named = ["executive_summary", "pattern_analysis", "issue_digest", "prediction_report", "recommendation_coverage", "blank"]
    assert list(found) == [*named, *templates.ML]
    sections = [section["key"] for section in found["executive_summary"]["sections"]]
    assert {"kpis", "top_patterns", "risk_trend", "loops_prevented", "recommended_fixes", "what_changed"} <= set(sections)
    assert found["executive_summary"]["windows"] == ["7d", "30d", "90d"]
    assert set(found["executive_summary"]["formats"]) >= {"csv", "xlsx", "json", "pdf"}
    assert {section["key"] for section in found["blank"]["sections"]} == set(SECTIONS)


@pytest.mark.parametrize("window", ["7D", "30D", "90D"])
@pytest.mark.parametrize("template", NAMED)
def test_every_template_and_window(alice: make.Workspace, time: Any, template: str, window: str) -> None:
    """C225–C228, C223, C232, C236."""
    fill(alice)
    done = generate(alice, template=template, window=window, format="JSON")
    assert (done["template"], done["window"], done["formats"], done["kind"]) == (template, window.lower(), ["json"], "report")
    document = Document.model_validate_json(fetch(alice, done["files"][0]))
    assert [section.id for section in document.sections] == list(templates.TEMPLATES[template].sections)
    assert (document.period.end - document.period.start).days == int(window[:-1]) - 1
    assert document.narrative is not None


@pytest.mark.parametrize("template", NAMED)
def test_every_template_of_an_empty_workspace(alice: make.Workspace, time: Any, template: str) -> None:
    for window in ("7D", "30D", "90D"):
        done = generate(alice, template=template, window=window, format="json")
        document = Document.model_validate_json(fetch(alice, done["files"][0]))
        assert document.narrative is not None


@pytest.mark.parametrize("template", NAMED)
def test_every_template_with_one_failure(alice: make.Workspace, time: Any, template: str) -> None:
    alice.learn(*make.failures("database", (0.1,)))
    generate(alice, template=template, window="30D", format="json")


@pytest.mark.parametrize("template", NAMED)
def test_every_template_in_every_format(alice: make.Workspace, time: Any, template: str) -> None:
    """C237."""
    fill(alice)
    done = generate(alice, template=template, window="30D", formats=FORMATS)
    assert [file["format"] for file in done["files"]] == FORMATS
    assert done["download_url"].split("?")[0].startswith("http://testserver/v1/downloads/")
    bodies = {file["format"]: fetch(alice, file) for file in done["files"]}
    title = templates.TEMPLATES[template].name
    assert title in (PdfReader(io.BytesIO(bodies["pdf"])).pages[0].extract_text() or "")
    assert title in bodies["html"].decode()
    assert bodies["markdown"].decode().startswith("# ")
    assert json.loads(bodies["json"])["title"] == title
    with zipfile.ZipFile(io.BytesIO(bodies["xlsx"])) as book:
        assert "xl/workbook.xml" in book.namelist()
    if bodies["csv"][:2] == b"PK":
        with zipfile.ZipFile(io.BytesIO(bodies["csv"])) as book:
            assert book.namelist()
    else:
        assert list(csv.reader(io.StringIO(bodies["csv"].decode("utf-8-sig"))))


@pytest.mark.parametrize("section", list(SECTIONS))
def test_every_section_by_hand(alice: make.Workspace, time: Any, section: str) -> None:
    fill(alice)
    done = generate(alice, template="blank", sections=[section], name=f"Only {section}", format="json")
    document = Document.model_validate_json(fetch(alice, done["files"][0]))
    assert (document.title, [item.id for item in document.sections]) == (f"Only {section}", [section])


@pytest.mark.parametrize(("body", "field"), [
    ({"template": "x"}, "template"), ({"template": "blank"}, "sections"), ({"sections": ["nope"]}, "sections"), ({"sections": ["kpis", "kpis"]}, "sections"),
    ({"window": "0D"}, "window"), ({"window": "367d"}, "window"), ({"window": "week"}, "window"), ({"format": "docx"}, "format"), ({"formats": []}, "formats"),
    ({"format": "pdf", "formats": ["csv"]}, "formats"), ({"unknown": 1}, "unknown"), ({"name": ""}, "name"), ({"name": "x" * 201}, "name"),
    ({"filters": {"colour": "red"}}, "filters"), ({"window": "7\u0661D"}, "window"), ({"window": "\u0667d"}, "window"),
])  # fmt: skip
def test_a_wrong_wish_is_refused_at_once(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    answer = alice.api.post("/v1/reports/generate", body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["error"]["details"]
    assert alice.api.ok("GET", "/v1/reports/jobs")["page"]["total"] == 0


@pytest.mark.parametrize(("sent", "kept"), [("PDF", "pdf"), ("Excel", "xlsx"), ("md", "markdown"), ("HTML", "html")])
def test_formats_in_either_case_and_by_their_common_names(alice: make.Workspace, sent: str, kept: str) -> None:
    answer = alice.api.post("/v1/reports/generate", {"format": sent})
    assert answer.status_code in (202, 422)
    if sent.lower() in documents.RENDERERS:
        assert answer.json()["formats"] == [kept]


def test_any_number_of_days_is_a_window(alice: make.Workspace, time: Any) -> None:
    fill(alice)
    assert generate(alice, template="issue_digest", window="1d", format="json")["window"] == "1d"
    assert generate(alice, template="issue_digest", window="366D", format="json")["window"] == "366d"


def test_jobs_are_listed_with_their_files(alice: make.Workspace, bob: make.Workspace, time: Any) -> None:
    """C231."""
    first = generate(alice, template="issue_digest", format="json", name="One")
    second = generate(alice, template="issue_digest", format="json", name="Two")
    told = alice.viewer.ok("GET", "/v1/reports/jobs")
    assert [job["name"] for job in told["data"]] == ["Two", "One"]
    assert [job["id"] for job in told["data"]] == [second["id"], first["id"]]
    assert bob.viewer.ok("GET", "/v1/reports/jobs")["data"] == []


def test_another_kind_of_job_is_no_report(alice: make.Workspace) -> None:
    told = alice.api.ok("POST", "/v1/ingest/events", make.event())
    job = ids.show(ids.Prefix.JOB, ids.parse(ids.Prefix.INGEST_JOB, told["job_id"]))
    assert alice.api.get(f"/v1/reports/jobs/{job}").status_code == 404


def test_literal_segments_are_never_read_as_an_id(alice: make.Workspace) -> None:
    for word in ("templates", "jobs"):
        assert "data" in alice.api.ok("GET", f"/v1/reports/{word}")


def test_generating_leaves_a_trace(alice: make.Workspace) -> None:
    from sqlalchemy import text

    job = alice.api.ok("POST", "/v1/reports/generate", {"template": "issue_digest", "format": "json"})
    with alice.db() as db:
        entry = db.execute(text("SELECT action, target_id, actor_name FROM audit_log ORDER BY number DESC LIMIT 1")).one()
    assert (entry.action, entry.target_id, entry.actor_name) == (
        "report.generated",
        ids.parse(ids.Prefix.RUN, job["run_id"]),
        "Alice Owner",
    )


def test_a_simulated_workspace_says_so(alice: make.Workspace, time: Any) -> None:
    from sqlalchemy import text

    with alice.db() as db:
        db.execute(text("UPDATE workspaces SET simulated = true"))
    document = Document.model_validate_json(fetch(alice, generate(alice, template="issue_digest", format="json")["files"][0]))
    assert "simulated" in document.notices[0]
