"""Which label an incident gets (the fix that helped, its cause, who resolved it): ranked by the words and fields of past ones.

An incident is a set of traits: the stems of its words, neighbouring pairs of them, its short values and pairs of those. Opinions:

1. popular, lately: how often each label came at all, and how often in the last months;
2. evidence: how much oftener than usual a label came with each trait (naive Bayes; ratios shrunk to one, their sum damped);
3. precedent: the mean of the labels' shares over the traits, where a trait that leaves little doubt counts most;
4. weights: a softmax regression on the traits, fitted by small steps on each new incident and again on earlier ones;
5. names: whether the incident speaks the words of the label itself.

The answer is their product, each to a power that is learnt: an incident is ranked before it is learnt, and the powers move to what
would have been better (a step on its log loss). Nothing is tuned per task; what was learnt before is all that an answer rests on.
"""

from __future__ import annotations

import functools
import itertools
import math
import re
from collections import Counter, deque
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import numpy as np
from numpy.typing import NDArray

from everfix.failures import learner, prose

Floats = NDArray[np.float64]
Rows = NDArray[np.intp]

VERSION = "labels-1"
# Held at most: the rarest trait, the label least seen lately and the oldest incident go first.
MOST_TRAITS, MOST_LABELS, MOST_REMEMBERED = 30_000, 200, 5_000
# A line of so many characters is a value too; so many fields are paired; so many traits of an incident are taken.
SHORT, PAIRED, PER_INCIDENT = 60, 8, 400
LATELY = 120.0  # days after which an incident counts half in «lately»
# Chosen once for all tasks on the older part of the public incidents (bench/quality_fixes.py says how); the optimum is flat.
SHRINK, DAMP, DOUBT, CONCENTRATION, SPOKEN = 20.0, 0.7, 2.0, 2.0, 3.0
RATE, AGAIN, DRAG = 0.5, 8, 1e-4  # of the regression: size of a step, earlier incidents gone over again, pull to zero
OPINIONS = ("popular", "lately", "evidence", "precedent", "weights", "names")
POWERS, POWER_RATE = (0.0, 0.0, 0.3, 0.3, 0.4, 0.2), 0.1
TELLING = 1.2  # from this many times the usual share a trait is given as a reason

_WORD = re.compile(r"[^\W\d_](?:[\w.\-]*[^\W_])?")


@dataclass(frozen=True, slots=True)
class Ranked:
    """A label, how probable it is among the labels known (they add up to 1), and why it is thought so."""

    label: str
    probability: float
    why: str


def text_of(title: str, text: str = "", service: str = "", cause: str = "") -> dict[str, str]:
    """The incident that a failure pattern is, for `learn` and `rank`: what is known of it, never what was done about it."""
    given = {"title": title, "text": text, "service": service, "cause": cause}
    return {name: value for name, value in given.items() if value}


@functools.lru_cache(maxsize=16384)
def _stems(word: str) -> tuple[str, ...]:
    return tuple(stem for stem in prose.terms(word) if len(stem) > 1)


@functools.lru_cache(maxsize=1024)
def _heads(label: str) -> frozenset[str]:
    """The first six letters of each stem of a label, so that «config» meets «configuration»."""
    return frozenset(stem[:6] for word in _WORD.findall(label) for stem in _stems(word))


def traits(incident: Mapping[str, str]) -> dict[str, str]:
    """Trait -> how the incident words it. Traits of values hold a «=», those of words never do."""
    found = _values(incident)
    before = ("", "")
    for word in _WORD.findall("\n".join(incident.values())[: prose.LONGEST]):
        stems = _stems(word)
        if len(found) >= PER_INCIDENT:
            break
        for stem in stems:
            found.setdefault(stem, word)
        if stems and before[0]:
            found.setdefault(f"{before[0]} {stems[0]}", f"{before[1]} {word}")
        before = (stems[0], word) if stems else before
    return found


def _values(incident: Mapping[str, str]) -> dict[str, str]:
    """Short lines as values of their field, with what stands before their first slash, and pairs of fields that have one short line."""
    found: dict[str, str] = {}
    single = []
    for field, value in incident.items():
        lines = [line.strip() for line in value.splitlines() if line.strip()]
        if not lines or any(len(line) > SHORT for line in lines):
            continue
        for line in lines[:PAIRED]:
            found[f"{field}={line.casefold()}"] = line
            if wider := line.split("/")[0].strip():
                found.setdefault(f"{field}={wider.casefold()}", wider)
        if len(lines) == 1:
            single.append((f"{field}={lines[0].casefold()}", lines[0]))
    for (one, said), (other, too) in itertools.combinations(single[:PAIRED], 2):
        found[f"{one} & {other}"] = f"{said} and {too}"
    return found


