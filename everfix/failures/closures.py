"""Closures: a pattern's states, and the way to `resolved`: a closure note and a silent proof window, both.

    emerging → active → resolved → active (when it fails again)

Counting moves emerging to active, and resolved to active; the proof window moves to resolved what is noted and silent (`verifications`). A
person may confirm (active), doubt (emerging), say that a fix is in progress (`mitigating`: active, with `mitigating_since`), note how it was
closed, and open it again. Nobody can say `resolved` while it is not proven.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

from sqlalchemy import select
from sqlalchemy.orm import Session

from everfix import audit
from everfix.core import clock, ids
from everfix.errors import Conflict
from everfix.failures import corrections, patterns, watches
from everfix.failures.patterns import Pattern
from everfix.identity import workspaces

EMERGING, ACTIVE, RESOLVED = "emerging", "active", "resolved"
MITIGATING = "mitigating"  # as people say it: active, and a fix is in progress
ALIASES = {"watching": EMERGING}
FLOW: Mapping[str, tuple[str, ...]] = {
    EMERGING: (ACTIVE, MITIGATING, RESOLVED),
    ACTIVE: (EMERGING, MITIGATING, RESOLVED),
    RESOLVED: (ACTIVE, MITIGATING),
}


def proven(db: Session, pattern: Pattern, now: datetime) -> tuple[bool, str]:
    """Return whether a pattern may be resolved, and what is missing in words."""
    days = workspaces.here(db).ai_proof_window_days
    if not pattern.closure_note:
        return False, "it has no closure note"
    if pattern.last_seen_at is not None and pattern.last_seen_at >= now - timedelta(days=days):
        until = pattern.last_seen_at + timedelta(days=days)
        return False, f"it must stay silent for {days} days, until {until:%Y-%m-%d %H:%M} UTC"
    return True, ""


def move(db: Session, pattern: Pattern, status: str, now: datetime) -> None:
    """Take a pattern along FLOW; raises Conflict naming what is missing."""
    status = ALIASES.get(status, status)
    if status == pattern.status and not (status == ACTIVE and pattern.mitigating_since):
        return
    if status != pattern.status and status not in FLOW[pattern.status]:
        allowed = ", ".join(FLOW[pattern.status])
        raise Conflict(f"a pattern that is {pattern.status} can become {allowed}, not {status}", details={"status": f"one of {allowed}"})
    if status == RESOLVED:
        may, missing = proven(db, pattern, now)
        if not may:
            raise Conflict(f"the pattern cannot be resolved yet: {missing}", details={"status": missing})
        pattern.closed_at = now
    if pattern.status == RESOLVED and status != RESOLVED:
        pattern.closed_at, pattern.closure_note = None, ""  # opened by hand: what was noted did not hold
    pattern.mitigating_since = (pattern.mitigating_since or now) if status == MITIGATING else None
    pattern.status = ACTIVE if status == MITIGATING else status


def change(db: Session, pattern_id: UUID, values: Mapping[str, Any], *, by: audit.Actor) -> Pattern:
    """Change a pattern's name, status, tags or domain; raises NotFound, Conflict."""
    pattern = _live(db, pattern_id)
    before = {name: _now(pattern, name) for name in values}
    if "status" in values:
        move(db, pattern, values["status"], clock.now())
    for name, value in values.items():
        if name != "status":
            setattr(pattern, name, value)
    pattern.updated_at = clock.now()
    db.flush()
    changed = {name: [before[name], _now(pattern, name)] for name in values if before[name] != _now(pattern, name)}
    audit.record(db, by, audit.Action.PATTERN_UPDATED, "pattern", pattern.id, changed)
    if changed:
        watches.tell(db, pattern.id, _said(changed), by=by)
    return pattern


def _now(pattern: Pattern, name: str) -> Any:  # noqa: ANN401 - by the field
    """Return a field as people say it: active with a fix in progress is mitigating."""
    mitigating = name == "status" and pattern.status == ACTIVE and pattern.mitigating_since is not None
    return MITIGATING if mitigating else getattr(pattern, name)


def _said(changed: Mapping[str, Sequence[Any]]) -> str:
    """Return a change in words: "changed name from A to B"."""
    return "changed " + " and ".join(f"{name} from {_shown(was)} to {_shown(now)}" for name, (was, now) in changed.items())


def _shown(value: object) -> str:
    return (", ".join(map(str, value)) if isinstance(value, list) else str(value)) or "none"


def close(db: Session, pattern_id: UUID, note: str, *, by: audit.Actor) -> Pattern:
    """Note how a pattern was closed; it is resolved at once if it has been silent for the proof window, else when it has been."""
    pattern = _live(db, pattern_id)
    if pattern.status == RESOLVED:
        raise Conflict("the pattern is resolved already")
    pattern.closure_note, pattern.updated_at = note, clock.now()
    may, _ = proven(db, pattern, clock.now())
    if may:
        pattern.status, pattern.closed_at = RESOLVED, clock.now()
    db.flush()
    audit.record(db, by, audit.Action.PATTERN_CLOSED, "pattern", pattern.id, {"note": note, "resolved": may})
    watches.tell(db, pattern.id, f"noted how it was closed: {note[:200]}", by=by)
    return pattern


def create(db: Session, values: Mapping[str, Any], *, by: audit.Actor) -> Pattern:
    """Make a pattern by hand, with the issues that belong to it; raises Invalid for issues that are not there, Conflict for `resolved`."""
    if values["status"] == RESOLVED:
        raise Conflict(
            "a new pattern cannot be resolved: that takes a closure note and a silent proof window", details={"status": "not resolved"}
        )
    attributes = values["fingerprint"]
    draft = patterns.Draft(
        name=values["name"],
        fingerprint=attributes,
        why={"rule": f"made by {by.name}"},
        service=attributes.get("service") if isinstance(attributes.get("service"), str) else None,
        team=attributes.get("team") if isinstance(attributes.get("team"), str) else None,
        kind="incident",
        severity="p3",
    )
    made = patterns.create(db, draft, by_hand=True)
    pattern = db.execute(select(Pattern).where(Pattern.id == made)).scalar_one()
    status = ALIASES.get(values["status"], values["status"])
    pattern.status, pattern.tags = (ACTIVE if status == MITIGATING else status), values["tags"]
    pattern.mitigating_since = clock.now() if status == MITIGATING else None
    pattern.risk_score, pattern.confidence = values["risk_score"], values["confidence"]
    pattern.risk_parts = {"given": values["risk_score"]} if values["risk_score"] else {}
    db.flush()
    audit.record(db, by, audit.Action.PATTERN_CREATED, "pattern", made, {"name": values["name"]})
    if values["issue_ids"]:
        corrections.link(db, values["issue_ids"], made, by=by)
        db.refresh(pattern)
    return pattern


def _live(db: Session, pattern_id: UUID) -> Pattern:
    pattern = patterns.get(db, pattern_id)
    if pattern.merged_into is not None:
        into = ids.show(ids.Prefix.PATTERN, pattern.merged_into)
        raise Conflict(f"the pattern was merged into {into}", details={"pattern_id": f"is part of {into}"})
    return pattern
