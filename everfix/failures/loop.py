"""The loop: what happens to failures after they came in, step by step, each step replaceable and each judgement explained.

    fingerprint → assign → patterns → predictions → recommendations → verifications
"""

from __future__ import annotations

import dataclasses
import threading
from collections.abc import Callable, Sequence
from datetime import datetime

from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session

from everfix.core import clock, db as database, jobs
from everfix.core.db import Json
from everfix.failures import fingerprint, grouping, learned, patterns, predictions, recommendations, verifications
from everfix.identity import workspaces
from everfix.ingest.events import Issue

NAME = "grouping"
EXACT = 0.95  # confidence of an exact match: two failures with one fingerprint
FIRST = 0.5  # confidence of a pattern's first member


@dataclasses.dataclass(slots=True)
class Batch:
    """What passes from step to step: issues of one workspace, oldest first, and the patterns they touched."""

    now: datetime
    issues: list[Issue]
    prints: dict[UUID, fingerprint.Fingerprint] = dataclasses.field(default_factory=dict)
    touched: set[UUID] = dataclasses.field(default_factory=set)


def failure(issue: Issue) -> fingerprint.Failure:
    """Return the issue as the fingerprint sees it; a workspace is one scope, since one cause speaks through many tools."""
    return fingerprint.Failure(
        scope="workspace",
        title=issue.title,
        message=issue.body,
        stacktrace=issue.stacktrace,
        error_type=issue.error_type or "",
        service=issue.service or "",
        kind=issue.kind,
        team=issue.team or "",
        occurred_at=issue.occurred_at,
    )


def fingerprints(_db: Session, batch: Batch) -> None:
    """Give every new or changed issue its fingerprint: pure, so it needs no database."""
    for issue in batch.issues:
        if issue.analysis_status != "done":
            batch.prints[issue.id] = fingerprint.of(failure(issue))


_held: dict[UUID, tuple[int, grouping.Grouper]] = {}  # this process's copy of each workspace's grouper, with its revision
_held_lock = threading.Lock()


def _grouper(db: Session) -> grouping.Grouper:
    workspace = database.current(db)
    revision = learned.revision(db, NAME, fingerprint.CURRENT)
    with _held_lock:
        held = _held.pop(workspace, None)  # put back when the batch is done: one that failed half-way is not to be trusted
    if held is not None and held[0] == revision:
        return held[1]
    stored = learned.load(db, NAME, fingerprint.CURRENT)
    return grouping.Grouper.from_state(stored[0]) if stored else grouping.Grouper()


def assign(db: Session, batch: Batch) -> None:
    """Put each issue into its pattern: by exact key, else by likeness, else into a new one; the reason is stored with it."""
    here = workspaces.here(db)
    workspace = database.current(db)
    keys = {found.key for found in batch.prints.values()}
    known = patterns.known(db, fingerprint.CURRENT, keys)
    grouper = _grouper(db)
    groups: dict[str, UUID] = {}
    for issue in batch.issues:
        found = batch.prints.get(issue.id)
        if found is None:
            if issue.pattern_id is not None:
                batch.touched.add(issue.pattern_id)
            continue
        made = grouper.assign(str(issue.id), failure(issue))
        pattern_id = known.get(found.key)
        if pattern_id is None:
            pattern_id, confidence = _place(db, here, issue, found, made, groups)
            known[found.key] = pattern_id
            patterns.remember(db, fingerprint.CURRENT, found.key, pattern_id)
            why = made.why
        else:
            confidence, why = EXACT, {**found.why, "rule": f"same {found.why.get('rule', 'fingerprint')}"}
        _link(issue, found, pattern_id, confidence, why, made, batch)
    db.flush()
    revision = learned.save(db, NAME, fingerprint.CURRENT, grouper.state())
    with _held_lock:
        _held[workspace] = (revision, grouper)


def _link(
    issue: Issue, found: fingerprint.Fingerprint, pattern_id: UUID, confidence: float, why: Json, made: grouping.Assignment, batch: Batch
) -> None:
    if issue.pattern_id is not None and issue.pattern_id != pattern_id:
        batch.touched.add(issue.pattern_id)
    nearest = {"group": made.nearest[0], "similarity": round(made.nearest[1], 4)} if made.nearest else None
    issue.pattern_id, issue.fingerprint = pattern_id, found.key
    issue.assignment = {"version": found.version, "confidence": round(confidence, 4), "why": why, "nearest": nearest}
    issue.analysis_status, issue.analyzed_at, issue.updated_at = "done", batch.now, batch.now
    batch.touched.add(pattern_id)


