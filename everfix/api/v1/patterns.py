"""`/v1/patterns`: recurring failures."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.api import fields, pages
from everfix.api.v1 import clusters, issues
from everfix.api.v1.corrections import LATER, CorrectionOut, later
from everfix.core import clock, ids
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import closures, corrections, filters, frequency, patterns, predictions, previews, regrouping, watches
from everfix.failures.clusters import Cluster
from everfix.failures.patterns import Pattern
from everfix.failures.regrouping import Wish
from everfix.identity.principals import Principal, Scope
from everfix.ingest.events import Issue

router = APIRouter(prefix="/patterns", tags=["patterns"])
PatternId = Annotated[UUID, fields.path_id(ids.Prefix.PATTERN, "pattern", "pattern_id")]
Reader = Annotated[Principal, needs(Scope.PATTERNS_READ)]
Writer = Annotated[Principal, needs(Scope.PATTERNS_WRITE)]
PatternRef = Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.PATTERN, value))]
IssueRef = Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.ISSUE, value))]
Status = Annotated[
    Literal["emerging", "active", "mitigating", "resolved"],
    BeforeValidator(lambda value: closures.ALIASES.get(value.strip().lower(), value.strip().lower()) if isinstance(value, str) else value),
]
SORTS = pages.Sorts(
    {
        "risk_score": Pattern.risk_score,
        "issue_count": Pattern.issue_count,
        "last_seen_at": Pattern.last_seen_at,
        "created_at": Pattern.created_at,
    },
    "-risk_score",
)


MEMBER_SORTS = pages.Sorts({"occurred_at": Issue.occurred_at, "risk_score": Issue.risk_score}, "-occurred_at")


class PatternOut(BaseModel):
    """One pattern, as the reference names its fields."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    name: str
    status: str
    mitigating_since: datetime | None
    risk_score: int
    risk_parts: Json
    confidence: float
    fingerprint: Json
    tags: list[str]
    domain: str | None
    service: str | None
    team: str | None
    kind: str
    severity: str
    issue_count: int
    first_seen_at: datetime | None
    last_seen_at: datetime | None
    mttr_seconds: float | None
    closure_note: str
    created_at: datetime
    updated_at: datetime


class PatternDetail(PatternOut):
    """One pattern with why it is one, what is expected of it, and what it takes to be resolved."""

    why: Json
    merged_into: ids.field(ids.Prefix.PATTERN) | None  # type: ignore[valid-type]
    prediction: Json | None
    closed_at: datetime | None
    resolvable: Json
    watching: bool
    watchers: int


class NewPattern(BaseModel):
    """A pattern made by hand."""

    model_config = ConfigDict(extra="forbid")

    name: types.text(200, 1)  # type: ignore[valid-type]
    status: Status = "emerging"
    fingerprint: types.JsonObject = Field(default_factory=dict)
    tags: list[types.text(60, 1)] = Field(default_factory=list, max_length=20)  # type: ignore[valid-type]
    issue_ids: list[IssueRef] = Field(default_factory=list, max_length=corrections.MOST)
    risk_score: int = Field(0, ge=0, le=100)
    confidence: float = Field(0.5, ge=0, le=1)


class PatternChange(BaseModel):
    """What may change; a field that is not sent stays."""

    model_config = ConfigDict(extra="forbid")

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    status: Status | None = None
    tags: list[types.text(60, 1)] | None = Field(None, max_length=20)  # type: ignore[valid-type]
    domain: types.text(200) | None = None  # type: ignore[valid-type]


class Closing(BaseModel):
    """How the pattern was closed."""

    model_config = ConfigDict(extra="forbid")

    note: types.text(5_000, 1)  # type: ignore[valid-type]


class Merge(BaseModel):
    """The pattern whose failures, past and to come, are those of this one."""

    model_config = ConfigDict(extra="forbid")

    source_pattern_id: PatternRef
    reason: types.text(500) = ""  # type: ignore[valid-type]


class MergePreview(BaseModel):
    """Two patterns that might be merged."""

    model_config = ConfigDict(extra="forbid")

    source_pattern_id: PatternRef
    target_pattern_id: PatternRef


class Parting(BaseModel):
    """Failures that do not belong to this pattern; `name` is that of the pattern they become when they are split off together."""

    model_config = ConfigDict(extra="forbid")

    issue_ids: list[IssueRef] = Field(min_length=1, max_length=corrections.MOST)
    name: types.text(200) = ""  # type: ignore[valid-type]
    reason: types.text(500) = ""  # type: ignore[valid-type]


