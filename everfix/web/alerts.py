"""Alert rules as pages: who is told when a prediction reaches a threshold or a figure leaves its bounds; switched, snoozed, changed, deleted."""

from __future__ import annotations

import math
from collections.abc import Sequence
from datetime import timedelta
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter, Form, Query
from pydantic import AfterValidator
from sqlalchemy import select
from starlette.responses import Response

from everfix.core import clock, fields, ids
from everfix.delivery import destinations
from everfix.errors import Invalid, NotFound
from everfix.failures import alarms, alert_metrics, alerts, patterns, rehearsals
from everfix.failures.alerts import Rule
from everfix.identity.principals import Scope
from everfix.web import picking, rehearsal_words, session, shell, shown
from everfix.web.session import Visit

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
Word = Annotated[str, AfterValidator(fields.storable), Form(max_length=200)]
Lines = Annotated[str, AfterValidator(fields.storable), Form(max_length=4000)]
SNOOZES = {1: "1 hour", 8: "8 hours", 24: "1 day", 168: "1 week"}
LARGEST = 1e15
YEAR = 525_600  # minutes of it: the longest window
LOOK_BACKS = (30, 90)  # days
NO_DATA = {"ignore": "stay quiet", "fire": "fire"}


@router.get("/settings/alerts")
def listed(visit: session.sees(Scope.PREDICTIONS_READ)) -> Response:  # type: ignore[valid-type]
    """Every rule, prediction rules first, each with its state."""
    reader = shown.Reader.of(visit.here)
    rows = [_row(visit, reader, rule) for kind in ("prediction", "metric") for rule in alerts.listed(visit.db, kind)]
    return shell.page(visit, "alerts/list.html", rows=rows, snoozes=SNOOZES)


@router.get("/settings/alerts/new")
def fresh(visit: session.sees(Scope.WORKSPACE_WRITE), kind: str = "prediction") -> Response:  # type: ignore[valid-type]
    """An empty form."""
    if kind not in ("prediction", "metric"):
        raise Invalid(f"{kind[:20]!r} is no kind of rule", details={"kind": "prediction or metric"})
    given = {"name": "", "probability": "70", "window_days": "7", "operator": "gt", "window_minutes": "60", "cooldown_minutes": "60"}
    return _form(visit, kind, {**given, "no_data": "ignore", "to": [], "addresses": ""})


@router.post("/settings/alerts")
def save(
    visit: session.changes(Scope.WORKSPACE_WRITE),  # type: ignore[valid-type]
    kind: Word,
    name: Word,
    rule: Word = "",
    pattern: Word = "",
    probability: Word = "",
    window_days: Word = "",
    metric: Word = "",
    operator: Word = "",
    threshold: Word = "",
    window_minutes: Word = "",
    cooldown_minutes: Word = "",
    no_data: Word = "ignore",
    to: Annotated[list[str] | None, Form()] = None,
    addresses: Lines = "",
    look_back: Word = "",
) -> Response:
    """Make a rule, or change one, or (with `look_back`) only see when it would have fired; what does not fit is told beside the form."""
    given: Json = {"name": name, "pattern": pattern, "probability": probability, "window_days": window_days, "metric": metric}
    given |= {"operator": operator, "threshold": threshold, "window_minutes": window_minutes, "cooldown_minutes": cooldown_minutes}
    given |= {"no_data": no_data, "to": to or [], "addresses": addresses}
    known = _rule(visit, rule) if rule else None
    kind = known.kind if known else kind
    try:
        with visit.db.begin_nested():  # a rule that turns out not to fit stays as it was
            values = _values(visit, kind, given)
            if look_back:
                return _form(visit, kind, given, known=known, preview=_rehearsed(visit, alerts.draft(kind, values), look_back))
            if known is None:
                alerts.create(visit.db, visit.who, kind, values)
            else:
                alerts.change(visit.db, visit.who, known, values)
    except Invalid as wrong:
        return _form(visit, kind, given, known=known, problem=wrong)
    return shell.go("/settings/alerts")


