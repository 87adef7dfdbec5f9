"""The worker: registers tasks, runs PgQueuer, ticks the clock; the only background wiring.

A worker takes jobs from the database until it is told to stop (SIGTERM, SIGINT, or its standard input closing when it is the
child of `everfix serve`); then it finishes the jobs in hand. A job of a worker that died is taken over after its heartbeat is late.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import signal
import sys
from collections.abc import Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta
from typing import Any, Self
from uuid import UUID

import psycopg
import structlog
from pgqueuer import PgQueuer
from pgqueuer.adapters.drivers.psycopg import PsycopgDriver
from pgqueuer.domain.errors import RetryRequested
from pgqueuer.models import Job as Ticket
from pgqueuer.ports.driver import NotifyCallback
from sqlalchemy import make_url, text
from sqlalchemy.exc import OperationalError
from sqlalchemy.orm import Session

from everfix import kept
from everfix.core import jobs
from everfix.core.db import lock
from everfix.delivery import circuits, digests, feed, notices, outbox, send
from everfix.exports import work as export_work
from everfix.failures import (
    alarms,
    alerts,
    analyses,
    arrivals,
    clusters,
    loop,
    memory,
    own_forecasts,
    pushes,
    rating,
    recommendations,
    regrouping,
)
from everfix.identity import ai
from everfix.installation import Installation
from everfix.ml import importing, imports, keeping, monitors, tables, watching
from everfix.reports import backfill, execution, overdue, stories, ticks

log = structlog.get_logger()

TASKS: Mapping[str, jobs.Task] = {
    "ai.purge": jobs.Task(ai.task_purge),
    "ai.test": jobs.Task(ai.task_test, attempts=1),
    alerts.TASK: jobs.Task(alarms.notify),
    digests.TASK: jobs.Task(digests.gather),
    outbox.TASK: jobs.Task(send.execute, failed=send.gave_up),
    pushes.TASK: jobs.Task(pushes.follow),
    feed.TASK: jobs.Task(feed.gather),
    notices.TASK: jobs.Task(notices.tell),
    "failures.clusters": jobs.Task(clusters.task, concurrency=1),
    "failures.compact": jobs.Task(memory.task_compact, concurrency=1),
    "exports.run": jobs.Task(export_work.execute),
    analyses.TASK: jobs.Task(analyses.task, concurrency=1, failed=analyses.failed),  # a slow model must not hold every thread
    "failures.follow": jobs.Task(loop.task_follow),
    "failures.learn": jobs.Task(loop.task_learn, failed=loop.failed),
    "failures.rank": jobs.Task(recommendations.task_rank),
    "failures.rate": jobs.Task(rating.task),
    regrouping.TASK: jobs.Task(regrouping.task),
    "failures.refresh": jobs.Task(loop.task_refresh),
    "failures.accept": jobs.Task(arrivals.accept),
    "ml.forget_files": jobs.Task(tables.forget_files),
    keeping.SWEEP: jobs.Task(keeping.sweep),
    keeping.COMPACT: jobs.Task(keeping.compact, concurrency=1),
    "reports.backfill": jobs.Task(backfill.execute),
    imports.KIND: jobs.Task(importing.run, concurrency=2),
    importing.TABLE: jobs.Task(importing.take_table, concurrency=2),
    own_forecasts.KIND: jobs.Task(own_forecasts.take, concurrency=1),
    monitors.WATCH: jobs.Task(watching.watch, concurrency=2),
    kept.TASK: jobs.Task(kept.sweep),
    overdue.TASK: jobs.Task(overdue.task),
    stories.TASK: jobs.Task(stories.task, concurrency=1),  # a slow model must not hold every thread
    "reports.settle": jobs.Task(execution.settle),
    "reports.run": jobs.Task(execution.execute, failed=execution.failed),
}
REFRESH_EVERY = 3600.0  # seconds between two looks at what ages
TICK_EVERY = 5.0  # seconds between two looks at the clock
ALERTS_EVERY = 60.0  # seconds between two looks at the rules that watch a figure
DIGESTS = ((digests.TASK, digests.is_due), (feed.TASK, feed.is_due))
# What the clock queues for each workspace: how often, in seconds, and a query that finds a row where there is anything to do.
PERIODIC: Mapping[str, tuple[float, str]] = {
    pushes.TASK: (3600.0, "SELECT 1 FROM tickets WHERE state IN ('open', 'started') LIMIT 1"),
    "ai.purge": (86_400.0, "SELECT 1 FROM prompt_logs LIMIT 1"),
    keeping.SWEEP: (86_400.0, "SELECT 1 FROM ml_projects LIMIT 1"),
    keeping.COMPACT: (3_600.0, keeping.ANYTHING),
    monitors.WATCH: (300.0, "SELECT 1 FROM ml_monitors WHERE enabled LIMIT 1"),
    "failures.refresh": (REFRESH_EVERY, "SELECT 1 FROM patterns LIMIT 1"),
    overdue.TASK: (300.0, overdue.ANYTHING),
    kept.TASK: (3_600.0, "SELECT 1 FROM report_runs UNION ALL SELECT 1 FROM exports LIMIT 1"),
}


class _Driver(PsycopgDriver):
    """PgQueuer's driver holds its connection for up to a second while it waits for a notification, and every query waits behind it:
    a queue of short jobs then moves one a second. So notifications come in over a connection of their own.
    """

    def __init__(self, connection: psycopg.AsyncConnection[Any], listening: psycopg.AsyncConnection[Any]) -> None:
        super().__init__(connection)
        self._ear = PsycopgDriver(listening)

    async def add_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._ear.add_listener(channel, callback)

    async def remove_listener(self, channel: str, callback: NotifyCallback) -> None:
        await self._ear.remove_listener(channel, callback)

    async def __aenter__(self) -> Self:
        await self._ear.__aenter__()
        return await super().__aenter__()

    async def __aexit__(self, *failure: object) -> None:
        await super().__aexit__(*failure)
        await self._ear.__aexit__(*failure)


async def work(installation: Installation, stop: asyncio.Event) -> None:
    """Take jobs until `stop` is set, then finish those in hand."""
    settings = installation.settings
    plain = make_url(installation.database.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await psycopg.AsyncConnection.connect(plain, autocommit=True, application_name="everfix-worker")
    listening = await psycopg.AsyncConnection.connect(plain, autocommit=True, application_name="everfix-worker-listens")
    async with connection, listening:
        queue = PgQueuer(_Driver(connection, listening))
        with ThreadPoolExecutor(settings.worker_concurrency, thread_name_prefix="job") as threads:
            for name, task in TASKS.items():
                _register(queue, name, task, installation, threads)
            background = asyncio.create_task(_clock(installation, stop))
            stopping = asyncio.create_task(_stop(queue, stop))
            try:
                await queue.qm.run(
                    dequeue_timeout=timedelta(seconds=5),
                    batch_size=max(1, settings.worker_concurrency // 2),
                    max_concurrent_tasks=max(2, settings.worker_concurrency),
                    heartbeat_timeout=timedelta(seconds=settings.job_heartbeat_seconds),
                )
            finally:
                for waiting in (background, stopping):
                    waiting.cancel()
                    with contextlib.suppress(asyncio.CancelledError):
                        await waiting


def _register(queue: PgQueuer, name: str, task: jobs.Task, installation: Installation, threads: ThreadPoolExecutor) -> None:
    async def run(ticket: Ticket) -> None:
        named = json.loads(ticket.payload or b"{}")
        workspace, job_id = UUID(named["workspace"]), UUID(named["job"])
        retry = await asyncio.get_running_loop().run_in_executor(threads, _one, task, installation, workspace, job_id)
        if retry is not None:
            raise RetryRequested(retry.wait, retry.reason)

    queue.qm.entrypoint(name, concurrency_limit=task.concurrency)(run)


def _one(task: jobs.Task, installation: Installation, workspace: UUID, job_id: UUID) -> jobs.Retry | None:
    with installation.database.transaction(workspace) as db:
        found = jobs.find(db, job_id)
    if found is None:
        return None  # its workspace's data were removed while the ticket waited
    running = jobs.Running(installation.database, workspace, job_id, found.payload, installation)
    return jobs.work(task, running, attempts=installation.settings.job_attempts)


async def _stop(queue: PgQueuer, stop: asyncio.Event) -> None:
    await stop.wait()
    queue.shutdown.set()


async def _clock(installation: Installation, stop: asyncio.Event) -> None:
    """Every few seconds settle what lost workers had sent, and serve the schedules and breakers that are due; now and then those of PERIODIC."""
    looks = 0
    while not stop.is_set():
        try:
            await asyncio.to_thread(send.settle, installation)
            await asyncio.to_thread(ticks.tick, installation)
            await asyncio.to_thread(circuits.tick, installation)
            if looks % max(1, int(ALERTS_EVERY / TICK_EVERY)) == 0:
                await asyncio.to_thread(alarms.tick, installation, least=timedelta(seconds=ALERTS_EVERY * 0.75))
            if looks % int(REFRESH_EVERY / 12 / TICK_EVERY) == 0:
                await asyncio.to_thread(tick, installation)
        except OperationalError as problem:
            log.warning("the clock could not reach the database", error=str(problem.orig))
        looks += 1
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(stop.wait(), TICK_EVERY)


def tick(installation: Installation) -> int:
    """Queue what is due, once per workspace and period however many workers tick; returns how many jobs that were."""
    with installation.database.transaction() as db:
        found = [row.workspace_id for row in db.execute(text("SELECT workspace_id FROM everfix_workspaces()"))]
    periodic = sum(_queued(installation, workspace, kind) for workspace in found for kind in PERIODIC)
    return periodic + sum(_digests_if_due(installation, workspace, *kind) for workspace in found for kind in DIGESTS)


def _queued(installation: Installation, workspace: UUID, kind: str) -> bool:
    every, anything = PERIODIC[kind]
    with installation.database.transaction(workspace) as db:
        db.execute(text("SELECT pg_advisory_xact_lock(hashtextextended(:name, 0))"), {"name": f"{workspace}:tick"})
        recent = db.execute(
            text("SELECT 1 FROM jobs WHERE kind = :kind AND created_at > now() - make_interval(secs => :every) LIMIT 1"),
            {"kind": kind, "every": every},
        ).one_or_none()
        if recent or db.execute(text(anything)).one_or_none() is None:
            return False
        jobs.enqueue(db, kind, {}, by="clock")
        return True


def _digests_if_due(installation: Installation, workspace: UUID, task: str, is_due: Callable[[Session], bool]) -> bool:
    with installation.database.transaction(workspace) as db:
        lock(db, task)
        if not is_due(db) or jobs.waiting(db, task):
            return False
        jobs.enqueue(db, task, {}, by="clock")
        return True


def run(installation: Installation, *, until_stdin_closes: bool = False) -> None:
    """Work in this process until it is told to stop."""
    asyncio.run(_main(installation, until_stdin_closes=until_stdin_closes))


async def _main(installation: Installation, *, until_stdin_closes: bool) -> None:
    stop = asyncio.Event()
    event_loop = asyncio.get_running_loop()
    for sign in (signal.SIGTERM, signal.SIGINT):
        event_loop.add_signal_handler(sign, stop.set)
    if until_stdin_closes:
        event_loop.add_reader(sys.stdin.fileno(), _parent_gone, stop, event_loop)
    log.info("worker takes jobs", concurrency=installation.settings.worker_concurrency)
    await work(installation, stop)
    log.info("worker has finished what it had in hand")


def _parent_gone(stop: asyncio.Event, event_loop: asyncio.AbstractEventLoop) -> None:
    if not os.read(sys.stdin.fileno(), 64):
        event_loop.remove_reader(sys.stdin.fileno())
        stop.set()
