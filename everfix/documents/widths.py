"""The font that charts are measured with: Inter's advances, and of each letter no more than a box of that width.

The drawing library opens the font's file and computes the outline of each letter some thirty times to lay a chart out; with Inter
itself, a variable font, that is half of the time of a PDF. Only the width of a text matters there: the picture names Inter. Made by
`python -m everfix.documents.widths` from the installed Inter, whose licence (SIL Open Font License 1.1) it keeps.
"""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

from everfix.documents import fonts

FAMILY = "Everfix Widths"
FOLDER = Path(__file__).parent / "widths"
FILE = FOLDER / "widths.ttf"
FACE = "Inter[opsz,wght].ttf"
TALL = 100  # units of a box: any height does, only an empty one is not measured
ASSIGNED = 3_800_000_000  # seconds since 1904: the same file whenever it is made


def made(source: Path) -> bytes:
    """Return the font with the advances of the one at `source`; needs fontTools, which only developers install."""
    from fontTools import fontBuilder, ttLib  # noqa: PLC0415 - only to make the file anew

    face = ttLib.TTFont(source)
    advance = {code: face["hmtx"][glyph][0] for code, glyph in face.getBestCmap().items()}
    widths = sorted(set(advance.values()))
    names = {width: f"w{width}" for width in widths}
    builder = fontBuilder.FontBuilder(face["head"].unitsPerEm, isTTF=True)
    builder.setupGlyphOrder([".notdef", *names.values()])
    builder.setupCharacterMap({code: names[width] for code, width in advance.items()})
    builder.setupGlyf({".notdef": _box(0), **{names[width]: _box(width) for width in widths}})
    builder.setupHorizontalMetrics({".notdef": (0, 0), **{names[width]: (width, 0) for width in widths}})
    up, down = face["hhea"].ascent, face["hhea"].descent
    builder.setupHorizontalHeader(ascent=up, descent=down)
    builder.setupOS2(sTypoAscender=up, sTypoDescender=down, usWinAscent=up, usWinDescent=-down, usWeightClass=400)
    builder.setupNameTable(
        {
            "familyName": FAMILY, "styleName": "Regular", "psName": FAMILY.replace(" ", ""),
            "copyright": face["name"].getDebugName(0), "licenseDescription": face["name"].getDebugName(13),
        }
    )  # fmt: skip
    builder.setupPost(keepGlyphNames=False)
    builder.updateHead(created=ASSIGNED, modified=ASSIGNED)
    builder.font.recalcTimestamp = False
    out = io.BytesIO()
    builder.save(out)
    return out.getvalue()


def _box(width: int) -> Any:  # noqa: ANN401 - a glyph of fontTools
    from fontTools.pens.ttGlyphPen import TTGlyphPen  # noqa: PLC0415 - only to make the file anew

    pen = TTGlyphPen(None)
    if width:
        pen.moveTo((0, 0))
        for corner in ((0, TALL), (width, TALL), (width, 0)):
            pen.lineTo(corner)
        pen.closePath()
    return pen.glyph()


def source() -> Path:
    """Return the file of Inter's upright face."""
    return fonts.text_folders()[0] / FACE


if __name__ == "__main__":
    FOLDER.mkdir(exist_ok=True)
    FILE.write_bytes(made(source()))
