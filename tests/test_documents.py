"""One Document, six formats: every figure and every number of a table is read back from each and compared."""

from __future__ import annotations

import csv
import io
import re
import subprocess
import sys
import zipfile
from datetime import UTC, datetime
from functools import lru_cache
from html.parser import HTMLParser
from typing import Any
from zoneinfo import ZoneInfo

import openpyxl
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from everfix import documents
from everfix.documents import cells, to_markdown
from everfix.documents import format as words
from everfix.documents.model import Cell, Chart, Column, Document, Figure, Figures, Frozen, Section, Table, Text, Unit
from tests import document_samples as samples

BERLIN = ZoneInfo("Europe/Berlin")
RICH = samples.rich()


@lru_cache(maxsize=8)
def made(kind: str) -> bytes:
    return documents.render(RICH, kind)


def tight(text: str) -> str:
    """What a reader sees, whatever the line breaks: no white space, no break marks."""
    return re.sub(r"[\s\u200b\u2060]", "", text)


def figures() -> list[Figure]:
    return [figure for section in RICH.sections for block in section.blocks if isinstance(block, Figures) for figure in block.figures]


def tables() -> list[Table]:
    """Every table with rows in order; charts by their data."""
    blocks = [block for section in RICH.sections for block in section.blocks]
    found = [block.table if isinstance(block, Chart) else block for block in blocks if isinstance(block, Chart | Table)]
    return [table for table in found if table.rows]


def shown(table: Table) -> list[list[str]]:
    return [[tight(cells.show(RICH, cell, column.unit)) for cell, column in zip(row, table.columns, strict=True)] for row in table.rows]


# ---- pdf


@lru_cache(maxsize=1)
def pages() -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made("pdf"))).pages]


def test_pdf_shows_every_figure_with_its_change_and_base() -> None:
    text = tight("".join(pages()))
    for figure in figures():
        change = cells.change(RICH, figure)
        for part in (figure.title, cells.show(RICH, figure.value, figure.unit), change.words, change.before, figure.note):
            assert tight(part) in text, part


def test_pdf_shows_every_number_of_every_table_row_by_row() -> None:
    text = tight("".join(pages()))
    for table in tables():
        if table.key in ("issues", "patterns", "wide"):
            for row in shown(table):
                assert row[0] in text, row
    issues = next(table for table in tables() if table.key == "issues")
    chunks = {chunk[:4]: chunk for chunk in text[text.index("ISS-1000") :].split("ISS-")[1:]}
    for row in shown(issues):
        chunk = chunks[row[0].removeprefix("ISS-")]
        assert all(cell in chunk for cell in row[1:]), (row, chunk)
    wide = next(table for table in tables() if table.key == "wide")
    page = next(tight(page) for page in pages() if "Week 17" in page.replace("\n", " "))
    for row in shown(wide):
        assert all(cell in page for cell in row), row


def test_pdf_is_tagged_accessible_named_and_linked() -> None:
    reader = pypdf.PdfReader(io.BytesIO(made("pdf")))
    root: Any = reader.trailer["/Root"].get_object()
    assert root["/MarkInfo"]["/Marked"]
    assert root["/Lang"] == "en"
    assert b"pdfuaid" in root["/Metadata"].get_object().get_data()
    assert reader.metadata is not None
    assert (reader.metadata.title, reader.metadata.author) == ("Executive summary", "Everfix")
    outline: list[Any] = [item for item in reader.outline if not isinstance(item, list)]
    assert [item["/Title"] for item in outline][:3] == ["Executive summary", "Snapshot", "Risk and trend"]
    links = {note.get_object()["/A"].get("/URI") for page in reader.pages for note in page.get("/Annots", []) if "/A" in note.get_object()}
    assert {"https://everfix.example/issues/299", "https://everfix.example/patterns/0", "https://everfix.example/reports/1"} <= links


