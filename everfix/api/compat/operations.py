"""`/api/v1/admin/dlq`, `/api/v1/metrics/summary` and `/api/v1/ai/analyzer-settings`: what an administrator looks after."""

from __future__ import annotations

from typing import Annotated, Any, Literal
from uuid import UUID

from fastapi import APIRouter, Query
from pydantic import BeforeValidator, ConfigDict, Field
from pydantic.alias_generators import to_camel

from everfix.api.compat import shapes
from everfix.api.compat.doors import Admin, Viewer
from everfix.core import fields as types
from everfix.core import ids, outbound
from everfix.core.db import Json
from everfix.core.jobs import Job
from everfix.deps import Config, Db, SigningKeys
from everfix.errors import Invalid
from everfix.identity import ai
from everfix.metrics import gauges
from everfix.reports import dead_letters

router = APIRouter(tags=["operations"])
EventId = Annotated[UUID, BeforeValidator(lambda text: ids.parse(ids.Prefix.JOB, text))]
Topic = Annotated[str | None, Query(max_length=60, pattern=r"^[a-z._]*$")]


class Handled(shapes.Shape):
    """What is to be done with which dead letters."""

    action: Literal["retry", "purge"]
    event_ids: Annotated[list[EventId], Field(max_length=1000)] | None = None
    topic: types.text(60) | None = None  # type: ignore[valid-type]


@router.get("/admin/dlq")
def dead(db: Db, who: Admin, limit: Annotated[int, Query(ge=1, le=200)] = 50, topic: Topic = None) -> Json:
    """Work that failed for the last time, newest first."""
    counts = dead_letters.counts(db)
    total = sum(counts.values())
    found = dead_letters.listed(db, topic=topic, limit=limit)
    return {"totalEvents": total, "byTopic": counts, "events": [_event(job) for job in found], "alert": dead_letters.level(total)}


def _event(job: Job) -> Json:
    return {
        "id": str(job.id),
        "topic": job.kind,
        "payload": job.payload,
        "error": job.error,
        "retryCount": max(0, job.attempts - 1),
        "failedAt": shapes.zulu(job.finished_at) if job.finished_at else None,
    }


@router.post("/admin/dlq")
def handle(db: Db, who: Admin, body: Handled) -> Json:
    """Try dead letters again, or put them away for good."""
    verb = dead_letters.retry if body.action == "retry" else dead_letters.purge
    return {"action": body.action, "affected": verb(db, who, job_ids=body.event_ids, topic=body.topic)}


@router.get("/metrics/summary")
def metrics(db: Db, who: Admin) -> dict[str, Json]:
    """The state of the workspace's work as metrics, by name."""
    return {
        metric.name: {
            "name": metric.name,
            "help": metric.help,
            "type": metric.type,
            "values": [{"labels": sample.labels, "value": sample.value} for sample in samples],
        }
        for metric, samples in gauges.read(db)
    }


# What `PUT` may name → our own field; whatever else is sent is kept as it came and steers nothing.
SETTINGS = {
    to_camel(name): name
    for name in ("provider", "model", "base_url", "redact", "narratives", "analyses", "auto_per_hour", "language", "prompt_logs_days")
}


class Tuning(shapes.Shape):
    """Settings of the analyzer; fields that Everfix does not have are kept for the client that sent them."""

    model_config = ConfigDict(extra="allow")

    provider: types.text(40) | None = None  # type: ignore[valid-type]
    model: types.text(200) | None = None  # type: ignore[valid-type]
    base_url: types.text(500) | None = None  # type: ignore[valid-type]
    redact: bool | None = None
    narratives: bool | None = None
    analyses: bool | None = None
    auto_per_hour: Annotated[int, Field(ge=0, le=1000)] | None = None
    language: types.text(20) | None = None  # type: ignore[valid-type]
    prompt_logs_days: Annotated[int, Field(ge=1, le=3650)] | None = None


@router.get("/ai/analyzer-settings")
def analyzer(db: Db, who: Viewer, keys: SigningKeys, settings: Config) -> Json:
    """Who writes and analyses here, and with what bounds; a key is never shown."""
    found = ai.here(db)
    now = ai.effective(db, keys, settings)
    own = {name: getattr(found, field) for name, field in SETTINGS.items()}
    return {
        **found.tuning,
        **own,
        "effective": {"source": now.source, "provider": now.provider, "model": now.model, "problem": now.problem},
    }


@router.put("/ai/analyzer-settings")
def change_analyzer(db: Db, who: Admin, body: Tuning, keys: SigningKeys, settings: Config) -> Json:
    """Change what is sent."""
    given: dict[str, Any] = {
        name: value for name, value in body.model_dump(exclude_unset=True, exclude=set(body.model_extra or {})).items() if value is not None
    }
    extra = dict(body.model_extra or {})
    extra.pop("effective", None)
    if extra:
        try:
            given["tuning"] = types.bounded({**ai.here(db).tuning, **extra})
        except ValueError as problem:
            raise Invalid(f"settings: {problem}", details={"settings": str(problem)}) from None
    ai.change(db, keys, outbound.guard(settings), given, who)
    return analyzer(db, who, keys, settings)
