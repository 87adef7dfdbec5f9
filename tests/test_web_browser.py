"""The pages in a real browser, over a real server with a worker: what a person can do, with a mouse, a keyboard, a phone, in the dark."""

from __future__ import annotations

import dataclasses
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import httpx
import pytest
from playwright.sync_api import Browser, BrowserContext, ConsoleMessage, Page, expect

from everfix import documents
from everfix.metrics import dashboards
from everfix.web import assets, executive, files
from tests import browser, make

DAYS = (0.2, 1, 2, 3, 5, 8, 9, 13, 20, 27, 34, 41, 55, 62, 70)
CHARTS = 5
CARDS = 6 + len(executive.CARDS)
MENU = "details.menu[data-menu='']"
OPEN_MENU = f"{MENU} summary"
WHOLE = "form[action='/reports'] button[name=format]"
# Every text whose contrast with what is behind it is below WCAG's 4.5 (3 for large ones), as [text, ratio].
CONTRAST = """() => {
  const canvas = document.createElement('canvas'); canvas.width = canvas.height = 1;
  const pen = canvas.getContext('2d', { willReadFrequently: true });
  const rgba = (css) => {
    pen.clearRect(0, 0, 1, 1); pen.fillStyle = css; pen.fillRect(0, 0, 1, 1);
    return [...pen.getImageData(0, 0, 1, 1).data];
  };
  const light = ([r, g, b]) => [r, g, b].map((v) => v / 255).map((v) => v <= 0.04045 ? v / 12.92 : ((v + 0.055) / 1.055) ** 2.4)
    .reduce((sum, v, i) => sum + v * [0.2126, 0.7152, 0.0722][i], 0);
  const ground = (element) => {
    for (let e = element; e; e = e.parentElement) { const c = rgba(getComputedStyle(e).backgroundColor); if (c[3] > 250) return c; }
    return [255, 255, 255, 255];
  };
  const bad = [];
  const walk = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  while (walk.nextNode()) {
    const text = walk.currentNode.textContent.trim(), e = walk.currentNode.parentElement;
    if (!text || e.closest('svg, script, noscript, .sr, .skip') || !e.checkVisibility()) continue;
    const style = getComputedStyle(e), a = light(rgba(style.color)), b = light(ground(e));
    const ratio = (Math.max(a, b) + 0.05) / (Math.min(a, b) + 0.05);
    const large = parseFloat(style.fontSize) >= 24 || (parseFloat(style.fontSize) >= 18.66 && style.fontWeight >= 700);
    if (ratio < (large ? 3 : 4.5)) bad.push([text.slice(0, 40), Math.round(ratio * 100) / 100]);
  }
  return bad;
}"""


@dataclasses.dataclass(frozen=True)
class Server:
    """A running `everfix serve`."""

    url: str
    folder: Path

    def link(self) -> str:
        """Return a fresh sign-in link."""
        done = subprocess.run(
            [sys.executable, "-m", "everfix", "link", "--data-dir", str(self.folder)], capture_output=True, text=True, check=True
        )
        return f"{self.url}/sign-in/{done.stdout.strip().rpartition('/')[2]}"


def _serve(folder: Path) -> tuple[subprocess.Popen[str], Server]:
    environment = {key: value for key, value in os.environ.items() if not key.startswith("EVERFIX_")}
    command = [sys.executable, "-m", "everfix", "serve", "--data-dir", str(folder), "--port", "0"]
    running = subprocess.Popen(command, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, env=environment)
    assert running.stdout
    for line in running.stdout:
        if line.startswith("ready "):
            return running, Server(line.split()[1], folder)
    raise AssertionError(f"the server ended with {running.wait()} before it was ready")


