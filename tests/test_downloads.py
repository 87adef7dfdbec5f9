"""Downloads: a signed link to one file; changed it leads nowhere, late it is gone, and nobody needs to sign in."""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import Any
from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from everfix.api.v1 import downloads
from everfix.core import ids
from tests import make


def made(workspace: make.Workspace, **body: Any) -> dict[str, Any]:
    job = workspace.api.ok("POST", "/v1/reports/generate", {"template": "blank", "sections": ["issue_kpis"], "format": "json", **body})
    workspace.work()
    return workspace.api.ok("GET", f"/v1/reports/jobs/{job['id']}")["files"][0]  # type: ignore[no-any-return]


def test_a_link_works_for_anyone_who_has_it(alice: make.Workspace, anyone: make.Api) -> None:
    file = made(alice, name="Über: Q1/Q2 \r\n «x»")
    answer = anyone.get(file["download_url"])
    assert answer.status_code == 200
    headers = answer.headers
    assert headers["content-disposition"].startswith("attachment; filename*=UTF-8''")
    assert quote(file["filename"]) in headers["content-disposition"]
    assert headers["content-length"] == str(len(answer.content))
    assert headers["digest"] == f"sha-256={file['sha256']}"
    assert headers["cache-control"] == "private, no-store"
    assert headers["x-content-type-options"] == "nosniff"
    assert "sandbox" in headers["content-security-policy"]


def test_an_expired_link_is_gone(alice: make.Workspace, anyone: make.Api, time: Any) -> None:
    url = made(alice)["download_url"]
    time.advance(seconds=alice.installation.settings.link_seconds)
    assert anyone.get(url).status_code == 200
    time.advance(seconds=1)
    answer = anyone.get(url)
    assert (answer.status_code, answer.json()["error"]["code"]) == (410, "gone")


def test_each_look_at_the_job_gives_a_fresh_link(alice: make.Workspace, anyone: make.Api, time: Any) -> None:
    made(alice)
    time.advance(days=3)
    fresh = alice.api.ok("GET", "/v1/reports/jobs")["data"][0]["download_url"]
    assert anyone.get(fresh).status_code == 200


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_a_changed_link_leads_nowhere(alice: make.Workspace, anyone: make.Api, data: st.DataObject) -> None:
    keys, config = alice.installation.keys, alice.installation.settings
    link = downloads.link(config, keys, alice.id, ids.new())
    head, token = link.rsplit("/", 1)
    place = data.draw(st.integers(0, len(token) - 1))
    letter = data.draw(st.sampled_from("abcXYZ019-_="))
    changed = token[:place] + letter + token[place + 1 :]
    if changed != token:
        assert anyone.get(f"{head}/{changed}").status_code == 404


def test_a_signature_for_something_else_is_no_link(alice: make.Workspace, anyone: make.Api) -> None:
    cursor = alice.installation.keys.sign("cursor", [str(alice.id), str(ids.new()), 99999999999])
    assert anyone.get(f"/v1/downloads/{cursor}").status_code == 404


def test_a_file_that_is_no_longer_kept_is_gone(alice: make.Workspace, anyone: make.Api) -> None:
    url = made(alice)["download_url"]
    with alice.db() as db:
        key = db.execute(text("SELECT storage_key FROM files")).scalar_one()
    (alice.installation.settings.data_dir / "files" / key).unlink()
    assert anyone.get(url).status_code == 410
    with alice.db() as db:
        db.execute(text("DELETE FROM files"))
    assert anyone.get(url).status_code == 410


def test_a_link_cannot_name_another_workspaces_file(alice: make.Workspace, bob: make.Workspace, anyone: make.Api) -> None:
    """Even a link that we signed is looked up inside the workspace it names."""
    file = made(alice)
    with alice.db() as db:
        file_id = db.execute(text("SELECT id FROM files")).scalar_one()
    assert file
    installation = alice.installation
    assert anyone.get(downloads.link(installation.settings, installation.keys, bob.id, file_id)).status_code == 410
    assert anyone.get(downloads.link(installation.settings, installation.keys, alice.id, file_id)).status_code == 200


