"""A Document as a workbook: a summary sheet, a sheet of figures and one for each table and chart, with typed cells."""

from __future__ import annotations

import io
import re
import zipfile
from collections.abc import Callable, Iterable, Iterator, Sequence
from datetime import UTC, date, datetime
from typing import Any
from zoneinfo import ZoneInfo

from everfix.documents import cells, palette
from everfix.documents import format as words
from everfix.documents.model import Cell, Column, Document, Figures, Table, Unit

Json = dict[str, Any]
CELL = 32_767  # characters Excel allows in a cell
NAME = 31  # characters of a sheet's name
FORBIDDEN = re.compile(r"[\[\]:*?/\\\x00-\x1f]")
MONEY = {"USD": '"$"#,##0', "EUR": '"€"#,##0', "GBP": '"£"#,##0', "JPY": '"¥"#,##0'}
FORMATS = {
    Unit.COUNT: "#,##0", Unit.NUMBER: "#,##0.00", Unit.MEASURE: "#,##0.0000", Unit.PERCENT: "0.0%", Unit.PROBABILITY: "0%", Unit.SCORE: "0", Unit.DAYS: '#,##0.0" d"',
    Unit.SECONDS: "[h]:mm:ss", Unit.DATE: "yyyy-mm-dd", Unit.DATETIME: "yyyy-mm-dd hh:mm",
}  # fmt: skip
WIDTHS = {Unit.TEXT: 18, Unit.DATE: 12, Unit.DATETIME: 18, Unit.FLAG: 9}
WIDE, PLAIN = 60, 13
SECONDS_OF_DAY = 86_400
PROPERTIES, MOMENT = "docProps/core.xml", re.compile(rb"(?<=>)\d{4}-\d\d-\d\dT\d\d:\d\d:\d\dZ(?=</dcterms:)")
STRETCH = 1_000  # rows whose cells are typed together


def render(document: Document) -> bytes:
    """Return an .xlsx file. Strings are written as strings: none becomes a formula or a link of its own accord."""
    from rustpy_xlsxwriter import FastExcel  # noqa: PLC0415 - needed by this format only

    out = io.BytesIO()
    book = FastExcel(out, output_format="xlsx").freeze(row=1)
    names = Names()
    head = _header(document)
    book.sheet(
        names.unique("Summary"), _summary(document), header_format=head, column_widths=[24, 110], column_formats=[_bold(), _wrapped()]
    )
    for title, block in cells.tables(document):
        sheet = _figures(document, block) if isinstance(block, Figures) else _table(document, block)
        book.sheet(
            names.unique("Figures" if isinstance(block, Figures) else title.rpartition(": ")[2] or block.key), header_format=head, **sheet
        )
    book.save()
    _date(out, document.generated_at)
    return out.getvalue()


def _date(book: io.BytesIO, moment: datetime) -> None:
    """Let a workbook say that it was made when its Document was, so that a Document has one file: the library writes the present second.

    The part with the times is one of the last: only the file's end is written anew.
    """
    said = moment.astimezone(UTC).strftime("%Y-%m-%dT%H:%M:%SZ").encode()
    with zipfile.ZipFile(book, "a") as files:
        place = files.namelist().index(PROPERTIES)
        end = [(part, files.read(part)) for part in files.filelist[place:]]
        files.start_dir = files.filelist[place].header_offset
        del files.filelist[place:]
        for part, content in end:
            del files.NameToInfo[part.filename]
            files.writestr(part, MOMENT.sub(said, content) if part.filename == PROPERTIES else content)


class Names:
    """Makes sheet names valid and unique (Excel compares them without case)."""

    def __init__(self) -> None:
        self.taken: set[str] = set()

    def unique(self, wish: str) -> str:
        base = FORBIDDEN.sub(" ", words.printable(wish)).strip(" '")[:NAME].strip(" '") or "Sheet"
        if base.lower() == "history":  # a name Excel keeps for itself
            base = "History 1"
        name, number = base, 1
        while name.lower() in self.taken:
            number += 1
            name = f"{base[: NAME - len(str(number)) - 1]} {number}"
        self.taken.add(name.lower())
        return name


