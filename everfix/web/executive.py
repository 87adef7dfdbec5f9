"""Executive: what leads to the one overview, its six figures, and the sections of the executive report on it, so that page and file agree."""

from __future__ import annotations

import dataclasses
from datetime import datetime
from typing import Any
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.documents.model import Chart, Document, Figure, Figures, Narrative, Table, Unit
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.metrics import query, segments
from everfix.metrics.periods import Period
from everfix.reports import build, templates
from everfix.web import session, shell, shown

router = APIRouter(include_in_schema=False)
TEMPLATE = "executive_summary"
Json = dict[str, Any]


@router.get("/")
def root(_: session.Visiting) -> Response:
    """Lead to the overview."""
    return shell.go(shell.HOME)


@router.get("/dashboard")
def moved(_: session.Visiting, request: Request) -> Response:
    """Lead where the overview is now, with what was asked of it."""
    asked = urlencode([("period" if key == "window" else key, value) for key, value in request.query_params.multi_items()])
    return shell.go(f"{shell.HOME}?{asked}" if asked else shell.HOME)


@router.get("/dashboards/executive/waiting")
def waiting(visit: session.sees(Scope.REPORTS_READ)) -> Response:  # type: ignore[valid-type]
    """Tell a page that waits for the first failure whether it has come."""
    if arrived(visit.db):
        return Response(status_code=204, headers={"HX-Refresh": "true"})
    return Response(status_code=204)


def arrived(db: Session) -> bool:
    """Tell whether the workspace holds any failure."""
    return db.execute(select(Issue.id).limit(1)).one_or_none() is not None


def figures(db: Session, period: Period, days: int, segment: str | None) -> tuple[Figure, ...]:
    """Return the six figures of the executive dashboard, from the sources that `dashboard-data` gives to programs."""
    given = {"days": days, "segmentId": segment}
    (summary,) = query.records(db, "summary_with_comparison", period, given)
    now, both = (query.records(db, "prevention_figures", period, {**given, "days": length})[0] for length in (days, 2 * days))
    (prevented, due), (all_prevented, all_due) = ((row["prevented"], row["due"]) for row in (now, both))
    auc = next(iter(query.records(db, "model_auc_summary_with_prev", period, given)), {})
    anomalies = len(query.records(db, "anomaly_candidates", period, given))
    earlier = dataclasses.replace(period, end=period.previous_end)
    before = len(query.records(db, "anomaly_candidates", earlier, given))
    rate = {
        "value": prevented / due if due else None,
        "previous": (all_prevented - prevented) / (all_due - due) if all_due - due > 0.05 else None,
    }
    issues, money = (
        tuple(float(row[key]) for row in query.records(db, source, period, given))
        for source, key in (("decision_trend", "decisions"), ("revenue_trend", "revenue"))
    )
    return (
        Figure(
            key="open_loops", title="Open loops", value=summary["active_offers"], previous=summary["active_offers_before"], better="down"
        ),
        Figure(key="issues", title="Issues", value=summary["decisions"], previous=summary["decisions_before"], better="down", spark=issues),
        Figure(
            key="prevention_rate", title="Prevention rate", unit=Unit.PERCENT, better="up", note="prevented of all that was due", **rate
        ),
        Figure(
            key="exposure_avoided",
            title="Exposure avoided",
            value=summary["revenue"],
            previous=summary["revenue_before"],
            unit=Unit.MONEY,
            better="up",
            spark=money,
        ),
        Figure(
            key="prediction_auc",
            title="Prediction AUC",
            value=auc.get("auc"),
            previous=auc.get("previous_auc"),
            unit=Unit.NUMBER,
            better="up",
        ),
        Figure(key="anomalies", title="Anomalies", value=anomalies, previous=before, better="down"),
    )


def report(db: Session, reader: shown.Reader, days: int, segment: str, as_of: datetime) -> tuple[Json, Narrative]:
    """Return the sections of the executive report of these days as the page shows them, and its words."""
    template = templates.get(TEMPLATE)
    document = build.document(db, template.name, template.key, template.sections, f"{days}d", _filters(db, segment), as_of, "")
    assert document.narrative is not None  # noqa: S101 - `build.document` writes one or raises
    return _parts(reader, document) | {"words": document.narrative.sections}, document.narrative


def _filters(db: Session, segment: str) -> Json:
    """Return a dashboard's segment, `kind:name` or a bare name, as the filters of a report."""
    kind, _, name = segment.rpartition(":")
    if not segment or kind:
        return {kind: [name]} if segment else {}
    return {next((kind for kind, names in segments.listed(db).items() if segment in names), "service"): [segment]}


CARDS = ("returns", "mttr", "prevented", "brier")
# block key → how high its chart stands
HEIGHTS = dict.fromkeys(
    ("risk_by_day_chart", "issues_by_severity_chart", "issues_by_day_chart", "issues_by_hour_chart", "issues_by_service_chart"), 250
)
COLUMNS: dict[str, tuple[tuple[str, ...], dict[str, str]]] = {
    "top_patterns": (("pattern", "status", "risk_score", "issues", "share", "before", "last_seen", "probability"), {"pattern": "service"}),
    "loops_prevented": (("fix", "claimed", "expected", "observed", "prevented", "holds", "verdict"), {"fix": "pattern"}),
}


def _parts(reader: shown.Reader, document: Document) -> Json:
    """Return the blocks of every section by key: `cards`, `charts`, `tables`, and `lists` as rows of named values; of the cards, those
    that are not among the six of the dashboard.
    """
    parts: Json = {"cards": [], "charts": {}, "tables": {}, "lists": {}, "titles": {}}
    for section in document.sections:
        parts["titles"][section.id] = section.title
        for block in section.blocks:
            if isinstance(block, Figures):
                parts["cards"] += [shown.card(reader, figure) for figure in block.figures if figure.key in CARDS]
            elif isinstance(block, Chart):
                parts["charts"][block.key] = shown.chart(reader, block, height=HEIGHTS.get(block.key))
            elif isinstance(block, Table):
                keep, under = COLUMNS.get(block.key, ((), {}))
                parts["tables"][block.key] = shown.table(reader, block, keep=keep, under=under)
                parts["lists"][block.key] = shown.rows(reader, block)
    return parts
