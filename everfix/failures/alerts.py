"""Alert rules: who is told when a prediction crosses a threshold, or when a figure of the workspace does.

A prediction rule fires once for a pattern, and once more to say that it is over; the rule remembers for whom it fires, so nothing is
told twice however often it is looked at. A metric rule is `ok`, `firing` or `no_data`; it fires, is quiet for its cooldown, and sends
one notice when it recovers. No data does not fire unless the rule says so.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core.db import Base, Json, WorkspaceRow, among, created
from everfix.errors import Invalid, NotFound
from everfix.failures import alert_metrics
from everfix.failures.patterns import Pattern
from everfix.failures.predictions import Prediction
from everfix.identity.principals import Principal

TASK = "alerts.notify"
OVER = 0.05  # a prediction must fall this far below the threshold to be over: a figure at the edge would ring for ever
OPERATORS = ("gt", "lt", "gte", "lte", "eq")
CONDITION = frozenset({"pattern_id", "probability", "window_days", "metric", "operator", "threshold", "window_minutes"})
WORDS = {"gt": "above", "lt": "below", "gte": "at or above", "lte": "at or below", "eq": "exactly"}


class Rule(WorkspaceRow, Base):
    """One rule. `firing` holds, for a prediction rule, each pattern it fires for; `channels` are ids, addresses, or a kind and a target."""

    __tablename__ = "alert_rules"
    __table_args__ = (
        CheckConstraint("kind IN ('prediction', 'metric')", name="kind"),
        CheckConstraint("status IN ('ok', 'firing', 'no_data')", name="status"),
        CheckConstraint("no_data IN ('ignore', 'fire')", name="no_data"),
        Index("ix_alert_rules_kind", "workspace_id", "kind", "created_at"),
    )

    kind: Mapped[str]
    name: Mapped[str]
    enabled: Mapped[bool] = mapped_column(server_default="true")
    snoozed_until: Mapped[datetime | None]
    channels: Mapped[list[Json]] = mapped_column(server_default="[]")
    pattern_id: Mapped[UUID | None]  # of a prediction rule: one pattern; None: all
    probability: Mapped[float | None]
    window_days: Mapped[int | None]
    metric: Mapped[str | None]
    operator: Mapped[str | None]
    threshold: Mapped[float | None]
    window_minutes: Mapped[int] = mapped_column(server_default="5")
    cooldown_minutes: Mapped[int] = mapped_column(server_default="60")
    no_data: Mapped[str] = mapped_column(server_default="ignore")
    status: Mapped[str] = mapped_column(server_default="ok")
    firing: Mapped[Json] = mapped_column(server_default="{}")
    observed: Mapped[float | None]
    baseline: Mapped[float | None]
    last_fired_at: Mapped[datetime | None]
    evaluated_at: Mapped[datetime | None]
    owner_user_id: Mapped[UUID | None]
    created_by: Mapped[str]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


def create(db: Session, by: Principal, kind: str, values: dict[str, Any]) -> Rule:
    """Make a rule; raises Invalid for a metric, operator or pattern that is not there."""
    owner = by.actor_id if by.kind == "user" else None
    rule = draft(kind, values)
    rule.id, rule.created_by, rule.owner_user_id = ids.new(), by.name, owner
    rule.created_at = rule.updated_at = clock.now()
    _check(db, rule, CONDITION)
    db.add(rule)
    db.flush()
    audit.record(db, by, audit.Action.ALERT_RULE_CREATED, "alert_rule", rule.id, {"name": rule.name, "kind": kind})
    return rule


def change(db: Session, by: Principal, rule: Rule, values: dict[str, Any]) -> Rule:
    """Change what is given; a rule whose condition changed begins anew."""
    for name, value in values.items():
        setattr(rule, name, value)
    rule.updated_at = clock.now()
    _check(db, rule, values.keys())
    if CONDITION & values.keys():
        rule.firing, rule.status = {}, "ok"
    db.flush()
    audit.record(db, by, audit.Action.ALERT_RULE_UPDATED, "alert_rule", rule.id, {"changed": sorted(values)})
    return rule


def delete(db: Session, by: Principal, rule: Rule) -> None:
    """Remove a rule; what it told stays told."""
    db.delete(rule)
    db.flush()
    audit.record(db, by, audit.Action.ALERT_RULE_DELETED, "alert_rule", rule.id, {"name": rule.name})


def snooze(db: Session, by: Principal, rule: Rule, until: datetime | None) -> Rule:
    """Keep a rule quiet until a moment; none, or one that has passed, ends the snooze."""
    rule.snoozed_until = until if until is not None and until > clock.now() else None
    rule.updated_at = clock.now()
    db.flush()
    said = rule.snoozed_until.isoformat() if rule.snoozed_until else None
    audit.record(db, by, audit.Action.ALERT_RULE_SNOOZED, "alert_rule", rule.id, {"until": said})
    return rule


def get(db: Session, kind: str, rule_id: UUID) -> Rule:
    """Return one rule of a kind; raises NotFound."""
    rule = db.execute(select(Rule).where(Rule.id == rule_id, Rule.kind == kind)).scalar_one_or_none()
    if rule is None:
        raise NotFound(f"no alert rule {ids.show(ids.Prefix.ALERT_RULE, rule_id)}")
    return rule


def listed(db: Session, kind: str) -> Sequence[Rule]:
    """Return the rules of a kind, the oldest first."""
    return db.execute(select(Rule).where(Rule.kind == kind).order_by(Rule.created_at, Rule.id)).scalars().all()


def draft(kind: str, values: dict[str, Any]) -> Rule:
    """Return a rule that is not kept."""
    given = {"enabled": True, "channels": [], "window_minutes": 5, "cooldown_minutes": 60, "no_data": "ignore", **values}
    return Rule(kind=kind, status="ok", firing={}, **given)


def check_condition(rule: Rule) -> None:
    """Raise Invalid, naming the field, for a metric or operator that is not there, and for a condition that no value can ever meet."""
    rule.metric = alert_metrics.ALIASES.get(rule.metric or "", rule.metric)
    if rule.metric not in alert_metrics.METRICS:
        raise Invalid(f"there is no metric {str(rule.metric)[:40]!r}", details={"metric": f"one of {', '.join(alert_metrics.METRICS)}"})
    if rule.operator not in OPERATORS:
        raise Invalid(f"there is no operator {str(rule.operator)[:20]!r}", details={"operator": f"one of {', '.join(OPERATORS)}"})
    metric, wanted, operator = alert_metrics.METRICS[str(rule.metric)], float(rule.threshold or 0), str(rule.operator)
    never = (operator == "gt" and wanted == metric.most) or (operator == "lt" and wanted == metric.least)
    if not metric.least <= wanted <= metric.most or never:
        raise Invalid(
            f"{metric.title} can never be {WORDS[operator]} {wanted:g}" if never else f"{metric.title} is never {wanted:g}",
            details={"threshold": f"{metric.range}, {wanted:g} came"},
        )


def _check(db: Session, rule: Rule, changed: Collection[str]) -> None:
    if rule.kind == "metric":
        if CONDITION.intersection(changed):  # a rule made when more was allowed can still be switched off
            check_condition(rule)
    else:
        check_scope(db, rule)


def check_scope(db: Session, rule: Rule) -> None:
    """Raise Invalid for a rule of one pattern that is not there."""
    if rule.pattern_id is not None and db.execute(select(Pattern.id).where(Pattern.id == rule.pattern_id)).one_or_none() is None:
        raise Invalid("there is no such pattern", details={"scope": "all, or a pattern of this workspace"})


def awake(rule: Rule, now: datetime) -> bool:
    """Tell whether a rule is looked at."""
    return rule.enabled and (rule.snoozed_until is None or rule.snoozed_until <= now)


# ---- predictions


def check(db: Session, now: datetime, pattern_ids: Sequence[UUID] | None = None) -> int:
    """Hold prediction rules against the current predictions (of these patterns, or all), and return how many fired."""
    rules = [rule for rule in db.execute(select(Rule).where(Rule.kind == "prediction").with_for_update()).scalars() if awake(rule, now)]
    if not rules:
        return 0
    query = select(Prediction, Pattern).join(Pattern, Pattern.id == Prediction.pattern_id).where(Prediction.status == "active")
    query = query.where(Prediction.outcome.is_(None), Prediction.expires_at > now)
    if pattern_ids is not None:
        query = query.where(among(Prediction.pattern_id, pattern_ids))
    current = db.execute(query).all()
    return sum(_hold(db, rule, current, pattern_ids, now) for rule in rules)


def due(firing: Collection[str], odds: Mapping[str, float], limit: float) -> tuple[list[str], list[str]]:
    """Return the patterns that a prediction rule now fires for, and those that it fired for and that are over."""
    return [key for key, found in odds.items() if found >= limit and key not in firing], [
        key for key in firing if odds.get(key, 0.0) < limit - OVER
    ]


def _hold(db: Session, rule: Rule, current: Sequence[Any], looked_at: Sequence[UUID] | None, now: datetime) -> int:
    limit, firing, fired = float(rule.probability or 0), dict(rule.firing), 0
    odds: dict[str, tuple[float, Pattern, Prediction]] = {}
    for prediction, pattern in current:
        in_scope = rule.pattern_id in (None, pattern.id) and prediction.window_days <= (rule.window_days or prediction.window_days)
        if in_scope and prediction.probability > odds.get(str(pattern.id), (-1.0,))[0]:
            odds[str(pattern.id)] = (prediction.probability, pattern, prediction)
    came, over = due(firing, {key: found[0] for key, found in odds.items()}, limit)
    for key in came:
        probability, pattern, prediction = odds[key]
        firing[key] = {"at": now.isoformat(), "probability": probability, "name": pattern.name}
        _queue(db, rule, "fired", firing[key], pattern.id, prediction.window_days)
        fired += 1
    for key in over:
        if looked_at is None or UUID(key) in looked_at:
            _queue(db, rule, "recovered", {**firing.pop(key), "probability": odds[key][0] if key in odds else None}, UUID(key), None)
    if fired:
        rule.last_fired_at = now
    rule.firing, rule.status, rule.evaluated_at = firing, "firing" if firing else "ok", now
    return fired


def _queue(db: Session, rule: Rule, what: str, said: Json, pattern: UUID | None, window: int | None) -> None:
    payload = {"rule": str(rule.id), "what": what, "said": said, "pattern": str(pattern) if pattern else None, "window_days": window}
    jobs.enqueue(db, TASK, payload, by="alerts", priority=2)


# ---- metrics


@dataclasses.dataclass(frozen=True, slots=True)
class Judged:
    """What a look at a metric rule found."""

    observed: float | None
    baseline: float | None
    triggered: bool
    severity: str


def judge(db: Session, rule: Rule, now: datetime) -> Judged:
    """Compare a rule's metric over its window (and the one before, of equal width) with its threshold."""
    width = timedelta(minutes=rule.window_minutes)
    metric = str(rule.metric)
    observed = alert_metrics.value(db, metric, now - width, now)
    baseline = alert_metrics.value(db, metric, now - 2 * width, now - width)
    return judged(rule, observed, baseline)


