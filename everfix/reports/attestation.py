"""Attestation: one fix as an auditor wants it: what failed, why, what was done, how it was watched, what came, and the verdict.

The Document's figures are those of the database at the moment it is made; its `sha256` is the hash of its content without the moment
and the address, so two attestations of one state carry the same hash and a changed one shows.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

import everfix
from everfix.core import ids
from everfix.documents import model
from everfix.documents.model import Chart, Column, Document, Figure, Figures, Section, Table, Text, Unit
from everfix.failures import claims, proof
from everfix.failures.patterns import Pattern
from everfix.failures.recommendations import Recommendation, RecommendationPattern, Step
from everfix.failures.verifications import Verification
from everfix.identity import workspaces
from everfix.ingest.events import Issue
from everfix.metrics import periods, query

MOST_ISSUES = 1_000
WORDS = {
    "watching": "Still watched",
    "held": "The fix held",
    "failed": "The fix failed",
    "not_enough_exposure": "Not enough exposure to tell",
}


def document(db: Session, found: Recommendation, now: datetime, url: str) -> Document:
    """Return the attestation of one fix as of `now`."""
    here = workspaces.here(db)
    members = _members(db, found.id)
    period = periods.last(max(1, (now - (found.implemented_at or found.created_at)).days + 1), now, here.timezone).shown()
    sections = [
        _fix(db, found),
        *(_watch(watch, pattern) for watch, pattern in _watches(db, found.id)),
        _failed(db, [row.id for row in members]),
    ]
    made = Document(
        title=f"Attestation: {found.title}"[:200],
        subtitle=f"{here.name}: whether this fix held",
        workspace=here.name,
        period=period,
        generated_at=now,
        currency=here.currency,
        brand=model.Brand(name=here.name, colour=here.brand_colour),
        sections=tuple(section.model_copy(update={"id": f"part_{place}"}) for place, section in enumerate(sections, 1)),
        link=f"{url}/recommendations/{ids.show(ids.Prefix.RECOMMENDATION, found.id)}",
        template="attestation",
        code_version=everfix.__version__,
    )
    return made.model_copy(update={"notices": (f"SHA-256 of this content: {digest(made)}",)})


def digest(made: Document) -> str:
    """Return the SHA-256 of what the Document says, whenever and wherever it was made."""
    said = made.model_dump(mode="json", exclude={"generated_at", "link", "notices", "code_version", "period", "brand"})
    return hashlib.sha256(json.dumps(said, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def _members(db: Session, recommendation_id: UUID) -> Sequence[Pattern]:
    query_ = select(Pattern).join(RecommendationPattern, RecommendationPattern.pattern_id == Pattern.id)
    return db.execute(query_.where(RecommendationPattern.recommendation_id == recommendation_id).order_by(Pattern.id)).scalars().all()


def _watches(db: Session, recommendation_id: UUID) -> Sequence[tuple[Verification, Pattern]]:
    wanted = select(Verification, Pattern).join(Pattern, Pattern.id == Verification.pattern_id)
    rows = db.execute(wanted.where(Verification.recommendation_id == recommendation_id).order_by(Verification.id))
    return [(row.Verification, row.Pattern) for row in rows]


def _fix(db: Session, found: Recommendation) -> Section:
    claim = claims.read(found.claim)
    steps = db.execute(select(Step).where(Step.recommendation_id == found.id).order_by(Step.position)).scalars().all()
    facts = [
        ("Fix", found.title),
        ("Kind", found.type.replace("_", " ")),
        ("Status", found.status.replace("_", " ")),
        ("In place since", query.cell(found.implemented_at)),
        ("Release", claim.release),
        ("Deploy", claim.deploy),
        ("Environment", claim.environment),
        ("Flag", claim.flag),
        ("What was done", claim.what or None),
        ("Evidence", claim.link),
        ("Attested", found.attested_by),
        ("Statement", found.attestation_note or None),
    ]
    rows = tuple((name, str(value)) for name, value in facts if value)
    told = Table(
        key="fix", title="The fix", columns=(Column(key="fact", title="Fact"), Column(key="value", title="Value", wide=True)), rows=rows
    )
    plan = Table(
        key="plan",
        title="Its steps",
        columns=(Column(key="step", title="Step", wide=True), Column(key="done", title="Done", unit=Unit.DATETIME)),
        rows=tuple((step.title, query.cell(step.completed_at)) for step in steps),
    )
    return Section(id="fix", title="What was done", blocks=(told, plan) if steps else (told,))


def _watch(watch: Verification, pattern: Pattern) -> Section:
    figures = Figures(
        key="proof",
        figures=(
            Figure(key="expected", title="Failing days expected", value=round(watch.expected, 1), unit=Unit.NUMBER, note="at the old rate"),
            Figure(key="observed", title="Failing days counted", value=watch.observed),
            Figure(
                key="not_counted", title="Failures not counted", value=watch.not_counted, note="of older releases or other environments"
            ),
            Figure(key="holds", title="Probability that it holds", value=round(watch.holds_probability, 4), unit=Unit.PROBABILITY),
        ),
    )
    verdict = Text(key="verdict", title=WORDS[watch.verdict], paragraphs=_said(watch))
    return Section(id="watch", title=pattern.name[:200], blocks=(figures, verdict, *_history(watch)))


def _said(watch: Verification) -> tuple[str, ...]:
    before = watch.before
    old = f"Before the fix the pattern failed on {before['failing_days']} of {before['days']:.0f} days."
    watched = f"Since then it was watched on {watch.exposed_days:.1f} days on which it could have failed."
    needs = (
        f"A fix that does nothing would stay silent so long with a probability of {watch.why.get('silence_if_unfixed', 1.0):.2%};"
        f" it is said to hold when that is {proof.ERROR:.0%} or less and the proof window is over."
    )
    decided = f"Decided on {watch.decided_at.date().isoformat()}." if watch.decided_at else "The proof window is not over yet."
    back = f"The pattern failed again on {watch.returned_at.date().isoformat()}, after the verdict." if watch.returned_at else ""
    return tuple(line for line in (old, watched, needs, decided, str(watch.why.get("blind", "")), back) if line)


def _history(watch: Verification) -> tuple[model.Block, ...]:
    columns = (
        Column(key="day", title="Day", unit=Unit.DATE),
        Column(key="expected", title="Expected", unit=Unit.NUMBER),
        Column(key="observed", title="Counted", unit=Unit.COUNT),
        Column(key="holds", title="Holds", unit=Unit.PROBABILITY),
    )
    rows = tuple((point["day"], point["expected"], point["observed"], point["holds"]) for point in watch.history)
    if not rows:
        return ()
    table = Table(key="history", title="Monitoring history", columns=columns, rows=rows)
    if len(rows) < 3:
        return (table,)
    alt = "Failing days expected at the old rate and counted, for each day of the watch."
    return (Chart(key="history", title="Monitoring history", form="line", table=table, x="day", y=("expected", "observed"), alt=alt),)


def _failed(db: Session, patterns: Sequence[UUID]) -> Section:
    wanted = select(Issue).where(Issue.pattern_id.in_(patterns)).order_by(Issue.occurred_at.desc(), Issue.id)
    issues = db.execute(wanted.limit(MOST_ISSUES + 1)).scalars().all()
    columns = (
        Column(key="issue", title="Issue"),
        Column(key="title", title="Title", wide=True),
        Column(key="severity", title="Severity"),
        Column(key="release", title="Release"),
        Column(key="happened", title="Happened", unit=Unit.DATETIME),
    )
    rows = tuple(
        (ids.show(ids.Prefix.ISSUE, issue.id), issue.title, issue.severity, issue.release, issue.occurred_at.isoformat())
        for issue in issues[:MOST_ISSUES]
    )
    note = f"The newest {MOST_ISSUES:,} are listed." if len(issues) > MOST_ISSUES else ""
    return Section(
        id="issues", title="The failures it is about", blocks=(Table(key="issues", title="Issues", columns=columns, rows=rows, note=note),)
    )
