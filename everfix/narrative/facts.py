"""The facts of a Document: every number, date and state that words may tell about it, with the indexes by which a clause finds them.

Large tables are bounded: cells of the first `cells.ROWS` rows and the last `series.POINTS` points of a line become facts, totals and
counts are of all rows, and `Facts.bounds` says what was left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property

from everfix.documents import format as show
from everfix.documents.model import Chart, Document, Figures, Table, Text, Unit
from everfix.narrative import cells, series
from everfix.narrative.collected import Collected
from everfix.narrative.fact import Aspect, Fact


@dataclass(frozen=True)
class Facts:
    """All facts of a Document. Names, states and phrases are keyed by their tokens, as prose is read."""

    document: Document
    all: tuple[Fact, ...]
    bounds: tuple[str, ...]
    names: Mapping[tuple[str, ...], str]
    starts: Mapping[str, tuple[tuple[str, ...], ...]]  # opening token → names that open with it, longest first
    columns: Mapping[str, frozenset[str]]  # name → the columns ("section.block.column") it stands in
    labels: frozenset[str]  # the columns that name rows
    pairs: frozenset[tuple[str, str]]  # names that stand in one row, both ways
    states: Mapping[tuple[str, ...], str]
    titles: Mapping[str, tuple[tuple[tuple[str, ...], frozenset[str]], ...]]  # opening token → measures with a digit in their title
    phrases: Mapping[tuple[str, ...], frozenset[str]]  # stems → concepts
    words: frozenset[str]  # every lower-case word that the Document itself uses
    said: frozenset[str]  # sentences of the Document's own text
    by_name: Mapping[str, tuple[Fact, ...]]
    by_day: Mapping[str, tuple[Fact, ...]]
    whole: tuple[Fact, ...]  # facts that belong to no row and no single day
    families: Mapping[str, tuple[Fact, ...]]

    @cached_property
    def stated(self) -> Mapping[str, frozenset[str]]:
        """The columns that each state stands in."""
        found: dict[str, frozenset[str]] = {}
        for fact in self.all:
            if fact.aspect is Aspect.STATE:
                found[str(fact.value)] = found.get(str(fact.value), frozenset()) | fact.concepts
        return found

    @cached_property
    def ordered(self) -> frozenset[str]:
        """The concepts whose rows a `rank` column orders."""
        return frozenset[str]().union(*(fact.concepts for fact in self.all if fact.aspect is Aspect.RANK and "rank" in fact.concepts))

    def get(self, fact_id: str) -> Fact:
        """Return one fact; raises KeyError for an unknown id."""
        for fact in self.all:
            if fact.id == fact_id:
                return fact
        raise KeyError(fact_id)


def of(document: Document) -> Facts:
    """Return every fact of `document`."""
    collected = Collected()
    _period(document, collected)
    for section in document.sections:
        collected.phrase(section.title, section.id)
        for block in section.blocks:
            match block:
                case Figures():
                    _figures(section.id, block, collected)
                case Text():
                    collected.say(block.paragraphs)
                case Chart() if series.time_column(block.table, block.x) is not None:
                    series.collect(section.id, block.key, block, collected)
                case Chart():
                    collected.say((block.title, block.alt))
                    cells.collect(section.id, block.key, block.table, collected)
                case Table() if series.told_over_time(block):
                    series.collect(section.id, block.key, block, collected)
                case Table():
                    cells.collect(section.id, block.key, block, collected)
    collected.settle()
    return _indexed(document, collected)


def _period(document: Document, collected: Collected) -> None:
    period = document.period
    collected.say((period.label, document.subtitle, document.title, document.workspace, document.brand.name, *document.notices))
    for key in ("start", "end", "previous_start", "previous_end"):
        concepts = frozenset({"period", *key.split("_")[-1:], "previous" if key.startswith("previous") else "current"})
        day = getattr(period, key).isoformat()
        collected.add(Fact(f"period.{key}", "period", key, day, Unit.DATE, "", "period", Aspect.PERIOD, concepts, "period"))
    for key, days in (("days", period.days), ("previous_days", (period.previous_end - period.previous_start).days + 1)):
        collected.add(
            Fact(f"period.{key}", "period", "days", float(days), Unit.DAYS, "", "period", Aspect.PERIOD, frozenset({"period"}), "period")
        )


def _figures(section: str, block: Figures, collected: Collected) -> None:
    for figure in block.figures:
        collected.phrase(figure.title, figure.key)
        collected.say((figure.note,))
        family = f"{section}.{block.key}.{figure.key}"
        both = None if figure.value is None or figure.previous is None else float(figure.value - figure.previous)
        sides = (
            (Aspect.CURRENT, figure.value, figure.unit),
            (Aspect.PREVIOUS, figure.previous, figure.unit),
            (Aspect.CHANGE, show.change(figure.value, figure.previous), Unit.PERCENT),
            (Aspect.DIFFERENCE, both, figure.unit),
        )
        for aspect, value, unit in sides:
            if value is not None:
                collected.add(
                    Fact(
                        f"{family}.{aspect}",
                        figure.title,
                        figure.title,
                        float(value),
                        unit,
                        section,
                        block.key,
                        aspect,
                        frozenset({figure.key}),
                        family,
                        better=figure.better,
                    )
                )


def _indexed(document: Document, collected: Collected) -> Facts:
    by_name: dict[str, list[Fact]] = {}
    by_day: dict[str, list[Fact]] = {}
    families: dict[str, list[Fact]] = {}
    whole = []
    for fact in collected.facts:
        families.setdefault(fact.family, []).append(fact)
        if fact.when and fact.aspect in (Aspect.CELL, Aspect.PROJECTED):
            by_day.setdefault(fact.when, []).append(fact)
            continue
        for name in fact.names:
            by_name.setdefault(name, []).append(fact)
        if not fact.names:
            whole.append(fact)
    return Facts(
        document=document,
        all=tuple(collected.facts),
        bounds=tuple(collected.bounds),
        names=collected.names,
        starts=_starts(collected.names),
        columns={name: frozenset(columns) for name, columns in collected.columns.items()},
        labels=frozenset(collected.labels),
        pairs=frozenset(collected.pairs),
        states={key: state for key, state in collected.states.items() if key not in collected.names},
        titles=_titles(collected.titles),
        phrases={phrase: frozenset(concepts) for phrase, concepts in collected.phrases.items()},
        words=frozenset(collected.words),
        said=frozenset(collected.said),
        by_name={key: tuple(facts) for key, facts in by_name.items()},
        by_day={key: tuple(facts) for key, facts in by_day.items()},
        whole=tuple(whole),
        families={key: tuple(facts) for key, facts in families.items()},
    )


def _starts(names: Mapping[tuple[str, ...], str]) -> dict[str, tuple[tuple[str, ...], ...]]:
    found: dict[str, list[tuple[str, ...]]] = {}
    for key in sorted(names, key=len, reverse=True):
        found.setdefault(key[0], []).append(key)
    return {opening: tuple(keys) for opening, keys in found.items()}


def _titles(titles: Mapping[tuple[str, ...], set[str]]) -> dict[str, tuple[tuple[tuple[str, ...], frozenset[str]], ...]]:
    found: dict[str, list[tuple[tuple[str, ...], frozenset[str]]]] = {}
    for key in sorted(titles, key=len, reverse=True):
        found.setdefault(key[0], []).append((key, frozenset(titles[key])))
    return {opening: tuple(keys) for opening, keys in found.items()}
