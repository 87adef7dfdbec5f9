"""The pages of triage: the list of issues with what is done to many, and saved views; who may, and what is refused."""

from __future__ import annotations

import re
from html import unescape
from typing import Any

import pytest
from sqlalchemy import select

from everfix.core import ids
from everfix.failures.patterns import Pattern
from everfix.failures.views import SavedView
from everfix.ingest.events import Issue
from tests import make
from tests.conftest import Clock
from tests.test_web import Person

DAYS = (1, 2, 3, 5, 8, 9, 13, 20)


@pytest.fixture
def full(alice: make.Workspace, time: Clock) -> make.Workspace:
    assert time.at is not None
    alice.learn(
        *make.failures("database", DAYS, team="core"),
        *make.failures("payments", DAYS[::2], severity="p1", title="Card <b>& provider</b> 504"),
    )
    return alice


def person(workspace: make.Workspace, role: str = "owner") -> Person:
    return Person(workspace.client).enter(workspace.secrets[role])


def form(visitor: Person, path: str, address: str = "/issues", **data: object) -> int:
    return visitor.post(path, {"csrf": _csrf(visitor, address), **data}).status_code


def _csrf(visitor: Person, address: str) -> str:
    found = re.search(r'name="csrf" value="([0-9a-f]+)"', visitor.page(address))
    assert found
    return found[1]


def of(workspace: make.Workspace, service: str) -> list[Issue]:
    with workspace.db() as db:
        return list(db.execute(select(Issue).where(Issue.service == service).order_by(Issue.occurred_at)).scalars())


def shown(issue: Issue) -> str:
    return ids.show(ids.Prefix.ISSUE, issue.id)


def pattern_of(workspace: make.Workspace, service: str) -> str:
    with workspace.db() as db:
        return ids.show(ids.Prefix.PATTERN, db.execute(select(Pattern.id).where(Pattern.service == service)).scalar_one())


def listed(text: str) -> list[str]:
    return re.findall(r'<a href="/issues/(iss_\w+)" data-row>', text)


# ---- the list


def test_every_filter_of_the_list_leaves_what_the_api_leaves(full: make.Workspace) -> None:
    """C289."""
    visitor = person(full)
    for query in (
        "severity=p1",
        "service=orders-api",
        "team=core",
        "q=provider",
        "status=open,in_loop,mitigating",
        "linked=true",
        "source=nowhere",
        f"assignee_id={ids.show(ids.Prefix.USER, full.users['owner'])}",
    ):
        wanted = full.api.call("GET", f"/v1/issues?limit=100&{query}").json()["data"]
        found = listed(visitor.page(f"/issues?limit=100&{query}&kind="))
        assert sorted(found) == sorted(row["id"] for row in wanted), query
    assert len(listed(visitor.page("/issues?limit=100"))) == 12


def test_the_list_is_walked_page_by_page_without_losing_or_doubling_one(full: make.Workspace) -> None:
    visitor, address, seen = person(full), "/issues?limit=5&sort=-occurred_at", []
    for _ in range(3):
        text = visitor.page(address)
        seen += listed(text)
        more = re.search(r'href="([^"]+)" rel="next"', text)
        address = unescape(more[1]) if more else ""
    assert address == ""
    assert seen == [row["id"] for row in full.api.call("GET", "/v1/issues?limit=100&sort=-occurred_at").json()["data"]]


@pytest.mark.parametrize(
    ("query", "told"),
    [
        ("status=nonsense", "status: 'nonsense' is not allowed"),
        ("sort=colour", "sort"),
        ("cursor=abc", "malformed"),
        ("colour=red", "colour"),
    ],
)
def test_a_filter_that_does_not_fit_is_told_on_the_page(full: make.Workspace, query: str, told: str) -> None:
    answer = person(full).get(f"/issues?{query}")
    assert answer.status_code in (400, 422)
    assert "A filter does not fit" in answer.text
    assert told in unescape(answer.text)


def test_an_empty_list_says_why(full: make.Workspace, bob: make.Workspace) -> None:
    assert "No issue matches these filters" in person(full).page("/issues?q=zeppelin")
    assert "No failure has come in yet" in person(bob).page("/issues")


def test_services_and_teams_of_the_workspace_are_offered_whether_a_pattern_has_them_or_not(
    full: make.Workspace, bob: make.Workspace
) -> None:
    full.ingest(make.event(service="zeta & co", team="night"), make.event(service="alpha"), make.event(service="alpha", team="night"))
    bob.ingest(make.event(service="bobs-api"))
    text = Person(full.client).enter(full.secrets["viewer"]).page("/issues")
    known = {row["service"] for row in full.api.ok("GET", "/v1/issues", limit=100)["data"]} - {None}
    offered = text.partition('<datalist id="services">')[2].partition("</datalist>")[0]
    assert re.findall('value="([^"]+)"', unescape(offered)) == sorted(known)
    assert {"zeta & co", "alpha"} <= known
    assert '<option value="night">' in text
    assert "bobs-api" not in text


