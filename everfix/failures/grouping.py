"""Groups of failures with one cause, as failures arrive: exact key first, then likeness, with brakes; used by the server and `everfix group`."""

from __future__ import annotations

import csv
import gzip
import json
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, TextIO

from everfix.failures import fingerprint, similarity
from everfix.failures.fingerprint import Failure, Features

FIELDS = ("title", "message", "stacktrace", "error_type", "service", "kind", "team")


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a failure went and why; `nearest` is the best group that it did not go to."""

    group: str
    why: dict[str, Any]
    similarity: float
    nearest: tuple[str, float] | None


@dataclass(slots=True)
class _Scope:
    """All that is remembered of one scope."""

    source: similarity.Source = field(default_factory=similarity.Source)
    index: similarity.Index = field(default_factory=similarity.Index)
    exact: dict[str, str] = field(default_factory=dict)
    exemplars: dict[str, Features] = field(default_factory=dict)


class Grouper:
    """Assigns failures to groups one by one. `corrections` maps fingerprint keys to groups as people decided; they win for ever."""

    def __init__(self, corrections: Mapping[str, str] | None = None) -> None:
        self.corrections = dict(corrections or {})
        self._scopes: dict[str, _Scope] = {}
        self._items: dict[str, str] = {}

    def assign(self, item_id: str, failure: Failure) -> Assignment:
        """Return the group of one failure; the same failure again gets the same group in O(1)."""
        scope = self._scopes.setdefault(failure.scope, _Scope())
        print_ = fingerprint.of(failure)
        made = self._decide(scope, print_)
        scope.source.observe(print_.features)
        self._items[item_id] = made.group
        return made

    def _decide(self, scope: _Scope, found: fingerprint.Fingerprint) -> Assignment:
        if found.key in self.corrections:
            return Assignment(self.corrections[found.key], {"rule": "corrected by a person"}, 1.0, None)
        if found.key in scope.exact:
            return Assignment(scope.exact[found.key], {**found.why, "rule": f"same {found.why['rule']}"}, 1.0, None)
        best = sorted(
            ((similarity.score(found.features, scope.exemplars[g], scope.source), g) for g in scope.index.candidates(found.features, scope.source)),
            key=lambda s: (-s[0][0], s[1]),
        )
        if best and best[0][0][0] >= 0.8:
            (value, why), group = best[0]
            scope.exact[found.key] = group
            return Assignment(group, {**found.why, "rule": "alike", **why}, value, (best[1][1], best[1][0][0]) if len(best) > 1 else None)
        group = found.key
        scope.exact[group], scope.exemplars[group] = group, found.features
        scope.index.add(group, found.features)
        return Assignment(group, {**found.why, "rule": f"new: {found.why['rule']}"}, 1.0, (best[0][1], best[0][0][0]) if best else None)

    def finish(self) -> dict[str, str]:
        """Return the final group of every item assigned so far; at most 2 % differ from what was said on arrival."""
        return dict(self._items)

    def state(self) -> dict[str, Any]:
        """Return what is remembered, JSON-able, by scope."""
        return {
            name: {
                "source": s.source.to_json(), "exact": s.exact, "exemplars": {g: f.to_json() for g, f in s.exemplars.items()},
            }
            for name, s in self._scopes.items()
        }  # fmt: skip

    @classmethod
    def from_state(cls, state: Mapping[str, Any], corrections: Mapping[str, str] | None = None) -> Grouper:
        """Rebuild a grouper that goes on as the one that wrote `state` would have; items assigned before are not in `finish`."""
        made = cls(corrections)
        for name, raw in state.items():
            scope = _Scope(similarity.Source.from_json(raw["source"]), similarity.Index(), dict(raw["exact"]))
            for group, features in raw["exemplars"].items():
                scope.exemplars[group] = Features.from_json(features)
                scope.index.add(group, scope.exemplars[group])
            made._scopes[name] = scope
        return made


@dataclass(slots=True)
class Summary:
    """What `run` did: counts, and one (line number, reason) for each line that could not be used."""

    items: int = 0
    groups: int = 0
    changed: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)


def run(lines: Iterable[bytes], out: TextIO, progress: Callable[[int], None] | None = None, corrections: Mapping[str, str] | None = None) -> Summary:
    """Group the items of a JSONL stream (gzip is unpacked) and write `id,arrival_group,final_group,why` as CSV.

    A line that cannot be used is reported in the summary with its number and reason; the others are kept."""
    summary, grouper, arrivals = Summary(), Grouper(corrections), {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item_id, failure = read(line)
            if item_id in arrivals:
                raise ValueError(f"id: {item_id!r} came before")
        except ValueError as error:
            summary.errors.append((number, str(error)))
            continue
        made = grouper.assign(item_id, failure)
        arrivals[item_id] = (made.group, json.dumps(made.why, ensure_ascii=False, sort_keys=True))
        if progress:
            progress(number)
    final = grouper.finish()
    writer = csv.writer(out)
    writer.writerow(["id", "arrival_group", "final_group", "why"])
    for item_id, (arrival, why) in arrivals.items():
        writer.writerow([item_id, arrival, final[item_id], why])
    summary.items, summary.groups = len(arrivals), len(set(final.values()))
    summary.changed = sum(1 for i, (arrival, _) in arrivals.items() if final[i] != arrival)
    return summary


def read(line: bytes) -> tuple[str, Failure]:
    """Return the id and the failure of one JSON line; raises ValueError naming the field, what came and what is allowed."""
    try:
        raw = json.loads(line.decode("utf-8"))
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError(f"not JSON in UTF-8: {error}") from error
    if not isinstance(raw, dict):
        raise ValueError(f"a line must be a JSON object, not {type(raw).__name__}")
    item_id = raw.get("id")
    if not isinstance(item_id, str | int) or isinstance(item_id, bool) or item_id == "":
        raise ValueError(f"id: {item_id!r} came, a text or a whole number is needed")
    texts: dict[str, str] = {}
    for name in ("scope", *FIELDS):
        value = raw.get(name)
        if value is not None and not isinstance(value, str):
            raise ValueError(f"{name}: {type(value).__name__} came, text is needed")
        texts[name] = value or ""
    return str(item_id), Failure(**texts, occurred_at=_time(raw.get("occurred_at")))


def _time(value: object) -> datetime | None:
    if value is None or value == "":
        return None
    if not isinstance(value, str):
        raise ValueError(f"occurred_at: {type(value).__name__} came, an ISO 8601 time is needed")
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"occurred_at: {value[:40]!r} is not an ISO 8601 time") from error


def opened(path: str) -> Iterable[bytes]:
    """Yield the lines of a file; one that begins with gzip's magic number is unpacked, whatever its name."""
    with open(path, "rb") as file:  # noqa: PTH123 - a stream that may be a pipe
        packed = file.peek(2)[:2] == b"\x1f\x8b"
        yield from gzip.GzipFile(fileobj=file) if packed else file
