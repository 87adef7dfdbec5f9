"""`/v1/recommendations`: ranked fixes."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from urllib.parse import quote
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix import documents
from everfix.api import fields, pages
from everfix.core import clock, ids, outbound
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Config, Db, Page, SigningKeys, needs
from everfix.errors import Invalid
from everfix.failures import claims, filters, pushes, recommendations
from everfix.failures.recommendations import Recommendation, RecommendationPattern, Step
from everfix.failures.verifications import Verification
from everfix.identity.principals import Principal, Scope
from everfix.reports import attestation, runs

router = APIRouter(prefix="/recommendations", tags=["recommendations"])
Reader = Annotated[Principal, needs(Scope.RECOMMENDATIONS_READ)]
Writer = Annotated[Principal, needs(Scope.RECOMMENDATIONS_WRITE)]
RecommendationId = Annotated[UUID, fields.path_id(ids.Prefix.RECOMMENDATION, "recommendation", "recommendation_id")]
StepId = Annotated[UUID, fields.path_id(ids.Prefix.STEP, "step", "step_id")]
SORTS = pages.Sorts(
    {
        "rank": Recommendation.rank,
        "created_at": Recommendation.created_at,
        "expected_loops_prevented": Recommendation.expected_loops_prevented,
        "updated_at": Recommendation.updated_at,
    },
    "rank",
)


class StepOut(BaseModel):
    """One step of the plan."""

    id: ids.field(ids.Prefix.STEP)  # type: ignore[valid-type]
    position: int
    title: str
    description: str
    completed: bool


class TicketOut(BaseModel):
    """A ticket at a tracker; `status` is that of its delivery, `state` what the tracker last said (open, started, done, cancelled)."""

    tracker: str
    external_id: str | None
    external_url: str | None
    status: str
    reason: str
    state: str
    error: str
    checked_at: datetime | None


class VerificationOut(BaseModel):
    """The watch over one pattern: failing days expected at the old rate against those that came, and what that proves."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.VERIFICATION)  # type: ignore[valid-type]
    pattern_id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    verdict: str
    claimed_at: datetime
    window_ends_at: datetime
    exposed_days: float
    expected: float
    observed: int
    not_counted: int
    holds_probability: float
    why: Json
    history: list[Json]
    decided_at: datetime | None
    returned_at: datetime | None


class RecommendationOut(BaseModel):
    """One recommendation; `why` holds each factor of its score."""

    id: ids.field(ids.Prefix.RECOMMENDATION)  # type: ignore[valid-type]
    title: str
    summary: str
    type: str
    effort: str
    impact: str
    status: str
    rank: int | None
    score: float
    expected_loops_prevented: float
    expected_cost_saved: float
    why: Json
    attestation: str
    attestation_note: str
    attested_by: str | None
    attested_at: datetime | None
    claim: Json | None
    pattern_ids: list[ids.field(ids.Prefix.PATTERN)]  # type: ignore[valid-type]
    steps: list[StepOut]
    tickets: list[TicketOut]
    implemented_at: datetime | None
    created_at: datetime
    updated_at: datetime


class Detail(RecommendationOut):
    """One recommendation with the watches over its patterns."""

    verifications: list[VerificationOut]


class Change(BaseModel):
    """What to change: the status, and with `implemented` what is claimed of the fix."""

    model_config = ConfigDict(extra="forbid")

    status: Literal["pending", "in_progress", "implemented", "dismissed"]
    claim: claims.Claim | None = None


class StepChange(BaseModel):
    """Whether the step is done."""

    model_config = ConfigDict(extra="forbid")

    completed: bool


class Attest(BaseModel):
    """What the person attests, in words."""

    model_config = ConfigDict(extra="forbid")

    note: types.text(2000) = ""  # type: ignore[valid-type]


class Push(BaseModel):
    """Where the ticket goes: a destination's id, or the kind of tracker where there is one of it."""

    model_config = ConfigDict(extra="forbid")

    tracker: types.text(100, 1)  # type: ignore[valid-type]