def test_a_link_lives_as_long_as_asked(alice: make.Workspace, anyone: make.Api, time: Any) -> None:
    made(alice)
    with alice.db() as db:
        file_id = db.execute(text("SELECT id FROM files")).scalar_one()
    url = downloads.link(alice.installation.settings, alice.installation.keys, alice.id, file_id, timedelta(seconds=5))
    time.advance(seconds=5)
    assert anyone.get(url).status_code == 200
    time.advance(seconds=1)
    assert anyone.get(url).status_code == 410


@pytest.mark.parametrize("method", ["POST", "DELETE", "PUT"])
def test_a_link_only_reads(alice: make.Workspace, anyone: make.Api, method: str) -> None:
    assert anyone.call(method, made(alice)["download_url"]).status_code == 405


@pytest.mark.parametrize(
    ("wanted", "start", "end"), [("bytes=0-9", 0, 10), ("bytes=5-", 5, None), ("bytes=-7", -7, None), ("bytes=0-99999999", 0, None)]
)
def test_a_part_of_a_file(alice: make.Workspace, anyone: make.Api, wanted: str, start: int, end: int | None) -> None:
    url = made(alice)["download_url"]
    whole = anyone.get(url).content
    answer = anyone.call("GET", url, headers={"Range": wanted})
    part = whole[start:end]
    assert (answer.status_code, answer.content) == (206, part)
    first = start % len(whole)
    assert answer.headers["content-range"] == f"bytes {first}-{first + len(part) - 1}/{len(whole)}"
    assert answer.headers["content-length"] == str(len(part))


@pytest.mark.parametrize("wanted", ["bytes=999999999-", "bytes=9-3", "bytes=-0", "bytes=-"])
def test_a_part_outside_of_the_file(alice: make.Workspace, anyone: make.Api, wanted: str) -> None:
    file = made(alice)
    answer = anyone.call("GET", file["download_url"], headers={"Range": wanted})
    assert (answer.status_code, answer.headers["content-range"]) == (416, f"bytes */{file['size']}")


@pytest.mark.parametrize("headers", [{"Range": "bytes=0-1,4-5"}, {"Range": "lines=1-2"}, {"Range": "bytes=2-3", "If-Range": '"other"'}])
def test_what_is_no_single_part_of_this_very_file_gets_it_whole(alice: make.Workspace, anyone: make.Api, headers: dict[str, str]) -> None:
    file = made(alice)
    answer = anyone.call("GET", file["download_url"], headers=headers)
    assert (answer.status_code, len(answer.content)) == (200, file["size"])


def test_a_broken_download_goes_on_where_it_was(alice: make.Workspace, anyone: make.Api) -> None:
    file = made(alice)
    url = file["download_url"]
    head = anyone.call("HEAD", url)
    assert (head.status_code, head.content, head.headers["accept-ranges"]) == (200, b"", "bytes")
    assert (head.headers["content-length"], head.headers["etag"]) == (str(file["size"]), f'"{file["sha256"]}"')
    got = anyone.call("GET", url, headers={"Range": "bytes=0-99"}).content
    got += anyone.call("GET", url, headers={"Range": "bytes=100-", "If-Range": head.headers["etag"]}).content
    assert hashlib.sha256(got).hexdigest() == file["sha256"]


def test_each_download_is_in_the_audit_log_once(alice: make.Workspace, anyone: make.Api) -> None:
    file = made(alice)
    for headers in ({}, {"Range": "bytes=0-99"}, {"Range": "bytes=100-"}):
        anyone.call("GET", file["download_url"], headers=headers)
    anyone.call("HEAD", file["download_url"])
    with alice.db() as db:
        found = db.execute(text("SELECT actor_kind, details FROM audit_log WHERE action = 'report.downloaded'")).all()
    assert [(row.actor_kind, row.details["filename"]) for row in found] == [("link", file["filename"])] * 2
