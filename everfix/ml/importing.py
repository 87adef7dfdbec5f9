"""Importing: fills a project from an MLflow tracking server, a page of runs at a time, and goes on where it stopped.

Per experiment the end of the newest run that was taken in is kept (`marks`). The next import asks for what ended since, and for
what still runs; whatever comes again changes its row and makes no second one. A cancelled or killed import has lost nothing.
"""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path
from typing import Any
from uuid import UUID

from sqlalchemy import select, update
from sqlalchemy.orm import Session

from everfix.core import clock, ids, jobs, outbound
from everfix.core.db import Json
from everfix.errors import Invalid, Outbound, TooLarge, UnsupportedMedia
from everfix.ml import deployments, imports, mlflow, projects, tables, tracking, uploads
from everfix.ml.datasets import Dataset, DatasetVersion
from everfix.ml.experiments import Experiment
from everfix.ml.imports import Import
from everfix.ml.models import Model
from everfix.ml.tracking import Server

FILES, FOLDERS = 200, 30
WARNINGS = 50


class Filler:
    """One import in hand."""

    def __init__(self, job: jobs.Running, row: Import, server: Server) -> None:
        self.job, self.row, self.server = job, row, server
        self.counts: dict[str, int] = {"experiments": 0, "models": 0, "new": 0, "changed": 0}
        self.warnings: list[str] = []

    def warn(self, words: str) -> None:
        """Note what could not be taken in, in words; the import goes on."""
        if len(self.warnings) < WARNINGS:
            self.warnings.append(words[:500])

    def count(self, outcome: str) -> None:
        """Count a new or changed row."""
        if outcome != "same":
            self.counts[outcome] += 1

    def transaction(self) -> Any:  # noqa: ANN401 - a context manager of a session
        return self.job.database.transaction(self.job.workspace)

    def name(self, outside: str) -> str:
        """Return the outside name that a row carries: two servers may both have an experiment 1."""
        return f"mlflow:{hashlib.sha256(self.row.url.encode()).hexdigest()[:12]}:{outside}"[:512]


def run(job: jobs.Running) -> Json:
    """Job `ml.import_mlflow`: take in what is new on the server of `import`; `full` looks at everything again."""
    with job.database.transaction(job.workspace) as db:
        row = db.execute(select(Import).where(Import.id == UUID(job.payload["import"]))).scalar_one_or_none()
    if row is None:
        raise jobs.Permanent("the import was removed")
    services = job.services
    secret: Any = services.keys.unseal(imports.PURPOSE, imports.bound(job.workspace, row.id), row.secret) if row.secret else {}
    server = Server(outbound.guard(services.settings), row.url, tracking.authorization(secret))
    filler = Filler(job, row, server)
    try:
        _fill(filler, full=bool(job.payload.get("full")))
    except Outbound as problem:
        if problem.permanent:
            raise jobs.Permanent(problem.message) from problem
        raise
    return {**filler.counts, "warnings": filler.warnings}


def _fill(filler: Filler, *, full: bool) -> None:
    wanted = set(filler.row.experiments)
    found = [one for one in filler.server.experiments() if not wanted or one["name"] in wanted or one["experiment_id"] in wanted]
    missing = wanted - {one["name"] for one in found} - {one["experiment_id"] for one in found}
    if missing:
        raise jobs.Permanent(f"the server has no experiment {min(missing)!r}")
    for place, one in enumerate(found):
        filler.job.report(place / (len(found) + 1), f"experiment {one['name'][:100]}")
        _experiment(filler, one, full=full)
    filler.job.report(len(found) / (len(found) + 1), "registered models")
    _registered(filler)
    with filler.transaction() as db:
        values = {"counts": filler.counts, "warnings": filler.warnings, "imported_at": clock.now()}
        db.execute(update(Import).where(Import.id == filler.row.id).values(**values))


def _experiment(filler: Filler, found: Json, *, full: bool) -> None:
    outside = str(found["experiment_id"])
    with filler.transaction() as db:
        row, outcome = projects.put(
            db,
            Experiment,
            {"project_id": filler.row.project_id, "external_id": filler.name(outside), **mlflow.experiment(found, filler.row.url)},
        )
    filler.counts["experiments"] += 1
    filler.count(outcome)
    mark = 0 if full else int(filler.row.marks.get(outside, 0))
    for filter_ in (f"attributes.end_time >= {mark}", "attributes.status = 'RUNNING'", "attributes.status = 'SCHEDULED'"):
        for page in filler.server.runs(outside, filter_):
            mark = max([mark, *(int(one["info"].get("end_time") or 0) for one in page)])
            _page(filler, row, page)
            _marked(filler, outside, mark)
    with filler.transaction() as db:
        _judge(db, row.id)


