"""Serving: Granian in this process, the worker as a child, so that thinking about failures never makes a request wait."""

from __future__ import annotations

import asyncio
import contextlib
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable, Iterator

import structlog
from granian.constants import Interfaces
from granian.log import LogLevels
from granian.server.embed import Server

from everfix.app import create_app
from everfix.errors import ConfigurationError
from everfix.installation import Installation
from everfix.settings import Settings

log = structlog.get_logger()
WORKER_GRACE = 60.0  # seconds a worker gets to finish the jobs in hand
RESTART_WAIT = 1.0


def free_port(host: str) -> int:
    """Return a port that nobody listens on."""
    with socket.socket(socket.AF_INET6 if ":" in host else socket.AF_INET) as probe:
        probe.bind((host, 0))
        return int(probe.getsockname()[1])


def check_port(settings: Settings) -> None:
    """Raise ConfigurationError when another program listens on the port."""
    with socket.socket(socket.AF_INET6 if ":" in settings.host else socket.AF_INET) as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((settings.host, settings.port))
        except OSError as problem:
            raise ConfigurationError(
                f"cannot listen on {settings.host}:{settings.port}: {problem.strerror}; choose another with --port"
            ) from problem


def run(installation: Installation, *, ready: Callable[[str], None]) -> None:
    """Serve until SIGTERM or SIGINT; then finish requests and jobs in hand. `ready` is called once /ready answers 200."""
    check_port(installation.settings)
    asyncio.run(_main(installation, ready))


async def _main(installation: Installation, ready: Callable[[str], None]) -> None:
    settings = installation.settings
    app = create_app(installation)
    server = Server(app, settings.host, settings.port, interface=Interfaces.ASGI, log_level=LogLevels.error)
    stop = asyncio.Event()
    for sign in (signal.SIGTERM, signal.SIGINT):
        asyncio.get_running_loop().add_signal_handler(sign, stop.set)
    serving = asyncio.create_task(server.serve())
    keeping = asyncio.create_task(_keep_worker(installation, stop))
    announcing = asyncio.create_task(_announce(settings, ready))
    await asyncio.wait((asyncio.create_task(stop.wait()), serving), return_when=asyncio.FIRST_COMPLETED)
    app.state.stopping = True
    stop.set()
    server.stop()  # type: ignore[no-untyped-call]
    await serving
    announcing.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await announcing
    await keeping


async def _announce(settings: Settings, ready: Callable[[str], None]) -> None:
    url = settings.url
    local = f"http://{'127.0.0.1' if settings.host in ('0.0.0.0', '::', 'localhost') else settings.host}:{settings.port}/ready"  # noqa: S104 - compares
    while not await asyncio.to_thread(_answers, local):  # noqa: ASYNC110 - nothing in this process knows when the port answers
        await asyncio.sleep(0.05)
    ready(url)


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as answer:  # noqa: S310 - our own address
            return bool(answer.status == 200)
    except (urllib.error.URLError, ConnectionError, TimeoutError):
        return False


async def _keep_worker(installation: Installation, stop: asyncio.Event) -> None:
    """Run the worker as a child, start it again when it dies, and let it finish when the server stops."""
    while not stop.is_set():
        with _child(installation) as child:
            while child.poll() is None and not stop.is_set():
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(stop.wait(), 0.2)
            if stop.is_set():
                await asyncio.to_thread(_finish, child)
                return
            log.error("the worker died and is started again", exit_code=child.returncode)
        await asyncio.sleep(RESTART_WAIT)


@contextlib.contextmanager
def _child(installation: Installation) -> Iterator[subprocess.Popen[bytes]]:
    settings = installation.settings
    environment = {
        **os.environ,
        "EVERFIX_DATA_DIR": str(settings.data_dir.resolve()),
        "EVERFIX_PORT": str(settings.port),
        "EVERFIX_HOST": settings.host,
        "EVERFIX_WORKER_CONCURRENCY": str(settings.worker_concurrency),
    }
    # The child holds its end of a pipe: when this process dies in any way, the pipe closes and the child finishes and leaves.
    with subprocess.Popen([sys.executable, "-m", "everfix", "worker", "--child"], stdin=subprocess.PIPE, env=environment) as child:
        try:
            yield child
        finally:
            if child.poll() is None:
                child.kill()


def _finish(child: subprocess.Popen[bytes]) -> None:
    child.terminate()
    until = time.monotonic() + WORKER_GRACE
    while child.poll() is None and time.monotonic() < until:
        time.sleep(0.05)
    if child.poll() is None:
        log.error("the worker did not finish in time; its jobs will be taken over", seconds=WORKER_GRACE)
