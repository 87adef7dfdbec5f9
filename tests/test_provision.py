"""Provisioning and the first start: an organisation, a workspace, an owner and a token, in one transaction."""

from __future__ import annotations

import os
import stat
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import psycopg
import pytest
from sqlalchemy import select, text

from everfix import audit
from everfix import installation as installations
from everfix.core import db as database
from everfix.core.db import Database
from everfix.core.embedded import Embedded
from everfix.errors import ConfigurationError, Conflict, Invalid
from everfix.identity import provision
from everfix.identity.members import Member
from everfix.identity.organisations import Organisation
from everfix.identity.users import User
from everfix.identity.workspaces import Workspace
from everfix.settings import Settings
from tests import make
from tests.conftest import MASTER_KEY


def client(owner: Database, **given: Any) -> provision.Provisioned:
    with owner.transaction() as db:
        return provision.client(db, **{"org_name": "Acme", "org_slug": "acme", "owner_email": "Ann@Acme.example ", **given})


def test_one_transaction_makes_everything(owner: Database, alice: make.Workspace) -> None:
    """C2, C15, C17."""
    made = client(owner, timezone="Europe/Paris")
    with owner.transaction(made.workspace_id) as db:
        organisation = db.get(Organisation, made.organization_id)
        workspace = db.get(Workspace, made.workspace_id)
        user = db.get(User, made.owner_user_id)
        member = db.execute(select(Member).where(Member.id == made.membership_id)).scalar_one()
        assert organisation is not None
        assert workspace is not None
        assert user is not None
        assert (organisation.plan, organisation.seats_total, organisation.status) == ("free", 10, "active")
        assert (workspace.name, workspace.slug, workspace.timezone, workspace.simulated) == ("Acme", "acme", "Europe/Paris", False)
        assert (user.email, user.name) == ("ann@acme.example", "ann")
        assert (member.role, member.status, member.workspace_id) == ("owner", "active", made.workspace_id)
        assert audit.broken(db) is None


def test_a_second_clients_audit_chain_begins_anew(owner: Database, alice: make.Workspace) -> None:
    """A superuser sees every workspace's entries; the chain must not run on from another's."""
    made = client(owner)
    with alice.installation.database.transaction(made.workspace_id) as db:
        assert audit.broken(db) is None
        assert db.execute(text("SELECT number, previous_hash FROM audit_log")).one() == (1, audit.GENESIS)


def test_a_known_person_is_reused(owner: Database, alice: make.Workspace) -> None:
    """C16."""
    assert client(owner, owner_email="OWNER@alice.example").owner_user_id == alice.users["owner"]


@pytest.mark.parametrize("slug", ["Acme", "a b", "-a", "a-", "", "x" * 61, "ä", "a\n"])
def test_a_wrong_slug_is_refused(owner: Database, installation: Any, slug: str) -> None:
    with pytest.raises(Invalid, match="must match"):
        client(owner, org_slug=slug)


def test_a_taken_slug_is_a_conflict(owner: Database, alice: make.Workspace) -> None:
    """C16."""
    with pytest.raises(Conflict, match="'alice' is taken"):
        client(owner, org_slug="alice")


@pytest.mark.parametrize("zone", ["Mars/Olympus", "", "../../etc/passwd", "x\x00"])
def test_an_unknown_zone_is_refused(owner: Database, installation: Any, zone: str) -> None:
    with pytest.raises(Invalid, match="no IANA time zone"):
        client(owner, timezone=zone)


# --- the first start ---


def settings(url: str, folder: Path, **more: Any) -> Settings:
    return Settings(database_url=url, data_dir=folder / "data", master_key=MASTER_KEY, **more)


@pytest.fixture
def empty(server: Embedded) -> Iterator[str]:
    """A database in which nothing is."""
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("CREATE DATABASE first_start")
    yield database.with_database(server.url, "first_start")
    with psycopg.connect(server.url, autocommit=True) as connection:
        connection.execute("DROP DATABASE first_start WITH (FORCE)")


def test_the_first_start_makes_an_owner_and_the_second_nothing(empty: str, tmp_path: Path) -> None:
    with installations.opened(settings(empty, tmp_path)) as made:
        token = tmp_path / "data" / "owner.token"
        secret = token.read_text()
        assert stat.S_IMODE(token.stat().st_mode) == 0o600
        assert made.owner_url == empty
        assert made.embedded is None
        assert installations.reachable(made)
    with installations.opened(settings(empty, tmp_path)) as made, made.owner() as owner, owner.transaction() as db:
        assert db.execute(text("SELECT count(*) FROM organizations")).scalar_one() == 1
        assert db.execute(text("SELECT count(*) FROM tokens")).scalar_one() == 1
    assert token.read_text() == secret


def test_the_first_workspace_counts_money_as_the_settings_say(empty: str, tmp_path: Path) -> None:
    with (
        installations.opened(settings(empty, tmp_path, currency="EUR", loop_cost=1234.5)) as made,
        made.owner() as owner,
        owner.transaction() as db,
    ):
        assert db.execute(text("SELECT currency, loop_cost FROM workspaces")).one() == ("EUR", 1234.5)


