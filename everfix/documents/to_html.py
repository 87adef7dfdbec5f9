"""A Document as one HTML page: no script, no request to anywhere, light and dark, on a phone, on a desk and on paper."""

from __future__ import annotations

import base64
import re
from collections.abc import Set as AbstractSet
from dataclasses import fields
from functools import lru_cache
from typing import Any

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from everfix.documents import cells, charts, fonts, logo, matrix, palette, proofs
from everfix.documents import format as words
from everfix.documents.columns import upright
from everfix.documents.model import Cell, Chart, Column, Document, Figure, Figures, Section, Table, Text, Unit
from everfix.documents.palette import Palette

Json = dict[str, Any]
NARROW, WIDE = 410, 1000  # pixels a chart is drawn at: beside another one or on a phone, and alone on a desk
WIDEST = 1.6  # times its natural height that a lone chart may grow
DATA = 400  # rows of the data shown under a chart; longer ones say so
CELL = 4_000  # characters
SHORT = 14  # characters up to which a text does not break
COLOUR = re.compile(r'"(#[0-9a-f]{6})"')
GROUND = re.compile(r'^<svg [^>]*?width="(\d+)" height="(\d+)"[^>]*>')


def render(document: Document) -> bytes:
    """Return the page in UTF-8. It is safe in a sandboxed frame and carries its own policy that forbids scripts and requests."""
    light, dark = palette.of(document.brand.colour, "light"), palette.of(document.brand.colour, "dark")
    on = max(("#ffffff", light.ink), key=lambda colour: palette.contrast(light.accent, colour))
    css = _environment().get_template("report.css").render(light=light, dark=dark, on=on, families=fonts.FAMILIES)
    page = _environment().get_template("report.html").render(css=Markup(css), **_page(document))  # noqa: S704 - our own style sheet
    return page.encode()


@lru_cache(maxsize=1)
def _environment() -> Environment:
    loader = PackageLoader("everfix.documents", package_path="")
    return Environment(loader=loader, autoescape=True, undefined=StrictUndefined, trim_blocks=True, lstrip_blocks=True)


def _page(document: Document) -> Json:
    story = document.narrative
    clean = logo.clean(document.brand.logo_svg)
    label = f"{words.printable(document.period.label)}, " if document.period.label else ""
    origin = " · ".join(
        part
        for part in (document.template and f"template {document.template}", document.code_version and f"Everfix {document.code_version}")
        if part
    )
    marks = proofs.Marks(story) if story else None
    summary = [
        part
        for place, text in enumerate(story.executive_summary if story else ())
        for part in _told(marks, f"executive_summary[{place}]", text)
    ]
    takeaways = [
        part for place, text in enumerate(story.key_takeaways if story else ()) for part in _told(marks, f"key_takeaways[{place}]", text)
    ]
    stories = {key: _told(marks, f"sections.{key}", text) for key, text in (story.sections if story else {}).items()}
    used = marks.used if marks else set()
    sections = [_section(document, section, stories.get(section.id, []), used) for section in document.sections]
    return {
        "title": cells.heading(document.title, "Report"),
        "subtitle": words.short(words.printable(document.subtitle), 300),
        "brand": words.short(words.printable(document.brand.name), 60),
        "logo": f"data:image/svg+xml;base64,{base64.b64encode(clean.encode()).decode()}" if clean else "",
        "workspace": words.short(words.printable(document.workspace), 80),
        "when": f"{label}{cells.period(document)}",
        "facts": _facts(document),
        "notices": [words.printable(text) for text in document.notices],
        "summary": summary,
        "takeaways": takeaways,
        "notes": marks.notes if marks else [],
        "tongue": story.language if story and story.language != "en" else "",
        "story_note": words.printable(story.note) if story else "",
        "sections": sections,
        "opening": 1 if sections and sections[0]["lead"] else 0,  # figures that open the report come before its contents
        "link": cells.link(document.link),
        "made": cells.generated(document),
        "origin": words.short(words.printable(origin), 200),
    }


def _told(marks: proofs.Marks | None, place: str, text: str) -> list[Markup]:
    return marks.paragraphs(place, text) if marks else []


