"""Who is told: the mentioned of a comment, the watchers of a changed pattern; never the one who did it, nobody else, no stranger."""

from __future__ import annotations

import dataclasses
from typing import Any

from sqlalchemy import text

from everfix.core import ids
from everfix.failures import announcements, issues, loop, watches
from tests import make

FEED = "/v1/me/notifications/feed"


def told(api: make.Api, type: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = api.ok("GET", FEED, type=type, limit=50)["data"]
    return found


def watched(workspace: make.Workspace) -> str:
    workspace.learn(*make.failures("database", (9, 8, 7, 6)))
    pattern: str = workspace.api.ok("GET", "/v1/patterns")["data"][0]["id"]
    workspace.analyst.ok("POST", f"/v1/patterns/{pattern}/watch")
    return pattern


def test_a_mention_notifies_the_member(alice: make.Workspace, bob: make.Workspace) -> None:
    issue = ids.show(ids.Prefix.ISSUE, alice.learn(make.event(severity="p4"))[0])
    body = "look @viewer, @viewer@alice.example, and @analyst; not @viewer@bob.example nor @nobody"
    alice.analyst.ok("POST", f"/v1/issues/{issue}/comments", {"body": body})
    (row,) = told(alice.viewer, "comment.")
    assert (row["type"], row["entity_id"], row["actor"]["name"], row["body"]) == (
        "comment.mentioned",
        str(ids.parse(ids.Prefix.ISSUE, issue)),
        "Analyst",
        body,
    )
    assert row["title"].startswith("Analyst mentioned you on ")
    assert row["link"] == f"/issues/{issue}"
    assert not told(alice.analyst, "comment.")  # who wrote it names themselves, and knows
    assert not told(alice.admin, "comment.")
    assert not told(bob.viewer, "comment.")


def test_no_stranger_is_told_even_when_named(alice: make.Workspace, bob: make.Workspace) -> None:
    """Somebody who watched, or was named, and is no member (any more) hears nothing."""
    pattern = watched(alice)
    stranger = bob.users["analyst"]
    with alice.db() as db:
        issue = issues.get(db, ids.parse(ids.Prefix.ISSUE, alice.api.ok("GET", "/v1/issues")["data"][0]["id"]))
        announcements.mentioned(db, issue, ids.new(), "x", [stranger], alice.principal)
        watches.begin(db, ids.parse(ids.Prefix.PATTERN, pattern), by=dataclasses.replace(alice.principal, actor_id=stranger))
    alice.admin.ok("PATCH", f"/v1/patterns/{pattern}", {"name": "One"})
    assert len(told(alice.analyst, "pattern.")) == 1
    assert bob.analyst.ok("GET", FEED)["data"] == []
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM notifications WHERE user_id = :id"), {"id": stranger}).scalar_one() == 0


def test_a_mention_can_be_switched_off_and_gathered(alice: make.Workspace) -> None:
    issue = ids.show(ids.Prefix.ISSUE, alice.learn(make.event())[0])
    settings = "/v1/settings/notifications"
    alice.viewer.ok("PATCH", settings, {"events": [{"key": "comment.mentioned", "in_app": False}]})
    alice.admin.ok("PATCH", settings, {"email_enabled": True, "digest_frequency": "daily"})
    alice.analyst.ok("POST", f"/v1/issues/{issue}/comments", {"body": "look @viewer and @admin"})
    assert not told(alice.viewer, "comment.")
    assert len(told(alice.admin, "comment.")) == 1
    with alice.db() as db:
        due = db.execute(text("SELECT mail_due_at FROM notifications WHERE type = 'comment.mentioned'")).scalars().all()
        assert len(due) == 1
        assert due[0] is not None


def test_what_a_person_does_to_a_watched_pattern_is_told_its_watchers(alice: make.Workspace, bob: make.Workspace) -> None:
    pattern = watched(alice)
    path = f"/v1/patterns/{pattern}"
    alice.admin.ok("PATCH", path, {"name": "Pool is empty"})
    alice.admin.ok("PATCH", path, {"name": "Pool is empty"})  # nothing changed
    alice.admin.ok("PATCH", path, {"status": "mitigating"})
    alice.admin.ok("POST", f"{path}/close", {"note": "a larger pool"})
    issue = alice.api.ok("GET", "/v1/issues", pattern_id=pattern)["data"][0]["id"]
    alice.admin.ok("POST", f"/v1/issues/{issue}/unlink-pattern", {"reason": "other"})
    alice.admin.ok("POST", f"{path}/undo")
    bodies = [row["body"] for row in reversed(told(alice.analyst, "pattern."))]
    assert len(bodies) == 5, bodies
    assert bodies[0].startswith("Admin changed name from ")
    assert bodies[0].endswith(" to Pool is empty.")
    assert bodies[1].endswith("to mitigating.")
    assert bodies[2] == "Admin noted how it was closed: a larger pool."
    assert "unlinked" in bodies[3]
    assert bodies[4].startswith("Admin took back that ")
    for other in (alice.admin, alice.viewer, bob.analyst):
        assert not told(other, "pattern.")


def test_who_did_it_is_not_told_and_who_stopped_watching_neither(alice: make.Workspace) -> None:
    pattern = watched(alice)
    alice.admin.ok("POST", f"/v1/patterns/{pattern}/watch")
    alice.admin.ok("PATCH", f"/v1/patterns/{pattern}", {"name": "One"})
    assert (len(told(alice.analyst, "pattern.")), len(told(alice.admin, "pattern."))) == (1, 0)
    assert alice.analyst.call("DELETE", f"/v1/patterns/{pattern}/watch").status_code in (200, 204)
    alice.api.ok("PATCH", f"/v1/patterns/{pattern}", {"name": "Two"})
    assert (len(told(alice.analyst, "pattern.")), len(told(alice.admin, "pattern."))) == (1, 1)


def test_a_viewer_follows_what_they_can_read_and_only_for_themselves(alice: make.Workspace, bob: make.Workspace) -> None:
    pattern = watched(alice)
    path = f"/v1/patterns/{pattern}/watch"
    assert alice.viewer.ok("POST", path) == {"watching": True, "watchers": 2}
    assert alice.viewer.ok("POST", path)["watchers"] == 2, "once each"
    assert bob.viewer.call("POST", path).status_code == 404
    alice.admin.ok("PATCH", f"/v1/patterns/{pattern}", {"name": "Pool is empty"})
    assert [row["title"] for row in told(alice.viewer, "pattern.")] == ["Pool is empty changed"]
    assert alice.viewer.ok("DELETE", path) == {"watching": False, "watchers": 1}
    assert alice.analyst.ok("GET", f"/v1/patterns/{pattern}")["watching"] is True, "somebody else's watch stands"


def test_a_status_that_changes_by_itself_is_told_once(alice: make.Workspace) -> None:
    pattern = watched(alice)
    found = ids.parse(ids.Prefix.PATTERN, pattern)
    with alice.db() as db:
        db.execute(text("UPDATE patterns SET status = 'resolved', closed_at = now() - interval '1 year' WHERE id = :id"), {"id": found})
        watches.follow(db)
        watches.follow(db)
    alice.learn(*make.failures("database", (0.1,)))  # counted: it has failed since it was closed, so it is active again
    with alice.db() as db:
        loop.follow(db, [found], make.NOW)
    words = [row["body"] for row in reversed(told(alice.analyst, "pattern.")) if "It was" in row["body"]]
    assert [sentence.partition(" is ")[2] or sentence for sentence in words][-2:] == ["resolved now.", "active now."]
    assert len(words) == 2
