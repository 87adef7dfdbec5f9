"""The 5 × 5 probability matrix: likelihood upward, impact to the right, one numbered dot for each row of its table."""

from __future__ import annotations

import json
from typing import Any

from everfix.documents import format as words
from everfix.documents.model import Cell, Chart, Unit
from everfix.documents.palette import Palette

LIKELIHOOD = ("Rare", "Unlikely", "Possible", "Likely", "Almost Certain")
IMPACT = ("Negligible", "Minor", "Moderate", "Major", "Severe")
LEVELS = 5
PLACES = ((0.0, 0.0), (-0.3, 0.0), (0.3, 0.0), (0.0, -0.3), (0.0, 0.3), (-0.3, -0.3), (0.3, 0.3), (-0.3, 0.3), (0.3, -0.3))
SHARED = 9  # dots one cell can hold; the last one then says how many more there are


def matrix(chart: Chart, colours: Palette) -> dict[str, Any]:
    """Return the layers of the matrix; x is the impact, y[0] the likelihood, both as a name, 1–5, a probability or a score."""
    cells = [{"x": x, "x2": x + 1, "y": y, "y2": y + 1, "level": level(x, y)} for x in range(LEVELS) for y in range(LEVELS)]
    across, upward = _axis("x", IMPACT, "Impact →"), _axis("y", LIKELIHOOD, "Likelihood →")
    fill = {"field": "level", "type": "ordinal", "scale": {"domain": [0, 1, 2, 3], "range": list(colours.risk)}, "legend": None}
    square = {"type": "rect", "cornerRadius": 3, "stroke": colours.paper, "strokeWidth": 3}
    dot = {"type": "point", "filled": True, "size": 210, "color": colours.ink, "stroke": colours.paper, "strokeWidth": 1.2, "opacity": 1}
    text = {"type": "text", "color": colours.paper, "fontSize": 9.5, "fontWeight": 600}
    corners = {"x": across, "x2": {"field": "x2"}, "y": upward, "y2": {"field": "y2"}, "color": fill}
    tooltip = [{"field": "name", "type": "nominal", "title": "Pattern"}]
    dots = {"values": _dots(chart)}
    return {
        "layer": [
            {"data": {"values": cells}, "mark": square, "encoding": corners},
            {"data": dots, "mark": dot, "encoding": {"x": across, "y": upward, "tooltip": tooltip}},
            {"data": dots, "mark": text, "encoding": {"x": across, "y": upward, "text": {"field": "number"}}},
        ]
    }


def _axis(field: str, names: tuple[str, ...], title: str) -> dict[str, Any]:
    """A number line whose middle of each unit is named: dots may then share a cell side by side."""
    axis = {
        "values": [place + 0.5 for place in range(LEVELS)], "labelExpr": f"{json.dumps(names)}[floor(datum.value)]", "title": title,
        "domain": False, "labelAngle": 0, "labelLimit": 96, "labelOverlap": False,
    }  # fmt: skip
    return {"field": field, "type": "quantitative", "scale": {"domain": [0, LEVELS], "nice": False}, "axis": axis}


def level(impact: int, likelihood: int) -> int:
    """Return the risk of a cell (0–4 each) as 0 green, 1 amber, 2 red or 3 dark red, by the product of the two ranks."""
    product = (impact + 1) * (likelihood + 1)
    return sum(product >= least for least in (5, 10, 17))


def key(chart: Chart) -> tuple[str, ...]:
    """Return the names behind the numbered dots, "1 Checkout times out", in the order of the table."""
    if chart.form != "matrix":
        return ()
    return tuple(f"{number} {name}" for number, name in enumerate(_names(chart), start=1))


def rank(value: Cell, unit: Unit, names: tuple[str, ...]) -> int:
    """Return 0–4 for a level's name, its number 1–5, a probability (fifths) or a score (fifths); raises ValueError otherwise."""
    if isinstance(value, str):
        found = [place for place, name in enumerate(names) if name.lower() == value.strip().lower()]
        if found:
            return found[0]
    elif isinstance(value, int | float) and not isinstance(value, bool):
        full = {Unit.PROBABILITY: 1.0, Unit.PERCENT: 1.0, Unit.SCORE: 100.0}.get(unit)
        if full is not None and 0 <= value <= full:
            return min(LEVELS - 1, int(value / full * LEVELS))
        if full is None and value in range(1, LEVELS + 1):
            return int(value) - 1
    raise ValueError(f"{value!r} has no place in the matrix: allowed are {', '.join(names)}, 1 to 5, a probability or a score")


def _names(chart: Chart) -> list[str]:
    label = next(
        (column.key for column in chart.table.columns if column.unit is Unit.TEXT and column.key not in (chart.x, chart.y[0])), None
    )
    cells = chart.table.column(label) if label else [""] * len(chart.table.rows)
    return [words.printable(str(cell)) for cell in cells]


def _dots(chart: Chart) -> list[dict[str, Cell]]:
    units = {column.key: column.unit for column in chart.table.columns}
    taken: dict[tuple[int, int], int] = {}
    dots: list[dict[str, Cell]] = []
    names = _names(chart)
    for number, (impact, likely) in enumerate(zip(chart.table.column(chart.x), chart.table.column(chart.y[0]), strict=True), start=1):
        cell = (rank(impact, units[chart.x], IMPACT), rank(likely, units[chart.y[0]], LIKELIHOOD))
        taken[cell] = taken.get(cell, 0) + 1
        if taken[cell] > SHARED:
            continue
        dx, dy = PLACES[taken[cell] - 1]
        dots.append({"x": cell[0] + 0.5 + dx, "y": cell[1] + 0.5 + dy, "number": str(number), "name": names[number - 1]})
    for (x, y), count in taken.items():
        if count > SHARED:
            last = next(dot for dot in reversed(dots) if (dot["x"], dot["y"]) == (x + 0.5 + PLACES[-1][0], y + 0.5 + PLACES[-1][1]))
            last["number"] = f"+{count - SHARED + 1}"
    return dots
