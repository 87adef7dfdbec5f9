"""The audit log: numbered without gaps, chained by hashes, so that a missing or changed entry shows."""

from __future__ import annotations

import threading

import pytest
from sqlalchemy import select, text
from sqlalchemy.exc import ProgrammingError

from everfix import audit
from everfix.audit import Action, Entry
from everfix.core import ids
from everfix.core.db import Database
from tests import make


def write(workspace: make.Workspace, count: int = 1) -> None:
    for _ in range(count):
        with workspace.db() as db:
            audit.record(db, workspace.principal, Action.ISSUE_UPDATED, "issue", ids.new(), {"ä": [1, None, "x"]})


def test_the_chain_is_whole(alice: make.Workspace, bob: make.Workspace) -> None:
    write(alice, 5)
    write(bob, 2)
    for workspace, count in ((alice, 6), (bob, 3)):
        with workspace.db() as db:
            assert audit.broken(db) is None
            assert db.execute(select(Entry.number).order_by(Entry.number)).scalars().all() == list(range(1, count + 1))


def test_an_entry_says_who_did_what(alice: make.Workspace) -> None:
    """C276."""
    alice.api.call("POST", "/v1/ingest/events", json=make.event(), headers={"X-Request-Id": "trace-1234567"})
    with alice.db() as db:
        entry = db.execute(select(Entry).order_by(Entry.number.desc()).limit(1)).scalar_one()
    assert (entry.actor_kind, entry.actor_id, entry.actor_name, entry.trace_id) == (
        "user",
        alice.users["owner"],
        "Alice Owner",
        "trace-1234567",
    )
    assert entry.ip == "127.0.0.1"
    assert entry.hash == audit.digest(entry)


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE audit_log SET action = 'issue.created' WHERE number = 3",
        "UPDATE audit_log SET details = '{}' WHERE number = 3",
        "UPDATE audit_log SET at = at + interval '1 microsecond' WHERE number = 3",
        "UPDATE audit_log SET actor_name = 'Nobody' WHERE number = 3",
        "DELETE FROM audit_log WHERE number = 3",
    ],
)
def test_what_an_owner_of_the_database_changes_shows(alice: make.Workspace, owner: Database, change: str) -> None:
    write(alice, 5)
    with owner.transaction() as db:
        db.execute(text(f"{change} AND workspace_id = '{alice.id}'"))
    with alice.db() as db:
        assert audit.broken(db) == 3


def test_the_application_can_neither_change_nor_delete(alice: make.Workspace) -> None:
    """C277."""
    for statement in ("UPDATE audit_log SET action = 'x'", "DELETE FROM audit_log"):
        with pytest.raises(ProgrammingError, match="permission denied"), alice.db() as db:
            db.execute(text(statement))


def test_writers_at_the_same_time_make_one_chain(alice: make.Workspace) -> None:
    threads = [threading.Thread(target=write, args=(alice, 5)) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    with alice.db() as db:
        assert audit.broken(db) is None
        assert db.execute(text("SELECT count(*) FROM audit_log")).scalar_one() == 21


def test_actions_are_sorted_and_named_thing_verb() -> None:
    assert [action.name for action in Action] == sorted(action.name for action in Action)
    assert all("." in action.value for action in Action)


def test_what_is_rolled_back_is_not_logged(alice: make.Workspace) -> None:
    class Stop(Exception):
        pass

    with pytest.raises(Stop), alice.db() as db:
        audit.record(db, alice.principal, Action.ISSUE_UPDATED)
        raise Stop
    with alice.db() as db:
        assert db.execute(text("SELECT count(*) FROM audit_log")).scalar_one() == 1
