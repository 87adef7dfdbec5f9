"""A report with long tables is typeset in pieces: nobody who reads it can tell, not by its pages, bookmarks, links or tags."""

from __future__ import annotations

import io
from collections.abc import Iterator
from functools import cache
from typing import Any

import pypdf
import pytest

from everfix import documents
from everfix.documents import joining, pieces, to_pdf
from everfix.documents.model import Column, Document, Section, Table, Text, Unit
from tests import document_samples as samples

TITLES = (
    "Checkout fails when the basket holds a gift card and the address is abroad",
    "فشل الدفع عند استخدام بطاقة هدية",
    "結帳時使用禮品卡付款失敗",
    "short",
)
COLUMNS = (
    Column(key="id", title="Key"),
    Column(key="title", title="Title (of [it] all)", wide=True),
    Column(key="culprit", title="Culprit"),
    Column(key="events", title="Events", unit=Unit.COUNT),
    Column(key="share", title="Share", unit=Unit.PERCENT, bar=True),
    *(Column(key=f"k{n}", title=f"Number {n}", unit=Unit.COUNT) for n in range(9)),
)


def long_table(rows: int, across: int = 5) -> Table:
    return Table(
        key=f"rows{across}", title=f"All of them ({across})", columns=COLUMNS[:across], note="A note below it.",
        rows=tuple((f"ISS-{n}", f"{TITLES[n % 4]} {n}", f"shop.Payment(Service)\\x.{n}", n * 7, n / 7 % 1, *([n] * 9))[:across] for n in range(rows)),
        links=tuple(f"https://everfix.example/issues/{n}?of=(a" for n in range(rows)),
    )  # fmt: skip


def report() -> Document:
    after = Text(key="t", title="Below the table", paragraphs=("Words of the same section.",))
    return samples.document((
        Section(id="first", title="First", blocks=(samples.trend(), long_table(130))),
        Section(id="wide", title="Wide", blocks=(long_table(90, 14), after)),
        Section(id="all", title="All", blocks=(long_table(20), samples.issues(61), samples.trend())),
        Section(id="last", title="Last", blocks=(after,)),
    ))  # fmt: skip


@cache
def read(at_once: int) -> pypdf.PdfReader:
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pieces, "AT_ONCE", at_once)
        patch.setattr(pieces, "LEAST", 25)
        patch.setattr(to_pdf, "LONG", 2)  # pages: then both have a table of contents
        return pypdf.PdfReader(io.BytesIO(documents.render(report(), "pdf")), strict=True)


@cache
def both() -> tuple[pypdf.PdfReader, pypdf.PdfReader]:
    """Return the report in one piece, and in several."""
    return read(10**9), read(250)


def test_pages_of_a_report_in_pieces_are_those_of_one_compilation() -> None:
    whole, joined = ([page.extract_text() for page in reader.pages] for reader in both())
    assert len(whole) > 12
    assert joined == whole
    assert f"{len(whole)} / {len(whole)}" in joined[-1]
    assert [tuple(page.mediabox) for page in both()[0].pages] == [tuple(page.mediabox) for page in both()[1].pages]


def bookmarks(reader: pypdf.PdfReader) -> list[tuple[str, int | None]]:
    def flat(items: list[Any]) -> Iterator[Any]:
        for item in items:
            yield from flat(item) if isinstance(item, list) else (item,)

    return [(item["/Title"], reader.get_destination_page_number(item)) for item in flat(reader.outline)]


def test_bookmarks_name_the_same_pages() -> None:
    whole, joined = map(bookmarks, both())
    assert ("Last", len(both()[0].pages) - 1) in whole
    assert joined == whole


def test_the_table_of_contents_links_to_pages_of_other_pieces() -> None:
    reader = both()[1]
    notes: list[Any] = [note.get_object() for note in reader.pages[0].get("/Annots", [])]
    found = [
        next(number for number, page in enumerate(reader.pages) if page == note["/Dest"][0].get_object())
        for note in notes
        if "/Dest" in note
    ]
    assert found == [page for title, page in bookmarks(reader) if title in ("First", "Wide", "All", "Last")]
    assert "everfix-page" not in str([note["/Contents"] for note in notes])


def test_links_of_rows_survive() -> None:
    whole, joined = (
        [[str(note.get_object()["/A"]["/URI"]) for note in page.get("/Annots", []) if "/A" in note.get_object()] for page in reader.pages]
        for reader in both()
    )
    assert sum(map(len, whole)) > 300
    assert joined[1:] == whole[1:]