def format_() -> Any:  # noqa: ANN401 - rustpy_xlsxwriter.Format
    """Return a new format of cells."""
    from rustpy_xlsxwriter import Format  # noqa: PLC0415 - as above

    return Format()


def _header(document: Document) -> Any:  # noqa: ANN401 - as above
    tones = palette.of(document.brand.colour, "light")
    on = max((tones.paper, tones.ink), key=lambda colour: palette.contrast(tones.accent, colour))
    return format_().set_bold().set_background_color(tones.accent).set_font_color(on).set_text_wrap().set_align("top")


def _bold() -> Any:  # noqa: ANN401 - as above
    return format_().set_bold().set_align("top")


def _wrapped() -> Any:  # noqa: ANN401 - as above
    return format_().set_text_wrap().set_align("top")


def clean(text: str) -> str:
    """Return a text that a cell can hold."""
    return words.short(words.printable(text), CELL - 1)


def _summary(document: Document) -> Iterator[Json]:
    """Yield the words of the report: what it is about, its notices and its narrative; each row names its part."""
    story = document.narrative
    lines = [("Report", document.title), ("", document.subtitle), ("Workspace", document.workspace), ("Period", cells.period(document)),
             ("Compared with", cells.compared(document)), *cells.made(document), ("Currency", document.currency)]  # fmt: skip
    lines += [("Notice", notice) for notice in document.notices]
    if story is not None:
        lines += [("Executive summary", text) for text in story.executive_summary]
        lines += [(f"Takeaway {number}", text) for number, text in enumerate(story.key_takeaways, start=1)]
        titles = {section.id: section.title for section in document.sections}
        lines += [(titles.get(name, name), text) for name, text in story.sections.items()]
    for section in document.sections:
        for block in section.blocks:
            if block.kind == "text":
                lines += [(block.title or block.role.capitalize(), text) for text in block.paragraphs]
            elif block.kind == "table" and (extent := cells.extent(block)):
                lines.append((block.title or block.key, f"shows {extent}"))
    lines += [("Live report", document.link)] if cells.link(document.link) else []
    for name, text in lines:
        if text:
            yield {"Part": clean(name), "Content": clean(text)}


def _figures(document: Document, block: Figures) -> Json:
    """Return the arguments of the KPI sheet; each value has the number format of its own unit, so it is in a column of its own kind."""
    headers = ("Figure", "Value", "Previous", "Change", "Shown as", "Unit", "Note")
    rows = [
        dict(
            zip(
                headers,
                (
                    clean(figure.title),
                    figure.value,
                    figure.previous,
                    words.change(figure.value, figure.previous),
                    cells.show(document, figure.value, figure.unit),
                    document.currency if figure.unit is Unit.MONEY else str(figure.unit),
                    clean(figure.note),
                ),
                strict=True,
            )
        )
        for figure in block.figures
    ]
    formats = [format_(), format_(), format_(), format_().set_num_format("+0.0%;-0.0%;0.0%"), format_(), format_(), format_()]
    return {
        "data": rows or [dict.fromkeys(headers)],
        "column_widths": [34, 14, 14, 11, 16, 12, 50],
        "column_formats": formats,
        "autofilter": bool(rows),
    }


