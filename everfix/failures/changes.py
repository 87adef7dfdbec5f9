"""Changes: deploys, releases, flags and fixes, kept as evidence beside the failures."""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal, get_args
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import Index, Select, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import fields, ids
from everfix.core.db import Base, Json, WorkspaceRow, created
from everfix.errors import NotFound

Kind = Literal["deploy", "release", "flag", "config", "fix"]
KINDS: tuple[str, ...] = get_args(Kind)


class Change(WorkspaceRow, Base):
    """Something that somebody changed."""

    __tablename__ = "changes"
    __table_args__ = (
        Index("uq_changes_source", "workspace_id", "source", "external_id", unique=True),
        Index("ix_changes_occurred", "workspace_id", "service", "occurred_at"),
        Index("ix_changes_newest", "workspace_id", "occurred_at", "id"),
    )

    source: Mapped[str]
    external_id: Mapped[str]
    kind: Mapped[str]
    service: Mapped[str | None]
    title: Mapped[str]
    details: Mapped[Json] = mapped_column("metadata", server_default="{}")
    occurred_at: Mapped[datetime]
    created_at: Mapped[datetime] = created()


class Record(BaseModel):
    """A change as it comes in."""

    model_config = ConfigDict(extra="ignore")

    external_id: fields.text(512, 1)  # type: ignore[valid-type]
    source: fields.text(64) = "custom_api"  # type: ignore[valid-type]
    kind: Kind = "deploy"
    service: fields.text(200) | None = None  # type: ignore[valid-type]
    title: fields.text(300, 1)  # type: ignore[valid-type]
    metadata: fields.JsonObject = Field(default_factory=dict)
    occurred_at: fields.Moment


def accept(db: Session, records: Sequence[dict[str, Any]]) -> int:
    """Store changes, known by (workspace, source, external_id), and return how many are new; raises pydantic.ValidationError."""
    rows = [Record.model_validate(record) for record in records]
    if not rows:
        return 0
    payload = [row.model_dump(mode="json") | {"id": str(ids.new())} for row in rows]
    made = db.execute(text(_ACCEPT), {"rows": json.dumps(payload)})
    return len(made.all())


_ACCEPT = """
INSERT INTO changes (id, source, external_id, kind, service, title, metadata, occurred_at)
SELECT id, source, external_id, kind, service, title, metadata, occurred_at FROM jsonb_to_recordset(cast(:rows AS jsonb))
AS r(id uuid, source text, external_id text, kind text, service text, title text, metadata jsonb, occurred_at timestamptz)
ON CONFLICT (workspace_id, source, external_id) DO NOTHING RETURNING id
"""


def get(db: Session, change_id: UUID) -> Change:
    """Return one change; raises NotFound."""
    found = db.execute(select(Change).where(Change.id == change_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no change {ids.show(ids.Prefix.CHANGE, change_id)}")
    return found


def narrowed(
    *, kinds: Sequence[str] | None = None, service: str | None = None, start: datetime | None = None, end: datetime | None = None
) -> Select[Any]:
    """Return the question for changes of these kinds between two moments; those of a service include what was changed everywhere."""
    query = select(Change)
    if kinds:
        query = query.where(Change.kind.in_(kinds))
    if service is not None:
        query = query.where((Change.service == service) | Change.service.is_(None))
    if start is not None:
        query = query.where(Change.occurred_at >= start)
    if end is not None:
        query = query.where(Change.occurred_at <= end)
    return query


def around(db: Session, service: str | None, start: datetime, end: datetime, most: int = 50) -> list[Change]:
    """Return what was changed of a service (None: of anything) between two moments, newest first."""
    query = narrowed(service=service, start=start, end=end)
    return list(db.execute(query.order_by(Change.occurred_at.desc(), Change.id).limit(most)).scalars())
