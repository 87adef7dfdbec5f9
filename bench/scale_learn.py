"""What one more failure costs the loop in workspaces of ten thousand, a hundred thousand and a million issues, step by step.

One workspace learns a few hundred causes from real failures, through the loop; two others get the same rows, what was learnt included. Then each
is filled with more issues of the same patterns, a tenth of them in one, and all three are sent the same new failures. `make bench-learn` runs it.
EVERFIX_BENCH_LEARN sets the sizes ("10000,100000,1000000").
"""

from __future__ import annotations

import os
import statistics
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import timedelta
from pathlib import Path
from uuid import UUID

import psycopg
from sqlalchemy import text
from sqlalchemy.orm import Session

from bench import failures, figures, scale_fill
from everfix import installation as installations
from everfix.core import clock
from everfix.failures import figures as kept
from everfix.failures import loop
from everfix.identity import provision
from everfix.ingest import events
from everfix.installation import Installation
from everfix.settings import Settings

SIZES = tuple(int(size) for size in os.environ.get("EVERFIX_BENCH_LEARN", "10000,100000").split(","))
CAUSES, BATCH, BATCHES, WARM = 400, 200, 8, 3
GOAL = 1.5  # how many times as much a failure may cost in the largest as in the smallest
RESULTS = Path(__file__).with_name("learn.md")


def run() -> figures.Result:
    """Fill the workspaces, then learn in each, in turns."""
    result = figures.Result(
        f"Learning: {CAUSES} causes in workspaces of {', '.join(f'{size:,}' for size in SIZES)} issues",
        ("ms for a failure", *map("{:,}".format, SIZES)),
    )
    with tempfile.TemporaryDirectory(prefix="everfix-bench-", ignore_cleanup_errors=True) as temporary:
        with (
            installations.opened(Settings(data_dir=Path(temporary), cron_secret=None)) as made,
            scale_fill.owner(made) as owner,
            figures.clock() as taken,
        ):
            spaces = _spaces(made, owner)
            first = _learnt(made, spaces[0])
            _alike(owner, spaces)
            _filled(made, owner, spaces)
            mixed, hot = _measured(made, spaces, first)
        for name in mixed[spaces[0]]:
            result.add(name, *(f"{statistics.median(mixed[space][name]):.2f}" for space in spaces))
        whole = [statistics.median(mixed[space]["all steps"]) for space in spaces]
        result.add("all steps, the hot pattern only", *(f"{statistics.median(hot[space]['all steps']):.2f}" for space in spaces))
        result.notes.append(f"batches of {BATCH} failures, medians of {BATCHES}, the workspaces in turns; {taken[0]:.0f} s in all")
        result.goals.append(
            figures.Goal("a failure in the largest workspace, times one in the smallest", whole[-1] / whole[0], GOAL, at_least=False)
        )
        top = [statistics.median(hot[space]["all steps"]) for space in spaces]
        result.goals.append(
            figures.Goal("the same for the pattern that holds a tenth of all issues", top[-1] / top[0], GOAL, at_least=False)
        )
    return result


def _spaces(made: Installation, owner: psycopg.Connection) -> list[UUID]:
    with made.owner() as database, database.transaction() as db:
        for number in range(1, len(SIZES)):
            provision.client(db, org_name=f"Org {number}", org_slug=f"org-{number}", owner_email="owner@localhost", owner_name=None)
    return [row[0] for row in owner.execute("SELECT id FROM workspaces ORDER BY created_at, id").fetchall()]


def _learnt(made: Installation, space: UUID) -> dict[str, object]:
    """Let one workspace learn some failures of each cause; returns the first, of which the others will have most."""
    now = clock.now()
    sample = [failures.ours(one) for one in failures.stream(CAUSES * 5, causes_count=CAUSES, until=now, days=200)]
    for start in range(0, len(sample), events.BATCH):
        with made.database.transaction(space) as db:
            found = events.accept(db, sample[start : start + events.BATCH]).issues
            loop.learn(db, found)
    return sample[0]


def _alike(owner: psycopg.Connection, spaces: Sequence[UUID]) -> None:
    """Give the other workspaces what the first has learnt."""
    for table in _TABLES:
        names = [row[0] for row in owner.execute(_COLUMNS, [table]).fetchall()]
        for space in spaces[1:]:
            owner.execute(
                f"INSERT INTO {table} (workspace_id, {', '.join(names)}) SELECT %s, {', '.join(names)} FROM {table} WHERE workspace_id = %s",
                [space, spaces[0]],
            )


