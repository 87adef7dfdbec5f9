"""Stories: the words over a dashboard, written by the report runner from the dashboard's own sources and kept for one hour."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

from sqlalchemy import Index, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids
from everfix.core.db import Base, Json, WorkspaceRow
from everfix.documents.model import Narrative
from everfix.errors import EverfixError
from everfix.identity.principals import Principal
from everfix.metrics import dashboards
from everfix.metrics.dashboards import Dashboard
from everfix.reports import making, runs

KEPT = timedelta(hours=1)


class Story(WorkspaceRow, Base):
    """What was written for one view of one dashboard; `words` is empty where nothing could be written."""

    __tablename__ = "dashboard_stories"
    __table_args__ = (Index("uq_dashboard_stories_view", "workspace_id", "dashboard", "days", "segment", unique=True),)

    dashboard: Mapped[str]
    days: Mapped[int]
    segment: Mapped[str]
    made_at: Mapped[datetime]
    words: Mapped[Json] = mapped_column(server_default="{}")


def of(
    db: Session, by: Principal, dashboard: Dashboard, days: int, segment: str, as_of: datetime, now: datetime
) -> tuple[Narrative | None, datetime]:
    """Return the words of a view and when they were written; the first look after an hour writes them anew. None: they could not be."""
    view = (Story.dashboard == dashboard.key, Story.days == days, Story.segment == segment)
    found = db.execute(select(Story).where(*view)).scalar_one_or_none()
    if found is not None and timedelta() <= now - found.made_at < KEPT:
        return _read(found.words), found.made_at
    words = _written(db, by, dashboard, days, segment, as_of)
    values = {"id": ids.new(), "dashboard": dashboard.key, "days": days, "segment": segment, "made_at": now, "words": words}
    kept = insert(Story).values(values)
    db.execute(
        kept.on_conflict_do_update(index_elements=["workspace_id", "dashboard", "days", "segment"], set_={"made_at": now, "words": words})
    )
    return _read(words), now


def _read(words: dict[str, Any]) -> Narrative | None:
    return Narrative.model_validate(words) if words else None


def _written(db: Session, by: Principal, dashboard: Dashboard, days: int, segment: str, as_of: datetime) -> Json:
    sections = dashboards.saved(dashboard, days, segment or None)
    run = runs.new(
        by, template="blank", sections=sections, window=f"{days}d", formats=["json"], name=dashboard.name, as_of=as_of, inputs={}
    )
    try:
        made, _ = making.narrated(making.figures(db, run, ""), making.by_rules(run))
    except EverfixError:
        return {}  # the page says so, and shows everything else
    return made.narrative.model_dump(mode="json") if made.narrative else {}