def test_titles_are_escaped(full: make.Workspace) -> None:
    text = person(full).page("/issues?severity=p1")
    assert "Card &lt;b&gt;&amp; provider&lt;/b&gt; 504" in text
    assert "<b>& provider" not in text


# ---- what is done to many


def test_many_are_moved_assigned_and_linked_at_once(full: make.Workspace) -> None:
    visitor, chosen = person(full), [shown(issue) for issue in of(full, "orders-api")[:3]]
    owner = ids.show(ids.Prefix.USER, full.users["owner"])
    answer = visitor.post(
        "/issues/bulk",
        {"csrf": _csrf(visitor, "/issues"), "op": "status", "status": "mitigating", "chosen": chosen, "back": "/issues?severity=p2"},
    )
    assert (answer.status_code, answer.headers["location"]) == (303, "/issues?severity=p2&done=3")
    assert "3 issues changed" in visitor.page("/issues?severity=p2&done=3")
    assert form(visitor, "/issues/bulk", op="assign", assignee=owner, chosen=chosen) == 303
    target = pattern_of(full, "payments-api")
    assert form(visitor, "/issues/bulk", op="link_pattern", pattern=target, chosen=chosen[:1]) == 303
    found = {one: full.api.get(f"/v1/issues/{one}").json() for one in chosen}
    assert {one["assignee_id"] for one in found.values()} == {owner}
    assert found[chosen[0]]["pattern_id"] == target


def test_those_that_cannot_be_changed_are_told_with_the_reason(full: make.Workspace) -> None:
    visitor, chosen = person(full), [shown(issue) for issue in of(full, "orders-api")[:2]]
    assert full.api.patch(f"/v1/issues/{chosen[0]}", {"status": "closed"}).status_code == 200
    answer = visitor.post("/issues/bulk", {"csrf": _csrf(visitor, "/issues"), "op": "status", "status": "resolved", "chosen": chosen})
    assert answer.status_code == 200
    assert "1 changed, 1 not" in answer.text
    assert "an issue that is closed can become open" in answer.text


@pytest.mark.parametrize(
    "data",
    [{"op": "status", "status": "x"}, {"op": "explode"}, {"op": "link_pattern", "pattern": ""}, {"op": "assign", "assignee": "usr_no"}],
)
def test_an_operation_that_cannot_be_is_refused_and_changes_nothing(full: make.Workspace, data: dict[str, str]) -> None:
    visitor, [one, *_] = person(full), of(full, "orders-api")
    assert form(visitor, "/issues/bulk", chosen=[shown(one)], **data) == 422
    assert of(full, "orders-api")[0].updated_at == one.updated_at
    assert form(visitor, "/issues/bulk", op="status", status="closed") == 422, "nothing was chosen"


def test_a_viewer_is_offered_nothing_and_a_strangers_form_is_refused(full: make.Workspace, bob: make.Workspace) -> None:
    viewer, [one, *_] = person(full, "viewer"), of(full, "orders-api")
    assert '/issues/bulk" data' in (text := viewer.page("/issues"))
    assert 'name="chosen"' not in text
    assert 'name="op"' not in text
    data: dict[str, Any] = {"op": "status", "status": "closed", "chosen": [shown(one)]}
    assert form(viewer, "/issues/bulk", **data) == 403
    assert person(full).post("/issues/bulk", data).status_code == 403, "without the session's own token"
    stranger = person(bob)
    answer = stranger.post("/issues/bulk", {**data, "csrf": _csrf(stranger, "/issues")})
    assert "there is no such issue" in answer.text
    assert of(full, "orders-api")[0].status == one.status


# ---- saved views


def test_a_view_is_saved_applied_shared_and_deleted(full: make.Workspace) -> None:
    """C289."""
    visitor = person(full)
    answer = visitor.post(
        "/issues/views",
        {"csrf": _csrf(visitor, "/issues"), "name": "Worst <i>", "query": "severity=p1&linked=true&sort=-occurred_at", "shared": "true"},
    )
    assert answer.status_code == 303
    address = answer.headers["location"]
    text = visitor.page(address)
    assert "Worst &lt;i&gt;" in text
    assert {row["severity"] for row in full.api.call("GET", "/v1/issues?severity=p1").json()["data"]} == {"p1"}
    assert len(listed(text)) == 4
    with full.db() as db:
        view = ids.show(ids.Prefix.SAVED_VIEW, db.execute(select(SavedView.id)).scalar_one())
    other = person(full, "analyst")
    assert "shared with you" in other.page("/issues")
    assert form(other, f"/issues/views/{view}/delete") == 403
    assert form(visitor, f"/issues/views/{view}/delete") == 303
    assert "No view is saved yet" in visitor.page("/issues")


