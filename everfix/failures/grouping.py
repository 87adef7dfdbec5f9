"""Groups of failures with one cause, as they arrive: exact key first, then likeness, with brakes; for the server and `everfix group`."""

from __future__ import annotations

import csv
import gzip
import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any, TextIO

from everfix.failures import fingerprint, renames, similarity, sources, templates, together
from everfix.failures.fingerprint import Failure, Fingerprint
from everfix.failures.scopes import EXEMPLARS, Scope

FIELDS = ("title", "message", "stacktrace", "error_type", "service", "kind", "team")


NEED = 0.0  # log-odds from which a likeness merges
RARE = 0.02  # share of a source's distinct failures up to which a word counts as rare
ALIKE = 3  # exemplars whose mean likeness counts, so that one chance resemblance does not pull a failure in
RENAMED = 4.0  # log-odds of one cause for crashes that differ in a renamed call
SHARE, FROM = 0.34, 60  # no group may take more than this share of a source's distinct failures by likeness, once there are so many
MOST_APART = 50  # groups of one bare symptom at one place that are remembered
CHANGED = 0.02  # share of items whose group may differ in the end from what was said on arrival


# Which stage made a rule, by how the rule begins.
STAGES = (
    ("corrected by a person", "person"),
    ("kept apart", "threshold"),
    ("bare symptom", "symptom"),
    ("new bare symptom", "symptom"),
    ("same key line", "key_line"),
    ("same template", "template"),
    ("same name but for a value", "name"),
    ("alike", "likeness"),
    ("same ", "exact"),
    ("new ", "new"),
)


@dataclass(frozen=True, slots=True)
class Assignment:
    """Where a failure went and why; `nearest` is the best group it did not go to, `absorbed` those that turned out to be this one, `kin` the
    fingerprint that it is most like where likeness decided, now or when it was first seen.
    """

    group: str
    why: dict[str, Any]
    similarity: float
    nearest: tuple[str, float] | None
    absorbed: tuple[str, ...] = ()
    kin: str | None = None

    @property
    def bare(self) -> bool:
        """Say whether the failure is a bare symptom, which many causes show: its group names it, and its fingerprint does not."""
        return "bare symptom" in str(self.why.get("rule"))

    @property
    def stage(self) -> str:
        """Return which stage decided."""
        rule = str(self.why.get("rule"))
        return "company" if "joined" in self.why else next(stage for start, stage in STAGES if rule.startswith(start))


class Grouper:
    """Assigns failures to groups one by one. `corrections` maps fingerprint keys to groups as people decided; they win for ever."""

    def __init__(self, corrections: Mapping[str, str] | None = None) -> None:
        self.corrections = dict(corrections or {})
        self.scopes: dict[str, Scope] = {}
        self._items: dict[str, tuple[str, str]] = {}

    def assign(self, item_id: str, failure: Failure) -> Assignment:
        """Return the group of one failure; one that was seen before is found in O(1)."""
        scope = self.scopes.setdefault(failure.scope, Scope())
        made = assign(scope, fingerprint.of(failure), self.corrections)
        self._items[item_id] = (failure.scope, made.group)
        return made

    def finish(self) -> dict[str, str]:
        """Return the final group of every item so far: merges found later are applied, the most telling first, to at most 2 % of items."""
        sizes = Counter(self._items.values())
        allowed = int(CHANGED * len(self._items))
        moved: dict[tuple[str, str], str] = {}
        order = sorted(sizes, key=lambda sg: (-sizes.get((sg[0], self.scopes[sg[0]].resolve(sg[1])), 0), sizes[sg], sg))
        for scope, group in order:
            final = self.scopes[scope].resolve(group)
            if final != group and sizes[scope, group] <= allowed:
                allowed -= sizes[scope, group]
                moved[scope, group] = final
        return {item: moved.get(said, said[1]) for item, said in self._items.items()}

    def state(self) -> dict[str, Any]:
        """Return what is remembered, JSON-able, by scope."""
        return {name: scope.to_json() for name, scope in self.scopes.items()}

    @classmethod
    def from_state(cls, state: Mapping[str, Any], corrections: Mapping[str, str] | None = None) -> Grouper:
        """Rebuild a grouper that goes on as the one that wrote `state` would have; items assigned before are not in `finish`."""
        made = cls(corrections)
        made.scopes = {name: Scope.from_json(raw) for name, raw in state.items()}
        return made