@router.get("/settings/alerts/{rule_id}")
def one(visit: session.sees(Scope.PREDICTIONS_READ), rule_id: str, look_back: Annotated[str, Query(max_length=10)] = "") -> Response:  # type: ignore[valid-type]
    """A rule's form, for those who change rules; others see it, and when it would have fired."""
    rule = _rule(visit, rule_id)
    said = [{"destination": "", **channel} for channel in rule.channels]
    given: Json = {name: getattr(rule, name) for name in ("name", "operator", "metric", "no_data")}
    for name in ("window_days", "threshold", "window_minutes", "cooldown_minutes"):
        value = getattr(rule, name)
        given[name] = "" if value is None else f"{value:g}"
    given["probability"] = f"{100 * rule.probability:g}" if rule.probability is not None else ""
    given["pattern"] = ids.show(ids.Prefix.PATTERN, rule.pattern_id) if rule.pattern_id else ""
    given["to"] = [ids.show(ids.Prefix.DESTINATION, UUID(one_["destination"])) for one_ in said if one_["destination"]]
    given["addresses"] = "\n".join(str(one_.get("recipient") or one_.get("kind")) for one_ in said if not one_["destination"])
    return _form(visit, rule.kind, given, known=rule, preview=_rehearsed(visit, rule, look_back) if look_back else None)


@router.post("/settings/alerts/{rule_id}/switch")
def switch(visit: session.changes(Scope.WORKSPACE_WRITE), rule_id: str, on: Word = "") -> Response:  # type: ignore[valid-type]
    """Switch a rule on or off."""
    alerts.change(visit.db, visit.who, _rule(visit, rule_id), {"enabled": on == "yes"})
    return shell.go("/settings/alerts")


@router.post("/settings/alerts/{rule_id}/snooze")
def snooze(visit: session.changes(Scope.WORKSPACE_WRITE), rule_id: str, hours: Word = "0") -> Response:  # type: ignore[valid-type]
    """Keep a rule quiet for some hours; 0 wakes it."""
    if hours != "0" and hours not in {str(one) for one in SNOOZES}:
        raise Invalid(f"{hours[:20]!r} is no time to snooze", details={"hours": f"0, or one of {', '.join(map(str, SNOOZES))}"})
    until = clock.now() + timedelta(hours=int(hours)) if hours != "0" else None
    alerts.snooze(visit.db, visit.who, _rule(visit, rule_id), until)
    return shell.go("/settings/alerts")


@router.post("/settings/alerts/{rule_id}/delete")
def delete(visit: session.changes(Scope.WORKSPACE_WRITE), rule_id: str) -> Response:  # type: ignore[valid-type]
    """Remove a rule; what it told stays told."""
    alerts.delete(visit.db, visit.who, _rule(visit, rule_id))
    return shell.go("/settings/alerts")


def _rule(visit: Visit, text: str) -> Rule:
    wanted = shell.shown_id(ids.Prefix.ALERT_RULE, text)
    found = visit.db.execute(select(Rule).where(Rule.id == wanted)).scalar_one_or_none() if wanted is not None else None
    if found is None:
        raise NotFound(f"no alert rule {text[:60]!r}")
    return found


def _values(visit: Visit, kind: str, given: Json) -> Json:
    """Return a rule's values as a form gave them; raises Invalid naming the field, what came and what is allowed."""
    name = given["name"].strip()
    if not 1 <= len(name) <= 120:
        raise Invalid("a rule needs a name", details={"name": "1 to 120 characters"})
    lines = [line.strip() for line in given["addresses"].splitlines() if line.strip()]
    values: Json = {"name": name, "channels": alarms.stored(visit.db, [*given["to"], *lines])}
    if kind == "prediction":
        named = given["pattern"].strip()
        values["pattern_id"] = picking.chosen(visit.db, named) if named else None
        values["probability"] = _number("probability", given["probability"], 1, 100) / 100
        return values | {"window_days": int(_number("window_days", given["window_days"], 1, 365, whole=True))}
    if given["no_data"] not in NO_DATA:
        raise Invalid(f"{given['no_data'][:20]!r} is no answer", details={"no_data": f"one of {', '.join(NO_DATA)}"})
    values |= {"metric": given["metric"], "operator": given["operator"], "no_data": given["no_data"]}
    values["threshold"] = _number("threshold", given["threshold"], -LARGEST, LARGEST)
    values["window_minutes"] = int(_number("window_minutes", given["window_minutes"], 1, YEAR, whole=True))
    return values | {"cooldown_minutes": int(_number("cooldown_minutes", given["cooldown_minutes"], 0, YEAR, whole=True))}


