"""Fills a database for `bench.scale`: issues and patterns of fifty workspaces of very different size, half of everything in the first.

Rows are made by the database itself, without the indexes of `issues` and without triggers, and each pattern's figures are then counted by the
product's own `figures.rebuild`. One pattern of the first workspace holds a tenth of all issues.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import make_url, text

from everfix import installation as installations
from everfix.failures import figures
from everfix.identity import provision
from everfix.installation import Installation
from everfix.settings import Settings

WORKSPACES = 50
HALVES = 2  # as many connections fill at once
ISSUE, PATTERN = "01900000-0000-7000-8000-", "01800000-0000-7000-8000-"


@dataclass(frozen=True, slots=True)
class Filled:
    """What was filled: how much, the first workspace (the largest), its owner, and a failure of its last pattern, which is small."""

    issues: int
    patterns: int
    workspace: str
    user: str
    single: str


def known(folder: Path) -> Filled | None:
    """Return what `fill` wrote into a data directory before, or None."""
    path = folder / "filled.json"
    return Filled(**json.loads(path.read_text(encoding="utf-8"))) if path.exists() else None


def fill(folder: Path, issues: int, patterns: int) -> Filled:
    """Fill a data directory, unless it is filled with as many already; raises RuntimeError where it holds another number."""
    done = known(folder)
    if done is not None:
        if (done.issues, done.patterns) != (issues, patterns):
            raise RuntimeError(f"{folder} holds {done.issues:,} issues and {done.patterns:,} patterns; name another directory")
        with installations.opened(Settings(data_dir=folder, cron_secret=None)) as made, owner(made) as connection:
            connection.execute("VACUUM (ANALYZE) issues, patterns")  # what an earlier run changed
        return done
    with installations.opened(Settings(data_dir=folder, cron_secret=None)) as made, owner(made) as connection:
        _workspaces(made)
        workspace, user = _first(connection)
        given = {"issues": issues, "patterns": patterns, "user": user}
        for statement in _BEFORE:
            connection.execute(statement, given)
        with without_indexes(made, connection):
            together(made, [[(_ISSUES, {**given, "half": half, "halves": HALVES})] for half in range(HALVES)])
        connection.execute("VACUUM (ANALYZE) issues")
        for row in connection.execute("SELECT id FROM workspaces").fetchall():
            _count(made, row[0])
        for statement in _AFTER:
            connection.execute(statement, given)
        single = connection.execute(_SINGLE, given).fetchone()
    filled = Filled(issues, patterns, str(workspace), str(user), str(single[0] if single else None))
    (folder / "filled.json").write_text(json.dumps(asdict(filled)), encoding="utf-8")
    return filled


@contextmanager
def owner(made: Installation) -> Iterator[psycopg.Connection]:
    """Yield a connection of the database's owner."""
    if made.owner_url is None:
        raise RuntimeError("the embedded server has an owner")
    plain = make_url(made.owner_url).set(drivername="postgresql").render_as_string(hide_password=False)
    with psycopg.connect(plain, autocommit=True) as connection:
        for statement in _SETTINGS:
            connection.execute(statement)
        yield connection


@contextmanager
def without_indexes(made: Installation, connection: psycopg.Connection) -> Iterator[None]:
    """Take the indexes of `issues` away for the block, and make them again, two at once."""
    indexes = [row[0] for row in connection.execute(_INDEXES).fetchall()]
    for name in [row[0] for row in connection.execute(_INDEX_NAMES).fetchall()]:
        connection.execute(f"DROP INDEX {name}")
    yield
    together(made, [[(index, None) for index in indexes[half::HALVES]] for half in range(HALVES)])


def _workspaces(made: Installation) -> None:
    with made.owner() as database, database.transaction() as db:
        for number in range(1, WORKSPACES):
            provision.client(db, org_name=f"Org {number}", org_slug=f"org-{number}", owner_email="owner@localhost", owner_name=None)


