"""Corrections: what people said about groups, kept in order; later failures obey, the last word wins, and each can be taken back.

Where a failure belongs is computed from the words that stand (`failures.rules`), never edited by hand. So saying something and taking it back
are one operation: compare the rules before and after, and move what they place differently. What a word changed beside that (status, fixes
that went over) is kept with it, for the way back.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from itertools import zip_longest
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, func, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core import db as database
from everfix.core.db import Base, Json, WorkspaceRow
from everfix.errors import Conflict, Invalid, NotFound
from everfix.failures import belongings, fingerprint, patterns, placing, watches
from everfix.failures.patterns import Pattern
from everfix.failures.rules import Rules, Word
from everfix.ingest.events import Issue

KINDS = ("merge", "split", "detach", "link", "unlink")
MOST = 500  # issues that one word may name


class Correction(WorkspaceRow, Base):
    """One word. `symptoms` are what it is about (none: the whole of `source_id`); `before` is what it takes to go back."""

    __tablename__ = "corrections"
    __table_args__ = (
        CheckConstraint("kind IN ('merge', 'split', 'detach', 'link', 'unlink')", name="kind"),
        Index("uq_corrections_number", "workspace_id", "number", unique=True),
        Index("ix_corrections_source", "workspace_id", "source_id"),
        Index("ix_corrections_target", "workspace_id", "target_id"),
    )

    number: Mapped[int]
    kind: Mapped[str]
    source_id: Mapped[UUID | None]
    target_id: Mapped[UUID | None]
    symptoms: Mapped[list[str]] = mapped_column(server_default="{}")
    reason: Mapped[str] = mapped_column(server_default="")
    moved: Mapped[int] = mapped_column(server_default="0")
    before: Mapped[Json] = mapped_column(server_default="{}")
    said_by: Mapped[str]
    said_at: Mapped[datetime]
    revoked_by: Mapped[str | None]
    revoked_at: Mapped[datetime | None]


_compiled: dict[UUID, tuple[tuple[int, int], Rules]] = {}  # the rules of workspaces, as this process compiled them last
KEPT = 50


def rules_of(db: Session) -> Rules:
    """Return the words that stand, compiled; compiled anew only when a word came or was taken back."""
    stamp = db.execute(select(func.count(), func.count(Correction.revoked_at)).select_from(Correction)).one()
    workspace, now = database.current(db), (int(stamp[0]), int(stamp[1]))
    held = _compiled.get(workspace)
    if held is not None and held[0] == now and not db.info.get("corrections"):
        return held[1]
    made = Rules.of(words_of(db))
    if not db.info.get("corrections"):  # what this transaction itself said may still be rolled back
        _compiled[workspace] = (now, made)
        for old in list(_compiled)[:-KEPT]:
            del _compiled[old]
    return made


def words_of(db: Session) -> list[Word]:
    """Return the words that stand, in the order in which they were said."""
    said = select(Correction.number, Correction.id, Correction.source_id, Correction.target_id, Correction.symptoms)
    rows = db.execute(said.where(Correction.revoked_at.is_(None)).order_by(Correction.number))
    return [Word(row.number, row.id, row.source_id, row.target_id, tuple(row.symptoms)) for row in rows]


def subjects(db: Session, issue_ids: Sequence[UUID]) -> list[Issue]:
    """Return these issues, each with its fingerprint, also those that the loop has not reached; raises Invalid when one is not there."""
    if not issue_ids or len(set(issue_ids)) > MOST:
        raise Invalid(f"{len(set(issue_ids))} issues were named", details={"issue_ids": f"between 1 and {MOST} issues"})
    found = list(db.execute(select(Issue).where(Issue.id.in_(issue_ids)).order_by(Issue.occurred_at, Issue.id)).scalars())
    if len(found) != len(set(issue_ids)):
        lost = next(one for one in issue_ids if one not in {issue.id for issue in found})
        raise Invalid("there is no such issue", details={"issue_ids": f"{ids.show(ids.Prefix.ISSUE, lost)} is no issue of this workspace"})
    for issue in found:
        if issue.fingerprint is None:
            issue.fingerprint = fingerprint.of(belongings.failure(issue)).key
    db.flush()
    return found


def symptom(issue: Issue) -> str:
    """Return what a word on this issue is about: its fingerprint, or for a bare symptom the group that tells it from others of its kind."""
    return issue.symptom or str(issue.fingerprint)


def merge(
    db: Session,
    target_id: UUID,
    source_id: UUID,
    *,
    by: audit.Actor,
    reason: str = "",
    word: UUID | None = None,
    told: placing.Told = placing.silent,
) -> Correction:
    """Say that all failures of `source_id`, past and to come, are those of `target_id`. Raises NotFound, and Conflict where they are one."""
    merging(db, target_id, source_id)
    source, target = live(db, source_id), live(db, target_id)
    made = _said(db, "merge", source.id, target.id, (), by, reason, word=word)
    made.before |= belongings.hand_over(db, source.id, target.id)
    source.merged_into = target.id
    return _done(db, made, by, told=told)


def split(
    db: Session,
    pattern_id: UUID,
    issue_ids: Sequence[UUID],
    name: str = "",
    *,
    by: audit.Actor,
    reason: str = "",
    word: UUID | None = None,
    told: placing.Told = placing.silent,
) -> Correction:
    """Say that these failures of a pattern, and all like them, are a pattern of their own."""
    found = members(db, pattern_id, issue_ids)
    own = _own(db, found[0], name)
    symptoms = tuple(dict.fromkeys(symptom(issue) for issue in found))
    return _done(db, _said(db, "split", pattern_id, own, symptoms, by, reason, made=own, word=word), by, told=told)


def detach(
    db: Session,
    pattern_id: UUID,
    issue_ids: Sequence[UUID],
    *,
    by: audit.Actor,
    reason: str = "",
    said: Sequence[UUID] = (),
    told: placing.Told = placing.silent,
) -> list[Correction]:
    """Say that each of these failures is a pattern of its own, with all that are equal to it."""
    firsts = {symptom(issue): issue for issue in reversed(members(db, pattern_id, issue_ids))}
    done = []
    for (name, issue), word in zip_longest(firsts.items(), said[: len(firsts)]):
        own = _own(db, issue, "")
        done.append(_done(db, _said(db, "detach", pattern_id, own, (name,), by, reason, made=own, word=word), by, told=told))
    return done


def link(
    db: Session, issue_ids: Sequence[UUID], pattern_id: UUID, *, by: audit.Actor, reason: str = "", made: UUID | None = None
) -> Correction:
    """Say that these failures, and all that are equal to them, belong to a pattern; an open one joins its loop."""
    target = live(db, pattern_id)
    found = subjects(db, issue_ids)
    symptoms = tuple(dict.fromkeys(symptom(issue) for issue in found))
    return _done(db, _said(db, "link", None, target.id, symptoms, by, reason, made=made), by, linked=[issue.id for issue in found])


def unlink(db: Session, issue_ids: Sequence[UUID], *, by: audit.Actor, reason: str = "") -> Correction:
    """Say that these failures, and all that are equal to them, belong to no pattern."""
    found = subjects(db, issue_ids)
    symptoms = tuple(dict.fromkeys(symptom(issue) for issue in found))
    sources = {issue.pattern_id for issue in found}
    return _done(db, _said(db, "unlink", sources.pop() if len(sources) == 1 else None, None, symptoms, by, reason), by)


def undo(db: Session, correction_id: UUID, *, by: audit.Actor, told: placing.Told = placing.silent) -> Correction:
    """Take a word back: everything is as if it had not been said. Raises NotFound, and Conflict where it was taken back before."""
    database.lock(db, "loop")
    row = _standing(db, correction_id)
    words = words_of(db)
    old, new = Rules.of(words), Rules.of(word for word in words if word.id != row.id)
    db.info["corrections"] = True
    if row.kind == "merge":
        db.execute(text("UPDATE patterns SET merged_into = NULL WHERE id = :id"), {"id": row.source_id})
        at = old.merged[row.target_id].pattern if row.target_id in old.merged else row.target_id
        belongings.take_back(db, row.source_id, at, row.before)
    db.execute(text(_OPEN_AGAIN), {"ids": row.before.get("joined", [])})
    touched, _ = placing.move(db, old, new, told)
    row.revoked_at, row.revoked_by = clock.now(), by.name
    db.flush()
    _join_again(db, row.before.get("joined", []))
    _restore(db, row)
    _follow(db, touched - set(db.execute(text(_DROP)).scalars()))
    audit.record(db, by, audit.Action.CORRECTION_REVOKED, "correction", row.id, {"kind": row.kind, "number": row.number})
    _tell(db, row, f"took back that {row.moved} failures were {SAID[row.kind]}", by)
    return row


def reach(db: Session, correction_id: UUID) -> int:
    """Return how many failures taking a word back is about, those that it moved; raises as `undo` does."""
    return _standing(db, correction_id).moved


def merging(db: Session, target_id: UUID, source_id: UUID) -> int:
    """Return how many failures a merge is about; raises as `merge` does."""
    source, target = live(db, source_id), live(db, target_id)
    if source.id == target.id:
        raise Conflict("a pattern cannot be merged with itself", details={"source_pattern_id": "another pattern"})
    return source.issue_count


def _standing(db: Session, correction_id: UUID) -> Correction:
    query = select(Correction).where(Correction.id == correction_id).with_for_update()
    row = db.execute(query.execution_options(populate_existing=True)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"no correction {ids.show(ids.Prefix.CORRECTION, correction_id)}")
    if row.revoked_at is not None:
        raise Conflict(f"this was taken back by {row.revoked_by} already")
    return row


def _restore(db: Session, row: Correction) -> None:
    """Give patterns back the state they had before a word; where a later word about one stands, that word keeps it for when it is taken back."""
    kept = dict(row.before.get("patterns", {}))
    later = select(Correction).where(Correction.revoked_at.is_(None), Correction.number > row.number).order_by(Correction.number)
    for word in db.execute(later.execution_options(populate_existing=True)).scalars():
        held = word.before.get("patterns", {})
        if taken := held.keys() & kept.keys():
            word.before = {**word.before, "patterns": held | {pattern: kept.pop(pattern) for pattern in taken}}
    db.flush()
    belongings.restore(db, kept)
    belongings.forget_words(db)


def _join_again(db: Session, issue_ids: Sequence[str]) -> None:
    """Let issues that were opened again join the loop that another word gives them, and let that word answer for it."""
    given = {"ids": [UUID(one) for one in issue_ids], "linked": [], "recurring": patterns.RECURRING}
    for row in db.execute(text(_JOIN_BY_WORD), given).all():
        db.execute(text(_ANSWER), {"word": row.correction_id, "issue": json.dumps([str(row.id)])})


def about(db: Session, correction_id: UUID) -> UUID | None:
    """Return the pattern that a word is about, if there is such a word and it names one."""
    named = func.coalesce(Correction.target_id, Correction.source_id)
    return db.execute(select(named).where(Correction.id == correction_id)).scalar_one_or_none()


def last(db: Session, pattern_id: UUID) -> Correction:
    """Return the last word that stands about a pattern; raises NotFound."""
    query = select(Correction).where(
        Correction.revoked_at.is_(None), (Correction.source_id == pattern_id) | (Correction.target_id == pattern_id)
    )
    row = db.execute(query.order_by(Correction.number.desc()).limit(1)).scalar_one_or_none()
    if row is None:
        raise NotFound("nothing was said about this pattern that could be taken back")
    return row


def live(db: Session, pattern_id: UUID) -> Pattern:
    """Return a pattern; raises NotFound, and Conflict for one that was merged into another."""
    found = patterns.get(db, pattern_id)
    if found.merged_into is not None:
        into = ids.show(ids.Prefix.PATTERN, found.merged_into)
        raise Conflict(f"the pattern was merged into {into}; take that back first", details={"pattern_id": f"is part of {into}"})
    return found


def members(db: Session, pattern_id: UUID, issue_ids: Sequence[UUID]) -> list[Issue]:
    """Return these failures of a pattern; raises NotFound, Conflict where the pattern was merged, Invalid for those that are not its own."""
    live(db, pattern_id)
    found = subjects(db, issue_ids)
    strange = [issue for issue in found if issue.pattern_id != pattern_id]
    if strange:
        shown = ids.show(ids.Prefix.ISSUE, strange[0].id)
        raise Invalid("an issue is no member of this pattern", details={"issue_ids": f"{shown} does not belong to it"})
    return found


def _own(db: Session, issue: Issue, name: str) -> UUID:
    """Make the pattern that failures are given by hand."""
    found = fingerprint.of(belongings.failure(issue))
    return patterns.create(db, belongings.draft(issue, found, name), by_hand=True)


def _said(
    db: Session,
    kind: str,
    source: UUID | None,
    target: UUID | None,
    symptoms: tuple[str, ...],
    by: audit.Actor,
    reason: str,
    *,
    made: UUID | None = None,
    word: UUID | None = None,
) -> Correction:
    database.lock(db, "loop")  # no batch may place failures by the rules as they were
    number = db.execute(select(func.coalesce(func.max(Correction.number), 0))).scalar_one() + 1
    row = Correction(id=word or ids.new(), number=number, kind=kind, source_id=source, target_id=target, symptoms=list(symptoms))
    row.said_by, row.said_at, row.reason = by.name, clock.now(), reason
    row.before = {"patterns": {}} | ({"made": str(made)} if made else {})
    return row


def _done(db: Session, row: Correction, by: audit.Actor, linked: Sequence[UUID] = (), told: placing.Told = placing.silent) -> Correction:
    """Let a word take effect: move what it places anew, count, and let predictions follow."""
    words = words_of(db)
    db.add(row)
    db.flush()
    db.info["corrections"] = True
    said = Word(row.number, row.id, row.source_id, row.target_id, tuple(row.symptoms))
    old, new = Rules.of(words), Rules.of([*words, said])
    about = {one for one in (row.source_id, row.target_id) if one is not None}
    before = belongings.snapshot(db, about | belongings.of_symptoms(db, row.symptoms))
    belongings.remember_before(db, before)
    touched, moved = placing.move(db, old, new, told)
    joined = db.execute(text(_JOIN), {"ids": [*moved, *linked], "linked": list(linked), "recurring": patterns.RECURRING}).scalars().all()
    made = row.before.get("made")
    row.before = {**row.before, "patterns": {k: v for k, v in before.items() if k != made}, "joined": [str(one) for one in joined]}
    row.moved = len(moved)
    db.flush()
    _follow(db, touched)
    details: Json = {"kind": row.kind, "number": row.number, "moved": row.moved}
    shown = {"source": row.source_id, "target": row.target_id}
    details |= {name: ids.show(ids.Prefix.PATTERN, value) for name, value in shown.items() if value is not None}
    audit.record(db, by, audit.Action.CORRECTION_MADE, "correction", row.id, details)
    _tell(db, row, f"{SAID[row.kind]} {row.moved} failures", by)
    return row


def _tell(db: Session, row: Correction, words: str, by: audit.Actor) -> None:
    """Tell the watchers of the patterns that a word names; one that it made and its undo dropped is not there any more."""
    named = [one for one in (row.source_id, row.target_id) if one is not None]
    for pattern_id in db.execute(select(Pattern.id).where(Pattern.id.in_(named))).scalars().all():
        watches.tell(db, pattern_id, words, by=by)


def _follow(db: Session, touched: set[UUID]) -> None:
    """Let predictions, risk and recommendations of these patterns follow, apart from whoever waits for the answer."""
    if touched:
        jobs.enqueue(db, "failures.follow", {"patterns": [str(one) for one in sorted(touched)]}, priority=1)


SAID = {"merge": "merged", "split": "split off", "detach": "detached", "link": "linked", "unlink": "unlinked"}


def explained(db: Session, issue: Issue) -> Json | None:
    """Return why an issue is where it is: the person's word that decided, with what the machine thought, or the machine's own reason."""
    if issue.correction_id is None:
        return issue.assignment
    row = db.execute(select(Correction).where(Correction.id == issue.correction_id)).scalar_one()
    why = {"rule": f"{SAID[row.kind]} by {row.said_by}", "correction": ids.show(ids.Prefix.CORRECTION, row.id)}
    why |= {"reason": row.reason} if row.reason else {}
    return {"version": "human", "stage": "person", "confidence": 1.0, "why": why, "nearest": None, "machine": issue.assignment}


_JOIN = """
UPDATE issues i SET status = 'in_loop', updated_at = now() FROM patterns p
WHERE p.id = i.pattern_id AND i.id = ANY(:ids) AND i.status = 'open' AND (p.issue_count >= :recurring OR i.id = ANY(:linked)) RETURNING i.id
"""
_JOIN_BY_WORD = f"{_JOIN.replace('RETURNING', 'AND i.correction_id IS NOT NULL RETURNING')}, i.correction_id"
_OPEN_AGAIN = "UPDATE issues SET status = 'open', updated_at = now() WHERE id = ANY(cast(:ids AS uuid[])) AND status = 'in_loop'"
_ANSWER = """
UPDATE corrections SET before = jsonb_set(before, '{joined}', coalesce(before->'joined', '[]') || cast(:issue AS jsonb)) WHERE id = :word
"""
# A pattern that a word made goes once that word was taken back and no other names it.
_DROP = """
DELETE FROM patterns p WHERE by_hand AND NOT EXISTS (SELECT FROM issues i WHERE i.pattern_id = p.id)
AND EXISTS (SELECT FROM corrections c WHERE c.revoked_at IS NOT NULL AND c.before->>'made' = p.id::text)
AND NOT EXISTS (SELECT FROM corrections c WHERE c.revoked_at IS NULL AND p.id IN (c.source_id, c.target_id)) RETURNING id
"""
