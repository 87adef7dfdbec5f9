"""One issue: what happened, and why it was put where it is."""

from __future__ import annotations

import json
from typing import Any

from fastapi import APIRouter
from sqlalchemy import select
from starlette.responses import Response

from everfix.core import ids
from everfix.documents.model import Unit
from everfix.errors import NotFound
from everfix.failures import corrections, issues, patterns
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.web import analysis, session, shell, shown, triage

router = APIRouter(include_in_schema=False)
ALIKE = 5
Json = dict[str, Any]


@router.get("/issues/{issue_id}")
def one(visit: session.sees(Scope.ISSUES_READ), issue_id: str) -> Response:  # type: ignore[valid-type]
    """One issue."""
    wanted = shell.shown_id(ids.Prefix.ISSUE, issue_id)
    if wanted is None:
        raise NotFound(f"no issue {issue_id[:60]!r}")
    issue = issues.get(visit.db, wanted)
    reader = shown.Reader.of(visit.here)
    alike: list[Issue] = []
    if issue.pattern_id is not None:
        query_ = select(Issue).where(Issue.pattern_id == issue.pattern_id, Issue.id != issue.id).order_by(Issue.occurred_at.desc())
        alike = list(visit.db.execute(query_.limit(ALIKE)).scalars())
    return shell.page(
        visit,
        "issues/one.html",
        issue=issue,
        shown_id=ids.show(ids.Prefix.ISSUE, issue.id),
        band=shown.band(issue.risk_score),
        pattern=patterns.get(visit.db, issue.pattern_id) if issue.pattern_id else None,
        facts=_facts(reader, issue),
        grouping=_grouping(reader, why := corrections.explained(visit.db, issue)),
        nearest=triage.nearest(visit, why),
        **triage.of(visit, issue),
        analysis=analysis.of(visit, issue),
        metadata=json.dumps(issue.details, indent=2, ensure_ascii=False, sort_keys=True) if issue.details else "",
        alike=[(str(other.id), other.title, reader.moment(other.occurred_at), other.severity) for other in alike],
    )


def _facts(reader: shown.Reader, issue: Issue) -> list[tuple[str, str]]:
    took = (issue.resolved_at - issue.occurred_at).total_seconds() if issue.resolved_at and issue.resolved_at >= issue.occurred_at else None
    pairs = (
        ("Happened", reader.moment(issue.occurred_at)),
        ("Acknowledged", reader.moment(issue.acknowledged_at) if issue.acknowledged_at else ""),
        ("Resolved", reader.moment(issue.resolved_at) if issue.resolved_at else ""),
        ("Time to resolve", reader.words(took, Unit.SECONDS) if took is not None else ""),
        ("Service", issue.service or ""),
        ("Team", issue.team or ""),
        ("Environment", issue.environment or ""),
        ("Release", issue.release or ""),
        ("Kind", issue.kind),
        ("Source", issue.source.replace("_", " ")),
        ("Id at the source", issue.external_id),
        ("Came in", reader.moment(issue.ingested_at)),
    )
    return [(name, value) for name, value in pairs if value]


def _grouping(reader: shown.Reader, assignment: Json | None) -> Json | None:
    """Return why the issue is where it is: the rule, how sure, what spoke for it, and the text that is the same in all."""
    if assignment is None:
        return None
    why = dict(assignment.get("why") or {})
    evidence = why.pop("evidence", {}) or {}
    signature, rule, frames = why.pop("signature", ""), why.pop("rule", ""), why.pop("frames", [])
    return {
        "rule": str(rule),
        "confidence": reader.words(assignment.get("confidence"), Unit.PROBABILITY),
        "version": assignment.get("version", ""),
        "signature": str(signature),
        "frames": [str(frame) for frame in frames],
        "because": [str(reason) for reason in why.pop("because", [])] if isinstance(why.get("because"), list) else [],
        "evidence": sorted(((str(name).replace("_", " "), float(bits)) for name, bits in evidence.items()), key=lambda pair: -abs(pair[1])),
        "more": [(name.replace("_", " "), str(value)) for name, value in why.items() if value and not isinstance(value, list | dict)],
    }
