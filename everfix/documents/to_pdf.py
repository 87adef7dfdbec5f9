"""A Document as PDF: typeset by Typst from one template, tagged for screen readers (PDF/UA-1), without any font of the machine."""

from __future__ import annotations

import json
import re
from functools import lru_cache
from importlib.resources import files
from typing import Any

from everfix.documents import cells, charts, fonts, joining, logo, matrix, palette, pieces
from everfix.documents import format as words
from everfix.documents.columns import panels, upright
from everfix.documents.model import Chart, Document, Figure, Figures, Section, Table, Text

Json = dict[str, Any]
HALF, MIDDLE, FULL = 400, 520, 830  # pixels a chart is drawn at, beside another one or alone
ACROSS = 4  # figure cards in a row
ROWS = 5_000  # of a table on paper: some two hundred pages
LONG = 12  # from this many pages on there is a table of contents
FLAT = 0.84  # of the natural height of a chart, for those whose shape does not depend on it
LOW = 0.76  # of its height on paper, for a chart that must fit the rest of a page
UNKNOWN = re.compile(r'the text `("(?:[^"\\]|\\.)*")` could not be displayed')
MISSING = "□"
# Scripts that Typst sets well in a chart's SVG. Others (Arabic, Devanagari, joined emoji …) it cannot mark for screen readers there
# (typst/typst#7432), so a chart with one of them becomes a bitmap; its title, data and description stay text.
PLAIN_SCRIPTS = re.compile(
    "[\\x00-\u02ff\u0370-\u058f\u1e00-\u1fff\u2010-\u2027\u200b\u2030-\u205e\u20a0-\u20bf\u2100-\u25ff\u2e80-\u9fff\uac00-\ud7a3\uff00-\uffee\ufffd]*"
)
MARK = "\\u200b"  # as JSON writes the break mark of `columns.upright`
UNSHOWN = "Characters for which no font is installed are shown as □."
REMEMBERED = 12
TRIES = 6
VALUE = ((9, 17.0), (13, 13.5), (18, 10.5), (999, 8.0))  # longest text and its size in points, so a card never breaks a number


def render(document: Document) -> bytes:
    """Return the report as an accessible PDF. A character without a font is shown as "□", and the report says so."""
    data = _report(document)
    for _ in range(TRIES):
        parts = pieces.cut(data, lambda part: _asked(document, part, more=True)) if pieces.many(data) else [_fitted(document, data)]
        made = [_typeset(part) for part in parts]
        missing = {character for one in made if isinstance(one, set) for character in one}
        if not missing:
            files = [one for one in made if isinstance(one, bytes)]
            return joining.joined(files) if len(files) > 1 else files[0]
        data = _without(data, missing)
    raise ValueError(f"the report has characters that no installed font can show, after {TRIES} attempts to replace them")


def _fitted(document: Document, data: Json) -> Json:
    """Return the report with those charts drawn lower that the typesetter had to set lower to fit a page."""
    if any(block.get("flexible") for section in data["sections"] for block in section["blocks"]):
        _asked(document, data)
    return data


def _asked(document: Document, data: Json, *, more: bool = False) -> pieces.Told:
    """Lay a piece out, draw its charts lower where that is needed, and return what the typesetter told; `more`: others come before its file."""
    text = _typst().query(_template(), "<told>", field="value", font_paths=_fonts(), ignore_system_fonts=True, **_inputs(data))
    if more:
        _forget()
    told: dict[str, list[Any]] = {kind: [] for kind in ("page", "heading", "row", "low")}
    for kind, value in json.loads(text):
        told[kind].append(value)
    charts_of = {(section.id, block.key): block for section in document.sections for block in section.blocks if isinstance(block, Chart)}
    for section in data["sections"]:
        for block in section["blocks"]:
            for shown in block["charts"] if block["kind"] == "charts" and block["id"] in told["low"] else ():
                if shown["svg"] and not shown["low"]:
                    shown["low"] = _drawn(document, charts_of[tuple(shown["of"])], shown["width"], int(shown["height"] * LOW))
    return pieces.Told(max(told["page"]), tuple(told["heading"]), tuple(told["row"]))


