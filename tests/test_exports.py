"""Exports through the API: every resource in every format, the filters of the lists, who may, and files that are whole and safe."""

from __future__ import annotations

import csv
import hashlib
import io
import json
import zipfile
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlsplit
from zoneinfo import ZoneInfo

import openpyxl
import pypdf
import pytest
from sqlalchemy import text

from everfix import worker
from everfix.core import ids
from everfix.documents.to_csv import neutral
from everfix.errors import Invalid, Unavailable
from everfix.exports import options, resources, to_csv, to_xlsx, work
from everfix.exports.columns import shown_ids
from everfix.identity.principals import Scope
from tests import make

FORMATS = ("csv", "xlsx", "json", "pdf")
NAMES = tuple(resources.RESOURCES)


def started(api: make.Api, **body: Any) -> dict[str, Any]:
    answer = api.post("/v1/exports", body)
    assert answer.status_code == 202, answer.text
    made: dict[str, Any] = answer.json()
    return made


def done(workspace: make.Workspace, **body: Any) -> dict[str, Any]:
    """Return an export that has succeeded, with its file's bytes as `body`."""
    made = started(workspace.api, **body)
    workspace.work()
    export: dict[str, Any] = workspace.api.ok("GET", f"/v1/exports/{made['id']}")
    assert export["status"] == "succeeded", export
    return export | {"body": make.Api(workspace.client).get(export["download_url"]).content}


def records(workspace: make.Workspace, **body: Any) -> list[dict[str, str]]:
    raw = done(workspace, format="csv", **body)["body"].decode()
    return list(csv.DictReader(io.StringIO(raw, newline="")))


@pytest.fixture
def full(alice: make.Workspace, time: Any) -> make.Workspace:
    make.with_history(alice)
    return alice


# ---- what comes out


@pytest.mark.parametrize("resource", NAMES)
def test_every_resource_in_every_format(full: make.Workspace, resource: str) -> None:
    """C252, C253, C261."""
    for format_ in FORMATS:
        export = done(full, resource=resource.upper(), format=format_.upper())
        assert (export["resource"], export["format"], export["kind"]) == (resource, format_, "export")
        file = next(file for file in export["files"] if file["kind"] == "part")
        assert (file["size"], file["sha256"]) == (len(export["body"]), hashlib.sha256(export["body"]).hexdigest())
        assert file["filename"] == f"{resource.replace('_', '-')}-2026-03-16.{format_}"
        assert (export["rows"] == 0) == (resource == "connectors"), "there is no table of connectors yet"
        _holds(resource, format_, export)


def _holds(resource: str, format_: str, export: dict[str, Any]) -> None:
    """Read a file with the usual library and find every row in it."""
    found = export["body"]
    match format_:
        case "csv":
            lines = list(csv.reader(io.StringIO(found.decode(), newline="")))
            assert (lines[0], len(lines) - 1) == (export["columns"], export["rows"])
        case "json":
            rows = json.loads(found)
            assert len(rows) == export["rows"]
            assert all(list(row) == export["columns"] for row in rows)
        case "xlsx":
            sheet = openpyxl.load_workbook(io.BytesIO(found)).active
            assert [cell.value for cell in sheet[1]] == export["columns"]
            assert sheet.max_row - 1 == export["rows"]
        case _:
            words = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(found)).pages)
            assert resources.RESOURCES[resource].title in words
            assert ("There are no such rows." in words) == (resource == "connectors")


