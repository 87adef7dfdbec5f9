"""Tokens: only a hash is kept; a person's scopes never exceed the role's; spent, expired and foreign ones open nothing."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

import pytest
from sqlalchemy import select, text

from everfix.core import crypto, ids
from everfix.core.db import Database
from everfix.errors import Conflict, Forbidden, Invalid, NotFound, Unauthorized
from everfix.identity import people, tokens
from everfix.identity.principals import ROLE_ALIASES, ROLE_SCOPES, Principal, Role, Scope, system
from everfix.identity.tokens import Kind, Token
from tests import make

BEARERS = (Kind.PERSONAL, Kind.SERVICE)


def who(workspace: make.Workspace, secret: str, kinds: Any = BEARERS) -> Principal:
    with workspace.installation.database.transaction() as db:
        return tokens.authenticate(db, secret, kinds, ip="192.0.2.1", trace_id="t")


def issue(workspace: make.Workspace, kind: Kind = Kind.PERSONAL, **given: Any) -> str:
    with workspace.db() as db:
        return tokens.issue(db, kind, "x", **({"user": workspace.users["analyst"]} | given))


def test_a_token_tells_who_calls(alice: make.Workspace) -> None:
    found = who(alice, alice.secrets["analyst"])
    assert (found.kind, found.actor_id, found.workspace, found.role) == ("user", alice.users["analyst"], alice.id, Role.ANALYST)
    assert (found.scopes, found.ip, found.trace_id) == (ROLE_SCOPES[Role.ANALYST], "192.0.2.1", "t")
    robot = who(alice, alice.secrets["service"])
    assert (robot.kind, robot.name, robot.role, robot.scopes) == ("service_account", "robot-of-alice", None, frozenset(Scope))


def test_only_the_hash_is_kept(alice: make.Workspace) -> None:
    """C41."""
    secret = issue(alice)
    assert secret.startswith("efx_pat_")
    with alice.db() as db:
        row = db.execute(select(Token).order_by(Token.id.desc()).limit(1)).scalar_one()
        assert row.hash == crypto.token_hash(secret)
        everything = db.execute(text("SELECT string_agg(t::text, ' ') FROM tokens t")).scalar_one()
    assert secret.removeprefix("efx_pat_") not in everything


def test_scopes_narrow_and_never_widen(alice: make.Workspace) -> None:
    """C33."""
    secret = issue(alice, user=alice.users["viewer"], scopes=[Scope.ISSUES_READ, Scope.ISSUES_WRITE, Scope.AUDIT_READ])
    assert who(alice, secret).scopes == {Scope.ISSUES_READ}


def test_a_role_change_applies_at_the_next_call(alice: make.Workspace) -> None:
    """C55."""
    with alice.db() as db:
        db.execute(text("UPDATE memberships SET role = 'viewer' WHERE user_id = :id"), {"id": alice.users["analyst"]})
    assert who(alice, alice.secrets["analyst"]).role == Role.VIEWER


@pytest.mark.parametrize("change", ["UPDATE memberships SET status = 'suspended'", "DELETE FROM memberships"])
def test_who_no_longer_belongs_is_out(alice: make.Workspace, change: str) -> None:
    with alice.db() as db:
        db.execute(text(change))
    with pytest.raises(Unauthorized):
        who(alice, alice.secrets["owner"])
    assert who(alice, alice.secrets["service"]).kind == "service_account", "a service account outlives its makers"


def test_a_token_ends_when_it_should(alice: make.Workspace, time: Any) -> None:
    secret = issue(alice, life=timedelta(hours=1))
    time.advance(minutes=59)
    who(alice, secret)
    time.advance(minutes=1)
    with pytest.raises(Unauthorized):
        who(alice, secret)


def test_a_spent_token_is_spent_for_good(alice: make.Workspace) -> None:
    secret = issue(alice, Kind.LINK, life=tokens.LINK_LIFE)
    found = who(alice, secret, [Kind.LINK])
    with alice.db() as db:
        tokens.spend(db, found.token_id)
    with pytest.raises(Unauthorized), alice.db() as db:
        tokens.spend(db, found.token_id)
    with pytest.raises(Unauthorized):
        who(alice, secret, [Kind.LINK])


@pytest.mark.parametrize("kind", [Kind.LINK, Kind.SESSION])
def test_a_sign_in_link_or_a_session_is_no_bearer(alice: make.Workspace, kind: Kind, anyone: make.Api) -> None:
    secret = issue(alice, kind)
    with pytest.raises(Unauthorized):
        who(alice, secret)
    assert make.Api(anyone.client, secret).get("/v1/issues").status_code == 401


@pytest.mark.parametrize("secret", ["", "x", "efx_pat_", "\ud800", "\x00", "x" * 100_000])
def test_what_is_no_token(alice: make.Workspace, secret: str) -> None:
    with pytest.raises((Unauthorized, UnicodeEncodeError)):
        who(alice, secret)


def test_last_use_is_noted_now_and_then(alice: make.Workspace, time: Any) -> None:
    def seen() -> Any:
        with alice.db() as db:
            return db.execute(select(Token.last_used_at).where(Token.user_id == alice.users["analyst"])).scalar_one()

    who(alice, alice.secrets["analyst"])
    first = seen()
    time.advance(minutes=4)
    who(alice, alice.secrets["analyst"])
    assert seen() == first == make.NOW
    time.advance(minutes=2)
    who(alice, alice.secrets["analyst"])
    assert seen() == make.NOW + timedelta(minutes=6)


def test_a_service_account_is_made_once(alice: make.Workspace, bob: make.Workspace) -> None:
    with alice.db() as db:
        assert tokens.service_account(db, "ci").id == tokens.service_account(db, "ci").id
        mine = tokens.service_account(db, "ci").id
    with bob.db() as db:
        assert tokens.service_account(db, "ci").id != mine


# --- principals ---


def test_roles_grow(alice: make.Workspace) -> None:
    viewer, analyst, admin, owner = (ROLE_SCOPES[role] for role in Role)
    assert viewer < analyst < admin <= owner == frozenset(Scope)
    assert {scope for scope in viewer if not scope.value.endswith(":read")} == set()
    assert {Scope.CONNECTORS_ADMIN, Scope.REPORTS_WRITE, Scope.INGEST_WRITE} <= analyst
    assert [role.rank for role in Role] == [0, 1, 2, 3]
    assert set(ROLE_ALIASES) == {"read_only", "executive", "editor", "tenant_admin"}


def test_every_documented_scope_exists() -> None:
    """C47."""
    documented = {f"{noun}:{verb}" for noun in ("issues", "patterns", "predictions", "recommendations") for verb in ("read", "write")}
    documented |= {
        "connectors:admin",
        "webhooks:admin",
        "ingest:write",
        "workspace:write",
        "workspace:admin",
        "members:write",
        "members:admin",
    }
    documented |= {
        "workspace.compliance:read",
        "workspace.compliance:write",
        "reports:write",
        "audit:read",
        "governance:read",
        "governance:write",
    }
    assert documented <= {scope.value for scope in Scope}


def test_names_are_sorted() -> None:
    assert [scope.name for scope in Scope] == sorted(scope.name for scope in Scope)


def test_a_missing_scope_is_named() -> None:
    caller = Principal("user", None, "x", ids.new(), frozenset({Scope.ISSUES_READ}))
    caller.require(Scope.ISSUES_READ)
    with pytest.raises(Forbidden, match="needs the scope issues:write"):
        caller.require(Scope.ISSUES_WRITE)
    assert system(caller.workspace).scopes == frozenset(Scope)


# --- people ---


def test_a_sign_in_link_is_the_first_owners(alice: make.Workspace, owner: Database) -> None:
    with owner.transaction() as db:
        secret = people.sign_in_link(db)
    assert who(alice, secret, [Kind.LINK]).actor_id == alice.users["owner"]


def test_a_sign_in_link_by_address_or_workspace(bob: make.Workspace, owner: Database) -> None:
    with owner.transaction() as db:
        by_address = people.sign_in_link(db, " Viewer@Bob.example ")
        by_slug = people.sign_in_link(db, workspace_slug="bob")
    assert who(bob, by_address, [Kind.LINK]).actor_id == bob.users["viewer"]
    assert who(bob, by_slug, [Kind.LINK]).actor_id == bob.users["owner"]
    with pytest.raises(NotFound, match="nobody"), owner.transaction() as db:
        people.sign_in_link(db, "nobody@x.example")


def test_a_workspace_by_its_slug(alice: make.Workspace, owner: Database) -> None:
    with owner.transaction() as db:
        assert people.workspace(db, "alice") == alice.id
        with pytest.raises(NotFound, match="no workspace 'nope'") as missing:
            people.workspace(db, "nope")
        with pytest.raises(Conflict, match="several workspaces") as several:
            people.workspace(db, None)
        for caught in (missing, several):
            assert "alice, bob, charlie" in caught.value.details["workspace"]
        db.execute(text("DELETE FROM workspaces WHERE slug <> 'alice'"))
        assert people.workspace(db, None) == alice.id


def test_a_service_accounts_token_by_name(alice: make.Workspace) -> None:
    with alice.db() as db:
        secret = people.service_token(db, "ci", ["ingest:write", "issues:read"], timedelta(days=1))
        with pytest.raises(Invalid, match="no scope 'everything'") as caught:
            people.service_token(db, "ci", ["ingest:write", "everything"], None)
    assert "ingest:write" in caught.value.details["scope"]
    found = who(alice, secret)
    assert (found.name, set(found.scopes)) == ("ci", {Scope.INGEST_WRITE, Scope.ISSUES_READ})
    with alice.db() as db:
        assert db.execute(text("SELECT action, details FROM audit_log ORDER BY number DESC LIMIT 1")).one() == (
            "token.created",
            {"scopes": ["ingest:write", "issues:read"]},
        )
