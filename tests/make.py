"""Builders: the smallest sound version of whatever a test needs, with what it cares about given by name."""

from __future__ import annotations

import dataclasses
import itertools
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import httpx
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix import worker
from everfix.core import clock, ids, jobs
from everfix.core.db import Database, enter
from everfix.failures import loop, patterns, predictions, recommendations
from everfix.identity import provision, tokens
from everfix.identity.members import Member
from everfix.identity.principals import Principal, Role, Scope, system
from everfix.identity.users import User
from everfix.ingest import events
from everfix.installation import Installation
from tests import remembered

NAMES = ("alice", "bob", "charlie")
NOW = datetime(2026, 3, 16, 10, 0, tzinfo=UTC)
_numbers = itertools.count(1)


@dataclasses.dataclass(frozen=True)
class Seeded:
    """One workspace of the template database, with a token for each kind of caller."""

    name: str
    id: UUID
    users: dict[str, UUID]
    secrets: dict[str, str]


def seed(database: Database) -> dict[str, Seeded]:
    """Make the three workspaces; runs as the database's owner."""
    return {name: _workspace(database, name) for name in NAMES}


def _workspace(database: Database, name: str) -> Seeded:
    with database.transaction() as db:
        email, person = f"owner@{name}.example", f"{name.title()} Owner"
        made = provision.client(db, org_name=name.title(), org_slug=name, owner_email=email, owner_name=person)
        users, secrets = {"owner": made.owner_user_id}, {}
        for role in (Role.ANALYST, Role.VIEWER, Role.ADMIN):
            users[role.value] = member(db, f"{role}@{name}.example", role)
        for role_name, user in users.items():
            secrets[role_name] = tokens.issue(db, tokens.Kind.PERSONAL, "test", user=user)
        account = tokens.service_account(db, f"robot-of-{name}")
        secrets["service"] = tokens.issue(db, tokens.Kind.SERVICE, "test", service_account=account.id, scopes=Scope)
        return Seeded(name, made.workspace_id, users, secrets)


def member(db: Session, email: str, role: Role, status: str = "active") -> UUID:
    """Make a user who belongs to the current workspace."""
    user = User(id=ids.new(), email=email, name=email.partition("@")[0].title())
    db.add(user)
    db.flush()
    db.add(Member(id=ids.new(), user_id=user.id, role=role, status=status))
    db.flush()
    return user.id


