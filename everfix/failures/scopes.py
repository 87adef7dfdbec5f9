"""All that is remembered of one scope of failures: keys, groups, their members, what they have in common; bounded, JSON-able."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from everfix.failures import similarity, sources, templates, together
from everfix.failures.fingerprint import Features

EXEMPLARS = 6  # members kept to compare with: the first three, then the latest three
# Beyond these the tenth that was not seen for longest is forgotten: a key that comes back looks for its group anew, and if nothing is like
# it, its group has the name it had, since a group is named after its first key.
MOST_KEYS, MOST_GROUPS = 100_000, 20_000


@dataclass(slots=True)
class Scope:
    """All that is remembered of one scope; JSON-able through `to_json`/`from_json`, so that a server can keep it beside its patterns."""

    source: sources.Source = field(default_factory=sources.Source)
    index: similarity.Index = field(default_factory=similarity.Index)
    templates: templates.Templates = field(default_factory=templates.Templates)
    exact: dict[str, str] = field(default_factory=dict)
    heads: dict[str, list[str]] = field(default_factory=dict)
    exemplars: dict[str, list[sources.Bag]] = field(default_factory=dict)
    sizes: dict[str, int] = field(default_factory=dict)
    merges: dict[str, int] = field(default_factory=dict)
    links: dict[str, str] = field(default_factory=dict)
    last: dict[str, float] = field(default_factory=dict)
    apart: dict[str, list[tuple[str, list[float]]]] = field(default_factory=dict)
    once: set[str] = field(default_factory=set)
    symptoms: set[str] = field(default_factory=set)
    together: together.Together = field(default_factory=together.Together)

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
            self.together.join(kept, group)
            self.sizes[kept] = self.sizes.get(kept, 0) + self.sizes.pop(group, 0)
            held = self.exemplars.setdefault(kept, [])
            held.extend(self.exemplars.pop(group, [])[: max(0, EXEMPLARS - len(held))])
        return kept, absorbed

    def touch(self, key: str, group: str) -> None:
        """Count a failure of a group, and note that its key and its group are the latest seen."""
        self.sizes[group] = self.sizes.pop(group, 0) + 1
        if key in self.exact:
            self.exact[key] = self.resolve(self.exact.pop(key))

    def forget(self) -> None:
        """Keep keys, groups and places within their bounds: what was not seen for longest goes, and all that was kept for it."""
        if len(self.exact) > MOST_KEYS:
            _drop(self.exact)
            self.once &= self.exact.keys()
            self.symptoms &= self.exact.keys()
        if len(self.sizes) > MOST_GROUPS:
            self._forget_groups()
        if len(self.apart) > MOST_GROUPS:
            _drop(self.apart)

    def _forget_groups(self) -> None:
        """Forget a tenth of the groups. What names a group that became part of another is put right first."""
        self.exact = {key: self.resolve(g) for key, g in self.exact.items()}
        self.templates.rename(self.resolve)
        self.index.rename(self.resolve)
        heads = {head: dict.fromkeys(map(self.resolve, groups)) for head, groups in self.heads.items()}
        _drop(self.sizes)
        live = self.sizes.keys()
        self.exact = {key: g for key, g in self.exact.items() if g in live}
        self.once &= self.exact.keys()
        self.symptoms &= self.exact.keys()
        self.heads = {head: kept for head, groups in heads.items() if (kept := [g for g in groups if g in live])}
        self.exemplars = {g: bags for g, bags in self.exemplars.items() if g in live}
        self.merges = {g: n for g, n in self.merges.items() if g in live}
        self.last = {g: at for g, at in self.last.items() if g in live}
        self.index.keep(live)
        while len(self.links) > MOST_GROUPS:
            _drop(self.links)

    def to_json(self) -> dict[str, Any]:
        plain = {name: getattr(self, name) for name in ("exact", "heads", "sizes", "merges", "links", "last")}
        kept = {g: [b.features.to_json() for b in bags] for g, bags in self.exemplars.items()}
        apart = {place: [[g, n] for g, n in held] for place, held in self.apart.items()}
        marks = {"once": sorted(self.once), "symptoms": sorted(self.symptoms), "recent": self.index.recent}
        return {
            **plain,
            **marks,
            "apart": apart,
            "source": self.source.to_json(),
            "templates": self.templates.to_json(),
            "exemplars": kept,
            "together": self.together.to_json(),
        }

    @classmethod
    def from_json(cls, raw: dict[str, Any]) -> Scope:
        made = cls(source=sources.Source.from_json(raw["source"]), templates=templates.Templates.from_json(raw["templates"]))
        for name in ("exact", "heads", "sizes", "merges", "links", "last"):
            setattr(made, name, dict(raw[name]))
        made.apart = {place: [(g, list(n)) for g, n in held] for place, held in raw["apart"].items()}
        made.once, made.symptoms = set(raw["once"]), set(raw["symptoms"])
        for group, kept in raw["exemplars"].items():
            made.exemplars[group] = [sources.Bag(Features.from_json(f)) for f in kept]
            for bag in made.exemplars[group]:
                made.index.add(group, bag)
        made.index.recent = list(raw["recent"])
        made.together = together.Together.from_json(raw["together"])
        return made


def _drop(held: dict[str, Any]) -> None:
    """Drop the first tenth, which stands first because it was not seen for longest."""
    for name in list(held)[: len(held) // 10 + 1]:
        del held[name]
