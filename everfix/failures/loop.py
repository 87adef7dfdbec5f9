"""The loop: what happens to failures after they came in, step by step, each step replaceable and each judgement explained.

fingerprint → assign → patterns → predictions → recommendations → verifications
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Callable, Sequence
from datetime import datetime
from typing import NamedTuple
from uuid import UUID

from sqlalchemy import select, text, update
from sqlalchemy.orm import Session, attributes, load_only

from everfix.core import clock, jobs
from everfix.core import db as database
from everfix.core.db import Json
from everfix.failures import (
    alerts,
    analyses,
    announcements,
    belongings,
    corrections,
    figures,
    fingerprint,
    grouping,
    memory,
    patterns,
    predictions,
    rating,
    recommendations,
    rules,
    verifications,
    watches,
)
from everfix.identity import workspaces
from everfix.ingest.events import Issue

TOGETHER = 2_000  # issues that one run takes, its own and those of jobs that wait: what is done once for each pattern is done less often
EXACT = 0.95  # confidence of an exact match: two failures with one fingerprint
FIRST = 0.5  # confidence of a pattern's first member


@dataclasses.dataclass(slots=True)
class Batch:
    """What passes from step to step: issues of one workspace, oldest first, and the patterns they touched."""

    now: datetime
    issues: list[Issue]
    prints: dict[UUID, fingerprint.Fingerprint] = dataclasses.field(default_factory=dict)
    touched: set[UUID] = dataclasses.field(default_factory=set)


def fingerprints(_db: Session, batch: Batch) -> None:
    """Give every new or changed issue its fingerprint: pure, so it needs no database."""
    for issue in batch.issues:
        if issue.fingerprint is None:
            batch.prints[issue.id] = fingerprint.of(belongings.failure(issue))


def assign(db: Session, batch: Batch) -> None:
    """Put each issue into its pattern: by exact key, else by likeness, else into a new one; the reason is stored with it.

    The grouper decides, in memory; then the groups' patterns are looked up at once, and what people said has the last word. Where the grouper
    learnt that two groups are one, their patterns become one, unless a person's word names them.
    """
    here, said = workspaces.here(db), corrections.rules_of(db)
    held = memory.take(db)
    scope = memory.begin(held)
    judged: list[Judged] = []
    for issue in batch.issues:
        found = batch.prints.get(issue.id)
        if found is not None:
            judged.append(Judged(issue, found, _allowed(here, found, grouping.assign(scope, found, held.grouper.corrections))))
        elif issue.pattern_id is not None:
            batch.touched.add(issue.pattern_id)
    links, joined = _placed(db, judged, said)
    _link(db, batch, links)
    for gone, kept in joined:
        at = (said.merged[kept].pattern if kept in said.merged else None) or kept
        patterns.absorb(db, gone, kept, at)
        batch.touched.discard(gone)
        batch.touched.add(at)
    memory.keep(db, held)


def _placed(db: Session, judged: Sequence[Judged], said: rules.Rules) -> tuple[list[Link], list[tuple[UUID, UUID]]]:
    """Return where each issue goes, having made the patterns that are new, and which patterns (gone, kept) turned out to be one."""
    known = patterns.known(db, fingerprint.CURRENT, {name for one in judged for name in (one.made.group, *one.made.absorbed)})
    fresh: dict[str, UUID] = {}
    links: list[Link] = []
    joined: list[tuple[UUID, UUID]] = []
    with db.no_autoflush:  # new patterns are written together, before the first key or issue that refers to them
        for issue, found, made in judged:
            new = made.group not in known
            if new:
                known[made.group] = fresh[made.group] = patterns.create(db, belongings.draft(issue, found))
            home = known[made.group]
            for gone in made.absorbed:
                if known.get(gone, home) not in said.named:
                    if known.get(gone, home) != home:
                        joined.append((known[gone], home))
                    known[gone] = fresh[gone] = home
            links.append(_linked(issue, found, home, FIRST if new else EXACT if made.similarity >= 1.0 else made.similarity, made, said))
    db.flush()
    for group, pattern_id in fresh.items():
        patterns.remember(db, fingerprint.CURRENT, group, pattern_id)
    return links, joined


class Judged(NamedTuple):
    """An issue, its fingerprint, and what the grouper made of it."""

    issue: Issue
    found: fingerprint.Fingerprint
    made: grouping.Assignment


def _allowed(here: workspaces.Workspace, found: fingerprint.Fingerprint, made: grouping.Assignment) -> grouping.Assignment:
    """Return the grouper's word, or the failure's own group where the workspace links nothing by likeness, or not at so little confidence."""
    by_likeness = made.group != found.key and made.similarity < 1.0
    if by_likeness and (not here.ai_auto_link or made.similarity < here.ai_confidence_threshold):
        why = {**made.why, "rule": "kept apart: likeness below the workspace's threshold"}
        return grouping.Assignment(found.key, why, made.similarity, (made.group, made.similarity))
    return made


@dataclasses.dataclass(frozen=True, slots=True)
class Link:
    """An issue, the pattern that the loop gave it, where it belongs by what people said, and the reason."""

    issue: Issue
    subject: rules.Subject
    place: rules.Place
    assignment: Json


def _linked(
    issue: Issue, found: fingerprint.Fingerprint, home: UUID, confidence: float, made: grouping.Assignment, said: rules.Rules
) -> Link:
    nearest = {"group": made.nearest[0], "similarity": round(made.nearest[1], 4)} if made.nearest else None
    told = {"version": found.version, "stage": made.stage, "confidence": round(confidence, 4), "why": made.why, "nearest": nearest}
    subject = rules.Subject(found.key, made.group if made.bare else None, made.kin, home)
    return Link(issue, subject, said.place(subject), told)


def _link(db: Session, batch: Batch, links: Sequence[Link]) -> None:
    """Write where the issues went in one statement, and let the loaded issues say the same."""
    rows = [
        {"id": one.issue.id, "pattern_id": one.place.pattern, "correction_id": one.place.word, "home_id": one.subject.home}
        | {"fingerprint": one.subject.fingerprint, "symptom": one.subject.symptom, "resembles": one.subject.resembles}
        | {"assignment": one.assignment}
        for one in links
    ]
    db.execute(text(_LINK), {"rows": json.dumps(rows, default=str), "now": batch.now})
    for one in links:
        batch.touched |= {pattern for pattern in (one.issue.pattern_id, one.place.pattern) if pattern is not None}
        for name, value in (
            ("pattern_id", one.place.pattern), ("fingerprint", one.subject.fingerprint), ("assignment", one.assignment),
            ("updated_at", batch.now),
        ):  # fmt: skip
            attributes.set_committed_value(one.issue, name, value)


_LINK = """
UPDATE issues i SET pattern_id = r.pattern_id, fingerprint = r.fingerprint, assignment = r.assignment, home_id = r.home_id,
    symptom = r.symptom, resembles = r.resembles, correction_id = r.correction_id, updated_at = :now
