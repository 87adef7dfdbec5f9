"""When patterns failed, in compact form: one history alone, and many packed end to end for arithmetic."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]

HOUR = 3_600_000_000  # microseconds; all times are whole microseconds since 1970 in UTC, so that borders of windows are exact
DAY = 24 * HOUR
WEEK = 7 * DAY
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - the spelling that Python 3.11 and the linters share
NOBODY = -1  # code of a pattern that shares nothing in this column


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=EPOCH.tzinfo)
    return (aware - EPOCH) // timedelta(microseconds=1)


def days(length: float) -> int:
    """Microseconds of so many days."""
    return round(length * DAY)


@dataclass(frozen=True, slots=True)
class History:
    """The failures of one pattern in compact form: one entry per failing stretch of time, oldest first.

    `occurred` is the time of the newest failure of each stretch, `seen` when it became known (the same unless said otherwise),
    `counts` how many failures it holds; times are microseconds since 1970. Patterns are siblings when they share `kind`,
    `source` or one of `attributes` (name, value). `changes` are moments of fixes or changes known to touch the pattern.
    """

    pattern: str
    occurred: Ints
    seen: Ints
    counts: Ints
    first_seen: int
    kind: str = ""
    source: str = ""
    changes: tuple[int, ...] = ()
    attributes: tuple[tuple[str, str], ...] = ()

    @classmethod
    def of(
        cls,
        pattern: str,
        failures: Sequence[datetime | int],
        *,
        counts: Sequence[int] | None = None,
        stretch: int = HOUR,
        kind: str = "",
        source: str = "",
        attributes: Sequence[tuple[str, str]] = (),
    ) -> Self:
        """From times of failures (or of failing stretches with their `counts`) in any order; those within one `stretch` are merged."""
        at = np.array([microseconds(m) if isinstance(m, datetime) else m for m in failures], dtype=np.int64)
        n = np.ones(len(at), dtype=np.int64) if counts is None else np.array(counts, dtype=np.int64)
        if not len(at):
            raise ValueError(f"failures of {pattern!r}: none given; a history has at least one")
        if len(n) != len(at) or (n < 1).any():
            raise ValueError(f"counts of {pattern!r}: {len(n)} values for {len(at)} times; one of at least 1 for each time is expected")
        order = np.argsort(at, kind="stable")
        at, n = at[order], n[order]
        last = np.flatnonzero(np.append(np.diff(at // stretch) > 0, True))
        total = np.diff(np.cumsum(n)[last], prepend=0)
        return cls(pattern, at[last], at[last], total, int(at[0]), kind, source, attributes=tuple(attributes))

    @property
    def last_seen(self) -> int:
        return int(self.seen[-1])

    def shared(self) -> dict[str, str]:
        """What siblings have in common, by name; empty values are shared by nobody."""
        named = {"kind": self.kind, "source": self.source, **dict(self.attributes)}
        return {name: value for name, value in named.items() if value}


@dataclass(frozen=True, slots=True)
class Pack:
    """Many histories end to end: the entries of row i are `start[i]:start[i + 1]`, in order of `seen`.

    `groups` has a column per shared attribute: the code of the row's value (an index of `labels`), or NOBODY.
    """

    occurred: Ints
    seen: Ints
    counts: Ints
    start: Ints
    first: Ints
    groups: Ints
    labels: tuple[str, ...]

    @classmethod
    def of(cls, histories: Sequence[History], until: int | None = None) -> Self:
        """Pack histories, leaving out what was not yet known at `until`; a history with nothing known by then has no entries."""
        joined = [
            np.concatenate([getattr(h, part) for h in histories] or [np.zeros(0, np.int64)]) for part in ("occurred", "seen", "counts")
        ]
        sizes = np.array([len(h.seen) for h in histories], dtype=np.int64)
        first = np.array([h.first_seen for h in histories], dtype=np.int64)
        groups, labels = coded([h.shared() for h in histories])
        whole = cls(joined[0], joined[1], joined[2], np.concatenate([[0], np.cumsum(sizes)]), first, groups, labels)
        return whole if until is None else whole.known(until)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def owner(self) -> Ints:
        """Row of each entry."""
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def known(self, until: int) -> Self:
        """Only the entries that had become known by then; rows stay."""
        keep = self.seen <= until
        if keep.all():
            return self
        start = np.concatenate([[0], np.cumsum(keep)])[self.start]
        return replace(self, occurred=self.occurred[keep], seen=self.seen[keep], counts=self.counts[keep], start=start)

    def rows(self, which: Flags) -> Self:
        """Only these rows."""
        keep = np.repeat(which, np.diff(self.start))
        start = np.concatenate([[0], np.cumsum(np.diff(self.start)[which])])
        return replace(
            self,
            occurred=self.occurred[keep],
            seen=self.seen[keep],
            counts=self.counts[keep],
            start=start,
            first=self.first[which],
            groups=self.groups[which],
        )

    def active(self, now: int, within: int, at_least: int) -> Flags:
        """Rows with at least so many failures known at `now`, the newest of which became known at most `within` before."""
        owner, known = self.owner, self.seen <= now
        count = np.bincount(owner, self.counts * known, len(self))
        recent = np.bincount(owner, known & (self.seen >= now - within), len(self))
        return np.asarray((count >= max(at_least, 1)) & (recent > 0), dtype=np.bool_)

    def failed(self, origin: int, window: int, until: int) -> Floats:
        """1.0 where the pattern failed in (origin, origin + window], as far as known at `until`."""
        inside = (self.occurred > origin) & (self.occurred <= origin + window) & (self.seen <= until)
        return (np.bincount(self.owner, inside, len(self)) > 0).astype(np.float64)


def coded(shared: Sequence[dict[str, str]]) -> tuple[Ints, tuple[str, ...]]:
    """A matrix of codes (row by attribute name) and the labels `name=value` that they index."""
    names = sorted({name for one in shared for name in one})
    code: dict[str, int] = {}
    groups = np.full((len(shared), len(names)), NOBODY, dtype=np.int64)
    for column, name in enumerate(names):
        for row, one in enumerate(shared):
            if name in one:
                groups[row, column] = code.setdefault(f"{name}={one[name]}", len(code))
    return groups, tuple(code)
