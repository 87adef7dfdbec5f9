"""Dashboard: the executive view, built from the very sections of the executive report, so that page and file say the same."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Annotated, Any
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Query
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.core import clock
from everfix.documents import cells
from everfix.documents.model import Chart, Document, Figures, Table
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.reports import build, templates, windows
from everfix.web import reports, session, shell, shown

router = APIRouter(include_in_schema=False)
TEMPLATE = "executive_summary"
RANGES = tuple(windows.USUAL)
QUIET = timedelta(days=90)  # when nothing has failed for so long, the page shows the days up to the last failure, and says so
Json = dict[str, Any]


@router.get("/")
def root(_: session.Visiting) -> Response:
    """Lead to the dashboard."""
    return shell.go(shell.HOME)


@router.get("/dashboard")
def dashboard(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    window: Annotated[str, Query(max_length=10)] = "30d",
    until: Annotated[str, Query(max_length=10)] = "",
) -> Response:
    """The executive dashboard of a window that ends now, or with the day `until`."""
    windows.days(window)
    newest = visit.db.execute(select(func.max(Issue.occurred_at))).scalar_one()
    if newest is None:
        return shell.page(visit, "dashboard/empty.html", url=str(visit.request.app.state.installation.url))
    now = clock.now()
    as_of, moved = _as_of(until, newest, now, visit.here.timezone)
    template = templates.get(TEMPLATE)
    document = build.document(visit.db, template.name, template.key, template.sections, window, {}, as_of, "")
    reader = shown.Reader.of(visit.here)
    return shell.page(
        visit,
        "dashboard/page.html",
        window=window.lower(),
        ranges=RANGES,
        until=as_of.astimezone(ZoneInfo(visit.here.timezone)).date().isoformat() if as_of != now else "",
        moved=reader.moment(newest) if moved else "",
        period=cells.period(document),
        compared=cells.compared(document),
        today=now.astimezone(ZoneInfo(visit.here.timezone)).date().isoformat(),
        formats=reports.formats(),
        story=document.narrative,
        **_parts(reader, document),
    )


@router.get("/dashboard/waiting")
def waiting(visit: session.sees(Scope.REPORTS_READ)) -> Response:  # type: ignore[valid-type]
    """Tell a page that waits for the first failure whether it has come."""
    if arrived(visit.db):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return Response(status_code=204)


def arrived(db: Session) -> bool:
    """Tell whether the workspace holds any failure."""
    return db.execute(select(Issue.id).limit(1)).one_or_none() is not None


def _as_of(until: str, newest: datetime, now: datetime, timezone: str) -> tuple[datetime, bool]:
    """Return the end of the window, and whether it was moved back to the last failure without being asked."""
    if until:
        return reports.end_of(until, timezone), False
    if now - newest > QUIET:
        return newest + timedelta(seconds=1), True
    return now, False


# block key → how high its chart stands
HEIGHTS = dict.fromkeys(
    ("risk_by_day_chart", "issues_by_severity_chart", "issues_by_day_chart", "issues_by_hour_chart", "issues_by_service_chart"), 250
)
COLUMNS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "top_patterns": (("pattern", "status", "risk_score", "issues", "share", "before", "last_seen", "probability"), {"pattern": "service"}),
    "loops_prevented": (("fix", "claimed", "expected", "observed", "prevented", "holds", "verdict"), {"fix": "pattern"}),
}


def _parts(reader: shown.Reader, document: Document) -> Json:
    """Return the blocks of every section by key: `cards`, `charts`, `tables`, and `lists` as rows of named values."""
    parts: Json = {"cards": [], "charts": {}, "tables": {}, "lists": {}, "titles": {}}
    for section in document.sections:
        parts["titles"][section.id] = section.title
        for block in section.blocks:
            if isinstance(block, Figures):
                parts["cards"] += [shown.card(reader, figure) for figure in block.figures]
            elif isinstance(block, Chart):
                parts["charts"][block.key] = shown.chart(reader, block, height=HEIGHTS.get(block.key))
            elif isinstance(block, Table):
                keep, under = COLUMNS.get(block.key, ((), {}))
                parts["tables"][block.key] = shown.table(reader, block, keep=keep, under=under)
                parts["lists"][block.key] = shown.rows(reader, block)
    return parts
