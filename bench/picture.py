"""The picture of the README: the executive dashboard of a running server, as a person sees it after signing in.

python -m bench.picture "$(everfix link --data-dir DIR)" [docs/dashboard.png]
"""

from __future__ import annotations

import sys
from pathlib import Path
from urllib.parse import urljoin

from tests import browser

WIDTH, HEIGHT = 1360, 1420
LARGEST = 300_000  # bytes: it is committed


def main() -> int:
    """Take the picture with a fresh sign-in link, and return 1 where it would be too large to commit."""
    link, target = sys.argv[1], Path(sys.argv[2] if len(sys.argv) > 2 else "docs/dashboard.png")
    with browser.opened() as chromium:
        page = chromium.new_page(viewport={"width": WIDTH, "height": HEIGHT}, color_scheme="light")
        page.goto(link)
        page.get_by_role("button", name="Sign in").click()
        page.wait_for_load_state()
        page.goto(urljoin(link, "/dashboards/executive?period=30d"))
        page.wait_for_selector("[data-chart][data-drawn=light] svg", state="attached")
        page.wait_for_load_state("networkidle")
        target.parent.mkdir(parents=True, exist_ok=True)
        page.screenshot(path=target)
    size = target.stat().st_size
    print(f"{target}: {WIDTH} × {HEIGHT}, {size / 1000:.0f} kB")
    return 0 if size <= LARGEST else 1


if __name__ == "__main__":
    sys.exit(main())
