"""Resources: what can be exported. One entry says all of it: columns, where they come from, filters, and who may."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

from sqlalchemy import (
    ColumnElement,
    DateTime,
    FromClause,
    Select,
    Text,
    and_,
    cast,
    false,
    func,
    literal_column,
    null,
    or_,
    select,
)
from sqlalchemy import Uuid as UuidType
from sqlalchemy.orm import aliased

from everfix import audit
from everfix.core import fields
from everfix.core.ids import Prefix
from everfix.documents.model import Unit
from everfix.errors import Invalid
from everfix.exports.columns import Column
from everfix.failures import filters
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.failures.recommendations import Recommendation, RecommendationPattern, Step
from everfix.identity.members import Member
from everfix.identity.principals import Role, Scope
from everfix.identity.users import User
from everfix.ingest.events import Issue

OPEN = ("pending", "in_progress")


@dataclasses.dataclass(frozen=True)
class Resource:
    """One thing that can be exported. `key` orders the rows, and is where a broken export goes on; `also` is needed on top of the rest."""

    name: str
    title: str
    key: ColumnElement[Any]
    source: Any
    columns: tuple[Column, ...]
    filter: type[filters.Filter]
    only: tuple[ColumnElement[bool], ...] = ()
    also: Scope | None = None

    def chosen(self, wanted: list[str] | None, *, analysis: bool) -> list[Column]:
        """Return the columns asked for (all, unless named), ids first, in the resource's order; raises Invalid for one that is not there."""
        known = {column.key: column for column in self.columns}
        unknown = [key for key in wanted or () if key not in known]
        if unknown:
            raise Invalid(f"{self.name} have no column {unknown[0][:60]!r}", details={"columns": f"any of {', '.join(known)}"})
        found = [one for one in self.columns if (one.key in wanted if wanted is not None else analysis or not one.analysis)]
        return sorted(found, key=lambda column: column.prefix is None)

    def rows(self, narrowed: filters.Filter) -> Select[Any]:
        """Return the query for the rows that fit; its columns are for the caller to name."""
        return narrowed.narrow(select(self.key).select_from(self.source)).where(*self.only)

    def read(self, given: dict[str, Any]) -> filters.Filter:
        """Return the filters as the list of this resource reads them; raises Invalid naming those there are, pydantic.ValidationError."""
        known = self.filter.model_fields
        unknown = [name for name in given if name not in known]
        if unknown:
            words = ", ".join(known) or "none"
            raise Invalid(f"{self.name} have no filter {unknown[0][:60]!r}", details={f"filters.{unknown[0][:60]}": f"any of: {words}"})
        return self.filter.model_validate(given)


# ---- filters of what has no list of failures


class AuditFilter(filters.Filter):
    """`action` is `thing.verb`, or `thing.` for all of a thing."""

    action: fields.text(100) | None = None  # type: ignore[valid-type]
    actor: fields.text(200) | None = None  # type: ignore[valid-type]
    q: filters.Words | None = None
    date_from: fields.Moment | None = None
    date_to: fields.Moment | None = None

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        entry = audit.Entry
        words = cast(entry.details, Text)
        return filters.given(
            (self.action, lambda value: entry.action.startswith(value, autoescape=True) if value.endswith(".") else entry.action == value),
            (self.actor, lambda value: entry.actor_name.icontains(value, autoescape=True)),
            (
                self.q or None,
                lambda value: or_(*(one.icontains(value, autoescape=True) for one in (entry.actor_name, entry.action, words))),
            ),
            (self.date_from, lambda value: entry.at >= value),
            (self.date_to, lambda value: entry.at < value),
        )


class MemberFilter(filters.Filter):
    """Commas separate several values of a filter."""

    role: filters.choices(Role) = None  # type: ignore[valid-type]
    status: filters.choices(("active", "invited", "suspended")) = None  # type: ignore[valid-type]

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        return filters.given((self.role, filters.one_of(Member.role)), (self.status, filters.one_of(Member.status)))


class NoFilter(filters.Filter):
    """There is nothing to narrow."""

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        return ()


