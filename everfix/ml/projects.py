"""Projects: the folders of ML work in a workspace, who may see each, and the one way to anything that belongs to one.

A person sees a project as its member; the workspace's admins and owners, service accounts (whose scopes an admin chose) and the
system see all. What is not visible is not there (404); what may only be read answers a change with 403.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from enum import StrEnum
from typing import Any, ClassVar, Literal, TypeVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict
from sqlalchemy import CheckConstraint, ColumnElement, ForeignKey, Index, Select, delete, func, select, true
from sqlalchemy.orm import InstrumentedAttribute, Mapped, Session, declared_attr, mapped_column

from everfix import audit
from everfix.core import clock, fields, ids
from everfix.core.db import Base, WorkspaceRow, created, lock, refers
from everfix.errors import Conflict, Forbidden, NotFound
from everfix.identity.members import Member as WorkspaceMember
from everfix.identity.principals import Principal
from everfix.identity.principals import Role as WorkspaceRole
from everfix.identity.users import User
from everfix.ml import tables


class Role(StrEnum):
    """What a member may do in a project; each may all that the one before it may."""

    VIEWER = "viewer"
    EDITOR = "editor"
    ADMIN = "admin"

    @property
    def rank(self) -> int:
        return list(Role).index(self)


class Project(WorkspaceRow, Base):
    """A folder of ML work."""

    __tablename__ = "ml_projects"
    __table_args__ = (
        CheckConstraint("status IN ('active', 'archived')", name="status"),
        Index("ix_ml_projects_created", "workspace_id", "created_at", "id"),
        Index("uq_ml_projects_external", "workspace_id", "external_id", unique=True),
    )

    name: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    status: Mapped[str] = mapped_column(server_default="active")
    external_id: Mapped[str | None]
    created_at: Mapped[datetime] = created()
    updated_at: Mapped[datetime] = created()


class Member(WorkspaceRow, Base):
    """A person's place in a project."""

    __tablename__ = "ml_members"
    __table_args__ = (
        refers("project_id", "ml_projects"),
        CheckConstraint("role IN ('viewer', 'editor', 'admin')", name="role"),
        Index("uq_ml_members_user", "workspace_id", "project_id", "user_id", unique=True),
        Index("ix_ml_members_user", "workspace_id", "user_id"),
    )

    project_id: Mapped[UUID]
    user_id: Mapped[UUID] = mapped_column(ForeignKey("users.id", ondelete="CASCADE"))
    role: Mapped[str]
    created_at: Mapped[datetime] = created()


class Belonging(WorkspaceRow):
    """A row of one project. `external_id` names it where it came from: sent again, it changes this row and makes no second one."""

    NOUN: ClassVar[str]
    PREFIX: ClassVar[ids.Prefix]

    @declared_attr
    @classmethod
    def project_id(cls) -> Mapped[UUID]:
        return mapped_column(sort_order=-1)

    @declared_attr
    @classmethod
    def external_id(cls) -> Mapped[str | None]:
        return mapped_column(sort_order=-1)

    @declared_attr
    @classmethod
    def created_at(cls) -> Mapped[datetime]:
        return mapped_column(server_default=func.now(), sort_order=90)

    @declared_attr
    @classmethod
    def updated_at(cls) -> Mapped[datetime]:
        return mapped_column(server_default=func.now(), sort_order=91)


Row = TypeVar("Row", bound=Belonging)


def belongs(table: str) -> tuple[Any, ...]:
    """Return what every table of things in a project declares: its project, and one row per outside name."""
    return (
        refers("project_id", "ml_projects"),
        Index(f"uq_{table}_external", "workspace_id", "project_id", "external_id", unique=True),
        Index(f"ix_{table}_project", "workspace_id", "project_id", "created_at", "id"),
    )


class Record(BaseModel):
    """A project as it comes in."""

    model_config = ConfigDict(extra="forbid")

    name: fields.text(200, 1)  # type: ignore[valid-type]
    description: fields.text(5_000) = ""  # type: ignore[valid-type]
    status: Literal["active", "archived"] = "active"
    external_id: fields.text(512, 1) | None = None  # type: ignore[valid-type]


class Change(BaseModel):
    """What may change of a project."""

    model_config = ConfigDict(extra="forbid")

    name: fields.text(200, 1) | None = None  # type: ignore[valid-type]
    description: fields.text(5_000) | None = None  # type: ignore[valid-type]
    status: Literal["active", "archived"] | None = None


def sees_all(by: Principal) -> bool:
    """Tell whether membership does not narrow this caller."""
    return by.kind != "user" or by.role in (WorkspaceRole.ADMIN, WorkspaceRole.OWNER)