def _table(document: Document, table: Table) -> Json:
    headers = _headers(table)
    zone = ZoneInfo(document.period.timezone)
    links = [cells.link(address) for address in table.links]
    if any(links):
        headers.append(_spare(headers, "Link"))

    typed = [_typed(column.unit, zone) for column in table.columns]
    linked = any(links)

    def rows() -> Iterator[Json]:
        for start in range(0, len(table.rows), STRETCH):
            parts = zip(typed, zip(*table.rows[start : start + STRETCH], strict=True), strict=True)
            columns = [turn(part) for turn, part in parts]
            if linked:
                columns.append(links[start : start + STRETCH])
            for made in zip(*columns, strict=True):
                yield dict(zip(headers, made, strict=True))

    widths = [WIDE if column.wide else WIDTHS.get(column.unit, PLAIN) for column in table.columns]
    tall = any(column.wide for column in table.columns)  # wrapped texts make tall rows, in which the other cells keep to the top
    formats = [_column(document, column, tall=tall) for column in table.columns]
    sheet: Json = {"data": rows() if table.rows else [dict.fromkeys(headers)], "autofilter": bool(table.rows)}
    if linked:
        sheet |= {"url_columns": [headers[-1]]}
        widths.append(40)
        formats.append(format_().set_hyperlink())
    # A colour scale, not data bars: those are an extension that other readers than Excel warn about and drop.
    tint = palette.mix("#ffffff", palette.of(document.brand.colour).accent, 0.45)
    rule = {"type": "2_color_scale", "min_color": "#ffffff", "max_color": tint}
    scales = {header: rule for header, column in zip(headers, table.columns, strict=False) if column.bar}
    return sheet | {
        "column_widths": widths,
        "column_formats": formats,
        **({"conditional_formats": scales} if scales and table.rows else {}),
    }


def _headers(table: Table) -> list[str]:
    headers: list[str] = []
    for column in table.columns:
        suffix = " (h:mm:ss)" if column.unit is Unit.SECONDS else ""
        headers.append(_spare(headers, words.short(clean(column.title), 200) + suffix))
    return headers


def _spare(headers: list[str], wish: str) -> str:
    name, number = wish, 1
    while name in headers:
        number += 1
        name = f"{wish} {number}"
    return name


def _column(document: Document, column: Column, *, tall: bool) -> Any:  # noqa: ANN401 - rustpy_xlsxwriter.Format, or None
    if not tall and column.unit is not Unit.MONEY and column.unit not in FORMATS:
        return None
    made = format_().set_align("top") if tall else format_()
    if column.unit is Unit.MONEY:
        return made.set_num_format(MONEY.get(document.currency, f'"{document.currency}" #,##0'))
    if column.unit in FORMATS:
        return made.set_num_format(FORMATS[column.unit])
    return made.set_text_wrap() if column.wide else made


def _typed(unit: Unit, zone: ZoneInfo) -> Callable[[Sequence[Any]], Iterable[Any]]:
    """Return what turns cells of this unit into Excel's own types: a duration into a share of a day, an instant into the zone's wall clock.

    It takes a stretch of a column at once: a workbook has many cells, nearly all of which need no change, and a look at the
    stretch tells.
    """
    match unit:
        case Unit.FLAG:
            return lambda part: [None if cell is None or cell == "" else "yes" if cell else "no" for cell in part]
        case Unit.DATE:
            return lambda part: [date.fromisoformat(cell[:10]) if cell else None for cell in part]
        case Unit.DATETIME:
            return lambda part: [_instant(cell, zone) if cell else None for cell in part]
        case Unit.SECONDS:
            return lambda part: [cell / SECONDS_OF_DAY if isinstance(cell, int | float) else _plain(cell) for cell in part]
        case _:
            return plains


def _instant(cell: str, zone: ZoneInfo) -> datetime:
    moment = datetime.fromisoformat(cell)
    if moment.tzinfo is None or (moment.tzinfo is UTC and zone.key == "UTC"):
        return moment.replace(tzinfo=None)
    return moment.astimezone(zone).replace(tzinfo=None)


NUMBERS = frozenset({int, float, bool, type(None)})


def plains(part: Sequence[Cell]) -> Sequence[Cell]:
    """Return a stretch of a column of texts or numbers as a cell can hold it; most need no change, and one look tells."""
    kinds = set(map(type, part))
    if kinds <= NUMBERS:
        return part
    if kinds == {str} and all(part) and "".join(part).isprintable() and max(map(len, part)) < CELL:  # type: ignore[arg-type]
        return part
    return [_plain(cell) for cell in part]


def _plain(cell: Cell) -> Cell:
    if cell is None or cell == "":
        return None
    return clean(cell) if isinstance(cell, str) else cell
