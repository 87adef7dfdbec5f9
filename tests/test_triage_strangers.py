"""Strangers and colleagues at what people say and keep: saved views, words taken back, comments deleted, ids of neighbours in bodies.

`tests/test_strangers.py` tries every route; here the same routes are tried where they would work for the owner, with sound bodies.
"""

from __future__ import annotations

import dataclasses
from typing import Any

import pytest
from sqlalchemy import text

from tests import make

NOWHERE = (404, "not_found")


@dataclasses.dataclass(frozen=True, slots=True)
class Things:
    """Two patterns with failures, a word that stands, a comment and a view, as the owner of a workspace made them."""

    kept: str
    other: str
    issue: str
    elsewhere: str
    word: str
    comment: str
    view: str


def things(workspace: make.Workspace) -> Things:
    workspace.learn(*make.failures("database", (9, 8, 7)), *make.failures("payments", (6, 5)))
    api = workspace.api
    kept, other = (row["id"] for row in api.ok("GET", "/v1/patterns", sort="-issue_count")["data"][:2])
    issue, second = (api.ok("GET", f"/v1/patterns/{one}/members")["data"][0]["id"] for one in (kept, other))
    word = api.ok("POST", f"/v1/patterns/{kept}/split", {"issue_ids": [issue], "name": "Own one"})["id"]
    comment = api.ok("POST", f"/v1/issues/{second}/comments", {"body": "mine"})["id"]
    view = api.ok("POST", "/v1/saved-views", {"name": "mine", "filters": {"severity": "p1"}})["id"]
    return Things(kept, other, issue, second, word, comment, view)


def state(workspace: make.Workspace) -> list[Any]:
    """Return all that these calls could change of a workspace."""
    tables = ("issues", "patterns", "corrections", "comments", "saved_views", "pattern_watches", "verifications", "recommendations")
    with workspace.db() as db:
        return [db.execute(text(f"SELECT to_jsonb(t)::text FROM {name} t ORDER BY 1")).scalars().all() for name in tables]


def calls(of: Things) -> list[tuple[str, str, Any]]:
    """Return calls that succeed for the owner, in an order in which they do."""
    return [
        ("GET", f"/v1/saved-views/{of.view}", None),
        ("PATCH", f"/v1/saved-views/{of.view}", {"name": "other"}),
        ("DELETE", f"/v1/saved-views/{of.view}", None),
        ("DELETE", f"/v1/issues/{of.elsewhere}/comments/{of.comment}", None),
        ("POST", f"/v1/corrections/{of.word}/undo", None),
        ("POST", f"/v1/patterns/{of.kept}/split-preview", {"issue_ids": [of.issue]}),
        ("POST", f"/v1/patterns/{of.kept}/detach-preview", {"issue_ids": [of.issue]}),
        ("POST", f"/v1/patterns/{of.kept}/detach", {"issue_ids": [of.issue]}),
        ("POST", f"/v1/patterns/{of.kept}/undo", None),
        ("POST", "/v1/patterns/merge-preview", {"source_pattern_id": of.other, "target_pattern_id": of.kept}),
        ("POST", f"/v1/patterns/{of.kept}/merge", {"source_pattern_id": of.other}),
        ("POST", f"/v1/patterns/{of.kept}/undo", None),
        ("POST", f"/v1/issues/{of.issue}/link-pattern", {"pattern_id": of.other}),
        ("POST", f"/v1/issues/{of.issue}/unlink-pattern", {}),
        ("POST", f"/v1/patterns/{of.kept}/watch", None),
        ("DELETE", f"/v1/patterns/{of.kept}/watch", None),
    ]


def answer(api: make.Api, method: str, path: str, body: Any) -> tuple[int, str]:
    found = api.call(method, path, **({} if body is None else {"json": body}))
    return found.status_code, found.json()["error"]["code"] if found.status_code >= 400 else ""


def test_a_neighbour_gets_404_for_each_and_nothing_changes_while_the_owner_succeeds(alice: make.Workspace, bob: make.Workspace) -> None:
    mine = things(alice)
    before = state(alice)
    for method, path, body in calls(mine):
        for stranger in (bob.api, bob.admin, bob.service):
            assert answer(stranger, method, path, body) == NOWHERE, (method, path)
    assert state(alice) == before
    for method, path, body in calls(mine):
        status, code = answer(alice.api, method, path, body)
        assert status < 300, (method, path, status, code)


def test_a_viewer_changes_none_of_it_but_follows(alice: make.Workspace) -> None:
    mine = things(alice)
    before = state(alice)
    for method, path, body in calls(mine):
        if method != "GET" and not path.endswith("/watch"):
            assert answer(alice.viewer, method, path, body) == (403, "forbidden"), (method, path)
    assert state(alice) == before