def _marked(filler: Filler, outside: str, mark: int) -> None:
    """Keep how far the import is, and stop here if somebody asked for it."""
    filler.row.marks = {**filler.row.marks, outside: mark}
    with filler.transaction() as db:
        db.execute(update(Import).where(Import.id == filler.row.id).values(marks=filler.row.marks))
        asked = jobs.get(db, filler.job.job_id).cancel_requested
    if asked:
        raise jobs.Cancelled


def _page(filler: Filler, experiment: Experiment, page: list[Json]) -> None:
    """Take in a page of runs: first what must be asked of the server, then all rows in one transaction."""
    asked = [(one, *_more(filler, one)) for one in page]
    with filler.transaction() as db:
        for one, values, path in asked:
            place = {"project_id": filler.row.project_id, "external_id": filler.name(one["info"]["run_id"]), "experiment_id": experiment.id}
            row, outcome = projects.put(db, Model, {**place, **values})
            filler.counts["models"] += 1
            filler.count(outcome)
            _inputs(filler, db, experiment, one)
            if path is not None and row.evaluation_id is None:
                jobs.enqueue(db, TABLE, {"model": str(row.id), "import": str(filler.row.id), "run": one["info"]["run_id"], "path": path})


def _more(filler: Filler, run_: Json) -> tuple[Json, str | None]:
    """Return a run's columns with learning curves and artifacts, and the path of its evaluation table."""
    run_id = run_["info"]["run_id"]
    values = mlflow.model(run_, filler.row.url)
    values["learning_curve"] = [
        point for metric in mlflow.curved(run_) for point in mlflow.curve(metric, filler.server.history(run_id, metric))
    ]
    for output in run_.get("outputs", {}).get("model_outputs", [])[:1]:
        _describe(filler, output["model_id"], values)
    files = _files(filler, run_id)
    values["artifacts"] = [{"path": one["path"][:1_000], "bytes": int(one.get("file_size") or 0)} for one in files]
    evaluation = None
    for one in files:
        path, size = one["path"], int(one.get("file_size") or 0)
        if mlflow.IMPORTANCE.search(path) and size <= tracking.SMALL:
            values["feature_importance"] = _importance(filler, run_id, path)
        elif mlflow.EVALUATION.search(path) and size <= tracking.TABLE:
            evaluation = path
    return values, evaluation


def _describe(filler: Filler, model_id: str, values: Json) -> None:
    """Add what the logged model says of itself; a server that does not hand it out leaves it open."""
    try:
        flavour, signature = mlflow.described(filler.server.model_file(model_id))
    except ValueError as problem:
        filler.warn(f"model {model_id}: {problem}")
        return
    except Outbound as problem:
        if not problem.permanent:
            raise
        filler.warn(f"model {model_id}: {problem.message}")
        return
    values["algo"], values["signature"] = values["algo"] or flavour[:200], values["signature"] or signature


def _files(filler: Filler, run_id: str) -> list[Json]:
    found: list[Json] = []
    folders, seen = [""], 0
    while folders and len(found) < FILES and seen < FOLDERS:
        seen += 1
        for one in filler.server.files(run_id, folders.pop(0)):
            if one.get("is_dir"):
                folders.append(one["path"])
            else:
                found.append(one)
    return found[:FILES]


def _importance(filler: Filler, run_id: str, path: str) -> list[Json]:
    try:
        return mlflow.importance(path, filler.server.file(run_id, path, tracking.SMALL))
    except (ValueError, KeyError, TypeError) as problem:
        filler.warn(f"run {run_id}: {path} cannot be read: {problem}")
        return []


def _inputs(filler: Filler, db: Session, experiment: Experiment, run_: Json) -> None:
    for given in run_.get("inputs", {}).get("dataset_inputs", [])[:20]:
        of_dataset, of_version = mlflow.dataset(given)
        place = {"project_id": filler.row.project_id}
        outside = filler.name(f"data:{of_dataset['name']}"[:400])
        dataset, outcome = projects.put(db, Dataset, {**place, "external_id": outside, **of_dataset})
        filler.count(outcome)
        known = projects.known(db, DatasetVersion, filler.row.project_id, f"{outside}@{of_version['digest']}"[:512])
        if known is None:
            newest = db.execute(
                select(DatasetVersion.number).where(DatasetVersion.dataset_id == dataset.id).order_by(DatasetVersion.number.desc()).limit(1)
            )
            values = {"dataset_id": dataset.id, "number": (newest.scalar_one_or_none() or 0) + 1, **of_version}
            known, outcome = projects.put(db, DatasetVersion, {**place, "external_id": f"{outside}@{of_version['digest']}"[:512], **values})
            filler.count(outcome)
        if experiment.dataset_version_id is None:
            experiment.dataset_version_id = known.id
            db.execute(update(Experiment).where(Experiment.id == experiment.id).values(dataset_version_id=known.id))


