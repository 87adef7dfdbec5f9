"""Clusters: patterns that share structure, and which: services, hours at which they fail together, a kind of error, words that few others use.

Two patterns are tied by what is rare: a service that every pattern has ties none. The evidence is added in bits, each part with its name;
from `TIED` on two patterns are tied, and patterns that are tied with most of each other are one cluster. Computed as a job, since it looks at all live patterns.
"""

from __future__ import annotations

import math
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import combinations
from typing import Any
from uuid import UUID

import numpy as np
from scipy.cluster import hierarchy
from scipy.spatial import distance
from sqlalchemy import Index, Uuid, delete, insert, select, text
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix import audit
from everfix.core import clock, ids, jobs
from everfix.core import db as database
from everfix.core.db import Base, Json, WorkspaceRow
from everfix.errors import NotFound
from everfix.failures import normalise, sources

TIED, TIED_OF = 4.0, 0.6  # bits of shared structure from which on two patterns are tied, and their share of what can be had among so few
TINY = 1e-9
COMMON = 0.5  # of a tie, that any two patterns of a cluster share on average
MOST_PATTERNS = 2_000  # the riskiest that one computation looks at
MOST_SHARING = 60  # patterns that may share one thing before it ties none of them
SINCE = timedelta(days=180)
LEAST_HOURS = 3  # hours that two patterns must share before their windows overlap
NAMES = {"service": "service", "team": "team", "error_type": "kind of error", "word": "word", "hours": "hours"}


class Cluster(WorkspaceRow, Base):
    """Patterns that are tied. `shared` names what they share with the bits it brings, `edges` the ties between two of them."""

    __tablename__ = "clusters"
    __table_args__ = (Index("ix_clusters_risk", "workspace_id", "risk_score", "id"),)

    name: Mapped[str]
    pattern_ids: Mapped[list[UUID]] = mapped_column(ARRAY(Uuid()))
    shared: Mapped[list[Json]]
    edges: Mapped[list[Json]]
    issue_count: Mapped[int]
    risk_score: Mapped[int]
    computed_at: Mapped[datetime]


@dataclass(frozen=True, slots=True)
class Node:
    """A pattern as clusters see it: what it has (kind, value), and the hours at which it failed."""

    id: UUID
    name: str
    issues: int
    risk: int
    has: frozenset[tuple[str, str]]
    hours: frozenset[int]


@dataclass(frozen=True, slots=True)
class Tie:
    """Two patterns and what they share: (kind, value, bits), the strongest first."""

    one: UUID
    other: UUID
    shared: tuple[tuple[str, str, float], ...]

    @property
    def bits(self) -> float:
        return sum(bits for _, _, bits in self.shared)