class Previewed(BaseModel):
    """How many failures would move, how many were named, and from which pattern to which (null: none, or a new one)."""

    model_config = ConfigDict(from_attributes=True)

    failures: int
    named: int
    moves: list[Json]


class Words(BaseModel):
    """What was said."""

    data: list[CorrectionOut]


class Watching(BaseModel):
    """Whether one watches a pattern, and how many do."""

    watching: bool
    watchers: int


class FrequencyOut(BaseModel):
    """Failures a day, and the band of what is expected of the days to come."""

    pattern_id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    window: str
    series: list[Json]
    predicted: list[Json]


class GraphOut(BaseModel):
    """Patterns as nodes, ties as edges, and the clusters they make."""

    nodes: list[Json]
    edges: list[Json]
    clusters: list[Json]


def shown(rows: Sequence[Pattern]) -> list[PatternOut]:
    """Return patterns as the API shows them."""
    return [PatternOut.model_validate(row) for row in rows]


@router.get("")
def listed(db: Db, who: Reader, page: Page, wanted: Annotated[filters.PatternFilter, Query()]) -> pages.PageOf[PatternOut]:
    """The workspace's patterns, riskiest first."""
    return pages.page(db, page, wanted.narrow(select(Pattern)), Pattern.id, SORTS, shown)


@router.post("", status_code=201)
def create(db: Db, who: Writer, body: NewPattern) -> PatternDetail:
    """Make a pattern by hand; the issues named, and all equal to them, belong to it from now on."""
    return detail(db, closures.create(db, body.model_dump(), by=who), who)


@router.get("/graph")
def graph(db: Db, who: Reader) -> GraphOut:
    """The patterns that are tied, what ties them, and the clusters they make."""
    rows = db.execute(select(Cluster).order_by(Cluster.risk_score.desc(), Cluster.id)).scalars().all()
    wanted = {pattern: row.id for row in rows for pattern in row.pattern_ids}
    found = db.execute(select(Pattern).where(Pattern.id.in_(wanted)).order_by(Pattern.risk_score.desc(), Pattern.id)).scalars()
    nodes = [
        {"id": ids.show(ids.Prefix.PATTERN, one.id), "name": one.name, "status": one.status, "risk_score": one.risk_score}
        | {"issue_count": one.issue_count, "service": one.service, "cluster_id": ids.show(ids.Prefix.CLUSTER, wanted[one.id])}
        for one in found
    ]
    named = [{"id": ids.show(ids.Prefix.CLUSTER, row.id), "name": row.name, "shared": row.shared} for row in rows]
    return GraphOut(nodes=nodes, edges=[edge for row in rows for edge in clusters.edges(row)], clusters=named)


@router.post("/merge-preview")
def merge_preview(db: Db, who: Writer, body: MergePreview) -> Previewed:
    """How many failures a merge would move; nothing is changed."""
    return Previewed.model_validate(previews.of(db, source=body.source_pattern_id, target=body.target_pattern_id))


@router.get("/{pattern_id}")
def one(db: Db, who: Reader, pattern_id: PatternId) -> PatternDetail:
    """One pattern, with the rule that made it, its standing prediction, and what it takes to be resolved."""
    return detail(db, patterns.get(db, pattern_id), who)


def detail(db: Session, pattern: Pattern, who: Principal) -> PatternDetail:
    """Return a pattern with all that is known of it."""
    next_ = predictions.newest(db, pattern.id)
    found = None
    if next_:
        found = {name: getattr(next_, name) for name in ("probability", "window_days", "lower", "upper", "why")}
    may, missing = closures.proven(db, pattern, clock.now())
    watching, watchers = watches.of(db, pattern.id, who.actor_id)
    extra = {"prediction": found, "resolvable": {"now": may, "missing": missing}, "watching": watching, "watchers": watchers}
    values = {name: getattr(pattern, name) for name in PatternDetail.model_fields if name not in extra}
    return PatternDetail.model_validate({**values, **extra})


@router.patch("/{pattern_id}")
def change(db: Db, who: Writer, pattern_id: PatternId, body: PatternChange) -> PatternDetail:
    """Change a pattern; `resolved` needs a closure note and a silent proof window, `mitigating` says that a fix is in progress."""
    values = body.model_dump(exclude_unset=True)
    values = {name: value for name, value in values.items() if value is not None or name == "domain"}
    return detail(db, closures.change(db, pattern_id, values, by=who), who)


@router.post("/{pattern_id}/close")
def close(db: Db, who: Writer, pattern_id: PatternId, body: Closing) -> PatternDetail:
    """Note how the pattern was closed; it becomes `resolved` once it has also been silent for the proof window."""
    return detail(db, closures.close(db, pattern_id, body.note, by=who), who)


