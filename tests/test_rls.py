"""Row-level security: asked of PostgreSQL's own catalogue, and tried from inside as the application's role."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from psycopg import sql
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError, IntegrityError, ProgrammingError
from sqlalchemy.orm import Session

from everfix.core import db as database
from everfix.core import ids
from everfix.core.db import Database
from everfix.core.embedded import Embedded
from everfix.core.outbound import Guard
from everfix.errors import ConfigurationError
from everfix.failures import pushes, recommendations
from everfix.failures.clusters import Cluster
from everfix.failures.recommendations import Recommendation
from everfix.ingest.events import Issue
from everfix.metrics import dashboards
from everfix.migrations import tables
from everfix.reports import overdue, schedules, stories
from tests import asking, delivering, make, make_ml

WITHOUT = {"alembic_version", "pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics"}  # no workspace's data
CONDITION = "workspace_id = ( SELECT (NULLIF(current_setting('everfix.workspace_id'::text, true), ''::text))::uuid AS \"nullif\")"
EXPECTED = "workspace_id = (NULLIF(current_setting('everfix.workspace_id'::text, true), ''::text))::uuid"  # see policies.expect

# The look-ups that cross workspaces, with what each returns.
ACROSS = {
    "everfix_due_breakers": "TABLE(workspace_id uuid, breaker_id uuid)",
    "everfix_due_schedules": "TABLE(workspace_id uuid, schedule_id uuid)",
    "everfix_find_token": "TABLE(workspace_id uuid)",
    "everfix_issues_holding": "TABLE(issue_id uuid)",
    "everfix_workspaces": "TABLE(workspace_id uuid)",
}


def _tables() -> list[str]:
    return sorted(name for name, table in tables.METADATA.tables.items() if "workspace_id" in table.columns)


@pytest.fixture(scope="module")
def catalogue(owner_url: str) -> Iterator[psycopg.Connection[Any]]:
    with psycopg.connect(owner_url, autocommit=True) as connection:
        yield connection


def test_every_table_is_protected_and_forced(catalogue: psycopg.Connection[Any]) -> None:
    """C7."""
    rows = catalogue.execute(
        "SELECT relname, relrowsecurity, relforcerowsecurity FROM pg_class"
        " WHERE relkind IN ('r', 'p') AND relnamespace = 'public'::regnamespace"
    )
    open_ = {name for name, on, forced in rows if not (on and forced)}
    assert open_ == WITHOUT


def test_every_workspace_table_has_its_policy_and_default(catalogue: psycopg.Connection[Any]) -> None:
    having = {
        row[0]
        for row in catalogue.execute(
            "SELECT table_name FROM information_schema.columns WHERE table_schema = 'public' AND column_name = 'workspace_id'"
            " AND table_name NOT LIKE 'pgqueuer%'"
        )
    }
    assert having == set(_tables())
    policies = {
        row[0]: row[1:]
        for row in catalogue.execute(
            "SELECT tablename, permissive, cmd, qual, with_check FROM pg_policies WHERE schemaname = 'public' AND policyname = 'workspace'"
        )
    }
    for name in having:
        permissive, command, qual, check = policies[name]
        assert (permissive, command) == ("PERMISSIVE", "ALL"), name
        assert qual == f"({EXPECTED if name == 'issues' else CONDITION})", (name, qual)
        assert check == qual, name
        default = catalogue.execute(
            "SELECT column_default FROM information_schema.columns"
            " WHERE table_schema = 'public' AND table_name = %s AND column_name = 'workspace_id'",
            [name],
        ).fetchone()
        assert default == ("(NULLIF(current_setting('everfix.workspace_id'::text, true), ''::text))::uuid",), name


def test_no_other_policy_lets_the_application_see_more(catalogue: psycopg.Connection[Any]) -> None:
    """Policies add up with OR: any further one may only be the owner's."""
    query = "SELECT policyname, roles, permissive, cmd FROM pg_policies WHERE schemaname = 'public' AND policyname <> 'workspace'"
    every = list(catalogue.execute(query))
    assert {(row[0], row[3]) for row in every if row[2] == "RESTRICTIVE"} == {("viewer", "SELECT")}, "these can only hide rows"
    rows = [row[:2] for row in every if row[2] == "PERMISSIVE"]
    assert {name for name, _ in rows} == {"owner"}
    assert all(roles == ["postgres"] for _, roles in rows)


