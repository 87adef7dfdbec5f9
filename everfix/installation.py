"""An installation opened: settings become a migrated database, files and keys; used by the server, the worker and the command line.

1. Keys: the master key of the settings, or the one in the data directory.
2. Database: EVERFIX_DATABASE_URL, or the embedded server of the data directory.
3. As a role that may: bring it to the newest version and let the restricted role in. A URL that already names a restricted role
   is used as it is, and must find a migrated database.
4. As the restricted role: check that row-level security binds it, or refuse to start.
5. First start: an organisation, a workspace, an owner, and the owner's token in `owner.token` (mode 0600).
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import make_url, select, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from everfix import migrations
from everfix.core import crypto, storage
from everfix.core import db as database
from everfix.core.db import Database
from everfix.core.embedded import DURABLE, Embedded, buffers
from everfix.delivery import acceptances
from everfix.errors import ConfigurationError
from everfix.identity import provision, tokens
from everfix.identity.organisations import Organisation
from everfix.settings import Settings

NAME = "everfix"  # the embedded database's name
OWNER_EMAIL = "owner@localhost"


@dataclasses.dataclass(frozen=True, slots=True)
class Installation:
    """Everything a process needs to serve or to work."""

    settings: Settings
    database: Database
    storage: storage.Storage
    keys: crypto.Keys
    owner_url: str | None
    embedded: Embedded | None = None
    accepted: acceptances.Journal = dataclasses.field(init=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "accepted", acceptances.Journal(self.settings.data_dir / "accepted"))

    @property
    def url(self) -> str:
        """The address that links carry."""
        return self.settings.url

    @contextmanager
    def owner(self) -> Iterator[Database]:
        """Yield the database as its owner, for what crosses workspaces; raises ConfigurationError where only the restricted role is known."""
        if self.owner_url is None:
            raise ConfigurationError("this needs EVERFIX_DATABASE_URL to name the database's owner, not its restricted role")
        made = Database(self.owner_url, pool=2)
        try:
            yield made
        finally:
            made.close()

    def close(self) -> None:
        """Let go of notes, of connections, and of the embedded server if nobody else uses it."""
        self.accepted.close()
        self.database.close()
        if self.embedded is not None:
            self.embedded.stop()


@contextmanager
def opened(settings: Settings) -> Iterator[Installation]:
    """Open an installation for as long as the block runs."""
    made = open_(settings)
    try:
        yield made
    finally:
        made.close()


def open_(settings: Settings) -> Installation:
    """Open an installation; raises ConfigurationError, saying what is wrong and what would mend it."""
    embedded: Embedded | None = None
    with ExitStack() as undo:
        if settings.database_url is None:
            embedded = Embedded(settings.data_dir, {**DURABLE, "shared_buffers": buffers()})
            embedded.start()
            undo.callback(embedded.stop)
        made = _connect(settings, crypto.load(settings), embedded)
        undo.pop_all()  # it is open: from here on `close` ends it
    return made


def _connect(settings: Settings, keys: crypto.Keys, embedded: Embedded | None) -> Installation:
    if embedded is not None:
        migrations.create_database(embedded.url, NAME)
        url = database.with_database(embedded.url, NAME)
        crypto.write_secret(settings.data_dir / "database.url", url)
    else:
        url = str(settings.database_url)
    owner_url: str | None = None
    if _may_migrate(url):
        owner_url = url
        secret = keys.derive("database role").hex()
        migrations.migrate(url, role=settings.app_role, password=secret)
        url = database.with_role(url, settings.app_role, secret)
    made = Database(url, pool=settings.worker_concurrency + 10)
    try:
        database.check(made.engine)
        if owner_url is None:
            migrations.require_newest(made.engine)
    except ConfigurationError:
        made.close()
        raise
    installation = Installation(settings, made, storage.open_(settings), keys, owner_url, embedded)
    _first_start(installation)
    return installation


def _may_migrate(url: str) -> bool:
    """Tell whether the role of `url` owns the database or may act as its owner; raises ConfigurationError when it is out of reach."""
    plain = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
    try:
        with psycopg.connect(plain, connect_timeout=10) as connection:
            row = connection.execute(
                "SELECT pg_has_role(current_user, datdba, 'MEMBER') FROM pg_database WHERE datname = current_database()"
            ).fetchone()
    except psycopg.OperationalError as problem:
        raise ConfigurationError(f"the database of EVERFIX_DATABASE_URL cannot be reached: {problem}") from problem
    return bool(row and row[0])


def _first_start(installation: Installation) -> None:
    """Make the first organisation, workspace, owner and token, once per database."""
    if installation.owner_url is None:
        return
    path = installation.settings.data_dir / "owner.token"
    with installation.owner() as owner, owner.transaction() as db:
        db.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": migrations.LOCK})
        if db.execute(select(Organisation.id).limit(1)).one_or_none() is None:
            made = provision.client(
                db,
                org_name="My organisation",
                org_slug="my-organisation",
                owner_email=OWNER_EMAIL,
                owner_name="Owner",
                currency=installation.settings.currency,
                loop_cost=installation.settings.loop_cost,
            )
            _write_token(db, path, made.owner_user_id)


def _write_token(db: Session, path: Path, user: UUID) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    crypto.write_secret(path, tokens.issue(db, tokens.Kind.PERSONAL, "owner.token", user=user))


def reachable(installation: Installation) -> bool:
    """Tell whether the database answers."""
    try:
        with installation.database.engine.connect() as connection:
            connection.execute(text("SELECT 1"))
    except OperationalError:
        return False
    return True