@router.get("/{pattern_id}/members")
def members(db: Db, who: Reader, page: Page, pattern_id: PatternId) -> pages.PageOf[issues.IssueOut]:
    """The pattern's failures, newest first."""
    patterns.get(db, pattern_id)
    return pages.page(
        db, page, select(Issue).where(Issue.pattern_id == pattern_id).options(*issues.UNSHOWN), Issue.id, MEMBER_SORTS, issues.shown
    )


@router.get("/{pattern_id}/frequency")
def frequency_of(db: Db, who: Reader, pattern_id: PatternId, window: Literal["7d", "30d", "90d"] = "30d") -> FrequencyOut:
    """Failures of each day of a window, and of the days to come what is expected, with a band."""
    made = frequency.of(db, patterns.get(db, pattern_id), int(window.removesuffix("d")), clock.now())
    return FrequencyOut(pattern_id=pattern_id, window=window, series=made.series, predicted=made.predicted)


@router.post("/{pattern_id}/merge", response_model=CorrectionOut, responses=LATER)
def merge(db: Db, who: Writer, pattern_id: PatternId, body: Merge) -> Response | CorrectionOut:
    """Say that all failures of `source_pattern_id`, past and to come, are this pattern's; many are moved by a job (202)."""
    made = regrouping.say(db, Wish("merge", pattern_id, source=body.source_pattern_id, reason=body.reason), by=who)
    return later(made) or CorrectionOut.model_validate(made.words[0])


@router.post("/{pattern_id}/split", response_model=CorrectionOut, responses=LATER)
def split(db: Db, who: Writer, pattern_id: PatternId, body: Parting) -> Response | CorrectionOut:
    """Say that these failures, and all equal to them, are one pattern of their own; many are moved by a job (202)."""
    made = regrouping.say(db, Wish("split", pattern_id, issues=tuple(body.issue_ids), name=body.name, reason=body.reason), by=who)
    return later(made) or CorrectionOut.model_validate(made.words[0])


@router.post("/{pattern_id}/detach", response_model=Words, responses=LATER)
def detach(db: Db, who: Writer, pattern_id: PatternId, body: Parting) -> Response | Words:
    """Say that each of these failures, with all equal to it, is a pattern of its own; many are moved by a job (202)."""
    made = regrouping.say(db, Wish("detach", pattern_id, issues=tuple(body.issue_ids), reason=body.reason), by=who)
    return later(made) or Words(data=[CorrectionOut.model_validate(row) for row in made.words])


@router.post("/{pattern_id}/split-preview")
def split_preview(db: Db, who: Writer, pattern_id: PatternId, body: Parting) -> Previewed:
    """How many failures would leave with these; nothing is changed."""
    patterns.get(db, pattern_id)
    return Previewed.model_validate(previews.of(db, source=pattern_id, target=None, issue_ids=body.issue_ids))


@router.post("/{pattern_id}/detach-preview")
def detach_preview(db: Db, who: Writer, pattern_id: PatternId, body: Parting) -> Previewed:
    """How many failures would leave, each kind for a pattern of its own; nothing is changed."""
    patterns.get(db, pattern_id)
    return Previewed.model_validate(previews.of(db, source=pattern_id, target=None, issue_ids=body.issue_ids))


@router.post("/{pattern_id}/undo", response_model=CorrectionOut, responses=LATER)
def undo(db: Db, who: Writer, pattern_id: PatternId) -> Response | CorrectionOut:
    """Take back the last word that stands about this pattern; many failures are moved by a job (202)."""
    patterns.get(db, pattern_id)
    made = regrouping.say(db, Wish("undo", pattern_id, undone=corrections.last(db, pattern_id).id), by=who)
    return later(made) or CorrectionOut.model_validate(made.words[0])


@router.post("/{pattern_id}/watch")
def watch(db: Db, who: Reader, pattern_id: PatternId) -> Watching:
    """Hear of this pattern; who can read it can follow it."""
    watches.begin(db, pattern_id, by=who)
    watching, many = watches.of(db, pattern_id, who.actor_id)
    return Watching(watching=watching, watchers=many)


@router.delete("/{pattern_id}/watch")
def unwatch(db: Db, who: Reader, pattern_id: PatternId) -> Watching:
    """No longer hear of this pattern."""
    watches.end(db, pattern_id, by=who)
    watching, many = watches.of(db, pattern_id, who.actor_id)
    return Watching(watching=watching, watchers=many)
