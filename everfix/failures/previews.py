"""Previews: what a word about groups would move, before it is said."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.core import ids
from everfix.errors import Conflict
from everfix.failures import corrections, placing
from everfix.failures.rules import Rules, Word


@dataclass(frozen=True, slots=True)
class Preview:
    """What a word would do: failures that would move, how many of them are the ones named, and from which patterns to which."""

    failures: int
    named: int
    moves: list[dict[str, Any]]


def of(db: Session, *, source: UUID | None, target: UUID | None, issue_ids: Sequence[UUID] = ()) -> Preview:
    """Return what merging `source` into `target` (no issues), or moving these issues to `target` (None: out of their patterns), would do."""
    symptoms: tuple[str, ...] = ()
    if issue_ids:
        symptoms = tuple(dict.fromkeys(corrections.symptom(issue) for issue in corrections.subjects(db, issue_ids)))
    elif source is not None and target is not None and corrections.live(db, source).id == corrections.live(db, target).id:
        raise Conflict("a pattern cannot be merged with itself", details={"source_pattern_id": "another pattern"})
    words = corrections.words_of(db)
    own = ids.new()
    said = Word(10**9, own, source if not symptoms else None, own if symptoms and target is None else target, symptoms)
    moves: dict[tuple[UUID | None, UUID | None], int] = {}
    for subject, now, count, to in placing.placed(db, Rules.of(words), Rules.of([*words, said])):
        if to.pattern != now:
            moves[now, to.pattern] = moves.get((now, to.pattern), 0) + count
        del subject
    shown = [
        {
            "from": now and ids.show(ids.Prefix.PATTERN, now),
            "to": None if to in (None, own) else ids.show(ids.Prefix.PATTERN, to),
            "failures": n,
        }
        for (now, to), n in sorted(moves.items(), key=lambda item: -item[1])
    ]
    return Preview(sum(moves.values()), len(set(issue_ids)), shown)
