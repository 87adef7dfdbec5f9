"""Regrouping: a word that moves few failures is said at once; one that moves many is a job, seen as it goes, and all of it happens or nothing.

The job is one transaction: whoever looks meanwhile sees the groups as they were. A job that is cancelled or killed leaves no trace, and one that
was done but not yet noted as done, when its worker was killed, finds its own word and does not say it twice.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import select, text
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import ids, jobs
from everfix.core.db import Json
from everfix.errors import Conflict, Invalid, NotFound
from everfix.failures import corrections, placing, previews
from everfix.failures.corrections import Correction

TASK = "failures.regroup"
LARGE = 5_000  # failures up to which a word is said at once


Act = Literal["merge", "split", "detach", "undo"]


@dataclasses.dataclass(frozen=True, slots=True)
class Wish:
    """What somebody wants to say about a pattern: merge `source` into it, part `issues` from it, or take the word `undone` back."""

    act: Act
    pattern: UUID | None
    source: UUID | None = None
    issues: tuple[UUID, ...] = ()
    undone: UUID | None = None
    name: str = ""
    reason: str = ""


@dataclasses.dataclass(frozen=True, slots=True)
class Speaker:
    """Who said it, as the job remembers."""

    kind: str
    actor_id: UUID | None
    name: str
    ip: str
    trace_id: str


@dataclasses.dataclass(frozen=True, slots=True)
class Answer:
    """What came of a wish: the words said, or the job that says them, and how many failures it moves."""

    words: list[Correction]
    job: UUID | None
    failures: int


def say(db: Session, wish: Wish, *, by: audit.Actor) -> Answer:
    """Do it at once, or queue it where it moves more than LARGE failures. Raises NotFound, Conflict and Invalid as the word itself does."""
    many = _size(db, wish)
    if many <= LARGE:
        words = _do(db, wish, by, [], placing.silent)
        return Answer(words, None, sum(word.moved for word in words))
    speaker = {"kind": by.kind, "actor_id": _text(by.actor_id), "name": by.name, "ip": by.ip, "trace_id": by.trace_id}
    own = [str(ids.new()) for _ in wish.issues or (None,)]
    held: Json = {"wish": _packed(wish), "by": speaker, "words": own, "failures": many}
    return Answer([], jobs.enqueue(db, TASK, held, by=by.name, priority=1), many)


def _size(db: Session, wish: Wish) -> int:
    """Return how many failures a wish is about, by what is counted already where that is known."""
    if wish.act == "undo":
        return corrections.reach(db, _sure(wish.undone))
    if wish.act == "merge":
        return corrections.merging(db, _sure(wish.pattern), _sure(wish.source))
    corrections.members(db, _sure(wish.pattern), wish.issues)
    return previews.of(db, source=wish.pattern, target=None, issue_ids=wish.issues).failures


def _do(db: Session, wish: Wish, by: audit.Actor, own: list[UUID], told: placing.Told) -> list[Correction]:
    if wish.act == "undo":
        return [corrections.undo(db, _sure(wish.undone), by=by, told=told)]
    pattern, first = _sure(wish.pattern), next(iter(own), None)
    if wish.act == "merge":
        return [corrections.merge(db, pattern, _sure(wish.source), by=by, reason=wish.reason, word=first, told=told)]
    if wish.act == "split":
        return [corrections.split(db, pattern, wish.issues, wish.name, by=by, reason=wish.reason, word=first, told=told)]
    return corrections.detach(db, pattern, wish.issues, by=by, reason=wish.reason, said=own, told=told)


def task(job: jobs.Running) -> Json:
    """Job `failures.regroup`: a word that moves many failures."""
    wish, own = _unpacked(job.payload["wish"]), [UUID(one) for one in job.payload["words"]]
    given = job.payload["by"]
    by = Speaker(given["kind"], _id(given["actor_id"]), given["name"], given["ip"], given["trace_id"])
    job.report(0.0, "waiting for the loop")

    def told(done: int, of: int) -> None:
        job.report(0.9 * done / of, f"{done:,} of {of:,} failures moved")

    try:
        with job.database.transaction(job.workspace) as db:
            done = _said_before(db, wish, own) or _do(db, wish, by, own, told)
            return {
                "corrections": [ids.show(ids.Prefix.CORRECTION, word.id) for word in done],
                "failures": sum(word.moved for word in done),
            }
    except (Conflict, Invalid, NotFound) as problem:  # what was possible when it was queued no longer is
        raise jobs.Permanent(str(problem)) from problem


def _said_before(db: Session, wish: Wish, own: list[UUID]) -> list[Correction]:
    """Return what an earlier try of this job has said, if it came to its end."""
    if wish.act == "undo":
        query = select(Correction).where(Correction.id == wish.undone, Correction.revoked_at.is_not(None))
    else:
        query = select(Correction).where(Correction.id.in_(own)).order_by(Correction.number)
    return list(db.execute(query).scalars())


@dataclasses.dataclass(frozen=True, slots=True)
class UnderWay:
    """A regrouping that is not done: what it does, how far it is (0–1), in words, and why it failed if it did."""

    job: UUID
    act: str
    progress: float
    message: str
    error: str | None


def under_way(db: Session, pattern_id: UUID) -> list[UnderWay]:
    """Return the regroupings of a pattern that wait or run, and those that failed within a day, newest first."""
    rows = db.execute(text(_UNDER_WAY), {"kind": TASK, "pattern": str(pattern_id)}).all()
    return [UnderWay(row.id, row.act, row.progress, row.message, row.error if row.status == "failed" else None) for row in rows]


_UNDER_WAY = """
SELECT id, payload->'wish'->>'act' AS act, progress, message, error, status FROM jobs
WHERE kind = :kind AND :pattern IN (payload->'wish'->>'pattern', payload->'wish'->>'source')
AND (status IN ('queued', 'running') OR (status = 'failed' AND finished_at > now() - interval '1 day')) ORDER BY id DESC LIMIT 5
"""


def _packed(wish: Wish) -> Json:
    named = {key: _text(getattr(wish, key)) for key in ("pattern", "source", "undone")}
    return {"act": wish.act, "issues": [str(one) for one in wish.issues], "name": wish.name, "reason": wish.reason, **named}


def _unpacked(held: Mapping[str, Any]) -> Wish:
    found = {key: _id(held[key]) for key in ("pattern", "source", "undone")}
    return Wish(held["act"], issues=tuple(UUID(one) for one in held["issues"]), name=held["name"], reason=held["reason"], **found)


def _text(value: object) -> str | None:
    return None if value is None else str(value)


def _id(value: str | None) -> UUID | None:
    return None if value is None else UUID(value)


def _sure(value: UUID | None) -> UUID:
    if value is None:
        raise Invalid("the wish names no pattern or word")
    return value
