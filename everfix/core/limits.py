"""Limits: how often a workspace may ask for something, counted in the database, so that any number of processes count together."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from sqlalchemy import PrimaryKeyConstraint, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock
from everfix.core.db import CURRENT, Base
from everfix.errors import RateLimited


class Spent(Base):
    """How often something was asked for since `since`."""

    __tablename__ = "limits_spent"
    __table_args__ = (PrimaryKeyConstraint("workspace_id", "name"),)

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    name: Mapped[str]
    since: Mapped[datetime]
    times: Mapped[int]


def spend(db: Session, name: str, most: int, seconds: int) -> None:
    """Count one call; raises RateLimited once there were `most` of them within `seconds` (a refused call does not count)."""
    times = db.execute(text(_SPEND), {"name": name, "now": clock.now(), "seconds": seconds}).scalar_one()
    if times > most:
        raise RateLimited


_SPEND = """
INSERT INTO limits_spent AS s (name, since, times) VALUES (:name, :now, 1)
ON CONFLICT (workspace_id, name) DO UPDATE SET
    since = CASE WHEN s.since <= cast(:now AS timestamptz) - make_interval(secs => :seconds) THEN excluded.since ELSE s.since END,
    times = CASE WHEN s.since <= cast(:now AS timestamptz) - make_interval(secs => :seconds) THEN 1 ELSE s.times + 1 END
RETURNING times
"""
