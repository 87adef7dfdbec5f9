"""Keeping: orphaned files go, small pieces of a log become one table, and nothing that is told of the log changes."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import polars as pl
import pytest
from sqlalchemy import select, text

from everfix import worker
from everfix.core import ids, jobs
from everfix.ml import deployments, frames, keeping, tables
from everfix.ml.deployments import PredictionPart
from everfix.ml.tables import Table
from tests import make, ml_work
from tests.test_ml_api import deployment, files, project, send

START = "2026-01-0{day}T{hour:02d}:00:00Z"


def told(alice: make.Workspace, path: str) -> list[dict[str, Any]]:
    """What the API tells of the pieces, but for the table they lie in."""
    rows = alice.api.ok("GET", f"{path}/predictions", limit=100)["data"]
    return [{name: value for name, value in row.items() if name != "table_id"} for row in rows]


def read(alice: make.Workspace, one: UUID, **window: Any) -> pl.DataFrame:
    with alice.db() as db:
        keys = list(dict.fromkeys(table.key for _, table in deployments.parts(db, one, **window)))
    with frames.scanned(alice.installation.storage, keys, **window) as rows:
        return rows.collect().sort("timestamp")


def run(alice: make.Workspace, kind: str) -> dict[str, Any]:
    with alice.db() as db:
        job = jobs.enqueue(db, kind, {})
    alice.work()
    with alice.db() as db:
        found = jobs.get(db, job)
        assert found.status == "succeeded", found.error
        return dict(found.result or {})


def sent(number: int) -> str:
    """One small piece: labels come in every third, and none has the column `seen` but the last."""
    label = "1" if number % 3 == 0 else ""
    extra = (",seen", ",x") if number == 19 else ("", "")
    body = f"timestamp,age,prediction,label,error{extra[0]}\n"
    body += "".join(f"{START.format(day=1 + number // 10, hour=2 * (number % 10) + n)},{30 + n},1,{label},{extra[1]}\n" for n in range(2))
    return body


def test_small_pieces_become_one_table_and_stay_what_they_were(alice: make.Workspace) -> None:
    shown = deployment(alice.api, project(alice.api))
    one, path = ids.parse(ids.Prefix.DEPLOYMENT, shown), f"/v1/ml/deployments/{shown}"
    bodies = [sent(number) for number in range(20)]
    for body in bodies:
        assert send(alice.api, f"{path}/predictions/upload", body).status_code == 201
    alice.work()
    before, rows = told(alice, path), read(alice, one)
    since = datetime.fromisoformat("2026-01-02T00:00:00+00:00")
    late = read(alice, one, since=since)
    assert run(alice, keeping.COMPACT) == {"joined": 20, "into": 1}
    with alice.db() as db:
        assert len(set(db.execute(select(PredictionPart.table_id)).scalars())) == 1
        table = db.execute(select(Table).where(Table.role == "predictions")).scalar_one()
        assert (table.rows, {column["name"]: column["missing"] for column in table.schema}["label"]) == (40, 26)
        actions = db.execute(text("SELECT action FROM audit_log ORDER BY number DESC LIMIT 1")).scalar_one()
    assert actions == "ml.log.compacted"
    assert told(alice, path) == before
    after = read(alice, one)
    assert after["label"].dtype == pl.Int64  # pieces without a label had said text
    assert after.select(rows.columns).cast(rows.schema).equals(rows)
    assert read(alice, one, since=since).select(late.columns).cast(late.schema).equals(late)
    assert send(alice.api, f"{path}/predictions/upload", bodies[3]).status_code == 409  # the same file is still known
    assert run(alice, keeping.COMPACT) == {"joined": 0, "into": 0}


def test_the_files_of_joined_pieces_go_later(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """A report that has begun to read them ends in peace."""
    monkeypatch.setattr(keeping, "MANY", 2)
    shown = deployment(alice.api, project(alice.api))
    before = files(alice)
    for number in range(3):
        send(alice.api, f"/v1/ml/deployments/{shown}/predictions/upload", sent(number))
    alice.work()
    delays: list[timedelta | None] = []
    real = jobs.enqueue

    def enqueue(*given: Any, **more: Any) -> UUID:
        delays.append(more.get("delay"))
        return real(*given, **more)

    with alice.db() as db:
        job = jobs.enqueue(db, keeping.COMPACT, {})
    monkeypatch.setattr(jobs, "enqueue", enqueue)
    alice.work()  # does what is delayed too
    with alice.db() as db:
        assert jobs.get(db, job).result == {"joined": 3, "into": 1}
    assert delays == [keeping.DELAY]
    assert len(files(alice) - before) == 1


def test_columns_of_another_type_are_not_joined(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Whole and broken numbers are read together, but not written into one column: a whole number could lose its last digits."""
    monkeypatch.setattr(keeping, "MANY", 2)
    shown = deployment(alice.api, project(alice.api))
    path = f"/v1/ml/deployments/{shown}/predictions/upload"
    for hour, age in enumerate(("30", "31", "30.5", "31.5")):
        assert send(alice.api, path, f"timestamp,age\n2026-01-01T0{hour}:00:00Z,{age}\n").status_code == 201
    with alice.db() as db:
        groups = keeping.groups_of(db, ids.parse(ids.Prefix.DEPLOYMENT, shown))
    assert [[column["type"] for table in group for column in table.schema if column["name"] == "age"] for group in groups] == [
        ["integer", "integer"],
        ["number", "number"],
    ]
    monkeypatch.setattr(keeping, "SMALL", 1)
    with alice.db() as db:
        assert keeping.groups_of(db, ids.parse(ids.Prefix.DEPLOYMENT, shown)) == []