def visible(column: InstrumentedAttribute[UUID], by: Principal) -> ColumnElement[bool]:
    """Return the condition that the project which `column` names is one that `by` may see."""
    if sees_all(by):
        return true()
    return column.in_(select(Member.project_id).where(Member.user_id == by.actor_id))


def role_of(db: Session, project_id: UUID, by: Principal) -> Role | None:
    """Return what `by` may do in a project, or None where it is not visible."""
    if sees_all(by):
        return Role.ADMIN if db.execute(select(Project.id).where(Project.id == project_id)).one_or_none() else None
    found = db.execute(select(Member.role).where(Member.project_id == project_id, Member.user_id == by.actor_id)).scalar_one_or_none()
    return None if found is None else Role(found)


def require(db: Session, project_id: UUID, by: Principal, need: Role) -> None:
    """Raise NotFound where the project is not visible to `by`, Forbidden where the project role does not reach `need`."""
    role = role_of(db, project_id, by)
    if role is None:
        raise NotFound(f"no project {ids.show(ids.Prefix.ML_PROJECT, project_id)}")
    if role.rank < need.rank:
        raise Forbidden(f"this needs the project role {need}; yours is {role}")


def get(db: Session, project_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Project:
    """Return one project; raises NotFound, and Forbidden where the caller's role does not reach `need`."""
    found = db.execute(select(Project).where(Project.id == project_id)).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no project {ids.show(ids.Prefix.ML_PROJECT, project_id)}")
    require(db, project_id, by, need)
    return found


def belonging(db: Session, table: type[Row], row_id: UUID, by: Principal, need: Role = Role.VIEWER) -> Row:
    """Return a row of a visible project; raises NotFound, and Forbidden where the caller's role does not reach `need`."""
    found = db.execute(select(table).where(table.id == row_id, visible(table.project_id, by))).scalar_one_or_none()
    if found is None:
        raise NotFound(f"no {table.NOUN} {ids.show(table.PREFIX, row_id)}")
    require(db, found.project_id, by, need)
    return found


def within(table: type[Row], by: Principal, project_id: UUID | None = None) -> Select[Row]:
    """Return the query for the rows that `by` may see, of one project or of all."""
    query = select(table).where(visible(table.project_id, by))
    return query if project_id is None else query.where(table.project_id == project_id)


def known(db: Session, table: type[Row], project_id: UUID, external_id: str | None) -> Row | None:
    """Return the row that carries this outside name, locked, or None."""
    if external_id is None:
        return None
    query = select(table).where(table.project_id == project_id, table.external_id == external_id)
    return db.execute(query.with_for_update()).scalar_one_or_none()


Outcome = Literal["new", "changed", "same"]


def put(db: Session, table: type[Row], values: dict[str, Any]) -> tuple[Row, Outcome]:
    """Store a row: a new one, or the one that already carries its `external_id`; says whether that changed anything."""
    row = known(db, table, values["project_id"], values.get("external_id"))
    outcome: Outcome = "same"
    if row is None:
        row, outcome = table(id=ids.new(), **values), "new"  # type: ignore[call-arg]  # columns of a mapped class
        db.add(row)
    elif any(getattr(row, name) != value for name, value in values.items()):
        for name, value in values.items():
            setattr(row, name, value)
        row.updated_at, outcome = clock.now(), "changed"
    db.flush()
    db.refresh(row)
    return row, outcome


def keep(db: Session, table: type[Row], values: dict[str, Any], by: Principal, action: audit.Action) -> Row:
    """Store a row of a project that `by` may edit, and write it down."""
    require(db, values["project_id"], by, Role.EDITOR)
    row, outcome = put(db, table, values)
    told = {"name": values.get("name", ""), "created": outcome == "new"}
    audit.record(db, by, action, table.__tablename__.removeprefix("ml_"), row.id, told)  # type: ignore[attr-defined]
    return row


def change(db: Session, row: Row, values: dict[str, Any], by: Principal, action: audit.Action) -> Row:
    """Write new values into a row that was read with `belonging(…, need=EDITOR)`."""
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = clock.now()
    db.flush()
    audit.record(db, by, action, type(row).__tablename__.removeprefix("ml_"), row.id, {"changed": sorted(values)})  # type: ignore[attr-defined]
    return row


def attach(db: Session, row: Row, column: str, table: tables.Table, by: Principal) -> Row:
    """Let `table` be what `column` of a row names, read with `need=EDITOR`; the table before it is forgotten."""
    before: UUID | None = getattr(row, column)
    row = change(db, row, {column: table.id}, by, audit.Action.ML_TABLE_UPLOADED)
    tables.forget(db, [before], by=by.name)
    return row


def hold(db: Session, row: Belonging) -> None:
    """Let no other transaction work on this thing until this one ends."""
    lock(db, f"{type(row).__tablename__}:{row.id}")  # type: ignore[attr-defined]


def create(db: Session, body: Record, by: Principal) -> Project:
    """Make a project; a person who makes it is its admin."""
    if body.external_id is not None:
        held = db.execute(select(Project).where(Project.external_id == body.external_id)).scalar_one_or_none()
        if held is not None:
            return edit(db, get(db, held.id, by, Role.EDITOR), Change(**body.model_dump(exclude={"external_id"}, exclude_unset=True)), by)
    row = Project(id=ids.new(), **body.model_dump())
    db.add(row)
    db.flush()
    if by.kind == "user" and by.actor_id is not None:
        db.add(Member(id=ids.new(), project_id=row.id, user_id=by.actor_id, role=Role.ADMIN))
        db.flush()
    db.refresh(row)
    audit.record(db, by, audit.Action.ML_PROJECT_CREATED, "ml_project", row.id, {"name": row.name})
    return row


def edit(db: Session, row: Project, body: Change, by: Principal) -> Project:
    """Write what was sent into a project that was read with `need=EDITOR`."""
    values = body.model_dump(exclude_unset=True, exclude_none=True)
    for name, value in values.items():
        setattr(row, name, value)
    row.updated_at = clock.now()
    db.flush()
    audit.record(db, by, audit.Action.ML_PROJECT_UPDATED, "ml_project", row.id, {"changed": sorted(values)})
    return row


def listed(by: Principal) -> Select[Project]:
    """Return the query for the projects that `by` may see."""
    return select(Project).where(visible(Project.id, by))


def members(db: Session, project_id: UUID) -> Sequence[tuple[Member, User]]:
    """Return who belongs to a project, the strongest first."""
    query = select(Member, User).join(User, User.id == Member.user_id).where(Member.project_id == project_id).order_by(Member.created_at)
    return [(row[0], row[1]) for row in db.execute(query)]


def add_member(db: Session, project_id: UUID, email: str, role: Role, by: Principal) -> tuple[Member, User]:
    """Give a person of the workspace a role in the project, or change it; raises NotFound for anybody else."""
    require(db, project_id, by, Role.ADMIN)
    query = select(User).join(WorkspaceMember, WorkspaceMember.user_id == User.id)
    user = db.execute(query.where(User.email == email.strip().lower(), WorkspaceMember.status == "active")).scalar_one_or_none()
    if user is None:
        raise NotFound(f"nobody with the address {email[:80]!r} is an active member of this workspace")
    row = db.execute(select(Member).where(Member.project_id == project_id, Member.user_id == user.id)).scalar_one_or_none()
    if row is None:
        row = Member(id=ids.new(), project_id=project_id, user_id=user.id, role=role)
        db.add(row)
    row.role = role
    db.flush()
    db.refresh(row)
    audit.record(db, by, audit.Action.ML_MEMBER_ADDED, "ml_project", project_id, {"user": str(user.id), "role": role})
    return row, user


def remove_member(db: Session, project_id: UUID, member_id: UUID, by: Principal) -> None:
    """Take a person out of a project; raises NotFound, and Conflict for the last admin of a project that nobody else could tend."""
    require(db, project_id, by, Role.ADMIN)
    row = db.execute(select(Member).where(Member.project_id == project_id, Member.id == member_id)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"no member {ids.show(ids.Prefix.ML_MEMBER, member_id)} in this project")
    others = db.execute(
        select(func.count()).where(Member.project_id == project_id, Member.role == Role.ADMIN, Member.id != member_id)
    ).scalar_one()
    if row.role == Role.ADMIN and not others:
        raise Conflict("this is the project's last admin; make somebody else one first")
    db.execute(delete(Member).where(Member.id == member_id))
    audit.record(db, by, audit.Action.ML_MEMBER_REMOVED, "ml_project", project_id, {"user": str(row.user_id)})


def remove(db: Session, project_id: UUID, by: Principal) -> None:
    """Remove a project and all inside, files included."""
    row = get(db, project_id, by, Role.ADMIN)
    tables.forget(db, tables.of_project(db, project_id), by=by.name)
    db.delete(row)
    db.flush()
    audit.record(db, by, audit.Action.ML_DELETED, "ml_project", project_id, {"name": row.name})


def drop(db: Session, row: Belonging, table_ids: Sequence[UUID | None], by: Principal) -> None:
    """Remove a thing of a project that was read with `need=EDITOR`, and the tables that were its own."""
    tables.forget(db, table_ids, by=by.name)
    db.delete(row)
    db.flush()
    audit.record(db, by, audit.Action.ML_DELETED, type(row).__tablename__.removeprefix("ml_"), row.id)  # type: ignore[attr-defined]
