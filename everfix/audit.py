"""The audit log: a row for each mutation, append-only and hash-chained, so that a missing or changed row shows."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping, Sequence
from datetime import datetime
from enum import StrEnum
from typing import Protocol
from uuid import UUID

from sqlalchemy import Index, select, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, ids
from everfix.core.db import Base, Json, WorkspaceRow, lock, mine

GENESIS = "0" * 64


class Action(StrEnum):
    """What was done, `thing.verb`, alphabetised; shown in the log exactly so."""

    AI_SETTINGS_CHANGED = "ai.settings.changed"
    ALERT_FIRED = "alert.fired"
    ALERT_RULE_CREATED = "alert_rule.created"
    ALERT_RULE_DELETED = "alert_rule.deleted"
    ALERT_RULE_SNOOZED = "alert_rule.snoozed"
    ALERT_RULE_UPDATED = "alert_rule.updated"
    CHANGE_RECORDED = "change.recorded"
    CLUSTERS_RECOMPUTED = "clusters.recomputed"
    COMMENT_CREATED = "comment.created"
    COMMENT_DELETED = "comment.deleted"
    CORRECTION_MADE = "correction.made"
    CORRECTION_REVOKED = "correction.revoked"
    DELIVERY_FAILED = "delivery.failed"
    DELIVERY_RESENT = "delivery.resent"
    DESTINATION_CREATED = "destination.created"
    DESTINATION_DELETED = "destination.deleted"
    DESTINATION_TESTED = "destination.tested"
    DESTINATION_UPDATED = "destination.updated"
    EXPORT_DOWNLOADED = "export.downloaded"
    EXPORT_STARTED = "export.started"
    FILES_SWEPT = "files.swept"
    INGEST_ACCEPTED = "ingest.accepted"
    ISSUE_CREATED = "issue.created"
    ISSUE_REANALYZED = "issue.reanalyzed"
    ISSUE_UPDATED = "issue.updated"
    JOB_CANCELLED = "job.cancelled"
    JOB_PURGED = "job.purged"
    JOB_RETRIED = "job.retried"
    MESSAGE_SENT = "message.sent"
    ML_DATASET_KEPT = "ml.dataset.kept"
    ML_DELETED = "ml.deleted"
    ML_DEPLOYMENT_KEPT = "ml.deployment.kept"
    ML_EXPERIMENT_KEPT = "ml.experiment.kept"
    ML_IMPORT_STARTED = "ml.import.started"
    ML_LOG_COMPACTED = "ml.log.compacted"
    ML_MEMBER_ADDED = "ml.member.added"
    ML_MEMBER_REMOVED = "ml.member.removed"
    ML_MODEL_KEPT = "ml.model.kept"
    ML_MONITOR_KEPT = "ml.monitor.kept"
    ML_OWN_FORECASTS = "ml.own_forecasts.started"
    ML_PREDICTIONS_ADDED = "ml.predictions.added"
    ML_PRIVACY_KEPT = "ml.privacy.kept"
    ML_PROJECT_CREATED = "ml.project.created"
    ML_PROJECT_UPDATED = "ml.project.updated"
    ML_SYNTHGEN_KEPT = "ml.synthgen.kept"
    ML_TABLE_UPLOADED = "ml.table.uploaded"
    NOTIFICATION_SETTINGS_UPDATED = "notification_settings.updated"
    PATTERN_CLOSED = "pattern.closed"
    PATTERN_CREATED = "pattern.created"
    PATTERN_UNWATCHED = "pattern.unwatched"
    PATTERN_UPDATED = "pattern.updated"
    PATTERN_WATCHED = "pattern.watched"
    PREDICTION_DISMISSED = "prediction.dismissed"
    PREDICTION_JUDGED = "prediction.judged"
    PREDICTION_SETTLED = "prediction.settled"
    RECIPIENT_CHOSE = "recipient.chose"
    RECOMMENDATION_ATTESTED = "recommendation.attested"
    RECOMMENDATION_PUSHED = "recommendation.pushed"
    RECOMMENDATION_UPDATED = "recommendation.updated"
    REPORT_ADOPTED = "report.adopted"
    REPORT_BACKFILLED = "report.backfilled"
    REPORT_CREATED = "report.created"
    REPORT_DELETED = "report.deleted"
    REPORT_DOWNLOADED = "report.downloaded"
    REPORT_EXPORTED = "report.exported"
    REPORT_GENERATED = "report.generated"
    REPORT_UPDATED = "report.updated"
    RETENTION_UPDATED = "retention.updated"
    SAVED_VIEW_CREATED = "saved_view.created"
    SAVED_VIEW_DELETED = "saved_view.deleted"
    SAVED_VIEW_UPDATED = "saved_view.updated"
    SCHEDULE_CREATED = "schedule.created"
    SCHEDULE_DELETED = "schedule.deleted"
    SCHEDULE_FIRED = "schedule.fired"
    SCHEDULE_UPDATED = "schedule.updated"
    SESSION_ENDED = "auth.session.ended"
    SESSION_STARTED = "auth.session.started"
    TOKEN_CREATED = "token.created"
    WORKSPACE_BRANDED = "workspace.branded"
    WORKSPACE_PROVISIONED = "workspace.provisioned"
    WORKSPACE_UPDATED = "workspace.updated"


class Actor(Protocol):
    """Who acts: a person, a service account, or the system itself."""

    @property
    def kind(self) -> str: ...
    @property
    def actor_id(self) -> UUID | None: ...
    @property
    def name(self) -> str: ...
    @property
    def ip(self) -> str: ...
    @property
    def trace_id(self) -> str: ...


class Entry(WorkspaceRow, Base):
    """One entry. `hash` is the SHA-256 of `previous_hash` and the entry's content; the application may only insert and read."""

    __tablename__ = "audit_log"
    __table_args__ = (
        Index("uq_audit_log_number", "workspace_id", "number", unique=True),
        Index("ix_audit_log_at", "workspace_id", "at"),
        Index("ix_audit_log_target", "workspace_id", "target_id", "number"),
    )

    number: Mapped[int]
    at: Mapped[datetime]
    actor_kind: Mapped[str]
    actor_id: Mapped[UUID | None]
    actor_name: Mapped[str]
    action: Mapped[str]
    target_kind: Mapped[str] = mapped_column(server_default="")
    target_id: Mapped[UUID | None]
    details: Mapped[Json] = mapped_column(server_default="{}")
    ip: Mapped[str] = mapped_column(server_default="")
    trace_id: Mapped[str] = mapped_column(server_default="")
    previous_hash: Mapped[str]
    hash: Mapped[str]


