"""Finds the shared folder of real data; a test that needs a file which is not there is skipped, and says so."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent


def folder() -> Path:
    """Return the folder of shared data: EVERFIX_SHARED, or `shared` beside the checkout."""
    return Path(os.environ.get("EVERFIX_SHARED") or ROOT.parent / "shared")


def shared(name: str) -> Path:
    """Return the path of one shared file; skips the running test where it is missing."""
    path = folder() / name
    if not path.exists():
        pytest.skip(f"real data not here: {name} (expected in {folder()})")
    return path
