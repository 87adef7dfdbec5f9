"""What a history of failures says at a moment, as numbers on scales that do not depend on the source or the length of the window."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta, timezone
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]

HOUR = 3_600_000_000  # microseconds; all times are whole microseconds since 1970 in UTC, so that borders of windows are exact
DAY = 24 * HOUR
EPOCH = datetime(1970, 1, 1, tzinfo=timezone.utc)  # noqa: UP017 - the spelling that Python 3.11 and the linters share


def microseconds(moment: datetime) -> int:
    """Microseconds since 1970; a time without a zone is UTC."""
    aware = moment if moment.tzinfo else moment.replace(tzinfo=EPOCH.tzinfo)
    return (aware - EPOCH) // timedelta(microseconds=1)


def days(length: float) -> int:
    return round(length * DAY)


@dataclass(frozen=True, slots=True)
class History:
    """The failures of one pattern in compact form: one entry per failing stretch of time, oldest first.

    `occurred` is the time of the newest failure of each stretch, `seen` when it became known (the same unless said otherwise),
    `counts` how many failures it holds; times are microseconds since 1970. `kind` and `source` name what siblings share.
    `changes` are moments of fixes or changes known to touch the pattern."""

    pattern: str
    occurred: Ints
    seen: Ints
    counts: Ints
    first_seen: int
    kind: str = ""
    source: str = ""
    changes: tuple[int, ...] = ()

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
        changes: Sequence[datetime | int] = (),
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
        moments = tuple(sorted(microseconds(m) if isinstance(m, datetime) else m for m in changes))
        return cls(pattern, at[last], at[last], total, int(at[0]), kind, source, moments)

    @property
    def last_seen(self) -> int:
        return int(self.seen[-1])


@dataclass(frozen=True, slots=True)
class Pack:
    """Many histories end to end: the entries of row i are `start[i]:start[i + 1]`, oldest first."""

    occurred: Ints
    seen: Ints
    counts: Ints
    start: Ints
    first: Ints
    kind: Ints

    @classmethod
    def of(cls, histories: Sequence[History], until: int | None = None) -> Self:
        """Pack histories, leaving out what was not yet known at `until`; a history with nothing known by then has no entries."""
        names = sorted({h.kind for h in histories})
        code = {name: n for n, name in enumerate(names)}
        joined = [
            np.concatenate([getattr(h, part) for h in histories] or [np.zeros(0, np.int64)]) for part in ("occurred", "seen", "counts")
        ]
        sizes = np.array([len(h.seen) for h in histories], dtype=np.int64)
        first = np.array([h.first_seen for h in histories], dtype=np.int64)
        kind = np.array([code[h.kind] for h in histories], dtype=np.int64)
        whole = cls(joined[0], joined[1], joined[2], np.concatenate([[0], np.cumsum(sizes)]), first, kind)
        return whole if until is None else whole.known(until)

    def __len__(self) -> int:
        return len(self.first)

    @property
    def owner(self) -> Ints:
        return np.repeat(np.arange(len(self)), np.diff(self.start))

    def known(self, until: int) -> Self:
        keep = self.seen <= until
        start = np.concatenate([[0], np.cumsum(keep)])[self.start]
        return type(self)(self.occurred[keep], self.seen[keep], self.counts[keep], start, self.first, self.kind)

    def active(self, now: int, within: int, at_least: int) -> NDArray[np.bool_]:
        """Rows with at least so many failures known at `now`, the newest of which became known at most `within` before."""
        known = np.bincount(self.owner, self.counts * (self.seen <= now), len(self))
        newest = np.full(len(self), np.iinfo(np.int64).min)
        np.maximum.at(newest, self.owner, np.where(self.seen <= now, self.seen, np.iinfo(np.int64).min))
        return (known >= max(at_least, 1)) & (newest >= now - within)

    def failed(self, origin: int, window: int, until: int) -> Floats:
        """1.0 where the pattern failed in (origin, origin + window], as far as known at `until`."""
        inside = (self.occurred > origin) & (self.occurred <= origin + window) & (self.seen <= until)
        return (np.bincount(self.owner, inside, len(self)) > 0).astype(np.float64)

    def rows(self, which: NDArray[np.bool_]) -> Self:
        keep = np.repeat(which, np.diff(self.start))
        sizes = np.diff(self.start)[which]
        return type(self)(
            self.occurred[keep],
            self.seen[keep],
            self.counts[keep],
            np.concatenate([[0], np.cumsum(sizes)]),
            self.first[which],
            self.kind[which],
        )


SPANS = (1.0, 3.0, 8.0, 20.0, 60.0)  # memories of the decayed shares, in windows
WEEK = 7 * DAY
FLOOR = 1e-4


@dataclass(frozen=True, slots=True)
class Context:
    """What the workspace as a whole says at a moment: needed to judge one pattern alone when it fails."""

    base: float  # share of windows with a failure, over patterns and time, newer windows counting more
    week: float  # log of how much more than usual falls into the stretch of the week that the next window covers
    day: float  # the same for the hours of the day, for windows shorter than a day
    activity: float  # log of last window's failing patterns over the usual number
    kinds: dict[int, float]

    def to_state(self) -> dict[str, Any]:
        return {
            "base": self.base,
            "week": self.week,
            "day": self.day,
            "activity": self.activity,
            "kinds": {str(k): v for k, v in self.kinds.items()},
        }

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        return cls(state["base"], state["week"], state["day"], state["activity"], {int(k): v for k, v in state["kinds"].items()})


@dataclass(frozen=True, slots=True)
class Slots:
    """Windows of one length counted back from a moment: slot 0 is the newest, (now - window, now]; one entry per pattern and failing slot."""

    owner: Ints
    back: Ints
    whole: Ints  # per row: slots since the pattern was born, all of them after its first failure

    @classmethod
    def of(cls, pack: Pack, now: int, window: int) -> Self:
        owner, back = pack.owner, (now - pack.seen) // window
        fresh = np.append(True, (np.diff(owner) != 0) | (np.diff(back) != 0))[: len(owner)]
        whole = np.maximum((now - pack.first) // window, 0)
        keep = fresh & (back < whole[owner])
        return cls(owner[keep], back[keep], whole)

    def share(self, span: float) -> tuple[Floats, Floats]:
        """Decayed mass of failing slots and of all slots, per row."""
        hit = np.bincount(self.owner, np.exp(-self.back / span), len(self.whole))
        everything = -np.expm1(-self.whole / span) / -np.expm1(-1.0 / span)
        return hit, everything


def logit(p: Floats) -> Floats:
    q = np.clip(p, FLOOR, 1 - FLOOR)
    return np.log(q) - np.log1p(-q)


def rhythm(slots: Slots, pack: Pack, now: int, window: int, period: int) -> float:
    """Log of the share of failing slots that fell into the next window's part of the period, over the length of that part; whole periods only."""
    if window >= period:
        return 0.0
    span = window * slots.back  # the end of the slot, before now
    periods = int((now - pack.first.min()) // period) if len(pack) else 0
    inside = span < periods * period
    weight = np.exp(-span[inside] / (6.0 * WEEK))
    phase = (-(span[inside] + window)) % period  # where in the period the slot starts, counted from now
    near = np.maximum(0.0, 1 - np.minimum(phase, period - phase) / window)
    prior = 30.0
    return float(np.log((weight @ near + prior * window / period) / (weight.sum() + prior) * period / window))


def context(pack: Pack, now: int, window: int) -> Context:
    slots = Slots.of(pack, now, window)
    hit, everything = slots.share(8.0)
    base = float((hit.sum() + 0.5) / (everything.sum() + 2.5))
    born = slots.whole >= 1
    newest = float((slots.back == 0).sum())
    usual = float((hit[born] / np.maximum(everything[born], 1)).sum())
    kinds: dict[int, float] = {}
    return Context(
        base,
        rhythm(slots, pack, now, window, WEEK),
        rhythm(slots, pack, now, window, DAY),
        float(np.log((newest + 3) / (usual + 3))),
        kinds,
    )


NAMES = (
    "constant",
    *(f"share_{span:g}" for span in SPANS),
    "count_1",
    "count_4",
    "count_16",
    "recency",
    "recency_squared",
    "overdue",
    "age",
    "known",
    "burst",
    "week",
    "day",
    "own_week",
    "activity",
)


WORDS = {
    **{name: "how often it failed in the last windows" for name in NAMES if name.startswith(("share_", "count_"))},
    "constant": "level of the whole workspace",
    "recency": "time since its last failure",
    "recency_squared": "time since its last failure",
    "overdue": "time since its last failure against its usual gap",
    "age": "how long it has been known",
    "known": "how long it has been known",
    "burst": "failures come in bursts",
    "week": "weekday",
    "day": "hour of the day",
    "own_week": "its own weekly rhythm",
    "activity": "how busy the workspace is now",
}


def of(pack: Pack, now: int, window: int, around: Context) -> Floats:
    """One row of features per history, columns as in NAMES."""
    n = len(pack)
    slots, fine = Slots.of(pack, now, window), Slots.of(pack, now, max(window // 4, 1))
    columns = [np.ones(n)]
    prior = 1.0
    shares = []
    for span in SPANS:
        hit, everything = slots.share(span)
        shares.append((hit + prior * around.base) / (everything + prior))
        columns.append(logit(shares[-1]))
    columns += [np.log1p(np.bincount(fine.owner[fine.back < 4 * w], minlength=n)) for w in (1, 4, 16)]
    last = pack.seen[pack.start[1:] - 1]
    stretches = np.maximum(np.bincount(fine.owner, minlength=n), 1)
    recency, age = (now - last) / window, (now - pack.first) / window
    gap = np.maximum((last - pack.first) / window, 0.05) / stretches
    near = np.log(recency + 0.1)
    total = np.add.reduceat(pack.counts, pack.start[:-1]) if n else np.zeros(0)
    columns += [near, near**2, np.log((recency + 0.1) / (gap + 0.1)), np.log1p(age), np.log1p(stretches), np.log(total / (stretches + 1.0))]
    columns += [np.full(n, around.week), np.full(n, around.day), own_rhythm(slots, shares[2], around, window), np.full(n, around.activity)]
    return np.column_stack(columns)


def own_rhythm(slots: Slots, share: Floats, around: Context, window: int) -> Floats:
    """How much more often than its own rate says the pattern failed in this part of the week (log), over its last eight weeks."""
    if window >= WEEK:
        return np.zeros(len(slots.whole))
    span = window * slots.back
    phase = (-(span + window)) % WEEK
    near = np.maximum(0.0, 1 - np.minimum(phase, WEEK - phase) / window) * (span < 8 * WEEK)
    hit = np.bincount(slots.owner, near, len(slots.whole))
    weeks = np.minimum(slots.whole * window // WEEK, 8)
    expected = np.clip(share * np.exp(around.week), FLOOR, 1)
    return logit((hit + 2 * expected) / (np.maximum(weeks, hit) + 2)) - logit(expected)
