"""A million issues of fifty workspaces in one database, half of them in one workspace: what a list, a search, a page and a triage action take there.

Each call goes through the application itself (token, restricted role, row-level security, JSON), one at a time. EVERFIX_BENCH_ISSUES sets how
many issues there are (100,000 unless told; a million take several minutes to fill). The plan of each list's query is written to `bench/plans.md`.
"""

from __future__ import annotations

import dataclasses
import os
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

import psycopg
from sqlalchemy import event, make_url
from starlette.testclient import TestClient

from bench import figures
from everfix import installation as installations
from everfix.app import create_app
from everfix.core import ids
from everfix.core.db import SETTING
from everfix.identity import provision
from everfix.installation import Installation
from everfix.settings import Settings

ISSUES = int(os.environ.get("EVERFIX_BENCH_ISSUES", "100000"))
PATTERNS, WORKSPACES = 10_000, 50
ROUNDS = int(os.environ.get("EVERFIX_BENCH_ROUNDS", "40"))
GOAL = 50.0  # milliseconds
PLANS = Path(__file__).with_name("plans.md")
SORTS = ("risk_score", "ingested_at", "source_created_at", "severity", "status", "updated_at", "created_at", "occurred_at")
Row = tuple[str, str, str, Mapping[str, Any]]

FILL = (
    "SET session_replication_role = replica",  # triggers and foreign keys off: what is filled in fits by itself
    "SET maintenance_work_mem = '512MB'",
    """CREATE TEMP TABLE spaces AS SELECT id, row_number() OVER (ORDER BY created_at, id) - 1 AS number FROM workspaces""",
    """INSERT INTO patterns (workspace_id, id, name, status, risk_score, service, domain, issue_count, counted, rated, first_seen_at, last_seen_at)
    SELECT s.id, ('00000000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'Pattern ' || n,
        (ARRAY['emerging', 'active', 'active', 'resolved'])[1 + n %% 4], n %% 101, 'service-' || n %% 40, 'domain-' || n %% 12,
        %(issues)s / %(patterns)s, true, n %% 101, now() - interval '300 days', now() - make_interval(hours => n)
    FROM generate_series(0, %(patterns)s - 1) n JOIN spaces s ON s.number = CASE WHEN n %% 2 = 0 THEN 0 ELSE 1 + n / 2 %% 49 END""",
    """INSERT INTO issues (workspace_id, id, external_id, source, kind, title, body, severity, status, analysis_status, risk_score, team, service,
        assignee_id, pattern_id, home_id, fingerprint, occurred_at, source_created_at, ingested_at, created_at, updated_at)
    SELECT s.id, ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'e-' || n, (ARRAY['sentry', 'pagerduty', 'junit'])[1 + n %% 3],
        (ARRAY['incident', 'defect', 'check'])[1 + n %% 3], 'Timeout of checkout ' || n %% 997 || ' while writing order',
        'upstream node' || n %% 20011 || ' did not answer within ' || n %% 4001 || ' ms', 'p' || 1 + n %% 4,
        (ARRAY['open', 'in_loop', 'in_loop', 'resolved', 'closed'])[1 + n %% 5], CASE WHEN n %% 50 = 0 THEN 'pending' ELSE 'done' END, n %% 101,
        'team-' || n %% 25, 'service-' || n %% 40, CASE WHEN n %% 7 = 0 THEN %(user)s::uuid END,
        CASE WHEN n %% 50 < 48 THEN ('00000000-0000-7000-8000-' || lpad(to_hex(n %% %(patterns)s), 12, '0'))::uuid END, NULL, 'f-' || n %% %(patterns)s,
        now() - make_interval(secs => n * 25.0), CASE WHEN n %% 10 < 9 THEN now() - make_interval(secs => n * 25.0) END,
        now() - make_interval(secs => n * 25.0), now() - make_interval(secs => n * 25.0), now() - make_interval(secs => n * 25.0)
    FROM generate_series(0, %(issues)s - 1) n JOIN spaces s ON s.number = CASE WHEN n %% 2 = 0 THEN 0 ELSE 1 + n / 2 %% 49 END""",
    """INSERT INTO pattern_hours (workspace_id, pattern_id, hour, failures, newest)
    SELECT workspace_id, id, date_trunc('hour', now()) - make_interval(hours => n * 25), 1, date_trunc('hour', now()) - make_interval(hours => n * 25)
    FROM patterns CROSS JOIN generate_series(1, 100) n""",
    "VACUUM ANALYZE issues, patterns, pattern_hours, workspaces",
)


