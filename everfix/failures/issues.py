"""Issues: one failure as people work on it; a status moves along one state machine."""

from __future__ import annotations

import dataclasses
import re
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from sqlalchemy import ColumnElement, case, func, null, select, text, update
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.errors import Conflict, Invalid, NotFound
from everfix.failures import announcements, corrections, patterns
from everfix.identity.members import Member
from everfix.ingest import events
from everfix.ingest.events import Issue

FLOW: Mapping[str, tuple[str, ...]] = {
    "open": ("in_loop", "mitigating", "resolved", "closed"),
    "in_loop": ("open", "mitigating", "resolved", "closed"),
    "mitigating": ("open", "in_loop", "resolved", "closed"),
    "resolved": ("open", "in_loop", "closed"),
    "closed": ("open",),
}
STATUSES = tuple(FLOW)
SETTLED = ("resolved", "closed")
SEVERITIES = ("p1", "p2", "p3", "p4")
LOOP_DAYS = 90


def get(db: Session, issue_id: UUID) -> Issue:
    """Return one issue; raises NotFound."""
    issue = db.execute(select(Issue).where(Issue.id == issue_id)).scalar_one_or_none()
    if issue is None:
        raise NotFound(f"no issue {ids.show(ids.Prefix.ISSUE, issue_id)}")
    return issue


def matches(said: str) -> ColumnElement[bool]:
    """Return the condition that title or body hold every word, or a word that begins so; words without a letter match nothing."""
    found = words(said)
    if not found:
        return Issue.external_id == said.strip()
    return Issue.search.bool_op("@@")(func.to_tsquery("simple", " & ".join(f"{word}:*" for word in found)))


def words(said: str) -> list[str]:
    """Return the words of what somebody looks for."""
    return re.findall(r"\w+", said)


def create(db: Session, record: dict[str, Any], *, by: audit.Actor) -> Issue:
    """Make an issue by hand and queue the loop; raises Invalid, and Conflict when its source and external_id exist."""
    given = {"external_id": f"manual-{ids.new()}", "source": "manual", **{key: value for key, value in record.items() if value is not None}}
    try:
        event = events.read(given)
    except ValueError as problem:
        raise Invalid(str(problem), details=dict(part.partition(": ")[::2] for part in str(problem).split("; "))) from problem
    if db.execute(select(Issue.id).where(Issue.source == event.source, Issue.external_id == event.external_id)).one_or_none():
        raise Conflict(
            f"an issue with the external_id {event.external_id[:60]!r} exists for {event.source}", details={"external_id": "taken"}
        )
    accepted = events.accept(db, [given])
    issue = get(db, accepted.issues[0])
    jobs.enqueue(db, "failures.learn", {"issues": [str(issue.id)]}, by=by.name, priority=1)
    audit.record(db, by, audit.Action.ISSUE_CREATED, "issue", issue.id, {"title": issue.title})
    return issue


def change(db: Session, issue_id: UUID, values: Mapping[str, Any], *, by: audit.Actor) -> Issue:
    """Change title, body, severity, status, team, assignee or pattern of an issue; a change of pattern is a word (see `corrections`).

    Raises NotFound, Conflict for a status that FLOW does not reach, Invalid for an assignee who is no member or a pattern that is not there.
    """
    issue = get(db, issue_id)
    before = {key: getattr(issue, key) for key in values}
    if "status" in values:
        _move(issue, values["status"])
    if values.get("assignee_id") is not None:
        _member(db, values["assignee_id"])
    for key, value in values.items():
        if key not in ("status", "pattern_id"):
            setattr(issue, key, value)
    issue.updated_at = clock.now()
    db.flush()
    if "pattern_id" in values and values["pattern_id"] != before["pattern_id"]:
        regroup(db, [issue.id], values["pattern_id"], by=by)
        db.refresh(issue)
    changed = {key: [_plain(before[key]), _plain(getattr(issue, key))] for key in values if before[key] != getattr(issue, key)}
    if "severity" in changed and issue.severity < str(before["severity"]):  # p1 is the most severe
        announcements.escalated(db, issue, str(before["severity"]), by)
    audit.record(db, by, audit.Action.ISSUE_UPDATED, "issue", issue.id, changed)
    return issue


def regroup(
    db: Session, issue_ids: Sequence[UUID], pattern_id: UUID | None, *, by: audit.Actor, reason: str = ""
) -> corrections.Correction:
    """Link issues to a pattern, or to none; raises Invalid when the pattern is not there."""
    if pattern_id is None:
        return corrections.unlink(db, issue_ids, by=by, reason=reason)
    if db.execute(select(patterns.Pattern.id).where(patterns.Pattern.id == pattern_id)).one_or_none() is None:
        raise Invalid("there is no such pattern", details={"pattern_id": "a pattern of this workspace"})
    return corrections.link(db, issue_ids, pattern_id, by=by, reason=reason)


