"""Events: what a failure looks like when it comes in, and `accept`, the only door into the workspace.

A failure is known by (workspace, source, external_id): a second submission updates the first, an older one (by
`source_updated_at`) changes nothing. Bad records are refused one by one, each with its place and the reason.
"""

from __future__ import annotations

import dataclasses
import json
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field, TypeAdapter, ValidationError
from sqlalchemy import CheckConstraint, Computed, Index, text
from sqlalchemy.dialects.postgresql import JSON, TSVECTOR
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core import clock, fields, ids
from everfix.core.db import Base, Json, WorkspaceRow, created, refers
from everfix.ingest import sources

SEVERITY_ALIASES = {"critical": "p1", "high": "p2", "medium": "p3", "low": "p4"}
STATUS_ALIASES = {
    "new": "open",
    "analyzing": "open",
    "analyzed": "open",
    "pattern_found": "in_loop",
    "in_progress": "mitigating",
    "wont_fix": "closed",
}
TITLE, BODY, TRACE = 300, 50_000, 100_000
BATCH = 500


def _alias(table: dict[str, str]) -> BeforeValidator:
    return BeforeValidator(lambda value: table.get(value.strip().lower(), value.strip().lower()) if isinstance(value, str) else value)


Severity = Annotated[Literal["p1", "p2", "p3", "p4"], _alias(SEVERITY_ALIASES)]
Status = Annotated[Literal["open", "in_loop", "mitigating", "resolved", "closed"], _alias(STATUS_ALIASES)]
Kind = Literal["incident", "defect", "check"]


class Event(BaseModel):
    """One failure as it comes in; the fields after `team` are ours, all optional."""

    model_config = ConfigDict(extra="ignore")

    external_id: fields.text(512, 1)  # type: ignore[valid-type]
    source: Annotated[fields.text(64), AfterValidator(sources.known)] = sources.DEFAULT  # type: ignore[valid-type]
    title: fields.text(TITLE) = ""  # type: ignore[valid-type]
    body: fields.text(BODY) = ""  # type: ignore[valid-type]
    severity: Severity = "p3"
    team: fields.text(200) | None = None  # type: ignore[valid-type]
    external_url: Annotated[fields.text(2048), AfterValidator(fields.web)] | None = None  # type: ignore[valid-type]
    source_created_at: fields.Moment | None = None
    source_updated_at: fields.Moment | None = None
    connector_id: Annotated[UUID, BeforeValidator(lambda value: ids.parse(ids.Prefix.CONNECTOR, value))] | None = None
    metadata: fields.JsonObject = Field(default_factory=dict)
    kind: Kind = "incident"
    service: fields.text(200) | None = None  # type: ignore[valid-type]
    environment: fields.text(100) | None = None  # type: ignore[valid-type]
    error_type: fields.text(300) | None = None  # type: ignore[valid-type]
    stacktrace: fields.text(TRACE) = ""  # type: ignore[valid-type]
    release: fields.text(200) | None = None  # type: ignore[valid-type]
    status: Status | None = None
    acknowledged_at: fields.Moment | None = None
    resolved_at: fields.Moment | None = None


_EVENT = TypeAdapter(Event)
# What lists are narrowed by, as trailing keys of the index of the usual order: so a filter is checked in the index, not in the table.
FILTERED = (
    "occurred_at",
    "kind",
    "status",
    "severity",
    "risk_score",
    "analysis_status",
    "source",
    "team",
    "service",
    "assignee_id",
    "pattern_id",
)
# Any of them together, those with few values first: PostgreSQL 18 skips over what is not asked, so that few issues are found among many at once.
FACETS = (
    "status",
    "severity",
    "kind",
    "analysis_status",
    "source",
    "team",
    "service",
    "risk_score",
    "occurred_at",
    "pattern_id",
    "assignee_id",
    "created_at",
    "id",
)


# Punctuation parts words, also inside paths, names and addresses, which PostgreSQL's parser would keep whole.
PUNCTUATION = r"""!"#$%&''()*+,-./:;<=>?@[\]^_`{|}~"""
SEARCH = f"to_tsvector('simple', translate(title || ' ' || left(body, 20000), '{PUNCTUATION}', '{' ' * 32}'))"


