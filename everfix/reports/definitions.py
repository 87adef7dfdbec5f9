"""Definitions: what a report is, saved under a name: its parts, window, formats, filters, narrative, and under whose rights it runs."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any
from uuid import UUID

from sqlalchemy import ARRAY, CheckConstraint, ForeignKey, Index, Uuid, delete, select
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit, documents
from everfix.core import clock, ids, languages
from everfix.core.db import Base, Json, WorkspaceRow, created
from everfix.documents import model
from everfix.errors import Invalid, NotFound
from everfix.identity.members import Member
from everfix.identity.principals import Principal
from everfix.metrics import narrow
from everfix.reports import templates, windows
from everfix.reports.ml import entities

ORIGINS = ("api", "dashboard", "builtin", "schedule")
RUN_AS = ("owner", "recipient")
NARRATIVE = {"enabled": bool, "prompt": str, "model_override": str, "language": str}
LONGEST_PROMPT, LONGEST_WORD = 4_000, 200


class Definition(WorkspaceRow, Base):
    """One saved report. `origin` "schedule" is one that a workspace-level schedule brought along: it goes with it, and no list shows it.

    `surface` is what a compatibility surface keeps with it to answer as it was asked; nothing here reads it.
    """

    __tablename__ = "report_definitions"
    __table_args__ = (
        CheckConstraint("origin IN ('api', 'dashboard', 'builtin', 'schedule')", name="origin"),
        CheckConstraint("run_as IN ('owner', 'recipient')", name="run_as"),
        CheckConstraint("cardinality(formats) > 0", name="formats"),
        Index("ix_report_definitions_created", "workspace_id", "created_at", "id"),
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    template: Mapped[str]
    sections: Mapped[list[Json]] = mapped_column(server_default="[]")
    window: Mapped[str]
    formats: Mapped[list[str]]
    filters: Mapped[Json] = mapped_column(server_default="{}")
    narrative: Mapped[Json] = mapped_column(server_default='{"enabled": true}')
    enabled: Mapped[bool] = mapped_column(server_default="true")
    origin: Mapped[str] = mapped_column(server_default="api")
    run_as: Mapped[str] = mapped_column(server_default="owner")
    owner_user_id: Mapped[UUID | None] = mapped_column(ForeignKey("users.id", ondelete="SET NULL"))
    adopted_by: Mapped[str | None]
    destinations: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()), server_default="{}")
    brand: Mapped[Json] = mapped_column(server_default="{}")
    surface: Mapped[Json] = mapped_column(server_default="{}")
    created_by: Mapped[str] = mapped_column(server_default="")
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


def create(db: Session, by: Principal, *, template: str = "blank", origin: str = "api", **given: Any) -> Definition:  # noqa: ANN401 - columns
    """Save a report; raises Invalid naming the field, what came and what is allowed. What is not given is the template's."""
    chosen = templates.get(template)
    found = Definition(
        id=ids.new(),
        name=chosen.name,
        template=chosen.key,
        origin=origin,
        window=chosen.window,
        formats=[chosen.format],
        sections=[],
        owner_user_id=by.actor_id if by.kind == "user" else None,
        created_by=by.name,
        created_at=clock.now(),
        updated_at=clock.now(),
    )
    if chosen.key != "blank" or given.get("sections") is not None:
        found.sections = templates.sections_of(chosen, given.get("sections"))
        found.template = templates.fitting(chosen, found.sections).key
    _write(found, {key: value for key, value in given.items() if key != "sections"})
    if not found.sections:
        templates.sections_of(chosen, None)  # says what is missing
    _require_seen(db, found, by)
    db.add(found)
    db.flush()
    audit.record(db, by, audit.Action.REPORT_CREATED, "report", found.id, {"name": found.name, "template": found.template})
    return found


def change(db: Session, definition_id: UUID, by: Principal, **given: Any) -> Definition:  # noqa: ANN401 - columns
    """Change the fields that are given; raises NotFound, Invalid."""
    found = get(db, definition_id)
    if "template" in given and given["template"] is not None:
        found.template = templates.get(given["template"]).key
        if given.get("sections") is None:
            found.sections = templates.sections_of(templates.get(found.template), None)
    if given.get("sections") is not None:
        found.sections = _kept(found, templates.sections_of(templates.get("blank"), given["sections"]))
        found.template = templates.fitting(templates.get(found.template), found.sections).key
    if {"template", "sections", "run_as"} & set(given):
        _require_seen(db, found, by)
    _write(found, {key: value for key, value in given.items() if key not in ("sections", "template")})
    found.updated_at = clock.now()
    db.flush()
    audit.record(db, by, audit.Action.REPORT_UPDATED, "report", found.id, {"fields": sorted(given)})
    return found