FROM jsonb_to_recordset(cast(:rows AS jsonb)) AS r(id uuid, pattern_id uuid, fingerprint text, assignment jsonb, home_id uuid,
    symptom text, resembles text, correction_id uuid) WHERE i.id = r.id
"""


def recount(db: Session, batch: Batch) -> None:
    """Bring the touched patterns' figures, hours and status in line with their members."""
    figures.fold(db, sorted(batch.touched))


def predict(db: Session, batch: Batch) -> None:
    """Settle what has ended, predict the touched patterns anew, and set risk by the new probabilities."""
    predictions.resolve(db, batch.now)
    touched = sorted(batch.touched)
    odds = predictions.refresh(db, batch.now, touched)
    rating.rate(db, touched, odds, came=[issue.id for issue in batch.issues], joined=list(batch.prints))


def recommend(db: Session, batch: Batch) -> None:
    """Bring recommendations for the touched patterns up to date."""
    recommendations.refresh(db, sorted(batch.touched))


def verify(db: Session, batch: Batch) -> None:
    """Hold claimed fixes against what came since."""
    verifications.check(db, batch.now, sorted(batch.touched))


def announce(db: Session, batch: Batch) -> None:
    """Hold alert rules against the new predictions, and tell people what came."""
    alerts.check(db, batch.now, sorted(batch.touched))
    announcements.tell(db, batch.now, batch.issues, batch.touched)
    watches.follow(db)


STEPS: tuple[Callable[[Session, Batch], None], ...] = (fingerprints, assign, recount, predict, verify, recommend, announce)

GROUPING = STEPS[:3]  # what history needs at once; what is predicted from it follows at each step of the walk


_READ = (
    Issue.title, Issue.body, Issue.stacktrace, Issue.error_type, Issue.service, Issue.kind, Issue.team, Issue.severity, Issue.occurred_at,
    Issue.fingerprint, Issue.pattern_id,
)  # fmt: skip


def learn(
    db: Session, issue_ids: Sequence[UUID], *, now: datetime | None = None, steps: Sequence[Callable[[Session, Batch], None]] = STEPS
) -> Batch:
    """Take these issues through the loop. One learner at a time per workspace, so that two equal failures meet in one pattern."""
    database.lock(db, "loop")
    query = select(Issue).where(Issue.id.in_(issue_ids)).order_by(Issue.occurred_at, Issue.id).options(load_only(*_READ))
    batch = Batch(now or clock.now(), list(db.execute(query).scalars()))
    for step in steps:
        step(db, batch)
    return batch


