"""Bytes from outside are data: a Document whose every text is an attack goes through every renderer, and nothing happens."""

from __future__ import annotations

import csv
import io
import re
import zipfile
from functools import lru_cache

import openpyxl
import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from markdown_it import MarkdownIt

from everfix import documents
from everfix.documents import cells, charts, columns, fonts, logo, to_csv, to_pdf
from everfix.documents.model import Brand, Chart, Column, Document, Figure, Figures, Section, Table, Text, Unit
from tests import document_samples as samples
from tests.test_documents import Page

HOSTILE = samples.hostile()


@lru_cache(maxsize=8)
def made(kind: str) -> bytes:
    return documents.render(HOSTILE, kind)


@lru_cache(maxsize=1)
def reader() -> pypdf.PdfReader:
    return pypdf.PdfReader(io.BytesIO(made("pdf")))


def test_pdf_shows_markup_as_letters_and_links_only_where_the_web_is() -> None:
    text = re.sub(r"[\s\u200b]", "", "".join(page.extract_text() for page in reader().pages))
    for part in (
        '#import"@preview/x:1.0.0"',
        '#read("/etc/passwd")',
        "$x^2$",
        "*bold*",
        "<script>alert(1)</script>",
        "[click](javascript:alert(1))",
    ):
        assert re.sub(r"\s", "", part) in text
    notes = [note.get_object() for page in reader().pages for note in page.get("/Annots", [])]
    addresses = {str(note["/A"]["/URI"]) for note in notes if "/A" in note and "/URI" in note["/A"]}
    assert addresses
    assert all(address.startswith("https://everfix.example/") for address in addresses)
    assert "/JavaScript" not in str(reader().trailer["/Root"])


def test_pdf_clips_nothing_at_the_edges() -> None:
    edges: list[float] = []

    def visit(text: str, _cm: list[float], tm: list[float], _font: object, size: float) -> None:
        if text.strip() and set(text.strip()) <= set("x\u200b"):
            edges.append(tm[4] + _cm[4])

    reader().pages[1].extract_text(visitor_text=visit)
    assert all(0 < edge < 545 for edge in edges)


def test_pdf_says_where_a_character_has_no_font() -> None:
    last = reader().pages[-1].extract_text()
    assert "Characters for which no font is installed are shown as □." in last


def test_pdf_works_without_any_font_package(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(fonts, "folder", lambda _package: None)
    to_pdf._fonts.cache_clear()
    try:
        table = Table(key="t", columns=(Column(key="a", title="文"),), rows=(("中文",), ("plain",)))
        source = documents.render(samples.document((Section(id="a", title="עברית", blocks=(table,)),), title="Плохо 🚀"), "pdf")
    finally:
        to_pdf._fonts.cache_clear()
    text = "".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(source)).pages)
    assert "□□" in text
    assert "plain" in text
    assert "no font is installed" in text


def test_html_holds_no_element_attribute_or_address_from_outside() -> None:
    page = Page(made("html"))
    names = {tag for tag, _ in page.tags}
    assert not names & {"script", "iframe", "object", "embed", "form", "link", "base", "input"}
    for tag, attributes in page.tags:
        assert not any(name.startswith("on") for name in attributes), (tag, attributes)
        assert not (attributes.get("src") or "data:").startswith(("http", "javascript"))
        assert tag != "img" or "onerror" not in attributes
        if "href" in attributes:
            assert (attributes["href"] or "").startswith(("https://everfix.example/", "#"))
    assert "{{ 7*7 }}{% x %}" in page.text
    assert "<script>alert(1)</script>" in page.text
    assert page.text.count("\u202e") == 0


def test_markdown_holds_no_html_link_image_or_heading_from_outside() -> None:
    tokens = MarkdownIt("gfm-like", {"linkify": False}).parse(made("markdown").decode())
    inner = [child for token in tokens for child in token.children or []]
    assert not [token for token in tokens if token.type in ("html_block", "code_block", "fence")]
    assert not [child for child in inner if child.type in ("html_inline", "image", "code_inline")]
    links = {child.attrGet("href") for child in inner if child.type == "link_open"}
    assert all(str(link).startswith("https://everfix.example/") for link in links)
    headings = [tokens[place + 1].content for place, token in enumerate(tokens) if token.type == "heading_open" and token.tag == "h1"]
    assert len(headings) == 1
    assert "<!channel>" not in made("markdown").decode()


def test_no_csv_cell_is_a_formula() -> None:
    for row in csv.reader(io.StringIO(made("csv").decode(), newline="")):
        for cell in row:
            assert not cell.lstrip(" \n\t\r\u200b").startswith(("=", "+", "-", "@")) or to_csv.NUMBER.fullmatch(cell), cell[:80]