def test_a_url_of_the_restricted_role_is_used_as_it_is(empty: str, tmp_path: Path) -> None:
    with installations.opened(settings(empty, tmp_path)):
        pass
    restricted = database.with_role(empty, "everfix_app", "x")
    with installations.opened(settings(restricted, tmp_path)) as made:
        assert made.owner_url is None
        with pytest.raises(ConfigurationError, match="database's owner"), made.owner():
            pass


def test_a_restricted_role_on_an_empty_database_is_told_to_migrate(empty: str, tmp_path: Path, installation: Any) -> None:
    with (
        pytest.raises(ConfigurationError, match="migrate"),
        installations.opened(settings(database.with_role(empty, "everfix_app", "x"), tmp_path)),
    ):
        pass


def test_a_database_out_of_reach_is_said(tmp_path: Path) -> None:
    with (
        pytest.raises(ConfigurationError, match="cannot be reached"),
        installations.opened(settings("postgresql://x@127.0.0.1:1/x", tmp_path)),
    ):
        pass


def test_another_name_for_the_restricted_role(empty: str, tmp_path: Path, server: Embedded) -> None:
    with installations.opened(settings(empty, tmp_path, app_role="other_app")) as made, made.database.transaction() as db:
        assert db.execute(text("SELECT current_user")).scalar_one() == "other_app"
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute("DROP OWNED BY other_app")
        connection.execute("DROP ROLE other_app")


# --- another PostgreSQL ---


def _debian() -> list[Path]:
    return sorted(path for path in Path("/usr/lib/postgresql").glob("*/bin/initdb") if int(path.parent.parent.name) >= 15)


@pytest.fixture
def debian(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """A PostgreSQL server of the distribution, over TCP with passwords, as a managed one would be."""
    found = _debian()
    if not found:
        pytest.skip("no PostgreSQL of the distribution on this machine; the embedded one over its URL is tested above")
    import shutil
    import tempfile

    from everfix.server import free_port

    home, bin_ = Path(tempfile.mkdtemp(prefix="everfix-debian-")), found[-1].parent
    user = "postgres" if os.geteuid() == 0 else None
    if user:
        shutil.chown(home, user)
    (home / "password").write_text("boss's secret")
    (home / "password").chmod(0o644)

    def run(*words: str) -> None:
        with (home / "log").open("a") as log:
            subprocess.run([str(bin_ / words[0]), *words[1:]], check=True, user=user, cwd="/", stdout=log, stderr=log)

    port = free_port("127.0.0.1")
    run(
        "initdb",
        "-D",
        str(home / "data"),
        "-U",
        "boss",
        "--auth=scram-sha-256",
        f"--pwfile={home}/password",
        "--no-sync",
        "--encoding=UTF8",
    )
    run(
        "pg_ctl",
        "-D",
        str(home / "data"),
        "-w",
        "-l",
        str(home / "data" / "server.log"),
        "-o",
        f"-p {port} -k {home} -c fsync=off",
        "start",
    )
    yield f"postgresql://boss:boss%27s%20secret@127.0.0.1:{port}/postgres"
    run("pg_ctl", "-D", str(home / "data"), "-w", "-m", "immediate", "stop")
    shutil.rmtree(home, ignore_errors=True)


def test_another_postgresql_with_passwords(debian: str, tmp_path: Path) -> None:
    """As an ordinary owner: the restricted role's password is this installation's, and a second start knows it."""
    with psycopg.connect(debian, autocommit=True) as connection:
        connection.execute("CREATE ROLE plain LOGIN CREATEROLE PASSWORD 'plain'")
        connection.execute("CREATE DATABASE everfix OWNER plain")
    url = database.with_role(database.with_database(debian, "everfix"), "plain", "plain")
    for _ in range(2):
        with installations.opened(settings(url, tmp_path)) as made:
            with made.database.transaction() as db:
                assert db.execute(text("SELECT current_user")).scalar_one() == "everfix_app"
                assert int(db.execute(text("SHOW server_version_num")).scalar_one()) >= 150000
            with made.owner() as owner, owner.transaction() as db:
                workspace = db.execute(text("SELECT workspace_id FROM everfix_workspaces()")).scalar_one()
    from everfix.failures import loop
    from everfix.ingest import events

    with installations.opened(settings(url, tmp_path)) as made:
        with made.database.transaction(workspace) as db:
            found = events.accept(db, make.failures("database", (9, 5, 2, 1)))
            loop.learn(db, list(found.issues), now=make.NOW)
            assert db.execute(text("SELECT issue_count FROM patterns")).scalar_one() == 4
        with made.database.transaction() as db:
            assert db.execute(text("SELECT count(*) FROM issues")).scalar_one() == 0


def test_the_same_role_serves_two_databases(clone: Callable[[str], str], tmp_path: Path) -> None:
    urls = [clone("one_of_two"), clone("two_of_two")]
    with installations.opened(settings(urls[0], tmp_path / "a")) as one, installations.opened(settings(urls[1], tmp_path / "b")) as two:
        assert installations.reachable(one)
        assert installations.reachable(two)
