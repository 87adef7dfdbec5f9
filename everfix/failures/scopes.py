"""All that is remembered of one scope of failures: keys, groups, their members, what they have in common; bounded, JSON-able."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from everfix.failures import similarity, sources, templates, together
from everfix.failures.fingerprint import Features
from everfix.failures.journal import LATEST, Journal

EXEMPLARS = 6  # members kept to compare with: the first three, then the latest three
# Beyond these the tenth that was not seen for longest is forgotten: a key that comes back looks for its group anew, and if nothing is like
# it, its group has the name it had, since a group is named after its first key.
MOST_KEYS, MOST_GROUPS = 100_000, 20_000


@dataclass(slots=True)
class Scope:
    """All that is remembered of one scope; JSON-able through `to_json`/`from_json`, so that a server can keep it beside its patterns.

    Once its journal is on, `changes` returns what is new since it was last written down, which `merge` adds to what `to_json` returned and
    `apply` to another copy of the scope.
    """

    source: sources.Source = field(default_factory=sources.Source)
    index: similarity.Index = field(default_factory=similarity.Index)
    templates: templates.Templates = field(default_factory=templates.Templates)
    exact: dict[str, str] = field(default_factory=dict)
    heads: dict[str, list[str]] = field(default_factory=dict)
    exemplars: dict[str, list[sources.Bag]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    merges: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    kin: dict[str, str] = field(default_factory=dict)  # of a key placed by likeness: the key that it is most like
    last: dict[str, float] = field(default_factory=dict)
    apart: dict[str, list[tuple[str, list[float]]]] = field(default_factory=dict)
    once: set[str] = field(default_factory=set)
    symptoms: set[str] = field(default_factory=set)
    together: together.Together = field(default_factory=together.Together)
    journal: Journal = field(default_factory=Journal)

    def __post_init__(self) -> None:
        self.source.journal = self.templates.journal = self.together.journal = self.journal

    def resolve(self, group: str) -> str:
        """Return the group that a group has become part of, or itself."""
        while group in self.links:
            group = self.links[group]
        return group

    def join(self, groups: list[str]) -> tuple[str, tuple[str, ...]]:
        """Make groups one: the largest keeps its id, at a tie the oldest; return it and those it absorbed."""
        live = list(dict.fromkeys(self.resolve(g) for g in groups))
        kept = max(live, key=lambda g: self.sizes.get(g, 0))
        absorbed = tuple(g for g in live if g != kept)
        for group in absorbed:
            self.links[group] = kept
            self.journal.mark("links", (group,))
            self.together.join(kept, group)
            self.sizes[kept] = self.sizes.pop(kept, 0) + self.sizes.pop(group, 0)
            held = self.exemplars.setdefault(kept, [])
            held.extend(self.exemplars.pop(group, [])[: max(0, EXEMPLARS - len(held))])
        if absorbed:
            self.journal.mark("sizes", (*absorbed, kept))
            self.journal.mark("exemplars", (*absorbed, kept))
        return kept, absorbed

    def touch(self, key: str, group: str) -> None:
        """Count a failure of a group, and note that its key and its group are the latest seen."""
        self.sizes[group] = self.sizes.pop(group, 0) + 1
        if key in self.exact:
            self.exact[key] = self.resolve(self.exact.pop(key))
        self.journal.mark("exact", (key,))
        self.journal.mark("sizes", (group,))

    def forget(self) -> None:
        """Keep keys, groups and places within their bounds: what was not seen for longest goes, and all that was kept for it."""
        if len(self.exact) > MOST_KEYS:
            self._drop("exact")
            for table in ("once", "symptoms"):
                gone = getattr(self, table) - self.exact.keys()
                getattr(self, table).difference_update(gone)
                self.journal.drop(table, gone)
            unknown = self.kin.keys() - self.exact.keys()
            self.kin = {key: like for key, like in self.kin.items() if key not in unknown}
            self.journal.drop("kin", unknown)
        if len(self.sizes) > MOST_GROUPS:
            self._forget_groups()
        if len(self.apart) > MOST_GROUPS:
            self._drop("apart")

    def _forget_groups(self) -> None:
        """Forget a tenth of the groups. What names a group that became part of another is put right first."""
        self.exact = {key: self.resolve(g) for key, g in self.exact.items()}
        self.templates.rename(self.resolve)
        self.index.rename(self.resolve)
        heads = {head: dict.fromkeys(map(self.resolve, groups)) for head, groups in self.heads.items()}
        self._drop("sizes")
        live = self.sizes.keys()
        self.exact = {key: g for key, g in self.exact.items() if g in live}
        self.once &= self.exact.keys()
        self.symptoms &= self.exact.keys()
        self.kin = {key: like for key, like in self.kin.items() if key in self.exact}
        self.heads = {head: kept for head, groups in heads.items() if (kept := [g for g in groups if g in live])}
        self.exemplars = {g: bags for g, bags in self.exemplars.items() if g in live}
        self.merges = {g: n for g, n in self.merges.items() if g in live}
        self.last = {g: at for g, at in self.last.items() if g in live}
        self.index.keep(live)
        while len(self.links) > MOST_GROUPS:
            self._drop("links")
        self.journal.all()

    def _drop(self, table: str) -> None:
        """Drop the first tenth, which stands first because it was not seen for longest."""
        held = getattr(self, table)
        old = list(held)[: len(held) // 10 + 1]
        for name in old:
            del held[name]
        self.journal.drop(table, old)

    def _tables(self) -> dict[str, dict[str, Any]]:
        """Return every table that is a mapping, by the name that the journal knows it by."""
        own: dict[str, dict[str, Any]] = {
            name: getattr(self, name) for name in ("exact", "heads", "exemplars", "sizes", "merges", "links", "kin", "last", "apart")
        }
        parts: dict[str, dict[str, Any]] = {"documents": self.source.documents, "lines": self.templates.groups, "gaps": self.templates.gaps}
        return own | parts | {"times": self.together.times, "voices": self.together.voices}

    def _small(self) -> dict[str, Any]:
        return {"source": self.source.figures(), "recent": self.index.recent, "company": self.together.recent}

    def to_json(self) -> dict[str, Any]:
        tables = {name: {key: _plain(name, value) for key, value in held.items()} for name, held in self._tables().items()}
        marks = {name: dict.fromkeys(sorted(getattr(self, name)), True) for name in ("once", "symptoms")}
        return {"tables": {**tables, **marks}, "small": self._small()}

    def changes(self) -> dict[str, Any]:
        """Return what the journal holds, with the present values; an entry that is gone has the value None."""
        tables = self._tables()
        found: dict[str, list[list[Any]]] = {name: [[key, None] for key in keys] for name, keys in self.journal.gone.items()}
        for name, keys in self.journal.names.items():
            entries = found.setdefault(name, [])
            if name in tables:
                held = tables[name]
                entries += [[key, _plain(name, held[key]) if key in held else None] for key in keys]
            else:
                entries += [[key, True if key in getattr(self, name) else None] for key in keys]
        return {"tables": found, "small": self._small()}

    def apply(self, changes: dict[str, Any]) -> None:
        """Take over what another copy of this scope wrote down, so that both remember the same."""
        tables = self._tables()
        for name, entries in changes["tables"].items():
            for key, value in entries:
                if name not in tables:
                    (getattr(self, name).discard if value is None else getattr(self, name).add)(key)
                elif name == "exemplars" and value is not None:
                    self._members(key, value)
                else:
                    _set(tables[name], name, key, None if value is None else _rich(name, value))
        self._set_small(changes["small"])

    def _members(self, group: str, kept: list[tuple[str, dict[str, Any]]]) -> None:
        """Set the members of a group; those that were there stay as they are."""
        there = {(bag.key, bag.features): bag for bag in self.exemplars.get(group, ())}
        found = [(key, Features.from_json(raw)) for key, raw in kept]
        self.exemplars[group] = [there.get((key, features)) or sources.Bag(features, key) for key, features in found]
        for bag in self.exemplars[group]:
            if (bag.key, bag.features) not in there:
                self.index.add(group, bag)

    def _set_small(self, small: dict[str, Any]) -> None:
        self.source.set(small["source"])
        self.index.recent = list(small["recent"])
        self.together.recent = [(at, group) for at, group in small["company"]]

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Scope:
        made = cls()
        made.apply({"tables": {name: list(held.items()) for name, held in raw["tables"].items()}, "small": raw["small"]})
        return made


def merge(raw: dict[str, Any], changes: dict[str, Any]) -> None:
    """Bring what `Scope.to_json` returned up to date by what `Scope.changes` returned."""
    for name, entries in changes["tables"].items():
        for key, value in entries:
            _set(raw["tables"].setdefault(name, {}), name, key, value)
    raw["small"] = changes["small"]


def _set(held: dict[str, Any], table: str, key: str, value: Any) -> None:  # noqa: ANN401 - whatever the table holds
    if value is None or table in LATEST:
        held.pop(key, None)
    if value is not None:
        held[key] = value


def _plain(table: str, value: Any) -> Any:  # noqa: ANN401 - JSON
    """Return an entry as JSON."""
    return [[bag.key, bag.features.to_json()] for bag in value] if table == "exemplars" else value


def _rich(table: str, value: Any) -> Any:  # noqa: ANN401 - whatever the table holds
    """Return an entry from JSON."""
    if table == "voices":
        return [together.Voice(*voice) for voice in value]
    if table == "apart":
        return [(group, list(numbers)) for group, numbers in value]
    return list(value) if isinstance(value, list) else dict(value) if isinstance(value, dict) else value