def test_every_foreign_key_between_workspace_tables_holds_the_workspace(catalogue: psycopg.Connection[Any]) -> None:
    """PostgreSQL does not apply row-level security to foreign-key checks."""
    rows = catalogue.execute(
        """
        SELECT c.conname, c.conrelid::regclass::text, c.confrelid::regclass::text,
            (SELECT array_agg(attname::text ORDER BY k.n) FROM unnest(c.conkey) WITH ORDINALITY k(num, n)
                JOIN pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.num) AS columns
        FROM pg_constraint c WHERE c.contype = 'f' AND c.connamespace = 'public'::regnamespace
        """
    )
    protected = set(_tables())
    loose = [name for name, table, target, columns in rows if table in protected and target in protected and "workspace_id" not in columns]
    assert loose == []


def test_the_only_ways_across_are_the_named_functions(catalogue: psycopg.Connection[Any]) -> None:
    rows = catalogue.execute(
        "SELECT proname, pg_get_function_result(oid), proconfig, has_function_privilege('everfix_app', oid, 'EXECUTE'),"
        " (SELECT bool_or(grantee = 0) FROM aclexplode(proacl)) FROM pg_proc"
        " WHERE prosecdef AND pronamespace = 'public'::regnamespace ORDER BY 1"
    )
    for name, result, config, mine, everybody in rows:
        assert result == ACROSS[name], "they return ids only"
        assert config == ["search_path=public"], "a SECURITY DEFINER function must not follow the caller's search path"
        assert mine
        assert not everybody


def test_the_application_role_has_no_powers(catalogue: psycopg.Connection[Any]) -> None:
    """C7."""
    row = catalogue.execute(
        "SELECT rolsuper, rolbypassrls, rolcreaterole, rolcreatedb, rolreplication FROM pg_roles WHERE rolname = 'everfix_app'"
    ).fetchone()
    assert row == (False,) * 5
    memberships = catalogue.execute("SELECT count(*) FROM pg_auth_members WHERE member = 'everfix_app'::regrole").fetchone()
    assert memberships == (0,)
    may = catalogue.execute("SELECT has_schema_privilege('everfix_app', 'public', 'CREATE')").fetchone()
    assert may == (False,)


def _ticket(workspace: make.Workspace, db: Session, recommendation: UUID) -> None:
    config = {"token": "x", "repository": "acme/shop", "base_url": "https://git.example"}
    delivering.destination(workspace, "github_issues", config)
    installation = workspace.installation
    pushes.push(db, installation.keys, Guard(), recommendation, "github_issues", url="", by=workspace.principal)


def _fill(workspace: make.Workspace) -> None:
    """Put at least one row into every table."""
    workspace.learn(*make.failures("database", (20, 15, 9, 3, 2, 1)))
    workspace.api.ok("POST", "/v1/changes", {"changes": [{"external_id": "c", "title": "Deploy", "occurred_at": make.NOW.isoformat()}]})
    workspace.api.ok("POST", "/v1/reports/generate", {"template": "blank", "sections": ["issue_kpis"], "format": "json"})
    workspace.api.ok("POST", "/v1/exports", {"resource": "members"})
    workspace.work()
    with workspace.db() as db:
        found = db.execute(select(Recommendation.id)).scalars().one()
        _ticket(workspace, db, found)
        recommendations.move(db, found, "implemented", by=workspace.principal)
        schedules.create(db, workspace.principal, report_type="issue_digest", name="Daily", cron="0 9 * * *")
    workspace.api.ok("GET", "/api/v1/attribution")
    with workspace.db() as db:
        stories.of(db, workspace.principal, dashboards.get("executive"), 7, "", make.NOW, make.NOW, workspace.installation)
        overdue.tell(db, workspace.installation, datetime.now(UTC) + timedelta(days=2))
    make_ml.everything(workspace)
    ml = make_ml.everything(workspace)
    body = {"project_id": str(ml["ml_project"]), "kind": "model", "entity_id": str(ml["model"])}
    assert workspace.api.post("/api/reports", body).status_code == 201
    delivering.everything(workspace)
    asking.everything(workspace)
    one = workspace.api.ok("GET", "/v1/issues")["data"][0]
    workspace.api.ok("POST", f"/v1/issues/{one['id']}/comments", {"body": "x"})
    workspace.api.ok("POST", "/v1/saved-views", {"name": "all"})
    workspace.api.ok("POST", f"/v1/patterns/{one['pattern_id']}/watch")
    made = workspace.api.ok("POST", f"/v1/issues/{one['id']}/link-pattern", {"pattern_id": one["pattern_id"]})
    assert made["assignment"]["version"] == "human"
    with workspace.db() as db:
        cluster = {"name": "c", "pattern_ids": [], "shared": [], "edges": [], "issue_count": 0, "risk_score": 0, "computed_at": make.NOW}
        db.add(Cluster(id=ids.new(), **cluster))
    later, *_ = workspace.learn(*make.failures("database", (20,)))  # a second step of what was learnt
    with workspace.db() as db:
        db.execute(text("UPDATE issues SET severity = 'p1' WHERE id = :id"), {"id": later})