def _facts(document: Document) -> list[tuple[str, str]]:
    own = [(words.short(words.printable(name), 40), words.short(words.printable(text), 200)) for name, text in document.facts]
    period = [("Period", f"{cells.period(document)} · {document.period.days} days"), ("Compared with", cells.compared(document))]
    return [*(own or period), *cells.made(document)]


def _section(document: Document, section: Section, story: list[Markup], used: set[str]) -> Json:
    blocks: list[Json] = []
    for block in section.blocks:
        if isinstance(block, Chart):
            if not blocks or blocks[-1]["kind"] != "charts":
                blocks.append({"kind": "charts", "charts": []})
            blocks[-1]["charts"].append(block)
        elif isinstance(block, Figures):
            blocks.append(
                {
                    "kind": "figures",
                    "title": cells.title(block),
                    "figures": [_card(document, figure, f"k-{section.id}-{block.key}-{figure.key}", used) for figure in block.figures],
                }
            )
        elif isinstance(block, Table):
            blocks.append({"kind": "table", **_table(document, block, f"r-{section.id}-{block.key}", used)})
        else:
            blocks.append(_words(block))
    for made in blocks:
        if made["kind"] == "charts":
            last = len(made["charts"]) - 1  # an odd chart at the end of the pairs gets the whole width
            made["charts"] = [
                _chart(document, section, chart, alone=place == last and place % 2 == 0) for place, chart in enumerate(made["charts"])
            ]
    title = cells.heading(section.title, "Section")
    for made in blocks:  # a block that is called like its section says so to screen readers only
        made["same"] = made.get("title") == title
    return {
        "id": f"s-{section.id}", "title": title, "story": story, "blocks": blocks,
        "lead": next((place for place, made in enumerate(blocks) if made["kind"] != "figures"), len(blocks)),
    }  # fmt: skip


def _words(block: Text) -> Json:
    return {
        "kind": "text",
        "title": cells.title(block),
        "role": block.role,
        "paragraphs": [part for text in block.paragraphs for part in cells.paragraphs(text)],
    }


def _card(document: Document, figure: Figure, name: str, used: set[str]) -> Json:
    change = cells.change(document, figure)
    low, high = min(figure.spark, default=0.0), max(figure.spark, default=0.0)
    steps = max(1, len(figure.spark) - 1)
    points = [
        f"{100 * n / steps:.1f},{28 - 26 * ((point - low) / (high - low) if high > low else 0.5):.1f}"
        for n, point in enumerate(figure.spark)
    ]
    return {
        "id": name if name in used else "",
        "title": words.printable(figure.title),
        "value": cells.show(document, figure.value, figure.unit),
        "change": change.words,
        "tone": change.tone,
        "arrow": change.arrow,
        "before": change.before,
        "note": words.printable(figure.note),
        "spark": " ".join(points) if len(points) > 1 else "",
    }


def _chart(document: Document, section: Section, chart: Chart, *, alone: bool) -> Json:
    mark, high = f"{section.id}-{chart.key}", charts.tall(chart)
    made: Json = {
        "title": cells.title(chart),
        "alt": cells.heading(chart.alt, "Chart", 2000),
        "whole": alone,
        "wide": "",
        "narrow": "",
        "key": matrix.key(chart),
        "empty": "",
    }
    if not chart.table.rows:
        return made | {"empty": words.printable(chart.table.empty)}
    cut = chart.table.model_copy(
        update={"rows": chart.table.rows[:DATA], "links": chart.table.links[:DATA], "total_rows": len(chart.table.rows)}
    )
    made |= {
        "table": _table(document, cut) | {"title": f"{made['title']}: data"},
        "narrow": _drawn(document, chart, NARROW, high, f"{mark}-n"),
    }
    if alone and chart.form != "matrix":
        grown = charts.tall(chart, WIDE) if chart.form in charts.GROWN else min(round(high * WIDEST), 380)
        made["wide"] = _drawn(document, chart, WIDE, grown, f"{mark}-w")
    return made


