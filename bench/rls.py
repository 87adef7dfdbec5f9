"""What row-level security costs: a grouped count over one workspace of fifty, our policy against a plain WHERE, in the embedded server."""

from __future__ import annotations

import statistics
import tempfile
import time
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import make_url

from bench import figures
from everfix import migrations
from everfix.core import db as database
from everfix.core.embedded import THROW_AWAY, Embedded

ROWS, WORKSPACES, PATTERNS = 1_000_000, 50, 40
ROUNDS = 80
ROLE, PASSWORD = "everfix_app", "bench"
QUERIES = {
    "count by pattern": (
        "SELECT pattern_id, count(*), sum(failures) FROM pattern_hours{where} GROUP BY 1",
        " WHERE workspace_id = '{here}'",
    ),
    "count by day": ("SELECT date_trunc('day', hour), count(*) FROM pattern_hours{where} GROUP BY 1", " WHERE workspace_id = '{here}'"),
}
# Foreign keys are off while loading: only the counted table is filled. A workspace's rows lie scattered, as when fifty write at once.
LOAD = (
    """
INSERT INTO pattern_hours (workspace_id, pattern_id, hour, failures, newest)
SELECT lpad(to_hex(n % %(workspaces)s + 1), 32, '0')::uuid, lpad(to_hex(n / %(workspaces)s % %(patterns)s + 1), 32, '0')::uuid,
    timestamptz '2026-01-01' + make_interval(hours => n / (%(workspaces)s * %(patterns)s)), 1 + n % 5, timestamptz '2026-01-01'
FROM generate_series(0, %(rows)s - 1) AS n
""".replace("n % %(", "n %% %(")
    .replace("% %(patterns)s +", "%% %(patterns)s +")
    .replace("n % 5", "n %% 5")
)


def run() -> figures.Result:
    """Ask both ways in turns, as the restricted role with a workspace entered and as the owner with a WHERE."""
    result = figures.Result(
        f"Row-level security: {ROWS:,} rows, {WORKSPACES} workspaces",
        ("query", "policy, best", "WHERE, best", "policy, median", "WHERE, median", "overhead"),
    )
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as temporary:
        folder = Path(temporary)
        folder.chmod(0o755)
        server = Embedded(folder, THROW_AWAY)
        server.start()
        try:
            ratios = _measure(server, result)
        finally:
            server.stop()
    result.goals.append(
        figures.Goal("grouped count with the policy against a plain WHERE, median of pairs", max(ratios), 1.15, at_least=False)
    )
    return result


def _measure(server: Embedded, result: figures.Result) -> list[float]:
    migrations.create_database(server.url, "bench")
    url = database.with_database(server.url, "bench")
    migrations.migrate(url, role=ROLE, password=PASSWORD)
    here, ratios = UUID(int=7), []
    with (
        psycopg.connect(_plain(url), autocommit=True) as owner,
        psycopg.connect(_plain(database.with_role(url, ROLE, PASSWORD))) as restricted,
    ):
        owner.execute("SET session_replication_role = replica")
        owner.execute(LOAD, {"rows": ROWS, "workspaces": WORKSPACES, "patterns": PATTERNS})
        owner.execute("VACUUM ANALYZE pattern_hours")
        blind = restricted.execute("SELECT count(*) FROM pattern_hours").fetchone()
        restricted.execute("SELECT set_config(%s, %s, false)", (database.SETTING, str(here)))
        restricted.commit()
        restricted.autocommit = True
        for name, (query, where) in QUERIES.items():
            policy, plain = _turns(restricted, query.format(where=""), owner, query.format(where=where.format(here=here)))
            # each pair ran back to back, so that what else the machine does weighs on both alike
            overhead = statistics.median(one / other for one, other in zip(policy, plain, strict=True))
            shown = (min(policy), min(plain), statistics.median(policy), statistics.median(plain))
            result.add(name, *(f"{value * 1000:.2f} ms" for value in shown), figures.ratio(overhead))
            ratios.append(overhead)
    result.notes.append(
        f"with no workspace entered the restricted role sees {blind[0] if blind else '?'} of {ROWS:,} rows; both ways answer the same"
    )
    return ratios


def _plain(url: str) -> str:
    return make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)


def _turns(restricted: psycopg.Connection, policed: str, owner: psycopg.Connection, filtered: str) -> tuple[list[float], list[float]]:
    times: tuple[list[float], list[float]] = ([], [])
    answers = []
    for connection, query in ((restricted, policed), (owner, filtered)):
        answers.append(sorted(map(str, connection.execute(query).fetchall())))
    if answers[0] != answers[1]:
        raise RuntimeError("the policy and the plain WHERE do not answer the same")
    for _ in range(ROUNDS):
        for taken, connection, query in ((times[0], restricted, policed), (times[1], owner, filtered)):
            start = time.perf_counter()
            connection.execute(query).fetchall()
            taken.append(time.perf_counter() - start)
    return times


if __name__ == "__main__":
    print("\n".join(run().lines()))
