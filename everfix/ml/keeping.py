"""Keeping: files that no row names are swept, and the many small pieces of a prediction log are joined into few.

A log sent every minute has half a million pieces a year, each a file to fetch and open. Pieces stay as they are told (rows, times, the
digest that tells the same file when it comes again); only the table they lie in becomes a common one. The tables before it go at
once, their files after DELAY, so that a report which has begun to read them ends in peace.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import func, select, update
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core.db import Json
from everfix.errors import Conflict
from everfix.identity.principals import system
from everfix.ml import deployments, frames, tables, uploads
from everfix.ml.deployments import PredictionPart
from everfix.ml.tables import Table

log = structlog.get_logger()
SWEEP, COMPACT = "ml.sweep", "ml.compact"
YOUNG = timedelta(days=1)  # a file so young may belong to an upload that is not through
SMALL = 100_000  # rows of a table that is worth joining
WHOLE = 1_000_000  # rows that are joined at most
MANY = 16  # small tables from which they are joined
AT_ONCE = 500  # tables joined into one at most
DELAY = timedelta(hours=2)
# What the clock asks before it queues a joining: whether any deployment has so many small tables.
ANYTHING = f"""
SELECT 1 FROM (SELECT DISTINCT p.deployment_id, p.table_id FROM ml_prediction_parts p
    JOIN ml_tables t ON t.id = p.table_id WHERE t.rows < {SMALL}) small
GROUP BY deployment_id HAVING count(*) >= {MANY} LIMIT 1
"""  # noqa: S608 - built from the constants above


def sweep(job: jobs.Running) -> Json:
    """Job `ml.sweep`: remove stored tables that no row names, as a crash between storing and writing leaves them."""
    before = clock.now() - YOUNG
    stored = [key for key in job.services.storage.keys(job.workspace, "ml") if (_stored_at(key) or before) < before]
    with job.database.transaction(job.workspace) as db:
        named = set(db.execute(select(Table.key)).scalars())
    orphans = [key for key in stored if key not in named]
    removed = job.services.storage.delete(orphans)
    if removed:
        with job.database.transaction(job.workspace) as db:
            audit.record(db, system(job.workspace), audit.Action.FILES_SWEPT, "files", None, {"kind": "ml_tables", "files": removed})
    return {"looked": len(stored), "removed": removed}


def _stored_at(key: str) -> datetime | None:
    """Return when a file was stored, as the UUIDv7 in its name says; None for a name that is no id, which is left alone."""
    try:
        named = ids.parse(ids.Prefix.ML_TABLE, Path(key).stem)
    except ValueError:
        return None
    return datetime.fromtimestamp((named.int >> 80) / 1_000, UTC)


def compact(job: jobs.Running) -> Json:
    """Job `ml.compact`: join the small tables of each log, neighbours in time, of the same columns and types."""
    uploads.available()
    with job.database.transaction(job.workspace) as db:
        groups = [group for deployment_id in _busy(db) for group in groups_of(db, deployment_id)]
    joined = 0
    for place, group in enumerate(groups):
        job.report(place / len(groups), f"joining {len(group)} pieces of a log")
        joined += _join(job, group)
    return {"joined": joined, "into": len(groups)}


def _busy(db: Session) -> Sequence[UUID]:
    part = PredictionPart
    query = select(part.deployment_id).join(Table, Table.id == part.table_id).where(Table.rows < SMALL).group_by(part.deployment_id)
    return db.execute(query.having(func.count(part.table_id.distinct()) >= MANY).order_by(part.deployment_id)).scalars().all()


def groups_of(db: Session, deployment_id: UUID) -> list[list[Table]]:
    """Return the tables of a log that are to be joined, each group in the order of time."""
    found: list[list[Table]] = []
    group: list[Table] = []
    types: dict[str, str] = {}
    for table in dict.fromkeys(table for _, table in deployments.parts(db, deployment_id)):
        own = deployments.types(table)
        room = len(group) < AT_ONCE and sum(one.rows for one in group) + table.rows <= WHOLE
        if table.rows >= SMALL or not room or any(types.get(name, kind) != kind for name, kind in own.items()):
            found.append(group)
            group, types = [], {}
        if table.rows < SMALL:
            group.append(table)
            types |= own
    return [one for one in (*found, group) if len(one) >= MANY]


def _join(job: jobs.Running, group: Sequence[Table]) -> int:
    """Write one table in place of several; returns how many were joined, none where the log changed meanwhile."""
    settings, storage = job.services.settings, job.services.storage
    try:
        with (
            _written(storage, group) as path,
            uploads.stored(
                storage, job.workspace, path, "dataset", settings, mapping={}, strict=True
            ) as kept,  # no column changes its name
            job.database.transaction(job.workspace) as db,
        ):
            _settle(job, db, group, kept)
    except Conflict as reason:
        log.info("pieces of a log were not joined", reason=str(reason))
        return 0
    return len(group)


@contextmanager
def _written(storage: Any, group: Sequence[Table]) -> Iterator[Path]:  # noqa: ANN401 - a Storage
    """Yield a file with the rows of all tables, a stretch at a time."""
    import pyarrow as pa  # noqa: PLC0415 - the extra's library, only where it is needed
    from pyarrow import parquet  # noqa: PLC0415

    with frames.copied(storage, [table.key for table in group]) as paths:
        opened = [parquet.ParquetFile(path) for path in paths]
        valued = [deployments.types(table) for table in group]
        fields: dict[str, Any] = {}
        for file, types in zip(opened, valued, strict=True):
            schema = file.schema_arrow
            fields |= {name: schema.field(name) for name in schema.names if name in types or name not in fields}
        whole = pa.schema([field.with_nullable(True) for field in fields.values()])
        out = paths[0].with_name("joined.parquet")
        with parquet.ParquetWriter(out, whole, compression="zstd") as writer:
            for file, types in zip(opened, valued, strict=True):
                for batch in file.iter_batches():
                    columns = [
                        batch.column(field.name).cast(field.type) if field.name in types else pa.nulls(batch.num_rows, field.type)
                        for field in whole
                    ]
                    writer.write_table(pa.Table.from_arrays(columns, schema=whole))
        yield out


def _settle(job: jobs.Running, db: Session, group: Sequence[Table], kept: uploads.Kept) -> None:
    gone = [table.id for table in group]
    held = db.execute(select(PredictionPart).where(PredictionPart.table_id.in_(gone)).with_for_update()).scalars().all()
    if {part.table_id for part in held} != set(gone) or kept.rows != sum(part.rows for part in held):
        raise Conflict("the log changed while its pieces were joined")
    made = uploads.keep(db, kept, group[0].project_id, "predictions", f"{len(held)} pieces")
    db.execute(update(PredictionPart).where(PredictionPart.id.in_([part.id for part in held])).values(table_id=made.id))
    tables.forget(db, gone, by="clock", delay=DELAY)
    told: Json = {"tables": len(gone), "rows": kept.rows}
    audit.record(db, system(job.workspace), audit.Action.ML_LOG_COMPACTED, "deployment", held[0].deployment_id, told)
