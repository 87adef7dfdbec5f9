"""Tables and migrations say the same, and migrating is safe to do twice, at once, and as whoever may."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import psycopg
import pytest
from alembic.autogenerate import compare_metadata
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import MetaData, create_engine, text

from everfix import migrations
from everfix.core import db as database
from everfix.core.db import Database
from everfix.core.embedded import Embedded
from everfix.errors import ConfigurationError
from everfix.migrations import tables

OTHERS = ("pgqueuer", "pgqueuer_log", "pgqueuer_schedules", "pgqueuer_statistics", "alembic_version")


def _ours(item: object, name: str | None, kind: str, _reflected: bool, _other: object) -> bool:
    return not (kind == "table" and name in OTHERS)


def test_tables_and_migrations_agree(owner: Database) -> None:
    with owner.engine.connect() as connection:
        options = {"compare_type": True, "compare_server_default": False, "include_object": _ours}
        context = MigrationContext.configure(connection, opts=options)
        assert compare_metadata(context, tables.METADATA) == []


def test_check_constraints_agree(owner: Database) -> None:
    """Alembic does not compare check constraints, so this does."""
    with owner.engine.connect() as connection:
        there = {
            (row[0], row[1])
            for row in connection.execute(
                text(
                    "SELECT conrelid::regclass::text, conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 AND conname LIKE 'ck_%'"
                )
            )
        }
    wanted = {
        (table.name, str(constraint.name))
        for table in tables.METADATA.tables.values()
        for constraint in table.constraints
        if type(constraint).__name__ == "CheckConstraint"
    }
    assert wanted == {pair for pair in there if not pair[0].startswith("pgqueuer")}


def test_column_defaults_agree(owner: Database) -> None:
    """A default in the class that the migration forgot would fail at the first insert only."""
    reflected = MetaData()
    with owner.engine.connect() as connection:
        reflected.reflect(connection)
    for table in tables.METADATA.tables.values():
        for column in table.columns:
            assert (column.server_default is None) == (reflected.tables[table.name].columns[column.name].server_default is None), column


def test_the_comparison_can_fail(owner: Database) -> None:
    changed = MetaData()
    for table in tables.METADATA.tables.values():
        table.to_metadata(changed)
    changed.tables["issues"].columns["risk_score"].type = tables.METADATA.tables["issues"].columns["title"].type
    with owner.engine.connect() as connection:
        context = MigrationContext.configure(connection, opts={"compare_type": True, "include_object": _ours})
        assert compare_metadata(context, changed)


def test_every_module_with_tables_is_gathered() -> None:
    """A table that `migrations.tables` does not import would be missing from the comparison above."""
    from tests.test_layers import FILES, PACKAGE

    files = [file for file in FILES if "__tablename__" in file.read_text(encoding="utf-8")]
    defining = {str(file.relative_to(PACKAGE.parent).with_suffix("")).replace("/", ".") for file in files}
    gathered = {module.__name__ for module in tables.MODULES}
    assert defining == gathered


def test_migrating_again_changes_nothing(clone: Callable[[str], str]) -> None:
    url = clone("again")
    migrations.migrate(url, role="everfix_app", password="other")
    engine = create_engine(database.dialect_url(url))
    with engine.connect() as connection:
        head = ScriptDirectory.from_config(migrations.config(engine)).get_current_head()
        assert connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one() == head
    engine.dispose()


def test_many_processes_migrate_at_once(server: Embedded) -> None:
    """Each start migrates; the restricted role belongs to the whole server, so that even two databases can get into each other's way."""
    names = ("at_once_1", "at_once_2")
    for name in names:
        migrations.create_database(server.url, name)
    code = (
        "import sys; from everfix import migrations; [migrations.migrate(sys.argv[1], role='at_once', password=str(n)) for n in range(2)]"
    )
    started = [
        subprocess.Popen([sys.executable, "-c", code, database.with_database(server.url, name)], stderr=subprocess.PIPE, text=True)
        for name in names * 2
    ]
    assert [process.communicate()[1] for process in started] == [""] * 4
    assert [process.returncode for process in started] == [0] * 4
    _drop(server, *names, roles=("at_once",))


def test_a_database_is_made_once(server: Embedded) -> None:
    migrations.create_database(server.url, "twice")
    migrations.create_database(server.url, "twice")
    _drop(server, "twice")


def test_an_ordinary_owner_may_migrate_and_migrate_again(server: Embedded) -> None:
    """A managed database gives a role that may make databases and roles, and is no superuser."""
    url = _plain_owner(server, "plain", "CREATEDB CREATEROLE")
    for _ in range(2):
        migrations.migrate(url, role="plain_app", password="secret")
    app = Database(database.with_role(url, "plain_app", "secret"), pool=1)
    database.check(app.engine)
    app.close()
    _drop(server, "plain_db", roles=("plain_app", "plain"))


def test_an_owner_who_may_not_make_roles_is_told_so(server: Embedded) -> None:
    url = _plain_owner(server, "poor", "NOCREATEROLE")
    with pytest.raises(ConfigurationError, match=r"may not set up the database.*role"):
        migrations.migrate(url, role="poor_app", password="secret")
    _drop(server, "poor_db", roles=("poor",))


def test_going_back_is_refused(clone: Callable[[str], str]) -> None:
    from alembic import command

    url = clone("back")
    engine = create_engine(database.dialect_url(url))
    with engine.connect() as connection:
        made = migrations.config(engine)
        made.attributes.update(connection=connection, role="everfix_app")
        with pytest.raises(RuntimeError, match="only migrates forward"):
            command.downgrade(made, "base")
    engine.dispose()


def _plain_owner(server: Embedded, name: str, rights: str) -> str:
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute(f"CREATE ROLE {name} LOGIN {rights} PASSWORD 'plain'")
        connection.execute(f"CREATE DATABASE {name}_db OWNER {name}")
    return database.with_role(database.with_database(server.url, f"{name}_db"), name, "plain")


def _drop(server: Embedded, *names: str, roles: tuple[str, ...] = ()) -> None:
    with psycopg.connect(server.url, autocommit=True) as connection:
        for name in names:
            connection.execute(f"DROP DATABASE {name} WITH (FORCE)")
        for role in roles:
            connection.execute(f"DROP ROLE {role}")
