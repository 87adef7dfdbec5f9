"""How likely two failures have one cause: evidence in bits against what is common in their source, each part with its reason."""

from __future__ import annotations

import math
from collections.abc import Callable, Container, Mapping, Sequence
from dataclasses import dataclass, field

from everfix.failures import prose
from everfix.failures.fingerprint import Features
from everfix.failures.sources import LEARN, Bag, Source

# Weights of a logistic model for each kind of comparison, with signs fixed beforehand: no agreement can ever count against a merge, and no
# contradiction for one. Fitted by bench/fit_groups.py on the older half, or half of the projects, of the public sets, never on the parts
# that are reported.
NAMES = (
    "difference",
    "plain_difference",
    "difference_bits",
    "service_bits",
    "service_words",
    "type_bits",
    "type_words",
    "lines",
    "word_bits",
    "title_bits",
    "service_and_difference",
    "service_and_text",
    "service_and_top",
    "top_bits",
    "frames",
    "call_words",
    "call_bits",
    "time_bits",
    "hours",
    "hours_and_calls",
    "other_type",
    "other_difference",
    "long_ago",
    "same_moment",
    "many",
    "young",
    "quiet_hours",
)
MODELS: dict[str, dict[str, float]] = {
    "check": {
        "bias": -4.16,
        "difference": 4.96,
        "plain_difference": 2.415,
        "service_words": 0.925,
        "type_bits": 0.237,
        "type_words": 0.135,
        "lines": 0.325,
        "word_bits": 0.077,
        "title_bits": 0.102,
        "service_and_difference": 1.063,
        "service_and_text": 0.552,
        "call_words": 2.699,
        "hours": 0.1,
        "other_type": -0.252,
        "other_difference": -0.01,
        "long_ago": -0.3,
        "same_moment": -4.0,
        "many": -0.094,
        "quiet_hours": 0.1,
    },
    "crash": {
        "bias": 0.45,
        "difference": 1.0,
        "plain_difference": 0.5,
        "service_bits": 0.1,
        "type_words": 0.407,
        "title_bits": 0.135,
        "call_bits": 0.17,
        "hours": 0.014,
        "hours_and_calls": 0.042,
        "other_type": -0.552,
        "long_ago": -0.424,
        "same_moment": -0.294,
        "many": -0.581,
        "quiet_hours": 0.43,
    },
    "text": {
        "bias": -5.8,
        "service_words": 2.626,
        "type_bits": 0.1,
        "type_words": 0.3,
        "lines": 7.421,
        "word_bits": 0.148,
        "other_difference": -1.859,
        "long_ago": -0.471,
        "same_moment": -7.791,
        "many": -0.228,
        "young": -5.996,
    },
}
AGAINST = frozenset(("other_type", "other_difference", "long_ago", "same_moment", "many", "young"))  # what may only speak against a merge
MOMENTS = frozenset(("time_bits", "hours", "quiet_hours"))  # what says that two failures were close in time, and nothing else
REASONS = {
    "plain_difference": "both differ in a plain value",
    "difference_bits": "the same unusual difference",
    "difference": "the same difference between expected and actual",
    "service_bits": "the same place",
    "service_words": "places with related names",
    "type_bits": "the same error type",
    "lines": "the same lines",
    "word_bits": "the same unusual words",
    "title_bits": "related names",
    "time_bits": "close in time",
    "service_and_difference": "the same difference in the same place",
    "service_and_text": "the same text in the same place",
    "service_and_top": "the same top frame in the same place",
    "top_bits": "the same top frame",
    "frames": "the same frames",
    "call_words": "related functions",
    "call_bits": "the same unusual function names",
    "type_words": "related error types",
    "hours": "within hours",
    "quiet_hours": "close in a quiet time",
    "hours_and_calls": "related functions within hours",
    "renamed": "the same calls but for one that got another name",
}


PLAIN = frozenset(
    f"d:{sign}{word}"
    for sign in "+-~"
    for word in (
        "true",
        "false",
        "null",
        "None",
        "True",
        "False",
        "nil",
        "undefined_",
        "#",
        "higher",
        "lower",
        "numbers",
        "+1",
        "-1",
        "+2",
        "-2",
        "+0",
    )
)


