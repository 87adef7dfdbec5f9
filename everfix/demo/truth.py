"""What really caused each simulated failure, and how well groups and forecasts agree with it."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from math import comb

FOUND_SHARE = 0.8  # of a cause's failures that one group must hold


@dataclass(frozen=True, slots=True)
class Truth:
    """`causes` maps external_id to the key of the planted cause, or None for a failure that stands alone."""

    causes: Mapping[str, str | None]

    @property
    def planted(self) -> dict[str, int]:
        """How many failures each planted cause has."""
        return dict(Counter(cause for cause in self.causes.values() if cause is not None))


@dataclass(frozen=True, slots=True)
class GroupScores:
    """`found` and `missed` are keys of causes with at least two failures; shares and pair scores lie between 0 and 1."""

    planted: int
    found: tuple[str, ...]
    missed: tuple[str, ...]
    groups: int
    precision: float
    recall: float
    f1: float
    over_merged: float  # share of the planted failures in a group where another cause, or what stands alone, has the majority
    ungrouped: int  # failures of the truth that no group holds


@dataclass(frozen=True, slots=True)
class ForecastScores:
    """`brier` against `base_brier`, that of always saying the base rate; `skill` is 1 - brier / base_brier, 0 where nothing varies."""

    forecasts: int
    happened: int
    brier: float
    base_rate: float
    base_brier: float
    skill: float


def score_groups(truth: Truth, groups: Mapping[str, str]) -> GroupScores:
    """Compare groups (external_id to group) with the planted causes; a failure in no group counts as alone, other ids are ignored.

    A cause is found when one group holds at least 80 % of its failures and is mostly of this cause. Pair scores count each two failures:
    precision is the share of pairs in one group that share a cause, recall the share of pairs of one cause that share a group.
    """
    members: dict[str, Counter[str | None]] = defaultdict(Counter)
    ungrouped = 0
    for failure, cause in truth.causes.items():
        group = groups.get(failure)
        if group is None:
            ungrouped += 1
        else:
            members[group][cause] += 1
    planted = {cause: count for cause, count in truth.planted.items() if count > 1}
    found: set[str] = set()
    astray = same = together = 0
    for counts in members.values():
        size = counts.total()
        together += comb(size, 2)
        same += sum(comb(count, 2) for cause, count in counts.items() if cause is not None)
        major, most = counts.most_common(1)[0]
        astray += sum(count for cause, count in counts.items() if cause is not None and cause != major)
        if major is not None and 2 * most > size and most >= FOUND_SHARE * planted.get(major, size + most):
            found.add(major)
    all_same = sum(comb(count, 2) for count in truth.planted.values())
    precision = same / together if together else 1.0
    recall = same / all_same if all_same else 1.0
    return GroupScores(
        planted=len(planted),
        found=tuple(sorted(found)),
        missed=tuple(sorted(set(planted) - found)),
        groups=len(members),
        precision=precision,
        recall=recall,
        f1=2 * precision * recall / (precision + recall) if precision + recall else 0.0,
        over_merged=astray / max(sum(truth.planted.values()), 1),
        ungrouped=ungrouped,
    )


def score_forecasts(forecasts: Iterable[tuple[float, bool]], base_rate: float | None = None) -> ForecastScores:
    """Brier score of (probability, happened) pairs; the base rate is theirs unless an earlier one is given. Raises ValueError."""
    pairs = list(forecasts)
    wrong = next((probability for probability, _ in pairs if not 0 <= probability <= 1), None)
    if wrong is not None:
        raise ValueError(f"probability: {wrong!r} is not allowed; allowed: 0 to 1")
    happened = sum(1 for _, outcome in pairs if outcome)
    count = max(len(pairs), 1)
    base = happened / count if base_rate is None else base_rate
    brier = sum((probability - outcome) ** 2 for probability, outcome in pairs) / count
    base_brier = sum((base - outcome) ** 2 for _, outcome in pairs) / count
    return ForecastScores(len(pairs), happened, brier, base, base_brier, 1 - brier / base_brier if base_brier else 0.0)