def ties(nodes: Sequence[Node]) -> list[Tie]:
    """Return which patterns are tied, and by what."""
    holders: dict[tuple[str, str], list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for thing in node.has:
            holders[thing].append(place)
    shared: dict[tuple[int, int], list[tuple[str, str, float]]] = defaultdict(list)
    for (kind, value), places in holders.items():
        if 2 <= len(places) <= MOST_SHARING:
            bits = round(math.log2((len(nodes) + 1) / len(places)) * (0.5 if kind == "word" else 1.0), 2)
            for pair in combinations(places, 2):
                shared[pair].append((kind, value, bits))
    for pair, bits, hours in _overlaps(nodes):
        shared[pair].append(("hours", f"{hours} hours in common", bits))
    made, enough = [], _enough(len(nodes))
    for (a, b), parts in shared.items():
        tie = Tie(nodes[a].id, nodes[b].id, tuple(sorted(parts, key=lambda part: (-part[2], part[:2]))[:6]))
        if tie.bits >= enough:
            made.append(tie)
    return sorted(made, key=lambda tie: (-tie.bits, tie.one, tie.other))


def _enough(many: int) -> float:
    """Return the bits from which on two of so many patterns are tied."""
    return min(TIED, TIED_OF * math.log2(many + 1))


def _overlaps(nodes: Sequence[Node]) -> Iterable[tuple[tuple[int, int], float, int]]:
    """Yield patterns that failed within the same hours more often than chance brings: the surprise in bits, at most 8."""
    at: dict[int, list[int]] = defaultdict(list)
    for place, node in enumerate(nodes):
        for hour in node.hours:
            at[hour].append(place)
    span = max(1, max(at, default=0) - min(at, default=0) + 1)
    common: dict[tuple[int, int], int] = defaultdict(int)
    for places in at.values():
        if len(places) <= MOST_SHARING:
            for pair in combinations(places, 2):
                common[pair] += 1
    for (a, b), many in common.items():
        expected = len(nodes[a].hours) * len(nodes[b].hours) / span
        if many >= LEAST_HOURS and many > 2 * expected:
            bits = many * math.log2(many / max(expected, 1e-9)) - (many - expected) / math.log(2)  # Poisson tail, by Chernoff's bound
            yield (a, b), round(min(8.0, bits / 2), 2), many


def gather(nodes: Sequence[Node], found: Sequence[Tie]) -> list[tuple[list[Node], list[Tie]]]:
    """Return the patterns that ties hold together, the riskiest first.

    Groups join, the closest first, while what any two of their patterns share is on average `COMMON` of a tie: a chain of ties, each for
    another reason, makes no cluster.
    """
    home = _joined(nodes, found, COMMON * _enough(len(nodes)))
    groups: dict[UUID, list[Node]] = defaultdict(list)
    for node in nodes:
        groups[home[node.id]].append(node)
    inside: dict[UUID, list[Tie]] = defaultdict(list)
    for tie in found:
        if home[tie.one] == home[tie.other]:
            inside[home[tie.one]].append(tie)
    made = [(sorted(held, key=lambda node: (-node.risk, node.id)), inside[one]) for one, held in groups.items() if len(held) > 1]
    return sorted(made, key=lambda pair: (-pair[0][0].risk, pair[0][0].id))


def _joined(nodes: Sequence[Node], found: Sequence[Tie], least: float) -> dict[UUID, UUID]:
    """Return the group of each node, named by its first node: average linkage over the ties, as long as the mean of the bits is `least`."""
    if not found:
        return {node.id: node.id for node in nodes}
    place = {node.id: n for n, node in enumerate(nodes)}
    bits = np.zeros((len(nodes), len(nodes)))
    for tie in found:
        bits[place[tie.one], place[tie.other]] = bits[place[tie.other], place[tie.one]] = tie.bits
    apart = bits.max() - bits
    np.fill_diagonal(apart, 0.0)
    groups = hierarchy.fcluster(hierarchy.linkage(distance.squareform(apart), "average"), bits.max() - least + TINY, "distance")
    first: dict[int, UUID] = {}
    return {node.id: first.setdefault(int(group), node.id) for node, group in zip(nodes, groups, strict=True)}


def structure(held: Sequence[Node], inside: Sequence[Tie]) -> list[Json]:
    """Return what the patterns of a cluster share: each thing with how many of them have it and the bits it brings to their ties."""
    bits: dict[tuple[str, str], float] = defaultdict(float)
    having: dict[tuple[str, str], set[UUID]] = defaultdict(set)
    for tie in inside:
        for kind, value, brings in tie.shared:
            thing = (kind, value) if kind != "hours" else ("hours", "fail at the same hours")
            bits[thing] += brings
            having[thing] |= {tie.one, tie.other}
    ranked = sorted(bits, key=lambda thing: (-bits[thing], thing))
    return [
        {"kind": kind, "value": value, "patterns": len(having[kind, value]), "of": len(held), "bits": round(bits[kind, value], 2)}
        for kind, value in ranked[:12]
    ]


def name(held: Sequence[Node], shared: Sequence[Mapping[str, Any]]) -> str:
    """Return a cluster's name: what it shares most."""
    first = shared[0]
    what = {"service": "in {}", "team": "of team {}", "error_type": "with {}", "word": "about {}", "hours": "that {}"}[first["kind"]]
    return f"{len(held)} patterns {what.format(first['value'])}"


def compute(db: Session, now: datetime) -> int:
    """Find the clusters of all live patterns anew; returns how many. Those that hold the same patterns keep their id."""
    database.lock(db, "clusters")
    nodes = _nodes(db, now)
    before = {tuple(sorted(row.pattern_ids)): row.id for row in db.execute(select(Cluster)).scalars()}
    rows = []
    for held, inside in gather(nodes, ties(nodes)):
        members = [node.id for node in held]
        shared = structure(held, inside)
        edges = [
            {"one": str(t.one), "other": str(t.other), "bits": round(t.bits, 2), "shared": [list(part) for part in t.shared]}
            for t in inside
        ]
        row = {"id": before.get(tuple(sorted(members))) or ids.new(), "name": name(held, shared), "pattern_ids": members, "shared": shared}
        rows.append(row | {"edges": edges, "issue_count": sum(n.issues for n in held), "risk_score": held[0].risk, "computed_at": now})
    db.execute(delete(Cluster))
    if rows:
        db.execute(insert(Cluster), rows)
    return len(rows)


def _nodes(db: Session, now: datetime) -> list[Node]:
    found = db.execute(text(_LIVE), {"since": now - SINCE, "most": MOST_PATTERNS}).all()
    hours = {
        row.pattern_id: frozenset(row.hours) for row in db.execute(text(_HOURS), {"ids": [row.id for row in found], "since": now - SINCE})
    }
    return [_node(row, hours.get(row.id, frozenset())) for row in found]


def _node(row: Any, hours: frozenset[int]) -> Node:  # noqa: ANN401 - a row of _LIVE
    given = {"service": row.service, "team": row.team, "error_type": row.fingerprint.get("error_type")}
    words = {
        word
        for word in normalise.words(normalise.without_placeholders(normalise.mask(row.name)))
        if len(word) > 3 and word not in sources.STOP
    }
    has = {(kind, str(value)) for kind, value in given.items() if value} | {("word", word) for word in sorted(words)[:20]}
    return Node(row.id, row.name, row.issue_count, row.risk_score, frozenset(has), hours)


_LIVE = """
SELECT id, name, service, team, fingerprint, issue_count, risk_score FROM patterns
WHERE status <> 'resolved' AND issue_count > 0 AND last_seen_at > :since ORDER BY risk_score DESC, id LIMIT :most
"""
_HOURS = """
SELECT pattern_id, array_agg((extract(epoch FROM hour) / 3600)::bigint) AS hours FROM pattern_hours
WHERE pattern_id = ANY(:ids) AND hour > :since GROUP BY pattern_id
"""


def get(db: Session, cluster_id: UUID) -> Cluster:
    """Return one cluster; raises NotFound."""
    row = db.execute(select(Cluster).where(Cluster.id == cluster_id)).scalar_one_or_none()
    if row is None:
        raise NotFound(f"no cluster {ids.show(ids.Prefix.CLUSTER, cluster_id)}")
    return row


def recompute(db: Session, *, by: audit.Actor) -> UUID:
    """Queue a computation, or return the one that waits."""
    waiting = select(jobs.Job.id).where(jobs.Job.kind == "failures.clusters", jobs.Job.status == jobs.Status.QUEUED).limit(1)
    found = db.execute(waiting).scalar_one_or_none()
    made = found or jobs.enqueue(db, "failures.clusters", {}, by=by.name)
    audit.record(db, by, audit.Action.CLUSTERS_RECOMPUTED, "job", made)
    return made


def task(job: jobs.Running) -> Json:
    """Job `failures.clusters`."""
    job.report(0.1, "looking for shared structure")
    with job.database.transaction(job.workspace) as db:
        return {"clusters": compute(db, clock.now())}
