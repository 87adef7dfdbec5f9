"""Narrative: words about a Document, each number of them proven to be in it. `write` is the one entry."""

from __future__ import annotations

from everfix.narrative.writer import Account, How, write

__all__ = ["Account", "How", "write"]
