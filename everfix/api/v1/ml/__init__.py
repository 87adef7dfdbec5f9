"""`/v1/ml`: what ML reports are about; one file per resource, one line here."""

from __future__ import annotations

from fastapi import APIRouter

from everfix.api.v1.ml import datasets, deployments, experiments, imports, models, monitors, privacy, projects, synthgen

router = APIRouter(prefix="/ml")
for resource in (projects, datasets, experiments, models, deployments, monitors, synthgen, privacy, imports):
    router.include_router(resource.router)
