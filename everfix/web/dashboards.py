"""Dashboards: six pages, each the parts of one entry of `metrics.dashboards`; with export, saving as a report, and what is behind an anomaly."""

from __future__ import annotations

import dataclasses
from datetime import datetime, timedelta
from typing import Annotated, Any
from urllib.parse import quote, urlencode
from zoneinfo import ZoneInfo

from fastapi import APIRouter, Form, Query, Request
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import documents
from everfix.core import clock, ids
from everfix.core.fields import storable
from everfix.delivery import destinations
from everfix.documents.model import Chart, Narrative, Table, Unit
from everfix.errors import Invalid, NotFound
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.metrics import blocks, dashboards, periods, query, segments
from everfix.metrics.attribution_sources import MODELS
from everfix.metrics.dashboards import Dashboard, Part
from everfix.metrics.periods import Period
from everfix.reports import previews, runs, saving, stories
from everfix.reports.runs import Run
from everfix.web import executive as overview
from everfix.web import model_health, pictures, reports, session, shell, shown

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
Word = Annotated[str, Query(max_length=210)]
Field = Annotated[str, Form(max_length=210)]
FORMATS = ("pdf", "csv", "markdown", "html")
PRESETS = {"daily": ("Daily, 8:00", "0 8 * * *"), "weekly": ("Mondays, 8:00", "0 8 * * 1"), "monthly": ("On the 1st, 8:00", "0 8 1 * *")}
HEIGHT = 240
QUIET = timedelta(days=90)  # when nothing has failed for so long, a page shows the days up to the last failure, and says so
UP_TO_NOW = ("data-health",)  # never shown as of the newest failure: its silence is what is looked for
TOO_MANY = 0.8  # not linked at the fourth stage of the pipeline: a sign that something is set up wrongly
# Columns of tables that stand in half the page's width.
KEEP = {"offer_performance_grouped": ("group", "impressions", "conversions", "conversion_rate")}


@dataclasses.dataclass(frozen=True, slots=True)
class View:
    """What is looked at: a dashboard, for which days, narrowed to what."""

    dashboard: Dashboard
    label: str
    days: int
    segment: str
    by: str
    model: str
    until: str

    @property
    def query(self) -> str:
        """The view as the end of an address."""
        more = {
            "segment": self.segment,
            "by": self.by if self.by != "service" else "",
            "model": self.model if self.model != MODELS[0] else "",
            "until": self.until,
        }
        return urlencode({"period": self.label, **{key: value for key, value in more.items() if value}})

    def params(self, part: Part) -> Json:
        """Return what a part's source is asked."""
        known = {param.key for param in query.find(part.source).params}
        if part.source == "decision_traces_summary":
            return {"windowHours": pipeline_hours(self.days), **({"segmentId": self.segment} if self.segment else {})}
        chosen = {
            "by": self.by if part.source == "segment_patterns" else None,
            "model": self.model if self.dashboard.key == "attribution" else None,
        }
        return part.given(self.days, self.segment or None) | {key: value for key, value in chosen.items() if value and key in known}


def _view(key: str, period: str, segment: str, by: str = "service", model: str = MODELS[0], until: str = "") -> View:
    try:
        dashboard = dashboards.get(key)
    except Invalid:
        raise NotFound(f"there is no dashboard {key[:40]!r}") from None
    if by not in ("service", "team", "domain") or model not in MODELS:
        raise Invalid("there is no such view", details={"by": "service, team or domain", "model": f"one of {', '.join(MODELS)}"})
    kept = storable(segment) if dashboard.segments else ""
    return View(dashboard, period.lower(), dashboards.days(period), kept, by, model, until)


@router.get("/dashboards")
def first(_: session.sees(Scope.REPORTS_READ)) -> Response:  # type: ignore[valid-type]
    """Lead to the first dashboard."""
    return shell.go("/dashboards/executive")


@router.get("/dashboards/{key}")
def page(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    key: str,
    period: Word = dashboards.DEFAULT_PERIOD,
    segment: Word = "",
    by: Word = "service",
    model: Word = MODELS[0],
    until: Word = "",
) -> Response:
    """One dashboard, of a period that ends now, or with the day `until`."""
    view = _view(key, period, segment, by, model, until)
    newest = visit.db.execute(select(func.max(Issue.occurred_at))).scalar_one()
    if newest is None:
        return shell.page(visit, "dashboards/empty.html", url=str(visit.request.app.state.installation.url))
    now = clock.now()
    as_of, moved = _as_of(view, newest, now, visit.here.timezone)
    reader = shown.Reader.of(visit.here)
    stretch = periods.last(view.days, as_of, visit.here.timezone)
    words, written, report = _told(visit, reader, view, as_of, now)
    return shell.page(
        visit,
        "dashboards/page.html",
        view=view,
        all=list(dashboards.DASHBOARDS.values()),
        periods=list(dashboards.PERIODS),
        segments=segments.listed(visit.db) if view.dashboard.segments else {},
        models=MODELS,
        story=words,
        written=reader.moment(written),
        moved=reader.moment(newest) if moved else "",
        today=now.astimezone(ZoneInfo(visit.here.timezone)).date().isoformat(),
        report=report,
        every_format=reports.formats(),
        stretch=_stretch(reader, stretch),
        cards=_cards(visit.db, reader, view, stretch),
        parts=_parts(visit, reader, view, stretch),
        formats=[(key_, reports.FORMAT_NAMES[key_]) for key_ in FORMATS],
        presets=PRESETS,
        destinations=destinations.listed(visit.db, enabled=True),
    )