def record(
    db: Session, by: Actor, action: Action, target_kind: str = "", target_id: UUID | None = None, details: Json | None = None
) -> None:
    """Write one entry at the end of the workspace's chain; call it last in a transaction, since it holds the chain's lock."""
    record_each(db, by, action, target_kind, [(target_id, details or {})])


def record_each(db: Session, by: Actor, action: Action, target_kind: str, acts: Sequence[tuple[UUID | None, Mapping[str, object]]]) -> None:
    """Write one entry for each of these targets and their details, in one go; like `record`."""
    if not acts:
        return
    lock(db, "audit")
    last = db.execute(select(Entry.number, Entry.hash).where(mine(Entry)).order_by(Entry.number.desc()).limit(1)).one_or_none()
    rows: list[Json] = []
    before, previous = (last.number, last.hash) if last else (0, GENESIS)
    for number, (target_id, details) in enumerate(acts, before + 1):
        entry = Entry(
            id=ids.new(),
            number=number,
            at=clock.now(),
            actor_kind=by.kind,
            actor_id=by.actor_id,
            actor_name=by.name,
            action=action,
            target_kind=target_kind,
            target_id=target_id,
            details=dict(details),
            ip=by.ip,
            trace_id=by.trace_id,
            previous_hash=previous,
        )
        previous = entry.hash = digest(entry)
        rows.append({name: getattr(entry, name) for name in _WRITTEN})
    db.execute(text(_WRITE), {"rows": json.dumps(rows, default=str)})


_WRITTEN = tuple(name for name in Entry.__mapper__.columns.keys() if name != "workspace_id")  # noqa: SIM118 - its iterator yields columns
_WRITE = f"""
INSERT INTO audit_log ({", ".join(_WRITTEN)}) SELECT {", ".join(_WRITTEN)}
FROM jsonb_populate_recordset(NULL::audit_log, cast(:rows AS jsonb)) ORDER BY number
"""  # noqa: S608 - built from the columns above


def digest(entry: Entry) -> str:
    """Return the hash that `entry` must carry: SHA-256 over its previous hash and its content as canonical JSON."""
    content = [
        entry.previous_hash,
        entry.number,
        entry.at.isoformat(),
        entry.actor_kind,
        str(entry.actor_id),
        entry.actor_name,
        entry.action,
        entry.target_kind,
        str(entry.target_id),
        entry.details,
        entry.ip,
        entry.trace_id,
    ]
    return hashlib.sha256(json.dumps(content, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()).hexdigest()


def broken(db: Session) -> int | None:
    """Return the number of the first entry that does not fit the chain, or None when the log is whole."""
    previous, expected = GENESIS, 1
    query = select(Entry).where(mine(Entry)).order_by(Entry.number).execution_options(yield_per=1000)
    with db.execute(query).scalars() as entries:
        for entry in entries:
            if entry.number != expected or entry.previous_hash != previous or entry.hash != digest(entry):
                return expected
            previous, expected = entry.hash, expected + 1
    return None
