"""Precedents: which fix held for failures that speak alike, learnt by `labels` from the workspace's verified outcomes.

A fix counts once its watch says `held`, and no longer once the failure came back after that. What is learnt is a few hundred incidents at
most, so it is made anew whenever an outcome changed, and stored for every other process: the same outcomes make the same ranker anywhere.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from uuid import UUID

from sqlalchemy.orm import Session

from everfix.core import db as database
from everfix.failures import fixes, labels, learned

NAME, VERSION = "precedents", f"1 of {labels.VERSION}"
KEPT = 50  # workspaces whose precedents this process keeps at hand
NEVER = datetime.min.replace(tzinfo=UTC)
Words = Callable[[Sequence[UUID]], Mapping[UUID, str]]

_kept: dict[UUID, tuple[str, labels.Ranker]] = {}


def of(db: Session, past: Sequence[fixes.Resolution], words: Words) -> labels.Ranker | None:
    """Return what the fixes of `past` that held have taught, or None while none has; `words` are those of patterns' failures."""
    held = [one for one in past if one.held]
    if not held:
        return None
    stamp, here = _stamp(held), database.current(db)
    kept = _kept.get(here)
    if kept is None or kept[0] != stamp:
        kept = _kept[here] = (stamp, _stored(db, stamp) or _made(db, held, stamp, words))
        for old in list(_kept)[:-KEPT]:
            del _kept[old]
    return kept[1]


def learnt(held: Sequence[fixes.Resolution], words: Mapping[str, str]) -> labels.Ranker:
    """Learn from fixes that held, in the order in which that became known."""
    ranker = labels.Ranker.new()
    for one in sorted(held, key=lambda one: (one.verified_at or NEVER, one.pattern.pattern)):
        told = fixes.told(one.pattern, words.get(one.pattern.pattern, one.pattern.text))
        ranker.learn(told, [fixes.key_of(one)], one.verified_at or NEVER)
    return ranker


def _stored(db: Session, stamp: str) -> labels.Ranker | None:
    found = learned.load(db, NAME, VERSION)
    return labels.Ranker.from_state(found[0]) if found and found[1].get("outcomes") == stamp else None


def _made(db: Session, held: Sequence[fixes.Resolution], stamp: str, words: Words) -> labels.Ranker:
    said = {str(key): value for key, value in words([UUID(one.pattern.pattern) for one in held]).items()}
    made = learnt(held, said)
    learned.save(db, NAME, VERSION, made.to_state(), {"outcomes": stamp})
    return made


def _stamp(held: Sequence[fixes.Resolution]) -> str:
    """Name the outcomes that were learnt from."""
    lines = sorted(f"{one.pattern.pattern} {fixes.key_of(one)} {one.verified_at}" for one in held)
    return hashlib.blake2b("\n".join(lines).encode(), digest_size=16).hexdigest()
