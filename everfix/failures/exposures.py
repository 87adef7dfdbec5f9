"""Exposures: on how many days a fix could have shown that it does not hold, and which failures of the pattern came in them.

A day without failures proves something only while the tools that used to report the pattern still report at all.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, timedelta
from itertools import pairwise
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.core.db import Json
from everfix.failures import claims
from everfix.failures.claims import Claim, Known, Seen

BEFORE_DAYS = 90  # how far back it is looked how often a tool reports
QUIET = 2.0  # a tool that is silent for this many times its longest earlier silence no longer reports
SHORTEST_SILENCE = 3.0  # days of silence that are never suspicious
TOLD = 20  # failures that do not count which are kept with their reasons, newest first


@dataclass(frozen=True, slots=True)
class Since:
    """What came of a pattern since a fix: failing days that count, the first of them, and what does not count with why."""

    counted_days: int
    first: datetime | None
    not_counted: int
    told: list[Json] = field(default_factory=list)


def known(db: Session) -> Known:
    """Return when each release was first seen, in a change or in a failure."""
    rows = db.execute(text(_RELEASES))
    return Known({row.name: row.at for row in rows})


_RELEASES = """
SELECT name, min(at) AS at FROM (
    SELECT release AS name, min(occurred_at) AS at FROM issues WHERE release IS NOT NULL GROUP BY release
    UNION ALL
    SELECT coalesce(metadata->>'release', metadata->>'version'), min(occurred_at) FROM changes
    WHERE kind IN ('deploy', 'release') AND coalesce(metadata->>'release', metadata->>'version') <> '' GROUP BY 1
) seen GROUP BY name
"""


def since(db: Session, pattern_id: UUID, claim: Claim, at: datetime, releases: Known, until: datetime) -> Since:
    """Return what came of the pattern after `at` and up to `until`, each failure judged by `claims.counts`."""
    edges = _edges(claim, at, releases)
    rows = db.execute(text(_SINCE), {"pattern": pattern_id, "at": at, "until": until, **edges}).all()
    counted: set[date] = set()
    first: datetime | None = None
    spared = 0
    told: list[Json] = []
    for row in rows:
        seen = Seen(row.last, row.release, row.environment, row.flags if isinstance(row.flags, dict) else {})
        against, why = claims.counts(seen, claim, at, releases)
        if against:
            counted.add(row.day)
            first = row.first if first is None else min(first, row.first)
        else:
            spared += row.failures
            told.append({"issue_id": str(row.issue), "at": row.last.isoformat(), "failures": row.failures, "why": why})
    told.sort(key=lambda one: str(one["at"]), reverse=True)
    return Since(len(counted), first, spared, told[:TOLD])


def _edges(claim: Claim, at: datetime, releases: Known) -> dict[str, datetime]:
    """Return the moments at which `claims.counts` changes its mind: failures between two of them are judged together."""
    wanted = releases.next_after(at) if claim.release == claims.NEXT else claim.release
    return {"rolled": claim.rollout_ends_at or at + claims.GRACE, "appeared": releases.first_seen.get(wanted or "", at)}


# Both edges are part of what is grouped by, so that one judgement is right for every failure of a group.
_SINCE = """
SELECT occurred_at::date AS day, release, environment, flags, min(occurred_at) AS first, max(occurred_at) AS last, count(*)::int AS failures,
    (array_agg(id ORDER BY occurred_at DESC))[1] AS issue
FROM (SELECT id, occurred_at, release, environment, (metadata->'flags')::jsonb AS flags FROM issues
    WHERE pattern_id = :pattern AND occurred_at > :at AND occurred_at <= :until) i
GROUP BY day, release, environment, flags, occurred_at <= cast(:rolled AS timestamptz), occurred_at < cast(:appeared AS timestamptz)
"""


@dataclass(frozen=True, slots=True)
class Reporting:
    """Days on which each tool reported each pattern, as far as it matters to tell whether it still reports."""

    days: Mapping[str, Sequence[tuple[date, frozenset[UUID]]]]

    def exposed(self, sources: Sequence[str], pattern_id: UUID, start: datetime, until: datetime) -> tuple[float, str]:
        """Return how many days between `start` and `until` count, and why not all of them do ("" when they do)."""
        span = max(0.0, (until - start).total_seconds() / 86400)
        ends = [end for source in sources if (end := self._ends(source, pattern_id, start, until)) is not None]
        if not ends or len(ends) < len(sources) or max(ends) >= until:
            return span, ""
        last = max(ends)
        shown = max(0.0, (last - start).total_seconds() / 86400)
        return shown, f"{', '.join(sources)} has reported nothing at all since then: silence after {last.date().isoformat()} proves nothing"

    def _ends(self, source: str, pattern_id: UUID, start: datetime, until: datetime) -> datetime | None:
        """Return until when the tool is known to report; None where it reports nothing else that could tell."""
        others = [day for day, patterns in self.days.get(source, ()) if patterns - {pattern_id}]
        before = [day for day in others if day <= start.date()]
        if len(before) < 3:
            return None
        longest = max((late - early).days for early, late in pairwise(before))
        patience = timedelta(days=max(SHORTEST_SILENCE, QUIET * longest))
        last = datetime.combine(others[-1], datetime.min.time(), start.tzinfo) + timedelta(days=1)
        return until if until - last <= patience else last


def reporting(db: Session, start: datetime, until: datetime) -> Reporting:
    """Return which tools reported which patterns on which days, from BEFORE_DAYS before `start` on."""
    rows = db.execute(text(_REPORTING), {"since": start - timedelta(days=BEFORE_DAYS), "until": until})
    found: dict[str, list[tuple[date, frozenset[UUID]]]] = {}
    for row in rows:
        found.setdefault(row.source, []).append((row.day, frozenset(row.patterns)))
    return Reporting(found)


# Two patterns are enough to tell whether a tool reported anything but the watched one.
_REPORTING = """
SELECT source, occurred_at::date AS day, (array_agg(DISTINCT pattern_id))[1:2] AS patterns FROM issues
WHERE occurred_at >= :since AND occurred_at <= :until AND pattern_id IS NOT NULL GROUP BY source, day ORDER BY source, day
"""


def sources(db: Session, pattern_ids: Sequence[UUID]) -> dict[UUID, list[str]]:
    """Return the tools that ever reported each pattern."""
    rows: Any = db.execute(
        text("SELECT pattern_id, array_agg(DISTINCT source ORDER BY source) AS names FROM issues WHERE pattern_id = ANY(:ids) GROUP BY 1"),
        {"ids": list(pattern_ids)},
    )
    return {row.pattern_id: list(row.names) for row in rows}