def _number(field: str, text: str, least: float, most: float, *, whole: bool = False) -> float:
    try:
        found = float(text)
    except ValueError:
        found = math.nan
    if not least <= found <= most or (whole and found != int(found)):
        bounds = "" if most >= LARGEST else f" from {least:g} to {most:g}"
        raise Invalid(f"{text[:40]!r} does not fit", details={field: f"a {'whole ' if whole else ''}number{bounds}"})
    return found


def _rehearsed(visit: Visit, rule: Rule, look_back: str) -> Json:
    """Return when a rule would have fired in the last days, in words and as a picture."""
    if look_back not in {str(days) for days in LOOK_BACKS}:
        raise Invalid(
            f"{look_back[:20]!r} is no time to look back", details={"look back": f"one of {', '.join(map(str, LOOK_BACKS))} days"}
        )
    found = rehearsals.of(visit.db, rule, int(look_back), clock.now())
    return rehearsal_words.shown_as(visit.here, rule, found, int(look_back))


def _form(
    visit: Visit, kind: str, given: Json, *, known: Rule | None = None, problem: Invalid | None = None, preview: Json | None = None
) -> Response:
    name = ""
    wanted = shell.shown_id(ids.Prefix.PATTERN, given.get("pattern") or "")
    if wanted is not None and problem is None:
        name = patterns.get(visit.db, wanted).name
    return shell.page(
        visit,
        "alerts/form.html",
        status=problem.status if problem else 200,
        kind=kind,
        given=given,
        rule=ids.show(ids.Prefix.ALERT_RULE, known.id) if known else "",
        may=visit.may(Scope.WORKSPACE_WRITE),
        preview=preview,
        look_backs=LOOK_BACKS,
        title=known.name if known else "New alert rule",
        problem=_told(problem) if problem else [],
        pattern_name=name,
        metrics=[
            (key, metric.title, metric.range if metric.unit == "share" else metric.unit) for key, metric in alert_metrics.METRICS.items()
        ],
        operators=list(alerts.WORDS.items()),
        no_data=list(NO_DATA.items()),
        places=[(ids.show(ids.Prefix.DESTINATION, row.id), row.name) for row in destinations.listed(visit.db)],
    )


def _told(problem: Invalid) -> list[str]:
    return [problem.message, *(f"{name.replace('_', ' ')}: {said}" for name, said in (problem.details or {}).items())]


def _row(visit: Visit, reader: shown.Reader, rule: Rule) -> Json:
    snoozed = rule.snoozed_until is not None and rule.snoozed_until > clock.now()
    state = "off" if not rule.enabled else "snoozed" if snoozed else rule.status
    return {
        "id": ids.show(ids.Prefix.ALERT_RULE, rule.id),
        "name": rule.name,
        "condition": _condition(visit, rule),
        "enabled": rule.enabled,
        "snoozed": reader.moment(rule.snoozed_until) if snoozed else "",
        "state": state.replace("_", " "),
        "pill": {"firing": "failed", "ok": "succeeded", "no_data": "queued"}.get(state, "cancelled"),
        "observed": "" if rule.observed is None else f"{rule.observed:g}",
        "baseline": "" if rule.baseline is None else f"{rule.baseline:g}",
        "fired": reader.moment(rule.last_fired_at) if rule.last_fired_at else "",
        "to": _reaches(visit, rule.channels),
    }


def _condition(visit: Visit, rule: Rule) -> str:
    if rule.kind == "prediction":
        where = f"“{patterns.get(visit.db, rule.pattern_id).name}”" if rule.pattern_id else "any pattern"
        return f"{where} likely to return: {100 * float(rule.probability or 0):g} % or more within {rule.window_days} days"
    title = alert_metrics.METRICS[str(rule.metric)].title
    return f"{title} {alerts.WORDS[str(rule.operator)]} {rule.threshold:g} over {rule.window_minutes} min; again after {rule.cooldown_minutes} min"


def _reaches(visit: Visit, channels: Sequence[Json]) -> list[str]:
    names = {str(row.id): row.name for row in destinations.listed(visit.db)}
    return [
        names.get(str(one_.get("destination")), "") or str(one_.get("recipient") or one_.get("kind") or "a removed destination")
        for one_ in channels
    ]
