"""Alarms: an alert rule's word goes out: to its channels, into the feed, and into the audit log."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import structlog
from sqlalchemy import select, text
from sqlalchemy.exc import DBAPIError
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, ids, jobs, outbound
from everfix.core.db import Json
from everfix.delivery import addresses, channels, destinations, feed, messages, notices, outbox, targets
from everfix.delivery.envelope import Target
from everfix.delivery.messages import Message, Severity
from everfix.errors import Invalid
from everfix.failures import alert_metrics, alerts
from everfix.failures.alerts import Rule
from everfix.identity import workspaces
from everfix.identity.principals import system

log = structlog.get_logger()
KINDS = {"email": "ops_email", "mail": "ops_email"}  # words for a kind of destination


def notify(job: jobs.Running) -> Json:
    """Job `alerts.notify`: write the message, plan and release a delivery for each channel, tell the feed."""
    with job.database.transaction(job.workspace) as db:
        rule = db.execute(select(Rule).where(Rule.id == UUID(job.payload["rule"]))).scalar_one_or_none()
        if rule is None:
            return {"rule": "gone"}
        message = _message(db, rule, job.payload, job.services.url)
        to = _targets(db, job.services, rule)
        cause = f"alert|{rule.id}|{job.payload['pattern']}|{job.payload['what']}|{job.payload['said']['at']}"
        outbox.release(db, outbox.plan(db, to, cause=cause, owner=rule.owner_user_id), message.id)
        if job.payload["what"] == "fired":
            feed.tell(db, _event(rule, message, job.payload, cause), url=job.services.url)
            audit.record(db, system(job.workspace), audit.Action.ALERT_FIRED, "alert_rule", rule.id, {"name": rule.name, "to": len(to)})
        return {"deliveries": len(to)}


def _event(rule: Rule, message: Message, said: Json, cause: str) -> feed.Event:
    pattern = UUID(said["pattern"]) if said["pattern"] else None
    link = f"/patterns/{ids.show(ids.Prefix.PATTERN, pattern)}" if pattern else "/settings/alerts"
    kind, entity = ("pattern", pattern) if pattern else ("alert_rule", rule.id)
    return feed.Event("prediction.alert.fired", message.subject, " ".join(message.paragraphs), kind, entity, link, key=cause)


def _message(db: Session, rule: Rule, said: Json, url: str) -> Message:
    here = workspaces.here(db)
    over = said["what"] == "recovered"
    subject, words = _prediction_words(said, over) if rule.kind == "prediction" else _metric_words(rule, said["said"], over)
    pattern = UUID(said["pattern"]) if said["pattern"] else None
    path = f"/patterns/{ids.show(ids.Prefix.PATTERN, pattern)}" if pattern else "/settings/alerts"
    severity: Severity = "ok" if over else "critical" if rule.kind == "prediction" else said["said"]["severity"]
    data: Json = {"type": "alert.recovered" if over else "alert.fired", "dedup_key": f"{rule.id}|{said['pattern'] or ''}"}
    data |= {"rule": {"id": str(rule.id), "name": rule.name, "kind": rule.kind}, **said["said"]}
    return messages.write(
        db, kind="alert", subject=subject, paragraphs=words, takeaways=[f"Rule: {rule.name}"], link=f"{url}{path}", severity=severity,
        brand=here.name, colour="", data=data,
    )  # fmt: skip


def _prediction_words(said: Json, over: bool) -> tuple[str, list[str]]:
    name, odds = said["said"]["name"], said["said"]["probability"]
    if over:
        now = f"It is at {odds:.0%} now." if odds is not None else "No prediction stands for it any more."
        return f"Over: {name}", [f"The risk that “{name}” returns has fallen below the threshold. {now}"]
    return f"Likely to return: {name}", [f"“{name}” returns within {said['window_days']} days with a probability of {odds:.0%}."]


def _metric_words(rule: Rule, said: Json, over: bool) -> tuple[str, list[str]]:
    metric = alert_metrics.METRICS[str(rule.metric)]
    condition = f"{alerts.WORDS[str(rule.operator)]} {rule.threshold:g}"
    if said["observed"] is None:
        return f"No data: {rule.name}", [f"{metric.title} has no data in the last {rule.window_minutes} minutes."]
    seen = f"{metric.title} is {said['observed']:g} over the last {rule.window_minutes} minutes"
    before = "" if said["baseline"] is None else f"; it was {said['baseline']:g} in the {rule.window_minutes} minutes before"
    if over:
        return f"Over: {rule.name}", [f"{seen}{before}. It is no longer {condition}."]
    return f"{said['severity'].capitalize()}: {rule.name}", [f"{seen}{before}. The rule fires when it is {condition}."]


def _targets(db: Session, services: Any, rule: Rule) -> list[Target]:  # noqa: ANN401 - an Installation
    """Return whom a rule's channels stand for; a kind's name stands for every destination of it, mail at last for whoever answers for the rule."""
    recipients, chosen = [], []
    for channel in rule.channels:
        if "destination" in channel:
            chosen.append(UUID(channel["destination"]))
        elif "recipient" in channel:
            recipients.append(channel["recipient"])
        else:
            there = [row.id for row in destinations.listed(db, kind=channel["kind"], enabled=True)]
            chosen += there
            if not there and channel["kind"] == "ops_email":
                recipients += [person.email for person in notices.responsible(db, rule.owner_user_id)[0]]
    allowed = workspaces.here(db).mail_domains
    wanted = [one for one in recipients if "@" not in one or addresses.allowed(one, allowed)]
    return targets.of(db, services.keys, outbound.guard(services.settings), wanted, chosen)


def channel(db: Session, given: object) -> Json:
    """Return a channel as it is stored: a destination's id, an address or Slack channel id, a kind's name, or `{type, target}`.

    Raises ValueError saying what is allowed.
    """
    if isinstance(given, dict):
        kind, target = str(given.get("type", "")), given.get("target")
        if not target:
            return channel(db, kind)
        if kind == "webhook":
            raise ValueError("a webhook must be a destination: set it up and name its id")
        return channel(db, target)
    word = str(given).strip()
    kind = KINDS.get(word.lower(), word.lower())
    if kind in channels.CHANNELS:
        return {"kind": kind}
    if addresses.slack(word):
        return {"recipient": str(addresses.slack(word))}
    if "@" in word:
        return {"recipient": addresses.mail(word)}
    try:
        destination = ids.parse(ids.Prefix.DESTINATION, word)
    except ValueError:
        raise ValueError(f"{word[:60]!r} is no channel: a destination's id, an e-mail address, a Slack channel id, or one of slack, "
                         "teams, webhook, email, pagerduty, apprise") from None  # fmt: skip
    if destinations.find(db, destination) is None:
        raise ValueError(f"there is no destination {word[:60]!r}")
    return {"destination": str(destination)}


def stored(db: Session, given: Sequence[object]) -> list[Json]:
    """Return channels as they are stored; raises Invalid naming the wrong one."""
    found: list[Json] = []
    for place, item in enumerate(given):
        try:
            found.append(channel(db, item))
        except ValueError as problem:
            raise Invalid(str(problem), details={f"channels.{place}": str(problem)}) from problem
    return found


# ---- the clock


@dataclasses.dataclass(slots=True)
class Ticked:
    """What one look at every workspace's metric rules found."""

    evaluated: int = 0
    fired: int = 0
    failed: int = 0


