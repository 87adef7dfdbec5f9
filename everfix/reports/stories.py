"""Stories: the words over a dashboard, written by the report runner from the dashboard's own sources and kept for one hour.

The page never waits for a model: the rules write at once, and where the workspace has a model a job lets it write the same view, as it
writes a report, and puts its words in the place of the rules'. A view costs one such call an hour at most, and only where it is looked at.
"""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import Index, select, update
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import ids, jobs, prompt_logs
from everfix.core.db import Base, Json, WorkspaceRow
from everfix.documents.model import Narrative
from everfix.errors import EverfixError
from everfix.identity.principals import Principal, system
from everfix.metrics import dashboards
from everfix.metrics.dashboards import Dashboard
from everfix.reports import making, runs
from everfix.reports.runs import Run

TASK = "reports.story"
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
    db: Session,
    by: Principal,
    dashboard: Dashboard,
    days: int,
    segment: str,
    as_of: datetime,
    now: datetime,
    services: Any,  # noqa: ANN401 - an Installation
) -> tuple[Narrative | None, datetime]:
    """Return the words of a view and when they were written; the first look after an hour writes them anew. None: they could not be."""
    view = (Story.dashboard == dashboard.key, Story.days == days, Story.segment == segment)
    found = db.execute(select(Story).where(*view)).scalar_one_or_none()
    if found is not None and timedelta() <= now - found.made_at < KEPT:
        return _read(found.words), found.made_at
    run = _run(by, dashboard, days, segment, as_of)
    words = _written(db, run)
    values = {"id": ids.new(), "dashboard": dashboard.key, "days": days, "segment": segment, "made_at": now, "words": words}
    kept = insert(Story).values(values)
    renewed = kept.on_conflict_do_update(
        index_elements=["workspace_id", "dashboard", "days", "segment"], set_={"made_at": now, "words": words}
    )
    story = db.execute(renewed.returning(Story.id)).scalar_one()
    if words and making.how(db, services, run).assistant is not None:
        jobs.enqueue(db, TASK, {"story": str(story), "as_of": as_of.isoformat(), "made_at": now.isoformat()}, by=by.name)
    return _read(words), now


def task(job: jobs.Running) -> Json:
    """Job `reports.story`: let the model write a view that was looked at; words that were written anew meanwhile are left alone."""
    made_at, story = datetime.fromisoformat(job.payload["made_at"]), UUID(job.payload["story"])
    with job.database.transaction(job.workspace) as db:
        row = db.execute(select(Story).where(Story.id == story, Story.made_at == made_at)).scalar_one_or_none()
        if row is None:
            return {"writer": ""}
        as_of = datetime.fromisoformat(job.payload["as_of"])
        run = _run(system(job.workspace, "dashboard"), dashboards.get(row.dashboard), row.days, row.segment, as_of)
        bare, how = making.figures(db, run, ""), making.how(db, job.services, run)
    made, account = making.narrated(bare, how)
    with job.database.transaction(job.workspace) as db:
        prompt_logs.record(db, account.calls, "dashboard", story)
        words = made.narrative.model_dump(mode="json") if made.narrative else {}
        db.execute(update(Story).where(Story.id == story, Story.made_at == made_at).values(words=words))
    return {"writer": account.writer, "note": account.note}


def _read(words: dict[str, Any]) -> Narrative | None:
    return Narrative.model_validate(words) if words else None


def _run(by: Principal, dashboard: Dashboard, days: int, segment: str, as_of: datetime) -> Run:
    sections = dashboards.saved(dashboard, days, segment or None)
    return runs.new(
        by, template="blank", sections=sections, window=f"{days}d", formats=["json"], name=dashboard.name, as_of=as_of, inputs={}
    )


def _written(db: Session, run: Run) -> Json:
    try:
        made, _ = making.narrated(making.figures(db, run, ""), making.by_rules(run))
    except EverfixError:
        return {}  # the page says so, and shows everything else
    return made.narrative.model_dump(mode="json") if made.narrative else {}
