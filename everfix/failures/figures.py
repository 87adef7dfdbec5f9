"""A pattern's figures, kept by differences: what an issue adds or takes away is noted as it changes and folded in when the pattern is counted.

A trigger on `issues` writes one row to `pattern_deltas` for each issue that came, left or changed what counts, whoever changed it. `fold`
takes these rows up, so a count costs as much as what changed, however long the history is. `rebuild` counts from the issues themselves.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from uuid import UUID

from sqlalchemy import BigInteger, Identity, Index, PrimaryKeyConstraint, SmallInteger, text
from sqlalchemy.orm import Mapped, Session, mapped_column

from everfix.core.db import CURRENT, Base, refers

CONFIRMED_FAILURES, CONFIRMED_DAYS = 3, 2  # what turns an emerging pattern active
PRIOR_MEMBERS = 2.0  # how many members of confidence 0.5 a new pattern starts with


class PatternHour(Base):
    """How often a pattern failed in one hour: all that forecasts need of its history."""

    __tablename__ = "pattern_hours"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "pattern_id", "hour"),
        refers("pattern_id", "patterns"),
        Index("ix_pattern_hours_hour", "workspace_id", "hour"),
    )

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    pattern_id: Mapped[UUID]
    hour: Mapped[datetime]
    failures: Mapped[int]
    newest: Mapped[datetime]


class PatternTally(Base):
    """How many of a pattern's issues have one value of one thing (severity, service, team, time), and the sum of what is summed.

    `what` is also `resolved` (`total`: microseconds until they were) and `sure` (`total`: the grouping's confidence in ten-thousandths).
    """

    __tablename__ = "pattern_tallies"
    __table_args__ = (PrimaryKeyConstraint("workspace_id", "pattern_id", "what", "value"), refers("pattern_id", "patterns"))

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    pattern_id: Mapped[UUID]
    what: Mapped[str]
    value: Mapped[str]
    failures: Mapped[int] = mapped_column(BigInteger)
    total: Mapped[int] = mapped_column(BigInteger)


class PatternDelta(Base):
    """One issue that came into a pattern (`sign` 1) or left it (-1), with what counts of it; waits to be folded in."""

    __tablename__ = "pattern_deltas"
    __table_args__ = (
        PrimaryKeyConstraint("workspace_id", "number"),
        refers("pattern_id", "patterns"),
        Index("ix_pattern_deltas_pattern", "workspace_id", "pattern_id"),
    )

    workspace_id: Mapped[UUID] = mapped_column(server_default=text(CURRENT))
    number: Mapped[int] = mapped_column(BigInteger, Identity())
    pattern_id: Mapped[UUID]
    sign: Mapped[int] = mapped_column(SmallInteger)
    occurred_at: Mapped[datetime]
    severity: Mapped[str]
    service: Mapped[str | None]
    team: Mapped[str | None]
    resolving: Mapped[int | None] = mapped_column(BigInteger)
    sure: Mapped[int]


def fold(db: Session, pattern_ids: Sequence[UUID]) -> None:
    """Bring figures, hours and status of these patterns in line with their issues, from what changed since they were last counted."""
    if not pattern_ids:
        return
    given = {"ids": sorted(set(pattern_ids)), "prior": PRIOR_MEMBERS, "failures": CONFIRMED_FAILURES, "days": CONFIRMED_DAYS}
    rows = db.execute(text(_LOCK), given).all()  # in order of id, so that two counts of the same patterns never wait for each other
    new = [row.id for row in rows if not row.counted]
    if new:
        db.execute(text(_CLEAR_HOURS), {"ids": new})
        db.execute(text(_CLEAR_TALLIES), {"ids": new})
        db.execute(text(_REBUILD), {"ids": new})
    db.execute(text(_FOLD), given)
    db.execute(text(_NO_HOURS), given)
    db.execute(text(_NO_TALLIES), given)
    db.execute(text(_FIGURES), given)


def rebuild(db: Session, pattern_ids: Sequence[UUID]) -> None:
    """Count these patterns from their issues, whatever was noted before."""
    db.execute(text("UPDATE patterns SET counted = false WHERE id = ANY(:ids)"), {"ids": list(pattern_ids)})
    fold(db, pattern_ids)


_LOCK = "SELECT id, counted FROM patterns WHERE id = ANY(:ids) ORDER BY id FOR NO KEY UPDATE"
_CLEAR_HOURS = "DELETE FROM pattern_hours WHERE pattern_id = ANY(:ids)"
_CLEAR_TALLIES = "DELETE FROM pattern_tallies WHERE pattern_id = ANY(:ids)"
_NO_HOURS = "DELETE FROM pattern_hours WHERE pattern_id = ANY(:ids) AND failures <= 0"
_NO_TALLIES = "DELETE FROM pattern_tallies WHERE pattern_id = ANY(:ids) AND failures <= 0"

_TIME = """CASE WHEN extract(hour FROM occurred_at) < 6 THEN 'night' WHEN extract(hour FROM occurred_at) < 12 THEN 'morning'
    WHEN extract(hour FROM occurred_at) < 18 THEN 'afternoon' ELSE 'evening' END"""
# What one set of changes (`taken`) adds to hours and tallies. The newest moment of an hour is looked up, since a difference cannot tell it.
_ADD = f"""
, hours AS (
    INSERT INTO pattern_hours AS h (pattern_id, hour, failures, newest)
    SELECT t.pattern_id, t.hour, t.failures, coalesce(n.newest, t.hour) FROM (
        SELECT pattern_id, date_trunc('hour', occurred_at) AS hour, sum(sign) AS failures FROM taken GROUP BY 1, 2
    ) t LEFT JOIN LATERAL (
        SELECT i.occurred_at AS newest FROM issues i WHERE i.pattern_id = t.pattern_id AND i.occurred_at >= t.hour
            AND i.occurred_at < t.hour + interval '1 hour' ORDER BY i.occurred_at DESC LIMIT 1
    ) n ON true
    ON CONFLICT (workspace_id, pattern_id, hour) DO UPDATE SET failures = h.failures + excluded.failures, newest = excluded.newest
    WHERE excluded.failures <> 0 OR h.newest <> excluded.newest
), tallies AS (
    INSERT INTO pattern_tallies AS p (pattern_id, what, value, failures, total)
    SELECT t.pattern_id, v.what, v.value, sum(t.sign), sum(t.sign * v.total) FROM taken t CROSS JOIN LATERAL (VALUES
        ('severity', t.severity, 0::bigint), ('service', t.service, 0), ('team', t.team, 0), ('time', {_TIME}, 0),
        ('resolved', CASE WHEN t.resolving IS NOT NULL THEN '' END, t.resolving), ('sure', '', t.sure)
    ) v(what, value, total) WHERE v.value IS NOT NULL GROUP BY 1, 2, 3 HAVING sum(t.sign) <> 0 OR sum(t.sign * v.total) <> 0
    ON CONFLICT (workspace_id, pattern_id, what, value) DO UPDATE SET failures = p.failures + excluded.failures, total = p.total + excluded.total
)
SELECT count(*) FROM taken
"""  # noqa: S608 - built from the constants above
_FOLD = f"WITH taken AS (DELETE FROM pattern_deltas WHERE pattern_id = ANY(:ids) RETURNING *) {_ADD}"  # noqa: S608 - the same
# One statement, and so one view of the table: a difference is dropped exactly when the issue it tells of is counted.
_REBUILD = f"""
WITH noted AS (DELETE FROM pattern_deltas WHERE pattern_id = ANY(:ids)),
marked AS (UPDATE patterns SET counted = true WHERE id = ANY(:ids)),
taken AS (
    SELECT pattern_id, 1 AS sign, occurred_at, severity, service, team,
        everfix_resolving(occurred_at, resolved_at) AS resolving, everfix_sure(assignment, correction_id) AS sure
    FROM issues WHERE pattern_id = ANY(:ids)
) {_ADD}
"""  # noqa: S608 - built from the constants above
_MOST = "(SELECT value FROM pattern_tallies t WHERE t.pattern_id = p.id AND what = '{}' ORDER BY failures DESC, value LIMIT 1)"
_FIGURES = f"""
UPDATE patterns p SET
    issue_count = f.failures, first_seen_at = f.first, last_seen_at = f.last, mttr_seconds = f.mttr,
    severity = coalesce(f.severity, p.severity), service = CASE WHEN f.failures > 0 THEN f.service ELSE p.service END,
    domain = coalesce(p.domain, f.service), team = CASE WHEN f.failures > 0 THEN f.team ELSE p.team END,
    confidence = CASE WHEN f.failures > 0 THEN (:prior * 0.5 + f.sure) / (:prior + f.failures) ELSE p.confidence END,
    fingerprint = p.fingerprint || jsonb_strip_nulls(jsonb_build_object('service', f.service, 'team', f.team,
        'time_of_day', CASE WHEN f.failures >= 4 THEN f.time END)),
    risk_score = CASE WHEN f.failures > 0 THEN p.risk_score ELSE 0 END, risk_parts = CASE WHEN f.failures > 0 THEN p.risk_parts ELSE '{{}}' END,
    status = CASE
        WHEN p.status = 'resolved' AND f.last > coalesce(p.closed_at, f.last) THEN 'active'
        WHEN p.status = 'emerging' AND f.failures >= :failures AND f.days >= :days THEN 'active'
        ELSE p.status END,
    updated_at = now()
FROM (
    SELECT p.id, coalesce(s.failures, 0) AS failures, coalesce(s.total, 0) / 10000.0 AS sure,
        (SELECT r.total / (1000000.0 * r.failures) FROM pattern_tallies r WHERE r.pattern_id = p.id AND r.what = 'resolved') AS mttr,
        (SELECT i.occurred_at FROM issues i WHERE i.pattern_id = p.id ORDER BY i.occurred_at LIMIT 1) AS first,
        (SELECT i.occurred_at FROM issues i WHERE i.pattern_id = p.id ORDER BY i.occurred_at DESC LIMIT 1) AS last,
        CASE WHEN p.status = 'emerging' THEN (SELECT count(DISTINCT h.hour::date) FROM pattern_hours h WHERE h.pattern_id = p.id) END AS days,
        {_MOST.format("severity")} AS severity, {_MOST.format("service")} AS service,
        {_MOST.format("team")} AS team, {_MOST.format("time")} AS time
    FROM patterns p LEFT JOIN pattern_tallies s ON s.pattern_id = p.id AND s.what = 'sure' WHERE p.id = ANY(:ids)
) f WHERE p.id = f.id
"""  # noqa: S608 - built from the constants above
