"""`/v1/settings/notifications`: what the caller wants to hear of, on which ways and how often."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy.orm import Session

from everfix.api.v1.notifications import me
from everfix.core import outbound
from everfix.core.crypto import Keys
from everfix.core.db import Json
from everfix.core.fields import JsonObject
from everfix.delivery import destinations, personal
from everfix.deps import Config, Db, SigningKeys, needs
from everfix.errors import Invalid
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/settings/notifications", tags=["notifications"])
Own = Annotated[Principal, needs(Scope.WORKSPACE_READ)]
Frequency = Literal["realtime", "hourly", "daily", "weekly", "never"]
CHANNELS = ("slack", "teams", "pagerduty")


class EventChoice(BaseModel):
    """On which ways one event comes."""

    model_config = ConfigDict(extra="forbid")

    key: Literal[tuple(personal.EVENTS)]  # type: ignore[valid-type]
    in_app: bool = True
    email: bool = True
    slack: bool = True
    teams: bool = True
    pagerduty: bool = True


class Change(BaseModel):
    """What to change; everything is optional. `channels` holds the caller's own Slack, Teams and PagerDuty; null takes one away."""

    model_config = ConfigDict(extra="forbid")

    email_enabled: bool | None = None
    slack_enabled: bool | None = None
    teams_enabled: bool | None = None
    pagerduty_enabled: bool | None = None
    digest_frequency: Frequency | None = None
    min_severity_for_alert: Literal["p1", "p2", "p3", "p4"] | None = None
    min_risk_score_for_alert: Annotated[int, Field(ge=0, le=100)] | None = None
    events: Annotated[list[EventChoice], Field(max_length=50)] | None = None
    notify_on_new_issue: bool | None = None
    notify_on_pattern_detected: bool | None = None
    notify_on_prediction: bool | None = None
    notify_on_recommendation: bool | None = None
    notify_on_report_ready: bool | None = None
    channels: dict[Literal["slack", "teams", "pagerduty"], JsonObject | None] | None = None


class Settings(BaseModel):
    """All of it, as it stands."""

    email_enabled: bool
    slack_enabled: bool
    teams_enabled: bool
    pagerduty_enabled: bool
    digest_frequency: Frequency
    min_severity_for_alert: str
    min_risk_score_for_alert: int
    events: list[EventChoice]
    notify_on_new_issue: bool
    notify_on_pattern_detected: bool
    notify_on_prediction: bool
    notify_on_recommendation: bool
    notify_on_report_ready: bool
    channels: dict[str, Json | None]


def _shown(db: Session, keys: Keys, who: Principal) -> Settings:
    row = personal.of(db, me(who))
    own: dict[str, Any] = {name: getattr(row, name) for name in personal.FIELDS if name != "events"}
    chosen = {item["key"]: item for item in row.events}
    events = [EventChoice(**chosen.get(key, {"key": key})) for key in personal.EVENTS]
    found: dict[str, Json | None] = dict.fromkeys(CHANNELS)
    for place in destinations.personal(db, me(who)):
        found[place.kind] = destinations.redacted(db, keys, place)
    return Settings(**own, events=events, channels=found)


@router.get("")
def read(db: Db, who: Own, keys: SigningKeys) -> Settings:
    """The caller's settings in this workspace."""
    return _shown(db, keys, who)


@router.patch("")
def change(db: Db, who: Own, keys: SigningKeys, settings: Config, body: Change) -> Settings:
    """Change them."""
    given = body.model_dump(exclude_unset=True, exclude={"channels", "events"})
    empty = [name for name, value in given.items() if value is None]
    if empty:
        raise Invalid(f"{empty[0]} cannot be null", details={empty[0]: "a value, or left out"})
    if body.events is not None:
        given["events"] = [item.model_dump() for item in body.events]
    personal.keep(db, keys, outbound.guard(settings), who, given, {str(kind): config for kind, config in (body.channels or {}).items()})
    return _shown(db, keys, who)
