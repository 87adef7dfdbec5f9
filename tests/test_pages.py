"""Lists: walking them shows every row once whatever is inserted meanwhile; cursors cannot be forged or reused elsewhere."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import text

from everfix import pages
from everfix.api.v1 import issues, jobs, patterns, predictions, recommendations, reports
from everfix.core import ids
from everfix.core.db import Database
from tests import make

LISTS: dict[str, pages.Sorts] = {
    "/v1/issues": issues.SORTS,
    "/v1/patterns": patterns.SORTS,
    "/v1/predictions": predictions.SORTS,
    "/v1/recommendations": recommendations.SORTS,
    "/v1/jobs": jobs.SORTS,
    "/v1/reports/jobs": reports.SORTS,
}


def walk(api: make.Api, path: str, **params: Any) -> Iterator[dict[str, Any]]:
    """Yield each page of a list."""
    cursor = None
    for _ in range(200):
        page = api.ok("GET", path, **params, **({"cursor": cursor} if cursor else {}))
        yield page
        cursor = page["page"]["next_cursor"]
        assert page["page"]["has_more"] == (cursor is not None)
        if cursor is None:
            return
    raise AssertionError("the list does not end")


def fill(workspace: make.Workspace) -> None:
    """Make a few rows in every list, many of them equal in what they are sorted by."""
    causes = [record for cause in ("database", "payments", "search", "login") for record in make.failures(cause, (40, 33, 20, 12, 6, 2, 1))]
    workspace.learn(*causes)
    workspace.ingest(*(make.event(severity="p3") for _ in range(8)))
    for _ in range(5):
        workspace.api.ok("POST", "/v1/reports/generate", {"template": "issue_digest", "format": "json"})


@pytest.mark.parametrize("path", LISTS)
def test_every_sort_walks_without_gaps_or_repeats(alice: make.Workspace, path: str) -> None:
    """C72, C75."""
    fill(alice)
    for sort in (sign + name for name in LISTS[path].fields for sign in ("", "-")):
        whole = alice.api.ok("GET", path, sort=sort, limit=100)["data"]
        assert len(whole) >= 4
        for limit in (2, 7):
            found = [row for page in walk(alice.api, path, sort=sort, limit=limit) for row in page["data"]]
            assert make.ids_of(found) == make.ids_of(whole)
        values = [value for row in whole if (value := row.get(sort.removeprefix("-"))) is not None]
        assert values == sorted(values, reverse=sort.startswith("-"))


@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(
    data=st.data(),
    sort=st.sampled_from([sign + name for name in issues.SORTS.fields for sign in ("", "-")]),
    limit=st.integers(1, 6),
    start=st.integers(0, 14),
)
def test_rows_inserted_meanwhile_break_nothing(alice: make.Workspace, data: st.DataObject, sort: str, limit: int, start: int) -> None:
    """Rows that were there at the start appear exactly once; new ones at most once."""
    moments = st.none() | st.integers(0, 5).map(lambda ago: (make.NOW - timedelta(days=ago)).isoformat())
    events = st.builds(
        lambda severity, at: make.event(severity=severity, source_created_at=at), st.sampled_from(["p1", "p2", "p3"]), moments
    )
    before = {ids.show(ids.Prefix.ISSUE, issue) for issue in alice.ingest(*(data.draw(events) for _ in range(start)))} if start else set()
    before |= {row["id"] for row in alice.api.ok("GET", "/v1/issues", limit=100)["data"]}
    seen: Counter[str] = Counter()
    for page in walk(alice.api, "/v1/issues", sort=sort, limit=limit):
        seen.update(make.ids_of(page["data"]))
        if len(seen) < 60 and data.draw(st.booleans()):
            alice.ingest(data.draw(events))
    assert max(seen.values(), default=1) == 1
    assert before <= set(seen)
    with alice.db() as db:
        db.execute(text("DELETE FROM issues"))


def test_total_is_exact_and_filters_narrow_it(alice: make.Workspace) -> None:
    """C74."""
    alice.ingest(*(make.event(severity="p1") for _ in range(7)), *(make.event(severity="p4") for _ in range(30)))
    assert alice.api.ok("GET", "/v1/issues", limit=2)["page"]["total"] == 37
    assert alice.api.ok("GET", "/v1/issues", limit=2, severity="critical")["page"]["total"] == 7
    assert alice.api.ok("GET", "/v1/issues", limit=2, severity="p1,low")["page"]["total"] == 37
    assert alice.api.ok("GET", "/v1/issues", severity="p2") == {"data": [], "page": {"next_cursor": None, "has_more": False, "total": 0}}


def test_the_default_limit_is_25_and_the_last_page_says_so(alice: make.Workspace) -> None:
    """C70, C71, C72."""
    alice.ingest(*(make.event() for _ in range(26)))
    first = alice.api.ok("GET", "/v1/issues")
    assert (len(first["data"]), first["page"]["has_more"]) == (25, True)
    last = alice.api.ok("GET", "/v1/issues", cursor=first["page"]["next_cursor"])
    assert (len(last["data"]), last["page"]["has_more"], last["page"]["next_cursor"]) == (1, False, None)
    exact = alice.api.ok("GET", "/v1/issues", limit=26)
    assert (len(exact["data"]), exact["page"]["has_more"]) == (26, False)


def test_above_ten_thousand_rows_the_total_is_an_estimate(alice: make.Workspace, owner: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """C74."""
    monkeypatch.setattr(pages, "EXACT_ROWS", 10)
    alice.ingest(*(make.event(title="it's 100% broken: %s :x") for _ in range(40)))
    with owner.engine.connect() as connection:
        connection.execute(text("ANALYZE issues"))
    for params in ({}, {"q": "broken"}, {"team": "o'neill: 50% :x %(y)s"}, {"date_from": "2020-01-01T00:00:00Z"}, {"severity": "p3"}):
        total = alice.api.ok("GET", "/v1/issues", limit=1, **params)["page"]["total"]
        assert total == 0 or total >= 11


def _cursor(workspace: make.Workspace, path: str = "/v1/issues", **params: Any) -> str:
    found = workspace.api.ok("GET", path, limit=1, **params)["page"]["next_cursor"]
    assert isinstance(found, str)
    return found


@settings(max_examples=40, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture], derandomize=True)
@given(data=st.data())
def test_a_tampered_cursor_is_refused(alice: make.Workspace, data: st.DataObject) -> None:
    """C73."""
    alice.ingest(make.event(), make.event())
    cursor = _cursor(alice)
    kind = data.draw(st.sampled_from(["change", "cut", "add", "junk"]))
    place = data.draw(st.integers(0, len(cursor) - 1))
    letter = data.draw(st.sampled_from("abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_=+/ é"))
    changed = {
        "change": cursor[:place] + letter + cursor[place + 1 :],
        "cut": cursor[:place] or "x",
        "add": cursor + letter,
        "junk": data.draw(st.text(min_size=1, max_size=60)) or "x",
    }[kind]
    if changed == cursor:
        return
    answer = alice.api.get("/v1/issues", limit=1, cursor=changed.encode("utf-8", "replace").decode())
    assert answer.status_code == 400, (changed, answer.text)
    error = answer.json()["error"]
    assert error["code"] == "validation_error"
    assert "malformed" in error["details"]["cursor"]


def test_a_cursor_serves_its_own_list_sort_and_filter_only(alice: make.Workspace) -> None:
    fill(alice)
    cursor = _cursor(alice, "/v1/issues", sort="-risk_score", severity="p2")
    alice.api.ok("GET", "/v1/issues", limit=3, sort="-risk_score", severity="p2", cursor=cursor)
    wrong: list[tuple[str, dict[str, Any]]] = [
        ("/v1/issues", {"sort": "risk_score", "severity": "p2"}),
        ("/v1/issues", {"sort": "-updated_at", "severity": "p2"}),
        ("/v1/issues", {"severity": "p2"}),
        ("/v1/issues", {"sort": "-risk_score"}),
        ("/v1/issues", {"sort": "-risk_score", "severity": "p3"}),
        ("/v1/issues", {"sort": "-risk_score", "status": "p2"}),
        ("/v1/patterns", {"sort": "-risk_score"}),
        ("/v1/jobs", {}),
    ]
    for path, params in wrong:
        answer = alice.api.get(path, cursor=cursor, **params)
        assert answer.status_code in (400, 422), (path, params)
        assert answer.json()["error"]["code"] == "validation_error"
    for one, other in (("/v1/jobs", "/v1/reports/jobs"), ("/v1/patterns", "/v1/issues"), ("/v1/reports/jobs", "/v1/jobs")):
        assert alice.api.get(other, cursor=_cursor(alice, one, sort="created_at"), sort="created_at").status_code == 400, (one, other)


def test_another_workspaces_cursor_shows_nothing_of_it(alice: make.Workspace, bob: make.Workspace) -> None:
    fill(alice)
    bob.ingest(make.event(external_id="bobs", source_created_at="2020-01-01T00:00:00Z"))
    answer = bob.api.get("/v1/issues", cursor=_cursor(alice, sort="-occurred_at"), sort="-occurred_at")
    assert answer.status_code == 400 or {row["external_id"] for row in answer.json()["data"]} <= {"bobs"}


def test_a_cursor_keeps_the_default_sort(alice: make.Workspace) -> None:
    alice.ingest(make.event(), make.event(), make.event())
    cursor = _cursor(alice)
    assert (
        alice.api.ok("GET", "/v1/issues", cursor=cursor, sort="-created_at")["data"]
        == alice.api.ok("GET", "/v1/issues", cursor=cursor)["data"]
    )


def test_rows_without_a_value_come_last_in_both_directions(alice: make.Workspace) -> None:
    alice.ingest(make.event(external_id="none"), make.event(external_id="some", source_created_at=make.NOW.isoformat()))
    for sort in ("source_created_at", "-source_created_at"):
        rows = [row for page in walk(alice.api, "/v1/issues", sort=sort, limit=1) for row in page["data"]]
        assert [row["external_id"] for row in rows] == ["some", "none"]