def test_pdf_numbers_its_pages_repeats_table_headers_and_says_that_a_table_is_cut() -> None:
    count = len(pages())
    for number, page in enumerate(pages(), start=1):
        assert f"{number} / {count}" in page
    listing = [page for page in pages() if "ISS-" in page]
    assert len(listing) > 3
    assert all("First seen" in page for page in listing)
    assert "10 of 143 rows" in " ".join(pages())
    assert "No verification is overdue." in " ".join(pages())


def test_pdf_draws_charts_with_their_values_and_alternative_text() -> None:
    text = tight("".join(pages()))
    assert tight("$31,200") in text
    assert tight("77 on 27 Nov 2026") in text  # the breach of the projection
    assert tight("Alert threshold 75") in text
    assert b"/Figure" in made("pdf") or b"Figure" in b"".join(_objects())


def _objects() -> list[bytes]:
    reader = pypdf.PdfReader(io.BytesIO(made("pdf")))
    return [
        str(reader.get_object(number)).encode()
        for number in range(1, min(len(reader.xref[0]) + 400, 400))
        if reader.get_object(number) is not None
    ]


# ---- html


class Page(HTMLParser):
    """Collects tables, tags and text; anything that could run or call out is noted."""

    def __init__(self, source: bytes) -> None:
        super().__init__(convert_charrefs=True)
        self.tables: list[list[list[str]]] = []
        self.captions: list[str] = []
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self._cell: str | None = None
        self._caption = False
        self.feed(source.decode())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))
        if tag == "table":
            self.tables.append([])
        elif tag == "tr":
            self.tables[-1].append([])
        elif tag in ("td", "th"):
            self._cell = ""
        elif tag == "caption":
            self._caption = True
            self.captions.append("")

    def handle_endtag(self, tag: str) -> None:
        if tag in ("td", "th") and self._cell is not None:
            self.tables[-1][-1].append(tight(self._cell))
            self._cell = None
        elif tag == "caption":
            self._caption = False

    def handle_data(self, data: str) -> None:
        self.text += data
        if self._cell is not None:
            self._cell += data
        if self._caption:
            self.captions[-1] += data


def test_html_holds_every_figure_and_every_table_cell() -> None:
    page = Page(made("html"))
    text = tight(page.text)
    for figure in figures():
        change = cells.change(RICH, figure)
        value = cells.show(RICH, figure.value, figure.unit)
        assert tight(value) in text
        assert tight(change.words + change.before) in text
    assert [table[1:] for table in page.tables] == [shown(table) for table in tables()]
    assert [table[0] for table in page.tables] == [[tight(column.title) for column in table.columns] for table in tables()]


def test_html_is_self_contained_small_and_has_landmarks() -> None:
    page = Page(made("html"))
    names = [tag for tag, _ in page.tags]
    assert not {"script", "iframe", "object", "embed", "link", "form", "base", "audio", "video"} & set(names)
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes)
        source = attributes.get("src") or ""
        assert source == "" or source.startswith("data:image/svg+xml;base64,")
        assert tag == "a" or "href" not in attributes
    assert not re.search(rb"url\((?!#)", made("html"))
    ids = [attributes["id"] for _, attributes in page.tags if "id" in attributes]
    assert len(set(ids)) == len(ids)
    assert b"@import" not in made("html")
    assert {"header", "main", "footer", "nav", "h1", "h2", "caption", "figure"} <= set(names)
    assert names.count("h1") == 1
    assert all(attributes.get("scope") in ("col", "row") for tag, attributes in page.tags if tag == "th")
    assert sum(1 for _, attributes in page.tags if attributes.get("role") == "img" and attributes.get("aria-label")) == 9
    assert len(made("html")) < 500_000


def test_html_charts_take_their_colours_from_the_page_so_that_both_themes_read_well() -> None:
    colours = set(re.findall(r'(?:fill|stroke)="(#[0-9a-f]{3,6})"', made("html").decode()))
    assert colours == set()


# ---- markdown


