"""Web: the pages, server-rendered. One file per section of the product, one line here."""

from __future__ import annotations

import structlog
from fastapi import FastAPI, Request
from starlette.responses import Response

from everfix.errors import EverfixError
from everfix.web import (
    ai,
    alerts,
    analysis,
    brand,
    clusters,
    dashboards,
    deliveries,
    destinations,
    executive,
    explorer,
    exports,
    files,
    issue_list,
    issues,
    mail_domains,
    ml,
    notification_settings,
    notifications,
    pattern_words,
    patterns,
    picking,
    predictions,
    preferences,
    recommendations,
    report_editor,
    reports,
    saved_reports,
    schedules,
    shell,
    sign_in,
    triage,
    workspace,
)

log = structlog.get_logger()
SECTIONS = (
    sign_in,
    executive,
    dashboards,
    patterns,
    clusters,
    pattern_words,
    picking,
    issue_list,
    issues,
    triage,
    analysis,
    predictions,
    recommendations,
    report_editor,  # before the reports: its addresses end in words where theirs end in ids
    saved_reports,
    ml,
    schedules,
    reports,
    exports,
    deliveries,
    destinations,
    alerts,
    ai,
    preferences,
    notifications,
    notification_settings,
    mail_domains,
    brand,
    workspace,
    explorer,
)


def mount(app: FastAPI) -> None:
    """Add the pages to the application, and say where their scripts are missing."""
    app.mount("/static", files.Static(directory=files.STATIC), name="static")
    for section in SECTIONS:
        app.include_router(section.router)
    if not files.built():
        log.error("pages are incomplete", reason=files.MISSING)


def answers(request: Request) -> bool:
    """Tell whether a failure of this request is answered with a page."""
    return shell.wants_page(request)


def problem(request: Request, known: EverfixError) -> Response:
    """Return a failure as a page, or lead to /login."""
    return shell.problem(request, known)