def test_a_log_that_changes_meanwhile_is_left_as_it_is(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    """Its deployment is removed while the pieces are joined: no row and no file stays behind."""
    monkeypatch.setattr(keeping, "MANY", 2)
    shown = deployment(alice.api, project(alice.api))
    before = files(alice)
    for number in range(2):
        send(alice.api, f"/v1/ml/deployments/{shown}/predictions/upload", sent(number))
    alice.work()
    real = keeping._settle

    def removed(*given: Any) -> None:
        assert alice.api.call("DELETE", f"/v1/ml/deployments/{shown}").status_code == 204
        real(*given)

    monkeypatch.setattr(keeping, "_settle", removed)
    assert run(alice, keeping.COMPACT) == {"joined": 0, "into": 1}
    alice.work()
    assert files(alice) == before


def test_orphaned_files_are_swept_after_a_day(alice: make.Workspace, monkeypatch: pytest.MonkeyPatch) -> None:
    home = ml_work.project(alice)
    held = ml_work.table(alice, home, pl.DataFrame({"a": [1]}), "dataset")
    storage = alice.installation.storage
    orphan = storage.put(alice.id, f"ml/{ids.show(ids.Prefix.ML_TABLE, ids.new())}.parquet", b"x").key
    foreign = storage.put(alice.id, "ml/readme.txt", b"x").key
    assert run(alice, keeping.SWEEP)["removed"] == 0  # it may be an upload that is not through
    assert orphan in files(alice)
    monkeypatch.setattr(keeping, "YOUNG", -timedelta(minutes=1))
    assert run(alice, keeping.SWEEP)["removed"] >= 1
    assert not {orphan} & set(storage.keys(alice.id, "ml"))
    assert {held.key, foreign} <= set(storage.keys(alice.id, "ml"))
    with alice.db() as db:
        assert tables.get(db, held.id).key == held.key


def test_the_clock_asks_with_the_bounds_of_the_job(alice: make.Workspace) -> None:
    assert f"t.rows < {keeping.SMALL})" in keeping.ANYTHING
    assert f">= {keeping.MANY} " in keeping.ANYTHING
    shown = deployment(alice.api, project(alice.api))
    for number in range(keeping.MANY):
        with alice.db() as db:
            assert db.execute(text(keeping.ANYTHING)).one_or_none() is None
        send(alice.api, f"/v1/ml/deployments/{shown}/predictions/upload", sent(number))
    assert worker._queued(alice.installation, alice.id, keeping.COMPACT)