# ---- what takes more than a column


def _newest(of: Any, what: Any) -> ColumnElement[Any]:  # noqa: ANN401 - mapped columns
    """Return a value of the standing prediction of a pattern."""
    one = aliased(Prediction)
    found = select(getattr(one, what)).where(one.pattern_id == of, one.status == "active").order_by(one.generated_at.desc()).limit(1)
    return found.scalar_subquery()


def _proposed() -> ColumnElement[Any]:
    found = (
        select(func.string_agg(Recommendation.title, "; "))
        .join(RecommendationPattern, RecommendationPattern.recommendation_id == Recommendation.id)
        .where(RecommendationPattern.pattern_id == Pattern.id, Recommendation.status.in_(OPEN))
    )
    return found.correlate(Pattern).scalar_subquery()


def _of_recommendation() -> ColumnElement[Any]:
    one = aliased(Pattern)
    found = (
        select(func.string_agg(one.name, "; "))
        .join(RecommendationPattern, RecommendationPattern.pattern_id == one.id)
        .where(RecommendationPattern.recommendation_id == Recommendation.id)
    )
    return found.correlate(Recommendation).scalar_subquery()


def _steps(*, done: bool) -> ColumnElement[Any]:
    found = select(func.count()).select_from(Step).where(Step.recommendation_id == Recommendation.id)
    return (found.where(Step.completed_at.is_not(None)) if done else found).correlate(Recommendation).scalar_subquery()


def _at(key: str, value: Any, *, paper: bool = False) -> Column:  # noqa: ANN401 - a mapped column
    return Column(key, value, Unit.DATETIME, paper=paper)