def _softmax(logs: Floats) -> Floats:
    raised = np.exp(logs - logs.max())
    return np.asarray(raised / raised.sum(), dtype=np.float64)


class Ranker:
    """Ranks labels for incidents; learns one incident at a time, in the order in which their labels became known."""

    def __init__(self) -> None:
        self.labels: list[str] = []
        self.rows: dict[str, int] = {}
        self.learnt = 0
        self.latest: datetime | None = None
        self.total, self.lately, self.seen = np.zeros(0), np.zeros(0), np.zeros(0)
        self.valued = np.zeros(0, dtype=np.bool_)
        self.counts, self.weights, self.squares = (np.zeros((0, 0)) for _ in range(3))  # each (traits, labels)
        self.powers, self.pace = np.array(POWERS), np.ones(len(POWERS))
        self.remembered: deque[tuple[Rows, list[int]]] = deque(maxlen=MOST_REMEMBERED)

    @classmethod
    def new(cls) -> Ranker:
        """A ranker that has learnt nothing."""
        return cls()

    def rank(self, incident: Mapping[str, str]) -> list[Ranked]:
        """Every label known, most probable first; empty before anything was learnt."""
        if not self.labels:
            return []
        said = traits(incident)
        rows = self._known(said)
        probabilities = _softmax(self.powers @ self._opinions(rows, said))
        why = self._reasons(rows, said)
        order = sorted(range(len(self.labels)), key=lambda n: (-probabilities[n], self.labels[n]))
        return [Ranked(self.labels[n], float(probabilities[n]), why[n]) for n in order]

    def usual(self) -> dict[str, float]:
        """The share of past incidents that had each label."""
        return dict(zip(self.labels, map(float, self._popular()), strict=True))

    def learn(self, incident: Mapping[str, str], labels: Collection[str], at: datetime) -> None:
        """Take in what an incident turned out to be, when that became known. Without labels there is nothing to learn."""
        right = sorted({label for label in labels if label})[:MOST_LABELS]
        if not right:
            return
        said = traits(incident)
        self._judge(said, right)
        self._fade(at)
        self._make_room(len(said), right)
        columns = [self._column(label) for label in right]
        rows = np.array([self._row(trait) for trait in said], dtype=np.intp)
        share = 1.0 / len(columns)
        self.total[columns] += share
        self.lately[columns] += share
        self.seen[rows] += 1.0
        self.counts[rows[:, None], columns] += share
        self.learnt += 1
        self.remembered.append((rows, columns))
        self._step(rows, columns)
        for n in range(min(AGAIN, len(self.remembered) - 1)):  # a fixed walk through what is remembered: the same on every machine
            self._step(*self.remembered[(self.learnt * 7919 + n * 104_729) % len(self.remembered)])

    def _known(self, said: Mapping[str, str]) -> Rows:
        """Rows of the traits that can say anything: seen twice at least, and not in nearly every incident."""
        rows = [row for trait in said if (row := self.rows.get(trait)) is not None and 2 <= self.seen[row] <= 0.9 * self.learnt + 1]
        return np.array(rows, dtype=np.intp)

    def _popular(self) -> Floats:
        return np.asarray((self.total + 0.5) / (self.total + 0.5).sum(), dtype=np.float64)

    def _scales(self, rows: Rows) -> Floats:
        """What each trait counts: an incident's values together as much as its words together, however many they are."""
        valued = self.valued[rows]
        values = int(valued.sum())
        return np.where(valued, 1.0 / math.sqrt(max(1, values)), 1.0 / math.sqrt(max(1, len(rows) - values)))

    def _ratios(self, rows: Rows) -> Floats:
        """(traits, labels): log of how many times its usual share a label has with a trait, shrunk to 0."""
        return np.asarray(np.log((self.counts[rows] / self._popular() + SHRINK) / (self.seen[rows, None] + SHRINK)), dtype=np.float64)

    def _opinions(self, rows: Rows, said: Mapping[str, str]) -> Floats:
        """(opinions, labels) of log probabilities."""
        popular = self._popular()
        base, lately = np.log(popular), np.log((self.lately + 0.5 * popular) / (self.lately.sum() + 0.5))
        evidence = precedent = base
        if len(rows):
            evidence = np.log(_softmax(base + DAMP * self._scales(rows) @ self._ratios(rows)) + 1e-9)
            shares = (self.counts[rows] + CONCENTRATION * popular) / (self.seen[rows, None] + CONCENTRATION)
            trust = np.exp(DOUBT * (shares * np.log(shares)).sum(axis=1))
            precedent = np.log(trust @ shares / trust.sum())
        weights = np.log(self._regressed(rows) + 1e-6)
        return np.stack([base, lately, evidence, precedent, weights, np.log(_softmax(base + SPOKEN * self._named(said)))])

    def _regressed(self, rows: Rows) -> Floats:
        return _softmax(np.log(self._popular()) + self._scales(rows) @ self.weights[rows])

    def _named(self, said: Mapping[str, str]) -> Floats:
        """For each label the share of its words that the incident says; a word that many labels have counts little."""
        spoken = {trait[:6] for trait in said if "=" not in trait and " " not in trait}
        common = Counter(itertools.chain.from_iterable(_heads(label) for label in self.labels))
        found = []
        for heads in map(_heads, self.labels):
            whole = sum(1.0 / common[head] for head in sorted(heads))
            found.append(sum(1.0 / common[head] for head in sorted(heads & spoken)) / whole if whole else 0.0)
        return np.array(found)

    def _judge(self, said: Mapping[str, str], right: list[str]) -> None:
        """Rank an incident before it is learnt, and move the powers of the opinions to what would have ranked it better."""
        known = [self.labels.index(label) for label in right if label in self.labels]
        if not known:
            return
        opinions = self._opinions(self._known(said), said)
        slope = opinions @ _softmax(self.powers @ opinions) - opinions[:, known].mean(axis=1)
        self.pace += slope**2
        self.powers = np.clip(self.powers - POWER_RATE * slope / np.sqrt(self.pace), 0.0, 2.0)

    def _step(self, rows: Rows, columns: list[int]) -> None:
        """One step of the regression (AdaGrad, Duchi et al. 2011) towards the labels of one incident."""
        if not len(rows) or not columns:
            return
        slope = self._regressed(rows)
        slope[columns] -= 1.0 / len(columns)
        step = np.outer(self._scales(rows), slope) + DRAG * self.weights[rows]
        self.squares[rows] += step**2
        self.weights[rows] -= RATE * step / np.sqrt(self.squares[rows] + 1e-8)

    def _fade(self, at: datetime) -> None:
        now = at if at.tzinfo else at.replace(tzinfo=UTC)
        if self.latest is not None and now > self.latest:
            self.lately *= 0.5 ** ((now - self.latest).total_seconds() / 86_400 / LATELY)
        self.latest = now if self.latest is None else max(now, self.latest)

    def _reasons(self, rows: Rows, said: Mapping[str, str]) -> list[str]:
        """For each label the traits that speak most for it, in the incident's own words, with the figures they rest on."""
        popular = self._popular()
        worded = {self.rows[trait]: words for trait, words in said.items() if trait in self.rows}
        spoken = {trait[:6]: words for trait, words in said.items() if "=" not in trait and " " not in trait}
        strength = self._scales(rows)[:, None] * self._ratios(rows)
        out = []
        for n, label in enumerate(self.labels):
            parts: dict[str, str] = {}
            for row in rows[np.argsort(-strength[:, n], kind="stable")[:12]]:
                words, times = worded[int(row)], self.counts[row, n] / self.seen[row] / popular[n]
                new = not any(words in told or told in words for told in parts)
                if new and times >= TELLING and self.seen[row] >= 3 and len(parts) < 3:
                    parts[words] = f"{times:.1f} times as often as usual in {self.seen[row]:.0f} with «{words}»"
            named = [spoken[head] for head in sorted(_heads(label) & spoken.keys())]
            reasons = [*parts.values(), *([f"its own name is said: «{named[0]}»"] if named else [])]
            usual = f"{100 * self.total[n] / max(1.0, self.total.sum()):.0f} % of {self.learnt} past incidents"
            out.append(f"{usual}; {'; '.join(reasons)}" if reasons else f"{usual}; nothing that this one says points to it")
        return out

    def _tables(self, change: Callable[[Floats], Floats]) -> None:
        self.counts, self.weights, self.squares = change(self.counts), change(self.weights), change(self.squares)

    def _column(self, label: str) -> int:
        if label not in self.labels:
            self.labels.append(label)
            self.total, self.lately = np.append(self.total, 0.0), np.append(self.lately, 0.0)
            self._tables(lambda table: np.pad(table, ((0, 0), (0, 1))))
        return self.labels.index(label)

    def _row(self, trait: str) -> int:
        row = self.rows.setdefault(trait, len(self.rows))
        if row >= len(self.seen):
            more = max(1024, len(self.seen))
            self.seen, self.valued = np.pad(self.seen, (0, more)), np.pad(self.valued, (0, more))
            self._tables(lambda table: np.pad(table, ((0, more), (0, 0))))
        self.valued[row] = "=" in trait
        return row

    def _make_room(self, traits_more: int, right: list[str]) -> None:
        """Forget the rarest traits, oldest first, and the labels least seen lately, when what is to come would not fit."""
        while self.labels and len(set(self.labels) | set(right)) > MOST_LABELS:
            self._keep_labels([n for n in range(len(self.labels)) if n != self._least(right)])
        if len(self.rows) + traits_more > MOST_TRAITS:
            order = np.lexsort((np.arange(len(self.rows)), self.seen[: len(self.rows)]))
            self._keep_traits(np.sort(order[-MOST_TRAITS * 3 // 4 :]))

    def _least(self, right: list[str]) -> int:
        return min((n for n in range(len(self.labels)) if self.labels[n] not in right), key=lambda n: (self.lately[n], n))

    def _keep_labels(self, kept: list[int]) -> None:
        place = {old: new for new, old in enumerate(kept)}
        self.labels = [self.labels[n] for n in kept]
        self.total, self.lately = self.total[kept], self.lately[kept]
        self._tables(lambda table: table[:, kept])
        again = [(rows, [place[n] for n in columns if n in place]) for rows, columns in self.remembered]
        self.remembered = deque(again, maxlen=MOST_REMEMBERED)

    def _keep_traits(self, kept: Rows) -> None:
        place = np.full(len(self.rows), -1, dtype=np.intp)
        place[kept] = np.arange(len(kept))
        self.rows = {trait: int(place[row]) for trait, row in self.rows.items() if place[row] >= 0}
        self.seen, self.valued = self.seen[kept], self.valued[kept]
        self._tables(lambda table: table[kept])
        self.remembered = deque(((moved[moved >= 0], c) for r, c in self.remembered for moved in (place[r],)), maxlen=MOST_REMEMBERED)

    def to_state(self) -> dict[str, Any]:
        """All of it, JSON-able; numbers as float32."""
        used = len(self.rows)
        arrays = {name: learner.written(getattr(self, name)) for name in ("total", "lately", "powers", "pace")}
        tables = {name: learner.written(getattr(self, name)[:used].ravel()) for name in ("seen", "counts", "weights", "squares")}
        return {
            "version": VERSION,
            "labels": self.labels,
            "traits": sorted(self.rows, key=self.rows.__getitem__),
            "learnt": self.learnt,
            "latest": self.latest.isoformat() if self.latest else None,
            "remembered": [[rows.tolist(), columns] for rows, columns in self.remembered],
            **arrays,
            **tables,
        }

    @classmethod
    def from_state(cls, state: Mapping[str, Any]) -> Ranker:
        """What `to_state` wrote. Raises ValueError when another version wrote it, or when its parts do not fit together."""
        if state.get("version") != VERSION:
            raise ValueError(f"version: the state was written by {state.get('version')!r}; allowed is {VERSION!r}")
        one = cls()
        one.labels, one.rows = list(state["labels"]), {trait: n for n, trait in enumerate(state["traits"])}
        one.learnt, one.latest = int(state["learnt"]), datetime.fromisoformat(state["latest"]) if state["latest"] else None
        one.total, one.lately, one.powers, one.pace = (learner.read(state[name]) for name in ("total", "lately", "powers", "pace"))
        one.seen, one.valued = learner.read(state["seen"]), np.array(["=" in trait for trait in one.rows], dtype=np.bool_)
        shape = len(one.rows), len(one.labels)
        one.counts, one.weights, one.squares = (learner.read(state[name]).reshape(shape) for name in ("counts", "weights", "squares"))
        if len(one.seen) != shape[0] or len(one.total) != shape[1] or len(one.powers) != len(POWERS):
            raise ValueError(f"state: {len(one.seen)} counts for {shape[0]} traits, {len(one.total)} for {shape[1]} labels: must agree")
        again = ((np.array(rows, dtype=np.intp), list(columns)) for rows, columns in state["remembered"])
        one.remembered = deque(again, maxlen=MOST_REMEMBERED)
        return one
