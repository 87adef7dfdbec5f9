"""`/v1/settings/ai` and `/v1/prompt-logs`: which language model a workspace asks, a test of it, and every call that was made."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict, Field
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.core import fields as types
from everfix.core import ids, jobs, outbound, prompt_logs
from everfix.core.db import Json
from everfix.core.languages import LANGUAGES
from everfix.core.llm_providers import PROVIDERS
from everfix.core.prompt_logs import PromptLog
from everfix.deps import Config, Db, Page, SigningKeys, needs
from everfix.identity import ai
from everfix.identity.principals import Principal, Scope

router = APIRouter(tags=["ai"])
Reader = Annotated[Principal, needs(Scope.WORKSPACE_READ)]
Admin = Annotated[Principal, needs(Scope.WORKSPACE_ADMIN)]
Auditor = Annotated[Principal, needs(Scope.AUDIT_READ)]
USAGE_DAYS = 30


class KeyOut(BaseModel):
    """What is shown of the key."""

    set: bool
    hint: str = Field(description="Its last four characters.")


class EffectiveOut(BaseModel):
    """Who is asked now."""

    source: str = Field(description="`workspace`, `environment`, or `none`: then the rules write and nothing leaves this host.")
    provider: str
    model: str
    problem: str = ""


class UsageOut(BaseModel):
    """What asking took in the last days."""

    days: int
    calls: int
    input_tokens: int
    output_tokens: int
    cost: Decimal | None = Field(description="In US dollars, of the calls whose price is known.")
    unpriced_calls: int


class AiOut(BaseModel):
    """A workspace's AI settings; the key itself is never shown."""

    provider: str
    model: str
    base_url: str
    options: Json
    key: KeyOut
    redact: bool
    narratives: bool
    analyses: bool
    auto_per_hour: int
    language: str
    prompt_logs_days: int
    effective: EffectiveOut
    usage: UsageOut
    providers: Json
    languages: dict[str, str]


class AiChange(BaseModel):
    """What may change; a field that is not sent stays. `key` can be written and never read: null removes it."""

    model_config = ConfigDict(extra="forbid")

    provider: types.text(40) | None = None  # type: ignore[valid-type]
    model: types.text(200) | None = None  # type: ignore[valid-type]
    base_url: types.text(500) | None = None  # type: ignore[valid-type]
    options: dict[str, types.text(300)] | None = None  # type: ignore[valid-type]
    key: types.text(4000) | None = None  # type: ignore[valid-type]
    redact: bool | None = None
    narratives: bool | None = None
    analyses: bool | None = None
    auto_per_hour: Annotated[int, Field(ge=0, le=1000)] | None = None
    language: types.text(20) | None = None  # type: ignore[valid-type]
    prompt_logs_days: Annotated[int, Field(ge=1, le=3650)] | None = None


class JobRef(BaseModel):
    """Work that was queued."""

    job_id: ids.field(ids.Prefix.JOB)  # type: ignore[valid-type]
    status: str = "queued"


class PromptLogOut(BaseModel):
    """One call of a language model, as it was made."""

    model_config = ConfigDict(from_attributes=True)

    id: UUID
    purpose: str
    subject_kind: str
    subject_id: UUID | None
    provider: str
    model: str
    version: str
    prompt: str
    answer: str
    outcome: str
    reason: str
    input_tokens: int
    output_tokens: int
    cost: Decimal | None
    priced_by: str
    seconds: float
    created_at: datetime


SORTS = pages.Sorts({"created_at": PromptLog.created_at, "seconds": PromptLog.seconds}, "-created_at")


def given(body: AiChange) -> dict[str, Any]:
    """Return what a change holds: null empties text, and leaves alone what cannot be empty."""
    kept = {"provider": "", "model": "", "base_url": "", "options": {}}
    values = body.model_dump(exclude_unset=True)
    values = {name: kept.get(name) if value is None and name in kept else value for name, value in values.items()}
    return {name: value for name, value in values.items() if value is not None or name == "key"}


@router.get("/settings/ai")
def read(db: Db, who: Reader, keys: SigningKeys, settings: Config) -> AiOut:
    """Which language model may be asked, what must not leave, and what asking took in the last 30 days."""
    return shown(db, ai.here(db), ai.effective(db, keys, settings))


@router.put("/settings/ai")
def change(db: Db, who: Admin, keys: SigningKeys, settings: Config, body: AiChange) -> AiOut:
    """Change the AI settings. A new provider or base URL without a key drops the key that was there."""
    row = ai.change(db, keys, outbound.guard(settings), given(body), by=who)
    return shown(db, row, ai.effective(db, keys, settings))


@router.post("/settings/ai/test", status_code=202)
def test(db: Db, who: Admin) -> JobRef:
    """Ask the configured model one small question; the job's result says who answered, how fast, and at what cost."""
    return JobRef(job_id=jobs.enqueue(db, "ai.test", {}, by=who.name))


@router.get("/prompt-logs")
def logs(db: Db, who: Auditor, page: Page, purpose: fields.Search = None) -> pages.PageOf[PromptLogOut]:
    """Every call of a language model that is still kept: what was sent, what came back, what it cost."""
    query = select(PromptLog)
    return pages.page(db, page, query.where(PromptLog.purpose == purpose) if purpose else query, PromptLog.id, SORTS, _logs)


def _logs(rows: Sequence[PromptLog]) -> list[PromptLogOut]:
    return [PromptLogOut.model_validate(row) for row in rows]


def shown(db: Db, row: ai.AiSettings, effective: ai.Effective) -> AiOut:
    """Return the settings as they may be seen."""
    calls, tokens_in, tokens_out, cost, unpriced = prompt_logs.spent(db, USAGE_DAYS)
    return AiOut(
        provider=row.provider,
        model=row.model,
        base_url=row.base_url,
        options=row.options,
        key=KeyOut(set=row.sealed_key is not None, hint=row.key_hint),
        redact=row.redact,
        narratives=row.narratives,
        analyses=row.analyses,
        auto_per_hour=row.auto_per_hour,
        language=row.language,
        prompt_logs_days=row.prompt_logs_days,
        effective=EffectiveOut(source=effective.source, provider=effective.provider, model=effective.model, problem=effective.problem),
        usage=UsageOut(days=USAGE_DAYS, calls=calls, input_tokens=tokens_in, output_tokens=tokens_out, cost=cost, unpriced_calls=unpriced),
        providers={
            key: {"title": known.title, "models": dict(known.models), "base_url": known.base_url, "needs_key": known.needs_key}
            for key, known in PROVIDERS.items()
        },
        languages=dict(LANGUAGES),
    )