def _judge(db: Session, experiment_id: UUID) -> None:
    """Say of an experiment what its models tell: kind of problem, sort metric, state, the best."""
    row = db.execute(select(Experiment).where(Experiment.id == experiment_id).with_for_update()).scalar_one()
    found = list(db.execute(select(Model).where(Model.experiment_id == experiment_id)).scalars())
    names = {name for one in found for name, value in one.metrics.items() if value is not None}
    row.problem_type, row.metric = mlflow.problem_type(names), mlflow.sort_metric(names)
    states = {one.status for one in found}
    row.status = next(
        (state for state in ("running", "queued") if state in states), "succeeded" if not states or "succeeded" in states else "failed"
    )
    chosen = mlflow.best([(one.id, one.metrics) for one in found if one.status == "succeeded"], row.metric)
    for one in found:
        one.is_best = one.id == chosen
    row.finished_at = max((one.finished_at for one in found if one.finished_at), default=None)


def _registered(filler: Filler) -> None:
    """Give each model its registered name, version and aliases; a version in production or staging is a deployment."""
    aliases: dict[tuple[str, str], list[str]] = {}
    for one in filler.server.registered():
        for alias in one.get("aliases", []):
            aliases.setdefault((one["name"], str(alias["version"])), []).append(str(alias["alias"])[:300])
    for version in sorted(filler.server.versions(), key=lambda one: int(one["version"])):
        named = aliases.get((version["name"], str(version["version"])), [])
        with filler.transaction() as db:
            model = projects.known(db, Model, filler.row.project_id, filler.name(version.get("run_id") or ""))
            if model is None:
                continue  # of an experiment that is not imported
            model.registered_name, model.registered_version = version["name"][:300], str(version["version"])
            model.registered_aliases = sorted(named)
            stage = mlflow_stage(version.get("current_stage", ""), named)
            if stage is not None:
                _deployed(filler, db, model, version, stage)


def mlflow_stage(current: str, aliases: list[str]) -> str | None:
    """Return the stage of a version that is in use, or None."""
    if current == "Production" or any(alias.lower() in mlflow.PRODUCTION for alias in aliases):
        return "production"
    return "staging" if current == "Staging" or any(alias.lower() in ("staging", "challenger") for alias in aliases) else None


def _deployed(filler: Filler, db: Session, model: Model, version: Json, stage: str) -> None:
    values = {
        "project_id": filler.row.project_id,
        "external_id": filler.name(f"deployed:{version['name']}:{stage}"[:400]),
        "model_id": model.id,
        "name": version["name"][:300],
        "stage": stage,
        "status": "active",
        "config": {"registered_version": str(version["version"])},
        "deployed_at": mlflow.moment(version.get("last_updated_timestamp") or version.get("creation_timestamp")),
        "source_url": f"{filler.row.url}/#/models/{version['name']}/versions/{version['version']}"[:2_000],
    }
    _, outcome = projects.put(db, deployments.Deployment, values)
    filler.count(outcome)


TABLE = "ml.import_table"


def take_table(job: jobs.Running) -> Json:
    """Job `ml.import_table`: fetch the evaluation table of a run and let the model be judged by it."""
    with job.database.transaction(job.workspace) as db:
        row = db.execute(select(Import).where(Import.id == UUID(job.payload["import"]))).scalar_one_or_none()
        model = db.execute(select(Model).where(Model.id == UUID(job.payload["model"]))).scalar_one_or_none()
    if row is None or model is None:
        raise jobs.Permanent("the import or the model was removed")
    services = job.services
    secret: Any = services.keys.unseal(imports.PURPOSE, imports.bound(job.workspace, row.id), row.secret) if row.secret else {}
    server = Server(outbound.guard(services.settings), row.url, tracking.authorization(secret))
    with tempfile.TemporaryDirectory(prefix="upload-", dir=services.settings.data_dir) as folder:
        path = Path(folder) / "upload"
        try:
            path.write_bytes(server.file(job.payload["run"], job.payload["path"], tracking.TABLE))
            with (
                uploads.stored(services.storage, job.workspace, path, "evaluation", services.settings, mapping={}) as kept,
                job.database.transaction(job.workspace) as db,
            ):
                table = uploads.keep(db, kept, model.project_id, "evaluation", job.payload["path"])
                held = db.execute(select(Model).where(Model.id == model.id).with_for_update()).scalar_one()
                tables.forget(db, [held.evaluation_id])
                held.evaluation_id = table.id
        except (Invalid, TooLarge, UnsupportedMedia) as problem:
            raise jobs.Permanent(f"{job.payload['path']}: {problem.message}") from problem
    return {"table": ids.show(ids.Prefix.ML_TABLE, table.id), "rows": table.rows}