def _without(data: Json, missing: set[str]) -> Json:
    """Return the report with the characters replaced, and with a last line that says so."""
    shown: Json = _shown(data, str.maketrans(dict.fromkeys(missing, MISSING)))
    return shown | {"unshown": UNSHOWN}


def _forget() -> None:
    """Let Typst drop what it remembers of the report: it keeps the last ten compilations, which a long table makes gigabytes."""
    for _ in range(REMEMBERED):
        _typst().compile(b"", font_paths=_fonts(), ignore_system_fonts=True, format="svg")


def _typeset(data: Json) -> bytes | set[str]:
    """Return the file of a report or of a piece of it, or the characters that no font has."""
    try:
        made = _typst().compile(
            _template(), font_paths=_fonts(), ignore_system_fonts=True, format="pdf", pdf_standards=["ua-1"], timestamp=data["timestamp"],
            **_inputs(data),
        )  # fmt: skip
    except _typst().TypstError as error:
        if missing := _missing(f"{error.message}\n{error.diagnostic}"):
            return missing
        raise
    finally:
        _forget()
    assert isinstance(made, bytes)  # noqa: S101 - without an output path Typst returns the file
    return made


def _inputs(data: Json) -> Json:
    text = json.dumps(data)
    text = f'{{"marked": {json.dumps(MARK in text)}, {text[1:]}'
    return {"sys_inputs": {"report": text}, "root": str(files("everfix.documents"))}


def _typst() -> Any:  # noqa: ANN401 - a module
    import typst  # noqa: PLC0415 - 40 MB that only a PDF needs

    return typst


@lru_cache(maxsize=1)
def _fonts() -> Any:  # noqa: ANN401 - typst.Fonts
    """Read the fonts once: the machine's own are left out, so every machine makes the same pages."""
    return _typst().Fonts(include_system_fonts=False, font_paths=[str(folder) for folder in fonts.folders()])


@lru_cache(maxsize=1)
def _template() -> bytes:
    return files("everfix.documents").joinpath("report.typ").read_bytes()


def _missing(message: str) -> set[str]:
    r"""Return the characters that Typst names in its error, written as in JSON but `\u{1F600}` for the rare ones.

    It names whole clusters, "0" with a rare accent for one: letters of ASCII are in every font, so they are never meant.
    """
    found: set[str] = set()
    for quoted in UNKNOWN.findall(message):
        plain = re.sub(r"\\u\{([0-9a-fA-F]+)\}", lambda match: chr(int(match[1], 16)), quoted[1:-1])
        found |= {character for character in plain if not character.isascii()}
    return found - {MISSING}


def _shown(value: Any, table: dict[int, str]) -> Any:  # noqa: ANN401 - JSON
    if isinstance(value, str):
        return value.translate(table)
    if isinstance(value, list) and value and not isinstance(value[0], int):
        return [_shown(item, table) for item in value]
    if isinstance(value, dict):
        return {key: item if key in ("link", "fonts") else _shown(item, table) for key, item in value.items()}
    return value


# ---- the data of the template


