"""The command line: demo, serve, worker, migrate, ingest, report, export, ml, backtest, group, token, link, docs."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.table import Table

from everfix import cli_ml
from everfix.errors import ConfigurationError, Invalid
from everfix.installation import Installation
from everfix.terminal import DataDir, err, opened, out, progress, refusals, settings_of, workspace_of

if TYPE_CHECKING:
    from everfix.demo.run import Outcome

app = typer.Typer(
    no_args_is_help=True, add_completion=False, help="Finds what keeps failing, predicts its return, proves fixes, reports it."
)
app.add_typer(cli_ml.app, name="ml")


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


@app.command()
def demo(
    data: Annotated[
        list[Path] | None, typer.Option("--data", help="Your own failures instead of the simulated company; repeatable.")
    ] = None,
    map_: Annotated[str | None, typer.Option("--map", help="Columns by name: title=Summary,external_id=Key.")] = None,
    data_dir: DataDir = None,
    out_dir: Annotated[Path, typer.Option("--out", help="Folder for the six files of the report.")] = Path("out"),
    no_serve: Annotated[bool, typer.Option("--no-serve", help="End after the report.")] = False,
    port: Annotated[int | None, typer.Option(help="Port to serve on; 0 takes a free one.")] = None,
) -> None:
    """Take a simulated company, or your own files, through the whole loop to the first report; then serve it."""
    from everfix import server  # noqa: PLC0415 - other commands need no HTTP server
    from everfix.demo import run as demos  # noqa: PLC0415 - other commands need no simulator

    settings = settings_of(data_dir, port=port)
    if settings.port == 0:
        settings = settings.model_copy(update={"port": server.free_port(settings.host)})
    with opened(settings) as made:
        if not no_serve:
            server.check_port(settings)
        with made.owner() as owner:
            here = demos.workspace(owner, demos.YOURS if data else demos.SIMULATED)
        with progress() as step:
            if data:
                outcome = demos.own(made.database, here, data, map_, step)
            else:
                outcome = demos.company(made.database, here, datetime.now(UTC), step)
        paths = demos.publish(made, here, outcome.until, out_dir)
        _summary(outcome, paths)
        if no_serve:
            return
        secret = _sign_in(made, demos.YOURS if data else demos.SIMULATED)
        server.run(made, ready=lambda url: print(f"ready {url}\nsign in: {url}/sign-in/{secret}", flush=True))  # noqa: T201 - the contract's line


def _sign_in(made: Installation, slug: str) -> str:
    from everfix.identity import people  # noqa: PLC0415 - only here

    with made.owner() as owner, owner.transaction() as db:
        return people.sign_in_link(db, workspace_slug=slug)


def _summary(outcome: Outcome, paths: list[Path]) -> None:
    counts = outcome.counts
    table = Table(show_header=False, box=None, pad_edge=False)
    table.add_row("issues", f"{counts['issues']:,}")
    table.add_row("patterns", f"{counts['patterns']:,} that recur, {counts['alone']:,} failures that stand alone")
    table.add_row("predictions", f"{counts['predictions']:,} stand, {counts['settled']:,} settled")
    table.add_row(
        "fixes",
        f"{counts['fixes']:,} watched: {counts['held']:,} held, {counts['failed']:,} failed; {counts['recommendations']:,} recommended",
    )
    table.add_row("seconds", f"{outcome.seconds:.1f}")
    if outcome.groups is not None:
        found = outcome.groups
        words = f"{len(found.found)} of {found.planted} planted causes found; pairs: precision {found.precision:.3f}, recall {found.recall:.3f}, F1 {found.f1:.3f}"
        table.add_row("truth", words)
    if outcome.forecasts is not None and outcome.forecasts.forecasts:
        score = outcome.forecasts
        table.add_row(
            "forecasts",
            f"Brier score {score.brier:.4f} against {score.base_brier:.4f} for always saying the base rate of {score.base_rate:.1%}",
        )
    out.print(table)
    for name, place, reason in outcome.rejects[:10]:
        err.print(f"[yellow]left out[/yellow] {name} record {place}: {reason}", markup=True)
    if len(outcome.rejects) > 10:
        err.print(f"[yellow]left out[/yellow] {len(outcome.rejects) - 10} more")
    for path in paths:
        out.print(f"wrote {path}")


@app.command()
def ingest(
    files: Annotated[list[Path], typer.Argument(help="CSV, JSONL, JUnit XML, Alertmanager or CloudEvents JSON; .gz too.")],
    data_dir: DataDir = None,
    map_: Annotated[str | None, typer.Option("--map", help="Columns by name: title=Summary,external_id=Key.")] = None,
    workspace: Annotated[str | None, typer.Option(help="The workspace's slug, where there are several.")] = None,
) -> None:
    """Send the failures of files into the workspace and through the loop; bad records are listed, the rest are kept."""
    from everfix.demo import run as demos  # noqa: PLC0415 - other commands need no readers

    with opened(settings_of(data_dir)) as made:
        here = workspace_of(made, workspace)
        with progress() as step:
            outcome = demos.own(made.database, here, files, map_, step)
        _summary(outcome, [])
        if outcome.rejects and not outcome.accepted:
            raise typer.Exit(1)


@app.command()
def report(
    kind: Annotated[str, typer.Argument(help="A template's key, e.g. executive_summary.")],
    format_: Annotated[str, typer.Option("--format", help="pdf, html, markdown, csv, xlsx or json.")] = "pdf",
    out_file: Annotated[Path, typer.Option("--out", help="The file to write.")] = Path("report.pdf"),
    window: Annotated[str, typer.Option(help="7d, 30d, 90d or any number of days.")] = "30d",
    data_dir: DataDir = None,
    workspace: Annotated[str | None, typer.Option(help="The workspace's slug, where there are several.")] = None,
) -> None:
    """Make a report now and write it to a file."""
    from everfix.demo import run as demos  # noqa: PLC0415 - other commands need no reports

    with opened(settings_of(data_dir)) as made:
        here = workspace_of(made, workspace)
        with progress() as step:
            body = demos.one(
                made, here, kind, format_, window, lambda done, words: step(words or "making the report", round(done * 100), 100)
            )
        out_file.write_bytes(body)
        out.print(f"wrote {out_file} ({len(body):,} bytes)")


@app.command()
def export(
    resource: Annotated[str, typer.Argument(help="issues, patterns, predictions, recommendations, audit_log, members or connectors.")],
    format_: Annotated[str, typer.Option("--format", help="csv, xlsx, json or pdf.")] = "csv",
    out_file: Annotated[Path | None, typer.Option("--out", help="The file to write; default: the export's own name.")] = None,
    filter_: Annotated[list[str] | None, typer.Option("--filter", help="A filter of the list, like severity=p1; repeatable.")] = None,
    option: Annotated[list[str] | None, typer.Option("--option", help="How to write it, like decimal=, or bom=true; repeatable.")] = None,
    columns: Annotated[str | None, typer.Option(help="Only these columns, comma-separated.")] = None,
    analysis: Annotated[bool, typer.Option("--analysis", help="Issues: with the columns of the analysis.")] = False,
    data_dir: DataDir = None,
    workspace: Annotated[str | None, typer.Option(help="The workspace's slug, where there are several.")] = None,
) -> None:
    """Write the raw rows of a resource to a file; many rows become a ZIP of several parts with a manifest."""
    from everfix.exports import options as export_options  # noqa: PLC0415 - other commands need no exports
    from everfix.exports import work as exports  # noqa: PLC0415 - as above

    with opened(settings_of(data_dir)) as made:
        how = export_options.read({**pairs(option), **({"columns": columns.split(",")} if columns else {})})
        here = workspace_of(made, workspace)
        asked = {"resource": resource, "format": format_, "filters": pairs(filter_), "options": how, "analysis": analysis}
        with progress() as step:
            file = exports.make(made, here, lambda done, words: step(words or "exporting", round(done * 100), 100), **asked)
        path = out_file or Path(file.filename)
        with path.open("wb") as target:
            target.writelines(made.storage.stream(file.storage_key))
        out.print(f"wrote {path} ({file.size:,} bytes, SHA-256 {file.sha256})")
        if out_file is not None and out_file.suffix != Path(file.filename).suffix:
            err.print(f"note: the file is a {Path(file.filename).suffix} of several parts and a manifest")


def pairs(given: list[str] | None) -> dict[str, str]:
    """Return `name=value` words as a dict; raises Invalid for one without "="."""
    wrong = [word for word in given or () if "=" not in word]
    if wrong:
        raise Invalid(f"{wrong[0][:60]!r} is not of the form name=value")
    return {name.strip(): value for name, _, value in (word.partition("=") for word in given or ())}


@app.command()
def backtest(
    events: Annotated[Path, typer.Option(help="CSV with pattern,occurred_at[,visible_at][,attributes…]; .gz too.")],
    window_days: Annotated[float, typer.Option(help="Does the pattern fail again within so many days?")],
    out_file: Annotated[Path, typer.Option("--out", help="CSV to write: origin,pattern,probability.")],
    stride_days: Annotated[float, typer.Option(help="Days between two moments of asking.")] = 7.0,
    warmup_days: Annotated[float, typer.Option(help="Days before the first moment of asking.")] = 30.0,
    active_days: Annotated[float, typer.Option(help="Ask only about patterns seen within so many days.")] = 90.0,
    min_events: Annotated[int, typer.Option(help="Ask only about patterns with so many failures.")] = 2,
    from_: Annotated[datetime | None, typer.Option("--from", help="First moment to write.")] = None,
    until: Annotated[datetime | None, typer.Option("--until", help="Last moment to write.")] = None,
) -> None:
    """Walk time over a file of failures and forecast with the server's own model; prints its scores."""
    from everfix.failures import backtest as backtests  # noqa: PLC0415 - other commands need no numpy

    try:
        with progress() as step:
            scores = backtests.run(
                events,
                out_file,
                window_days=window_days,
                stride_days=stride_days,
                warmup_days=warmup_days,
                active_days=active_days,
                min_events=min_events,
                from_=from_,
                until=until,
                progress=lambda done, total: step("walking time", done, total),
            )
    except (ValueError, OSError) as problem:
        err.print(f"[red]everfix:[/red] {problem}", markup=True)
        raise typer.Exit(1) from None
    out.print(scores.table(), markup=False)


