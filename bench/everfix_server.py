"""Everfix as it is served: `everfix serve` in a throw-away data directory, and a look into its database to count what was stored."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import psycopg

from bench import failures, load

READY_SECONDS = 120.0


class Everfix:
    """A running server; `sent` counts the failures that were sent to it."""

    def __init__(self, folder: Path, port: int) -> None:
        self.port, self.sent = port, 0
        self.token = (folder / "owner.token").read_text(encoding="utf-8").strip()
        self.database = psycopg.connect((folder / "database.url").read_text(encoding="utf-8").strip(), autocommit=True)

    def batches(self, sample: Sequence[failures.Failure], size: int) -> list[load.Request]:
        """Return the requests of the batch endpoint."""
        records = [failures.ours(failure) for failure in sample]
        return [self._request("/v1/ingest/batch", {"records": records[start : start + size]}) for start in range(0, len(records), size)]

    def singles(self, sample: Sequence[failures.Failure]) -> list[load.Request]:
        """Return the requests of the endpoint for one event."""
        return [self._request("/v1/ingest/events", failures.ours(failure)) for failure in sample]

    def _request(self, path: str, body: object) -> load.Request:
        headers = {"Authorization": f"Bearer {self.token}", "Content-Type": "application/json"}
        return load.Request(path, json.dumps(body).encode(), headers)

    def done(self) -> int:
        """Return how many stored issues have been through the whole loop."""
        row = self.database.execute("SELECT count(*) FROM issues WHERE fingerprint IS NOT NULL AND pattern_id IS NOT NULL").fetchone()
        return int(row[0]) if row else 0

    def idle(self) -> bool:
        """Tell whether no job waits or runs."""
        row = self.database.execute("SELECT count(*) FROM jobs WHERE status IN ('queued', 'running')").fetchone()
        return bool(row and row[0] == 0)

    def counts(self) -> dict[str, int]:
        """Return how many rows each step of the loop has left."""
        found = {}
        for table in ("issues", "signals", "patterns", "predictions", "recommendations"):
            row = self.database.execute(f"SELECT count(*) FROM {table}").fetchone()
            found[table] = int(row[0]) if row else 0
        return found

    def wait(self, expected: int, seconds: float) -> None:
        """Wait until that many issues are through the loop; raises RuntimeError when a job failed or the time is over."""
        until = time.monotonic() + seconds
        while not (self.idle() and self.done() >= expected):
            dead = self.database.execute("SELECT error FROM jobs WHERE status = 'failed' LIMIT 1").fetchone()
            if dead is not None or time.monotonic() > until:
                raise RuntimeError(f"{self.done()} of {expected} issues went through the loop; {dead[0] if dead else 'the time is over'}")
            time.sleep(0.05)


@contextmanager
def running(folder: Path) -> Iterator[Everfix]:
    """Serve from `folder` for as long as the block runs."""
    log = (folder / "everfix.log").open("w")
    environment = {**os.environ, "EVERFIX_LOG_LEVEL": "warning"}
    command = [sys.executable, "-m", "everfix", "serve", "--data-dir", str(folder / "everfix"), "--port", "0"]
    with log, subprocess.Popen(command, stdout=subprocess.PIPE, stderr=log, text=True, env=environment) as server:
        try:
            port = _port(server)
            made = Everfix(folder / "everfix", port)
            try:
                yield made
            finally:
                made.database.close()
        finally:
            server.terminate()
            try:
                server.wait(60)
            except subprocess.TimeoutExpired:
                server.kill()


def _port(server: subprocess.Popen[str]) -> int:
    until = time.monotonic() + READY_SECONDS
    for line in server.stdout or ():
        if line.startswith("ready "):
            return int(line.rpartition(":")[2])
        if time.monotonic() > until:
            break
    raise RuntimeError("everfix did not start; its own words stand in everfix.log")
