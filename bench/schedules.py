"""Schedules under fire: many due in one minute, several schedulers and workers, killed at random; counted where the reports arrive.

    python -m bench.schedules [--schedules 500] [--schedulers 3] [--workers 4] [--kills 12]

What is counted: rows of the ledger that were sent, distinct keys at the mail server and the webhook sink, keys that came more than once
(a process killed between the other side's answer and our commit sends again under the same key), runs per slot.
"""

from __future__ import annotations

import argparse
import base64
import collections
import contextlib
import dataclasses
import os
import random
import signal
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, text

from bench import figures
from everfix.core import outbound
from everfix.delivery import destinations, send
from everfix.identity import principals
from everfix.installation import Installation, opened
from everfix.reports import definitions, schedules, ticks
from everfix.settings import Settings
from tests import sinks

KEY = base64.b64encode(bytes(range(32))).decode()

WORDS = {
    "sent": "sent, by the ledger",
    "lost": "lost: keys that never arrived",
    "repeated": "keys that arrived twice",
    "doubled": "slots with more than one run",
    "found": "killed after acceptance, and the note was found",
    "unknown": "killed in mid-send without a note, sent again",
    "mails": "mails at the mail server",
    "calls": "calls at the webhook",
    "runs": "runs",
}


@dataclasses.dataclass(slots=True)
class Counted:
    """What came of it."""

    expected: int
    sent: int = 0
    mails: int = 0
    calls: int = 0
    keys: int = 0
    repeated: int = 0
    found: int = 0
    unknown: int = 0
    runs: int = 0
    doubled: int = 0
    kills: int = 0
    seconds: float = 0.0

    @property
    def lost(self) -> int:
        return self.expected - self.keys

    def __str__(self) -> str:
        return (
            f"{self.expected} schedules due in one minute, {self.kills} processes killed: {self.sent} sent by the ledger,"
            f" {self.keys} distinct keys arrived ({self.mails} mails, {self.calls} webhook calls), {self.lost} lost,"
            f" {self.repeated} came twice under the same key; of workers that died in mid-send {self.found} had noted that the message was"
            f" taken, {self.unknown} had not and it was sent again; {self.runs} runs, {self.doubled} slots with more than one run;"
            f" {self.seconds:.1f} s from the slot to the last delivery"
        )


class Herd:
    """Processes of two kinds, of which one is killed now and then and another started in its place."""

    def __init__(self, environment: dict[str, str], log: Path) -> None:
        self.environment, self.log = environment, log
        self.alive: list[tuple[str, subprocess.Popen[bytes]]] = []
        self.kills = 0

    def start(self, kind: str) -> None:
        arguments = [sys.executable, "-m", "bench.schedules", "--role", kind]
        with (self.log / f"{kind}-{len(self.alive)}-{self.kills}.log").open("wb") as log:
            process = subprocess.Popen(arguments, env=self.environment, stdout=log, stderr=log)
        self.alive.append((kind, process))

    def kill(self, place: int | None = None) -> None:
        """Kill one at random, or the one at a place by age, as a power cut would, and start another."""
        kind, process = self.alive.pop(random.randrange(len(self.alive)) if place is None else place)  # noqa: S311 - chooses whom to kill
        process.send_signal(signal.SIGKILL)
        process.wait()
        self.kills += 1
        self.start(kind)

    def end(self) -> None:
        for _, process in self.alive:
            process.kill()
        for _, process in self.alive:
            process.wait()


def scheduler(installation: Installation) -> None:
    """Tick as often as it can."""
    while True:
        ticks.tick(installation)
        time.sleep(0.5)


def play(role: str) -> None:
    """Be one of the processes, by the settings in the environment."""
    from everfix import worker

    with opened(Settings()) as installation:
        if role == "scheduler":
            scheduler(installation)
        else:
            worker.run(installation)


