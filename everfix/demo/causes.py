"""What a planted cause is, and all of them together: the truth that a demo's findings are measured against."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

Kind = Literal["incident", "defect", "check"]
Rhythm = Literal["office", "load", "flat", "night", "month_end"]


@dataclass(frozen=True, slots=True)
class Voice:
    """One way in which a cause is reported: by which tool, how often among the voices (`weight`), in which words.

    Texts hold slots in braces: a name (`{order}`), a range (`{3-40}`), a choice (`{a|b}`) or a line of code that moves with
    releases (`{L214}`); the same slot has the same value within one failure.
    """

    source: str
    weight: float
    title: str
    body: str = ""
    error: str = ""
    trace: str = ""
    service: str = ""  # where it is seen, if not where the cause sits
    wraps: str = ""  # what is put around the trace in part of the failures


@dataclass(frozen=True, slots=True)
class Repair:
    """A fix: when (as a share of the period), in which words, of which kind, and whether it ends the cause."""

    at: float
    title: str
    type: Literal["code_fix", "config_change", "process", "monitoring"]
    effort: Literal["low", "medium", "high"]
    holds: bool
    description: str = ""


@dataclass(frozen=True, slots=True)
class Cause:
    """One thing that is wrong. `weekly` failing windows of `burst` failures on average; `born` and `ends` as shares of the period."""

    key: str
    kind: Kind
    service: str
    severity: str
    summary: str
    weekly: float
    burst: float
    voices: tuple[Voice, ...]
    rhythm: Rhythm = "load"
    born: float = -1.0  # before the period: the cause was always there
    ends: float = 2.0
    grows: float = 1.0  # how much more often at the end of its life than at its beginning
    repairs: tuple[Repair, ...] = ()
    environment: str = "production"