def evidence(a: Bag, b: Bag, source: Source) -> dict[str, float]:
    """Return what speaks for (and, by the sign of its weight, against) one cause; only what is not zero."""
    out: dict[str, float] = {}
    _places(a, b, source, out)
    _texts(a, b, source, out)
    _times(a, b, source, out)
    out["many"] = math.log2(source.seen + 4)
    out["young"] = float(source.seen < LEARN)
    return {name: value for name, value in out.items() if value}


def _places(a: Bag, b: Bag, source: Source, out: dict[str, float]) -> None:
    if a.frames and b.frames:
        shared = a.frames & b.frames
        out["frames"] = _share(a, b, "frames", source)
        top = a.top == b.top
        out["top_bits"] = min(8.0, max(map(source.bits, shared), default=0.0)) * (1.0 if top else 0.5)
        out["service_and_top"] = float(top and a.service == b.service != "")
    calls = a.calls & b.calls
    if calls:
        out["call_words"] = _share(a, b, "calls", source)
        out["call_bits"] = _rarest(calls, source, 15.0)
    if a.service and a.service == b.service:
        out["service_bits"], out["service_words"] = min(8.0, source.bits(a.service)), 1.0
        out["service_and_text"] = float(a.features.lines == b.features.lines != ())
    elif a.place & b.place:
        out["service_words"] = _share(a, b, "place", source)
    if a.type and a.type == b.type:
        out["type_bits"], out["type_words"] = min(5.0, source.bits(a.type)), 1.0
    elif a.type and b.type:
        out["other_type"], out["type_words"] = 1.0, _share(a, b, "kinds", source)


def _texts(a: Bag, b: Bag, source: Source, out: dict[str, float]) -> None:
    if a.differs and b.differs:
        shared = a.differs & b.differs
        if shared:
            share = _share(a, b, "differs", source)
            told = bool(shared - PLAIN)
            out["difference" if told else "plain_difference"] = share
            out["difference_bits"] = share * min(8.0, max(map(source.bits, shared)))
            out["service_and_difference"] = share * (a.service == b.service != "")
        else:
            out["other_difference"] = 1.0
    if a.lines & b.lines:
        out["lines"] = _share(a, b, "lines", source)
    words = a.words & b.words
    if words:
        out["word_bits"] = _rarest(words, source, 20.0)
    names = a.title & b.title
    if names:
        out["title_bits"] = min(8.0, max(map(source.bits, names)))


def _times(a: Bag, b: Bag, source: Source, out: dict[str, float]) -> None:
    if a.features.at is None or b.features.at is None:
        return
    gap = abs(a.features.at - b.features.at)
    bits = source.closeness(gap)
    out["time_bits"], out["long_ago"] = min(8.0, bits), float(bits < 1.0)
    out["same_moment"] = float(gap == 0 and source.exclusive)
    out["hours"] = max(0.0, 8.0 - math.log2(1 + gap / 1800))
    out["quiet_hours"] = out["hours"] / math.log2(2 + source.between(a.features.at, b.features.at, 43_200.0))
    out["hours_and_calls"] = out["hours"] * out.get("call_words", 0.0)


def _share(a: Bag, b: Bag, name: str, source: Source) -> float:
    """Return the weighted Jaccard index of one set of tokens of two failures."""
    shared = source.weight(getattr(a, name) & getattr(b, name))
    union = a.weight(name, source) + b.weight(name, source) - shared
    return min(1.0, shared / union) if union > 0 else 0.0


def _rarest(tokens: frozenset[str], source: Source, most: float) -> float:
    return min(most, sum(sorted(map(source.bits, tokens), reverse=True)[:3]))


def kind(a: Bag, b: Bag) -> str:
    """Return which model compares two failures: two failed checks (their own frame on top), two crashes, or texts."""
    if a.frames and b.frames:
        return "check" if a.check or b.check else "crash"
    return "text"


def score(a: Bag, b: Bag, source: Source) -> tuple[float, dict[str, float]]:
    """Return the log-odds that two failures of one source have one cause, and what each part of the evidence added."""
    model = MODELS[kind(a, b)]
    parts = {name: weight * value for name, value in evidence(a, b, source).items() if (weight := model.get(name))}
    return model["bias"] + sum(parts.values()), parts


