"""Monitors: a threshold on a deployment's drift, errors, latency or quality; crossing it opens an issue, recovering resolves it."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


class Monitor(Belonging, Base):
    """One threshold. `state` is ok, firing or unknown (too few rows to tell); `episode` names the issue of the present firing."""

    __tablename__ = "ml_monitors"
    __table_args__ = (
        *belongs("ml_monitors"),
        refers("deployment_id", "ml_deployments"),
        CheckConstraint("operator IN ('gt', 'ge', 'lt', 'le')", name="operator"),
        CheckConstraint("severity IN ('p1', 'p2', 'p3', 'p4')", name="severity"),
        CheckConstraint("state IN ('ok', 'firing', 'unknown')", name="state"),
        Index("ix_ml_monitors_deployment", "workspace_id", "deployment_id"),
    )
    NOUN, PREFIX = "monitor", ids.Prefix.MONITOR

    deployment_id: Mapped[UUID]
    name: Mapped[str]
    metric: Mapped[str]
    feature: Mapped[str | None]
    operator: Mapped[str]
    threshold: Mapped[float]
    window_minutes: Mapped[int]
    min_rows: Mapped[int]
    severity: Mapped[str] = mapped_column(server_default="p3")
    enabled: Mapped[bool] = mapped_column(server_default="true")
    state: Mapped[str] = mapped_column(server_default="unknown")
    value: Mapped[float | None]
    why: Mapped[Json] = mapped_column(server_default="{}")
    episode: Mapped[str | None]
    fired_at: Mapped[datetime | None]
    evaluated_at: Mapped[datetime | None]
