"""What reaches me: a person's own gates, kinds, ways and how often mail comes; nobody else sees or changes them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from fastapi import APIRouter, Form
from pydantic import AfterValidator
from starlette.responses import Response

from everfix import deps
from everfix.core import fields, outbound
from everfix.delivery import destinations, personal
from everfix.delivery.envelope import BULLETS
from everfix.delivery.personal import Frequency, Personal
from everfix.errors import Invalid, Malformed
from everfix.identity.principals import Scope
from everfix.web import session, shell
from everfix.web.notifications import me
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
HERE = "/settings/notifications"
Json = dict[str, Any]
Text = Annotated[str, AfterValidator(fields.storable), Form(max_length=2000)]
Ticks = Annotated[list[str] | None, Form(max_length=60)]
FREQUENCIES = {
    Frequency.REALTIME: "At once, each by itself",
    Frequency.HOURLY: "Gathered, once an hour",
    Frequency.DAILY: "Gathered, once a day at 8",
    Frequency.WEEKLY: "Gathered, on Mondays at 8",
    Frequency.NEVER: "Never",
}
SEVERITIES = {"p1": "p1, critical, only", "p2": "p2, high, and worse", "p3": "p3, medium, and worse", "p4": "p4, low: all"}
KINDS = {
    "notify_on_new_issue": "New and escalated issues",
    "notify_on_pattern_detected": "Patterns that I watch",
    "notify_on_prediction": "Alerts: a failure is likely to return",
    "notify_on_recommendation": "New recommendations",
    "notify_on_report_ready": "Reports that are ready",
}
EVENTS = {
    "issue.created": "An issue came in",
    "issue.escalated": "An issue became more severe",
    "pattern.updated": "A pattern that I watch has changed",
    "prediction.alert.fired": "An alert rule has fired",
    "recommendation.created": "A fix is recommended",
    "report.ready": "A report is ready",
    "delivery.failed": "A report of mine could not be delivered",
    "comment.mentioned": "Somebody named me in a comment",
}
WAYS = {"in_app": "In the feed", "email": "Mail", "slack": "Slack", "teams": "Teams", "pagerduty": "PagerDuty"}
# A person's own place on each way beside mail: the field of its config, its label, what it looks like.
PLACES = {
    "slack": ("webhookUrl", "My Slack webhook", "https://hooks.slack.com/services/…"),
    "teams": ("webhookUrl", "My Teams webhook or workflow", "https://…"),
    "pagerduty": ("integrationKey", "My PagerDuty integration key", "32 letters and digits"),
}


@router.get(HERE)
def shown(visit: session.sees(Scope.WORKSPACE_READ), keys: deps.SigningKeys, kept: str = "") -> Response:  # type: ignore[valid-type]
    """The visitor's settings, as they are."""
    return _page(visit, _stored(visit, keys), kept=bool(kept))


@router.post(HERE)
def change(
    visit: session.changes(Scope.WORKSPACE_READ),  # type: ignore[valid-type]
    keys: deps.SigningKeys,
    settings: deps.Config,
    digest_frequency: Text = "",
    min_severity_for_alert: Text = "",
    min_risk_score_for_alert: Text = "",
    kinds: Ticks = None,
    ways: Ticks = None,
    events: Ticks = None,
    slack: Text = "",
    teams: Text = "",
    pagerduty: Text = "",
) -> Response:
    """Keep what the form says; what does not fit is told beside it, and nothing changes."""
    typed: Json = {"digest_frequency": digest_frequency, "min_severity_for_alert": min_severity_for_alert}
    typed |= {
        "min_risk_score_for_alert": min_risk_score_for_alert.strip(),
        "kinds": kinds or [],
        "ways": ways or [],
        "events": events or [],
    }
    typed |= {"places": {"slack": slack.strip(), "teams": teams.strip(), "pagerduty": pagerduty.strip()}}
    stored = _stored(visit, keys)
    try:
        with visit.db.begin_nested():  # a channel that does not fit leaves everything as it was
            personal.keep(visit.db, keys, outbound.guard(settings), visit.who, _values(typed, stored), _moved(typed, stored))
    except Invalid as wrong:
        return _page(visit, stored | typed, problem=wrong)
    return shell.go(f"{HERE}?kept=1")