class Issue(WorkspaceRow, Base):
    """One failure as it is kept. `occurred_at` is when it happened at its source, else when it came in.

    `stage` counts what the loop has done with it; `assignment` says which rule put it into its pattern, and why.
    """

    __tablename__ = "issues"
    __table_args__ = (
        refers("pattern_id", "patterns", ondelete="SET NULL"),
        CheckConstraint("severity IN ('p1', 'p2', 'p3', 'p4')", name="severity"),
        CheckConstraint("status IN ('open', 'in_loop', 'mitigating', 'resolved', 'closed')", name="status"),
        CheckConstraint("analysis_status IN ('pending', 'analyzing', 'done', 'failed')", name="analysis_status"),
        CheckConstraint("kind IN ('incident', 'defect', 'check')", name="kind"),
        Index("uq_issues_source", "workspace_id", "source", "external_id", unique=True),
        Index("ix_issues_occurred", "workspace_id", "occurred_at", "id"),
        Index("ix_issues_pattern", "workspace_id", "pattern_id", "occurred_at"),
        Index("ix_issues_risk", "workspace_id", "risk_score", "id"),
        Index("ix_issues_ingested", "workspace_id", "ingested_at", "id"),
        Index("ix_issues_created", "workspace_id", "created_at", "id", *FILTERED),
        Index("ix_issues_facets", "workspace_id", *FACETS),
        Index("ix_issues_kind", "workspace_id", "kind", "created_at", "id"),
        Index("ix_issues_unlinked", "workspace_id", "created_at", "id", postgresql_where=text("pattern_id IS NULL")),
        Index("ix_issues_updated", "workspace_id", "updated_at", "id"),
        Index("ix_issues_source_created", "workspace_id", text("source_created_at DESC NULLS LAST"), text("id DESC")),
        Index("ix_issues_source_created_up", "workspace_id", "source_created_at", "id"),
        Index("ix_issues_by_status", "workspace_id", "status", "id"),
        Index("ix_issues_by_severity", "workspace_id", "severity", "id"),
        Index("ix_issues_source", "workspace_id", "source", "created_at", "id"),
        Index("ix_issues_analysis_status", "workspace_id", "analysis_status", "created_at", "id"),
        Index("ix_issues_status", "workspace_id", "status", "created_at", "id"),
        Index("ix_issues_severity", "workspace_id", "severity", "created_at", "id"),
        Index("ix_issues_team", "workspace_id", "team", "created_at", "id"),
        Index("ix_issues_service", "workspace_id", "service", "created_at", "id"),
        Index("ix_issues_assignee", "workspace_id", "assignee_id", "created_at", "id", postgresql_where=text("assignee_id IS NOT NULL")),
        Index("ix_issues_fingerprint", "workspace_id", "fingerprint"),
        Index("ix_issues_symptom", "workspace_id", "symptom", postgresql_where=text("symptom IS NOT NULL")),
        Index("ix_issues_resembles", "workspace_id", "resembles", postgresql_where=text("resembles IS NOT NULL")),
        Index("ix_issues_corrected", "workspace_id", "home_id", postgresql_where=text("correction_id IS NOT NULL")),
        Index("ix_issues_search", text("(search || array_to_tsvector(ARRAY[workspace_id::text]))"), postgresql_using="gin"),
        Index("ix_issues_release", "workspace_id", "release", "occurred_at", postgresql_where=text("release IS NOT NULL")),
    )

    external_id: Mapped[str]
    source: Mapped[str]
    connector_id: Mapped[UUID | None]
    kind: Mapped[str]
    title: Mapped[str]
    body: Mapped[str]
    severity: Mapped[str]
    status: Mapped[str] = mapped_column(server_default="open")
    analysis_status: Mapped[str] = mapped_column(server_default="pending")
    risk_score: Mapped[int] = mapped_column(server_default="0")
    risk_parts: Mapped[Json] = mapped_column(server_default="{}")
    team: Mapped[str | None]
    service: Mapped[str | None]
    environment: Mapped[str | None]
    error_type: Mapped[str | None]
    stacktrace: Mapped[str] = mapped_column(server_default="")
    release: Mapped[str | None]
    assignee_id: Mapped[UUID | None]
    external_url: Mapped[str | None]
    details: Mapped[Json] = mapped_column(
        "metadata", JSON, server_default="{}"
    )  # as text: JSONB would turn 1e17 into another kind of number
    pattern_id: Mapped[UUID | None]
    fingerprint: Mapped[str | None]
    assignment: Mapped[Json | None]  # what the loop decided, and why
    home_id: Mapped[UUID | None]  # the pattern that the loop gave it; `pattern_id` is another where a person's word says so
    symptom: Mapped[str | None]  # of a bare symptom: the group that tells it from others with its fingerprint
    resembles: Mapped[str | None]  # the fingerprint that it was found to be like
    correction_id: Mapped[UUID | None]  # the word that decided
    occurred_at: Mapped[datetime]
    acknowledged_at: Mapped[datetime | None]
    resolved_at: Mapped[datetime | None]
    source_created_at: Mapped[datetime | None]
    source_updated_at: Mapped[datetime | None]
    analyzed_at: Mapped[datetime | None]
    ingested_at: Mapped[datetime] = created()
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()
    search: Mapped[Any] = mapped_column(TSVECTOR, Computed(SEARCH, persisted=True), deferred=True)


