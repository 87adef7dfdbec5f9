"""Announcements: what people are told about failures as they come in: new issues, patterns that grew, recommendations that were made.

Only what is fresh is told (history that is imported, or walked, is not news), each thing once, and a flood as one line.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Sequence
from datetime import datetime, timedelta
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, ids
from everfix.core.db import among
from everfix.delivery import feed
from everfix.failures import watches
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation, RecommendationPattern
from everfix.ingest.events import Issue

FRESH = timedelta(hours=24)
ONE_BY_ONE = 3  # more new issues than this in one batch are told as one line
GROWN = (2, 5, 10, 20, 50, 100, 200, 500, 1_000)  # members at which a pattern is worth telling about again


def tell(db: Session, now: datetime, issues: Sequence[Issue], touched: Collection[UUID]) -> None:
    """Tell what one batch of the loop brought."""
    at = clock.now()
    if abs(at - now) > FRESH:
        return
    new = [issue for issue in issues if at - issue.occurred_at <= FRESH]
    if not new:
        return
    _issues(db, new, at)
    found = db.execute(select(Pattern).where(among(Pattern.id, touched))).scalars().all()
    who = watches.all_of(db, touched)
    for pattern in found:
        if pattern.id in who:
            _pattern(db, pattern, who[pattern.id])
    query = select(Recommendation).join(RecommendationPattern, RecommendationPattern.recommendation_id == Recommendation.id)
    made = query.where(among(RecommendationPattern.pattern_id, touched), Recommendation.created_at >= at - timedelta(minutes=10))
    risk = max((pattern.risk_score for pattern in found), default=0)
    for one in db.execute(made.distinct().limit(ONE_BY_ONE)).scalars():
        link = f"/recommendations/{ids.show(ids.Prefix.RECOMMENDATION, one.id)}"
        event = feed.Event("recommendation.created", f"New recommendation: {one.title}", one.summary, "recommendation", one.id, link)
        feed.tell(db, _keyed(event, f"recommendation|{one.id}", risk=risk))


def escalated(db: Session, issue: Issue, before: str, by: audit.Actor) -> None:
    """Tell that somebody raised an issue's severity."""
    event = feed.Event(
        "issue.escalated",
        f"{issue.title} is {issue.severity.upper()} now",
        f"It was {before.upper()}; {by.name} raised it.",
        "issue",
        issue.id,
        f"/issues/{ids.show(ids.Prefix.ISSUE, issue.id)}",
        actor={"id": str(by.actor_id) if by.actor_id else None, "name": by.name},
    )
    feed.tell(db, _keyed(event, f"escalated|{issue.id}|{issue.severity}|{clock.now().date()}", severity=issue.severity))


def mentioned(db: Session, issue: Issue, comment_id: UUID, body: str, people: Collection[UUID], by: audit.Actor) -> None:
    """Tell those whom a comment names, but not its own author; who is named is asked for, so neither severity nor risk holds it back."""
    others = [one for one in people if by.kind != "user" or one != by.actor_id]
    if not others:
        return
    event = feed.Event(
        "comment.mentioned",
        f"{by.name} mentioned you on {issue.title}",
        body[:500],
        "issue",
        issue.id,
        f"/issues/{ids.show(ids.Prefix.ISSUE, issue.id)}",
        actor={"id": str(by.actor_id) if by.actor_id else None, "name": by.name},
    )
    feed.tell(db, _keyed(event, f"mention|{comment_id}"), users=others)


def _issues(db: Session, new: Sequence[Issue], at: datetime) -> None:
    if len(new) <= ONE_BY_ONE:
        for issue in new:
            link = f"/issues/{ids.show(ids.Prefix.ISSUE, issue.id)}"
            words = f"{issue.severity.upper()} at {issue.service}." if issue.service else f"{issue.severity.upper()}."
            event = feed.Event("issue.created", issue.title, words, "issue", issue.id, link)
            feed.tell(db, _keyed(event, f"issue|{issue.id}", severity=issue.severity))
        return
    worst = min(issue.severity for issue in new)
    title, words = f"{len(new)} new issues", f"The most severe are {worst.upper()}."
    event = feed.Event("issue.created", title, words, None, None, "/issues")
    feed.tell(db, _keyed(event, f"issues|{min(issue.id for issue in new)}|{at.isoformat()}", severity=worst))


def _pattern(db: Session, pattern: Pattern, who: Collection[UUID]) -> None:
    reached = max((size for size in GROWN if pattern.issue_count >= size), default=None)
    if reached is None:
        return
    title = f"{pattern.name} has come {pattern.issue_count} times"
    link = f"/patterns/{ids.show(ids.Prefix.PATTERN, pattern.id)}"
    event = feed.Event("pattern.updated", title, f"Its risk is {pattern.risk_score}.", "pattern", pattern.id, link)
    feed.tell(db, _keyed(event, f"pattern|{pattern.id}|{reached}", risk=pattern.risk_score), users=who)


def _keyed(event: feed.Event, key: str, *, severity: str | None = None, risk: int | None = None) -> feed.Event:
    return dataclasses.replace(event, key=key, severity=severity, risk=risk)
