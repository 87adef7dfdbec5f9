"""Segments: the services, teams and domains that figures can be narrowed to."""

from __future__ import annotations

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.metrics.measures import BY

MOST = 500


def listed(db: Session) -> dict[str, list[str]]:
    """Return the names of each kind of segment, those with most failures first."""
    found: dict[str, list[str]] = {kind: [] for kind in BY.choices}
    for row in db.execute(text(_LISTED), {"most": MOST}):
        found[row.kind].append(row.name)
    return found


def known(db: Session, segment: str) -> bool:
    """Tell whether anything here belongs to a segment, named as `kind:name` or by its bare name."""
    return bool(db.execute(text(_KNOWN), {"segment": segment}).scalar_one())


_NAMES = """
    SELECT 'service' AS kind, service AS name, issue_count AS n FROM patterns WHERE service IS NOT NULL
    UNION ALL SELECT 'team', team, issue_count FROM patterns WHERE team IS NOT NULL
    UNION ALL SELECT 'domain', domain, issue_count FROM patterns WHERE domain IS NOT NULL
    UNION ALL SELECT 'service', service, 0 FROM issues WHERE service IS NOT NULL
    UNION ALL SELECT 'team', team, 0 FROM issues WHERE team IS NOT NULL"""
_LISTED = f"""
SELECT kind, name FROM (
    SELECT kind, name, row_number() OVER (PARTITION BY kind ORDER BY sum(n) DESC, name) AS place FROM ({_NAMES}) every GROUP BY kind, name
) x WHERE place <= :most ORDER BY array_position(ARRAY['service', 'team', 'domain'], kind), place
"""
_KNOWN = f"SELECT EXISTS (SELECT FROM ({_NAMES}) every WHERE cast(:segment AS text) IN (name, kind || ':' || name))"
