"""AI settings of a workspace: which language model may be asked, and what must not leave; the key is sealed and never shown again."""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from urllib.parse import urlsplit

from pydantic import BaseModel
from sqlalchemy import CheckConstraint, Index, select
from sqlalchemy.dialects.postgresql import BYTEA
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, jobs, languages, llm, outbound, prompt_logs
from everfix.core.crypto import BadEnvelope, Keys
from everfix.core.db import Base, Json, WorkspaceRow, created, current, mine
from everfix.core.llm_providers import PROVIDERS, Choice
from everfix.core.redaction import Redactor
from everfix.errors import ConfigurationError, Invalid
from everfix.identity.members import Member
from everfix.identity.principals import Principal
from everfix.identity.users import User
from everfix.settings import Settings

PURPOSE = "ai settings"  # of the sealing key
AUTO_PER_HOUR = 20  # analyses by a model that nobody asked for, in one hour
OPTIONS = ("region", "auth_mode", "role_arn", "access_key_id")  # Amazon Bedrock's
AUTH_MODES = ("api_key", "access_key", "iam_role")


class AiSettings(WorkspaceRow, Base):
    """One row per workspace that changed anything. An empty `provider` follows the environment; "none" asks nobody."""

    __tablename__ = "ai_settings"
    __table_args__ = (
        Index("uq_ai_settings_workspace", "workspace_id", unique=True),
        CheckConstraint("prompt_logs_days BETWEEN 1 AND 3650", name="prompt_logs_days"),
        CheckConstraint("auto_per_hour BETWEEN 0 AND 1000", name="auto_per_hour"),
    )

    provider: Mapped[str] = mapped_column(server_default="")
    model: Mapped[str] = mapped_column(server_default="")
    base_url: Mapped[str] = mapped_column(server_default="")
    options: Mapped[Json] = mapped_column(server_default="{}")
    sealed_key: Mapped[bytes | None] = mapped_column(BYTEA)
    key_hint: Mapped[str] = mapped_column(server_default="")  # its last four characters
    redact: Mapped[bool] = mapped_column(server_default="true")
    narratives: Mapped[bool] = mapped_column(server_default="true")
    analyses: Mapped[bool] = mapped_column(server_default="true")
    auto_per_hour: Mapped[int] = mapped_column(server_default=str(AUTO_PER_HOUR))
    language: Mapped[str] = mapped_column(server_default="en")
    prompt_logs_days: Mapped[int] = mapped_column(server_default=str(prompt_logs.DEFAULT_DAYS))
    tuning: Mapped[Json] = mapped_column(server_default="{}")  # what else the dashboard surface's clients keep here
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


def here(db: Session) -> AiSettings:
    """Return the workspace's settings; the defaults where nothing was changed."""
    found = db.execute(select(AiSettings).where(mine(AiSettings))).scalar_one_or_none()
    if found is not None:
        return found
    return AiSettings(
        provider="",
        model="",
        base_url="",
        options={},
        key_hint="",
        redact=True,
        narratives=True,
        analyses=True,
        auto_per_hour=AUTO_PER_HOUR,
        language="en",
        prompt_logs_days=prompt_logs.DEFAULT_DAYS,
        tuning={},
    )


def change(db: Session, keys: Keys, guard: outbound.Guard, values: Mapping[str, Any], by: Principal) -> AiSettings:
    """Change what is given, `key` among it ("" or None removes it); raises Invalid naming the field.

    A new provider or base URL without a key drops the old key: it must not be shown to somebody else's server.
    """
    row = here(db)
    before = (row.provider, row.base_url)
    new = dict(values)
    key = new.pop("key", ...)
    _checked(new)
    for name, value in new.items():
        setattr(row, name, value)
    if key is ... and (row.provider, row.base_url) != before:
        key = None
    if key is not ...:
        row.sealed_key = keys.seal(PURPOSE, str(current(db)), str(key)) if key else None
        row.key_hint = str(key)[-4:] if key and len(str(key)) >= 12 else ""
    row.updated_at = clock.now()
    if row.provider not in ("", "none"):
        problem = llm.missing(_choice(row, "x" if row.sealed_key else ""))
        if problem:
            raise Invalid(problem, details={"provider": problem})
        _address(row, guard)
    db.add(row)
    db.flush()
    told = {name: value for name, value in new.items() if name != "tuning"} | (
        {"key": "set" if key else "removed"} if key is not ... else {}
    )
    audit.record(db, by, audit.Action.AI_SETTINGS_CHANGED, "ai_settings", row.id, told)
    return row


def _checked(new: dict[str, Any]) -> None:
    if new.get("provider") not in (None, "", "none"):
        try:
            new["provider"] = llm.provider(new["provider"])
        except ConfigurationError as problem:
            raise Invalid(problem.message, details={"provider": f"one of {', '.join(PROVIDERS)}, none, or empty"}) from problem
    if "language" in new:
        new["language"] = languages.check(new["language"])
    wrong = [name for name in new.get("options") or {} if name not in OPTIONS]
    if wrong:
        raise Invalid(f"there is no option {wrong[0][:60]!r}", details={"options": f"any of {', '.join(OPTIONS)}"})
    mode = (new.get("options") or {}).get("auth_mode", "api_key")
    if mode not in AUTH_MODES:
        raise Invalid(f"{str(mode)[:60]!r} is no way to sign in", details={"options.auth_mode": f"one of {', '.join(AUTH_MODES)}"})