def tick(services: Any, now: datetime | None = None, *, least: timedelta = timedelta(0)) -> Ticked:  # noqa: ANN401 - an Installation
    """Evaluate the metric rules of every workspace that were not looked at for `least`.

    A rule that another tick holds is left to it; one that fails does not stop the others.
    """
    done, at = Ticked(), now or clock.now()
    with services.database.transaction() as db:
        found = [row.workspace_id for row in db.execute(text("SELECT workspace_id FROM everfix_workspaces()"))]
    for workspace in found:
        with services.database.transaction(workspace) as db:
            rules = list(db.execute(select(Rule.id).where(Rule.kind == "metric", Rule.enabled)).scalars())
        for rule_id in rules:
            try:
                with services.database.transaction(workspace) as db:
                    _evaluate(db, rule_id, at, least, done)
            except DBAPIError as problem:
                done.failed += 1
                log.exception("an alert rule could not be evaluated", rule=str(rule_id), error=str(problem.orig))
    return done


def _evaluate(db: Session, rule_id: UUID, now: datetime, least: timedelta, done: Ticked) -> None:
    rule = db.execute(select(Rule).where(Rule.id == rule_id).with_for_update(skip_locked=True)).scalar_one_or_none()
    if rule is None or (rule.evaluated_at is not None and now - rule.evaluated_at < least):
        return
    if alerts.awake(rule, now):
        done.evaluated += 1
        done.fired += alerts.evaluate(db, rule, now)