def test_another_workspaces_rows_are_not_there(alice: make.Workspace, bob: make.Workspace, owner: Database) -> None:
    _fill(alice)
    with owner.transaction() as db:
        count = "SELECT count(*) FROM {} WHERE workspace_id = :id"
        filled = {name for name in _tables() if db.execute(text(count.format(name)), {"id": alice.id}).scalar_one()}
    assert filled == set(_tables())
    with bob.db() as db:
        for name in _tables():
            assert db.execute(text(f"SELECT count(*) FROM {name} WHERE workspace_id <> :id"), {"id": bob.id}).scalar_one() == 0, name
        for name in ("workspaces", "organizations"):
            assert db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() == 1, name
        addresses = set(db.execute(text("SELECT email FROM users")).scalars())
        assert addresses == {f"{role}@bob.example" for role in ("owner", "analyst", "viewer", "admin")}


def test_without_a_workspace_nothing_is_there(alice: make.Workspace) -> None:
    _fill(alice)
    with alice.installation.database.transaction() as db:
        for name in [*_tables(), "workspaces", "organizations", "users"]:
            assert db.execute(text(f"SELECT count(*) FROM {name}")).scalar_one() == 0, name


def test_a_reused_connection_forgets_its_workspace(alice: make.Workspace, owner_url: str, keys: Any) -> None:
    _fill(alice)
    app = Database(database.with_role(owner_url, "everfix_app", keys.derive("database role").hex()), pool=1)
    with app.transaction(alice.id) as db:
        assert db.execute(text("SELECT count(*) FROM issues")).scalar_one() == 6
    with app.transaction() as db:
        assert db.execute(text("SELECT current_setting('everfix.workspace_id', true)")).scalar_one() == ""
        assert db.execute(text("SELECT count(*) FROM issues")).scalar_one() == 0
    app.close()


def test_writing_into_another_workspace_fails(alice: make.Workspace, bob: make.Workspace, owner: Database) -> None:
    """For every table: insert a copy of a real row with another workspace's id, change and delete it from outside, and push it out."""
    _fill(alice)
    for name in _tables():
        with owner.transaction() as db:
            row = db.execute(text(f"SELECT to_jsonb(t) FROM {name} t WHERE workspace_id = :id LIMIT 1"), {"id": alice.id}).scalar_one()
        columns = ", ".join(f'"{column}"' for column in row if column != "search")
        copy = f"INSERT INTO {name} ({columns}) SELECT {columns} FROM jsonb_populate_record(NULL::{name}, cast(:row AS jsonb))"
        with pytest.raises(ProgrammingError, match="new row violates row-level security policy"), bob.db() as db:
            db.execute(text(copy), {"row": json.dumps(row)})
        if name == "audit_log":
            continue
        with bob.db() as db:
            assert _count(db, f"UPDATE {name} SET workspace_id = workspace_id WHERE workspace_id = :id", alice.id) == 0
            assert _count(db, f"DELETE FROM {name} WHERE workspace_id = :id", alice.id) == 0
        with pytest.raises(ProgrammingError, match="new row violates row-level security policy"), alice.db() as db:
            db.execute(text(f"UPDATE {name} SET workspace_id = :id"), {"id": bob.id})


def _count(db: Session, statement: str, workspace: UUID) -> int:
    return int(db.execute(text(statement), {"id": workspace}).rowcount)  # type: ignore[attr-defined]