def assign(scope: Scope, found: Fingerprint, corrections: Mapping[str, str]) -> Assignment:
    """Decide where a failure goes and remember it: a person's word, exact key, key line, template, likeness, else a new group."""
    bag = sources.Bag(found.features.lean(), found.key)
    if found.key in corrections:
        made = Assignment(corrections[found.key], {**found.why, "rule": "corrected by a person"}, 1.0, None)
    elif found.key in scope.exact:
        made = _again(scope, found, bag)
    else:
        made = _first(scope, found, bag)
        scope.source.observe(bag)
    made = _in_company(scope, found, made, corrections)
    scope.source.arrive(found.features.at)
    scope.touch(found.key, made.group)
    scope.index.touch(made.group)
    if found.features.at is not None:
        scope.last[made.group] = found.features.at
        scope.journal.mark("last", (made.group,))
    scope.forget()
    return replace(made, kin=scope.kin[found.key]) if found.key in scope.kin else made


def _in_company(scope: Scope, found: Fingerprint, made: Assignment, corrections: Mapping[str, str]) -> Assignment:
    """Make the failure's group one with another that keeps failing at the same hours at its place; never what people decided."""
    features = found.features
    if features.at is None or made.group in corrections.values():
        return made
    met = scope.together.note(made.group, together.voice(features), features.at, lambda other: _akin(scope, made.group, other))
    if met is None or met[0] in corrections.values():
        return made
    if made.group not in scope.sizes:
        scope.sizes[made.group] = 0
        scope.journal.mark("sizes", (made.group,))
    group, absorbed = scope.join([met[0], made.group])
    reason = {"rule": "fail at the same hours", "group": met[0], **met[1]}
    return replace(made, group=group, why={**made.why, "joined": reason}, absorbed=(*made.absorbed, *absorbed))


def _akin(scope: Scope, one: str, other: str) -> bool:
    """Say whether two groups' members share a word that few of the source's failures hold, the names of places aside."""
    few = max(3.0, RARE * scope.source.seen)
    told = [
        {w for bag in scope.exemplars.get(group, ()) for w in bag.words | bag.title if 0 < scope.source.documents.get(w, 0) <= few}
        - {w for bag in scope.exemplars.get(group, ()) for w in bag.place}
        for group in (one, other)
    ]
    return len(told[0] & told[1]) >= 1


def _listed(scope: Scope, group: str, at: float | None) -> bool:
    """Say whether a source that lists a failure once a moment has already listed this group at this moment."""
    return at is not None and scope.source.exclusive and scope.last.get(group) == at


def _again(scope: Scope, found: Fingerprint, bag: sources.Bag) -> Assignment:
    """A key seen before decides, unless the text is a bare symptom that this source shows for many causes."""
    at, group = found.features.at, scope.resolve(scope.exact[found.key])
    telling = scope.source.telling(bag)
    bare = not bag.frames and not found.features.title
    if found.key in scope.once:
        scope.once.discard(found.key)
        scope.journal.mark("once", (found.key,))
        if telling and at is not None:
            scope.source.repeat(scope.last.get(group) == at)
    at_once = _listed(scope, group, at)
    if not bare:
        return Assignment(group, {**found.why, "rule": f"same {found.why['rule']}"}, 1.0, None)
    if telling and at_once:
        scope.symptoms.add(found.key)
        scope.journal.mark("symptoms", (found.key,))
    if telling and found.key not in scope.symptoms:
        return Assignment(group, {**found.why, "rule": f"same {found.why['rule']}"}, 1.0, None)
    return _apart(scope, found, group, "several at one moment" if telling else "no line of its own")


