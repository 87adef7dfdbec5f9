"""What the commands of the command line share: settings, an opened installation, progress, and refusals in one line."""

from __future__ import annotations

import logging
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated
from uuid import UUID

import structlog
import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn

from everfix import installation as installations
from everfix import settings as settings_module
from everfix.errors import EverfixError
from everfix.installation import Installation
from everfix.settings import Settings

out, err = Console(highlight=False, soft_wrap=True), Console(stderr=True, highlight=False, soft_wrap=True)

DataDir = Annotated[Path | None, typer.Option("--data-dir", help="Where the embedded database, files and keys live.")]


def settings_of(data_dir: Path | None = None, **more: object) -> Settings:
    """Return the process's settings with what the command line says on top."""
    given = {name: value for name, value in {"data_dir": data_dir, **more}.items() if value is not None}
    with refusals():
        settings = settings_module.read(**given)
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
        err.print(f"[red]everfix:[/red] {escape(problem.message)}", markup=True)
        for field, allowed in problem.details.items():
            err.print(f"  {field}: {allowed}", markup=False)
        raise typer.Exit(1) from None


@contextmanager
def opened(settings: Settings) -> Iterator[Installation]:
    """Open the installation; what is wrong with it is said in one line."""
    with refusals(), installations.opened(settings) as made:
        yield made


@contextmanager
def progress() -> Iterator[Callable[[str, int, int], None]]:
    """Yield a function that draws how far a long work is: (what, done, total); one line per step where nobody watches."""
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeElapsedColumn())
    with Progress(*columns, console=err, transient=True) as bar:
        tasks: dict[str, object] = {}

        def step(what: str, done: int, total: int) -> None:
            if what not in tasks:
                tasks[what] = bar.add_task(what, total=total)
            bar.update(tasks[what], completed=done, total=total)  # type: ignore[arg-type]

        yield step


def workspace_of(made: Installation, slug: str | None) -> UUID:
    """Return the workspace of that slug, or the only one; raises NotFound, or Conflict naming those there are."""
    from everfix.identity import people  # noqa: PLC0415 - only here

    with made.owner() as owner, owner.transaction() as db:
        return people.workspace(db, slug)