def test_the_formats_say_the_same(full: make.Workspace) -> None:
    plain = records(full, resource="issues", include_analysis=True)
    rich = json.loads(done(full, resource="issues", format="json", include_analysis=True)["body"])
    sheet = openpyxl.load_workbook(io.BytesIO(done(full, resource="issues", format="xlsx", include_analysis=True)["body"])).active
    listed = {row["id"]: row for row in full.api.ok("GET", "/v1/issues", limit=100)["data"]}
    assert len(plain) == len(rich) == len(listed)
    for one, two, three in zip(plain, rich, sheet.iter_rows(min_row=2), strict=True):
        shown = listed[two["id"]]
        assert {key: two[key] for key in shown if key in two} == {key: shown[key] for key in shown if key in two}
        for (key, value), cell in zip(two.items(), three, strict=True):
            if value is None:
                assert one[key] == ""
                assert cell.value is None
            elif isinstance(value, dict | list):
                assert json.loads(one[key]) == value
                assert json.loads(cell.value) == value
            elif key.endswith("_at"):
                moment = datetime.fromisoformat(value).replace(microsecond=0)
                assert datetime.fromisoformat(one[key]) == moment
                assert cell.value.replace(tzinfo=UTC) == moment
            elif isinstance(value, float | int):
                assert float(one[key]) == value
                assert cell.value == pytest.approx(value)
            else:
                assert one[key] == value
                assert cell.value == (value or None)


def test_what_the_reference_asks_of_each(full: make.Workspace) -> None:
    """C254, C255, C256, C257, C259."""
    assert "pattern_name" not in records(full, resource="issues")[0]
    issues = records(full, resource="issues", include_analysis=True)
    assert {"pattern_name", "assignment_confidence", "recurrence_probability"} <= set(issues[0])
    assert any(0 < float(row["recurrence_probability"]) < 1 for row in issues if row["recurrence_probability"])
    patterns = records(full, resource="patterns")
    assert all(0 <= int(row["risk_score"]) <= 100 for row in patterns)
    assert any(row["recommendations"] for row in patterns)
    predictions = records(full, resource="predictions")
    assert all(0 <= float(row["probability"]) <= 1 and row["impact"] in ("low", "medium", "high", "critical") for row in predictions)
    recommendations = records(full, resource="recommendations")
    assert {row["status"] for row in recommendations} & {"implemented", "pending"}
    assert all(row["attestation"] for row in recommendations)
    members = records(full, resource="members")
    assert {row["email"] for row in members} == {f"{name}@alice.example" for name in ("owner", "analyst", "viewer", "admin")}
    assert set(records(full, resource="audit_log")[0]) >= {"number", "at", "actor_name", "action", "hash"}


@pytest.mark.parametrize(
    ("resource", "path", "filters"),
    [
        ("issues", "/v1/issues", {"severity": "p1", "risk_min": 1}),
        ("issues", "/v1/issues", {"status": "closed,resolved"}),
        ("issues", "/v1/issues", {"q": "pool exhau"}),
        ("issues", "/v1/issues", {"service": "orders-api", "date_from": "2026-01-01T00:00:00Z", "linked": True}),
        ("patterns", "/v1/patterns", {"risk_min": 30, "q": "o"}),
        ("predictions", "/v1/predictions", {"status": "superseded", "min_probability": 0.3}),
        ("predictions", "/v1/predictions", {}),
        ("recommendations", "/v1/recommendations", {"status": "implemented", "type": "config"}),
    ],
)
def test_the_filters_of_the_list_narrow_the_export(full: make.Workspace, resource: str, path: str, filters: dict[str, Any]) -> None:
    """C262."""
    params = {key: str(value).lower() if isinstance(value, bool) else value for key, value in filters.items()}
    listed = full.api.ok("GET", path, limit=100, **params)
    assert listed["page"]["has_more"] is False
    assert {row["id"] for row in records(full, resource=resource, filters=filters)} == {row["id"] for row in listed["data"]}


def test_the_filters_of_what_has_no_list(full: make.Workspace) -> None:
    assert {row["role"] for row in records(full, resource="members", filters={"role": ["viewer", "owner"]})} == {"viewer", "owner"}
    entries = records(full, resource="audit_log", filters={"action": "export.", "actor": "owner"})
    assert {row["action"] for row in entries} == {"export.started", "export.downloaded"}
    assert records(full, resource="audit_log", filters={"date_to": "2020-01-01T00:00:00Z"}) == []


