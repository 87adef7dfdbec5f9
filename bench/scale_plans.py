"""The plans of the queries behind the calls of `bench.scale`: as the restricted role, under row-level security, each the slowest of its call."""

from __future__ import annotations

import time
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import event, text
from starlette.testclient import TestClient

from bench import scale_fill
from bench.scale_calls import Call
from everfix import installation as installations
from everfix.app import create_app
from everfix.core import db as database
from everfix.core.db import Database
from everfix.settings import Settings

HOT = 2  # queries of a call that are shown
Seen = list[tuple[str, Any, float]]


def lines(folder: Path, calls: Iterable[Call], issues: int) -> list[str]:
    """Make each call once more, in this process, and return its hot queries' plans as Markdown."""
    filled = scale_fill.known(folder)
    if filled is None:
        raise RuntimeError(f"{folder} was not filled")
    token = (folder / "owner.token").read_text(encoding="utf-8").strip()
    out = [
        f"# Plans of the hot queries\n\nBy `bench/scale.py` with {issues:,} issues, as the restricted role; the workspace asked has half of them.\n"
    ]
    with (
        installations.opened(Settings(data_dir=folder, cron_secret=None)) as made,
        TestClient(create_app(made), headers={"Authorization": f"Bearer {token}"}) as client,
    ):
        for call in calls:
            with _queries(made.database) as seen:
                body = call.bodies[0] if call.bodies else None
                client.request(call.method, call.address, json=body).raise_for_status()
            total = sum(seconds for _, _, seconds in seen) * 1000
            out.append(f"## {call.name}\n\n`{call.method} {call.address[:150]}`: {len(seen)} statements, {total:.1f} ms\n")
            hot = sorted((one for one in seen if one[0].lstrip().startswith(("SELECT", "WITH"))), key=lambda one: -one[2])[:HOT]
            out += [_plan(made.database, UUID(filled.workspace), *one) for one in hot]
    return out


@contextmanager
def _queries(source: Database) -> Iterator[Seen]:
    """Yield the list of the statements that run in the block, each with its parameters and seconds."""
    seen: Seen = []
    began: list[float] = []

    def before(*_: object) -> None:
        began.append(time.perf_counter())

    def after(_connection: object, _cursor: object, statement: str, parameters: object, *_: object) -> None:
        seen.append((statement, parameters, time.perf_counter() - began[-1]))

    event.listen(source.engine, "before_cursor_execute", before)
    event.listen(source.engine, "after_cursor_execute", after)
    try:
        yield seen
    finally:
        event.remove(source.engine, "before_cursor_execute", before)
        event.remove(source.engine, "after_cursor_execute", after)


def _plan(source: Database, workspace: UUID, statement: str, parameters: Any, seconds: float) -> str:  # noqa: ANN401 - as the driver takes them
    with source.engine.connect() as connection:
        connection.execute(text("SELECT set_config(:name, :value, true)"), {"name": database.SETTING, "value": str(workspace)})
        found = connection.exec_driver_sql(f"EXPLAIN (ANALYZE, BUFFERS, SUMMARY) {statement}", parameters).scalars().all()
    where = " ".join(statement[statement.find("FROM ") :].split())[:300]
    plan = "\n".join(line[:220] for line in found)
    return f"`… {where}`: {seconds * 1000:.1f} ms\n\n```text\n{plan}\n```\n"
