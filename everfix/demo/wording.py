"""Fills the texts of a failure: slots that are the same within one failure and differ between two, lines that move with releases."""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from datetime import datetime, timedelta
from random import Random

from everfix.demo import company

FRESH = {"hex3", "hex12"}  # addresses and offsets: a new one each time
SLOT = re.compile(r"\{([^{}\n]+)\}")
RANGE = re.compile(r"(\d+)-(\d+)")
LETTERS, REPLICAS = "bcdfghjklmnpqrstvwxz2456789", "456789bcdf"  # what Kubernetes makes names of pods from
ALPHABET = "ABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789"


def stream(seed: int, *names: str) -> Random:
    """A random stream of its own for each name, so that a change to one cause leaves all others as they were."""
    return Random(f"{seed}/{'/'.join(names)}")  # noqa: S311 - a simulation, not a secret


def letters(random: Random, count: int, alphabet: str = LETTERS) -> str:
    """A word of random letters."""
    return "".join(random.choices(alphabet, k=count))


def digits(random: Random, count: int) -> str:
    """A random number of exactly `count` digits."""
    return str(random.randrange(10 ** (count - 1), 10**count))


def hexes(random: Random, count: int) -> str:
    """Random hexadecimal digits."""
    return f"{random.getrandbits(4 * count):0{count}x}"


class Drift:
    """Where a line of code stands after each release: code above it grows, and sometimes shrinks."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.shifts: dict[tuple[str, int], list[int]] = {}

    def line(self, service: str, line: int, release: int) -> int:
        """The number of a line that was `line` before the first release."""
        key = (service, line // 30)
        known = self.shifts.setdefault(key, [0])
        while len(known) <= release:
            random = stream(self.seed, "drift", service, str(line // 30), str(len(known)))
            moved = random.randint(-4, 10) if random.random() < 0.05 else 0
            known.append(known[-1] + moved)
        return max(line + known[release], 3)


class Words:
    """The slots of one failure at one moment."""

    def __init__(self, random: Random, *, service: str, at: datetime, release: int, version: str, drift: Drift) -> None:
        self.random, self.service, self.at, self.release, self.version, self.drift = random, service, at, release, version, drift
        self.values: dict[str, str] = {}

    def fill(self, text: str) -> str:
        """Put values into all slots that are known; other braces stay as they are."""
        return SLOT.sub(self._slot, text) if "{" in text else text

    def _slot(self, match: re.Match[str]) -> str:
        name = match.group(1)
        if name in FRESH:
            return self._value(name, match.group())
        if name not in self.values:
            self.values[name] = self._value(name, match.group())
        return self.values[name]

    def _value(self, name: str, whole: str) -> str:
        if "|" in name:
            return self.random.choice(name.split("|"))
        numbers = RANGE.fullmatch(name)
        if numbers:
            return str(self.random.randint(int(numbers.group(1)), int(numbers.group(2))))
        if name[0] == "L" and name[1:].isdigit():
            return str(self.drift.line(self.service, int(name[1:]), self.release))
        maker = MAKERS.get(name) or MAKERS.get(name.rstrip("0123456789"))
        return maker(self) if maker else whole


def _date(words: Words) -> str:
    return (words.at + timedelta(days=words.random.randint(-3, 9))).strftime("%Y-%m-%d")


MAKERS: dict[str, Callable[[Words], str]] = {
    "order": lambda words: digits(words.random, 8),
    "user": lambda words: f"u_{hexes(words.random, 10)}",
    "uuid": lambda words: str(uuid.UUID(int=words.random.getrandbits(128), version=4)),
    "hex3": lambda words: hexes(words.random, 3),
    "hex8": lambda words: hexes(words.random, 8),
    "trace": lambda words: hexes(words.random, 32),
    "hex12": lambda words: f"c{hexes(words.random, 9)}",
    "pod": lambda words: f"{words.service}-{letters(words.random, 9, REPLICAS)}-{letters(words.random, 5)}",
    "node": lambda words: f"ip-10-{words.random.randint(0, 63)}-{words.random.randint(0, 255)}-{words.random.randint(4, 250)}",
    "ip": lambda words: f"10.{words.random.randint(0, 63)}.{words.random.randint(0, 255)}.{words.random.randint(4, 250)}",
    "region": lambda words: words.random.choice(company.REGIONS),
    "city": lambda words: words.random.choice(company.CITIES),
    "zip": lambda words: digits(words.random, 4),
    "browser": lambda words: words.random.choice(company.BROWSERS),
    "sku": lambda words: f"FH-{digits(words.random, 6)}",
    "store": lambda words: str(words.random.randint(101, 188)),
    "wave": lambda words: f"{words.at:%m%d}-{words.random.choice('ABC')}{words.random.randint(1, 9)}",
    "voucher": lambda words: f"{words.random.choice(('SPRING', 'HELLO', 'BACK', 'PICNIC', 'FRIDAY'))}{words.random.randint(5, 50)}",
    "version": lambda words: words.version,
    "date": _date,
    "clock": lambda words: (words.at - timedelta(minutes=words.random.randint(4, 50))).strftime("%H:%M"),
    "product": lambda words: words.random.choice(company.PRODUCTS),
    "page": lambda words: words.random.choice(company.PAGES),
}


def wrapped(trace: str, wrapper: str) -> str:
    """Put an exception around a trace as its language does."""
    if "Traceback (most recent call last)" in trace:
        outer = 'Traceback (most recent call last):\n  File "/app/run.py", line 31, in call\n    return job(*args, **kwargs)'
        return f"{trace}\n\nDuring handling of the above exception, another exception occurred:\n\n{outer}\n{wrapper}"
    if "\tat " in trace:
        outer = "\tat org.apache.catalina.core.ApplicationFilterChain.doFilter(ApplicationFilterChain.java:138)"
        return f"{wrapper}\n{outer}\nCaused by: {trace}"
    return f"{wrapper}: {trace}"