def run() -> figures.Result:
    """Fill a database, then call everything that is documented for lists, and the acts of triage."""
    result = figures.Result(f"Scale: {ISSUES:,} issues, {PATTERNS:,} patterns, {WORKSPACES} workspaces", ("call", "p50", "p99"))
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as temporary:
        _run(Path(temporary), result)
    return result


def _run(folder: Path, result: figures.Result) -> None:
    with installations.opened(Settings(data_dir=folder, cron_secret=None)) as made:
        with figures.clock() as taken, _owner(made) as owner:
            here, user = _fill(made, owner)
        result.notes.append(f"filled in {taken[0]:.0f} s; each call {ROUNDS} times, one at a time, through the application in this process")
        token = (folder / "owner.token").read_text(encoding="utf-8").strip()
        with TestClient(create_app(made), headers={"Authorization": f"Bearer {token}"}) as client:
            _measure(Bench(client, made, here, user), result)


@contextmanager
def _owner(made: Installation) -> Iterator[psycopg.Connection]:
    if made.owner_url is None:
        raise RuntimeError("the embedded server has an owner")
    plain = make_url(made.owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as owner:
        yield owner


def _fill(made: Installation, owner: psycopg.Connection) -> tuple[UUID, UUID]:
    with made.owner() as database:
        for number in range(1, WORKSPACES):
            with database.transaction() as db:
                provision.client(db, org_name=f"Org {number}", org_slug=f"org-{number}", owner_email="owner@localhost", owner_name=None)
    user = owner.execute("SELECT id FROM users").fetchone()
    given = {"issues": ISSUES, "patterns": PATTERNS, "user": user[0] if user else None}
    for statement in FILL:
        owner.execute(statement, given if "%(" in statement else None)
    here = owner.execute("SELECT id FROM spaces WHERE number = 0").fetchone()
    if here is None or user is None:
        raise RuntimeError("the installation made no first workspace")
    return here[0], user[0]


@dataclasses.dataclass(frozen=True, slots=True)
class Bench:
    """What a measurement needs."""

    client: TestClient
    made: Installation
    workspace: UUID
    user: UUID


def _calls(user: UUID) -> Iterator[Row]:
    pattern, issue = UUID(int=(0x7000 << 64) | (0x8000 << 48) | 2), UUID("01900000-0000-7000-8000-000000000190")
    issue_path, pattern_path = f"/v1/issues/{ids.show(ids.Prefix.ISSUE, issue)}", f"/v1/patterns/{ids.show(ids.Prefix.PATTERN, pattern)}"
    filters: dict[str, Any] = {
        "status": "open,in_loop", "severity": "p1", "kind": "defect", "analysis_status": "pending", "source": "sentry", "team": "team-4",
        "service": "service-6", "linked": False, "risk_min": 95, "risk_max": 3, "date_from": "2026-01-01T00:00:00Z",
        "pattern_id": ids.show(ids.Prefix.PATTERN, pattern), "assignee_id": ids.show(ids.Prefix.USER, user),
    }  # fmt: skip
    yield "issues", "GET", "/v1/issues", {}
    yield from ((f"issues {name}={value}"[:44], "GET", "/v1/issues", {name: value}) for name, value in filters.items())
    yield from ((f"issues sort={sign}{name}", "GET", "/v1/issues", {"sort": sign + name}) for name in SORTS for sign in ("", "-"))
    yield "issues status=open severity=p1 sort=-risk", "GET", "/v1/issues", {"status": "open", "severity": "p1", "sort": "-risk_score"}
    yield "issues q, in all", "GET", "/v1/issues", {"q": "timeout checkout"}
    yield "issues q, in few", "GET", "/v1/issues", {"q": "node4242"}
    yield "issues q, in none", "GET", "/v1/issues", {"q": "nowhere"}
    yield "issue", "GET", issue_path, {}
    yield "issue's activity", "GET", f"{issue_path}/activity", {}
    for sort in ("risk_score", "issue_count", "last_seen_at"):
        yield f"patterns sort=-{sort}", "GET", "/v1/patterns", {"sort": f"-{sort}"}
    for name, value in {"status": "active", "q": "999", "domain": "domain-2", "risk_min": 90}.items():
        yield f"patterns {name}={value}", "GET", "/v1/patterns", {name: value}
    yield "pattern", "GET", pattern_path, {}
    yield "pattern's members", "GET", f"{pattern_path}/members", {}
    yield "pattern's frequency", "GET", f"{pattern_path}/frequency", {"window": "90d"}
    yield "triage: status there and back", "PATCH", issue_path, {"status": ("in_loop", "open")}
    yield "triage: severity", "PATCH", issue_path, {"severity": ("p3", "p4")}
    yield "triage: comment", "POST", f"{issue_path}/comments", {"body": ("one", "two")}


def _measure(bench: Bench, result: figures.Result) -> None:
    worst, plans = (
        0.0,
        [f"# Plans of the hot queries\n\nOf `bench/scale.py` with {ISSUES:,} issues; the workspace that is asked has half of them.\n"],
    )
    for name, method, path, given in _calls(bench.user):
        with _queries(bench) as seen:
            _call(bench, method, path, given, 0)
        times = sorted(_call(bench, method, path, given, number) for number in range(1, ROUNDS + 1))
        half, last = times[len(times) // 2], times[min(len(times) - 1, int(len(times) * 0.99))]
        worst = max(worst, last)
        result.add(name, f"{half:.1f} ms", f"{last:.1f} ms")
        plans.append(f"## {name}: p50 {half:.1f} ms, p99 {last:.1f} ms\n")
        plans += [_plan(bench, *one) for one in _slowest(seen)]
    PLANS.write_text("\n".join(plans), encoding="utf-8")
    result.goals.append(figures.Goal("p99 of the slowest call in ms", worst, GOAL, at_least=False))


def _call(bench: Bench, method: str, path: str, given: Mapping[str, Any], number: int) -> float:
    body = {name: value[number % len(value)] for name, value in given.items()} if method != "GET" else None
    began = time.perf_counter()
    answer = bench.client.request(method, path, params=given if body is None else None, json=body)
    taken = (time.perf_counter() - began) * 1000
    if answer.status_code >= 300:
        raise RuntimeError(f"{method} {path} {dict(given)} answered {answer.status_code}: {answer.text[:300]}")
    return taken


Seen = list[tuple[str, Any, float]]


@contextmanager
def _queries(bench: Bench) -> Iterator[Seen]:
    """Yield the list of the SELECTs that run in the block, each with its parameters and seconds."""
    seen: Seen = []
    began: list[float] = []

    def before(*_: object) -> None:
        began.append(time.perf_counter())

    def after(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        if statement.startswith("SELECT") and ("FROM issues" in statement or "FROM patterns" in statement):
            seen.append((statement, parameters, time.perf_counter() - began[-1]))

    engine = bench.made.database.engine
    event.listen(engine, "before_cursor_execute", before)
    event.listen(engine, "after_cursor_execute", after)
    try:
        yield seen
    finally:
        event.remove(engine, "before_cursor_execute", before)
        event.remove(engine, "after_cursor_execute", after)


def _slowest(seen: Seen) -> Seen:
    return sorted(seen, key=lambda one: -one[2])[:2]


def _plan(bench: Bench, statement: str, parameters: Any, seconds: float) -> str:  # noqa: ANN401 - as the driver takes them
    with bench.made.database.engine.connect() as connection:
        connection.exec_driver_sql("SELECT set_config(%s, %s, true)", (SETTING, str(bench.workspace)))
        lines = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, SUMMARY) {statement}", parameters).scalars().all()
    where = statement[statement.index("FROM ") :]
    return f"`… {' '.join(where.split())[:300]}`: {seconds * 1000:.1f} ms\n\n```text\n" + "\n".join(lines) + "\n```\n"


if __name__ == "__main__":
    print("\n".join(run().lines()))
