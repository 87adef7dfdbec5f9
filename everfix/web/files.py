"""Files: what browsers fetch beside the pages: our own style sheets, and the bundle that `everfix.web.assets` builds."""

from __future__ import annotations

import hashlib
import json
from functools import lru_cache
from pathlib import Path

from starlette.responses import Response
from starlette.staticfiles import StaticFiles
from starlette.types import Scope

STATIC = Path(__file__).parent / "static"
BUNDLED = ("app.js", "charts.js", "explorer.css", "explorer.js", "fonts.css")
MISSING = "the scripts and fonts of the pages are not built: run `make assets` (python -m everfix.web.assets), then start again"
FOR_GOOD = "public, max-age=31536000, immutable"


class Static(StaticFiles):
    """Serves the files; an address that carries its version is kept by browsers for good."""

    async def get_response(self, path: str, scope: Scope) -> Response:
        """Serve one file."""
        response = await super().get_response(path, scope)
        versioned = path.startswith("dist") or b"v=" in scope.get("query_string", b"")
        response.headers["Cache-Control"] = FOR_GOOD if versioned and response.status_code in (200, 304) else "no-cache"
        return response


@lru_cache(maxsize=1)
def built() -> dict[str, str]:
    """Return the bundle's files by their plain names ("app.js" → "dist/app-7VUQGGFD.js"); empty where it was not built."""
    manifest = STATIC / "dist" / "manifest.json"
    if not manifest.exists():
        return {}
    names: dict[str, str] = json.loads(manifest.read_text(encoding="utf-8"))
    return {name: f"dist/{file}" for name, file in names.items()}


@lru_cache(maxsize=32)
def version(name: str) -> str:
    """Return a short hash of a static file of our own, so that a browser may keep it for good."""
    return hashlib.sha256((STATIC / name).read_bytes()).hexdigest()[:10]


def url(name: str) -> str:
    """Return where a page finds a static file, by its plain name; "" for a part of the bundle that was not built."""
    if name in BUNDLED:
        return f"/static/{built()[name]}" if name in built() else ""
    return f"/static/{name}?v={version(name)}"