def _report(document: Document) -> Json:
    story = document.narrative
    title = cells.heading(document.title, "Report")
    return {
        "title": title,
        "shown": upright(title),
        "title-size": 24 if len(title) <= 34 else 17 if len(title) <= 64 else 12,
        "running": words.short(title, 60),
        "subtitle": upright(words.short(words.printable(document.subtitle), 200)),
        "author": words.short(words.printable(document.brand.name), 80),
        "brand": upright(words.short(words.printable(document.brand.name), 40)),
        "description": words.short(words.printable(document.subtitle), 200),
        "keywords": ["report", *([words.printable(document.template)] if document.template else [])],
        "logo": logo.clean(document.brand.logo_svg),
        "whose": "" if document.workspace in document.subtitle else upright(words.short(words.printable(document.workspace), 60)),
        "period": words.printable(document.facts[0][1]) if document.facts else cells.period(document),
        "when": f"{words.printable(document.period.label)}, {cells.period(document)}" if document.period.label else cells.period(document),
        "foot": words.short(f"{words.printable(document.workspace)[:60]} · made {cells.generated(document)}", 140),
        "facts": _facts(document),
        "notices": [upright(part) for notice in document.notices for part in cells.paragraphs(notice)],
        "summary": [upright(part) for text in (story.executive_summary if story else ()) for part in cells.paragraphs(text)],
        "takeaways": [upright(words.printable(text)) for text in (story.key_takeaways if story else ())],
        "story-note": upright(words.printable(story.note)) if story else "",
        "contents": LONG,
        "low": LOW,
        "sections": [_section(document, section) for section in document.sections],
        "end": _end(document),
        "unshown": "",
        "colours": _colours(document.brand.colour),
        "fonts": list(fonts.families()),
        "timestamp": int(document.generated_at.timestamp()),
        "piece": {"first": True, "before": 0, "pages": 0, "entries": []},
    }


def _colours(brand: str) -> dict[str, str]:
    tones = palette.of(brand, "light")
    on = max(("#ffffff", tones.ink), key=lambda colour: palette.contrast(tones.accent, colour))
    return {name: getattr(tones, name) for name in ("paper", "ink", "muted", "line", "grid", "accent", "good", "bad", "warn")} | {
        "cover": tones.accent,
        "on": on,
    }


def _facts(document: Document) -> list[tuple[str, str]]:
    if document.facts:
        own = [(words.short(words.printable(name), 40), upright(words.short(words.printable(text), 200))) for name, text in document.facts]
        return [*own, *((name, upright(text)) for name, text in cells.made(document))]
    facts = [
        ("Period", f"{cells.period(document)} · {document.period.days} days"),
        ("Compared with", cells.compared(document)),
        *cells.made(document),
    ]
    return [(name, upright(text)) for name, text in facts]


def _end(document: Document) -> list[Json]:
    lines: list[Json] = []
    if address := cells.link(document.link):
        lines.append({"text": "Open the live report", "link": address})
    made = " · ".join(
        words.printable(part)
        for part in (document.template and f"Template {document.template}", document.code_version and f"Everfix {document.code_version}")
        if part
    )
    return [*lines, *([{"text": upright(words.short(made, 300))}] if made else [])]


def _section(document: Document, section: Section) -> Json:
    story = document.narrative.sections.get(section.id, "") if document.narrative else ""
    blocks: list[Json] = []
    waiting: list[Chart] = []
    for block in section.blocks:
        if isinstance(block, Chart):
            waiting.append(block)
            continue
        blocks += _charts(document, section, waiting)
        waiting = []
        blocks.append(_block(document, block))
    blocks += _charts(document, section, waiting)
    landscape = any(made["kind"] == "table" and made["landscape"] for made in blocks)
    for place, made in enumerate(blocks):
        if made["kind"] == "charts":
            made |= {"id": f"{section.id}-{place}", "first": place == 0 and not story, "flexible": not landscape}
    title = cells.heading(section.title, "Section")
    for made in blocks:  # a block that is called like its section does not say so twice
        made["title"] = "" if made.get("title") == upright(title) else made.get("title", "")
    figures = next((place for place, made in enumerate(blocks) if made["kind"] != "figures"), len(blocks))
    return {
        "title": upright(title),
        "story": [upright(part) for part in cells.paragraphs(story)],
        "lead": blocks[:figures],
        "blocks": blocks[figures:],
        "empty": not blocks and not story,
        "landscape": landscape,
    }