def likeness(log_odds: float) -> float:
    """Return a probability-like figure between 0 and 1 for people."""
    return 1 / (1 + math.exp(-max(-40.0, min(40.0, log_odds))))


def reasons(parts: dict[str, float], most: int = 3) -> list[str]:
    """Return the strongest reasons for a merge in words, strongest first."""
    said = sorted((name for name, value in parts.items() if value > 0 and name in REASONS), key=lambda n: (-parts[n], n))
    return [REASONS[name] for name in said[:most]]


@dataclass(slots=True)
class Index:
    """Finds groups that share rare tokens with a failure, and those seen last; memory is bounded by POSTINGS a token."""

    postings: dict[str, list[str]] = field(default_factory=dict)
    recent: list[str] = field(default_factory=list)

    POSTINGS = 64
    LOOKED_UP = 28
    RECENT = 10

    def add(self, group: str, bag: Bag) -> None:
        for token in bag.keys:
            held = self.postings.setdefault(token, [])
            if group not in held[-4:]:
                held.append(group)
                if len(held) > self.POSTINGS:
                    del held[0]

    def rename(self, resolve: Callable[[str], str]) -> None:
        """Let every posting name the group that its group has become."""
        self.postings = {token: list(dict.fromkeys(map(resolve, held))) for token, held in self.postings.items()}
        self.recent = list(dict.fromkeys(map(resolve, self.recent)))

    def keep(self, live: Container[str]) -> None:
        """Forget the groups that are not live."""
        self.postings = {token: kept for token, held in self.postings.items() if (kept := [g for g in held if g in live])}

    def touch(self, group: str) -> None:
        """Note that a group has just been seen."""
        if group in self.recent:
            self.recent.remove(group)
        self.recent.append(group)
        del self.recent[: -self.RECENT]

    def candidates(self, bag: Bag, source: Source, limit: int = 14) -> list[str]:
        """Return at most `limit` groups by the weight of the rare tokens they share with the failure, and the ones seen last."""
        rare = sorted((source.documents.get(t, 0), t) for t in bag.keys if t in self.postings)[: self.LOOKED_UP]
        votes: dict[str, float] = {}
        for _, token in rare:
            bits = source.bits(token)
            for group in self.postings[token]:
                votes[group] = votes.get(group, 0.0) + bits
        best = sorted(votes, key=lambda g: (-votes[g], g))[:limit]
        return best + [g for g in reversed(self.recent) if g not in best] if bag.features.at is not None else best


def rank(
    query: Features, candidates: Sequence[tuple[str, Features]], weights: Mapping[str, float] | None = None, limit: int = 10
) -> list[tuple[str, float]]:
    """Return the tickets most like the query, best first, with a score from 0 to about 1; for many queries make a `Catalogue` once."""
    return Catalogue(candidates, weights).rank(query, limit)


class Catalogue:
    """Tickets to be searched for duplicates. `weights` are stems' rarities from `prose.rarity`; without them the tickets' own are used."""

    def __init__(self, candidates: Sequence[tuple[str, Features]], weights: Mapping[str, float] | None = None) -> None:
        counted = [(name, prose.counts(features.heading, features.body), features.at) for name, features in candidates]
        self.weights = weights or prose.rarity(c for _, c, _ in counted)
        self.names = [name for name, _, _ in counted]
        self.times = [at for _, _, at in counted]
        self.postings: dict[str, list[tuple[int, float]]] = {}
        for n, (_, document, _) in enumerate(counted):
            for word, value in prose.vector(document, self.weights).items():
                self.postings.setdefault(word, []).append((n, value))

    def rank(self, query: Features, limit: int = 10, without: str = "") -> list[tuple[str, float]]:
        """Return at most `limit` tickets that share a word with the query, best first; `without` is the query's own name."""
        scores: dict[int, float] = {}
        for word, value in prose.vector(prose.counts(query.heading, query.body), self.weights).items():
            for n, other in self.postings.get(word, ()):
                scores[n] = scores.get(n, 0.0) + value * other
        found = [(self.names[n], s + prose.closeness(query.at, self.times[n])) for n, s in scores.items() if self.names[n] != without]
        return sorted(found, key=lambda s: (-s[1], s[0]))[:limit]