@pytest.mark.parametrize(
    ("body", "field"),
    [
        ({"resource": "secrets"}, "resource"),
        ({}, "resource"),
        ({"resource": "issues", "format": "doc"}, "format"),
        ({"resource": "issues", "filters": {"colour": "red"}}, "filters.colour"),
        ({"resource": "issues", "filters": {"severity": "p9"}}, "filters.severity"),
        ({"resource": "issues", "filters": {"risk_min": 50, "risk_max": 10}}, "filters.risk_max"),
        ({"resource": "connectors", "filters": {"status": "active"}}, "filters.status"),
        ({"resource": "issues", "columns": ["id", "password"]}, "columns"),
        ({"resource": "issues", "columns": []}, "columns"),
        ({"resource": "issues", "timezone": "Mars/Base"}, "timezone"),
        ({"resource": "issues", "delimiter": "x"}, "delimiter"),
        ({"resource": "issues", "decimal": ",", "delimiter": ","}, "body"),
        ({"resource": "issues", "part_rows": 3}, "part_rows"),
        ({"resource": "issues", "size": "large"}, "size"),
    ],
)
def test_bad_input_is_refused_by_name(alice: make.Workspace, body: dict[str, Any], field: str) -> None:
    answer = alice.api.post("/v1/exports", body)
    assert answer.status_code == 422, answer.text
    assert field in answer.json()["error"]["details"], answer.text
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM jobs")).scalar_one() == 0


# ---- safe for spreadsheets, and for whoever reads it elsewhere

HOSTILE = (
    "=1+1", "=cmd|' /C calc'!A0", "+49 30 123", "-3.5", "-1e9", "+7", "-x", "@SUM(A1)", "\t=1", "\r=1", "  =1", "\u200b=1", "\ufeff=1",
    "\u00a0=1", "\u3000@x", 'say "=1"', "a,=1", "a\n=1", "x\r\ny", "\x1b[31m red", "\u202eevil", "\u2066x", "\x7f", "\x85", "\ufdd0",
    "caf\u00e9", "数据,库", "שלום", "plain", "-", "=", "''", "'=1", "\u2028=1", ";=1", "|", "\\.", '"', '""', "NULL", "0x01", "\x01iss_", "\U0001f600=1",
)  # fmt: skip


def _hostile(workspace: make.Workspace) -> None:
    with workspace.db() as db:
        for number, words in enumerate(HOSTILE):
            db.execute(
                text(
                    "INSERT INTO issues (id, external_id, source, kind, title, body, severity, occurred_at, team)"
                    " VALUES (:id, :external, 'manual', 'incident', :words, :words, 'p3', now(), :words)"
                ),
                {"id": ids.new(), "external": f"x-{number}", "words": words},
            )


@pytest.mark.parametrize("delimiter", [",", ";", "\t", "|"])
def test_no_cell_is_a_formula_and_every_number_stays(alice: make.Workspace, delimiter: str) -> None:
    _hostile(alice)
    raw = done(alice, resource="issues", format="csv", delimiter=delimiter)["body"].decode()
    rows = list(csv.DictReader(io.StringIO(raw, newline=""), delimiter=delimiter))
    assert [(row["title"], row["body"], row["team"]) for row in rows] == [(neutral(words),) * 3 for words in HOSTILE]
    kept = {words for words in HOSTILE if neutral(words) == words}
    assert {"-3.5", "-1e9", "+7", "plain", "a,=1", "数据,库", "caf\u00e9"} <= kept
    assert not {"=1+1", "+49 30 123", "-x", "  =1", "\u200b=1", "\t=1", "@SUM(A1)"} & kept


def test_texts_stay_texts_in_a_workbook(alice: make.Workspace) -> None:
    _hostile(alice)
    sheet = openpyxl.load_workbook(io.BytesIO(done(alice, resource="issues", format="xlsx", columns=["title"])["body"])).active
    cells = [row[0] for row in sheet.iter_rows(min_row=2)]
    assert {cell.data_type for cell in cells} <= {"s", "n", "inlineStr"}
    assert cells[0].value == "=1+1"


