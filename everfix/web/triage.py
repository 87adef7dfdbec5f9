"""Triage of one issue by forms: status, severity, who works on it, which pattern it belongs to, and what people write about it."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from pydantic import AfterValidator
from sqlalchemy import select
from starlette.responses import Response

from everfix.core import fields, ids
from everfix.errors import NotFound
from everfix.failures import alike, discussions, issues
from everfix.failures.patterns import Pattern, PatternKey
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.web import picking, session, shell, shown
from everfix.web.issue_list import value_of
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
Word = Annotated[str, AfterValidator(fields.storable), Form(max_length=200)]
Reason = Annotated[str, AfterValidator(fields.storable), Form(max_length=500)]
KINDS = {"change": "change", "comment": "comment", "correction": "word", "issue": "moment"}  # how an entry of the timeline looks


@router.post("/issues/{issue_id}/change")
def change(
    visit: session.changes(Scope.ISSUES_WRITE),  # type: ignore[valid-type]
    issue_id: str,
    status: Word,
    severity: Word,
    assignee: Word = "",
    team: Word = "",
) -> Response:
    """Change status, severity, assignee and team; what stays the same is not touched."""
    issue = _issue(visit, issue_id)
    given = {"status": status, "severity": severity, "assign": assignee, "team": team.strip()}
    values = {issues.OPS[op]: value_of(visit.db, op, given) for op in given}
    changed = {name: value for name, value in values.items() if value != getattr(issue, name)}
    if changed:
        issues.change(visit.db, issue.id, changed, by=visit.who)
    return shell.go(f"/issues/{issue.id}")


@router.post("/issues/{issue_id}/link")
def link(
    visit: session.changes(Scope.ISSUES_WRITE),  # type: ignore[valid-type]
    issue_id: str,
    pattern: Word = "",
    reason: Reason = "",
) -> Response:
    """Say that this failure, and all that are equal to it, belong to a pattern."""
    issue, target = _issue(visit, issue_id), picking.chosen(visit.db, pattern)
    issues.regroup(visit.db, [issue.id], target, by=visit.who, reason=reason.strip())
    return shell.go(f"/issues/{issue.id}#why")


@router.post("/issues/{issue_id}/unlink")
def unlink(visit: session.changes(Scope.ISSUES_WRITE), issue_id: str, reason: Reason = "") -> Response:  # type: ignore[valid-type]
    """Say that this failure, and all that are equal to it, belong to no pattern."""
    issue = _issue(visit, issue_id)
    issues.regroup(visit.db, [issue.id], None, by=visit.who, reason=reason.strip())
    return shell.go(f"/issues/{issue.id}#why")


@router.post("/issues/{issue_id}/comments")
def comment(
    visit: session.changes(Scope.ISSUES_WRITE),  # type: ignore[valid-type]
    issue_id: str,
    body: Annotated[fields.text(10_000, 1), Form()],  # type: ignore[valid-type]
) -> Response:
    """Write about the issue; @name names a member."""
    issue = _issue(visit, issue_id)
    discussions.comment(visit.db, issue.id, body, by=visit.who)
    return shell.go(f"/issues/{issue.id}#comments")


@router.post("/issues/{issue_id}/comments/{comment_id}/delete")
def uncomment(visit: session.changes(Scope.ISSUES_WRITE), issue_id: str, comment_id: str) -> Response:  # type: ignore[valid-type]
    """Delete one's own comment."""
    issue, wanted = _issue(visit, issue_id), shell.shown_id(ids.Prefix.COMMENT, comment_id)
    if wanted is None:
        raise NotFound(f"no comment {comment_id[:60]!r}")
    discussions.withdraw(visit.db, issue.id, wanted, by=visit.who)
    return shell.go(f"/issues/{issue.id}#comments")


def _issue(visit: Visit, text: str) -> Issue:
    wanted = shell.shown_id(ids.Prefix.ISSUE, text)
    if wanted is None:
        raise NotFound(f"no issue {text[:60]!r}")
    return issues.get(visit.db, wanted)


def of(visit: Visit, issue: Issue) -> Json:
    """Return what the page of an issue shows for triage: choices, comments, timeline, and what is like it."""
    reader = shown.Reader.of(visit.here)
    people = discussions.members(visit.db)
    return {
        "people": [(ids.show(ids.Prefix.USER, one.id), one.name) for one in people],
        "assignee": ids.show(ids.Prefix.USER, issue.assignee_id) if issue.assignee_id else "",
        "reachable": [issue.status, *issues.FLOW[issue.status]],
        "severities": issues.SEVERITIES,
        "belongs": ids.show(ids.Prefix.PATTERN, issue.pattern_id) if issue.pattern_id else "",
        "comments": [
            {
                "id": ids.show(ids.Prefix.COMMENT, row.id),
                "author": row.author_name,
                "at": reader.moment(row.created_at),
                "parts": said(row.body, people),
                "mine": row.author_id is not None and row.author_id == visit.who.actor_id,
            }
            for row in discussions.comments(visit.db, issue.id)
        ],
        "timeline": [_entry(reader, entry) for entry in discussions.activity(visit.db, issue.id)],
        "similar": [
            {
                "id": ids.show(ids.Prefix.ISSUE, one.issue.id),
                "title": one.issue.title,
                "score": round(100 * one.score),
                "because": one.because,
            }
            for one in alike.of(visit.db, issue.id, 5)
        ],
    }


def said(body: str, people: list[Any]) -> list[tuple[str, bool]]:
    """Return a comment cut into parts, each with whether it names a member."""
    parts, at = [], 0
    for match in discussions.MENTION.finditer(body):
        if discussions.mentioned(match.group(0), people):
            parts += [(body[at : match.start()], False), (match.group(0), True)]
            at = match.end()
    return [part for part in (*parts, (body[at:], False)) if part[0]]


def _entry(reader: shown.Reader, entry: Json) -> Json:
    """Return an entry of the timeline: what it is, in words, and what it changed."""
    details = entry["details"]
    told = []
    for name, value in details.items():
        if isinstance(value, list) and len(value) == 2:
            told.append(f"{name.removesuffix('_id').replace('_', ' ')}: {_word(value[0])} → {_word(value[1])}")
    told += [str(details[name]) for name in ("service", "reason") if details.get(name) and isinstance(details[name], str)]
    kind = KINDS.get(entry["type"].partition(".")[0], "moment")
    return {"at": reader.moment(entry["at"]), "title": entry["title"], "actor": entry["actor"], "kind": kind, "told": told}


def _word(value: object) -> str:
    return "none" if value in (None, "") else str(value).replace("_", " ")


def nearest(visit: Visit, assignment: Json | None) -> Json | None:
    """Return the pattern that was the nearest alternative when the machine chose, with how like it was; None where there was none."""
    told = (assignment or {}).get("machine") or assignment or {}
    found = told.get("nearest")
    if not isinstance(found, dict):
        return None
    keys = select(PatternKey.pattern_id).where(PatternKey.key == str(found.get("group")), PatternKey.version == str(told.get("version")))
    row = visit.db.execute(select(Pattern.id, Pattern.name).where(Pattern.id.in_(keys)).limit(1)).one_or_none()
    if row is None:
        return None
    return {"id": ids.show(ids.Prefix.PATTERN, row.id), "name": row.name, "similarity": f"{float(found['similarity']):.2f}"}
