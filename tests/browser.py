"""Finding a browser: Chromium or Chrome as installed on this machine, and what to do where there is none."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from playwright.sync_api import Browser, sync_playwright

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable", "chrome")
APPLICATIONS = (
    "/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
    "/Applications/Chromium.app/Contents/MacOS/Chromium",
    "~/Applications/Google Chrome.app/Contents/MacOS/Google Chrome",
)
# A page under test must not be disturbed by what a browser does by itself.
QUIET = (
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
)


def chromium() -> str | None:
    """Return the path of an installed Chromium or Chrome, EVERFIX_BROWSER first, or None."""
    asked = os.environ.get("EVERFIX_BROWSER")
    if asked:
        return asked
    found = (shutil.which(name) for name in NAMES)
    installed = (str(path) for path in (Path(name).expanduser() for name in APPLICATIONS) if path.exists())
    return next((path for path in (*found, *installed) if path), None)


@contextmanager
def opened() -> Iterator[Browser]:
    """Yield a headless browser; without one the test is skipped, loudly, or fails where CI=true."""
    path = chromium()
    if path is None:
        told = "NO BROWSER, THE PAGES WERE NOT TESTED: install Chromium or Chrome (Debian: chromium), or name one in EVERFIX_BROWSER"
        if os.environ.get("CI") == "true":
            pytest.fail(told)
        pytest.skip(told)
    root = ("--no-sandbox",) if hasattr(os, "geteuid") and os.geteuid() == 0 else ()
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=path, args=[*QUIET, *root])
        try:
            yield browser
        finally:
            browser.close()