def _fill(server: Server) -> None:
    """Send failures as a client does, and wait until the worker has taken them through the loop."""
    now = datetime.now(UTC)
    records = [
        *make.failures("database", DAYS, end=now),
        *make.failures("payments", DAYS[::2], end=now, severity="p1"),
        *make.failures("login", DAYS[1::3], end=now),
    ]
    secret = (server.folder / "owner.token").read_text(encoding="utf-8").strip()
    with httpx.Client(base_url=server.url, headers={"Authorization": f"Bearer {secret}"}) as client:
        answer = client.post("/v1/ingest/batch", json={"records": records})
        assert answer.status_code == 202, answer.text
        until = time.monotonic() + 60
        while client.get(f"/v1/ingest/status/{answer.json()['job_id']}").json()["status"] != "succeeded":
            assert time.monotonic() < until, "the worker did not take the failures through the loop"
            time.sleep(0.1)


@pytest.fixture(scope="module")
def chromium() -> Iterator[Browser]:
    with browser.opened() as found:
        yield found


@pytest.fixture(scope="module")
def server(chromium: Browser) -> Iterator[Server]:
    assert assets.main() == 0
    files.built.cache_clear()
    with tempfile.TemporaryDirectory(prefix="everfix-web-") as folder:
        running, made = _serve(Path(folder))
        try:
            yield made
        finally:
            running.terminate()
            assert running.wait(timeout=60) == 0
            assert running.stdout
            running.stdout.close()


@pytest.fixture(scope="module")
def signed_in(chromium: Browser, server: Server) -> Any:
    """The cookies of a person who came in by a link, while the workspace was empty and then not."""
    context = chromium.new_context()
    page = context.new_page()
    page.goto(server.link())
    page.get_by_role("button", name="Sign in").click()
    expect(page.get_by_role("heading", name="Send the first failure")).to_be_visible()
    expect(page.locator("#first-command")).to_contain_text(f"{server.url}/v1/ingest/events")
    page.set_viewport_size({"width": 390, "height": 800})
    assert page.evaluate("document.documentElement.scrollWidth") == 390
    _fill(server)
    expect(page.locator("[data-card=issues] .card-value")).not_to_have_text("0", timeout=15_000)  # it went on by itself
    state = context.storage_state()
    context.close()
    return state


class Watched:
    """A page whose every complaint and every request is kept."""

    def __init__(self, context: BrowserContext, server: Server) -> None:
        self.page = context.new_page()
        self.complaints: list[str] = []
        self.strangers: list[str] = []
        self.page.on("console", self._said)
        self.page.on("pageerror", lambda problem: self.complaints.append(str(problem)))
        self.page.on("request", lambda request: self._asked(request.url, server))

    def _said(self, message: ConsoleMessage) -> None:
        cut = message.location["url"].endswith("/notifications/stream") and "INCOMPLETE_CHUNKED" in message.text
        if message.type in ("error", "warning") and not cut:  # the bell's stream has no end: whoever leaves the page cuts it
            self.complaints.append(message.text)

    def _asked(self, url: str, server: Server) -> None:
        if not url.startswith((server.url, "data:")):
            self.strangers.append(url)


@pytest.fixture
def look(chromium: Browser, server: Server, signed_in: Any) -> Iterator[Any]:
    """Return a function that opens a path in a window of some width and scheme; in the end nothing may have complained or left the host."""
    opened: list[tuple[BrowserContext, Watched]] = []

    def open_(path: str, width: int = 1440, scheme: Any = "light", **more: Any) -> Page:
        context = chromium.new_context(
            base_url=server.url, storage_state=signed_in, viewport={"width": width, "height": 900}, color_scheme=scheme, **more
        )
        watched = Watched(context, server)
        opened.append((context, watched))
        watched.page.goto(path)
        return watched.page

    yield open_
    for context, watched in opened:
        context.close()
        assert watched.complaints == []
        assert watched.strangers == []