@lru_cache(maxsize=1)
def markdown_tables() -> list[list[list[str]]]:
    found: list[list[list[str]]] = []
    for token in MarkdownIt("gfm-like", {"linkify": False}).parse(made("markdown").decode()):
        if token.type == "table_open":
            found.append([])
        elif token.type == "tr_open":
            found[-1].append([])
        elif token.type == "inline" and token.level == 4 and found:
            found[-1][-1].append(tight("".join(child.content for child in token.children or [])))
    return found


def test_markdown_tables_hold_every_number() -> None:
    figures_table, *rest = markdown_tables()
    assert [row[:2] for row in figures_table[1:]] == [[tight(f.title), tight(cells.show(RICH, f.value, f.unit))] for f in figures()]
    assert [row[3] for row in figures_table[1:]] == [tight(cells.show(RICH, f.previous, f.unit)) for f in figures()]
    assert [table[1:] for table in rest] == [shown(table)[: to_markdown.MOST] for table in tables()]
    assert "60 of 300 rows" in made("markdown").decode()
    assert "10 of 143 rows" in made("markdown").decode()


# ---- csv


def blocks_of(source: bytes) -> list[list[list[str]]]:
    """Split the file at empty lines, as its reader would."""
    found: list[list[list[str]]] = [[]]
    for row in csv.reader(io.StringIO(source.decode(), newline="")):
        if row:
            found[-1].append(row)
        else:
            found.append([])
    return found


def test_csv_holds_raw_rows_block_by_block_and_no_narrative() -> None:
    """D171 (PDF: test_documents_layout; mail, Slack, Teams: test_mail, test_channels)."""
    first, *rest = blocks_of(made("csv"))
    assert first[0] == ["Snapshot"]
    assert [(row[1], float(row[2]), float(row[3]) if row[3] else None) for row in first[2:]] == [
        (f.title, f.value, f.previous) for f in figures()
    ]
    filled = [block for block in rest if len(block) > 2]
    assert len(filled) == len(tables())
    for block, table in zip(filled, tables(), strict=True):
        assert block[1] == [column.title for column in table.columns]
        assert block[2 : 2 + len(table.rows)] == [
            ["" if c is None else {True: "yes", False: "no"}.get(c, str(c)) if isinstance(c, bool) else str(c) for c in row]
            for row in table.rows
        ]
    assert samples.narrative().executive_summary[0] not in made("csv").decode()
    words = samples.narrative().executive_summary[0].split()[:3]
    for format_ in ("html", "markdown"):
        assert all(word.strip(".,") in made(format_).decode() for word in words), format_
    assert b"\r\n" in made("csv")
    assert not made("csv").startswith(b"\xef\xbb\xbf")


def test_csv_keeps_negative_numbers_and_neutralises_formulas() -> None:
    from everfix.documents import to_csv

    for text in ("=1+1", "+1+cmd|' /C calc'!A0", "-2+3", "@SUM(A1)", "\t=1", "\r=1", " =1", "\u200b=1", "-x", "+"):
        assert to_csv.neutral(text).startswith("'"), text
    for text in ("-3.5", "+49", "-1e-7", "plain", "1-2", "a=b", "–", "−5 %"):
        assert to_csv.neutral(text) == text
    table = Table(key="t", columns=(Column(key="n", title="=n", unit=Unit.NUMBER),), rows=((-1.5,), (-2,)))
    source = to_csv.render(samples.document((Section(id="a", title="-a", blocks=(table,)),)), bom=True)
    assert source == "\ufeff'-a\r\n'=n\r\n-1.5\r\n-2\r\n".encode()


# ---- xlsx


@lru_cache(maxsize=1)
def book() -> openpyxl.Workbook:
    return openpyxl.load_workbook(io.BytesIO(made("xlsx")))


def typed(cell: Cell, unit: Unit) -> object:
    """What Excel should hold for a cell."""
    if cell is None:
        return None
    if unit is Unit.FLAG:
        return "yes" if cell else "no"
    if unit is Unit.DATE:
        return datetime.fromisoformat(f"{cell}T00:00:00")
    if unit is Unit.DATETIME:
        return datetime.fromisoformat(str(cell)).astimezone(BERLIN).replace(tzinfo=None)
    return cell


