"""From the database to a file: safe CSV against pandas' injection-safe way (Superset's) and pandas' plain one, and XLSX with its memory.

The rows are issues of a throw-away database; each contestant reads the same ten columns and writes a file.
"""

from __future__ import annotations

import json
import os
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from uuid import UUID

import psycopg

from bench import figures, peers
from everfix import migrations
from everfix.core import db as database
from everfix.core import ids
from everfix.core.embedded import THROW_AWAY, Embedded
from everfix.identity import provision

FULL = 5_000_000  # rows the goals of XLSX are about
ROWS = int(os.environ.get("EVERFIX_BENCH_EXPORT_ROWS", str(FULL)))
CSV_ROWS, PANDAS_ROWS = min(ROWS, 500_000), min(ROWS, 100_000)
ROUNDS = 3
ROOT = str(Path(__file__).resolve().parent.parent)
COLUMNS = ["id", "external_id", "title", "severity", "status", "service", "team", "risk_score", "occurred_at", "resolved_at"]
FILL = """
INSERT INTO issues (id, external_id, source, kind, title, body, severity, status, service, team, risk_score, occurred_at, resolved_at)
SELECT ('01900000-0000-7000-8000-' || lpad(to_hex(n), 12, '0'))::uuid, 'ISS-' || n, 'jira', 'incident',
    CASE WHEN n %% 50 = 7 THEN '=cmd|'' /C calc''!A' || n ELSE 'Connection pool exhausted on shard ' || n %% 997 || ' after deploy ' || n * 31 %% 10007 END,
    '', 'p' || 1 + n %% 4, 'open', 'service-' || n %% 24, CASE WHEN n %% 50 = 9 THEN '-' || n ELSE 'team-' || n %% 9 END, n %% 101,
    now() - n * interval '7 seconds', CASE WHEN n %% 3 = 0 THEN now() - n * interval '6 seconds' END
FROM generate_series(1, %s) n
"""
# An export reads by the primary key: the other indexes would only slow the filling, to an hour for five million rows.
UNNEEDED = """
DO $$ DECLARE found text; BEGIN
    FOR found IN SELECT indexrelid::regclass::text FROM pg_index i WHERE indrelid = 'issues'::regclass AND NOT indisprimary
        AND NOT EXISTS (SELECT FROM pg_constraint c WHERE c.conindid = i.indexrelid)
    LOOP EXECUTE 'DROP INDEX ' || found; END LOOP;
END $$
"""
OURS = """
import json, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from uuid import UUID
from bench import rows
from everfix.core.db import Database
from everfix.exports import resources, to_csv, to_xlsx
from everfix.exports.options import Options
from everfix.exports.rows import Look
import numpy, rustpy_xlsxwriter
url, workspace, path, kind, count, columns = sys.argv[2], UUID(sys.argv[3]), Path(sys.argv[4]), sys.argv[5], int(sys.argv[6]), json.loads(sys.argv[7])
resource = resources.ISSUES
look = Look(resource, resource.chosen(columns, analysis=False), resource.read({}), Options(columns=columns), None, most=count)
place = Database(url, pool=1)
with place.transaction(workspace) as db:
    look.query()
before, start, cpu = rows.peak(), time.perf_counter(), time.process_time()
with place.transaction(workspace) as db:
    if kind == "csv":
        written, _ = to_csv.write(path, db, look, lambda done: None)
    else:
        written, _ = to_xlsx.write(path, db, look, lambda done: None, count)
took = {"seconds": time.perf_counter() - start, "cpu": time.process_time() - cpu}
print(json.dumps({**took, "rows": written, "memory": rows.peak() - before, "bytes": path.stat().st_size}))
"""
PANDAS = """
import csv, json, re, sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
from bench import rows
import pandas
source, path, kind = sys.argv[2], Path(sys.argv[3]), sys.argv[4]
NUMBER = re.compile(r"^[+-]?[0-9.]+$")
def escaped(value):
    # What Superset does with each text of a frame before to_csv: a quote before what begins like a formula, unless it is a number.
    if value[:1] in ("=", "+", "-", "@", "%", "|", "\\t", "\\r") and not NUMBER.match(value):
        return "'" + value.replace("|", "\\\\|")
    return value
before, start, cpu = rows.peak(), time.perf_counter(), time.process_time()
frame = pandas.read_csv(source, dtype={"external_id": object, "title": object, "severity": object, "status": object, "service": object, "team": object, "id": object})
read = time.perf_counter() - start
if kind == "safe":
    for name in frame.columns:
        if frame[name].dtype == object:
            for place, value in enumerate(frame[name].values):
                if isinstance(value, str):
                    frame.at[place, name] = escaped(value)
frame.to_csv(path, index=False)
took = {"seconds": time.perf_counter() - start - read, "cpu": time.process_time() - cpu}
print(json.dumps({**took, "rows": len(frame), "memory": rows.peak() - before, "bytes": path.stat().st_size}))
"""


