"""The forms of charts: each turns the records of a Chart into the layers of a Vega-Lite specification."""

from __future__ import annotations

import json
from collections.abc import Callable
from datetime import date, timedelta
from typing import Any

from everfix.documents import axes, fonts, palette
from everfix.documents import format as words
from everfix.documents.matrix import matrix
from everfix.documents.model import Cell, Chart, Unit
from everfix.documents.palette import Palette

Json = dict[str, Any]
Records = list[dict[str, Cell]]
DOTS = 16  # up to this many points a line also shows each of them
NAMED = 14  # up to this many bars or points carry their value or name
MAX_BARS = 40
FEW = 60  # points up to which each is drawn large
TICKS = 4  # about as many lines an axis has
DASHES = ([1, 0], [6, 3], [2, 2], [9, 3, 2, 3], [1, 3], [12, 4])  # of lines, in the order of their series
LABEL = 11.0  # pixels: the size of what stands at an axis
NAMES = 0.38  # of a bar chart's width that the names of its bars may take
SEVERITIES = (("p1", "p2", "p3", "p4"), ("critical", "high", "medium", "low"))  # have colours of their own

# ---- the parts that the forms are made of


def many(chart: Chart) -> bool:
    return len(chart.y) > 1 or chart.series is not None


def quantity(chart: Chart, scaled: axes.Scale, *, field: str = "y", grid: bool = True, zero: bool = True, title: bool = False) -> Json:
    """Return the encoding of the chart's quantity."""
    axis: Json = {"labelExpr": scaled.label(), "tickCount": TICKS, "grid": grid, "title": None}
    if title:
        axis["title"] = words.printable(axes.column(chart, chart.y[0]).title)
    return {"field": field, "type": "quantitative", "axis": axis, "scale": {"zero": zero, "nice": TICKS}}


def _across(chart: Chart, records: Records) -> Json:
    """The x encoding of lines and areas: time, number or category."""
    unit = axes.column(chart, chart.x).unit
    if unit in axes.TIMES:
        seen = sorted(str(record["x"]) for record in records if record["x"])
        days = (date.fromisoformat(seen[-1][:10]) - date.fromisoformat(seen[0][:10])).days if seen else 0
        shown = "%b %Y" if days > 150 else "%-d %b" if days > 2 else "%-d %b, %H:%M"
        axis = {
            "labelExpr": f"utcFormat(datum.value, {json.dumps(shown)})",
            "tickCount": 5,
            "labelOverlap": True,
            "labelFlush": True,
            "title": None,
        }
        return {"field": "x", "type": "temporal", "scale": {"type": "utc"}, "axis": axis}
    if unit is not Unit.TEXT and all(isinstance(record["x"], int | float) for record in records):
        return {"field": "x", "type": "quantitative", "scale": {"zero": False, "nice": False}, "axis": {"title": None, "tickCount": 6}}
    return {"field": "x", "type": "ordinal", "sort": None, "axis": {"title": None, "labelAngle": 0, "labelOverlap": True}}


def coloured(chart: Chart, records: Records, colours: Palette) -> Json:
    """Return the encoding of colour: the accent, or one for each series."""
    if not many(chart):
        return {"value": colours.accent}
    names = list(dict.fromkeys(str(record["s"]) for record in records))
    ranged = [colours.series[place % len(colours.series)] for place in range(len(names))]
    if tuple(name.lower() for name in names) in SEVERITIES:
        ranged = list(colours.severity)
    return {"field": "s", "type": "nominal", "sort": None, "scale": {"domain": names, "range": ranged}, "legend": {}}


def dashed(records: Records) -> Json:
    """Return the encoding of dashes, one for each series: lines of like grey are told apart in print."""
    names = list(dict.fromkeys(str(record["s"]) for record in records))
    ranged = [DASHES[place % len(DASHES)] for place in range(len(names))]
    return {"field": "s", "type": "nominal", "sort": None, "scale": {"domain": names, "range": ranged}, "legend": {}}


def tooltip(chart: Chart) -> list[Json]:
    """Return what is said of a point under the pointer."""
    across = {"field": "xs", "type": "nominal", "title": _quoted(axes.column(chart, chart.x).title)}
    value = {"field": "ys", "type": "nominal", "title": _quoted(axes.column(chart, chart.y[0]).title)}
    if not many(chart):
        return [across, value]
    return [across, {"field": "s", "type": "nominal", "title": "Series"}, {**value, "title": "Value"}]


