"""Clusters: patterns that share structure, with the structure named, their graph, and the job that finds them anew."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any
from uuid import UUID

from fastapi import APIRouter
from sqlalchemy import select
from sqlalchemy.orm import Session
from starlette.responses import Response

from everfix.core import ids, jobs
from everfix.errors import NotFound
from everfix.failures import clusters
from everfix.failures.clusters import Cluster
from everfix.failures.patterns import Pattern
from everfix.identity.principals import Scope
from everfix.web import graphs, session, shell, shown

router = APIRouter(include_in_schema=False)
Json = dict[str, Any]
LISTED, MEMBERS, DRAWN, TIES, SMALL = 50, 200, 30, 100, 12
KINDS = {**clusters.NAMES, "hours": "time"}


@router.get("/clusters")
def listed(visit: session.sees(Scope.PATTERNS_READ)) -> Response:  # type: ignore[valid-type]
    """The clusters of the last computation, riskiest first, each with a small picture."""
    rows = list(visit.db.execute(select(Cluster).order_by(Cluster.risk_score.desc(), Cluster.id).limit(LISTED + 1)).scalars())
    known = _patterns(visit.db, {one for row in rows[:LISTED] for one in row.pattern_ids[:SMALL]})
    reader = shown.Reader.of(visit.here)
    found = [
        {
            "id": ids.show(ids.Prefix.CLUSTER, row.id),
            "name": row.name,
            "patterns": len(row.pattern_ids),
            "failures": row.issue_count,
            "risk": row.risk_score,
            "band": shown.band(row.risk_score),
            "shared": _shared(row.shared[:5]),
            "riskiest": [(ids.show(ids.Prefix.PATTERN, one.id), one.name) for one in _members(row, known, 3)],
            "graph": _graph(row, _members(row, known, SMALL), 240, 150, 22),
        }
        for row in rows[:LISTED]
    ]
    computed = reader.moment(rows[0].computed_at) if rows else ""
    return shell.page(
        visit, "clusters/list.html", clusters=found, more=len(rows) > LISTED, computed=computed, state=_state(visit.db, reader)
    )


@router.get("/clusters/state")
def state(visit: session.sees(Scope.PATTERNS_READ)) -> Response:  # type: ignore[valid-type]
    """How far the computation is; once it has ended the page is loaded anew."""
    found = _state(visit.db, shown.Reader.of(visit.here))
    answer = shell.page(visit, "clusters/state.html", state=found)
    if not found["live"]:
        answer.headers["HX-Refresh"] = "true"
    return answer


@router.post("/clusters/recompute")
def recompute(visit: session.changes(Scope.PATTERNS_WRITE)) -> Response:  # type: ignore[valid-type]
    """Have the clusters found anew."""
    clusters.recompute(visit.db, by=visit.who)
    return shell.go("/clusters")


@router.get("/clusters/{cluster_id}")
def one(visit: session.sees(Scope.PATTERNS_READ), cluster_id: str) -> Response:  # type: ignore[valid-type]
    """One cluster: what its patterns share, the graph, and every tie in a table."""
    wanted: UUID | None = shell.shown_id(ids.Prefix.CLUSTER, cluster_id)
    if wanted is None:
        raise NotFound(f"no cluster {cluster_id[:60]!r}")
    row = clusters.get(visit.db, wanted)
    known = _patterns(visit.db, set(row.pattern_ids[:MEMBERS]))
    members, reader = _members(row, known, MEMBERS), shown.Reader.of(visit.here)
    return shell.page(
        visit,
        "clusters/one.html",
        cluster=row,
        shown_id=ids.show(ids.Prefix.CLUSTER, row.id),
        band=shown.band(row.risk_score),
        computed=reader.moment(row.computed_at),
        shared=_shared(row.shared),
        members=[_member(reader, pattern) for pattern in members],
        graph=_graph(row, members[:DRAWN], 900, 460, 60),
        left_out=max(0, len(row.pattern_ids) - DRAWN),
        ties=_ties(row, known),
        ties_left=max(0, len(row.edges) - TIES),
    )


def _patterns(db: Session, wanted: set[UUID]) -> dict[UUID, Pattern]:
    return {row.id: row for row in db.execute(select(Pattern).where(Pattern.id.in_(wanted))).scalars()}


def _members(row: Cluster, known: dict[UUID, Pattern], most: int) -> list[Pattern]:
    """Return the first patterns of a cluster, riskiest first; one that was removed since is left out."""
    return [known[one] for one in row.pattern_ids[:most] if one in known]


def _shared(parts: Sequence[Json]) -> list[Json]:
    return [{**part, "kind": KINDS.get(part["kind"], part["kind"])} for part in parts]


def _member(reader: shown.Reader, pattern: Pattern) -> Json:
    return {
        "id": ids.show(ids.Prefix.PATTERN, pattern.id),
        "name": pattern.name,
        "service": pattern.service or "",
        "status": pattern.status,
        "risk": pattern.risk_score,
        "band": shown.band(pattern.risk_score),
        "failures": pattern.issue_count,
        "last": reader.moment(pattern.last_seen_at),
    }


def _graph(row: Cluster, members: Sequence[Pattern], width: int, height: int, margin: int) -> Json:
    """Return the picture of a cluster: circles by failures and risk, lines by how much two share."""
    at = {pattern.id: number for number, pattern in enumerate(members)}
    edges = [
        (at[one], at[other], edge["bits"], edge["shared"])
        for edge in row.edges
        for one, other in [_ends(edge)]
        if {one, other} <= at.keys()
    ]
    places = graphs.place(len(members), [edge[:3] for edge in edges], width, height, margin)
    most = max((pattern.issue_count for pattern in members), default=1) or 1
    strongest = max((bits for _, _, bits, _ in edges), default=1.0) or 1.0
    return {
        "width": width,
        "height": height,
        "lines": [
            {"from": places[a], "to": places[b], "weight": round(1 + 4 * bits / strongest, 1), "said": _said(parts)}
            for a, b, bits, parts in edges
        ],
        "nodes": [
            {
                "id": ids.show(ids.Prefix.PATTERN, pattern.id),
                "name": pattern.name,
                "x": x,
                "y": y,
                "radius": round((0.35 + 0.65 * math.sqrt(pattern.issue_count / most)) * margin * 0.4, 1),
                "band": shown.band(pattern.risk_score),
                "anchor": "start" if x < width * 0.2 else "end" if x > width * 0.8 else "middle",
            }
            for pattern, (x, y) in zip(members, places, strict=True)
        ],
    }


def _ends(edge: Json) -> tuple[UUID, UUID]:
    return UUID(edge["one"]), UUID(edge["other"])


def _said(parts: Sequence[Sequence[Any]]) -> str:
    return ", ".join(value if kind == "hours" else f"{KINDS.get(kind, kind)} {value}" for kind, value, _bits in parts)


def _ties(row: Cluster, known: dict[UUID, Pattern]) -> list[Json]:
    """Return the strongest ties: which two, what they share, and how much that says in bits."""
    made = []
    for edge in row.edges[:TIES]:
        ends = [known[one] for one in _ends(edge) if one in known]
        if len(ends) == 2:
            named = [(ids.show(ids.Prefix.PATTERN, pattern.id), pattern.name) for pattern in ends]
            made.append({"one": named[0], "other": named[1], "said": _said(edge["shared"]), "bits": f"{edge['bits']:.1f}"})
    return made


def _state(db: Session, reader: shown.Reader) -> Json:
    """Return what became of the newest computation that was asked for; `live` while it goes on."""
    newest = select(jobs.Job).where(jobs.Job.kind == "failures.clusters").order_by(jobs.Job.id.desc()).limit(1)
    job = db.execute(newest).scalar_one_or_none()
    if job is None:
        return {"live": False, "status": "", "found": None}
    return {
        "live": job.status in (jobs.Status.QUEUED, jobs.Status.RUNNING),
        "status": str(job.status),
        "percent": round(100 * job.progress),
        "message": job.message,
        "error": (job.error or "").strip().splitlines()[-1][:300] if job.error else "",
        "found": (job.result or {}).get("clusters"),
        "at": reader.moment(job.finished_at) if job.finished_at else "",
    }
