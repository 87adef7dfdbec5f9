"""Filters: what narrows a list, and the export of the same rows; one class for each list, read from a query string or from JSON."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, Field, ValidationError, ValidationInfo, field_validator
from sqlalchemy import ColumnElement, Select

from everfix.core import fields, ids
from everfix.errors import Invalid
from everfix.failures import issues, patterns
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.failures.recommendations import Recommendation
from everfix.ingest import events
from everfix.ingest.events import Issue

Words = fields.text(200)
ISSUE_SORTS = {
    "risk_score": Issue.risk_score,
    "ingested_at": Issue.ingested_at,
    "source_created_at": Issue.source_created_at,
    "severity": Issue.severity,
    "status": Issue.status,
    "updated_at": Issue.updated_at,
    "created_at": Issue.created_at,
    "occurred_at": Issue.occurred_at,
}
RiskBound = Annotated[int | None, Field(ge=0, le=100)]


def choices(allowed: Iterable[str], aliases: Mapping[str, str] | None = None) -> Any:  # noqa: ANN401 - an Annotated type made at import
    """Return the type of several values, separated by commas (in JSON a list will do), kept as their canonical names."""
    known, other = tuple(allowed), aliases or {}

    def read(value: object) -> object:
        if value is None:
            return None
        parts = value if isinstance(value, list) else str(value).split(",")
        found = [other.get(word, word) for word in (str(part).strip().lower() for part in parts) if word]
        wrong = [word for word in found if word not in known]
        if wrong or not found:
            raise ValueError(f"{(wrong or [str(value)])[0][:40]!r} is not allowed: one or more of {', '.join(known)}")
        return ",".join(dict.fromkeys(found))

    return Annotated[str | None, BeforeValidator(read), Field(max_length=400)]


class Filter(BaseModel):
    """What narrows a list; a field that is None narrows nothing."""

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        """Return what a row must be; all of it."""
        raise NotImplementedError

    def narrow(self, query: Select[Any]) -> Select[Any]:
        """Return the query for the rows that fit."""
        return query.where(*self.conditions())


def given(*pairs: tuple[Any, Callable[[Any], ColumnElement[bool]]]) -> list[ColumnElement[bool]]:
    return [condition(value) for value, condition in pairs if value is not None]


def one_of(column: Any) -> Callable[[str], ColumnElement[bool]]:  # noqa: ANN401 - a mapped column
    """Return the condition that a column holds one of the values that `choices` read."""
    return lambda value: column.in_(value.split(","))


def _same(column: Any) -> Callable[[Any], ColumnElement[bool]]:  # noqa: ANN401 - a mapped column
    return lambda value: column == value


class _Risk(Filter):
    risk_min: RiskBound = None
    risk_max: RiskBound = None

    @field_validator("risk_max")
    @classmethod
    def _ordered(cls, value: int | None, info: ValidationInfo) -> int | None:
        low = info.data.get("risk_min")
        if low is not None and value is not None and value < low:
            raise ValueError(f"must be at least risk_min, {low}")
        return value


class IssueFilter(_Risk):
    """`status`, `severity`, `kind` and `analysis_status` take several values, separated by commas."""

    pattern_id: ids.field(ids.Prefix.PATTERN) | None = None  # type: ignore[valid-type]
    assignee_id: ids.field(ids.Prefix.USER) | None = None  # type: ignore[valid-type]
    status: choices(issues.STATUSES, events.STATUS_ALIASES) = None  # type: ignore[valid-type]
    severity: choices(issues.SEVERITIES, events.SEVERITY_ALIASES) = None  # type: ignore[valid-type]
    source: fields.text(64) | None = None  # type: ignore[valid-type]
    team: Words | None = None  # type: ignore[valid-type]
    service: Words | None = None  # type: ignore[valid-type]
    kind: choices(("incident", "defect", "check")) = None  # type: ignore[valid-type]
    q: Words | None = None  # type: ignore[valid-type]
    linked: bool | None = Field(None, description="Only issues with (true) or without (false) a pattern.")
    analysis_status: choices(("pending", "analyzing", "done", "failed")) = None  # type: ignore[valid-type]
    date_from: fields.Moment | None = None
    date_to: fields.Moment | None = None

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        return given(
            (self.status, one_of(Issue.status)),
            (self.severity, one_of(Issue.severity)),
            (self.kind, one_of(Issue.kind)),
            (self.analysis_status, one_of(Issue.analysis_status)),
            (self.pattern_id, _same(Issue.pattern_id)),
            (self.assignee_id, _same(Issue.assignee_id)),
            (self.source, _same(Issue.source)),
            (self.team, _same(Issue.team)),
            (self.service, _same(Issue.service)),
            (self.risk_min, lambda value: Issue.risk_score >= value),
            (self.risk_max, lambda value: Issue.risk_score <= value),
            (self.date_from, lambda value: Issue.occurred_at >= value),
            (self.date_to, lambda value: Issue.occurred_at < value),
            (self.linked, lambda value: Issue.pattern_id.is_not(None) if value else Issue.pattern_id.is_(None)),
            (self.q or None, issues.matches),
        )


class PatternFilter(_Risk):
    """`status` takes several values, separated by commas."""

    status: choices(("emerging", "active", "resolved"), {"mitigating": "active", "watching": "emerging"}) = None  # type: ignore[valid-type]
    q: Words | None = None  # type: ignore[valid-type]
    domain: Words | None = None  # type: ignore[valid-type]

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        return given(
            (self.status, one_of(Pattern.status)),
            (self.q or None, lambda value: Pattern.name.icontains(value, autoescape=True)),
            (self.domain, _same(Pattern.domain)),
            (self.risk_min, lambda value: Pattern.risk_score >= value),
            (self.risk_max, lambda value: Pattern.risk_score <= value),
            (True, lambda _: patterns.listed()),
        )


class PredictionFilter(Filter):
    """Standing predictions, unless `status` asks for dismissed or superseded ones too."""

    pattern_id: ids.field(ids.Prefix.PATTERN) | None = None  # type: ignore[valid-type]
    min_probability: float | None = Field(None, ge=0, le=1)
    window_days: int | None = Field(None, ge=1, le=365)
    status: choices(("active", "dismissed", "superseded")) = "active"  # type: ignore[valid-type]

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        return given(
            (self.status, one_of(Prediction.status)),
            (self.min_probability, lambda value: Prediction.probability >= value),
            (self.window_days, _same(Prediction.window_days)),
            (self.pattern_id, _same(Prediction.pattern_id)),
        )


class RecommendationFilter(Filter):
    """Commas separate several values of a filter."""

    type: choices(("code_fix", "config_change", "process", "monitoring"), {"config": "config_change"}) = None  # type: ignore[valid-type]
    status: choices(("pending", "in_progress", "implemented", "dismissed")) = None  # type: ignore[valid-type]
    impact: choices(("high", "medium", "quick_win")) = None  # type: ignore[valid-type]

    def conditions(self) -> Iterable[ColumnElement[bool]]:
        return given(
            (self.type, one_of(Recommendation.type)),
            (self.status, one_of(Recommendation.status)),
            (self.impact, one_of(Recommendation.impact)),
        )


SAVEABLE: Mapping[str, type[Filter]] = {"issues": IssueFilter, "patterns": PatternFilter}  # lists that views are saved of


def sound(resource: str, values: Mapping[str, Any]) -> Filter:
    """Return the filter that these values make; raises Invalid for those that the list would refuse."""
    known = SAVEABLE[resource]
    unknown = values.keys() - known.model_fields.keys()
    if unknown:
        allowed = ", ".join(known.model_fields)
        raise Invalid(f"there is no filter {min(unknown)[:40]!r}", details={f"filters.{min(unknown)[:40]}": f"one of {allowed}"})
    try:
        return known.model_validate(dict(values))
    except ValidationError as problem:
        details = {f"filters.{'.'.join(map(str, error['loc']))}": error["msg"] for error in problem.errors()}
        raise Invalid("a filter does not fit", details=details) from problem