def _quoted(title: str) -> str:
    """Return a title for a tooltip: the one text that Vega-Lite puts between quotes of an expression, so it must hold none."""
    return words.short(" ".join(words.printable(title).replace('"', "”").replace("\\", "/").split()), 80)


def threshold(chart: Chart, scaled: axes.Scale, colours: Palette) -> list[Json]:
    """The dashed line that must not be crossed, with its name above its left end."""
    if chart.threshold is None:
        return []
    shown = axes.column(chart, chart.y[0]).unit
    label = words.printable(chart.threshold_label) or f"Threshold {words.show(chart.threshold, shown)}"
    at = {"datum": chart.threshold / scaled.divisor, "type": "quantitative"}
    rule = {"mark": {"type": "rule", "color": colours.warn, "strokeDash": [5, 3], "strokeWidth": 1.3}, "encoding": {"y": at}}
    text = {
        "type": "text",
        "text": words.short(label, 48),
        "align": "left",
        "x": 4,
        "dy": -6,
        "color": colours.warn,
        "fontWeight": 600,
        "fontSize": 10.5,
    }
    return [{**rule, "data": {"values": [{}]}}, {"mark": text, "encoding": {"y": at}, "data": {"values": [{}]}}]


def _breach(chart: Chart, records: Records, x: Json, y: Json, colours: Palette) -> list[Json]:
    """Mark the first point that the threshold does not hold: of the projection where there is one."""
    if chart.threshold is None or not chart.y:
        return []
    scaled = [(record, record["y"]) for record in records if isinstance(record["y"], int | float)]
    limit = axes.scale(axes.column(chart, chart.y[0]).unit, axes.largest(chart), "USD").of(chart.threshold)
    candidates = [record for record, value in scaled if float(value) >= float(limit or 0) and (record["after"] or chart.split is None)]
    if not candidates:
        return []
    first = [{**candidates[0], "name": f"{candidates[0]['ys']} on {candidates[0]['xs']}" if chart.split else candidates[0]["ys"]}]
    ring = {"type": "point", "size": 95, "filled": True, "color": colours.bad, "stroke": colours.paper, "strokeWidth": 1.5, "opacity": 1}
    label = {"type": "text", "align": "right", "dx": -9, "dy": -8, "color": colours.bad, "fontWeight": 600}
    encoding = {"x": x, "y": {**y, "axis": y["axis"]}}
    named = {**encoding, "text": {"field": "name"}}
    return [{"data": {"values": first}, "mark": ring, "encoding": encoding}, {"data": {"values": first}, "mark": label, "encoding": named}]


# ---- the forms


def _line(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, _width: float) -> Json:
    x, y = _across(chart, records), quantity(chart, scaled, zero=_from_zero(records))
    colour = coloured(chart, records, colours)
    _edges(records)
    layers: list[Json] = []
    if chart.lower and chart.upper:
        band = {
            "x": x,
            "y": {**y, "field": "lower"},
            "y2": {"field": "upper"},
            "color": colour,
        }
        layers.append({"mark": {"type": "area", "opacity": 1, "fillOpacity": 0.16}, "encoding": band})
    stroke = {"type": "line", "strokeWidth": 2.2, "strokeCap": "round", "strokeJoin": "round"}
    encoding = {"x": x, "y": y, "color": colour}
    dashes = {"strokeDash": dashed(records)} if many(chart) and not chart.split else {}  # a projection is dashed already
    layers.append({"mark": stroke, "encoding": {**encoding, **dashes}, "transform": [{"filter": "!datum.after"}]})
    if chart.split:
        layers.append(
            {"mark": {**stroke, "strokeDash": [2, 5]}, "encoding": encoding, "transform": [{"filter": "datum.after || datum.edge"}]}
        )
        layers += _projected(records, x, colours) + _alone(records, x, y, colour)
    dots = 45 if len(records) <= DOTS * max(1, len(chart.y)) and not chart.split else 0
    layers.append(
        {
            "mark": {"type": "point", "filled": True, "size": dots or 60, "opacity": 1 if dots else 0},
            "encoding": {**encoding, "tooltip": tooltip(chart)},
        }
    )
    return {"layer": layers + threshold(chart, scaled, colours) + _breach(chart, records, x, y, colours)}