def test_a_foreign_key_cannot_point_into_another_workspace(alice: make.Workspace, bob: make.Workspace) -> None:
    alice.learn(*make.failures("database", (3, 2)))
    with alice.db() as db:
        pattern = db.execute(text("SELECT id FROM patterns")).scalar_one()
    bob.ingest(make.event())
    with pytest.raises(IntegrityError, match="fk_issues_workspace_id_pattern_id"), bob.db() as db:
        db.execute(text("UPDATE issues SET pattern_id = :pattern"), {"pattern": pattern})


@pytest.mark.parametrize(
    "statement",
    [
        "SET ROLE postgres",
        "SET SESSION AUTHORIZATION postgres",
        "ALTER TABLE issues DISABLE ROW LEVEL SECURITY",
        "ALTER TABLE issues NO FORCE ROW LEVEL SECURITY",
        "DROP POLICY workspace ON issues",
        "CREATE POLICY mine ON issues USING (true)",
        "SET session_replication_role = replica",
        "ALTER ROLE everfix_app BYPASSRLS",
        "CREATE TABLE public.mine (x int)",
        "TRUNCATE issues",
        "UPDATE audit_log SET action = 'nothing'",
        "DELETE FROM audit_log",
        "TRUNCATE audit_log",
        "INSERT INTO organizations (id, name, slug) VALUES (gen_random_uuid(), 'x', 'x')",
        "DELETE FROM workspaces",
        "INSERT INTO users (id, email, name) VALUES (gen_random_uuid(), 'x', 'x')",
    ],
)
def test_the_application_cannot_leave_its_role(alice: make.Workspace, statement: str) -> None:
    with pytest.raises(ProgrammingError, match=r"permission denied|must be|owner of"), alice.db() as db:
        db.execute(text(statement))


def test_row_security_off_refuses_instead_of_showing(alice: make.Workspace) -> None:
    with pytest.raises(ProgrammingError, match="row-level security"), alice.db() as db:
        db.execute(text("SET LOCAL row_security = off"))
        db.execute(text("SELECT count(*) FROM issues"))


def test_a_wrong_workspace_setting_is_an_error_not_a_leak(alice: make.Workspace) -> None:
    alice.ingest(make.event())  # PostgreSQL asks no policy about a table without a row
    with pytest.raises(DBAPIError, match="uuid"), alice.db() as db:
        db.execute(text("SELECT set_config('everfix.workspace_id', 'nonsense', true)"))
        db.execute(text("SELECT count(*) FROM issues"))


@pytest.mark.parametrize(
    ("rights", "said"), [("SUPERUSER", "a superuser"), ("BYPASSRLS", "BYPASSRLS"), ("", None)], ids=["superuser", "bypassrls", "neither"]
)
def test_the_start_refuses_a_role_that_nothing_binds(server: Embedded, owner_url: str, rights: str, said: str | None) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS tried")
        connection.execute(sql.SQL("CREATE ROLE tried LOGIN {}").format(sql.SQL(rights)))
    tried = Database(database.with_role(owner_url, "tried", "x"), pool=1)
    if said is None:
        database.check(tried.engine)
    else:
        with pytest.raises(ConfigurationError, match=f"'tried' is {said}.*row-level security would not bind it"):
            database.check(tried.engine)
    tried.close()


def test_the_start_refuses_an_owner_of_tables(clone: Callable[[str], str], server: Embedded) -> None:
    url = clone("owned")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS holder")
        connection.execute("CREATE ROLE holder LOGIN")
        connection.execute("ALTER TABLE issues OWNER TO holder")
    tried = Database(database.with_role(url, "holder", "x"), pool=1)
    with pytest.raises(ConfigurationError, match="an owner of tables"):
        database.check(tried.engine)
    tried.close()


def test_the_start_refuses_an_old_server(installation: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(database, "OLDEST", 990000)
    with pytest.raises(ConfigurationError, match=r"PostgreSQL \d+ is too old: Everfix needs 99 or newer"):
        database.check(installation.database.engine)


def test_the_orm_fills_in_the_workspace(alice: make.Workspace) -> None:
    alice.ingest(make.event())
    with alice.db() as db:
        assert db.execute(select(Issue.workspace_id)).scalar_one() == alice.id
