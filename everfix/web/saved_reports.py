"""Saved reports: the list, one report with its runs and schedules, a run with what it said, and a live preview of what is being chosen."""

from __future__ import annotations

from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query
from sqlalchemy import select
from starlette.responses import Response

from everfix import deps
from everfix.core import clock, ids
from everfix.delivery import outbox
from everfix.delivery.outbox import Delivery
from everfix.documents.model import Chart, Document, Figures, Table, Unit
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Scope
from everfix.reports import build, definitions, differences, orders, runs, schedules, sending, templates, windows
from everfix.reports.runs import Run
from everfix.reports.sections import SECTIONS
from everfix.web import reports, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
RUNS = 30
PILLS = {"sent": "succeeded", "planned": "queued", "held": "queued", "sending": "running", "partial": "failed"}  # the shell's colours


@router.get("/reports/saved")
def listed(visit: session.sees(Scope.REPORTS_READ)) -> Response:  # type: ignore[valid-type]
    """Every saved report, each with when it comes next and a button that runs it now."""
    reader = shown.Reader.of(visit.here)
    plans: dict[UUID, list[schedules.Schedule]] = {}
    for plan in schedules.listed(visit.db):
        plans.setdefault(plan.definition_id, []).append(plan)
    rows = [_listed(reader, found, plans.get(found.id, [])) for found in definitions.listed(visit.db)]
    return shell.page(visit, "reports/saved.html", rows=rows)


def _listed(reader: shown.Reader, found: definitions.Definition, plans: list[schedules.Schedule]) -> Json:
    nexts = [plan.next_run_at for plan in plans if plan.enabled and plan.next_run_at]
    last = plans[0].last_status if plans and plans[0].last_status != "pending" else ""
    return {
        "href": f"/reports/saved/{ids.show(ids.Prefix.REPORT, found.id)}",
        "name": found.name,
        "about": found.description,
        "origin": "saved from a dashboard" if found.origin == "dashboard" else found.template.replace("_", " "),
        "window": windows.title(found.window),
        "formats": ", ".join(reports.FORMAT_NAMES.get(key, key) for key in found.formats),
        "schedules": len(plans),
        "enabled": found.enabled,
        "next": reader.moment(min(nexts)) if nexts else "by hand only",
        "last": last,
        "pill": PILLS.get(last, last),
    }


@router.post("/reports/saved")
def create(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    template: reports.Field,
    name: Annotated[str, Form(max_length=200)] = "",
    window: reports.Field = "30d",
    section: Annotated[list[str] | None, Form(max_length=64)] = None,
    format: Annotated[list[str] | None, Form(max_length=10)] = None,
    first: Annotated[str, Form(max_length=10)] = "",
    last: Annotated[str, Form(max_length=10)] = "",
) -> Response:
    """Save what was chosen as a report."""
    made = definitions.create(
        visit.db,
        visit.who,
        template=template,
        name=name or templates.get(template).name,
        window=reports.framed(window, first, last),
        formats=format or [],
        sections=section if template == "blank" else None,
    )
    return shell.go(f"/reports/saved/{ids.show(ids.Prefix.REPORT, made.id)}")


