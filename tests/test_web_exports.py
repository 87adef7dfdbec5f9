"""Exports as pages: the button on each list, the list's filters in the file, progress, cancel, links, and who may not."""

from __future__ import annotations

import csv
import hashlib
import html
import io
import re
from typing import Any
from urllib.parse import parse_qsl

import pytest

from everfix.exports import work
from tests import make
from tests.test_web import PART, Person

LISTS = {"/issues": "issues", "/patterns": "patterns", "/predictions": "predictions", "/recommendations": "recommendations"}
HIDDEN = re.compile(r'action="/exports".*?name="resource" value="(\w+)"><input type="hidden" name="filters" value="([^"]*)">', re.DOTALL)


@pytest.fixture
def full(alice: make.Workspace, time: Any) -> make.Workspace:
    make.with_history(alice)
    return alice


@pytest.fixture
def owner(full: make.Workspace) -> Person:
    return Person(full.client).enter(full.secrets["owner"])


def button(page: str) -> tuple[str, str]:
    found = HIDDEN.search(page)
    assert found, "there is no Export button"
    return found[1], html.unescape(found[2])


def press(person: Person, path: str, format_: str = "csv", **more: str) -> str:
    """Press the button of a list; return the note that appears."""
    resource, filters = button(person.page(path))
    sent = {"csrf": person.csrf(), "resource": resource, "filters": filters, "format": format_, **more}
    answer = person.post("/exports", sent, **PART)
    assert answer.status_code == 200, answer.text
    return answer.text


def fetched(workspace: make.Workspace, page: str) -> bytes:
    found = re.search(r'class="file" href="([^"]+)"[^>]*SHA-256 (\w+)"', page)
    assert found, page
    body: bytes = make.Api(workspace.client).get(html.unescape(found[1]).removeprefix("http://testserver")).content
    assert hashlib.sha256(body).hexdigest() == found[2]
    return body


@pytest.mark.parametrize(("path", "resource"), LISTS.items())
def test_each_list_has_a_button_that_exports_its_rows(full: make.Workspace, owner: Person, path: str, resource: str) -> None:
    """C297."""
    note = press(owner, path)
    assert 'data-job="queued"' in note
    assert f"Exporting {resource} as CSV" in note
    full.work()
    page = owner.page("/exports")
    lines = list(csv.DictReader(io.StringIO(fetched(full, page).decode())))
    (export,) = full.api.ok("GET", "/v1/exports")["data"]
    assert export["resource"] == resource
    assert export["rows"] == len(lines) > 0
    assert f"{len(lines):,} row" in page
    assert "Links work until" in page
    assert export["files"][0]["sha256"] in page


def test_the_filters_of_the_list_are_those_of_the_file(full: make.Workspace, owner: Person) -> None:
    service = full.api.ok("GET", "/v1/issues")["data"][0]["service"]
    _, filters = button(owner.page(f"/issues?service={service}&severity=critical,high&sort=severity"))
    assert dict(parse_qsl(filters)) == {"service": service, "severity": "critical,high"}
    press(owner, f"/issues?service={service}&severity=critical,high")
    full.work()
    told = re.search(r"([\d,]+) issues? that match", owner.page(f"/issues?service={service}&severity=critical,high"))
    assert told
    lines = list(csv.DictReader(io.StringIO(fetched(full, owner.page("/exports")).decode())))
    assert f"{len(lines):,}" == told[1]
    assert {line["service"] for line in lines} <= {service}
    assert f"service: {service}" in html.unescape(owner.page("/exports"))
    for path, wanted in (
        ("/recommendations?status=implemented&type=process", {"status": "implemented", "type": "process"}),
        ("/patterns", {"status": "emerging,active"}),
        ("/predictions", {"status": "active"}),
    ):
        assert dict(parse_qsl(button(owner.page(path))[1])) == wanted


def test_progress_is_shown_until_the_file_is_there_and_the_note_follows(full: make.Workspace, owner: Person) -> None:
    note = press(owner, "/issues", "xlsx")
    found = re.search(r'hx-get="(/exports/exp_\w+)\?form=toast"', note)
    assert found
    assert "<progress" in note
    assert 'hx-trigger="every 1s"' in owner.page("/exports")
    full.work()
    ready = owner.get(f"{found[1]}?form=toast", **PART).text
    assert "Issues are exported" in ready
    assert "hx-trigger" not in ready
    assert fetched(full, ready).startswith(b"PK")
    assert owner.get(f"{found[1]}?form=row", **PART).text.lstrip().startswith("<tr")
    assert owner.get(f"{found[1]}?form=x", **PART).status_code == 422


