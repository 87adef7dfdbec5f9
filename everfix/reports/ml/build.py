"""Build: the parts of a kind become a Document with its narrative; a part that cannot be made says why and takes nothing with it."""

from __future__ import annotations

import dataclasses
import tempfile
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

import polars as pl
import pyarrow as pa
import structlog
from numpy.linalg import LinAlgError

import everfix
from everfix import documents, narrative
from everfix.core import jobs
from everfix.core.db import Json
from everfix.documents import model
from everfix.documents.model import Block, Chart, Document, Figures, Section, Table
from everfix.identity import workspaces
from everfix.identity.workspaces import Workspace
from everfix.metrics.periods import Period
from everfix.ml.figures.unmade import Unmade
from everfix.ml.privacy import PrivacySession
from everfix.narrative import Account, How
from everfix.reports import runs, windows
from everfix.reports.ml import blocks, deployment, entities, experiment, options, privacy, project, subjects, synthgen, told
from everfix.reports.ml import model as one_model
from everfix.reports.ml.options import SWITCHES
from everfix.reports.ml.subjects import Subject
from everfix.reports.ml.work import Absent, Part, Work

log = structlog.get_logger()
PARTS: dict[str, tuple[Part, ...]] = {
    "experiment": experiment.PARTS,
    "model": one_model.PARTS,
    "project": project.PARTS,
    "synthgen": synthgen.PARTS,
    "deployment": deployment.PARTS,
    "privacy": privacy.PARTS,
}
# What bad data makes the libraries raise; anything else is a mistake of ours and fails the run.
BAD = (ValueError, TypeError, ArithmeticError, LookupError, pl.exceptions.PolarsError, pa.ArrowException, LinAlgError)
NAMES = {
    "experiment": "Experiment",
    "model": "Model",
    "project": "Project",
    "synthgen": "Synthetic-data run",
    "deployment": "Deployment",
    "privacy": "Privacy session",
}
SCORED = (
    "AUC is the area under the ROC curve, average precision the area under precision by recall; computed by scikit-learn.",
    "The expected calibration error is the mean gap between predicted and observed shares over ten bins, weighted by their rows.",
)
DRIFTED = "PSI, K–S and Jensen–Shannon compare a feature now with the reference; PSI below 0.1 is stable, to 0.25 moderate, above major."
DEFINITIONS: dict[str, tuple[str, ...]] = {
    "experiment": SCORED,
    "model": SCORED,
    "deployment": (*SCORED, DRIFTED),
    "project": (DRIFTED,),
    "synthgen": ("Scores of synthetic data are those of SDMetrics; distances between records are means over the columns, 0 to 1.",),
}


def make(job: jobs.Running, run: runs.Run, how: How) -> tuple[Document, Account]:
    """Return a run's Document with its narrative, and the account of that; notes the summary on the run's subject."""
    with job.database.transaction(job.workspace) as db:
        subject = subjects.noted(db, run)
    document, work, account = made(job, subject, run, how)
    with job.database.transaction(job.workspace) as db:
        found = subjects.of_run(db, run.id)
        assert found is not None  # noqa: S101 - noted above
        found.summary = summary(document, work)
    return document, account


class Standing(jobs.Running):
    """Work that no job stands for."""

    def report(self, progress: float, message: str = "") -> None:
        """Nobody waits for word."""


def privacy_pdf(installation: Any, workspace: UUID, row: PrivacySession, as_of: datetime) -> bytes:  # noqa: ANN401 - everfix.installation stands above
    """Return the PDF of a privacy session."""
    job = Standing(installation.database, workspace, row.id, {}, installation)
    subject = Subject(project_id=row.project_id, kind="privacy", entity_id=row.id, options=options.read(None))
    run = runs.Run(name="", window="1d", as_of=as_of, inputs={}, template="ml_privacy")
    return documents.render(made(job, subject, run, How())[0], "pdf")


