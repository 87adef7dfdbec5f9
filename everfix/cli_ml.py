"""`everfix ml`: fill projects from an MLflow tracking server or from files, as the API does, with progress."""

from __future__ import annotations

import dataclasses
import json
import shutil
import tempfile
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Annotated, Any
from uuid import UUID

import typer
from pydantic import BaseModel, ValidationError
from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.core import ids, jobs
from everfix.errors import EverfixError, Invalid
from everfix.identity.principals import Principal, system
from everfix.ingest import events
from everfix.installation import Installation
from everfix.ml import datasets, deployments, experiments, importing, imports, models, monitors, privacy, projects, synthgen, uploads
from everfix.terminal import DataDir, err, opened, out, progress, refusals, settings_of, workspace_of

app = typer.Typer(no_args_is_help=True, help="Fill ML projects from MLflow or from files.")
Workspace = Annotated[str | None, typer.Option(help="The workspace's slug, where there are several.")]
ProjectName = Annotated[str, typer.Option("--project", help="The project's name or id; made when there is none of that name.")]


def project_of(db: Session, name: str, by: Principal) -> UUID:
    """Return the project of that id or name, made where there is none; raises Invalid where several have the name."""
    try:
        return projects.get(db, ids.parse(ids.Prefix.ML_PROJECT, name), by).id
    except ValueError:
        found = db.execute(select(projects.Project.id).where(projects.Project.name == name)).scalars().all()
    if len(found) > 1:
        raise Invalid(f"{len(found)} projects are called {name!r}; name one by its id", details={"project": "an id like mlp_…"})
    return found[0] if found else projects.create(db, projects.Record(name=name), by).id


@app.command("import")
def import_(
    mlflow: Annotated[str, typer.Option("--mlflow", help="Address of the tracking server.")],
    project: ProjectName,
    experiment: Annotated[list[str] | None, typer.Option(help="Only this experiment, by name or id; repeatable.")] = None,
    token: Annotated[str | None, typer.Option(envvar="MLFLOW_TRACKING_TOKEN", help="Bearer token of the tracking server.")] = None,
    username: Annotated[str | None, typer.Option(envvar="MLFLOW_TRACKING_USERNAME")] = None,
    password: Annotated[str | None, typer.Option(envvar="MLFLOW_TRACKING_PASSWORD")] = None,
    full: Annotated[bool, typer.Option("--full", help="Look at every run again, not only at what is new.")] = False,
    data_dir: DataDir = None,
    workspace: Workspace = None,
) -> None:
    """Take in experiments, runs, metrics, artifacts and registered models; run again, it takes in what is new."""
    with opened(settings_of(data_dir)) as made:
        here = workspace_of(made, workspace)
        by = system(here, "command line")
        with made.database.transaction(here) as db:
            body = imports.Record(
                project_id=project_of(db, project, by),
                url=mlflow,
                experiments=experiment or [],
                token=token,
                username=username,
                password=password,
                full=full,
            )
            row, job_id = imports.start(db, made.keys, body, by)
        result = _work(made, here, job_id, importing.run)
        for warning in result.get("warnings", []):
            err.print(f"[yellow]left out[/yellow] {warning}", markup=True)
        out.print(
            f"{result['experiments']:,} experiments and {result['models']:,} models read: {result['new']:,} new, {result['changed']:,} changed"
            f" ({ids.show(ids.Prefix.ML_IMPORT, row.id)})"
        )


def _work(made: Installation, here: UUID, job_id: UUID, run: Callable[[jobs.Running], Any]) -> dict[str, Any]:
    """Do one queued job in this process; raises EverfixError with its cause when it fails."""
    with made.database.transaction(here) as db:
        payload = jobs.get(db, job_id).payload
    with progress() as step:
        running = jobs.Running(
            made.database, here, job_id, payload, made, lambda done, words: step(words or "importing", round(done * 100), 100)
        )
        jobs.work(jobs.Task(run, attempts=1), running, attempts=1)
    with made.database.transaction(here) as db:
        job = jobs.get(db, job_id)
    if job.status != jobs.Status.SUCCEEDED:
        raise EverfixError(job.error or f"the job is {job.status}")
    return job.result or {}


@dataclasses.dataclass(frozen=True, slots=True)
class Figures:
    """A kind that is registered by JSON, with the body of its API route."""

    record: type[BaseModel]
    keep: Callable[[Session, Any, Principal], Any]
    prefix: ids.Prefix