def _address(row: AiSettings, guard: outbound.Guard) -> None:
    """Refuse an address that may not be called now; it is judged again with every call."""
    if row.provider == "bedrock" and row.base_url:
        raise Invalid("Amazon Bedrock is reached by its region", details={"base_url": "empty; set options.region"})
    parts = urlsplit(row.base_url)
    if row.base_url and (parts.scheme not in ("http", "https") or not parts.hostname or parts.username):
        raise Invalid(f"{row.base_url[:100]!r} is no address", details={"base_url": "http:// or https://, a host, no user or password"})
    host = urlsplit(row.base_url or PROVIDERS[row.provider].base_url).hostname or ""
    literal = "127.0.0.1" if host == "localhost" else host
    try:
        ipaddress.ip_address(literal)
    except ValueError:
        return  # a name: it is resolved and judged with each call
    if not guard.allows(host, literal):
        raise Invalid(
            f"{host} is a private address; who runs this server can allow it with EVERFIX_OUTBOUND_ALLOW={host}",
            details={"base_url": "an address in public, or one that EVERFIX_OUTBOUND_ALLOW names"},
        )


def choices(db: Session, keys: Keys, settings: Settings) -> tuple[Choice, ...]:
    """Return whom this workspace may ask, in order: its own provider alone, else the environment's; empty: nobody."""
    row = here(db)
    if row.provider == "none":
        return ()
    if row.provider:
        return (_choice(row, _key(row, keys, db)),)
    return llm.configured(settings)


def _key(row: AiSettings, keys: Keys, db: Session) -> str:
    if row.sealed_key is None:
        return ""
    try:
        return str(keys.unseal(PURPOSE, str(current(db)), row.sealed_key))
    except BadEnvelope as problem:
        raise ConfigurationError("the key of the AI provider was sealed under another master key; enter it again") from problem


def _choice(row: AiSettings, key: str) -> Choice:
    options = {name: str(value) for name, value in row.options.items() if value}
    return Choice(row.provider, row.model, key, row.base_url, options, source="workspace")


@dataclass(frozen=True, slots=True)
class Effective:
    """Who is asked now: the workspace's choice, the environment's, or nobody; `problem` says why a configured one cannot be."""

    source: str
    provider: str = ""
    model: str = ""
    problem: str = ""


def effective(db: Session, keys: Keys, settings: Settings) -> Effective:
    """Return who would be asked now."""
    try:
        found = choices(db, keys, settings)
    except ConfigurationError as problem:
        return Effective("none", problem=problem.message)
    if not found:
        return Effective("none")
    return Effective(found[0].source, found[0].provider, found[0].model_of("balanced"))


def assistant(db: Session, keys: Keys, settings: Settings) -> llm.Assistant | None:
    """Return who answers this workspace's questions, or None: then the rules do and nothing leaves this host."""
    found = choices(db, keys, settings)
    return llm.Assistant(found, outbound.guard(settings)) if found else None


class Ready(BaseModel):
    """What the model answers to a test."""

    ready: bool


def task_test(job: jobs.Running) -> Json:
    """Job `ai.test`: ask the configured model one small question; the result says who answered, how fast and at what cost."""
    with job.database.transaction(job.workspace) as db:
        who = assistant(db, job.services.keys, job.services.settings)
    if who is None:
        raise jobs.Permanent("no language model is configured: the rules write, and nothing leaves this host")
    question = llm.Question("test", "Say that you are ready.", "Are you ready?", Ready, tier="fast")
    try:
        answer = who.ask(question)
    except llm.NoAnswer as problem:
        raise jobs.Permanent(problem.message) from problem
    finally:
        with job.database.transaction(job.workspace) as db:
            prompt_logs.record(db, who.calls, "job", job.job_id)
    last = who.calls[-1]
    cost = None if last.cost is None else float(last.cost)
    told = {"input_tokens": last.input_tokens, "output_tokens": last.output_tokens, "cost": cost, "priced_by": last.priced_by}
    return {"answered_by": answer.label, "version": answer.version, "seconds": round(last.seconds, 2), **told}


def task_purge(job: jobs.Running) -> Json:
    """Job `ai.purge`: remove the prompt logs that are older than the workspace keeps them."""
    with job.database.transaction(job.workspace) as db:
        return {"removed": prompt_logs.purge(db, here(db).prompt_logs_days)}


def asked(db: Session, keys: Keys, settings: Settings) -> tuple[llm.Assistant | None, str]:
    """Return who answers, or nobody and why a configured one cannot be asked: that fails no report."""
    try:
        return assistant(db, keys, settings), ""
    except ConfigurationError as problem:
        return None, problem.message


def redactor(db: Session) -> Redactor | None:
    """Return what hides personal data before a prompt, knowing the members' names; None where the workspace switched it off."""
    if not here(db).redact:
        return None
    people = db.execute(select(User.name, User.email).join(Member, Member.user_id == User.id).where(mine(Member))).all()
    return Redactor((row.name, row.email) for row in people)
