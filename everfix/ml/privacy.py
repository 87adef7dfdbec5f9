"""Privacy sessions: what personal data was found in a data set, what was done with it, and what risk is left."""

from __future__ import annotations

from datetime import datetime
from typing import Literal
from uuid import UUID

from pydantic import Field
from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import fields, ids
from everfix.core.db import Base, Json, refers
from everfix.identity.principals import Principal
from everfix.ml import datasets, projects
from everfix.ml.figures_in import External, Name, Number, Share, Strict
from everfix.ml.projects import Belonging, Role, belongs
from everfix.ml.tables import Table


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


class Finding(Strict):
    """Personal data of one type in one column; the values themselves are not sent."""

    column: Name
    pii_type: Name = Field(description="e.g. email, phone_number, ssn, credit_card, name, date_of_birth")
    count: int = Field(ge=0, description="cells that hold it")
    rows: int | None = Field(default=None, ge=0)
    confidence: Share | None = None


class Transformation(Strict):
    """What was done to a column."""

    column: Name
    pii_type: Name | None = None
    action: Literal["mask", "redact", "hash", "encrypt", "generalize", "suppress", "replace"]
    changed: int = Field(ge=0, description="cells that were changed")
    config: fields.JsonObject = Field(default_factory=dict)


class Risk(Strict):
    """A figure of risk before and after the transformation."""

    before: Number | None = None
    after: Number | None = None


class Change(Strict):
    """What may change of a session."""

    name: Name | None = None
    policy: fields.text(300) | None = None  # type: ignore[valid-type]
    profile: Literal["hipaa", "gdpr", "pci_dss", "ccpa", "custom"] | None = None
    status: Literal["queued", "running", "succeeded", "failed"] | None = None
    dataset_version_id: ids.field(ids.Prefix.DATASET_VERSION) | None = None  # type: ignore[valid-type]
    rows: int | None = Field(default=None, ge=0, lt=2**31)
    findings: list[Finding] | None = Field(default=None, max_length=10_000)
    transformations: list[Transformation] | None = Field(default=None, max_length=10_000)
    quasi_identifiers: list[Name] | None = Field(default=None, max_length=1_000)
    risk: dict[Name, Risk] | None = Field(default=None, max_length=100, description="k_anonymity, l_diversity, unique_share, …")
    error: fields.text(10_000) | None = None  # type: ignore[valid-type]
    started_at: fields.Moment | None = None
    finished_at: fields.Moment | None = None


class Record(Change):
    """A session as it comes in."""

    project_id: ids.field(ids.Prefix.ML_PROJECT)  # type: ignore[valid-type]
    name: Name
    external_id: External | None = None


def create(db: Session, body: Record, by: Principal) -> PrivacySession:
    """Keep a session."""
    datasets.in_project(db, body.dataset_version_id, body.project_id)
    return projects.keep(db, PrivacySession, body.stored(), by, audit.Action.ML_PRIVACY_KEPT)


def get(db: Session, session_id: UUID, by: Principal, need: Role = Role.VIEWER) -> PrivacySession:
    """Return one session; raises NotFound, Forbidden."""
    return projects.belonging(db, PrivacySession, session_id, by, need)


def change(db: Session, session_id: UUID, body: Change, by: Principal) -> PrivacySession:
    """Write what was sent."""
    row = get(db, session_id, by, Role.EDITOR)
    datasets.in_project(db, body.dataset_version_id, row.project_id)
    return projects.change(db, row, body.stored(exclude_unset=True), by, audit.Action.ML_PRIVACY_KEPT)


def attach(db: Session, session_id: UUID, role: str, table: Table, by: Principal) -> PrivacySession:
    """Let `table` be the session's original or transformed table; the one before it is forgotten."""
    row = get(db, session_id, by, Role.EDITOR)
    return projects.attach(db, row, f"{role}_id", table, by)


def remove(db: Session, session_id: UUID, by: Principal) -> None:
    """Remove a session with its tables."""
    row = get(db, session_id, by, Role.EDITOR)
    projects.drop(db, row, [row.original_id, row.transformed_id], by)
