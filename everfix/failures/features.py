"""What a history of failures says at a moment, as numbers on scales that do not depend on the source or the length of the window.

Failures come in bursts, so windows with a failure are counted rather than failures. Time is measured in windows: slot 0 is
(now - window, now], slot 1 the one before. A pattern's first failure is left out of its record, since without it the pattern
would not be known. Every feature is centred and scaled by fixed numbers, so that weights mean the same in every workspace.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Self

import numpy as np

from everfix.failures import history, rhythm

History = history.History
Pack = history.Pack
Ints = history.Ints
Floats = history.Floats
DAY = history.DAY
HOUR = history.HOUR
EPOCH = history.EPOCH
microseconds = history.microseconds
days = history.days

SPANS = (1.0, 3.0, 8.0, 20.0, 60.0)  # memories of the decayed shares, in windows
COUNTED = (0.5, 1.0, 2.0, 4.0, 8.0)  # memories of the decayed number of failures, in windows; each twice the one before
FINE = 4  # a quarter of a window is the finest stretch that counts once
USUAL_SPAN = 8.0
FLOOR = 1e-4

# name: (centre, scale), measured once on the older parts of nine public sets, each counting alike, and frozen
SCALES: dict[str, tuple[float, float]] = {
    **{f"share_{span:g}": (-0.95, 1.45) for span in SPANS},
    "count_1": (0.33, 0.44),
    "count_4": (0.8, 0.69),
    "count_16": (1.42, 0.87),
    "recency": (0.73, 1.28),
    "recency_squared": (2.94, 2.47),
    "overdue": (0.7, 1.57),
    "age": (2.7, 0.68),
    "known": (2.0, 0.87),
    "burst": (0.72, 0.55),
    "activity": (-0.22, 0.34),
    "siblings_1": (-0.06, 0.42),
    "siblings_8": (-0.03, 0.37),
    "failures_0.5": (-1.7, 2.04),
    "failures_1": (-1.25, 1.84),
    "failures_2": (-0.89, 1.59),
    "failures_4": (-0.69, 1.37),
    "failures_8": (-0.66, 1.22),
    **{f"slot_{slot}": (0.29, 0.41) for slot in range(4)},
    "gap_longer": (-0.12, 1.48),
    "gap_hazard": (-0.38, 1.13),
    "base_1": (-0.96, 0.67),
    "base_3": (-0.84, 0.55),
    "base_20": (-0.66, 0.44),
    "newborn": (0.03, 0.14),
    "young": (0.09, 0.12),
    "few": (0.16, 0.14),
    "share_x_recency": (-1.14, 1.08),
    "share_x_known": (-0.09, 1.11),
    "recency_x_known": (0.23, 0.95),
    "share_squared": (1.41, 1.24),
    "age_x_recency": (0.85, 1.29),
    "activity_x_share": (0.2, 0.42),
    "activity_x_recency": (-0.34, 0.67),
    "last_failures": (0.55, 0.78),
    "week": (0.0, 0.3),
    "day": (0.0, 0.3),
    "week_x_share": (0.0, 0.3),
}
NAMES = tuple(SCALES)
CENTRE = np.array([centre for centre, _ in SCALES.values()])
SCALE = np.array([scale for _, scale in SCALES.values()])
_SIMPLE = ("share_", "count_", "recency", "overdue", "age", "known", "burst", "activity", "week", "day")
CORE = np.array([name.startswith(_SIMPLE) and "_x_" not in name for name in NAMES])  # what a learner with few outcomes relies on

OFTEN, SINCE, GAPS, AGE, BURSTS, SIBLINGS, BUSY, LEVEL, WEEKDAY, HOURS = (
    "how often it failed in its last windows",
    "time since its last failure",
    "time since its last failure against its own gaps",
    "how long and how well it is known",
    "failures per burst",
    "how patterns that share its kind, source or attributes do",
    "how busy the workspace is now",
    "level of the whole workspace",
    "weekday of the coming window",
    "hours of the day of the coming window",
)
_REASONS = {
    OFTEN: ("share_", "count_", "slot_", "failures_"),
    SINCE: ("recency", "last_failures"),
    GAPS: ("overdue", "gap_"),
    AGE: ("age", "known", "newborn", "young", "few"),
    BURSTS: ("burst",),
    SIBLINGS: ("siblings_",),
    BUSY: ("activity",),
    LEVEL: ("base_",),
    WEEKDAY: ("week",),
    HOURS: ("day",),
}
WORDS = {name: next(words for words, starts in _REASONS.items() if name.startswith(starts)) for name in NAMES}


def logit(p: Floats) -> Floats:
    """Log-odds, kept finite."""
    q = np.clip(p, FLOOR, 1 - FLOOR)
    return np.asarray(np.log(q) - np.log1p(-q), dtype=np.float64)


@dataclass(frozen=True, slots=True)
class Slots:
    """Windows of one length counted back from a moment; one entry per row and failing slot, `whole` slots since the row's birth."""

    owner: Ints
    back: Ints
    whole: Ints

    @classmethod
    def of(cls, pack: Pack, now: int, window: int) -> Self:
        """Count back from `now`; failures that share a slot are one entry."""
        owner, back = pack.owner, (now - pack.seen) // window
        fresh = np.append(True, (np.diff(owner) != 0) | (np.diff(back) != 0))[: len(owner)]
        whole = np.maximum((now - pack.first) // window, 0)
        keep = fresh & (back < whole[owner])
        return cls(owner[keep], back[keep], whole)

    def share(self, span: float) -> tuple[Floats, Floats]:
        """Decayed mass of failing slots and of all slots, per row."""
        hit = np.bincount(self.owner, np.exp(-self.back / span), len(self.whole)).astype(np.float64)
        return hit, -np.expm1(-self.whole / span) / -np.expm1(-1.0 / span)

    def within(self, slots: float) -> Floats:
        """Number of failing slots among the newest so many, per row."""
        return np.bincount(self.owner[self.back < slots], minlength=len(self.whole)).astype(np.float64)


@dataclass(frozen=True, slots=True)
class Context:
    """What the workspace as a whole says at a moment: needed to judge one pattern alone when it fails.

    `bases`: share of windows with a failure by memory, over patterns and time. `activity`: log of the last window's failing
    patterns over the usual number. `siblings`: by label, decayed failing and all windows of its patterns, short memory and long.
    """

    bases: dict[float, float]
    activity: float
    week: float
    day: float
    siblings: dict[str, tuple[float, float, float, float]]

    @property
    def base(self) -> float:
        return self.bases[USUAL_SPAN]

    def to_state(self) -> dict[str, Any]:
        bases = {f"{span:g}": share for span, share in self.bases.items()}
        groups = {label: [round(mass, 5) for mass in masses] for label, masses in self.siblings.items()}
        return {"bases": bases, "activity": self.activity, "week": self.week, "day": self.day, "siblings": groups}

    @classmethod
    def from_state(cls, state: dict[str, Any]) -> Self:
        bases = {float(span): share for span, share in state["bases"].items()}
        groups = {label: (masses[0], masses[1], masses[2], masses[3]) for label, masses in state["siblings"].items()}
        return cls(bases, state["activity"], state["week"], state["day"], groups)


def context(pack: Pack, now: int, window: int) -> Context:
    """Measure the workspace at `now`; the pack is all of it that is asked about."""
    slots = Slots.of(pack, now, window)
    masses = {span: slots.share(span) for span in (1.0, 3.0, USUAL_SPAN, 20.0)}
    bases = {span: float((hit.sum() + 0.5) / (everything.sum() + 2.5)) for span, (hit, everything) in masses.items()}
    hit, everything = masses[USUAL_SPAN]
    usual = float((hit / np.maximum(everything, 1.0)).sum())
    newest = float((slots.back == 0).sum())
    week = rhythm.factor(slots.back, slots.whole, window, history.WEEK)
    day = rhythm.factor(slots.back, slots.whole, window, DAY)
    return Context(bases, float(np.log((newest + 3) / (usual + 3))), week, day, _siblings(pack, masses[1.0], masses[USUAL_SPAN]))


def _siblings(pack: Pack, short: tuple[Floats, Floats], long: tuple[Floats, Floats]) -> dict[str, tuple[float, float, float, float]]:
    """Masses by label, for attributes that really group: at least two values, and fewer than half as many as patterns."""
    found: dict[str, tuple[float, float, float, float]] = {}
    for codes in pack.groups.T:
        some = codes != history.NOBODY
        values, at, size = np.unique(codes[some], return_inverse=True, return_counts=True)
        if not 1 < len(values) < 0.5 * len(pack):
            continue
        sums = [np.bincount(at, mass[some], len(values)) for mass in (*short, *long)]
        found |= {
            pack.labels[v]: (float(a), float(b), float(c), float(d)) for v, n, a, b, c, d in zip(values, size, *sums, strict=True) if n > 1
        }
    return found


def of(pack: Pack, now: int, window: int, around: Context) -> Floats:
    """One row of features per history, columns as in NAMES, centred and scaled. Every history has an entry."""
    if not len(pack):
        return np.zeros((0, len(NAMES)))
    slots, fine = Slots.of(pack, now, window), Slots.of(pack, now, max(window // FINE, 1))
    table = {name: np.zeros(len(pack)) for name in NAMES}
    _shares(table, slots, fine, around)
    _moments(table, pack, fine, now, window, around)
    _neighbours(table, pack, slots, around)
    share, near, known = table["share_8"], table["recency"], table["known"]
    table["share_x_recency"], table["share_x_known"], table["share_squared"] = share * near / 3, share * known / 3, share**2 / 4
    table["recency_squared"], table["recency_x_known"], table["age_x_recency"] = near**2, near * known / 3, table["age"] * near / 3
    table["activity_x_share"], table["activity_x_recency"] = around.activity * share / 2, around.activity * near
    table["week_x_share"] = around.week * share / 2
    for name, value in (("activity", around.activity), ("week", around.week), ("day", around.day)):
        table[name] += value
    for span in (1.0, 3.0, 20.0):
        table[f"base_{span:g}"] += logit(np.array(around.bases[span]))
    return np.asarray((np.column_stack([table[name] for name in NAMES]) - CENTRE) / SCALE, dtype=np.float64)


def _shares(table: dict[str, Floats], slots: Slots, fine: Slots, around: Context) -> None:
    for span in SPANS:
        hit, everything = slots.share(span)
        table[f"share_{span:g}"] = logit((hit + around.base) / (everything + 1.0))
    for windows in (1, 4, 16):
        table[f"count_{windows}"] = np.log1p(fine.within(FINE * windows))
    for slot in range(4):
        table[f"slot_{slot}"] = slots.within(slot + 1) - slots.within(slot)
    table["newborn"], table["young"] = (slots.whole == 0).astype(np.float64), np.zeros(len(slots.whole))


def _moments(table: dict[str, Floats], pack: Pack, fine: Slots, now: int, window: int, around: Context) -> None:
    last, n = pack.seen[pack.start[1:] - 1], len(pack)
    recency, age = (now - last) / window, (now - pack.first) / window
    stretches = np.maximum(np.bincount(fine.owner, minlength=n), 1)
    total = np.add.reduceat(pack.counts, pack.start[:-1])
    gap = np.maximum((last - pack.first) / window, 0.05) / stretches
    table["recency"], table["overdue"] = np.log(recency + 0.1), np.log((recency + 0.1) / (gap + 0.1))
    table["age"], table["known"], table["young"] = np.log1p(age), np.log1p(stretches), np.exp(-age / 2)
    table["burst"], table["few"] = np.log(total / (stretches + 1.0)), 1.0 / total
    back = (now - pack.seen) / window
    faded = np.exp(-back / COUNTED[-1])
    for span in reversed(COUNTED):  # each memory is half as long as the one before, and fades twice as fast
        table[f"failures_{span:g}"] = np.log(np.add.reduceat(pack.counts * faded, pack.start[:-1]) / span + 0.02)
        faded = faded * faded
    table["last_failures"] = np.log1p(np.add.reduceat(pack.counts * (back < 1), pack.start[:-1]))
    # own gaps between failing stretches: how many were longer than the present one, and how many of those ended within a window
    step = np.where(np.append(np.diff(fine.owner) == 0, False), fine.back - np.append(fine.back[1:], 0), 0)[: len(fine.owner)]
    real, now_open = step > 0, (FINE * recency)[fine.owner]
    longer = np.bincount(fine.owner, real & (step > now_open), n)
    ended = np.bincount(fine.owner, real & (step > now_open) & (step <= now_open + FINE), n)
    table["gap_longer"] = logit((longer + 1) / (np.bincount(fine.owner, real, n) + 2))
    table["gap_hazard"] = logit((ended + 2 * around.base) / (longer + 2))


def _neighbours(table: dict[str, Floats], pack: Pack, slots: Slots, around: Context) -> None:
    """How siblings do against the workspace, each pattern's own record left out; the mean over its attributes."""
    masses = np.array([around.siblings.get(label, (0.0, 0.0, 0.0, 0.0)) for label in (*pack.labels, "")])  # the last is NOBODY's
    grouping = [codes for codes in pack.groups.T if masses[codes].any()]
    for column, span in enumerate((1.0, USUAL_SPAN)):
        hit, everything = slots.share(span)
        usual, total = around.bases[span], np.zeros(len(pack))
        for codes in grouping:
            others = masses[codes][:, 2 * column : 2 * column + 2]
            alone = others[:, 1] <= 0
            failing = np.maximum(others[:, 0] - hit, 0) * ~alone
            share = (failing + 3 * usual) / (np.maximum(others[:, 1] - everything, 0) * ~alone + 3)
            total += logit(share) - logit(np.array(usual))
        table[f"siblings_{span:g}"] = total / max(len(grouping), 1)