class Signal(WorkspaceRow, Base):
    """One submission, exactly as it came."""

    __tablename__ = "signals"
    __table_args__ = (refers("issue_id", "issues"), Index("ix_signals_issue", "workspace_id", "issue_id"))

    issue_id: Mapped[UUID]
    received_at: Mapped[datetime] = created()
    payload: Mapped[Json] = mapped_column(JSON)


@dataclasses.dataclass(frozen=True, slots=True)
class Reject:
    """A record that was refused: where it stood (from 0) and why."""

    index: int
    reason: str


@dataclasses.dataclass(frozen=True, slots=True)
class Accepted:
    """What became of a batch: `issues` holds one id per accepted record, in the records' order."""

    issues: tuple[UUID, ...]
    created: int
    updated: int
    stale: int
    rejected: tuple[Reject, ...]


def read(record: object) -> Event:
    """Return the record as an Event; raises ValueError naming the field, what came and what is allowed."""
    if not isinstance(record, dict):
        raise ValueError(f"a record is a JSON object, not {type(record).__name__}")  # noqa: TRY004 - one error for every bad record
    try:
        event = _EVENT.validate_python(record)
    except ValidationError as problem:
        raise ValueError(explain(problem)) from problem
    for name in record.keys() - Event.model_fields.keys():  # kept in the raw payload, so that they must be storable too
        try:
            fields.bounded({name: record[name]})
        except ValueError as problem:
            raise ValueError(f"{str(name)[:60]}: {problem}") from problem
    return event if event.title else event.model_copy(update={"title": event.external_id[:TITLE]})


def explain(problem: ValidationError) -> str:
    """Return each broken field, its rule and what came, as one line."""
    return "; ".join(
        f"{'.'.join(str(part) for part in error['loc']) or 'record'}: {error['msg'].removeprefix('Value error, ')}"
        + (f" (got {str(error['input'])[:60]!r})" if error["type"] != "missing" and not isinstance(error["input"], dict) else "")
        for error in problem.errors(include_url=False, include_context=False)
    )


def accept(db: Session, records: Sequence[object]) -> Accepted:
    """Store a batch in one statement; bad records are refused by index, the rest are kept."""
    rejected: list[Reject] = []
    good: list[tuple[Event, Json]] = []
    for index, record in enumerate(records):
        try:
            good.append((read(record), dict(record)))  # type: ignore[call-overload]
        except ValueError as problem:
            rejected.append(Reject(index, str(problem)))
    if not good:
        return Accepted((), 0, 0, 0, tuple(rejected))
    rows, newest = _newest(good)
    found = {(row.source, row.external_id): row for row in db.execute(text(_ACCEPT), {"rows": json.dumps(rows)})}
    issues = tuple(found[event.source, event.external_id].id for event, _ in good)
    made = sum(row.made for row in found.values())
    stale = sum(row.stale for row in found.values())
    return Accepted(issues, made, len(newest) - made - stale, stale, tuple(rejected))


def _newest(good: list[tuple[Event, Json]]) -> tuple[list[Json], dict[tuple[str, str], Event]]:
    """Return every submission as a row; `kept` marks the one of each failure that wins (the newest at its source, else the last)."""
    winners: dict[tuple[str, str], int] = {}
    for place, (event, _) in enumerate(good):
        key = (event.source, event.external_id)
        held = winners.get(key)
        if held is None or _when(event) >= _when(good[held][0]):
            winners[key] = place
    rows = []
    now = clock.now()
    for place, (event, raw) in enumerate(good):
        row = event.model_dump(mode="json")
        row |= {"place": place, "id": str(ids.new()), "signal_id": str(ids.new()), "raw": raw}
        row["kept"] = winners[event.source, event.external_id] == place
        row["occurred_at"] = (event.source_created_at or now).isoformat()
        rows.append(row)
    return rows, {key: good[place][0] for key, place in winners.items()}


