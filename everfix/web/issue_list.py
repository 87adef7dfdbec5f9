"""Issue list: filters, order, pages, saved views, and one operation for all that were chosen."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Annotated, Any, cast
from urllib.parse import parse_qsl, urlencode
from uuid import UUID

from fastapi import APIRouter, Form
from pydantic import AfterValidator
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import deps, pages
from everfix.core import fields, ids
from everfix.errors import EverfixError, Invalid, Malformed
from everfix.failures import corrections, discussions, filters, issues, searches, views
from everfix.failures.patterns import Pattern
from everfix.identity.principals import Scope
from everfix.ingest.events import Issue
from everfix.web import picking, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
SORTS = pages.Sorts(filters.ISSUE_SORTS, "-risk_score")
ORDERS = (
    ("-risk_score", "Riskiest first"),
    ("-occurred_at", "Newest first"),
    ("occurred_at", "Oldest first"),
    ("severity", "Most severe first"),
    ("-updated_at", "Changed last"),
    ("status", "By status"),
)
UNRESOLVED = "open,in_loop,mitigating"
OFFERED = 200  # services, and teams, that the filters offer
AROUND = ("sort", "cursor", "limit", "view", "done")  # what an address holds beside filters
Query = dict[str, str]
Text = Annotated[str, AfterValidator(fields.storable), Form(max_length=200)]
Address = Annotated[str, Form(max_length=2000)]


@router.get("/issues")
def listed(visit: session.sees(Scope.ISSUES_READ), paging: deps.Page) -> Response:  # type: ignore[valid-type]
    """The issues that the filters leave, a page at a time."""
    query = _query(visit.request.query_params.multi_items())
    given = {key: value for key, value in query.items() if key not in AROUND}
    paging.sort = query.get("sort") or SORTS.default
    paging.cursor = query.get("cursor")
    found, problem = None, None
    try:
        wanted = cast("filters.IssueFilter", filters.sound("issues", given))
        every = select(Issue)
        quick, many = searches.quick(visit.db, wanted, every)
        asked = wanted.narrow(every)
        found = pages.page(visit.db, paging, asked, Issue.id, SORTS, lambda rows: _rows(visit, rows), quick=quick, many=many, every=every)
    except (Invalid, Malformed) as wrong:
        problem = wrong
    return shell.page(
        visit,
        "issues/list.html",
        status=problem.status if problem else 200,
        problem=_said(problem) if problem else "",
        rows=found.data if found else [],
        total=found.page.total if found else 0,
        estimated=found is not None and found.page.total > pages.EXACT_ROWS,
        next=_address({**query, "cursor": found.page.next_cursor or "", "done": ""}) if found and found.page.has_more else "",
        first=_address({**query, "cursor": "", "done": ""}) if "cursor" in query else "",
        given=given,
        exported=urlencode(given),
        sort=paging.sort,
        here_=_address({**query, "done": ""}),
        saved=urlencode({**given, **({"sort": query["sort"]} if "sort" in query else {})}),
        done=query.get("done", "") if query.get("done", "").isdecimal() else "",
        view=query.get("view", ""),
        views=_views(visit),
        **_choices(visit),
    )


def _query(pairs: Sequence[tuple[str, str]]) -> Query:
    """Return what an address asks: what is empty asks nothing, what comes several times is one list."""
    found: dict[str, list[str]] = {}
    for key, value in pairs:
        if value.strip():
            found.setdefault(key, []).append(value.strip())
    return {key: ",".join(values) for key, values in found.items()}


def _address(query: Mapping[str, str]) -> str:
    words = urlencode({key: value for key, value in query.items() if value})
    return f"/issues?{words}" if words else "/issues"


def _said(problem: EverfixError) -> str:
    """Return what is wrong with a filter, field by field."""
    parts = [f"{name.removeprefix('filters.')}: {str(text).removeprefix('Value error, ')}" for name, text in problem.details.items()]
    return "; ".join(parts) or problem.message


def _rows(visit: Visit, found: Sequence[Issue]) -> list[Json]:
    """Return issues as the list shows them, each with its pattern's name and who works on it."""
    reader = shown.Reader.of(visit.here)
    wanted = {issue.pattern_id for issue in found if issue.pattern_id}
    names = {row.id: row.name for row in visit.db.execute(select(Pattern.id, Pattern.name).where(Pattern.id.in_(wanted)))}
    people = {person.id: person.name for person in discussions.members(visit.db)}
    return [
        {
            "id": ids.show(ids.Prefix.ISSUE, issue.id),
            "title": issue.title,
            "service": issue.service or "",
            "severity": issue.severity,
            "status": issue.status,
            "source": issue.source.replace("_", " "),
            "risk": issue.risk_score,
            "band": shown.band(issue.risk_score),
            "pattern": (ids.show(ids.Prefix.PATTERN, issue.pattern_id), names.get(issue.pattern_id, "")) if issue.pattern_id else None,
            "assignee": people.get(issue.assignee_id, "a former member") if issue.assignee_id else "",
            "team": issue.team or "",
            "at": reader.moment(issue.occurred_at),
        }
        for issue in found
    ]


