"""Issues that are like one: equal ones, those of its pattern and those near it, ranked by how likely they have one cause, with the reasons."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix.failures import belongings, fingerprint, similarity, sources
from everfix.failures.issues import get
from everfix.ingest.events import Issue

NEAR = 25  # candidates of each kind that are compared
LONGEST = 8_000  # characters of a text that are compared


@dataclass(frozen=True, slots=True)
class Alike:
    """An issue, how likely it has the same cause (0–1), and why."""

    issue: Issue
    score: float
    because: list[str]


def of(db: Session, issue_id: UUID, limit: int = 3) -> list[Alike]:
    """Return the issues most like one, best first; at most one of each fingerprint beside the equal ones. Raises NotFound."""
    issue = get(db, issue_id)
    equal = _equal(db, issue)
    if len(equal) >= limit:
        return [Alike(one, 1.0, ["the same fingerprint"]) for one in equal[:limit]]
    found = list({one.id: one for one in [*equal, *_candidates(db, issue)]}.values())
    if not found:
        return []
    bags = {one.id: sources.Bag(_features(one)) for one in [issue, *found]}
    source = sources.learnt(bags.values())
    ranked = []
    for one in found:
        if one.fingerprint is not None and one.fingerprint == issue.fingerprint:
            ranked.append(Alike(one, 1.0, ["the same fingerprint"]))
        else:
            value, parts = similarity.score(bags[issue.id], bags[one.id], source)
            together = one.pattern_id is not None and one.pattern_id == issue.pattern_id
            reasons = similarity.reasons(parts) + (["the same pattern"] if together else [])
            ranked.append(Alike(one, round(max(similarity.likeness(value), 0.5 if together else 0.0), 4), reasons))
    ranked.sort(key=lambda one: (-one.score, -one.issue.occurred_at.timestamp(), one.issue.id))
    return [one for one in ranked if one.score >= 0.02 and one.because][:limit]


def _features(issue: Issue) -> fingerprint.Features:
    failure = belongings.failure(issue)
    short = fingerprint.Failure(
        failure.scope, failure.title, failure.message[:LONGEST], failure.stacktrace[:LONGEST], failure.error_type, failure.service, failure.kind,
        failure.team, failure.occurred_at,
    )  # fmt: skip
    return fingerprint.of(short).features


def _equal(db: Session, issue: Issue) -> list[Issue]:
    """Return the newest issues of the same fingerprint."""
    if issue.fingerprint is None:
        return []
    query = select(Issue).where(Issue.id != issue.id, Issue.fingerprint == issue.fingerprint)
    return list(db.execute(query.order_by(Issue.occurred_at.desc(), Issue.id).limit(NEAR)).scalars())


def _candidates(db: Session, issue: Issue) -> list[Issue]:
    """Return issues by what an index finds: those found to be like it, its pattern's newest, and those near it in time."""
    others = select(Issue).where(Issue.id != issue.id)
    by_time = Issue.occurred_at.desc(), Issue.id
    queries = [others.where(Issue.occurred_at <= issue.occurred_at).order_by(*by_time).limit(NEAR)]
    queries.append(others.where(Issue.occurred_at > issue.occurred_at).order_by(Issue.occurred_at, Issue.id).limit(NEAR))
    if issue.pattern_id is not None:
        queries.append(others.where(Issue.pattern_id == issue.pattern_id).order_by(*by_time).limit(NEAR))
    if issue.fingerprint is not None:
        queries.append(others.where(Issue.resembles == issue.fingerprint).limit(NEAR))
    if issue.resembles is not None:
        queries.append(others.where(Issue.fingerprint == issue.resembles).limit(NEAR))
    return [one for query in queries for one in db.execute(query).scalars()]
