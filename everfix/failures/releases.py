"""Releases: which of two names of a release is the older one, told from the names alone; pure.

A name is `[package@]version[+build]`, as tools write them: `shop@2.4.0+318`, `v1.10`, `3.25.47.22`, `2026.03.1`, `1.0.0-rc.2`.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

_VERSION = re.compile(r"^[vV]?(?P<numbers>[0-9]+(?:\.[0-9]+){0,5})(?:[-._~]?(?P<pre>[A-Za-z][0-9A-Za-z.-]*))?$")
_FINAL = re.compile(r"^(?:final|ga|release|stable)$", re.IGNORECASE)
_PIECE = re.compile(r"[0-9]+|[A-Za-z]+")
LONGEST = 18  # digits of a number; longer ones are build ids or hashes, not versions


@dataclass(frozen=True, slots=True)
class Version:
    """What a name says: the package it is of, its numbers, and the pieces of a pre-release (empty for a final one)."""

    package: str
    numbers: tuple[int, ...]
    pre: tuple[tuple[int, int, str], ...]

    @property
    def order(self) -> tuple[tuple[int, ...], bool, tuple[tuple[int, int, str], ...]]:
        """What versions of one package are sorted by: 1.9 < 1.10-rc.1 < 1.10 = 1.10.0."""
        trimmed = self.numbers
        while trimmed and trimmed[-1] == 0:
            trimmed = trimmed[:-1]
        return trimmed, not self.pre, self.pre


def parse(name: str) -> Version | None:
    """Return what the name says, or None where it is no version (a commit's hash, a date in words, a code name)."""
    package, _, rest = name.strip().rpartition("@")
    found = _VERSION.match(rest.partition("+")[0])
    if found is None or any(len(number) > LONGEST for number in found["numbers"].split(".")):
        return None
    if "." not in found["numbers"] and not package and rest[:1] not in "vV":
        return None  # a bare number counts builds; which of two is older is not known from it alone
    numbers = tuple(int(number) for number in found["numbers"].split("."))
    pre = found["pre"] or ""
    pieces = () if _FINAL.match(pre) else tuple((0, int(p), "") if p.isdigit() else (1, 0, p.lower()) for p in _PIECE.findall(pre))
    return Version(package.lower(), numbers, pieces)


def compare(left: str, right: str) -> int | None:
    """Return −1, 0 or 1 where `left` is older than, the same as, or newer than `right`; None where the names do not tell."""
    if left.strip() == right.strip():
        return 0
    one, other = parse(left), parse(right)
    if one is None or other is None or (one.package and other.package and one.package != other.package):
        return None
    return (one.order > other.order) - (one.order < other.order)
