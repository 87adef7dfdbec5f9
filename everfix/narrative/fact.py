"""One fact of a Document: what it is about, what it counts, its value, and the id by which a reader finds it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

from everfix.documents.model import Unit
from everfix.narrative import tokens

SHORT = 70  # a longer name is cut to this many characters in prose
KEPT = 0.6  # a cut between words must keep this share of them, else it is made within a word


class Aspect(StrEnum):
    """Which side of its subject a fact states; the binding asks different words of different aspects."""

    CELL = "cell"
    CHANGE = "change"  # relative, 0.12 = up 12 %
    CURRENT = "current"
    DIFFERENCE = "difference"  # absolute, in the unit of its family
    HALF = "half"  # first or second half of a time series: sum of counts and money, mean of the rest
    MAXIMUM = "maximum"
    MEAN = "mean"
    MINIMUM = "minimum"
    PERIOD = "period"
    PREVIOUS = "previous"
    PROJECTED = "projected"
    RANK = "rank"  # 1 = largest; ties share a rank
    ROWS = "rows"
    SHARE = "share"
    STATE = "state"  # a word of a state column
    THRESHOLD = "threshold"
    TOP_SHARE = "top_share"  # share of the `rank` largest together
    TOTAL = "total"
    ZSCORE = "zscore"  # (point − mean) / sample standard deviation of all points


@dataclass(frozen=True, slots=True)
class Fact:
    """One thing the Document states.

    `names` are the row's names (any one of them in a clause is enough), `when` the day it belongs to, `concepts` the measures it
    counts; `family` is shared by current, previous and change of one thing. `rank` is k for TOP_SHARE, the last rank for RANK.
    """

    id: str
    subject: str
    label: str
    value: float | str
    unit: Unit
    section: str
    block: str
    aspect: Aspect
    concepts: frozenset[str]
    family: str
    names: tuple[str, ...] = ()
    when: str = ""
    better: str | None = None
    rank: int = 0

    @property
    def number(self) -> float | None:
        """The value as a number, or None for words and dates."""
        return None if isinstance(self.value, str) else self.value


def short(name: str) -> str:
    """Return a name as prose shows it: one line, at most SHORT characters, cut between words where that keeps enough of it."""
    name = " ".join(name.split())
    if len(name) <= SHORT:
        return name
    whole = name[:SHORT].rsplit(" ", maxsplit=1)[0].rstrip(" ,;:([")
    return (whole if len(whole) >= SHORT * KEPT else name[: SHORT - 1].rstrip()) + "…"


def canonical(name: str) -> str:
    """Return a name as it is compared: lower case, one line, disguises removed."""
    return " ".join(tokens.plain(name).lower().split())