def shown(db: Session, rows: Sequence[Recommendation]) -> list[RecommendationOut]:
    """Return recommendations with their patterns and steps, two queries whatever their number."""
    wanted = [row.id for row in rows]
    steps: dict[object, list[StepOut]] = {key: [] for key in wanted}
    for step in db.execute(select(Step).where(Step.recommendation_id.in_(wanted)).order_by(Step.position)).scalars():
        done = step.completed_at is not None
        steps[step.recommendation_id].append(
            StepOut(id=step.id, position=step.position, title=step.title, description=step.description, completed=done)
        )
    members: dict[object, list[object]] = {key: [] for key in wanted}
    for member in db.execute(select(RecommendationPattern).where(RecommendationPattern.recommendation_id.in_(wanted))).scalars():
        members[member.recommendation_id].append(member.pattern_id)
    opened = pushes.of(db, wanted)
    own = [name for name in RecommendationOut.model_fields if name not in ("pattern_ids", "steps", "tickets")]
    return [
        RecommendationOut.model_validate(
            {
                **{name: getattr(row, name) for name in own},
                "pattern_ids": members[row.id],
                "steps": steps[row.id],
                "tickets": [_ticket(one) for one in opened[row.id]],
            }
        )
        for row in rows
    ]


def _ticket(one: pushes.Shown) -> TicketOut:
    ticket, delivery = one.ticket, one.delivery
    return TicketOut(
        tracker=ticket.tracker,
        external_id=one.external_id,
        external_url=one.external_url,
        status=delivery.status,
        reason=delivery.reason,
        state=ticket.state,
        error=ticket.error,
        checked_at=ticket.checked_at,
    )


def detailed(db: Session, recommendation_id: UUID) -> Detail:
    """Return one recommendation with everything that is known of it; raises NotFound."""
    found = recommendations.get(db, recommendation_id)
    query = select(Verification).where(Verification.recommendation_id == found.id).order_by(Verification.id)
    watches = [VerificationOut.model_validate(row) for row in db.execute(query).scalars()]
    return Detail(**dict(shown(db, [found])[0]), verifications=watches)


@router.get("")
def listed(db: Db, who: Reader, page: Page, wanted: Annotated[filters.RecommendationFilter, Query()]) -> pages.PageOf[RecommendationOut]:
    """The workspace's recommendations by rank; commas separate several values of a filter."""
    return pages.page(db, page, wanted.narrow(select(Recommendation)), Recommendation.id, SORTS, lambda rows: shown(db, rows))


@router.get("/{recommendation_id}")
def one(db: Db, who: Reader, recommendation_id: RecommendationId) -> Detail:
    """One recommendation: its plan, its rank's arithmetic, its tickets, and whether it held."""
    return detailed(db, recommendation_id)


@router.patch("/{recommendation_id}")
def change(db: Db, who: Writer, recommendation_id: RecommendationId, body: Change) -> Detail:
    """Move it along pending → in_progress → implemented, or dismiss it; `implemented` starts the watch over its patterns."""
    if body.claim is not None and body.status != recommendations.IMPLEMENTED:
        raise Invalid("a claim goes with the status implemented", details={"claim": "only with status implemented"})
    recommendations.move(db, recommendation_id, body.status, by=who, claim=body.claim)
    return detailed(db, recommendation_id)


@router.patch("/{recommendation_id}/steps/{step_id}")
def complete(db: Db, who: Writer, recommendation_id: RecommendationId, step_id: StepId, body: StepChange) -> Detail:
    """Tick one step off, or take that back."""
    recommendations.complete(db, recommendation_id, step_id, done=body.completed, by=who)
    return detailed(db, recommendation_id)


@router.post("/{recommendation_id}/attest")
def attest(db: Db, who: Writer, recommendation_id: RecommendationId, body: Attest | None = None) -> Detail:
    """Put one's name under a fix that held."""
    recommendations.attest(db, recommendation_id, body.note if body else "", by=who)
    return detailed(db, recommendation_id)


@router.get("/{recommendation_id}/attestation", response_class=Response)
def attestation_document(db: Db, who: Reader, recommendation_id: RecommendationId, settings: Config, format: str = "json") -> Response:
    """The fix as an auditor wants it, as a file of any format; its content carries its own SHA-256."""
    made = attestation.document(db, recommendations.get(db, recommendation_id), clock.now(), settings.url)
    kind = documents.RENDERERS[runs.renderer(format)]
    name = documents.filename(made, kind.key)
    headers = {"Content-Disposition": f"attachment; filename*=UTF-8''{quote(name)}", "X-Attestation-SHA256": attestation.digest(made)}
    return Response(kind.render(made), media_type=kind.media_type, headers=headers)


@router.post("/{recommendation_id}/push", status_code=202)
def push(db: Db, who: Writer, recommendation_id: RecommendationId, body: Push, settings: Config, keys: SigningKeys) -> TicketOut:
    """Open a ticket at a tracker; its link appears in `tickets` once the tracker has answered."""
    guard = outbound.guard(settings)
    return _ticket(pushes.push(db, keys, guard, recommendation_id, body.tracker, url=settings.url, by=who))
