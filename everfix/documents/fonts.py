"""The fonts that files are set in: found in installed font packages, never on the machine, so a report looks alike everywhere."""

from __future__ import annotations

import unicodedata
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


# Advances of Inter in ems, rounded up; a figure of a table has the one width of tabular figures.
ADVANCES = {
    0.26: "ijl’", 0.30: " !',.:I\u00a0·", 0.35: ";`t|", 0.40: "()/[\\]fr", 0.45: "{}“”", 0.51: '"-^_–', 0.55: "*?ksx",
    0.60: "FJLacehnouvyz",
    0.65: "#$&0123456789EPRSTZbdgpq", 0.70: "+<=>ABKVXY~−€",
    0.76: "CDGHU", 0.80: "NOQ", 0.85: "w", 0.90: "m…", 0.95: "M", 1.00: "%@W→",
}  # fmt: skip
ADVANCE = {letter: width for width, letters in ADVANCES.items() for letter in letters}


def ems(text: str) -> float:
    """Return how wide a line of text is in ems, a little more rather than less; what is not Latin counts as wide as it can be."""
    return sum(ADVANCE.get(letter) or (1.05 if unicodedata.east_asian_width(letter) in "WF" else 0.72) for letter in text)


def within(text: str, most: float) -> str:
    """Return `text`, ended with "…" where it is wider than `most` ems."""
    if ems(text) <= most:
        return text
    room, kept = most - ADVANCE["…"], 0
    while kept < len(text) and (room := room - ems(text[kept])) >= 0:
        kept += 1
    return text[:kept].rstrip() + "…"


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
