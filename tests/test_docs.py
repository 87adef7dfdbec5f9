"""The printed reference is what the code prints now."""

from __future__ import annotations

from pathlib import Path

from everfix import docs
from everfix.cli import app
from tests.shared import ROOT


def test_reference_is_current(tmp_path: Path) -> None:
    for made in docs.write(tmp_path, app):
        kept = ROOT / "docs" / "reference" / made.name
        assert kept.read_text(encoding="utf-8") == made.read_text(encoding="utf-8"), f"{made.name} is stale: run `make docs`"