def _model(db: Session, body: models.Record, by: Principal) -> Any:  # noqa: ANN401 - a row
    return models.create(db, body, experiments.get(db, body.experiment_id, by).project_id, by)


def _deployment(db: Session, body: deployments.Record, by: Principal) -> Any:  # noqa: ANN401 - a row
    return deployments.create(db, body, models.get(db, body.model_id, by).project_id, by)


def _monitor(db: Session, body: monitors.Record, by: Principal) -> Any:  # noqa: ANN401 - a row
    return monitors.create(db, body, deployments.get(db, body.deployment_id, by).project_id, by)


FIGURES: Mapping[str, Figures] = {
    "experiment": Figures(experiments.Record, experiments.create, ids.Prefix.EXPERIMENT),
    "model": Figures(models.Record, _model, ids.Prefix.MODEL),
    "deployment": Figures(deployments.Record, _deployment, ids.Prefix.DEPLOYMENT),
    "synthgen": Figures(synthgen.Record, synthgen.create, ids.Prefix.SYNTHGEN_RUN),
    "privacy": Figures(privacy.Record, privacy.create, ids.Prefix.PRIVACY_SESSION),
    "monitor": Figures(monitors.Record, _monitor, ids.Prefix.MONITOR),
}


def _version(db: Session, dataset_id: UUID, kept: uploads.Kept, path: Path, by: Principal) -> str:
    found = datasets.get(db, dataset_id, by)
    table = uploads.keep(db, kept, found.project_id, "dataset", path.name)
    row = datasets.add_table(db, found, table, kept.quality, by)
    return f"version {row.number} of {found.name}: {kept.rows:,} rows, quality {kept.quality['overall_score']}"


def _evaluation(db: Session, model_id: UUID, kept: uploads.Kept, path: Path, by: Principal) -> str:
    found = models.get(db, model_id, by)
    models.evaluated(db, model_id, uploads.keep(db, kept, found.project_id, "evaluation", path.name), by)
    return f"evaluation of {found.name}: {kept.rows:,} rows"


def _predictions(db: Session, deployment_id: UUID, kept: uploads.Kept, path: Path, by: Principal) -> str:
    found = deployments.get(db, deployment_id, by)
    known = deployments.part_of(db, deployment_id, kept.upload_sha256)
    if known is not None:
        raise Invalid(f"{path.name}: this very file is in the log already")
    part = deployments.add_part(
        db, deployment_id, uploads.keep(db, kept, found.project_id, "predictions", path.name), kept.upload_sha256, by
    )
    monitors.look(db, deployment_id, by)
    return f"log of {found.name}: {kept.rows:,} predictions, {part.errors:,} failed"


def _reference(db: Session, deployment_id: UUID, kept: uploads.Kept, path: Path, by: Principal) -> str:
    found = deployments.get(db, deployment_id, by)
    deployments.refer(db, deployment_id, uploads.keep(db, kept, found.project_id, "reference", path.name), by)
    return f"reference of {found.name}: {kept.rows:,} rows"


def _synthetic(role: str) -> Callable[[Session, UUID, uploads.Kept, Path, Principal], str]:
    def keep(db: Session, run_id: UUID, kept: uploads.Kept, path: Path, by: Principal) -> str:
        found = synthgen.get(db, run_id, by)
        synthgen.attach(db, run_id, role, uploads.keep(db, kept, found.project_id, role, path.name), by)
        return f"{role} table of {found.name}: {kept.rows:,} rows"

    return keep


def _private(role: str) -> Callable[[Session, UUID, uploads.Kept, Path, Principal], str]:
    def keep(db: Session, session_id: UUID, kept: uploads.Kept, path: Path, by: Principal) -> str:
        found = privacy.get(db, session_id, by)
        privacy.attach(db, session_id, role, uploads.keep(db, kept, found.project_id, role, path.name), by)
        return f"{role} table of {found.name}: {kept.rows:,} rows"

    return keep


TABLES: Mapping[str, tuple[ids.Prefix, Callable[[Session, UUID, uploads.Kept, Path, Principal], str]]] = {
    "dataset": (ids.Prefix.DATASET, _version),
    "evaluation": (ids.Prefix.MODEL, _evaluation),
    "predictions": (ids.Prefix.DEPLOYMENT, _predictions),
    "reference": (ids.Prefix.DEPLOYMENT, _reference),
    "real": (ids.Prefix.SYNTHGEN_RUN, _synthetic("real")),
    "synthetic": (ids.Prefix.SYNTHGEN_RUN, _synthetic("synthetic")),
    "holdout": (ids.Prefix.SYNTHGEN_RUN, _synthetic("holdout")),
    "original": (ids.Prefix.PRIVACY_SESSION, _private("original")),
    "transformed": (ids.Prefix.PRIVACY_SESSION, _private("transformed")),
}