def _alone(records: Records, x: Json, y: Json, colour: Json) -> list[Json]:
    """Draw a projection of one point as that point with its band: a line through one point shows nothing."""
    after = [record for record in records if record["after"] and record["y"] is not None]
    if len(after) != 1:
        return []
    one: Json = {"data": {"values": after}}
    if after[0]["lower"] is not None and after[0]["upper"] is not None:
        band = {"x": x, "y": {**y, "field": "lower"}, "y2": {"field": "upper"}, "color": colour}
        return [
            {**one, "mark": {"type": "rule", "strokeWidth": 6, "opacity": 0.25, "strokeCap": "round"}, "encoding": band},
            {**one, "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": {"x": x, "y": y, "color": colour}},
        ]
    return [{**one, "mark": {"type": "point", "filled": True, "size": 70, "opacity": 1}, "encoding": {"x": x, "y": y, "color": colour}}]


def _edges(records: Records) -> None:
    """Mark each series' last observed record, where its projection starts."""
    last = {str(record["s"]): record for record in records if not record["after"]}
    for record in last.values():
        record["edge"] = True


def _from_zero(records: Records) -> bool:
    """A line starts at zero unless all of it runs in the upper half, where its shape would be lost."""
    values = [float(record["y"]) for record in records if isinstance(record["y"], int | float)]
    return not values or min(values) < 0.5 * max(values) or max(values) <= 0


def _projected(records: Records, x: Json, colours: Palette) -> list[Json]:
    edge = next((record for record in records if record.get("edge")), None)
    if edge is None:
        return []
    where = {"values": [{"x": edge["x"]}]}
    rule = {"type": "rule", "color": colours.line, "strokeWidth": 1}
    text = {"type": "text", "text": "projected →", "align": "left", "dx": 5, "y": 6, "color": colours.muted, "fontSize": 10.5}
    return [{"data": where, "mark": rule, "encoding": {"x": x}}, {"data": where, "mark": text, "encoding": {"x": x}}]


def _area(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, _width: float) -> Json:
    x, y = _across(chart, records), quantity(chart, scaled)
    colour = coloured(chart, records, colours)
    encoding = {"x": x, "y": {**y, "stack": "zero"}, "color": colour, "tooltip": tooltip(chart)}
    mark: Json = {"type": "area", "opacity": 0.8 if many(chart) else 0.18}
    if not many(chart):
        mark["line"] = {"color": colours.accent, "strokeWidth": 2.2, "opacity": 1}
    return {"layer": [{"mark": mark, "encoding": encoding}, *threshold(chart, scaled, colours)]}


def _bar(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, width: float) -> Json:
    """Bars to the right, named on the left; several y stand under one another, a series is stacked."""
    records[:] = records[: MAX_BARS * len(chart.y)]
    _fit(records, NAMES * width / LABEL, len(chart.y))
    axis: Json = {"title": None, "labelColor": colours.ink, "labelLimit": 0, "domain": False}
    y: Json = {"field": "x", "type": "ordinal", "sort": None, "axis": axis, "scale": {"paddingInner": 0.3, "paddingOuter": 0.15}}
    stacked = chart.series is not None
    x = quantity(chart, scaled, grid=stacked)
    x["stack"] = "zero" if stacked else None
    if not stacked:  # the value stands at the end of its bar: no axis is needed, but room for the words is
        x["axis"] = None
        low, high = min(0.0, _extreme(records, min)), max(0.0, _extreme(records, max))
        values, names = (max((fonts.ems(str(record[key])) for record in records), default=1.0) * LABEL + 12 for key in ("ys", "x"))
        room = values / max(1.0, width - names - 2 * values) * ((high - low) or 1.0)
        x["scale"] = {"domain": [low - room * (low < 0), high + room * (high > 0 or low == 0)], "nice": False, "zero": False}
    beside: Json = {"yOffset": {"field": "s", "type": "nominal", "sort": None}} if len(chart.y) > 1 and not stacked else {}
    encoding = {"y": y, "x": x, "color": coloured(chart, records, colours), "tooltip": tooltip(chart), **beside}
    layers: list[Json] = [{"mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": encoding}]
    if not stacked:
        named = {"y": y, "x": x, "text": {"field": "ys"}, **beside}
        outward = {"align": {"expr": "datum.y < 0 ? 'right' : 'left'"}, "dx": {"expr": "datum.y < 0 ? -5 : 5"}}
        size = LABEL - 1 if beside else LABEL
        layers.append({"mark": {"type": "text", **outward, "color": colours.ink, "fontSize": size}, "encoding": named})
    return {"layer": layers}