def test_a_view_that_the_list_would_refuse_is_not_saved(full: make.Workspace) -> None:
    visitor = person(full)
    assert form(visitor, "/issues/views", name="x", query="status=nonsense") == 422
    assert form(visitor, "/issues/views", name="x", query="sort=colour") == 422
    assert form(visitor, "/issues/views", name="", query="") == 422
    assert form(visitor, "/issues/views", name="x", query="severity=p1") == 303
    assert form(visitor, "/issues/views", name="x", query="severity=p2") == 409


# ---- one issue


def test_an_issue_is_moved_assigned_and_talked_about_on_its_page(full: make.Workspace) -> None:
    visitor, [one, *_] = person(full), of(full, "orders-api")
    page, owner = f"/issues/{shown(one)}", ids.show(ids.Prefix.USER, full.users["owner"])
    assert form(visitor, f"{page}/change", page, status="mitigating", severity="p1", assignee=owner, team="core") == 303
    assert form(visitor, f"{page}/comments", page, body="<script>x</script> ask @owner or @nobody-here") == 303
    found = full.api.ok("GET", f"/v1{page}")
    assert (found["status"], found["severity"], found["assignee_id"], found["team"]) == ("mitigating", "p1", owner, "core")
    text = visitor.page(page)
    assert "&lt;script&gt;x&lt;/script&gt;" in text
    assert "<script>x" not in text
    assert "status: " in text, "the timeline says what was changed"
    [comment] = full.api.ok("GET", f"/v1{page}/comments")["data"]
    assert form(person(full, "analyst"), f"{page}/comments/{comment['id']}/delete", page) == 403
    assert form(visitor, f"{page}/comments/{comment['id']}/delete", page) == 303
    assert full.api.ok("GET", f"/v1{page}/comments")["data"] == []


def test_an_issue_is_linked_and_unlinked_and_the_page_says_who_decided(full: make.Workspace) -> None:
    """C290."""
    visitor, [one, *_] = person(full), of(full, "orders-api")
    page, target = f"/issues/{shown(one)}", pattern_of(full, "payments-api")
    assert form(visitor, f"{page}/link", page, pattern=target, reason="same <cause>") == 303
    assert full.api.ok("GET", f"/v1{page}")["pattern_id"] == target
    text = visitor.page(page)
    assert "Linked by Alice Owner" in text
    assert "same &lt;cause&gt;" in text
    assert form(visitor, f"{page}/unlink", page) == 303
    assert full.api.ok("GET", f"/v1{page}")["pattern_id"] is None


def test_a_pattern_is_picked_from_all_by_a_part_of_its_name_and_taken_by_its_whole_name(full: make.Workspace, bob: make.Workspace) -> None:
    for n in range(14):
        full.api.ok("POST", "/v1/patterns", {"name": f"Rare <{n}>", "risk_score": 90})
    visitor, [one, *_] = person(full), of(full, "orders-api")
    first = visitor.page("/pick/patterns")
    assert first.count('role="option"') == 12
    assert "There are more" in first
    found = visitor.page("/pick/patterns?q=rARE %3C7")
    assert re.findall(r"<b>([^<]+)</b>", found) == ["Rare &lt;7&gt;"]
    rare = re.findall(r'data-id="(pat_\w+)"', found)[0]
    assert "No pattern is called like" in visitor.page(f"/pick/patterns?q=rare %3C7&but={rare}")
    assert 'role="option"' not in person(bob).page("/pick/patterns?q=rare")
    page = f"/issues/{shown(one)}"
    assert form(visitor, f"{page}/link", page, pattern="Rare <7>") == 303
    assert full.api.ok("GET", f"/v1{page}")["pattern_id"] == rare
    assert form(visitor, f"{page}/link", page, pattern="Rare") == 422
    assert form(visitor, f"{page}/link", page, pattern="") == 422
    full.api.ok("POST", "/v1/patterns", {"name": "Rare <7>"})
    assert form(visitor, f"{page}/link", page, pattern="Rare <7>") == 422, "two have that name"


def test_forms_of_an_issue_refuse_strangers_viewers_and_nonsense(full: make.Workspace, bob: make.Workspace) -> None:
    visitor, viewer, stranger, [one, *_] = person(full), person(full, "viewer"), person(bob), of(full, "orders-api")
    page = f"/issues/{shown(one)}"
    sound: dict[str, dict[str, Any]] = {
        "change": {"status": "closed", "severity": "p2"},
        "link": {"pattern": pattern_of(full, "payments-api")},
        "unlink": {},
        "comments": {"body": "x"},
    }
    for name, data in sound.items():
        assert visitor.post(f"{page}/{name}", data).status_code == 403, name
        if name != "watch":  # who can read a pattern can follow it
            assert form(viewer, f"{page}/{name}", page, **data) == 403, name
        assert form(stranger, f"{page}/{name}", **data) == 404, name
    assert form(visitor, f"{page}/change", page, status="x", severity="p1") == 422
    assert form(visitor, f"{page}/link", page, pattern="") == 422
    assert form(visitor, f"{page}/comments", page, body=" ") == 422
    assert form(visitor, f"{page}/comments/cmt_x/delete", page) == 404
    assert '<h2 id="triage-h">' not in viewer.page(page)


