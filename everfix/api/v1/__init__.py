"""The `/v1` surface: one file per resource, one line here."""

from __future__ import annotations

from fastapi import APIRouter

from everfix.api.v1 import (
    ai,
    changes,
    deliveries,
    delivery_settings,
    destinations,
    downloads,
    exports,
    ingest,
    issues,
    jobs,
    ml,
    patterns,
    predictions,
    recommendations,
    reports,
)

RESOURCES = (
    ai,
    ingest,
    issues,
    patterns,
    predictions,
    recommendations,
    changes,
    jobs,
    reports,
    exports,
    ml,
    deliveries,
    destinations,
    delivery_settings,
    downloads,
)
router = APIRouter(prefix="/v1")
for resource in RESOURCES:
    router.include_router(resource.router)
