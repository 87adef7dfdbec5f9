"""Recommendations: ranked fixes; one fix with its plan, the arithmetic of its rank, its tickets, and whether it held."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Any
from urllib.parse import urlencode
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import ValidationError
from sqlalchemy import func, select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import deps, documents
from everfix.core import clock, ids, outbound
from everfix.delivery import destinations
from everfix.documents.model import Figure, Unit
from everfix.errors import Invalid, NotFound
from everfix.failures import claims, filters, fixes, pushes, recommendations
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation, RecommendationPattern, Step
from everfix.failures.verifications import Verification
from everfix.identity.principals import Scope
from everfix.reports import attestation
from everfix.web import session, shell, shown
from everfix.web.reports import FORMAT_NAMES

router = APIRouter(include_in_schema=False)
LISTED = 50
TABS = (("open", "Open", "pending,in_progress"), ("implemented", "Implemented", "implemented"), ("dismissed", "Dismissed", "dismissed"))
Json = dict[str, Any]
Word = Annotated[str, Query(max_length=40)]


@router.get("/recommendations")
def listed(
    visit: session.sees(Scope.RECOMMENDATIONS_READ),  # type: ignore[valid-type]
    status: Word = "open",
    type: Word = "",
    impact: Word = "",
) -> Response:
    """The fixes by rank, three tiles above them."""
    tab = next((tab for tab in TABS if tab[0] == status), TABS[0])
    wanted = _filter(status=tab[2], **{key: value for key, value in (("type", type), ("impact", impact)) if value})
    order = (Recommendation.rank.asc().nulls_last(), Recommendation.updated_at.desc(), Recommendation.id)
    chosen = wanted.narrow(select(Recommendation))
    found = visit.db.execute(chosen.order_by(*order).limit(LISTED)).scalars().all()
    total = int(visit.db.execute(select(func.count()).select_from(chosen.subquery())).scalar_one())
    reader = shown.Reader.of(visit.here)
    return shell.page(
        visit,
        "recommendations/list.html",
        tab=tab[0],
        exported=urlencode({key: value for key, value in (("status", tab[2]), ("type", type), ("impact", impact)) if value}),
        tabs=[(key, name) for key, name, _ in TABS],
        type=type,
        impact=impact,
        types=("code_fix", "config_change", "process", "monitoring"),
        impacts=("high", "medium", "quick_win"),
        cards=[shown.card(reader, figure) for figure in _tiles(visit.db)],
        rows=[_row(reader, one, names) for one, names in _named(visit.db, found)],
        more=total - len(found),
        horizon=round(fixes.HORIZON_DAYS),
    )


@router.get("/recommendations/{recommendation_id}")
def one(visit: session.sees(Scope.RECOMMENDATIONS_READ), recommendation_id: str) -> Response:  # type: ignore[valid-type]
    """One fix."""
    found = _get(visit.db, recommendation_id)
    reader = shown.Reader.of(visit.here)
    watches = (
        visit.db.execute(select(Verification).where(Verification.recommendation_id == found.id).order_by(Verification.id)).scalars().all()
    )
    steps = visit.db.execute(select(Step).where(Step.recommendation_id == found.id).order_by(Step.position)).scalars().all()
    [(_, patterns)] = _named(visit.db, [found])
    return shell.page(
        visit,
        "recommendations/one.html",
        fix=fix(reader, found, watches[0] if watches else None, steps),
        steps=[(ids.show(ids.Prefix.STEP, step.id), step.title, step.description, step.completed_at is not None) for step in steps],
        patterns=patterns,
        watches=[watch(reader, one) for one in watches],
        claim=_claim(found),
        attested=_attested(reader, found),
        may_attest=bool(watches) and all(one.verdict == "held" for one in watches) and found.attestation != recommendations.ATTESTED,
        tickets=[_ticket(reader, one) for one in pushes.of(visit.db, [found.id])[found.id]],
        trackers=_trackers(visit.db),
        formats=[(key, FORMAT_NAMES.get(key, key)) for key in documents.RENDERERS],
    )


@router.post("/recommendations/{recommendation_id}/status")
def move(
    visit: session.changes(Scope.RECOMMENDATIONS_WRITE),  # type: ignore[valid-type]
    recommendation_id: str,
    status: Annotated[str, Form(max_length=20)],
    pattern: Annotated[str, Form(max_length=60)] = "",
    what: Annotated[str, Form(max_length=2000)] = "",
    release: Annotated[str, Form(max_length=200)] = "",
    link: Annotated[str, Form(max_length=2048)] = "",
) -> Response:
    """Take a recommendation up, mark it as implemented (with what is claimed of it), or dismiss it."""
    found = _get(visit.db, recommendation_id)
    if status not in recommendations.FLOW:
        raise Invalid(f"{status[:20]!r} is no status", details={"status": f"one of {', '.join(recommendations.FLOW)}"})
    recommendations.move(visit.db, found.id, status, by=visit.who, claim=_said(what, release, link))
    back = shell.shown_id(ids.Prefix.PATTERN, pattern)
    return shell.go(f"/patterns/{back}#fixes" if back else f"/recommendations/{ids.show(ids.Prefix.RECOMMENDATION, found.id)}")


@router.post("/recommendations/{recommendation_id}/steps/{step_id}")
def complete(
    visit: session.changes(Scope.RECOMMENDATIONS_WRITE),  # type: ignore[valid-type]
    recommendation_id: str,
    step_id: str,
    completed: Annotated[str, Form(max_length=5)] = "",
) -> Response:
    """Tick one step off, or take that back."""
    found = _get(visit.db, recommendation_id)
    wanted = shell.shown_id(ids.Prefix.STEP, step_id)
    if wanted is None:
        raise NotFound(f"no step {step_id[:60]!r}")
    recommendations.complete(visit.db, found.id, wanted, done=completed == "true", by=visit.who)
    return _back(found, "plan")


@router.post("/recommendations/{recommendation_id}/push")
def push(
    visit: session.changes(Scope.RECOMMENDATIONS_WRITE),  # type: ignore[valid-type]
    recommendation_id: str,
    tracker: Annotated[str, Form(max_length=100)],
    settings: deps.Config,
    keys: deps.SigningKeys,
) -> Response:
    """Open a ticket at a tracker."""
    found = _get(visit.db, recommendation_id)
    pushes.push(visit.db, keys, outbound.guard(settings), found.id, tracker, url=settings.url, by=visit.who)
    return _back(found, "tickets")


@router.post("/recommendations/{recommendation_id}/attest")
def attest(
    visit: session.changes(Scope.RECOMMENDATIONS_WRITE),  # type: ignore[valid-type]
    recommendation_id: str,
    note: Annotated[str, Form(max_length=2000)] = "",
) -> Response:
    """Put one's name under a fix that held."""
    found = _get(visit.db, recommendation_id)
    recommendations.attest(visit.db, found.id, note, by=visit.who)
    return _back(found, "proof")


