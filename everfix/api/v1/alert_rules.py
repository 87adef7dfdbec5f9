"""`/v1/alert-rules`: who is told when a prediction crosses a threshold."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.api import fields, pages
from everfix.core import clock, ids
from everfix.core.db import Json
from everfix.core.fields import JsonObject, Moment, text
from everfix.deps import Db, Page, needs
from everfix.errors import Invalid
from everfix.failures import alarms, alerts, rehearsals
from everfix.failures.alerts import Rule
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/alert-rules", tags=["alert-rules"])
Reader = Annotated[Principal, needs(Scope.PREDICTIONS_READ)]
Admin = Annotated[Principal, needs(Scope.WORKSPACE_WRITE)]
RuleId = Annotated[UUID, fields.path_id(ids.Prefix.ALERT_RULE, "alert rule", "rule_id")]
SORTS = pages.Sorts({"created_at": Rule.created_at, "name": Rule.name}, "created_at")
ALL = ("all", "workspace", "*")
Name = text(120, 1)


class Threshold(BaseModel):
    """When the rule fires: a prediction within `window_days` reaches `probability`."""

    model_config = ConfigDict(extra="forbid")

    probability: float = Field(ge=0, le=1)
    window_days: int = Field(ge=1, le=365)


class RuleIn(BaseModel):
    """A rule. `scope`: "all", a pattern's id, or `{"pattern_id": …}`. `channels`: destinations, addresses, Slack channel ids, or kinds."""

    model_config = ConfigDict(extra="forbid")

    name: Name  # type: ignore[valid-type]
    scope: str | JsonObject
    threshold: Threshold
    channels: list[str | JsonObject] = Field(default_factory=list, max_length=50)
    enabled: bool = True
    snoozed_until: Moment | None = None


class RuleChange(BaseModel):
    """What to change."""

    model_config = ConfigDict(extra="forbid")

    name: Name | None = None  # type: ignore[valid-type]
    scope: str | JsonObject | None = None
    threshold: Threshold | None = None
    channels: list[str | JsonObject] | None = Field(default=None, max_length=50)
    enabled: bool | None = None
    snoozed_until: Moment | None = None


class Snooze(BaseModel):
    """Until when; null, nothing, or a time that has passed ends the snooze."""

    model_config = ConfigDict(extra="forbid")

    until: Moment | None = None


class RuleOut(BaseModel):
    """One rule, and the patterns that it fires for."""

    id: ids.field(ids.Prefix.ALERT_RULE)  # type: ignore[valid-type]
    name: str
    scope: str | Json
    threshold: Threshold
    channels: list[str]
    enabled: bool
    snoozed_until: datetime | None
    status: str
    firing: list[Json]
    last_fired_at: datetime | None
    created_by: str
    created_at: datetime
    updated_at: datetime


class Fire(BaseModel):
    """One time that the rule would have fired: for which pattern, with what probability, and when it was over."""

    at: datetime
    probability: float
    over_at: datetime | None
    pattern_id: ids.field(ids.Prefix.PATTERN)  # type: ignore[valid-type]
    pattern: str


class PreviewOut(BaseModel):
    """How often the rule would have fired, had it been made `days` ago: the newest firings, and for how many patterns in all."""

    days: int
    start: datetime
    end: datetime
    threshold: float
    times: int
    patterns: int
    fires: list[Fire]


class PreviewIn(BaseModel):
    """A rule that is not kept: whom it is for, its threshold, and how far back to look."""

    model_config = ConfigDict(extra="forbid")

    scope: str | JsonObject = "all"
    threshold: Threshold
    days: int = Field(30, ge=1, le=rehearsals.LONGEST)


def _preview(db: Session, rule: Rule, days: int) -> PreviewOut:
    found = rehearsals.of(db, rule, days, clock.now())
    fires = [
        Fire(at=fire.at, probability=fire.value or 0.0, over_at=fire.over_at, pattern_id=fire.pattern_id, pattern=fire.name)
        for fire in found.fires[: rehearsals.LISTED]
    ]
    return PreviewOut(
        days=days, start=found.start, end=found.end, threshold=found.threshold, times=len(found.fires), patterns=found.patterns, fires=fires
    )