def _stored(visit: Visit, keys: deps.SigningKeys) -> Json:
    """Return the settings as the form shows them; of a channel only that it is there."""
    row: Personal = personal.of(visit.db, me(visit))
    chosen = {item["key"]: item for item in row.events}
    own = {place.kind: destinations.redacted(visit.db, keys, place) for place in destinations.personal(visit.db, me(visit))}
    return {
        "digest_frequency": row.digest_frequency,
        "min_severity_for_alert": row.min_severity_for_alert,
        "min_risk_score_for_alert": str(row.min_risk_score_for_alert),
        "kinds": [name for name in KINDS if getattr(row, name)],
        "ways": [way for way in personal.WAYS if getattr(row, f"{way}_enabled")],
        "events": [f"{key}:{way}" for key in EVENTS for way in WAYS if chosen.get(key, {}).get(way, True)],
        "places": {kind: own.get(kind, {}).get(field, "") for kind, (field, _, _) in PLACES.items()},
        "set_up": sorted(own),
    }


def _values(typed: Json, stored: Json) -> Json:
    """Return the settings as they are kept; raises Invalid naming the field, what came and what is allowed."""
    risk = typed["min_risk_score_for_alert"]
    if not (risk.isascii() and risk.isdigit() and int(risk) <= 100):
        raise Invalid(f"{risk[:40]!r} is no risk score", details={"least risk": "a whole number from 0 to 100"})
    for name, field, known in (
        ("how often mail comes", "digest_frequency", FREQUENCIES),
        ("least severity", "min_severity_for_alert", SEVERITIES),
    ):
        if typed[field] not in known:
            raise Invalid(f"{typed[field][:40]!r} is no choice", details={name: f"one of {', '.join(known)}"})
    possible = {*KINDS, *personal.WAYS, *(f"{key}:{way}" for key in EVENTS for way in WAYS)}
    strange = [word for name in ("kinds", "ways", "events") for word in typed[name] if word not in possible]
    if strange:
        raise Malformed(f"the form has no box {strange[0][:60]!r}")
    for kind, (_, label, _) in PLACES.items():
        kept = kind in stored["set_up"] and not (stored["places"][kind] and not typed["places"][kind])
        if kind in typed["ways"] and not kept and not typed["places"][kind]:
            raise Invalid(f"{WAYS[kind]} is on, and there is nowhere to send it", details={label: "an address, or take the tick away"})
    values: Json = {name: typed[name] for name in ("digest_frequency", "min_severity_for_alert")} | {"min_risk_score_for_alert": int(risk)}
    values |= {name: name in typed["kinds"] for name in KINDS} | {f"{way}_enabled": way in typed["ways"] for way in personal.WAYS}
    return values | {"events": [{"key": key, **{way: f"{key}:{way}" in typed["events"] for way in WAYS}} for key in EVENTS]}


def _moved(typed: Json, stored: Json) -> Mapping[str, Json | None]:
    """Return the channels whose field the person has changed; a channel set up by API with other fields stays as it is."""
    fresh = {kind: text for kind, text in typed["places"].items() if text != stored["places"][kind]}
    return {kind: {PLACES[kind][0]: text} if text else None for kind, text in fresh.items()}


def _page(visit: Visit, values: Json, *, kept: bool = False, problem: Invalid | None = None) -> Response:
    return shell.page(
        visit,
        "settings/notifications.html",
        status=problem.status if problem else 200,
        values=values,
        kept=kept,
        problem=[problem.message, *(f"{name}: {said}" for name, said in (problem.details or {}).items())] if problem else [],
        frequencies=FREQUENCIES.items(),
        severities=SEVERITIES.items(),
        kinds=KINDS.items(),
        events=EVENTS.items(),
        ways=WAYS.items(),
        places=[(kind, label, hint) for kind, (_, label, hint) in PLACES.items()],
        bullets=BULLETS,
    )