def _place(
    db: Session, here: workspaces.Workspace, issue: Issue, found: fingerprint.Fingerprint, made: grouping.Assignment, groups: dict[str, UUID]
) -> tuple[UUID, float]:
    """Return the pattern of an issue whose key is new, and how sure that is."""
    if made.group != found.key and here.ai_auto_link and made.similarity >= here.ai_confidence_threshold:
        alike = groups.get(made.group) or patterns.known(db, fingerprint.CURRENT, [made.group]).get(made.group)
        if alike is not None:
            groups[made.group] = alike
            return alike, made.similarity
    draft = patterns.Draft(
        name=(found.signature or issue.title)[:200],
        fingerprint={"error_type": issue.error_type, "error_signature": found.signature[:200]} if issue.error_type else {"error_signature": found.signature[:200]},
        why=found.why,
        service=issue.service,
        team=issue.team,
        kind=issue.kind,
        severity=issue.severity,
    )
    pattern_id = patterns.create(db, draft)
    groups[made.group] = pattern_id
    return pattern_id, FIRST


def recount(db: Session, batch: Batch) -> None:
    """Bring the touched patterns' figures, hours and status in line with their members."""
    patterns.recount(db, sorted(batch.touched))


def predict(db: Session, batch: Batch) -> None:
    """Settle what has ended, predict the touched patterns anew, and set risk by the new probabilities."""
    predictions.resolve(db, batch.now)
    touched = sorted(batch.touched)
    patterns.rate(db, touched, predictions.refresh(db, batch.now, touched))


def recommend(db: Session, batch: Batch) -> None:
    """Bring recommendations for the touched patterns up to date."""
    recommendations.refresh(db, sorted(batch.touched))


def verify(db: Session, batch: Batch) -> None:
    """Hold claimed fixes against what came since."""
    verifications.check(db, batch.now)


STEPS: tuple[Callable[[Session, Batch], None], ...] = (fingerprints, assign, recount, predict, recommend, verify)


def learn(db: Session, issue_ids: Sequence[UUID], *, now: datetime | None = None, steps: Sequence[Callable[[Session, Batch], None]] = STEPS) -> Batch:
    """Take these issues through the loop. One learner at a time per workspace, so that two equal failures meet in one pattern."""
    database.lock(db, "loop")
    query = select(Issue).where(Issue.id.in_(issue_ids)).order_by(Issue.occurred_at, Issue.id)
    batch = Batch(now or clock.now(), list(db.execute(query).scalars()))
    for step in steps:
        step(db, batch)
    return batch


def refresh(db: Session, now: datetime) -> int:
    """Bring every live pattern's prediction, risk and recommendation up to `now`, since all of them age; returns how many."""
    database.lock(db, "loop")
    predictions.resolve(db, now)
    made = predictions.refresh(db, now)
    patterns.rate(db, sorted(made), made)
    recommendations.refresh(db, sorted(made))
    verifications.check(db, now)
    return len(made)


def task_learn(job: jobs.Running) -> Json:
    """Job `failures.learn`: the loop over the issues of one submission."""
    issue_ids = [UUID(text_) for text_ in job.payload["issues"]]
    with job.database.transaction(job.workspace) as db:
        batch = learn(db, issue_ids)
    return {"issues": len(batch.issues), "patterns": len(batch.touched)}


def task_refresh(job: jobs.Running) -> Json:
    """Job `failures.refresh`: everything that ages, brought up to now."""
    job.report(0.1, "predicting")
    with job.database.transaction(job.workspace) as db:
        return {"patterns": refresh(db, clock.now())}


def failed(job: jobs.Running, cause: str) -> None:
    """Mark the issues whose analysis failed for good, so that a person sees it."""
    with job.database.transaction(job.workspace) as db:
        wanted = [UUID(text_) for text_ in job.payload["issues"]]
        db.execute(update(Issue).where(Issue.id.in_(wanted), Issue.analysis_status != "done").values(analysis_status="failed"))


def pending(db: Session) -> int:
    """Return how many issues have not been through the loop yet."""
    return int(db.execute(text("SELECT count(*) FROM issues WHERE analysis_status = 'pending'")).scalar_one())