@router.get("/recommendations/{recommendation_id}/attestation")
def document(
    visit: session.sees(Scope.RECOMMENDATIONS_READ),  # type: ignore[valid-type]
    recommendation_id: str,
    settings: deps.Config,
    format: Annotated[str, Query(max_length=10)] = "pdf",
) -> Response:
    """The attestation as a file."""
    found = _get(visit.db, recommendation_id)
    if format not in documents.RENDERERS:
        raise Invalid(f"{format!r} is no format", details={"format": f"one of {', '.join(documents.RENDERERS)}"})
    made = attestation.document(visit.db, found, clock.now(), settings.url)
    headers = {"Content-Disposition": f'attachment; filename="{documents.filename(made, format)}"', "Cache-Control": "private, no-store"}
    return Response(documents.render(made, format), media_type=documents.RENDERERS[format].media_type, headers=headers)


def _get(db: Session, text: str) -> Recommendation:
    wanted = shell.shown_id(ids.Prefix.RECOMMENDATION, text)
    if wanted is None:
        raise NotFound(f"no recommendation {text[:60]!r}")
    return recommendations.get(db, wanted)


def _back(found: Recommendation, place: str) -> Response:
    return shell.go(f"/recommendations/{ids.show(ids.Prefix.RECOMMENDATION, found.id)}#{place}")


def _filter(**given: str) -> filters.RecommendationFilter:
    try:
        return filters.RecommendationFilter(**given)
    except ValidationError as problem:
        raise _invalid(problem) from problem


def _invalid(problem: ValidationError) -> Invalid:
    wrong = {str(error["loc"][0]): error["msg"].removeprefix("Value error, ") for error in problem.errors()}
    return Invalid("; ".join(f"{name}: {reason}" for name, reason in wrong.items()), details=wrong)


def _said(what: str, release: str, link: str) -> claims.Claim | None:
    given = {key: value.strip() for key, value in (("what", what), ("release", release), ("link", link)) if value.strip()}
    try:
        return claims.Claim.model_validate(given) if given else None
    except ValidationError as problem:
        raise _invalid(problem) from problem


def _tiles(db: Session) -> tuple[Figure, ...]:
    open_ = Recommendation.status.in_((recommendations.PENDING, recommendations.IN_PROGRESS))
    row = db.execute(
        select(func.count(), func.sum(Recommendation.expected_loops_prevented), func.sum(Recommendation.expected_cost_saved)).where(open_)
    ).one()
    return (
        Figure(key="open", title="Open recommendations", value=row[0]),
        Figure(key="prevented", title="Returns they would prevent", value=round(row[1] or 0.0, 1), unit=Unit.NUMBER, note="in 90 days"),
        Figure(key="exposure", title="Exposure addressed", value=round(row[2] or 0.0), unit=Unit.MONEY, note="in 90 days"),
    )


