"""How ML things are shown: every stored field under its own name, ids with their prefixes."""

from __future__ import annotations

from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import BaseModel, ConfigDict

from everfix.api import fields
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import needs
from everfix.identity.principals import Principal, Scope

Reader = Annotated[Principal, needs(Scope.ML_READ)]
Writer = Annotated[Principal, needs(Scope.ML_WRITE)]
OfProject = Annotated[UUID | None, fields.query_id(ids.Prefix.ML_PROJECT, "project_id")]
Search = fields.Search  # a part of the name, in any case

ProjectId: Any = ids.field(ids.Prefix.ML_PROJECT)
TableId: Any = ids.field(ids.Prefix.ML_TABLE)
VersionId: Any = ids.field(ids.Prefix.DATASET_VERSION)


class Out(BaseModel):
    """A row as it is shown."""

    model_config = ConfigDict(from_attributes=True)


class Owned(Out):
    """What every thing of a project shows."""

    project_id: ProjectId
    external_id: str | None
    created_at: datetime
    updated_at: datetime


class TableOut(Out):
    """A stored table."""

    id: TableId
    role: str
    file_name: str
    format: str
    bytes: int
    sha256: str
    rows: int
    columns: int
    rejected: int
    rejects: list[Json]
    created_at: datetime
