"""Templates of one-line messages: a place is a parameter when it took several values while all the rest stayed the same.

No threshold of likeness decides. Each new line is looked up once for each of its words with that word left out; the values seen in
the gap are counted. From WORDS distinct values on (two, when one of them was a number or another placeholder) the lines are one
template. The source's own lines decide, so a source whose words tell events apart is not merged by it.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from itertools import combinations
from typing import Any

from everfix.failures.journal import Journal

WORDS = 4  # distinct plain words in one place that make it a parameter
FIRST = 8  # the same for a line's first word, which is mostly a verb or the name of a part
PAIRS = 8  # distinct pairs of names in two places
KEPT = 12  # values remembered in a place
LONGEST = 60  # tokens; longer lines are no templates
MOST_LINES = 100_000  # lines remembered whole in one scope; the oldest are forgotten
MOST_GAPS = 200_000  # places remembered in one scope; the oldest are forgotten

_PLACEHOLDER = re.compile(r"<\w+>")
_TOKEN = re.compile(r"[^\s=:,;()\[\]{}\"'|]+|[=:,;()\[\]{}\"'|]")
_LISTS = re.compile(r"[\[(]?<num>(?:\s*[\\,;|]\s*<num>)+[\])]?")
_GLUED = re.compile(r"(?<=-)\s*\[<num>\]|(?<=-) <num>")
_NAME = re.compile(r"[._/\-<]|[a-z][A-Z]")
ANY = "<*>"


def tokens(line: str) -> tuple[str, ...]:
    """Return the tokens of a masked line: placeholders made equal, lists and repeats given once, empty brackets holding a value."""
    line = _GLUED.sub("<num>", _LISTS.sub(" <num> ", line))
    out: list[str] = []
    for token in _TOKEN.findall(line):
        if token in (")", "]") and out and out[-1] == {")": "(", "]": "["}[token]:
            out.append(ANY)
        if "<" in token:
            plain = _PLACEHOLDER.sub(ANY, token)
            out.append(plain if any(c.isalpha() for c in plain) else ANY)
        else:
            out.append(token)
    for size in (1, 2, 3, 4):
        out = _once(out, size)
    return tuple(out)


def _once(row: list[str], size: int) -> list[str]:
    """Collapse immediate repeats of `size` tokens that hold a placeholder."""
    out: list[str] = []
    i = 0
    while i < len(row):
        part = row[i : i + size]
        if len(part) == size and row[i + size : i + 2 * size] == part and any("<" in t for t in part):
            while row[i + size : i + 2 * size] == part:
                i += size
            out.extend(part)
            i += size
        else:
            out.append(row[i])
            i += 1
    return out


@dataclass(slots=True)
class Templates:
    """The lines seen in one scope by their gaps: what stood where, and which group it belongs to."""

    groups: dict[str, str] = field(default_factory=dict)
    gaps: dict[str, dict[str, str]] = field(default_factory=dict)
    journal: Journal = field(default_factory=Journal, compare=False)

    def place(self, row: tuple[str, ...], group: str, among: str = "", few: int = WORDS) -> tuple[list[str], dict[str, Any]]:
        """Enter a line under `group`; return the groups that are the same template as it (oldest first, without `group`) and why.

        Lines meet only lines of the same `among`; `few` distinct words in one place make it a parameter.
        """
        whole = "\x1f".join((among, *row) if among else row)
        same = self.groups.setdefault(whole, group)
        self.journal.mark("lines", (whole,))
        if len(self.groups) > MOST_LINES:
            self._drop("lines", self.groups, MOST_LINES // 10)
        if same != group:
            return [same], {"template": " ".join(row)}
        found: dict[str, None] = {}
        why: dict[str, Any] = {}
        for gap, value, many in _gaps(row):
            enough = min(many, few) if among else many
            name = f"{among}\x1f{gap}" if among else gap
            held = self._held(name)
            alike = [g for v, g in held.items() if _alike(v, value)]
            if value not in held and len(held) < KEPT:
                held[value] = group
                self.journal.mark("gaps", (name,))
            if len(held) >= (2 if ANY in held else enough):
                alike = list(held.values())
            for other in alike:
                if other != group:
                    found.setdefault(other)
                    why = {"template": gap.replace("\x1f", " ").replace("\x00", "<value>"), "values": sorted(held)[:6]}
        return list(found), why

    def rename(self, resolve: Callable[[str], str]) -> None:
        """Let every line name the group that its group has become."""
        self.groups = {whole: resolve(g) for whole, g in self.groups.items()}
        self.gaps = {gap: {value: resolve(g) for value, g in held.items()} for gap, held in self.gaps.items()}
        self.journal.all()

    def _drop(self, table: str, held: dict[str, Any], many: int) -> None:
        """Forget the oldest entries."""
        old = list(held)[:many]
        for name in old:
            del held[name]
        self.journal.drop(table, old)

    def _held(self, gap: str) -> dict[str, str]:
        held = self.gaps.get(gap)
        if held is None:
            if len(self.gaps) >= MOST_GAPS:
                self._drop("gaps", self.gaps, MOST_GAPS // 10)
            held = self.gaps[gap] = {}
        return held


def _gaps(row: tuple[str, ...]) -> Iterator[tuple[str, str, int]]:
    """Yield each way to leave one word, or two names, out of a line: the rest, the value, and how many values make a parameter."""
    if not 2 <= len(row) <= LONGEST:
        return
    plain = [i for i, t in enumerate(row) if "<" not in t and any(c.isalpha() for c in t)]
    first = next((i for i, t in enumerate(row) if any(c.isalpha() for c in t)), -1)
    places = [i for i, t in enumerate(row) if t == ANY or any(c.isalnum() for c in t)]
    for i in places:
        leading = i == first and i in plain
        if len(plain) - (i in plain) >= (3 if leading else 2):
            yield _rest(row, i), row[i], FIRST if leading else WORDS
    names = [i for i in places if row[i] != ANY and _NAME.search(row[i])][:8]
    if len(plain) >= 4:
        for i, j in combinations(names, 2):
            yield _rest(row, i, j), f"{row[i]}\x1f{row[j]}", PAIRS


def _rest(row: tuple[str, ...], *out: int) -> str:
    return "\x1f".join("\x00" if i in out else t for i, t in enumerate(row))


def _alike(a: str, b: str) -> bool:
    """Two values with numbers inside that differ in a letter or two, such as attempt_<*>_m_<*> and attempt_<*>_r_<*>."""
    return a != b and ANY in a and ANY in b and ANY not in (a, b) and difflib.SequenceMatcher(None, a, b, autojunk=False).ratio() >= 0.8