def test_no_xlsx_cell_is_a_formula_and_every_sheet_opens() -> None:
    book = openpyxl.load_workbook(io.BytesIO(made("xlsx")))
    assert len(book.sheetnames) == 7
    for sheet in book.worksheets:
        assert not re.search(r"[\[\]:*?/\\]", sheet.title)
        for row in sheet.iter_rows():
            for cell in row:
                assert cell.data_type != "f", cell.value
                assert not isinstance(cell.value, str) or len(cell.value) <= 32_767
    archive = zipfile.ZipFile(io.BytesIO(made("xlsx")))
    assert not [name for name in archive.namelist() if b"<f>" in archive.read(name)]
    assert not [name for name in archive.namelist() if b"javascript:" in archive.read(name) and name.endswith(".rels")]


def test_json_keeps_every_letter() -> None:
    assert Document.from_json(made("json")) == HOSTILE


def test_only_web_addresses_are_links() -> None:
    for address in (
        "javascript:alert(1)",
        "data:text/html,x",
        "//evil.example",
        "/local",
        "http:// x",
        "https://a b",
        "",
        None,
        "ftp://x",
        "https://x\n",
        "h" * 3000,
    ):
        assert cells.link(address) == ""
    assert cells.link("https://everfix.example/a?b=c&d=%20#e") == "https://everfix.example/a?b=c&d=%20#e"


def test_a_logo_is_only_shapes() -> None:
    svg = (
        '<svg xmlns="http://www.w3.org/2000/svg" xmlns:xlink="http://www.w3.org/1999/xlink" onload="x()">'
        "<script>x()</script><style>*{}</style>"
        '<image href="file:///etc/passwd"/><use xlink:href="#a"/><foreignObject><b/></foreignObject>'
        '<a href="javascript:x()"><path d="M0 0"/></a>'
        '<rect width="4" height="4" fill="url(http://evil.example)" style="x"/><circle r="2" fill="url(#g)" onclick="x()"/></svg>'
    )
    clean = logo.clean(svg)
    assert "circle" in clean
    assert "url(#g)" in clean
    for bad in ("script", "onload", "onclick", "style", "image", "use", "foreignObject", "javascript", "evil", "href"):
        assert bad not in clean
    assert logo.clean("  ") == ""
    for broken in (
        "<svg",
        "<html/>",
        "<!DOCTYPE a [<!ENTITY b 'c'>]><svg xmlns='http://www.w3.org/2000/svg'/>",
        "<svg xmlns='http://www.w3.org/2000/svg'>" + " " * 100_000,
    ):
        with pytest.raises(ValueError, match="logo_svg"):
            logo.clean(broken)


def test_every_chart_form_takes_hostile_names_and_odd_data() -> None:
    rows: tuple[tuple[str | None, float | None], ...] = tuple((text[:300], float(n)) for n, text in enumerate(samples.HOSTILE))
    odd = ((), rows, rows[:1], ((None, None), ("a", None)), (("a", 0.0), ("a", -3.0), ("a", 1e15)))
    for form in ("line", "area", "bar", "column", "heatmap", "scatter"):
        for data in odd:
            columns_of = (Column(key="a", title=samples.HOSTILE[2]), Column(key="n", title=samples.HOSTILE[0] + '\\"', unit=Unit.NUMBER))
            chart = Chart.model_validate(
                {
                    "key": "c",
                    "title": "x",
                    "form": form,
                    "table": Table(key="t", columns=columns_of, rows=data),
                    "x": "a",
                    "y": ("n",),
                    "alt": "x",
                }
            )
            drawn = charts.svg(chart)
            assert drawn.startswith("<svg")
            assert "<script" not in drawn


def test_long_words_break_and_short_ones_stay() -> None:
    assert columns.upright("Connection pool exhausted") == "Connection pool exhausted"
    assert max(map(len, columns.upright("x" * 1000).split("\u200b"))) <= 10


@given(st.text(st.characters(exclude_categories=["Cs"]), max_size=30))
@settings(max_examples=25, deadline=None)
def test_any_text_makes_a_pdf_and_a_page(text: str) -> None:
    table = Table(key="t", title=text, columns=(Column(key="a", title=text),), rows=((text,),))
    blocks = (
        Figures(key="f", figures=(Figure(key="x", title=text, value=1, note=text),)),
        table,
        Text(key="w", title=text, role="note", paragraphs=(text,)),
    )
    document = samples.document((Section(id="a", title=text, blocks=blocks),), title=text, workspace=text, brand=Brand(name=text))
    assert documents.render(document, "pdf").startswith(b"%PDF")
    assert documents.render(document, "html").startswith(b"<!doctype html>")
    assert documents.render(document, "xlsx").startswith(b"PK")