def test_options_of_the_file(full: make.Workspace) -> None:
    export = done(
        full,
        resource="predictions",
        bom=True,
        decimal=",",
        timezone="Europe/Berlin",
        dates="d.m.y",
        columns=["probability", "generated_at", "id"],
    )
    raw = export["body"].decode()
    assert raw.startswith("\ufeffid;probability;generated_at\r\n")
    assert export["options"]["delimiter"] == ";"
    first = raw.splitlines()[1].split(";")
    rich = json.loads(done(full, resource="predictions", format="json")["body"])[0]
    assert float(first[1].replace(",", ".")) == rich["probability"]
    assert first[0] == rich["id"]
    assert first[2] == datetime.fromisoformat(rich["generated_at"]).astimezone(ZoneInfo("Europe/Berlin")).strftime("%d.%m.%Y %H:%M:%S")


@pytest.mark.parametrize(("zone", "moment"), [("UTC", "2026-03-14T10:00:00Z"), ("Asia/Kathmandu", "2026-03-14T15:45:00+05:45")])
def test_instants_carry_their_offset(alice: make.Workspace, zone: str, moment: str) -> None:
    alice.ingest(make.event(source_created_at="2026-03-14T10:00:00.987Z"))
    assert records(alice, resource="issues", timezone=zone)[0]["occurred_at"] == moment
    book = openpyxl.load_workbook(
        io.BytesIO(done(alice, resource="issues", format="xlsx", columns=["occurred_at"], timezone=zone)["body"])
    ).active
    assert book["A2"].value.replace(microsecond=0) == datetime.fromisoformat(moment).replace(tzinfo=None)


def test_ids_are_those_of_the_api() -> None:
    found = [ids.new() for _ in range(50)]
    assert shown_ids(ids.Prefix.ISSUE, [None, *(one.hex for one in found), None]) == [
        None, *(ids.show(ids.Prefix.ISSUE, one) for one in found), None,
    ]  # fmt: skip
    assert shown_ids(ids.Prefix.ISSUE, [None]) == [None]


# ---- many rows


def _many(workspace: make.Workspace, count: int) -> None:
    workspace.ingest(*(make.event(external_id=f"n-{number}") for number in range(count)))