def test_xlsx_holds_typed_cells_on_frozen_filtered_sheets() -> None:
    names = book().sheetnames
    assert names[:2] == ["Summary", "Figures"]
    assert len({name.lower() for name in names}) == len(names)
    assert [(row[0], row[1], row[2]) for row in book()["Figures"].iter_rows(min_row=2, values_only=True)] == [
        (f.title, f.value, f.previous) for f in figures()
    ]
    filled = [book()[name] for name in names[2:] if book()[name].max_row > 1 and any(cell.value is not None for cell in book()[name][2])]
    assert len(filled) == len(tables())
    for sheet, table in zip(filled, tables(), strict=True):
        assert sheet.freeze_panes == "A2"
        assert sheet.auto_filter.ref
        for cells_of, row in zip(sheet.iter_rows(min_row=2), table.rows, strict=True):
            for cell, raw, column in zip(cells_of, row, table.columns, strict=False):
                if column.unit is Unit.SECONDS and raw is not None:
                    assert _seconds(cell.value) == pytest.approx(raw)
                else:
                    assert cell.value == typed(raw, column.unit)


def _seconds(value: object) -> float:
    import datetime as dt

    if isinstance(value, dt.timedelta):
        return value.total_seconds()
    if isinstance(value, dt.time):
        return value.hour * 3600 + value.minute * 60 + value.second
    if isinstance(value, dt.datetime):
        return (value - dt.datetime(1899, 12, 30)).total_seconds()  # noqa: DTZ001 - Excel's day zero has no zone
    assert isinstance(value, int | float)
    return value * 86400


def test_xlsx_formats_and_summary() -> None:
    sheet = book()["Top patterns"]
    formats = {sheet.cell(1, place).value: sheet.cell(2, place).number_format for place in range(1, sheet.max_column + 1)}
    assert formats["Returns in 30 days"] == "0%"
    assert formats["Cost"] == '"$"#,##0'
    assert formats["Last seen"] == "yyyy-mm-dd"
    assert formats["Occurrences"] == "#,##0"
    assert sheet["H2"].value == "https://everfix.example/patterns/0"
    summary = dict(row for row in book()["Summary"].iter_rows(min_row=2, max_col=2, values_only=True) if row[0])
    assert summary["Report"] == "Executive summary"
    assert summary["Notice"] == "The data of this report are simulated."
    assert summary["Takeaway 1"] == samples.narrative().key_takeaways[0]
    assert summary["Top patterns"] == "shows 10 of 143 rows"
    made_at = samples.document(()).generated_at.astimezone(UTC).replace(microsecond=0, tzinfo=None)
    assert (book().properties.created, book().properties.modified) == (made_at, made_at), "the time of the Document, not of its rendering"
    assert zipfile.ZipFile(io.BytesIO(made("xlsx"))).testzip() is None


# ---- json and the table of renderers


def test_json_is_the_document() -> None:
    assert Document.from_json(made("json")) == RICH


def test_formats_aliases_and_file_names() -> None:
    assert list(documents.RENDERERS) == ["pdf", "html", "markdown", "csv", "xlsx", "json"]
    assert documents.renderer("MD") is documents.RENDERERS["markdown"]
    assert documents.filename(RICH, "markdown") == "executive-summary-2026-11-17.md"
    assert documents.filename(samples.document((), title="../../ Été — 100 % / 中文"), "pdf") == "ete-100-2026-11-17.pdf"
    assert documents.filename(samples.document((), title="中文"), "xlsx") == "report-2026-11-17.xlsx"
    with pytest.raises(ValueError, match="'docx' is unknown: allowed are pdf, html, markdown, csv, xlsx, json"):
        documents.render(RICH, "docx")