def _as_of(view: View, newest: datetime, now: datetime, timezone: str) -> tuple[datetime, bool]:
    """Return the end of the period, and whether it was moved back to the last failure without being asked."""
    if view.until:
        return reports.end_of(view.until, timezone), False
    if now - newest > QUIET and view.dashboard.key not in UP_TO_NOW:
        return newest + timedelta(seconds=1), True
    return now, False


def _told(
    visit: session.Visit, reader: shown.Reader, view: View, as_of: datetime, now: datetime
) -> tuple[Narrative | None, datetime, Json | None]:
    """Return the words of the executive dashboard, when they were written, and the sections of its report."""
    if view.dashboard.key != "executive":
        return None, now, None
    report, own = overview.report(visit.db, reader, view.days, view.segment, as_of)
    if view.until:  # the kept words are those of the days up to now
        return own, now, report
    installation = visit.request.app.state.installation
    return *stories.of(visit.db, visit.who, view.dashboard, view.days, view.segment, as_of, now, installation), report


def _stretch(reader: shown.Reader, period: Period) -> str:
    days = period.shown()
    first_, last = (reader.words(day.isoformat(), Unit.DATE) for day in (days.start, days.end))
    return first_ if first_ == last else f"{first_} to {last}"


# ---- cards


def _cards(db: Session, reader: shown.Reader, view: View, period: Period) -> list[Json]:
    if view.dashboard.key == "executive":
        return [shown.card(reader, figure) for figure in overview.figures(db, period, view.days, view.segment or None)]
    made = []
    for part in view.dashboard.parts:
        if query.find(part.source).figures:
            source, table = query.find(part.source), query.table(db, part.source, period, view.params(part))
            made += [shown.card(reader, figure) for figure in blocks.figures(source, blocks.without(table, source.ids)).figures]
    return made


# ---- parts


def _parts(visit: session.Visit, reader: shown.Reader, view: View, period: Period) -> list[Json]:
    made, db = [], visit.db
    for place, part in enumerate(view.dashboard.parts):
        source = query.find(part.source)
        if source.figures:
            continue
        table = query.table(db, part.source, period, view.params(part), title=part.title)
        one: Json = {
            "id": f"part-{place}",
            "title": part.title or source.title,
            "about": source.about,
            "span": part.span,
            "kind": "table",
            "warning": "",
        }
        if part.source == "anomaly_candidates":
            one |= {"kind": "anomalies", "rows": _anomalies(reader, view, table), "empty": source.empty}
        elif part.source == "segment_patterns":
            one |= {"kind": "heatmap", "grid": pictures.heatmap(table), "empty": source.empty}
        elif part.source == "latency_runs":
            one |= {"kind": "runs", "bars": pictures.bars(reader, table), "empty": source.empty}
        else:
            drawn = next((block for block in blocks.of(table) if isinstance(block, Chart)), None)
            one["chart"] = shown.chart(reader, drawn, height=HEIGHT) if drawn else None
            one["table"] = shown.table(reader, table, keep=KEEP.get(part.source, ()))
            if part.source == "decision_traces_summary":
                one |= _pipeline(view, table)
        made.append(one)
    return made + (model_health.parts(db, reader, visit.who, len(view.dashboard.parts)) if view.dashboard.key == "model-health" else [])


def _anomalies(reader: shown.Reader, view: View, table: Table) -> list[Json]:
    found = []
    for row in shown.rows(reader, table):
        asked = {"metric": row["metric"]["text"], "dimension": row["dimension"]["text"], "period": view.label, "segment": view.segment}
        words = {name: row[name]["text"] for name in ("metric", "dimension", "current", "baseline", "z_score", "severity")}
        delta = row["delta"]["raw"]
        found.append(
            {
                **words,
                "delta": "" if delta is None else f"{'+' if delta > 0 else '−'}{abs(delta):.0%}".replace("%", " %"),
                "ask": urlencode(asked),
            }
        )
    return found


def _pipeline(view: View, table: Table) -> Json:
    """Return the pipeline's heading with the window really used, and whether too many were dropped by its fourth stage."""
    hours = pipeline_hours(view.days)
    dropped = table.rows[3][3]
    told = f"last {hours} h" if hours <= 24 else f"last {hours // 24} d"
    too_many = isinstance(dropped, float) and dropped > TOO_MANY
    return {"title": f"Loop pipeline, {told}", "warning": f"{dropped:.0%} were not linked to a pattern" if too_many else ""}


