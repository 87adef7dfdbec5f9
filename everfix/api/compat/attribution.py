"""`/api/v1/attribution`: which fixes deserve the credit for what was prevented. Computed from the watches over fixes each time it is asked."""

from __future__ import annotations

from itertools import groupby
from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import Field
from sqlalchemy.orm import Session

from everfix.api import fields
from everfix.api.compat import shapes
from everfix.api.compat.doors import Editor
from everfix.core import clock, ids, limits
from everfix.core import fields as types
from everfix.core.db import Json
from everfix.deps import Db
from everfix.errors import NotFound
from everfix.identity import workspaces
from everfix.metrics import periods, query

router = APIRouter(prefix="/attribution", tags=["attribution"])
Model = Literal["last_touch", "first_touch", "linear", "time_decay", "position_based"]
PatternId = Annotated[UUID | None, fields.query_id(ids.Prefix.PATTERN, "customerId")]
A_MINUTE = 100
SINCE_DAYS = 365  # conversions of the last year
MOST = 1000


class Asked(shapes.Shape):
    """A conversion: the watch over a fix of a pattern."""

    customer_id: shapes.PatternId
    conversion_id: types.text(60, 1)  # type: ignore[valid-type]
    model: Model = "linear"
    conversion_value: Annotated[float, Field(ge=0, le=1e12)] = 1


@router.post("", status_code=201)
def attribute(db: Db, who: Editor, body: Asked) -> Json:
    """Share the value of one conversion among what was done before it."""
    limits.spend(db, "attribution", A_MINUTE, 60)
    found = _conversions(db, body.model, customerId=str(body.customer_id), conversionId=body.conversion_id)
    if not found:
        raise NotFound(f"no fix of this pattern was watched as {body.conversion_id!r}")
    made = _shown(found[0], body.model, body.conversion_value)
    return {key: value for key, value in made.items() if key != "convertedAt"}


@router.get("")
def listed(
    db: Db,
    who: Editor,
    pattern_id: PatternId = None,
    model: Model = "linear",
    limit: Annotated[int, Query(ge=1, le=200)] = 50,
    offset: Annotated[int, Query(ge=0, le=1_000_000)] = 0,
) -> Json:
    """Every conversion of the last year with the credit of each touchpoint; the value is the exposure avoided."""
    limits.spend(db, "attribution", A_MINUTE, 60)
    found = _conversions(db, model, **({"customerId": str(pattern_id)} if pattern_id else {}))
    page = [_shown(steps, model, sum(step["value"] for step in steps)) for steps in found[offset : offset + limit]]
    return {"data": page, "pagination": {"total": len(found), "limit": limit, "offset": offset, "hasMore": offset + len(page) < len(found)}}


def _conversions(db: Session, model: str, **given: Any) -> list[list[Json]]:  # noqa: ANN401 - parameters of the source
    period = periods.last(SINCE_DAYS, clock.now(), workspaces.here(db).timezone)
    rows = query.records(db, "attribution_paths", period, {"model": model, "limit": MOST, **given})
    return [list(steps) for _, steps in groupby(rows, key=lambda row: row["conversion"])]


def _shown(steps: list[Json], model: str, value: float) -> Json:
    touchpoints = [
        {
            "offerId": step["touchpoint"],
            "channelId": step["kind"],
            "title": step["fix"],
            "credit": step["credit"],
            "value": value * step["credit"],
        }
        for step in steps
    ]
    first = steps[0]
    return {
        "customerId": first["id"],
        "conversionId": first["conversion"],
        "model": model,
        "totalValue": value,
        "touchpoints": touchpoints,
        "convertedAt": steps[-1]["at"],
    }