def _drawn(page: Page, count: int = CHARTS) -> None:
    charts = page.locator("[data-chart]")
    expect(charts).to_have_count(count)
    for place in range(count):
        charts.nth(place).scroll_into_view_if_needed()
        expect(charts.nth(place)).to_have_attribute(
            "data-drawn", page.evaluate("matchMedia('(prefers-color-scheme: dark)').matches ? 'dark' : 'light'")
        )
        expect(charts.nth(place).locator("[data-canvas] svg path").first).to_be_attached()


def test_the_dashboard_shows_cards_and_charts(look: Any) -> None:
    page = look("/dashboards/executive?period=30d")
    expect(page.locator("[data-card]")).to_have_count(CARDS)
    _drawn(page)
    page.locator(".numbers summary").first.click()
    assert page.locator(".numbers").first.locator("tbody tr").count() == 30
    page.locator("[data-chart] [data-canvas]").first.hover()
    page.get_by_role("link", name="90D").click()
    expect(page.get_by_role("link", name="90D")).to_have_attribute("aria-current", "true")
    assert page.locator(".numbers").first.locator("tbody tr").count() == 90
    _drawn(page)


def test_what_a_page_names_leads_there(look: Any) -> None:
    page = look("/dashboards/executive")
    page.locator("[data-table=top_patterns] a").first.click()
    expect(page.get_by_role("heading", name="How often it fails")).to_be_visible()
    _drawn(page, 2)
    page.locator("[data-table=pattern_members] a").first.click()
    expect(page.get_by_role("heading", name="Why it is where it is")).to_be_visible()
    page.locator(".pattern-link a").click()
    expect(page.get_by_role("heading", name="Will it come back?")).to_be_visible()
    for name in ("Patterns", "Issues", "Reports", "Overview"):
        page.get_by_role("navigation", name="Main").get_by_role("link", name=name, exact=True).click()
        expect(page.get_by_role("heading", level=1)).to_be_visible()


@pytest.mark.parametrize("key", list(documents.RENDERERS))
def test_export_hands_over_the_file(look: Any, key: str) -> None:
    page = look("/dashboards/executive?period=7d", accept_downloads=True)
    page.locator(OPEN_MENU).click()
    with page.expect_download(timeout=30_000) as waiting:
        page.locator(f"{WHOLE}[value={key}]").click()
    path = waiting.value.path()
    assert waiting.value.suggested_filename.endswith(f".{documents.RENDERERS[key].extension}")
    assert Path(path).stat().st_size > 500
    expect(page.locator(".toast")).to_contain_text("is ready")
    page.locator(".toast [data-dismiss]").click()
    expect(page.locator(".toast")).to_have_count(0)


def test_a_new_report_is_followed_to_its_files(look: Any) -> None:
    page = look("/reports")
    page.get_by_text("Issue digest").click()
    page.get_by_text("Markdown", exact=True).click()
    page.get_by_role("button", name="Generate").click()
    row = page.locator("table.runs tbody tr").first
    expect(row).to_contain_text("Issue digest")
    expect(row.locator("a.file")).to_have_count(2, timeout=30_000)
    expect(row).to_contain_text("succeeded")


def test_everything_works_from_the_keyboard(look: Any) -> None:
    page = look("/login?next=/reports")  # signed in: leads on
    assert page.url.endswith("/reports")
    page.goto("/dashboards/executive")
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Skip to the content")).to_be_focused()
    page.keyboard.press("Enter")
    expect(page.locator("#main")).to_be_focused()
    page.keyboard.press("Tab")
    expect(page.get_by_role("link", name="Executive", exact=True)).to_be_focused()
    assert page.evaluate("getComputedStyle(document.activeElement).outlineStyle") == "solid"
    for _ in range(len(dashboards.DASHBOARDS) + len(dashboards.PERIODS) + 1):  # the tabs, the periods, the segment
        page.keyboard.press("Tab")
    expect(page.locator(OPEN_MENU)).to_be_focused()
    page.keyboard.press("Enter")
    page.keyboard.press("Escape")
    expect(page.locator(MENU)).not_to_have_attribute("open", "")
    expect(page.locator(OPEN_MENU)).to_be_focused()
    page.keyboard.press("Enter")
    for _ in range(10):  # four formats of the dashboard, then six of the report
        page.keyboard.press("Tab")
    expect(page.locator(f"{WHOLE}[value=json]")).to_be_focused()
    with page.expect_download(timeout=30_000) as waiting:
        page.keyboard.press("Enter")
    assert Path(waiting.value.path()).stat().st_size > 500