def test_an_empty_document_renders_in_every_format() -> None:
    for kind in documents.RENDERERS:
        assert documents.render(samples.document((Section(id="a", title="A", blocks=()),)), kind)


def test_importing_the_package_loads_nothing_heavy() -> None:
    code = "import sys, everfix.documents; print([m for m in ('typst', 'vl_convert', 'rustpy_xlsxwriter', 'jinja2') if m in sys.modules])"
    assert subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True).stdout.strip() == "[]"


# ---- the round trip, for any Document

texts = st.text(st.characters(exclude_categories=["Cs"]), max_size=20)
cell_values: st.SearchStrategy[Cell] = (
    st.none() | st.booleans() | st.integers(-(2**53), 2**53) | st.floats(allow_nan=False, allow_infinity=False) | texts
)


@st.composite
def any_table(draw: st.DrawFn) -> Table:
    width = draw(st.integers(1, 4))
    columns = tuple(
        Column(key=f"c{n}", title=draw(texts), unit=draw(st.sampled_from(Unit)), better=draw(st.sampled_from((None, "up", "down"))))
        for n in range(width)
    )
    rows = draw(st.lists(st.tuples(*[cell_values] * width), max_size=4))
    return Table(key="t", title=draw(texts), columns=columns, rows=tuple(rows), total_rows=draw(st.none() | st.integers(0, 10**6)))


@st.composite
def any_document(draw: st.DrawFn) -> Document:
    numbers = st.none() | st.integers(-(10**9), 10**9) | st.floats(-1e12, 1e12)
    figure = st.builds(
        Figure,
        key=st.just("f"),
        title=texts,
        value=numbers,
        previous=numbers,
        unit=st.sampled_from(Unit),
        better=st.sampled_from((None, "up", "down")),
        note=texts,
    )
    block: st.SearchStrategy[Frozen] = st.one_of(
        any_table(),
        st.builds(Figures, key=st.just("k"), title=texts, figures=st.lists(figure, max_size=3).map(tuple)),
        st.builds(
            Text,
            key=st.just("w"),
            title=texts,
            role=st.sampled_from(("body", "note", "warning", "error")),
            paragraphs=st.lists(texts, max_size=3).map(tuple),
        ),
    )
    section = st.builds(Section, id=st.just("s"), title=texts, blocks=block.map(lambda one: (one,)))
    return samples.document(
        tuple(draw(st.lists(section, max_size=1))),
        title=draw(texts),
        workspace=draw(texts),
        notices=tuple(draw(st.lists(texts, max_size=2))),
    )


@given(any_document())
@settings(max_examples=150, deadline=None)
def test_json_round_trip_gives_an_equal_document(document: Document) -> None:
    assert Document.from_json(document.to_json()) == document
    assert Document.from_json(documents.render(document, "json")) == document


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=60))
@settings(max_examples=300, deadline=None)
def test_markdown_shows_any_text_letter_by_letter(text: str) -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(to_markdown.escape(text))
    seen = "".join(child.content for token in tokens if token.type == "inline" for child in token.children or [])
    assert {token.type for token in tokens} <= {"paragraph_open", "inline", "paragraph_close"}
    assert {child.type for token in tokens for child in token.children or []} <= {"text", "text_special"}
    assert tight(seen) == tight(words.printable(text))


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=200, deadline=None)
def test_printable_texts_have_no_effect_on_their_neighbours(text: str) -> None:
    shown_text = words.printable(text)
    assert not re.search("[\x00-\x08\x0b-\x1f\x7f-\x9f\u202a-\u202e\u2066-\u2069]", shown_text)
    assert words.printable(shown_text) == shown_text


def test_markdown_mentions_nobody_and_leaves_addresses_alone() -> None:
    for text, shown_ in (
        ("@channel down", "@\u2060channel down"),
        ("see (@here)", "see (@\u2060here)"),
        ("<!channel>", "&lt;!channel&gt;"),
    ):
        assert to_markdown.escape(text) == shown_
    assert to_markdown.escape("ops@shop.example") == "ops@shop.example"
