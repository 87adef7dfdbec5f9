"""Live: one listener per process on PostgreSQL's NOTIFY wakes everybody who follows a workspace, when a transaction commits."""

from __future__ import annotations

import asyncio
import contextlib
from collections import defaultdict
from collections.abc import Iterator
from uuid import UUID

import psycopg
import structlog
from sqlalchemy import make_url

log = structlog.get_logger()
CHANNEL = "everfix_live"
AGAIN_SECONDS = 2.0  # until the next try to listen, after the database went away; followers look by themselves meanwhile


class Hub:
    """Wakes followers. It listens from the first one on, in the event loop that serves them."""

    def __init__(self, url: str) -> None:
        self._url = make_url(url).set(drivername="postgresql").render_as_string(hide_password=False)
        self._followers: dict[UUID, set[asyncio.Event]] = defaultdict(set)
        self._task: asyncio.Task[None] | None = None

    @contextlib.contextmanager
    def following(self, workspace: UUID) -> Iterator[asyncio.Event]:
        """Yield an event that is set whenever something happened in `workspace`; whoever waits clears it."""
        if self._task is None or self._task.done():
            self._task = asyncio.get_running_loop().create_task(self._listen())
        event = asyncio.Event()
        self._followers[workspace].add(event)
        try:
            yield event
        finally:
            self._followers[workspace].discard(event)
            if not self._followers[workspace]:
                del self._followers[workspace]
            if not self._followers and self._task is not None:
                self._task.cancel()
                self._task = None

    async def _listen(self) -> None:
        while True:
            try:
                async with await psycopg.AsyncConnection.connect(self._url, autocommit=True, application_name="everfix-live") as connection:
                    await connection.execute(f"LISTEN {CHANNEL}")
                    self._wake_all()  # what was missed while nobody listened
                    async for notice in connection.notifies():
                        for event in self._followers.get(UUID(notice.payload), ()):
                            event.set()
            except psycopg.OperationalError as problem:
                log.warning("live updates lost the database", error=str(problem))
            await asyncio.sleep(AGAIN_SECONDS)

    def _wake_all(self) -> None:
        for events in self._followers.values():
            for event in events:
                event.set()


async def wait(event: asyncio.Event, seconds: float) -> bool:
    """Wait until the event is set (and clear it), or time is up; tells which."""
    with contextlib.suppress(TimeoutError):
        await asyncio.wait_for(event.wait(), seconds)
    was = event.is_set()
    event.clear()
    return was