def made(job: jobs.Running, subject: Subject, run: runs.Run, how: How) -> tuple[Document, Work, Account]:
    """Return the Document, the work it took, and who wrote the narrative; notes nothing."""
    with job.database.transaction(job.workspace) as db:
        row, here = entities.get(db, subject.kind, subject.entity_id), workspaces.here(db)
        owner = entities.get(db, "project", subject.project_id)
    period = windows.period(run.window, run.as_of, here.timezone)
    with tempfile.TemporaryDirectory(prefix="everfix-ml-") as folder:
        work = Work(job, Path(folder), row, owner, subject.options)
        if subject.kind == "deployment":
            work.since, work.until = period.start, period.end
        sections = _sections(job, work, subject)
    bare = _document(subject, run, work, here, period, sections, job.services.url)
    document, account = _narrated(bare, work, how)
    return document, work, account


def _sections(job: jobs.Running, work: Work, subject: Subject) -> list[Section]:
    made: list[Section] = []
    parts = PARTS[subject.kind]
    absent: list[tuple[str, str]] = []
    for number, part in enumerate(parts):
        job.report(0.05 + 0.25 * number / len(parts), f"computing: {part.title.lower()}")
        if not all(work.options.get(switch, True) for switch in part.switches):
            continue
        try:
            found = _kept(work, part.build(work))
        except Absent as reason:
            absent.append((part.title, str(reason)))
            continue
        except Unmade as reason:
            found = (_why(str(reason)),)
        except BAD as problem:
            log.warning("a section could not be made", section=part.id, error=jobs.describe(problem))
            found = (_why(f"{type(problem).__name__}: {problem}"),)
        if found:
            made.append(Section(id=part.id, title=part.title, blocks=found))
    return _ordered(work, made, _appendix(work, subject, absent))


def _why(reason: str) -> Block:
    return blocks.note("unmade", f"This section could not be made: {reason[:400].rstrip('.')}.", role="warning")


def _kept(work: Work, found: Iterable[Block]) -> tuple[Block, ...]:
    """Return the blocks that are to be shown: without charts, a chart's table stands in for nothing; empty figures are dropped."""
    charts = work.options.get("include_charts", True)
    return tuple(
        block for block in found if not (isinstance(block, Chart) and not charts) and not (isinstance(block, Figures) and not block.figures)
    )


def _ordered(work: Work, made: list[Section], appendix: Section) -> list[Section]:
    """Put the checks after the figures, then the body, the comments, the insights and the appendix."""
    place = 1 if made and made[0].id == "glance" else 0
    extra = [_checks(work)] if work.checks else []
    ends = [*_comments(work), *_insights(work), appendix]
    return [*made[:place], *extra, *made[place:], *ends]


def _checks(work: Work) -> Section:
    columns = (
        ("check", "Check", blocks.TEXT), ("value", "Found", blocks.MEASURE), ("limit", "Asked for", blocks.TEXT), ("verdict", "Verdict", blocks.TEXT),
        ("why", "Meaning", blocks.TEXT, {"wide": True}),
    )  # fmt: skip
    order = {"fail": 0, "warn": 1, "pass": 2}
    rows = [(one.name, one.value, one.limit, one.verdict, one.why) for one in sorted(work.checks, key=lambda one: order[one.verdict])]
    return Section(id="checks", title="What a reviewer should know", blocks=(blocks.table("checks", "", columns, rows),))


def _comments(work: Work) -> Iterator[Section]:
    said = work.options.get("comments")
    if said:
        yield Section(id="comments", title="Comments", blocks=(blocks.note("comments", *_paragraphs(said), role="body"),))


def _paragraphs(text: str) -> list[str]:
    return [part.strip() for part in text.splitlines() if part.strip()][:200]


def _insights(work: Work) -> Iterator[Section]:
    if work.options.get("llm_insights"):
        words = "What to do next, drawn from the figures above. Each number in it is a figure of this report."
        yield Section(id="insights", title="Insights and recommendations", blocks=(blocks.note("insights", words),))


