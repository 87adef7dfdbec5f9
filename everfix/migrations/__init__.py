"""Migrations: Alembic, run in code; 0001 is the baseline with all policies."""

from __future__ import annotations

import time
from pathlib import Path

import psycopg
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory
from psycopg import sql
from sqlalchemy import Engine, create_engine, make_url, text

from everfix.core.db import dialect_url
from everfix.errors import ConfigurationError

LOCK = 4_827_301  # any number: one migration at a time per database
ROLE_TRIES, ROLE_WAIT = 40, 0.05


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


def require_newest(engine: Engine) -> None:
    """Raise ConfigurationError unless the database is at the version that this program needs."""
    wanted = ScriptDirectory.from_config(config(engine)).get_current_head()
    with engine.connect() as connection:
        there = connection.execute(text("SELECT to_regclass('public.alembic_version') IS NOT NULL")).scalar_one()
        found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar_one_or_none() if there else None
    if found != wanted:
        raise ConfigurationError(
            f"the database is at version {found or 'none'}, this Everfix needs {wanted}: run `everfix migrate` as its owner"
        )


def _role(connection: psycopg.Connection[object], role: str, password: str) -> None:
    """Make the restricted role, or give it this installation's password.

    A role belongs to the whole server: another database's start may change it at this very moment, and then one of the two is refused.
    """
    for left in reversed(range(ROLE_TRIES)):
        try:
            with connection.transaction():
                _give_role(connection, sql.Identifier(role), role, password)
        except (psycopg.errors.DuplicateObject, psycopg.errors.UniqueViolation, psycopg.errors.InternalError_):
            if not left:
                raise
            time.sleep(ROLE_WAIT)
        else:
            return


def _give_role(connection: psycopg.Connection[object], name: sql.Identifier, role: str, password: str) -> None:
    if connection.execute("SELECT FROM pg_roles WHERE rolname = %s", [role]).fetchone() is None:
        rights = sql.SQL("CREATE ROLE {} LOGIN NOSUPERUSER NOBYPASSRLS NOCREATEDB NOCREATEROLE PASSWORD {}")
    else:
        rights = sql.SQL("ALTER ROLE {} LOGIN PASSWORD {}")  # only a superuser may name the other rights; the start checks them
    connection.execute(rights.format(name, sql.Literal(password)))
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