def kinds(element: Any) -> Iterator[str]:
    """Yield the kind and the words of each tag in reading order, without Tables: a cut one is two."""
    element = element.get_object()
    if isinstance(element, int) or "/S" not in element:
        return
    if element["/S"] not in ("/Table", "/THead", "/TBody", "/TH") and not (element["/S"] == "/TR" and _in_head(element)):
        yield f"{element['/S']} {element.get('/Alt', '')} {element.get('/T', '')}"
    inner = element.get("/K", [])
    for kid in inner if isinstance(inner, list) else [inner]:
        yield from kinds(kid)


def _in_head(element: Any) -> bool:
    return bool(element["/P"].get_object()["/S"] == "/THead")


def tags(reader: pypdf.PdfReader) -> Any:
    return reader.root_object["/StructTreeRoot"]


def test_a_screen_reader_finds_the_same_tags_in_the_same_order() -> None:
    whole, joined = (list(kinds(tags(reader)["/K"][0])) for reader in both())
    words = [
        [kind for kind in found if not kind.startswith(("/TH", "/Span", "/P", "/Link", "/Reference", "/TOC"))] for found in (whole, joined)
    ]
    assert len(words[0]) > 1_500
    assert words[1] == words[0]


def test_every_page_and_link_is_in_the_tree_of_tags_and_cells_name_headings_of_their_own_table() -> None:
    reader = both()[1]
    keyed = tags(reader)["/ParentTree"]["/Nums"]
    tree = {keyed[place]: keyed[place + 1].get_object() for place in range(0, len(keyed), 2)}
    assert list(tree) == sorted(tree)
    for page in reader.pages:
        assert all(element.get_object()["/S"] for element in tree[page["/StructParents"]])
        for note in page.get("/Annots", []):
            assert tree[note.get_object()["/StructParent"]]["/S"] == "/Link"
    names = list(map(str, tags(reader)["/IDTree"]["/Names"][::2]))
    assert names == sorted(set(names))
    assert sum("x0y0" in name for name in names) >= 6


def test_a_character_without_a_font_is_replaced_in_every_piece(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pieces, "AT_ONCE", 250)
    monkeypatch.setattr(pieces, "LEAST", 25)
    table = long_table(120)
    rows = tuple((cell[0], "\U00012000odd" if n in (3, 110) else cell[1], *cell[2:]) for n, cell in enumerate(table.rows))
    made = documents.render(samples.document((Section(id="a", title="A", blocks=(table.model_copy(update={"rows": rows}),)),)), "pdf")
    words = " ".join(page.extract_text() for page in pypdf.PdfReader(io.BytesIO(made)).pages)
    assert words.count("□odd") == 2
    assert to_pdf.UNSHOWN in " ".join(words.split())


def test_a_file_that_is_written_in_another_way_is_refused() -> None:
    made = io.BytesIO()
    writer = pypdf.PdfWriter()
    writer.add_blank_page(100, 100)
    writer.write(made)
    with pytest.raises(ValueError, match="is not in the file"):
        joining.joined([made.getvalue(), made.getvalue()])


def test_memory_of_a_long_table_is_that_of_one_piece() -> None:
    laid: list[int] = []

    def ask(part: dict[str, Any]) -> pieces.Told:
        rows = sum(len(panel["rows"]) for section in part["sections"] for block in section["blocks"] for panel in block.get("panels", ()))
        laid.append(rows)
        pages = [row // 20 + 1 for row in range(rows)]
        return pieces.Told(pages[-1], (1,) if part["piece"]["first"] else (), tuple(pages))

    data = to_pdf._report(samples.document((Section(id="a", title="A", blocks=(long_table(5_000),)),)))
    assert pieces.many(data)
    parts = pieces.cut(data, ask)
    assert max(laid) * 5 <= pieces.AT_ONCE + pieces.LEAST * 5
    keys = [
        cell["text"] if isinstance(cell := row[0], dict) else cell
        for part in parts
        for row in part["sections"][0]["blocks"][0]["panels"][0]["rows"]
    ]
    assert [key.split("-")[1] for key in keys] == [str(n) for n in range(5_000)]
    assert {part["piece"]["pages"] for part in parts} == {250}