def test_an_export_is_cancelled(full: make.Workspace, owner: Person) -> None:
    note = press(owner, "/issues")
    found = re.search(r'hx-post="(/exports/exp_\w+/cancel)"', note)
    assert found
    answer = owner.post(found[1], {"csrf": owner.csrf(), "form": "row"}, **PART)
    assert answer.status_code == 200
    full.work()
    (export,) = full.api.ok("GET", "/v1/exports")["data"]
    assert export["status"] == "cancelled"
    assert 'class="pill cancelled"' in owner.page("/exports")
    assert owner.post(found[1], {"csrf": owner.csrf()}, **PART).status_code == 409


def test_a_failure_is_told_in_words(full: make.Workspace, owner: Person, monkeypatch: pytest.MonkeyPatch) -> None:
    def full_disk(*_: object, **__: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(work, "_write", full_disk)
    press(owner, "/issues")
    full.work()
    page = owner.page("/exports")
    (export,) = full.api.ok("GET", "/v1/exports")["data"]
    assert export["status"] == "failed"
    assert html.escape(export["error"], quote=False) in page
    assert 'class="pill failed"' in page


def test_csv_is_written_for_excel(full: make.Workspace, owner: Person) -> None:
    press(owner, "/issues", csv="excel-comma")
    full.work()
    body = fetched(full, owner.page("/exports"))
    assert body.startswith(b"\xef\xbb\xbf")
    assert b";" in body.splitlines()[0]
    press(owner, "/issues", "json", csv="excel-comma")
    full.work()
    assert fetched(full, owner.page("/exports"))[:1] == b"["


def test_an_empty_page_says_what_to_do_and_lists_what_may_be_exported(full: make.Workspace, owner: Person) -> None:
    page = owner.page("/exports")
    assert "Nothing has been exported yet" in page
    for name in ("issues", "patterns", "predictions", "recommendations", "audit_log", "members", "connectors"):
        assert f'<option value="{name}">' in page


@pytest.mark.parametrize(
    ("sent", "words"),
    [
        ({"resource": "secrets"}, "secrets"),
        ({"resource": "issues", "format": "doc"}, "doc"),
        ({"resource": "issues", "filters": "colour=red"}, "colour"),
        ({"resource": "issues", "filters": "nonsense"}, "name=value"),
        ({"resource": "issues", "csv": "fancy"}, "fancy"),
    ],
)
def test_what_cannot_be_exported_is_refused_in_words(full: make.Workspace, owner: Person, sent: dict[str, str], words: str) -> None:
    answer = owner.post("/exports", {"csrf": owner.csrf(), **sent}, **PART)
    assert answer.status_code == 422
    assert words in answer.text
    assert full.api.ok("GET", "/v1/exports")["data"] == []


def test_who_may_not_sees_no_button_and_is_refused(full: make.Workspace, owner: Person, bob: make.Workspace) -> None:
    note = press(owner, "/issues")
    found = re.search(r"/exports/exp_\w+", note)
    assert found
    for role in ("viewer", "analyst"):
        person = Person(full.client).enter(full.secrets[role])
        for path in LISTS:
            assert 'action="/exports"' not in person.page(path)
        assert 'href="/exports"' not in person.page("/reports/saved")
        csrf = person.csrf()
        assert person.get("/exports").status_code == 403
        assert person.get(f"{found[0]}?form=row", **PART).status_code == 403
        assert person.post("/exports", {"csrf": csrf, "resource": "issues"}).status_code == 403
        assert person.post(f"{found[0]}/cancel", {"csrf": csrf}).status_code == 403
    stranger = Person(bob.client).enter(bob.secrets["owner"])
    assert stranger.get(f"{found[0]}?form=row", **PART).status_code == 404
    assert stranger.post(f"{found[0]}/cancel", {"csrf": stranger.csrf()}).status_code == 404
    assert "Nothing has been exported yet" in stranger.page("/exports")
