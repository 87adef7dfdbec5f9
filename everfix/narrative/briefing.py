"""Briefing: what a language model is told of a Document: its figures as a reader sees them, bounded, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable
from typing import Any

from everfix.documents import format as show
from everfix.documents.model import Block, Cell, Chart, Document, Figure, Figures, Narrative, Table, Text, Unit
from everfix.narrative import series
from everfix.narrative.fact import Aspect, Fact
from everfix.narrative.facts import Facts

Json = dict[str, Any]
MOST = 60_000  # characters of a briefing
ROWS = (12, 6, 3, 1)  # rows of a table: as many as fit
LONGEST = 160  # characters of a cell
TOLD = {
    Aspect.TOTAL: "total",
    Aspect.MEAN: "average",
    Aspect.MAXIMUM: "highest",
    Aspect.MINIMUM: "lowest",
    Aspect.HALF: "half",
    Aspect.CHANGE: "change from the first half to the second",
    Aspect.THRESHOLD: "threshold",
    Aspect.PROJECTED: "projected",
}  # the aspects of a line over time that are told; its points would be too many


def of(document: Document, facts: Facts, draft: Narrative, hide: Callable[[str], str] = str) -> str:
    """Return the briefing as JSON; every text of the Document goes through `hide` first."""
    for rows in ROWS:
        told = json.dumps(_hidden(_document(document, facts, draft, rows), hide), ensure_ascii=False)
        if len(told) <= MOST:
            return told
    return told


def _hidden(value: Any, hide: Callable[[str], str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return hide(value)
    if isinstance(value, dict):
        return {key: _hidden(child, hide) for key, child in value.items()}
    return [_hidden(child, hide) for child in value] if isinstance(value, list) else value


def _document(document: Document, facts: Facts, draft: Narrative, rows: int) -> Json:
    period = document.period
    return {
        "title": document.title,
        "workspace": document.workspace,
        "notices": list(document.notices),
        "period": {
            "from": show.day(period.start),
            "to": show.day(period.end),
            "days": period.days,
            "previous_from": show.day(period.previous_start),
            "previous_to": show.day(period.previous_end),
        },
        "sections": [
            {
                "id": section.id,
                "title": section.title,
                "data": [told for block in section.blocks if (told := _block(document, facts, section.id, block, rows))],
                "draft": draft.sections.get(section.id, ""),
            }
            for section in document.sections
        ],
        "draft": {"executive_summary": list(draft.executive_summary), "key_takeaways": list(draft.key_takeaways)},
    }


def _block(document: Document, facts: Facts, section: str, block: Block, rows: int) -> Json:  # noqa: PLR0911 - one return for each kind
    def say(value: Cell, unit: Unit) -> str:
        return show.short(show.show(value, unit, currency=document.currency, timezone=document.period.timezone), LONGEST)

    match block:
        case Figures():
            return {"figures": [_figure(figure, say) for figure in block.figures]}
        case Chart() if series.time_column(block.table, block.x) is not None:
            return {"line": block.title, "facts": _line(facts, section, block.key, say)}
        case Table() if series.told_over_time(block):
            return {"line": block.title, "facts": _line(facts, section, block.key, say)}
        case Chart() if block.form in ("heatmap", "matrix", "scatter"):
            return {}
        case Chart():
            return {"table": block.title, **_table(block.table, say, rows)}
        case Table():
            return {"table": block.title, **_table(block, say, rows)}
        case Text():
            return {"text": [show.short(paragraph, 600) for paragraph in block.paragraphs[:4]]}


def _figure(figure: Figure, say: Callable[[Cell, Unit], str]) -> Json:
    told: Json = {"name": figure.title, "now": say(figure.value, figure.unit)}
    if figure.previous is not None:
        told |= {"before": say(figure.previous, figure.unit), "change": show.change_text(figure.value, figure.previous)}
    if figure.better:
        told |= {"good when": figure.better, "state": show.verdict(figure.value, figure.previous, figure.better)}
    return told


def _table(table: Table, say: Callable[[Cell, Unit], str], rows: int) -> Json:
    total = len(table.rows) if table.total_rows is None else table.total_rows
    return {
        "columns": [column.title for column in table.columns],
        "rows": [[say(cell, column.unit) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows[:rows]],
        "rows in all": total,
    }


def _line(facts: Facts, section: str, block: str, say: Callable[[Cell, Unit], str]) -> list[str]:
    found: Iterable[Fact] = (fact for fact in facts.all if fact.section == section and fact.block == block and fact.aspect in TOLD)
    told = []
    for fact in found:
        name = {1: "first half", 2: "second half"}.get(fact.rank, "half") if fact.aspect is Aspect.HALF else TOLD[fact.aspect]
        day = f" on {say(fact.when, Unit.DATE)}" if fact.when else ""
        told.append(f"{', '.join([*fact.names, fact.label])}: {name} {say(fact.value, fact.unit)}{day}")
    return told[:40]