def _shown(rule: Rule) -> RuleOut:
    own = {name: getattr(rule, name) for name in ("id", "name", "enabled", "snoozed_until", "status", "last_fired_at")}
    own |= {name: getattr(rule, name) for name in ("created_by", "created_at", "updated_at")}
    return RuleOut(
        **own,
        scope="all" if rule.pattern_id is None else {"pattern_id": ids.show(ids.Prefix.PATTERN, rule.pattern_id)},
        threshold=Threshold(probability=rule.probability or 0, window_days=rule.window_days or 1),
        channels=[channel_word(channel) for channel in rule.channels],
        firing=[{"pattern_id": ids.show(ids.Prefix.PATTERN, UUID(key)), **said} for key, said in rule.firing.items()],
    )


def channel_word(channel: Json) -> str:
    """Return a stored channel as it may be given again."""
    if "destination" in channel:
        return ids.show(ids.Prefix.DESTINATION, UUID(channel["destination"]))
    word = str(channel.get("recipient") or channel["kind"])
    return "email" if word == "ops_email" else word


def _pattern(scope: str | Json) -> UUID | None:
    word: Any = scope.get("pattern_id") if isinstance(scope, dict) else scope
    if isinstance(scope, dict) and word is None and scope.get("type", "all") in ALL:
        return None
    if isinstance(word, str) and word.lower() in ALL:
        return None
    try:
        return ids.parse(ids.Prefix.PATTERN, word)
    except ValueError as problem:
        raise Invalid(str(problem), details={"scope": 'all, a pattern\'s id, or {"pattern_id": …}'}) from problem


def _values(db: Session, body: RuleIn | RuleChange) -> dict[str, Any]:
    given: dict[str, Any] = body.model_dump(exclude_unset=isinstance(body, RuleChange), include={"name", "enabled", "snoozed_until"})
    empty = [name for name in body.model_fields_set if getattr(body, name) is None and name != "snoozed_until"]
    if empty:
        raise Invalid(f"{empty[0]} cannot be null", details={empty[0]: "a value, or left out"})
    if body.scope is not None:
        given["pattern_id"] = _pattern(body.scope)
    if body.threshold is not None:
        given |= {"probability": body.threshold.probability, "window_days": body.threshold.window_days}
    if body.channels is not None:
        given["channels"] = alarms.stored(db, body.channels)
    return given


@router.get("")
def listed(db: Db, who: Reader, page: Page, enabled: Literal["true", "false"] | None = None) -> pages.PageOf[RuleOut]:
    """The workspace's rules."""
    query = select(Rule).where(Rule.kind == "prediction")
    if enabled is not None:
        query = query.where(Rule.enabled.is_(enabled == "true"))
    return pages.page(db, page, query, Rule.id, SORTS, lambda rows: [_shown(row) for row in rows])


@router.post("", status_code=201)
def create(db: Db, who: Admin, body: RuleIn) -> RuleOut:
    """Make a rule."""
    return _shown(alerts.create(db, who, "prediction", _values(db, body)))


@router.post("/preview")
def preview_unsaved(db: Db, who: Reader, body: PreviewIn) -> PreviewOut:
    """When a rule would have fired in the last days, before it is made."""
    given = {"pattern_id": _pattern(body.scope), "probability": body.threshold.probability, "window_days": body.threshold.window_days}
    rule = alerts.draft("prediction", given)
    alerts.check_scope(db, rule)
    return _preview(db, rule, body.days)


@router.get("/{rule_id}/preview")
def preview(db: Db, who: Reader, rule_id: RuleId, days: Annotated[int, Query(ge=1, le=rehearsals.LONGEST)] = 30) -> PreviewOut:
    """When the rule would have fired in the last days, with its condition of today."""
    return _preview(db, alerts.get(db, "prediction", rule_id), days)


@router.get("/{rule_id}")
def one(db: Db, who: Reader, rule_id: RuleId) -> RuleOut:
    """One rule."""
    return _shown(alerts.get(db, "prediction", rule_id))


@router.patch("/{rule_id}")
def change(db: Db, who: Admin, rule_id: RuleId, body: RuleChange) -> RuleOut:
    """Change it; a new condition begins anew."""
    return _shown(alerts.change(db, who, alerts.get(db, "prediction", rule_id), _values(db, body)))


@router.patch("/{rule_id}/snooze")
def snooze(db: Db, who: Admin, rule_id: RuleId, body: Snooze) -> RuleOut:
    """Keep it quiet until a moment."""
    return _shown(alerts.snooze(db, who, alerts.get(db, "prediction", rule_id), body.until))


@router.delete("/{rule_id}", status_code=204, response_class=Response)
def delete(db: Db, who: Admin, rule_id: RuleId) -> None:
    """Remove it."""
    alerts.delete(db, who, alerts.get(db, "prediction", rule_id))
