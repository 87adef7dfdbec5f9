"""The database: typed tables, one transaction per request or job, and row-level security that the application role cannot leave.

Feature code never writes `workspace_id =`: the policy filters, the column's default fills in. `.commit(` stands only here.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import datetime
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import (
    ColumnElement,
    DateTime,
    Engine,
    ForeignKeyConstraint,
    MetaData,
    Text,
    Uuid,
    any_,
    create_engine,
    event,
    func,
    literal,
    make_url,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSONB
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute, Mapped, Session, declared_attr, mapped_column

from everfix.core import ids
from everfix.errors import ConfigurationError

SETTING = "everfix.workspace_id"
CURRENT = f"nullif(current_setting('{SETTING}', true), '')::uuid"  # '' and not NULL on a reused connection
OLDEST = 150000

Json = dict[str, Any]


class Base(DeclarativeBase):
    """All tables; constraint names are fixed so that a migration can name them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "ck": "ck_%(table_name)s_%(constraint_name)s",
            "fk": "fk_%(table_name)s_%(column_0_N_name)s",
            "pk": "pk_%(table_name)s",
        }
    )
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy's way
        datetime: DateTime(timezone=True),
        str: Text(),
        Json: JSONB(),
        list[str]: ARRAY(Text()),
        list[Json]: JSONB(),
    }


class WorkspaceRow:
    """A row of one workspace. The key begins with the workspace, so that a foreign key can never point into another one
    (PostgreSQL does not apply row-level security to foreign-key checks) and the tables can be distributed by it.
    """

    @declared_attr
    @classmethod
    def workspace_id(cls) -> Mapped[UUID]:
        return mapped_column(primary_key=True, server_default=text(CURRENT), sort_order=-3)

    @declared_attr
    @classmethod
    def id(cls) -> Mapped[UUID]:
        return mapped_column(primary_key=True, default=ids.new, sort_order=-2)


def refers(column: str, table: str, *, ondelete: str = "CASCADE") -> ForeignKeyConstraint:
    """Return the foreign key from `column` to a row of the same workspace."""
    if ondelete == "SET NULL":
        ondelete = f"SET NULL ({column})"
    return ForeignKeyConstraint(["workspace_id", column], [f"{table}.workspace_id", f"{table}.id"], ondelete=ondelete)


def created() -> Mapped[datetime]:
    """Return a column that holds when the row was made."""
    return mapped_column(server_default=func.now())


class Database:
    """A pool of connections of one role; `transaction` is the only way in."""

    def __init__(self, url: str, *, pool: int = 10) -> None:
        self.url = url
        self.engine: Engine = create_engine(
            dialect_url(url), pool_size=pool, max_overflow=pool, pool_pre_ping=True, connect_args={"application_name": "everfix"}
        )
        event.listen(self.engine, "connect", _prepare_connection)

    @contextmanager
    def transaction(self, workspace: UUID | None = None) -> Iterator[Session]:
        """Yield a session whose rows are those of `workspace`; commits when the block ends, rolls back when it raises."""
        with Session(self.engine, expire_on_commit=False) as db:
            if workspace is not None:
                enter(db, workspace)
            yield db
            db.commit()

    def close(self) -> None:
        """Close every idle connection of the pool."""
        self.engine.dispose()


def _prepare_connection(connection: psycopg.Connection[Any], _record: object) -> None:
    """Set what holds for every statement. Plans are made for the values and the workspace that are asked: one plan for all of them, which
    PostgreSQL turns to after some executions, takes the way of a small workspace through a large one.
    """
    with connection.cursor() as cursor:
        cursor.execute("SET TIME ZONE 'UTC'")
        cursor.execute("SET plan_cache_mode = force_custom_plan")
    connection.commit()


def enter(db: Session, workspace: UUID) -> None:
    """Make `workspace` the one whose rows this transaction sees; the setting ends with the transaction."""
    db.execute(text("SELECT set_config(:name, :value, true)"), {"name": SETTING, "value": str(workspace)})


def release(db: Session) -> None:
    """Keep what was written and give the connection back: for a request that now waits for its caller or does long work without rows."""
    db.commit()
    db.close()


def view(db: Session, user: UUID) -> None:
    """Let this transaction see what is kept to some persons of the workspace only as `user` may; the setting ends with it."""
    db.execute(text("SELECT set_config('everfix.viewer', :user, true)"), {"user": str(user)})


def current(db: Session) -> UUID:
    """Return the workspace of this transaction; raises LookupError outside of one."""
    value = db.execute(text(f"SELECT {CURRENT}")).scalar_one()
    if value is None:
        raise LookupError("this transaction belongs to no workspace")
    return UUID(str(value))


def mine(table: type[WorkspaceRow]) -> ColumnElement[bool]:
    """Return the condition that a row is of this transaction's workspace: for what also runs as an owner whom no policy binds (a superuser)."""
    return table.workspace_id == text(CURRENT)


def among(column: InstrumentedAttribute[UUID], values: Iterable[UUID]) -> ColumnElement[bool]:
    """Return the condition that a column holds one of these ids, sent as one array: `in_` sends each by itself, of which there may be 65,535."""
    return column == any_(literal(list(values), ARRAY(Uuid())))


def lock(db: Session, name: str) -> None:
    """Wait until no other transaction of this workspace holds `name`; held to the end of the transaction."""
    db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{current(db)}:{name}"})


def dialect_url(url: str) -> str:
    """Return `url` for SQLAlchemy's psycopg dialect; raises ConfigurationError for another database."""
    parsed = make_url(url)
    if parsed.get_backend_name() not in ("postgresql", "postgres"):
        raise ConfigurationError(f"EVERFIX_DATABASE_URL names {parsed.get_backend_name()!r}; Everfix needs postgresql://")
    return parsed.set(drivername="postgresql+psycopg").render_as_string(hide_password=False)


def with_role(url: str, role: str, password: str) -> str:
    """Return `url` for another role."""
    return make_url(url).set(username=role, password=password).render_as_string(hide_password=False)


def with_database(url: str, name: str) -> str:
    """Return `url` for another database of the same server."""
    return make_url(url).set(database=name).render_as_string(hide_password=False)


def check(engine: Engine) -> None:
    """Refuse a server that is too old, and a role that row-level security does not bind; raises ConfigurationError."""
    with engine.connect() as connection:
        version = int(connection.execute(text("SHOW server_version_num")).scalar_one())
        role = connection.execute(
            text(
                "SELECT rolname, rolsuper, rolbypassrls,"
                " EXISTS (SELECT FROM pg_tables WHERE schemaname = 'public' AND pg_has_role(r.oid, tableowner, 'MEMBER')) AS owns"
                " FROM pg_roles r WHERE rolname = current_user"
            )
        ).one()
    if version < OLDEST:
        raise ConfigurationError(f"PostgreSQL {version // 10000} is too old: Everfix needs {OLDEST // 10000} or newer")
    wrong = [
        word
        for word, is_so in (("a superuser", role.rolsuper), ("BYPASSRLS", role.rolbypassrls), ("an owner of tables", role.owns))
        if is_so
    ]
    if wrong:
        raise ConfigurationError(f"the database role {role.rolname!r} is {' and '.join(wrong)}: row-level security would not bind it")