@pytest.mark.parametrize(("format_", "most"), [("csv", 10), ("json", 7), ("xlsx", 12), ("pdf", 20), ("csv", 5)])
def test_many_rows_come_in_parts_and_none_is_missing(
    alice: make.Workspace, monkeypatch: pytest.MonkeyPatch, format_: str, most: int
) -> None:
    """C264."""
    _many(alice, 25)
    monkeypatch.setitem(work.PART_ROWS, format_, most)
    export = done(alice, resource="issues", format=format_)
    with zipfile.ZipFile(io.BytesIO(export["body"])) as bundle:
        assert bundle.testzip() is None
        manifest = json.loads(bundle.read("manifest.json"))
        parts = {part["file"]: bundle.read(part["file"]) for part in manifest["parts"]}
    assert (manifest["rows"], manifest["truncated"], export["rows"]) == (25, False, 25)
    assert [part["rows"] for part in manifest["parts"]] == [most] * (25 // most) + ([25 % most] if 25 % most else [])
    for part in manifest["parts"]:
        assert hashlib.sha256(parts[part["file"]]).hexdigest() == part["sha256"]
    readers: dict[str, Any] = {
        "csv": lambda body: [row["external_id"] for row in csv.DictReader(io.StringIO(body.decode(), newline=""))],
        "json": lambda body: [row["external_id"] for row in json.loads(body)],
        "xlsx": lambda body: [row[4] for row in openpyxl.load_workbook(io.BytesIO(body)).active.iter_rows(min_row=2, values_only=True)],
        "pdf": lambda body: [
            word for page in pypdf.PdfReader(io.BytesIO(body)).pages for word in page.extract_text().split() if word.startswith("n-")
        ],
    }
    found = [name for part in manifest["parts"] for name in readers[format_](parts[part["file"]])]
    assert found == [f"n-{number}" for number in range(25)]
    assert json.loads(make.Api(alice.client).get(export["manifest_url"]).content) == manifest
    stored = list(alice.installation.storage.keys(alice.id, f"exports/{ids.parse(ids.Prefix.EXPORT, export['id'])}"))
    assert len(stored) == 2, "parts are not kept beside the bundle"


def test_a_full_sheet_begins_a_new_one(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    _many(alice, 25)
    monkeypatch.setattr(to_xlsx, "SHEET_ROWS", 10)
    book = openpyxl.load_workbook(io.BytesIO(done(alice, resource="issues", format="xlsx", columns=["external_id"])["body"]))
    assert book.sheetnames == ["Issues", "Issues 2", "Issues 3"]
    assert [sheet.max_row - 1 for sheet in book] == [10, 10, 5]
    assert [sheet["A1"].value for sheet in book] == ["external_id"] * 3
    assert book["Issues 3"]["A6"].value == "n-24"


def test_a_killed_export_goes_on_behind_its_last_part(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    _many(alice, 25)
    monkeypatch.setitem(work.PART_ROWS, "csv", 10)
    made = started(alice.api, resource="issues")
    real, calls = alice.installation.storage.put_file, []

    def put(self: Any, workspace: Any, name: str, path: Any) -> Any:
        calls.append(name)
        if len(calls) == 3:
            raise SystemExit("killed")  # no `except Exception` sees it, as none sees a killed process
        return real(workspace, name, path)

    monkeypatch.setattr(type(alice.installation.storage), "put_file", put)
    with pytest.raises(SystemExit):
        alice.work_once()
    assert alice.api.ok("GET", f"/v1/exports/{made['id']}")["status"] == "running"
    _many_more = make.event(external_id="later")
    alice.ingest(_many_more)
    job = ids.parse(ids.Prefix.JOB, made["job_id"])
    worker._one(worker.TASKS["exports.run"], alice.installation, alice.id, job)
    export = alice.api.ok("GET", f"/v1/exports/{made['id']}")
    assert (export["status"], export["rows"]) == ("succeeded", 25), "what came later is not in it"
    assert [name[-8:-4] for name in calls] == ["0001", "0002", "0003", "0003"], "finished parts are not written again"
    assert worker._one(worker.TASKS["exports.run"], alice.installation, alice.id, job) is None


def test_an_export_is_cancelled(alice: make.Workspace) -> None:
    made = started(alice.api, resource="issues")
    assert alice.api.ok("POST", f"/v1/exports/{made['id']}/cancel")["status"] == "cancelled"
    assert alice.work() == 0
    again = alice.api.post(f"/v1/exports/{made['id']}/cancel", None)
    assert (again.status_code, again.json()["error"]["code"]) == (409, "conflict")


def test_a_running_export_stops_at_its_next_word(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    _many(alice, 5)
    made = started(alice.api, resource="issues")
    real = to_csv.blocks

    def blocks(*given: Any) -> Any:
        alice.api.ok("POST", f"/v1/exports/{made['id']}/cancel")
        return real(*given)

    monkeypatch.setattr(to_csv, "blocks", blocks)
    alice.work()
    export = alice.api.ok("GET", f"/v1/exports/{made['id']}")
    assert (export["status"], export["download_url"], export["files"]) == ("cancelled", None, [])
    assert list((alice.installation.settings.data_dir / "scratch").iterdir()) == []


def test_a_store_that_fails_is_said_and_tried_again(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    made = started(alice.api, resource="members")
    kind = type(alice.installation.storage)

    def full_disk(*given: Any) -> Any:
        raise Unavailable("files cannot be stored in /data: the disk is full")

    with monkeypatch.context() as patch:
        patch.setattr(kind, "put_file", full_disk)
        alice.work_once()
    waiting = alice.api.ok("GET", f"/v1/exports/{made['id']}")
    assert waiting["status"] == "queued"
    assert "the disk is full" in alice.api.ok("GET", f"/v1/jobs/{made['job_id']}")["error"]
    alice.work()
    assert alice.api.ok("GET", f"/v1/exports/{made['id']}")["status"] == "succeeded"


# ---- who may, and what is written down


def test_who_may_export(alice: make.Workspace) -> None:
    """C263."""
    body = {"resource": "issues"}
    assert [getattr(alice, who).post("/v1/exports", body).status_code for who in ("viewer", "analyst", "admin", "api", "service")] == [
        403, 403, 202, 202, 202,
    ]  # fmt: skip
    assert "role admin" in alice.analyst.post("/v1/exports", body).json()["error"]["message"]
    assert alice.analyst.get("/v1/exports").status_code == 403


def test_the_audit_log_needs_more(alice: make.Workspace) -> None:
    """C258."""
    robot = alice.with_scopes(Scope.REPORTS_WRITE)
    assert started(robot, resource="issues")["status"] == "queued"
    refused = robot.post("/v1/exports", {"resource": "audit_log"})
    assert refused.status_code == 403
    assert "audit:read" in refused.json()["error"]["message"]
    made = started(alice.api, resource="audit_log")
    assert robot.get(f"/v1/exports/{made['id']}").status_code == 403
    assert {row["resource"] for row in robot.ok("GET", "/v1/exports")["data"]} == {"issues"}
    assert {row["resource"] for row in alice.api.ok("GET", "/v1/exports")["data"]} == {"issues", "audit_log"}


def test_taking_out_is_written_down(alice: make.Workspace, anyone: make.Api) -> None:
    export = done(alice, resource="issues", filters={"severity": "high"})
    anyone.call("GET", export["download_url"], headers={"Range": "bytes=5-"})
    anyone.get(export["manifest_url"])
    with alice.db() as db:
        found = db.execute(text("SELECT action, actor_name, details FROM audit_log WHERE action LIKE 'export.%' ORDER BY number")).all()
    assert [(row.action, row.actor_name) for row in found] == [
        ("export.started", "Alice Owner"), ("export.downloaded", "link of Alice Owner"), ("export.downloaded", "link of Alice Owner"),
    ]  # fmt: skip
    assert found[0].details == {"resource": "issues", "format": "csv", "filters": {"severity": "p2"}}
    assert [row.details["filename"][-4:] for row in found[1:]] == [".csv", "json"]


def test_a_link_to_an_export_expires(alice: make.Workspace, anyone: make.Api, time: Any) -> None:
    url = done(alice, resource="members")["download_url"]
    assert urlsplit(url).path.startswith("/v1/downloads/")
    time.advance(seconds=alice.installation.settings.link_seconds + 1)
    assert anyone.get(url).status_code == 410


def test_nobody_sees_anothers_rows(alice: make.Workspace, bob: make.Workspace) -> None:
    _many(alice, 3)
    bob.ingest(make.event(external_id="bobs"))
    assert [row["external_id"] for row in records(bob, resource="issues")] == ["bobs"]
    for resource in NAMES:
        assert "alice" not in done(bob, resource=resource, format="json")["body"].decode().lower()


def test_exports_are_among_the_report_jobs(alice: make.Workspace) -> None:
    export = done(alice, resource="members")
    job = alice.api.ok("GET", f"/v1/reports/jobs/{export['job_id']}")
    assert (job["kind"], job["status"], job["export_id"], job["run_id"]) == ("export", "succeeded", export["id"], None)
    assert make.Api(alice.client).get(job["download_url"]).content == export["body"]
    alice.api.ok("POST", "/v1/reports/generate", {"template": "blank", "sections": ["issue_kpis"], "format": "json"})
    assert [one["kind"] for one in alice.api.ok("GET", "/v1/reports/jobs")["data"]] == ["report", "export"]
    seen = alice.viewer.ok("GET", f"/v1/reports/jobs/{export['job_id']}")
    assert (seen["status"], seen["download_url"], seen["files"]) == ("succeeded", None, []), "who may not export gets no link to raw rows"


def test_an_export_without_a_server(alice: make.Workspace) -> None:
    told: list[str] = []
    file = work.make(
        alice.installation,
        alice.id,
        lambda _, words: told.append(words),
        resource="members",
        format="CSV",
        options=options.read({"decimal": ","}),
    )
    body = alice.installation.storage.read(file.storage_key).decode()
    assert body.splitlines()[0].startswith("id;user_id;name;email")
    assert any("rows written" in words for words in told)
    with pytest.raises(Invalid, match="delimiter"):
        options.read({"delimiter": "x"})
    with pytest.raises(Invalid, match="cannot be exported"):
        work.make(alice.installation, alice.id, lambda *_: None, resource="secrets")