class Api:
    """The API as one caller sees it."""

    def __init__(self, client: httpx.Client, secret: str | None = None) -> None:
        self.client, self.secret = client, secret

    def call(self, method: str, path: str, **more: Any) -> httpx.Response:
        headers = dict(more.pop("headers", None) or {})
        if self.secret is not None:
            headers.setdefault("Authorization", f"Bearer {self.secret}")
        return self.client.request(method, path, headers=headers, **more)

    def get(self, path: str, **params: Any) -> httpx.Response:
        return self.call("GET", path, params={name: value for name, value in params.items() if value is not None})

    def post(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.call("POST", path, json=body, **more)

    def patch(self, path: str, body: Any = None, **more: Any) -> httpx.Response:
        return self.call("PATCH", path, json=body, **more)

    def ok(self, method: str, path: str, body: Any = None, **params: Any) -> Any:
        """Return the JSON of a call that must succeed."""
        answer = self.call(method, path, **({} if body is None else {"json": body}), params=params)
        assert answer.is_success, (answer.status_code, answer.text)
        return answer.json()


class Workspace:
    """One of the three workspaces, as a test handles it: `api` is the owner's, the others are by role."""

    def __init__(self, seeded: Seeded, client: httpx.Client, installation: Installation) -> None:
        self.id, self.name, self.users, self.secrets = seeded.id, seeded.name, seeded.users, seeded.secrets
        self.client, self.installation = client, installation
        self.api, self.analyst, self.viewer, self.admin, self.service = (
            Api(client, seeded.secrets[name]) for name in ("owner", "analyst", "viewer", "admin", "service")
        )

    @contextmanager
    def db(self) -> Iterator[Session]:
        """Yield a transaction of this workspace, as the restricted role."""
        with self.installation.database.transaction(self.id) as db:
            yield db

    def with_scopes(self, *scopes: Scope) -> Api:
        """Return a service account's view of the API with exactly these scopes."""
        with self.db() as db:
            account = tokens.service_account(db, f"robot-{next(_numbers)}")
            return Api(self.client, tokens.issue(db, tokens.Kind.SERVICE, "test", service_account=account.id, scopes=scopes))

    @property
    def principal(self) -> Principal:
        """The owner, for calling verbs without HTTP."""
        return Principal("user", self.users["owner"], f"{self.name.title()} Owner", self.id, frozenset(Scope), Role.OWNER)

    @property
    def system(self) -> Principal:
        return system(self.id)

    def ingest(self, *records: dict[str, Any]) -> list[UUID]:
        """Store failures without queueing anything."""
        with self.db() as db:
            accepted = events.accept(db, records)
        assert not accepted.rejected, accepted.rejected
        return list(accepted.issues)

    def learn(self, *records: dict[str, Any], now: datetime = NOW) -> list[UUID]:
        """Store failures and take them through the loop, all in one go."""
        found: list[UUID] = []
        for start in range(0, len(records), events.BATCH):
            found += self.ingest(*records[start : start + events.BATCH])
        with self.db() as db:
            loop.learn(db, found, now=now)
        return found

    def ingest_learned(self, cause: str, at: datetime, *, now: datetime | None = None) -> list[UUID]:
        """Let one more failure of a cause happen at a moment, and learn it soon after."""
        return self.learn(
            failures(cause, (0,), end=at, external_id=f"{cause}-at-{at.isoformat()}")[0], now=now or at + timedelta(minutes=1)
        )

    def work(self) -> int:
        """Do every queued job of this workspace in this process until none is left, and return how many that were."""
        done = 0
        while made := self.work_once():
            done += made
        return done

    def work_once(self) -> int:
        """Try every queued job once."""
        with self.db() as db:
            waiting = db.execute(select(jobs.Job).where(jobs.Job.status == "queued").order_by(jobs.Job.id)).scalars().all()
        for job in waiting:
            worker._one(worker.TASKS[job.kind], self.installation, self.id, job.id)
        return len(waiting)


def event(**given: Any) -> dict[str, Any]:
    """Return a failure as a client sends it."""
    number = next(_numbers)
    return {"external_id": f"e-{number}", "source": "pagerduty", "title": f"Checkout failed {number}", **given}


def failures(cause: str, days: Sequence[float], *, end: datetime = NOW, **given: Any) -> list[dict[str, Any]]:
    """Return failures of one cause, each so many days before `end`."""
    texts = {
        "database": ("Connection pool of orders-db exhausted", "orders-api"),
        "payments": ("Card provider answers 504 Gateway Timeout", "payments-api"),
        "search": ("Index shard missing on search node", "search-api"),
        "login": ("Session cookie rejected: signature mismatch", "login-api"),
    }
    title, service = texts[cause]
    common = {"title": title, "service": service, "severity": "p2", **given}
    return [
        event(**{"external_id": f"{cause}-{place}", "source_created_at": (end - timedelta(days=ago)).isoformat(), **common})
        for place, ago in enumerate(days)
    ]


def with_history(workspace: Workspace) -> None:
    """Fill a workspace as a quarter of use would: forecasts that were settled, a fix that held, one that failed, one still watched."""
    once(workspace, "history", _history)


def once(workspace: Workspace, name: str, build: Callable[[Workspace], object]) -> None:
    """Fill an empty workspace by `build`; the second time its rows are put back instead. What a real clock built differs from what a held one did."""
    held = abs(clock.now() - NOW) < timedelta(seconds=1)
    key = f"{name}_{workspace.name}_{'held' if held else 'free'}"
    remembered.once(str(workspace.installation.owner_url), key, lambda: build(workspace))


def _history(workspace: Workspace) -> None:
    causes = {
        "database": (120, 90, 75, 61, 50, 44, 37, 33, 24, 21, 12, 5, 1),
        "payments": tuple(range(46, 112, 3)),
        "search": (100, 60, 31, 8, 2),
    }
    records = [
        record
        for cause, days in causes.items()
        for record in failures(cause, days, severity="p1" if cause == "payments" else "p3", team="shop")
    ]
    records += failures("login", (85, 64, 43, 22, 15, 3, 0.1), resolved_at=NOW.isoformat())
    found = workspace.ingest(*records)
    with workspace.db() as db:
        loop.learn(db, found, now=NOW, steps=loop.GROUPING)
        weeks = [NOW - timedelta(days=7 * week) for week in range(12, -1, -1)]
        known = {pattern.service: pattern.id for pattern in db.execute(select(patterns.Pattern)).scalars()}
        for week in weeks:
            predictions.resolve(db, week)
            predictions.replay(db, [week])
        fixes = (
            ("payments-api", 45, "Longer timeout for the card provider"),
            ("orders-api", 40, "Larger pool"),
            ("search-api", 20, "Second replica"),
        )
        for service, ago, title in fixes:
            at = NOW - timedelta(days=ago)
            recommendations.claim(db, known[service], title=title, type="config_change", effort="low", at=at, by=workspace.system)
        loop.refresh(db, NOW)


def ids_of(rows: Iterable[dict[str, Any]]) -> list[str]:
    return [row["id"] for row in rows]


def entered(db: Session, workspace: UUID) -> Session:
    """Return the session after it entered `workspace`."""
    enter(db, workspace)
    return db
