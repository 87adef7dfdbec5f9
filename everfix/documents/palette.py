"""Colours of a report, by role and theme, derived from the one brand colour and safe for colour-blind readers."""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from itertools import product
from typing import Literal

Theme = Literal["light", "dark"]
Rgb = tuple[float, float, float]

# Okabe and Ito's set (2008) without its yellow, which vanishes on white paper, and with a slate as the quiet one.
CANDIDATES = ("#0072b2", "#d55e00", "#b0609a", "#e69f00", "#56b4e9", "#009e73", "#6b7785")
# How the two common kinds of colour blindness see linear RGB: Machado, Oliveira and Fernandes (2009), severity 1.0.
SIGHT = (
    ((1.0, 0.0, 0.0), (0.0, 1.0, 0.0), (0.0, 0.0, 1.0)),
    ((0.367322, 0.860646, -0.227968), (0.280085, 0.672501, 0.047413), (-0.011820, 0.042940, 0.968881)),
    ((0.152286, 1.052583, -0.204868), (0.114503, 0.786281, 0.099216), (-0.003882, -0.048116, 1.051998)),
)
SERIES = 6


@dataclass(frozen=True)
class Palette:
    """One theme's colours, each `#rrggbb`; `series` starts with the accent."""

    paper: str
    ink: str
    muted: str
    line: str
    grid: str
    accent: str
    good: str
    bad: str
    warn: str
    series: tuple[str, ...]
    risk: tuple[str, str, str, str]  # green, amber, red, dark red
    severity: tuple[str, str, str, str]  # from the worst to the mildest, also darker to lighter


@lru_cache(maxsize=256)
def of(brand: str, theme: Theme = "light") -> Palette:
    """Return the palette of a brand colour; the accent is moved toward black or white until it can be read on the paper."""
    dark = theme == "dark"
    paper = "#11181f" if dark else "#ffffff"
    accent = readable(brand.lower(), paper, "#ffffff" if dark else "#000000", least=4.5)
    series = tuple(readable(colour, paper, "#ffffff" if dark else "#000000", least=2.2) for colour in _apart(accent))
    if dark:
        return Palette(paper, "#e8edf2", "#9fadba", "#36424d", "#222c35", accent, "#4cc38a", "#ff8f7a", "#f2b84b", series,
                       ("#2f6b4f", "#8a6a1f", "#9c4636", "#6e1f26"), ("#ff8f7a", "#e8a05c", "#cdb659", "#7b8a98"))  # fmt: skip
    return Palette(paper, "#17212b", "#5a6875", "#cfd6dd", "#e9edf1", accent, "#0a7a4b", "#b83227", "#9a5b00", series,
                   ("#bfe3cd", "#fbe2a6", "#f1a894", "#b5483f"), ("#b83227", "#e0803a", "#e6bb45", "#93a1ae"))  # fmt: skip


def readable(colour: str, paper: str, toward: str, *, least: float) -> str:
    """Return `colour`, blended toward `toward` in steps until its WCAG contrast against `paper` is at least `least`."""
    for step in range(21):
        mixed = mix(colour, toward, step / 20)
        if contrast(mixed, paper) >= least:
            return mixed
    return toward


def mix(first: str, second: str, share: float) -> str:
    """Return `first` with `share` (0–1) of `second` in it, blended in sRGB."""
    pairs = zip(_channels(first), _channels(second), strict=True)
    return "#" + "".join(f"{round(a + (b - a) * share):02x}" for a, b in pairs)


def contrast(first: str, second: str) -> float:
    """Return the contrast ratio of WCAG 2.2 (1–21)."""
    light, dark = sorted((_luminance(first), _luminance(second)), reverse=True)
    return (light + 0.05) / (dark + 0.05)


def distance(first: str, second: str) -> float:
    """Return the smallest distance (Oklab, 0–1) of two colours over normal, protan and deutan sight."""
    return min(_gap(_oklab(_seen(first, eye)), _oklab(_seen(second, eye))) for eye in SIGHT)


def _apart(accent: str) -> tuple[str, ...]:
    """Order the candidates so that each next colour is the one farthest from all before it, whoever looks."""
    chosen = [accent]
    left = list(CANDIDATES)
    while len(chosen) < SERIES:
        best = max(left, key=lambda colour: min(distance(colour, other) for other in chosen))
        chosen.append(best)
        left.remove(best)
    return tuple(chosen)


def _channels(colour: str) -> tuple[int, int, int]:
    return int(colour[1:3], 16), int(colour[3:5], 16), int(colour[5:7], 16)


def _linear(colour: str) -> Rgb:
    red, green, blue = (c / 12.92 if c <= 0.04045 else ((c + 0.055) / 1.055) ** 2.4 for c in (v / 255 for v in _channels(colour)))
    return red, green, blue


def _luminance(colour: str) -> float:
    red, green, blue = _linear(colour)
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def _seen(colour: str, eye: tuple[Rgb, Rgb, Rgb]) -> Rgb:
    rgb = _linear(colour)
    red, green, blue = (max(0.0, sum(weight * part for weight, part in zip(row, rgb, strict=True))) for row in eye)
    return red, green, blue


def _oklab(rgb: Rgb) -> Rgb:
    """Convert linear RGB to Oklab (Ottosson, 2020)."""
    red, green, blue = rgb
    long = (0.4122214708 * red + 0.5363325363 * green + 0.0514459929 * blue) ** (1 / 3)
    medium = (0.2119034982 * red + 0.6806995451 * green + 0.1073969566 * blue) ** (1 / 3)
    short = (0.0883024619 * red + 0.2817188376 * green + 0.6299787005 * blue) ** (1 / 3)
    return (
        0.2104542553 * long + 0.7936177850 * medium - 0.0040720468 * short,
        1.9779984951 * long - 2.4285922050 * medium + 0.4505937099 * short,
        0.0259040371 * long + 0.7827717662 * medium - 0.8086757660 * short,
    )


def _gap(first: Rgb, second: Rgb) -> float:
    return float(sum((a - b) ** 2 for a, b in zip(first, second, strict=True)) ** 0.5)


def closest(colours: tuple[str, ...]) -> float:
    """Return the distance of the two colours most easily taken for each other."""
    return min(distance(a, b) for a, b in product(colours, colours) if a != b)
