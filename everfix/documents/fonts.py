"""The fonts that files are set in: found in installed font packages, never on the machine, so a report looks alike everywhere."""

from __future__ import annotations

from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

TEXT = "fontpkg_inter"
OTHER_SCRIPTS = ("manimgx_fonts", "manimgx_fonts_cjk")
# What a browser or an SVG asks for: our own first, then what every system has.
FAMILIES = "Inter, 'Helvetica Neue', 'Segoe UI', Roboto, Arial, 'Noto Sans', sans-serif"
SCRIPTS = (
    "Noto Sans", "Noto Sans CJK SC", "Noto Sans CJK JP", "Noto Sans CJK KR", "Noto Sans Arabic", "Noto Sans Hebrew", "Noto Sans Devanagari",
    "Noto Sans Bengali", "Noto Sans Thai", "Noto Sans Georgian", "Noto Sans Armenian", "Noto Sans Tamil", "Noto Sans Telugu",
    "Noto Sans Kannada", "Noto Sans Malayalam", "Noto Sans Gujarati", "Noto Sans Gurmukhi", "Noto Sans Oriya", "Noto Sans Sinhala",
    "Noto Sans Khmer", "Noto Sans Lao", "Noto Sans Myanmar", "Noto Sans Ethiopic", "Noto Sans Symbols", "Noto Emoji",
)  # fmt: skip
EMBEDDED = ("Libertinus Serif", "New Computer Modern Math", "DejaVu Sans Mono")  # what Typst itself brings


@lru_cache(maxsize=8)
def folder(package: str) -> Path | None:
    """Return where an installed font package keeps its files, or None where it is not installed."""
    found = find_spec(package)
    if found is None or found.origin is None:
        return None
    home = Path(found.origin).parent
    return home / "files" if (home / "files").is_dir() else home


def text_folders() -> list[Path]:
    """Return the folders of the text face only: what charts are measured with."""
    home = folder(TEXT)
    return [] if home is None else [home]


def folders() -> list[Path]:
    """Return the folders of every installed font package."""
    return [home for home in map(folder, (TEXT, *OTHER_SCRIPTS)) if home is not None]


def families() -> tuple[str, ...]:
    """Return the families to set text in, in order of preference, of those that are installed."""
    own = ("Inter",) if folder(TEXT) else ()
    others = SCRIPTS if any(map(folder, OTHER_SCRIPTS)) else ()
    return (*own, *others, *EMBEDDED)