def _named(db: Session, found: Sequence[Recommendation]) -> list[tuple[Recommendation, list[tuple[str, str]]]]:
    """Return each recommendation with the names and addresses of its patterns."""
    query = select(RecommendationPattern.recommendation_id, Pattern).join(Pattern, Pattern.id == RecommendationPattern.pattern_id)
    names: dict[UUID, list[tuple[str, str]]] = {one.id: [] for one in found}
    for row in db.execute(query.where(RecommendationPattern.recommendation_id.in_(list(names))).order_by(Pattern.risk_score.desc())):
        names[row.recommendation_id].append((row.Pattern.name, f"/patterns/{ids.show(ids.Prefix.PATTERN, row.Pattern.id)}"))
    return [(one, names[one.id]) for one in found]


def _row(reader: shown.Reader, found: Recommendation, patterns: list[tuple[str, str]]) -> Json:
    made = fix(reader, found, None, ())
    return made | {"patterns": patterns, "prevented": reader.words(found.expected_loops_prevented, Unit.NUMBER)}


def fix(reader: shown.Reader, found: Recommendation, seen: Verification | None, steps: Sequence[Step]) -> Json:
    """Return a recommendation as pages show it, with the arithmetic of its rank and the watch over one pattern."""
    why = found.why
    sums = None
    if "expected_recurrences" in why:
        sums = {
            "expected": reader.words(why["expected_recurrences"], Unit.NUMBER),
            "days": reader.words(why["horizon_days"], Unit.NUMBER),
            "addresses": reader.words(why["addresses"], Unit.PROBABILITY),
            "holds": reader.words(why["holds"], Unit.PROBABILITY),
            "prevented": reader.words(found.expected_loops_prevented, Unit.NUMBER),
            "effort": reader.words(why["effort"], Unit.NUMBER),
            "score": reader.words(round(found.score, 2), Unit.NUMBER),
        }
    return {
        "id": ids.show(ids.Prefix.RECOMMENDATION, found.id),
        "title": found.title,
        "summary": found.summary,
        "type": found.type.replace("_", " "),
        "effort": found.effort,
        "impact": found.impact.replace("_", " "),
        "status": found.status,
        "rank": found.rank,
        "worth": reader.words(found.expected_cost_saved, Unit.MONEY) if found.expected_cost_saved else "",
        "origin": str(why.get("from", "")),
        "seen": (why.get("held", 0.0), why.get("did_not_hold", 0.0)),
        "sums": sums,
        "steps": [(step.title, step.description, step.completed_at is not None) for step in steps],
        "next": recommendations.FLOW[found.status],
        "watch": None if seen is None else watch(reader, seen),
        "horizon": round(fixes.HORIZON_DAYS),
    }


def watch(reader: shown.Reader, seen: Verification) -> Json:
    """Return the watch over a fix in words."""
    silence = seen.why.get("silence_if_unfixed")
    return {
        "claimed": reader.words(seen.claimed_at.isoformat(), Unit.DATETIME),
        "until": reader.words(seen.window_ends_at.isoformat(), Unit.DATETIME),
        "expected": reader.words(round(seen.expected, 1), Unit.NUMBER),
        "observed": seen.observed,
        "not_counted": seen.not_counted,
        "uncounted": [(reader.words(one["at"], Unit.DATETIME), one["why"]) for one in seen.why.get("not_counted", [])][:5],
        "prevented": reader.words(round(seen.prevented, 1), Unit.NUMBER),
        "holds": reader.words(seen.holds_probability, Unit.PROBABILITY),
        "silence": "" if silence is None else f"{silence:.1%}",
        "blind": seen.why.get("blind", ""),
        "verdict": seen.verdict.replace("_", " "),
        "verdict_slug": shown.slug(seen.verdict),
        "returned": reader.moment(seen.returned_at) if seen.returned_at else "",
    }


def _claim(found: Recommendation) -> list[tuple[str, str]]:
    said = claims.read(found.claim)
    named = (
        ("What was done", said.what),
        ("Release", said.release),
        ("Deploy", said.deploy),
        ("Environment", said.environment),
        ("Flag", said.flag),
        ("Evidence", said.link),
    )
    return [(name, value) for name, value in named if value]


def _attested(reader: shown.Reader, found: Recommendation) -> str:
    if found.attested_at is None:
        return ""
    said = f": {found.attestation_note}" if found.attestation_note else ""
    return f"Attested by {found.attested_by} on {reader.moment(found.attested_at)}{said}"


def _ticket(reader: shown.Reader, one: pushes.Shown) -> Json:
    return {
        "tracker": one.ticket.tracker.replace("_", " "),
        "name": one.external_id or "not opened yet",
        "href": one.external_url or "",
        "state": one.ticket.state if one.external_id else one.delivery.status,
        "error": one.ticket.error or one.delivery.reason,
        "checked": reader.moment(one.ticket.checked_at) if one.ticket.checked_at else "",
    }


def _trackers(db: Session) -> list[tuple[str, str]]:
    there = destinations.listed(db, enabled=True)
    return [(ids.show(ids.Prefix.DESTINATION, one.id), f"{one.name} ({one.summary})") for one in there if one.channel.follow is not None]
