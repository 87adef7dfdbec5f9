"""`/v1/clusters`: patterns that share structure, and which; computed as a job."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Annotated
from uuid import UUID

from fastapi import APIRouter
from pydantic import BaseModel, ConfigDict
from sqlalchemy import select

from everfix.api import fields, pages
from everfix.core import ids
from everfix.core.db import Json
from everfix.deps import Db, Page, needs
from everfix.failures import clusters
from everfix.failures.clusters import Cluster
from everfix.identity.principals import Principal, Scope

router = APIRouter(prefix="/clusters", tags=["patterns"])
ClusterId = Annotated[UUID, fields.path_id(ids.Prefix.CLUSTER, "cluster", "cluster_id")]
Reader = Annotated[Principal, needs(Scope.PATTERNS_READ)]
Writer = Annotated[Principal, needs(Scope.PATTERNS_WRITE)]
SORTS = pages.Sorts({"risk_score": Cluster.risk_score, "issue_count": Cluster.issue_count}, "-risk_score")


class ClusterOut(BaseModel):
    """One cluster: its patterns, and the structure they share, the strongest first."""

    model_config = ConfigDict(from_attributes=True)

    id: ids.field(ids.Prefix.CLUSTER)  # type: ignore[valid-type]
    name: str
    pattern_ids: list[ids.field(ids.Prefix.PATTERN)]  # type: ignore[valid-type]
    shared: list[Json]
    issue_count: int
    risk_score: int
    computed_at: datetime


class ClusterDetail(ClusterOut):
    """One cluster with its ties: which two patterns share what, in bits."""

    edges: list[Json]


class Queued(BaseModel):
    """The job that computes."""

    job_id: ids.field(ids.Prefix.JOB)  # type: ignore[valid-type]
    status: str = "queued"


def shown(rows: Sequence[Cluster]) -> list[ClusterOut]:
    return [ClusterOut.model_validate(row) for row in rows]


def edges(row: Cluster) -> list[Json]:
    """Return a cluster's ties as the API shows them."""
    return [
        {
            "source": ids.show(ids.Prefix.PATTERN, UUID(edge["one"])),
            "target": ids.show(ids.Prefix.PATTERN, UUID(edge["other"])),
            "weight": edge["bits"],
            "shared": [{"kind": kind, "value": value, "bits": bits} for kind, value, bits in edge["shared"]],
        }
        for edge in row.edges
    ]


@router.get("")
def listed(db: Db, who: Reader, page: Page) -> pages.PageOf[ClusterOut]:
    """The clusters of the last computation, the riskiest first."""
    return pages.page(db, page, select(Cluster), Cluster.id, SORTS, shown)


@router.post("/recompute", status_code=202)
def recompute(db: Db, who: Writer) -> Queued:
    """Compute the clusters anew, as a job; one that waits already is answered."""
    return Queued(job_id=clusters.recompute(db, by=who))


@router.get("/{cluster_id}")
def one(db: Db, who: Reader, cluster_id: ClusterId) -> ClusterDetail:
    """One cluster with its ties."""
    row = clusters.get(db, cluster_id)
    return ClusterDetail.model_validate({**ClusterOut.model_validate(row).model_dump(), "edges": edges(row)})
