"""The forms of charts that judge a model: curves, confusion, learning, signed bars, correlations and small multiples of distributions.

Each is read in grey print too: lines differ by dash, signs by direction and by the number printed, two distributions by fill and outline.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable
from typing import Any

from everfix.documents import axes, fonts, forms
from everfix.documents import format as words
from everfix.documents.model import Cell, Chart
from everfix.documents.palette import Palette

Json = dict[str, Any]
Records = list[dict[str, Cell]]
PRINTED = 12  # rows and columns up to which a square of numbers is printed into its fields
PANELS = 12  # small multiples on one chart
PANEL = 96  # pixels of height of one of them
WIDE = 190  # pixels of width that one of them has at the least


def _lines(chart: Chart, records: Records, colours: Palette, x: Json, y: Json) -> list[Json]:
    encoding = {"x": x, "y": y, "color": forms.coloured(chart, records, colours), "order": {"field": "n", "type": "quantitative"}}
    for number, record in enumerate(records):
        record["n"] = number
    if forms.many(chart):
        encoding["strokeDash"] = forms.dashed(records)
    stroke = {"type": "line", "strokeWidth": 2, "strokeJoin": "round", "clip": True}
    dots = {"type": "point", "filled": True, "size": 40, "opacity": 0}
    seen = {key: value for key, value in encoding.items() if key not in ("strokeDash", "order")}
    return [{"mark": stroke, "encoding": encoding}, {"mark": dots, "encoding": {**seen, "tooltip": forms.tooltip(chart)}}]


def _marks(chart: Chart, records: Records, colours: Palette, x: Json, y: Json) -> list[Json]:
    """Ring the rows that have words in the `marked` column, and say the words beside them, inward."""
    if chart.marked is None:
        return []
    found = [
        {**record, "name": words.short(words.printable(str(name)), 44)}
        for record, name in zip(records, chart.table.column(chart.marked), strict=False)
        if name and record["y"] is not None
    ]
    if not found:
        return []
    ring = {"type": "point", "size": 110, "filled": True, "color": colours.ink, "stroke": colours.paper, "strokeWidth": 1.5, "opacity": 1}
    known = [float(record["x"]) for record in records if isinstance(record["x"], int | float)]
    middle = json.dumps((min(known) + max(known)) / 2 if known else 0.0)
    side = {"align": {"expr": f"datum.x > {middle} ? 'right' : 'left'"}, "dx": {"expr": f"datum.x > {middle} ? -10 : 10"}}
    text = {"type": "text", **side, "dy": 13, "color": colours.ink, "fontWeight": 600, "fontSize": 11}
    at = {"x": x, "y": y}
    return [
        {"data": {"values": found}, "mark": ring, "encoding": at},
        {"data": {"values": found}, "mark": text, "encoding": {**at, "text": {"field": "name"}}},
    ]


def _titled(chart: Chart, records: Records, *, zero: bool = False) -> tuple[Json, axes.Scale]:
    """Return the x axis with its title, its numbers scaled to their unit."""
    across = axes.column(chart, chart.x)
    known = [abs(float(record["x"])) for record in records if isinstance(record["x"], int | float)]
    widths = axes.scale(across.unit, max(known, default=0.0), "USD")
    for record in records:
        record["x"] = widths.of(record["x"])
    axis = {"labelExpr": widths.label(), "tickCount": 5, "grid": True, "title": words.printable(across.title)}
    return {"field": "x", "type": "quantitative", "scale": {"zero": zero, "nice": False}, "axis": axis}, widths


def curve(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, _width: float) -> Json:
    """A curve within the unit square: ROC, precision and recall, calibration, gain; `diagonal` draws what chance, or perfection, gives."""
    x, widths = _titled(chart, records)
    top = 1 / scaled.divisor
    x["scale"] |= {"domain": [0, 1 / widths.divisor], "padding": 3}
    y = forms.quantity(chart, scaled, title=True) | {"scale": {"domain": [0, top], "nice": False}}
    layers: list[Json] = []
    if chart.diagonal:
        ends = [{"x": 0, "y": 0}, {"x": 1 / widths.divisor, "y": top}]
        mark = {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1.2, "color": colours.muted}
        layers.append({"data": {"values": ends}, "mark": mark, "encoding": {"x": x, "y": y}})
    layers += _lines(chart, records, colours, x, y)
    if len(records) <= forms.DOTS * len({str(record["s"]) for record in records}):
        layers.append(
            {
                "mark": {"type": "point", "filled": True, "size": 45},
                "encoding": {"x": x, "y": y, "color": forms.coloured(chart, records, colours)},
            }
        )
    return {"layer": layers + forms.threshold(chart, scaled, colours) + _marks(chart, records, colours, x, y)}


def learning(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, _width: float) -> Json:
    """A metric by step for each split; a rule stands at each marked row: where training should have stopped."""
    x, _ = _titled(chart, records)
    x["axis"]["grid"] = False
    y = forms.quantity(chart, scaled, title=True, zero=False)
    layers = _lines(chart, records, colours, x, y)
    named = chart.table.column(chart.marked) if chart.marked else ()
    stops = [{"x": record["x"]} for record, name in zip(records, named, strict=False) if name]
    if stops:
        rule = {"type": "rule", "color": colours.muted, "strokeDash": [4, 3], "strokeWidth": 1.2}
        layers.insert(0, {"data": {"values": stops}, "mark": rule, "encoding": {"x": x}})
    return {"layer": layers + _marks(chart, records, colours, x, y)}


def signed(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, width: float) -> Json:
    """Bars to both sides of zero, coloured by their sign."""
    body = forms.FORMS["bar"](chart, records, scaled, colours, width)
    if any(isinstance(record["y"], int | float) and float(record["y"]) < 0 for record in records):
        colour = {"condition": {"test": "datum.y < 0", "value": colours.series[1]}, "value": colours.accent}
        body["layer"][0]["encoding"]["color"] = colour
        zero = {
            "mark": {"type": "rule", "color": colours.line},
            "encoding": {"x": {"datum": 0, "type": "quantitative"}},
            "data": {"values": [{}]},
        }
        body["layer"].append(zero)
    return body


# ---- squares of numbers


def _square(chart: Chart, records: Records, width: float) -> tuple[Json, list[str], list[str]]:
    columns, rows = (list(dict.fromkeys(str(record[key]) for record in records)) for key in ("x", "s"))
    named = max((fonts.ems(name) * forms.LABEL for name in rows), default=0.0)
    each = (width - 40 - min(named, 120)) / max(1, len(columns))
    upright = max((fonts.ems(name) * forms.LABEL for name in columns), default=0.0) + 4 <= each
    axis: Json = {"domain": False, "labelLimit": 120, "titlePadding": 8}
    below = {**axis, "labelAngle": 0 if upright else -40, "title": words.printable(axes.column(chart, chart.x).title), "orient": "bottom"}
    beside = {**axis, "title": words.printable(axes.column(chart, chart.series).title) if chart.series else None}
    x = {"field": "x", "type": "ordinal", "sort": None, "axis": below, "scale": {"padding": 0}}
    y = {"field": "s", "type": "ordinal", "sort": None, "axis": beside, "scale": {"padding": 0}}
    return {"x": x, "y": y}, columns, rows


def _field(colour: str, colours: Palette) -> Json:
    return {"type": "rect", "fill": colour, "stroke": colours.paper, "strokeWidth": 2}


def _shade(domain: tuple[float, float]) -> Json:
    return {"field": "y", "type": "quantitative", "scale": {"domain": list(domain), "range": [0.05, 1], "clamp": True}, "legend": None}


def confusion(chart: Chart, records: Records, _scaled: axes.Scale, colours: Palette, width: float) -> Json:
    """True classes down, predicted across; the shade is the share of the true class (`y[0]`), the field says count (`y[1]`) and share."""
    kept = [record for place, record in enumerate(records) if place % len(chart.y) == 0]
    counts = [record["ys"] for place, record in enumerate(records) if place % len(chart.y) == 1]
    top = axes.scale(axes.column(chart, chart.y[0]).unit, 1.0, "USD").divisor
    for record, row, count in zip(kept, chart.table.rows, counts or [""] * len(kept), strict=False):
        record |= {
            "s": words.printable(str(row[_at(chart, chart.series or chart.x)]))[: axes.LABEL],
            "count": count,
            "x": words.printable(str(row[_at(chart, chart.x)])),
        }
    records[:] = kept
    where, columns, rows = _square(chart, records, width)
    limit = 1 / top
    base = {**where, "tooltip": [{"field": "count", "title": "Count"}, {"field": "ys", "title": "Share"}]}
    layers: list[Json] = [
        {"mark": _field(colours.grid, colours), "encoding": where},
        {
            "mark": _field(colours.accent, colours),
            "encoding": {**base, "fillOpacity": _shade((0.0, limit))},
            "transform": [{"filter": "datum.y !== null"}],
        },
    ]
    if max(len(columns), len(rows)) <= PRINTED:
        strong = json.dumps(forms.turning(colours) * limit)
        colour = {"condition": {"test": f"datum.y > {strong}", "value": colours.paper}, "value": colours.ink}
        small = len(columns) > 6
        layers.append(
            {
                "mark": {"type": "text", "fontWeight": 600, "fontSize": 10 if small else 13, "dy": -6},
                "encoding": {**where, "text": {"field": "count"}, "color": colour},
            }
        )
        layers.append(
            {
                "mark": {"type": "text", "fontSize": 8.5 if small else 10.5, "dy": 8},
                "encoding": {**where, "text": {"field": "ys"}, "color": colour},
            }
        )
    return {"layer": layers}


def _at(chart: Chart, key: str) -> int:
    return next(place for place, column in enumerate(chart.table.columns) if column.key == key)


def diverging(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, width: float) -> Json:
    """A square of numbers around zero: the shade is their size, the colour their sign, which the field also prints."""
    for record, row in zip(records, chart.table.rows, strict=False):
        record |= {"x": words.printable(str(row[_at(chart, chart.x)])), "s": words.printable(str(row[_at(chart, chart.series or chart.x)]))}
    where, columns, rows = _square(chart, records, width)
    top = max((abs(float(record["y"])) for record in records if isinstance(record["y"], int | float)), default=0.0) or 1.0
    top = min(1.0, top) if scaled.divisor == 1 and top <= 1 else top
    layers: list[Json] = [{"mark": _field(colours.grid, colours), "encoding": where}]
    for colour, test in ((colours.accent, "datum.y >= 0"), (colours.series[1], "datum.y < 0")):
        shade = {"field": "size", "type": "quantitative", "scale": {"domain": [0, top], "range": [0.04, 1], "clamp": True}, "legend": None}
        layers.append(
            {
                "mark": _field(colour, colours),
                "encoding": {**where, "fillOpacity": shade, "tooltip": forms.tooltip(chart)},
                "transform": [{"filter": f"datum.y !== null && {test}"}, {"calculate": "abs(datum.y)", "as": "size"}],
            }
        )
    if max(len(columns), len(rows)) <= PRINTED:
        small = len(columns) > 8
        for record in records:
            record["text"] = "" if record["y"] is None else f"{float(record['y']):+.2f}".replace("-", "−")
        strong = json.dumps(0.6 * top)
        colour_of = {"condition": {"test": f"abs(datum.y) > {strong}", "value": colours.paper}, "value": colours.ink}
        layers.append(
            {"mark": {"type": "text", "fontSize": 8 if small else 10}, "encoding": {**where, "text": {"field": "text"}, "color": colour_of}}
        )
    return {"layer": layers}


# ---- small multiples


def panels(chart: Chart, width: float) -> tuple[list[str], int]:
    """Return the names of the panels that are drawn, and how many stand in one row."""
    names = list(dict.fromkeys(str(cell) for cell in chart.table.column(chart.series))) if chart.series else []
    return names[:PANELS], max(1, min(len(names), int(width // WIDE), 4))


def multiples(chart: Chart, _records: Records, _scaled: axes.Scale, colours: Palette, width: float) -> Json:
    """Two distributions for each name of `series`: `y[0]` as filled bars, `y[1]` as an outline; each panel has a scale of its own."""
    names, across = panels(chart, width)
    rows = math.ceil(len(names) / across)
    bars, outlines, titles, ends = [], [], [], []
    for number, name in enumerate(names):
        left, top = float(number % across), float(rows - number // across)
        found = [row for row in chart.table.rows if str(row[_at(chart, chart.series or "")]) == name]
        drawn = _panel(chart, found, left, top)
        bars += drawn[0]
        outlines += drawn[1]
        room = width / across / (forms.LABEL * 1.0) * 0.86
        titles.append({"x": left, "y": top - 0.03, "name": fonts.within(words.printable(name), room)})
        ends += [
            {"x": left, "y": top - 0.93, "name": drawn[2], "right": False},
            {"x": left + 0.9, "y": top - 0.93, "name": drawn[3], "right": True},
        ]
    x = {"field": "x", "type": "quantitative", "axis": None, "scale": {"domain": [0, across - 0.08], "nice": False, "zero": False}}
    y = {"field": "y", "type": "quantitative", "axis": None, "scale": {"domain": [0, rows + 0.22], "nice": False, "zero": False}}
    both = {"x": x, "x2": {"field": "x2"}, "y": y, "y2": {"field": "y2"}}
    at = {"x": x, "y": y, "text": {"field": "name"}}
    titled = [axes.column(chart, key).title for key in chart.y]
    legend = f"Filled: {words.printable(titled[0])}" + (f" · outlined: {words.printable(titled[1])}" if len(titled) > 1 else "")
    key = [{"x": 0.0, "y": rows + 0.13, "name": legend}]
    name_mark = {"type": "text", "align": "left", "baseline": "top", "fontWeight": 600, "fontSize": 10.5, "color": colours.ink}
    end_mark = {"type": "text", "baseline": "top", "fontSize": 9, "color": colours.muted}
    step = {"type": "line", "interpolate": "step-after", "strokeWidth": 1.6, "color": colours.ink}
    group = {"x": x, "y": y, "detail": {"field": "g"}, "order": {"field": "n", "type": "quantitative"}}
    left_ends, right_ends = ([end for end in ends if end["right"] is side] for side in (False, True))
    return {
        "layer": [
            {"data": {"values": bars}, "mark": {"type": "rect", "color": colours.accent, "opacity": 0.45}, "encoding": both},
            {"data": {"values": outlines}, "mark": step, "encoding": group},
            {"data": {"values": titles}, "mark": name_mark, "encoding": at},
            {"data": {"values": left_ends}, "mark": {**end_mark, "align": "left"}, "encoding": at},
            {"data": {"values": right_ends}, "mark": {**end_mark, "align": "right"}, "encoding": at},
            {"data": {"values": key}, "mark": {"type": "text", "align": "left", "fontSize": 11, "color": colours.muted}, "encoding": at},
        ]
    }


def _panel(chart: Chart, rows: list[tuple[Cell, ...]], left: float, top: float) -> tuple[list[Json], list[Json], str, str]:
    """Lay out one panel: its bars, the steps of its outline, and the names of its first and last bin."""
    floor, tall, wide = top - 0.88, 0.66, 0.9
    sides = [[_share(row[_at(chart, key)]) for row in rows] for key in chart.y[:2]]
    most = max((value for side in sides for value in side), default=0.0) or 1.0
    each = wide / max(1, len(rows))
    bars = [
        {"x": left + n * each, "x2": left + (n + 0.94) * each, "y": floor, "y2": floor + tall * value / most}
        for n, value in enumerate(sides[0])
    ]
    steps: list[Json] = []
    if len(sides) > 1:
        heights = [0.0, *sides[1], 0.0]
        places = [left, *(left + n * each for n in range(len(rows))), left + wide]
        steps = [
            {"x": at, "y": floor + tall * height / most, "g": f"{left}-{top}", "n": n}
            for n, (at, height) in enumerate(zip(places, heights, strict=True))
        ]
    names = [words.short(words.printable(str(row[_at(chart, chart.x)])), 18) for row in rows]
    return bars, steps, names[0] if names else "", names[-1] if len(names) > 1 else ""


def _share(value: Cell) -> float:
    return float(value) if isinstance(value, int | float) else 0.0


def tall(chart: Chart, width: float) -> int | None:
    """Return the natural height of a form of this file, or None for the usual one."""
    if chart.form == "multiples":
        names, across = panels(chart, width)
        return 30 + PANEL * math.ceil(len(names) / across)
    if chart.form in ("confusion", "diverging"):
        rows = len(set(chart.table.column(chart.series))) if chart.series else 1
        return max(170, 84 + min(rows, 16) * (34 if chart.form == "confusion" else 24))
    return {"curve": 290, "learning": 250}.get(chart.form)


FORMS: dict[str, Callable[[Chart, Records, axes.Scale, Palette, float], Json]] = {
    "confusion": confusion,
    "curve": curve,
    "diverging": diverging,
    "learning": learning,
    "multiples": multiples,
    "signed": signed,
}