ISSUES = Resource(
    "issues", "Issues", Issue.__table__.c.id, Issue.__table__.outerjoin(Pattern.__table__, and_(Pattern.id == Issue.pattern_id)),
    (
        Column("id", Issue.id, prefix=Prefix.ISSUE), Column("pattern_id", Issue.pattern_id, prefix=Prefix.PATTERN),
        Column("assignee_id", Issue.assignee_id, prefix=Prefix.USER), Column("connector_id", Issue.connector_id, prefix=Prefix.CONNECTOR),
        Column("external_id", Issue.external_id, paper=True), Column("title", Issue.title, wide=True, paper=True),
        Column("severity", Issue.severity, paper=True), Column("status", Issue.status, paper=True),
        Column("analysis_status", Issue.analysis_status), Column("kind", Issue.kind), Column("source", Issue.source, paper=True),
        Column("team", Issue.team), Column("service", Issue.service, paper=True), Column("environment", Issue.environment),
        Column("error_type", Issue.error_type), Column("release", Issue.release), Column("external_url", Issue.external_url),
        Column("risk_score", Issue.risk_score, Unit.SCORE, title="Risk", paper=True),
        _at("occurred_at", Issue.occurred_at, paper=True), _at("acknowledged_at", Issue.acknowledged_at),
        _at("resolved_at", Issue.resolved_at, paper=True), _at("source_created_at", Issue.source_created_at),
        _at("source_updated_at", Issue.source_updated_at), _at("analyzed_at", Issue.analyzed_at), _at("ingested_at", Issue.ingested_at),
        _at("created_at", Issue.created_at), _at("updated_at", Issue.updated_at),
        Column("body", Issue.body, wide=True), Column("metadata", Issue.details, nested=True),
        Column("pattern_name", Pattern.name, wide=True, analysis=True, paper=True), Column("pattern_status", Pattern.status, analysis=True),
        Column("pattern_risk_score", Pattern.risk_score, Unit.SCORE, analysis=True),
        Column("assignment_confidence", Issue.assignment["confidence"].as_float(), Unit.PROBABILITY, analysis=True),
        Column("assignment_rule", Issue.assignment["why"]["rule"].astext, analysis=True),
        Column("recurrence_probability", _newest(Issue.pattern_id, "probability"), Unit.PROBABILITY, analysis=True, paper=True),
        Column("recurrence_window_days", _newest(Issue.pattern_id, "window_days"), Unit.COUNT, analysis=True),
        Column("risk_parts", Issue.risk_parts, nested=True, analysis=True), Column("assignment", Issue.assignment, nested=True, analysis=True),
    ), filters.IssueFilter,
)  # fmt: skip
PATTERNS = Resource(
    "patterns", "Patterns", Pattern.__table__.c.id, Pattern.__table__,
    (
        Column("id", Pattern.id, prefix=Prefix.PATTERN), Column("name", Pattern.name, wide=True, paper=True),
        Column("status", Pattern.status, paper=True), Column("severity", Pattern.severity, paper=True), Column("kind", Pattern.kind),
        Column("domain", Pattern.domain), Column("service", Pattern.service, paper=True), Column("team", Pattern.team),
        Column("risk_score", Pattern.risk_score, Unit.SCORE, title="Risk", paper=True),
        Column("confidence", Pattern.confidence, Unit.PROBABILITY),
        Column("issue_count", Pattern.issue_count, Unit.COUNT, title="Issues", paper=True),
        _at("first_seen_at", Pattern.first_seen_at), _at("last_seen_at", Pattern.last_seen_at, paper=True),
        Column("mttr_seconds", Pattern.mttr_seconds, Unit.SECONDS, title="Mean time to resolve"),
        Column("next_probability", _newest(Pattern.id, "probability"), Unit.PROBABILITY, title="Recurs with", paper=True),
        Column("next_window_days", _newest(Pattern.id, "window_days"), Unit.COUNT),
        Column("recommendations", _proposed(), wide=True, paper=True), _at("mitigating_since", Pattern.mitigating_since),
        Column("tags", func.array_to_string(Pattern.tags, ", ")), Column("closure_note", Pattern.closure_note, wide=True),
        _at("created_at", Pattern.created_at), _at("updated_at", Pattern.updated_at),
        Column("risk_parts", Pattern.risk_parts, nested=True), Column("fingerprint", Pattern.fingerprint, nested=True),
    ), filters.PatternFilter,
)  # fmt: skip
PREDICTIONS = Resource(
    "predictions", "Predictions", Prediction.__table__.c.id,
    Prediction.__table__.outerjoin(Pattern.__table__, and_(Pattern.id == Prediction.pattern_id)),
    (
        Column("id", Prediction.id, prefix=Prefix.PREDICTION), Column("pattern_id", Prediction.pattern_id, prefix=Prefix.PATTERN),
        Column("pattern_name", Pattern.name, wide=True, paper=True),
        Column("probability", Prediction.probability, Unit.PROBABILITY, paper=True), Column("lower", Prediction.lower, Unit.PROBABILITY),
        Column("upper", Prediction.upper, Unit.PROBABILITY), Column("window_days", Prediction.window_days, Unit.COUNT, paper=True),
        Column("impact", Prediction.impact, paper=True), Column("likely_trigger", Prediction.likely_trigger, wide=True, paper=True),
        Column("status", Prediction.status, paper=True), Column("outcome", Prediction.outcome, paper=True),
        Column("base_rate", Prediction.base_rate, Unit.PROBABILITY), Column("model_version", Prediction.model_version),
        _at("generated_at", Prediction.generated_at, paper=True), _at("expires_at", Prediction.expires_at),
        _at("resolved_at", Prediction.resolved_at), Column("why", Prediction.why, nested=True),
    ), filters.PredictionFilter,
)  # fmt: skip
RECOMMENDATIONS = Resource(
    "recommendations", "Recommendations", Recommendation.__table__.c.id, Recommendation.__table__,
    (
        Column("id", Recommendation.id, prefix=Prefix.RECOMMENDATION), Column("rank", Recommendation.rank, Unit.COUNT, paper=True),
        Column("title", Recommendation.title, wide=True, paper=True), Column("type", Recommendation.type, paper=True),
        Column("effort", Recommendation.effort), Column("impact", Recommendation.impact, paper=True),
        Column("status", Recommendation.status, paper=True), Column("attestation", Recommendation.attestation, paper=True),
        Column("score", Recommendation.score, Unit.NUMBER),
        Column("expected_loops_prevented", Recommendation.expected_loops_prevented, Unit.NUMBER, title="Loops prevented", paper=True),
        Column("expected_cost_saved", Recommendation.expected_cost_saved, Unit.MONEY, title="Cost saved", paper=True),
        Column("steps_done", _steps(done=True), Unit.COUNT), Column("steps", _steps(done=False), Unit.COUNT),
        Column("patterns", _of_recommendation(), wide=True), Column("summary", Recommendation.summary, wide=True),
        _at("implemented_at", Recommendation.implemented_at, paper=True), _at("created_at", Recommendation.created_at),
        _at("updated_at", Recommendation.updated_at), Column("why", Recommendation.why, nested=True),
    ), filters.RecommendationFilter,
)  # fmt: skip
AUDIT_LOG = Resource(
    "audit_log", "Audit log", audit.Entry.__table__.c.id, audit.Entry.__table__,
    (
        Column("number", audit.Entry.number, Unit.COUNT, paper=True), _at("at", audit.Entry.at, paper=True),
        Column("actor_kind", audit.Entry.actor_kind), Column("actor_name", audit.Entry.actor_name, title="Actor", paper=True),
        Column("actor_id", cast(audit.Entry.actor_id, Text)), Column("action", audit.Entry.action, paper=True),
        Column("target_kind", audit.Entry.target_kind, title="Target", paper=True),
        Column("target_id", cast(audit.Entry.target_id, Text)),
        Column("details", audit.Entry.details, nested=True, wide=True, paper=True), Column("ip", audit.Entry.ip, title="Address", paper=True),
        Column("trace_id", audit.Entry.trace_id), Column("previous_hash", audit.Entry.previous_hash), Column("hash", audit.Entry.hash),
    ), AuditFilter, also=Scope.AUDIT_READ,
)  # fmt: skip
MEMBERS = Resource(
    "members", "Members", Member.__table__.c.id, Member.__table__.join(User.__table__, and_(User.id == Member.user_id)),
    (
        Column("id", Member.id, prefix=Prefix.MEMBER), Column("user_id", Member.user_id, prefix=Prefix.USER),
        Column("name", User.name, paper=True), Column("email", User.email, paper=True), Column("role", Member.role, paper=True),
        Column("status", Member.status, paper=True), Column("timezone", User.timezone, paper=True), Column("locale", User.locale),
        _at("created_at", Member.created_at, paper=True),
    ), MemberFilter,
)  # fmt: skip


