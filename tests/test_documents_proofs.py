"""In the page a reader can click a number of the narrative and see where it comes from, without a script."""

from __future__ import annotations

import re

import pytest

from everfix import documents, narrative
from everfix.documents.model import Document, Narrative
from tests import narrative_documents
from tests.browser import opened


def page(document: Document) -> str:
    made, _ = narrative.write(document)
    return documents.render(document.model_copy(update={"narrative": made}), "html").decode()


@pytest.mark.parametrize("document", [narrative_documents.busy(), narrative_documents.empty()], ids=["busy", "empty"])
def test_every_button_opens_a_note_and_every_note_leads_to_a_place(document: Document) -> None:
    html = page(document)
    asked = re.findall(r'popovertarget="(\w+)"', html)
    notes = re.findall(r'<div popover id="(\w+)"', html)
    assert set(asked) == set(notes)
    assert len(notes) == len(set(notes))
    ids = re.findall(r'\bid="([^"]+)"', html)
    assert len(ids) == len(set(ids))
    assert set(re.findall(r'<a href="#([^"]+)">Show it', html)) <= set(ids)
    assert "<script" not in html
    assert len(html.encode()) < 200_000


def test_the_note_says_section_row_column_and_raw_value() -> None:
    html = page(narrative_documents.busy())
    share = re.search(r'popovertarget="(\w+)">23\.3\xa0%</button>', html)
    assert share
    told = re.sub(r"<[^>]+>", "|", html.split(f'<div popover id="{share[1]}"')[1])[:400]
    for part in ("Top patterns", "Payment gateway timeouts", "Share", "23.3 %", "0.23300970873"):
        assert part in told, part


def test_a_hostile_name_stays_text() -> None:
    text = narrative_documents.busy().to_json().replace("Payment gateway timeouts", "<img src=x onerror=alert(1)> 7")
    html = page(Document.from_json(text))
    assert "<img src=x" not in html
    assert "&lt;img src=x onerror=alert(1)&gt; 7" in html


def test_a_narrative_without_proofs_is_shown_as_it_is() -> None:
    made = Narrative(executive_summary=("Issues rose 12 % to 412.\n\nMore.",), writer="older")
    html = documents.render(narrative_documents.busy().model_copy(update={"narrative": made}), "html").decode()
    assert "Issues rose 12\u00a0% to 412.</p>" in html
    assert 'class="proof"' not in html


def test_a_translation_says_its_language() -> None:
    made = Narrative(executive_summary=("Issues stieg.",), language="de")
    html = documents.render(narrative_documents.busy().model_copy(update={"narrative": made}), "html").decode()
    assert '<p dir="auto" lang="de">Issues stieg.</p>' in html
    assert '<html lang="en">' in html


def test_a_click_and_a_key_open_the_note(tmp_path: object) -> None:
    with opened() as browser:
        shown = browser.new_page()
        shown.set_content(page(narrative_documents.busy()))
        number = shown.locator("button.proof", has_text="91").first
        number.click()
        note = shown.locator(".source:popover-open")
        assert "Risk score" in note.inner_text()
        shown.keyboard.press("Escape")
        assert note.count() == 0
        number.focus()
        shown.keyboard.press("Enter")
        note.get_by_role("link").click()
        assert shown.locator("tr:target").inner_text().startswith("Payment gateway timeouts")