OPS = {
    "status": "status",
    "severity": "severity",
    "assign": "assignee_id",
    "team": "team",
    "link_pattern": "pattern_id",
    "unlink_pattern": "",
}


@dataclasses.dataclass(frozen=True, slots=True)
class Bulk:
    """What became of a change of many issues: those changed, and why each of the others was not."""

    updated: list[UUID]
    failed: list[tuple[UUID, str]]


def bulk(db: Session, issue_ids: Sequence[UUID], op: str, value: Any, *, by: audit.Actor) -> Bulk:  # noqa: ANN401 - by the operation
    """Do one operation of OPS to many issues; one that cannot be is told, and stops nothing. Raises Invalid for a value that no issue can have."""
    wanted = list(dict.fromkeys(issue_ids))
    column = getattr(Issue, OPS[op] or "pattern_id")
    found = {row.id: row for row in db.execute(select(Issue.id, Issue.status, column.label("before")).where(Issue.id.in_(wanted)))}
    failed = [(one, "there is no such issue") for one in wanted if one not in found]
    there = [one for one in wanted if one in found]
    if op in ("link_pattern", "unlink_pattern"):
        if there:
            regroup(db, there, value if op == "link_pattern" else None, by=by)
        return Bulk(there, failed)
    if op == "assign" and value is not None:
        _member(db, value)
    updated = []
    for one in there:
        try:
            if op == "status":
                _may(found[one].status, value)
        except Conflict as problem:
            failed.append((one, str(problem)))
        else:
            updated.append(one)
    set_: dict[str, Any] = {OPS[op]: value, "updated_at": clock.now()}
    if op == "status":
        at = func.coalesce(Issue.resolved_at, clock.now()) if value in SETTLED else null()
        set_["resolved_at"] = case((Issue.status == value, Issue.resolved_at), else_=at)
    db.execute(update(Issue).where(Issue.id.in_(updated)).values(set_).execution_options(synchronize_session=False))
    changed = [(one, {OPS[op]: [_plain(found[one].before), _plain(value)]}) for one in updated]
    audit.record_each(db, by, audit.Action.ISSUE_UPDATED, "issue", changed)
    return Bulk(updated, failed)


def _plain(value: object) -> object:
    return str(value) if isinstance(value, UUID | datetime) else value


def _may(now: str, status: str) -> None:
    if status != now and status not in FLOW[now]:
        allowed = ", ".join(FLOW[now])
        raise Conflict(f"an issue that is {now} can become {allowed}, not {status}", details={"status": f"one of {allowed}"})


def _move(issue: Issue, status: str) -> None:
    _may(issue.status, status)
    if status == issue.status:
        return
    issue.status = status
    issue.resolved_at = (issue.resolved_at or clock.now()) if status in SETTLED else None


def _member(db: Session, user: UUID) -> None:
    if db.execute(select(Member.id).where(Member.user_id == user, Member.status == "active")).one_or_none() is None:
        raise Invalid("the assignee is no active member of this workspace", details={"assignee_id": "an active member"})


def loop_figures(db: Session, pattern_id: UUID | None) -> dict[str, Any]:
    """Return how often the pattern occurred in 90 days and its mean time to resolve in seconds."""
    if pattern_id is None:
        return {"occurrences_90d": 0, "avg_mttr_seconds": None}
    row = db.execute(
        text(
            "SELECT p.mttr_seconds, (SELECT coalesce(sum(h.failures), 0) FROM pattern_hours h WHERE h.pattern_id = p.id"
            " AND h.hour > now() - make_interval(days => :days)) AS n FROM patterns p WHERE p.id = :pattern"
        ),
        {"pattern": pattern_id, "days": LOOP_DAYS},
    ).one()
    return {"occurrences_90d": int(row.n), "avg_mttr_seconds": row.mttr_seconds}


def spelled(db: Session, field: Literal["service", "team"], most: int) -> list[str]:
    """Return the values that a field has among the workspace's issues, the first by name: one step of an index for each, however many issues."""
    return list(db.execute(text(_SPELLED.format(field=field)), {"most": most}).scalars())


_SPELLED = """
WITH RECURSIVE met(value) AS (
    (SELECT {field} FROM issues WHERE {field} IS NOT NULL ORDER BY {field} LIMIT 1)
    UNION ALL
    SELECT (SELECT i.{field} FROM issues i WHERE i.{field} > met.value ORDER BY i.{field} LIMIT 1) FROM met WHERE met.value IS NOT NULL
)
SELECT value FROM met WHERE value IS NOT NULL LIMIT :most
"""
