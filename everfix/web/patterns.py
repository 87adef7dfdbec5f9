"""Patterns: the list by risk, and one pattern: how often it fails, what is expected of it, and what would fix it."""

from __future__ import annotations

from datetime import timedelta
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.core import clock, ids
from everfix.documents.model import Chart, Column, Table, Unit
from everfix.errors import NotFound
from everfix.failures import frequency, patterns, predictions
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.failures.recommendations import Recommendation, RecommendationPattern, Step
from everfix.failures.verifications import Verification
from everfix.identity.principals import Scope
from everfix.metrics import periods, query
from everfix.web import pattern_words, session, shell, shown
from everfix.web import recommendations as fixes_shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
LISTED, MEMBERS, WEEKS, DAYS = 50, 15, 26, 30
Json = dict[str, Any]


@router.get("/patterns")
def listed(visit: session.sees(Scope.PATTERNS_READ)) -> Response:  # type: ignore[valid-type]
    """Every pattern that is not resolved, riskiest first."""
    period = periods.last(30, clock.now(), visit.here.timezone)
    found = query.table(visit.db, "pattern_list", period, {"limit": LISTED})
    keep = ("pattern", "status", "risk_score", "confidence", "issues", "first_seen", "last_seen", "mttr", "probability")
    made = shown.table(shown.Reader.of(visit.here), found, keep=keep, under={"pattern": "service"})
    return shell.page(visit, "patterns/list.html", table=made)


@router.get("/patterns/{pattern_id}")
def one(visit: session.sees(Scope.PATTERNS_READ), pattern_id: str) -> Response:  # type: ignore[valid-type]
    """One pattern."""
    pattern = patterns.get(visit.db, _known(pattern_id))
    reader = shown.Reader.of(visit.here)
    now = clock.now()
    last = pattern.last_seen_at or now
    as_of = now if now - last < timedelta(weeks=WEEKS) else last + timedelta(seconds=1)
    period = periods.last(WEEKS * 7, as_of, visit.here.timezone)
    members = query.table(visit.db, "pattern_members", period, {"pattern": str(pattern.id), "limit": MEMBERS})
    return shell.page(
        visit,
        "patterns/one.html",
        pattern=pattern,
        shown_id=ids.show(ids.Prefix.PATTERN, pattern.id),
        band=shown.band(pattern.risk_score),
        facts=_facts(reader, pattern),
        attributes=[(name.replace("_", " "), str(value)) for name, value in pattern.fingerprint.items() if value],
        why=_why(pattern.why),
        frequency=_frequency(visit.db, reader, period, pattern.id),
        ahead=_ahead(reader, frequency.of(visit.db, pattern, DAYS, now)),
        quiet=reader.moment(last) if as_of != now else "",
        members=shown.table(reader, members, keep=("title", "severity", "status", "service", "rule", "occurred_at")),
        prediction=_prediction(reader, predictions.newest(visit.db, pattern.id)),
        record=_record(visit.db, pattern.id),
        fixes=_fixes(visit, reader, pattern.id),
        **pattern_words.of(visit, pattern),
    )


def _known(text: str) -> UUID:
    found: UUID | None = shell.shown_id(ids.Prefix.PATTERN, text)
    if found is None:
        raise NotFound(f"no pattern {text[:60]!r}")
    return found


def _facts(reader: shown.Reader, pattern: Pattern) -> list[tuple[str, str]]:
    return [
        ("Failures", reader.words(pattern.issue_count, Unit.COUNT)),
        ("First seen", reader.moment(pattern.first_seen_at)),
        ("Last seen", reader.moment(pattern.last_seen_at)),
        ("Mean time to resolve", reader.words(pattern.mttr_seconds, Unit.SECONDS)),
        ("Grouping is right", reader.words(pattern.confidence, Unit.PROBABILITY)),
        ("Fix in progress since", reader.moment(pattern.mitigating_since)),
    ]


def _why(why: Json) -> list[tuple[str, str]]:
    """Return the reasons of a grouping as names and words, nested lists joined."""
    return [(key.replace("_", " "), _said(value)) for key, value in why.items() if value not in (None, "", [], {}) and key != "signature"]


def _said(value: object) -> str:
    if isinstance(value, list):
        return "\n".join(_said(part) for part in value)
    if isinstance(value, dict):
        return "\n".join(f"{key}: {_said(part)}" for key, part in value.items())
    return f"{value:.3g}" if isinstance(value, float) else str(value)


