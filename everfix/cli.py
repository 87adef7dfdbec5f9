"""The command line: demo, serve, worker, migrate, ingest, report, backtest, group, token, link."""

from __future__ import annotations

import logging
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import structlog
import typer
from rich.console import Console

from everfix import installation as installations
from everfix.errors import ConfigurationError, EverfixError
from everfix.installation import Installation
from everfix.settings import Settings

app = typer.Typer(no_args_is_help=True, add_completion=False, help="Finds what keeps failing, predicts its return, proves fixes, reports it.")
out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the embedded database, files and keys live.")]


def settings_of(data_dir: Path | None = None, **more: object) -> Settings:
    """Return the process's settings with what the command line says on top."""
    given = {name: value for name, value in {"data_dir": data_dir, **more}.items() if value is not None}
    settings = Settings(**given)  # type: ignore[arg-type]
    level = getattr(logging, settings.log_level.upper())
    structlog.configure(
        processors=[
            structlog.processors.add_log_level,
            structlog.processors.TimeStamper(fmt="iso", utc=True),
            structlog.processors.format_exc_info,
            structlog.processors.JSONRenderer(),
        ],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=structlog.PrintLoggerFactory(sys.stderr),
    )
    return settings


@contextmanager
def refusals() -> Iterator[None]:
    """Print what this program refuses in one line, and exit with 1."""
    try:
        yield
    except EverfixError as problem:
        err.print(f"[red]everfix:[/red] {problem.message}", markup=True)
        for field, allowed in problem.details.items():
            err.print(f"  {field}: {allowed}", markup=False)
        raise typer.Exit(1) from None


@contextmanager
def opened(settings: Settings) -> Iterator[Installation]:
    """Open the installation; what is wrong with it is said in one line."""
    with refusals(), installations.opened(settings) as made:
        yield made


@app.command()
def serve(
    data_dir: DataDir = None,
    port: Annotated[int | None, typer.Option(help="Port to listen on; 0 takes a free one.")] = None,
    host: Annotated[str | None, typer.Option(help="Address to listen on.")] = None,
) -> None:
    """Run the HTTP server and a worker until SIGTERM; work in hand is finished."""
    from everfix import server  # noqa: PLC0415 - other commands need no HTTP server

    settings = settings_of(data_dir, host=host, port=port)
    if settings.port == 0:
        settings = settings.model_copy(update={"port": server.free_port(settings.host)})
    with opened(settings) as made:
        server.run(made, ready=lambda url: print(f"ready {url}", flush=True))  # noqa: T201 - the contract's line, for programs


@app.command()
def worker(
    data_dir: DataDir = None,
    concurrency: Annotated[int | None, typer.Option(min=1, max=64, help="Jobs worked on at a time.")] = None,
    child: Annotated[bool, typer.Option(hidden=True)] = False,
) -> None:
    """Only work: take jobs from the database of EVERFIX_DATABASE_URL until SIGTERM."""
    from everfix import worker as workers  # noqa: PLC0415 - other commands need no tasks

    settings = settings_of(data_dir, worker_concurrency=concurrency)
    with refusals():
        if settings.database_url is None and not child:
            raise ConfigurationError("`everfix worker` needs EVERFIX_DATABASE_URL: the embedded database has its worker in `everfix serve`")
    with opened(settings) as made:
        workers.run(made, until_stdin_closes=child)


@app.command()
def migrate(data_dir: DataDir = None) -> None:
    """Bring the database to the newest version."""
    with opened(settings_of(data_dir)) as made:
        if made.owner_url is None:
            raise ConfigurationError("EVERFIX_DATABASE_URL names the restricted role: migrating needs the database's owner")
        out.print("the database is at the newest version")


@app.command()
def link(data_dir: DataDir = None, email: Annotated[str | None, typer.Option(help="Whose link; default: the first owner.")] = None) -> None:
    """Print a sign-in link that works once, for 24 hours."""
    with opened(settings_of(data_dir)) as made:
        out.print(sign_in_link(made, email))


def sign_in_link(made: Installation, email: str | None = None) -> str:
    """Return a link that signs an owner in, once; raises NotFound when there is no such person."""
    from everfix.identity import people  # noqa: PLC0415 - only here

    with made.owner() as owner, owner.transaction() as db:
        secret = people.sign_in_link(db, email)
    return f"{made.url}/sign-in/{secret}"