def _fit(records: Records, most: float, each: int) -> None:
    """Shorten the names of bars to `most` ems and keep those apart that then read the same; measured here, as that is quicker."""
    names = axes.Names()
    for start in range(0, len(records), each):
        shown = names.unique(fonts.within(str(records[start]["x"]).rstrip("\u200b"), most))
        for record in records[start : start + each]:
            record["x"] = shown


def _extreme(records: Records, pick: Callable[..., float]) -> float:
    return float(pick((float(record["y"]) for record in records if isinstance(record["y"], int | float)), default=0.0))


def _column(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, width: float) -> Json:
    names = list(dict.fromkeys(str(record["x"]) for record in records))
    step = -(-len(names) // max(2, min(9, int(width / 58)))) if axes.column(chart, chart.x).unit in axes.TIMES else 1
    axis: Json = {"title": None, "labelAngle": 0, "labelOverlap": True, "labelLimit": 86, "values": names[::step]}
    if axes.column(chart, chart.x).unit in axes.TIMES:
        axis["labelExpr"] = "utcFormat(toDate(datum.value + 'Z'), '%-d %b')"
    x = {"field": "x", "type": "ordinal", "sort": None, "axis": axis, "scale": {"paddingInner": 0.28, "paddingOuter": 0.1}}
    named = not many(chart) and len(names) <= NAMED and chart.threshold is None
    y = quantity(chart, scaled, grid=not named)
    if named:
        y["axis"] = None
    encoding = {"x": x, "y": {**y, "stack": "zero"}, "color": coloured(chart, records, colours), "tooltip": tooltip(chart)}
    layers: list[Json] = [{"mark": {"type": "bar", "cornerRadiusEnd": 2}, "encoding": encoding}]
    if named:
        layers.append({"mark": {"type": "text", "dy": -7, "color": colours.ink}, "encoding": {"x": x, "y": y, "text": {"field": "ys"}}})
    return {"layer": layers + threshold(chart, scaled, colours)}


def _heatmap(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, width: float) -> Json:
    calendar = chart.series is None and axes.column(chart, chart.x).unit is Unit.DATE
    if calendar:
        _weeks(records)
    top = max(_extreme(records, max), 1e-9)
    columns = list(dict.fromkeys(str(record["x"]) for record in records))
    rows = list(dict.fromkeys(str(record["s"]) for record in records))
    each = (width - 14 - LABEL * max(map(fonts.ems, rows), default=0.0)) / max(1, len(columns))
    upright = calendar or LABEL * max(map(fonts.ems, columns), default=0.0) + 4 <= each
    axis: Json = {"title": None, "domain": False, "labelAngle": 0 if upright else -35, "labelLimit": 120}
    if calendar:
        axis |= {"values": columns[:: -(-len(columns) // 7)], "labelExpr": "utcFormat(toDate(datum.value + 'T00:00:00Z'), '%-d %b')"}
    where = {
        "x": {"field": "x", "type": "ordinal", "sort": None, "axis": axis},
        "y": {"field": "s", "type": "ordinal", "sort": list(WEEKDAYS) if calendar else None, "axis": {"title": None, "domain": False}},
    }
    empty = {"type": "rect", "cornerRadius": 2, "fill": colours.grid, "stroke": colours.paper, "strokeWidth": 2}
    filled = {"type": "rect", "cornerRadius": 2, "fill": colours.accent, "stroke": colours.paper, "strokeWidth": 2}
    legend = {
        "labelExpr": scaled.label(),
        "symbolType": "square",
        "symbolFillColor": colours.accent,
        "symbolStrokeWidth": 0,
        "tickCount": 4,
    }
    printed = len(records) <= 150 and len(columns) <= 12
    shade = {"field": "y", "type": "quantitative", "scale": {"domain": [0, top], "range": [0.06, 1]}, "legend": None if printed else legend}
    layers = [
        {"mark": empty, "encoding": where},
        {
            "mark": filled,
            "encoding": {**where, "fillOpacity": shade, "tooltip": tooltip(chart)},
            "transform": [{"filter": "datum.y !== null"}],
        },
    ]
    if printed:
        strong = json.dumps(turning(colours) * top)
        colour = {"condition": {"test": f"datum.y > {strong}", "value": colours.paper}, "value": colours.ink}
        layers.append({"mark": {"type": "text", "fontSize": 10.5}, "encoding": {**where, "text": {"field": "ys"}, "color": colour}})
    return {"layer": layers}


def turning(colours: Palette) -> float:
    """Return the share (0–1) of the ramp from which words read better in the paper's colour than in ink."""
    shares = [step / 20 for step in range(21)]
    fills = [palette.mix(colours.paper, colours.accent, 0.06 + 0.94 * share) for share in shares]
    lighter = [palette.contrast(fill, colours.paper) > palette.contrast(fill, colours.ink) for fill in fills]
    return next((share for share, turned in zip(shares, lighter, strict=True) if turned), 1.0)


WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")


def _weeks(records: Records) -> None:
    """Turn days into a calendar: a column for each week, named by its Monday, and a row for each weekday."""
    records[:] = [record for record in records if record["x"] is not None]
    records.sort(key=lambda record: str(record["x"]))
    for record in records:
        day = date.fromisoformat(str(record["x"])[:10])
        record["x"] = (day - timedelta(days=day.weekday())).isoformat()
        record["s"] = WEEKDAYS[day.weekday()]


def _scatter(chart: Chart, records: Records, scaled: axes.Scale, colours: Palette, _width: float) -> Json:
    across = axes.column(chart, chart.x)
    if across.unit in (Unit.TEXT, Unit.FLAG, *axes.TIMES):
        x = _across(chart, records)
    else:
        widths = axes.scale(across.unit, _extreme([{"y": record["x"]} for record in records], max), "USD")
        for record in records:
            record["x"] = widths.of(record["x"])
        x = {"field": "x", "type": "quantitative", "scale": {"zero": False, "nice": True, "padding": 12}}
        x["axis"] = {"labelExpr": widths.label(), "tickCount": 5, "grid": True, "title": words.printable(across.title)}
    y = quantity(chart, axes.spread(scaled, (record["y"] for record in records)), zero=False, title=True)
    y["scale"]["padding"] = 12
    label = next((column.key for column in chart.table.columns if column.unit is Unit.TEXT and column.key != chart.series), None)
    if label is not None:
        for record, name in zip(records, chart.table.column(label), strict=False):
            record["name"] = words.short(words.printable(str(name)), 26)
    encoding = {"x": x, "y": y, "color": coloured(chart, records, colours), "tooltip": tooltip(chart)}
    dot = {"size": 75, "opacity": 0.75} if len(records) <= FEW else {"size": 22, "opacity": 0.45}
    layers: list[Json] = [{"mark": {"type": "point", "filled": True, **dot}, "encoding": encoding}]
    if chart.diagonal:
        layers.insert(0, _diagonal(records, x, y, colours))
    if label is not None and len(records) <= NAMED:
        named = {"x": x, "y": y, "text": {"field": "name"}}
        layers.append({"mark": {"type": "text", **_inward(records), "fontSize": 10, "color": colours.muted}, "encoding": named})
    return {"layer": layers + threshold(chart, scaled, colours)}


def _diagonal(records: Records, x: Json, y: Json, colours: Palette) -> Json:
    """Draw where both are equal, as far as both go."""
    known = [(float(r["x"]), float(r["y"])) for r in records if isinstance(r["x"], int | float) and isinstance(r["y"], int | float)]
    low = max((min(side) for side in zip(*known, strict=True)), default=0.0)
    high = min((max(side) for side in zip(*known, strict=True)), default=0.0)
    mark = {"type": "line", "strokeDash": [4, 4], "strokeWidth": 1.2, "color": colours.muted}
    return {"data": {"values": [{"x": low, "y": low}, {"x": high, "y": high}]}, "mark": mark, "encoding": {"x": x, "y": y}}


def _inward(records: Records) -> Json:
    """Put the name of a point on its right, in the right half on its left, so that the edge cuts none."""
    places = [float(record["x"]) for record in records if isinstance(record["x"], int | float)]
    if not places or len(places) < len(records):
        return {"align": "left", "dx": 8}
    right = f"datum.x > {json.dumps((min(places) + max(places)) / 2)}"
    return {"align": {"expr": f"{right} ? 'right' : 'left'"}, "dx": {"expr": f"{right} ? -8 : 8"}}


def _matrix(chart: Chart, _records: Records, _scaled: axes.Scale, colours: Palette, _width: float) -> Json:
    return matrix(chart, colours)


FORMS: dict[str, Callable[[Chart, Records, axes.Scale, Palette, float], Json]] = {
    "line": _line,
    "area": _area,
    "bar": _bar,
    "column": _column,
    "heatmap": _heatmap,
    "scatter": _scatter,
    "matrix": _matrix,
}
