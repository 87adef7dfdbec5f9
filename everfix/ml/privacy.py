"""Privacy sessions: what personal data was found in a data set, what was done with it, and what risk is left."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, refers
from everfix.ml.projects import Belonging, belongs


class PrivacySession(Belonging, Base):
    """One session.

    `findings` is [{column, pii_type, count, rows, confidence}], `transformations` [{column, pii_type, action, changed, config}],
    `risk` {name: number} (k_anonymity, l_diversity, t_closeness, unique_share, reidentification_risk, …), each before and after where
    known: {before, after}.
    """

    __tablename__ = "ml_privacy_sessions"
    __table_args__ = (
        *belongs("ml_privacy_sessions"),
        refers("dataset_version_id", "ml_dataset_versions", ondelete="SET NULL"),
        refers("original_id", "ml_tables", ondelete="SET NULL"),
        refers("transformed_id", "ml_tables", ondelete="SET NULL"),
        CheckConstraint("profile IN ('hipaa', 'gdpr', 'pci_dss', 'ccpa', 'custom')", name="profile"),
        CheckConstraint("status IN ('queued', 'running', 'succeeded', 'failed')", name="status"),
    )
    NOUN, PREFIX = "privacy session", ids.Prefix.PRIVACY_SESSION

    name: Mapped[str]
    policy: Mapped[str] = mapped_column(server_default="")
    profile: Mapped[str] = mapped_column(server_default="custom")
    status: Mapped[str] = mapped_column(server_default="succeeded")
    dataset_version_id: Mapped[UUID | None]
    rows: Mapped[int | None]
    findings: Mapped[list[Json]] = mapped_column(server_default="[]")
    transformations: Mapped[list[Json]] = mapped_column(server_default="[]")
    quasi_identifiers: Mapped[list[str]] = mapped_column(server_default="{}")
    risk: Mapped[Json] = mapped_column(server_default="{}")
    error: Mapped[str | None]
    original_id: Mapped[UUID | None]
    transformed_id: Mapped[UUID | None]
    started_at: Mapped[datetime | None]
    finished_at: Mapped[datetime | None]
