"""Placing: which failures the rules place anew once a person's word stands or is taken back, and the move that puts them there."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.orm import Session

from everfix.core import clock
from everfix.failures import figures, rules
from everfix.failures.rules import Rules, Subject

CHUNK = 2_000  # failures that are moved before it is told how far it is
Told = Callable[[int, int], None]  # hears how many of how many failures were moved


def silent(_done: int, _of: int) -> None:
    """Tell nobody."""


def placed(db: Session, old: Rules, new: Rules) -> list[tuple[Subject, UUID | None, int, rules.Place]]:
    """Return each kind of failure that the rules may place differently: what it is, where it is now, how many, and where it belongs."""
    look = rules.difference(old, new)
    given = {"symptoms": list(look.symptoms), "homes": list(look.homes), "patterns": list(look.patterns)}
    out = []
    for row in db.execute(text(_SUBJECTS), given):
        subject = Subject(row.fingerprint, row.symptom, row.resembles, row.home_id)
        out.append((subject, row.pattern_id, int(row.failures), new.place(subject)))
    return out


def move(db: Session, old: Rules, new: Rules, told: Told) -> tuple[set[UUID], list[UUID]]:
    """Put every failure where the new rules have it, CHUNK by CHUNK; returns the patterns touched and the issues that changed their pattern."""
    rows, touched, many = [], set(), 0
    for subject, now, count, to in placed(db, old, new):
        rows.append({**subject._asdict(), "now": now, "to": to.pattern, "word": to.word})
        touched |= {one for one in (now, to.pattern) if one is not None and now != to.pattern}
        many += count
    if not rows:
        return set(), []
    given: dict[str, Any] = {"rows": json.dumps(rows, default=str), "at": clock.now()}
    if many <= CHUNK:
        moved = db.execute(text(_MOVE.format("")), given).all()
    else:
        moved, wanted = [], db.execute(text(_MOVING), given).scalars().all()
        for start in range(0, len(wanted), CHUNK):
            told(start, len(wanted))
            moved += db.execute(text(_MOVE.format(_CHUNK)), {**given, "ids": wanted[start : start + CHUNK]}).all()
    figures.fold(db, sorted(touched))
    return touched, [row.id for row in moved if row.changed]


_OF = "id, fingerprint, symptom, resembles, home_id, pattern_id"
_SUBJECTS = f"""
SELECT fingerprint, symptom, resembles, home_id, pattern_id, count(*) AS failures FROM (
    SELECT {_OF} FROM issues WHERE fingerprint = ANY(:symptoms)
    UNION SELECT {_OF} FROM issues WHERE symptom = ANY(:symptoms) AND symptom IS NOT NULL
    UNION SELECT {_OF} FROM issues WHERE resembles = ANY(:symptoms) AND resembles IS NOT NULL
    UNION SELECT {_OF} FROM issues WHERE pattern_id = ANY(:patterns) AND home_id = ANY(:homes)
) i GROUP BY 1, 2, 3, 4, 5
"""  # noqa: S608 - built from the constant above
_ROWS = """jsonb_to_recordset(cast(:rows AS jsonb))
    AS r(fingerprint text, symptom text, resembles text, home uuid, now uuid, "to" uuid, word uuid)
WHERE i.fingerprint = r.fingerprint AND i.symptom IS NOT DISTINCT FROM r.symptom AND i.resembles IS NOT DISTINCT FROM r.resembles
    AND i.home_id IS NOT DISTINCT FROM r.home AND i.pattern_id IS NOT DISTINCT FROM r.now
    AND (i.pattern_id IS DISTINCT FROM r.to OR i.correction_id IS DISTINCT FROM r.word)"""
_MOVE = f"""
UPDATE issues i SET pattern_id = r.to, correction_id = r.word, updated_at = :at FROM {_ROWS} {{}}
RETURNING i.id, r.to IS DISTINCT FROM r.now AS changed
"""  # noqa: S608 - built from the constant above
_MOVING = f"SELECT i.id FROM issues i, {_ROWS} ORDER BY i.id"  # noqa: S608 - the same
_CHUNK = "AND i.id = ANY(:ids)"
