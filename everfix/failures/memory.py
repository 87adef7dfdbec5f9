"""The grouper of each workspace: held in memory by each worker, and written down step by step so that every worker's copy is the same.

A copy that is behind takes over the steps it has missed; one whose transaction failed is dropped, since it remembers what never was.
Copies are bounded in all: those of workspaces that did not fail for longest go first.
"""

from __future__ import annotations

import threading
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import event, select
from sqlalchemy.orm import Session

from everfix.core import db as database
from everfix.core import jobs
from everfix.core.db import Json
from everfix.failures import fingerprint, grouping, learned, scopes
from everfix.failures.scopes import Scope

NAME = "grouping"
SCOPE = "workspace"  # a workspace is one scope, since one cause speaks through many tools
MOST_HELD = 200_000  # keys and members that one process holds over all workspaces: about half a gigabyte


class Held(NamedTuple):
    """A copy of a workspace's grouper, and the revision it is at (None: never written down)."""

    revision: int | None
    grouper: grouping.Grouper


_held: dict[UUID, Held] = {}  # the workspace that failed last stands last
_lock = threading.Lock()


def take(db: Session) -> Held:
    """Return what the workspace has learnt, current: from this transaction, else this process's copy brought up to date, else as stored."""
    held: Held | None = db.info.pop(NAME, None)
    if held is None:
        with _lock:
            held = _held.pop(database.current(db), None)  # put back by the commit: what was rolled back must not be remembered
    now = learned.revision(db, NAME, fingerprint.CURRENT)
    if held is not None and held.revision != now:
        held = _caught_up(db, held, now)
    return held or _stored(db)


def _caught_up(db: Session, held: Held, now: int | None) -> Held | None:
    """Return the copy with the steps it has missed, or None when some of them are gone."""
    if held.revision is None or now is None or held.revision > now:
        return None
    missed = learned.steps(db, NAME, held.revision)
    if len(missed) != now - held.revision:
        return None
    for _, changes in missed:
        _scope(held.grouper).apply(changes)
    return Held(now, held.grouper)


def _stored(db: Session) -> Held:
    found = stored(db)
    if found is None:
        return Held(None, grouping.Grouper())
    return Held(found[1], grouping.Grouper.from_state({SCOPE: found[0]}))


def stored(db: Session) -> tuple[Json, int] | None:
    """Return the scope as it is written down, and its revision; None when nothing is."""
    whole = learned.load(db, NAME, fingerprint.CURRENT)
    if whole is None:
        return None
    state, _, revision = whole
    for number, changes in learned.steps(db, NAME, revision):
        scopes.merge(state, changes)
        revision = number
    return state, revision


def _scope(grouper: grouping.Grouper) -> Scope:
    return grouper.scopes.setdefault(SCOPE, Scope())


def begin(held: Held) -> Scope:
    """Return the scope of a copy, with a journal that notes what changes from here on."""
    scope = _scope(held.grouper)
    scope.journal.clear()
    scope.journal.on, scope.journal.whole = True, held.revision is None
    return scope


def keep(db: Session, held: Held) -> None:
    """Write down what changed, and keep this process's copy once that is committed."""
    scope = _scope(held.grouper)
    if scope.journal.whole or held.revision is None:
        made = learned.save(db, NAME, fingerprint.CURRENT, scope.to_json())
    else:
        made = learned.append(db, NAME, held.revision, scope.changes())
        if learned.long(db, NAME) and not _queued(db):
            jobs.enqueue(db, "failures.compact", {})
    scope.journal.clear()
    workspace = database.current(db)
    db.info[NAME] = Held(made, held.grouper)

    def remember(session: Session) -> None:
        if copy := session.info.get(NAME):
            with _lock:
                _held[workspace] = copy
                _bound()

    event.listen(db, "after_commit", remember, once=True)


def _bound() -> None:
    sizes = {
        workspace: len(scope.exact) + 5 * len(scope.exemplars) for workspace, (_, made) in _held.items() for scope in made.scopes.values()
    }
    total = sum(sizes.values())
    while total > MOST_HELD and len(_held) > 1:
        oldest = next(iter(_held))
        total -= sizes[oldest]
        del _held[oldest]


def _queued(db: Session) -> bool:
    query = select(jobs.Job.id).where(jobs.Job.kind == "failures.compact", jobs.Job.status == jobs.Status.QUEUED).limit(1)
    return db.execute(query).first() is not None


def task_compact(job: jobs.Running) -> dict[str, Any]:
    """Job `failures.compact`: one whole state of the last one and the steps since, made beside learning."""
    with job.database.transaction(job.workspace) as db:
        return {"steps": learned.compact(db, NAME, fingerprint.CURRENT, scopes.merge)}
