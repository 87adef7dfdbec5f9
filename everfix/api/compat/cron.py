"""`POST /api/cron/tick`: a scheduler outside calls it once a minute; the worker's own clock and it never fire a slot twice."""

from __future__ import annotations

import hmac
from typing import Any

from fastapi import APIRouter, Request

from everfix import deps
from everfix.errors import Unauthorized, Unavailable
from everfix.failures import alarms
from everfix.reports import ticks

router = APIRouter(prefix="/api/cron", tags=["schedules"])
HEADER = "x-cron-token"


@router.post("/tick")
def tick(request: Request, settings: deps.Config) -> dict[str, Any]:
    """Run what is due in every workspace, and say how much that was; needs the header `x-cron-token`, the value of CRON_TOKEN."""
    if settings.cron_token is None:
        raise Unavailable("CRON_TOKEN is not set: this server's own clock fires schedules, outside schedulers are not let in")
    given = request.headers.get(HEADER, "")
    if not hmac.compare_digest(given.encode(), settings.cron_token.get_secret_value().encode()):
        raise Unauthorized(f"the header {HEADER} is missing or wrong")
    watched = alarms.tick(request.app.state.installation)
    done = ticks.tick(request.app.state.installation)
    return {
        "alerts": {"evaluated": watched.evaluated, "fired": watched.fired, "failed": watched.failed},
        "reports": {"due": done.due, "started": done.started, "failed": done.failed, "missed": done.missed},
    }
