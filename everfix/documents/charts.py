"""Charts: a Chart of the model becomes one Vega-Lite specification, interactive in a browser and static SVG in a file.

    FORMS      what each form of chart draws (one function each)
    spec()     Chart → complete Vega-Lite specification with its data inside
    svg()      Chart → SVG text, drawn without a network

All text in a specification is data or a JSON string: nothing from outside is ever evaluated.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from everfix.documents import axes, evaluation, fonts, forms, palette, widths
from everfix.documents import format as words
from everfix.documents.model import Cell, Chart
from everfix.documents.palette import Palette, Theme

Json = dict[str, Any]
FORMS = forms.FORMS | evaluation.FORMS
GROWN = frozenset({"bar", "signed", "heatmap", "multiples", "confusion", "diverging"})  # whose height is that of their rows
SCHEMA = "https://vega.github.io/schema/vega-lite/v6.json"
VERSION = "6.4"  # of Vega-Lite, bundled with vl-convert-python
BAR, SLIM, BARS_FRAME = 22, 16, 14  # pixels: a bar with its gap, one of several under one name; what stands around the bars
MEASURED, NAMED = f'font-family="{widths.FAMILY}"', f'font-family="{fonts.FAMILIES}"'
CONTAINER = 380  # pixels a chart is laid out for where the page decides its width


def spec(
    chart: Chart,
    *,
    theme: Theme = "light",
    width: int | str = 480,
    height: int | None = None,
    currency: str = "USD",
    timezone: str = "UTC",
    brand: str = "#0f766e",
) -> Json:
    """Return a complete Vega-Lite specification; `width` and `height` are the whole picture in pixels, or width "container".

    Raises ValueError where a value does not fit the form, e.g. an impact of 7 in a 5 × 5 matrix.
    """
    colours = palette.of(brand, theme)
    scaled = axes.scale(axes.column(chart, chart.y[0]).unit, axes.largest(chart), currency)
    records = axes.long(chart, scaled, currency=currency, timezone=timezone)
    room = float(CONTAINER if isinstance(width, str) else width)
    body = FORMS[chart.form](chart, records, scaled, colours, room)
    return {
        "$schema": SCHEMA,
        "width": width,
        "height": height or tall(chart, room),
        "autosize": {"type": "fit", "contains": "padding"},
        "padding": {"left": 2, "right": 6, "top": 4, "bottom": 2},
        "background": "transparent",
        "description": words.printable(chart.alt),
        "data": body.pop("data", {"values": records}),
        "config": _config(colours, _legend(records, room)),
        **body,
    }


def svg(
    chart: Chart,
    *,
    theme: Theme = "light",
    width: int = 480,
    height: int | None = None,
    currency: str = "USD",
    timezone: str = "UTC",
    brand: str = "#0f766e",
    ground: str = "transparent",
) -> str:
    """Return the chart as SVG text, on a transparent ground unless it is given a colour; see `spec` for the arguments and errors."""
    drawn = spec(chart, theme=theme, width=width, height=height, currency=currency, timezone=timezone, brand=brand)
    drawn["background"] = ground
    del drawn["description"]  # whoever places the picture says `alt` beside it, once
    drawn["config"] |= {"font": widths.FAMILY, "text": {**drawn["config"]["text"], "font": widths.FAMILY}}
    made = str(_drawer().vegalite_to_svg(drawn, vl_version=VERSION, allowed_base_urls=[]))
    return made.replace(MEASURED, NAMED)


@lru_cache(maxsize=1)
def _drawer() -> Any:  # noqa: ANN401 - an extension module without types
    """Import the drawing library on first use, and let it measure text with the fonts of our own."""
    import vl_convert  # noqa: PLC0415 - starts a JavaScript engine

    for folder in (widths.FOLDER, *fonts.text_folders()):
        vl_convert.register_font_directory(str(folder))
    return vl_convert


def png(svg: str, *, scale: float = 3.0) -> bytes:
    """Return a drawn chart as a bitmap, for what cannot take its SVG; every installed font is used."""
    _every_font()
    return bytes(_drawer().svg_to_png(svg, scale=scale))


@lru_cache(maxsize=1)
def _every_font() -> None:
    for folder in fonts.folders():
        _drawer().register_font_directory(str(folder))


def tall(chart: Chart, width: float = CONTAINER) -> int:
    """Return the natural height of a chart in pixels; bars grow with their number, small multiples with their rows."""
    own = evaluation.tall(chart, width)
    if own is not None:
        return own
    if chart.form in ("bar", "signed"):
        rows = len(chart.table.rows) if chart.series is None else len(set(chart.table.column(chart.x)))
        each = BAR if len(chart.y) == 1 else SLIM * len(chart.y) + 6
        return BARS_FRAME + each * max(2, min(rows, forms.MAX_BARS)) + (24 if forms.many(chart) else 0) + (24 if chart.series else 0)
    if chart.form == "heatmap":
        rows = 7 if chart.series is None else len(set(chart.table.column(chart.series)))
        return 64 + 24 * max(2, min(rows, forms.MAX_BARS))
    return {"matrix": 340, "scatter": 300}.get(chart.form, 250)


def _legend(records: list[dict[str, Cell]], room: float) -> int:
    """Return how many names of series stand on one line of the legend."""
    names = list(dict.fromkeys(str(record["s"]) for record in records))
    widest = max((min(150.0, fonts.ems(name) * forms.LABEL) for name in names), default=0.0) + 30  # with its square and a gap
    return max(1, min(len(names), int((room - 40) / widest)))


def _config(colours: Palette, legend: int) -> Json:
    """Calm by default: no frame, no ticks, faint lines only where a value is read off."""
    text = {"labelColor": colours.muted, "titleColor": colours.muted, "labelFontSize": 11, "titleFontSize": 11, "titleFontWeight": 400}
    return {
        "font": fonts.FAMILIES,
        "aria": False,
        "view": {"stroke": None},
        "axis": {**text, "domain": False, "ticks": False, "grid": False, "labelPadding": 6, "gridColor": colours.grid, "labelLimit": 190},
        "axisX": {"domain": True, "domainColor": colours.line},
        "legend": {
            **text,
            "orient": "top",
            "direction": "horizontal",
            "title": None,
            "symbolSize": 90,
            "offset": 6,
            "labelLimit": 150,
            "columns": legend,
            "columnPadding": 12,
        },
        "text": {"font": fonts.FAMILIES, "fontSize": 11, "color": colours.ink},
        "range": {"category": list(colours.series)},
    }