@app.command()
def register(
    kind: Annotated[str, typer.Argument(help=f"By JSON: {', '.join(FIGURES)}. By CSV or Parquet: {', '.join(TABLES)}.")],
    files: Annotated[list[Path], typer.Argument(help="JSON as the API takes it (one or a list), or tables.", exists=True, dir_okay=False)],
    project: Annotated[str | None, typer.Option(help="Project by name or id: where JSON names none, and for a new data set.")] = None,
    to: Annotated[str | None, typer.Option(help="What a table belongs to, by its id; a data set also by its name.")] = None,
    map_: Annotated[str | None, typer.Option("--map", help="Which column is which: timestamp=ts,prediction=p.")] = None,
    strict: Annotated[bool, typer.Option("--strict", help="Refuse a file with any bad row.")] = False,
    data_dir: DataDir = None,
    workspace: Workspace = None,
) -> None:
    """Register things by their figures, or upload their tables; sent again with the same external_id, a thing changes."""
    with opened(settings_of(data_dir)) as made, refusals():
        here = workspace_of(made, workspace)
        by = system(here, "command line")
        if kind in FIGURES:
            for path in files:
                _register(made, here, FIGURES[kind], path, project, by)
        elif kind in TABLES:
            target = _target(made, here, kind, project, to, by)
            for path in files:
                _upload(made, here, kind, target, path, map_, strict=strict, by=by)
        else:
            raise Invalid(f"there is no kind {kind[:60]!r}", details={"kind": f"one of {', '.join([*FIGURES, *TABLES])}"})


def _register(made: Installation, here: UUID, figures: Figures, path: Path, project: str | None, by: Principal) -> None:
    try:
        found = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, OSError) as problem:
        raise Invalid(f"{path.name}: this is no JSON: {problem}") from problem
    with made.database.transaction(here) as db:
        for place, given in enumerate(found if isinstance(found, list) else [found]):
            if isinstance(given, dict) and project is not None and "project_id" in figures.record.model_fields:
                given.setdefault("project_id", str(project_of(db, project, by)))
            try:
                row = figures.keep(db, figures.record.model_validate(given), by)
            except ValidationError as problem:
                raise Invalid(f"{path.name}, record {place}: {events.explain(problem)}") from problem
            out.print(f"{ids.show(figures.prefix, row.id)} {row.name}", markup=False)


def _target(made: Installation, here: UUID, kind: str, project: str | None, to: str | None, by: Principal) -> UUID:
    """Return what a table belongs to; a data set is found, or made, by its name."""
    if to is None:
        raise Invalid(f"--to must say which {TABLES[kind][0].name.lower().replace('_', ' ')} this is for")
    try:
        return ids.parse(TABLES[kind][0], to)
    except ValueError as problem:
        if kind != "dataset" or project is None:
            raise Invalid(f"--to: {problem}") from problem
    with made.database.transaction(here) as db:
        place = project_of(db, project, by)
        found = select(datasets.Dataset.id).where(datasets.Dataset.project_id == place, datasets.Dataset.name == to)
        known = db.execute(found.order_by(datasets.Dataset.created_at).limit(1)).scalar_one_or_none()
        return known or datasets.create(db, datasets.Record(project_id=place, name=to), by).id


def _upload(made: Installation, here: UUID, kind: str, target: UUID, path: Path, map_: str | None, *, strict: bool, by: Principal) -> None:
    mapping = dict(part.partition("=")[::2] for part in (map_ or "").split(",") if part)
    with tempfile.TemporaryDirectory(prefix="upload-", dir=made.settings.data_dir) as folder:
        copy = Path(shutil.copyfile(path, Path(folder) / "upload"))
        with (
            uploads.stored(made.storage, here, copy, kind, made.settings, mapping=mapping, strict=strict) as kept,
            made.database.transaction(here) as db,
        ):
            words = TABLES[kind][1](db, target, kept, path, by)
    out.print(f"{path.name}: {words}", markup=False)
    for bad in kept.rejects[:10]:
        err.print(f"[yellow]left out[/yellow] row {bad['row']}: {bad['column'] or 'whole row'}: {bad['reason']}", markup=True)
    if kept.rejected > 10:
        err.print(f"[yellow]left out[/yellow] {kept.rejected - 10:,} more")