def _appendix(work: Work, subject: Subject, absent: list[tuple[str, str]]) -> Section:
    found: list[Block] = []
    if absent:
        found.append(
            blocks.table(
                "left_out", "Not in this report", (("section", "Section", blocks.TEXT), ("why", "Why", blocks.TEXT, {"wide": True})), absent
            )
        )
    if subject.kind in options.KINDS:  # no other is ordered with options
        heard = {"llm_insights", "include_charts", *(switch for part in PARTS[subject.kind] for switch in part.switches)}
        chosen = [
            (_shown(name), "yes" if work.options.get(name, switch.default) else "no") for name, switch in SWITCHES.items() if name in heard
        ]
        found.append(blocks.table("options", "Options", (("option", "Option", blocks.TEXT), ("value", "Set to", blocks.TEXT)), chosen))
    if subject.kind in DEFINITIONS:
        found.append(blocks.note("definitions", *DEFINITIONS[subject.kind], title="Definitions", role="body"))
    named = (
        (f"{NAMES[subject.kind]} id", str(subject.entity_id)),
        ("Project id", str(subject.project_id)),
        ("Report id", str(subject.run_id or "")),
    )
    found.append(blocks.facts("ids", "Identifiers", dict(named).items()))
    return Section(id="appendix", title="Appendix", blocks=tuple(found))


def _shown(switch: str) -> str:
    return switch.removeprefix("include_").replace("_", " ").capitalize().replace("Llm", "LLM").replace("Roc", "ROC")


def _document(subject: Subject, run: runs.Run, work: Work, here: Workspace, period: Period, sections: list[Section], url: str) -> Document:
    kind, name = NAMES[subject.kind], str(work.entity.name)
    title = work.options.get("title") or run.name or f"{kind} report: {name}"
    dated = subject.kind == "deployment"
    shown = period.shown().model_copy(update={"label": "" if dated else "As of"})
    alone = subject.kind == "project"
    facts = (
        (kind, name[:200]), *(() if alone else (("Project", str(work.project.name)[:200]),)),
        *((("Period", f"{period.start:%-d %b %Y} to {period.end - timedelta(seconds=1):%-d %b %Y}"),) if dated else ()),
    )  # fmt: skip
    return Document(
        title=str(title)[:200], subtitle=("Everything in the project with its status" if alone else f"{kind} {name}, project {work.project.name}")[:300], workspace=here.name, period=shown,
        generated_at=run.as_of, currency=here.currency, brand=_brand(here, run.inputs.get("brand") or {}), notices=tuple(run.inputs.get("notices") or ()),
        facts=facts, sections=tuple(sections), link=f"{url}/ml/projects/{subject.project_id}", template=f"ml_{subject.kind}", code_version=everfix.__version__,
    )  # fmt: skip


def _brand(here: Workspace, own: Json) -> model.Brand:
    return model.Brand(name=own.get("name") or here.name, colour=own.get("colour") or here.brand_colour, logo_svg=own.get("logo_svg") or "")


NOBODY = "Insights by a language model were asked for, and none is configured: the rules wrote this."


def _narrated(bare: Document, work: Work, how: How) -> tuple[Document, Account]:
    """Add the narrative: the rules', or a model's where insights are asked for and one is configured. No transaction is open here."""
    draft = told.write(bare, work)
    asked = bool(work.options.get("llm_insights"))
    if asked and how.assistant is None:
        draft = draft.model_copy(update={"note": " ".join(part for part in (draft.note, NOBODY) if part)})
    made, account = narrative.write(bare, how if asked else dataclasses.replace(how, assistant=None), draft)
    work.kept["insights"] = "off" if not asked else "included" if account.writer not in ("rules", "none") else "unavailable"
    return bare.model_copy(update={"narrative": made}), account


def summary(document: Document, work: Work) -> Json:
    """Return what a list shows of a report."""
    first: Any = work.kept.get("primary")
    story = document.narrative
    verdicts = [one.verdict for one in work.checks]
    return {
        "title": document.title,
        "headline": story.executive_summary[0] if story and story.executive_summary else "",
        "primary_metric": {"name": first[0], "value": first[1]} if isinstance(first, tuple) else None,
        "sections": [section.id for section in document.sections],
        "checks": {word: verdicts.count(word) for word in ("pass", "warn", "fail")},
        "llm_insights": work.kept.get("insights", "off"),
        "warnings": [
            f"{section.title}: {block.paragraphs[0]}"
            for section in document.sections
            for block in section.blocks
            if block.key == "unmade" and not isinstance(block, Table | Chart | Figures)
        ],
    }