def _drawn(document: Document, chart: Chart, width: int, height: int, mark: str) -> Markup:
    """Draw a chart whose colours are the page's own, so that one picture serves light and dark."""
    svg = charts.svg(
        chart, width=width, height=height, currency=document.currency, timezone=document.period.timezone, brand=document.brand.colour
    )
    svg = GROUND.sub(r'<svg viewBox="0 0 \1 \2" aria-hidden="true" focusable="false">', svg, count=1)
    svg = svg.replace(f" {charts.NAMED}", "").replace(' pointer-events="none"', "")
    svg = re.sub(r'(\bid="|url\(#)', rf"\g<1>{mark}-", svg)  # several pictures on one page must not share the names of their clips
    names = _roles(palette.of(document.brand.colour))
    return Markup(COLOUR.sub(lambda match: f'"var(--{names[match[1]]})"' if match[1] in names else match[0], svg))  # noqa: S704 - drawn by us; its texts are escaped


def _roles(light: Palette) -> dict[str, str]:
    """Return the style sheet's name of each colour a chart may be drawn in; the accent and ink go first where colours coincide."""
    names = {colour: f"r{place}" for place, colour in enumerate(light.risk)} | {
        colour: f"s{place}" for place, colour in enumerate(light.series)
    }
    names |= {colour: f"v{place}" for place, colour in enumerate(light.severity)}
    plain = {getattr(light, field.name): field.name for field in fields(light) if isinstance(getattr(light, field.name), str)}
    return names | plain


def _table(document: Document, table: Table, name: str = "", used: AbstractSet[str] = frozenset()) -> Json:
    shares, tones, classes = cells.shares(table), cells.tones(table), _classes(table)
    links = [cells.link(address) for address in table.links]
    longest = {
        place: max((len(cells.show(document, row[place], table.columns[place].unit)) for row in table.rows), default=0) for place in shares
    }
    rows = []
    for number, row in enumerate(table.rows):
        made = []
        for place, (cell, column) in enumerate(zip(row, table.columns, strict=True)):
            text = _breakable(words.short(cells.show(document, cell, column.unit), CELL))
            if place == 0 and links and links[number]:
                text = Markup('<a href="{}" rel="noopener noreferrer" target="_blank">{}</a>').format(links[number], text)
            if place in shares:
                bar = Markup('<span class="bar"><i style="width:{:.0f}%"></i></span><span class="of" style="min-width:{}ch">{}</span>')
                text = bar.format(shares[place][number] * 100, longest[place], text)
            made.append(_cell(text, column, classes[place], tones[place][number] if place in tones else "plain", first=place == 0))
        rows.append(made)
    return {
        "title": cells.title(table), "note": words.printable(table.note), "bare": False, "same": False, "rows": rows,
        "ids": {number: mark for number in range(len(rows)) if (mark := f"{name}-{number}") in used},
        "extent": cells.extent(table),
        "empty": "" if table.rows else words.printable(table.empty),
        "columns": [{"title": words.printable(column.title), "class": name} for column, name in zip(table.columns, classes, strict=True)],
    }  # fmt: skip


def _breakable(text: str) -> Markup:
    """Escape a text and let its long words break in a cell, without adding anything that copying would pick up."""
    return Markup("<wbr>").join(upright(text).split("\u200b"))


def _cell(text: Markup, column: Column, name: str, tone: str, *, first: bool) -> Markup:
    kind = name + (f" tone {tone}" if tone != "plain" else "")
    attributes = Markup(' class="{}"').format(kind) if kind else Markup("")
    direction = Markup(' dir="auto"') if column.unit is Unit.TEXT and not str(text).isascii() else Markup("")
    tag = Markup('th scope="row"') if first else Markup("td")
    return Markup("<{}{}{}>{}</{}>").format(tag, attributes, direction, text, "th" if first else "td")


def _classes(table: Table) -> list[str]:
    """Return each column's class: n a number, w wide text, t text, d words that stay on one line."""
    return [_class(column, [row[place] for row in table.rows]) for place, column in enumerate(table.columns)]


def _class(column: Column, found: list[Cell]) -> str:
    if cells.right(column):
        return "n"
    if column.unit is Unit.TEXT and not all(isinstance(cell, str) and len(cell) <= SHORT for cell in found):
        return "w" if column.wide else "t"
    return "d"