@app.command()
def group(
    input_: Annotated[
        Path, typer.Option("--input", help="JSONL with id,scope,title,message,stacktrace,error_type,service,occurred_at; .gz too.")
    ],
    out_file: Annotated[Path, typer.Option("--out", help="CSV to write: id,arrival_group,final_group,why.")],
) -> None:
    """Group failures of a file by cause, as they arrive, with the server's own grouping."""
    from everfix.failures import grouping  # noqa: PLC0415 - other commands need no grouping

    try:
        with progress() as step, out_file.open("w", encoding="utf-8", newline="") as file:
            summary = grouping.run(grouping.opened(str(input_)), file, lambda done: step("grouping", done, done))
    except (ValueError, OSError) as problem:
        err.print(f"[red]everfix:[/red] {problem}", markup=True)
        raise typer.Exit(1) from None
    out.print(f"{summary.items:,} failures in {summary.groups:,} groups; {summary.changed:,} changed group after arrival")
    for number, reason in summary.errors[:20]:
        err.print(f"[yellow]left out[/yellow] line {number}: {reason}", markup=True)
    if summary.errors and not summary.items:
        raise typer.Exit(1)


@app.command()
def token(
    name: Annotated[str, typer.Argument(help="What the token is for.")],
    scope: Annotated[list[str], typer.Option("--scope", help="A scope, e.g. ingest:write; repeatable.")],
    data_dir: DataDir = None,
    days: Annotated[int | None, typer.Option(min=1, help="Days until it expires; default: never.")] = None,
    workspace: Annotated[str | None, typer.Option(help="The workspace's slug, where there are several.")] = None,
) -> None:
    """Make a service account's token and print its secret, this once."""
    from everfix.identity import people  # noqa: PLC0415 - only here

    with opened(settings_of(data_dir)) as made:
        here = workspace_of(made, workspace)
        with made.database.transaction(here) as db:
            out.print(people.service_token(db, name, scope, None if days is None else timedelta(days=days)), markup=False)


@app.command()
def docs(folder: Annotated[Path, typer.Option("--out", help="Folder to write to.")] = Path("docs/reference")) -> None:
    """Write the reference that code can print: settings, scopes, sources, templates, commands."""
    from everfix import docs as printed  # noqa: PLC0415 - only here

    for path in printed.write(folder, app):
        out.print(f"wrote {path}")
