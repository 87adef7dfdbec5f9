"""What a bench answers: rows of figures, ratios, and whether the goal was met; as lines for a terminal and as Markdown."""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager


@dataclasses.dataclass(frozen=True, slots=True)
class Goal:
    """What was aimed at: `reached` as measured; met when it is on the right side of `limit`."""

    words: str
    reached: float | None
    limit: float
    at_least: bool

    @property
    def met(self) -> bool | None:
        """Whether the goal was met; None when nothing could be measured."""
        if self.reached is None:
            return None
        return self.reached >= self.limit if self.at_least else self.reached <= self.limit

    @property
    def verdict(self) -> str:
        """The goal in one line."""
        if self.reached is None:
            return f"not measured: {self.words}"
        return f"{'met' if self.met else 'MISSED'}: {self.words} — {self.reached:.2f} (goal {'≥' if self.at_least else '≤'} {self.limit:g})"


@dataclasses.dataclass(slots=True)
class Result:
    """One bench's answer. The first column of each row names what was measured."""

    title: str
    columns: tuple[str, ...]
    rows: list[tuple[str, ...]] = dataclasses.field(default_factory=list)
    goals: list[Goal] = dataclasses.field(default_factory=list)
    notes: list[str] = dataclasses.field(default_factory=list)
    missing: list[str] = dataclasses.field(default_factory=list)

    def add(self, *cells: str) -> None:
        """Add a row; its cells are as many as the columns."""
        if len(cells) != len(self.columns):
            raise ValueError(f"{self.title}: {len(cells)} cells came for {len(self.columns)} columns")
        self.rows.append(cells)

    def lines(self) -> Iterator[str]:
        """Yield the result for a terminal."""
        table = [self.columns, *self.rows]
        widths = [max(len(row[place]) for row in table) for place in range(len(self.columns))]
        yield f"\n{self.title}"
        for row in table:
            yield "  " + "  ".join(
                cell.ljust(width) if place == 0 else cell.rjust(width) for place, (cell, width) in enumerate(zip(row, widths, strict=True))
            )
        yield from (f"  {goal.verdict}" for goal in self.goals)
        yield from (f"  MISSING {text}" for text in self.missing)
        yield from (f"  {text}" for text in self.notes)

    def markdown(self) -> Iterator[str]:
        """Yield the result as Markdown."""
        yield f"## {self.title}\n"
        yield "| " + " | ".join(self.columns) + " |"
        yield "|" + " --- |" + " ---: |" * (len(self.columns) - 1)
        yield from ("| " + " | ".join(cell.replace("|", "\\|") for cell in row) + " |" for row in self.rows)
        yield ""
        yield from (f"- **{goal.verdict}**" for goal in self.goals)
        yield from (f"- **missing: {text}**" for text in self.missing)
        yield from (f"- {text}" for text in self.notes)
        yield ""


@contextmanager
def clock() -> Iterator[list[float]]:
    """Yield a list that holds the seconds of the block once it has ended."""
    taken: list[float] = []
    start = time.perf_counter()
    yield taken
    taken.append(time.perf_counter() - start)


def best_of(rounds: int, contestants: Sequence[tuple[str, Callable[[], object]]]) -> dict[str, float]:
    """Run each contestant in turn, `rounds` times (A B A B …), and return the least seconds of each.

    Taking turns spreads whatever else the machine does over all of them; the least is the run that was disturbed least.
    """
    least: dict[str, float] = {}
    for _ in range(rounds):
        for name, run in contestants:
            with clock() as taken:
                run()
            least[name] = min(least.get(name, taken[0]), taken[0])
    return least


def per_second(count: float, seconds: float) -> str:
    """Return a rate in words: "97,700/s"."""
    rate = count / seconds
    return f"{rate:,.0f}/s" if rate >= 10 else f"{rate:.1f}/s"


def ratio(value: float) -> str:
    """Return "8.1×"."""
    return f"{value:.2f}×" if value < 10 else f"{value:.0f}×"