def _filled(made: Installation, owner: psycopg.Connection, spaces: Sequence[UUID]) -> None:
    """Fill each workspace up to its size with more of the same, the largest pattern first among them."""
    kept_as_is = [row[0] for row in owner.execute(_COLUMNS, ["issues"]).fetchall() if row[0] not in _OWN]
    statement = _MORE.format(", ".join(kept_as_is), ", ".join(f"t.{name}" for name in kept_as_is))
    with scale_fill.without_indexes(made, owner):
        for space, size in zip(spaces, SIZES, strict=True):
            there = owner.execute("SELECT count(*) FROM issues WHERE workspace_id = %s", [space]).fetchone()
            given = {"space": space, "more": size - (there[0] if there else 0), "halves": scale_fill.HALVES}
            scale_fill.together(made, [[(statement, {**given, "half": half})] for half in range(scale_fill.HALVES)])
    owner.execute("VACUUM (ANALYZE)")
    for space in spaces:
        with made.database.transaction(space) as db:
            db.execute(text("SET LOCAL work_mem = '256MB'"))
            kept.rebuild(db, list(db.execute(text("SELECT id FROM patterns")).scalars()))
    owner.execute("VACUUM (ANALYZE)")


Times = dict[UUID, dict[str, list[float]]]


def _measured(made: Installation, spaces: Sequence[UUID], top: dict[str, object]) -> tuple[Times, Times]:
    """Return milliseconds for a failure by step, for failures of many causes and for those of the hot pattern alone."""
    now, out = clock.now(), []
    many = [failures.ours(one) for one in failures.stream(BATCH * (BATCHES + WARM), causes_count=CAUSES, until=now, days=0.5, seed=23)]
    hot = [
        {**top, "external_id": f"hot-{number}", "source_created_at": (now - timedelta(seconds=number)).isoformat()}
        for number in range(len(many))
    ]
    for records in (many, hot):
        times: Times = {space: defaultdict(list) for space in spaces}
        for number in range(BATCHES + WARM):
            for space in spaces:
                with made.database.transaction(space) as db:
                    found = events.accept(db, records[number * BATCH : (number + 1) * BATCH]).issues
                with made.database.transaction(space) as db:
                    taken = _steps(db, found)
                if number >= WARM:
                    for name, seconds in taken.items():
                        times[space][name].append(seconds * 1000 / BATCH)
        out.append(times)
    return out[0], out[1]


def _steps(db: Session, found: Sequence[UUID]) -> dict[str, float]:
    taken: dict[str, float] = {}

    def timed(step: Callable[[Session, loop.Batch], None]) -> Callable[[Session, loop.Batch], None]:
        def run(db: Session, batch: loop.Batch) -> None:
            began = time.perf_counter()
            step(db, batch)
            db.flush()
            taken[step.__name__] = time.perf_counter() - began

        return run

    began = time.perf_counter()
    loop.learn(db, found, steps=[timed(step) for step in loop.STEPS])
    return {**taken, "all steps": time.perf_counter() - began}


_TABLES = (
    "patterns",
    "pattern_keys",
    "learned_models",
    "learned_steps",
    "issues",
    "predictions",
    "recommendations",
    "recommendation_patterns",
)
_COLUMNS = """
SELECT column_name FROM information_schema.columns WHERE table_schema = 'public' AND table_name = %s AND column_name <> 'workspace_id'
AND is_generated = 'NEVER' ORDER BY ordinal_position
"""
# One in ten is of the pattern that has most; times lie evenly over three hundred days. Words are those of the first, cut short: what a failure that
# comes costs does not depend on how long those before it are, and a million long ones would take an hour to be split into words.
_OWN = ("id", "external_id", "occurred_at", "search", "created_at", "body", "stacktrace")
_MORE = """
INSERT INTO issues (workspace_id, id, external_id, occurred_at, created_at, body, stacktrace, {0})
SELECT %(space)s, gen_random_uuid(), 'more-' || n, now() - make_interval(secs => n * 25920000.0 / %(more)s),
    now() - make_interval(secs => n * 25920000.0 / %(more)s), left(t.body, 400), left(t.stacktrace, 120), {1}
FROM generate_series(1 + %(half)s, %(more)s, %(halves)s) n JOIN (
    SELECT *, row_number() OVER (ORDER BY id) - 1 AS place, count(*) OVER () AS many FROM issues
    WHERE workspace_id = %(space)s AND external_id NOT LIKE 'more-%%'
) t ON t.place = CASE WHEN n %% 10 = 0 THEN 0 ELSE n %% t.many END
"""

if __name__ == "__main__":
    measured = run()
    RESULTS.write_text("\n".join(measured.markdown()), encoding="utf-8")
    print("\n".join(measured.lines()))
