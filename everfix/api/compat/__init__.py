"""Compatibility surfaces: what clients of other systems call; they translate onto the verbs of Everfix and decide nothing."""

from __future__ import annotations

from fastapi import APIRouter

from everfix.api import problems
from everfix.api.compat import (
    alerts,
    attribution,
    cron,
    dashboard_data,
    governance,
    ml_reports,
    notifications,
    operations,
    records,
    report_runs,
    report_schedules,
    report_templates,
)

router = APIRouter()
SURFACE = (
    report_templates,
    report_schedules,
    report_runs,
    notifications,
    dashboard_data,
    attribution,
    records,
    operations,
    alerts,
    governance,
)
DASHBOARDS = problems.documented(problems.DashboardEnveloped)
for resource in SURFACE:
    router.include_router(resource.router, prefix="/api/v1", responses=DASHBOARDS)
router.include_router(cron.router, responses=DASHBOARDS)
router.include_router(ml_reports.router, responses=problems.documented(problems.Detailed))
