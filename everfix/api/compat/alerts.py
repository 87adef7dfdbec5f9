"""`/api/v1/alerts`: rules on the figures of a dashboard; the list is a bare array, as its clients expect."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.api import fields
from everfix.api.compat import shapes
from everfix.api.compat.doors import Editor, Viewer
from everfix.core import clock, ids
from everfix.core import fields as types
from everfix.core.db import Json, current
from everfix.deps import Db
from everfix.errors import Invalid
from everfix.failures import alarms, alerts, rehearsals
from everfix.failures.alerts import Rule

router = APIRouter(prefix="/alerts", tags=["alerts"])
AlertId = Annotated[UUID, fields.path_id(ids.Prefix.ALERT_RULE, "alert", "alert_id")]
KIND = "metric"
Operator = Literal["gt", "lt", "gte", "lte", "eq"]
Number = Annotated[float, Field(allow_inf_nan=False)]
Minutes = Annotated[int, Field(ge=1, le=525_600)]
Channels = Annotated[list[Any], Field(max_length=50)]


class Created(shapes.Shape):
    """A rule: when `metric` over the last `windowMinutes` is `operator` `threshold`, tell `channels`, once in `cooldownMinutes`."""

    name: types.text(200, 1)  # type: ignore[valid-type]
    metric: types.text(60, 1)  # type: ignore[valid-type]
    operator: Operator
    threshold: Number
    window_minutes: Minutes = 5
    cooldown_minutes: Annotated[int, Field(ge=0, le=525_600)] = 60
    channels: Channels = Field(default_factory=list)
    enabled: bool = True
    no_data: Literal["ignore", "fire"] = "ignore"


class Changed(shapes.Shape):
    """What may be changed; what is not sent stays as it was."""

    name: types.text(200, 1) | None = None  # type: ignore[valid-type]
    metric: types.text(60, 1) | None = None  # type: ignore[valid-type]
    operator: Operator | None = None
    threshold: Number | None = None
    window_minutes: Minutes | None = None
    cooldown_minutes: Annotated[int, Field(ge=0, le=525_600)] | None = None
    channels: Channels | None = None
    enabled: bool | None = None
    no_data: Literal["ignore", "fire"] | None = None


class Tried(shapes.Shape):
    """A rule that is not kept, and how many days to look back."""

    metric: types.text(60, 1)  # type: ignore[valid-type]
    operator: Operator
    threshold: Number
    window_minutes: Minutes = 5
    cooldown_minutes: Annotated[int, Field(ge=0, le=525_600)] = 60
    no_data: Literal["ignore", "fire"] = "ignore"
    days: Annotated[int, Field(ge=1, le=rehearsals.LONGEST)] = 30


def _rehearsed(db: Session, rule: Rule, days: int) -> Json:
    found = rehearsals.of(db, rule, days, clock.now())
    least, most = found.extremes or (None, None)
    return {
        "days": days,
        "startAt": shapes.zulu(found.start),
        "endAt": shapes.zulu(found.end),
        "stepMinutes": found.step_minutes,
        "threshold": found.threshold,
        "lowest": least,
        "highest": most,
        "times": len(found.fires),
        "fires": [
            {"at": shapes.zulu(fire.at), "observed": fire.value, "overAt": shapes.zulu(fire.over_at) if fire.over_at else None}
            for fire in found.fires[: rehearsals.LISTED]
        ],
    }


def _values(db: Session, body: Created | Changed) -> dict[str, Any]:
    given = body.model_dump(exclude_unset=isinstance(body, Changed))
    empty = [name for name, value in given.items() if value is None]
    if empty:
        raise Invalid(f"{empty[0]} cannot be null", details={empty[0]: "a value, or left out"})
    if "channels" in given:
        given["channels"] = alarms.stored(db, given["channels"])
    return given


def _shown(db: Session, rule: Rule) -> Json:
    return {
        "id": str(rule.id),
        "tenantId": str(current(db)),
        "name": rule.name,
        "metric": rule.metric,
        "operator": rule.operator,
        "threshold": rule.threshold,
        "windowMinutes": rule.window_minutes,
        "cooldownMinutes": rule.cooldown_minutes,
        "channels": [_named(item) for item in rule.channels],
        "enabled": rule.enabled,
        "noData": rule.no_data,
        "status": rule.status,
        "observed": rule.observed,
        "baseline": rule.baseline,
        "lastFiredAt": shapes.zulu(rule.last_fired_at) if rule.last_fired_at else None,
        "createdAt": shapes.zulu(rule.created_at),
        "updatedAt": shapes.zulu(rule.updated_at),
    }


def _named(stored: Json) -> str:
    """Return a channel as this surface shows it: a destination's UUID, an address, or a kind."""
    return str(next(iter(stored.values())))


@router.get("")
def listed(db: Db, who: Viewer) -> list[Json]:
    """Every rule on a figure, the oldest first."""
    return [_shown(db, rule) for rule in alerts.listed(db, KIND)]


@router.post("", status_code=201)
def create(db: Db, who: Editor, body: Created) -> Json:
    """Make a rule; it is looked at from the next minute on."""
    return _shown(db, alerts.create(db, who, KIND, _values(db, body)))


@router.post("/preview")
def preview_unsaved(db: Db, who: Viewer, body: Tried) -> Json:
    """When a rule would have fired in the last days, before it is made."""
    return _rehearsed(db, alerts.draft(KIND, body.model_dump(exclude={"days"})), body.days)


@router.get("/{alert_id}/preview")
def preview(db: Db, who: Viewer, alert_id: AlertId, days: Annotated[int, Query(ge=1, le=rehearsals.LONGEST)] = 30) -> Json:
    """When the rule would have fired in the last days, with its condition of today."""
    return _rehearsed(db, alerts.get(db, KIND, alert_id), days)


@router.get("/{alert_id}")
def one(db: Db, who: Viewer, alert_id: AlertId) -> Json:
    """One rule."""
    return _shown(db, alerts.get(db, KIND, alert_id))


@router.put("/{alert_id}")
def change(db: Db, who: Editor, alert_id: AlertId, body: Changed) -> Json:
    """Change only what is given."""
    return _shown(db, alerts.change(db, who, alerts.get(db, KIND, alert_id), _values(db, body)))


@router.delete("/{alert_id}", status_code=204)
def remove(db: Db, who: Editor, alert_id: AlertId) -> Response:
    """Remove a rule."""
    alerts.delete(db, who, alerts.get(db, KIND, alert_id))
    return Response(status_code=204)