def _apart(scope: Scope, found: Fingerprint, usual: str, reason: str) -> Assignment:
    """Keep bare symptoms apart by place and by the numbers in their first line, which drift slowly where they name one thing."""
    place = f"{found.key} {found.features.service}"
    held = scope.apart[place] = scope.apart.pop(place, [])
    numbers, at = found.features.numbers, found.features.at
    near = [(g, n) for g, n in held if _near(n, numbers)]
    group = next((g for g, _ in reversed(near) if not _listed(scope, g, at)), None)
    why = {**found.why, "rule": f"bare symptom ({reason}): kept apart by place and numbers", "place": found.features.service}
    if group is None:
        group = hashlib.blake2b(f"{place} {numbers} {len(held)} {scope.source.arrived}".encode(), digest_size=16).hexdigest()
        why["rule"] = f"new bare symptom ({reason})"
    held[:] = [*[(g, n) for g, n in held if g != group][-MOST_APART:], (group, list(numbers))]
    scope.journal.mark("apart", (place,))
    return Assignment(group, why, 1.0, (usual, 0.5))


def _near(one: Sequence[float], other: Sequence[float]) -> bool:
    """Say whether the numbers of two first lines are equal to one or to a thousandth."""
    return len(one) == len(other) and all(abs(a - b) <= max(1.0, 0.001 * a) for a, b in zip(one, other, strict=True))


def _first(scope: Scope, found: Fingerprint, bag: sources.Bag) -> Assignment:
    """Place a key never seen before."""
    one_line = not bag.frames and not found.features.title and len(found.features.lines) == 1
    keyed = not bag.frames and not found.features.title and scope.source.headline_tells(bag)
    same: list[str] = []
    why: dict[str, Any] = {}
    if keyed and bag.head in scope.heads:
        same, why = scope.heads[bag.head], {"rule": "same key line", "line": found.features.lines[0]}
    elif one_line:
        same, why = scope.templates.place(templates.tokens(found.features.lines[0]), found.key)
        why = {"rule": "same template", **why}
    elif found.why["rule"] == "name and place":
        same, why = _titles(scope, found)
    if same:
        group, absorbed = scope.join([*same, found.key])
        return _placed(scope, found, bag, Assignment(group, {**found.why, **why}, 1.0, None, tuple(g for g in absorbed if g != found.key)))
    # Before a source is known, nobody can say which line of its texts carries the key.
    early = not bag.frames and not found.features.title and scope.source.seen < sources.LEARN
    ranked = [] if keyed or one_line or early or not scope.source.telling(bag) else _ranked(scope, bag)
    if ranked and ranked[0][0] >= NEED and _room(scope, ranked[0][1]):
        value, group, parts, like = ranked[0]
        scope.kin[found.key] = like
        scope.journal.mark("kin", (found.key,))
        scope.merges[group] = scope.merges.get(group, 0) + 1
        scope.journal.mark("merges", (group,))
        why = {"rule": "alike", "because": similarity.reasons(parts), "evidence": {k: round(v, 2) for k, v in parts.items()}}
        return _placed(scope, found, bag, Assignment(group, {**found.why, **why}, similarity.likeness(value), _nearest(ranked[1:])))
    return _placed(scope, found, bag, Assignment(found.key, {**found.why, "rule": f"new {found.why['rule']}"}, 1.0, _nearest(ranked)))


def _titles(scope: Scope, found: Fingerprint) -> tuple[list[str], dict[str, Any]]:
    """Return the groups at one place whose names differ from this one in a value: a region, a city, a voucher.

    Under the name of one alert rule two values are enough, since the rule is what fails; in free words it takes several.
    """
    features = found.features
    alert = features.kind == "incident" and bool(features.error_type)
    among = f"{features.kind}\x1e{features.error_type}\x1e{features.service}"
    same, why = scope.templates.place(templates.tokens(features.title), found.key, among, 2 if alert else templates.WORDS)
    return same, {"rule": "same name but for a value", **why}


