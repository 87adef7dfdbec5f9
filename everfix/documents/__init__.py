"""Documents: what a report says, as data, and its renderings. Pure: no database, no HTTP, no clock.

model      Document → Section → Figures | Table | Chart | Text
format     numbers into words
charts     Chart → Vega-Lite → SVG
RENDERERS  Document → bytes, by format
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Callable
from dataclasses import dataclass
from importlib import import_module

from everfix.documents.model import Document

ALIASES = {"md": "markdown"}
SLUG = 80  # characters of a title that are kept in a file's name


@dataclass(frozen=True)
class Renderer:
    """One format: what it is called on the wire and on disk, and the function that makes it."""

    key: str
    media_type: str
    extension: str
    render: Callable[[Document], bytes]


def _late(module: str) -> Callable[[Document], bytes]:
    """Import a renderer when it is first used: typesetting and drawing are heavy, and most processes need neither."""

    def call(document: Document) -> bytes:
        made: bytes = import_module(f"everfix.documents.{module}").render(document)
        return made

    return call


RENDERERS: dict[str, Renderer] = {
    renderer.key: renderer
    for renderer in (
        Renderer("pdf", "application/pdf", "pdf", _late("to_pdf")),
        Renderer("html", "text/html; charset=utf-8", "html", _late("to_html")),
        Renderer("markdown", "text/markdown; charset=utf-8", "md", _late("to_markdown")),
        Renderer("csv", "text/csv; charset=utf-8", "csv", _late("to_csv")),
        Renderer("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet", "xlsx", _late("to_xlsx")),
        Renderer("json", "application/json", "json", _late("to_json")),
    )
}


def renderer(format: str) -> Renderer:
    """Return the renderer of a format, in either case and by alias; raises ValueError naming the formats there are."""
    key = ALIASES.get(format.lower(), format.lower())
    if key not in RENDERERS:
        raise ValueError(f"format {format!r} is unknown: allowed are {', '.join(RENDERERS)}")
    return RENDERERS[key]


def render(document: Document, format: str) -> bytes:
    """Return the Document as a file of `format`; raises ValueError naming the formats there are."""
    return renderer(format).render(document)


def filename(document: Document, format: str) -> str:
    """Return e.g. "executive-summary-2026-11-17.pdf": the title as ASCII words, the last day of the period, the extension."""
    plain = unicodedata.normalize("NFKD", document.title).encode("ascii", "ignore").decode().lower()
    slug = re.sub(r"[^a-z0-9]+", "-", plain).strip("-")[:SLUG].strip("-") or "report"
    return f"{slug}-{document.period.end.isoformat()}.{renderer(format).extension}"