def follow(db: Session, pattern_ids: Sequence[UUID], now: datetime) -> None:
    """Let figures, predictions, risk, recommendations and proofs follow what people did to these patterns."""
    database.lock(db, "loop")
    batch = Batch(now, [], touched=set(pattern_ids))
    for step in (recount, predict, verify, recommend):
        step(db, batch)
    watches.follow(db)


def task_follow(job: jobs.Running) -> Json:
    """Job `failures.follow`: patterns that people regrouped."""
    found = [UUID(one) for one in job.payload["patterns"]]
    with job.database.transaction(job.workspace) as db:
        follow(db, found, clock.now())
    return {"patterns": len(found)}


def refresh(db: Session, now: datetime) -> int:
    """Bring every live pattern's prediction, risk and recommendation up to `now`, since all of them age; returns how many."""
    database.lock(db, "loop")
    predictions.resolve(db, now)
    made = predictions.refresh(db, now)
    rating.rate(db, sorted(made), made)
    verifications.check(db, now)  # first: what has just been proven or has failed decides what to try next
    recommendations.refresh(db, sorted(made))
    watches.follow(db)
    alerts.check(db, now)
    return len(made)


def task_learn(job: jobs.Running) -> Json:
    """Job `failures.learn`: the loop over the issues of one submission, and over those of jobs that wait behind it.

    1. Take jobs along that wait (not at a second try: one of them may be why the first failed).
    2. Learn from all their issues at once.
    3. Have them analysed, and end the jobs taken along, in the same transaction. Had it failed, each would still come up by itself.
    """
    own = [UUID(text_) for text_ in job.payload["issues"]]
    with job.database.transaction(job.workspace) as db:
        database.lock(db, "loop")
        this = jobs.get(db, job.job_id)
        if this.status == jobs.Status.SUCCEEDED:
            return this.result or {}  # while it waited for the lock, another job took it along
        along = _take_along(job, TOGETHER - len(own)) if this.attempts == 1 else {}
        batch = learn(db, [*own, *(issue for issues in along.values() for issue in issues)])
        pattern_of = {issue.id: issue.pattern_id for issue in batch.issues}
        analyses.enqueue(db, list(pattern_of))
        _end(db, {other: _told(issues, pattern_of) for other, issues in along.items()})
    return _told(own, pattern_of)


def _take_along(job: jobs.Running, room: int) -> dict[UUID, list[UUID]]:
    """Return the issues of learning jobs that wait, oldest first, and say that these run now; `room` issues at most."""
    taken: dict[UUID, list[UUID]] = {}
    with job.database.transaction(job.workspace) as db:
        waiting = select(jobs.Job).where(jobs.Job.kind == "failures.learn", jobs.Job.status == jobs.Status.QUEUED)
        for other in db.execute(waiting.order_by(jobs.Job.id).limit(room).with_for_update(skip_locked=True)).scalars():
            issues = [UUID(text_) for text_ in other.payload["issues"]]
            if len(issues) > room:
                break
            room -= len(issues)
            taken[other.id] = issues
            other.status, other.started_at = jobs.Status.RUNNING, clock.now()
    return taken


def _told(issues: Sequence[UUID], pattern_of: dict[UUID, UUID | None]) -> Json:
    found = [pattern_of[issue] for issue in issues if issue in pattern_of]
    return {"issues": len(found), "patterns": len({pattern for pattern in found if pattern is not None})}


def _end(db: Session, results: dict[UUID, Json]) -> None:
    """End jobs that were taken along, and withdraw their tickets: thousands that do nothing would stand before those of new jobs."""
    if not results:
        return
    rows = [{"id": str(job_id), "result": result} for job_id, result in results.items()]
    db.execute(text(_END), {"rows": json.dumps(rows), "now": clock.now()})
    db.execute(text(_WITHDRAW), {"jobs": [row["id"] for row in rows]})


_END = """
UPDATE jobs j SET status = 'succeeded', progress = 1, finished_at = :now, result = r.result
FROM jsonb_to_recordset(cast(:rows AS jsonb)) AS r(id uuid, result jsonb) WHERE j.id = r.id
"""
_WITHDRAW = """
DELETE FROM pgqueuer WHERE entrypoint = 'failures.learn' AND status = 'queued'
AND convert_from(payload, 'UTF8')::jsonb->>'job' = ANY(:jobs)
"""


def task_refresh(job: jobs.Running) -> Json:
    """Job `failures.refresh`: everything that ages, brought up to now."""
    job.report(0.1, "predicting")
    with job.database.transaction(job.workspace) as db:
        return {"patterns": refresh(db, clock.now())}


def failed(job: jobs.Running, _cause: str) -> None:
    """Mark the issues that could not be learnt from, so that a person sees it."""
    with job.database.transaction(job.workspace) as db:
        wanted = [UUID(text_) for text_ in job.payload["issues"]]
        db.execute(update(Issue).where(Issue.id.in_(wanted), Issue.fingerprint.is_(None)).values(analysis_status="failed"))
