"""Bugsink as its makers recommend it for one server: gunicorn in front, Snappea digesting with four workers, SQLite; thrown away."""

from __future__ import annotations

import contextlib
import json
import os
import socket
import sqlite3
import subprocess
import time
import urllib.error
import urllib.request
from collections.abc import Iterator, Sequence
from pathlib import Path

from bench import failures, load, peers

WEB_WORKERS = min(os.cpu_count() or 1, 4)  # the rule of the gunicorn configuration that Bugsink ships
READY_SECONDS = 60.0
CONFIGURATION = """
BUGSINK.update({
    "PHONEHOME": False,
    # its quotas would turn most of the load away; they are lifted so that its speed is measured and not its brakes
    **{f"MAX_EVENTS_PER_{scope}{period}": 100_000_000 for scope in ("", "PROJECT_PER_") for period in ("5_MINUTES", "HOUR", "MONTH")},
})
DEBUG = False
"""
PROJECT = """
from projects.models import Project
from teams.models import Team
team = Team.objects.create(name="bench")
project = Project.objects.create(name="bench", team=team)
print("project", project.id, project.sentry_key)
"""


class Bugsink:
    """A running server with one project."""

    def __init__(self, folder: Path, port: int, project: str, key: str) -> None:
        self.port, self.project, self.key = port, project, key
        self.database = sqlite3.connect(f"file:{folder}/db.sqlite3?mode=ro", uri=True, timeout=30)

    def envelopes(self, sample: Sequence[failures.Failure]) -> list[load.Request]:
        """Return the requests a Sentry SDK would make: one envelope an event."""
        headers = {
            "X-Sentry-Auth": f"Sentry sentry_version=7, sentry_client=bench/1, sentry_key={self.key}",
            "Content-Type": "application/x-sentry-envelope",
        }
        return [load.Request(f"/api/{self.project}/envelope/", _envelope(failures.sentry(failure)), headers) for failure in sample]

    def digested(self) -> int:
        """Return how many events are digested: stored in its database and put into an issue."""
        return int(self.database.execute("SELECT count(*) FROM events_event").fetchone()[0])

    def issues(self) -> int:
        """Return how many issues it made of them."""
        return int(self.database.execute("SELECT count(*) FROM issues_issue").fetchone()[0])

    def wait(self, expected: int, seconds: float) -> None:
        """Wait until that many events are digested; raises Missing when the time is over."""
        until = time.monotonic() + seconds
        while (found := self.digested()) < expected:
            if time.monotonic() > until:
                raise peers.Missing(f"Bugsink digested {found} of {expected} events in {seconds:.0f} s")
            time.sleep(0.05)


def _envelope(event: failures.Json) -> bytes:
    body = json.dumps(event).encode()
    head = json.dumps({"event_id": event["event_id"]}).encode()
    return b"\n".join((head, json.dumps({"type": "event", "length": len(body), "content_type": "application/json"}).encode(), body, b""))


@contextlib.contextmanager
def running(folder: Path) -> Iterator[Bugsink]:
    """Install (once), configure and serve Bugsink for as long as the block runs; raises Missing when it cannot be had."""
    base = folder / "bugsink"
    base.mkdir()
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = int(probe.getsockname()[1])
    environment = {**os.environ, "DJANGO_SETTINGS_MODULE": "bugsink_conf", "PYTHONPATH": str(base)}
    _run(base, environment, "bugsink-create-conf", "--template=singleserver", f"--host=127.0.0.1:{port}", f"--base-dir={base}")
    with (base / "bugsink_conf.py").open("a", encoding="utf-8") as file:
        file.write(CONFIGURATION)
    _run(base, environment, "bugsink-manage", "migrate")
    _run(base, environment, "bugsink-manage", "migrate", "snappea", "--database=snappea")
    said = _run(base, environment, "bugsink-manage", "shell", "-c", PROJECT).strip().splitlines()[-1].split()
    web = ["gunicorn", f"--bind=127.0.0.1:{port}", f"--workers={WEB_WORKERS}", "--timeout=60", "bugsink.wsgi"]
    with (base / "log").open("w") as log, contextlib.ExitStack() as stack:
        for command in (web, ["bugsink-runsnappea"]):
            words = [peers.program(command[0], "bugsink"), *command[1:]]
            process = subprocess.Popen(words, cwd=base, env=environment, stdout=log, stderr=log)
            stack.callback(_stop, process)
        _answers(port)
        made = Bugsink(base, port, said[1], said[2])
        stack.callback(made.database.close)
        yield made


def _run(folder: Path, environment: dict[str, str], program: str, *words: str) -> str:
    done = subprocess.run(
        [peers.program(program, "bugsink"), *words], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        raise peers.Missing(f"{program} {words[0]} failed: {(done.stderr or done.stdout).strip()[-400:]}")
    return done.stdout


def _answers(port: int) -> None:
    until = time.monotonic() + READY_SECONDS
    while time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/", timeout=5):
                return
        except urllib.error.HTTPError:
            return  # any answer shows that it serves
        except OSError:
            time.sleep(0.1)
    raise peers.Missing("Bugsink's web server does not answer")


def _stop(process: subprocess.Popen[bytes]) -> None:
    process.terminate()
    try:
        process.wait(15)
    except subprocess.TimeoutExpired:
        process.kill()
        process.wait()