def _block(document: Document, block: Figures | Table | Text) -> Json:
    if isinstance(block, Figures):
        across = ACROSS if len(block.figures) >= ACROSS else max(1, len(block.figures))
        made = [_card(document, figure) for figure in block.figures]
        return {
            "kind": "figures",
            "title": upright(cells.title(block)),
            "across": across,
            "rows": [made[n : n + across] for n in range(0, len(made), across)],
        }
    if isinstance(block, Table):
        return _table(document, block)
    paragraphs = [upright(part) for text in block.paragraphs for part in cells.paragraphs(text)]
    return {"kind": "text", "title": upright(cells.title(block)), "role": block.role, "paragraphs": paragraphs}


def _card(document: Document, figure: Figure) -> Json:
    value, change = cells.show(document, figure.value, figure.unit), cells.change(document, figure)
    low, high = min(figure.spark, default=0.0), max(figure.spark, default=0.0)
    steps = max(1, len(figure.spark) - 1)
    return {
        "title": upright(words.short(words.printable(figure.title), 90)),
        "value": value,
        "size": next(size for longest, size in VALUE if len(value) <= longest),
        "change": change.words,
        "tone": change.tone,
        "arrow": change.arrow,
        "before": change.before,
        "note": upright(words.short(words.printable(figure.note), 90)),
        "spark": [(n / steps, (point - low) / (high - low) if high > low else 0.5) for n, point in enumerate(figure.spark)],
    }


def _charts(document: Document, section: Section, block: list[Chart]) -> list[Json]:
    """Set charts in pairs; an odd one gets the whole width."""
    pairs = [block[n : n + 2] for n in range(0, len(block), 2)]
    return [{"kind": "charts", "charts": [_chart(document, section, chart, pair) for chart in pair]} for pair in pairs]


def _chart(document: Document, section: Section, chart: Chart, pair: list[Chart]) -> Json:
    wide = len(pair) == 1
    width = HALF if not wide else MIDDLE if chart.form in ("matrix", "confusion", "diverging", "curve") else FULL
    shown: Json = {
        "title": upright(words.short(cells.title(chart), 120)), "alt": cells.heading(chart.alt, "Chart", 2000),
        "of": [section.id, chart.key], "wide": wide, "width": width, "share": 100 * width / FULL if wide else 100,
        "height": max(_tall(one, width) for one in pair),
        "svg": "", "low": "", "png": [], "empty": "", "key": [],
        "note": upright(words.printable(chart.table.note)),
    }  # fmt: skip
    if not chart.table.rows:
        return shown | {"empty": upright(words.printable(chart.table.empty))}
    drawn = _drawn(document, chart, width, shown["height"])
    picture: Json = {"svg": drawn} if PLAIN_SCRIPTS.fullmatch(drawn) else {"png": list(charts.png(drawn))}
    return shown | picture | {"key": [upright(words.short(name, 60)) for name in matrix.key(chart)]}


def _drawn(document: Document, chart: Chart, width: int, height: int) -> str:
    return charts.svg(
        chart, width=width, height=height, currency=document.currency, timezone=document.period.timezone, brand=document.brand.colour
    )


def _tall(chart: Chart, width: int) -> int:
    natural = charts.tall(chart, width)
    return natural if chart.form in (charts.GROWN | {"matrix"}) - {"heatmap"} else round(natural * FLAT)


def _on_paper(table: Table) -> Table:
    """Return a table as paper holds it: at most ROWS rows, and where that leaves some out, it says so and where they are."""
    if len(table.rows) <= ROWS:
        return table
    told = f"All {len(table.rows):,} rows are in the CSV, XLSX and JSON of this report."
    left = {"rows": table.rows[:ROWS], "links": table.links[:ROWS], "total_rows": max(table.total_rows or 0, len(table.rows))}
    return table.model_copy(update={**left, "note": f"{table.note} {told}".strip()})


def _table(document: Document, table: Table) -> Json:
    table = _on_paper(table)
    made, landscape = panels(document, table) if table.rows else ([], False)
    return {
        "kind": "table",
        "title": upright(words.short(cells.title(table), 160)),
        "panels": made,
        "landscape": landscape,
        "extent": cells.extent(table),
        "note": upright(words.printable(table.note)),
        "empty": "" if table.rows else upright(words.printable(table.empty)),
    }
