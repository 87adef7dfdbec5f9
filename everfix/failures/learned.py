"""Learned models: the state of each judgement of a workspace, versioned, compressed, replaced as a whole."""

from __future__ import annotations

import json
import zlib
from datetime import datetime
from typing import Any

from sqlalchemy import Index, select
from sqlalchemy.dialects.postgresql import BYTEA, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow


class Learned(WorkspaceRow, Base):
    """One model's state. `revision` grows with each write, so a process can tell whether its copy is current."""

    __tablename__ = "learned_models"
    __table_args__ = (Index("uq_learned_models_name", "workspace_id", "name", unique=True),)

    name: Mapped[str]
    version: Mapped[str]
    revision: Mapped[int] = mapped_column(server_default="1")
    state: Mapped[bytes] = mapped_column(BYTEA)
    facts: Mapped[Json] = mapped_column(server_default="{}")
    updated_at: Mapped[datetime]


def load(db: Session, name: str, version: str) -> tuple[Any, Json, int] | None:
    """Return (state, facts, revision) of the model, or None when there is none of this version."""
    row = db.execute(select(Learned).where(Learned.name == name, Learned.version == version)).scalar_one_or_none()
    return None if row is None else (json.loads(zlib.decompress(row.state)), row.facts, row.revision)


def revision(db: Session, name: str, version: str) -> int | None:
    """Return the model's revision without its state."""
    return db.execute(select(Learned.revision).where(Learned.name == name, Learned.version == version)).scalar_one_or_none()


def save(db: Session, name: str, version: str, state: Any, facts: Json | None = None) -> int:  # noqa: ANN401 - any JSON
    """Replace the model's state; returns the new revision."""
    packed = zlib.compress(json.dumps(state, separators=(",", ":")).encode(), 1)
    values = {"version": version, "state": packed, "facts": facts or {}, "updated_at": clock.now()}
    statement = insert(Learned).values(id=ids.new(), name=name, **values)
    statement = statement.on_conflict_do_update(index_elements=["workspace_id", "name"], set_={**values, "revision": Learned.revision + 1})
    return db.execute(statement.returning(Learned.revision)).scalar_one()
