"""Walking history: failures that already happened are taken in week by week, as if each week were now.

So predictions are made only from what was known then, fixes are claimed when they were made, and both are settled by what came
after: imported history starts with an honest track record.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.core.db import Database
from everfix.failures import analyses, changes, claims, loop, recommendations
from everfix.failures.recommendations import Recommendation, RecommendationPattern
from everfix.identity.principals import Principal
from everfix.ingest import events
from everfix.ingest.events import Issue

Record = dict[str, Any]
STEPS_AT_MOST = 60  # a longer history is walked in longer steps
STEP = timedelta(days=7)


@dataclasses.dataclass(frozen=True, slots=True)
class Claim:
    """A fix that was made: the failure it was made for, by (source, external_id), and what was done."""

    source: str
    external_id: str
    at: datetime
    title: str
    type: str
    effort: str
    description: str = ""


@dataclasses.dataclass(slots=True)
class Walked:
    """What a walk did."""

    accepted: int = 0
    rejected: list[events.Reject] = dataclasses.field(default_factory=list)
    claimed: int = 0
    until: datetime | None = None


def when(record: Record) -> datetime:
    """Return when a record's failure happened; raises ValueError for a time that cannot be read."""
    moment = datetime.fromisoformat(str(record["source_created_at"]))
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def walk(
    database: Database,
    workspace: UUID,
    by: Principal,
    records: Sequence[Record],
    *,
    changed: Iterable[Record] = (),
    claims: Sequence[Claim] = (),
    until: datetime | None = None,
    progress: Callable[[int, int], None] | None = None,
) -> Walked:
    """Take records (with `source_created_at`, in any order) through the loop, step by step up to `until` (default: the newest record)."""
    ordered = sorted(records, key=when)
    walked = Walked()
    with database.transaction(workspace) as db:
        changes.accept(db, list(changed))
    if not ordered:
        return walked
    end = until or when(ordered[-1])
    step = max(STEP, (end - when(ordered[0])) / STEPS_AT_MOST)
    now, place, claimed = when(ordered[0]), 0, 0
    pending = sorted(claims, key=lambda claim: claim.at)
    while now < end:
        now = min(now + step, end)
        last = place
        while last < len(ordered) and (when(ordered[last]) <= now or now == end):
            last += 1
        _take(database, workspace, ordered[place:last], place, now, walked)
        due = [claim for claim in pending[claimed:] if claim.at <= now]
        claimed += len(due)
        with database.transaction(workspace) as db:
            for claim in due:
                walked.claimed += _claim(db, claim, by)
            loop.refresh(db, now)
        place = last
        if progress is not None:
            progress(place, len(ordered))
    walked.until = end
    return walked


def _take(database: Database, workspace: UUID, records: Sequence[Record], offset: int, now: datetime, walked: Walked) -> None:
    for start in range(0, len(records), events.BATCH):
        with database.transaction(workspace) as db:
            accepted = events.accept(db, records[start : start + events.BATCH])
            found = list(dict.fromkeys(accepted.issues))
            loop.learn(db, found, now=now, steps=loop.GROUPING)
            analyses.enqueue(db, found)
        walked.accepted += len(accepted.issues)
        walked.rejected += [events.Reject(offset + start + item.index, item.reason) for item in accepted.rejected]


def take(
    database: Database, workspace: UUID, records: Sequence[Record], now: datetime, walked: Walked, progress: Callable[[int, int], None]
) -> None:
    """Take records in as of `now`, and bring the loop up to then; nothing happens without records."""
    for start in range(0, len(records), events.BATCH):
        _take(database, workspace, records[start : start + events.BATCH], start, now, walked)
        progress(min(start + events.BATCH, len(records)), len(records))
    if records:
        with database.transaction(workspace) as db:
            loop.refresh(db, now)


def _claim(db: Session, claim: Claim, by: Principal) -> int:
    query = select(Issue.pattern_id).where(Issue.source == claim.source, Issue.external_id == claim.external_id)
    pattern = db.execute(query).scalar_one_or_none()
    if pattern is None or claim.title in _claimed(db, pattern):
        return 0
    said = claims.Claim(what=claim.description)
    recommendations.claim(db, pattern, title=claim.title, type=claim.type, effort=claim.effort, at=claim.at, by=by, said=said)
    return 1


def _claimed(db: Session, pattern: UUID) -> set[str]:
    query = (
        select(Recommendation.title)
        .join(RecommendationPattern, RecommendationPattern.recommendation_id == Recommendation.id)
        .where(RecommendationPattern.pattern_id == pattern, Recommendation.implemented_at.is_not(None))
    )
    return set(db.execute(query).scalars())