@contextlib.contextmanager
def prepared(count: int, folder: Path, mail: sinks.MailSink, hook: sinks.Sink) -> Iterator[tuple[Installation, UUID, datetime]]:
    """Open an installation with `count` schedules for one coming minute: half to a mailbox each, half to a webhook each."""
    settings = Settings(
        data_dir=folder, master_key=KEY, smtp_url=mail.url, mail_from="Everfix <reports@everfix.example>", outbound_allow=("127.0.0.1",)
    )
    with opened(settings) as installation:
        with installation.database.transaction() as db:
            workspace = db.execute(text("SELECT workspace_id FROM everfix_workspaces()")).scalar_one()
        slot = (datetime.now(UTC) + timedelta(seconds=30 + count / 50)).replace(second=0, microsecond=0) + timedelta(minutes=1)
        fill(installation, workspace, count, slot, hook)
        yield installation, workspace, slot


def fill(installation: Installation, workspace: UUID, count: int, slot: datetime, hook: sinks.Sink) -> None:
    """Make `count` schedules for one minute of each day: half to a mailbox each, half to a webhook each."""
    by, guard = principals.system(workspace, "bench"), outbound.guard(installation.settings)
    with installation.database.transaction(workspace) as db:
        report = definitions.create(db, by, template="blank", sections=["issue_kpis"], formats=["csv"], name="Busy").id
        for place in range(count):
            common: dict[str, Any] = {"name": f"schedule {place}", "cron": f"{slot.minute} {slot.hour} * * *", "definition_id": report}
            if place % 2:
                config = {"url": f"{hook.url}/{place}"}
                made = destinations.create(db, installation.keys, guard, by, kind="webhook", name=f"hook {place}", config=config)
                schedules.create(db, by, destinations=[made.id], **common)
            else:
                schedules.create(db, by, recipients=[f"person-{place}@shop.example"], **common)


def run(count: int, schedulers: int, workers: int, kills: int, *, patience: float = 600.0) -> Counted:
    """Let them fire, kill as told, wait until the ledger says that everything ended, and count."""
    counted = Counted(count)
    with (
        sinks.mail() as mail,
        sinks.http() as hook,
        tempfile.TemporaryDirectory(prefix="everfix-bench-") as name,
        prepared(count, Path(name), mail, hook) as (installation, workspace, slot),
    ):
        herd = Herd(environment(installation, mail), Path(name))
        try:
            for kind, number in (("scheduler", schedulers), ("worker", workers)):
                for _ in range(number):
                    herd.start(kind)
            _watch(installation, workspace, herd, slot, kills, patience)
        finally:
            herd.end()
        counted.kills = herd.kills
        count_arrivals(counted, installation, workspace, slot, mail, hook)
    return counted


def measured(count: int = 500, schedulers: int = 3, workers: int = 4, kills: int = 12) -> figures.Result:
    """Do it once, for `make bench`."""
    counted = run(count, schedulers, workers, kills)
    title = f"{count} schedules due in one minute, {schedulers} schedulers, {workers} workers, {counted.kills} of them killed"
    result = figures.Result(title, ("what", "number"))
    for name in ("sent", "lost", "repeated", "doubled", "found", "unknown", "mails", "calls", "runs"):
        result.add(WORDS[name], f"{getattr(counted, name):,}")
    result.add("seconds from the slot to the last delivery", f"{counted.seconds:.0f}")
    result.goals += [
        figures.Goal("sent by the ledger", counted.sent, count, at_least=True),
        figures.Goal("lost", counted.lost, 0, at_least=False),
        figures.Goal("arrived twice under the same key", counted.repeated, 0, at_least=False),
        figures.Goal("slots with more than one run", counted.doubled, 0, at_least=False),
    ]
    return result


