"""A brand's logo, as SVG from outside: only shapes and colours are let through."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

SVG = "http://www.w3.org/2000/svg"
MOST = 100_000  # characters
SHAPES = "svg g defs title desc path rect circle ellipse line polyline polygon text tspan linearGradient radialGradient stop clipPath mask"
ELEMENTS = frozenset(SHAPES.split())
OUTSIDE = re.compile(r"url\(\s*['\"]?(?!#)|javascript:|data:|@import|expression\(", re.IGNORECASE)


def clean(svg: str) -> str:
    """Return the logo without scripts, handlers, styles and references to anything outside of it; "" stays "".

    Raises ValueError where it is not an SVG, or too large.
    """
    if not svg.strip():
        return ""
    if len(svg) > MOST:
        raise ValueError(f"logo_svg has {len(svg):,} characters, allowed are {MOST:,}")
    try:
        root = fromstring(svg, forbid_dtd=True)
    except (ET.ParseError, DefusedXmlException) as error:
        raise ValueError(f"logo_svg is not a well-formed SVG: {error}") from error
    if root.tag != f"{{{SVG}}}svg":
        raise ValueError(f"logo_svg must be an <svg> element of the SVG namespace, it is {root.tag!r}")
    _strip(root)
    ET.register_namespace("", SVG)
    return ET.tostring(root, encoding="unicode")


def _strip(element: ET.Element) -> None:
    for name, value in list(element.attrib.items()):
        if ":" in name or "}" in name or name.lower().startswith("on") or name in ("href", "class", "style") or OUTSIDE.search(value):
            del element.attrib[name]
    for child in list(element):
        if child.tag.removeprefix(f"{{{SVG}}}") in ELEMENTS:
            _strip(child)
        else:
            element.remove(child)