def _views(visit: Visit) -> list[Json]:
    """Return the saved views of the list, each with its address."""
    made = []
    for row in views.listed(visit.db, visit.who.actor_id, "issues"):
        shown_id = ids.show(ids.Prefix.SAVED_VIEW, row.id)
        held = {key: _plain(value) for key, value in row.filters.items() if value not in (None, "", [])}
        address = _address({**held, "sort": row.sort, "view": shown_id})
        made.append({"id": shown_id, "name": row.name, "shared": row.shared, "mine": row.owner_id == visit.who.actor_id, "href": address})
    return made


def _plain(value: object) -> str:
    if isinstance(value, list):
        return ",".join(map(str, value))
    return str(value).lower() if isinstance(value, bool) else str(value)


def _choices(visit: Visit) -> Json:
    """Return what the menus of the list offer."""
    return {
        "people": [(ids.show(ids.Prefix.USER, one.id), one.name) for one in discussions.members(visit.db)],
        "services": issues.spelled(visit.db, "service", OFFERED),
        "teams": issues.spelled(visit.db, "team", OFFERED),
        "statuses": issues.STATUSES,
        "severities": issues.SEVERITIES,
        "orders": ORDERS,
        "unresolved": UNRESOLVED,
    }


# ---- what is done to those that were chosen


@router.post("/issues/bulk")
def bulk(
    visit: session.changes(Scope.ISSUES_WRITE),  # type: ignore[valid-type]
    op: Annotated[str, Form(max_length=20)],
    chosen: Annotated[list[str] | None, Form()] = None,
    status: Text = "",
    severity: Text = "",
    assignee: Text = "",
    team: Text = "",
    pattern: Text = "",
    back: Address = "",
) -> Response:
    """Do one operation to the issues that were chosen; those that cannot be changed are told, with the reason."""
    wanted = [_id(ids.Prefix.ISSUE, text, "chosen") for text in chosen or []]
    if not 1 <= len(wanted) <= corrections.MOST:
        raise Invalid("choose issues first", details={"chosen": f"between 1 and {corrections.MOST} issues"})
    value = value_of(visit.db, op, {"status": status, "severity": severity, "assign": assignee, "team": team, "link_pattern": pattern})
    done = issues.bulk(visit.db, wanted, op, value, by=visit.who)
    query = _query(parse_qsl(back.partition("?")[2]))
    if not done.failed:
        return shell.go(_address({**query, "done": str(len(done.updated))}))
    titles = {row.id: row.title for row in visit.db.execute(select(Issue.id, Issue.title).where(Issue.id.in_(wanted)))}
    failed = [(ids.show(ids.Prefix.ISSUE, one), titles.get(one, ""), reason) for one, reason in done.failed]
    return shell.page(visit, "issues/bulk.html", updated=len(done.updated), failed=failed, back=_address(query))


def value_of(db: Session, op: str, given: Mapping[str, str]) -> object:
    """Return the value of an operation as a form gave it; raises Invalid naming what is allowed."""
    if op not in issues.OPS:
        raise Invalid(f"{op[:20]!r} is no operation", details={"op": f"one of {', '.join(issues.OPS)}"})
    text = given.get(op, "")
    for name, allowed in (("status", issues.STATUSES), ("severity", issues.SEVERITIES)):
        if op == name and text not in allowed:
            raise Invalid(f"choose a {name}", details={name: f"one of {', '.join(allowed)}"})
    if op == "assign":
        return _id(ids.Prefix.USER, text, "assignee") if text else None
    if op == "link_pattern":
        return picking.chosen(db, text)
    return (text or None) if op == "team" else text


def _id(prefix: ids.Prefix, text: str, field: str) -> UUID:
    found: UUID | None = shell.shown_id(prefix, text)
    if found is None:
        raise Invalid(
            f"{text[:60]!r} is no id" if text else f"choose a {field}", details={field: f"an id that begins with {prefix.value}_"}
        )
    return found


# ---- saved views


@router.post("/issues/views")
def save(
    visit: session.changes(Scope.ISSUES_WRITE),  # type: ignore[valid-type]
    name: Annotated[fields.text(100, 1), Form()],  # type: ignore[valid-type]
    query: Address = "",
    shared: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    """Keep the filters and the order of the list under a name."""
    held = _query(parse_qsl(query))
    sort = held.pop("sort", "")
    SORTS.read(sort)
    filters.sound("issues", held)
    row = views.create(visit.db, {"name": name, "resource": "issues", "filters": held, "sort": sort, "shared": bool(shared)}, by=visit.who)
    return shell.go(_address({**held, "sort": sort, "view": ids.show(ids.Prefix.SAVED_VIEW, row.id)}))


@router.post("/issues/views/{view_id}/delete")
def forget(visit: session.changes(Scope.ISSUES_WRITE), view_id: str) -> Response:  # type: ignore[valid-type]
    """Delete one's own view."""
    views.remove(visit.db, _id(ids.Prefix.SAVED_VIEW, view_id, "view"), by=visit.who)
    return shell.go("/issues")