def _never(kind: Any = None) -> ColumnElement[Any]:  # noqa: ANN401 - an SQL type
    return cast(null(), kind or Text)


_NOWHERE: FromClause = select(literal_column("NULL::uuid").label("id")).where(false()).subquery("connectors")
# No connection is kept in the database yet: the export is well-formed and empty. Its columns are those of the reference, never a secret.
CONNECTORS = Resource(
    "connectors", "Connectors", cast(_NOWHERE.c.id, UuidType), _NOWHERE,
    (
        Column("id", _NOWHERE.c.id, prefix=Prefix.CONNECTOR), Column("name", _never(), paper=True), Column("type", _never(), paper=True),
        Column("status", _never(), paper=True), _at("last_synced_at", _never(DateTime(timezone=True)), paper=True),
        _at("created_at", _never(DateTime(timezone=True)), paper=True),
    ), NoFilter,
)  # fmt: skip

RESOURCES: dict[str, Resource] = {
    resource.name: resource for resource in (ISSUES, PATTERNS, PREDICTIONS, RECOMMENDATIONS, AUDIT_LOG, MEMBERS, CONNECTORS)
}


def get(name: str) -> Resource:
    """Return one resource, in either case; raises Invalid naming those there are."""
    found = RESOURCES.get(name.strip().lower().replace("-", "_"))
    if found is None:
        raise Invalid(f"{name[:60]!r} cannot be exported", details={"resource": f"one of {', '.join(RESOURCES)}"})
    return found
