"""Migrations: Alembic, run in code; 0001 is the baseline with all policies."""

from __future__ import annotations

from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from psycopg import sql
from sqlalchemy import Engine, create_engine, make_url, text

from everfix.core.db import dialect_url
from everfix.errors import ConfigurationError

LOCK = 4_827_301  # any number: one migration at a time per database


def config(engine: Engine) -> Config:
    """Return Alembic's configuration for this engine."""
    made = Config()
    made.set_main_option("script_location", str(Path(__file__).parent))
    made.attributes["engine"] = engine
    return made


def migrate(url: str, *, role: str, password: str) -> None:
    """Bring the database to the newest version as its owner, and let `role` in; safe to run from many processes at once.

    `url` names a role that may create tables and roles. Raises ConfigurationError saying what it may not do.
    """
    engine = create_engine(dialect_url(url))
    try:
        with engine.connect() as connection:
            connection.execute(text("SELECT pg_advisory_lock(:lock)"), {"lock": LOCK})
            connection.commit()
            _role(connection.connection.driver_connection, role, password)  # type: ignore[arg-type]
            connection.commit()
            made = config(engine)
            made.attributes["connection"] = connection
            made.attributes["role"] = role
            command.upgrade(made, "head")
            connection.commit()
    except psycopg.errors.InsufficientPrivilege as problem:
        raise ConfigurationError(f"the role of EVERFIX_DATABASE_URL may not set up the database: {problem}") from problem
    finally:
        engine.dispose()


def _role(connection: psycopg.Connection[object], role: str, password: str) -> None:
    """Make the restricted role, or give it this installation's password."""
    name = sql.Identifier(role)
    exists = connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is not None
    verb = sql.SQL("ALTER ROLE" if exists else "CREATE ROLE")
    connection.execute(sql.SQL("{} {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {}").format(verb, name, sql.Literal(password)))
    database = connection.execute("SELECT current_database()").fetchone()
    assert database is not None  # noqa: S101 - a constant query
    connection.execute(sql.SQL("GRANT CONNECT ON DATABASE {} TO {}").format(sql.Identifier(str(database[0])), name))  # type: ignore[index]
    connection.execute(sql.SQL("GRANT USAGE ON SCHEMA public TO {}").format(name))


def create_database(url: str, name: str) -> None:
    """Make the database on the server of `url` unless it is there."""
    with psycopg.connect(make_url(url).set(drivername="postgresql").render_as_string(hide_password=False), autocommit=True) as connection:
        if connection.execute("SELECT FROM pg_database WHERE datname = %s", [name]).fetchone() is None:
            try:
                connection.execute(sql.SQL("CREATE DATABASE {}").format(sql.Identifier(name)))
            except psycopg.errors.DuplicateDatabase:
                return  # another process was faster


