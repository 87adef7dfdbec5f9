"""A brand's logo from outside, always kept as SVG: only shapes, colours and a sound PNG picture are let through."""

from __future__ import annotations

import base64
import binascii
import re
import struct
import xml.etree.ElementTree as ET
import zlib

from defusedxml import DefusedXmlException
from defusedxml.ElementTree import fromstring

SVG = "http://www.w3.org/2000/svg"
MOST = 200_000  # characters
SHAPES = "svg g defs title desc path rect circle ellipse line polyline polygon text tspan linearGradient radialGradient stop clipPath mask"
ELEMENTS = frozenset(SHAPES.split())
PICTURE = "data:image/png;base64,"
SIGNATURE = b"\x89PNG\r\n\x1a\n"
PIXELS = 2_000  # most on a side
DRAWN = frozenset((b"IHDR", b"PLTE", b"tRNS", b"IDAT", b"IEND"))  # the chunks that draw; the others are notes about the picture
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


def from_upload(body: bytes) -> str:
    """Return the clean SVG of an uploaded logo, an SVG or a PNG file; raises ValueError saying what is wrong with it."""
    if not body.startswith(SIGNATURE):
        try:
            return clean(body.decode("utf-8-sig"))
        except UnicodeDecodeError as problem:
            raise ValueError("the logo is neither a PNG nor an SVG file") from problem
    picture, wide, tall = png(body)
    return clean(f'<svg xmlns="{SVG}" viewBox="0 0 {wide} {tall}"><image width="{wide}" height="{tall}" href="{_address(picture)}"/></svg>')


def png(body: bytes) -> tuple[bytes, int, int]:
    """Return a PNG with nothing in it but what draws, its width and its height; raises ValueError for one that is broken or too large."""
    chunks: list[tuple[bytes, bytes]] = []
    place = len(SIGNATURE)
    while place + 12 <= len(body) and (not chunks or chunks[-1][0] != b"IEND"):
        length = struct.unpack_from(">I", body, place)[0]
        kind, data = body[place + 4 : place + 8], body[place + 8 : place + 8 + length]
        if body[place + 8 + length : place + 12 + length] != struct.pack(">I", zlib.crc32(kind + data)):
            raise ValueError("the PNG is broken: a checksum does not fit")
        chunks.append((kind, data))
        place += 12 + length
    if not body.startswith(SIGNATURE) or not chunks or chunks[0][0] != b"IHDR" or len(chunks[0][1]) != 13 or chunks[-1][0] != b"IEND":
        raise ValueError("the PNG is broken: it does not begin and end as one")
    wide, tall = struct.unpack_from(">II", chunks[0][1])
    if not (0 < wide <= PIXELS and 0 < tall <= PIXELS):
        raise ValueError(f"the PNG has {wide} × {tall} pixels, allowed are {PIXELS} × {PIXELS}")
    try:
        zlib.decompressobj().decompress(b"".join(data for kind, data in chunks if kind == b"IDAT"), PIXELS * PIXELS * 8 + PIXELS)
    except zlib.error as problem:
        raise ValueError("the PNG is broken: its pixels cannot be unpacked") from problem
    kept = [(kind, data) for kind, data in chunks if kind in DRAWN]
    made = (struct.pack(">I", len(data)) + kind + data + struct.pack(">I", zlib.crc32(kind + data)) for kind, data in kept)
    return SIGNATURE + b"".join(made), wide, tall


def _address(picture: bytes) -> str:
    return PICTURE + base64.b64encode(picture).decode()


def _pictured(element: ET.Element) -> bool:
    """Tell whether an <image> holds a sound PNG, and nothing from elsewhere."""
    href = element.get("href", "")
    try:
        return href.startswith(PICTURE) and _address(png(base64.b64decode(href[len(PICTURE) :], validate=True))[0]) == href
    except (ValueError, binascii.Error):
        return False


def _strip(element: ET.Element) -> None:
    own = element.get("href", "") if element.tag == f"{{{SVG}}}image" else None
    for name, value in list(element.attrib.items()):
        if name == "href" and own is not None:
            continue
        if ":" in name or "}" in name or name.lower().startswith("on") or name in ("href", "class", "style") or OUTSIDE.search(value):
            del element.attrib[name]
    for child in list(element):
        if child.tag.removeprefix(f"{{{SVG}}}") in ELEMENTS or (child.tag == f"{{{SVG}}}image" and _pictured(child)):
            _strip(child)
        else:
            element.remove(child)