def _require_seen(db: Session, found: Definition, by: Principal) -> None:
    """Raise NotFound, Forbidden where a report on ML work is not on something that its maker may have reports on, as where one is ordered."""
    kind = templates.about(found.sections)
    if kind is not None:
        entities.writable(db, kind, found.sections[0]["params"]["entity_id"], by)


def _kept(found: Definition, wanted: list[Json]) -> list[Json]:
    """Return the parts that were asked for; raises Invalid where they would change what a dashboard showed when it was saved."""

    def asked(parts: list[Json]) -> list[Json]:
        return [{key: part.get(key) for key in ("section", "source")} | {"params": part.get("params") or {}} for part in parts]

    if found.origin == "dashboard" and asked(wanted) != asked(found.sections):
        raise Invalid(
            "this report shows what its dashboard showed when it was saved: delete it and save the dashboard again",
            details={"dataSources": "as they were saved"},
        )
    return wanted


def _write(found: Definition, given: Mapping[str, Any]) -> None:
    for key, value in given.items():
        if value is None:
            continue
        setattr(found, key, _READ[key](value) if key in _READ else value)


def _name(value: str) -> str:
    if not value.strip():
        raise Invalid("a report needs a name", details={"name": "1 to 200 characters"})
    return value.strip()


def formats(wanted: Sequence[str]) -> list[str]:
    """Return the formats' own names, each once; raises Invalid for an unknown one, and for none."""
    if not wanted:
        raise Invalid("choose at least one format", details={"formats": f"at least one of {', '.join(documents.RENDERERS)}"})
    try:
        return list(dict.fromkeys(documents.renderer(item).key for item in wanted))
    except ValueError as problem:
        raise Invalid(str(problem), details={"format": f"one of {', '.join(documents.RENDERERS)}"}) from problem


def narrative(value: Json) -> Json:
    allowed = {"narrative": "enabled (true or false), prompt, model_override, language"}
    for key, item in value.items():
        if key not in NARRATIVE or not (item is None or isinstance(item, NARRATIVE[key])):
            raise Invalid(f"narrative.{key[:40]}: {str(item)[:40]!r} is not allowed", details=allowed)
        if isinstance(item, str) and len(item) > (LONGEST_PROMPT if key == "prompt" else LONGEST_WORD):
            raise Invalid(f"narrative.{key} is too long", details=allowed)
    languages.check(value.get("language") or "en")
    return {"enabled": True, **{key: item for key, item in value.items() if item is not None}}


def _brand(value: Json) -> Json:
    try:
        model.Brand(**value)
    except ValueError as problem:
        raise Invalid(f"brand: {problem}", details={"brand": "name, colour like #0f766e, logo_svg"}) from problem
    return value


def _run_as(value: str) -> str:
    if value not in RUN_AS:
        raise Invalid(f"run_as: {value[:40]!r} is not allowed", details={"run_as": "owner or recipient"})
    return value


_READ: dict[str, Any] = {
    "name": _name,
    "formats": formats,
    "filters": narrow.read,
    "narrative": narrative,
    "brand": _brand,
    "run_as": _run_as,
    "window": windows.read,
}


def remove(db: Session, definition_id: UUID, by: Principal) -> None:
    """Remove a report and its schedules; its runs stay, they are records. Raises NotFound."""
    found = get(db, definition_id)
    db.execute(delete(Definition).where(Definition.id == found.id))
    audit.record(db, by, audit.Action.REPORT_DELETED, "report", found.id, {"name": found.name})


def adopt(db: Session, definition_id: UUID, by: Principal) -> Definition:
    """Let a report whose owner has left go on under the workspace's rights, on the word of the one who calls."""
    found = get(db, definition_id)
    found.adopted_by, found.updated_at = by.name, clock.now()
    audit.record(db, by, audit.Action.REPORT_ADOPTED, "report", found.id, {"name": found.name})
    return found


def find(db: Session, definition_id: UUID) -> Definition | None:
    """Return one definition, or None."""
    return db.execute(select(Definition).where(Definition.id == definition_id)).scalar_one_or_none()


def get(db: Session, definition_id: UUID) -> Definition:
    """Return one definition; raises NotFound."""
    found = find(db, definition_id)
    if found is None:
        raise NotFound(f"no report {ids.show(ids.Prefix.REPORT, definition_id)}")
    return found


def listed(db: Session, *, origins: Sequence[str] = ("api", "dashboard", "builtin")) -> list[Definition]:
    """Return the saved reports, newest first."""
    query = select(Definition).where(Definition.origin.in_(origins)).order_by(Definition.created_at.desc(), Definition.id.desc())
    return list(db.execute(query).scalars())


def orphaned(db: Session, found: Definition) -> bool:
    """Tell whether the one whose rights it ran under has left, and no admin has adopted it."""
    if found.owner_user_id is None or found.adopted_by is not None:
        return False
    query = select(Member.id).where(Member.user_id == found.owner_user_id, Member.status == "active")
    return db.execute(query).one_or_none() is None