PAGES = ("/dashboards/executive", "/patterns", "/issues", "/reports", "/settings/notifications", "/settings/delivery")


def _details(page: Page) -> list[str]:
    page.goto("/patterns")
    pattern = page.locator("tbody a").first.get_attribute("href")
    page.goto("/issues")
    issue = page.locator("tbody a").first.get_attribute("href")
    assert pattern
    assert issue
    return [pattern, issue]


@pytest.mark.parametrize("width", [390, 768])
def test_narrow_screens_never_scroll_sideways(look: Any, width: int) -> None:
    page = look("/dashboards/executive", width)
    _drawn(page)
    for path in (*PAGES, *_details(page)):
        page.goto(path)
        assert page.evaluate("document.documentElement.scrollWidth") <= width, path
    page.locator(".side-menu summary").click()
    page.locator(".side-drop").get_by_role("link", name="Overview").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Executive")


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_every_text_can_be_read(look: Any, scheme: str) -> None:
    page = look("/dashboards/executive", scheme=scheme)
    _drawn(page)
    for path in (*PAGES, *_details(page)):
        page.goto(path)
        page.evaluate("document.querySelectorAll('details').forEach((one) => (one.open = true))")
        assert page.evaluate(CONTRAST) == [], path


def test_the_colours_can_be_switched_and_stay(look: Any) -> None:
    page = look("/dashboards/executive")
    _drawn(page)
    before = page.evaluate("getComputedStyle(document.body).backgroundColor")
    page.locator(".side-body").get_by_role("button", name="Switch between light and dark colours").click()
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")
    expect(page.locator("[data-chart]").first).to_have_attribute("data-drawn", "dark")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") != before
    page.goto("/reports")
    expect(page.locator("html")).to_have_attribute("data-theme", "dark")


def test_without_scripts_the_numbers_and_the_forms_are_there(look: Any) -> None:
    page = look("/dashboards/executive", java_script_enabled=False)
    expect(page.locator("[data-card]")).to_have_count(CARDS)
    page.locator(".numbers summary").first.click()
    expect(page.locator(".numbers").first.locator("tbody tr").first).to_be_visible()
    page.locator(OPEN_MENU).click()
    page.locator(f"{WHOLE}[value=markdown]").click()
    expect(page.get_by_role("heading", level=1)).to_have_text("Reports")
    expect(page.locator("table.runs tbody tr").first).to_contain_text("Executive summary")


def test_the_api_explorer_comes_from_this_host(look: Any) -> None:
    page = look("/docs")
    page.get_by_role("link", name="ingest", exact=True).click(timeout=30_000)  # groups first: drawing every call at once takes long
    expect(page.get_by_role("link", name="/v1/ingest/events", exact=True)).to_be_visible()


def test_signing_out_closes_the_door(chromium: Browser, server: Server, signed_in: Any) -> None:
    context = chromium.new_context(base_url=server.url)
    page = context.new_page()
    page.goto("/patterns")
    assert page.url == f"{server.url}/login?next=/patterns"
    page.get_by_label("Token").fill((server.folder / "owner.token").read_text(encoding="utf-8").strip())
    page.get_by_role("button", name="Sign in").click()
    assert page.url == f"{server.url}/patterns"
    page.locator(".side-body").get_by_role("button", name="Sign out").click()
    expect(page.get_by_text("You are signed out.")).to_be_visible()
    page.goto("/dashboards/executive")
    assert page.url == f"{server.url}/login"
    context.close()
