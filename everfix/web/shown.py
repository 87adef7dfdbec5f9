"""Shown: blocks of a Document as a page shows them: cards, tables whose cells know how to look, charts as Vega-Lite data."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from everfix.documents import cells, charts, palette
from everfix.documents import format as words
from everfix.documents.model import Cell, Chart, Column, Figure, Table, Unit
from everfix.identity.workspaces import Workspace

Json = dict[str, Any]
# Cells that are drawn as something else than text, by the key of their column.
LOOKS = {
    **dict.fromkeys(("status", "state", "level", "verdict", "change", "proof"), "pill"),
    **dict.fromkeys(("severity", "impact", "effort", "type"), "chip"),
    "risk_score": "risk",
    "probability": "share",
}
BANDS = ((90, "critical"), (70, "high"), (40, "medium"), (0, "low"))


@dataclasses.dataclass(frozen=True, slots=True)
class Reader:
    """For whom values are put into words: the workspace's currency, clock and colour."""

    currency: str
    timezone: str
    brand: str

    @classmethod
    def of(cls, here: Workspace) -> Reader:
        return cls(here.currency, here.timezone, here.brand_colour)

    def words(self, value: Cell, unit: Unit) -> str:
        return words.printable(words.show(value, unit, currency=self.currency, timezone=self.timezone))

    def moment(self, value: datetime | None) -> str:
        """Return an instant on the workspace's clock."""
        return self.words(None if value is None else value.isoformat(), Unit.DATETIME)


def card(reader: Reader, figure: Figure) -> Json:
    """Return a figure card; `state` is better, worse, moved, flat, new or none (reference, section 2.2)."""
    state = words.verdict(figure.value, figure.previous, figure.better)
    moved = words.change(figure.value, figure.previous) or 0.0
    return {
        "key": figure.key,
        "title": figure.title,
        "value": reader.words(figure.value, figure.unit),
        "state": state,
        "change": words.change_text(figure.value, figure.previous),
        "arrow": "" if state in ("flat", "new", "none") else "up" if moved > 0 else "down",
        "before": reader.words(figure.previous, figure.unit) if figure.previous is not None else "",
        "note": figure.note,
        "spark": spark(figure.spark),
    }


def spark(values: Sequence[float], width: int = 120, height: int = 32) -> Json | None:
    """Return the points of a sparkline and the area under it, or None for fewer than two values."""
    if len(values) < 2:
        return None
    low, high = min(values), max(values)
    span, steps = (high - low) or 1.0, len(values) - 1
    points = [(width * n / steps, 2 + (height - 4) * (1 - (value - low) / span)) for n, value in enumerate(values)]
    line = " ".join(f"{x:.1f},{y:.1f}" for x, y in points)
    last = points[-1]
    return {
        "line": line,
        "area": f"0,{height} {line} {width},{height}",
        "x": round(last[0], 1),
        "y": round(last[1], 1),
        "width": width,
        "height": height,
    }


def rows(reader: Reader, table: Table) -> list[Json]:
    """Return a table's rows by column: the raw value, its words, and the row's `href`."""
    links = table.links or (None,) * len(table.rows)
    made = []
    for row, link in zip(table.rows, links, strict=True):
        one: Json = {"href": link}
        for column, value in zip(table.columns, row, strict=True):
            one[column.key] = {"raw": value, "text": reader.words(value, column.unit)}
        made.append(one)
    return made


def table(reader: Reader, source: Table, *, keep: Sequence[str] = (), under: Mapping[str, str] | None = None, caption: str = "") -> Json:
    """Return a table for the page: `keep` chooses and orders columns, `under` puts one column's words below another's."""
    under = dict(under or {})
    at = {column.key: place for place, column in enumerate(source.columns)}
    chosen = [key for key in (keep or tuple(at)) if key not in under.values()]
    shares, tones = cells.shares(source), cells.tones(source)
    body = []
    for number, row in enumerate(source.rows):
        made = []
        for key in chosen:
            place = at[key]
            cell = _cell(reader, source.columns[place], row[place])
            cell["share"] = round(100 * shares[place][number]) if place in shares else cell["share"]
            cell["tone"] = tones[place][number] if place in tones else ""
            cell["under"] = reader.words(row[at[under[key]]], Unit.TEXT) if key in under and row[at[under[key]]] else ""
            made.append(cell)
        body.append({"cells": made, "href": source.links[number] if source.links else None})
    return {
        "key": source.key,
        "caption": caption or source.title,
        "columns": [{"title": source.columns[at[key]].title, "class": _class(source.columns[at[key]])} for key in chosen],
        "rows": body,
        "empty": source.empty,
        "extent": cells.extent(source),
        "note": source.note,
    }


def _cell(reader: Reader, column: Column, value: Cell) -> Json:
    look = LOOKS.get(column.key, "") if value not in (None, "") else ""
    kind = slug(value) if look in ("pill", "chip") else band(value) if look == "risk" else ""
    if column.key == "state":
        kind = f"is-{kind}"  # of a breaker, where "open" is bad news; an open issue is not
    share = round(100 * float(value)) if look == "share" and isinstance(value, float | int) else None
    text = reader.words(value, column.unit)
    return {
        "text": text.replace("_", " ") if look == "pill" else text,
        "class": _class(column),
        "look": look,
        "kind": kind,
        "share": share,
        "title": column.title,
    }


def _class(column: Column) -> str:
    if cells.right(column):
        return "number"
    if column.unit in (Unit.DATE, Unit.DATETIME):
        return "date"
    return "wide" if column.wide else "text"


def slug(value: Cell) -> str:
    """Return a value as a class of the style sheet: "came back" → "came-back"."""
    return "".join(letter if letter.isalnum() else "-" for letter in str(value).lower())


def band(score: Cell) -> str:
    """Return the name of a risk score's band."""
    number = float(score) if isinstance(score, int | float) else 0.0
    return next(name for least, name in BANDS if number >= least)


def chart(reader: Reader, source: Chart, *, height: int | None = None, title: str = "") -> Json:
    """Return a chart for the page: its specification in light colours, what each becomes in the dark, and its numbers as a table."""
    made: Json = {
        "key": source.key,
        "title": title or source.title,
        "alt": source.alt,
        "empty": "",
        "data": None,
        "height": height or charts.tall(source),
    }
    if not source.table.rows:
        return made | {"empty": source.table.empty}
    spec = charts.spec(
        source, width="container", height=made["height"], currency=reader.currency, timezone=reader.timezone, brand=reader.brand
    )
    made["data"] = {"spec": spec, "dark": _dark(reader.brand)}
    made["table"] = table(reader, source.table.model_copy(update={"links": ()}), caption=f"{made['title']}: numbers")
    return made


def _dark(brand: str) -> dict[str, str]:
    """Return what each colour of the light palette is called in the dark one."""
    light, dark = palette.of(brand, "light"), palette.of(brand, "dark")
    found: dict[str, str] = {}
    for field in dataclasses.fields(light):
        one, other = getattr(light, field.name), getattr(dark, field.name)
        pairs = [(one, other)] if isinstance(one, str) else list(zip(one, other, strict=True))
        for before, after in pairs:
            found.setdefault(before, after)
    return found