def _frequency(db: Session, reader: shown.Reader, period: periods.Period, pattern_id: UUID) -> Json:
    table = query.table(db, "pattern_weeks", period, {"pattern": str(pattern_id), "weeks": WEEKS})
    alt = f"Failures of this pattern in each of {WEEKS} weeks."
    return shown.chart(
        reader,
        Chart(key="pattern_weeks_chart", title="Failures a week", form="column", table=table, x="week", y=("failures",), alt=alt),
        height=220,
    )


def _ahead(reader: shown.Reader, found: frequency.Frequency) -> Json | None:
    """Return the last days and the days to come with what is expected of them; None where no prediction stands."""
    if not found.predicted:
        return None
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        Column(key="failures", title="Failures", unit=Unit.COUNT),
        Column(key="expected", title="Expected", unit=Unit.NUMBER),
        Column(key="lower", title="Low", unit=Unit.NUMBER),
        Column(key="upper", title="High", unit=Unit.NUMBER),
    )
    rows = [(day["date"], day["failures"], None, None, None) for day in found.series]
    rows += [(day["date"], None, day["expected"], day["lower"], day["upper"]) for day in found.predicted]
    table = Table(key="pattern_days", title="Failures a day", columns=columns, rows=tuple(rows))
    made = Chart(
        key="pattern_days_chart",
        title="Failures a day, and what is expected",
        form="line",
        table=table,
        x="day",
        y=("failures", "expected"),
        lower="lower",
        upper="upper",
        split=found.series[-1]["date"],
        alt=f"Failures of this pattern on each of the last {len(found.series)} days, and of the {len(found.predicted)} days to come what is expected, with its band.",
    )
    return shown.chart(reader, made, height=220)


def _prediction(reader: shown.Reader, found: Prediction | None) -> Json | None:
    if found is None:
        return None
    base, *moved = found.why
    most = max((abs(reason["effect"]) for reason in moved), default=1.0)
    return {
        "probability": reader.words(found.probability, Unit.PROBABILITY),
        "percent": round(100 * found.probability, 1),
        "lower": round(100 * found.lower, 1),
        "upper": round(100 * found.upper, 1),
        "range": f"{reader.words(found.lower, Unit.PROBABILITY)} to {reader.words(found.upper, Unit.PROBABILITY)}",
        "window": found.window_days,
        "impact": found.impact,
        "trigger": found.likely_trigger,
        "made": reader.moment(found.generated_at),
        "model": found.model_version,
        "base": reader.words(base["value"], Unit.PROBABILITY),
        "learnt": reader.words(base.get("learnt_from"), Unit.COUNT),
        "reasons": [
            {
                "reason": reason["reason"],
                "up": reason["effect"] > 0,
                "share": round(100 * abs(reason["effect"]) / most),
                "odds": f"×{2.718281828 ** reason['effect']:.2g}",
            }
            for reason in moved
        ],
    }


def _record(db: Session, pattern_id: UUID) -> list[tuple[str, int]]:
    """Return how the pattern's earlier predictions ended."""
    rows = (
        db.execute(select(Prediction.outcome).where(Prediction.pattern_id == pattern_id, Prediction.outcome.is_not(None))).scalars().all()
    )
    return [
        (name, rows.count(key))
        for key, name in (("hit", "came true"), ("prevented", "prevented by a fix"), ("miss", "did not come"))
        if rows.count(key)
    ]


def _fixes(visit: Visit, reader: shown.Reader, pattern_id: UUID) -> list[Json]:
    rows = visit.db.execute(
        select(Recommendation, Verification)
        .join(RecommendationPattern, RecommendationPattern.recommendation_id == Recommendation.id)
        .outerjoin(Verification, (Verification.recommendation_id == Recommendation.id) & (Verification.pattern_id == pattern_id))
        .where(RecommendationPattern.pattern_id == pattern_id)
        .order_by(Recommendation.rank.asc().nulls_last(), Recommendation.created_at.desc())
    ).all()
    plans: dict[UUID, list[Step]] = {}
    for step in visit.db.execute(
        select(Step).where(Step.recommendation_id.in_([row.Recommendation.id for row in rows])).order_by(Step.position)
    ).scalars():
        plans.setdefault(step.recommendation_id, []).append(step)
    return [fixes_shown.fix(reader, row.Recommendation, row.Verification, plans.get(row.Recommendation.id, [])) for row in rows]
