"""Triage in a real browser: the keys of the list, many at once, a pattern picked by a few letters, merge, split, saved views, and a phone."""

from __future__ import annotations

import re
from typing import Any

import pytest
from playwright.sync_api import Page, expect

from tests.test_web_browser import CONTRAST, chromium, look, server, signed_in

__all__ = ["chromium", "look", "server", "signed_in"]  # fixtures


def first(page: Page, path: str) -> str:
    """Return where the first row of a list leads."""
    page.goto(path)
    href = page.locator("tbody a").first.get_attribute("href")
    assert href
    return href


def test_the_list_is_worked_from_the_keyboard(look: Any) -> None:
    page = look("/issues")
    rows = page.locator("a[data-row]")
    page.keyboard.press("j")
    expect(rows.nth(0)).to_be_focused()
    page.keyboard.press("j")
    expect(rows.nth(1)).to_be_focused()
    page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("1 chosen")
    page.keyboard.press("k")
    page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("2 chosen")
    page.keyboard.press("x")
    expect(page.locator("[data-chosen]")).to_have_text("1 chosen")
    page.keyboard.press("/")
    expect(page.locator("[data-search]")).to_be_focused()
    page.keyboard.type("jx")
    expect(page.locator("[data-chosen]")).to_have_text("1 chosen")  # typing is typing
    page.locator("[data-search]").fill("provider")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("q=provider"))
    page.keyboard.press("j")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", name="Triage")).to_be_visible()


def test_all_on_a_page_are_chosen_and_changed_together(look: Any) -> None:
    page = look("/issues?service=login-api&limit=5")
    all_, boxes = page.locator("[data-choose-all]"), page.locator("input[name=chosen]")
    expect(page.get_by_role("button", name="Set status")).to_be_disabled()
    boxes.first.check()
    assert all_.evaluate("(box) => box.indeterminate") is True
    all_.check()
    count = boxes.count()
    expect(page.locator("[data-chosen]")).to_have_text(f"{count} chosen")
    page.get_by_label("Status", exact=True).last.select_option("mitigating")
    page.get_by_role("button", name="Set status").click()
    expect(page.get_by_text(f"{count} issues changed")).to_be_visible()
    expect(page.locator("tbody .pill.mitigating")).to_have_count(count)


def test_a_pattern_is_picked_by_a_few_letters_and_merged_after_a_preview(look: Any) -> None:
    page = look("/patterns")
    page.goto(first(page, "/patterns"))
    name = page.get_by_role("heading", level=1).inner_text()
    page.get_by_text("Merge another pattern into this").click()
    field = page.get_by_role("combobox", name="Pattern whose failures belong here")
    field.click()
    options = page.get_by_role("option")
    expect(options.first).to_be_visible()
    assert name not in options.locator("b").all_inner_texts(), "not itself"
    page.keyboard.press("ArrowDown")
    page.keyboard.press("Escape")
    expect(options.first).to_be_hidden()
    page.keyboard.press("ArrowDown")
    expect(options.first).to_be_visible()
    wanted = options.first.locator("b").inner_text()
    field.fill(wanted[:6].lower())
    expect(options).to_have_count(1)
    page.keyboard.press("ArrowDown")
    expect(field).to_have_attribute("aria-activedescendant", re.compile("^pick-pat_"))
    page.keyboard.press("Enter")
    expect(field).to_have_value(wanted)
    expect(field).to_have_attribute("aria-expanded", "false")
    page.keyboard.press("Enter")
    expect(page.get_by_role("heading", level=1)).to_contain_text("would move")
    expect(page.locator("main")).to_contain_text(wanted)
    page.get_by_role("button", name="Merge").click()
    expect(page.locator("#words .timeline")).to_contain_text("Merge")
    page.get_by_role("button", name=re.compile("^Undo")).first.click()
    expect(page.locator("#words .timeline")).to_contain_text("taken back by")


def test_failures_are_split_off_after_a_preview(look: Any) -> None:
    page = look("/patterns")
    page.goto(first(page, "/patterns"))
    page.get_by_text("Split or detach failures").click()
    page.locator(".parting input").first.check()
    page.get_by_label("Name of the new pattern").fill("Pool of one")
    page.get_by_role("button", name="Show a split").click()
    expect(page.get_by_role("heading", level=1)).to_contain_text("would move")
    page.get_by_role("link", name="Cancel").click()
    expect(page.locator("#words")).to_be_visible()


def test_a_view_is_saved_found_again_and_deleted(look: Any) -> None:
    page = look("/issues?severity=p1")
    views = page.locator("details[data-menu=views]")
    views.locator("summary").click()
    page.get_by_label("Save what is shown as").fill("Worst first")
    page.keyboard.press("Enter")
    expect(page).to_have_url(re.compile("severity=p1.*view="))
    page.goto("/issues")
    views.locator("summary").click()
    page.get_by_role("link", name="Worst first").click()
    expect(page).to_have_url(re.compile("severity=p1"))
    assert set(page.locator("tbody .chip").all_inner_texts()) == {"P1"}
    views.locator("summary").click()
    page.get_by_role("button", name=re.compile("^Delete")).click()
    views.locator("summary").click()
    expect(page.get_by_text("No view is saved yet.")).to_be_visible()


def test_on_a_phone_triage_comes_before_everything_that_is_long(look: Any) -> None:
    page = look("/issues", 390)
    page.goto(first(page, "/issues"))
    tops = [page.locator(one).bounding_box()["y"] for one in (".issue-triage", "#analysis", "#why", ".issue-side")]
    assert tops == sorted(tops)
    assert page.evaluate("document.documentElement.scrollWidth") <= 390
    page.set_viewport_size({"width": 1440, "height": 900})
    left, right = page.locator(".issue-main").bounding_box(), page.locator(".issue-triage").bounding_box()
    assert left
    assert right
    assert left["x"] < right["x"]
    assert abs(left["y"] - right["y"]) < 2


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_opened_forms_and_refusals_can_be_read(look: Any, scheme: str) -> None:
    page = look("/issues", 390, scheme)
    for path in (first(page, "/issues"), first(page, "/patterns"), "/clusters", "/issues?q=nothing-is-called-so", "/issues"):
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        for field in page.locator("[data-pick]").all():
            field.focus()
            expect(page.locator(f"#{field.get_attribute('aria-controls')}")).to_be_visible()
        assert page.evaluate(CONTRAST) == [], path
        assert page.evaluate("document.documentElement.scrollWidth") <= 390, path
