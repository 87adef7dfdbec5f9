"""Pages: what stands on the first one, how columns share the paper, and that no page ends half empty for a chart."""

from __future__ import annotations

import io
import re

import pypdf
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from everfix import documents
from everfix.documents import columns, to_pdf
from everfix.documents.model import Chart, Column, Document, Section, Table, Text, Unit
from tests import document_samples as samples


def pages(document: Document) -> list[str]:
    return [page.extract_text() for page in pypdf.PdfReader(io.BytesIO(documents.render(document, "pdf"))).pages]


def test_the_first_page_holds_notice_summary_takeaways_and_every_card() -> None:
    snapshot = Section(id="snapshot", title="Snapshot", blocks=(samples.kpis(),))
    first = re.sub(r"\s+", " ", pages(samples.document((snapshot,), samples.narrative()))[0])
    for part in ("simulated", "Executive summary", "Key takeaways", *(figure.title for figure in samples.kpis().figures)):
        assert part in first, part


def test_only_a_long_report_has_a_table_of_contents() -> None:
    sections = tuple(Section(id=f"s{n}", title=f"Part {n}", blocks=(samples.patterns(),)) for n in range(6))
    assert "In this report" not in " ".join(pages(samples.document(sections)))
    long = (*sections, Section(id="all", title="All", blocks=(samples.issues(500),)))
    found = pages(samples.document(long))
    assert len(found) >= to_pdf.LONG
    assert sum("In this report" in page for page in found) == 1


def test_charts_that_just_miss_a_page_are_drawn_lower_instead_of_moving_on() -> None:
    lowered = 0
    for lines in range(20, 44):
        words = Text(key="w", paragraphs=tuple(f"Line {n}." for n in range(lines)))
        section = Section(id="a", title="A", blocks=(words, samples.trend(), samples.weekly()))
        document = samples.document((section,))
        data = to_pdf._fitted(document, to_pdf._report(document))
        lows = [shown["low"] for block in data["sections"][0]["blocks"] if block["kind"] == "charts" for shown in block["charts"]]
        if any(lows):
            lowered += 1
            assert all(lows)
            found = pages(document)
            assert [number for number, page in enumerate(found) if f"Line {lines - 1}." in page] == [
                number for number, page in enumerate(found) if "All failures" in page
            ]
    assert lowered


def test_a_block_that_is_called_like_its_section_says_so_once() -> None:
    table = Table(key="t", title="Only once", columns=(Column(key="a", title="A"),), rows=(("x",),))
    assert " ".join(pages(samples.document((Section(id="a", title="Only once", blocks=(table,)),)))).count("Only once") == 1


def test_numbers_keep_their_line_and_long_names_break_at_their_seams() -> None:
    table = samples.patterns()
    made, _ = columns.panels(samples.document(()), table)
    for row in made[0]["rows"]:
        for cell, column in zip(row, table.columns, strict=True):
            text = cell["text"] if isinstance(cell, dict) else cell
            assert column.unit is Unit.TEXT or " " not in text
    assert columns.upright("example.fernhollow.orders.StatusService.advance").split("\u200b")[:3] == ["example.", "fernhollow.", "orders."]
    assert columns.upright("fell 5 % in 1 d 22 h") == "fell 5\u00a0% in 1\u00a0d 22\u00a0h"


texts = st.text(max_size=50)


@given(
    st.lists(st.tuples(texts, st.integers(-(10**12), 10**12), st.floats(0, 1), texts), min_size=1, max_size=5),
    st.integers(1, 4),
)
@settings(max_examples=120, deadline=None)
def test_columns_fill_the_paper_and_numbers_have_their_room(rows: list[tuple[str, int, float, str]], times: int) -> None:
    one = (
        Column(key="a", title="Pattern", wide=True),
        Column(key="b", title="Returns prevented in 90 days", unit=Unit.COUNT, bar=True),
        Column(key="c", title="Share", unit=Unit.PERCENT),
        Column(key="d", title="Likely trigger"),
    )
    wide = tuple(column.model_copy(update={"key": f"{column.key}{n}"}) for n in range(times) for column in one)
    table = Table(key="t", columns=wide, rows=tuple(row * times for row in rows))
    made, landscape = columns.panels(samples.document(()), table)
    for panel in made:
        assert sum(column["width"] for column in panel["columns"]) <= (columns.LANDSCAPE if landscape else columns.PORTRAIT) + 0.01
        for place, column in enumerate(panel["columns"]):
            if column["right"]:
                shown = [row[place]["text"] if isinstance(row[place], dict) else row[place] for row in panel["rows"]]
                longest = max(columns.measured(text, panel["size"]) for text in shown)
                assert longest + 2 <= column["width"]


def test_a_chart_of_the_model_is_flexible_only_upright() -> None:
    section = Section(id="a", title="A", blocks=(samples.trend(), samples.wide()))
    assert isinstance(section.blocks[0], Chart)
    data = to_pdf._report(samples.document((section,)))["sections"][0]
    assert data["landscape"]
    assert not data["blocks"][0]["flexible"]


def test_paper_says_which_rows_of_a_long_table_it_leaves_to_other_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_pdf, "ROWS", 40)
    document = samples.document((Section(id="all", title="All issues", blocks=(samples.issues(61),)),))
    words = " ".join(" ".join(pages(document)).split())
    assert "40 of 61 rows" in words
    assert "All 61 rows are in the CSV, XLSX and JSON of this report." in words
    assert "ISS-1039" in words
    assert "ISS-1040" not in words
    assert documents.render(document, "csv").decode().count("ISS-10") == 61


def test_a_table_within_bounds_says_nothing_of_other_formats(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(to_pdf, "ROWS", 40)
    document = samples.document((Section(id="all", title="All issues", blocks=(samples.issues(40),)),))
    assert "CSV" not in " ".join(pages(document))


def test_a_turned_last_page_has_the_end_of_the_report_and_no_page_follows() -> None:
    turned = pages(samples.document((Section(id="a", title="A", blocks=(samples.wide(),)),)))
    assert "Open the live report" in turned[-1]
    assert "Week 18" in turned[-1].replace("\n", " ")