def _when(event: Event) -> datetime:
    return event.source_updated_at or fields.EARLIEST


_COLUMNS = {
    "external_id": "text",
    "source": "text",
    "connector_id": "uuid",
    "kind": "text",
    "title": "text",
    "body": "text",
    "severity": "text",
    "team": "text",
    "service": "text",
    "environment": "text",
    "error_type": "text",
    "stacktrace": "text",
    "release": "text",
    "external_url": "text",
    "metadata": "json",
    "occurred_at": "timestamptz",
    "acknowledged_at": "timestamptz",
    "resolved_at": "timestamptz",
    "source_created_at": "timestamptz",
    "source_updated_at": "timestamptz",
}
_IDENTITY = ("title", "body", "error_type", "stacktrace", "service", "kind")  # a change of these asks for a new judgement
_OPTIONAL = (
    "connector_id",
    "team",
    "service",
    "environment",
    "error_type",
    "release",
    "external_url",
    "acknowledged_at",
    "resolved_at",
    "source_created_at",
)
_KEEPS_OLD = {name: f"coalesce(excluded.{name}, issues.{name})" for name in _OPTIONAL}
_SET = ", ".join(
    f"{name} = {_KEEPS_OLD.get(name, f'excluded.{name}')}" for name in _COLUMNS if name not in ("external_id", "source", "occurred_at")
)
_CHANGED = " OR ".join(f"issues.{name} IS DISTINCT FROM {_KEEPS_OLD.get(name, f'excluded.{name}')}" for name in _IDENTITY)

# A data-modifying CTE sees the table as it was before the statement, so `before` finds the rows that a stale record did not change.
_ACCEPT = f"""
WITH incoming AS (
    SELECT * FROM json_to_recordset(cast(:rows AS json))
    AS r(place int, id uuid, signal_id uuid, kept boolean, raw json, status text, {", ".join(f"{name} {kind}" for name, kind in _COLUMNS.items())})
), stored AS (
    INSERT INTO issues (id, status, {", ".join(_COLUMNS)})
    SELECT id, coalesce(status, CASE WHEN resolved_at IS NULL THEN 'open' ELSE 'resolved' END), {", ".join(_COLUMNS)}
    FROM incoming WHERE kept ORDER BY source, external_id
    ON CONFLICT (workspace_id, source, external_id) DO UPDATE SET {_SET},
        status = coalesce((SELECT i.status FROM incoming i WHERE i.id = excluded.id),
            CASE WHEN excluded.resolved_at IS NOT NULL AND issues.status NOT IN ('resolved', 'closed') THEN 'resolved' ELSE issues.status END),
        occurred_at = coalesce(excluded.source_created_at, issues.occurred_at),
        analysis_status = CASE WHEN {_CHANGED} THEN 'pending' ELSE issues.analysis_status END,
        fingerprint = CASE WHEN {_CHANGED} THEN NULL ELSE issues.fingerprint END,
        updated_at = now()
    WHERE issues.source_updated_at IS NULL OR excluded.source_updated_at IS NULL OR excluded.source_updated_at >= issues.source_updated_at
    RETURNING id, source, external_id, (xmax = 0) AS made
), outcome AS (
    SELECT i.source, i.external_id, coalesce(s.id, before.id) AS id, coalesce(s.made, false) AS made, s.id IS NULL AS stale
    FROM incoming i
    LEFT JOIN stored s ON s.source = i.source AND s.external_id = i.external_id
    LEFT JOIN issues before ON before.source = i.source AND before.external_id = i.external_id
    WHERE i.kept
), kept AS (
    INSERT INTO signals (id, issue_id, payload)
    SELECT i.signal_id, o.id, i.raw FROM incoming i JOIN outcome o ON o.source = i.source AND o.external_id = i.external_id
    ORDER BY i.place
)
SELECT * FROM outcome
"""  # noqa: S608 - built from the constants above
