"""All that is remembered of one scope of failures: keys, groups, their members, what they have in common; bounded, JSON-able."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

from everfix.failures import similarity, sources, templates, together
from everfix.failures.fingerprint import Features

EXEMPLARS = 6  # members kept to compare with: the first three, then the latest three


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