def test_a_neighbours_id_in_a_body_names_nothing(alice: make.Workspace, bob: make.Workspace) -> None:
    """The path is one's own, the body names what belongs to somebody else: it is as if it did not exist, and nothing moves on either side."""
    mine, theirs = things(alice), things(bob)
    before = state(alice), state(bob)
    for method, path, body in (
        ("POST", f"/v1/patterns/{mine.kept}/merge", {"source_pattern_id": theirs.other}),
        ("POST", "/v1/patterns/merge-preview", {"source_pattern_id": theirs.other, "target_pattern_id": mine.kept}),
        ("POST", "/v1/patterns/merge-preview", {"source_pattern_id": mine.other, "target_pattern_id": theirs.kept}),
        ("POST", f"/v1/patterns/{mine.kept}/split", {"issue_ids": [theirs.issue]}),
        ("POST", f"/v1/patterns/{mine.kept}/detach", {"issue_ids": [theirs.issue]}),
        ("POST", f"/v1/patterns/{mine.kept}/split-preview", {"issue_ids": [theirs.issue]}),
        ("POST", f"/v1/issues/{mine.issue}/link-pattern", {"pattern_id": theirs.kept}),
        ("POST", "/v1/patterns", {"name": "x", "issue_ids": [theirs.issue]}),
        ("DELETE", f"/v1/issues/{mine.elsewhere}/comments/{theirs.comment}", None),
    ):
        status, code = answer(alice.api, method, path, body)
        assert status in (404, 422), (method, path, status, code)
        assert code in ("not_found", "validation_error"), (method, path, code)
    done = alice.api.ok("POST", "/v1/issues/bulk", {"ids": [theirs.issue], "op": "status", "value": "closed"})
    assert (done["updated"], [row["reason"] for row in done["failed"]]) == (0, ["there is no such issue"])
    assert (state(alice), state(bob)) == before


def test_a_colleagues_private_view_is_not_there_and_a_shared_one_is_only_read(alice: make.Workspace) -> None:
    view = f"/v1/saved-views/{things(alice).view}"
    for method, body in (("GET", None), ("PATCH", {"name": "x"}), ("DELETE", None)):
        assert answer(alice.admin, method, view, body) == NOWHERE, "even for an admin"
    alice.api.ok("PATCH", view, {"shared": True})
    assert alice.viewer.ok("GET", view)["mine"] is False
    for method, body in (("PATCH", {"name": "x"}), ("DELETE", None)):
        assert answer(alice.admin, method, view, body) == (403, "forbidden")
    assert alice.api.ok("GET", view)["name"] == "mine"


def test_only_its_author_deletes_a_comment_and_only_at_its_issue(alice: make.Workspace) -> None:
    mine = things(alice)
    at = f"/v1/issues/{mine.elsewhere}/comments"
    for other in (alice.admin, alice.analyst, alice.service):
        assert answer(other, "DELETE", f"{at}/{mine.comment}", None) == (403, "forbidden")
    assert answer(alice.api, "DELETE", f"/v1/issues/{mine.issue}/comments/{mine.comment}", None) == NOWHERE, "a comment of another issue"
    assert [row["body"] for row in alice.api.ok("GET", at)["data"]] == ["mine"]
    assert answer(alice.api, "DELETE", f"{at}/{mine.comment}", None) == (204, "")
    assert answer(alice.api, "DELETE", f"{at}/{mine.comment}", None) == NOWHERE


@pytest.mark.parametrize("way", ["corrections/{word}/undo", "patterns/{kept}/undo"])
def test_a_word_is_taken_back_once_and_everything_is_as_before(alice: make.Workspace, way: str) -> None:
    alice.learn(*make.failures("database", (9, 8, 7)))
    (pattern,) = alice.api.ok("GET", "/v1/patterns")["data"]
    issue = alice.api.ok("GET", f"/v1/patterns/{pattern['id']}/members")["data"][0]["id"]

    def placed() -> list[Any]:
        with alice.db() as db:
            return list(db.execute(text("SELECT id::text, pattern_id::text FROM issues ORDER BY id")).all())

    before = placed()
    word = alice.api.ok("POST", f"/v1/patterns/{pattern['id']}/split", {"issue_ids": [issue]})["id"]
    assert placed() != before
    path = "/v1/" + way.format(word=word, kept=pattern["id"])
    assert answer(alice.viewer, "POST", path, None) == (403, "forbidden")
    assert answer(alice.analyst, "POST", path, None) == (200, ""), "a colleague who may correct may take back"
    assert placed() == before
    assert answer(alice.analyst, "POST", path, None)[0] in (404, 409)
    assert placed() == before
