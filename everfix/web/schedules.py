"""Schedules: when reports are made and to whom they go; the form shows the next ten firings while one types."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form, Query
from starlette.responses import Response

from everfix import deps, documents
from everfix.core import clock, ids
from everfix.delivery import destinations
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Scope
from everfix.reports import calendar, definitions, orders, schedules, sending, templates, watchdog, windows
from everfix.web import reports, saved_reports, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
FIRES = 10
EMPTY = {
    "name": "",
    "report": "executive_summary",
    "window": "7d",
    "format": "pdf",
    "cron": calendar.PRESETS["Weekly Mon 8am"],
    "recipients": "",
    "when": "always",
    "misfire": "send_late",
}
WHEN = {
    "always": "always",
    "not_empty": "only when there is something to report",
    "changed": "only when something changed since the last run",
}
MISSED = {"send_late": "send the newest late", "merge": "send one for all that were missed", "skip": "leave it out"}
Json = dict[str, Any]


@router.get("/reports/schedules")
def listed(visit: session.sees(Scope.REPORTS_READ)) -> Response:  # type: ignore[valid-type]
    """Every schedule of the workspace, and what the watchdog has found."""
    return _page(visit)


def _page(visit: Visit, problem: str = "", given: Json | None = None) -> Response:
    reader, form = shown.Reader.of(visit.here), {**EMPTY, "timezone": visit.here.timezone, **(given or {})}
    known = {item.id: item for item in [*definitions.listed(visit.db), *definitions.listed(visit.db, origins=("schedule",))]}
    rows = []
    for item in schedules.listed(visit.db):
        of = known[item.definition_id]
        what = of.name if of.origin != "schedule" else templates.get(of.template).name
        link = f"/reports/saved/{ids.show(ids.Prefix.REPORT, of.id)}" if of.origin != "schedule" else ""
        rows.append(
            {**saved_reports.schedule_row(reader, item), "report": what, "link": link, "window": windows.title(item.window or of.window)}
        )
    return shell.page(
        visit,
        "reports/schedules.html",
        status=422 if problem else 200,
        rows=rows,
        overdue=[{"name": item.name, "words": item.words} for item in watchdog.look(visit.db, clock.now())],
        problem=problem,
        given=form,
        when=WHEN,
        missed=MISSED,
        presets=calendar.PRESETS,
        kinds=[item for item in templates.TEMPLATES.values() if item.sections],
        saved=[(ids.show(ids.Prefix.REPORT, item.id), item.name) for item in definitions.listed(visit.db)],
        usual=tuple(windows.USUAL),
        formats=reports.formats(),
        places=[(str(item.id), item.name) for item in destinations.listed(visit.db, enabled=True)],
        fires=_fires(form["cron"], form["timezone"]),
    )


@router.get("/reports/schedules/fires")
def fires(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    cron: Annotated[str, Query(max_length=200)] = "",
    timezone: Annotated[str, Query(max_length=64)] = "UTC",
) -> Response:
    """The next ten firings of what is being typed."""
    return shell.page(visit, "reports/fires.html", fires=_fires(cron, timezone))


def _fires(cron: str, timezone: str) -> Json:
    try:
        found = calendar.next_fires(cron, timezone, clock.now(), FIRES)
    except Invalid as problem:
        return {"problem": problem.message, "rows": []}
    rows = [{"local": f"{item.local:%a %d %b %Y, %H:%M}", "utc": f"{item.at:%d %b, %H:%M}", "note": item.note} for item in found]
    return {"problem": "", "rows": rows, "zone": timezone}


@router.post("/reports/schedules")
def create(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    name: Annotated[str, Form(max_length=200)] = "",
    cron: Annotated[str, Form(max_length=200)] = "",
    timezone: Annotated[str, Form(max_length=64)] = "UTC",
    report: Annotated[str, Form(max_length=80)] = "executive_summary",
    window: Annotated[str, Form(max_length=30)] = "7d",
    recipients: Annotated[str, Form(max_length=20_000)] = "",
    format: Annotated[str, Form(max_length=10)] = "pdf",
    destination: Annotated[list[str] | None, Form(max_length=64)] = None,
    misfire: Annotated[str, Form(max_length=20)] = "send_late",
    when: Annotated[str, Form(max_length=20)] = "always",
) -> Response:
    """Save a schedule: active at once."""
    saved = shell.shown_id(ids.Prefix.REPORT, report) if report.startswith(ids.Prefix.REPORT) else None
    given: Json = {"name": name, "cron": cron, "timezone": timezone, "report": report, "window": window, "format": format}
    try:
        with visit.db.begin_nested():
            schedules.create(
                visit.db,
                visit.who,
                definition_id=saved,
                report_type=None if saved is not None else report,
                name=name,
                cron=cron,
                timezone=timezone,
                window=window,
                formats=[documents.ALIASES.get(format, format)],
                recipients=[part for part in recipients.replace(",", " ").replace(";", " ").split() if part],
                destinations=[wanted for text in destination or [] if (wanted := shell.shown_id(ids.Prefix.DESTINATION, text))],
                misfire=misfire,
                condition={"when": when},
            )
    except Invalid as problem:
        return _page(visit, problem.message, {**given, "recipients": recipients, "misfire": misfire, "when": when})
    return shell.go("/reports/schedules")


@router.post("/reports/schedules/{schedule_id}/{action}")
def act(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    schedule_id: str,
    action: str,
    settings: deps.Config,
    keys: deps.SigningKeys,
) -> Response:
    """Run a schedule now, pause it, resume it, or remove it."""
    wanted = shell.shown_id(ids.Prefix.SCHEDULE, schedule_id)
    if wanted is None:
        raise NotFound("there is no such schedule")
    match action:
        case "run":
            orders.fire(visit.db, sending.means(settings, keys), visit.who, wanted)
        case "pause":
            schedules.pause(visit.db, wanted, visit.who)
        case "resume":
            schedules.resume(visit.db, wanted, visit.who)
        case "delete":
            schedules.remove(visit.db, wanted, visit.who)
        case _:
            raise NotFound("there is no such action")
    return shell.go("/reports/schedules")
