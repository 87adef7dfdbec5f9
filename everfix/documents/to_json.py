"""A Document as JSON: the Document itself; `Document.from_json` reads it back, equal."""

from __future__ import annotations

from everfix.documents.model import Document


def render(document: Document) -> bytes:
    """Return the Document as indented JSON text in UTF-8."""
    return document.model_dump_json(indent=2).encode()
