"""Tickets in prose as weighted word vectors: stems, names whole and in parts, titles counted several times; for duplicate search."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence

TITLE = 5  # times a title's words count; chosen on the older half of the public tickets
MONTH = 30 * 86_400.0  # seconds over which closeness in time fades
CLOSE = 0.06  # what being written at the same time adds to a cosine
_STOP = frozenset(
    "a an and are as at be been but by can could did do does for from had has have i if in into is it its may not of on or"
    " should so that the then there"
    " this to was we were when which will with would you your use using while also need needs see".split()
)
_ENDINGS = ("ings", "ing", "ies", "ed", "es", "s")
_TERM = re.compile(r"[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*|\d+(?:\.\d+)+")
_PARTS = re.compile(r"[._]|(?<=[a-z0-9])(?=[A-Z])|(?<=[A-Z])(?=[A-Z][a-z])")
LONGEST, MOST = 6000, 900  # characters read, stems kept


def stem(word: str) -> str:
    """Return an English word without its inflection; rough, since only equality counts."""
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 3:
            return word[: -len(ending)] + ("y" if ending == "ies" else "")
    return word


def terms(text: str) -> tuple[str, ...]:
    """Return the stems of a text in order, with repeats; names such as FileSystem.listFiles are given whole and in parts."""
    out: list[str] = []
    for word in _TERM.findall(text[:LONGEST]):
        if word.lower() in _STOP:
            continue
        out.append(stem(word.lower()))
        parts = [p.lower() for p in _PARTS.split(word) if len(p) > 1]
        if len(parts) > 1:
            out.extend(stem(p) for p in parts if p not in _STOP)
    return tuple(out[:MOST])


def counts(heading: Sequence[str], body: Sequence[str]) -> Counter[str]:
    """Return a ticket's stems with their counts, those of the title TITLE times."""
    out = Counter(body)
    for word in heading:
        out[word] += TITLE
    return out


def rarity(documents: Iterable[Counter[str]]) -> dict[str, float]:
    """Return the inverse document frequency of each stem."""
    held = list(documents)
    seen = Counter(word for document in held for word in document)
    return {word: math.log(1 + (len(held) - n + 0.5) / (n + 0.5)) for word, n in seen.items()}


def vector(document: Counter[str], weights: Mapping[str, float]) -> dict[str, float]:
    """Return a vector of length 1; a stem that `weights` does not know is as rare as the rarest."""
    rarest = max(weights.values(), default=1.0)
    raw = {word: (1 + math.log(n)) * weights.get(word, rarest) for word, n in document.items()}
    norm = math.sqrt(sum(v * v for v in raw.values()))
    return {word: v / norm for word, v in raw.items()} if norm else {}


def closeness(a: float | None, b: float | None) -> float:
    """Return what closeness in time adds, 0 where a time is missing."""
    return CLOSE * math.exp(-abs(a - b) / MONTH) if a is not None and b is not None else 0.0
