"""Mail domains: where this workspace may send mail, and who of those that are named lies outside."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, Form
from pydantic import AfterValidator
from sqlalchemy import select
from starlette.responses import Response

from everfix.core import fields
from everfix.delivery import addresses, targets
from everfix.errors import Invalid
from everfix.failures.alerts import Rule
from everfix.identity.principals import Scope
from everfix.reports.schedules import Schedule
from everfix.web import session, shell
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
HERE = "/settings/delivery"
LISTED = 50  # of what lies outside
Lines = Annotated[str, AfterValidator(fields.storable), Form(max_length=60_000)]


@router.get(HERE)
def shown(visit: session.sees(Scope.REPORTS_READ), kept: str = "") -> Response:  # type: ignore[valid-type]
    """The domains, a form for those who may change them, and what they leave out."""
    return _page(visit, "\n".join(visit.here.mail_domains), kept=bool(kept))


@router.post(HERE)
def change(visit: session.changes(Scope.WORKSPACE_WRITE), domains: Lines = "") -> Response:  # type: ignore[valid-type]
    """Keep the domains; what is none is told, and nothing changes."""
    try:
        targets.allow(visit.db, visit.who, _read(domains))
    except Invalid as wrong:
        return _page(visit, domains, problem=wrong)
    return shell.go(f"{HERE}?kept=1")


def _read(typed: str) -> list[str]:
    lines = [line.strip() for line in typed.replace(",", "\n").splitlines() if line.strip()]
    if len(lines) > targets.MOST_DOMAINS:
        raise Invalid(f"{len(lines)} domains are too many", details={"domains": f"at most {targets.MOST_DOMAINS}"})
    found = []
    for place, line in enumerate(lines, 1):
        try:
            found.append(addresses.domain(line))
        except ValueError as problem:
            raise Invalid(str(problem), details={f"line {place}": "a domain such as example.com"}) from problem
    return found


def _outside(visit: Visit) -> list[tuple[str, str, str]]:
    """Return the address, name and page of each schedule and alert rule whose mail is left out."""
    if not visit.here.mail_domains:
        return []
    schedules = visit.db.execute(select(Schedule).order_by(Schedule.name)).scalars()
    rules = visit.db.execute(select(Rule).order_by(Rule.name)).scalars()
    named = [(one.recipients, one.name, "/reports/schedules") for one in schedules]
    named += [([str(channel.get("recipient", "")) for channel in rule.channels], rule.name, "/settings/alerts") for rule in rules]
    left_out = set(targets.outside(visit.db, [address for people, _, _ in named for address in people]))
    return [(address, name, page) for people, name, page in named for address in people if address in left_out]


def _page(visit: Visit, typed: str, *, kept: bool = False, problem: Invalid | None = None) -> Response:
    left_out = _outside(visit)
    return shell.page(
        visit,
        "settings/mail_domains.html",
        status=problem.status if problem else 200,
        typed=typed,
        kept=kept,
        problem=[problem.message, *(f"{name}: {said}" for name, said in (problem.details or {}).items())] if problem else [],
        may=visit.may(Scope.WORKSPACE_WRITE),
        outside=left_out[:LISTED],
        more=max(0, len(left_out) - LISTED),
    )
