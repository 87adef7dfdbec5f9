"""How alike two failures are: the second stage's score with its reasons, the index that finds candidates, and ranking for duplicate search."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from everfix.failures.fingerprint import Features

MOST_POSTINGS = 200  # groups remembered per token; a token of more groups does not narrow the search


def tokens(features: Features) -> Counter[str]:
    """Return the weighted bag that is compared: frames and lines count as wholes, words as words."""
    bag: Counter[str] = Counter()
    for n, name in enumerate(features.frames):
        bag[f"f:{name}"] += 2 if n < 3 else 1
    for name in features.tests:
        bag[f"f:{name}"] += 1
    for line in features.lines:
        bag[f"l:{line}"] += 1
    for word in features.words:
        bag[f"w:{word}"] += 1
    if features.error_type:
        bag[f"t:{features.error_type}"] += 2
    if features.service:
        bag[f"s:{features.service}"] += 1
    return bag


@dataclass(slots=True)
class Source:
    """What one scope's failures have in common: how many were seen, and in how many each token occurred."""

    seen: int = 0
    documents: dict[str, int] = field(default_factory=dict)

    def observe(self, features: Features) -> None:
        self.seen += 1
        for token in tokens(features):
            self.documents[token] = self.documents.get(token, 0) + 1

    def weight(self, token: str) -> float:
        return math.log((self.seen + 2) / (self.documents.get(token, 0) + 1)) + 0.1

    def to_json(self) -> dict[str, Any]:
        return {"seen": self.seen, "documents": self.documents}

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Source:
        return cls(int(raw["seen"]), dict(raw["documents"]))


def score(a: Features, b: Features, source: Source) -> tuple[float, dict[str, Any]]:
    """Return the likeness of two failures of one source, 0 to 1, and why: a tf-idf cosine and what they share most."""
    left, right = _vector(a, source), _vector(b, source)
    shared = {t: left[t] * right[t] for t in left.keys() & right.keys()}
    norm = math.sqrt(sum(v * v for v in left.values()) * sum(v * v for v in right.values()))
    value = min(1.0, sum(shared.values()) / norm) if norm else 0.0
    top = sorted(shared, key=lambda t: (-shared[t], t))[:4]
    return value, {"shared": [t.split(":", 1)[1][:120] for t in top]}


def _vector(features: Features, source: Source) -> dict[str, float]:
    return {t: (1 + math.log(n)) * source.weight(t) for t, n in tokens(features).items()}


@dataclass(slots=True)
class Index:
    """Finds the groups that share rare tokens with a failure; memory is bounded by MOST_POSTINGS a token."""

    postings: dict[str, list[str]] = field(default_factory=dict)

    def add(self, group: str, features: Features) -> None:
        for token in tokens(features):
            held = self.postings.setdefault(token, [])
            if len(held) < MOST_POSTINGS and (not held or held[-1] != group):
                held.append(group)

    def candidates(self, features: Features, source: Source, limit: int = 40) -> list[str]:
        """Return at most `limit` groups, those that share most weight first."""
        votes: dict[str, float] = {}
        for token in tokens(features):
            held = self.postings.get(token, ())
            if 0 < len(held) < MOST_POSTINGS:
                weight = source.weight(token)
                for group in held:
                    votes[group] = votes.get(group, 0.0) + weight
        return sorted(votes, key=lambda g: (-votes[g], g))[:limit]


def rank(query: Features, candidates: Sequence[tuple[str, Features]], source: Source | None = None, limit: int = 10) -> list[tuple[str, float]]:
    """Return the candidates most like the query, best first, with their scores; weights come from `source` or from the candidates."""
    known = source or _learnt(f for _, f in candidates)
    scored = [(name, score(query, features, known)[0]) for name, features in candidates]
    return sorted(scored, key=lambda s: (-s[1], s[0]))[:limit]


def _learnt(features: Iterable[Features]) -> Source:
    source = Source()
    for f in features:
        source.observe(f)
    return source
