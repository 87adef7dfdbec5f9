"""What takes long to build is built once a test process: the rows it left are kept beside the tables, and put back for the next test."""

from __future__ import annotations

import functools
from collections.abc import Callable

import psycopg
from psycopg import sql

from everfix.failures import memory

KEPT = (
    "organizations",
    "workspaces",
    "users",
    "memberships",
    "service_accounts",
    "tokens",
    "audit_log",
    "alembic_version",
)  # what every test begins with
SCHEMA = "remembered"
_COLUMNS = """
    SELECT c.table_name, array_agg(c.column_name::text ORDER BY c.ordinal_position) FROM information_schema.columns c
    JOIN pg_tables t ON t.schemaname = c.table_schema AND t.tablename = c.table_name
    WHERE c.table_schema = 'public' AND c.is_generated = 'NEVER' AND c.table_name <> 'alembic_version' GROUP BY 1 ORDER BY 1
"""


def once(url: str, name: str, build: Callable[[], object]) -> None:
    """Run `build` on the database of that (owner's) URL, or put back what it left the first time; where something is in it already, always build."""
    prefix = f"{name}_"
    with psycopg.connect(url, autocommit=True) as connection:
        columns = _columns(url)
        if not _is_empty(connection, columns):
            build()
            return
        known = [
            str(row[0])
            for row in connection.execute("SELECT tablename FROM pg_tables WHERE schemaname = %s ORDER BY 1", (SCHEMA,))
            if row[0].startswith(prefix)
        ]
        if known:
            _put_back(connection, columns, known, prefix)
            memory._held.clear()
            return
        build()
        _keep(connection, columns, prefix)


@functools.cache
def _columns(url: str) -> dict[str, list[str]]:
    """Return each table's columns that can be written."""
    with psycopg.connect(url) as connection:
        return {str(table): list(names) for table, names in connection.execute(_COLUMNS)}


def _is_empty(connection: psycopg.Connection[tuple[object, ...]], columns: dict[str, list[str]]) -> bool:
    """Tell whether the database holds what every test begins with, and nothing else."""
    anything = sql.SQL(" OR ").join(
        sql.SQL("EXISTS (TABLE public.{})").format(sql.Identifier(table))
        if table not in KEPT
        else sql.SQL("EXISTS (TABLE public.{0} EXCEPT TABLE kept.{0})").format(sql.Identifier(table))
        for table in columns
    )
    found = connection.execute(sql.SQL("SELECT {}").format(anything)).fetchone()
    return found is not None and not found[0]


def _keep(connection: psycopg.Connection[tuple[object, ...]], columns: dict[str, list[str]], prefix: str) -> None:
    connection.execute(sql.SQL("CREATE SCHEMA IF NOT EXISTS {}").format(sql.Identifier(SCHEMA)))
    for table, names in columns.items():
        source = sql.Identifier("public", table)
        found = connection.execute(sql.SQL("SELECT EXISTS (TABLE {})").format(source)).fetchone()
        if found is not None and found[0]:
            fields = sql.SQL(", ").join(sql.Identifier(name) for name in names)
            target = sql.Identifier(SCHEMA, prefix + table)
            connection.execute(sql.SQL("CREATE TABLE {} AS SELECT {} FROM {}").format(target, fields, source))


def _put_back(connection: psycopg.Connection[tuple[object, ...]], columns: dict[str, list[str]], known: list[str], prefix: str) -> None:
    with connection.transaction():
        connection.execute("SET LOCAL session_replication_role = replica")
        for kept in known:
            table = kept.removeprefix(prefix)
            fields = sql.SQL(", ").join(sql.Identifier(name) for name in columns[table])
            target = sql.Identifier("public", table)
            connection.execute(sql.SQL("DELETE FROM {}").format(target))
            connection.execute(
                sql.SQL("INSERT INTO {0} ({1}) OVERRIDING SYSTEM VALUE SELECT {1} FROM {2}").format(
                    target, fields, sql.Identifier(SCHEMA, kept)
                )
            )