@router.get("/reports/preview")
def preview(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    template: Annotated[str, Query(max_length=64)] = "executive_summary",
    window: Annotated[str, Query(max_length=30)] = "30d",
    section: Annotated[list[str] | None, Query(max_length=64)] = None,
    first: Annotated[str, Query(max_length=10)] = "",
    last: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """What a report would say now, in short: its summary, and how much each section holds."""
    try:
        chosen = templates.get(template)
        parts = templates.sections_of(chosen, section if template == "blank" else None)
        made = build.document(
            visit.db,
            chosen.name,
            template,
            parts,
            reports.framed(window, first, last),
            {},
            clock.now(),
            "",
        )
    except Invalid as problem:
        return shell.page(visit, "reports/preview.html", problem=problem.message, summary=[], parts=[])
    said = made.narrative.executive_summary if made.narrative else ()
    return shell.page(visit, "reports/preview.html", problem="", summary=said, parts=[_part(part) for part in made.sections])


def _part(part: Any) -> Json:  # noqa: ANN401 - a Section
    held = []
    for block in part.blocks:
        if isinstance(block, Figures):
            held.append(f"{len(block.figures)} figures")
        elif isinstance(block, Table):
            number = block.total_rows if block.total_rows is not None else len(block.rows)
            held.append(f"{number:,} {'row' if number == 1 else 'rows'}")
        elif isinstance(block, Chart):
            held.append("a chart")
    return {"title": part.title, "held": ", ".join(held) or "text"}


@router.get("/reports/saved/{report_id}")
def one(visit: session.sees(Scope.REPORTS_READ), report_id: str) -> Response:  # type: ignore[valid-type]
    """One report: what it holds, its schedules, and its runs with the result at each recipient."""
    found = _report(visit, report_id)
    query = select(Run).where(Run.definition_id == found.id, Run.parent_id.is_(None)).order_by(Run.created_at.desc()).limit(RUNS)
    reader = shown.Reader.of(visit.here)
    return shell.page(
        visit,
        "reports/one.html",
        report={
            "id": ids.show(ids.Prefix.REPORT, found.id),
            "name": found.name,
            "about": found.description,
            "enabled": found.enabled,
            "window": windows.title(found.window),
            "formats": ", ".join(reports.FORMAT_NAMES.get(key, key) for key in found.formats),
            "sections": [part.get("title") or _title(part) for part in found.sections],
            "filters": "; ".join(f"{key}: {', '.join(values)}" for key, values in found.filters.items()),
            "rights": f"the rights of {'its recipients' if found.run_as == 'recipient' else found.adopted_by or found.created_by}",
            "orphaned": definitions.orphaned(visit.db, found),
        },
        schedules=[schedule_row(reader, item) for item in schedules.listed(visit.db, found.id)],
        runs=run_rows(visit, list(visit.db.execute(query).scalars())),
    )


def _title(part: Json) -> str:
    section = SECTIONS.get(str(part.get("section")))
    return section.title if section is not None else str(part.get("source") or part.get("section"))


def _report(visit: Visit, text: str) -> definitions.Definition:
    wanted = shell.shown_id(ids.Prefix.REPORT, text)
    if wanted is None:
        raise NotFound("there is no such report")
    return definitions.get(visit.db, wanted)


def schedule_row(reader: shown.Reader, item: schedules.Schedule) -> Json:
    """Return a schedule as a row shows it."""
    return {
        "id": ids.show(ids.Prefix.SCHEDULE, item.id),
        "name": item.name,
        "cron": item.cron,
        "timezone": item.timezone,
        "enabled": item.enabled,
        "to": ", ".join(item.recipients) or (f"{len(item.destinations)} destinations" if item.destinations else "nobody"),
        "next": reader.moment(item.next_run_at) if item.enabled and item.next_run_at else "never" if item.enabled else "paused",
        "last": item.last_status,
        "pill": PILLS.get(item.last_status, item.last_status if item.last_status != "pending" else "queued"),
    }


def run_rows(visit: Visit, found: list[Run]) -> list[Json]:
    """Return runs as rows show them: status, duration, the result at each recipient, files."""
    reader, files = shown.Reader.of(visit.here), runs.files(visit.db, [run.id for run in found])
    rows: dict[UUID, list[Delivery]] = {run.id: [] for run in found}
    for row in visit.db.execute(select(Delivery).where(Delivery.run_id.in_(rows)).order_by(Delivery.created_at, Delivery.id)).scalars():
        if row.run_id is not None:
            rows[row.run_id].append(row)
    return [_run_row(reader, run, files[run.id], rows[run.id]) for run in found]


def _run_row(reader: shown.Reader, run: Run, files: list[runs.File], rows: list[Delivery]) -> Json:
    status, took = runs.told(run, [row.status for row in rows]), runs.seconds(run)
    return {
        "id": ids.show(ids.Prefix.RUN, run.id),
        "href": f"/reports/runs/{ids.show(ids.Prefix.RUN, run.id)}",
        "name": run.name,
        "status": status,
        "pill": PILLS.get(status, status),
        "reason": run.reason,
        "window": windows.title(run.window),
        "when": reader.moment(run.slot or run.created_at),
        "trigger": run.trigger,
        "took": reader.words(took, Unit.SECONDS) if took is not None and took >= 60 else f"{took:.1f} s" if took is not None else "–",
        "by": run.executor,
        "files": [reports.file_row(file) for file in files],
        "deliveries": [
            {"to": row.label, "status": row.status, "pill": PILLS.get(row.status, row.status), "words": outbox.needs_words(row)}
            for row in rows
        ],
    }


@router.post("/reports/saved/{report_id}/run")
def run_now(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    report_id: str,
    settings: deps.Config,
    keys: deps.SigningKeys,
) -> Response:
    """Run a report now, to where its schedules go, and say so."""
    found = _report(visit, report_id)
    to = schedules.destinations(visit.db, found)
    run = orders.place(visit.db, sending.means(settings, keys), visit.who, found.id, destinations=to)
    if not shell.is_partial(visit.request) or run.job_id is None:
        return shell.go(f"/reports/saved/{report_id}")
    return reports.progress_of(visit, run.job_id, "toast")


@router.post("/reports/saved/{report_id}/{action}")
def act(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    report_id: str,
    action: str,
) -> Response:
    """Switch a report on or off, adopt it, or remove it."""
    found = _report(visit, report_id)
    match action:
        case "switch":
            definitions.change(visit.db, found.id, visit.who, enabled=not found.enabled)
        case "adopt":
            visit.who.require(Scope.WORKSPACE_WRITE)
            definitions.adopt(visit.db, found.id, visit.who)
        case "delete":
            definitions.remove(visit.db, found.id, visit.who)
            return shell.go("/reports/saved")
        case _:
            raise NotFound("there is no such action")
    return shell.go(f"/reports/saved/{report_id}")


@router.get("/reports/runs/{run_id}")
def run_page(visit: session.sees(Scope.REPORTS_READ), run_id: str) -> Response:  # type: ignore[valid-type]
    """One run: what it said, under whose rights, its files, who got it, and what changed since the run before."""
    wanted = shell.shown_id(ids.Prefix.RUN, run_id)
    run = runs.find(visit.db, wanted) if wanted is not None else None
    if run is None:
        raise NotFound("there is no such report run")
    (row,) = run_rows(visit, [run])
    made = Document.model_validate(run.document) if run.document is not None else None
    earlier = runs.previous(visit.db, run) if made is not None else None
    changed = (
        differences.between(Document.model_validate(earlier.document), made)[:RUNS] if earlier is not None and made is not None else []
    )
    return shell.page(
        visit,
        "reports/run.html",
        run=row,
        report=ids.show(ids.Prefix.REPORT, run.definition_id) if run.definition_id else "",
        summary=made.narrative.executive_summary if made is not None and made.narrative else (),
        takeaways=made.narrative.key_takeaways if made is not None and made.narrative else (),
        notices=made.notices if made is not None else (),
        parts=[_part(part) for part in made.sections] if made is not None else [],
        writer=run.written.get("writer", ""),
        changed=[
            {"what": item.what, "where": item.section, "kind": item.column or item.kind, "before": item.before, "after": item.after}
            for item in changed
        ],
    )