def judged(rule: Rule, observed: float | None, baseline: float | None) -> Judged:
    """Compare a value with a rule's threshold."""
    threshold = float(rule.threshold or 0)
    if observed is None:
        return Judged(None, baseline, rule.no_data == "fire", "warning")
    return Judged(observed, baseline, compare(observed, str(rule.operator), threshold), severity(observed, threshold, baseline))


def compare(observed: float, operator: str, threshold: float) -> bool:
    """Return whether a value meets a condition."""
    match operator:
        case "gt":
            return observed > threshold
        case "lt":
            return observed < threshold
        case "gte":
            return observed >= threshold
        case "lte":
            return observed <= threshold
        case _:
            return observed == threshold


def severity(observed: float, threshold: float, baseline: float | None) -> str:
    """Return how far off it is: r = |observed − threshold| / |threshold|, the baseline in place of a threshold of 0."""
    base = threshold or baseline or 0.0
    if not base:
        return "critical" if observed != threshold else "info"
    ratio = abs(observed - threshold) / abs(base)
    return "critical" if ratio >= 1.0 else "warning" if ratio >= 0.5 else "info"


def evaluate(db: Session, rule: Rule, now: datetime) -> bool:
    """Look at a metric rule and tell whether it fired now; recovery is told once, repeated firing only after the cooldown."""
    found = judge(db, rule, now)
    told = look(rule, found, now)
    if told:
        said: Json = {"at": now.isoformat(), "observed": found.observed, "baseline": found.baseline, "severity": found.severity}
        _queue(db, rule, told, said, None, None)
    db.flush()
    return told == "fired"


def look(rule: Rule, found: Judged, now: datetime) -> str:
    """Move a metric rule by what was found, and return what is to be told of it: fired, recovered, or nothing."""
    rule.observed, rule.baseline, rule.evaluated_at = found.observed, found.baseline, now
    was = rule.status
    if found.triggered:
        rule.status = "firing"
        if rule.last_fired_at is not None and now - rule.last_fired_at < timedelta(minutes=rule.cooldown_minutes):
            return ""
        rule.last_fired_at, rule.firing = now, {"at": now.isoformat()}
        return "fired"
    rule.status = "ok" if found.observed is not None else "no_data"
    if was == "firing" and found.observed is None:
        rule.status = "firing"  # nothing says that it is over
    elif was == "firing" and rule.firing:
        rule.firing = {}
        return "recovered"
    return ""