def _placed(scope: Scope, found: Fingerprint, bag: sources.Bag, made: Assignment) -> Assignment:
    """Remember a new key under its group."""
    scope.exact[found.key] = made.group
    scope.once.add(found.key)
    if bag.head and made.group not in (known := scope.heads.setdefault(bag.head, [])):
        known.append(made.group)
    held = scope.exemplars.setdefault(made.group, [])
    held.append(bag)
    if len(held) > EXEMPLARS:
        del held[EXEMPLARS // 2]
    scope.index.add(made.group, bag)
    for table, name in (("exact", found.key), ("once", found.key), ("heads", bag.head), ("exemplars", made.group)):
        scope.journal.mark(table, (name,))
    return made


def _ranked(scope: Scope, bag: sources.Bag) -> list[tuple[float, str, dict[str, float], str]]:
    """Return candidate groups with the log-odds of one cause, best first: the mean over the exemplars most like the failure; and the key
    of the one that is most like it.
    """
    out = []
    for group in dict.fromkeys(scope.resolve(g) for g in scope.index.candidates(bag, scope.source)):
        members = scope.exemplars.get(group, ())
        scored = sorted(((*similarity.score(bag, other, scope.source), other.key) for other in members), key=lambda s: -s[0])[:ALIKE]
        again = [other.key for other in members if renames.renamed(bag, other, scope.source)]
        scored = [(RENAMED, {"renamed": RENAMED}, again[-1])] if again else scored
        scored = scored if any(_may(bag, other) for other in members) and _grounded(bag, members, scored[0][1]) else []
        if scored and not _listed(scope, group, bag.features.at):
            out.append((sum(s for s, _, _ in scored) / len(scored), group, *scored[0][1:]))
    return sorted(out, key=lambda s: (-s[0], s[1]))


def _may(one: sources.Bag, other: sources.Bag) -> bool:
    """Say whether likeness of words may make two failures one: checks must have one name, and alerts and tickets names that are alike."""
    a, b = one.features, other.features
    if not a.kind or not b.kind or (one.frames and other.frames) or not one.title or not other.title:
        return True
    if "check" in {a.kind, b.kind}:
        return a.title == b.title
    return 2 * len(one.title & other.title) >= len(one.title | other.title)


def _grounded(one: sources.Bag, members: Sequence[sources.Bag], parts: Mapping[str, float]) -> bool:
    """Say whether more than a moment speaks for a merge: failures that share nothing else are neighbours, not one.

    Crashes must share a frame or say so by their names, unless they fell together; at two places, anything else must speak for it.
    """
    if one.frames and all(other.frames for other in members) and not renames.related(one, members, parts):
        return False
    place = one.features.service
    if not place or any(other.features.service in ("", place) for other in members):
        return True
    return any(value > 0 for name, value in parts.items() if name not in similarity.MOMENTS)


def _room(scope: Scope, group: str) -> bool:
    return scope.source.seen < FROM or scope.merges.get(group, 0) < SHARE * scope.source.seen


def _nearest(ranked: list[tuple[float, str, dict[str, float], str]]) -> tuple[str, float] | None:
    return (ranked[0][1], similarity.likeness(ranked[0][0])) if ranked else None


@dataclass(slots=True)
class Summary:
    """What `run` did: counts, and one (line number, reason) for each line that could not be used."""

    items: int = 0
    groups: int = 0
    changed: int = 0
    errors: list[tuple[int, str]] = field(default_factory=list)


def run(
    lines: Iterable[bytes],
    out: TextIO,
    progress: Callable[[int], None] | None = None,
    corrections: Mapping[str, str] | None = None,
) -> Summary:
    """Group the items of a JSONL stream (gzip is unpacked) and write `id,arrival_group,final_group,why` as CSV.

    A line that cannot be used is reported in the summary with its number and reason; the others are kept.
    """
    summary, grouper, arrivals = Summary(), Grouper(corrections), {}
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            item_id, failure = read(line)
            if item_id in arrivals:
                raise ValueError(f"id: {item_id!r} came before")  # noqa: TRY301 - one place reports every bad line
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
        raise ValueError(f"a line must be a JSON object, not {type(raw).__name__}")  # noqa: TRY004 - the reader of a file reports ValueErrors
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
        raise ValueError(f"occurred_at: {type(value).__name__} came, an ISO 8601 time is needed")  # noqa: TRY004 - the same
    try:
        return datetime.fromisoformat(value)
    except ValueError as error:
        raise ValueError(f"occurred_at: {value[:40]!r} is not an ISO 8601 time") from error


def opened(path: str) -> Iterable[bytes]:
    """Yield the lines of a file; one that begins with gzip's magic number is unpacked, whatever its name."""
    with open(path, "rb") as file:  # noqa: PTH123 - a stream that may be a pipe
        packed = file.peek(2)[:2] == b"\x1f\x8b"
        yield from gzip.GzipFile(fileobj=file) if packed else file