@contextmanager
def _filled(count: int) -> Iterator[tuple[str, UUID]]:
    """Yield the address of a throw-away database with so many issues, for the restricted role, and their workspace."""
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as temporary:
        server = Embedded(Path(temporary), THROW_AWAY)
        server.start()
        try:
            migrations.create_database(server.url, "bench")
            url = database.with_database(server.url, "bench")
            migrations.migrate(url, role="everfix_app", password="bench")  # noqa: S106 - throw-away
            owner = database.Database(url, pool=1)
            with owner.transaction() as db:
                made = provision.client(db, org_name="Bench", org_slug="bench", owner_email="x@example.com")
            owner.close()
            with psycopg.connect(url.replace("+psycopg", "")) as connection:
                connection.execute("SELECT set_config('everfix.workspace_id', %s, false)", [str(made.workspace_id)])
                connection.execute(UNNEEDED)
                connection.execute(FILL, [count])
            with psycopg.connect(url.replace("+psycopg", ""), autocommit=True) as connection:
                connection.execute("VACUUM ANALYZE issues")
            yield database.with_role(url, "everfix_app", "bench"), made.workspace_id
        finally:
            server.stop()


def run() -> figures.Result:
    """Write the same rows with each, each time in a process of its own, taking turns; the quickest of each counts."""
    result = figures.Result(
        f"Exports: issues from the database, {len(COLUMNS)} columns", ("writer", "rows", "rows a second", "CPU", "memory grown", "file")
    )
    with _filled(ROWS) as (url, workspace), tempfile.TemporaryDirectory(prefix="everfix-bench-") as temporary:
        folder = Path(temporary)
        best = _measured(result, url, workspace, folder)
    for name, one in best.items():
        rate = figures.per_second(one["rows"], one["seconds"])
        result.add(name, f"{one['rows']:,.0f}", rate, f"{one['cpu']:.1f} s", f"{one['memory']:.0f} MB", f"{one['bytes'] / 1e6:.1f} MB")
    _judge(result, best)
    return result


def _measured(result: figures.Result, url: str, workspace: UUID, folder: Path) -> dict[str, dict[str, float]]:
    def ours(kind: str, count: int) -> dict[str, float]:
        where = str(folder / f"ours.{kind}")
        return peers.run_python(sys.executable, OURS, ROOT, url, str(workspace), where, kind, str(count), json.dumps(COLUMNS), timeout=1200)

    source = folder / "frame.csv"
    _plain(url, workspace, source, PANDAS_ROWS)
    contestants: dict[str, Callable[[], dict[str, float]]] = {
        CSV: lambda: ours("csv", CSV_ROWS),
        SAFE: lambda: peers.call(PANDAS, "pandas", ROOT, str(source), str(folder / "safe.csv"), "safe"),
        PLAIN: lambda: peers.call(PANDAS, "pandas", ROOT, str(source), str(folder / "plain.csv"), "plain"),
    }
    best: dict[str, dict[str, float]] = {}
    for _ in range(ROUNDS):
        for name, write in contestants.items():
            _keep(result, best, name, write)
    _keep(result, best, XLSX, lambda: ours("xlsx", ROWS))
    return best


CSV, SAFE, PLAIN = (
    "Everfix, CSV, formulas neutralised",
    "pandas, made safe as Superset does (frame in memory)",
    "pandas, formulas live (frame in memory)",
)
XLSX = "Everfix, XLSX, typed cells"


def _keep(result: figures.Result, best: dict[str, dict[str, float]], name: str, write: Callable[[], dict[str, float]]) -> None:
    try:
        measured = write()
    except peers.Missing as problem:
        if not any(name in said for said in result.missing):
            result.missing.append(f"{name}: {problem}")
        return
    if name not in best or measured["seconds"] < best[name]["seconds"]:
        best[name] = measured


def _plain(url: str, workspace: UUID, path: Path, count: int) -> None:
    """Write the rows as they are, for the peer to read into a frame before its clock starts."""
    names = ", ".join(COLUMNS)
    with psycopg.connect(url.replace("+psycopg", "")) as connection, path.open("wb") as out:
        connection.execute("SELECT set_config('everfix.workspace_id', %s, false)", [str(workspace)])
        with (
            connection.cursor() as cursor,
            cursor.copy(f"COPY (SELECT {names} FROM issues LIMIT {count}) TO STDOUT (FORMAT csv, HEADER)") as copy,
        ):
            out.writelines(copy)


def _judge(result: figures.Result, best: dict[str, dict[str, float]]) -> None:
    rate = {name: one["rows"] / one["seconds"] for name, one in best.items()}
    whole = ROWS >= FULL  # a smaller run shows its figures in the table, and claims nothing for the size of the goal
    size = f" of {ROWS:,} rows" if whole else f" of {FULL:,} rows (this run has {ROWS:,})"
    result.goals += [
        figures.Goal("rows a second of safe CSV", rate.get(CSV), 150_000, at_least=True),
        figures.Goal(
            "safe CSV against pandas made safe", rate[CSV] / rate[SAFE] if CSV in rate and SAFE in rate else None, 10.0, at_least=True
        ),
        figures.Goal(f"rows a second of XLSX{size}", rate.get(XLSX) if whole else None, 60_000, at_least=True),
        figures.Goal(f"MB of memory grown by XLSX{size}", best[XLSX]["memory"] if whole and XLSX in best else None, 64.0, at_least=False),
    ]
    result.notes.append(
        "Everfix's seconds include reading the database; pandas' begin with the frame in memory, and count no reading at all"
    )
    result.notes.append(
        f"ids are shown as the API shows them, e.g. {ids.show(ids.Prefix.ISSUE, UUID(int=1))}; one text in fifty begins like a formula"
    )


if __name__ == "__main__":
    print("\n".join(run().lines()))
