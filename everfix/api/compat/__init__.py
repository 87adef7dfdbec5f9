"""Compatibility surfaces: what clients of other systems call; they translate onto the verbs of Everfix and decide nothing."""

from __future__ import annotations

from fastapi import APIRouter

from everfix.api.compat import dashboard_data

router = APIRouter()
for resource in (dashboard_data,):
    router.include_router(resource.router, prefix="/api/v1")
