"""Analysis: the root cause of an issue as a card of its page: factors that converge on it, and the evidence of each sentence."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, Form
from starlette.responses import Response

from everfix.core import ids
from everfix.documents import format as words
from everfix.documents.model import Unit
from everfix.errors import NotFound
from everfix.failures import analyses, issues
from everfix.failures.analyses import Analysis
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.web import session, shell, shown

router = APIRouter(include_in_schema=False)
ROW, TOP, WIDE, RING = 26, 16, 560, 520
LABEL = 58  # characters of a factor in the picture
Json = dict[str, Any]


@router.get("/issues/{issue_id}/analysis")
def card(visit: session.sees(Scope.ISSUES_READ), issue_id: str) -> Response:  # type: ignore[valid-type]
    """The card by itself, while an analysis is made."""
    issue = _issue(visit, issue_id)
    if not shell.is_partial(visit.request):
        return shell.go(f"/issues/{issue.id}#analysis")
    return shell.page(visit, "issues/analysis.html", issue=issue, analysis=of(visit, issue))


@router.post("/issues/{issue_id}/reanalyze")
def again(
    visit: session.changes(Scope.ISSUES_WRITE),  # type: ignore[valid-type]
    issue_id: str,
    tier: Annotated[str, Form(max_length=20)] = "balanced",
) -> Response:
    """Have the issue analysed again."""
    issue = _issue(visit, issue_id)
    analyses.request(visit.db, issue.id, tier, by=visit.who)
    return shell.go(f"/issues/{issue.id}#analysis")


def _issue(visit: session.Visit, text: str) -> Issue:
    wanted = shell.shown_id(ids.Prefix.ISSUE, text)
    if wanted is None:
        raise NotFound(f"no issue {text[:60]!r}")
    return issues.get(visit.db, wanted)


def of(visit: session.Visit, issue: Issue) -> Json | None:
    """Return the newest analysis of an issue as its card shows it, or None."""
    found = analyses.newest(visit.db, issue.id)
    if found is None:
        return None
    reader = shown.Reader.of(visit.here)
    return {
        "the_cause": found.the_cause,
        "root_cause": found.root_cause,
        "root_evidence": found.statements.get("root_cause", []),
        "factors": [(one.text, one.evidence) for one in analyses.said(found)],
        "why_recurring": found.why_recurring,
        "why_evidence": found.statements.get("why_recurring", []),
        "confidence": reader.words(found.confidence, Unit.PROBABILITY),
        "evidence": list(analyses.items(found).values()),
        "model": found.model,
        "model_version": found.model_version,
        "version": found.number,
        "note": found.note,
        "made": reader.moment(found.created_at),
        "chain": _chain(found, resolved=issue.status in ("resolved", "closed")),
    }


def _chain(found: Analysis, *, resolved: bool) -> Json | None:
    """Return the picture: a dot for each factor, threads as thick as they are strong, one ring; None where nothing converges."""
    known = analyses.items(found)
    cited = [*found.statements.get("root_cause", []), *(one for factor in analyses.said(found) for one in factor.evidence)]
    drawn = [known[one] for one in dict.fromkeys(cited) if one in known and known[one].strength]
    if not drawn:
        return None
    height = TOP * 2 + ROW * max(len(drawn) - 1, 1)
    middle = height / 2
    dots = []
    for place, item in enumerate(drawn):
        y = TOP + ROW * place if len(drawn) > 1 else middle
        dots.append(
            {
                "y": f"{y:g}",
                "label": words.short(item.subject[:1].upper() + item.subject[1:], LABEL),
                "path": f"M400 {y:g} C 450 {y:g} 460 {middle:g} {RING - 17} {middle:g}",
                "weight": f"{1 + 5 * item.strength:.1f}",
            }
        )
    alt = f"Factors that lead to {found.the_cause}: {', '.join(item.subject for item in drawn)}."
    return {"width": WIDE, "height": f"{height:g}", "x": RING, "y": f"{middle:g}", "dots": dots, "resolved": resolved, "alt": alt}
