"""The `/v1` surface: one file per resource, one line here."""

from __future__ import annotations

from fastapi import APIRouter

from everfix.api.v1 import (
    ai,
    alert_rules,
    analysis,
    changes,
    clusters,
    corrections,
    definitions,
    deliveries,
    delivery_settings,
    destinations,
    downloads,
    exports,
    ingest,
    issues,
    jobs,
    ml,
    notification_settings,
    notifications,
    patterns,
    predictions,
    recommendations,
    report_runs,
    reports,
    saved_views,
    schedules,
    stream,
    triage,
    workspace,
)

RESOURCES = (
    ai,
    analysis,
    ingest,
    triage,  # before `issues`: its words win over an id
    issues,
    patterns,
    corrections,
    clusters,
    saved_views,
    predictions,
    recommendations,
    changes,
    jobs,
    ml,
    deliveries,
    destinations,
    delivery_settings,
    reports,
    schedules,
    definitions,  # after `reports` and `schedules`: their words win over an id
    report_runs,
    exports,
    alert_rules,
    notifications,
    notification_settings,
    stream,
    downloads,
    workspace,
)
router = APIRouter(prefix="/v1")
for resource in RESOURCES:
    router.include_router(resource.router)