def _first(connection: psycopg.Connection) -> tuple[UUID, UUID]:
    row = connection.execute(
        "SELECT workspace_id, user_id FROM memberships WHERE workspace_id = (SELECT id FROM workspaces ORDER BY created_at, id LIMIT 1)"
    ).fetchone()
    if row is None:
        raise RuntimeError("the installation made no first workspace")
    return row


def together(made: Installation, shares: list[list[tuple[str, dict[str, object] | None]]]) -> None:
    """Run each share's statements one after another, and the shares beside each other."""

    def run(share: list[tuple[str, dict[str, object] | None]]) -> None:
        with owner(made) as connection:
            for statement, given in share:
                connection.execute(statement, given)

    with ThreadPoolExecutor(len(shares)) as pool:
        for done in [pool.submit(run, share) for share in shares]:
            done.result()


def _count(made: Installation, workspace: UUID) -> None:
    with made.database.transaction(workspace) as db:
        db.execute(text("SET LOCAL work_mem = '256MB'"))
        figures.rebuild(db, list(db.execute(text("SELECT id FROM patterns")).scalars()))


_SETTINGS = (
    "SET session_replication_role = replica",  # triggers and foreign keys off: what is filled in fits by itself
    "SET maintenance_work_mem = '512MB'",
    "SET synchronous_commit = off",
)
_INDEX_NAMES = "SELECT indexrelid::regclass::text FROM pg_index WHERE indrelid = 'issues'::regclass AND NOT indisprimary ORDER BY 1"
_INDEXES = """
SELECT pg_get_indexdef(indexrelid) FROM pg_index WHERE indrelid = 'issues'::regclass AND NOT indisprimary ORDER BY indexrelid::regclass::text
"""
# The first workspace has the even patterns; the k-th of the others has a share that falls from a quarter of the rest to less than a hundredth.
_BEFORE = (
    f"""CREATE TABLE IF NOT EXISTS bench_places AS
    SELECT n, ('{PATTERN}' || lpad(to_hex(n), 12, '0'))::uuid AS pattern_id, s.id AS workspace_id
    FROM generate_series(0, %(patterns)s - 1) n JOIN (
        SELECT id, row_number() OVER (ORDER BY created_at, id) - 1 AS number FROM workspaces
    ) s ON s.number = CASE WHEN n %% 2 = 0 THEN 0 ELSE 1 + floor({WORKSPACES - 1} * power(n::float / %(patterns)s, 3)) END""",
    "ANALYZE bench_places",
    """INSERT INTO patterns (workspace_id, id, name, status, service, domain, team, kind, severity, first_seen_at, last_seen_at, why, fingerprint)
    SELECT workspace_id, pattern_id, 'Timeout of step-' || n || ' while writing order', (ARRAY['active', 'active', 'emerging', 'resolved'])[1 + n %% 4],
        'service-' || n %% 40, 'domain-' || n %% 12, 'team-' || n %% 25, (ARRAY['incident', 'defect', 'check'])[1 + n %% 3], 'p' || 1 + n %% 4,
        now() - interval '300 days', now(), '{"rule": "name and place"}', jsonb_build_object('error_signature', 'Timeout of step-' || n)
    FROM bench_places""",
    "INSERT INTO pattern_keys (workspace_id, version, key, pattern_id) SELECT workspace_id, 'bench', 'f-' || n, pattern_id FROM bench_places",
)
_ISSUES = f"""
INSERT INTO issues (workspace_id, id, external_id, source, kind, title, body, stacktrace, severity, status, analysis_status, risk_score, risk_parts,
    team, service, environment, assignee_id, pattern_id, home_id, fingerprint, assignment, metadata,
    occurred_at, source_created_at, ingested_at, created_at, updated_at)
SELECT p.workspace_id, ('{ISSUE}' || lpad(to_hex(i.n), 12, '0'))::uuid, 'e-' || i.n, (ARRAY['sentry', 'pagerduty', 'junit'])[1 + i.n %% 3],
    (ARRAY['incident', 'incident', 'incident', 'defect', 'check'])[1 + i.n / 7 %% 5], 'Timeout of step-' || p.n || ' while writing order',
    'upstream node' || i.n %% 20011 || ' did not answer within ' || i.n %% 4001 || ' ms, order ' || md5(i.n::text),
    repeat('  File "/srv/app/orders/step_' || p.n || '.py", line 88, in write_order' || chr(10), 6), 'p' || 1 + i.n %% 4,
    (ARRAY['open', 'in_loop', 'in_loop', 'resolved', 'closed'])[1 + i.n / 3 %% 5], CASE WHEN i.n %% 50 = 0 THEN 'pending' ELSE 'done' END,
    (i.n * 31 %% 101)::int, jsonb_build_object('severity', 17, 'pattern', 30), 'team-' || p.n %% 25, 'service-' || p.n %% 40,
    (ARRAY['production', 'staging'])[1 + i.n %% 2], CASE WHEN i.n %% 70 = 0 THEN %(user)s::uuid END,
    CASE WHEN i.n %% 50 < 48 THEN p.pattern_id END, CASE WHEN i.n %% 50 < 48 THEN p.pattern_id END, 'f-' || p.n,
    jsonb_build_object('stage', 'exact', 'version', 'bench', 'confidence', 0.95, 'why', jsonb_build_object('rule', 'same name and place')),
    '{{"region": "eu-west-1"}}', i.at, CASE WHEN i.n %% 10 < 9 THEN i.at END, i.at, i.at, i.at
FROM (
    SELECT n, now() - make_interval(secs => n * 25.0) AS at, CASE WHEN n %% 10 = 0 THEN 0
        ELSE 1 + floor((%(patterns)s - 1) * power((n * 0.6180339887498949)::numeric %% 1, 2))::int END AS p
    FROM generate_series(%(half)s::bigint, %(issues)s - 1, %(halves)s) n
) i JOIN bench_places p ON p.n = i.p
"""
_SINGLE = (
    "SELECT i.id FROM issues i JOIN bench_places p USING (workspace_id, pattern_id) WHERE p.n = %(patterns)s - 2 ORDER BY i.id LIMIT 1"
)
_AFTER = (
    "UPDATE patterns SET status = 'resolved' WHERE id IN (SELECT pattern_id FROM bench_places WHERE n %% 16 = 3)",
    "UPDATE patterns SET risk_score = (('x' || right(id::text, 4))::bit(16)::int * 7) %% 101, rated = 50",
    """INSERT INTO predictions (workspace_id, id, pattern_id, window_days, day, probability, lower, upper, impact, likely_trigger, why, base_rate,
        failures, model_version, generated_at, expires_at)
    SELECT p.workspace_id, ('01810000-0000-7000-8000-' || right(p.id::text, 12))::uuid, p.id, 30, current_date, p.risk_score / 101.0, 0, 1,
        (ARRAY['critical', 'high', 'medium', 'low'])[1 + p.risk_score %% 4], '', '[]', 0.3, 1, 'bench', now(), now() + interval '30 days'
    FROM patterns p""",
    """INSERT INTO recommendations (workspace_id, id, key, title, summary, type, effort, impact, status, rank, score, expected_loops_prevented,
        expected_cost_saved, why)
    SELECT p.workspace_id, ('01820000-0000-7000-8000-' || right(p.id::text, 12))::uuid, 'retry', 'Retry with a limit', 'Retry with a limit',
        (ARRAY['code_fix', 'config_change', 'process', 'monitoring'])[1 + p.risk_score %% 4], 'low',
        (ARRAY['high', 'medium', 'quick_win'])[1 + p.risk_score %% 3], 'pending', row_number() OVER (PARTITION BY p.workspace_id ORDER BY p.id), 1.0,
        p.risk_score / 10.0, 100, '{}'
    FROM patterns p WHERE p.status <> 'resolved'""",
    """INSERT INTO recommendation_patterns (workspace_id, recommendation_id, pattern_id)
    SELECT workspace_id, id, ('01800000-0000-7000-8000-' || right(id::text, 12))::uuid FROM recommendations""",
    "VACUUM (ANALYZE)",
    "CHECKPOINT",
)
