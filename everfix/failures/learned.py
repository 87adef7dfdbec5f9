"""Learned models: the state of each judgement of a workspace, versioned and compressed; a whole, and for a large one the steps since.

A model whose state is large writes down what each batch changed (`append`), which costs as much as the batch taught, not as much as is
known. `compact` makes a new whole of the last one and the steps, apart from learning, once the steps are as long as the whole.
"""

from __future__ import annotations

import zlib
from collections.abc import Callable
from datetime import datetime
from typing import Any
from uuid import UUID

from pydantic_core import from_json, to_json
from sqlalchemy import Index, LargeBinary, PrimaryKeyConstraint, delete, func, select, text, update
from sqlalchemy.dialects.postgresql import BYTEA, insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids
from everfix.core.db import CURRENT, Base, Json, WorkspaceRow, created

FEW = 1_000_000  # bytes of steps that are never worth a new whole


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


class LearnedStep(Base):
    """What one batch changed in a model's state, on top of the revision before."""

    __tablename__ = "learned_steps"
    __table_args__ = (PrimaryKeyConstraint("workspace_id", "name", "revision"),)

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    name: Mapped[str]
    revision: Mapped[int]
    changes: Mapped[bytes] = mapped_column(LargeBinary)
    created_at: Mapped[datetime] = created()


def load(db: Session, name: str, version: str) -> tuple[Any, Json, int] | None:
    """Return (state, facts, revision) of the last whole of the model, or None when there is none of this version."""
    row = db.execute(select(Learned).where(Learned.name == name, Learned.version == version)).scalar_one_or_none()
    return None if row is None else (_unpacked(row.state), row.facts, row.revision)


def revision(db: Session, name: str, version: str) -> int | None:
    """Return the model's revision, steps included, without its state."""
    last = select(func.max(LearnedStep.revision)).where(LearnedStep.name == name).scalar_subquery()
    query = select(func.greatest(Learned.revision, last)).where(Learned.name == name, Learned.version == version)
    return db.execute(query).scalar_one_or_none()


def save(db: Session, name: str, version: str, state: Any, facts: Json | None = None) -> int:  # noqa: ANN401 - any JSON
    """Replace the model's whole state; returns the new revision."""
    values = {"version": version, "state": _packed(state), "facts": facts or {}, "updated_at": clock.now()}
    after = select(func.coalesce(func.max(LearnedStep.revision), 0)).where(LearnedStep.name == name).scalar_subquery()
    statement = insert(Learned).values(id=ids.new(), name=name, revision=after + 1, **values)
    grown = {**values, "revision": func.greatest(Learned.revision, after) + 1}
    statement = statement.on_conflict_do_update(index_elements=["workspace_id", "name"], set_=grown)
    made = db.execute(statement.returning(Learned.revision)).scalar_one()
    db.execute(delete(LearnedStep).where(LearnedStep.name == name))
    return made


def append(db: Session, name: str, after: int, changes: Any) -> int:  # noqa: ANN401 - any JSON
    """Write down what changed after revision `after`; returns the new revision."""
    db.execute(insert(LearnedStep).values(name=name, revision=after + 1, changes=_packed(changes)))
    return after + 1


def steps(db: Session, name: str, after: int) -> list[tuple[int, Any]]:
    """Return (revision, changes) of each step after revision `after`, in order."""
    query = select(LearnedStep.revision, LearnedStep.changes).where(LearnedStep.name == name, LearnedStep.revision > after)
    return [(row.revision, _unpacked(row.changes)) for row in db.execute(query.order_by(LearnedStep.revision))]


def long(db: Session, name: str) -> bool:
    """Say whether the steps since the last whole have become as long as the whole."""
    whole = select(func.octet_length(Learned.state), Learned.revision).where(Learned.name == name)
    row = db.execute(whole).one_or_none()
    if row is None:
        return False
    size = select(func.coalesce(func.sum(func.octet_length(LearnedStep.changes)), 0))
    return bool(db.execute(size.where(LearnedStep.name == name, LearnedStep.revision > row.revision)).scalar_one() > max(FEW, row[0]))


def compact(db: Session, name: str, version: str, merge: Callable[[Any, Any], None]) -> int:
    """Make a new whole of the last one and the steps since; returns how many those were.

    Learning may go on meanwhile: only steps that are there are taken. Steps that the last whole holds already are dropped now, and not
    before, so that another process that is a little behind can still catch up.
    """
    held = load(db, name, version)
    if held is None:
        return 0
    state, _, old = held
    found = steps(db, name, old)
    for _, changes in found:
        merge(state, changes)
    if found:
        values = {"state": _packed(state), "revision": found[-1][0], "updated_at": clock.now()}
        made = update(Learned).where(Learned.name == name, Learned.version == version, Learned.revision == old).values(**values)
        if db.execute(made.returning(Learned.revision)).one_or_none() is not None:  # else the whole was replaced meanwhile
            db.execute(delete(LearnedStep).where(LearnedStep.name == name, LearnedStep.revision <= old))
    return len(found)


def _packed(state: Any) -> bytes:  # noqa: ANN401 - any JSON
    return zlib.compress(to_json(state, inf_nan_mode="constants"), 1)


def _unpacked(packed: bytes) -> Any:  # noqa: ANN401 - any JSON
    return from_json(zlib.decompress(packed))
