"""Deployments: a model in use, and the log of its predictions as Parquet parts."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, CheckConstraint, Index
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.ml.projects import Belonging, belongs


class Deployment(Belonging, Base):
    """A model in use. `reference_id` is the table its inputs are compared with: columns as in the log, without those of traffic."""

    __tablename__ = "ml_deployments"
    __table_args__ = (
        *belongs("ml_deployments"),
        refers("model_id", "ml_models"),
        refers("reference_id", "ml_tables", ondelete="SET NULL"),
        CheckConstraint("stage IN ('staging', 'production')", name="stage"),
        CheckConstraint("status IN ('pending', 'active', 'inactive', 'archived', 'failed')", name="status"),
        CheckConstraint("traffic_percent BETWEEN 1 AND 100", name="traffic"),
        Index("ix_ml_deployments_model", "workspace_id", "model_id"),
    )
    NOUN, PREFIX = "deployment", ids.Prefix.DEPLOYMENT

    model_id: Mapped[UUID]
    name: Mapped[str]
    stage: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="active")
    traffic_percent: Mapped[int] = mapped_column(server_default="100")
    config: Mapped[Json] = mapped_column(server_default="{}")
    ab_test: Mapped[Json | None]
    features: Mapped[list[str]] = mapped_column(server_default="{}")
    team: Mapped[str | None]
    service: Mapped[str | None]
    source_url: Mapped[str | None]
    reference_id: Mapped[UUID | None]
    deployed_at: Mapped[datetime | None]
    ended_at: Mapped[datetime | None]


class PredictionPart(WorkspaceRow, Base):
    """One uploaded piece of a prediction log.

    Its table has the columns `timestamp` and any of `prediction`, `score`, `label`, `latency_ms`, `error` (text; null or empty: none);
    all others are features. `first_at` and `last_at` bound its timestamps, so that a period reads only the parts it needs.
    """

    __tablename__ = "ml_prediction_parts"
    __table_args__ = (
        refers("deployment_id", "ml_deployments"),
        refers("table_id", "ml_tables"),
        Index("ix_ml_prediction_parts_at", "workspace_id", "deployment_id", "first_at", "last_at"),
        Index("uq_ml_prediction_parts_content", "workspace_id", "deployment_id", "sha256", unique=True),
    )

    deployment_id: Mapped[UUID]
    table_id: Mapped[UUID]
    sha256: Mapped[str]
    first_at: Mapped[datetime]
    last_at: Mapped[datetime]
    rows: Mapped[int] = mapped_column(BigInteger)
    errors: Mapped[int] = mapped_column(BigInteger)
    labelled: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[datetime] = created()
