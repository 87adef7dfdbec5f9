"""The database: one transaction per block, a workspace that ends with it, locks that keep workspaces apart."""

from __future__ import annotations

import threading
from uuid import UUID

import pytest
from sqlalchemy import text

from everfix.core import db as database
from everfix.core.db import Base, Database, WorkspaceRow
from everfix.errors import ConfigurationError
from everfix.migrations import tables
from tests import make


class Stop(Exception):
    pass


def test_a_block_commits_or_rolls_back(alice: make.Workspace) -> None:
    with pytest.raises(Stop), alice.db() as db:
        db.execute(text("UPDATE workspaces SET name = 'changed'"))
        raise Stop
    with alice.db() as db:
        assert db.execute(text("SELECT name FROM workspaces")).scalar_one() == "Alice"
        db.execute(text("UPDATE workspaces SET name = 'changed'"))
    with alice.db() as db:
        assert db.execute(text("SELECT name FROM workspaces")).scalar_one() == "changed"


def test_the_workspace_is_known_inside_only(alice: make.Workspace, bob: make.Workspace) -> None:
    with alice.db() as db:
        assert database.current(db) == alice.id
        database.enter(db, bob.id)
        assert database.current(db) == bob.id
    with alice.installation.database.transaction() as db, pytest.raises(LookupError, match="belongs to no workspace"):
        database.current(db)


def test_times_are_utc(alice: make.Workspace) -> None:
    with alice.db() as db:
        assert db.execute(text("SHOW timezone")).scalar_one() == "UTC"


def test_a_lock_holds_one_workspace_only(alice: make.Workspace, bob: make.Workspace) -> None:
    order: list[str] = []
    held, done = threading.Event(), threading.Event()

    def second() -> None:
        held.wait()
        with alice.db() as db:
            database.lock(db, "loop")
            order.append("second")
        done.set()

    thread = threading.Thread(target=second)
    thread.start()
    with alice.db() as db:
        database.lock(db, "loop")
        held.set()
        with bob.db() as other:
            database.lock(other, "loop")
            order.append("bob")
        with alice.db() as other:
            database.lock(other, "another name")
            order.append("other")
        assert not done.wait(0.2)
        order.append("first")
    thread.join()
    assert order == ["bob", "other", "first", "second"]


@pytest.mark.parametrize("url", ["mysql://x/y", "sqlite:///x", "postgresqlx://x/y"])
def test_another_database_is_refused(url: str) -> None:
    with pytest.raises((ConfigurationError, Exception), match=r"needs postgresql://|load plugin"):
        database.dialect_url(url)


def test_urls_change_one_part() -> None:
    url = "postgresql://a:p%40ss@h:5/db?host=%2Fsock"
    assert database.with_role(url, "b", "q/q") == "postgresql://b:q%2Fq@h:5/db?host=%2Fsock"
    assert database.with_database(url, "other") == "postgresql://a:p%40ss@h:5/other?host=%2Fsock"
    assert database.dialect_url(url).startswith("postgresql+psycopg://a:p%40ss@")
    assert database.dialect_url("postgres://a@h/db" if False else url)


def test_every_workspace_table_begins_its_key_with_the_workspace() -> None:
    assert tables.MODULES
    for name, table in Base.metadata.tables.items():
        if "workspace_id" in table.columns:
            assert next(iter(table.primary_key.columns)).name == "workspace_id", name


def test_mine_binds_an_owner_whom_no_policy_binds(alice: make.Workspace, bob: make.Workspace, owner: Database) -> None:
    from everfix.audit import Entry

    found: set[UUID] = set()
    with owner.transaction(alice.id) as db:
        found = set(db.query(Entry.workspace_id).filter(database.mine(Entry)).all()[0])
    assert found == {alice.id}
    assert issubclass(Entry, WorkspaceRow)


def test_a_pool_survives_a_broken_connection(alice: make.Workspace, owner: Database) -> None:
    with alice.db() as db:
        db.execute(text("SELECT 1"))
    with owner.transaction() as db:
        db.execute(
            text("SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename = 'everfix_app' AND datname = current_database()")
        )
    assert alice.api.get("/v1/issues").status_code == 200