def environment(installation: Installation, mail: sinks.MailSink) -> dict[str, str]:
    """Return the environment of processes that work on an installation."""
    settings = installation.settings
    return {
        **os.environ,
        "EVERFIX_DATA_DIR": str(settings.data_dir),
        "EVERFIX_DATABASE_URL": str(installation.owner_url),
        "EVERFIX_STORAGE_URL": f"file://{settings.data_dir / 'files'}",
        "EVERFIX_MASTER_KEY": KEY,
        "EVERFIX_SMTP_URL": mail.url,
        "EVERFIX_MAIL_FROM": "Everfix <reports@everfix.example>",
        "EVERFIX_OUTBOUND_ALLOW": "127.0.0.1",
        "EVERFIX_JOB_HEARTBEAT_SECONDS": "3",
        "EVERFIX_LOG_LEVEL": "warning",
    }


def _watch(installation: Installation, workspace: UUID, herd: Herd, slot: datetime, kills: int, patience: float) -> None:
    """Kill while there is work, at random moments; return when nothing waits any more."""
    end = time.monotonic() + max(0.0, (slot - datetime.now(UTC)).total_seconds()) + patience
    stop = threading.Event()
    while time.monotonic() < end:
        stop.wait(random.uniform(0.4, 1.6))  # noqa: S311 - when to kill
        open_, planned = still_open(installation, workspace)
        if planned and not open_ and herd.kills >= kills:
            return
        if herd.kills < kills and planned:
            herd.kill()
    raise TimeoutError(f"{still_open(installation, workspace)[0]} deliveries were still open after {patience:.0f} s")


def still_open(installation: Installation, workspace: UUID) -> tuple[int, int]:
    """Return how many deliveries and schedules wait, and how many deliveries there are."""
    with installation.database.transaction(workspace) as db:
        query = text("SELECT count(*) FILTER (WHERE status NOT IN ('sent', 'failed', 'skipped')), count(*) FROM deliveries")
        row = db.execute(query).one()
        waiting = db.execute(text("SELECT count(*) FROM report_schedules WHERE last_slot_at IS NULL")).scalar_one()
    return row[0] + waiting, row[1]


def count_arrivals(
    counted: Counted, installation: Installation, workspace: UUID, slot: datetime, mail: sinks.MailSink, hook: sinks.Sink
) -> None:
    """Count where the reports arrive, and what the ledger says of it."""
    mails = [str(item["Message-ID"]) for item in mail.mails]
    calls = [item.headers["idempotency-key"] for item in hook.got]
    arrived = collections.Counter([*mails, *calls])
    counted.mails, counted.calls, counted.keys = len(mails), len(calls), len(arrived)
    counted.repeated = sum(1 for number in arrived.values() if number > 1)
    with installation.database.transaction(workspace) as db:
        counted.sent = db.execute(text("SELECT count(*) FROM deliveries WHERE status = 'sent'")).scalar_one()
        tries = [item for row in db.execute(text("SELECT tries FROM deliveries")).scalars() for item in row]
        found = collections.Counter(db.execute(select(text("schedule_id FROM report_runs WHERE slot IS NOT NULL"))).scalars())
        last = db.execute(text("SELECT max(finished_at) FROM deliveries")).scalar_one()
    counted.found = sum(1 for item in tries if item["cause"] == send.FOUND)
    counted.unknown = sum(1 for item in tries if item["cause"] == send.LOST)
    counted.runs, counted.doubled = sum(found.values()), sum(1 for number in found.values() if number > 1)
    counted.seconds = (last - slot).total_seconds()


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--role", choices=("scheduler", "worker"))
    parser.add_argument("--schedules", type=int, default=500)
    parser.add_argument("--schedulers", type=int, default=3)
    parser.add_argument("--workers", type=int, default=4)
    parser.add_argument("--kills", type=int, default=12)
    chosen = parser.parse_args(arguments)
    if chosen.role:
        play(chosen.role)
        return 0
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # told to stop, it still ends the processes that it started
    counted = run(chosen.schedules, chosen.schedulers, chosen.workers, chosen.kills)
    print(counted)
    return int(counted.lost > 0 or counted.doubled > 0 or counted.sent != counted.expected)


if __name__ == "__main__":
    sys.exit(main())