# ---- one pattern


def test_a_merge_is_previewed_said_and_undone(full: make.Workspace) -> None:
    visitor, kept, gone = person(full), pattern_of(full, "orders-api"), pattern_of(full, "payments-api")
    page = f"/patterns/{kept}"
    first = visitor.post(f"{page}/words", {"csrf": _csrf(visitor, page), "kind": "merge", "source": gone, "reason": "one <pool>"})
    assert "4 failures would move" in first.text
    assert "one &lt;pool&gt;" in first.text
    assert full.api.ok("GET", f"/v1{page}")["issue_count"] == 8, "a preview changes nothing"
    assert form(visitor, f"{page}/words", page, kind="merge", source=gone, reason="one <pool>", sure="yes") == 303
    assert full.api.ok("GET", f"/v1{page}")["issue_count"] == 12
    [word] = full.api.ok("GET", "/v1/corrections")["data"]
    assert "one &lt;pool&gt;" in visitor.page(page)
    assert form(visitor, f"{page}/words/{word['id']}/undo", page) == 303
    assert full.api.ok("GET", f"/v1{page}")["issue_count"] == 8
    assert "taken back by Alice Owner" in visitor.page(page)


def test_failures_are_split_off_after_a_preview(full: make.Workspace) -> None:
    visitor, page = person(full), f"/patterns/{pattern_of(full, 'orders-api')}"
    chosen = [shown(of(full, "orders-api")[0])]
    for kind in ("split", "detach"):
        first = visitor.post(f"{page}/words", {"csrf": _csrf(visitor, page), "kind": kind, "chosen": chosen})
        assert "8 failures would move" in first.text, kind
    assert form(visitor, f"{page}/words", page, kind="split", chosen=chosen, name="Own one", sure="yes") == 303
    assert "Own one" in {row["name"] for row in full.api.ok("GET", "/v1/patterns")["data"]}


def test_a_pattern_is_closed_with_a_note_and_watched(full: make.Workspace) -> None:
    visitor, page = person(full), f"/patterns/{pattern_of(full, 'orders-api')}"
    assert "it has no closure note" in visitor.page(page)
    assert form(visitor, f"{page}/close", page, note="Pool <doubled>") == 303
    assert "Pool &lt;doubled&gt;" in visitor.page(page)
    assert full.api.ok("GET", f"/v1{page}")["status"] != "resolved", "it failed within the proof window"
    assert form(visitor, f"{page}/watch", page, watching="yes") == 303
    assert "Stop watching" in visitor.page(page)
    assert form(visitor, f"{page}/watch", page, watching="no") == 303
    assert full.api.ok("GET", f"/v1{page}")["watching"] is False
    viewer = person(full, "viewer")
    assert form(viewer, f"{page}/watch", page, watching="yes") == 303
    assert "Stop watching" in viewer.page(page)
    assert "Stop watching" not in visitor.page(page), "one's own watch only"


def test_forms_of_a_pattern_refuse_strangers_viewers_and_nonsense(full: make.Workspace, bob: make.Workspace) -> None:
    visitor, viewer, stranger = person(full), person(full, "viewer"), person(bob)
    kept, gone = pattern_of(full, "orders-api"), pattern_of(full, "payments-api")
    page = f"/patterns/{kept}"
    sound: dict[str, dict[str, Any]] = {
        "words": {"kind": "merge", "source": gone, "sure": "yes"},
        "close": {"note": "x"},
        "watch": {"watching": "yes"},
    }
    for name, data in sound.items():
        assert visitor.post(f"{page}/{name}", data).status_code == 403, name
        if name != "watch":  # who can read a pattern can follow it
            assert form(viewer, f"{page}/{name}", page, **data) == 403, name
        assert form(stranger, f"{page}/{name}", **data) == 404, name
    assert form(visitor, f"{page}/words", page, kind="merge", source=kept) == 409
    assert form(visitor, f"{page}/words", page, kind="explode") == 422
    assert form(visitor, f"{page}/words", page, kind="split") == 422
    assert form(visitor, f"{page}/words", page, kind="split", chosen=[shown(of(full, "payments-api")[0])], sure="yes") == 422
    assert form(visitor, f"{page}/words/cor_x/undo", page) == 404
