"""Prompt logs: every call of a language model as it was made, kept for its own time: what left this host, what came back, what it cost."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from decimal import Decimal
from uuid import UUID

from sqlalchemy import Index, Numeric, delete, func, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock
from everfix.core.db import Base, WorkspaceRow, created
from everfix.core.llm import Call

DEFAULT_DAYS = 90


class PromptLog(WorkspaceRow, Base):
    """One call. `cost` is in US dollars, NULL where no price is known (`priced_by` says why); the prompt is as it was sent, redacted."""

    __tablename__ = "prompt_logs"
    __table_args__ = (
        Index("ix_prompt_logs_created", "workspace_id", "created_at", "id"),
        Index("ix_prompt_logs_subject", "workspace_id", "subject_id"),
    )

    purpose: Mapped[str]
    subject_kind: Mapped[str] = mapped_column(server_default="")
    subject_id: Mapped[UUID | None]
    provider: Mapped[str]
    model: Mapped[str]
    version: Mapped[str] = mapped_column(server_default="")
    prompt: Mapped[str]
    answer: Mapped[str]
    outcome: Mapped[str]
    reason: Mapped[str] = mapped_column(server_default="")
    input_tokens: Mapped[int]
    output_tokens: Mapped[int]
    cost: Mapped[Decimal | None] = mapped_column(Numeric(14, 8))
    priced_by: Mapped[str] = mapped_column(server_default="")
    seconds: Mapped[float]
    created_at: Mapped[datetime] = created()


def record(db: Session, calls: Iterable[Call], subject_kind: str = "", subject_id: UUID | None = None) -> None:
    """Keep calls; `subject` is what they were about, such as a run or an issue."""
    for call in calls:
        db.add(
            PromptLog(
                purpose=call.purpose,
                subject_kind=subject_kind,
                subject_id=subject_id,
                provider=call.provider,
                model=call.model,
                version=call.version,
                prompt=_storable(call.prompt),
                answer=_storable(call.answer),
                outcome=call.outcome,
                reason=_storable(call.reason),
                input_tokens=call.input_tokens,
                output_tokens=call.output_tokens,
                cost=call.cost,
                priced_by=call.priced_by,
                seconds=round(call.seconds, 3),
                created_at=call.at,
            )
        )
    db.flush()


def _storable(text: str) -> str:
    """PostgreSQL keeps every character but NUL."""
    return text.replace("\x00", "")


def purge(db: Session, days: int) -> int:
    """Remove the calls that are older than `days` and return how many that were."""
    before = clock.now() - timedelta(days=days)
    return len(db.execute(delete(PromptLog).where(PromptLog.created_at < before).returning(PromptLog.id)).all())


def spent(db: Session, days: int) -> tuple[int, int, int, Decimal | None, int]:
    """Return of the last days: calls, tokens in, tokens out, their known cost, and how many calls had no known price."""
    since = clock.now() - timedelta(days=days)
    row = db.execute(
        select(
            func.count(),
            func.coalesce(func.sum(PromptLog.input_tokens), 0),
            func.coalesce(func.sum(PromptLog.output_tokens), 0),
            func.sum(PromptLog.cost),
            func.count().filter(PromptLog.cost.is_(None)),
        ).where(PromptLog.created_at >= since)
    ).one()
    return int(row[0]), int(row[1]), int(row[2]), row[3], int(row[4])