def pipeline_hours(days: int) -> int:
    """Return the pipeline's window for a period: a week at most."""
    return min(24 * days, 168)


@router.get("/dashboards/executive/explain")
def explain(
    visit: session.sees(Scope.REPORTS_READ),  # type: ignore[valid-type]
    metric: Word,
    dimension: Word,
    period: Word = dashboards.DEFAULT_PERIOD,
    segment: Word = "",
) -> Response:
    """What is behind one anomaly: its figures, and the patterns whose failures changed most there."""
    days, now = dashboards.days(period), clock.now()
    reader, stretch = shown.Reader.of(visit.here), periods.last(days, now, visit.here.timezone)
    given = {"days": days, "segmentId": storable(segment) or None}
    rows = [
        row
        for row in query.records(visit.db, "anomaly_candidates", stretch, given)
        if (row["metric"], row["dimension"]) == (metric, dimension)
    ]
    kind, _, name = dimension.partition(" ")
    where = {"channelId": name} if kind == "source" else {"segmentId": f"{kind}:{name}"} if name else given
    behind = query.table(
        visit.db, "anomaly_patterns", stretch, {**given, **{key: storable(str(value)) for key, value in where.items() if value}}
    )
    return shell.page(
        visit,
        "dashboards/explain.html",
        anomaly=rows[0] if rows else None,
        reader=reader,
        table=shown.table(reader, behind),
        metric=metric,
        dimension=dimension,
    )


# ---- export, and saving as a report


@router.post("/dashboards/{key}/export")
def export(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    request: Request,
    key: str,
    format: Field,
    period: Field = dashboards.DEFAULT_PERIOD,
    segment: Field = "",
    model: Field = MODELS[0],
) -> Response:
    """What is on screen as a file; nothing of it is stored here."""
    view = _view(key, period, segment, model=model)
    if format not in FORMATS:
        raise Invalid(f"format: {format[:20]!r} is not allowed", details={"format": f"one of {', '.join(FORMATS)}"})
    sections, name = _sections(view), f"{view.dashboard.name} dashboard"

    def order(_: Session) -> Run:
        return runs.new(visit.who, template="blank", sections=sections, window=f"{view.days}d", formats=[format], name=name, inputs={})

    installation = request.app.state.installation
    document = previews.document(installation, visit.who.workspace, order)
    headers = {
        "Content-Disposition": f"attachment; filename*=UTF-8''{quote(documents.filename(document, format))}",
        "Cache-Control": "private, no-store",
    }
    return Response(documents.render(document, format), media_type=documents.renderer(format).media_type, headers=headers)


def _sections(view: View) -> list[Json]:
    more = {"model": view.model} if view.dashboard.key == "attribution" else None
    return dashboards.saved(view.dashboard, view.days, view.segment or None, more)


@router.post("/dashboards/{key}/save")
def save(
    visit: session.changes(Scope.REPORTS_WRITE),  # type: ignore[valid-type]
    key: str,
    name: Field,
    period: Field = dashboards.DEFAULT_PERIOD,
    segment: Field = "",
    model: Field = MODELS[0],
    format: Annotated[list[str] | None, Form(max_length=10)] = None,
    narrative: Field = "",
    when: Field = "weekly",
    cron: Field = "",
    timezone: Field = "",
    to: Annotated[list[str] | None, Form(max_length=100)] = None,
) -> Response:
    """Save what is on screen as a report with its schedule, and say where it is."""
    view = _view(key, period, segment, model=model)
    wrong = [item for item in format or () if item not in FORMATS]
    if wrong or not format:
        raise Invalid("choose at least one format", details={"formats": f"one or more of {', '.join(FORMATS)}"})
    chosen = [found for text in to or () if (found := shell.shown_id(ids.Prefix.DESTINATION, text))]
    schedule: Json | None = None
    if when != "never":
        expression = PRESETS[when][1] if when in PRESETS else cron
        schedule = {"cron": expression, "timezone": timezone or visit.here.timezone, "destinations": chosen}
    made, planned = saving.dashboard(
        visit.db,
        visit.who,
        schedule,
        name=name,
        sections=_sections(view),
        window=f"{view.days}d",
        formats=format,
        narrative={"enabled": bool(narrative)},
        destinations=chosen,
    )
    address = f"/reports/saved/{ids.show(ids.Prefix.REPORT, made.id)}"
    if not shell.is_partial(visit.request):
        return shell.go(address)
    reader = shown.Reader("USD", planned.timezone if planned else visit.here.timezone, visit.here.brand_colour)
    return shell.page(
        visit, "dashboards/saved.html", report=made, address=address, next=reader.moment(planned.next_run_at) if planned else ""
    )
